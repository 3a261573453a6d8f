//! Engines to measure others by: the HPA's algorithm and Knative's pod autoscaler.
//!
//! [`HpaEngine`] decides as the HPA's controller would, [`KpaEngine`] as Knative's autoscaler; both see the same [`Observation`] as
//! every other engine. A candidate that is not better than they are is not worth its complexity.
//!
//! [`Observation`]: crate::metrics::Observation

mod hpa;
mod kpa;
mod memory;

pub use hpa::HpaEngine;
#[cfg(feature = "backtest")]
pub(crate) use hpa::{milli, signal};
pub use kpa::{Kpa, KpaConfig, KpaEngine, KpaLoad};
