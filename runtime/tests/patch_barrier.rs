//! Barriers of pthreads on green threads: those of one OS thread meet, others come from OS threads and other processes, and libc's
//! rules hold: one of them is told apart, and whoever has come back may destroy the barrier.

mod common;
mod patching;

use common::{in_child, text};
use libc::{PTHREAD_BARRIER_SERIAL_THREAD, c_int, pthread_barrier_t};
use osier::Builder;
use patching::{os_threads, others_go_on, watchdog};
use std::cell::{Cell, RefCell};
use std::ptr::{null, null_mut};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);
const SERIAL: c_int = PTHREAD_BARRIER_SERIAL_THREAD;

/// A barrier, in memory that is given back with it.
struct Barrier(*mut pthread_barrier_t);

// SAFETY: the functions of C may be called on any thread.
unsafe impl Send for Barrier {}
// SAFETY: as above.
unsafe impl Sync for Barrier {}

impl Barrier {
    fn new(count: u32) -> Arc<Barrier> {
        let barrier = Box::into_raw(Box::<pthread_barrier_t>::new_uninit()).cast();
        // SAFETY: valid for a write.
        assert_eq!(unsafe { libc::pthread_barrier_init(barrier, null(), count) }, 0);
        Arc::new(Barrier(barrier))
    }

    fn wait(&self) -> c_int {
        // SAFETY: it is valid.
        unsafe { libc::pthread_barrier_wait(self.0) }
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        // SAFETY: nobody waits there.
        assert_eq!(unsafe { libc::pthread_barrier_destroy(self.0) }, 0);
        // What a thread that has not left would look at.
        // SAFETY: valid for a write.
        unsafe { self.0.write_bytes(0x55, 1) };
        // SAFETY: made by a box.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// How many of those that have come back were told apart.
fn serial(answers: impl IntoIterator<Item = c_int>) -> usize {
    let is_told = |answer: &c_int| {
        assert!([0, SERIAL].contains(answer), "told {answer}");
        *answer == SERIAL
    };
    answers.into_iter().filter(is_told).count()
}

#[test]
fn threads_of_both_kinds_meet() {
    osier::patch::all();
    watchdog();
    for workers in 1..=2 {
        // More of them wait than the pool may have OS threads.
        let runtime = Builder::new().workers(workers).offload_threads(1).build().unwrap();
        runtime.run(|| {
            green_threads_of_one_os_thread();
            with_os_threads();
            one_is_enough();
        });
    }
}

fn green_threads_of_one_os_thread() {
    let barrier = Barrier::new(5);
    let passed = Rc::new(Cell::new(0));
    let threads: Vec<_> = (0..5)
        .map(|_| {
            let (barrier, passed) = (barrier.clone(), passed.clone());
            osier::spawn_local(move || {
                let rounds = (0..10).map(|round| {
                    let answer = barrier.wait();
                    assert!((round * 5..round * 5 + 5).contains(&passed.get()), "one went ahead");
                    passed.set(passed.get() + 1);
                    answer
                });
                rounds.collect::<Vec<_>>()
            })
        })
        .collect();
    let answers: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    for round in 0..10 {
        assert_eq!(serial(answers.iter().map(|own| own[round])), 1, "{answers:?}");
    }
}

fn with_os_threads() {
    const ROUNDS: usize = 50;
    let barrier = Barrier::new(4);
    let told_apart = Arc::new(AtomicUsize::new(0));
    let pass = || {
        let (barrier, told_apart) = (barrier.clone(), told_apart.clone());
        move || {
            let answers = (0..ROUNDS).map(|_| barrier.wait());
            told_apart.fetch_add(serial(answers), Ordering::Relaxed);
        }
    };
    let os: Vec<_> = (0..2).map(|_| std::thread::spawn(pass())).collect();
    let green: Vec<_> = (0..2).map(|_| osier::spawn(pass())).collect();
    os.into_iter().for_each(|thread| thread.join().unwrap());
    green.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(told_apart.load(Ordering::Relaxed), ROUNDS);
}

fn one_is_enough() {
    let (barrier, neighbour) = (Barrier::new(1), osier::spawn_local(|| ()));
    assert_eq!(barrier.wait(), SERIAL);
    assert!(!neighbour.is_finished(), "it has waited");
    neighbour.join().unwrap();
}

#[test]
fn whoever_has_come_back_may_destroy_it() {
    osier::patch::all();
    watchdog();
    osier::run(|| {
        for _ in 0..200 {
            let barrier = Barrier::new(2);
            let shared = Rc::new(RefCell::new(Some(barrier)));
            let pass = |shared: Rc<RefCell<Option<Arc<Barrier>>>>| {
                move || {
                    let barrier = Arc::as_ptr(shared.borrow().as_ref().unwrap());
                    // SAFETY: there until one has come back.
                    if unsafe { &*barrier }.wait() == SERIAL {
                        drop(shared.take().unwrap());
                    }
                }
            };
            let threads =
                [osier::spawn_local(pass(shared.clone())), osier::spawn_local(pass(shared.clone()))];
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(shared.take().is_none());
        }
    });
}

#[test]
fn a_kill_and_a_deadline_wait_for_the_others() {
    osier::patch::all();
    watchdog();
    osier::run(|| {
        let barrier = Barrier::new(3);
        let (answers, beyond) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(false)));
        let wait = {
            let (barrier, answers) = (barrier.clone(), answers.clone());
            move || {
                // SAFETY: an OS thread's own.
                unsafe { *libc::__errno_location() = 77 };
                let answer = barrier.wait();
                assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(77));
                answers.borrow_mut().push(answer);
            }
        };
        let (own, after) = (wait.clone(), beyond.clone());
        let killed = osier::spawn_local(move || {
            own();
            osier::yield_now();
            after.set(true);
        });
        let (own, after) = (wait.clone(), beyond.clone());
        let timed = osier::spawn_local(move || {
            osier::time::timeout(MILLI, || {
                own();
                osier::yield_now();
                after.set(true);
            })
        });
        osier::yield_now();
        killed.kill();
        osier::sleep(5 * MILLI);
        assert!(!killed.is_finished() && !timed.is_finished());
        wait();
        assert!(killed.join().unwrap_err().is::<osier::thread::Killed>());
        assert!(timed.join().unwrap().is_err());
        assert!(!beyond.get(), "the wait after it did not unwind");
        assert_eq!(answers.borrow().len(), 3);
        assert_eq!(serial(answers.take()), 1);
    });
}

/// A process of its own, which is copied.
#[test]
fn another_process_comes() {
    let output = in_child("another_process_comes", || {
        osier::patch::all();
        watchdog();
        osier::run(|| {
            // Has libc's function looked up, which the copy must not.
            assert_eq!(Barrier::new(1).wait(), SERIAL);
            let (len, rights) = (size_of::<pthread_barrier_t>(), libc::PROT_READ | libc::PROT_WRITE);
            // SAFETY: new memory.
            let memory =
                unsafe { libc::mmap(null_mut(), len, rights, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0) };
            assert_ne!(memory, libc::MAP_FAILED);
            let barrier: *mut pthread_barrier_t = memory.cast();
            let mut attributes = std::mem::MaybeUninit::uninit();
            // SAFETY: valid for a write.
            assert_eq!(unsafe { libc::pthread_barrierattr_init(attributes.as_mut_ptr()) }, 0);
            let shared = libc::PTHREAD_PROCESS_SHARED;
            // SAFETY: made just now.
            let set = unsafe { libc::pthread_barrierattr_setpshared(attributes.as_mut_ptr(), shared) };
            assert_eq!(set, 0);
            // SAFETY: both are valid.
            assert_eq!(unsafe { libc::pthread_barrier_init(barrier, attributes.as_ptr(), 2) }, 0);
            // SAFETY: it is valid, and there for ever.
            let wait = move || unsafe { libc::pthread_barrier_wait(barrier) };
            let mut child = 0;
            let own = others_go_on("pthread_barrier_wait", wait, || {
                // SAFETY: the copy calls what needs no lock, and ends.
                child = unsafe { libc::fork() };
                if child == 0 {
                    let answer = wait();
                    // SAFETY: ends the process.
                    unsafe { libc::_exit(answer - SERIAL) };
                }
            });
            let mut status = 0;
            // SAFETY: valid for a write.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert!(libc::WIFEXITED(status));
            assert_eq!(serial([own, libc::WEXITSTATUS(status) + SERIAL]), 1);
        });
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// A process of its own, to which the system gives no OS thread for a while.
#[test]
fn for_want_of_an_os_thread_it_tries_again() {
    let output = in_child("for_want_of_an_os_thread_it_tries_again", || {
        osier::patch::all();
        watchdog();
        osier::run(|| {
            let barrier = Barrier::new(2);
            let (theirs, threads) = (barrier.clone(), os_threads());
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
            let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: valid for a write.
            assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut before) }, 0);
            // Too little for the stack of an OS thread.
            let limit = libc::rlimit { rlim_cur: pages * 4096 + (1 << 20), ..before };
            // SAFETY: it is valid.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
            let waiter = osier::spawn_local(move || theirs.wait());
            (0..5).for_each(|_| osier::sleep(MILLI));
            assert!(!waiter.is_finished());
            assert!(os_threads().is_subset(&threads), "there was an OS thread");
            // SAFETY: it is valid.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &before) }, 0);
            assert_eq!(serial([barrier.wait(), waiter.join().unwrap()]), 1);
        });
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}
