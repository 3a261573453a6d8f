//! One definition of each small calculation that several modules need: quantiles, whole pods, sliding maxima, running sums, a
//! step of a fluid queue, and figures for people.
//!
//! Everything here is a pure function of numbers and knows nothing of workloads.
//!
//! ```
//! use scaling_core::stats;
//!
//! // The pods that were enough for nine minutes in ten.
//! let mut needs = [2.2, 2.4, 2.1, 9.7, 2.6, 2.5, 2.3, 2.2, 3.1, 2.0];
//! let need = stats::quantile(&mut needs, 0.9).unwrap();
//! assert_eq!(stats::whole_pods(need), 4);
//! ```

mod figures;
mod pods;
mod quantile;
mod queue;
mod window;

pub use figures::{grouped, significant};
#[cfg(feature = "backtest")]
pub(crate) use pods::whole_pods_within;
pub use pods::{MAX_REPLICAS, whole_pods};
pub use quantile::{quantile, quantile_of, weighted_quantile};
pub use queue::FluidStep;
pub use window::{RunningSums, SlidingMax, sliding_max};

/// Relative size below which a difference is an error of floating-point arithmetic and not an amount. Several thousand times
/// [`f64::EPSILON`], so that sums of many thousands of terms stay below it.
pub(crate) const ROUNDING: f64 = 1e-12;
