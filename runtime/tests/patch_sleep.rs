//! libc's sleeps on green threads: each parks, refuses what libc refuses, and ends early when cancelled.

mod patching;

use libc::timespec;
use osier::time::FakeClock;
use patching::{killed_in, neighbour_goes_on, timed_out_in, watchdog};
use std::ptr;
use std::time::{Duration, Instant};

fn time(seconds: i64, nanos: i64) -> timespec {
    timespec { tv_sec: seconds, tv_nsec: nanos }
}

fn nanosleep(time: timespec) -> i32 {
    // SAFETY: the time is valid.
    unsafe { libc::nanosleep(&time, ptr::null_mut()) }
}

fn clock_nanosleep(clock: i32, flags: i32, time: timespec) -> i32 {
    // SAFETY: the time is valid.
    unsafe { libc::clock_nanosleep(clock, flags, &time, ptr::null_mut()) }
}

fn sleep(seconds: u32) -> u32 {
    // SAFETY: no pointers.
    unsafe { libc::sleep(seconds) }
}

fn usleep(micros: u32) -> i32 {
    // SAFETY: no pointers.
    unsafe { libc::usleep(micros) }
}

fn in_an_hour(clock: i32) -> timespec {
    let mut now = time(0, 0);
    // SAFETY: `now` is valid for a write.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut now) }, 0);
    time(now.tv_sec + 3600, now.tv_nsec)
}

/// Under a clock that jumps, an hour's sleep of each kind takes no time: so each goes through the runtime.
fn each_sleep_is_the_runtimes() {
    let clock = FakeClock::new();
    let runtime = osier::Builder::new().clock(clock.clone()).build().unwrap();
    let hour = Duration::from_secs(3600);
    type Sleep = (&'static str, fn() -> i32);
    let sleeps: [Sleep; 8] = [
        ("std::thread::sleep", || {
            std::thread::sleep(Duration::from_secs(3600));
            0
        }),
        ("sleep", || sleep(3600) as i32),
        ("usleep", || usleep(3_600_000_000)),
        ("nanosleep", || nanosleep(time(3600, 0))),
        ("clock_nanosleep", || clock_nanosleep(libc::CLOCK_MONOTONIC, 0, time(3600, 0))),
        ("clock_nanosleep, CLOCK_REALTIME", || clock_nanosleep(libc::CLOCK_REALTIME, 0, time(3600, 0))),
        ("clock_nanosleep until", || {
            clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, in_an_hour(libc::CLOCK_MONOTONIC))
        }),
        ("clock_nanosleep until, CLOCK_REALTIME", || {
            clock_nanosleep(libc::CLOCK_REALTIME, libc::TIMER_ABSTIME, in_an_hour(libc::CLOCK_REALTIME))
        }),
    ];
    for (name, sleep) in sleeps {
        runtime.run(|| {
            let start = osier::time::Instant::now();
            let threads: Vec<_> = (0..3).map(|_| osier::spawn(sleep)).collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), 0, "{name}");
            }
            let slept = start.elapsed();
            // Sleeps until an instant begin a little later than it was computed.
            assert!(slept <= hour && slept > hour - Duration::from_secs(60), "{name}: {slept:?}");
        });
    }
}

fn what_libc_refuses_is_refused() {
    for bad in [time(0, -1), time(0, 1_000_000_000), time(-1, 0)] {
        assert_eq!(nanosleep(bad), -1);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(clock_nanosleep(libc::CLOCK_MONOTONIC, 0, bad), libc::EINVAL);
    }
    assert_eq!(clock_nanosleep(libc::CLOCK_MONOTONIC_RAW, 0, time(0, 1)), libc::ENOTSUP);
    assert_eq!(clock_nanosleep(77, 0, time(0, 1)), libc::EINVAL);
    // A time that has passed.
    assert_eq!(clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, time(0, 0)), 0);
    assert_eq!(sleep(0), 0);
    assert_eq!(usleep(0), 0);
}

#[test]
fn sleeps() {
    osier::patch::group(osier::patch::Group::Sleep);
    assert!(osier::patch::is_active(osier::patch::Group::Sleep));
    assert!(!osier::patch::is_active(osier::patch::Group::Net));
    watchdog();
    each_sleep_is_the_runtimes();
    osier::run(|| {
        let start = Instant::now();
        std::thread::sleep(Duration::from_millis(5));
        assert!(start.elapsed() >= Duration::from_millis(5), "not less than was asked for");
    });
    // A clock that stands still as long as anybody can run: no sleep ends before its neighbours are idle.
    let runtime = osier::Builder::new().clock(FakeClock::new()).build().unwrap();
    runtime.run(|| {
        what_libc_refuses_is_refused();
        let nap = || std::thread::sleep(Duration::from_secs(3600));
        neighbour_goes_on("std::thread::sleep", nap, || {});

        // Killed and timed out sleeps end at once and say nothing.
        let hour = time(3600, 0);
        assert_eq!(killed_in("nanosleep", move || nanosleep(hour)), 0);
        assert_eq!(killed_in("clock_nanosleep", move || clock_nanosleep(libc::CLOCK_MONOTONIC, 0, hour)), 0);
        let until = in_an_hour(libc::CLOCK_REALTIME);
        let sleep_until = move || clock_nanosleep(libc::CLOCK_REALTIME, libc::TIMER_ABSTIME, until);
        assert_eq!(killed_in("clock_nanosleep until", sleep_until), 0);
        assert_eq!(killed_in("usleep", || usleep(3_600_000_000)), 0);
        assert_eq!(killed_in("sleep", || sleep(3600)), 0);
        killed_in("std::thread::sleep", || std::thread::sleep(Duration::from_secs(3600)));
        timed_out_in("std::thread::sleep", || std::thread::sleep(Duration::from_secs(3600)));

        // A loop of sleeps that are over at once lets the killer's joiner and the others run.
        let stubborn = osier::spawn(|| {
            for _ in 0..1000 {
                std::thread::sleep(Duration::from_secs(3600));
            }
        });
        osier::yield_now();
        stubborn.kill();
        for _ in 0..100 {
            osier::yield_now();
            assert!(!stubborn.is_finished(), "each of its sleeps lets others run");
        }
        stubborn.join().unwrap();

        // errno is left alone.
        // SAFETY: this OS thread's own variable.
        unsafe { *libc::__errno_location() = libc::EXDEV };
        assert_eq!(nanosleep(time(0, 1000)), 0);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EXDEV));
    });
    // Elsewhere a sleep is a sleep.
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(5));
    assert!(start.elapsed() >= Duration::from_millis(5));
    assert_eq!(usleep(1000), 0);
    let runtime = osier::Builder::new().clock(FakeClock::new()).build().unwrap();
    runtime.enter(|_| {
        let start = Instant::now();
        std::thread::sleep(Duration::from_millis(5));
        assert!(start.elapsed() >= Duration::from_millis(5), "beside the green threads too");
    });
}
