//! libc's own functions, behind those of ours that cannot do with a system call.

use core::ffi::{CStr, c_void};
use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// One of libc's functions, behind ours; `F` is the type of the function.
pub(super) struct Behind<F> {
    name: &'static CStr,
    /// The version to ask for before any other: of these functions there is an older one.
    version: Option<&'static CStr>,
    found: AtomicPtr<c_void>,
    _function: PhantomData<F>,
}

impl<F: Copy> Behind<F> {
    /// # Safety
    ///
    /// `F` must be the type of libc's function of this name, as a pointer to an `extern "C"` function.
    pub(super) const unsafe fn new(name: &'static CStr, version: Option<&'static CStr>) -> Behind<F> {
        assert!(size_of::<F>() == size_of::<*mut c_void>());
        Behind { name, version, found: AtomicPtr::new(ptr::null_mut()), _function: PhantomData }
    }

    /// The function; `None` where there is nothing behind ours: in a statically linked program, and of a function that this libc
    /// does not have.
    #[inline]
    pub(super) fn function(&self) -> Option<F> {
        // Relaxed: the address alone is all there is to see, and whoever looks it up twice finds the same.
        let mut found = self.found.load(Ordering::Relaxed);
        if found.is_null() {
            found = self.look_up();
        }
        if found.is_null() {
            return None;
        }
        // SAFETY: not null, so it is the function, whose type the maker has promised.
        Some(unsafe { core::mem::transmute_copy::<*mut c_void, F>(&found) })
    }

    /// The dynamic linker waits for no lock of pthreads through the functions that it offers.
    #[cold]
    fn look_up(&self) -> *mut c_void {
        let mut found = ptr::null_mut();
        if let Some(version) = self.version {
            // SAFETY: both are strings that end with a zero byte.
            found = unsafe { libc::dlvsym(libc::RTLD_NEXT, self.name.as_ptr(), version.as_ptr()) };
        }
        if found.is_null() {
            // SAFETY: the name is a string that ends with a zero byte.
            found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        }
        self.found.store(found, Ordering::Relaxed);
        found
    }
}

/// Calls a function behind ours; gives what follows `or`, else `ENOSYS`, if there is none.
macro_rules! behind {
    ($function:expr $(, $argument:expr)* $(,)?) => {
        $crate::patch::behind::behind!($function $(, $argument)*; or libc::ENOSYS)
    };
    ($function:expr $(, $argument:expr)*; or $absent:expr) => {
        match $function.function() {
            // SAFETY: the caller has promised what libc's function demands.
            Some(function) => unsafe { function($($argument),*) },
            None => $absent,
        }
    };
}
pub(super) use behind;

/// Calls a function behind ours that says -1 and `errno`.
macro_rules! behind_errno {
    ($function:expr $(, $argument:expr)* $(,)?) => {
        $crate::patch::behind::behind!($function $(, $argument)*; or {
            $crate::sys::errno::set(libc::ENOSYS);
            -1
        })
    };
}
pub(super) use behind_errno;
