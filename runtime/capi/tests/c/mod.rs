//! Compiles and runs programs of C. Each test file uses a part.
#![allow(dead_code, reason = "each test file uses a part")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program is linked with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Link {
    Nothing,
    Shared,
    Archive,
}

/// One of the libraries that Cargo has built along with this test, in whichever profile.
pub(crate) fn library(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().skip(1).map(|folder| folder.join(name)).find(|path| path.exists()).unwrap()
}

/// Whether there is such a command.
pub(crate) fn has(command: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| folder.join(command).exists())
}

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn made(name: &str) -> PathBuf {
    // Profiles share the folder, and may be tested at the same time.
    let profile = library("libosier_c.so").ancestors().nth(2).unwrap().file_name().unwrap().to_owned();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(profile);
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

fn compiler() -> Command {
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-g", "-I"]).arg(source("include"));
    cc
}

fn succeed(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Compiles a program of one file.
pub(crate) fn compile(path: &str, link: Link) -> PathBuf {
    let name = Path::new(path).file_stem().unwrap().to_str().unwrap();
    compile_with(path, link, &[], name)
}

/// [`compile`], with more flags, into a program of this name.
pub(crate) fn compile_with(path: &str, link: Link, flags: &[&str], name: &str) -> PathBuf {
    let program = made(name);
    let mut cc = compiler();
    if flags.contains(&"c++") {
        cc.args(flags).arg(source(path)).args(["-x", "none", "-lstdc++"]);
    } else {
        // With what POSIX adds to C.
        cc.args(["-std=c11", "-D_GNU_SOURCE"]).arg(source(path)).args(flags);
    }
    match link {
        Link::Nothing => {}
        Link::Shared => {
            let folder = library("libosier_c.so").parent().unwrap().to_owned();
            cc.arg("-L").arg(&folder).arg("-losier_c").arg(format!("-Wl,-rpath,{}", folder.display()));
        }
        Link::Archive => _ = cc.arg(library("libosier_c.a")).arg("-lm"),
    }
    cc.arg("-o").arg(&program);
    succeed(cc);
    program
}

/// Compiles a shared library of one file.
pub(crate) fn shared_library(path: &str) -> PathBuf {
    let name = Path::new(path).file_stem().unwrap().to_str().unwrap();
    let library = made(&format!("lib{name}.so"));
    let mut cc = compiler();
    cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source(path));
    succeed(cc);
    library
}

/// Has the compiler look at a file and nothing more.
pub(crate) fn checks(path: &str, flags: &[&str]) {
    let mut cc = compiler();
    cc.args(flags).arg("-fsyntax-only").arg(source(path));
    succeed(cc);
}

/// What a program has done.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: ExitStatus,
}

/// Runs a program, and ends it if it takes so long that something must be wrong. What it prints must fit into a pipe.
pub(crate) fn run(program: &mut Command) -> Output {
    // Cargo names its folders there, in which there may be an older library; it would come before what the program says.
    let program = program.env_remove("LD_LIBRARY_PATH");
    let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output { stdout: text(output.stdout), stderr: text(output.stderr), status: output.status }
}

/// The text of one of the crate's files.
pub(crate) fn text(path: &str) -> String {
    std::fs::read_to_string(source(path)).unwrap()
}
