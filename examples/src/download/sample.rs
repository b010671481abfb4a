//! The program without arguments: a file server of its own, 40 files, their hashes.
//!
//! Server and downloads share one process and one OS thread. The server delays each answer by 100 ms; forty such waits
//! one after another would take four seconds.

use super::options::{Options, Wanted};
use super::run::{self, Tally};
use crate::http::{Part, Patience, Request, Response, Status, Timed, serve_connection};
use osier::net::TcpListener;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Files that are downloaded.
pub const FILES: usize = 40;
/// What the server waits before each answer.
pub const DELAY: Duration = Duration::from_millis(100);

/// Downloads the 40 files and checks them; gives the exit code.
pub fn run(options: &Options) -> u8 {
    let temporary = std::env::temp_dir().join(format!("osier-downloader-{}", std::process::id()));
    let folder = options.out.as_deref().unwrap_or(&temporary);
    let outcome = download_and_check(options, folder);
    if options.out.is_none() {
        // A temporary folder that cannot be removed is the system's to tidy.
        let _ = fs::remove_dir_all(&temporary);
    }
    match outcome {
        Ok(tally) => run::conclude(&tally),
        Err(error) => run::refuse(&error),
    }
}

fn download_and_check(options: &Options, folder: &Path) -> io::Result<Tally> {
    let shelf = Arc::new(Shelf::new());
    let address = serve(Arc::clone(&shelf))?;
    let _ = writeln!(
        io::stdout().lock(),
        "{FILES} files from a server in this process, http://{address}/, which waits {} ms before each answer",
        DELAY.as_millis()
    );
    let wanted =
        shelf.names().map(|name| Wanted { url: format!("http://{address}/{name}"), name: None }).collect();
    let mut tally = run::download(options, wanted, folder, true)?;
    let mut right = 0;
    for (url, arrival) in &tally.arrived {
        let name = url.rsplit('/').next().unwrap_or_default();
        let hash = fs::read(folder.join(&arrival.name)).map(|bytes| Sha256::digest(&bytes));
        match (hash, shelf.hash(name)) {
            (Ok(hash), Some(expected)) if hash[..] == *expected => right += 1,
            _ => {
                tally.failed += 1;
                let _ = writeln!(
                    io::stderr().lock(),
                    "downloader: {url}: the SHA-256 of {} is wrong",
                    arrival.name
                );
            }
        }
    }
    let _ = writeln!(io::stdout().lock(), "{right} of {FILES} SHA-256 right");
    Ok(tally)
}

/// What the server has.
#[derive(Debug)]
pub struct Shelf {
    files: HashMap<String, (Vec<u8>, [u8; 32])>,
}

impl Default for Shelf {
    fn default() -> Shelf {
        Shelf::new()
    }
}

impl Shelf {
    /// Makes the files: 4 to 52 kilobytes each, the same in every run.
    pub fn new() -> Shelf {
        let mut state = 0x05ee_d0f0_51e2_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut files = HashMap::new();
        for number in 1..=FILES {
            let words = 500 + next() % 6_000;
            let bytes: Vec<u8> = (0..words).flat_map(|_| next().to_le_bytes()).collect();
            let hash = Sha256::digest(&bytes).into();
            files.insert(format!("file-{number:02}.bin"), (bytes, hash));
        }
        Shelf { files }
    }

    /// Names of the files, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> = self.files.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// SHA-256 of a file.
    pub fn hash(&self, name: &str) -> Option<&[u8; 32]> {
        self.files.get(name).map(|(_, hash)| hash)
    }

    fn answer(&self, request: &Request) -> Response {
        osier::sleep(DELAY);
        let name = request.target.path().strip_prefix(b"/").and_then(|name| str::from_utf8(name).ok());
        match name.and_then(|name| self.files.get(name)) {
            Some((bytes, _)) => Response::new(Status::OK)
                .field("Content-Type", "application/octet-stream")
                .body(vec![Part::Bytes(bytes.clone())]),
            None => Response::page(Status::NOT_FOUND, "There is no such file."),
        }
    }
}

/// Starts to serve the shelf on a free port of this machine.
fn serve(shelf: Arc<Shelf>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    osier::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // No descriptors left, most likely: they come back when connections end.
                osier::sleep(DELAY);
                continue;
            };
            let shelf = Arc::clone(&shelf);
            osier::spawn(move || {
                let patience = Patience::of(Duration::from_secs(10));
                // What goes wrong on a connection is seen on its other side, by the download.
                let _ = serve_connection(
                    &mut Timed::new(stream),
                    &|request: &Request| shelf.answer(request),
                    &patience,
                    &(),
                );
            });
        }
    });
    Ok(address)
}
