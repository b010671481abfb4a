//! The only room that names libc. Each function is one system call or one libc call, with its errors turned into
//! `io::Error` and its interruptions (`EINTR`) retried where that is safe.

pub(crate) mod clock;
