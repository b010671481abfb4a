//! Makes the mutants, and a module for each with the model that must notice it.

mod mutants;

use mutants::{MUTANTS, Mutant};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let sources = here.parent().expect("a crate of a workspace").join("runtime/src");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=mutants.rs");
    println!("cargo::rerun-if-changed=mutants");
    let mut modules = String::new();
    for mutant in MUTANTS.iter().copied().flatten() {
        let source = sources.join(mutant.source).with_extension("rs");
        println!("cargo::rerun-if-changed={}", source.display());
        let text = fs::read_to_string(&source)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", source.display()));
        let copy = out.join(mutant.name).with_extension("rs");
        let module = mutant.source.rsplit('/').next().unwrap_or_default();
        write(&copy, &mutate(mutant, &text));
        let model = here.join("src/models").join(mutant.model).with_extension("rs");
        let name = mutant.name;
        writeln!(
            modules,
            "/// A mutant.\npub mod {name} {{\n\
             #[allow(unused_imports, reason = \"what the model takes besides the source that has the mistake\")]\nuse crate::shipped::*;\n\
             #[path = {copy:?}]\n#[allow(unused, unreachable_pub, clippy::all, reason = \"a model uses what it checks, and mistakes are mistakes\")]\nmod {module};\n\
             #[path = {model:?}]\npub mod model;\n}}"
        )
        .expect("a string takes everything");
    }
    write(&out.join("mutants.rs"), &modules);
}

fn mutate(mutant: &Mutant, text: &str) -> String {
    let Mutant { name, source, original, mistake, .. } = mutant;
    let found = text.matches(original).count();
    assert!(
        found == 1,
        "mutant `{name}`: its text stands {found} times in {source}.rs, and must stand there once: {original}"
    );
    text.replacen(original, mistake, 1)
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}
