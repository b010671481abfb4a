//! Memory faults: a handler in front of the one that was there, the alternate stack it runs on, and what it may call.

use super::memory::{self, PAGE};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// The signals of memory faults. A guard gives SIGSEGV on Linux; SIGBUS is taken as well, as std does.
const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Bytes for our handler's own frames, besides what the kernel saves on the alternate stack.
const HANDLER_BYTES: usize = 16 * 1024;

/// What looks at a fault's address first; it returns if the fault is none of its business. Null before [`install`].
static CLAIM: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// What was installed before us for each of `SIGNALS`; null when we are not installed for it.
static PREVIOUS: [AtomicPtr<libc::sigaction>; 2] = [const { AtomicPtr::new(ptr::null_mut()) }; 2];

/// Has `claim` called with the address of each memory fault, on the alternate stack if there is one. When it returns, the fault goes
/// to whoever handled it before us. `claim` must be fit for a signal handler: no lock, no allocation, no unwinding.
///
/// To be called once in a process. A handler that somebody installs later takes our place, as handlers do.
pub(crate) fn install(claim: fn(usize)) {
    CLAIM.store(claim as *mut (), Ordering::Release); // pairs with the load in `on_fault`
    for (&signal, previous) in SIGNALS.iter().zip(&PREVIOUS) {
        let mut old = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: `old` is valid for a write; no new action is given.
        if unsafe { libc::sigaction(signal, ptr::null(), old.as_mut_ptr()) } != 0 {
            continue;
        }
        // SAFETY: written by the call above (and zeroes are a valid value).
        let old = unsafe { old.assume_init() };
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_fault;
        let mut new = old;
        new.sa_sigaction = handler as usize;
        // What the former handler was to find blocked, it will.
        new.sa_flags =
            (old.sa_flags & (libc::SA_NODEFER | libc::SA_RESTART)) | libc::SA_SIGINFO | libc::SA_ONSTACK;
        // Known before it is needed: another OS thread may fault at once. Release: pairs with the load in `pass_on`.
        previous.store(Box::into_raw(Box::new(old)), Ordering::Release);
        // SAFETY: `new` is a valid action whose handler has the signature that SA_SIGINFO asks for.
        unsafe { libc::sigaction(signal, &new, ptr::null_mut()) };
    }
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid `info` with SA_SIGINFO.
    let code = unsafe { (*info).si_code };
    // Zero and below is a signal that a process sent, which has no address.
    if code > 0 {
        let claim = CLAIM.load(Ordering::Acquire); // pairs with the store in `install`
        // SAFETY: `install` has stored a `fn(usize)` before it installed this handler.
        let claim = unsafe { core::mem::transmute::<*mut (), fn(usize)>(claim) };
        // SAFETY: the kernel sets the address of a fault.
        claim(unsafe { (*info).si_addr() } as usize);
    }
    pass_on(signal, code, info, context);
}

/// Does with the signal what would have been done without us.
fn pass_on(signal: libc::c_int, code: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(previous) = SIGNALS.iter().position(|&known| known == signal).map(|index| &PREVIOUS[index])
    else {
        return;
    };
    // Acquire: pairs with the store in `install`, which came before the handler.
    // SAFETY: `install` stores a leaked box, never changed, before it installs the handler.
    let previous = unsafe { &*previous.load(Ordering::Acquire) };
    let sent = code <= 0;
    match previous.sa_sigaction {
        libc::SIG_IGN if sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // A fault comes again when we return, and the kernel then ends the process, ignored or not; a sent signal has to be sent again.
            // SAFETY: an action that was in force before.
            unsafe { libc::sigaction(signal, previous, ptr::null_mut()) };
            if sent {
                // SAFETY: raising a signal that is at its default asks nothing of memory.
                unsafe { libc::raise(signal) };
            }
        }
        handler => {
            if previous.sa_flags & libc::SA_RESETHAND != 0 {
                // SAFETY: zeroes are a valid action.
                let mut default: libc::sigaction = unsafe { core::mem::zeroed() };
                default.sa_sigaction = libc::SIG_DFL;
                // SAFETY: a valid action.
                unsafe { libc::sigaction(signal, &default, ptr::null_mut()) };
            }
            if previous.sa_flags & libc::SA_SIGINFO != 0 {
                type WithInfo = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
                // SAFETY: whoever installed it with SA_SIGINFO gave a function of this signature.
                let handler = unsafe { core::mem::transmute::<usize, WithInfo>(handler) };
                handler(signal, info, context);
            } else {
                // SAFETY: whoever installed it without SA_SIGINFO gave a function of this signature.
                let handler = unsafe { core::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler) };
                handler(signal);
            }
        }
    }
}

/// An alternate signal stack of our own, for the OS thread that made it. Dropping it, on that OS thread, removes it.
#[derive(Debug)]
pub(crate) struct AlternateStack {
    /// The guard's address; the stack lies above.
    mapping: usize,
    /// Bytes, with the guard.
    bytes: usize,
}

impl AlternateStack {
    /// Gives this OS thread an alternate signal stack, unless it has one (std's OS threads do) or the machine gives no memory for one.
    pub(crate) fn install_if_none() -> Option<AlternateStack> {
        let mut old = MaybeUninit::<libc::stack_t>::zeroed();
        // SAFETY: `old` is valid for a write; no new stack is given.
        unsafe { libc::sigaltstack(ptr::null(), old.as_mut_ptr()) };
        // SAFETY: zeroes are a valid value, and the call wrote a valid one.
        let old = unsafe { old.assume_init() };
        if old.ss_flags & libc::SS_DISABLE == 0 {
            return None;
        }
        // SAFETY: asks for a number; 0 when the kernel does not tell.
        let least = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
        let size = (least.max(libc::MINSIGSTKSZ) + HANDLER_BYTES).next_multiple_of(PAGE);
        let bytes = PAGE + size;
        let mapping = memory::reserve(bytes).ok()?;
        // From here on a drop unmaps it.
        let stack = AlternateStack { mapping, bytes };
        // SAFETY: the lowest page of a mapping that nobody uses yet.
        unsafe { memory::guard_by_protection(mapping, PAGE) }.ok()?;
        let new = libc::stack_t { ss_sp: (mapping + PAGE) as *mut libc::c_void, ss_flags: 0, ss_size: size };
        // SAFETY: the memory stays until the drop, which takes it away from the kernel first.
        (unsafe { libc::sigaltstack(&new, ptr::null_mut()) } == 0).then_some(stack)
    }
}

impl Drop for AlternateStack {
    fn drop(&mut self) {
        let mut old = MaybeUninit::<libc::stack_t>::zeroed();
        // SAFETY: `old` is valid for a write; no new stack is given.
        unsafe { libc::sigaltstack(ptr::null(), old.as_mut_ptr()) };
        // SAFETY: zeroes are a valid value, and the call wrote a valid one.
        if unsafe { old.assume_init() }.ss_sp as usize == self.mapping + PAGE {
            let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            // SAFETY: takes the stack away; we do not run on it, since a signal handler drops nothing.
            unsafe { libc::sigaltstack(&none, ptr::null_mut()) };
        }
        // SAFETY: our own mapping, which the kernel uses no more.
        unsafe { memory::release(self.mapping, self.bytes) };
    }
}

/// Writes to descriptor 2 as much as it takes. Fit for a signal handler.
pub(crate) fn write_to_stderr(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the bytes are valid for a read.
        match unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) } {
            written if written > 0 => bytes = &bytes[written as usize..],
            _ => return,
        }
    }
}

/// Ends the process by SIGABRT. Fit for a signal handler.
pub(crate) fn abort() -> ! {
    // SAFETY: needs nothing.
    unsafe { libc::abort() }
}
