//! Suites that every implementation of a trait must pass, and labelled scenarios to judge engines by.
//!
//! One function per promise, and one per trait that runs them all. They panic with the promise that was broken, as tests do.
//!
//! | trait | all promises | one by one |
//! | --- | --- | --- |
//! | [`DecisionEngine`](crate::DecisionEngine) | [`engine()`] | [`mod@engine`] |
//! | [`MetricsSource`](crate::MetricsSource) | [`source()`] | [`mod@source`] |
//! | [`HpaApplier`](crate::HpaApplier) | [`applier()`] | [`mod@applier`] |
//! | the same, where it drives workloads directly | [`direct_applier()`] | [`mod@direct`] |
//! | [`Guard`](crate::Guard) | [`guard()`] | [`mod@guard`] |
//! | [`Recorder`](crate::Recorder) | [`recorder()`] | [`mod@recorder`] |
//!
//! A suite takes a closure that makes the thing under test, because every promise starts with a fresh one.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

pub mod applier;
pub mod dataset;
pub mod direct;
pub mod engine;
pub mod guard;
pub mod recorder;
pub mod source;

pub use applier::all as applier;
pub use direct::all as direct_applier;
pub use engine::all as engine;
pub use guard::all as guard;
pub use recorder::all as recorder;
pub use source::all as source;

use chrono::{DateTime, Utc};

use crate::target::Target;

/// A Tuesday afternoon, for what needs a moment.
pub(crate) fn some_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default()
}

/// A workload, for what needs one.
pub(crate) fn some_target() -> Target {
    Target::deployment("shop", "checkout")
}
