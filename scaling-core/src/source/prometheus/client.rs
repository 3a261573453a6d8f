//! Asking the server, and telling its failures apart.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

use super::answer::{self, AnswerError, Shape};
use super::query;
use super::template::Measure;
use crate::http::{Endpoint, HttpClient, HttpError, HttpRequest, HttpResponse};

/// A query that brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("query for {measure}: {fault}")]
pub struct QueryError {
    /// What it would have measured.
    pub measure: Measure,
    /// What went wrong.
    #[source]
    pub fault: QueryFault,
}

/// Causes for which a query brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryFault {
    /// There was no complete answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The answer says that the query failed, or is none.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The server says that its answer lacks something.
    #[error("the answer is partial: {0}")]
    Partial(String),
    /// The tick would have needed more queries than it may ask.
    #[error("{needed} queries a tick are needed, {most} allowed")]
    OverBudget {
        /// Queries needed.
        needed: usize,
        /// Queries allowed.
        most: usize,
    },
}

impl QueryFault {
    /// Returns true if asking again later can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Answer(error) => error.is_transient(),
            Self::Partial(_) => true,
            Self::OverBudget { .. } => false,
        }
    }
}

/// Time within which the server is told to answer.
const SERVER_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Client {
    http: HttpClient,
    endpoint: Endpoint,
    /// Clock of the server ahead of ours, in milliseconds, as of the last answer; [`UNKNOWN`] before.
    skew_ms: AtomicI64,
}

const UNKNOWN: i64 = i64::MIN;

impl Client {
    pub(super) fn new(http: HttpClient, endpoint: Endpoint) -> Self {
        Self { http, endpoint, skew_ms: UNKNOWN.into() }
    }

    /// Time by which the server's clock is ahead of ours, by the `Date` of its last answer, which has whole seconds.
    pub(super) fn skew(&self) -> Option<TimeDelta> {
        Some(self.skew_ms.load(Ordering::Relaxed)).filter(|ms| *ms != UNKNOWN).map(TimeDelta::milliseconds)
    }

    /// Returns the text of the answer, which is read later: it lends its labels.
    pub(super) async fn instant(&self, promql: &str, at: DateTime<Utc>) -> Result<Vec<u8>, QueryFault> {
        self.ask(&query::instant(&self.endpoint, promql, at, SERVER_TIMEOUT), Shape::Vector).await
    }

    pub(super) async fn range(
        &self,
        promql: &str,
        within: (DateTime<Utc>, DateTime<Utc>),
        step: Duration,
    ) -> Result<Vec<u8>, QueryFault> {
        self.ask(&query::range(&self.endpoint, promql, within, step, SERVER_TIMEOUT), Shape::Matrix).await
    }

    async fn ask(&self, request: &HttpRequest, shape: Shape) -> Result<Vec<u8>, QueryFault> {
        let response = self.http.exchange(request).await?;
        self.compare_clocks(&response);
        if !response.is_success() {
            // A query that fails is answered with 400, 422 or 503, and its cause in the body.
            if let Err(error @ AnswerError::Refused { .. }) = answer::read(response.body(), shape) {
                return Err(error.into());
            }
            return Err(response.into_success().map_or_else(QueryFault::from, |_| AnswerError::Cut(0).into()));
        }
        Ok(response.into_body())
    }

    fn compare_clocks(&self, response: &HttpResponse) {
        let date = response.header("date").and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        if let Some(date) = date {
            let ours = DateTime::<Utc>::from(SystemTime::now());
            self.skew_ms.store(date.signed_duration_since(ours).num_milliseconds(), Ordering::Relaxed);
        }
    }
}
