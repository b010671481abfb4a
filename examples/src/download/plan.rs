//! Which file each URL is to become: claims the names before anything is asked for, in the order of the command line.
//!
//! So a second run with the same command line finds the same `.part` files, whatever arrived first.

use super::failure::Failure;
use super::fetch::{Item, exists};
use super::naming::{self, Names};
use super::options::Wanted;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use ureq::http::Uri;

/// What is to be done about one wanted URL.
#[derive(Debug)]
pub enum Plan {
    /// It is to be downloaded.
    Download(Item),
    /// Its file is there from an earlier run: the URL and the name.
    There(String, String),
    /// Nothing can be done: the URL and the reason.
    Hopeless(String, Failure),
}

/// What people paste into URLs and what may not stand there.
const FOREIGN: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}');

/// Plans all downloads; with `resume`, a file that is there need not be fetched.
pub fn plan(wanted: Vec<Wanted>, names: &Names, resume: bool) -> Vec<Plan> {
    // Names that the user gave come first: no other download may take one of them.
    let mut refused: Vec<Option<Failure>> = wanted
        .iter()
        .map(|wanted| match &wanted.name {
            None => None,
            Some(name) => match naming::objection(name) {
                Some(why) => Some(Failure::Name(why)),
                None if !names.claim_exactly(name) => {
                    Some(Failure::Name(format!("the name {name} is wanted twice")))
                }
                None => None,
            },
        })
        .collect();
    let mut plans = Vec::with_capacity(wanted.len());
    for (index, Wanted { url, name }) in wanted.into_iter().enumerate() {
        if let Some(failure) = refused[index].take() {
            plans.push(Plan::Hopeless(url, failure));
            continue;
        }
        let (asked, host, path) = match check(&url) {
            Ok(parts) => parts,
            Err(failure) => {
                plans.push(Plan::Hopeless(url, failure));
                continue;
            }
        };
        let named = name.is_some();
        let name = name.unwrap_or_else(|| names.claim(&naming::from_path(&path), !resume));
        plans.push(match names.exists(&name) {
            true if resume => Plan::There(url, name),
            true => Plan::Hopeless(url, exists(&name)),
            false => Plan::Download(Item { url: asked, host, name, named }),
        });
    }
    plans
}

/// The URL as it is asked for, its host and port, and its path.
fn check(url: &str) -> Result<(String, String, String), Failure> {
    let encoded: String = utf8_percent_encode(url, FOREIGN).to_string();
    let uri: Uri = encoded.parse().map_err(|error| Failure::Url(format!("not a URL: {error}")))?;
    let port = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        Some(other) => {
            return Err(Failure::Url(format!("{other} is not supported, only http and https are")));
        }
        None => {
            return Err(Failure::Url(
                "not a URL: it begins neither with http:// nor with https://".to_owned(),
            ));
        }
    };
    match uri.host() {
        Some(host) if !host.is_empty() => {
            let host = format!("{}:{}", host.to_ascii_lowercase(), uri.port_u16().unwrap_or(port));
            Ok((encoded.clone(), host, uri.path().to_owned()))
        }
        _ => Err(Failure::Url("not a URL: it has no host".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn wanted(url: &str, name: Option<&str>) -> Wanted {
        Wanted { url: url.to_owned(), name: name.map(str::to_owned) }
    }

    #[test]
    fn given_names_come_first_and_only_once() {
        let names = Names::new(Path::new("/nonexistent"));
        let list = vec![
            wanted("http://h/x", None),
            wanted("http://h/1", Some("x")),
            wanted("http://h/2", Some("x")),
            wanted("http://h/3", Some("../x")),
            wanted("ftp://h/4", None),
            wanted("h/5", None),
        ];
        let plans = plan(list, &names, false);
        assert!(matches!(&plans[0], Plan::Download(item) if item.name == "x-2"), "{plans:?}");
        assert!(matches!(&plans[1], Plan::Download(item) if item.name == "x" && item.named), "{plans:?}");
        assert!(plans[2..].iter().all(|plan| matches!(plan, Plan::Hopeless(..))), "{plans:?}");
    }

    #[test]
    fn hosts_are_told_apart_by_port() {
        let hosts = ["http://H/a", "http://h:80/b", "https://h/c", "http://[::1]:8080/d"]
            .map(|url| check(url).unwrap().1);
        assert_eq!(hosts, ["h:80", "h:80", "h:443", "[::1]:8080"]);
    }

    #[test]
    fn spaces_and_foreign_letters_are_encoded() {
        assert_eq!(check("http://h/a b/é").unwrap().0, "http://h/a%20b/%C3%A9");
        assert_eq!(check("http://h/a%20b").unwrap().0, "http://h/a%20b");
    }
}
