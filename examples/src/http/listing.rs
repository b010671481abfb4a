//! The page that shows what is in a directory that has no `index.html`.

use super::response::{STYLE, escape_html};
use super::root::Entry;
use super::static_files::encode_path;
use super::{Part, Response, Status, http_date};
use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

/// The page for the directory `path`, which is decoded and ends with `/`.
pub(super) fn listing(path: &[u8], mut entries: Vec<Entry>) -> Response {
    entries.sort_by(|one, other| (!one.is_directory, &one.name).cmp(&(!other.is_directory, &other.name)));
    let title = format!("Index of {}", escape_html(&String::from_utf8_lossy(path)));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1>\n<table>\
         <thead><tr><th>Name</th><th class=\"n\">Size</th><th class=\"n\">Last changed (UTC)</th></tr></thead><tbody>\n"
    );
    if path != b"/" {
        page.push_str(
            "<tr><td><a href=\"../\">../</a></td><td class=\"n\"></td><td class=\"n\"></td></tr>\n",
        );
    }
    for entry in &entries {
        let slash = if entry.is_directory { "/" } else { "" };
        let name = escape_html(&String::from_utf8_lossy(&entry.name));
        let size = if entry.is_directory { String::new() } else { size(entry.length) };
        // `./` keeps a name with a colon from being taken for an address. Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "<tr><td><a href=\"./{}{slash}\">{name}{slash}</a></td><td class=\"n\" title=\"{} bytes\">{size}</td>\
             <td class=\"n\">{}</td></tr>",
            escape_html(&encode_path(&entry.name)),
            entry.length,
            date(entry.modified),
        );
    }
    page.push_str("</tbody></table></body></html>\n");
    Response::new(Status::OK)
        .field("Content-Type", "text/html; charset=utf-8")
        .body(vec![Part::Bytes(page.into_bytes())])
}

/// A number of bytes with three digits or so: `17 B`, `1.2 KiB`, `240 MiB`.
fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if value < 1023.5 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// `06 Nov 1994 08:49`
fn date(seconds: i64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(1 << 40));
    http_date(time)[5..22].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8], is_directory: bool) -> Entry {
        Entry { name: name.to_vec(), is_directory, length: 1536, modified: 784_111_777 }
    }

    #[test]
    fn directories_come_first_and_names_are_escaped() {
        let entries = vec![
            entry(b"b \"<i>?#%.txt", false),
            entry(b"javascript:alert(1)", false),
            entry(b"z", true),
            entry(b"\xff", false),
        ];
        let mut wire = listing(b"/<a>/", entries).into_wire(None, false);
        assert!(wire.fill().expect("a page"));
        let page = String::from_utf8(wire.unsent().to_vec()).expect("UTF-8");
        assert!(page.contains("<title>Index of /&lt;a&gt;/</title>"), "{page}");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("<tr><td>")).collect();
        assert!(rows[0].contains("href=\"../\""), "{page}");
        assert!(rows[1].contains("href=\"./z/\">z/<"), "{page}");
        assert!(
            rows[2].contains("href=\"./b%20%22%3Ci%3E%3F%23%25.txt\">b &quot;&lt;i&gt;?#%.txt<"),
            "{page}"
        );
        assert!(rows[2].contains(">1.5 KiB<") && rows[2].contains(">06 Nov 1994 08:49<"), "{page}");
        assert!(rows[3].contains("href=\"./javascript:alert(1)\""), "{page}");
        assert!(rows[4].contains("href=\"./%FF\""), "{page}");
    }

    #[test]
    fn sizes_have_about_three_digits() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10 << 10, "10 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (240 << 20, "240 MiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn any_time_has_a_date() {
        for seconds in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(date(seconds).len(), 17);
        }
    }
}
