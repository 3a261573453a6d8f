//! What is asked of Datadog: metric expressions and the body of a timeseries request, as values.

use std::fmt;

use serde_json::json;

use crate::source::fleet::Window;

/// Queries in one request at most. The reference names no limit; a request of this size stays far below any body limit.
pub const MAX_QUERIES: usize = 50;

/// Most buckets that one request asks for. Asked for more, Datadog answers with a larger interval than the one requested ("May be
/// overridden by a larger interval if the query would result in too many points", reference of the endpoint; 350 points a graph,
/// page "Rollup").
pub const MAX_BUCKETS: i32 = 300;

/// How values of many sources become one (space aggregation), or which percentile of a distribution is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Their sum.
    Sum,
    /// Their mean.
    Avg,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Median of a distribution metric.
    P50,
    /// 95th percentile of a distribution metric.
    P95,
    /// 99th percentile of a distribution metric.
    P99,
}

impl Space {
    /// The quantile that it is, between 0 and 1; `None` unless it is a percentile.
    pub fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            Self::Sum | Self::Avg | Self::Min | Self::Max => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }
}

/// What kind of metric it is, which decides how its values become one in a bucket of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A level: the mean over the bucket. Interpolation is turned off (`fill(null)`): by default Datadog goes on with a line for five
    /// minutes after the last value (page "Interpolation and the Fill Modifier"), which would be a made-up measurement.
    Gauge,
    /// A count, as a rate for each second (`as_rate()`, which turns interpolation off as well; page "Metric Type Modifiers").
    Rate,
    /// A distribution, of which [`Space`] takes the percentile or mean.
    Distribution,
}

/// A part of a query that Datadog would refuse, or understand as something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidQuery {
    /// No name of a metric.
    #[error(
        "{0:?} is no name of a Datadog metric: it starts with a letter and goes on with letters, digits, '_' and '.', at most 200"
    )]
    Metric(String),
    /// No tag.
    #[error(
        "{0:?} is no Datadog tag: letters, digits and '_', '-', '.', '/' are allowed, at most 200; a filter is KEY:VALUE"
    )]
    Tag(String),
    /// A kind of workload for which the Kubernetes integration has no tag in the presets.
    #[error(
        "there is no preset for workloads of kind {0:?}: it is for Deployment and StatefulSet; state its queries yourself"
    )]
    Kind(String),
    /// More queries than go into one request.
    #[error("{got} queries in one request; at most {MAX_QUERIES}")]
    TooMany {
        /// Number of queries.
        got: usize,
    },
}

/// A metric, how it is aggregated, what it is filtered and grouped by.
///
/// ```
/// use scaling_core::source::datadog::query::{Kind, MetricQuery, Space};
///
/// let cpu = MetricQuery::new(Space::Sum, "kubernetes.cpu.usage.total", Kind::Gauge)?
///     .filtered("kube_cluster_name", "eu-1")?
///     .grouped_by(["kube_namespace", "kube_deployment"])?;
/// assert_eq!(
///     cpu.expression(60),
///     "sum:kubernetes.cpu.usage.total{kube_cluster_name:eu-1} by {kube_namespace,kube_deployment}.fill(null).rollup(avg, 60)"
/// );
/// # Ok::<(), scaling_core::source::datadog::query::InvalidQuery>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetricQuery {
    space: Space,
    metric: String,
    kind: Kind,
    filters: Vec<(String, String)>,
    groups: Vec<String>,
}

impl MetricQuery {
    /// A metric of this name over everything.
    ///
    /// # Errors
    /// [`InvalidQuery::Metric`] if no metric can have this name.
    pub fn new(space: Space, metric: impl Into<String>, kind: Kind) -> Result<Self, InvalidQuery> {
        let metric = metric.into();
        let starts = metric.starts_with(|first: char| first.is_ascii_alphabetic());
        if !starts || metric.len() > 200 || !metric.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
        {
            return Err(InvalidQuery::Metric(metric));
        }
        Ok(Self { space, metric, kind, filters: Vec::new(), groups: Vec::new() })
    }

    /// Only what has this tag.
    ///
    /// # Errors
    /// [`InvalidQuery::Tag`] if key or value would be understood as something else than a tag.
    pub fn filtered(mut self, key: impl Into<String>, value: impl Into<String>) -> Result<Self, InvalidQuery> {
        let (key, value) = (key.into(), value.into());
        if !is_tag(&key) || !is_tag(&value.replace(':', "_")) {
            return Err(InvalidQuery::Tag(format!("{key}:{value}")));
        }
        if !self.filters.iter().any(|filter| filter.0 == key && filter.1 == value) {
            self.filters.push((key, value));
        }
        Ok(self)
    }

    /// One series for each combination of these tags.
    ///
    /// # Errors
    /// [`InvalidQuery::Tag`] if one of them can be no key of a tag.
    pub fn grouped_by<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Result<Self, InvalidQuery> {
        self.groups = keys.into_iter().map(Into::into).collect();
        match self.groups.iter().find(|key| !is_tag(key)) {
            Some(key) => Err(InvalidQuery::Tag(key.clone())),
            None => Ok(self),
        }
    }

    /// Name of the metric.
    pub fn metric(&self) -> &str {
        &self.metric
    }

    /// How values of many sources become one.
    pub fn space(&self) -> Space {
        self.space
    }

    /// The query as Datadog reads it, with buckets of so many seconds.
    pub fn expression(&self, bucket_seconds: i64) -> String {
        let filters: Vec<String> = self.filters.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        let scope = if filters.is_empty() { "*".to_owned() } else { filters.join(",") };
        let groups = if self.groups.is_empty() { String::new() } else { format!(" by {{{}}}", self.groups.join(",")) };
        let over_time = match self.kind {
            Kind::Gauge => format!(".fill(null).rollup(avg, {bucket_seconds})"),
            Kind::Rate => ".as_rate()".to_owned(),
            Kind::Distribution => String::new(),
        };
        format!("{}:{}{{{scope}}}{groups}{over_time}", self.space.name(), self.metric)
    }
}

impl fmt::Display for MetricQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expression(60))
    }
}

/// Letters, digits and the marks that Datadog leaves in a tag (page "Getting Started with Tags"); no braces, commas, wildcards or blanks, which
/// have a meaning in a query.
fn is_tag(text: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    !text.is_empty() && text.len() <= 200 && text.chars().all(allowed)
}

/// The body of `POST /api/v2/query/timeseries`: the queries, named `q0`, `q1`, …, and one formula for each, in their order. An answer says
/// by the index of a formula which query a series belongs to.
///
/// No formula combines two queries: in arithmetic between them Datadog puts 0 where a count is missing (page "Interpolation", default
/// zero), and a measurement that is missing is not 0. Ratios are made of both answers here.
///
/// # Errors
/// [`InvalidQuery::TooMany`] above [`MAX_QUERIES`].
pub fn body(queries: &[MetricQuery], window: Window) -> Result<Vec<u8>, InvalidQuery> {
    if queries.len() > MAX_QUERIES {
        return Err(InvalidQuery::TooMany { got: queries.len() });
    }
    let seconds = window.step.num_seconds().max(1);
    let formulas: Vec<_> = (0..queries.len()).map(|index| json!({ "formula": format!("q{index}") })).collect();
    let queries: Vec<_> = queries
        .iter()
        .enumerate()
        .map(|(index, query)| {
            json!({ "data_source": "metrics", "name": format!("q{index}"), "query": query.expression(seconds) })
        })
        .collect();
    let attributes = json!({
        "formulas": formulas,
        "from": window.from.timestamp_millis(),
        "interval": window.step.num_milliseconds(),
        "queries": queries,
        "to": window.to.timestamp_millis(),
    });
    Ok(json!({ "data": { "attributes": attributes, "type": "timeseries_request" } }).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    fn hits() -> MetricQuery {
        MetricQuery::new(Space::Sum, "trace.http.request.hits", Kind::Rate).unwrap()
    }

    #[test]
    fn levels_are_not_interpolated_and_counts_become_rates() {
        let ready = MetricQuery::new(Space::Avg, "kubernetes_state.deployment.replicas_ready", Kind::Gauge).unwrap();
        let said = "avg:kubernetes_state.deployment.replicas_ready{*}.fill(null).rollup(avg, 30)";
        assert_eq!(ready.expression(30), said);
        let hits = hits().filtered("env", "prod").unwrap().grouped_by(["service"]).unwrap();
        assert_eq!(hits.expression(60), "sum:trace.http.request.hits{env:prod} by {service}.as_rate()");
        let latency = MetricQuery::new(Space::P95, "trace.http.request", Kind::Distribution).unwrap();
        assert_eq!(latency.expression(60), "p95:trace.http.request{*}");
        assert_eq!((latency.space().quantile(), hits.space().quantile()), (Some(0.95), None));
    }

    #[test]
    fn what_would_be_read_as_something_else_is_refused_by_name() {
        for metric in ["", "1st", "a b", "a{b", "a,b", "é", &"a".repeat(201)] {
            let refused = MetricQuery::new(Space::Sum, metric, Kind::Gauge).unwrap_err();
            assert_eq!(refused, InvalidQuery::Metric(metric.to_owned()));
        }
        for (key, value) in
            [("env", "a} by {host"), ("env", ""), ("", "prod"), ("e,nv", "prod"), ("env", "*"), ("env", "a b")]
        {
            assert!(matches!(hits().filtered(key, value), Err(InvalidQuery::Tag(_))), "{key}:{value}");
        }
        assert!(hits().filtered("image", "shop/web:1.2").is_ok(), "values may have colons");
        assert!(hits().grouped_by(["env", "a b"]).is_err());
    }

    #[test]
    fn a_request_has_a_formula_for_each_query_in_their_order() {
        let at = |seconds: i64| DateTime::from_timestamp(1_700_000_040 + seconds, 0).unwrap();
        let window = Window { from: at(0), to: at(600), step: TimeDelta::seconds(60) };
        let body = body(&[hits(), hits().filtered("env", "prod").unwrap()], window).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let attributes = &body["data"]["attributes"];
        assert_eq!(body["data"]["type"], "timeseries_request");
        assert_eq!(
            (&attributes["from"], &attributes["to"]),
            (&json!(1_700_000_040_000_i64), &json!(1_700_000_640_000_i64))
        );
        assert_eq!(attributes["interval"], 60_000);
        assert_eq!(attributes["formulas"], json!([{ "formula": "q0" }, { "formula": "q1" }]));
        assert_eq!(attributes["queries"][1]["query"], "sum:trace.http.request.hits{env:prod}.as_rate()");
        let many = vec![hits(); MAX_QUERIES + 1];
        assert_eq!(super::body(&many, window), Err(InvalidQuery::TooMany { got: MAX_QUERIES + 1 }));
    }
}
