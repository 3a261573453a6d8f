//! Why an engine has no answer.

use std::error::Error;

use chrono::{DateTime, Utc};

/// Why an engine has no answer. The workload is left alone.
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
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Something the engine asks gave an answer that is no decision.
    #[error("{engine} gave an invalid answer: {detail}")]
    InvalidAnswer {
        /// The engine.
        engine: String,
        /// What was wrong with it.
        detail: String,
    },
    /// The engine failed too often and is not asked for a while.
    #[error("{engine} failed {failures} times in a row and is not asked again before {until}")]
    Open {
        /// The engine.
        engine: String,
        /// Failures in a row.
        failures: u32,
        /// When it is tried again.
        until: DateTime<Utc>,
    },
    /// None of several engines answered.
    #[error("none of {asked} engines answered: {last}")]
    NoneAnswered {
        /// How many were asked.
        asked: usize,
        /// What they said, or the last of them.
        last: String,
    },
}

impl EngineError {
    /// Whether asking again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Open { .. } | Self::NoneAnswered { .. } | Self::NoPodCount)
    }
}
