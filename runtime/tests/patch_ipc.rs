//! Message queues and semaphores of System V, and message queues of POSIX, on green threads.

mod patching;

use libc::{IPC_NOWAIT, c_char, c_int, c_long, c_uint, c_void, timespec};
use patching::{answer, killed_in, neighbour_goes_on, others_run_until_late, timed_out_in, watchdog};
use std::ffi::CString;
use std::mem::zeroed;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

unsafe extern "C" {
    fn semtimedop(
        semaphores: c_int,
        operations: *mut libc::sembuf,
        count: usize,
        limit: *const timespec,
    ) -> c_int;
}

const MILLI: Duration = Duration::from_millis(1);
const MILLIS_5: timespec = timespec { tv_sec: 0, tv_nsec: 5_000_000 };

fn send(queue: c_int, number: c_long, flags: c_int) -> Result<usize, i32> {
    let message = [1, number];
    // SAFETY: a number and eight bytes.
    answer(unsafe { libc::msgsnd(queue, message.as_ptr().cast::<c_void>(), 8, flags) } as isize)
}

fn receive(queue: c_int, flags: c_int) -> Result<c_long, i32> {
    let mut message: [c_long; 2] = [0; 2];
    // SAFETY: room for a number and eight bytes.
    let len = answer(unsafe { libc::msgrcv(queue, message.as_mut_ptr().cast::<c_void>(), 8, 0, flags) })?;
    assert_eq!(len, 8);
    Ok(message[1])
}

fn a_queue_of_system_v() {
    // SAFETY: no pointers.
    let queue = unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) };
    assert_eq!(receive(queue, IPC_NOWAIT), Err(libc::ENOMSG));
    let got = neighbour_goes_on("msgrcv", move || receive(queue, 0), || assert_eq!(send(queue, 7, 0), Ok(0)));
    assert_eq!(got, Ok(7));
    let mut count = 0;
    while send(queue, count, IPC_NOWAIT).is_ok() {
        count += 1;
    }
    let release = || assert_eq!(receive(queue, 0), Ok(0));
    assert_eq!(neighbour_goes_on("msgsnd", move || send(queue, 8, 0), release), Ok(0));
    assert_eq!(killed_in("msgsnd", move || send(queue, 9, 0)), Err(libc::ECANCELED));
    (0..count).for_each(|_| assert!(receive(queue, 0).is_ok()));
    assert_eq!(timed_out_in("msgrcv", || receive(queue, 0)), Err(libc::ETIMEDOUT));
    // Taken away while it is waited for.
    let remove = || {
        // SAFETY: asks for nothing.
        assert_eq!(unsafe { libc::msgctl(queue, libc::IPC_RMID, null_mut()) }, 0);
    };
    let got = neighbour_goes_on("msgrcv", move || receive(queue, 0), remove);
    assert_eq!(got, Err(libc::EIDRM));
    assert_eq!(receive(queue, 0), Err(libc::EINVAL));
}

fn operate(semaphores: c_int, by: &[i16], flags: c_int, limit: Option<&timespec>) -> Result<usize, i32> {
    let operation =
        |(at, by): (usize, &i16)| libc::sembuf { sem_num: at as u16, sem_op: *by, sem_flg: flags as i16 };
    let mut operations: Vec<_> = by.iter().enumerate().map(operation).collect();
    let (first, count) = (operations.as_mut_ptr(), operations.len());
    let result = match limit {
        // SAFETY: so many operations.
        None => unsafe { libc::semop(semaphores, first, count) },
        // SAFETY: so many operations, and a valid time.
        Some(limit) => unsafe { semtimedop(semaphores, first, count, limit) },
    };
    answer(result as isize)
}

fn semaphores_of_system_v() {
    // SAFETY: no pointers.
    let semaphores = unsafe { libc::semget(libc::IPC_PRIVATE, 2, 0o600) };
    assert_eq!(operate(semaphores, &[-1], IPC_NOWAIT, None), Err(libc::EAGAIN));
    let post = || assert_eq!(operate(semaphores, &[1, 1], 0, None), Ok(0));
    let take = move || operate(semaphores, &[-1, -1], 0, None);
    assert_eq!(neighbour_goes_on("semop", take, post), Ok(0));
    let long = timespec { tv_sec: 60, tv_nsec: 0 };
    let take_in_time = move || operate(semaphores, &[-1, -1], 0, Some(&long));
    assert_eq!(neighbour_goes_on("semtimedop", take_in_time, post), Ok(0));
    let start = Instant::now();
    let neighbour = osier::spawn(|| ());
    assert_eq!(operate(semaphores, &[-1], 0, Some(&MILLIS_5)), Err(libc::EAGAIN));
    assert!(start.elapsed() >= 5 * MILLI && neighbour.is_finished());
    neighbour.join().unwrap();
    assert_eq!(killed_in("semop", take), Err(libc::ECANCELED));
    assert_eq!(timed_out_in("semtimedop", take_in_time), Err(libc::ETIMEDOUT));
    let invalid = timespec { tv_sec: 0, tv_nsec: -1 };
    assert_eq!(operate(semaphores, &[-1], 0, Some(&invalid)), Err(libc::EINVAL));
    assert_eq!(operate(semaphores, &[], 0, None), Err(libc::EINVAL), "of nothing");
    let remove = || {
        // SAFETY: asks for nothing.
        assert_eq!(unsafe { libc::semctl(semaphores, 0, libc::IPC_RMID) }, 0);
    };
    assert_eq!(neighbour_goes_on("semop", take, remove), Err(libc::EIDRM));
}

/// A queue with room for one message.
fn queue_of_posix(flags: c_int) -> c_int {
    let name = CString::new(format!("/osier-patch-ipc-{}", std::process::id())).unwrap();
    // SAFETY: of numbers: all zero is valid.
    let mut attributes: libc::mq_attr = unsafe { zeroed() };
    (attributes.mq_maxmsg, attributes.mq_msgsize) = (1, 8);
    let flags = libc::O_CREAT | libc::O_RDWR | flags;
    // SAFETY: the name is a string, the attributes are valid.
    let queue = unsafe { libc::mq_open(name.as_ptr(), flags, 0o600, &raw const attributes) };
    // SAFETY: a string.
    assert_eq!(unsafe { libc::mq_unlink(name.as_ptr()) }, 0);
    queue
}

fn put(queue: c_int, until: Option<&timespec>) -> Result<usize, i32> {
    let text: *const c_char = c"x".as_ptr();
    let result = match until {
        // SAFETY: valid for a byte.
        None => unsafe { libc::mq_send(queue, text, 1, 3) },
        // SAFETY: valid for a byte, and a valid time.
        Some(until) => unsafe { libc::mq_timedsend(queue, text, 1, 3, until) },
    };
    answer(result as isize)
}

fn take(queue: c_int, until: Option<&timespec>) -> Result<(usize, c_uint), i32> {
    let (mut room, mut priority) = ([0; 8], 0);
    let (buf, priority_at) = (room.as_mut_ptr(), &raw mut priority);
    let result = match until {
        // SAFETY: valid for writes.
        None => unsafe { libc::mq_receive(queue, buf, 8, priority_at) },
        // SAFETY: as above, and a valid time.
        Some(until) => unsafe { libc::mq_timedreceive(queue, buf, 8, priority_at, until) },
    };
    answer(result).map(|len| (len, priority))
}

fn after(time: Duration) -> timespec {
    let until = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap() + time;
    timespec { tv_sec: until.as_secs() as i64, tv_nsec: until.subsec_nanos().into() }
}

fn a_queue_of_posix() {
    let queue = queue_of_posix(0);
    let put_one = || assert_eq!(put(queue, None), Ok(0));
    let take_one = || assert_eq!(take(queue, None), Ok((1, 3)));
    let later = after(60_000 * MILLI);
    assert_eq!(neighbour_goes_on("mq_receive", move || take(queue, None), put_one), Ok((1, 3)));
    assert_eq!(neighbour_goes_on("mq_timedreceive", move || take(queue, Some(&later)), put_one), Ok((1, 3)));
    let late = |name: &str, call: &dyn Fn(Option<&timespec>) -> i32| {
        others_run_until_late(name, |time| assert_eq!(call(Some(&after(time))), libc::ETIMEDOUT));
    };
    late("mq_timedreceive", &|until| take(queue, until).unwrap_err());
    assert_eq!(killed_in("mq_receive", move || take(queue, None)), Err(libc::ECANCELED));
    put_one();
    assert_eq!(neighbour_goes_on("mq_send", move || put(queue, None), take_one), Ok(0));
    assert_eq!(neighbour_goes_on("mq_timedsend", move || put(queue, Some(&later)), take_one), Ok(0));
    late("mq_timedsend", &|until| put(queue, until).unwrap_err());
    assert_eq!(timed_out_in("mq_send", || put(queue, None)), Err(libc::ETIMEDOUT));
    let invalid = timespec { tv_sec: 0, tv_nsec: -1 };
    assert_eq!(put(queue, Some(&invalid)), Err(libc::EINVAL));
    // SAFETY: opened above, and nobody else's.
    assert_eq!(unsafe { libc::mq_close(queue) }, 0);

    let queue = queue_of_posix(libc::O_NONBLOCK);
    assert_eq!(take(queue, None), Err(libc::EAGAIN));
    assert_eq!((put(queue, None), put(queue, None)), (Ok(0), Err(libc::EAGAIN)));
    // SAFETY: as above.
    assert_eq!(unsafe { libc::mq_close(queue) }, 0);
}

#[test]
fn queues_and_semaphores_of_processes_park_the_green_thread() {
    watchdog();
    osier::patch::group(osier::patch::Group::Ipc);
    osier::run(|| {
        a_queue_of_system_v();
        semaphores_of_system_v();
        a_queue_of_posix();
    });
}
