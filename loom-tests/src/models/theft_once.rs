//! A worker starts what it has offered, one more comes from elsewhere, a thief takes the oldest, and the runtime ends: each closure is started
//! once, or given back once.

use super::theft::Offers;
use loom::sync::Arc;
use loom::thread;

pub const ONCE: &str = "each closure is started, or dropped, by one";

/// The model.
pub fn model() {
    let offers = Arc::new(Offers::new());
    // Also makes it.
    let first = offers.push(1).expect("it is open");
    let theirs = offers.clone();
    let thief = thread::spawn(move || theirs.take_oldest().unwrap_or(0));
    let theirs = offers.clone();
    let end = thread::spawn(move || theirs.close().sum::<usize>());
    // What was taken in is somebody else's; what was refused is not.
    let mut had = offers.push(10).err().unwrap_or(0);
    had += offers.take(first).unwrap_or(0);
    had += thief.join().expect("thieves do not panic");
    had += end.join().expect("the end does not panic");
    assert_eq!(had, 11, "{ONCE}");
}
