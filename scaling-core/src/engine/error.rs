//! Reasons why an engine has no answer.

use std::error::Error;

use chrono::{DateTime, Utc};

/// Reasons why an engine has no answer. The workload is left alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Nobody knows how many pods there are, so no size can be wanted.
    #[error("the pod count is not known: current_pod_count is missing")]
    NoPodCount,
    /// Something the engine asks did not answer.
    #[error("{engine} is unavailable: {source}")]
    Unavailable {
        /// The engine.
        engine: String,
        /// Cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Something the engine asks gave an answer that is no decision.
    #[error("{engine} gave an invalid answer: {detail}")]
    InvalidAnswer {
        /// The engine.
        engine: String,
        /// Fault, for people.
        detail: String,
    },
    /// The engine failed too often and is not asked for a while.
    #[error("{engine} failed {failures} times in a row and is not asked again before {until}")]
    Open {
        /// The engine.
        engine: String,
        /// Failures in a row.
        failures: u32,
        /// Time of the next try.
        until: DateTime<Utc>,
    },
    /// None of several engines answered.
    #[error("none of {asked} engines answered: {last}")]
    NoneAnswered {
        /// Engines that were asked.
        asked: usize,
        /// Error of the last of them.
        last: String,
    },
}

impl EngineError {
    /// Returns true if asking again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Open { .. } | Self::NoneAnswered { .. } | Self::NoPodCount)
    }
}
