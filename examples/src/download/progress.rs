//! What the user sees meanwhile: bars on a terminal, plain lines otherwise.
//!
//! Bars go to standard error. Lines about files that arrived go to standard output, also beside the bars when it is not
//! the terminal; lines about files that did not go to standard error. Nothing here waits for anything but the terminal.

use super::failure::Failure;
use super::fetch::Arrival;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What the total bar counts for each file: a file whose length is known moves it by fractions.
const FILE: u64 = 1000;
/// Lines on the screen that are not for the files' bars.
const OTHER_LINES: usize = 3;

/// The view of a whole run. Cheap to clone; all clones are the same view.
#[derive(Clone, Debug)]
pub struct Progress {
    /// `None` without a terminal.
    screen: Option<Arc<Screen>>,
    /// Whether arrived files are told by plain lines on standard output.
    plain: bool,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Files that are wanted.
    files: usize,
    arrived: AtomicUsize,
    failed: AtomicUsize,
    /// Bytes received so far, over all files.
    received: AtomicU64,
}

struct Screen {
    bars: MultiProgress,
    total: ProgressBar,
    /// Bars that may still be shown: a terminal has only so many lines.
    free: AtomicUsize,
    /// Columns for a file's name.
    name_width: usize,
    style: ProgressStyle,
    style_without_length: ProgressStyle,
    style_of_message: ProgressStyle,
}

impl Progress {
    /// A view of `files` downloads.
    pub fn new(files: usize) -> Progress {
        let counts = Arc::new(Counts { files, ..Counts::default() });
        let screen = io::stderr().is_terminal().then(|| Arc::new(Screen::new(files, &counts)));
        let plain = screen.is_none() || !io::stdout().is_terminal();
        Progress { screen, plain, counts }
    }

    /// The view of one download.
    pub fn meter(&self, name: &str) -> Meter {
        Meter {
            progress: self.clone(),
            bar: RefCell::default(),
            name: RefCell::new(name.to_owned()),
            position: Cell::new(0),
            length: Cell::new(None),
            share: Cell::new(0),
        }
    }

    /// Files that are wanted.
    pub fn files(&self) -> usize {
        self.counts.files
    }

    /// Bytes received so far, over all files.
    pub fn received(&self) -> u64 {
        self.counts.received.load(Ordering::Relaxed)
    }

    /// Whether somebody should call [`Progress::tick`] now and then.
    pub fn is_live(&self) -> bool {
        self.screen.is_some()
    }

    /// Draws the total afresh, so that time goes on while nothing arrives.
    pub fn tick(&self) {
        if let Some(screen) = &self.screen {
            screen.total.tick();
        }
    }

    /// Tells that a file is there.
    pub fn arrived(&self, url: &str, arrival: &Arrival, took: Duration) {
        self.counts.arrived.fetch_add(1, Ordering::Relaxed);
        let Arrival { name, received, before } = arrival;
        if self.plain {
            let remark = match (received, before) {
                (_, 0) => String::new(),
                (0, _) => format!(" ({name} is there already)"),
                _ => format!(" (after {before} of an earlier run)"),
            };
            // Nobody may be listening any more; the file has arrived all the same.
            let _ = writeln!(io::stdout().lock(), "{received} bytes received from {url}{remark}");
        }
        if let Some(screen) = &self.screen {
            if !self.plain {
                let time = if *received == 0 && *before > 0 {
                    "there already".to_owned()
                } else {
                    format!("{:.2} s", took.as_secs_f64())
                };
                let size = HumanBytes(received + before).to_string();
                let _ = screen.bars.println(format!("{size:>12}  {name}  {time}"));
            }
            screen.total.tick();
        }
    }

    /// Tells that a file did not arrive.
    pub fn failed(&self, url: &str, failure: &Failure) {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        let line = harmless(&format!("downloader: {url}: {failure}"));
        match &self.screen {
            Some(screen) => {
                let _ = screen.bars.println(line);
                screen.total.inc(FILE);
            }
            None => {
                let _ = writeln!(io::stderr().lock(), "{line}");
            }
        }
    }

    /// Takes the bars off the screen.
    pub fn end(&self) {
        if let Some(screen) = &self.screen {
            screen.total.finish_and_clear();
            let _ = screen.bars.clear();
        }
    }
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").field("total", &self.total).field("free", &self.free).finish_non_exhaustive()
    }
}

impl Screen {
    fn new(files: usize, counts: &Arc<Counts>) -> Screen {
        let (columns, rows): (usize, usize) = match rustix::termios::tcgetwinsize(io::stderr()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
            _ => (80, 24),
        };
        let name_width = (columns / 3).clamp(8, 40);
        let (bar, total_bar) = if columns >= 60 {
            (
                "{wide_bar:.cyan/dim} {binary_bytes:>11} of {binary_total_bytes:<10} {eta:>4}",
                "{wide_bar:.green/dim}",
            )
        } else {
            ("{wide_bar:.cyan/dim} {percent:>3}%", "{wide_bar:.green/dim}")
        };
        let style = |template: &str| {
            let style = ProgressStyle::with_template(template);
            style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
        };
        let name = format!("{{prefix:{name_width}}}");
        let numbers =
            if columns >= 60 { "{files}  {received}  {speed}  {elapsed}" } else { "{files}  {speed}" };
        let counts = Arc::clone(counts);
        let for_files = Arc::clone(&counts);
        let for_speed = Arc::clone(&counts);
        let total_style = style(&format!("{total_bar} {numbers}"))
            .with_key("files", move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                let arrived = for_files.arrived.load(Ordering::Relaxed);
                let _ = match for_files.failed.load(Ordering::Relaxed) {
                    0 => write!(out, "{arrived} of {files}"),
                    failed => write!(out, "{arrived} of {files}, {failed} failed"),
                };
            })
            .with_key("received", move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{}", HumanBytes(counts.received.load(Ordering::Relaxed)));
            })
            .with_key("speed", move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let bytes = for_speed.received.load(Ordering::Relaxed) as f64;
                let rate = bytes / state.elapsed().as_secs_f64().max(0.001);
                let _ = write!(out, "{}/s", HumanBytes(rate as u64));
            });
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(30));
        let total = bars.add(ProgressBar::new(files as u64 * FILE).with_style(total_style));
        total.tick();
        Screen {
            bars,
            total,
            free: AtomicUsize::new(rows.saturating_sub(OTHER_LINES)),
            name_width,
            style: style(&format!("{name} {bar}")),
            style_without_length: style(&format!("{name} {{spinner}} {{binary_bytes}}")),
            style_of_message: style(&format!("{name} {{wide_msg}}")),
        }
    }

    fn take_line(&self) -> bool {
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(1)).is_ok()
    }
}

/// The view of one download; its bar leaves the screen with it.
#[derive(Debug)]
pub struct Meter {
    progress: Progress,
    /// `None` while there is no line free for it, and without a terminal.
    bar: RefCell<Option<ProgressBar>>,
    name: RefCell<String>,
    position: Cell<u64>,
    /// Bytes of the whole file; `None` while it is not known.
    length: Cell<Option<u64>>,
    /// What of [`FILE`] this file has moved the total.
    share: Cell<u64>,
}

impl Meter {
    /// An attempt begins at this byte of a file of this length.
    pub fn restart(&self, position: u64, length: Option<u64>) {
        self.position.set(position);
        self.length.set(length);
        let Some(screen) = &self.progress.screen else { return };
        if let Some(bar) = &*self.bar.borrow() {
            self.dress(screen, bar);
        }
        self.show(screen);
        self.move_total(screen);
    }

    /// So many more bytes have arrived.
    pub fn advance(&self, bytes: u64) {
        self.position.set(self.position.get() + bytes);
        self.progress.counts.received.fetch_add(bytes, Ordering::Relaxed);
        let Some(screen) = &self.progress.screen else { return };
        self.show(screen);
        if let Some(bar) = &*self.bar.borrow() {
            bar.set_position(self.position.get());
        }
        self.move_total(screen);
    }

    /// Shows a message in place of the bar, until the next attempt begins.
    pub fn say(&self, message: String) {
        let Some(screen) = &self.progress.screen else { return };
        if let Some(bar) = &*self.bar.borrow() {
            bar.set_style(screen.style_of_message.clone());
            bar.set_message(message);
        }
    }

    /// The file goes by another name than was thought.
    pub fn rename(&self, name: &str) {
        name.clone_into(&mut self.name.borrow_mut());
    }

    /// Moves the total by what this file still lacks: it is there.
    pub fn complete(&self) {
        let Some(screen) = &self.progress.screen else { return };
        screen.total.inc(FILE - self.share.replace(FILE));
    }

    /// Takes a line of the screen, if there is one and this bar has none.
    fn show(&self, screen: &Screen) {
        let mut bar = self.bar.borrow_mut();
        if bar.is_none() && screen.take_line() {
            // Dressed while hidden: else its plain form would flash up.
            let new = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            self.dress(screen, &new);
            *bar = Some(screen.bars.insert_before(&screen.total, new));
        }
    }

    fn dress(&self, screen: &Screen, bar: &ProgressBar) {
        bar.set_prefix(elide(&self.name.borrow(), screen.name_width));
        match self.length.get() {
            Some(length) => {
                bar.set_style(screen.style.clone());
                bar.set_length(length);
            }
            None => bar.set_style(screen.style_without_length.clone()),
        }
        bar.reset_eta();
        bar.set_position(self.position.get());
    }

    fn move_total(&self, screen: &Screen) {
        let share = match self.length.get() {
            Some(length) if length > 0 => {
                (u128::from(FILE) * u128::from(self.position.get().min(length)) / u128::from(length)) as u64
            }
            _ => 0,
        };
        let before = self.share.replace(share);
        if share >= before {
            screen.total.inc(share - before);
        } else {
            screen.total.dec(before - share);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let Some(screen) = &self.progress.screen else { return };
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            screen.bars.remove(&bar);
            screen.free.fetch_add(1, Ordering::Relaxed);
        }
        // What did not arrive does not count.
        match self.share.get() {
            FILE => {}
            share => screen.total.dec(share),
        }
    }
}

/// Cuts the middle out of a name that is too long for its column.
fn elide(name: &str, width: usize) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= width {
        return name.to_owned();
    }
    let tail = (width / 2).min(12);
    let head = width - tail - 1;
    let mut short = String::new();
    short.extend(&characters[..head]);
    short.push('…');
    short.extend(&characters[characters.len() - tail..]);
    short
}

/// The text without what would end its line or command the terminal: it comes from lists and from servers.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A number with its noun: `1 file`, `2 files`.
pub fn counted(count: usize, noun: &str) -> String {
    let mut text = format!("{count} {noun}");
    if count != 1 {
        let _ = text.write_char('s');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_name_keeps_its_beginning_and_its_end() {
        assert_eq!(elide("short.bin", 12), "short.bin");
        assert_eq!(elide("a-very-long-name.bin", 12), "a-ver…me.bin");
        assert_eq!(elide("ééééééééééééé", 12).chars().count(), 12);
    }
}
