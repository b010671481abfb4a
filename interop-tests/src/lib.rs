//! Nothing: the tests of this crate show that published crates and C libraries cooperate on green threads, as they are.
