//! A loop that asks the kernel which connections are ready, by hand.
//!
//! This is what Osier's reactor does for `green`, without the stacks: one wait for everything, a table of connections, a queue of
//! deadlines. Level-triggered, so that a connection that is left in the middle to let others have their turn comes up again.

use super::Server;
use super::guest::{Door, Guest, READ, Turn};
use crate::http::Step;
use osier::time::Instant;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// The listener's number; connections count from 0 and never come so far.
const LISTENER: u64 = u64::MAX;
/// Connections that are let in before those that are ready have their turn.
const WELCOMES: usize = 64;

/// Accepts and serves connections until the server is stopped and the last of them has ended. Several loops on OS threads of their
/// own may do this for one server.
///
/// # Errors
///
/// If the listener cannot accept for a reason that will not pass, or the system cannot watch it.
pub(super) fn serve(server: &Server, tell: &impl Fn(&str)) -> io::Result<()> {
    let mut door = Door::new(server, tell)?;
    let mut hall = Hall::new(server)?;
    let mut events = Vec::with_capacity(256);
    loop {
        // Also when the listener is not ready: a place may have become free.
        for _ in 0..WELCOMES {
            let Some(guest) = door.admit()? else { break };
            hall.welcome(guest);
        }
        let stopping = server.connections.is_stopping();
        if stopping && hall.guests.is_empty() {
            return Ok(());
        }
        hall.listen(!stopping && door.closed_until().is_none())?;
        let until = [hall.next_alarm(), door.closed_until()].into_iter().flatten().min();
        match epoll::wait(&hall.epoll, spare_capacity(&mut events), timeout(until).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            hall.go_on(event.data.u64());
        }
        while let Some(number) = hall.late() {
            hall.go_on(number);
        }
    }
}

/// The time until `until`, or a little more; `None` is for ever. In whole milliseconds, since Linux before 5.11 knows no other.
fn timeout(until: Option<Instant>) -> Option<Timespec> {
    let left = until?.saturating_duration_since(Instant::now()).min(Duration::from_secs(3600));
    let milliseconds = left.as_millis() as u64 + u64::from(!left.is_zero());
    Timespec::try_from(Duration::from_millis(milliseconds)).ok()
}

/// Those who are inside, and what is known of them.
struct Hall<'a> {
    server: &'a Server,
    epoll: OwnedFd,
    /// True while the listener is watched.
    listening: bool,
    /// The number of the next connection. None is used twice, so an event never reaches another connection than its own.
    next: u64,
    guests: HashMap<u64, Seated<'a>>,
    /// The deadlines of all guests that have one, the next one first.
    alarms: BTreeSet<(Instant, u64)>,
    bytes: Vec<u8>,
}

struct Seated<'a> {
    guest: Guest<'a>,
    /// Its deadline among the alarms; `None` if it is not among them.
    alarm: Option<Instant>,
    /// What the kernel watches its socket for.
    watched: Step,
}

impl<'a> Hall<'a> {
    fn new(server: &'a Server) -> io::Result<Hall<'a>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let (guests, alarms, bytes) = (HashMap::new(), BTreeSet::new(), vec![0; READ]);
        Ok(Hall { server, epoll, listening: false, next: 0, guests, alarms, bytes })
    }

    /// Has the kernel watch the listener, or not.
    fn listen(&mut self, listen: bool) -> io::Result<()> {
        if listen != self.listening {
            let listener = &self.server.listener;
            if listen {
                // Of several loops that wait one is woken, not all.
                let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
                epoll::add(&self.epoll, listener, epoll::EventData::new_u64(LISTENER), flags)?;
            } else {
                epoll::delete(&self.epoll, listener)?;
            }
            self.listening = listen;
        }
        Ok(())
    }

    /// Takes in a guest. One that cannot be watched is sent away.
    fn welcome(&mut self, guest: Guest<'a>) {
        let number = self.next;
        self.next += 1;
        let event = epoll::EventData::new_u64(number);
        if epoll::add(&self.epoll, guest.stream(), event, flags(Step::Read)).is_ok() {
            self.guests.insert(number, Seated { guest, alarm: None, watched: Step::Read });
            // Its first request may be here already; without a try it would also have no deadline.
            self.go_on(number);
        }
    }

    /// Lets a guest go on as far as it can, and arranges for the next time. Nothing if it has left, or is none.
    fn go_on(&mut self, number: u64) {
        let Some(seated) = self.guests.get_mut(&number) else { return };
        let over = seated.guest.go_on(&mut self.bytes) == Turn::Over;
        let deadline = if over { None } else { seated.guest.deadline() };
        if deadline != seated.alarm {
            if let Some(alarm) = seated.alarm {
                self.alarms.remove(&(alarm, number));
            }
            self.alarms.extend(deadline.map(|deadline| (deadline, number)));
            seated.alarm = deadline;
        }
        let wants = seated.guest.wants();
        let mut watched = !over;
        if watched && wants != seated.watched {
            seated.watched = wants;
            let event = epoll::EventData::new_u64(number);
            watched = epoll::modify(&self.epoll, seated.guest.stream(), event, flags(wants)).is_ok();
        }
        if !watched {
            // Closing the socket ends the kernel's watch as well.
            self.leave(number);
        }
    }

    fn leave(&mut self, number: u64) {
        if let Some(Seated { alarm: Some(alarm), .. }) = self.guests.remove(&number) {
            self.alarms.remove(&(alarm, number));
        }
    }

    fn next_alarm(&self) -> Option<Instant> {
        self.alarms.first().map(|(alarm, _)| *alarm)
    }

    /// One whose deadline has passed.
    fn late(&self) -> Option<u64> {
        let (alarm, number) = self.alarms.first()?;
        (*alarm <= Instant::now()).then_some(*number)
    }
}

fn flags(step: Step) -> epoll::EventFlags {
    if step == Step::Write { epoll::EventFlags::OUT } else { epoll::EventFlags::IN }
}
