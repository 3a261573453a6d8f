//! Suites that every implementation of a trait must pass, and labelled scenarios to judge engines by.
//!
//! One function per promise, and one per trait that runs them all. They panic with the promise that was broken, as tests do.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

pub mod dataset;
