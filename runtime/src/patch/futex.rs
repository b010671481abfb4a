//! The group `futex`: `syscall`, as far as it waits for futexes and ends such waits. std's locks are made of these.
//!
//! Green threads wait in the table of [`addresses`], OS threads in the kernel, and a wake-up reaches both. One that is meant
//! for a number of waiters goes to green threads and to OS threads in turns: to the one kind first, and what is left of
//! it to the other. So neither kind starves the other, and within each kind the first come are served first.
//!
//! A wait that the caller shares with other processes cannot be seen by those: it looks at the word now and then.

use super::addresses::{self, Counted, Key, Outcome, What};
use super::deadline::Deadline;
use super::report::{Blocking, blocks, count};
use super::std_park::{self, Kind};
use super::wait::on_green;
use super::{Group, is_active, local_word, system_calls};
use crate::park::Reason;
use crate::scheduler::Worker;
use crate::sys::errno;
use crate::sys::futex::call;
use crate::sys::system_call::{self, answer, fail};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use core::time::Duration;
use libc::{c_int, c_long, timespec};

/// How often a word is looked at that another process may change.
const LOOK: Duration = Duration::from_millis(5);

/// `FUTEX_LOCK_PI2`.
const LOCK_PI2: c_int = 13;

/// `SYS_futex_wake`, `SYS_futex_wait` and `SYS_futex_requeue`.
pub(super) const WAKE: c_long = 454;
pub(super) const WAIT: c_long = 455;
pub(super) const REQUEUE: c_long = 456;

/// As `syscall(2)`, which takes as many arguments as the system call has. What is neither a futex's nor
/// [watched](system_calls::WATCHED) goes straight on, with the registers and the stack as they are.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn syscall(
    number: c_long,
    first: c_long,
    second: c_long,
    third: c_long,
    fourth: c_long,
    fifth: c_long,
    sixth: c_long,
) -> c_long {
    core::arch::naked_asm!(
        "cmp rdi, {futex_number}",
        "je 2f",
        "cmp rdi, {known}",
        "jae 1f",
        "lea rax, [rip + {watched}]",
        "cmp byte ptr [rax + rdi], 0",
        "jne 3f",
        "1:",
        "jmp {behind}",
        "2:",
        "jmp {futex}",
        "3:",
        "jmp {watch}",
        futex_number = const libc::SYS_futex,
        known = const system_calls::WATCHED.len(),
        watched = sym system_calls::WATCHED,
        behind = sym system_call::with_registers,
        futex = sym futex,
        watch = sym system_calls::watch,
    )
}

/// As `syscall(2)`, which takes as many arguments as the system call has. What is neither a futex's nor
/// [watched](system_calls::WATCHED) goes straight on, with the registers and the stack as they are.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn syscall(
    number: c_long,
    first: c_long,
    second: c_long,
    third: c_long,
    fourth: c_long,
    fifth: c_long,
    sixth: c_long,
) -> c_long {
    core::arch::naked_asm!(
        "cmp x0, {futex_number}",
        "b.eq 2f",
        "cmp x0, {known}",
        "b.hs 1f",
        "adrp x9, {watched}",
        "add x9, x9, :lo12:{watched}",
        "ldrb w9, [x9, x0]",
        "cbnz w9, 3f",
        "1:",
        "b {behind}",
        "2:",
        "b {futex}",
        "3:",
        "b {watch}",
        futex_number = const libc::SYS_futex,
        known = const system_calls::WATCHED.len(),
        watched = sym system_calls::WATCHED,
        behind = sym system_call::with_registers,
        futex = sym futex,
        watch = sym system_calls::watch,
    )
}

/// The arguments of `syscall(SYS_futex, ..)`.
struct Arguments {
    number: c_long,
    address: c_long,
    operation: c_long,
    value: c_long,
    /// A time, or a second count.
    time: c_long,
    second_address: c_long,
    bits: c_long,
}

extern "C" fn futex(
    number: c_long,
    address: c_long,
    operation: c_long,
    value: c_long,
    time: c_long,
    second_address: c_long,
    bits: c_long,
) -> c_long {
    count!(syscall);
    let arguments = Arguments { number, address, operation, value, time, second_address, bits };
    if !is_active(Group::Futex) {
        return arguments.call();
    }
    match operation as c_int & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) {
        libc::FUTEX_WAIT => wait(&arguments, u32::MAX, false),
        libc::FUTEX_WAIT_BITSET => wait(&arguments, bits as u32, true),
        libc::FUTEX_WAKE => wake(&arguments, u32::MAX),
        libc::FUTEX_WAKE_BITSET => wake(&arguments, bits as u32),
        libc::FUTEX_REQUEUE | libc::FUTEX_CMP_REQUEUE => move_waiters(&arguments, &[address]),
        libc::FUTEX_WAKE_OP => move_waiters(&arguments, &[address, second_address]),
        libc::FUTEX_LOCK_PI | LOCK_PI2 | libc::FUTEX_WAIT_REQUEUE_PI => {
            blocks(Blocking::PriorityFutex);
            arguments.call()
        }
        _ => arguments.call(),
    }
}

impl Arguments {
    fn make(&self) -> c_long {
        let rest = [self.address, self.operation, self.value, self.time, self.second_address, self.bits];
        // SAFETY: what the caller of `syscall` answers for.
        unsafe { call(self.number, rest) }
    }

    /// What happens without us.
    fn call(&self) -> c_long {
        answer(self.make())
    }

    fn has(&self, flag: c_int) -> bool {
        self.operation as c_int & flag != 0
    }

    fn key(&self) -> Key {
        key(self.address)
    }
}

fn key(address: c_long) -> Key {
    Key { address: address as usize, what: What::Futex }
}

fn wait(arguments: &Arguments, bits: u32, is_absolute: bool) -> c_long {
    if std_park::is_being_told() {
        return fail(-c_long::from(std_park::tell(arguments.address as usize)));
    }
    wait_on_green(arguments, bits, is_absolute).unwrap_or_else(|| arguments.call())
}

/// Waits on a green thread; `None` if the kernel is to do it, or to refuse it.
fn wait_on_green(arguments: &Arguments, bits: u32, is_absolute: bool) -> Option<c_long> {
    on_green(Group::Futex, |worker| {
        // What the kernel refuses it shall refuse.
        let address = core::ptr::with_exposed_provenance::<AtomicU32>(arguments.address as usize);
        if address.is_null() || !address.is_aligned() || bits == 0 {
            return None;
        }
        // SAFETY: the caller waits for this word, which must be there until that has ended.
        let word = unsafe { &*address };
        let clock = if arguments.has(libc::FUTEX_CLOCK_REALTIME) {
            libc::CLOCK_REALTIME
        } else {
            libc::CLOCK_MONOTONIC
        };
        // SAFETY: null or a valid time, by the system call's contract.
        let time =
            unsafe { core::ptr::with_exposed_provenance::<timespec>(arguments.time as usize).as_ref() };
        let deadline = match time {
            None => Deadline::never(),
            Some(time) if is_absolute => Deadline::at(worker, clock, time)?,
            Some(time) => Deadline::after(worker, time)?,
        };
        let before = errno::last();
        let code = wait_green(worker, arguments, word, bits, &deadline);
        errno::set(if code == 0 { before } else { code });
        Some(if code == 0 { 0 } else { -1 })
    })
    .flatten()
}

/// Gives 0 or an error's number.
fn wait_green(
    worker: &Worker,
    arguments: &Arguments,
    word: &AtomicU32,
    bits: u32,
    deadline: &Deadline,
) -> c_int {
    match std_park::kind(worker, word, arguments.value as u32) {
        Kind::StdPark => return std_park::wait(worker, word, deadline),
        Kind::Learned => return 0,
        Kind::Other => {}
    }
    let park = || park(worker, arguments, word, bits, deadline);
    if local_word::is_own(word) {
        local_word::wait(worker, word, arguments.value as u32, bits, deadline, park)
    } else {
        park()
    }
}

/// Parks the green thread. Gives 0 or an error's number.
fn park(worker: &Worker, arguments: &Arguments, word: &AtomicU32, bits: u32, deadline: &Deadline) -> c_int {
    let (key, expected) = (arguments.key(), arguments.value as u32);
    let reason = Reason::Futex(key.address);
    let is_shared = !arguments.has(libc::FUTEX_PRIVATE_FLAG);
    let mut is_first = true;
    loop {
        let stop = deadline.next_stop(worker, is_shared.then_some(LOOK));
        // SeqCst: pairs with the fence of `anybody_waits`, which comes after the change of the word.
        let must_wait = || word.load(Ordering::SeqCst) == expected;
        match addresses::wait(worker, key, bits, reason, stop, must_wait) {
            Outcome::Needless if is_first => return libc::EAGAIN,
            Outcome::Needless | Outcome::Chosen => return 0,
            Outcome::Deadline if deadline.has_passed(stop) => return libc::ETIMEDOUT,
            Outcome::Deadline => is_first = false,
        }
    }
}

fn wake(arguments: &Arguments, bits: u32) -> c_long {
    if !addresses::anybody_waits() {
        return arguments.call();
    }
    if std_park::is_being_told() {
        std_park::tell(arguments.address as usize);
        return 0;
    }
    let Ok(count) = usize::try_from(arguments.value as c_int) else { return arguments.call() };
    wake_both(arguments.key(), bits, count, |count| Arguments { value: count as c_long, ..*arguments }.make())
}

/// Wakes so many of both kinds, those in the kernel by that call.
fn wake_both(key: Key, bits: u32, count: usize, in_kernel: impl Fn(usize) -> c_long) -> c_long {
    /// Whose turn it is to be woken first.
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let before = errno::last();
    // A green thread in `std::thread::park` is woken besides: the OS thread itself may wait for the same token.
    let parked = Key { what: What::StdToken, ..key };
    let result = if addresses::wake(parked, usize::MAX, bits) > 0 || !addresses::is_awaited(key) {
        in_kernel(count)
    } else if count == 1 && TURN.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
        match in_kernel(1) {
            0 => addresses::wake(key, 1, bits) as c_long,
            result => result,
        }
    } else {
        let woken = addresses::wake(key, count, bits);
        match if woken < count { in_kernel(count - woken) } else { 0 } {
            more @ 0.. => woken as c_long + more,
            error => error,
        }
    };
    errno::set(before);
    answer(result)
}

/// The operations that move waiters, or wake those of two words. Green threads are not moved: all that may be meant are woken
/// and look again.
fn move_waiters(arguments: &Arguments, words: &[c_long]) -> c_long {
    let result = arguments.make();
    if result < 0 || !addresses::anybody_waits() {
        return answer(result);
    }
    wake_besides(result, words)
}

/// Wakes all green threads that wait for these words, after the kernel has woken so many OS threads.
fn wake_besides(woken: c_long, words: &[c_long]) -> c_long {
    let green: usize = words.iter().map(|&word| addresses::wake(key(word), usize::MAX, u32::MAX)).sum();
    woken + green as c_long
}

/// Makes one of the calls of Linux 6.7 about futexes, which do what operations of `SYS_futex` do, and meet those.
pub(super) fn call_newer(number: c_long, given: &[c_long; 6]) -> c_long {
    count!(syscall);
    // SAFETY: what the caller of `syscall` answers for.
    let made = |arguments| unsafe { call(number, arguments) };
    if !is_active(Group::Futex) {
        return answer(made(*given));
    }
    match number {
        WAIT => wait_newer(given, made),
        WAKE if addresses::anybody_waits() => wake_newer(given, made),
        REQUEUE => {
            let result = made(*given);
            if result < 0 || !addresses::anybody_waits() {
                return answer(result);
            }
            // Two of the kernel's `struct futex_waitv`, each with the address in the second place.
            let first = core::ptr::with_exposed_provenance::<[u64; 3]>(given[0] as usize);
            // SAFETY: the kernel has read it.
            let [_, address, _] = unsafe { first.read() };
            wake_besides(result, &[address as c_long])
        }
        _ => answer(made(*given)),
    }
}

/// `futex_wait`: the address, the value, the bits, the flags, the time and its clock.
fn wait_newer(given: &[c_long; 6], made: impl Fn([c_long; 6]) -> c_long) -> c_long {
    let &[address, value, bits, flags, time, clock] = given;
    let waited = on_green(Group::Futex, |_| {
        let passed = timespec { tv_sec: 0, tv_nsec: 0 };
        let passed = (&raw const passed).expose_provenance() as c_long;
        let clock = if time == 0 { libc::CLOCK_MONOTONIC.into() } else { clock };
        // The kernel refuses what it does not know, and says whether there is need to wait.
        match made([address, value, bits, flags, passed, clock]) {
            needed if needed == -c_long::from(libc::ETIMEDOUT) => {}
            result => return Some(answer(result)),
        }
        let real = if clock == c_long::from(libc::CLOCK_REALTIME) { libc::FUTEX_CLOCK_REALTIME } else { 0 };
        // Private ones have the same flag.
        let operation = c_long::from(flags as c_int & libc::FUTEX_PRIVATE_FLAG | real);
        let number = libc::SYS_futex;
        let arguments = Arguments { number, address, operation, value, time, second_address: 0, bits };
        wait_on_green(&arguments, bits as u32, true)
    });
    waited.flatten().unwrap_or_else(|| answer(made(*given)))
}

/// `futex_wake`: the address, the bits, the number of waiters, the flags.
fn wake_newer(given: &[c_long; 6], made: impl Fn([c_long; 6]) -> c_long) -> c_long {
    let &[address, bits, count, flags, ..] = given;
    let in_kernel = |count: usize| made([address, bits, count as c_long, flags, 0, 0]);
    // To wake nobody: the kernel refuses what it does not know.
    match (in_kernel(0), usize::try_from(count as c_int)) {
        (0, Ok(count)) => wake_both(key(address), bits as u32, count, in_kernel),
        _ => answer(made(*given)),
    }
}

/// Has all wake-ups come here, also while nobody waits.
pub(super) fn see_all() -> Counted {
    Counted::new()
}
