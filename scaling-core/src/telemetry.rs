//! What happens, for those who watch: counts and gauges, traces, a page.

#[cfg(feature = "telemetry")]
pub mod board;
#[cfg(feature = "telemetry")]
mod health;
#[cfg(feature = "telemetry")]
mod metrics;
#[cfg(feature = "serve")]
pub mod page;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "telemetry")]
mod timed;

#[cfg(feature = "telemetry")]
#[doc(inline)]
pub use board::Board;
#[cfg(feature = "telemetry")]
pub use health::{Health, Readiness};
#[cfg(feature = "telemetry")]
pub use metrics::Metrics;
#[cfg(feature = "telemetry")]
pub use timed::Timed;
