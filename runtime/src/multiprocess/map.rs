//! A map that several processes share.
//!
//! It lies in a process of its own, which answers one request after the other, and ends when all others have closed their copies of
//! the connection to it. Who asks holds a permit until the answer is there, so that it gets its own; and nothing ends that
//! wait, which is as short as the server's turn.

use super::messages::{Connection, duplex};
use super::process::{Builder, Process};
use super::semaphore::{Permit, Semaphore};
use crate::thread::shield;
use core::fmt;
use std::collections::BTreeMap;
use std::io;

/// What a request asks for; its first byte.
mod ask {
    pub(super) const GET: u8 = 0;
    pub(super) const INSERT: u8 = 1;
    pub(super) const REMOVE: u8 = 2;
    pub(super) const LEN: u8 = 3;
}

/// A map from bytes to bytes that this process shares with its children.
///
/// ```standalone_crate
/// use osier::multiprocess::{Map, Process};
/// osier::run(|| {
///     let map = Map::new()?;
///     map.insert(b"leaves", b"3")?;
///     let child = || {
///         map.insert(b"leaves", b"4").unwrap();
///     };
///     Process::spawn(child)?.join()?;
///     assert_eq!(map.get(b"leaves")?.unwrap(), b"4");
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Map {
    /// One permit: who has it may ask.
    turn: Semaphore,
    server: Connection,
    /// Collected by whoever starts one more child.
    _process: Process,
}

impl Map {
    /// An empty map, and its process.
    ///
    /// # Errors
    ///
    /// As [`Process::spawn`], and if the process has too many descriptors.
    pub fn new() -> io::Result<Map> {
        let (server, clients) = duplex()?;
        let serves = move || serve(&clients);
        let process = Builder::new().name("map").without(&server).spawn(serves)?;
        Ok(Map { turn: Semaphore::new(1)?, server, _process: process })
    }

    /// The value of `key`, if it is there. Waits for the server.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if key and value are longer than a message;
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) or [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the server was ended.
    ///
    /// # Cancellation
    ///
    /// A kill or an enclosing [`timeout`](crate::time::timeout) ends the wait for its turn and unwinds: nothing was asked.
    pub fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.ask(&self.turn.acquire()?, ask::GET, key, b"")
    }

    /// Sets the value of `key`; gives the one that it had. Waits for the server.
    ///
    /// # Errors
    ///
    /// As [`Map::get`].
    ///
    /// # Cancellation
    ///
    /// As [`Map::get`].
    pub fn insert(&self, key: &[u8], value: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.ask(&self.turn.acquire()?, ask::INSERT, key, value)
    }

    /// Takes `key` out, and gives its value. Waits for the server.
    ///
    /// # Errors
    ///
    /// As [`Map::get`].
    ///
    /// # Cancellation
    ///
    /// As [`Map::get`].
    pub fn remove(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.ask(&self.turn.acquire()?, ask::REMOVE, key, b"")
    }

    /// Sets the value of `key` to what `f` makes of the one that it has. Nobody else gets at the map meanwhile. Waits for the server.
    ///
    /// # Errors
    ///
    /// As [`Map::get`].
    ///
    /// # Cancellation
    ///
    /// As [`Map::get`].
    pub fn update(&self, key: &[u8], f: impl FnOnce(Option<Vec<u8>>) -> Vec<u8>) -> io::Result<()> {
        let turn = self.turn.acquire()?;
        let value = f(self.ask(&turn, ask::GET, key, b"")?);
        self.ask(&turn, ask::INSERT, key, &value).map(drop)
    }

    /// How many keys there are. Waits for the server.
    ///
    /// # Errors
    ///
    /// As [`Map::get`].
    ///
    /// # Cancellation
    ///
    /// As [`Map::get`].
    pub fn len(&self) -> io::Result<u64> {
        let answer = self.ask(&self.turn.acquire()?, ask::LEN, b"", b"")?.unwrap_or_default();
        Ok(answer.try_into().map_or(0, u64::from_le_bytes))
    }

    /// Whether there are no keys. Waits for the server.
    ///
    /// # Errors
    ///
    /// As [`Map::get`].
    ///
    /// # Cancellation
    ///
    /// As [`Map::get`].
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Asks, and waits for the answer.
    fn ask(&self, _turn: &Permit<'_>, what: u8, key: &[u8], value: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut request = vec![what];
        request.extend((key.len() as u64).to_le_bytes());
        request.extend([key, value].concat());
        // Whoever asks next must not get this answer.
        let answer = shield(|| {
            self.server.send(&request)?;
            self.server.recv()
        })?;
        let answer = answer.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(answer.split_first().and_then(|(there, value)| (*there == 1).then(|| value.to_vec())))
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map").finish_non_exhaustive()
    }
}

/// Answers requests until nobody is left to ask.
fn serve(clients: &Connection) {
    let mut map = BTreeMap::new();
    // An error of the connection ends it as well: there is nobody to tell.
    while let Ok(Some(request)) = clients.recv() {
        let answer = answer(&mut map, &request);
        let there = u8::from(answer.is_some());
        let mut reply = vec![there];
        reply.extend(answer.unwrap_or_default());
        if clients.send(&reply).is_err() {
            break;
        }
    }
}

fn answer(map: &mut BTreeMap<Vec<u8>, Vec<u8>>, request: &[u8]) -> Option<Vec<u8>> {
    let (what, rest) = request.split_first()?;
    let (len, rest) = rest.split_first_chunk()?;
    let (key, value) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
    match *what {
        ask::GET => map.get(key).cloned(),
        ask::INSERT => map.insert(key.to_vec(), value.to_vec()),
        ask::REMOVE => map.remove(key),
        _ => Some((map.len() as u64).to_le_bytes().to_vec()),
    }
}
