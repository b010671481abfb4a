//! What deadlines cost.

#![allow(missing_docs, unreachable_pub, dead_code, reason = "the workloads are shared by several programs")]

mod workload;

use workload::timer;

fn main() {
    workload::with_criterion(&[timer::CANCELLED, timer::FIRED]);
}
