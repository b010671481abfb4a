//! The report of a stack that is used up: whose it is, how large, and how to get a larger one; then the process aborts.
//!
//! Owns the process's answer to a fault in a guard. Every entry (`run`, `enter`, a greenlet scope) calls [`arm`] before the first
//! switch. Everything that the handler reaches takes no lock and allocates nothing: the list of arenas only grows, and
//! the message goes through a buffer on the alternate stack.
//!
//! A handler that a program installs after us takes our place; then an overflow is that handler's fault to report.

use super::arena;
use crate::sys::fault::{self, AlternateStack};
use core::cell::OnceCell;
use std::sync::{Once, OnceLock};

/// Writes who runs on this OS thread now, as part of a sentence, such as "green thread 'name' (id 7)"; writes nothing when no green
/// thread runs. The first argument is [`super::Stack::limit`] of the stack that is used up: when that is not the green
/// thread's own, a greenlet or generator inside it is meant.
///
/// Called in a signal handler: no lock, no allocation, no panic.
pub(crate) type Describe = fn(usize, &mut dyn FnMut(&[u8]));

static DESCRIBE: OnceLock<Describe> = OnceLock::new();

/// Says how to find out whose stack it is. The first call in a process counts.
pub(crate) fn set_description(describe: Describe) {
    let _ = DESCRIBE.set(describe);
}

thread_local! {
    /// What [`arm`] made for this OS thread; `None` inside when it had an alternate stack already.
    static ALTERNATE: OnceCell<Option<AlternateStack>> = const { OnceCell::new() };
}

/// Makes sure that an overflow on this OS thread is reported. Costs a few system calls the first time on each OS
/// thread, and a thread-local read after that.
#[inline]
pub(crate) fn arm() {
    // An OS thread whose thread-locals are gone does without the report; the guard is there all the same.
    let _ = ALTERNATE.try_with(|alternate| {
        if alternate.get().is_none() {
            arm_slow(alternate);
        }
    });
}

#[cold]
fn arm_slow(alternate: &OnceCell<Option<AlternateStack>>) {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| fault::install(report));
    alternate.get_or_init(AlternateStack::install_if_none);
}

/// Reports and aborts if `address` lies in the guard of a stack.
fn report(address: usize) {
    let Some(stack) = arena::guard_at(address) else { return };
    let mut message = Message { buffer: [0; 256], len: 0 };
    message.push(b"\n");
    let mut described = false;
    if let Some(describe) = DESCRIBE.get() {
        describe(stack.limit, &mut |part| {
            described |= !part.is_empty();
            message.push(part);
        });
    }
    if !described {
        message.push(b"a greenlet or generator");
    }
    message.push(b" has overflowed its stack of ");
    write_number(stack.size, &mut |digits| message.push(digits));
    message.push(b" bytes\nnote: `osier::thread::Builder::stack_size` gives a green thread a larger one, ");
    message.push(b"`with_stack_size` a greenlet or generator\n");
    message.flush();
    fault::abort();
}

/// Writes a number in decimal; for a [`Describe`], which cannot allocate.
pub(crate) fn write_number(number: usize, write: &mut dyn FnMut(&[u8])) {
    if number >= 10 {
        write_number(number / 10, write);
    }
    write(&[b'0' + (number % 10) as u8]);
}

/// Collects a message so that it mostly goes out in one write.
struct Message {
    buffer: [u8; 256],
    len: usize,
}

impl Message {
    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.len == self.buffer.len() {
                self.flush();
            }
            self.buffer[self.len] = byte;
            self.len += 1;
        }
    }

    fn flush(&mut self) {
        fault::write_to_stderr(&self.buffer[..self.len]);
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fiber::Fiber;
    use crate::stack::{self, DEFAULT_SIZE, MIN_SIZE};
    use core::hint::black_box;
    use core::ptr;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Output};

    const CHILD: &str = "OSIER_OVERFLOW_TEST";
    const OURS: &str = "bytes\nnote: `osier::thread::Builder::stack_size`";

    /// Runs `what` of [`child`] in a process of its own.
    fn run(what: &str) -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "stack::overflow::tests::child", "--nocapture"]);
        command.env(CHILD, what).output().unwrap()
    }

    fn stderr(output: &Output) -> String {
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Runs `what`, which must abort with our report; gives the report.
    fn report_of(what: &str) -> String {
        let output = run(what);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{what}: {output:?}");
        let report = stderr(&output);
        assert!(report.contains(OURS), "{what}: {report}");
        report
    }

    /// Runs `what`, which must end by `signal` without our report; gives what it wrote.
    fn ends_by(what: &str, signal: libc::c_int) -> String {
        let output = run(what);
        assert_eq!(output.status.signal(), Some(signal), "{what}: {output:?}");
        let written = stderr(&output);
        assert!(!written.contains(OURS), "{what}: {written}");
        written
    }

    #[expect(unconditional_recursion, reason = "overflows a stack")]
    fn recurse(depth: usize) -> usize {
        let frame = black_box([depth; 32]);
        recurse(depth + 1) + frame[31]
    }

    fn on_fiber(size: usize, body: fn()) {
        arm();
        let mut fiber = Fiber::new(stack::acquire(size).unwrap(), move |_| body());
        fiber.resume();
    }

    fn overflow() {
        black_box(recurse(0));
    }

    fn null_write() {
        let null = black_box(ptr::null_mut::<u8>());
        // SAFETY: no; it is the fault that is tested.
        unsafe { null.write_volatile(1) };
    }

    fn install(handler: usize, flags: libc::c_int) {
        install_with(handler, flags, |_| {});
    }

    fn install_with(handler: usize, flags: libc::c_int, change: impl FnOnce(&mut libc::sigaction)) {
        // SAFETY: zeroes are a valid action.
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        change(&mut action);
        // SAFETY: a valid action.
        assert_eq!(unsafe { libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut()) }, 0);
    }

    fn exit(code: libc::c_int) -> ! {
        // SAFETY: ends the process without running anything of it.
        unsafe { libc::_exit(code) }
    }

    extern "C" fn with_info(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the kernel's own, passed on.
        let address = unsafe { (*info).si_addr() };
        let right = signal == libc::SIGSEGV && address.is_null() && !context.is_null();
        exit(if right { 7 } else { 8 });
    }

    extern "C" fn without_info(signal: libc::c_int) {
        exit(if signal == libc::SIGSEGV { 9 } else { 8 });
    }

    /// Exits with 12 if SIGSEGV is blocked here, with 13 if SIGUSR1 is, and with 14 and 15 if neither and both are.
    extern "C" fn tells_mask(_: libc::c_int) {
        // SAFETY: zeroes are a valid set, and it is valid for a write.
        let mut blocked: libc::sigset_t = unsafe { core::mem::zeroed() };
        // SAFETY: as said.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut blocked) };
        // SAFETY: a valid set.
        let is_blocked = |signal| unsafe { libc::sigismember(&blocked, signal) } == 1;
        exit(match (is_blocked(libc::SIGSEGV), is_blocked(libc::SIGUSR1)) {
            (true, false) => 12,
            (false, true) => 13,
            (false, false) => 14,
            (true, true) => 15,
        });
    }

    extern "C" fn returns(_: libc::c_int) {
        fault::write_to_stderr(b"once\n");
    }

    /// Runs `body` on an OS thread that std has not made.
    fn on_bare_os_thread(body: fn()) {
        extern "C" fn start(body: *mut libc::c_void) -> *mut libc::c_void {
            // SAFETY: it is the `fn()` passed below.
            let body = unsafe { core::mem::transmute::<*mut libc::c_void, fn()>(body) };
            body();
            ptr::null_mut()
        }
        let mut thread = 0;
        // SAFETY: `start` takes what is passed.
        let result =
            unsafe { libc::pthread_create(&mut thread, ptr::null(), start, body as *mut libc::c_void) };
        assert_eq!(result, 0);
        // SAFETY: joined once.
        assert_eq!(unsafe { libc::pthread_join(thread, ptr::null_mut()) }, 0);
    }

    fn describe(limit: usize, write: &mut dyn FnMut(&[u8])) {
        assert!(arena::guard_at(limit).is_some_and(|stack| stack.limit == limit));
        write(b"green thread '");
        (0..100).for_each(|_| write(b"long "));
        write(b"' (id 7)");
    }

    /// Not a test by itself: what the tests below run in a process of their own.
    #[test]
    fn child() {
        let Ok(what) = std::env::var(CHILD) else { return };
        let raise = |signal| {
            arm();
            // SAFETY: raises a signal.
            unsafe { libc::raise(signal) };
        };
        match &*what {
            "overflow" => on_fiber(DEFAULT_SIZE, overflow),
            "small overflow" => on_fiber(MIN_SIZE, overflow),
            "described overflow" => {
                set_description(describe);
                on_fiber(DEFAULT_SIZE, overflow);
            }
            "overflow inside" => on_fiber(DEFAULT_SIZE, || on_fiber(MIN_SIZE, overflow)),
            "overflow on a bare OS thread" => on_bare_os_thread(|| on_fiber(DEFAULT_SIZE, overflow)),
            "overflow over a handler" => {
                install(with_info as extern "C" fn(_, _, _) as usize, libc::SA_SIGINFO | libc::SA_ONSTACK);
                on_fiber(DEFAULT_SIZE, overflow);
            }
            "null on a fiber" => on_fiber(DEFAULT_SIZE, null_write),
            "null off a fiber" => {
                arm();
                null_write();
            }
            "null, default" => {
                install(libc::SIG_DFL, 0);
                on_fiber(DEFAULT_SIZE, null_write);
            }
            "null, ignored" => {
                install(libc::SIG_IGN, 0);
                on_fiber(DEFAULT_SIZE, null_write);
            }
            "null, with info" => {
                install(with_info as extern "C" fn(_, _, _) as usize, libc::SA_SIGINFO);
                on_fiber(DEFAULT_SIZE, null_write);
            }
            "null, without info" => {
                install(without_info as extern "C" fn(_) as usize, 0);
                on_fiber(DEFAULT_SIZE, null_write);
            }
            "null, blocking itself" => {
                install(tells_mask as extern "C" fn(_) as usize, 0);
                on_fiber(DEFAULT_SIZE, null_write);
            }
            "null, blocking another" => {
                install_with(tells_mask as extern "C" fn(_) as usize, libc::SA_NODEFER, |action| {
                    // SAFETY: a valid set.
                    unsafe { libc::sigaddset(&mut action.sa_mask, libc::SIGUSR1) };
                });
                on_fiber(DEFAULT_SIZE, null_write);
            }
            "null, one shot" => {
                install(returns as extern "C" fn(_) as usize, libc::SA_RESETHAND);
                on_fiber(DEFAULT_SIZE, null_write);
            }
            "std's own" => std::thread::Builder::new()
                .name("deep".into())
                .spawn(|| {
                    arm();
                    overflow();
                })
                .unwrap()
                .join()
                .unwrap(),
            "sent, default" => {
                install(libc::SIG_DFL, 0);
                raise(libc::SIGSEGV);
            }
            "sent SIGBUS, std's" => {
                // std's handler steps aside at the first signal that is no overflow, and returns.
                raise(libc::SIGBUS);
                raise(libc::SIGBUS);
            }
            "sent, ignored" => {
                install(libc::SIG_IGN, 0);
                raise(libc::SIGSEGV);
                exit(10);
            }
            "bare OS threads" => {
                let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
                on_bare_os_thread(arm);
                let before = mappings();
                (0..20).for_each(|_| on_bare_os_thread(arm));
                assert!(mappings() < before + 20, "{before} mappings became {}", mappings());
                exit(11);
            }
            other => panic!("{other}"),
        }
        exit(1);
    }

    #[test]
    fn an_overflow_is_reported() {
        let report = report_of("overflow");
        assert!(
            report.contains("\na greenlet or generator has overflowed its stack of 262144 bytes\n"),
            "{report}"
        );
        report_of("overflow on a bare OS thread");
        report_of("overflow over a handler");
        let report = report_of("small overflow");
        assert!(report.contains("of 16384 bytes"), "{report}");
        let report = report_of("overflow inside");
        assert!(report.contains("of 16384 bytes"), "{report}");
    }

    #[test]
    fn the_report_has_the_description() {
        let report = report_of("described overflow");
        let name = "long ".repeat(100);
        let line = format!("\ngreen thread '{name}' (id 7) has overflowed its stack of 262144 bytes\n");
        assert!(report.contains(&line), "{report}");
    }

    #[test]
    fn a_fault_elsewhere_ends_the_process_as_without_us() {
        for what in ["null on a fiber", "null off a fiber", "null, default", "null, ignored", "sent, default"]
        {
            ends_by(what, libc::SIGSEGV);
        }
        ends_by("sent SIGBUS, std's", libc::SIGBUS);
    }

    #[test]
    fn a_fault_elsewhere_goes_to_the_handler_that_was_there() {
        for (what, code) in [
            ("null, with info", 7),
            ("null, without info", 9),
            ("null, blocking itself", 12),
            ("null, blocking another", 13),
            ("sent, ignored", 10),
        ] {
            let output = run(what);
            assert_eq!(output.status.code(), Some(code), "{what}: {output:?}");
        }
        let written = ends_by("null, one shot", libc::SIGSEGV);
        assert_eq!(written.matches("once\n").count(), 1, "{written}");
    }

    #[test]
    fn an_os_thread_that_overflows_gets_stds_report() {
        let written = ends_by("std's own", libc::SIGABRT);
        assert!(
            written.contains("thread 'deep'") && written.contains("has overflowed its stack"),
            "{written}"
        );
    }

    #[test]
    fn the_alternate_stack_ends_with_its_os_thread() {
        let output = run("bare OS threads");
        assert_eq!(output.status.code(), Some(11), "{output:?}");
    }
}
