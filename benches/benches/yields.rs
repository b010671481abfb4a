//! What a yield costs.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "the workloads are shared by several programs")]

mod workload;

use workload::yields;

fn main() {
    workload::with_criterion(&[yields::TWO, yields::THOUSAND]);
}
