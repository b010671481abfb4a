//! Waiting for a word of memory to change, by the system call itself.
//!
//! The feature `patch` defines libc's function `syscall`, which parks a green thread that waits in a futex. What the runtime
//! blocks for, it blocks the OS thread for, so these calls are made without that function.

use core::ptr;
use core::sync::atomic::AtomicU32;
use core::time::Duration;
use libc::{c_int, c_long, timespec};

/// Makes a system call: its result, or the negative of the error's number. `errno` stays as it is.
///
/// # Safety
///
/// As the system call demands.
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) unsafe fn call(number: c_long, arguments: [c_long; 6]) -> c_long {
    let result;
    let [first, second, third, fourth, fifth, sixth] = arguments;
    // SAFETY: the kernel's convention on this architecture: it changes rax, rcx and r11, and what the caller answers for.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            in("r9") sixth,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result
}

/// Makes a system call: its result, or the negative of the error's number. `errno` stays as it is.
///
/// # Safety
///
/// As the system call demands.
#[cfg(all(target_arch = "aarch64", not(miri)))]
pub(crate) unsafe fn call(number: c_long, arguments: [c_long; 6]) -> c_long {
    let result;
    let [first, second, third, fourth, fifth, sixth] = arguments;
    // SAFETY: the kernel's convention on this architecture: it changes x0, and what the caller answers for.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") first => result,
            in("x1") second,
            in("x2") third,
            in("x3") fourth,
            in("x4") fifth,
            in("x5") sixth,
            options(nostack),
        );
    }
    result
}

/// Makes a system call: its result, or the negative of the error's number.
///
/// # Safety
///
/// As the system call demands.
#[cfg(not(any(miri, target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) unsafe fn call(number: c_long, arguments: [c_long; 6]) -> c_long {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(number, first, second, third, fourth, fifth, sixth) };
    if result == -1 {
        -c_long::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    } else {
        result
    }
}

/// Makes a system call, of which Miri knows the futex alone, and that by the types of its arguments. What it gives does not matter.
///
/// # Safety
///
/// As the system call demands.
#[cfg(miri)]
pub(crate) unsafe fn call(number: c_long, arguments: [c_long; 6]) -> c_long {
    let [word, operation, value, limit, ..] = arguments;
    let word = ptr::with_exposed_provenance::<u32>(word as usize);
    let limit = ptr::with_exposed_provenance::<timespec>(limit as usize);
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(number, word, operation as c_int, value as c_int, limit) }
}

/// Blocks the OS thread while `word` is `expected`, for `limit` at most (`None`: as long as it takes); for no reason at times.
pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Option<Duration>) {
    let limit = limit.map(|limit| timespec {
        tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    });
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    let operation = c_long::from(libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG);
    let arguments = [
        word.as_ptr().expose_provenance() as c_long,
        operation,
        c_long::from(expected),
        limit.expose_provenance() as c_long,
        0,
        0,
    ];
    // SAFETY: the word and the time are valid until it returns. What it says does not matter: the caller looks again.
    unsafe { call(libc::SYS_futex, arguments) };
}

/// [`wait`] that only wake-ups with one of these bits end; gives 0 or the number of the error.
#[cfg(feature = "patch")]
pub(crate) fn wait_bits(word: &AtomicU32, expected: u32, bits: u32, limit: Duration) -> c_int {
    let mut until = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: valid for a write.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut until) };
    let nanos = i64::from(limit.subsec_nanos()) + until.tv_nsec;
    until.tv_sec += limit.as_secs().cast_signed() + nanos / 1_000_000_000;
    until.tv_nsec = nanos % 1_000_000_000;
    let arguments = [
        word.as_ptr().expose_provenance() as c_long,
        c_long::from(libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG),
        c_long::from(expected),
        (&raw const until).expose_provenance() as c_long,
        0,
        c_long::from(bits),
    ];
    // SAFETY: the word and the time are valid until it returns.
    let result = unsafe { call(libc::SYS_futex, arguments) };
    -result as c_int
}

/// Ends so many waits for `word`, at most.
pub(crate) fn wake(word: &AtomicU32, count: c_int) {
    let operation = c_long::from(libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG);
    let arguments = [word.as_ptr().expose_provenance() as c_long, operation, c_long::from(count), 0, 0, 0];
    // SAFETY: the kernel looks for those that wait for the address, and does not follow it.
    unsafe { call(libc::SYS_futex, arguments) };
}
