//! What Osier costs, beside its peers, measured in the same run.
//!
//! `cargo bench -p osier-benches --bench table` prints everything in one table, in well under a minute. The other benches are one
//! question each, with criterion's statistics. A time by itself says little, since machines differ, and so does one machine
//! from minute to minute: what counts is the ratio to a peer.
