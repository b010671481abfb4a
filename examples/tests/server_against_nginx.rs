//! The server's replies beside nginx's, for the same directory and the same requests.
//!
//! Needs nginx (Debian's package `nginx-light`): a real one is started on a port of its own with settings of its own.

mod web;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use web::{DATES, LARGE, MODIFIED, Program, Reply, Tree, ask, send};

/// A running nginx; ends with its value.
struct Nginx {
    child: Child,
    address: SocketAddr,
}

impl Nginx {
    fn start(tree: &Tree) -> Nginx {
        let home = tree.base().join("nginx");
        fs::create_dir_all(home.join("tmp")).expect("a directory");
        for _ in 0..5 {
            // nginx cannot be asked for a free port; somebody else may take this one meanwhile, hence the loop.
            let address = {
                let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
                free.local_addr().expect("an address")
            };
            fs::write(home.join("nginx.conf"), settings(&tree.site(), address)).expect("a file");
            let child = Command::new(program())
                .arg("-p")
                .arg(&home)
                .args(["-c", "nginx.conf", "-e", "error.log"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap_or_else(|error| {
                    panic!("cannot start nginx ({error}): install it, for example with apt-get install nginx-light")
                });
            let mut nginx = Nginx { child, address };
            if nginx.is_up() {
                return nginx;
            }
        }
        panic!("nginx does not come up: {}", fs::read_to_string(home.join("error.log")).unwrap_or_default());
    }

    /// Waits until it listens; false if it ended instead.
    fn is_up(&mut self) -> bool {
        let give_up = Instant::now() + Duration::from_secs(20);
        while Instant::now() < give_up && self.child.try_wait().expect("a child of ours").is_none() {
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// nginx lives where an ordinary user's search path does not lead.
fn program() -> &'static str {
    ["/usr/sbin/nginx", "/usr/local/sbin/nginx"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or("nginx")
}

/// Where the two servers' defaults differ, nginx's are set to ours: UTF-8 for text, relative redirects, and dates
/// compared as dates.
fn settings(site: &Path, address: SocketAddr) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path tmp/{name};"))
        .join(" ");
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log error.log crit;
        events {{ worker_connections 256; }}
        http {{
            access_log off; {temporary}
            default_type application/octet-stream;
            types {{
                text/html html; text/plain txt; text/css css; text/javascript js;
                application/json json; image/png png;
            }}
            charset utf-8; charset_types text/plain text/css text/javascript;
            absolute_redirect off;
            if_modified_since before;
            server {{ listen {address}; root {site}; index index.html; autoindex on; }}
        }}",
        site = site.display()
    )
}

/// Ours and theirs.
struct Pair {
    ours: Program,
    nginx: Nginx,
    /// One line for each reply that differs.
    differences: Vec<String>,
}

impl Pair {
    fn compare(&mut self, method: &str, path: &str, fields: &str) {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
        self.compare_bytes(&request);
    }

    fn compare_bytes(&mut self, request: &str) {
        let head = request.starts_with("HEAD");
        let reply = |address| {
            let mut bytes = send(address, request.as_bytes());
            let reply = Reply::take(&mut bytes, head);
            assert_eq!(bytes, b"", "there is something behind the reply to {request:?}");
            reply
        };
        let (ours, theirs) = (reply(self.ours.address), reply(self.nginx.address));
        let (ours, theirs) = (essence(&ours), essence(&theirs));
        if ours != theirs {
            self.differences.push(format!("{request:?}\n   ours: {ours:?}\n  nginx: {theirs:?}"));
        }
    }
}

/// What must be equal: all but the pages that each server words for itself, and the boundary between parts.
fn essence(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let mut body = String::from_utf8_lossy(&reply.body).into_owned();
    let mut wanted = vec!["content-type", "etag", "last-modified", "location", "connection"];
    let is_listing = body.contains("Index of /") || (reply.status == 200 && reply.field("etag").is_none());
    if reply.status < 300 && !is_listing {
        wanted.extend(["content-length", "accept-ranges"]);
    } else {
        body.clear();
    }
    if matches!(reply.status, 206 | 416) {
        wanted.push("content-range");
    }
    let mut fields: Vec<(String, String)> =
        reply.fields.iter().filter(|(name, _)| wanted.contains(&name.as_str())).cloned().collect();
    if let Some((_, boundary)) = reply.field("content-type").and_then(|value| value.split_once("boundary=")) {
        body = body.replace(boundary, "BOUNDARY");
        for (_, value) in &mut fields {
            *value = value.replace(boundary, "BOUNDARY");
        }
    }
    // nginx repeats that a connection is kept, which the version says already.
    fields.retain(|(name, value)| name != "connection" || value == "close");
    // nginx names the encoding of the pages that it words itself, except where they redirect.
    if reply.status == 301 {
        fields.retain(|(name, _)| name != "content-type");
    }
    fields.sort();
    (reply.status, fields, body)
}

#[test]
fn replies_are_nginxs() {
    let tree = Tree::new();
    let tag = format!("\"{MODIFIED:x}-{:x}\"", 36);
    let mut pair = Pair {
        ours: Program::start(&tree, &["--quiet"]),
        nginx: Nginx::start(&tree),
        differences: Vec::new(),
    };

    let paths = [
        "/",
        "/index.html",
        "/a.txt",
        "/empty.txt",
        "/large.bin",
        "/style.css",
        "/code.js",
        "/data.json",
        "/dot.png",
        "/unknown.zzz",
        "/no_extension",
        "/sp%20ace.txt",
        "/%c3%bc.txt",
        "/per%25cent.txt",
        "/.hidden.txt",
        "/in.txt",
        "/page",
        "/page/",
        "/page?a=b&c",
        "/dir",
        "/dir/",
        "/dir/b.txt",
        "/odd%20dir",
        "/odd%20dir/",
        "/missing",
        "/missing/",
        "/missing/x",
        "/a.txt/",
        "/a.txt/x",
        "/dir/../a.txt",
        "/dir/%2e%2e/a.txt",
        "/dir/..%2fa.txt",
        "/dir%2fb.txt",
        "//a.txt",
        "/./a.txt",
        "/dir/.",
        "/dir/..",
        "/a.txt?query",
        "/a.txt#fragment",
        "/..",
        "/../",
        "/../secret.txt",
        "/dir/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/a.txt%00",
        "/%00",
        "/%",
        "/%4",
        "/%zz",
        "a.txt",
        "*",
        "http://localhost/a.txt",
        "http://localhost",
        "/...",
        "/%252e%252e/secret.txt",
        "/..\\secret.txt",
    ];
    for path in paths {
        for method in ["GET", "HEAD"] {
            pair.compare(method, path, "");
        }
    }
    let long = format!("/{}", "x".repeat(300));
    pair.compare("GET", &long, "");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
        pair.compare(method, "/a.txt", "Content-Length: 0\r\n");
    }
    pair.compare("POST", "/a.txt", "Content-Length: 5\r\n\r\nhello");
    pair.compare("POST", "/a.txt", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n");

    let last = LARGE - 1;
    let ranges = [
        "bytes=0-0",
        "bytes=0-9",
        "bytes=5-",
        "bytes=-5",
        "bytes=-100",
        "bytes=30-99",
        "bytes=36-",
        "bytes=36-40",
        "bytes=35-",
        "bytes=0-35",
        "bytes=0-",
        "bytes=-0",
        "bytes=9-3",
        "bytes=0-0,2-2",
        "bytes=0-0,-1",
        "bytes=5-6, 1-2 ,3-4",
        "bytes=0-3,99-",
        "bytes=99-,100-",
        "bytes=0-,0-",
        "bytes=0-20,10-30",
        "bytes=",
        "bytes=x",
        "bytes=1",
        "bytes=1-x",
        "bytes=--1",
        "bytes=-",
        "bytes=,",
        "bytes=1-2,",
        "BYTES=1-2",
        "bytes = 1-2",
        "bytes= 1 - 2",
        "lines=1-2",
        "1-2",
        "bytes=99999999999999999999-",
        "bytes=0-99999999999999999999",
        "bytes=0-9223372036854775807",
        "bytes=1-2;3-4",
    ];
    for range in ranges {
        for (method, path) in [
            ("GET", "/a.txt"),
            ("HEAD", "/a.txt"),
            ("GET", "/empty.txt"),
            ("GET", "/large.bin"),
            ("GET", "/dir/"),
        ] {
            pair.compare(method, path, &format!("Range: {range}\r\n"));
        }
    }
    pair.compare("GET", "/large.bin", &format!("Range: bytes=100000-250000,{last}-\r\n"));
    pair.compare("GET", "/missing", "Range: bytes=0-1\r\n");

    let [before, then, after] = DATES;
    let conditions = [
        format!("If-None-Match: {tag}"),
        format!("If-None-Match: W/{tag}"),
        format!("If-None-Match: \"x\", {tag}"),
        "If-None-Match: \"x\"".to_owned(),
        "If-None-Match: *".to_owned(),
        format!("If-Modified-Since: {before}"),
        format!("If-Modified-Since: {then}"),
        format!("If-Modified-Since: {after}"),
        "If-Modified-Since: yesterday".to_owned(),
        format!("If-None-Match: {tag}\r\nIf-Modified-Since: {then}"),
        format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {then}"),
        format!("If-Match: {tag}"),
        format!("If-Match: W/{tag}"),
        "If-Match: \"x\"".to_owned(),
        "If-Match: *".to_owned(),
        format!("If-Unmodified-Since: {before}"),
        format!("If-Unmodified-Since: {then}"),
        format!("If-Unmodified-Since: {after}"),
        format!("If-Match: {tag}\r\nIf-None-Match: {tag}"),
        format!("If-Range: {tag}"),
        format!("If-Range: W/{tag}"),
        "If-Range: \"x\"".to_owned(),
        format!("If-Range: {then}"),
        format!("If-Range: {before}"),
        format!("If-Range: {after}"),
        "If-Range: yesterday".to_owned(),
    ];
    for condition in &conditions {
        for range in ["", "Range: bytes=1-2\r\n", "Range: bytes=99-\r\n"] {
            for method in ["GET", "HEAD"] {
                pair.compare(method, "/a.txt", &format!("{condition}\r\n{range}"));
            }
        }
        pair.compare("GET", "/missing", &format!("{condition}\r\n"));
    }

    for request in [
        "GET /a.txt HTTP/1.0\r\n\r\n",
        "GET /a.txt HTTP/1.0\r\nRange: bytes=1-2\r\n\r\n",
        "HEAD /a.txt HTTP/1.0\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost:\r\n\r\n",
        "GET /a.txt HTTP/2.0\r\nHost: x\r\n\r\n",
        "GET /a.txt HTTQ/1.1\r\nHost: x\r\n\r\n",
        "GET /a.txt HTTP/1.1 x\r\nHost: x\r\n\r\n",
        "HEAD /a.txt HTTP/1.1\r\n\r\n",
        "GET\r\n\r\n",
        "G\u{0}T / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n",
        "\r\nGET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /a.txt HTTP/1.1\nHost: x\nConnection: close\n\n",
        "GET /a.txt HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost : x\r\nConnection: close\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "GET /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        "POST /a.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nx",
        "POST /a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\nx",
        "GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    ] {
        pair.compare_bytes(request);
    }
    pair.compare("GET", &format!("/{}", "x".repeat(9000)), "");

    assert!(pair.differences.is_empty(), "{}", pair.differences.join("\n"));
}

#[test]
fn where_they_differ_it_is_on_purpose() {
    let tree = Tree::new();
    let (ours, nginx) = (Program::start(&tree, &["--quiet"]), Nginx::start(&tree));
    let tag = format!("\"{MODIFIED:x}-{:x}\"", 36);
    let large = format!("A: {}\r\n", "x".repeat(40_000));
    let [before, ..] = DATES;
    for (path, fields, our_status, their_status, _reason) in [
        ("/out.txt", String::new(), 403, 200, "nothing outside the root is served, also not by a link"),
        ("/up/secret.txt", String::new(), 403, 200, "likewise through a directory"),
        ("/absolute", String::new(), 403, 200, "likewise by an absolute link"),
        ("/a.txt", large, 431, 400, "the standard has a status for it"),
        (
            "/a.txt",
            format!("If-None-Match: {tag}\r\nIf-Modified-Since: {before}\r\n"),
            304,
            200,
            "the standard wants the date ignored when there is a tag",
        ),
        (
            "/a.txt",
            "If-Unmodified-Since: yesterday\r\n".to_owned(),
            200,
            412,
            "the standard wants a date ignored that cannot be read",
        ),
    ] {
        assert_eq!(ask(ours.address, "GET", path, &fields).status, our_status, "ours: {path} {fields:.80}");
        assert_eq!(
            ask(nginx.address, "GET", path, &fields).status,
            their_status,
            "nginx: {path} {fields:.80}"
        );
    }
}
