//! [`ClusterHealth`]: which clusters answer.

use std::fmt;
use std::time::Duration;

use scaling_core::chrono::{DateTime, Utc};

use super::breaker::State;
use super::{Clusters, locked};

/// A cluster is left alone for a while, because it failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cluster {cluster:?} failed {failures} times in a row and is left alone for {} s: {why}",
    retry_in.as_secs_f64().ceil()
)]
#[non_exhaustive]
pub struct Isolated {
    /// The cluster.
    pub cluster: String,
    /// Failures in a row.
    pub failures: u32,
    /// Cause of the last one.
    pub why: String,
    /// Time after which it is tried again.
    pub retry_in: Duration,
}

/// Health of a cluster, in one of two respects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartHealth {
    /// It was not asked yet.
    Unasked,
    /// The last answer was one.
    Up,
    /// It answers, and does not know who asks, or does not allow it.
    Denied {
        /// Its words.
        why: String,
    },
    /// It failed, and is still asked.
    Failing {
        /// Failures in a row.
        failures: u32,
        /// Cause of the last one.
        why: String,
    },
    /// It is left alone. Its workloads stay as they are.
    Isolated {
        /// Failures in a row.
        failures: u32,
        /// Cause of the last one.
        why: String,
        /// Time after which it is tried again.
        retry_in: Duration,
    },
}

impl fmt::Display for PartHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unasked => f.write_str("not asked yet"),
            Self::Up => f.write_str("up"),
            Self::Denied { why } => write!(f, "denied: {why}"),
            Self::Failing { failures, why } => write!(f, "failing ({failures} in a row): {why}"),
            Self::Isolated { failures, why, retry_in } => {
                write!(f, "left alone for {} s ({failures} in a row): {why}", retry_in.as_secs_f64().ceil())
            }
        }
    }
}

impl From<State> for PartHealth {
    fn from(state: State) -> Self {
        match state {
            State::Unasked => Self::Unasked,
            State::Up => Self::Up,
            State::Denied { why } => Self::Denied { why },
            State::Failing { failures, why } => Self::Failing { failures, why },
            State::Open { failures, why, left } => Self::Isolated { failures, why, retry_in: left },
        }
    }
}

/// Health of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterHealth {
    /// Name of the cluster.
    pub cluster: String,
    /// Answers to observations.
    pub seeing: PartHealth,
    /// Answers to reads and changes of HPAs.
    pub acting: PartHealth,
}

impl ClusterHealth {
    /// Returns true if nothing failed the last time.
    pub fn is_up(&self) -> bool {
        [&self.seeing, &self.acting].iter().all(|part| matches!(part, PartHealth::Unasked | PartHealth::Up))
    }
}

impl<P> Clusters<P> {
    /// Health of each cluster, in the order of their names. `now` is the time that observations are asked for at.
    pub fn health(&self, now: DateTime<Utc>) -> Vec<ClusterHealth> {
        let acting = self.running_ms();
        let each = self.parts.iter().map(|(name, cluster)| ClusterHealth {
            cluster: name.clone(),
            seeing: locked(&cluster.seeing).state(now.timestamp_millis()).into(),
            acting: locked(&cluster.acting).state(acting).into(),
        });
        each.collect()
    }

    /// Milliseconds that it has been there.
    pub(super) fn running_ms(&self) -> i64 {
        i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}
