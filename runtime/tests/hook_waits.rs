//! A panic hook that waits: it blocks the OS thread, whose own wait outside of green threads must not miss its wake-up for that.

use osier::sync::mpsc;
use osier::time::{Duration, Instant};
use std::panic;

#[test]
fn a_wait_in_a_hook_takes_no_wake_up_from_who_drives() {
    let (sender, receiver) = mpsc::channel();
    // Before the first runtime: so it runs inside of the runtime's hook.
    panic::set_hook(Box::new(move |_| {
        sender.send("from the hook").unwrap();
        osier::thread::park_timeout(Duration::from_millis(1));
    }));
    let runtime = osier::Builder::new().build().unwrap();
    runtime.enter(|_| {
        let thread = osier::spawn(|| panic!("to be seen by the hook"));
        let start = Instant::now();
        assert_eq!(receiver.recv_timeout(Duration::from_secs(10)), Ok("from the hook"));
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "the wake-up was lost, and found when the time was over"
        );
        thread.join().unwrap_err();
    });
}
