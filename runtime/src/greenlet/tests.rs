//! Whether each greenlet keeps its own limits on waiting, whatever way control takes.

use super::{Greenlet, scope, settrace};
use crate::clock::Instant;
use crate::generator::{Generator, Yielder};
use crate::limits::{self, Limits};
use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::rc::Rc;

/// What the greenlets of a round know of each other.
struct World {
    /// What `random` began with.
    seed: u64,
    random: Cell<u64>,
    /// Steps that may still be taken.
    steps: Cell<u32>,
    start: Instant,
    /// By number. An entry stays when its greenlet is dead; `None` when its handle was dropped.
    members: RefCell<Vec<Member>>,
    /// The number of the one that runs.
    running: Cell<usize>,
}

struct Member {
    greenlet: Option<Greenlet<usize>>,
    /// `None` for the main one.
    parent: Option<usize>,
    /// Of its own `timeout`s, from the outside in.
    deadlines: Vec<Instant>,
}

/// The end of a member, also when it is unwound.
struct End<'a>(&'a World, usize);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.members.borrow_mut()[self.1].deadlines.clear();
    }
}

impl World {
    /// A number below `bound`.
    fn random(&self, bound: usize) -> usize {
        // Knuth's MMIX generator; the upper bits are the good ones.
        let next =
            self.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random.set(next);
        usize::try_from(next >> 33).expect("31 bits") % bound
    }

    /// The earliest deadline of member `number` and of all above it.
    fn expected(&self, number: usize) -> Option<Instant> {
        let members = self.members.borrow();
        let mut earliest = None;
        let mut next = Some(number);
        while let Some(number) = next {
            for &at in &members[number].deadlines {
                earliest = Some(earliest.map_or(at, |earliest: Instant| earliest.min(at)));
            }
            next = members[number].parent;
        }
        earliest
    }

    fn check(&self, me: usize) {
        assert_eq!(self.running.get(), me);
        assert_eq!(
            Limits::now().timeout.map(|(at, _)| at),
            self.expected(me),
            "of member {me}; OSIER_SEED={}",
            self.seed
        );
    }

    /// Goes to member `number`, and comes back to `me`.
    fn switch(&self, me: usize, number: usize) {
        let target = self.members.borrow()[number].greenlet.clone();
        if let Some(target) = target {
            // Who is reached says so, since it need not be the target: that may be dead.
            let _ = target.switch(0);
        }
        self.running.set(me);
    }

    fn add(self: &Rc<Self>, me: usize) {
        let number = self.members.borrow().len();
        let world = Rc::clone(self);
        let greenlet = Greenlet::new(move |_| {
            let end = End(&world, number);
            world.running.set(number);
            world.play(number, 0);
            drop(end);
            number
        });
        let member = Member { greenlet: Some(greenlet), parent: Some(me), deadlines: Vec::new() };
        self.members.borrow_mut().push(member);
    }

    /// Gives member `child` the parent `parent`, if that makes no circle.
    fn adopt(&self, child: usize, parent: usize) {
        let (a, b) = {
            let members = self.members.borrow();
            (members[child].greenlet.clone(), members[parent].greenlet.clone())
        };
        if let (Some(a), Some(b)) = (a, b)
            && a.set_parent(&b).is_ok()
        {
            self.members.borrow_mut()[child].parent = Some(parent);
        }
    }

    /// What a greenlet does, `depth` calls deep.
    fn play(self: &Rc<Self>, me: usize, depth: usize) {
        while self.steps.get() > 0 {
            self.steps.set(self.steps.get() - 1);
            self.check(me);
            let count = self.members.borrow().len();
            match self.random(16) {
                0..=5 => self.switch(me, self.random(count)),
                6 | 7 if depth < 6 => {
                    let millis = u64::try_from(self.random(10_000)).expect("small");
                    let at = self.start.checked_add(Duration::from_millis(millis)).expect("not far");
                    self.members.borrow_mut()[me].deadlines.push(at);
                    limits::with_timeout(at, |_| self.play(me, depth + 1));
                    self.members.borrow_mut()[me].deadlines.pop();
                }
                8 if count < 12 => self.add(me),
                9 => self.adopt(self.random(count), self.random(count)),
                // The next switches are traced, and take the long way, until it is taken out again.
                10 => drop(settrace(Some(Rc::new(|_| {})))),
                11 => drop(settrace(None)),
                // A family inside of this one shuts it.
                12 => scope(|| {
                    let inner: Greenlet<u8> = Greenlet::new(|n| n);
                    assert_eq!(inner.switch(1).ok(), Some(1));
                    self.check(me);
                }),
                // A generator is bound by what bounds its driver, also when its body switches greenlets.
                13 if depth < 6 => {
                    let world = Rc::clone(self);
                    let number = self.random(count);
                    let mut generator: Generator<()> = Generator::new(move |driver: &Yielder<()>| {
                        world.check(me);
                        driver.yield_(());
                        world.check(me);
                        world.switch(me, number);
                        world.check(me);
                    });
                    assert!(generator.next().is_some());
                    self.check(me);
                    assert!(generator.next().is_none());
                }
                // The last handle of one that is suspended: it is unwound here and now.
                14 if me != 0 && self.random(4) == 0 => {
                    let number = self.random(count);
                    let taken = if number == 0 || number == me {
                        None
                    } else {
                        self.members.borrow_mut()[number].greenlet.take()
                    };
                    drop(taken);
                }
                15 if depth > 0 => break,
                _ => {}
            }
            self.check(me);
        }
    }
}

#[test]
fn each_greenlet_keeps_its_own_limits() {
    let seed = std::env::var("OSIER_SEED").ok().and_then(|seed| seed.parse().ok());
    let first = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20);
    for seed in first..first + if seed.is_some() { 1 } else { 300 } {
        scope(|| {
            let world = Rc::new(World {
                seed,
                random: Cell::new(seed),
                steps: Cell::new(400),
                start: Instant::of_machine(),
                members: RefCell::default(),
                running: Cell::new(0),
            });
            let main = Member { greenlet: Some(super::current()), parent: None, deadlines: Vec::new() };
            world.members.borrow_mut().push(main);
            world.play(0, 0);
            drop(settrace(None));
            world.check(0);
        });
    }
}
