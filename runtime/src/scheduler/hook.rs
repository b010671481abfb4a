//! The panic hook: says which green thread has panicked, and lets blocking calls know that they are in a hook.
//!
//! std counts an OS thread that runs its hook as panicking in a way that must not be left to others, so a wait in a hook
//! blocks the OS thread instead of switching.

use super::with_worker;
use core::cell::Cell;
use std::io::Write;
use std::panic;
use std::sync::Once;

thread_local! {
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic hook runs on this OS thread.
#[inline]
pub(crate) fn in_panic_hook() -> bool {
    IN_HOOK.get()
}

/// Puts ours around the panic hook that is set, once in the life of the process. A hook that is set later replaces it; then
/// waits in that hook are not told apart.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let nested = IN_HOOK.replace(true);
            with_worker(|worker| {
                if let Some(task) = worker.and_then(|worker| worker.running()) {
                    let name = task.display_name();
                    // The hook prints the name of the OS thread, which says little here.
                    let _ = writeln!(std::io::stderr(), "\nin green thread '{name}' ({}):", task.id);
                }
            });
            previous(info);
            IN_HOOK.set(nested);
        }));
    });
}
