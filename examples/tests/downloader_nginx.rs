//! Downloads from a real nginx: HTTP, HTTPS with an authority of our own, its ranges, its compression, its listing of names.
//!
//! Without nginx on the machine there is nothing to show: the test says so and passes.

mod downloader_fixture;

use downloader_fixture::{listing, noise, run, wait_until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::{TempDir, tempdir};

struct Nginx {
    folder: TempDir,
    child: Child,
    http: u16,
    https: u16,
}

impl Nginx {
    /// `None` when there is no nginx.
    fn start() -> Option<Nginx> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
        let program = program.into_iter().map(PathBuf::from).find(|path| path.exists())?;
        // Somebody else may take a port that was free a moment ago: then it ends.
        Some((0..5).find_map(|_| Nginx::start_once(&program)).expect("nginx comes up"))
    }

    /// `None` when it has ended at once.
    fn start_once(program: &Path) -> Option<Nginx> {
        let folder = tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        certificates(folder.path());
        // nginx cannot say which free port it got. Both are held until it is told, so they differ.
        let (http, https) = {
            let held = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
            (held[0].local_addr().unwrap().port(), held[1].local_addr().unwrap().port())
        };
        let path = |name: &str| folder.path().join(name).display().to_string();
        let configuration = format!(
            "daemon off; master_process off; pid {pid}; error_log {log};\n\
             events {{ worker_connections 256; }}\n\
             http {{\n\
               access_log off; client_body_temp_path {tmp}; proxy_temp_path {tmp}; fastcgi_temp_path {tmp};\n\
               uwsgi_temp_path {tmp}; scgi_temp_path {tmp};\n\
               types {{ text/plain txt; }} default_type application/octet-stream;\n\
               gzip on; gzip_types text/plain; gzip_min_length 1;\n\
               server {{\n\
                 listen 127.0.0.1:{http}; listen 127.0.0.1:{https} ssl; listen 127.0.0.2:{https} ssl;\n\
                 ssl_certificate {cert}; ssl_certificate_key {key}; root {root};\n\
                 location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}\n\
               }}\n\
             }}\n",
            pid = path("pid"),
            log = path("error.log"),
            tmp = path("tmp"),
            cert = path("server.pem"),
            key = path("server.key"),
            root = root.display(),
        );
        fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
        let child = Command::new(program)
            .args(["-p", &path(""), "-c", &path("nginx.conf"), "-e", &path("error.log")])
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut nginx = Nginx { folder, child, http, https };
        let mut has_ended = false;
        wait_until("nginx", || {
            has_ended = nginx.child.try_wait().unwrap().is_some();
            has_ended || TcpStream::connect(("127.0.0.1", nginx.https)).is_ok()
        });
        (!has_ended).then_some(nginx)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.path().join("root").join(name), bytes).unwrap();
    }

    fn authority(&self) -> String {
        self.folder.path().join("authority.pem").display().to_string()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes an authority, and a key and certificate for localhost that it has signed.
fn certificates(folder: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(folder.join("authority.pem"), authority.pem()).unwrap();
    fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}

#[test]
fn files_arrive_from_nginx_over_http_and_https() {
    let Some(nginx) = Nginx::start() else {
        downloader_fixture::skip("no nginx on this machine");
        return;
    };
    let (plain, secure) =
        (format!("http://127.0.0.1:{}", nginx.http), format!("https://localhost:{}", nginx.https));
    let big = noise(3, 3_000_000);
    let text = "compress me, please; ".repeat(5000);
    nginx.write("big.bin", &big);
    nginx.write("note.txt", text.as_bytes());
    for number in 0..20 {
        nginx.write(&format!("f{number}"), &noise(number, 10_000));
    }

    let folder = tempdir().unwrap();
    let file = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let mut line = vec!["--cacert".to_owned(), nginx.authority()];
    for base in [&plain, &secure] {
        line.extend([
            format!("{base}/big.bin"),
            format!("{base}/note.txt"),
            format!("{base}/moved/f1=moved"),
        ]);
        line.extend((0..20).map(|number| format!("{base}/f{number}")));
        // The name of the second server's file must differ.
        if base == &plain {
            line.last_mut().unwrap().push_str("=renamed");
            line.retain(|argument| !argument.ends_with("=moved"));
        }
    }
    let outcome = run(folder.path(), &line);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    assert!(outcome.summary().contains("45 files, "), "{outcome:?}");
    assert!(file("big.bin") == big && file("big-2.bin") == big);
    assert!(file("note.txt") == text.as_bytes() && file("note-2.txt") == text.as_bytes());
    assert!(file("moved") == noise(1, 10_000) && file("renamed") == noise(19, 10_000));
    for number in 0..19 {
        assert!(file(&format!("f{number}")) == noise(number, 10_000), "f{number}");
        assert!(file(&format!("f{number}-2")) == noise(number, 10_000), "f{number}-2");
    }

    // Without the authority nothing is believed; and an authority does not vouch for another name.
    let folder = tempdir().unwrap();
    let outcome = run(folder.path(), &[format!("{secure}/f1")]);
    assert_eq!((outcome.code, outcome.errors().len()), (1, 1), "{outcome:?}");
    assert!(outcome.stderr.contains("no secure connection"), "{outcome:?}");
    let wrong = format!("https://127.0.0.2:{}/f1", nginx.https);
    let outcome = run(folder.path(), &[wrong, "--cacert".to_owned(), nginx.authority()]);
    assert_eq!((outcome.code, outcome.errors().len()), (1, 1), "{outcome:?}");
    assert!(outcome.stderr.contains("no secure connection"), "{outcome:?}");
    assert_eq!(listing(folder.path()), [""; 0]);

    // nginx's own ranges, validators and 416.
    let tag = {
        let answer = ureq::get(&format!("{plain}/big.bin")).call().unwrap();
        answer.headers()["etag"].to_str().unwrap().to_owned()
    };
    let url = format!("{plain}/big.bin");
    for (have, tag, received) in [
        (1_000_000, tag.as_str(), 2_000_000),
        (3_000_000, tag.as_str(), 0),
        (3_500_000, tag.as_str(), 3_000_000),
        (1_000_000, "\"old\"", 3_000_000),
    ] {
        let folder = tempdir().unwrap();
        let mut part = big.clone();
        part.resize(have, 0);
        fs::write(folder.path().join("big.bin.part"), part).unwrap();
        fs::write(folder.path().join(".big.bin.part"), format!("{url}\n{tag}\n")).unwrap();
        let outcome = run(folder.path(), &[url.as_str(), "--resume"]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
        let expected = format!("{received} bytes received from {url} ");
        assert!(outcome.stdout.replace('\n', " ").contains(&expected), "{have} {tag}: {outcome:?}");
        assert_eq!(listing(folder.path()), ["big.bin"]);
        assert!(fs::read(folder.path().join("big.bin")).unwrap() == big, "{have} {tag}");
    }
}
