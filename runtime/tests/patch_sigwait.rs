//! `sigwait` and its kin on green threads: a signal that all OS threads block is taken once it is pending. `sigsuspend` and `pause`: its handler
//! runs in the call that lets it in.

mod patching;

use libc::{SIGUSR1, SIGUSR2, c_int, siginfo_t, sigset_t, timespec};
use patching::{answer, killed_in, neighbour_goes_on, timed_out_in, watchdog};
use std::mem::zeroed;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn set(signals: &[c_int]) -> sigset_t {
    // SAFETY: all zero is a set.
    let mut set: sigset_t = unsafe { zeroed() };
    // SAFETY: the set is valid.
    signals.iter().for_each(|signal| assert_eq!(unsafe { libc::sigaddset(&mut set, *signal) }, 0));
    set
}

/// To this OS thread, where it is blocked.
fn send(signal: c_int) {
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::pthread_kill(libc::pthread_self(), signal) }, 0);
}

fn sigwait(signals: &[c_int]) -> Result<c_int, i32> {
    let mut signal = 0;
    // SAFETY: both are valid.
    match unsafe { libc::sigwait(&set(signals), &mut signal) } {
        0 => Ok(signal),
        code => Err(code),
    }
}

/// The signal, and who has sent it.
fn sigtimedwait(signals: &[c_int], limit: Option<Duration>) -> Result<(usize, u32), i32> {
    // SAFETY: all zero is valid.
    let mut info: siginfo_t = unsafe { zeroed() };
    let set = set(signals);
    let result = match limit {
        // SAFETY: both are valid.
        None => unsafe { libc::sigwaitinfo(&set, &mut info) },
        Some(limit) => {
            let limit = timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
            // SAFETY: all are valid.
            unsafe { libc::sigtimedwait(&set, &mut info, &limit) }
        }
    };
    // SAFETY: filled in for a signal that was sent.
    answer(result as isize).map(|signal| (signal, unsafe { info.si_pid() }.cast_unsigned()))
}

/// How often the handler of each of two signals has run.
static HANDLED: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

extern "C" fn handle(signal: c_int) {
    HANDLED[usize::from(signal == SIGUSR2)].fetch_add(1, Ordering::SeqCst);
}

fn handled() -> [usize; 2] {
    HANDLED.each_ref().map(|count| count.swap(0, Ordering::SeqCst))
}

fn set_handler(signal: c_int, handler: libc::sighandler_t) {
    // SAFETY: the handlers of this test count.
    assert_ne!(unsafe { libc::signal(signal, handler) }, libc::SIG_ERR);
}

/// Lets in all signals but these.
fn sigsuspend(mask: &[c_int]) -> Result<usize, i32> {
    // SAFETY: the set is valid.
    answer(unsafe { libc::sigsuspend(&set(mask)) } as isize)
}

fn pause() -> Result<usize, i32> {
    // SAFETY: no pointers.
    answer(unsafe { libc::pause() } as isize)
}

/// With both signals blocked.
fn handlers_run_in_the_calls_that_let_them_in() {
    let handler: extern "C" fn(c_int) = handle;
    [SIGUSR1, SIGUSR2].into_iter().for_each(|signal| set_handler(signal, handler as libc::sighandler_t));
    let suspended = neighbour_goes_on("sigsuspend", || sigsuspend(&[]), || send(SIGUSR1));
    assert_eq!((suspended, handled()), (Err(libc::EINTR), [1, 0]));
    send(SIGUSR1);
    assert_eq!(handled(), [0, 0], "it is not blocked any more");
    assert_eq!((sigsuspend(&[]), handled()), (Err(libc::EINTR), [1, 0]), "it is pending");

    // Each of two lets its own in.
    let other = osier::spawn(|| sigsuspend(&[SIGUSR1]));
    let suspended = neighbour_goes_on("sigsuspend", || sigsuspend(&[SIGUSR2]), || send(SIGUSR1));
    assert_eq!((suspended, handled()), (Err(libc::EINTR), [1, 0]));
    assert!(!other.is_finished());
    send(SIGUSR2);
    assert_eq!((other.join().unwrap(), handled()), (Err(libc::EINTR), [0, 1]));

    // One that is ignored ends nothing.
    set_handler(SIGUSR2, libc::SIG_IGN);
    let other = osier::spawn(|| sigsuspend(&[]));
    osier::yield_now();
    send(SIGUSR2);
    (0..5).for_each(|_| osier::sleep(Duration::from_millis(1)));
    assert!(!other.is_finished());
    send(SIGUSR1);
    assert_eq!((other.join().unwrap(), handled()), (Err(libc::EINTR), [1, 0]));

    assert_eq!(killed_in("sigsuspend", || sigsuspend(&[])), Err(libc::ECANCELED));
    assert_eq!(timed_out_in("sigsuspend", || sigsuspend(&[])), Err(libc::ETIMEDOUT));
    // Nothing but a handler ends it, and there is none that is not blocked.
    assert_eq!(killed_in("pause", pause), Err(libc::ECANCELED));
    assert_eq!(timed_out_in("pause", pause), Err(libc::ETIMEDOUT));
    let blocking = osier::patch::report().blocking;
    assert!(blocking.iter().all(|(_, count)| *count == 0), "{blocking:?}");
}

#[test]
fn a_pending_signal_is_waited_for_while_others_run() {
    watchdog();
    osier::patch::group(osier::patch::Group::Signal);
    let both = set(&[SIGUSR1, SIGUSR2]);
    // SAFETY: the set is valid.
    assert_eq!(unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &both, std::ptr::null_mut()) }, 0);
    osier::run(|| {
        let waits = || sigwait(&[SIGUSR1, SIGUSR2]);
        assert_eq!(neighbour_goes_on("sigwait", waits, || send(SIGUSR2)), Ok(SIGUSR2));
        send(SIGUSR1);
        assert_eq!(sigwait(&[SIGUSR1]), Ok(SIGUSR1), "it is pending");
        let own = std::process::id();
        let waits = || sigtimedwait(&[SIGUSR1], None);
        let taken = neighbour_goes_on("sigwaitinfo", waits, || send(SIGUSR1));
        assert_eq!(taken, Ok((SIGUSR1 as usize, own)));
        let waits = || sigtimedwait(&[SIGUSR1], Some(Duration::from_secs(60)));
        let taken = neighbour_goes_on("sigtimedwait", waits, || send(SIGUSR1));
        assert_eq!(taken, Ok((SIGUSR1 as usize, own)));

        // Each of two takes its own.
        let other = osier::spawn(|| sigwait(&[SIGUSR2]));
        let taken = neighbour_goes_on("sigwait", || sigwait(&[SIGUSR1]), || send(SIGUSR1));
        assert_eq!(taken, Ok(SIGUSR1));
        send(SIGUSR2);
        assert_eq!(other.join().unwrap(), Ok(SIGUSR2));

        let (start, neighbour) = (Instant::now(), osier::spawn(|| ()));
        assert_eq!(sigtimedwait(&[SIGUSR1], Some(Duration::from_millis(5))), Err(libc::EAGAIN));
        assert!(start.elapsed() >= Duration::from_millis(5) && neighbour.is_finished());
        neighbour.join().unwrap();
        assert_eq!(sigtimedwait(&[SIGUSR1], Some(Duration::ZERO)), Err(libc::EAGAIN));
        assert_eq!(killed_in("sigwait", || sigwait(&[SIGUSR1])), Err(libc::ECANCELED));
        assert_eq!(timed_out_in("sigwaitinfo", || sigtimedwait(&[SIGUSR1], None)), Err(libc::ETIMEDOUT));
        handlers_run_in_the_calls_that_let_them_in();
    });
}
