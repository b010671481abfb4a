//! Placeholder until its programs arrive.
