//! What the types of sockets implement alike: conversions to and from descriptors and std's types, and reading and writing.

/// The conversions of `$type`, a tuple struct of a `Socket`, whose like in std is `$std`.
macro_rules! descriptor_conversions {
    ($type:ident, $std:path) => {
        impl std::os::fd::AsFd for $type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.0.lend()
            }
        }

        impl std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(&self.0.lend())
            }
        }

        impl std::os::fd::IntoRawFd for $type {
            fn into_raw_fd(self) -> std::os::fd::RawFd {
                std::os::fd::IntoRawFd::into_raw_fd(self.0.into_fd())
            }
        }

        impl From<$type> for std::os::fd::OwnedFd {
            /// Takes the descriptor, which no runtime knows any more.
            fn from(socket: $type) -> std::os::fd::OwnedFd {
                socket.0.into_fd()
            }
        }

        impl From<$type> for $std {
            /// The same socket as one of std's, whose calls block the OS thread.
            fn from(socket: $type) -> $std {
                <$std>::from(socket.0.into_fd())
            }
        }

        impl From<$std> for $type {
            /// The same socket as one whose calls park the green thread, with what was set.
            fn from(socket: $std) -> $type {
                $type::from(std::os::fd::OwnedFd::from(socket))
            }
        }

        impl core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.view(|socket: &$std| core::fmt::Debug::fmt(socket, f))
            }
        }
    };
}

/// Reads and writes of each `$type`, a tuple struct of a `Socket` that is a stream, or a reference to one.
macro_rules! stream_io {
    ($($type:ty),*) => {$(
        impl std::io::Read for $type {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.0.recv(buf)
            }

            fn read_vectored(&mut self, bufs: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
                self.0.recv_vectored(bufs)
            }
        }

        impl std::io::Write for $type {
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                self.0.send_all(buf)
            }

            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                self.0.send_vectored(bufs)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    )*};
}

pub(crate) use {descriptor_conversions, stream_io};
