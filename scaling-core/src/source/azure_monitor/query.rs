//! What is asked of Azure Monitor: series of metrics, and the calls that bring them, as values.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::ResourceId;
use crate::source::fleet::Window;

/// Version of both APIs that is spoken.
pub const API_VERSION: &str = "2024-02-01";

/// Metric names in one call at most (reference of the metrics API, `metricnames`).
pub const MAX_NAMES: usize = 20;

/// Resources in one batch at most (page "Migrate from the metrics API to the getBatch API").
pub const MAX_RESOURCES: usize = 50;

/// Series for each metric and resource that are asked for. The service's own default is 10, and the rest would be missing without a word.
pub const TOP: usize = 1000;

/// Buckets that one call spans at most: a day of minutes.
pub const MAX_BUCKETS: i32 = 1440;

/// How the measurements of a bucket become one number (page "Metrics aggregation and display explained").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// Their mean.
    Average,
    /// The least.
    Minimum,
    /// The most.
    Maximum,
    /// Their sum.
    Total,
    /// How many there are, whatever their values.
    Count,
}

impl Aggregation {
    /// Its name in a call, which is also the name of its field in an answer.
    pub fn name(self) -> &'static str {
        match self {
            Self::Average => "average",
            Self::Minimum => "minimum",
            Self::Maximum => "maximum",
            Self::Total => "total",
            Self::Count => "count",
        }
    }
}

/// A part of a query that Azure would refuse, or understand as something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidQuery {
    /// No name of a metric or dimension.
    #[error("{0:?} is no name of a metric or dimension: no commas, quotes or control characters, at most 256")]
    Name(String),
    /// No value of a dimension.
    #[error("{0:?} is no value of a dimension: no control characters, '*' only as a whole, at most 512")]
    Value(String),
    /// No time grain.
    #[error("{0} s is no time grain of Azure Monitor: there are 1, 5, 15 and 30 min, 1, 6 and 12 h, and 1 day")]
    Grain(i64),
    /// The metric is of another type of resource.
    #[error("{resource} is no {expected}")]
    Resource {
        /// The resource.
        resource: ResourceId,
        /// The type that has the metric.
        expected: &'static str,
    },
    /// A kind of workload that a preset does not know.
    #[error("there is no preset for workloads of kind {0:?}")]
    Kind(String),
}

/// Which of the series that a dimension tells apart is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pick {
    /// All together: the service adds them up.
    All,
    /// The one whose dimension has this value. All values are asked for at once, so that the workloads behind one resource cost one
    /// query.
    Is {
        /// Name of the dimension.
        dimension: String,
        /// Its value.
        value: String,
    },
    /// Those whose dimension is the name of a pod of this Deployment, added up.
    PodsOf {
        /// Name of the dimension.
        dimension: String,
        /// Name of the Deployment.
        deployment: String,
    },
}

impl Pick {
    fn dimension(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Is { dimension, .. } | Self::PodsOf { dimension, .. } => Some(dimension),
        }
    }

    /// True if a series with this value of the dimension is meant.
    pub(super) fn takes(&self, value: &str) -> bool {
        match self {
            Self::All => true,
            Self::Is { value: wanted, .. } => value.eq_ignore_ascii_case(wanted),
            Self::PodsOf { deployment, .. } => is_pod_of(value, deployment),
        }
    }
}

/// True if a pod of this name belongs to a Deployment of that name: `NAME-HASH-RANDOM`, the last two of the letters and digits that
/// Kubernetes names by, which have no vowels (`k8s.io/apimachinery`, `util/rand`). So `web-api-7d9f8c6b5-x2k4z` is no pod of `web`. Of a
/// Deployment whose name is so long that names of pods are cut, none is found: its pods are absent, not 0.
fn is_pod_of(pod: &str, deployment: &str) -> bool {
    let safe = |text: &str| !text.is_empty() && text.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b));
    let rest = pod.strip_prefix(deployment).and_then(|rest| rest.strip_prefix('-'));
    let parts = rest.and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(hash, random)| hash.len() <= 10 && random.len() == 5 && safe(hash) && safe(random))
}

/// One series of a metric of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetricSeries {
    pub(super) resource: ResourceId,
    pub(super) metric: String,
    pub(super) aggregation: Aggregation,
    /// Dimensions with one value, the same for every workload.
    filters: Vec<(String, String)>,
    pub(super) pick: Pick,
}

impl MetricSeries {
    /// A metric over all values of its dimensions.
    ///
    /// # Errors
    /// [`InvalidQuery::Name`] if no metric can have this name.
    pub fn new(
        resource: &ResourceId,
        metric: impl Into<String>,
        aggregation: Aggregation,
    ) -> Result<Self, InvalidQuery> {
        let metric = named(metric.into())?;
        Ok(Self { resource: resource.clone(), metric, aggregation, filters: Vec::new(), pick: Pick::All })
    }

    /// Only what has this value of a dimension.
    ///
    /// # Errors
    /// [`InvalidQuery`] if there can be no such dimension or value.
    pub fn filtered(mut self, dimension: impl Into<String>, value: impl Into<String>) -> Result<Self, InvalidQuery> {
        self.filters.push((named(dimension.into())?, valued(value.into())?));
        Ok(self)
    }

    /// The series that is meant among those that a dimension tells apart. One dimension, since the service allows one wildcard.
    ///
    /// # Errors
    /// [`InvalidQuery`] if there can be no such dimension or value.
    pub fn picked(mut self, pick: Pick) -> Result<Self, InvalidQuery> {
        if let Pick::Is { dimension, value } | Pick::PodsOf { dimension, deployment: value } = &pick {
            named(dimension.clone())?;
            valued(value.clone())?;
        }
        self.pick = pick;
        Ok(self)
    }

    /// The filter of a call that brings it, with a wildcard for the dimension that it is picked by.
    pub fn filter(&self) -> Option<String> {
        let wildcard = self.pick.dimension().map(|dimension| (dimension.to_owned(), "*".to_owned()));
        let terms = self.filters.iter().cloned().chain(wildcard);
        let terms: Vec<_> = terms.map(|(name, value)| format!("{name} eq '{}'", value.replace('\'', "''"))).collect();
        (!terms.is_empty()).then(|| terms.join(" and "))
    }
}

impl fmt::Display for MetricSeries {
    /// Metric, aggregation, dimensions and resource, as the metrics explorer and `az monitor metrics list` take them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.metric, self.aggregation.name())?;
        if let Some(filter) = self.filter() {
            write!(f, " where {filter}")?;
        }
        match &self.pick {
            Pick::All => {}
            Pick::Is { value, .. } => write!(f, " (series {value:?})")?,
            Pick::PodsOf { deployment, .. } => write!(f, " (pods of {deployment:?})")?,
        }
        write!(f, " of {}", self.resource)
    }
}

fn named(name: String) -> Result<String, InvalidQuery> {
    let bad = |c: char| c.is_control() || matches!(c, ',' | '\'' | '"' | '&' | '=');
    if name.trim().is_empty() || name.len() > 256 || name.contains(bad) {
        Err(InvalidQuery::Name(name))
    } else {
        Ok(name)
    }
}

fn valued(value: String) -> Result<String, InvalidQuery> {
    let bad = value.is_empty() || value.len() > 512 || value.contains(|c: char| c.is_control() || c == '*');
    if bad { Err(InvalidQuery::Value(value)) } else { Ok(value) }
}

/// Metrics of resources that one call brings: all of one type, with the same filter and aggregation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// At least one; more only in a batch, all of one subscription, region and type.
    pub resources: Vec<ResourceId>,
    /// Names of the metrics, at most [`MAX_NAMES`].
    pub names: Vec<String>,
    /// How measurements become one number.
    pub aggregation: Aggregation,
    /// Filter by dimensions.
    pub filter: Option<String>,
}

impl Call {
    /// The path of a call for one resource, behind the address of the resource manager.
    pub fn path(&self) -> String {
        let resource = self.resources.first().map(ResourceId::as_str).unwrap_or_default();
        format!("{resource}/providers/Microsoft.Insights/metrics")
    }

    /// The parameters of a call for one resource.
    ///
    /// # Errors
    /// [`InvalidQuery::Grain`] if the step is no time grain.
    pub fn parameters(&self, window: Window) -> Result<Vec<(&'static str, String)>, InvalidQuery> {
        let time = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut parameters = self.common(window)?;
        parameters.push(("timespan", format!("{}/{}", time(window.from), time(window.to))));
        parameters.extend(self.filter.clone().map(|filter| ("$filter", filter)));
        Ok(parameters)
    }

    /// The path of a batch, behind the address of the region.
    pub fn batch_path(&self) -> String {
        let subscription = self.resources.first().map(ResourceId::subscription).unwrap_or_default();
        format!("subscriptions/{subscription}/metrics:getBatch")
    }

    /// The parameters of a batch.
    ///
    /// # Errors
    /// [`InvalidQuery::Grain`] if the step is no time grain.
    pub fn batch_parameters(&self, window: Window) -> Result<Vec<(&'static str, String)>, InvalidQuery> {
        let time = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let mut parameters = self.common(window)?;
        parameters.push(("starttime", time(window.from)));
        parameters.push(("endtime", time(window.to)));
        parameters.extend(self.filter.clone().map(|filter| ("filter", filter)));
        Ok(parameters)
    }

    /// The body of a batch. The name of its property is in lower case, which the service insists on.
    pub fn batch_body(&self) -> Vec<u8> {
        let ids: Vec<&str> = self.resources.iter().map(ResourceId::as_str).collect();
        json!({ "resourceids": ids }).to_string().into_bytes()
    }

    fn common(&self, window: Window) -> Result<Vec<(&'static str, String)>, InvalidQuery> {
        let kind = self.resources.first().map(ResourceId::kind).unwrap_or_default();
        let mut parameters = vec![
            ("api-version", API_VERSION.to_owned()),
            ("metricnamespace", kind.to_owned()),
            ("metricnames", self.names.join(",")),
            ("aggregation", self.aggregation.name().to_owned()),
            ("interval", grain(window.step)?.to_owned()),
        ];
        if self.filter.is_some() {
            parameters.push(("top", TOP.to_string()));
        }
        Ok(parameters)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.names.join(","), self.aggregation.name())?;
        if let Some(filter) = &self.filter {
            write!(f, " where {filter}")?;
        }
        match self.resources.as_slice() {
            [one] => write!(f, " of {one}"),
            many => write!(f, " of {} resources", many.len()),
        }
    }
}

/// The calls that bring some series: for one resource each, or for up to [`MAX_RESOURCES`] of a type and subscription where `batched`.
/// Each series is of the call at its place in the second list.
pub fn plan(series: &[&MetricSeries], batched: bool) -> (Vec<Call>, Vec<usize>) {
    let mut calls: Vec<Call> = Vec::new();
    let mut of_call = Vec::with_capacity(series.len());
    for one in series {
        let filter = one.filter();
        let fits = |call: &Call| {
            let first = call.resources.first();
            let same = first.is_some_and(|first| {
                first.kind() == one.resource.kind() && first.subscription() == one.resource.subscription()
            });
            let has_resource = call.resources.contains(&one.resource);
            let room = has_resource || (batched && call.resources.len() < MAX_RESOURCES);
            let has_name = call.names.contains(&one.metric) || call.names.len() < MAX_NAMES;
            call.aggregation == one.aggregation && call.filter == filter && same && room && has_name
        };
        let place = calls.iter().position(fits).unwrap_or_else(|| {
            let (resources, names) = (Vec::new(), Vec::new());
            calls.push(Call { resources, names, aggregation: one.aggregation, filter: filter.clone() });
            calls.len() - 1
        });
        if let Some(call) = calls.get_mut(place) {
            if !call.resources.contains(&one.resource) {
                call.resources.push(one.resource.clone());
            }
            if !call.names.contains(&one.metric) {
                call.names.push(one.metric.clone());
            }
        }
        of_call.push(place);
    }
    (calls, of_call)
}

/// The name of a time grain.
///
/// # Errors
/// [`InvalidQuery::Grain`] if there is none of this length.
pub fn grain(step: TimeDelta) -> Result<&'static str, InvalidQuery> {
    GRAINS
        .iter()
        .find(|(seconds, _)| TimeDelta::seconds(*seconds) == step)
        .map(|(_, name)| *name)
        .ok_or(InvalidQuery::Grain(step.num_seconds()))
}

/// The length of a time grain of this name.
pub(super) fn length(name: &str) -> Option<TimeDelta> {
    GRAINS.iter().find(|(_, known)| *known == name).map(|(seconds, _)| TimeDelta::seconds(*seconds))
}

/// Those of the tables of supported metrics.
const GRAINS: [(i64, &str); 8] = [
    (60, "PT1M"),
    (300, "PT5M"),
    (900, "PT15M"),
    (1800, "PT30M"),
    (3600, "PT1H"),
    (21_600, "PT6H"),
    (43_200, "PT12H"),
    (86_400, "P1D"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(name: &str) -> ResourceId {
        format!("/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/applicationGateways/{name}")
            .parse()
            .unwrap()
    }

    fn responses(gateway_name: &str, pool: &str) -> MetricSeries {
        let series = MetricSeries::new(&gateway(gateway_name), "BackendResponseStatus", Aggregation::Total).unwrap();
        series.picked(Pick::Is { dimension: "BackendPool".into(), value: pool.into() }).unwrap()
    }

    #[test]
    fn workloads_behind_one_resource_cost_one_call_and_a_batch_holds_fifty_resources() {
        let pools: Vec<_> = (0..30).map(|n| responses("edge", &format!("pool-{n}"))).collect();
        let (calls, of_call) = plan(&pools.iter().collect::<Vec<_>>(), false);
        assert_eq!((calls.len(), of_call.iter().max()), (1, Some(&0)));
        assert_eq!(calls[0].filter.as_deref(), Some("BackendPool eq '*'"));

        let many: Vec<_> = (0..120).map(|n| responses(&format!("edge-{n}"), "web")).collect();
        let many: Vec<_> = many.iter().collect();
        assert_eq!(plan(&many, false).0.len(), 120);
        let (calls, _) = plan(&many, true);
        assert_eq!(calls.iter().map(|call| call.resources.len()).collect::<Vec<_>>(), [50, 50, 20]);

        let failed = responses("edge", "web").filtered("HttpStatusGroup", "5xx").unwrap();
        let (calls, of_call) = plan(&[&pools[0], &failed], false);
        assert_eq!((calls.len(), of_call), (2, vec![0, 1]));
    }

    #[test]
    fn a_call_says_all_that_the_service_would_choose_otherwise() {
        let at = |minute: i64| DateTime::from_timestamp(1_700_000_040 + minute * 60, 0).unwrap();
        let window = Window { from: at(0), to: at(10), step: TimeDelta::minutes(1) };
        let (calls, _) = plan(&[&responses("edge", "it's")], true);
        let text = |parameters: Vec<(&str, String)>| {
            parameters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
        };
        assert_eq!(
            text(calls[0].parameters(window).unwrap()),
            "api-version=2024-02-01&metricnamespace=microsoft.network/applicationgateways&metricnames=BackendResponseStatus&\
             aggregation=total&interval=PT1M&top=1000&timespan=2023-11-14T22:14:00Z/2023-11-14T22:24:00Z&$filter=BackendPool eq '*'"
        );
        let batch = text(calls[0].batch_parameters(window).unwrap());
        assert!(
            batch.contains("starttime=2023-11-14T22:14:00.000Z") && batch.contains("&filter=BackendPool"),
            "{batch}"
        );
        assert!(String::from_utf8(calls[0].batch_body()).unwrap().starts_with(r#"{"resourceids":["/subscriptions/s/"#));
        let odd = Window { step: TimeDelta::seconds(90), ..window };
        assert_eq!(calls[0].parameters(odd), Err(InvalidQuery::Grain(90)));
    }

    #[test]
    fn what_would_be_read_as_something_else_is_refused_or_quoted() {
        let series = MetricSeries::new(&gateway("edge"), "Percentage CPU", Aggregation::Average).unwrap();
        for name in ["", "a,b", "a'b", "a\nb"] {
            assert!(MetricSeries::new(&gateway("edge"), name, Aggregation::Total).is_err(), "{name:?}");
            assert!(series.clone().filtered(name, "x").is_err(), "{name:?}");
        }
        for value in ["", "*", "a\u{0}"] {
            assert!(series.clone().filtered("pool", value).is_err(), "{value:?}");
        }
        let quoted = series.filtered("pool", "o'hare' or pool eq '*").unwrap_err();
        assert!(matches!(quoted, InvalidQuery::Value(_)));
        let quoted = responses("edge", "x").filtered("Listener", "o'hare").unwrap();
        assert_eq!(quoted.filter().unwrap(), "Listener eq 'o''hare' and BackendPool eq '*'");
    }

    #[test]
    fn pods_of_a_deployment_are_told_from_those_of_others() {
        for (pod, deployment, belongs) in [
            ("web-7d9f8c6b5-x2k4z", "web", true),
            ("web-7d9f8c6b5-x2k4z", "we", false),
            ("web-api-7d9f8c6b5-x2k4z", "web", false),
            ("web-api-7d9f8c6b5-x2k4z", "web-api", true),
            ("web-api-x2k4z", "web", false),
            ("web-0", "web", false),
            ("web-7d9f8c6b5-x2k4z-0", "web", false),
            ("web", "web", false),
        ] {
            assert_eq!(is_pod_of(pod, deployment), belongs, "{pod} of {deployment}");
        }
    }
}
