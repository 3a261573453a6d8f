//! A backtest as a whole: it tells the truth, looks at nothing ahead, and tells it the same way twice.
#![allow(clippy::unwrap_used, clippy::float_cmp, clippy::indexing_slicing, missing_docs, unreachable_pub)]

mod future;
mod gate;
mod laws;
mod limits;
mod notes;
mod parts;
mod report;
mod runs;
mod signals;
mod world;
