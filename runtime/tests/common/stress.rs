//! Stress: threads of all kinds use an object at random, while some of them are killed, for as long as the environment says.
//!
//! `OSIER_STRESS_SECONDS` (a second unless set) bounds each test; `OSIER_STRESS_SEED` runs one round only, the one with that seed,
//! which is what a failure prints. The seed decides who does what; who is faster is up to the machine.
#![allow(dead_code, unreachable_pub, reason = "a part of each test file, of which none uses all")]

use crate::common::{PATIENCE, leaves_nothing, message};
use osier::thread::{JoinHandle, Killed};
use std::env;
use std::io::Write;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Random numbers from a seed (xorshift).
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        // Neighbouring seeds begin far apart, and none at 0.
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..4 {
            random.next();
        }
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number of `range`.
    pub fn of(&mut self, range: Range<usize>) -> usize {
        range.start + (self.next() % (range.end - range.start) as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.of(0..n) == 0
    }

    /// Short enough that it often passes while what it bounds comes to its end.
    pub fn short(&mut self) -> Duration {
        Duration::from_micros(self.of(0..60) as u64)
    }

    /// Lets time pass, in one of several ways, or none.
    pub fn dawdle(&mut self) {
        match self.of(0..8) {
            0 => osier::yield_now(),
            1 => osier::sleep(self.short()),
            2 => (0..self.of(0..200)).for_each(|_| std::hint::spin_loop()),
            _ => {}
        }
    }
}

type Body = Box<dyn FnOnce(Random) + Send>;

/// What happens to one object: who uses it, and what must hold when all have ended.
#[derive(Default)]
pub struct Round {
    /// Each with whether it may be killed.
    actors: Vec<(Body, bool)>,
    check: Option<Box<dyn FnOnce()>>,
}

impl Round {
    pub fn new() -> Round {
        Round::default()
    }

    /// Somebody who uses the object to the end, on a thread of any kind.
    pub fn actor(&mut self, body: impl FnOnce(Random) + Send + 'static) {
        self.actors.push((Box::new(body), false));
    }

    /// Somebody who may be killed meanwhile, if on a green thread.
    pub fn mortal(&mut self, body: impl FnOnce(Random) + Send + 'static) {
        self.actors.push((Box::new(body), true));
    }

    /// What must hold in the end.
    pub fn check(&mut self, check: impl FnOnce() + 'static) {
        self.check = Some(Box::new(check));
    }
}

/// Plays rounds, each on a new object, until the time is over.
pub fn stress(round: impl Fn(&mut Random) -> Round) {
    let seconds = variable("OSIER_STRESS_SECONDS").unwrap_or(1);
    let only = variable("OSIER_STRESS_SEED");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut seed = only.unwrap_or(now.as_nanos() as u64);
    let _ = writeln!(std::io::stderr(), "stress begins with OSIER_STRESS_SEED={seed}");
    leaves_nothing(|| {
        let until = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < until {
            let mut random = Random::new(seed);
            let Round { actors, check } = round(&mut random);
            play(seed, actors, random);
            let failed =
                check.and_then(|check| std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).err());
            if let Some(payload) = failed {
                panic!("OSIER_STRESS_SEED={seed}: {}", message(&*payload));
            }
            if only.is_some() {
                break;
            }
            seed += 1;
        }
    });
}

fn variable(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

/// The green threads of one runtime: those that may be killed, for the killers.
type Mortals = Arc<Mutex<Vec<Arc<JoinHandle<()>>>>>;

/// Runs the actors: on a runtime with one worker, on one with two, and on OS threads that know of none.
fn play(seed: u64, actors: Vec<(Body, bool)>, mut random: Random) {
    let mut green: [Vec<(Body, bool, Random)>; 2] = Default::default();
    let mortals = Mortals::default();
    let (done, all_done) = mpsc::channel::<()>();
    let mut os_threads = Vec::new();
    for (body, mortal) in actors {
        let theirs = Random::new(random.next());
        // One in four is on an OS thread; those who may be killed never are.
        match random.of(usize::from(mortal)..4) {
            0 => {
                let done = done.clone();
                os_threads.push(thread::spawn(move || {
                    body(theirs);
                    drop(done);
                }));
            }
            1 => green[0].push((body, mortal, theirs)),
            _ => green[1].push((body, mortal, theirs)),
        }
    }
    for (workers, actors) in (1..).zip(green) {
        let (done, mortals, mut random) = (done.clone(), mortals.clone(), Random::new(random.next()));
        os_threads.push(thread::spawn(move || {
            let runtime = osier::Builder::new().workers(workers).build().expect("a runtime");
            runtime.run(|| green_side(actors, &mortals, &mut random));
            drop(done);
        }));
    }
    drop(done);
    // Kills from outside.
    let mut killer = Random::new(random.next());
    let mut kills = killer.of(0..6);
    let started = Instant::now();
    loop {
        match all_done.recv_timeout(Duration::from_micros(20)) {
            Err(RecvTimeoutError::Disconnected) => break,
            _ if kills > 0 => {
                kills -= 1;
                kill_one(&mortals, &mut killer);
            }
            _ if started.elapsed() > PATIENCE => {
                let _ = writeln!(std::io::stderr(), "OSIER_STRESS_SEED={seed}: somebody waits for ever");
                std::process::abort();
            }
            _ => thread::sleep(Duration::from_micros(50)),
        }
    }
    for thread in os_threads {
        if let Err(payload) = thread.join() {
            panic!("OSIER_STRESS_SEED={seed}: {}", message(&*payload));
        }
    }
}

/// What the main green thread of a runtime does: has the actors run, and kills some of them.
fn green_side(actors: Vec<(Body, bool, Random)>, mortals: &Mortals, random: &mut Random) {
    let mut threads = Vec::new();
    for (body, mortal, theirs) in actors {
        let thread = Arc::new(osier::spawn(move || body(theirs)));
        if mortal {
            mortals.lock().unwrap_or_else(PoisonError::into_inner).push(thread.clone());
        }
        threads.push(thread);
        random.dawdle();
    }
    let mut kills = random.of(0..6);
    while threads.iter().any(|thread| !thread.is_finished()) {
        if kills > 0 {
            kills -= 1;
            kill_one(mortals, random);
        }
        random.dawdle();
        osier::sleep(Duration::from_micros(20));
    }
    mortals.lock().unwrap_or_else(PoisonError::into_inner).retain(|thread| !thread.is_finished());
    for mut thread in threads {
        // Somebody may be about to kill it once more.
        let thread = loop {
            match Arc::try_unwrap(thread) {
                Ok(thread) => break thread,
                Err(again) => thread = again,
            }
            osier::yield_now();
        };
        if let Err(payload) = thread.join()
            && !payload.is::<Killed>()
        {
            resume_unwind(payload);
        }
    }
}

fn kill_one(mortals: &Mortals, random: &mut Random) {
    let victim = {
        let mortals = mortals.lock().unwrap_or_else(PoisonError::into_inner);
        if mortals.is_empty() { None } else { Some(mortals[random.of(0..mortals.len())].clone()) }
    };
    if let Some(victim) = victim {
        victim.kill();
    }
}
