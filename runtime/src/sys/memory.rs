//! Mapping memory, guarding it and giving it back.

use std::io;

/// Bytes of a page: what can be guarded and given back. The largest that the architecture allows, so that it is a constant.
pub(crate) const PAGE: usize = if cfg!(target_arch = "x86_64") { 4096 } else { 65536 };

/// `MADV_GUARD_INSTALL`, since Linux 6.13; the libc crate does not name it.
const MADV_GUARD_INSTALL: libc::c_int = 102;
const MADV_GUARD_REMOVE: libc::c_int = 103;

/// New private memory of `bytes` bytes, readable, writable and zero, that costs nothing until it is touched.
///
/// The mapping is never backed by huge pages: one touched byte would cost 2 MiB.
pub(crate) fn reserve(bytes: usize) -> io::Result<usize> {
    // SAFETY: a mapping at an address of the kernel's choice changes no memory that exists.
    let address = unsafe {
        libc::mmap(
            core::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK,
            -1,
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // A kernel built without huge pages refuses the advice, and needs none.
    // SAFETY: the advice changes how the new mapping is backed, not what it holds.
    unsafe { libc::madvise(address, bytes, libc::MADV_NOHUGEPAGE) };
    Ok(address as usize)
}

/// Unmaps memory that came from [`reserve`].
///
/// # Safety
///
/// `address..address + bytes` is whole pages of such memory, and nobody uses it any more.
pub(crate) unsafe fn release(address: usize, bytes: usize) {
    // SAFETY: the caller's promise.
    let result = unsafe { libc::munmap(address as *mut libc::c_void, bytes) };
    debug_assert_eq!(result, 0);
}

/// Makes every access to the pages a fault, by marks in the page table: costs no mapping. `InvalidInput` when the
/// kernel has no such marks, or none for this mapping (it is locked).
///
/// # Safety
///
/// `address..address + bytes` is whole pages that came from [`reserve`] and that nobody uses.
pub(crate) unsafe fn guard_by_mark(address: usize, bytes: usize) -> io::Result<()> {
    loop {
        // SAFETY: the caller's promise; the content that is lost is nobody's.
        match unsafe { libc::madvise(address as *mut libc::c_void, bytes, MADV_GUARD_INSTALL) } {
            0 => return Ok(()),
            // A page fault of another OS thread came in between too often.
            _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return Err(io::Error::last_os_error()),
        }
    }
}

/// Makes every access to the pages a fault, by taking the permissions away: splits the mapping, so a stack costs two,
/// and `vm.max_map_count` bounds them.
///
/// # Safety
///
/// As for [`guard_by_mark`].
pub(crate) unsafe fn guard_by_protection(address: usize, bytes: usize) -> io::Result<()> {
    // SAFETY: the caller's promise.
    match unsafe { libc::mprotect(address as *mut libc::c_void, bytes, libc::PROT_NONE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives the pages back to the machine; they read as zero afterwards. Guards among them stay, of either kind. Best effort: locked pages stay.
///
/// # Safety
///
/// `address..address + bytes` is whole pages that came from [`reserve`], and nobody needs what is in them.
pub(crate) unsafe fn discard(address: usize, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { libc::madvise(address as *mut libc::c_void, bytes, libc::MADV_DONTNEED) };
}

/// Takes the guards of either kind away, and gives the pages back, and with them the page tables (kernels before 6.14
/// keep these). Best effort: guards may stay.
///
/// # Safety
///
/// As for [`discard`], and nobody relies on the guards; nor on their absence where they were.
pub(crate) unsafe fn unguard_and_discard(address: usize, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { libc::mprotect(address as *mut libc::c_void, bytes, libc::PROT_READ | libc::PROT_WRITE) };
    // An old kernel does not know the advice, and has no marks to take away.
    // SAFETY: the caller's promise.
    unsafe { libc::madvise(address as *mut libc::c_void, bytes, MADV_GUARD_REMOVE) };
    // SAFETY: the caller's promise.
    unsafe { discard(address, bytes) };
}
