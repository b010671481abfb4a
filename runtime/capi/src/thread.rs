//! Green threads: made, joined, killed and asked.

use crate::function::{Call, Function, Value};
use crate::number::{self, Outcome, answer, keeping_errno};
use crate::registry::{self, Record, Spawned, ThreadName};
use crate::settings::Attr;
use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use osier::thread::{Builder, Killed};
use osier::time::Duration;
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;

/// `OSIER_KILLED`.
const KILLED: Value = Value(ptr::without_provenance_mut(usize::MAX));

/// Queues a green thread.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn osier_spawn(
    thread: *mut ThreadName,
    attr: *const Attr,
    body: Option<Function>,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    let call = unsafe { Call::new(body, arg) };
    // SAFETY: the caller's promise.
    let builder = unsafe { Attr::builder(attr) };
    let spawned = call.and_then(|call| keeping_errno(|| spawn(builder?, call)));
    match spawned {
        Err(number) => number,
        // It was made just now, and nobody else knows its name.
        Ok((_, spawned)) if thread.is_null() => answer(spawned.detach()),
        Ok((name, _)) => {
            // SAFETY: the caller's promise.
            unsafe { thread.write(name) };
            0
        }
    }
}

fn spawn(builder: Builder, body: Call) -> Result<(ThreadName, Arc<Spawned>), c_int> {
    let spawned = registry::spawned(|ends| {
        builder.spawn(move || {
            let _ends = ends;
            body.run()
        })
    });
    spawned.map_err(|error| number::of(&error))
}

/// Waits for the end of a green thread.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn osier_join(thread: ThreadName, result: *mut *mut c_void) -> c_int {
    let outcome = keeping_errno(|| joined(thread, None));
    // SAFETY: the caller's promise.
    unsafe { number::finish(result, outcome) }
}

/// [`osier_join`], for so long at most.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn osier_join_timeout(
    thread: ThreadName,
    result: *mut *mut c_void,
    nanoseconds: u64,
) -> c_int {
    let outcome = keeping_errno(|| joined(thread, Some(Duration::from_nanos(nanoseconds))));
    // SAFETY: the caller's promise.
    unsafe { number::finish(result, outcome) }
}

fn joined(thread: ThreadName, patience: Option<Duration>) -> Outcome {
    if thread == ThreadName::of(&osier::thread::current()) {
        return Err(libc::EDEADLK);
    }
    let record = registry::look_up(thread)?;
    let spawned = record.spawned()?;
    spawned.begin_join()?;
    let ended = number::waiting(|| match patience {
        None => {
            spawned.handle.wait();
            true
        }
        Some(patience) => spawned.handle.wait_timeout(patience),
    });
    if let Some(number) = ended.map_or_else(Some, |ended| (!ended).then_some(libc::ETIMEDOUT)) {
        spawned.give_up_join();
        return Err(number);
    }
    let Record::Spawned(spawned) = record else { unreachable!("looked at above") };
    registry::forget(thread.id);
    outcome(spawned)
}

/// What came of a green thread that has ended, and is forgotten.
fn outcome(mut spawned: Arc<Spawned>) -> Outcome {
    let handle = loop {
        match Arc::try_unwrap(spawned) {
            Ok(Spawned { handle, .. }) => break handle,
            // Another OS thread had looked it up before, for one of the functions that never wait.
            Err(shared) => spawned = shared,
        }
        std::thread::yield_now();
    };
    // It has ended; under a shield, since even then others may be let run, and the caller told to end.
    match osier::shield(|| handle.join()) {
        Ok(value) => Ok((value, 0)),
        Err(payload) if payload.is::<Killed>() => Ok((KILLED, 0)),
        Err(payload) if payload.is::<io::Error>() => Err(libc::ENOMEM),
        Err(bug) => resume_unwind(bug),
    }
}

/// Lets a green thread's record be freed at its end.
#[unsafe(no_mangle)]
pub extern "C" fn osier_detach(thread: ThreadName) -> c_int {
    answer(registry::look_up(thread).and_then(|record| record.spawned()?.detach()))
}

/// Has a green thread end.
#[unsafe(no_mangle)]
pub extern "C" fn osier_kill(thread: ThreadName) -> c_int {
    answer(keeping_errno(|| {
        registry::look_up(thread)?.spawned()?.handle.kill();
        Ok(())
    }))
}

/// Whether a thread has ended.
#[unsafe(no_mangle)]
pub extern "C" fn osier_is_finished(thread: ThreadName) -> c_int {
    c_int::from(match registry::find(thread) {
        Some(Record::Spawned(spawned)) => spawned.handle.is_finished(),
        Some(Record::Main(_) | Record::Os(_)) => false,
        None => true,
    })
}

/// Writes a thread's name.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn osier_name(thread: ThreadName, buffer: *mut c_char, size: usize) -> c_int {
    if buffer.is_null() {
        return libc::EINVAL;
    }
    let record = match registry::look_up(thread) {
        Ok(record) => record,
        Err(number) => return number,
    };
    let name = record.thread().display_name();
    if name.len() >= size {
        return libc::ERANGE;
    }
    // SAFETY: `size` bytes are valid for writes, by the header, and the name and its end take no more.
    unsafe { number::copy(&name, buffer) };
    0
}

/// The thread that calls.
#[unsafe(no_mangle)]
pub extern "C" fn osier_self() -> ThreadName {
    registry::current()
}

/// Whether a green thread calls.
#[unsafe(no_mangle)]
pub extern "C" fn osier_on_green_thread() -> c_int {
    let caller = registry::find(ThreadName::of(&osier::thread::current()));
    c_int::from(matches!(caller, Some(Record::Spawned(_) | Record::Main(_))))
}

/// Lets a thread's park return.
#[unsafe(no_mangle)]
pub extern "C" fn osier_unpark(thread: ThreadName) -> c_int {
    answer(keeping_errno(|| {
        registry::look_up(thread)?.thread().unpark();
        Ok(())
    }))
}
