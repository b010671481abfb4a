//! What a message over a socket costs.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "the workloads are shared by several programs")]

mod workload;

use workload::echo;

fn main() {
    workload::with_criterion(&[echo::QUESTION]);
}
