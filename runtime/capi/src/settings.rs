//! The structs through which C sets things. Each begins with its size, by which it can grow.
//!
//! A struct with setters, as pthreads have, would grow as well, at the price of two functions for each field and of memory
//! to be freed; a size and zeros for defaults are what the kernel does (`clone3`, `openat2`), and let C set fields by name.

use crate::function;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;
use osier::time::{Duration, FakeClock};
use osier::{Builder, SeededRandom, thread};
use std::ffi::CString;
use std::io::Write;

/// `osier_settings_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    size: usize,
    workers: usize,
    stack_size: usize,
    main_stack_size: usize,
    offload_threads: usize,
    grace: u64,
    seed: u64,
    wait_all: c_int,
    fake_clock: c_int,
    report: Option<Report>,
    report_arg: *mut c_void,
}

/// The function of `osier_settings_t` that is told of deadlocks and the like: what it is about, in a text.
pub type Report = unsafe extern "C-unwind" fn(what: c_int, text: *const c_char, report_arg: *mut c_void);

/// `osier_attr_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Attr {
    size: usize,
    name: *const c_char,
    stack_size: usize,
    /// A field that comes after it must not lie in the bytes with which the struct is filled up: callers of today leave them unset.
    local: c_int,
}

// As the header has them, on every machine of 64 bits; its test asserts the same numbers.
const _: () = assert!(size_of::<Settings>() == 80 && size_of::<Attr>() == 32);

/// A struct of C's of which any bytes are a value, zeros the defaults, and the first field the size.
///
/// # Safety
///
/// That must be so.
unsafe trait Grows: Copy {
    const DEFAULT: Self;
    /// The size of the first version: what is smaller was not set by the header's macro.
    const LEAST: usize;
}

/// What is larger is no size. The kernel draws the same line.
const MOST: usize = 4096;

/// The struct that C has given, or the defaults if it is null. Of one that is shorter, since it is older, the rest is zeros.
///
/// # Errors
///
/// `EINVAL` for a size that never was one; `E2BIG` if it is newer and sets what this library does not know.
///
/// # Safety
///
/// `given` must be null, or point at a struct of the size that its first field says, or at that field alone if that is no size.
unsafe fn read<T: Grows>(given: *const T) -> Result<T, c_int> {
    let mut value = T::DEFAULT;
    if given.is_null() {
        return Ok(value);
    }
    // SAFETY: it begins with its size.
    let size = unsafe { given.cast::<usize>().read() };
    if !(T::LEAST..=MOST).contains(&size) {
        return Err(libc::EINVAL);
    }
    let known = size.min(size_of::<T>());
    // SAFETY: both have so many bytes, of which any are a value.
    unsafe { ptr::copy_nonoverlapping(given.cast::<u8>(), (&raw mut value).cast::<u8>(), known) };
    // SAFETY: the bytes up to its size, if it is larger.
    let rest = unsafe { core::slice::from_raw_parts(given.cast::<u8>().add(known), size - known) };
    if rest.iter().all(|byte| *byte == 0) { Ok(value) } else { Err(libc::E2BIG) }
}

// SAFETY: numbers, a pointer, and a function that may be null.
unsafe impl Grows for Settings {
    const DEFAULT: Settings = Settings {
        size: size_of::<Settings>(),
        workers: 0,
        stack_size: 0,
        main_stack_size: 0,
        offload_threads: 0,
        grace: 0,
        seed: 0,
        wait_all: 0,
        fake_clock: 0,
        report: None,
        report_arg: ptr::null_mut(),
    };
    const LEAST: usize = 80;
}

// SAFETY: numbers and a pointer.
unsafe impl Grows for Attr {
    const DEFAULT: Attr = Attr { size: size_of::<Attr>(), name: ptr::null(), stack_size: 0, local: 0 };
    const LEAST: usize = 32;
}

impl Settings {
    /// # Errors
    ///
    /// As the header says.
    ///
    /// # Safety
    ///
    /// `given` must be null or as the header demands.
    pub(crate) unsafe fn read(given: *const Settings) -> Result<Settings, c_int> {
        // SAFETY: the caller's promise.
        unsafe { read(given) }
    }

    pub(crate) fn builder(&self) -> Builder {
        let mut builder = Builder::new().wait_all(self.wait_all != 0);
        for (set, with) in [
            (self.workers, Builder::workers as fn(Builder, usize) -> Builder),
            (self.stack_size, Builder::stack_size),
            (self.main_stack_size, Builder::main_stack_size),
            (self.offload_threads, Builder::offload_threads),
        ] {
            if set != 0 {
                builder = with(builder, set);
            }
        }
        if self.seed != 0 {
            let seed = self.seed;
            builder = builder.policies(move |worker| SeededRandom::new(seed.wrapping_add(worker as u64)));
        }
        if self.fake_clock != 0 {
            builder = builder.clock(FakeClock::new());
        }
        let reporter = self.reporter();
        if self.grace != 0 {
            builder = builder.shutdown_grace(Duration::from_nanos(self.grace), move |left| {
                let left: Vec<_> = left.iter().map(|waiting| format!("\n  {waiting}")).collect();
                reporter.tell(What::Left, &format!("killed, and not ended:{}", left.concat()));
            });
        }
        if self.report.is_some() {
            builder = builder.on_stuck(move |stuck| reporter.tell(What::Stuck, &stuck.to_string()));
        }
        builder
    }

    pub(crate) fn reporter(&self) -> Reporter {
        Reporter { report: self.report, arg: self.report_arg }
    }
}

impl Attr {
    /// The settings of a green thread.
    ///
    /// # Errors
    ///
    /// As the header says.
    ///
    /// # Safety
    ///
    /// `given` must be null or as the header demands.
    pub(crate) unsafe fn builder(given: *const Attr) -> Result<thread::Builder, c_int> {
        // SAFETY: the caller's promise.
        let attr = unsafe { read(given) }?;
        let mut builder = thread::Builder::new();
        if !attr.name.is_null() {
            // SAFETY: a string, by the header.
            let name = unsafe { CStr::from_ptr(attr.name) };
            builder = builder.name(name.to_str().map_err(|_| libc::EINVAL)?.into());
        }
        if attr.stack_size != 0 {
            builder = builder.stack_size(attr.stack_size);
        }
        match thread::worker() {
            Some(own) if attr.local != 0 => Ok(builder.worker(own)),
            _ => Ok(builder),
        }
    }
}

/// `osier_report_t`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Deadlock = 0,
    Stuck = 1,
    Left = 2,
}

/// Where reports go.
#[derive(Clone, Copy)]
pub(crate) struct Reporter {
    /// `None` for standard error.
    report: Option<Report>,
    arg: *mut c_void,
}

impl Reporter {
    pub(crate) fn tell(self, what: What, text: &str) {
        let Some(report) = self.report else {
            // Nothing is left to be done if there is no standard error.
            let _ = std::io::stderr().write_all(format!("\nosier: {text}\n").as_bytes());
            return;
        };
        // Names have no zero byte.
        let text = CString::new(text).unwrap_or_default();
        // SAFETY: the header's, called as it says.
        function::returning(|| unsafe { report(what as c_int, text.as_ptr(), self.arg) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An attribute as a later version might have it.
    #[repr(C)]
    struct Newer {
        attr: Attr,
        unknown: [u8; 16],
    }

    fn read_newer(size: usize, unknown: u8) -> Result<usize, c_int> {
        let mut newer = Newer { attr: Attr { size, stack_size: 7, ..Attr::DEFAULT }, unknown: [0; 16] };
        newer.unknown[15] = unknown;
        // SAFETY: no size that is read is larger than `Newer`.
        unsafe { read((&raw const newer).cast::<Attr>()) }.map(|attr| attr.stack_size)
    }

    #[test]
    fn what_is_not_known_must_be_zero() {
        assert_eq!(read_newer(size_of::<Newer>(), 0), Ok(7));
        assert_eq!(read_newer(size_of::<Newer>(), 1), Err(libc::E2BIG));
        assert_eq!(read_newer(size_of::<Attr>(), 1), Ok(7), "it is not part of the struct");
    }

    #[test]
    fn sizes_that_are_none() {
        for size in [0, 8, size_of::<Attr>() - 1, MOST + 1, usize::MAX] {
            assert_eq!(read_newer(size, 0), Err(libc::EINVAL), "{size}");
        }
        // SAFETY: null.
        assert_eq!(unsafe { read::<Attr>(ptr::null()) }.map(|attr| attr.stack_size), Ok(0));
    }
}
