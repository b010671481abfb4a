//! A server that runs out of descriptors says so, and goes on when there are some again. One test, since the limit on
//! descriptors is the process's.
#![expect(unsafe_code, reason = "sets a resource limit")]

use osier::net::{TcpListener, TcpStream};
use std::io::{Read, Write};

fn set_limit(descriptors: u64) {
    let limit = libc::rlimit { rlim_cur: descriptors, rlim_max: 20_000 };
    // SAFETY: `limit` is valid.
    assert_eq!(unsafe { libc::prlimit(0, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()) }, 0);
}

#[test]
fn accept_without_descriptors_fails_and_recovers_and_no_connection_is_lost() {
    osier::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut clients: Vec<_> =
            (0..3).map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap()).collect();
        let server = osier::spawn(move || {
            // Registered by a wait, and told once of the connections that come then.
            drop(listener.accept().unwrap());
            set_limit(0);
            for _ in 0..2 {
                let error = listener.accept().unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            }
            set_limit(10_000);
            let mut streams: Vec<_> = (0..2).map(|_| listener.accept().unwrap().0).collect();
            for stream in &mut streams {
                stream.write_all(b"x").unwrap();
            }
        });
        server.join().unwrap();
        let served = clients.iter_mut().map(|client| client.read(&mut [0]).unwrap()).collect::<Vec<_>>();
        assert_eq!(served, [0, 1, 1]);
    });
}
