//! [`DatadogApi`]: sends the queries.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;

use super::answer;
use super::query::{self, MAX_BUCKETS, MAX_QUERIES, MetricQuery};
use super::series::{TagSeries, lines, narrowed};
use crate::http::{Endpoint, HttpClient, HttpConfig, HttpConfigError, HttpRequest, HttpResponse, SecretString};
use crate::source::fleet::{Backend, DEADLINE, Fault, Lines, QueryError, Window, cause, too_late, within};
use crate::source::mapping::Unit;

/// How long no request is sent after an answer 429 that does not say when the limit is reset.
const PAUSE: Duration = Duration::from_secs(60);

/// The keys of an organization. `Debug` shows neither.
#[derive(Clone, Debug)]
pub struct Keys {
    api: SecretString,
    application: SecretString,
}

impl Keys {
    /// An API key, and an application key with the permission `timeseries_query`.
    pub fn new(api: impl Into<SecretString>, application: impl Into<SecretString>) -> Self {
        Self { api: api.into(), application: application.into() }
    }
}

/// An API that cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidApi {
    /// No site of Datadog.
    #[error("{0:?} is no Datadog site: it is a host name such as datadoghq.com, us5.datadoghq.com or datadoghq.eu")]
    Site(String),
    /// The client cannot be built.
    #[error(transparent)]
    Client(#[from] HttpConfigError),
}

/// The timeseries query of Datadog's API.
///
/// After an answer 429 nothing is sent until `X-RateLimit-Reset` has passed: what is asked meanwhile fails at once, and says so.
#[derive(Debug)]
pub struct DatadogApi {
    client: HttpClient,
    endpoint: Endpoint,
    deadline: Duration,
    limited_until: Mutex<Option<DateTime<Utc>>>,
}

impl DatadogApi {
    /// The API of a site: `datadoghq.com`, `us3.datadoghq.com`, `datadoghq.eu`, … A key of one site is refused by another.
    ///
    /// # Errors
    /// [`InvalidApi`] if it is no site, or `config` cannot be used.
    pub fn new(site: &str, keys: Keys, config: HttpConfig) -> Result<Self, InvalidApi> {
        let host = site.strip_prefix("app.").unwrap_or(site);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let endpoint = Some(host).filter(|host| host.contains('.') && host.chars().all(plain));
        let endpoint = endpoint.and_then(|host| Endpoint::parse(&format!("https://api.{host}")).ok());
        Ok(Self::at(&endpoint.ok_or_else(|| InvalidApi::Site(site.chars().take(100).collect()))?, keys, config)?)
    }

    /// The API at an address of one's own: a proxy, or a server in a test.
    ///
    /// # Errors
    /// [`HttpConfigError`] if `config` cannot be used.
    pub fn at(endpoint: &Endpoint, keys: Keys, config: HttpConfig) -> Result<Self, HttpConfigError> {
        let config = config
            .secret_header("DD-API-KEY", keys.api)
            .secret_header("DD-APPLICATION-KEY", keys.application)
            .header("accept", "application/json")
            .reset_header("x-ratelimit-reset");
        let endpoint = endpoint.join("api/v2/query/timeseries");
        let (client, limited_until) = (HttpClient::new(config)?, Mutex::default());
        Ok(Self { client, endpoint, deadline: DEADLINE, limited_until })
    }

    /// Sets the time that all requests of one tick may take together, or of one window of a backfill. Default 12 s, so that a tick each
    /// 15 s is never late for it. What came by then counts; the rest counts as failed.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Asks for some queries at once.
    async fn ask(
        &self,
        queries: &[MetricQuery],
        window: Window,
        now: DateTime<Utc>,
    ) -> Result<answer::Answer, QueryError> {
        let named = named(queries);
        let failed = |cause: String, transient| QueryError { query: named.clone(), cause, transient };
        if let Some(until) = self.limited(now) {
            let left = (until - now).num_seconds();
            return Err(failed(format!("the limit of requests is reached; it is reset in {left} s"), true));
        }
        let body = query::body(queries, window).map_err(|error| failed(error.to_string(), false))?;
        // It only reads, so it may be sent again.
        let request = HttpRequest::post_json(self.endpoint.clone(), body).repeatable(true);
        let response = self.client.exchange(&request).await;
        let response = response.map_err(|error| failed(cause(&error), error.is_transient()))?;
        match response.status() {
            200 => answer::read(response.body(), queries.len()).map_err(|error| failed(error.to_string(), false)),
            429 => {
                self.limit(&response, now);
                Err(failed("status 429: the limit of requests is reached".into(), true))
            }
            status => {
                let transient = response.into_success().is_err_and(|error| error.is_transient());
                Err(failed(format!("status {status}: {}", hint(status)), transient && status != 401))
            }
        }
    }

    fn limited(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = *self.limited_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > now)
    }

    fn limit(&self, response: &HttpResponse, now: DateTime<Utc>) {
        let wait = response.retry_after().unwrap_or(PAUSE).clamp(Duration::from_secs(1), Duration::from_secs(3600));
        let until = now.checked_add_signed(TimeDelta::from_std(wait).unwrap_or(TimeDelta::minutes(1)));
        *self.limited_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        400 => "the query was refused",
        401 | 403 => {
            "the keys were refused: is the application key allowed timeseries_query, and are both of this site?"
        }
        404 => "there is no such API here",
        500.. => "the service failed",
        _ => "not an answer",
    }
}

/// The queries by their metrics, for messages.
fn named(queries: &[MetricQuery]) -> String {
    match queries {
        [one] => one.to_string(),
        many => {
            let names: Vec<_> = many.iter().take(3).map(MetricQuery::metric).collect();
            let more = if many.len() > names.len() { ", …" } else { "" };
            format!("{} queries ({}{more})", many.len(), names.join(", "))
        }
    }
}

/// The series that are read from each query of a request, with their units.
type Groups<'a> = Vec<(Vec<&'a TagSeries>, Vec<Unit>)>;

#[async_trait]
impl Backend for DatadogApi {
    type Series = TagSeries;

    async fn fetch(
        &self,
        wanted: &[(TagSeries, Unit)],
        window: Window,
        now: DateTime<Utc>,
    ) -> Result<Lines<TagSeries>, QueryError> {
        let mut order: Vec<&MetricQuery> = Vec::new();
        let mut of_query: HashMap<&MetricQuery, Vec<&(TagSeries, Unit)>> = HashMap::new();
        for one in wanted {
            let of_this = of_query.entry(one.0.query()).or_default();
            if of_this.is_empty() {
                order.push(one.0.query());
            }
            of_this.push(one);
        }
        let asked = order.chunks(MAX_QUERIES).map(|chunk| {
            let groups = chunk.iter().map(|query| of_query.get(query).map(Vec::as_slice).unwrap_or_default());
            let groups: Groups<'_> =
                groups.map(|group| group.iter().map(|(series, unit)| (series, *unit)).unzip()).collect();
            let queries: Vec<_> =
                chunk.iter().zip(&groups).map(|(query, (series, _))| narrowed(query, series)).collect();
            (queries, groups)
        });
        let asked: Vec<(Vec<MetricQuery>, Groups<'_>)> = asked.collect();
        let requests = asked.iter().map(|(queries, _)| self.ask(queries, window, now).boxed()).collect();
        let answers = within(self.deadline, requests).await;
        let mut found = Lines::with_capacity(wanted.len());
        let mut last = None;
        let mut answered = false;
        for ((queries, groups), answer) in asked.iter().zip(answers) {
            let too_late = || QueryError { query: named(queries), cause: too_late(self.deadline), transient: true };
            match answer.unwrap_or_else(|| Err(too_late())) {
                Ok(answer) => {
                    answered = true;
                    for (index, (series, units)) in groups.iter().enumerate() {
                        let lines = lines(&answer, index, series, units, window);
                        found.extend(series.iter().map(|series| (*series).clone()).zip(lines));
                    }
                }
                Err(error) => {
                    let series = groups.iter().flat_map(|(series, _)| series);
                    found.extend(series.map(|series| ((*series).clone(), Err(Fault::Failed(error.clone())))));
                    last = Some(error);
                }
            }
        }
        match last {
            Some(error) if !answered => Err(error),
            _ => Ok(found),
        }
    }

    fn settle(&self) -> TimeDelta {
        super::SETTLE
    }

    fn longest(&self) -> i32 {
        MAX_BUCKETS
    }
}
