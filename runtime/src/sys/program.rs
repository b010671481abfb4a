//! What the program's own file says of an address: which function it belongs to.
//!
//! For a signal handler: takes no lock, allocates nothing, and reads nothing but the file, which it maps.

use super::shimmed::openat;
use core::ffi::CStr;
use core::ptr;

/// The symbols of the running program, mapped while this exists.
pub(crate) struct Symbols {
    file: &'static [u8],
    /// The table of symbols, and the strings that it refers to.
    table: &'static [u8],
    names: &'static [u8],
    /// How far the program lies from where its file says.
    bias: u64,
}

/// A symbol that is a function.
struct Function {
    entry: &'static [u8],
    /// Where its code lies now, and how many bytes that has.
    start: u64,
    size: u64,
}

impl Function {
    fn has(&self, address: usize) -> bool {
        (address as u64).wrapping_sub(self.start) < self.size
    }
}

/// A symbol in the table, in bytes.
const ENTRY: usize = 24;
/// The kind of table that is not needed to run the program, and so may have been taken out.
const SYMTAB: u32 = 2;
/// The kind of program header that tells where these headers are.
const HEADERS: u32 = 6;
/// The kind of symbol that a function is.
const FUNCTION: u8 = 2;

/// A number of so many bytes; `None` past the end.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let mut wide = [0; 8];
    wide[..len].copy_from_slice(bytes.get(at..at.checked_add(len)?)?);
    Some(u64::from_le_bytes(wide))
}

fn part(bytes: &'static [u8], at: u64, len: u64) -> Option<&'static [u8]> {
    let at = usize::try_from(at).ok()?;
    bytes.get(at..at.checked_add(usize::try_from(len).ok()?)?)
}

impl Symbols {
    /// `None` if the file cannot be read, or has none.
    pub(crate) fn of_program() -> Option<Symbols> {
        let file = map(c"/proc/self/exe")?;
        // From here on the file is given back, also if it is not as it should be.
        let mut symbols = Symbols { file, table: &[], names: &[], bias: 0 };
        (symbols.table, symbols.names) = symbols.tables()?;
        symbols.bias = symbols.bias_of_headers()?;
        Some(symbols)
    }

    fn tables(&self) -> Option<(&'static [u8], &'static [u8])> {
        let file = self.file;
        let is_elf64 = file.get(..5)? == b"\x7fELF\x02";
        let (sections, size) = (number(file, 40, 8)?, number(file, 58, 2)?);
        let section = |index: u64| part(file, sections.checked_add(size.checked_mul(index)?)?, size);
        let content = |section: &'static [u8]| part(file, number(section, 24, 8)?, number(section, 32, 8)?);
        let count = number(file, 60, 2)?;
        let table =
            (0..count).filter_map(section).find(|section| number(section, 4, 4) == Some(SYMTAB.into()));
        let table = table.filter(|_| is_elf64)?;
        let names = section(number(table, 40, 4)?)?;
        Some((content(table)?, content(names)?))
    }

    fn bias_of_headers(&self) -> Option<u64> {
        // SAFETY: looks a number up.
        let headers = unsafe { libc::getauxval(libc::AT_PHDR) };
        let (at, size, count) =
            (number(self.file, 32, 8)?, number(self.file, 54, 2)?, number(self.file, 56, 2)?);
        let header = |index: u64| part(self.file, at.checked_add(size.checked_mul(index)?)?, size);
        let own =
            (0..count).filter_map(header).find(|header| number(header, 0, 4) == Some(HEADERS.into()))?;
        headers.checked_sub(number(own, 16, 8)?)
    }

    /// The names of the functions that these addresses of code belong to, as they stand in the file; `None` for those of no function of
    /// this program.
    pub(crate) fn names_of<const N: usize>(&self, addresses: &[usize; N]) -> [Option<&[u8]>; N] {
        let mut names = [None; N];
        // One pass, as there may be a hundred thousand symbols.
        for function in self.functions() {
            for (address, name) in addresses.iter().zip(&mut names) {
                if function.has(*address) {
                    *name = self.name(function.entry);
                }
            }
        }
        names
    }

    /// Whether `is` holds of the names of all functions that this address of code belongs to, one at least: linkers may make one of several
    /// that are alike.
    pub(crate) fn all_names_of(&self, address: usize, is: impl Fn(&[u8]) -> bool) -> bool {
        let mut names = self.functions().filter(|function| function.has(address)).peekable();
        names.peek().is_some() && names.all(|function| self.name(function.entry).is_some_and(&is))
    }

    fn functions(&self) -> impl Iterator<Item = Function> {
        let functions = self.table.chunks_exact(ENTRY).filter(|entry| entry[4] & 15 == FUNCTION);
        functions.filter_map(|entry| {
            let start = number(entry, 8, 8)?.wrapping_add(self.bias);
            Some(Function { entry, start, size: number(entry, 16, 8)? })
        })
    }

    fn name(&self, entry: &[u8]) -> Option<&[u8]> {
        self.names.get(number(entry, 0, 4)? as usize..)?.split(|byte| *byte == 0).next()
    }
}

impl Drop for Symbols {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, and what refers to it goes with this.
        unsafe { libc::munmap(self.file.as_ptr().cast_mut().cast(), self.file.len()) };
    }
}

/// A file's content.
fn map(path: &CStr) -> Option<&'static [u8]> {
    // SAFETY: a string.
    let fd = unsafe { openat(libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC, 0) }.ok()?;
    let fd = fd as libc::c_int;
    // SAFETY: no pointers.
    let len = unsafe { libc::lseek(fd, 0, libc::SEEK_END) };
    let len = usize::try_from(len).unwrap_or(0);
    // SAFETY: a new mapping, which nobody writes.
    let mapped = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ, libc::MAP_PRIVATE, fd, 0) };
    // SAFETY: opened above, and nobody else's.
    unsafe { super::system_call::syscall(libc::SYS_close, fd) };
    if mapped == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: mapped just now; a program's file is not written while it runs. It is unmapped by `Symbols`, which does not give it out.
    Some(unsafe { core::slice::from_raw_parts(mapped.cast(), len) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn a_function_with_a_name() -> usize {
        a_function_with_a_name as *const () as usize
    }

    #[test]
    fn functions_are_found_by_an_address_within() {
        let symbols = Symbols::of_program().expect("tests are not stripped");
        let names = symbols.names_of(&[0, a_function_with_a_name() + 1, usize::MAX]);
        assert_eq!((names[0], names[2]), (None, None));
        let name = String::from_utf8_lossy(names[1].unwrap());
        assert!(name.contains("a_function_with_a_name"), "{name}");
        let is_named = |name: &[u8]| String::from_utf8_lossy(name).contains("a_function_with_a_name");
        assert!(symbols.all_names_of(a_function_with_a_name() + 1, is_named));
        assert!(!symbols.all_names_of(a_function_with_a_name() + 1, |_| false));
        assert!(!symbols.all_names_of(0, |_| true), "it is no function's");
    }
}
