//! The live loop: by a simulated clock, over sources and appliers that fail in every way.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // small numbers
#![allow(clippy::result_large_err)] // the errors are the crate's

#[path = "live/files.rs"]
mod files;
#[path = "live/freeze.rs"]
mod freeze;
#[path = "live/killed.rs"]
mod killed;
#[path = "live/looping.rs"]
mod looping;
#[path = "live/members.rs"]
mod members;
#[path = "live/panics.rs"]
mod panics;
#[path = "live/soak.rs"]
mod soak;
#[path = "live/world.rs"]
mod world;
