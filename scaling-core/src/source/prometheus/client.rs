//! Asking the server, and telling its failures apart.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

use super::answer::{self, Answer, AnswerError, Shape};
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
    /// The target is of a cluster of which the answers do not speak ([`QuerySet::of_cluster`](super::QuerySet::of_cluster)).
    #[error("the target is of cluster {asked:?}, the series are of {}", of.as_ref().map_or_else(
        || "one that is not named: say which by of_cluster".into(), |of| format!("{of:?}"),
    ))]
    OtherCluster {
        /// Cluster of the target.
        asked: String,
        /// Cluster of the series, if it is named.
        of: Option<String>,
    },
    /// The tick was over before the answer came, or before the query could be asked.
    #[error("no answer within the {} s that a tick may take", within.as_secs_f64())]
    TickOver {
        /// Time that a tick may take ([`QueryBudget::tick`](super::QueryBudget::tick)).
        within: Duration,
    },
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
            Self::Partial(_) | Self::TickOver { .. } => true,
            Self::OverBudget { .. } | Self::OtherCluster { .. } => false,
        }
    }
}

/// Time within which the server is told to answer.
const SERVER_TIMEOUT: Duration = Duration::from_secs(10);

/// What came back, to be read later: answers lend their labels.
#[derive(Debug)]
pub(super) struct Reply {
    response: HttpResponse,
    shape: Shape,
}

impl Reply {
    /// Reads the answer, if it is whole. What the server says in words is passed on without the secrets that it was sent.
    pub(super) fn read(&self) -> Result<Answer<'_>, QueryFault> {
        let body = self.response.body();
        let fault = match answer::read(body, self.shape) {
            Ok(answer) => match answer.partial() {
                Some(why) => QueryFault::Partial(why),
                None => return Ok(answer),
            },
            Err(error @ (AnswerError::Cut(_) | AnswerError::Histograms)) => return Err(error.into()),
            Err(error) => error.into(),
        };
        // Read again without secrets: the words are shortened, which may cut a secret in two.
        let redacted = self.response.redacted(&String::from_utf8_lossy(body));
        let fault = match answer::read(redacted.as_bytes(), self.shape) {
            Ok(answer) => answer.partial().map_or(fault, QueryFault::Partial),
            Err(error) => error.into(),
        };
        // And once more, for what JSON had escaped.
        let clean = |text: String| self.response.redacted(&text);
        Err(match fault {
            QueryFault::Partial(why) => QueryFault::Partial(clean(why)),
            QueryFault::Answer(AnswerError::Refused { kind, message }) => {
                AnswerError::Refused { kind: clean(kind), message: clean(message) }.into()
            }
            QueryFault::Answer(AnswerError::Malformed(what)) => AnswerError::Malformed(clean(what)).into(),
            QueryFault::Answer(AnswerError::WrongType { expected, got }) => {
                AnswerError::WrongType { expected, got: clean(got) }.into()
            }
            fault => fault,
        })
    }
}

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

    pub(super) async fn instant(&self, promql: &str, at: DateTime<Utc>) -> Result<Reply, QueryFault> {
        self.ask(&query::instant(&self.endpoint, promql, at, SERVER_TIMEOUT), Shape::Vector).await
    }

    pub(super) async fn range(
        &self,
        promql: &str,
        within: (DateTime<Utc>, DateTime<Utc>),
        step: Duration,
    ) -> Result<Reply, QueryFault> {
        self.ask(&query::range(&self.endpoint, promql, within, step, SERVER_TIMEOUT), Shape::Matrix).await
    }

    async fn ask(&self, request: &HttpRequest, shape: Shape) -> Result<Reply, QueryFault> {
        let reply = Reply { response: self.http.exchange(request).await?, shape };
        self.compare_clocks(&reply.response);
        if !reply.response.is_success() {
            // A query that fails is answered with 400, 422 or 503, and its cause in the body.
            if let Err(fault @ QueryFault::Answer(AnswerError::Refused { .. })) = reply.read() {
                return Err(fault);
            }
            return Err(reply.response.into_success().map_or_else(QueryFault::from, |_| AnswerError::Cut(0).into()));
        }
        Ok(reply)
    }

    fn compare_clocks(&self, response: &HttpResponse) {
        let date = response.header("date").and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        if let Some(date) = date {
            let ours = DateTime::<Utc>::from(SystemTime::now());
            self.skew_ms.store(date.signed_duration_since(ours).num_milliseconds(), Ordering::Relaxed);
        }
    }
}
