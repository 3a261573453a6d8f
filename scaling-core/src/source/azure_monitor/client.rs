//! [`AzureMonitorApi`]: sends the calls.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;

use super::answer::{self, Answer, Metric};
use super::credential::{Identity, InvalidIdentity};
use super::query::{Call, MAX_BUCKETS, MetricSeries, Pick, TOP, plan};
use crate::http::{Auth, Endpoint, HttpClient, HttpConfig, HttpConfigError, HttpRequest, InvalidEndpoint};
use crate::metrics::Absence;
use crate::source::fleet::{Backend, DEADLINE, Fault, Line, Lines, Point, QueryError, Window, cause, too_late, within};
use crate::source::mapping::Unit;

/// One of Azure's clouds: where its APIs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cloud {
    /// The public one.
    #[default]
    Public,
    /// Operated by 21Vianet in China.
    China,
    /// For the government of the United States.
    Government,
}

impl Cloud {
    fn manager(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com",
            Self::China => "https://management.chinacloudapi.cn",
            Self::Government => "https://management.usgovcloudapi.net",
        }
    }

    fn data_plane(self) -> &'static str {
        match self {
            Self::Public => "metrics.monitor.azure.com",
            Self::China => "metrics.monitor.azure.cn",
            Self::Government => "metrics.monitor.azure.us",
        }
    }
}

/// An API that cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidApi {
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] InvalidIdentity),
    /// The client cannot be built.
    #[error(transparent)]
    Client(#[from] HttpConfigError),
    /// No region of Azure.
    #[error("{0:?} is no region of Azure: letters and digits, such as westeurope")]
    Region(String),
    /// No address.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
}

/// The metrics APIs of Azure Monitor.
///
/// Of one resource, through the resource manager ([`new`](Self::new)): needs *Monitoring Reader* on each resource. Of many at once, through
/// the data plane of their region ([`batched`](Self::batched)): up to 50 resources of one type in a call, needs *Monitoring Reader* on
/// the subscription, is throttled less, and is billed.
#[derive(Debug)]
pub struct AzureMonitorApi {
    client: HttpClient,
    endpoint: Endpoint,
    is_batched: bool,
    deadline: Duration,
}

impl AzureMonitorApi {
    /// The API of the resource manager: one call for each resource.
    ///
    /// # Errors
    /// [`InvalidApi`] if the identity or `config` cannot be used.
    pub fn new(cloud: Cloud, identity: &Identity, config: HttpConfig) -> Result<Self, InvalidApi> {
        let tokens = identity.tokens(format!("{}/.default", cloud.manager()), &config)?;
        Ok(Self::at(Endpoint::parse(cloud.manager())?, Auth::Token(Arc::new(tokens)), config, false)?)
    }

    /// The API of the data plane of a region, such as `westeurope`: one call for up to 50 resources. All resources must be of this region.
    ///
    /// # Errors
    /// [`InvalidApi`] if the region, the identity or `config` cannot be used.
    pub fn batched(cloud: Cloud, region: &str, identity: &Identity, config: HttpConfig) -> Result<Self, InvalidApi> {
        let plain = !region.is_empty() && region.len() <= 40 && region.chars().all(|c| c.is_ascii_alphanumeric());
        if !plain {
            return Err(InvalidApi::Region(region.chars().take(100).collect()));
        }
        let tokens = identity.tokens(format!("https://{}/.default", cloud.data_plane()), &config)?;
        let endpoint = Endpoint::parse(&format!("https://{region}.{}", cloud.data_plane()))?;
        Ok(Self::at(endpoint, Auth::Token(Arc::new(tokens)), config, true)?)
    }

    /// One of the two APIs at an address of one's own: a proxy, or a server in a test.
    ///
    /// # Errors
    /// [`HttpConfigError`] if `config` cannot be used.
    pub fn at(endpoint: Endpoint, auth: Auth, config: HttpConfig, is_batched: bool) -> Result<Self, HttpConfigError> {
        Ok(Self { client: HttpClient::new(config.auth(auth))?, endpoint, is_batched, deadline: DEADLINE })
    }

    /// Sets the time that all calls of one tick may take together, or of one window of a backfill. Default 12 s, so that a tick each 15 s
    /// is never late for it. What came by then counts; the rest counts as failed.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    async fn ask(&self, call: &Call, window: Window) -> Result<Vec<Answer>, QueryError> {
        let failed = |cause: String, transient| QueryError { query: call.to_string(), cause, transient };
        let (path, parameters) = if self.is_batched {
            (call.batch_path(), call.batch_parameters(window))
        } else {
            (call.path(), call.parameters(window))
        };
        let parameters = parameters.map_err(|error| failed(error.to_string(), false))?;
        let endpoint = self.endpoint.join(&path);
        let request = if self.is_batched {
            // It only reads, so it may be sent again.
            HttpRequest::post_json(endpoint, call.batch_body()).repeatable(true)
        } else {
            HttpRequest::get(endpoint)
        };
        let request = parameters.into_iter().fold(request, |request, (name, value)| request.query(name, value));
        let response = self.client.exchange(&request).await;
        let response = response.map_err(|error| failed(cause(&error), error.is_transient()))?;
        let status = response.status();
        if status != 200 {
            let transient = response.into_success().is_err_and(|error| error.is_transient());
            return Err(failed(format!("status {status}: {}", self.hint(status)), transient && status != 401));
        }
        let read = if self.is_batched {
            answer::read_batch(response.body(), call.aggregation)
        } else {
            answer::read(response.body(), call.aggregation).map(|answer| vec![answer])
        };
        read.map_err(|error| failed(error.to_string(), false))
    }

    fn hint(&self, status: u16) -> &'static str {
        match status {
            400 => {
                "the query was refused: is there such a metric, with these dimensions, this aggregation and time grain?"
            }
            401 | 403 if self.is_batched => "the identity was refused: it needs Monitoring Reader on the subscription",
            401 | 403 => "the identity was refused: it needs Monitoring Reader on the resource",
            404 => "there is no such resource",
            // 529: the metrics backend is overloaded (page "Azure monitoring REST API walkthrough").
            429 | 529 => "the service is throttling",
            500.. => "the service failed",
            _ => "not an answer",
        }
    }
}

/// The line of a series in the answers to its call.
fn line(series: &MetricSeries, unit: Unit, answers: &[Answer], call: &Call, window: Window) -> Result<Line, Fault> {
    let fault = |cause: String, transient| Fault::Failed(QueryError { query: series.to_string(), cause, transient });
    let of_resource = answers.iter().find(|answer| match &answer.resource {
        Some(id) => id == series.resource.as_str(),
        None => call.resources.len() == 1,
    });
    let Some(answer) = of_resource else {
        return Err(fault("the answer says nothing of the resource".into(), true));
    };
    let Some(metric) = answer.metrics.iter().find(|metric| metric.name.eq_ignore_ascii_case(&series.metric)) else {
        return Err(fault("the answer says nothing of the metric".into(), false));
    };
    if let Some(code) = &metric.error {
        return Err(fault(format!("the metric failed with {code}"), true));
    }
    if !answer::fits(&metric.unit, unit) {
        return Err(Fault::WrongUnit { stated: unit, reported: metric.unit.chars().take(40).collect() });
    }
    if metric.series.len() >= TOP {
        return Err(fault(format!("the answer is cut at {TOP} series"), false));
    }
    let step = answer.step.unwrap_or(window.step);
    picked(series, metric).map(|points| Line { step, points })
}

fn picked(series: &MetricSeries, metric: &Metric) -> Result<Vec<Point>, Fault> {
    let dimension = match &series.pick {
        Pick::All => None,
        Pick::Is { dimension, .. } | Pick::PodsOf { dimension, .. } => Some(dimension.as_str()),
    };
    let value =
        |one: &answer::Series| dimension.map_or(Some(String::new()), |name| one.dimension(name).map(str::to_owned));
    let matches: Vec<_> =
        metric.series.iter().filter(|one| value(one).is_some_and(|value| series.pick.takes(&value))).collect();
    match (&series.pick, matches.as_slice()) {
        (_, []) => Ok(Vec::new()),
        (_, [one]) => Ok(one.points.clone()),
        (Pick::PodsOf { .. }, pods) => Ok(total(pods.iter().map(|pod| pod.points.as_slice()))),
        (_, several) => Err(Fault::Ambiguous { matches: several.len() }),
    }
}

/// Sums by bucket. A pod without a value in a bucket was not there; one with a value that is none makes the sum none.
fn total<'a>(series: impl Iterator<Item = &'a [Point]>) -> Vec<Point> {
    let mut sums: std::collections::BTreeMap<DateTime<Utc>, Result<f64, Absence>> = std::collections::BTreeMap::new();
    for point in series.flatten() {
        let sum = sums.entry(point.start).or_insert(Err(Absence::NotMeasured));
        *sum = match (*sum, point.value) {
            (Ok(a), Ok(b)) => Ok(a + b),
            (known, Err(Absence::NotMeasured)) | (Err(Absence::NotMeasured), known) => known,
            (Err(absence), _) | (_, Err(absence)) => Err(absence),
        };
    }
    sums.into_iter().map(|(start, value)| Point { start, value }).collect()
}

#[async_trait]
impl Backend for AzureMonitorApi {
    type Series = MetricSeries;

    async fn fetch(
        &self,
        wanted: &[(MetricSeries, Unit)],
        window: Window,
        _now: DateTime<Utc>,
    ) -> Result<Lines<MetricSeries>, QueryError> {
        let series: Vec<&MetricSeries> = wanted.iter().map(|(series, _)| series).collect();
        let (calls, of_call) = plan(&series, self.is_batched);
        let asked = calls.iter().map(|call| self.ask(call, window).boxed()).collect();
        let too_late =
            |call: &Call| QueryError { query: call.to_string(), cause: too_late(self.deadline), transient: true };
        let answers = calls.iter().zip(within(self.deadline, asked).await);
        let answers: Vec<Result<Vec<Answer>, QueryError>> =
            answers.map(|(call, answer)| answer.unwrap_or_else(|| Err(too_late(call)))).collect();
        if let Some(Err(error)) = answers.first()
            && answers.iter().all(Result::is_err)
        {
            return Err(error.clone());
        }
        let mut lines: Lines<MetricSeries> = HashMap::with_capacity(wanted.len());
        for ((series, unit), place) in wanted.iter().zip(of_call) {
            let line = match (answers.get(place), calls.get(place)) {
                (Some(Ok(answers)), Some(call)) => line(series, *unit, answers, call, window),
                (Some(Err(error)), _) => Err(Fault::Failed(error.clone())),
                _ => Ok(Line { step: TimeDelta::zero(), points: Vec::new() }),
            };
            lines.insert(series.clone(), line);
        }
        Ok(lines)
    }

    fn settle(&self) -> TimeDelta {
        super::SETTLE
    }

    fn longest(&self) -> i32 {
        MAX_BUCKETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_over_pods_is_of_those_that_were_there() {
        let at = |minute: i64| DateTime::from_timestamp(minute * 60, 0).unwrap();
        let point = |minute, value| Point { start: at(minute), value };
        let (none, odd) = (Err(Absence::NotMeasured), Err(Absence::NotFinite));
        let pods = [
            vec![point(0, Ok(1.0)), point(1, Ok(1.0)), point(2, none), point(3, odd)],
            vec![point(1, Ok(1.0)), point(2, none), point(3, Ok(1.0))],
        ];
        let sums = total(pods.iter().map(Vec::as_slice));
        assert_eq!(sums, [point(0, Ok(1.0)), point(1, Ok(2.0)), point(2, none), point(3, odd)]);
    }
}
