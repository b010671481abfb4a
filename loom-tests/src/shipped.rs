//! The sources as shipped, with their models.
#![allow(dead_code, unreachable_pub, reason = "a model uses what it checks")]

#[path = "../../runtime/src/completion.rs"]
mod completion;
#[path = "../../runtime/src/inbox.rs"]
mod inbox;
#[path = "../../runtime/src/permit.rs"]
mod permit;
#[path = "../../runtime/src/sync/semaphore.rs"]
mod semaphore;

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
#[path = "models/park.rs"]
pub mod park;
#[path = "models/semaphore_kill.rs"]
pub mod semaphore_kill;
#[path = "models/semaphore_timeout.rs"]
pub mod semaphore_timeout;
