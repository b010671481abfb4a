//! The sources as shipped, with their models.
#![allow(dead_code, unreachable_pub, reason = "a model uses what it checks")]

#[path = "../../runtime/src/sync/barrier_core.rs"]
mod barrier_core;
#[path = "../../runtime/src/sync/channel.rs"]
mod channel;
#[path = "../../runtime/src/sync/condvar_core.rs"]
mod condvar_core;
#[path = "../../runtime/src/sync/event.rs"]
mod event;
#[path = "../../runtime/src/inbox.rs"]
mod inbox;
#[path = "../../runtime/src/sync/once_core.rs"]
mod once_core;
#[path = "../../runtime/src/scheduler/owner.rs"]
mod owner;
#[path = "../../runtime/src/permit.rs"]
mod permit;
#[path = "../../runtime/src/offload/pool.rs"]
mod pool;
#[path = "../../runtime/src/sync/rwlock_core.rs"]
mod rwlock_core;
#[path = "../../runtime/src/sync/semaphore.rs"]
mod semaphore;
#[path = "../../runtime/src/scheduler/theft.rs"]
mod theft;
#[path = "../../runtime/src/sync/wait_group.rs"]
mod wait_group;
use crate::completion;
use crate::sync::mutex_core;

#[path = "models/barrier.rs"]
pub mod barrier;
#[path = "models/channel_close.rs"]
pub mod channel_close;
#[path = "models/channel_hang_up.rs"]
pub mod channel_hang_up;
#[path = "models/channel_kill.rs"]
pub mod channel_kill;
#[path = "models/channel_rendezvous.rs"]
pub mod channel_rendezvous;
#[path = "models/condvar.rs"]
pub mod condvar;
#[path = "models/condvar_timeout.rs"]
pub mod condvar_timeout;
#[path = "models/event_set.rs"]
pub mod event_set;
#[path = "models/inbox_close.rs"]
pub mod inbox_close;
#[path = "models/inbox_order.rs"]
pub mod inbox_order;
#[path = "models/inbox_repeat.rs"]
pub mod inbox_repeat;
#[path = "models/inbox_sleep.rs"]
pub mod inbox_sleep;
#[path = "models/join.rs"]
pub mod join;
#[path = "models/mutex.rs"]
pub mod mutex;
#[path = "models/mutex_kill.rs"]
pub mod mutex_kill;
#[path = "models/mutex_timeout.rs"]
pub mod mutex_timeout;
#[path = "models/offload_close.rs"]
pub mod offload_close;
#[path = "models/offload_run.rs"]
pub mod offload_run;
#[path = "models/offload_timeout.rs"]
pub mod offload_timeout;
#[path = "models/once.rs"]
pub mod once;
#[path = "models/oneshot.rs"]
pub mod oneshot;
#[path = "models/owner_mark.rs"]
pub mod owner_mark;
#[path = "models/park.rs"]
pub mod park;
#[path = "models/rwlock.rs"]
pub mod rwlock;
#[path = "models/rwlock_timeout.rs"]
pub mod rwlock_timeout;
#[path = "models/semaphore_kill.rs"]
pub mod semaphore_kill;
#[path = "models/semaphore_timeout.rs"]
pub mod semaphore_timeout;
#[path = "models/spawn_at_the_end.rs"]
pub mod spawn_at_the_end;
#[path = "models/theft_idle.rs"]
pub mod theft_idle;
#[path = "models/theft_once.rs"]
pub mod theft_once;
#[path = "models/wait_group_leave.rs"]
pub mod wait_group_leave;
