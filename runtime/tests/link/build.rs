//! Compiles `calls.c` twice: into an object of the program, and into a shared library that is loaded when the program starts.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    let out = env::var("OUT_DIR").expect("cargo says where to write");
    let out = Path::new(&out);
    let object = out.join("calls.o");
    let compile = |name: &str, arguments: &[&str], to: &Path| {
        let mut compiler = Command::new(env::var("CC").unwrap_or("cc".into()));
        compiler
            .args([
                "-O2",
                "-U_FORTIFY_SOURCE",
                "-D_FORTIFY_SOURCE=2",
                "-fPIC",
                "-Wall",
                "-Werror",
                "src/calls.c",
                "-o",
            ])
            .arg(to);
        let status = compiler.arg(format!("-DCALLS={name}")).args(arguments).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot compile calls.c with {arguments:?}");
    };
    compile("calls_of_object", &["-c"], &object);
    compile("calls_of_library", &["-shared"], &out.join("libcalls.so"));
    let out = out.display();
    println!("cargo::rerun-if-changed=src/calls.c");
    // The profile that strips the program of its symbols.
    println!("cargo::rustc-check-cfg=cfg(stripped)");
    if out.to_string().contains("/small/build/") {
        println!("cargo::rustc-cfg=stripped");
    }
    println!("cargo::rustc-link-arg={}", object.display());
    println!("cargo::rustc-link-search=native={out}");
    println!("cargo::rustc-link-lib=dylib=calls");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{out}");
}
