//! Servers to be clients of: real ones of Debian's packages, when those are installed, and small ones that delay their answers.
//!
//! The small ones run on OS threads, where everything is as ever.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long an operation takes.
pub(crate) const DELAY: Duration = Duration::from_millis(100);

/// Serves each connection on an OS thread of its own, for as long as the process lives.
pub(crate) fn serve(service: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // A hundred come at once.
    // SAFETY: no pointers.
    assert_eq!(unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 512) }, 0);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, service) = (stream.unwrap(), service.clone());
            stream.set_nodelay(true).unwrap();
            // A client that goes away is no failure.
            std::thread::spawn(move || drop(service(stream)));
        }
    });
    address
}

/// A server process, ended when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    _directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program of the system, if it is installed.
fn program(names: &[&str]) -> Option<PathBuf> {
    let mut places =
        vec![PathBuf::from("/usr/bin"), PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/bin")];
    for version in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        places.push(version.path().join("bin"));
    }
    places.iter().flat_map(|place| names.iter().map(move |name| place.join(name))).find(|path| path.exists())
}

/// A test is passed over on a machine that has not all that it needs; `.ci/run` has installed it, and says so by `CI`.
pub(crate) fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is not installed");
    let _ = writeln!(io::stderr(), "skipped: {what} is not installed");
}

fn started(mut command: Command, port: u16, directory: tempfile::TempDir) -> Server {
    let log = std::fs::File::create(directory.path().join("log")).unwrap();
    let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let server = Server { child, port, _directory: directory };
    let end = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > end {
            let log = std::fs::read_to_string(server._directory.path().join("log"));
            panic!("{command:?} does not listen: {}", log.unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    server
}

pub(crate) fn redis() -> Option<Server> {
    let Some(path) = program(&["redis-server"]) else {
        missing("redis-server");
        return None;
    };
    let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut command = Command::new(path);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.arg("--dir").arg(directory.path());
    Some(started(command, port, directory))
}

pub(crate) fn mariadb() -> Option<Server> {
    let (Some(path), Some(install)) =
        (program(&["mariadbd", "mysqld"]), program(&["mariadb-install-db", "mysql_install_db"]))
    else {
        missing("mariadb-server");
        return None;
    };
    let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
    let data = directory.path().join("data");
    let installed = Command::new(install)
        .args(["--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db"])
        .arg(format!("--datadir={}", data.display()))
        .output()
        .unwrap();
    assert!(installed.status.success(), "{installed:?}");
    let mut command = Command::new(path);
    command.args(["--no-defaults", "--user=root", "--skip-grant-tables", "--skip-name-resolve"]);
    command.args(["--bind-address=127.0.0.1", "--max-connections=200", "--back-log=200"]);
    command.args([format!("--port={port}"), format!("--datadir={}", data.display())]);
    command.arg(format!("--socket={}", directory.path().join("socket").display()));
    command.arg(format!("--pid-file={}", directory.path().join("pid").display()));
    Some(started(command, port, directory))
}

/// The user whom Debian's package makes for it: the server refuses to run as root.
fn postgres_user() -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

pub(crate) fn postgres() -> Option<Server> {
    let directory = Path::new("/usr/lib/postgresql");
    let bin =
        directory.read_dir().ok().and_then(|mut versions| Some(versions.next()?.ok()?.path().join("bin")));
    let (Some(bin), Some((user, group))) = (bin.filter(|bin| bin.join("initdb").exists()), postgres_user())
    else {
        missing("postgresql");
        return None;
    };
    let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
    std::os::unix::fs::chown(directory.path(), Some(user), Some(group)).unwrap();
    let data = directory.path().join("data");
    let as_user = |program: &str| {
        let mut command = Command::new(bin.join(program));
        // SAFETY: no pointers.
        if unsafe { libc::geteuid() } == 0 {
            command.uid(user).gid(group);
        }
        command.current_dir(directory.path());
        command
    };
    let made = as_user("initdb").args(["--auth=trust", "--no-sync", "-U", "osier", "-D"]).arg(&data).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut command = as_user("postgres");
    command.args(["-p", &port.to_string(), "-c", "max_connections=130", "-c", "fsync=off"]);
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]).arg("-D").arg(&data);
    Some(started(command, port, directory))
}
