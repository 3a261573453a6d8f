//! Engines to measure others by: the HPA's algorithm and Knative's pod autoscaler.

mod hpa;
mod kpa;
mod memory;

pub use hpa::HpaEngine;
pub(crate) use hpa::{milli, signal};
pub use kpa::{Kpa, KpaConfig, KpaEngine, KpaLoad};
