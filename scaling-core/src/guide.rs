//! Guides: how decisions are made, how to roll it out, how to tune by backtest, and the laws.
//!
//! | guide | read it to |
//! | --- | --- |
//! | [`deciding`] | follow one decision from the metrics to the bounds of the HPA |
//! | [`rollout`] | put it into production: plan, dry run, floors only, full |
//! | [`tuning`] | choose an engine and its settings on your own traffic (feature `backtest`) |
//! | [`laws`] | know what can be relied on, and what proves it |
//!
//! The modules hold text and examples only. Every example is compiled and run as a test.

#[doc = include_str!("guide/deciding.md")]
pub mod deciding {}

#[doc = include_str!("guide/rollout.md")]
pub mod rollout {}

#[cfg(feature = "backtest")]
#[doc = include_str!("guide/tuning.md")]
pub mod tuning {}

#[doc = include_str!("guide/laws.md")]
pub mod laws {}
