//! What happens, for those who watch: counts and gauges, traces, a page.

#[cfg(feature = "telemetry")]
pub mod board;
#[cfg(feature = "serve")]
pub mod page;

#[cfg(feature = "telemetry")]
#[doc(inline)]
pub use board::Board;
