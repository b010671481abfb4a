//! `sigwait` and its kin on green threads: a signal that all OS threads block is taken once it is pending.

mod patching;

use libc::{SIGUSR1, SIGUSR2, c_int, siginfo_t, sigset_t, timespec};
use patching::{answer, killed_in, neighbour_goes_on, timed_out_in, watchdog};
use std::mem::zeroed;
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
    });
}
