//! The tables in the documentation of `osier::patch`, the shims that there are, and the tests: they name the same functions.

use std::collections::BTreeSet;

/// What is set like code in this column of the documentation's tables, if it can be a function of C.
fn documented() -> BTreeSet<String> {
    let text = include_str!("../src/patch/mod.rs");
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | "));
    // The second column of the first table, and the first one of the other.
    let cells = rows.map(|row| {
        let mut cells = row.split(" | ");
        let first = cells.next().unwrap();
        if first.starts_with('[') || first == "|" || first.is_empty() {
            return cells.next().unwrap_or_default();
        }
        first
    });
    let codes = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let is_function = |code: &&str| code.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'));
    codes.filter(is_function).map(str::to_owned).collect()
}

/// The name under which the documentation lists a function.
fn listed(name: &str) -> String {
    let name = name.replace("64v2", "2").replace("64", "");
    let plain =
        name.strip_prefix("__").and_then(|name| name.strip_suffix("_chk").or(name.strip_suffix("_2")));
    plain.unwrap_or(&name).to_owned()
}

#[test]
fn the_documentation_lists_what_there_is() {
    let shims: BTreeSet<_> = osier::patch::symbols().iter().map(|symbol| listed(symbol.name())).collect();
    let documented = documented();
    assert!(shims.len() > 100);
    assert_eq!(shims.difference(&documented).collect::<Vec<_>>(), [""; 0], "not documented");
    assert_eq!(documented.difference(&shims).collect::<Vec<_>>(), [""; 0], "documented, and not there");
}

#[test]
fn each_function_is_called_by_a_test() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let tests = files.filter(|file| file.file_name().to_string_lossy().starts_with("patch_"));
    let texts: Vec<_> = tests.map(|test| std::fs::read_to_string(test.path()).unwrap()).collect();
    for symbol in osier::patch::symbols() {
        let name = symbol.name();
        // By the name that the crate `libc` has for it, or one that the test declares.
        let is_called = texts.iter().any(|text| {
            text.contains(&format!("fn {name}("))
                || text.match_indices(&format!("libc::{name}")).any(|(at, found)| {
                    !text[at + found.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_')
                })
        });
        assert!(is_called, "no test calls {name}");
    }
}

#[test]
fn each_call_that_is_counted_has_a_test() {
    let functions = include_str!("patch_unshimmed.rs");
    let system_calls = include_str!("patch_system_calls.rs");
    for (what, count) in osier::patch::report().blocking {
        assert_eq!(count, 0, "{what}");
        let number = what.strip_prefix("syscall(").and_then(|what| what.strip_suffix(", ..)"));
        let is_tested = match number {
            Some(number) => system_calls.contains(&format!("\"{number}\"")),
            None => functions.contains(&format!("\"{what}\"")),
        };
        assert!(is_tested, "{what}");
    }
}
