//! std's locks on green threads, through the futex call: each parks, is woken by green threads and by OS threads, and defers
//! what would end its wait.

mod patching;

use osier::time::timeout;
use patching::{answer, neighbour_goes_on, others_run_until_late, watchdog};
use std::cell::Cell;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, LazyLock, Mutex, Once, RwLock};
use std::time::{Duration, Instant};

const MILLI: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn stds_locks_park_the_green_thread() {
    osier::patch::all();
    watchdog();
    for _ in 0..2 {
        osier::run(|| {
            a_mutex_is_held_across_a_wait();
            a_condvar_is_notified_by_both_kinds();
            a_lock_is_read_and_written();
            once_and_barrier();
            what_would_end_a_wait_is_deferred();
            os_threads_and_green_threads_wait_for_one_lock();
            the_call_itself();
            the_newer_calls();
            other_system_calls();
        });
    }
}

fn a_mutex_is_held_across_a_wait() {
    let mutex = Arc::new(Mutex::new(0));
    let holder = mutex.lock().unwrap();
    let theirs = mutex.clone();
    neighbour_goes_on("Mutex::lock", move || *theirs.lock().unwrap() += 1, move || drop(holder));
    assert_eq!(*mutex.lock().unwrap(), 1);

    // Many, and each holds it while others run.
    let threads: Vec<_> = (0..50)
        .map(|_| {
            let mutex = mutex.clone();
            osier::spawn(move || {
                for _ in 0..20 {
                    let mut value = mutex.lock().unwrap();
                    let before = *value;
                    osier::yield_now();
                    *value = before + 1;
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*mutex.lock().unwrap(), 1001);
}

fn a_condvar_is_notified_by_both_kinds() {
    let shared = Arc::new((Mutex::new(0), Condvar::new()));
    let wait = |shared: Arc<(Mutex<i32>, Condvar)>, value| {
        move || drop(shared.1.wait_while(shared.0.lock().unwrap(), |now| *now < value).unwrap())
    };
    let set = |shared: &(Mutex<i32>, Condvar), value| {
        *shared.0.lock().unwrap() = value;
        shared.1.notify_all();
    };
    neighbour_goes_on("Condvar::wait", wait(shared.clone(), 1), || set(&shared, 1));
    let theirs = shared.clone();
    neighbour_goes_on("Condvar::wait", wait(shared.clone(), 2), move || {
        std::thread::spawn(move || set(&theirs, 2));
    });
    // All of many, of both kinds.
    let green: Vec<_> = (0..40).map(|_| osier::spawn(wait(shared.clone(), 3))).collect();
    let os: Vec<_> = (0..4).map(|_| std::thread::spawn(wait(shared.clone(), 3))).collect();
    osier::yield_now();
    set(&shared, 3);
    green.into_iter().for_each(|thread| thread.join().unwrap());
    os.into_iter().for_each(|thread| thread.join().unwrap());

    // A wait that is over in time.
    others_run_until_late("Condvar::wait_timeout", |time| {
        let start = Instant::now();
        let waited = shared.1.wait_timeout(shared.0.lock().unwrap(), time).unwrap();
        assert!(waited.1.timed_out() && start.elapsed() >= time);
    });
}

fn a_lock_is_read_and_written() {
    let lock = Arc::new(RwLock::new(0));
    let reader = lock.read().unwrap();
    let theirs = lock.clone();
    neighbour_goes_on("RwLock::write", move || *theirs.write().unwrap() = 1, move || drop(reader));
    let writer = lock.write().unwrap();
    let theirs = lock.clone();
    neighbour_goes_on(
        "RwLock::read",
        move || assert_eq!(*theirs.read().unwrap(), 2),
        move || {
            let mut writer = writer;
            *writer = 2;
        },
    );

    // Written, with a writer and several readers waiting: std's word is then `u32::MAX`, as that of a parked thread.
    let writer = lock.write().unwrap();
    let theirs = lock.clone();
    let second = osier::spawn(move || *theirs.write().unwrap() += 1);
    osier::yield_now();
    let read = |lock: Arc<RwLock<i32>>| move || *lock.read().unwrap();
    let readers: Vec<_> = (0..3).map(|_| osier::spawn(read(lock.clone()))).collect();
    osier::yield_now();
    assert!(!second.is_finished() && readers.iter().all(|reader| !reader.is_finished()));
    drop(writer);
    second.join().unwrap();
    readers.into_iter().for_each(|reader| assert!((2..=3).contains(&reader.join().unwrap())));
}

fn once_and_barrier() {
    static ONCE: Once = Once::new();
    static LAZY: LazyLock<usize> = LazyLock::new(|| {
        osier::yield_now();
        42
    });
    let threads: Vec<_> = (0..5)
        .map(|_| {
            osier::spawn(|| {
                ONCE.call_once(osier::yield_now);
                assert!(ONCE.is_completed());
                assert_eq!(*LAZY, 42);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());

    // Of both kinds.
    let barrier = Arc::new(Barrier::new(6));
    let leaders = Arc::new(AtomicUsize::new(0));
    let pass = |barrier: Arc<Barrier>, leaders: Arc<AtomicUsize>| {
        move || {
            for _ in 0..50 {
                leaders.fetch_add(usize::from(barrier.wait().is_leader()), Ordering::Relaxed);
            }
        }
    };
    let green: Vec<_> = (0..4).map(|_| osier::spawn(pass(barrier.clone(), leaders.clone()))).collect();
    let os: Vec<_> = (0..2).map(|_| std::thread::spawn(pass(barrier.clone(), leaders.clone()))).collect();
    green.into_iter().for_each(|thread| thread.join().unwrap());
    os.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(leaders.load(Ordering::Relaxed), 50);
}

fn what_would_end_a_wait_is_deferred() {
    let mutex = Arc::new(Mutex::new(0));
    let held = mutex.lock().unwrap();
    let beyond = Rc::new(Cell::new(false));
    let waiter = osier::spawn_local({
        let (mutex, beyond) = (mutex.clone(), beyond.clone());
        move || {
            *mutex.lock().unwrap() += 1;
            osier::yield_now();
            beyond.set(true);
        }
    });
    osier::yield_now();
    waiter.kill();
    for _ in 0..10 {
        osier::yield_now();
    }
    assert!(!waiter.is_finished(), "a kill does not end the wait for a lock");
    drop(held);
    assert!(waiter.join().unwrap_err().is::<osier::thread::Killed>());
    assert!(!beyond.get(), "the next wait unwinds");
    assert_eq!(*mutex.lock().unwrap(), 1, "it got the lock, and has not poisoned it");

    let mutex: &'static Arc<Mutex<i32>> = Box::leak(Box::new(mutex));
    let held = mutex.lock().unwrap();
    let releaser = osier::spawn_local(move || {
        osier::sleep(20 * MILLI);
        drop(held);
    });
    let start = Instant::now();
    let outcome = timeout(MILLI, || {
        drop(mutex.lock().unwrap());
        assert!(start.elapsed() >= 20 * MILLI);
        osier::sleep(LONG);
    });
    outcome.unwrap_err();
    releaser.join().unwrap();

    // A destructor of a stack that unwinds locks as ever.
    struct Locks(Arc<Mutex<i32>>);
    impl Drop for Locks {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let held = mutex.lock().unwrap();
    let locks = Locks(mutex.clone());
    let unwinding = osier::spawn(move || {
        let _locks = locks;
        osier::thread::park();
    });
    osier::yield_now();
    unwinding.kill();
    osier::yield_now();
    osier::yield_now();
    assert!(!unwinding.is_finished());
    assert!(!std::thread::panicking());
    drop(held);
    unwinding.join().unwrap_err();
    assert_eq!(*mutex.lock().unwrap(), 2);
}

/// Neither kind is starved while the other has the lock all the time.
fn os_threads_and_green_threads_wait_for_one_lock() {
    const TURNS: u64 = 2_000;
    let mutex = Arc::new(Mutex::new(0_u64));
    let count = |mutex: Arc<Mutex<u64>>| {
        move || {
            for _ in 0..TURNS {
                *mutex.lock().unwrap() += 1;
            }
        }
    };
    let slow = |mutex: Arc<Mutex<u64>>| {
        move || {
            for _ in 0..TURNS {
                let mut value = mutex.lock().unwrap();
                osier::yield_now();
                *value += 1;
            }
        }
    };
    let os: Vec<_> = (0..3).map(|_| std::thread::spawn(count(mutex.clone()))).collect();
    let green: Vec<_> = (0..3).map(|_| osier::spawn(slow(mutex.clone()))).collect();
    green.into_iter().for_each(|thread| thread.join().unwrap());
    os.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*mutex.lock().unwrap(), 6 * TURNS);
}

fn futex(
    word: &AtomicU32,
    operation: i32,
    value: u32,
    time: Option<libc::timespec>,
    bits: u32,
) -> Result<usize, i32> {
    let time = time.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word and the time are valid until it returns.
    let result = unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, time, ptr::null::<u32>(), bits)
    };
    answer(result as isize)
}

fn time(nanos: i64) -> libc::timespec {
    libc::timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 }
}

fn now(clock: libc::clockid_t) -> i64 {
    let mut now = time(0);
    // SAFETY: valid for a write.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut now) }, 0);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn the_call_itself() {
    const PRIVATE: i32 = libc::FUTEX_PRIVATE_FLAG;
    let word = Arc::new(AtomicU32::new(7));
    let all = u32::MAX;
    assert_eq!(futex(&word, libc::FUTEX_WAIT | PRIVATE, 8, None, 0), Err(libc::EAGAIN));
    assert_eq!(futex(&word, libc::FUTEX_WAIT_BITSET | PRIVATE, 8, None, all), Err(libc::EAGAIN));
    assert_eq!(futex(&word, libc::FUTEX_WAIT_BITSET | PRIVATE, 7, None, 0), Err(libc::EINVAL));
    let invalid = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000_000 };
    assert_eq!(futex(&word, libc::FUTEX_WAIT | PRIVATE, 7, Some(invalid), 0), Err(libc::EINVAL));

    // Relative and absolute times, by both clocks; one that has passed.
    for (operation, clock) in [
        (libc::FUTEX_WAIT | PRIVATE, None),
        (libc::FUTEX_WAIT, None),
        (libc::FUTEX_WAIT_BITSET | PRIVATE, Some(libc::CLOCK_MONOTONIC)),
        (libc::FUTEX_WAIT_BITSET | PRIVATE | libc::FUTEX_CLOCK_REALTIME, Some(libc::CLOCK_REALTIME)),
    ] {
        others_run_until_late("futex", |limit| {
            let start = Instant::now();
            let until = time(clock.map_or(0, now) + limit.as_nanos() as i64);
            assert_eq!(futex(&word, operation, 7, Some(until), all), Err(libc::ETIMEDOUT), "{operation}");
            assert!(start.elapsed() >= limit, "{operation} after {:?}", start.elapsed());
        });
    }
    let past = time(now(libc::CLOCK_MONOTONIC) - 1);
    assert_eq!(futex(&word, libc::FUTEX_WAIT_BITSET | PRIVATE, 7, Some(past), all), Err(libc::ETIMEDOUT));

    // Counts, and the order.
    assert_eq!(futex(&word, libc::FUTEX_WAKE | PRIVATE, 1, None, 0), Ok(0));
    let log = Arc::new(Mutex::new(Vec::new()));
    let wait = |number: u32, bits: u32| {
        let (word, log) = (word.clone(), log.clone());
        osier::spawn(move || {
            assert_eq!(futex(&word, libc::FUTEX_WAIT_BITSET | PRIVATE, 7, None, bits), Ok(0));
            log.lock().unwrap().push(number);
        })
    };
    let threads: Vec<_> = (0..5).map(|number| wait(number, 1 << (number % 2))).collect();
    osier::yield_now();
    assert_eq!(futex(&word, libc::FUTEX_WAKE_BITSET | PRIVATE, 1, None, 2), Ok(1));
    assert_eq!(futex(&word, libc::FUTEX_WAKE_BITSET | PRIVATE, 9, None, 4), Ok(0));
    osier::yield_now();
    assert_eq!(futex(&word, libc::FUTEX_WAKE | PRIVATE, 2, None, 0), Ok(2));
    osier::yield_now();
    assert_eq!(*log.lock().unwrap(), [1, 0, 2]);
    // Those that are to be moved are woken.
    // SAFETY: both words are valid.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_CMP_REQUEUE | PRIVATE,
            0,
            9_usize,
            word.as_ptr(),
            6,
        )
    };
    assert_eq!(answer(moved as isize), Err(libc::EAGAIN));
    // SAFETY: both words are valid.
    let moved = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_CMP_REQUEUE | PRIVATE,
            0,
            9_usize,
            word.as_ptr(),
            7,
        )
    };
    assert_eq!(answer(moved as isize), Ok(2));
    threads.into_iter().for_each(|thread| thread.join().unwrap());

    // errno is left alone by what succeeds.
    let waiter = wait(9, all);
    osier::yield_now();
    // SAFETY: this OS thread's own variable.
    unsafe { *libc::__errno_location() = libc::EXDEV };
    assert_eq!(futex(&word, libc::FUTEX_WAKE | PRIVATE, 1, None, 0), Ok(1));
    assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EXDEV));
    waiter.join().unwrap();
}

/// All of a system call's arguments arrive, and its answer is libc's.
/// `SYS_futex_wake`, `SYS_futex_wait`, `SYS_futex_requeue`, on a word of 32 bits of this process.
fn newer(number: i64, arguments: [i64; 5]) -> Result<usize, i32> {
    let [first, second, third, fourth, fifth] = arguments;
    // SAFETY: the arguments are what these system calls take.
    answer(unsafe { libc::syscall(number, first, second, third, fourth, fifth) } as isize)
}

const WAKE: i64 = 454;
const WAIT: i64 = 455;
const REQUEUE: i64 = 456;
const FLAGS: i64 = 2 | libc::FUTEX_PRIVATE_FLAG as i64;
const ALL: i64 = u32::MAX as i64;

fn the_newer_calls() {
    let word: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
    let other: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
    let at = |word: &'static AtomicU32| word.as_ptr().expose_provenance() as i64;
    let wait = move |value, bits| newer(WAIT, [at(word), value, bits, FLAGS, 0]);
    let wake = move |bits, count| newer(WAKE, [at(word), bits, count, FLAGS, 0]);
    let old_wait = move || futex(word, libc::FUTEX_WAIT, 0, None, 0);
    if wake(ALL, 1) == Err(libc::ENOSYS) {
        // Before Linux 6.7, on green threads, too.
        let waiter = osier::spawn(old_wait);
        osier::yield_now();
        assert_eq!((wait(0, ALL), wake(ALL, 1)), (Err(libc::ENOSYS), Err(libc::ENOSYS)));
        assert_eq!(futex(word, libc::FUTEX_WAKE, 1, None, 0), Ok(1));
        return assert_eq!(waiter.join().unwrap(), Ok(0));
    }
    assert_eq!((wait(1, ALL), wait(0, 0)), (Err(libc::EAGAIN), Err(libc::EINVAL)));
    // Each meets the older one.
    let woken = neighbour_goes_on("futex_wait", move || wait(0, ALL), || assert_eq!(wake(ALL, 1), Ok(1)));
    assert_eq!(woken, Ok(0));
    let old_wake = || assert_eq!(futex(word, libc::FUTEX_WAKE, 1, None, 0), Ok(1));
    assert_eq!(neighbour_goes_on("futex_wait", move || wait(0, ALL), old_wake), Ok(0));
    assert_eq!(neighbour_goes_on("futex", old_wait, || assert_eq!(wake(ALL, 1), Ok(1))), Ok(0));
    let some = || {
        assert_eq!((wake(1, 1), wake(2, 0), wake(0, 1)), (Ok(0), Ok(0), Err(libc::EINVAL)));
        assert_eq!(newer(WAKE, [at(word), 2, 1, 1 << 20, 0]), Err(libc::EINVAL), "no such flag");
        assert_eq!(wake(2, 1), Ok(1));
    };
    assert_eq!(neighbour_goes_on("futex_wait", move || wait(0, 2), some), Ok(0));

    // Both kinds, each of which is counted.
    let threads: Vec<_> = (0..2).map(|_| std::thread::spawn(move || wait(0, ALL))).collect();
    let waiters: Vec<_> = (0..2).map(|_| osier::spawn(move || wait(0, ALL))).collect();
    let mut woken = 0;
    while woken < 4 {
        woken += wake(ALL, 1).unwrap();
        osier::yield_now();
    }
    assert_eq!(wake(ALL, 1), Ok(0));
    waiters.into_iter().for_each(|waiter| assert_eq!(waiter.join().unwrap(), Ok(0)));
    threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), Ok(0)));

    // Moved: of the value 0, to another word.
    let moves = || {
        let waiters = [[0, at(word), FLAGS], [0, at(other), FLAGS]];
        let waiters = waiters.as_ptr().expose_provenance() as i64;
        assert_eq!(newer(REQUEUE, [waiters, 0, 0, 1, 0]), Ok(1));
    };
    assert_eq!(neighbour_goes_on("futex_wait", move || wait(0, ALL), moves), Ok(0));

    let start = Instant::now();
    let neighbour = osier::spawn(|| osier::sleep(MILLI));
    for clock in [libc::CLOCK_MONOTONIC, libc::CLOCK_REALTIME] {
        let until = time(now(clock) + 5_000_000);
        let until = (&raw const until).expose_provenance() as i64;
        // SAFETY: the word and the time are valid.
        let waited =
            unsafe { libc::syscall(WAIT, word.as_ptr(), 0_i64, ALL, FLAGS, until, i64::from(clock)) };
        assert_eq!(answer(waited as isize), Err(libc::ETIMEDOUT));
    }
    assert!(start.elapsed() >= 10 * MILLI && neighbour.is_finished());
    neighbour.join().unwrap();
}

fn other_system_calls() {
    // SAFETY: takes no pointers.
    assert_eq!(unsafe { libc::syscall(libc::SYS_getpid) }, std::process::id().into());
    // SAFETY: refused.
    assert_eq!(answer(unsafe { libc::syscall(libc::SYS_close, -1) } as isize), Err(libc::EBADF));
    let size = 3 * 4096;
    let flags = libc::MAP_PRIVATE;
    let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    // Six arguments, of which the last shows in what is read.
    // SAFETY: a new mapping.
    let whole = unsafe { libc::syscall(libc::SYS_mmap, 0_usize, size, libc::PROT_READ, flags, fd, 0_usize) };
    // SAFETY: a new mapping.
    let second =
        unsafe { libc::syscall(libc::SYS_mmap, 0_usize, 4096, libc::PROT_READ, flags, fd, 4096_usize) };
    assert!(whole > 0 && second > 0);
    let bytes = |address: libc::c_long| {
        // SAFETY: mapped above, a page at least.
        unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance::<u8>(address as usize), 4096) }
    };
    assert_eq!(bytes(whole + 4096), bytes(second));
    for (address, size) in [(whole, size), (second, 4096)] {
        // SAFETY: mapped above, and not used any more.
        assert_eq!(unsafe { libc::syscall(libc::SYS_munmap, address, size) }, 0);
    }
}
