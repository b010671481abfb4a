//! Clients of HTTP: of the server's two paths `/now` answers at once.

use super::hundred_at_once;
use super::servers::{DELAY, serve};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

fn answer(stream: TcpStream) -> io::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut path = String::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if let Some(rest) = line.strip_prefix("GET ") {
            path = rest.split(' ').next().unwrap_or_default().to_string();
        }
        if line.is_empty() {
            if path != "/now" {
                std::thread::sleep(DELAY);
            }
            answers.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")?;
        }
    }
    Ok(())
}

fn server() -> SocketAddr {
    serve(answer)
}

#[test]
fn ureq_get() {
    let address = server();
    hundred_at_once(
        "ureq, GET",
        move || {
            let agent = ureq::Agent::new_with_defaults();
            agent.get(format!("http://{address}/now")).call().unwrap().body_mut().read_to_string().unwrap();
            agent
        },
        move |agent| {
            let mut response = agent.get(format!("http://{address}/slow")).call().unwrap();
            assert_eq!(response.body_mut().read_to_string().unwrap(), "hello");
        },
    );
}

/// Makes a connection for each request.
#[test]
fn minreq_get() {
    let address = server();
    hundred_at_once(
        "minreq, GET",
        || (),
        move |()| {
            let response = minreq::get(format!("http://{address}/slow")).send().unwrap();
            assert_eq!(response.as_str().unwrap(), "hello");
        },
    );
}

/// libcurl: C, which waits in `poll`. It has an OS thread of its own look up the name.
#[test]
fn curl_get() {
    let address = server();
    let fetch = |easy: &mut curl::easy::Easy| {
        let mut body = Vec::new();
        let mut transfer = easy.transfer();
        transfer
            .write_function(|data| {
                body.extend_from_slice(data);
                Ok(data.len())
            })
            .unwrap();
        transfer.perform().unwrap();
        drop(transfer);
        assert_eq!(body, b"hello");
    };
    hundred_at_once(
        "curl (libcurl), GET",
        move || {
            let mut easy = curl::easy::Easy::new();
            easy.url(&format!("http://localhost:{}/now", address.port())).unwrap();
            easy.ip_resolve(curl::easy::IpResolve::V4).unwrap();
            easy.signal(false).unwrap();
            fetch(&mut easy);
            easy.url(&format!("http://localhost:{}/slow", address.port())).unwrap();
            easy
        },
        fetch,
    );
}
