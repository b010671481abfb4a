//! Published crates and C libraries, as they are: each makes 100 operations of 100 ms on 100 green threads of one OS thread, and
//! the 100 are over in less than half a second. Nothing is handed to an OS thread of the runtime's.
#![expect(unsafe_code, reason = "calls C libraries, and says how long a server's queue is")]

mod clibs;
mod http;
mod servers;

use self::servers::{DELAY, serve};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many at once.
const COUNT: usize = 100;

/// All of them together may take so long.
const LIMIT: Duration = Duration::from_millis(500);

/// One at a time: the machine's processors are few, and what is measured is time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many OS threads the process has that offloaded calls run on.
fn offload_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name =
        |task: io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
    tasks.filter_map(name).filter(|name| name.trim() == "osier-offload").count()
}

/// Makes `COUNT` clients on as many green threads, and then has all of them make an operation at the same time.
fn hundred_at_once<C>(
    name: &str,
    connect: impl Fn() -> C + Send + Sync + 'static,
    operate: impl Fn(&mut C) + Send + Sync + 'static,
) where
    C: 'static,
{
    let _alone = alone();
    osier::patch::all();
    osier::run(|| {
        let (connect, operate) = (Arc::new(connect), Arc::new(operate));
        // The machine may be busy with something else: the best of three tells what the green threads need.
        let ready = Arc::new(osier::sync::Barrier::new(COUNT + 1));
        let begin = Arc::new(osier::sync::Barrier::new(COUNT + 1));
        let threads: Vec<_> = (0..COUNT)
            .map(|_| {
                let (connect, operate) = (connect.clone(), operate.clone());
                let (ready, begin) = (ready.clone(), begin.clone());
                osier::thread::spawn_local(move || {
                    // One that fails goes on to meet the others, and fails at the end.
                    let mut client = catch_unwind(AssertUnwindSafe(|| connect()));
                    for _ in 0..3 {
                        ready.wait();
                        begin.wait();
                        client = client.and_then(|mut client| {
                            catch_unwind(AssertUnwindSafe(|| operate(&mut client)))?;
                            Ok(client)
                        });
                    }
                    ready.wait();
                    drop(client.unwrap_or_else(|failure| resume_unwind(failure)));
                })
            })
            .collect();
        let limited = |wait: &osier::sync::Barrier| {
            osier::time::timeout(Duration::from_secs(60), || wait.wait()).expect("somebody waits for ever");
        };
        limited(&ready);
        let mut best = Duration::MAX;
        for _ in 0..3 {
            let start = Instant::now();
            begin.wait();
            limited(&ready);
            let took = start.elapsed();
            best = best.min(took);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(best >= DELAY, "{name}: they did not wait at all: {best:?}");
        let _ = writeln!(io::stderr(), "{name}: {COUNT} operations of {DELAY:?} in {best:?}");
        assert!(best < LIMIT, "{name}: {best:?}, they waited for each other");
        assert_eq!(offload_threads(), 0, "{name}: something was handed to an OS thread");
    });
}

#[test]
fn redis_blpop() {
    let Some(server) = servers::redis() else { return };
    let url = format!("redis://127.0.0.1:{}/", server.port);
    hundred_at_once(
        "redis, BLPOP",
        move || redis::Client::open(url.as_str()).unwrap().get_connection().unwrap(),
        |connection| {
            let popped: Option<(String, String)> =
                redis::cmd("BLPOP").arg("nothing").arg(DELAY.as_secs_f64()).query(connection).unwrap();
            assert_eq!(popped, None);
        },
    );
}

#[test]
fn mysql_sleep() {
    use mysql::prelude::Queryable;
    let Some(server) = servers::mariadb() else { return };
    let port = server.port;
    hundred_at_once(
        "mysql, SELECT SLEEP",
        move || {
            let options = mysql::OptsBuilder::new()
                .ip_or_hostname(Some("127.0.0.1"))
                .tcp_port(port)
                .prefer_socket(false)
                .user(Some("root"));
            mysql::Conn::new(options).unwrap()
        },
        |connection| {
            let slept: Option<u8> = connection.query_first("SELECT SLEEP(0.1)").unwrap();
            assert_eq!(slept, Some(0));
        },
    );
}

/// What of memcached's text protocol a client needs that asks for a key.
fn memcached(stream: TcpStream) -> io::Result<()> {
    let mut answers = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        match line.split_whitespace().next() {
            Some("get" | "gets") => {
                std::thread::sleep(DELAY);
                answers.write_all(b"VALUE key 0 5\r\nhello\r\nEND\r\n")?;
            }
            _ => answers.write_all(b"VERSION 1.6.18\r\n")?,
        }
    }
    Ok(())
}

#[test]
fn memcache_get() {
    let address = serve(memcached);
    let url = format!("memcache://{address}?protocol=ascii");
    // Made off green threads, since its pool of connections has OS threads of its own make them.
    let client = memcache::Client::with_pool_size(url, COUNT as u32).unwrap();
    hundred_at_once(
        "memcache, get",
        move || client.clone(),
        |client| assert_eq!(client.get::<String>("key").unwrap().as_deref(), Some("hello")),
    );
}

#[test]
fn tungstenite_echo() {
    let address = serve(|stream| {
        let mut socket = tungstenite::accept(stream).map_err(io::Error::other)?;
        while let Ok(message) = socket.read() {
            std::thread::sleep(DELAY);
            socket.send(message).map_err(io::Error::other)?;
        }
        Ok(())
    });
    hundred_at_once(
        "tungstenite, echo",
        move || {
            let stream = TcpStream::connect(address).unwrap();
            tungstenite::client(format!("ws://{address}/"), stream).unwrap().0
        },
        |socket| {
            socket.send("hello".into()).unwrap();
            assert_eq!(socket.read().unwrap().to_text().unwrap(), "hello");
        },
    );
}

#[test]
fn openssl_echo() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let identity = native_tls::Identity::from_pkcs8(
        certified.cert.pem().as_bytes(),
        certified.signing_key.serialize_pem().as_bytes(),
    );
    let acceptor = Arc::new(native_tls::TlsAcceptor::new(identity.unwrap()).unwrap());
    let address = serve(move |stream| {
        let mut stream = acceptor.accept(stream).map_err(io::Error::other)?;
        let mut text = [0; 5];
        while stream.read_exact(&mut text).is_ok() {
            std::thread::sleep(DELAY);
            stream.write_all(&text)?;
        }
        Ok(())
    });
    // One for all: it reads the system's certificates, in which the library takes a lock a million times.
    let connector = native_tls::TlsConnector::builder().danger_accept_invalid_certs(true).build().unwrap();
    hundred_at_once(
        "native-tls (openssl), echo",
        move || connector.connect("localhost", TcpStream::connect(address).unwrap()).unwrap(),
        |stream| {
            let mut text = [0; 5];
            stream.write_all(b"hello").unwrap();
            stream.read_exact(&mut text).unwrap();
            assert_eq!(&text, b"hello");
        },
    );
}
