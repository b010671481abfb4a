//! All downloads together: limits, stopping, the summary, the exit code.
//!
//! Every download is a green thread of its own from the start; those whose turn has not come wait for a permit. They
//! share one OS thread, so nothing here is ever touched by two at a time, and the client's blocking calls park one
//! green thread each.

use super::client;
use super::fetch::{Arrival, Fetcher, Item};
use super::naming::Names;
use super::options::{Options, Wanted};
use super::plan::{Plan, plan};
use super::progress::{Progress, counted};
use super::sample;
use super::stop::{Stop, exit_code};
use osier::signal::Signal;
use osier::sync::Semaphore;
use osier::thread::{self, JoinHandle};
use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most OS threads for the resolution of names and for large files.
const OFFLOAD_THREADS: usize = 8;
/// How long those that were told to stop may take.
const GRACE: Duration = Duration::from_secs(3);
/// Time between two pictures of the progress while nothing arrives.
const TICK: Duration = Duration::from_millis(100);

/// Counting OS threads means reading files: not for every small download.
const BETWEEN_COUNTS: Duration = Duration::from_millis(10);

/// What a run came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Files that are there: the URL and what is known of the file.
    pub arrived: Vec<(String, Arrival)>,
    /// Downloads that failed.
    pub failed: usize,
    /// Downloads that the signal ended or kept from beginning.
    pub unfinished: usize,
    /// Bytes received.
    pub received: u64,
    /// From the first request to the last byte.
    pub took: Duration,
    /// The most OS threads that the process was seen to have.
    pub os_threads: OsThreads,
    /// When they were last counted; `None` for never.
    counted_threads: Option<Instant>,
    /// The signal that ended the run; `None` if nothing but its end did.
    pub signal: Option<Signal>,
    /// Whether a download did not stop in time, so that the runtime cannot end either.
    pub hangs: bool,
}

/// Runs the program with these options and gives its exit code.
///
/// Runs the green threads itself: to be called on a plain OS thread.
pub fn run(options: &Options) -> u8 {
    // From here on the client's sockets, sleeps and names park the green thread that uses them.
    osier::patch::all();
    // Names and files need few; without a bound, fifty downloads would have fifty OS threads write their files.
    let runtime = match osier::Builder::new().offload_threads(OFFLOAD_THREADS).build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    runtime.run(|| {
        if !options.names_a_source() {
            return sample::run(options);
        }
        let folder = options.out.as_deref().unwrap_or(Path::new("."));
        match options.wanted().and_then(|wanted| download(options, wanted, folder, false)) {
            Ok(tally) => conclude(&tally),
            Err(error) => refuse(&error),
        }
    })
}

/// Says on standard error why nothing was done; gives the exit code for it.
pub fn refuse(error: &io::Error) -> u8 {
    let _ = writeln!(io::stderr().lock(), "downloader: {error}");
    2
}

/// Downloads what is wanted into the folder; with `local`, past any proxy. Waits until all is done or a signal comes.
///
/// # Errors
///
/// When nothing can begin: no folder, no certificates.
pub fn download(options: &Options, wanted: Vec<Wanted>, folder: &Path, local: bool) -> io::Result<Tally> {
    fs::create_dir_all(folder).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot make the folder {}: {error}", folder.display()))
    })?;
    let crew = Arc::new(Crew {
        fetcher: Fetcher {
            agent: client::agent(options, local)?,
            names: Names::new(folder),
            retries: options.retries,
            timeout: options.timeout,
            resume: options.resume,
        },
        progress: Progress::new(wanted.len()),
        jobs: Semaphore::new(options.jobs.get()),
        stop: Stop::default(),
        left: AtomicUsize::new(wanted.len()),
        waiting: thread::current(),
        tally: Mutex::default(),
    });
    let watch = crew.stop.watch(thread::current())?;
    let begin = Instant::now();
    let ticker = crew.progress.is_live().then(|| {
        let progress = crew.progress.clone();
        osier::spawn(move || {
            loop {
                osier::sleep(TICK);
                progress.tick();
            }
        })
    });
    let downloads = crew.start(plan(wanted, &crew.fetcher.names, options.resume), options.per_host);
    while crew.left.load(Ordering::Relaxed) > 0 && crew.stop.signal().is_none() {
        thread::park();
    }
    if crew.stop.signal().is_some() {
        downloads.iter().for_each(JoinHandle::kill);
    }
    let end = Instant::now() + GRACE;
    let mut hangs = false;
    for download in downloads {
        // One that has panicked has said so itself.
        match crew.stop.signal() {
            None => drop(download.join()),
            Some(_) => {
                hangs |= download.join_timeout(end.saturating_duration_since(Instant::now())).is_err();
            }
        }
    }
    watch.kill();
    if let Some(ticker) = ticker {
        ticker.kill();
    }
    crew.progress.end();
    let mut tally = std::mem::take(&mut *crew.lock());
    tally.received = crew.progress.received();
    tally.took = begin.elapsed();
    tally.os_threads = tally.os_threads.max(OsThreads::now());
    tally.signal = crew.stop.signal();
    tally.hangs = hangs;
    let missing = crew.progress.files() - tally.arrived.len() - tally.failed;
    match tally.signal {
        Some(_) => tally.unfinished = missing,
        None => tally.failed += missing,
    }
    Ok(tally)
}

/// What all downloads of a run share.
struct Crew {
    fetcher: Fetcher,
    progress: Progress,
    /// A permit for each download that may be under way.
    jobs: Semaphore,
    stop: Stop,
    /// Downloads that have not ended.
    left: AtomicUsize,
    /// Who waits for the last of them.
    waiting: thread::Thread,
    tally: Mutex<Tally>,
}

impl Crew {
    /// Starts what is to be downloaded, and counts the rest at once.
    fn start(self: &Arc<Crew>, plans: Vec<Plan>, per_host: Option<NonZeroUsize>) -> Vec<JoinHandle<()>> {
        let mut hosts = HashMap::<String, Arc<Semaphore>>::new();
        let mut downloads = Vec::with_capacity(plans.len());
        for plan in plans {
            match plan {
                Plan::Download(item) => {
                    let host = per_host.map(|limit| {
                        let host = hosts.entry(item.host.clone());
                        Arc::clone(host.or_insert_with(|| Arc::new(Semaphore::new(limit.get()))))
                    });
                    let crew = Arc::clone(self);
                    downloads.push(osier::spawn(move || {
                        let _left = Leaving(&crew);
                        crew.fetch(&item, host.as_deref());
                    }));
                }
                Plan::There(url, name) => {
                    let _left = Leaving(self);
                    let before =
                        self.fetcher.names.path(&name).metadata().map_or(0, |metadata| metadata.len());
                    self.progress.meter("").complete();
                    self.arrived(&url, Arrival { name, received: 0, before }, Duration::ZERO);
                }
                Plan::Hopeless(url, failure) => {
                    let _left = Leaving(self);
                    self.progress.failed(&url, &failure);
                    self.lock().failed += 1;
                }
            }
        }
        downloads
    }

    fn fetch(&self, item: &Item, host: Option<&Semaphore>) {
        // The host's turn comes first, so that who waits for it takes no job from others.
        let _host = host.map(Semaphore::acquire);
        let _job = self.jobs.acquire();
        if self.stop.signal().is_some() {
            return;
        }
        let begin = Instant::now();
        let meter = self.progress.meter(&item.name);
        let outcome = self.fetcher.fetch(item, &meter);
        if outcome.is_ok() {
            meter.complete();
        }
        drop(meter);
        match outcome {
            Ok(arrival) => self.arrived(&item.url, arrival, begin.elapsed()),
            // The client's calls fail when their green thread is killed: that is no failure of the download.
            Err(_) if self.stop.signal().is_some() => {}
            Err(failure) => {
                self.progress.failed(&item.url, &failure);
                self.lock().failed += 1;
            }
        }
    }

    fn arrived(&self, url: &str, arrival: Arrival, took: Duration) {
        self.progress.arrived(url, &arrival, took);
        let counted = {
            let mut tally = self.lock();
            tally.arrived.push((url.to_owned(), arrival));
            tally.counted_threads
        };
        // Not while the tally is locked: whoever waits with a lock of std's makes the others wait for ever.
        if counted.is_none_or(|time| time.elapsed() >= BETWEEN_COUNTS) {
            let os_threads = OsThreads::now();
            let mut tally = self.lock();
            tally.os_threads = tally.os_threads.max(os_threads);
            tally.counted_threads = Some(Instant::now());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells who waits when the last download has ended, however it ended.
struct Leaving<'a>(&'a Crew);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.0.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.waiting.unpark();
        }
    }
}

/// OS threads of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct OsThreads {
    /// All but those of the next field.
    pub own: usize,
    /// Those on which the runtime has names resolved and files written.
    pub offload: usize,
}

impl OsThreads {
    /// What the system says; none if it says nothing.
    pub fn now() -> OsThreads {
        let mut threads = OsThreads::default();
        for entry in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            match fs::read_to_string(entry.path().join("comm")) {
                Ok(name) if name.starts_with("osier-offload") => threads.offload += 1,
                _ => threads.own += 1,
            }
        }
        threads
    }
}

/// Prints the last line: what came, in what time, on how many OS threads. Gives the exit code, or exits with it when a
/// download hangs in a call that cannot be ended, such as the resolution of a name.
pub fn conclude(tally: &Tally) -> u8 {
    let mut line = counted(tally.arrived.len(), "file");
    if tally.failed > 0 {
        line += &format!(", {} failed", tally.failed);
    }
    if tally.unfinished > 0 {
        line += &format!(", {} unfinished", tally.unfinished);
    }
    let OsThreads { own, offload } = tally.os_threads;
    line += &format!(", {} bytes, {:.2} s, ", tally.received, tally.took.as_secs_f64());
    line += &counted(own, "OS thread");
    if offload > 0 {
        line += &format!(" and {offload} of the offload pool");
    }
    let _ = writeln!(io::stdout().lock(), "{line}");
    let Some(signal) = tally.signal else { return u8::from(tally.failed > 0) };
    let _ = writeln!(
        io::stderr().lock(),
        "downloader: stopped by {signal:?}; with --resume it goes on from here"
    );
    if tally.hangs {
        osier::process::exit(exit_code(signal).into());
    }
    exit_code(signal)
}
