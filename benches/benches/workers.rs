//! What a second worker is good for.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "the workloads are shared by several programs")]

mod workload;

use workload::compute;

fn main() {
    workload::with_criterion(&[compute::COMPUTE, compute::TREE]);
}
