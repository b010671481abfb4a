//! An allocator of Rust's that yields or sleeps, as one does that spins for its lock: where the runtime allocates, nobody else runs.

mod patching;

use patching::watchdog;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

struct Waits;

#[global_allocator]
static ALLOCATOR: Waits = Waits;

const NOT: u8 = 0;
const YIELDS: u8 = 1;
const SLEEPS: u8 = 2;

/// What it does in each call.
static WAY: AtomicU8 = AtomicU8::new(NOT);
static WAITED: AtomicU64 = AtomicU64::new(0);

fn wait_for_the_lock() {
    match WAY.load(Ordering::Relaxed) {
        YIELDS => std::thread::yield_now(),
        SLEEPS => std::thread::sleep(Duration::from_micros(1)),
        _ => return,
    }
    WAITED.fetch_add(1, Ordering::Relaxed);
}

// SAFETY: the system's allocator.
unsafe impl GlobalAlloc for Waits {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        wait_for_the_lock();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        wait_for_the_lock();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        wait_for_the_lock();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// A channel's queue grows under its lock, for which its receiver would wait.
fn a_channel_is_used_by_both_ends() {
    let (sender, receiver) = osier::sync::mpsc::channel();
    let sends = osier::spawn(move || (0..100).for_each(|number| sender.send(number).unwrap()));
    let all: Vec<_> = receiver.iter().collect();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    sends.join().unwrap();
}

/// Many wait, so that lists of them grow.
fn locks_are_handed_on() {
    let shared = Arc::new((osier::sync::Mutex::new(0), osier::sync::Barrier::new(20)));
    let threads: Vec<_> = (0..20)
        .map(|_| {
            let shared = shared.clone();
            osier::spawn(move || {
                shared.1.wait();
                let mut count = shared.0.lock().unwrap();
                osier::yield_now();
                *count += 1;
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*shared.0.lock().unwrap(), 20);
}

fn other_os_threads_are_heard() {
    let (sender, receiver) = mpsc::channel();
    let calls: Vec<_> = (0..10)
        .map(|number| {
            let sender = sender.clone();
            osier::spawn(move || {
                osier::sleep(Duration::from_micros(number));
                osier::offload(move || sender.send(number).unwrap());
            })
        })
        .collect();
    calls.into_iter().for_each(|call| call.join().unwrap());
    assert_eq!(receiver.try_iter().count(), 10);
}

#[test]
fn the_runtime_is_not_seen_half_changed() {
    osier::patch::all();
    watchdog();
    for (way, workers) in [(YIELDS, 1), (YIELDS, 2), (SLEEPS, 1), (SLEEPS, 2)] {
        let runtime = osier::Builder::new().workers(workers).build().unwrap();
        let before = WAITED.load(Ordering::Relaxed);
        WAY.store(way, Ordering::Relaxed);
        runtime.run(|| {
            a_channel_is_used_by_both_ends();
            locks_are_handed_on();
            other_os_threads_are_heard();
        });
        WAY.store(NOT, Ordering::Relaxed);
        assert!(WAITED.load(Ordering::Relaxed) > before + 100);
    }
}
