//! A server that runs out of descriptors says so, and goes on when there are some again. One test, since the limit on
//! descriptors is the process's.
#![expect(unsafe_code, reason = "sets a resource limit")]

use osier::net::{TcpListener, TcpStream};
use std::io::{Read, Write};
use std::rc::Rc;

/// Allows so many; gives how many were allowed before.
fn set_limit(descriptors: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for a write.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    let before = std::mem::replace(&mut limit.rlim_cur, descriptors);
    // SAFETY: `limit` is valid.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    before
}

#[test]
fn accept_without_descriptors_fails_and_recovers_and_no_connection_is_lost() {
    osier::run(|| {
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let addr = listener.local_addr().unwrap();
        let accept = |listener: &Rc<TcpListener>| {
            let listener = listener.clone();
            osier::spawn_local(move || listener.accept())
        };
        // Registered by a wait, and told once of each connection that comes then.
        let first = accept(&listener);
        let mut clients = vec![TcpStream::connect(addr).unwrap()];
        drop(first.join().unwrap().unwrap());

        let acceptors = [accept(&listener), accept(&listener), accept(&listener)];
        for _ in 0..10 {
            osier::yield_now();
        }
        // One event for three that wait: each must hear of the error.
        clients.extend((0..2).map(|_| TcpStream::from(std::net::TcpStream::connect(addr).unwrap())));
        let before = set_limit(0);
        for acceptor in acceptors {
            let error = acceptor.join().unwrap().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        }
        assert_eq!(listener.accept().unwrap_err().raw_os_error(), Some(libc::EMFILE));

        set_limit(before);
        let streams: Vec<_> = (0..2).map(|_| listener.accept().unwrap().0).collect();
        for mut stream in streams {
            stream.write_all(b"x").unwrap();
        }
        let served = clients.iter_mut().map(|client| client.read(&mut [0]).unwrap()).collect::<Vec<_>>();
        assert_eq!(served, [0, 1, 1]);
    });
}
