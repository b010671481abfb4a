//! A process for each connection, which is kept for the next one.
//!
//! The process that was started accepts, and hands each connection over a socket pair to another process of the same program,
//! which sends a byte back when it is done with it. Whatever happens in one of them, even a crash, the others do not notice, and the
//! kernel alone decides who runs. When the socket pair ends, the process finishes what it has under way and ends too; when
//! the first process dies, the others die with it.

use super::{Connections, Options, Server, Site, accept};
use crate::http::Observer;
use osier::net::TcpListener;
use osier::os::unix::net::UnixStream;
use osier::process::{Child, Command, Stdio};
use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// Processes that are kept at most while there is no connection for them.
const IDLE: usize = 64;

/// Accepts connections from `listener` and hands each to a process, until the server is stopped and the last of them has ended. Each connection
/// holds a place; when none is left, accepting waits. Several workers may do this for one server. Here a green
/// thread stands for each process, and waits for it.
///
/// # Errors
///
/// If the listener cannot accept for a reason that will not pass.
pub(super) fn serve(
    server: &Server,
    listener: &TcpListener,
    tell: &(impl Fn(&str) + Sync),
) -> io::Result<()> {
    let idle = Mutex::new(Vec::new());
    let idle = || idle.lock().unwrap_or_else(PoisonError::into_inner);
    let hire = || {
        let waiting = idle().pop();
        waiting.map_or_else(|| Process::start(&server.options), Ok)
    };
    let dismiss = |process: Process| {
        let mut idle = idle();
        if idle.len() < IDLE {
            idle.push(process);
        } else {
            // Its end is waited for without the lock.
            drop(idle);
            drop(process);
        }
    };
    osier::thread::scope(|scope| {
        let mut shortage = accept::Shortage::default();
        loop {
            let place = server.places.acquire();
            let (stream, peer) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(_) if server.connections.is_stopping() => return Ok(()),
                Err(error) => {
                    osier::sleep(shortage.pause(error, tell)?);
                    continue;
                }
            };
            let process = match hire() {
                Ok(process) => process,
                Err(error) => {
                    osier::sleep(shortage.lack(&error, tell));
                    continue;
                }
            };
            shortage = accept::Shortage::default();
            scope.spawn(move || {
                let line = Arc::clone(&process.line);
                let seat = server.connections.enter(&server.site, peer.ip(), move || {
                    // It ends what is idle and finishes the rest, as this process does.
                    let _ = line.shutdown(Shutdown::Write);
                });
                if seat.idle() && process.serve(stream.into()) && !seat.is_stopping() {
                    dismiss(process);
                } else {
                    drop(process);
                }
                // Last, so that there are never more processes than places.
                drop(place);
            });
        }
    })
}

/// Another process of this program; dropping it waits for its end.
struct Process {
    child: Child,
    /// Connections go out, bytes come in. Shared with whoever may have to end it.
    line: Arc<UnixStream>,
}

impl Process {
    fn start(options: &Options) -> io::Result<Process> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--staff", "--timeout", &options.timeout.as_secs_f64().to_string()]);
        command.arg("--root").arg(&options.root);
        if let (Some(cert), Some(key)) = (&options.cert, &options.key) {
            command.arg("--cert").arg(cert).arg("--key").arg(key);
        }
        if options.quiet {
            command.arg("--quiet");
        }
        // In a group of its own, so that Ctrl-C reaches the first process alone, which then says what is to be done.
        command.as_std_mut().process_group(0);
        let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
        Ok(Process { child, line: Arc::new(ours) })
    }

    /// Has the process serve `stream`, and waits until it is done. False if it serves no more.
    fn serve(&self, stream: TcpStream) -> bool {
        let sent = send_descriptor(&self.line, &stream);
        // Only the other process has it now, so that the connection ends when that closes it.
        drop(stream);
        sent.is_ok() && matches!((&*self.line).read(&mut [0]), Ok(1))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Told that this was all, it ends when it is done. These fail only if it has ended by itself.
        let _ = self.line.shutdown(Shutdown::Write);
        let _ = self.child.wait();
    }
}

/// Serves the connections that come over standard input, one after another. Returns when it ends and the last is served.
///
/// # Errors
///
/// What cannot be opened, or that nothing can be received, in one line.
pub fn work(options: &Options) -> Result<(), String> {
    let receiving = |error: io::Error| format!("cannot receive connections: {error}");
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| receiving(error.into()))?;
    let site = Site::new(options)?;
    let line = io::stdin().as_fd().try_clone_to_owned().map_err(receiving)?;
    let line = std::os::unix::net::UnixStream::from(line);
    let connections = Connections::default();
    std::thread::scope(|scope| {
        let (hand_over, received) = mpsc::channel();
        scope.spawn(|| {
            for stream in received {
                serve_one(stream, &site, &connections);
                // If nobody wants to know, there will be no more either.
                let _ = (&line).write_all(b".");
            }
        });
        // On an OS thread of its own, to hear of the end also while a connection is served.
        let result = loop {
            match receive_descriptor(&line) {
                Ok(Some(stream)) => _ = hand_over.send(stream),
                Ok(None) => break Ok(()),
                Err(error) => break Err(receiving(error)),
            }
        };
        connections.stop();
        // Ends the loop above.
        drop(hand_over);
        result
    })
}

fn serve_one(stream: OwnedFd, site: &Site, connections: &Connections) {
    let stream = TcpStream::from(stream);
    // Whether a socket waits is a property of the connection, not of the descriptor, and came with it. A connection that breaks
    // is its client's affair, and is closed like any other.
    let _ = stream
        .set_nonblocking(false)
        .and_then(|()| stream.peer_addr())
        .and_then(|peer| connections.serve(site, stream, peer.ip()));
}

/// Sends `descriptor` with a byte to carry it. There is room for it, since the other process sends a byte back before it gets another.
fn send_descriptor(line: impl AsFd, descriptor: impl AsFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(line, &[IoSlice::new(b".")], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for a descriptor; `None` if none will come any more.
fn receive_descriptor(line: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut slices = [IoSliceMut::new(&mut byte)];
    let message =
        rustix::io::retry_on_intr(|| recvmsg(&line, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC))?;
    if message.bytes == 0 {
        return Ok(None);
    }
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    match descriptor {
        Some(descriptor) => Ok(Some(descriptor)),
        // The byte came, but this process may have no more descriptors.
        None if message.flags.contains(ReturnFlags::CTRUNC) => Err(rustix::io::Errno::MFILE.into()),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "a byte came without a connection")),
    }
}
