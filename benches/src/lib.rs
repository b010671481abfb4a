//! Peers and shared measuring code.
