//! Forecasting the load of a workload as far ahead as a pod takes to start: [`Forecaster`].
//!
//! A decision now meets the load that comes when its pods are ready, a minute or two later. The forecast is an upper quantile of
//! that load, from two parts:
//!
//! - what any workload may do at such a moment: a small model, trained on fifteen public traces, that comes with this crate. It helps
//!   where the past of a workload says little: in its first hours, and for the rare misses of the highest quantiles;
//! - what this one does beyond that. How far the load to come lies above the present differs between workloads more than anything
//!   else about them, so it is learnt from the workload's own past, moment by moment: the features of the load then, against the
//!   load that came. The fit is a linear quantile regression (Koenker and Bassett, *Regression Quantiles*, 1978) of the growth of the
//!   logarithm of load on slopes, recent highs and volatility, on the load at the same time of other days and of last week, and on
//!   what the general model says. It begins with nothing, so the first forecasts are the general ones.
//!
//! Seasonal features are 0 unless load correlates with itself a day or a week ago. Each quantile is moved besides so that its coverage
//! is the nominal one (Gibbs and Candès, *Adaptive Conformal Inference Under Distribution Shift*, 2021).
//!
//! A fit extrapolates, and a load that jumps in a way that it never did before is far from anything it was fitted on. So the
//! forecast growth is limited by the largest growth that was ever seen over the same time, or by a rise that has lasted for some
//! minutes, carried on, whichever is more.
//!
//! The path of a sample: `points` brings means over a window back to means over an interval, the grid makes even steps of
//! them, a track keeps what features need of the last hour, seasons what they need of the last week, `general` gives what holds for any
//! workload, and the regression learns from each moment once its outcome is known. Nothing looks ahead.

mod features;
mod forecaster;
mod general;
mod grid;
mod points;
mod quantile;
mod regression;
mod season;

pub use self::forecaster::Forecaster;
pub use self::quantile::QUANTILES;

pub(crate) use self::features::DAY;
pub(crate) use self::forecaster::{BACK_AT_MOST, Step};
pub(crate) use self::grid::STEP_S;
pub(crate) use self::quantile::Quantile;
