//! All downloads together: limits, stopping, the summary, the exit code.

use super::client;
use super::fetch::{Arrival, Fetcher, Item};
use super::naming::Names;
use super::options::{Options, Wanted};
use super::plan::{Plan, plan};
use super::progress::{Progress, counted};
use super::sample;
use super::seam::Semaphore;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// What a run came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Files that are there: the URL and what is known of the file.
    pub arrived: Vec<(String, Arrival)>,
    /// Downloads that failed.
    pub failed: usize,
    /// Bytes received.
    pub received: u64,
    /// From the first request to the last byte.
    pub took: Duration,
}

/// Runs the program with these options and gives its exit code.
pub fn run(options: &Options) -> u8 {
    if !options.names_a_source() {
        return sample::run(options);
    }
    let wanted = match options.wanted() {
        Ok(wanted) => wanted,
        Err(error) => return refuse(&error),
    };
    let folder = options.out.clone().unwrap_or_else(|| ".".into());
    match download(options, wanted, &folder, false) {
        Ok(tally) => conclude(&tally),
        Err(error) => refuse(&error),
    }
}

/// Says on standard error why nothing was done; gives the exit code for it.
pub fn refuse(error: &io::Error) -> u8 {
    let _ = writeln!(io::stderr().lock(), "downloader: {error}");
    2
}

/// Downloads what is wanted into the folder; with `local`, past any proxy.
///
/// # Errors
///
/// When nothing can begin: no folder, no certificates.
pub fn download(options: &Options, wanted: Vec<Wanted>, folder: &Path, local: bool) -> io::Result<Tally> {
    fs::create_dir_all(folder).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot make the folder {}: {error}", folder.display()))
    })?;
    let fetcher = Arc::new(Fetcher {
        agent: client::agent(options, local)?,
        names: Names::new(folder),
        retries: options.retries,
        timeout: options.timeout,
        resume: options.resume,
    });
    let begin = Instant::now();
    let progress = Progress::new(wanted.len());
    let mut limits = Limits::new(options.jobs, options.per_host);
    let mut tally = Tally::default();
    let mut running = Vec::new();
    for plan in plan(wanted, &fetcher.names, options.resume) {
        match plan {
            Plan::Download(item) => {
                let (jobs, host) = limits.of(&item);
                let (fetcher, progress, item) = (Arc::clone(&fetcher), progress.clone(), item.clone());
                let url = item.url.clone();
                let body = move || fetch_one(&fetcher, &item, &jobs, host.as_deref(), &progress);
                running.push((url, thread::Builder::new().spawn(body)?));
            }
            Plan::There(url, name) => {
                let before = fetcher.names.path(&name).metadata().map_or(0, |metadata| metadata.len());
                let arrival = Arrival { name, received: 0, before };
                progress.meter("").complete();
                progress.arrived(&url, &arrival, Duration::ZERO);
                tally.arrived.push((url, arrival));
            }
            Plan::Hopeless(url, failure) => {
                progress.failed(&url, &failure);
                tally.failed += 1;
            }
        }
    }
    for (url, handle) in running {
        match handle.join() {
            Ok(Some(arrival)) => tally.arrived.push((url, arrival)),
            Ok(None) | Err(_) => tally.failed += 1,
        }
    }
    progress.end();
    tally.received = progress.received();
    tally.took = begin.elapsed();
    Ok(tally)
}

fn fetch_one(
    fetcher: &Fetcher,
    item: &Item,
    jobs: &Semaphore,
    host: Option<&Semaphore>,
    progress: &Progress,
) -> Option<Arrival> {
    // The host's turn comes first, so that who waits for it takes no job from others.
    let _host = host.map(Semaphore::acquire);
    let _job = jobs.acquire();
    let begin = Instant::now();
    let meter = progress.meter(&item.name);
    match fetcher.fetch(item, &meter) {
        Ok(arrival) => {
            meter.complete();
            drop(meter);
            progress.arrived(&item.url, &arrival, begin.elapsed());
            Some(arrival)
        }
        Err(failure) => {
            drop(meter);
            progress.failed(&item.url, &failure);
            None
        }
    }
}

/// How many may be under way, in all and from each host.
struct Limits {
    jobs: Arc<Semaphore>,
    /// `None` without a limit.
    per_host: Option<NonZeroUsize>,
    hosts: HashMap<String, Arc<Semaphore>>,
}

impl Limits {
    fn new(jobs: NonZeroUsize, per_host: Option<NonZeroUsize>) -> Limits {
        Limits { jobs: Arc::new(Semaphore::new(jobs.get())), per_host, hosts: HashMap::new() }
    }

    fn of(&mut self, item: &Item) -> (Arc<Semaphore>, Option<Arc<Semaphore>>) {
        let host = self.per_host.map(|limit| {
            let host = self.hosts.entry(item.host.clone());
            Arc::clone(host.or_insert_with(|| Arc::new(Semaphore::new(limit.get()))))
        });
        (Arc::clone(&self.jobs), host)
    }
}

/// Prints the last line: what came, in what time, on how many OS threads. Gives the exit code.
pub fn conclude(tally: &Tally) -> u8 {
    let mut line = counted(tally.arrived.len(), "file");
    if tally.failed > 0 {
        line += &format!(", {} failed", tally.failed);
    }
    let seconds = tally.took.as_secs_f64();
    line += &format!(", {} bytes, {seconds:.2} s, {}", tally.received, counted(os_threads(), "OS thread"));
    let _ = writeln!(io::stdout().lock(), "{line}");
    u8::from(tally.failed > 0)
}

/// OS threads of this process; 0 when the system does not say.
fn os_threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
