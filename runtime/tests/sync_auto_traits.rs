//! What may be sent, shared, moved and seen after a panic is as in std.

use std::cell::Cell;
use std::marker::{PhantomData, PhantomPinned};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

/// Compares a trait of two types, written with the same names in two modules.
macro_rules! same {
    ($trait:ident: $($type:ty),+ $(,)?) => {{
        // An inherent constant wins over one of a trait, where its bounds hold.
        struct Probe<T: ?Sized>(PhantomData<T>);
        #[allow(dead_code, reason = "unused where all types have the trait")]
        trait Otherwise {
            const HOLDS: bool = false;
        }
        impl<T: ?Sized> Otherwise for Probe<T> {}
        #[allow(dead_code, reason = "unused where no type has the trait")]
        impl<T: ?Sized + $trait> Probe<T> {
            const HOLDS: bool = true;
        }
        let ours = {
            #[allow(unused_imports, reason = "not each list names all")]
            use osier::sync::*;
            [$(<Probe<$type>>::HOLDS),+]
        };
        let theirs = {
            #[allow(unused_imports, reason = "not each list names all")]
            use std::sync::*;
            [$(<Probe<$type>>::HOLDS),+]
        };
        let names = [$(stringify!($type)),+];
        for (name, (ours, theirs)) in names.iter().zip(ours.iter().zip(theirs)) {
            assert_eq!(*ours, theirs, "{}: {name}", stringify!($trait));
        }
    }};
}

macro_rules! each {
    ($($trait:ident)+) => {$(
        same!($trait:
            Mutex<u8>, Mutex<Rc<u8>>, Mutex<Cell<u8>>, Mutex<PhantomPinned>, Mutex<*const u8>,
            MutexGuard<'static, u8>, MutexGuard<'static, Rc<u8>>, MutexGuard<'static, Cell<u8>>,
            RwLock<u8>, RwLock<Rc<u8>>, RwLock<Cell<u8>>, RwLock<PhantomPinned>, RwLock<*const u8>,
            RwLockReadGuard<'static, u8>, RwLockReadGuard<'static, Rc<u8>>, RwLockReadGuard<'static, Cell<u8>>,
            RwLockWriteGuard<'static, u8>, RwLockWriteGuard<'static, Rc<u8>>, RwLockWriteGuard<'static, Cell<u8>>,
            Condvar, WaitTimeoutResult, Barrier, BarrierWaitResult, Once, OnceState,
            OnceLock<u8>, OnceLock<Rc<u8>>, OnceLock<Cell<u8>>, OnceLock<PhantomPinned>, OnceLock<&'static mut u8>,
            LazyLock<u8>, LazyLock<Rc<u8>>, LazyLock<Cell<u8>>, LazyLock<PhantomPinned>, LazyLock<&'static mut u8>,
            LazyLock<u8, Rc<u8>>, LazyLock<u8, Cell<u8>>, LazyLock<u8, PhantomPinned>, LazyLock<u8, &'static mut u8>,
        );
    )+};
}

#[test]
fn auto_traits_are_those_of_std() {
    each!(Send Sync Unpin UnwindSafe RefUnwindSafe);
}

/// std's is not stable: compared with what its documentation says.
#[test]
fn those_of_the_reentrant_lock() {
    use osier::sync::{ReentrantLock, ReentrantLockGuard};
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<ReentrantLock<Cell<u8>>>();
    sync::<ReentrantLock<Cell<u8>>>();
    sync::<ReentrantLockGuard<'static, u8>>();
}
