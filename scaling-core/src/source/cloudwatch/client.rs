//! [`CloudWatchBackend`]: requests sent, pages followed, errors named.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatch::operation::get_metric_data::{GetMetricDataError, GetMetricDataOutput};
use aws_sdk_cloudwatch::primitives::DateTime as SdkTime;
use aws_sdk_cloudwatch::types::{
    Dimension, Metric as SdkMetric, MetricDataQuery, MetricDataResult, MetricStat as SdkStat, ScanBy, StatusCode,
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;

use super::answer::{self, Answer, Page, Status};
use super::connection::{ConnectError, Connection};
use super::query::{self, Ask, Batch, Query};
use super::series::{MetricStat, Series, statistic};
use crate::causes::chain;
use crate::source::fleet::{Backend, Fault, Lines, QueryError, Window, too_late, within};
use crate::source::mapping::Unit;

/// Pages of one request: a day of minutes of 500 metrics takes eight, and no answer may go on for ever.
const MOST_PAGES: usize = 100;

/// CloudWatch, asked by `GetMetricData`.
pub struct CloudWatchBackend {
    api: Box<dyn Api>,
    deadline: Duration,
}

impl fmt::Debug for CloudWatchBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client holds credentials.
        f.debug_struct("CloudWatchBackend").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl CloudWatchBackend {
    /// Connects with the SDK's default chain of credentials. They are looked for when the first request needs them.
    ///
    /// # Errors
    /// [`ConnectError`] if there is no region, or no configuration in time.
    pub async fn connect(connection: &Connection) -> Result<Self, ConnectError> {
        Ok(Self::new(connection.client().await?, connection.deadline))
    }

    /// Takes a client as the host made it. `deadline` holds for all requests of one tick together.
    pub fn new(client: Client, deadline: Duration) -> Self {
        Self::over(client, deadline)
    }

    pub(super) fn over(api: impl Api + 'static, deadline: Duration) -> Self {
        Self { api: Box::new(api), deadline }
    }

    /// Every page of the answer to one request.
    async fn pages(&self, batch: &Batch, window: Window, period: i32) -> Result<Vec<Page>, ApiError> {
        let (mut pages, mut token) = (Vec::new(), None);
        let mut seen = HashSet::new();
        while pages.len() < MOST_PAGES {
            let request = Request { queries: &batch.queries, window, period, token: token.take() };
            let mut page = self.api.page(request).await?;
            let next = page.next.take();
            pages.push(page);
            match next {
                None => return Ok(pages),
                Some(next) if seen.insert(next.clone()) => token = Some(next),
                Some(_) => return Err(ApiError::lasting("a page names one before it as the next")),
            }
        }
        Err(ApiError::lasting(format!("the answer has more than {MOST_PAGES} pages: ask for less at once")))
    }
}

/// One page asked for.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) queries: &'a [Query],
    pub(super) window: Window,
    /// In seconds.
    pub(super) period: i32,
    pub(super) token: Option<String>,
}

/// A request that failed, in words without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) cause: String,
    pub(super) transient: bool,
}

impl ApiError {
    pub(super) fn lasting(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), transient: false }
    }

    pub(super) fn passing(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), transient: true }
    }
}

/// What is needed of CloudWatch: one page.
#[async_trait]
pub(super) trait Api: Send + Sync {
    async fn page(&self, request: Request<'_>) -> Result<Page, ApiError>;
}

#[async_trait]
impl Backend for CloudWatchBackend {
    type Series = Series;

    async fn fetch(
        &self,
        wanted: &[(Series, Unit)],
        window: Window,
        now: DateTime<Utc>,
    ) -> Result<Lines<Series>, QueryError> {
        let name = |place: usize| wanted.get(place).map(|(series, _)| series.to_string()).unwrap_or_default();
        let whole = |cause: String, transient| QueryError { query: "GetMetricData".into(), cause, transient };
        let (window, period) = query::answerable(window, now).map_err(|invalid| whole(invalid.to_string(), false))?;
        let (batches, invalid) = query::batches(wanted.iter().map(|(series, _)| series));
        let mut lines: Lines<Series> = Lines::new();
        let mut put = |place: usize, line| wanted.get(place).map(|(series, _)| lines.insert(series.clone(), line));
        for (place, invalid) in invalid {
            let error = QueryError { query: name(place), cause: invalid.to_string(), transient: false };
            put(place, Err(Fault::Failed(error)));
        }
        if window.from >= window.to {
            // Older than anything that is kept.
            let empty = || crate::source::fleet::Line { step: window.step, points: Vec::new() };
            batches.iter().flat_map(|batch| &batch.readings).for_each(|(place, _)| drop(put(*place, Ok(empty()))));
            return Ok(lines);
        }
        let (mut answered, mut failed) = (false, None);
        let asked = batches.iter().map(|batch| self.pages(batch, window, period).boxed()).collect();
        for (batch, pages) in batches.iter().zip(within(self.deadline, asked).await) {
            match pages.unwrap_or_else(|| Err(ApiError::passing(too_late(self.deadline)))) {
                Ok(pages) => {
                    answered = true;
                    for (place, line) in answer::lines(batch, pages, window, name) {
                        put(place, line);
                    }
                }
                Err(ApiError { cause, transient }) => {
                    for (place, _) in &batch.readings {
                        let error = QueryError { query: name(*place), cause: cause.clone(), transient };
                        put(*place, Err(Fault::Failed(error)));
                    }
                    failed = failed.or(Some(whole(cause, transient)));
                }
            }
        }
        failed.filter(|_| !answered).map_or(Ok(lines), Err)
    }

    fn settle(&self) -> TimeDelta {
        super::SETTLE
    }

    /// A day of minutes: a backfill goes in chunks that fit one deadline.
    fn longest(&self) -> i32 {
        1440
    }
}

#[async_trait]
impl Api for Client {
    async fn page(&self, request: Request<'_>) -> Result<Page, ApiError> {
        let sent = self
            .get_metric_data()
            .set_metric_data_queries(Some(request.queries.iter().map(|query| to_sdk(query, request.period)).collect()))
            .start_time(SdkTime::from_secs(request.window.from.timestamp()))
            .end_time(SdkTime::from_secs(request.window.to.timestamp()))
            // Oldest first, as history is.
            .scan_by(ScanBy::TimestampAscending)
            .set_next_token(request.token)
            .send()
            .await;
        sent.map(page).map_err(|error| said(&error))
    }
}

fn to_sdk(query: &Query, period: i32) -> MetricDataQuery {
    let builder = MetricDataQuery::builder().id(&query.id).return_data(query.returned);
    match &query.ask {
        Ask::Math(expression) => builder.expression(expression).period(period).build(),
        Ask::Stat(MetricStat { metric, statistic: by }) => {
            let dimensions = metric
                .dimensions
                .iter()
                .map(|(name, value)| Dimension::builder().name(name).value(value).build())
                .collect();
            let metric = SdkMetric::builder()
                .namespace(&metric.namespace)
                .metric_name(&metric.name)
                .set_dimensions(Some(dimensions))
                .build();
            builder.metric_stat(SdkStat::builder().metric(metric).period(period).stat(statistic(*by)).build()).build()
        }
    }
}

fn page(output: GetMetricDataOutput) -> Page {
    let results = output.metric_data_results.unwrap_or_default();
    // An empty token is none.
    Page {
        results: results.into_iter().map(answered).collect(),
        next: output.next_token.filter(|next| !next.is_empty()),
    }
}

fn answered(result: MetricDataResult) -> Answer {
    let status = match result.status_code {
        Some(StatusCode::Complete) => Status::Complete,
        Some(StatusCode::PartialData) => Status::Partial,
        Some(StatusCode::InternalError) => Status::InternalError,
        Some(StatusCode::Forbidden) => Status::Forbidden,
        Some(other) => Status::Other(Some(other.as_str().to_owned())),
        None => Status::Other(None),
    };
    let starts = result.timestamps.unwrap_or_default();
    let message = result.messages.unwrap_or_default().into_iter().find_map(|message| message.value);
    Answer {
        id: result.id.unwrap_or_default(),
        status,
        starts: starts.iter().map(|start| DateTime::from_timestamp(start.secs(), start.subsec_nanos())).collect(),
        values: result.values.unwrap_or_default(),
        message,
    }
}

/// The failure in words: kind, code and message of the service. Neither headers nor bodies, which may hold more than that.
fn said(error: &SdkError<GetMetricDataError>) -> ApiError {
    match error {
        SdkError::TimeoutError(_) => ApiError::passing("timed out"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => ApiError::passing("timed out while connecting"),
        SdkError::DispatchFailure(failure) if failure.is_io() => ApiError::passing("could not connect"),
        SdkError::DispatchFailure(failure) => {
            // No credentials, mostly; their chain says which ones it tried, and none of their values.
            let cause = failure.as_connector_error().map_or_else(String::new, |error| format!(": {}", chain(error)));
            ApiError::passing(format!("could not be sent{cause}"))
        }
        SdkError::ResponseError(_) => ApiError::passing("the answer could not be read"),
        SdkError::ConstructionFailure(_) => ApiError::lasting("the request could not be built"),
        SdkError::ServiceError(failure) => {
            let status = failure.raw().status().as_u16();
            let code = failure.err().code().unwrap_or("an error without a code");
            let message = failure.err().message().map_or_else(String::new, |message| format!(": {message}"));
            // CloudWatch throttles with status 400 and a code.
            let transient =
                status >= 500 || status == 429 || code.contains("Throttl") || code == "RequestLimitExceeded";
            ApiError { cause: format!("{code} (status {status}){message}"), transient }
        }
        _ => ApiError::passing("failed for a reason that the SDK does not name"),
    }
}
