//! When a model is asked, and what becomes of its answers: in the background and while a decision waits.
#![allow(clippy::unwrap_used, missing_docs)]

mod background;
mod limits;
mod once;
mod random;
mod silence;
mod world;
