//! Which file names are safe, and who has claimed which.
//!
//! A name that a server or a URL suggests is bent until it is safe; one that the user gave is taken as it is or refused.
//! A safe name is one plain component, does not begin with a dot, and does not end in `.part`: so `NAME.part` and
//! `.NAME.part`, which [`super::part`] uses, never meet the final name of another download.

use percent_encoding::percent_decode_str;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Longest safe name in bytes: leaves room in the 255 of Linux for a number, a dot and `.part`.
const LONGEST: usize = 200;

/// How unfinished files end.
pub const PART: &str = ".part";

/// Makes a safe name of what a URL or a server suggests; `None` when nothing is left of it.
pub fn safe(suggested: &str) -> Option<String> {
    let mut name: String = suggested.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    name.truncate(name.trim_end_matches([' ', '.']).len());
    let start = name.len() - name.trim_start_matches(' ').len();
    name.drain(..start);
    if name.is_empty() {
        return None;
    }
    if name.starts_with(['.', '-', '~']) {
        name.replace_range(..1, "_");
    }
    if is_device(&name) {
        name.insert(0, '_');
    }
    if name.len() >= PART.len()
        && name.as_bytes()[name.len() - PART.len()..].eq_ignore_ascii_case(PART.as_bytes())
    {
        name.push('_');
    }
    Some(shorten(&name))
}

/// Says what is wrong with a name that the user gave, or nothing.
pub fn objection(name: &str) -> Option<String> {
    if name.contains('/') || matches!(name, "" | "." | "..") || name.contains('\0') {
        Some(format!("the name {name:?} is not a plain file name"))
    } else if name.starts_with('.') {
        Some(format!("the name {name:?} begins with a dot"))
    } else if name.ends_with(PART) {
        Some(format!("the name {name:?} ends in {PART}, which marks unfinished files"))
    } else if name.len() > LONGEST {
        Some(format!("the name is {} bytes long, at most {LONGEST} are allowed", name.len()))
    } else {
        None
    }
}

/// The safe name that the path of a URL suggests: its last piece, decoded; `index.html` when there is none.
pub fn from_path(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    safe(&percent_decode_str(last).decode_utf8_lossy()).unwrap_or_else(|| "index.html".to_owned())
}

/// The safe name in a `Content-Disposition`, if it holds one: `filename*` before `filename`.
pub fn from_disposition(header: &str) -> Option<String> {
    let mut plain = None;
    let mut extended = None;
    for (key, value) in parameters(header) {
        match key.to_ascii_lowercase().as_str() {
            "filename" if plain.is_none() => plain = Some(value),
            "filename*" if extended.is_none() => extended = decode_extended(&value),
            _ => {}
        }
    }
    let suggested = extended.or(plain)?;
    // Some servers send their own path, and some of them are Windows.
    safe(suggested.rsplit(['/', '\\']).next().unwrap_or_default())
}

/// The names that the downloads of one run have claimed in one folder.
#[derive(Debug)]
pub struct Names {
    folder: PathBuf,
    claimed: Mutex<HashSet<String>>,
}

impl Names {
    /// Nothing claimed in `folder` yet.
    pub fn new(folder: &Path) -> Names {
        Names { folder: folder.to_owned(), claimed: Mutex::default() }
    }

    /// Claims this very name; false when another download has it.
    pub fn claim_exactly(&self, name: &str) -> bool {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned())
    }

    /// Claims the name, or the next one with a number that nobody has; with `files`, files on disk count as well.
    pub fn claim(&self, name: &str, files: bool) -> String {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut candidate = name.to_owned();
        let mut number = 1_u64;
        while claimed.contains(&candidate) || (files && self.exists(&candidate)) {
            number += 1;
            candidate = numbered(name, number);
        }
        claimed.insert(candidate.clone());
        candidate
    }

    /// Gives a claimed name back.
    pub fn release(&self, name: &str) {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Whether there is anything of this name in the folder, a dangling link also.
    pub fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Where a file of this name lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn is_plain(c: char) -> bool {
    // The marks that turn the direction of writing make `cod.exe` look like `exe.doc`.
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns && !"/\\:*?\"<>|\u{fffd}".contains(c)
}

/// Names that other systems keep for devices, whatever their extension: a downloaded folder may well be copied there.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" => true,
        _ => match stem.strip_prefix("COM").or(stem.strip_prefix("LPT")) {
            Some(rest) => rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit(),
            None => false,
        },
    }
}

/// Splits off the extension, dot included; the dot of a hidden file begins none.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= 16 => name.split_at(at),
        _ => (name, ""),
    }
}

fn shorten(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let (stem, extension) = split_extension(name);
    let mut end = LONGEST - extension.len();
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &stem[..end])
}

fn numbered(name: &str, number: u64) -> String {
    let (stem, extension) = split_extension(name);
    // `x.tar.gz` becomes `x-2.tar.gz`.
    let (stem, inner) = match stem.strip_suffix(".tar") {
        Some(rest) if !rest.is_empty() => (rest, ".tar"),
        _ => (stem, ""),
    };
    format!("{stem}-{number}{inner}{extension}")
}

/// The `key=value` pairs of a header's value, quotes taken off.
fn parameters(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some(start) = rest.find(';') {
        rest = rest[start + 1..].trim_start();
        let Some(end) = rest.find(['=', ';']) else { break };
        if rest.as_bytes()[end] == b';' {
            rest = &rest[end..];
            continue;
        }
        let key = rest[..end].trim().to_owned();
        rest = rest[end + 1..].trim_start();
        let value = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (value, length) = unquote(quoted);
                rest = &quoted[length..];
                value
            }
            None => {
                let end = rest.find(';').unwrap_or(rest.len());
                let value = rest[..end].trim().to_owned();
                rest = &rest[end..];
                value
            }
        };
        found.push((key, value));
    }
    found
}

/// The text up to the closing quote, and how many bytes it took with the quote.
fn unquote(text: &str) -> (String, usize) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, at + 1),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            _ => value.push(c),
        }
    }
    (value, text.len())
}

/// Decodes `charset'language'percent-encoded`.
fn decode_extended(value: &str) -> Option<String> {
    let mut pieces = value.splitn(3, '\'');
    let charset = pieces.next()?;
    let (_language, encoded) = (pieces.next()?, pieces.next()?);
    let bytes: Vec<u8> = percent_decode_str(encoded).collect();
    if charset.eq_ignore_ascii_case("utf-8") {
        String::from_utf8(bytes).ok()
    } else if charset.eq_ignore_ascii_case("iso-8859-1") {
        Some(bytes.iter().map(|&byte| char::from(byte)).collect())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_urls_are_safe() {
        let cases = [
            ("/a/b.bin", "b.bin"),
            ("/", "index.html"),
            ("", "index.html"),
            ("/a/", "index.html"),
            ("/x%2F..%2F..%2Fetc%2Fpasswd", "x_.._.._etc_passwd"),
            ("/..", "index.html"),
            ("/%2e%2e", "index.html"),
            ("/.bashrc", "_bashrc"),
            ("/-rf", "_rf"),
            ("/caf%C3%A9.txt", "café.txt"),
            ("/a%00b%0Ac", "a_b_c"),
            ("/nul.txt", "_nul.txt"),
            ("/com1", "_com1"),
            ("/company", "company"),
            ("/x.part", "x.part_"),
            ("/x.PART", "x.PART_"),
            ("/a%E2%80%AEcod.exe", "a_cod.exe"),
            ("/a.%20.", "a"),
            ("/%FFx", "_x"),
        ];
        for (path, name) in cases {
            assert_eq!(from_path(path), name, "{path}");
        }
    }

    #[test]
    fn long_name_is_cut_before_its_extension_and_between_characters() {
        let name = from_path(&format!("/{}.tar", "é".repeat(300)));
        assert!(name.len() <= LONGEST && name.len() > LONGEST - 2, "{}", name.len());
        assert!(name.ends_with("é.tar"));
        assert_eq!(from_path(&format!("/{}", "x".repeat(300))).len(), LONGEST);
    }

    #[test]
    fn disposition_names_a_file() {
        let cases = [
            (r#"attachment; filename="a b.txt""#, Some("a b.txt")),
            ("attachment; filename=plain.txt", Some("plain.txt")),
            (r#"attachment; filename="x.txt"; filename*=UTF-8''%e2%82%ac.txt"#, Some("€.txt")),
            (r#"attachment; filename*=iso-8859-1'en'%A3.txt"#, Some("£.txt")),
            (r#"attachment; filename*=koi8-r''%A3; filename="b.txt""#, Some("b.txt")),
            (r#"attachment; filename="../../etc/passwd""#, Some("passwd")),
            (r#"attachment; filename="C:\\dir\\evil.exe""#, Some("evil.exe")),
            (r#"attachment; filename="say \"hi\".txt""#, Some("say _hi_.txt")),
            (r#"attachment; filename="semi;colon.txt"; x=y"#, Some("semi;colon.txt")),
            (r#"attachment; filename="..""#, None),
            (r#"attachment; filename="""#, None),
            (r#"attachment; filename=".ssh""#, Some("_ssh")),
            ("attachment", None),
            ("inline; foo; FileName = q.txt", Some("q.txt")),
            (r#"attachment; filename="unclosed"#, Some("unclosed")),
        ];
        for (header, name) in cases {
            assert_eq!(from_disposition(header).as_deref(), name, "{header}");
        }
    }

    #[test]
    fn user_names_are_refused_rather_than_bent() {
        for name in ["../x", "/etc/passwd", "a/b", "..", ".", "", ".x", "x.part", &"x".repeat(201)] {
            assert!(objection(name).is_some(), "{name}");
        }
        assert_eq!(objection("good name.bin"), None);
    }

    #[test]
    fn second_claim_gets_a_number() {
        let names = Names::new(Path::new("/nonexistent"));
        assert_eq!(names.claim("a.tar.gz", true), "a.tar.gz");
        assert_eq!(names.claim("a.tar.gz", true), "a-2.tar.gz");
        assert_eq!(names.claim("a.tar.gz", true), "a-3.tar.gz");
        assert!(!names.claim_exactly("a-2.tar.gz"));
        names.release("a-2.tar.gz");
        assert!(names.claim_exactly("a-2.tar.gz"));
        assert_eq!(names.claim("_x", true), "_x");
        assert_eq!(names.claim("_x", true), "_x-2");
    }
}
