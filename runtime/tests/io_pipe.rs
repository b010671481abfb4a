//! Pipes between green threads: neighbours go on, nothing is lost, and ends are as std's.

mod common;

use common::{Log, MILLI, OnDrop, check, leaves_nothing};
use osier::io::{PipeReader, PipeWriter, copy, pipe, prelude::*};
use osier::time::{Elapsed, timeout};
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

/// Whether the descriptor is nonblocking in the kernel.
fn is_nonblocking(fd: impl AsFd) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    i32::from_str_radix(flags, 8).unwrap() & libc::O_NONBLOCK != 0
}

/// Fills the pipe; how many bytes that took.
fn fill(writer: &PipeWriter) -> usize {
    let mut written = 0;
    // A write that is ended by a deadline says how much it has written.
    while let Ok(count) = timeout(MILLI, || (&*writer).write(&[1; 5000]).unwrap()) {
        written += count;
        if count < 5000 {
            break;
        }
    }
    written
}

#[test]
fn a_neighbour_goes_on_during_a_read_and_during_a_write() {
    check(|| {
        let (mut reader, mut writer) = pipe().unwrap();
        let log = Log::new();
        let ours = log.clone();
        let read = osier::spawn_local(move || {
            ours.add("reads");
            let mut text = [0; 5];
            reader.read_exact(&mut text).unwrap();
            ours.add("has read");
            (text, reader)
        });
        osier::yield_now();
        log.add("neighbour");
        writer.write_all(b"twi").unwrap();
        osier::sleep(MILLI);
        log.add("neighbour again");
        writer.write_all(b"gs").unwrap();
        let (text, mut reader) = read.join().unwrap();
        assert_eq!(&text, b"twigs");
        assert_eq!(log.take(), ["reads", "neighbour", "neighbour again", "has read"]);

        let held = fill(&writer);
        let ours = log.clone();
        let write = osier::spawn_local(move || {
            ours.add("writes");
            writer.write_all(&[2; 100_000]).unwrap();
            ours.add("has written");
        });
        osier::yield_now();
        osier::sleep(MILLI);
        log.add("neighbour");
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!((all.len(), &all[held..]), (held + 100_000, &[2; 100_000][..]));
        write.join().unwrap();
        assert_eq!(log.take(), ["writes", "neighbour", "has written"]);
    });
}

#[test]
fn the_end_and_the_broken_pipe() {
    check(|| {
        let (mut reader, writer) = pipe().unwrap();
        let other = writer.try_clone().unwrap();
        drop(writer);
        let read = osier::spawn(move || reader.read(&mut [0; 8]));
        osier::yield_now();
        assert!(!read.is_finished(), "a second handle keeps the pipe open");
        drop(other);
        assert_eq!(read.join().unwrap().unwrap(), 0);

        let (reader, mut writer) = pipe().unwrap();
        fill(&writer);
        let write = osier::spawn(move || writer.write(&[0; 8]));
        osier::yield_now();
        drop(reader);
        assert_eq!(write.join().unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_kill_or_a_deadline_loses_no_byte() {
    check(|| {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Rc::new(reader);
        let log = Log::new();
        let killed = osier::spawn_local({
            let (reader, log) = (reader.clone(), log.clone());
            move || {
                let _dropped = OnDrop::new(move || log.add("dropped"));
                let _ = (&*reader).read(&mut [0; 8]);
            }
        });
        osier::yield_now();
        writer.write_all(b"one").unwrap();
        killed.kill();
        assert!(killed.join().is_err());
        assert_eq!(log.take(), ["dropped"]);
        let mut text = [0; 3];
        (&*reader).read_exact(&mut text).unwrap();
        assert_eq!(&text, b"one");
        assert_eq!(timeout(MILLI, || (&*reader).read(&mut text)).unwrap_err(), Elapsed);
        writer.write_all(b"two").unwrap();
        (&*reader).read_exact(&mut text).unwrap();
        assert_eq!(&text, b"two");
    });
}

/// Of several readers each byte goes to one, and all hear of the end.
#[test]
fn several_read_one_pipe() {
    check(|| {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Rc::new(reader);
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let reader = reader.clone();
                osier::spawn_local(move || {
                    let (mut sum, mut buf) = (0_u64, [0; 100]);
                    loop {
                        match (&*reader).read(&mut buf).unwrap() {
                            0 => return sum,
                            count => sum += buf[..count].iter().map(|byte| u64::from(*byte)).sum::<u64>(),
                        }
                    }
                })
            })
            .collect();
        for _ in 0..100 {
            writer.write_all(&[3; 5000]).unwrap();
        }
        drop(writer);
        assert_eq!(readers.into_iter().map(|reader| reader.join().unwrap()).sum::<u64>(), 3 * 500_000);
    });
}

#[test]
fn parts_and_copies() {
    check(|| {
        let (mut reader, mut writer) = pipe().unwrap();
        let parts: Vec<_> = (0..2000).map(|_| IoSlice::new(b"x")).collect();
        let written = writer.write_vectored(&parts).unwrap();
        assert_eq!(written, 1024, "as many parts as the kernel takes");
        let (mut one, mut two) = ([0; 1000], [0; 1000]);
        let mut into = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        assert_eq!(reader.read_vectored(&mut into).unwrap(), 1024);

        let (mut back, mut forth) = pipe().unwrap();
        let copies = osier::spawn(move || copy(&mut reader, &mut forth).unwrap());
        let write = osier::spawn(move || writer.write_all(&vec![7; 300_000]).unwrap());
        let mut all = Vec::new();
        back.read_to_end(&mut all).unwrap();
        assert!(all == vec![7; 300_000]);
        assert_eq!(copies.join().unwrap(), 300_000);
        write.join().unwrap();
    });
}

#[test]
fn on_a_plain_os_thread_it_blocks() {
    leaves_nothing(|| {
        let (mut reader, mut writer) = pipe().unwrap();
        assert_eq!(timeout(MILLI, || reader.read(&mut [0])).unwrap_err(), Elapsed);
        let write = std::thread::spawn(move || writer.write_all(&[5; 300_000]).unwrap());
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 300_000);
        write.join().unwrap();
    });
}

#[test]
fn an_end_that_is_given_away_blocks_again() {
    check(|| {
        let (reader, writer) = pipe().unwrap();
        assert!(is_nonblocking(&reader) && is_nonblocking(&writer));
        let second = reader.try_clone().unwrap();
        let fd = OwnedFd::from(reader);
        assert!(is_nonblocking(&fd), "its clone needs it so");
        drop(fd);
        let fd = OwnedFd::from(second);
        assert!(!is_nonblocking(&fd));
        let reader = PipeReader::from(fd);
        assert!(is_nonblocking(&reader));
        let std = std::io::PipeReader::from(reader);
        assert!(!is_nonblocking(&std));
        assert!(format!("{writer:?}").starts_with("PipeWriter"), "{writer:?}");
    });
}
