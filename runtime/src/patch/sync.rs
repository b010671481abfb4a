//! The group `file`: the calls that wait for a disk besides reads and writes, on the offload pool.
//!
//! What changes directories or the layout of a file (`rename`, `unlink`, `ftruncate`, `fallocate`) is made in place: a file system answers
//! that out of memory, mostly, as it does an `open`.

use super::Group;
use super::pool::system_call_on_pool;
use super::report::count;
use super::wait::{answer, on_descriptor_of, on_green, with_errno};
use crate::sys::shimmed;
use libc::{c_int, c_uint, c_void, loff_t, size_t, ssize_t};

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_at: *mut loff_t,
    to: c_int,
    to_at: *mut loff_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    count!(copy_file_range);
    // SAFETY: the caller's promise.
    let call = || unsafe { shimmed::copy_file_range(from, from_at, to, to_at, len, flags) };
    // SAFETY: the offsets are the caller's, whose green thread waits.
    let copied = on_green(Group::File, |worker| unsafe { with_errno(|| system_call_on_pool(worker, call)) });
    copied.unwrap_or_else(|| answer(call()))
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn sync() {
    count!(sync);
    let synced = on_green(Group::File, |worker| {
        let call = || {
            shimmed::sync();
            Ok(0)
        };
        // SAFETY: refers to no memory.
        with_errno(|| unsafe { system_call_on_pool(worker, call) }) == 0
    });
    // In place also where there is no OS thread for it: it cannot fail.
    if synced != Some(true) {
        shimmed::sync();
    }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn syncfs(fd: c_int) -> c_int {
    count!(syncfs);
    // SAFETY: refers to no memory.
    let synced = on_descriptor_of(Group::File.bit(), fd, |worker| unsafe {
        system_call_on_pool(worker, || shimmed::syncfs(fd))
    });
    synced.unwrap_or_else(|| answer(shimmed::syncfs(fd))) as c_int
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn msync(address: *mut c_void, len: size_t, flags: c_int) -> c_int {
    count!(msync);
    // SAFETY: the caller's promise.
    let call = || unsafe { shimmed::msync(address, len, flags) };
    let waits = flags & libc::MS_SYNC != 0;
    let synced = if waits {
        // SAFETY: the memory is the process's.
        on_green(Group::File, |worker| with_errno(|| unsafe { system_call_on_pool(worker, call) }))
    } else {
        None
    };
    synced.unwrap_or_else(|| answer(call())) as c_int
}
