//! The list of all shims, and whether each is the one that the process uses.

use super::{
    Group, close, connect, epoll, file, file_lock, futex, hosts, messages, names, poll, process, read_write,
    select,
};
use super::{asynchronous, fortified, ipc, open, pipe, signals, sync};
use super::{pthread, sendfile, sleep, splice, transfer, yields};
use core::ffi::{CStr, c_void};
use core::fmt;

/// One of libc's functions that is defined here.
#[derive(Clone, Copy)]
pub struct Symbol {
    name: &'static CStr,
    groups: &'static [Group],
    shim: *const c_void,
}

// SAFETY: the pointer is the address of a function.
unsafe impl Send for Symbol {}
// SAFETY: as above.
unsafe impl Sync for Symbol {}

/// Every shim; the one list of them.
pub(super) static TABLE: &[Symbol] = &[
    Symbol::new(c"nanosleep", &[Group::Sleep], sleep::nanosleep as *const c_void),
    Symbol::new(c"clock_nanosleep", &[Group::Sleep], sleep::clock_nanosleep as *const c_void),
    Symbol::new(c"usleep", &[Group::Sleep], sleep::usleep as *const c_void),
    Symbol::new(c"sleep", &[Group::Sleep], sleep::sleep as *const c_void),
    Symbol::new(c"sched_yield", &[Group::Sleep], yields::sched_yield as *const c_void),
    Symbol::new(c"recv", &[Group::Net], transfer::recv as *const c_void),
    Symbol::new(c"recvfrom", &[Group::Net], transfer::recvfrom as *const c_void),
    Symbol::new(c"recvmsg", &[Group::Net], transfer::recvmsg as *const c_void),
    Symbol::new(c"send", &[Group::Net], transfer::send as *const c_void),
    Symbol::new(c"sendto", &[Group::Net], transfer::sendto as *const c_void),
    Symbol::new(c"sendmsg", &[Group::Net], transfer::sendmsg as *const c_void),
    Symbol::new(c"read", &[Group::Net, Group::Pipe, Group::File], read_write::read as *const c_void),
    Symbol::new(c"readv", &[Group::Net, Group::Pipe, Group::File], read_write::readv as *const c_void),
    Symbol::new(c"write", &[Group::Net, Group::Pipe, Group::File], read_write::write as *const c_void),
    Symbol::new(c"writev", &[Group::Net, Group::Pipe, Group::File], read_write::writev as *const c_void),
    Symbol::new(c"sendfile", &[Group::Net], sendfile::sendfile as *const c_void),
    Symbol::new(c"sendfile64", &[Group::Net], sendfile::sendfile64 as *const c_void),
    Symbol::new(c"accept", &[Group::Net], connect::accept as *const c_void),
    Symbol::new(c"accept4", &[Group::Net], connect::accept4 as *const c_void),
    Symbol::new(c"connect", &[Group::Net], connect::connect as *const c_void),
    Symbol::new(c"close", &[Group::Net, Group::Poll, Group::Pipe], close::close as *const c_void),
    Symbol::new(c"poll", &[Group::Poll], poll::poll as *const c_void),
    Symbol::new(c"ppoll", &[Group::Poll], poll::ppoll as *const c_void),
    Symbol::new(c"syscall", &[Group::Futex], futex::syscall as *const c_void),
    Symbol::new(c"pthread_mutex_lock", &[Group::Futex], pthread::pthread_mutex_lock as *const c_void),
    Symbol::new(c"pthread_mutex_trylock", &[Group::Futex], pthread::pthread_mutex_trylock as *const c_void),
    Symbol::new(
        c"pthread_mutex_timedlock",
        &[Group::Futex],
        pthread::pthread_mutex_timedlock as *const c_void,
    ),
    Symbol::new(
        c"pthread_mutex_clocklock",
        &[Group::Futex],
        pthread::pthread_mutex_clocklock as *const c_void,
    ),
    Symbol::new(c"pthread_mutex_unlock", &[Group::Futex], pthread::pthread_mutex_unlock as *const c_void),
    Symbol::new(c"pthread_cond_wait", &[Group::Futex], pthread::pthread_cond_wait as *const c_void),
    Symbol::new(c"pthread_cond_timedwait", &[Group::Futex], pthread::pthread_cond_timedwait as *const c_void),
    Symbol::new(c"pthread_cond_clockwait", &[Group::Futex], pthread::pthread_cond_clockwait as *const c_void),
    Symbol::new(c"pthread_cond_signal", &[Group::Futex], pthread::pthread_cond_signal as *const c_void),
    Symbol::new(c"pthread_cond_broadcast", &[Group::Futex], pthread::pthread_cond_broadcast as *const c_void),
    Symbol::new(c"sem_wait", &[Group::Futex], pthread::sem_wait as *const c_void),
    Symbol::new(c"sem_timedwait", &[Group::Futex], pthread::sem_timedwait as *const c_void),
    Symbol::new(c"sem_clockwait", &[Group::Futex], pthread::sem_clockwait as *const c_void),
    Symbol::new(c"sem_post", &[Group::Futex], pthread::sem_post as *const c_void),
    Symbol::new(c"pthread_rwlock_rdlock", &[Group::Futex], pthread::pthread_rwlock_rdlock as *const c_void),
    Symbol::new(
        c"pthread_rwlock_timedrdlock",
        &[Group::Futex],
        pthread::pthread_rwlock_timedrdlock as *const c_void,
    ),
    Symbol::new(
        c"pthread_rwlock_clockrdlock",
        &[Group::Futex],
        pthread::pthread_rwlock_clockrdlock as *const c_void,
    ),
    Symbol::new(c"pthread_rwlock_wrlock", &[Group::Futex], pthread::pthread_rwlock_wrlock as *const c_void),
    Symbol::new(
        c"pthread_rwlock_timedwrlock",
        &[Group::Futex],
        pthread::pthread_rwlock_timedwrlock as *const c_void,
    ),
    Symbol::new(
        c"pthread_rwlock_clockwrlock",
        &[Group::Futex],
        pthread::pthread_rwlock_clockwrlock as *const c_void,
    ),
    Symbol::new(c"pthread_rwlock_unlock", &[Group::Futex], pthread::pthread_rwlock_unlock as *const c_void),
    Symbol::new(c"pthread_once", &[Group::Futex], pthread::pthread_once as *const c_void),
    Symbol::new(c"pthread_barrier_wait", &[Group::Futex], pthread::pthread_barrier_wait as *const c_void),
    Symbol::new(c"pthread_join", &[Group::Futex], pthread::pthread_join as *const c_void),
    Symbol::new(c"pthread_timedjoin_np", &[Group::Futex], pthread::pthread_timedjoin_np as *const c_void),
    Symbol::new(c"pthread_clockjoin_np", &[Group::Futex], pthread::pthread_clockjoin_np as *const c_void),
    Symbol::new(c"pthread_spin_lock", &[Group::Futex], pthread::pthread_spin_lock as *const c_void),
    Symbol::new(c"mtx_lock", &[Group::Futex], pthread::mtx_lock as *const c_void),
    Symbol::new(c"mtx_trylock", &[Group::Futex], pthread::mtx_trylock as *const c_void),
    Symbol::new(c"mtx_timedlock", &[Group::Futex], pthread::mtx_timedlock as *const c_void),
    Symbol::new(c"mtx_unlock", &[Group::Futex], pthread::mtx_unlock as *const c_void),
    Symbol::new(c"cnd_wait", &[Group::Futex], pthread::cnd_wait as *const c_void),
    Symbol::new(c"cnd_timedwait", &[Group::Futex], pthread::cnd_timedwait as *const c_void),
    Symbol::new(c"cnd_signal", &[Group::Futex], pthread::cnd_signal as *const c_void),
    Symbol::new(c"cnd_broadcast", &[Group::Futex], pthread::cnd_broadcast as *const c_void),
    Symbol::new(c"call_once", &[Group::Futex], pthread::call_once as *const c_void),
    Symbol::new(c"thrd_join", &[Group::Futex], pthread::thrd_join as *const c_void),
    Symbol::new(c"thrd_sleep", &[Group::Sleep], pthread::thrd_sleep as *const c_void),
    Symbol::new(c"thrd_yield", &[Group::Sleep], yields::thrd_yield as *const c_void),
    Symbol::new(c"getaddrinfo", &[Group::Dns], names::getaddrinfo as *const c_void),
    Symbol::new(c"recvmmsg", &[Group::Net], messages::recvmmsg as *const c_void),
    Symbol::new(c"sendmmsg", &[Group::Net], messages::sendmmsg as *const c_void),
    Symbol::new(c"splice", &[Group::Net, Group::Pipe], splice::splice as *const c_void),
    Symbol::new(c"dup2", &[Group::Net, Group::Poll, Group::Pipe], close::dup2 as *const c_void),
    Symbol::new(c"dup3", &[Group::Net, Group::Poll, Group::Pipe], close::dup3 as *const c_void),
    Symbol::new(c"close_range", &[Group::Net, Group::Poll, Group::Pipe], close::close_range as *const c_void),
    Symbol::new(c"closefrom", &[Group::Net, Group::Poll, Group::Pipe], close::closefrom as *const c_void),
    Symbol::new(c"select", &[Group::Poll], select::select as *const c_void),
    Symbol::new(c"pselect", &[Group::Poll], select::pselect as *const c_void),
    Symbol::new(c"epoll_wait", &[Group::Poll], epoll::epoll_wait as *const c_void),
    Symbol::new(c"epoll_pwait", &[Group::Poll], epoll::epoll_pwait as *const c_void),
    Symbol::new(c"epoll_pwait2", &[Group::Poll], epoll::epoll_pwait2 as *const c_void),
    Symbol::new(c"wait", &[Group::Process], process::wait_any as *const c_void),
    Symbol::new(c"waitpid", &[Group::Process], process::waitpid as *const c_void),
    Symbol::new(c"wait3", &[Group::Process], process::wait3 as *const c_void),
    Symbol::new(c"wait4", &[Group::Process], process::wait4 as *const c_void),
    Symbol::new(c"waitid", &[Group::Process], process::waitid as *const c_void),
    Symbol::new(c"getnameinfo", &[Group::Dns], hosts::getnameinfo as *const c_void),
    Symbol::new(c"gethostbyname", &[Group::Dns], hosts::gethostbyname as *const c_void),
    Symbol::new(c"gethostbyname_r", &[Group::Dns], hosts::gethostbyname_r as *const c_void),
    Symbol::new(c"gethostbyname2", &[Group::Dns], hosts::gethostbyname2 as *const c_void),
    Symbol::new(c"gethostbyname2_r", &[Group::Dns], hosts::gethostbyname2_r as *const c_void),
    Symbol::new(c"gethostbyaddr", &[Group::Dns], hosts::gethostbyaddr as *const c_void),
    Symbol::new(c"gethostbyaddr_r", &[Group::Dns], hosts::gethostbyaddr_r as *const c_void),
    Symbol::new(c"flock", &[Group::FileLock], file_lock::flock as *const c_void),
    Symbol::new(c"fcntl", &[Group::FileLock], file_lock::fcntl as *const c_void),
    Symbol::new(c"fcntl64", &[Group::FileLock], file_lock::fcntl64 as *const c_void),
    Symbol::new(c"lockf", &[Group::FileLock], file_lock::lockf as *const c_void),
    Symbol::new(c"lockf64", &[Group::FileLock], file_lock::lockf64 as *const c_void),
    Symbol::new(c"pread", &[Group::File], file::pread as *const c_void),
    Symbol::new(c"pread64", &[Group::File], file::pread64 as *const c_void),
    Symbol::new(c"pwrite", &[Group::File], file::pwrite as *const c_void),
    Symbol::new(c"pwrite64", &[Group::File], file::pwrite64 as *const c_void),
    Symbol::new(c"preadv", &[Group::File], file::preadv as *const c_void),
    Symbol::new(c"preadv64", &[Group::File], file::preadv64 as *const c_void),
    Symbol::new(c"pwritev", &[Group::File], file::pwritev as *const c_void),
    Symbol::new(c"pwritev64", &[Group::File], file::pwritev64 as *const c_void),
    Symbol::new(c"fsync", &[Group::File], file::fsync as *const c_void),
    Symbol::new(c"fdatasync", &[Group::File], file::fdatasync as *const c_void),
    Symbol::new(c"preadv2", &[Group::Net, Group::Pipe, Group::File], file::preadv2 as *const c_void),
    Symbol::new(c"preadv64v2", &[Group::Net, Group::Pipe, Group::File], file::preadv64v2 as *const c_void),
    Symbol::new(c"pwritev2", &[Group::Net, Group::Pipe, Group::File], file::pwritev2 as *const c_void),
    Symbol::new(c"pwritev64v2", &[Group::Net, Group::Pipe, Group::File], file::pwritev64v2 as *const c_void),
    Symbol::new(c"copy_file_range", &[Group::File], sync::copy_file_range as *const c_void),
    Symbol::new(c"sync", &[Group::File], sync::sync as *const c_void),
    Symbol::new(c"syncfs", &[Group::File], sync::syncfs as *const c_void),
    Symbol::new(c"msync", &[Group::File], sync::msync as *const c_void),
    Symbol::new(c"open", &[Group::Pipe], open::open as *const c_void),
    Symbol::new(c"open64", &[Group::Pipe], open::open64 as *const c_void),
    Symbol::new(c"openat", &[Group::Pipe], open::openat as *const c_void),
    Symbol::new(c"openat64", &[Group::Pipe], open::openat64 as *const c_void),
    Symbol::new(c"creat", &[Group::Pipe], open::creat as *const c_void),
    Symbol::new(c"creat64", &[Group::Pipe], open::creat64 as *const c_void),
    Symbol::new(c"__open_2", &[Group::Pipe], fortified::__open_2 as *const c_void),
    Symbol::new(c"__open64_2", &[Group::Pipe], fortified::__open64_2 as *const c_void),
    Symbol::new(c"__openat_2", &[Group::Pipe], fortified::__openat_2 as *const c_void),
    Symbol::new(c"__openat64_2", &[Group::Pipe], fortified::__openat64_2 as *const c_void),
    Symbol::new(c"tee", &[Group::Pipe], splice::tee as *const c_void),
    Symbol::new(c"vmsplice", &[Group::Pipe], splice::vmsplice as *const c_void),
    Symbol::new(c"tcdrain", &[Group::Pipe], pipe::tcdrain as *const c_void),
    Symbol::new(
        c"__read_chk",
        &[Group::Net, Group::Pipe, Group::File],
        fortified::__read_chk as *const c_void,
    ),
    Symbol::new(c"__recv_chk", &[Group::Net], fortified::__recv_chk as *const c_void),
    Symbol::new(c"__recvfrom_chk", &[Group::Net], fortified::__recvfrom_chk as *const c_void),
    Symbol::new(c"__pread_chk", &[Group::File], fortified::__pread_chk as *const c_void),
    Symbol::new(c"__pread64_chk", &[Group::File], fortified::__pread64_chk as *const c_void),
    Symbol::new(c"__poll_chk", &[Group::Poll], fortified::__poll_chk as *const c_void),
    Symbol::new(c"__ppoll_chk", &[Group::Poll], fortified::__ppoll_chk as *const c_void),
    Symbol::new(c"aio_suspend", &[Group::Poll], asynchronous::aio_suspend as *const c_void),
    Symbol::new(c"aio_suspend64", &[Group::Poll], asynchronous::aio_suspend64 as *const c_void),
    Symbol::new(c"lio_listio", &[Group::Poll], asynchronous::lio_listio as *const c_void),
    Symbol::new(c"lio_listio64", &[Group::Poll], asynchronous::lio_listio64 as *const c_void),
    Symbol::new(c"getaddrinfo_a", &[Group::Dns], asynchronous::getaddrinfo_a as *const c_void),
    Symbol::new(c"gai_suspend", &[Group::Dns], asynchronous::gai_suspend as *const c_void),
    Symbol::new(c"system", &[Group::Process], process::system as *const c_void),
    Symbol::new(c"pclose", &[Group::Process], process::pclose as *const c_void),
    Symbol::new(c"sigwait", &[Group::Signal], signals::sigwait as *const c_void),
    Symbol::new(c"sigwaitinfo", &[Group::Signal], signals::sigwaitinfo as *const c_void),
    Symbol::new(c"sigtimedwait", &[Group::Signal], signals::sigtimedwait as *const c_void),
    Symbol::new(c"sigsuspend", &[Group::Signal], signals::sigsuspend as *const c_void),
    Symbol::new(c"pause", &[Group::Signal], signals::pause as *const c_void),
    Symbol::new(c"msgrcv", &[Group::Ipc], ipc::msgrcv as *const c_void),
    Symbol::new(c"msgsnd", &[Group::Ipc], ipc::msgsnd as *const c_void),
    Symbol::new(c"semop", &[Group::Ipc], ipc::semop as *const c_void),
    Symbol::new(c"semtimedop", &[Group::Ipc], ipc::semtimedop as *const c_void),
    Symbol::new(c"mq_receive", &[Group::Ipc], ipc::mq_receive as *const c_void),
    Symbol::new(c"mq_timedreceive", &[Group::Ipc], ipc::mq_timedreceive as *const c_void),
    Symbol::new(c"mq_send", &[Group::Ipc], ipc::mq_send as *const c_void),
    Symbol::new(c"mq_timedsend", &[Group::Ipc], ipc::mq_timedsend as *const c_void),
];

/// The functions of libc that are defined here.
///
/// ```
/// let strays: Vec<_> = osier::patch::symbols().iter().filter(|symbol| !symbol.is_linked()).collect();
/// assert!(strays.is_empty(), "taken from libc after all: {strays:?}");
/// ```
#[must_use]
pub fn symbols() -> &'static [Symbol] {
    TABLE
}

impl Symbol {
    const fn new(name: &'static CStr, groups: &'static [Group], shim: *const c_void) -> Symbol {
        Symbol { name, groups, shim }
    }

    pub(super) const fn c_name(&self) -> &'static CStr {
        self.name
    }

    /// The bits of its groups.
    pub(super) const fn bits(&self) -> u32 {
        let (mut bits, mut at) = (0, 0);
        while at < self.groups.len() {
            bits |= self.groups[at].bit();
            at += 1;
        }
        bits
    }

    /// Its name in libc.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name.to_str().unwrap_or_default()
    }

    /// The groups with which it is activated: several when it depends on what it is called for, as with `read`.
    #[must_use]
    pub fn groups(&self) -> &'static [Group] {
        self.groups
    }

    /// Whether the dynamic linker gives this shim to those that ask for the function by its name: every shared library does,
    /// and an executable that does not define it.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        // SAFETY: the name is a string that ends with a zero byte.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, self.name.as_ptr()) };
        core::ptr::eq(found, self.shim)
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Symbol").field("name", &self.name()).field("groups", &self.groups).finish()
    }
}
