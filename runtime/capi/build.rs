//! Names the shared library, so that a program that was linked with it by a path finds it by its name.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libosier_c.so");
}
