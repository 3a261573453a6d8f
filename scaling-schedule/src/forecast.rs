//! Forecasting the load of a workload as far ahead as a pod takes to start: [`Forecaster`].
//!
//! A decision now meets the load that comes when its pods are ready, a minute or two later. The forecast is an upper quantile of
//! that load. How far it lies above the present differs between workloads more than anything else about them, so it is learnt from
//! the workload's own past: at moments of up to seven days, the features of the load then, against the load that came. The fit is
//! a linear quantile regression (Koenker and Bassett, *Regression Quantiles*, 1978) of the growth of the logarithm of load on
//! slopes, recent highs and volatility, and on the load at the same time of other days and of last week. Seasonal features are 0
//! unless load correlates with itself a day or a week ago. At last each quantile is moved until its coverage over the newest day
//! is the nominal one (Gibbs and Candès, *Adaptive Conformal Inference Under Distribution Shift*, 2021).
//!
//! A fit extrapolates, and a load that jumps in a way that it never did before is far from anything it was fitted on. So the
//! forecast growth is limited by the largest growth that was ever seen over the same time, or by a rise that has lasted for some
//! minutes, carried on, whichever is more.
//!
//! Nothing here looks ahead, and nothing is remembered but what was learnt: the same past gives the same forecast.

mod features;
mod forecaster;
mod past;
mod quantile;
mod regression;
mod season;
mod series;

pub use self::forecaster::Forecaster;
pub use self::quantile::QUANTILES;

pub(crate) use self::features::DAY;
pub(crate) use self::forecaster::{BACK_AT_MOST, declared_capacity};
pub(crate) use self::past::{Past, Span};
pub(crate) use self::quantile::Quantile;
pub(crate) use self::series::STEP_MS;
