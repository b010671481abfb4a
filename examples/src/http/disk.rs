//! Calls that may wait for a disk, made so that only the caller waits.
//!
//! Each is tried first in the way that answers from memory or not at all, which is the usual case and costs one system
//! call; only when the answer is not in memory does [`osier::offload`] take the call to another OS thread.

use rustix::io::{Errno, ReadWriteFlags};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Reads from `file` at `offset` and appends to `buffer`, `wanted` bytes at most. How many came; 0 at the end of the file.
pub(super) fn append_from(
    file: &Arc<File>,
    buffer: &mut Vec<u8>,
    offset: u64,
    wanted: usize,
) -> io::Result<usize> {
    let start = buffer.len();
    buffer.resize(start + wanted, 0);
    let in_memory = {
        let mut slices = [IoSliceMut::new(&mut buffer[start..])];
        rustix::io::preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT)
    };
    let result = match in_memory {
        Ok(count) => Ok(count),
        Err(_) => {
            // The bytes are on a disk, or the file system cannot tell.
            let (file, mut owned) = (Arc::clone(file), std::mem::take(buffer));
            let (owned, result) = osier::offload(move || {
                let result = read_at(&file, &mut owned[start..], offset);
                (owned, result)
            });
            *buffer = owned;
            result
        }
    };
    buffer.truncate(start + result.as_ref().map_or(0, |count| *count));
    result
}

fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(bytes, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// `from_memory`, and if that says that it does not know (`EAGAIN`), `call` where it may wait.
pub(super) fn answer<T: Send + 'static>(
    from_memory: impl FnOnce() -> Result<T, Errno>,
    call: impl FnOnce() -> Result<T, Errno> + Send + 'static,
) -> Result<T, Errno> {
    match from_memory() {
        Err(Errno::AGAIN) => osier::offload(call),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_not_in_memory_is_read_elsewhere() {
        // No file of /proc can say whether it is in memory.
        let path = "/proc/version";
        let file = Arc::new(File::open(path).expect("a file"));
        let version = std::fs::read(path).expect("a file");
        for read in [|read: &dyn Fn()| read(), |read: &dyn Fn()| osier::run(read)] {
            read(&|| {
                let mut buffer = b"> ".to_vec();
                assert_eq!(append_from(&file, &mut buffer, 0, 5).expect("bytes"), 5);
                assert_eq!(append_from(&file, &mut buffer, 5, 1 << 16).expect("bytes"), version.len() - 5);
                assert_eq!(buffer, [b"> ", &*version].concat());
            });
        }
    }

    #[test]
    fn the_end_of_a_file_is_no_error_and_a_directory_is() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"abc").expect("bytes");
        let mut buffer = Vec::new();
        assert_eq!(append_from(&Arc::new(file), &mut buffer, 3, 10).expect("the end"), 0);
        let directory = Arc::new(File::open("/").expect("a directory"));
        append_from(&directory, &mut buffer, 0, 10).expect_err("a directory");
        assert_eq!(buffer, b"");
    }

    #[test]
    fn a_call_that_memory_cannot_answer_is_made_where_it_may_wait() {
        assert_eq!(answer(|| Ok(1), || unreachable!("memory has answered")), Ok(1));
        assert_eq!(answer(|| Err(Errno::AGAIN), || Ok(2)), Ok(2));
        assert_eq!(osier::run(|| answer(|| Err(Errno::AGAIN), || Ok(3))), Ok(3));
        let refused = answer::<u8>(|| Err(Errno::NOENT), || unreachable!("memory has answered"));
        assert_eq!(refused, Err(Errno::NOENT));
    }
}
