//! The header: that it stands by itself in each language, and that the library has what it declares and nothing else.

mod c;

use c::{Link, checks, compile_with, has, library, run, text};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

#[test]
fn compiles_in_each_language() {
    for standard in ["-std=c99", "-std=c11", "-std=c17"] {
        checks("tests/c/header.c", &[standard, "-pedantic", "-Wstrict-prototypes", "-Wmissing-prototypes"]);
    }
    if has("c++") {
        for standard in ["-std=c++11", "-std=c++17"] {
            checks("tests/c/header.c", &["-x", "c++", standard, "-pedantic"]);
        }
        let program = compile_with("tests/c/header.c", Link::Shared, &["-x", "c++"], "header-c++");
        assert!(run(&mut Command::new(program)).status.success());
    }
}

/// The functions that the header declares, outside of comments: names before a parenthesis, but for types of functions. With the
/// line that each is on.
fn declared() -> BTreeMap<String, usize> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (header, mut declared, mut in_comment) = (text("include/osier.h"), BTreeMap::new(), false);
    for (number, line) in header.lines().enumerate() {
        let code = if in_comment { "" } else { line.split("/*").next().unwrap() };
        in_comment = (in_comment || line.contains("/*")) && !line.contains("*/");
        let Some((before, _)) = code.split_once('(').filter(|_| !code.starts_with("typedef")) else {
            continue;
        };
        let name = before.rsplit(|c| !is_name(c)).next().unwrap();
        if name.starts_with("osier_") {
            declared.insert(name.into(), number);
        }
    }
    declared
}

/// What the shared library gives to others under a name of ours.
fn exported() -> BTreeSet<String> {
    let output =
        run(Command::new("nm").args(["-D", "--defined-only", "-f", "posix"]).arg(library("libosier_c.so")));
    assert!(output.status.success(), "{}", output.stderr);
    let names = output.stdout.lines().filter_map(|line| line.split(' ').next());
    names.filter(|name| name.starts_with("osier")).map(String::from).collect()
}

#[test]
fn declares_what_the_library_exports() {
    let declared: BTreeSet<_> = declared().into_keys().collect();
    assert!(declared.contains("osier_run") && declared.contains("osier_patch_report"), "{declared:?}");
    assert_eq!(declared, exported());
}

/// A comment ends on the line above.
#[test]
fn says_what_each_function_does() {
    let header = text("include/osier.h");
    let lines: Vec<_> = header.lines().collect();
    for (name, line) in declared() {
        assert!(lines[line - 1].ends_with("*/"), "{name} has no comment, but: {}", lines[line - 1]);
    }
}

#[test]
fn the_library_is_asked_for_by_its_name() {
    let output = run(Command::new("readelf").arg("-d").arg(library("libosier_c.so")));
    assert!(output.stdout.contains("Library soname: [libosier_c.so]"), "{output:?}");
}
