//! Running a program of this crate, and looking at what it printed.
#![allow(dead_code, reason = "not every test looks at everything")]

use rustix::net::{AddressFamily, SocketType};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::process::{Command, Output};

pub(crate) fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().expect("the program runs")
}

/// What a program that went well has printed; nothing on standard error.
#[track_caller]
pub(crate) fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).expect("text").lines().map(str::to_owned).collect()
}

/// The program has `--help`, and says in one line what is wrong with each of these arguments.
#[track_caller]
pub(crate) fn assert_refuses(program: &str, bad: &[&[&str]]) {
    let help = run(program, &["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("Usage:"), "{help:?}");
    for arguments in bad {
        let refused = run(program, arguments);
        assert!(!refused.status.success(), "{arguments:?}: {refused:?}");
        assert_eq!(String::from_utf8_lossy(&refused.stderr).lines().count(), 1, "{arguments:?}: {refused:?}");
        assert_eq!(String::from_utf8_lossy(&refused.stdout), "", "{arguments:?}");
    }
}

/// An address that nobody listens at, nor anybody else gets as long as the socket is there.
pub(crate) fn deaf() -> (OwnedFd, SocketAddr) {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = rustix::net::getsockname(&socket).expect("an address").try_into().expect("an address");
    (socket, address)
}
