//! `std::thread::park` on green threads: one at a time of an OS thread waits without blocking it; two are reported.

mod common;

use common::{in_child, text};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const MILLI: Duration = Duration::from_millis(1);

fn watchdog() {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(300));
        std::process::exit(101);
    });
}

#[test]
fn one_at_a_time_parks_and_others_run() {
    osier::patch::all();
    watchdog();
    for _ in 0..3 {
        osier::run(|| {
            by_a_green_thread();
            by_an_os_thread_while_the_worker_sleeps();
            by_an_os_thread_while_others_run();
            a_token_is_kept();
            a_park_with_a_timeout();
            channel_and_scope();
            one_after_the_other();
        });
    }
    under_a_foreign_loop();
    a_foreign_loop_takes_the_token();
}

/// Parks until `flag` is set.
fn park_until(flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        std::thread::park();
    }
}

fn by_a_green_thread() {
    let flag = Arc::new(AtomicBool::new(false));
    let theirs = flag.clone();
    let parked = osier::spawn(move || park_until(&theirs));
    for _ in 0..5 {
        osier::yield_now();
        assert!(!parked.is_finished());
    }
    flag.store(true, Ordering::Release);
    // Green threads share the handle of their OS thread.
    std::thread::current().unpark();
    parked.join().unwrap();
}

fn by_an_os_thread_while_the_worker_sleeps() {
    let flag = Arc::new(AtomicBool::new(false));
    let (theirs, me) = (flag.clone(), std::thread::current());
    let waker = std::thread::spawn(move || {
        std::thread::sleep(20 * MILLI);
        theirs.store(true, Ordering::Release);
        me.unpark();
    });
    park_until(&flag);
    waker.join().unwrap();
}

fn by_an_os_thread_while_others_run() {
    let flag = Arc::new(AtomicBool::new(false));
    let theirs = flag.clone();
    let parked = osier::spawn(move || park_until(&theirs));
    let (theirs, me) = (flag.clone(), std::thread::current());
    let waker = std::thread::spawn(move || {
        std::thread::sleep(5 * MILLI);
        theirs.store(true, Ordering::Release);
        me.unpark();
    });
    while !parked.is_finished() {
        osier::yield_now();
    }
    parked.join().unwrap();
    waker.join().unwrap();
}

fn a_token_is_kept() {
    std::thread::current().unpark();
    let neighbour = osier::spawn(|| ());
    std::thread::park();
    assert!(!neighbour.is_finished(), "the park had no need to wait");
    neighbour.join().unwrap();
}

fn a_park_with_a_timeout() {
    // On a busy machine the time may be over before the neighbour is awake again.
    let went_on = (0..100).any(|_| {
        let neighbour = osier::spawn(|| osier::sleep(MILLI));
        let start = Instant::now();
        while start.elapsed() < 10 * MILLI {
            std::thread::park_timeout(10 * MILLI);
        }
        let ran = neighbour.is_finished();
        neighbour.join().unwrap();
        ran
    });
    assert!(went_on, "nobody else has run");
}

fn channel_and_scope() {
    let ticks = Arc::new(AtomicUsize::new(0));
    let theirs = ticks.clone();
    let ticker = osier::spawn(move || {
        loop {
            theirs.fetch_add(1, Ordering::Relaxed);
            osier::sleep(MILLI / 10);
        }
    });
    // Others run while the one that calls is parked, or these wait for ever.
    let await_ticks = |ticks: &AtomicUsize| {
        let before = ticks.load(Ordering::Relaxed);
        while ticks.load(Ordering::Relaxed) < before + 3 {
            std::thread::yield_now();
        }
    };
    let (sender, receiver) = mpsc::channel();
    let theirs = ticks.clone();
    let producer = std::thread::spawn(move || {
        for number in 0..200_u64 {
            if number % 10 == 0 {
                await_ticks(&theirs);
            }
            sender.send(number).unwrap();
        }
    });
    assert_eq!(receiver.iter().sum::<u64>(), 199 * 200 / 2);
    producer.join().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| await_ticks(&ticks));
    });
    ticker.kill();
    let _ = ticker.join();
}

/// The first has been woken, and has not run since, when the second parks.
fn one_after_the_other() {
    let flags: [_; 2] = std::array::from_fn(|_| Arc::new(AtomicBool::new(false)));
    let threads = flags.clone().map(|flag| {
        osier::spawn(move || {
            park_until(&flag);
            // The token is one for both.
            std::thread::current().unpark();
        })
    });
    // The first parks only once it is its turn.
    flags[1].store(true, Ordering::Release);
    osier::yield_now();
    flags[0].store(true, Ordering::Release);
    std::thread::current().unpark();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn under_a_foreign_loop() {
    let runtime = osier::Builder::new().build().unwrap();
    runtime.enter(|driver| {
        let flag = Arc::new(AtomicBool::new(false));
        let theirs = flag.clone();
        let parked = osier::spawn(move || park_until(&theirs));
        driver.turn(Some(Duration::ZERO));
        let (theirs, me) = (flag.clone(), std::thread::current());
        let waker = std::thread::spawn(move || {
            theirs.store(true, Ordering::Release);
            me.unpark();
        });
        while !parked.is_finished() {
            // The loop may park its OS thread itself.
            std::thread::park_timeout(MILLI);
            driver.turn(Some(MILLI));
        }
        parked.join().unwrap();
        waker.join().unwrap();
    });
}

/// The token is the OS thread's, and so also that of a loop that drives the runtime by turns.
fn a_foreign_loop_takes_the_token() {
    let runtime = osier::Builder::new().build().unwrap();
    runtime.enter(|driver| {
        let flag = Arc::new(AtomicBool::new(false));
        let theirs = flag.clone();
        let parked = osier::spawn(move || park_until(&theirs));
        driver.turn(Some(Duration::ZERO));
        flag.store(true, Ordering::Release);
        std::thread::current().unpark();
        std::thread::park();
        while !parked.is_finished() {
            driver.turn(None);
        }
        parked.join().unwrap();
    });
}

#[test]
fn two_at_once_are_reported_with_both_stacks() {
    let output = in_child("two_at_once_are_reported_with_both_stacks", || {
        osier::patch::all();
        watchdog();
        osier::run(|| {
            let spawn =
                |name: &str, body: fn()| osier::thread::Builder::new().name(name.into()).spawn(body).unwrap();
            let first = spawn("baker", bake);
            let second = spawn("miller", mill);
            first.join().unwrap();
            second.join().unwrap();
        });
    });
    let report = text(&output.stderr);
    assert!(!output.status.success(), "{report}");
    assert_ne!(output.status.code(), Some(101), "hangs: {report}");
    for part in [
        "two green threads of one OS thread wait in `std::thread::park`",
        "green thread 'baker'",
        "green thread 'miller'",
        "::bake",
        "::mill",
    ] {
        assert!(report.contains(part), "{part} is missing: {report}");
    }
}

#[inline(never)]
fn bake() {
    loop {
        std::thread::park();
    }
}

#[inline(never)]
fn mill() {
    let (_sender, receiver) = mpsc::channel::<()>();
    let _ = receiver.recv();
}

/// std's channels wake no receiver whose OS thread is the sender's: nobody will. While another green thread waits for a socket
/// that is no deadlock, and the limit ends it.
#[test]
fn a_receiver_that_nobody_will_wake_is_reported_while_others_wait_for_sockets() {
    let output =
        in_child("a_receiver_that_nobody_will_wake_is_reported_while_others_wait_for_sockets", || {
            osier::patch::all();
            osier::patch::std_park_limit(Some(20 * MILLI));
            osier::run(|| {
                let (listening, taken) =
                    (UdpSocket::bind("127.0.0.1:0").unwrap(), Arc::new(AtomicBool::new(false)));
                osier::spawn(move || listening.recv(&mut [0]));
                let (sender, receiver) = mpsc::channel();
                let (told, theirs) = (sender.clone(), taken.clone());
                let os_thread = std::thread::spawn(move || {
                    told.send(1).unwrap();
                    while !theirs.load(Ordering::Acquire) {
                        std::thread::sleep(MILLI);
                    }
                    // The receiver has waited for long by then, with nobody asleep for good.
                    std::thread::sleep(100 * MILLI);
                    told.send(2).unwrap();
                });
                assert_eq!(receiver.recv(), Ok(1));
                taken.store(true, Ordering::Release);
                assert_eq!(receiver.recv(), Ok(2));
                os_thread.join().unwrap();
                osier::spawn(move || {
                    sender.send(3).unwrap();
                    // The end of the last sender would wake the receiver.
                    osier::thread::park();
                });
                receive_in_vain(&receiver);
            });
        });
    let report = text(&output.stderr);
    assert!(!output.status.success(), "{report}");
    for part in ["waited in a channel of std's for 20ms", "green thread 'main'", "::receive_in_vain"] {
        assert!(report.contains(part), "{part} is missing: {report}");
    }
}

#[inline(never)]
fn receive_in_vain(receiver: &mpsc::Receiver<i32>) {
    // No tail call, so that it stands on the stack.
    let _ = std::hint::black_box(receiver.recv());
}

/// What is no channel's wait may be ended by a green thread, after however long a time.
#[test]
fn other_parks_may_last_while_all_other_os_threads_sleep() {
    let output = in_child("other_parks_may_last_while_all_other_os_threads_sleep", || {
        osier::patch::all();
        osier::patch::std_park_limit(Some(2 * MILLI));
        osier::run(|| {
            let flag = Arc::new(AtomicBool::new(false));
            let (theirs, me) = (flag.clone(), std::thread::current());
            osier::spawn(move || {
                osier::sleep(100 * MILLI);
                theirs.store(true, Ordering::Release);
                me.unpark();
            });
            park_until(&flag);
            let (sender, receiver) = mpsc::channel();
            osier::spawn(move || {
                osier::sleep(100 * MILLI);
                sender.send(1).unwrap();
            });
            // The OS thread sleeps until it is given something.
            let received = std::thread::scope(|scope| scope.spawn(move || receiver.recv()).join());
            assert_eq!(received.unwrap(), Ok(1));
        });
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// One that looks around whether anybody is there to wake it is as stuck afterwards as before.
#[test]
fn it_is_told_once_that_a_park_waits_for_an_os_thread() {
    let output = in_child("it_is_told_once_that_a_park_waits_for_an_os_thread", || {
        osier::patch::all();
        osier::patch::std_park_limit(Some(4 * MILLI));
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        let tells = osier::Builder::new().on_stuck(move |_| _ = count.fetch_add(1, Ordering::Relaxed));
        tells.build().unwrap().run(|| {
            let flag = Arc::new(AtomicBool::new(false));
            let (theirs, me, told) = (flag.clone(), std::thread::current(), told.clone());
            std::thread::spawn(move || {
                while told.load(Ordering::Relaxed) == 0 {
                    std::thread::sleep(MILLI);
                }
                std::thread::sleep(200 * MILLI);
                theirs.store(true, Ordering::Release);
                me.unpark();
            });
            park_until(&flag);
        });
        assert_eq!(told.load(Ordering::Relaxed), 1);
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// The same when nobody can run any more.
#[test]
fn a_receiver_that_nobody_will_wake_is_reported() {
    let output = in_child("a_receiver_that_nobody_will_wake_is_reported", || {
        osier::patch::all();
        let deadlock = osier::Builder::new().build().unwrap().try_run(|| {
            let (sender, receiver) = mpsc::channel();
            let sender = osier::spawn(move || {
                sender.send(1).unwrap();
                osier::thread::park();
            });
            assert_eq!(receiver.recv(), Ok(1));
            sender.join().unwrap();
        });
        assert!(deadlock.unwrap_err().to_string().contains("parked by `std::thread::park`"));
    });
    // Its OS threads wait for each other.
    assert!(output.status.success(), "{}", text(&output.stderr));
}
