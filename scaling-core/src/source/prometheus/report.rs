//! What a tick may ask, and what happened in it: [`QueryBudget`] and [`Report`].

use std::time::Duration;

use chrono::TimeDelta;

use super::client::QueryError;
use super::template::Measure;
use crate::target::Target;

/// What may be asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryBudget {
    /// Queries at once. Default 4.
    pub concurrent: usize,
    /// Queries a tick. Default 60. A fleet that would need more is asked for as a whole server first; if that is too much, too, the
    /// tick fails and says so.
    pub per_tick: usize,
    /// Longest query, in bytes. Default 15,000: VictoriaMetrics refuses more than 16 KiB.
    pub query_bytes: usize,
    /// Time that all queries of a tick may take together. Default 12 s, so that a tick each 15 s is never late for it. What has not
    /// answered by then counts as failed; the others count.
    pub tick: Duration,
}

impl Default for QueryBudget {
    fn default() -> Self {
        Self { concurrent: 4, per_tick: 60, query_bytes: 15_000, tick: Duration::from_secs(12) }
    }
}

/// What happened in the last tick, besides what was observed.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Queries asked.
    pub queries: usize,
    /// Queries that brought nothing, with their causes. At most 100.
    pub failed: Vec<QueryError>,
    /// Workloads with several series where there should be one, and how many. At most 100.
    pub ambiguous: Vec<(Target, Measure, usize)>,
    /// Time by which the server's clock is ahead of ours (behind, if negative), if that is more than a minute. Rates then end where
    /// there are no samples yet, or miss the newest.
    pub skew: Option<TimeDelta>,
}
