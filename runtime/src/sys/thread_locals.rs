//! Where the thread-locals of an OS thread lie.

use crate::inside;
use core::cell::Cell;
use core::ffi::{c_int, c_void};

/// How many blocks are known of at most: the program's, and those of the libraries that were there when they were last looked up.
const MOST: usize = 16;

thread_local! {
    /// Whether the blocks have been looked up.
    static KNOWN: Cell<bool> = const { Cell::new(false) };
    /// From where to where each lies; both 0 for none.
    static BLOCKS: [Cell<(usize, usize)>; MOST] = const { [const { Cell::new((0, 0)) }; MOST] };
}

/// Whether this address belongs to a thread-local of the OS thread that calls: of the program, or of a library that was there when this was
/// first asked, and is there now.
pub(crate) fn is_own(address: usize) -> bool {
    let is_known = KNOWN.replace(true);
    if is_known && !is_in_blocks(address) {
        return false;
    }
    // Also where it seems to be one: the library whose it was may be closed, and the memory somebody else's.
    look_up();
    is_in_blocks(address)
}

fn is_in_blocks(address: usize) -> bool {
    BLOCKS.with(|blocks| blocks.iter().any(|block| (block.get().0..block.get().1).contains(&address)))
}

fn look_up() {
    BLOCKS.with(|blocks| blocks.iter().for_each(|block| block.set((0, 0))));
    let mut found = 0_usize;
    // SAFETY: `note` takes what it is given here, and keeps nothing of it.
    inside::run(|| unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut found).cast()) });
}

/// Notes the block of one object; `found` counts them.
unsafe extern "C" fn note(object: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
    // SAFETY: what `look_up` has given, for this OS thread alone.
    let found = unsafe { &mut *found.cast::<usize>() };
    // SAFETY: valid during this call.
    let object = unsafe { &*object };
    if object.dlpi_tls_data.is_null() || object.dlpi_phnum == 0 {
        return 0;
    }
    // SAFETY: so many of them are there, as long as the object is.
    let headers = unsafe { core::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    if let Some(header) = headers.iter().find(|header| header.p_type == libc::PT_TLS) {
        let start = object.dlpi_tls_data.addr();
        BLOCKS.with(|blocks| blocks[*found].set((start, start + header.p_memsz as usize)));
        *found += 1;
    }
    c_int::from(*found == MOST)
}

#[cfg(test)]
mod tests {
    use super::is_own;
    use core::cell::Cell;
    use core::ptr;
    use std::ffi::CString;
    use std::io::Write;
    use std::os::unix::ffi::OsStrExt;
    use std::process::{Command, Stdio};

    #[test]
    fn only_the_own_thread_locals_are_found() {
        thread_local!(static WORD: Cell<u32> = const { Cell::new(1) });
        static GLOBAL: u32 = 0;
        let address = || WORD.with(|word| ptr::from_ref(word).addr());
        let (on_stack, on_heap) = (0_u32, Box::new(0_u32));
        assert!(is_own(address()));
        for other in [&raw const on_stack, &raw const *on_heap, &raw const GLOBAL] {
            assert!(!is_own(other.addr()));
        }
        let own = address();
        let others = std::thread::spawn(move || {
            assert!(is_own(address()) && !is_own(own));
            address()
        });
        // Its block is gone, or another one's.
        assert_ne!(others.join().unwrap(), own);
        assert!(is_own(own));
    }

    #[test]
    fn those_of_a_library_are_its_own_until_it_is_closed() {
        let library = std::env::temp_dir().join(format!("osier-thread-locals-{}.so", std::process::id()));
        let mut compiler = Command::new("cc")
            .args(["-shared", "-fPIC", "-xc", "-", "-o"])
            .arg(&library)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let code = b"static _Thread_local int word; int *place(void) { return &word; }";
        compiler.stdin.take().unwrap().write_all(code).unwrap();
        assert!(compiler.wait().unwrap().success());
        let path = CString::new(library.as_os_str().as_bytes()).unwrap();
        // SAFETY: a string; the library does nothing when it is loaded.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null());
        std::fs::remove_file(&library).unwrap();
        // SAFETY: a library that is open, and a string.
        let place = unsafe { libc::dlsym(handle, c"place".as_ptr()) };
        // SAFETY: the function above.
        let place: extern "C" fn() -> *const u32 = unsafe { core::mem::transmute(place) };
        let word = place().addr();
        assert!(is_own(word));
        // SAFETY: nothing of it is used after this.
        assert_eq!(unsafe { libc::dlclose(handle) }, 0);
        assert!(!is_own(word));
    }
}
