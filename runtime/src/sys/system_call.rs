//! libc's function `syscall`, as this crate calls it.
//!
//! The feature `patch` defines that symbol, and looks there at who calls for what. The crate's own calls are made without that: by a
//! function of another name, which does what libc's does.

#[cfg(not(feature = "patch"))]
pub(crate) use libc::syscall;

#[cfg(feature = "patch")]
unsafe extern "C" {
    /// As `syscall(2)`.
    #[link_name = "__osier_system_call"]
    pub(crate) fn syscall(number: libc::c_long, ...) -> libc::c_long;
}

/// What lies behind [`syscall`], and what its shim leads to.
///
/// What a caller passes in registers and on the stack lies where six more arguments would. So it does in libc, and so do the
/// instructions here: a system call that returns twice, or on another stack, does so as from libc's.
#[cfg(all(feature = "patch", target_arch = "x86_64"))]
#[unsafe(naked)]
#[unsafe(export_name = "__osier_system_call")]
pub(crate) unsafe extern "C" fn with_registers() {
    core::arch::naked_asm!(
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, [rsp + 8]",
        "syscall",
        "cmp rax, -4095",
        "jae 2f",
        "ret",
        "2:",
        "mov rdi, rax",
        "jmp {fail}",
        fail = sym fail,
    )
}

/// What lies behind [`syscall`], and what its shim leads to.
#[cfg(all(feature = "patch", target_arch = "aarch64"))]
#[unsafe(naked)]
#[unsafe(export_name = "__osier_system_call")]
pub(crate) unsafe extern "C" fn with_registers() {
    core::arch::naked_asm!(
        "mov x8, x0",
        "mov x0, x1",
        "mov x1, x2",
        "mov x2, x3",
        "mov x3, x4",
        "mov x4, x5",
        "mov x5, x6",
        "svc 0",
        "cmn x0, 4095",
        "b.cs 2f",
        "ret",
        "2:",
        "b {fail}",
        fail = sym fail,
    )
}

/// What libc's function answers for this result of a system call that has failed.
#[cfg(feature = "patch")]
pub(crate) extern "C" fn fail(result: libc::c_long) -> libc::c_long {
    super::errno::set((-result) as libc::c_int);
    -1
}

/// What libc's function answers for this result of a system call.
#[cfg(feature = "patch")]
pub(crate) fn answer(result: libc::c_long) -> libc::c_long {
    if (-4095..0).contains(&result) { fail(result) } else { result }
}
