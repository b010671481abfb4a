//! The shims, in groups.

use crate::number;
use core::ffi::{c_char, c_int};
use osier::patch::{self, Group};

/// `osier_patch_group_t`: a group's place is its number.
const GROUPS: [Group; Group::ALL.len()] = [
    Group::Sleep,
    Group::Net,
    Group::Poll,
    Group::Pipe,
    Group::Futex,
    Group::Process,
    Group::Dns,
    Group::FileLock,
    Group::File,
    Group::Signal,
    Group::Ipc,
];

fn of_number(number: c_int) -> Option<Group> {
    GROUPS.get(usize::try_from(number).ok()?).copied()
}

/// Activates all groups but that of files.
#[unsafe(no_mangle)]
pub extern "C" fn osier_patch_all() -> c_int {
    patch::all();
    all_linked(|_| true)
}

/// Activates a group.
#[unsafe(no_mangle)]
pub extern "C" fn osier_patch_group(group: c_int) -> c_int {
    let Some(group) = of_number(group) else { return libc::EINVAL };
    patch::group(group);
    all_linked(|of| of.contains(&group))
}

/// `ENOTSUP` if another definition stands in front of one of these shims: in a library that came too late to be the first.
fn all_linked(of: impl Fn(&[Group]) -> bool) -> c_int {
    let mut shims = patch::symbols().iter().filter(|symbol| of(symbol.groups()));
    if number::keeping_errno(|| shims.all(|symbol| symbol.is_linked())) { 0 } else { libc::ENOTSUP }
}

/// Whether a group was activated.
#[unsafe(no_mangle)]
pub extern "C" fn osier_patch_is_active(group: c_int) -> c_int {
    c_int::from(of_number(group).is_some_and(patch::is_active))
}

/// Writes what is patched, and what came of it.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn osier_patch_report(buffer: *mut c_char, size: usize) -> usize {
    let text = number::keeping_errno(|| patch::report().to_string());
    if !buffer.is_null() && size > 0 {
        let fits = &text[..text.floor_char_boundary(size - 1)];
        // SAFETY: `size` bytes are valid for writes, by the header, and this part and its end take no more.
        unsafe { number::copy(fits, buffer) };
    }
    text.len()
}
