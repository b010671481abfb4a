//! What a switch by hand costs.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "the workloads are shared by several programs")]

mod workload;

use workload::switch;

fn main() {
    workload::with_criterion(&[switch::QUESTION]);
}
