//! What it costs to spawn a green thread and to join it.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "the workloads are shared by several programs")]

mod workload;

use workload::spawn;

fn main() {
    workload::with_criterion(&[spawn::ONE, spawn::MANY]);
}
