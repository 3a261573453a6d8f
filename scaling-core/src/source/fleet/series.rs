//! What a service is asked for and answers, in terms that its sources share: [`Backend`], [`Line`], [`Fault`].

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::metrics::Absence;
use crate::source::mapping::Unit;

/// Buckets of time from `from` up to, not including, `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Start of the first bucket.
    pub from: DateTime<Utc>,
    /// End of the last bucket.
    pub to: DateTime<Utc>,
    /// Length of a bucket.
    pub step: TimeDelta,
}

/// One bucket of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Its start. The bucket is complete once a whole step has passed since.
    pub start: DateTime<Utc>,
    /// The value, or why there is none: `null` is [`Absence::NotMeasured`], never 0.
    pub value: Result<f64, Absence>,
}

/// A series as it was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Length of its buckets, which may be another than what was asked for.
    pub step: TimeDelta,
    /// Its buckets, oldest first, no two of the same start. Empty if the service has none.
    pub points: Vec<Point>,
}

/// The answer to each series that was asked for.
pub type Lines<S> = HashMap<S, Result<Line, Fault>>;

/// A series that was asked for and cannot be used, while others can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Its query failed.
    #[error(transparent)]
    Failed(#[from] QueryError),
    /// Several series fit where one was meant.
    #[error("{matches} series fit where one was meant: name what tells them apart")]
    Ambiguous {
        /// Number of series.
        matches: usize,
    },
    /// The service reports another unit than the one that was stated.
    #[error("the unit is stated as {stated}, and the service reports {reported:?}")]
    WrongUnit {
        /// The stated unit.
        stated: Unit,
        /// The service's name of its unit.
        reported: String,
    },
}

/// A query without a usable answer, named with its cause. It holds nothing of the answer and no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{query}: {cause}")]
pub struct QueryError {
    /// What was asked.
    pub query: String,
    /// What went wrong.
    pub cause: String,
    /// True if asking again later can help.
    pub transient: bool,
}

/// A monitoring service that can be asked for many series at once.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync {
    /// Names one series. It is shown to people as text that they can paste.
    type Series: Clone + Eq + Hash + fmt::Debug + fmt::Display + Send + Sync;

    /// Asks for series, each with the unit that its numbers are stated to have. Every one asked for is in the answer.
    ///
    /// # Errors
    /// [`QueryError`] if nothing at all could be learnt.
    async fn fetch(
        &self,
        wanted: &[(Self::Series, Unit)],
        window: Window,
        now: DateTime<Utc>,
    ) -> Result<Lines<Self::Series>, QueryError>;

    /// Time that the service needs after the end of a bucket until it is complete: what a source waits unless told otherwise.
    fn settle(&self) -> TimeDelta;

    /// Buckets that one query may span: the service answers no more of them, or in larger buckets.
    fn longest(&self) -> i32;
}
