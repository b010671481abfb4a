//! The event: waits for a flag, and none is missed.

mod common;

use common::{LONG, MILLI, check, check_with};
use osier::Builder;
use osier::sync::Event;
use osier::time::{Duration, FakeClock, timeout};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn set_and_cleared_at_once_still_wakes_those_who_waited() {
    check(|| {
        let event = Rc::new(Event::new());
        let waits = || {
            let event = event.clone();
            osier::spawn_local(move || event.wait())
        };
        let waiting: Vec<_> = (0..3).map(|_| waits()).collect();
        osier::yield_now();
        event.set();
        event.clear();
        let too_late = waits();
        waiting.into_iter().for_each(|thread| thread.join_timeout(LONG).unwrap().unwrap());
        assert!(!event.is_set());
        let too_late = too_late.join_timeout(MILLI).unwrap_err();
        event.set();
        too_late.join().unwrap();
        event.wait();
        assert!(event.is_set() && event.wait_timeout(Duration::ZERO));
        assert_eq!(format!("{event:?}"), "Event { set: true, .. }");
    });
}

#[test]
fn waits_end_with_their_time_or_a_kill_and_harm_nobody() {
    const SECOND: Duration = Duration::from_secs(1);
    check_with(Builder::new().clock(FakeClock::new()), |runtime| {
        runtime.run(|| {
            let event = Rc::new(Event::new());
            assert!(!event.wait_timeout(SECOND));
            assert!(timeout(SECOND, || event.wait()).is_err());
            let theirs = event.clone();
            let killed = osier::spawn_local(move || theirs.wait());
            let theirs = event.clone();
            let waits = osier::spawn_local(move || theirs.wait());
            osier::yield_now();
            killed.kill();
            killed.join().unwrap_err();
            // A neighbour has run, and the other one still waits.
            assert!(!waits.is_finished());
            event.set();
            waits.join().unwrap();
            event.clear();
            // Both deadlines pass at once, and the older one sets the event before the other has run: that was in time.
            let theirs = event.clone();
            osier::spawn_local(move || {
                osier::sleep(SECOND);
                theirs.set();
                theirs.clear();
            });
            let late = osier::spawn_local(move || event.wait_timeout(SECOND));
            assert!(late.join().unwrap());
        });
    });
}

#[test]
fn many_waits_for_what_is_set_let_others_run() {
    check(|| {
        let event = Event::new();
        event.set();
        let neighbour = osier::spawn(|| ());
        (0..200).for_each(|_| event.wait());
        assert!(neighbour.is_finished());
    });
}

/// Two sides take turns with two events; a wake-up that is lost leaves both waiting.
#[test]
fn between_green_threads_of_two_runtimes_and_os_threads() {
    const ROUNDS: usize = 500;
    fn play(mine: &Event, theirs: &Event, turns: &AtomicUsize) {
        for _ in 0..ROUNDS {
            mine.wait();
            mine.clear();
            turns.fetch_add(1, Ordering::SeqCst);
            theirs.set();
        }
    }
    check(|| {
        for green in [false, true] {
            let (ping, pong) = (Arc::new(Event::new()), Arc::new(Event::new()));
            let turns = Arc::new(AtomicUsize::new(0));
            let (their_ping, their_pong, their_turns) = (ping.clone(), pong.clone(), turns.clone());
            let there = std::thread::spawn(move || {
                let play = || play(&their_pong, &their_ping, &their_turns);
                if green { osier::run(play) } else { play() }
            });
            ping.set();
            play(&ping, &pong, &turns);
            there.join().unwrap();
            assert_eq!(turns.load(Ordering::SeqCst), 2 * ROUNDS);
        }
    });
}
