//! The sources as shipped, with their models.

#[allow(dead_code, reason = "a model uses what it checks")]
#[path = "../../runtime/src/inbox.rs"]
mod inbox;

#[path = "models/inbox_close.rs"]
pub mod inbox_close;
#[path = "models/inbox_order.rs"]
pub mod inbox_order;
#[path = "models/inbox_repeat.rs"]
pub mod inbox_repeat;
#[path = "models/inbox_sleep.rs"]
pub mod inbox_sleep;
