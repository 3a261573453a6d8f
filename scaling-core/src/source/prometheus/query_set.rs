//! What is asked of a server: [`QuerySet`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::QueryFault;
use super::query;
use super::sets;
use super::template::{Measure, QueryTemplate};
use crate::metrics::SignalSet;
use crate::target::Target;

/// Queries for the signals and pod counts of a fleet, one for each measure. It declares which signals it delivers: one that is declared
/// and not answered is absent, for as long as that lasts (law 2).
///
/// | set | delivers | from |
/// | --- | --- | --- |
/// | [`kubernetes`](Self::kubernetes) | CPU, memory, ready and desired pods of Deployments and StatefulSets | kube-state-metrics and cAdvisor |
/// | [`ingress_nginx`](Self::ingress_nginx), [`istio`](Self::istio), [`linkerd`](Self::linkerd) | request rate, error rate, response time | the proxies |
/// | [`opentelemetry`](Self::opentelemetry) | the same, and requests in flight as connections | applications, by the semantic conventions |
///
/// ```
/// use scaling_core::SignalKind;
/// use scaling_core::source::prometheus::{Measure, QuerySet, QueryTemplate, Unit};
///
/// let queue = r#"sum by (namespace, workload) (jobs_waiting{namespace=~"{namespace}",workload=~"{workload}"})"#;
/// let set = QuerySet::kubernetes()
///     .and(QuerySet::istio())
///     .with(QueryTemplate::new(Measure::Signal(SignalKind::QueueDepth), Unit::Own, queue)?);
/// assert!(set.declared().contains(SignalKind::QueueDepth) && !set.declared().contains(SignalKind::ActiveConnections));
/// # Ok::<(), scaling_core::source::prometheus::InvalidTemplate>(())
/// ```
#[derive(Clone, Debug)]
pub struct QuerySet {
    templates: BTreeMap<Measure, QueryTemplate>,
    pub(super) matchers: Vec<(String, String)>,
    aliases: BTreeMap<Target, String>,
    pub(super) window: Duration,
    pub(super) fresh: Duration,
    pub(super) quantile: f64,
    cluster: Option<String>,
}

impl Default for QuerySet {
    fn default() -> Self {
        Self::empty()
    }
}

impl QuerySet {
    /// No query yet: for queries of one's own.
    pub fn empty() -> Self {
        Self {
            templates: BTreeMap::new(),
            matchers: Vec::new(),
            aliases: BTreeMap::new(),
            window: Duration::from_secs(120),
            fresh: Duration::from_secs(120),
            quantile: 0.95,
            cluster: None,
        }
    }

    fn of(templates: Vec<QueryTemplate>) -> Self {
        templates.into_iter().fold(Self::empty(), Self::with)
    }

    /// CPU and memory in percent of request (over ready pods, as the HPA computes it), ready and desired pods.
    ///
    /// CPU is taken from the two newest samples within the [window](Self::window), as metrics-server does for the HPA.
    ///
    /// A utilization is absent as [partial](crate::Absence::Partial) while a pod that has been ready for longer than the
    /// [window](Self::window) is not seen in every container that requests something: the mean over the others would say less than is
    /// true exactly when a hot node is lost.
    pub fn kubernetes() -> Self {
        Self::of(sets::kubernetes())
    }

    /// Requests through ingress-nginx, by service. The labels are those that Prometheus gives when it scrapes the controller without
    /// `honorLabels`; otherwise set them to `namespace` and `service` ([`labels`](Self::labels)).
    pub fn ingress_nginx() -> Self {
        Self::of(sets::ingress_nginx())
    }

    /// Requests as Istio counts them at the destination: sidecars (`reporter="destination"`) and, in ambient mode, waypoints
    /// (`reporter="waypoint"`), added up, since a workload that is being moved has pods of both kinds. Where a request passes a waypoint
    /// and then a sidecar, both may count it: too much, never too little. Choose one by [`istio_by`](Self::istio_by) there. The layer
    /// below waypoints (ztunnel) counts no requests.
    ///
    /// A proxy that is not scraped is missing from the sum, as in all sets of proxies: alert on `up`.
    pub fn istio() -> Self {
        Self::of(sets::istio(r#"reporter=~"destination|waypoint""#))
    }

    /// Requests as one kind of Istio's reporters counts them: `destination` or `waypoint`.
    pub fn istio_by(reporter: &str) -> Self {
        Self::of(sets::istio(&format!("reporter=\"{}\"", query::quoted(reporter))))
    }

    /// Requests as Linkerd's proxies count them, inbound, by Deployment.
    pub fn linkerd() -> Self {
        Self::of(sets::linkerd())
    }

    /// Requests as applications count them by OpenTelemetry's semantic conventions for HTTP servers. The labels are the resource
    /// attributes `k8s.namespace.name` and `k8s.deployment.name`, which the server must be told to promote to labels.
    pub fn opentelemetry() -> Self {
        Self::of(sets::opentelemetry())
    }

    /// Adds a query, in the place of one for the same measure.
    #[must_use]
    pub fn with(mut self, template: QueryTemplate) -> Self {
        self.templates.insert(template.measure, template);
        self
    }

    /// Adds the queries of another set, in the place of those for the same measures; all else stays as it is here.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.templates.extend(other.templates);
        self
    }

    /// Takes a query out: what is not delivered must not be declared.
    #[must_use]
    pub fn without(mut self, measure: Measure) -> Self {
        self.templates.remove(&measure);
        self
    }

    /// Sets the labels that tell workloads apart, of all queries so far.
    #[must_use]
    pub fn labels(mut self, namespace: &str, workload: &str) -> Self {
        for template in self.templates.values_mut() {
            *template = template.clone().labels(namespace, workload);
        }
        self
    }

    /// Adds a matcher to every selector that has `{matchers}`: `cluster="eu-1"` where one server holds several clusters.
    #[must_use]
    pub fn matching(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.matchers.push((label.into(), value.into()));
        self
    }

    /// Says which cluster the answers are about. Without it only targets without a [cluster](Target::cluster) are observed; with it,
    /// those of this cluster too. All others are refused ([`QueryFault::OtherCluster`](super::QueryFault::OtherCluster)), since series
    /// are told apart by namespace and name alone. Where one server holds several clusters, each has a source of its own:
    /// `set.matching("cluster", "eu-1").of_cluster("eu-1")`.
    #[must_use]
    pub fn of_cluster(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = Some(cluster.into());
        self
    }

    /// Says by what name the service of a workload is known, for queries that are answered by service.
    #[must_use]
    pub fn known_as(mut self, target: Target, service: impl Into<String>) -> Self {
        self.aliases.insert(target, service.into());
        self
    }

    /// Sets the window of rates. Default 120 s: four scrapes at Prometheus' usual interval of 30 s, so that one may fail.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets the age up to which a gauge counts. Default 120 s. An older one is absent.
    #[must_use]
    pub fn fresh(mut self, age: Duration) -> Self {
        self.fresh = age;
        self
    }

    /// Sets the quantile of response times, within 0 and 1. Default 0.95.
    #[must_use]
    pub fn quantile(mut self, quantile: f64) -> Self {
        self.quantile = if quantile.is_finite() { quantile.clamp(0.0, 1.0) } else { self.quantile };
        self
    }

    /// The signals that it delivers.
    pub fn declared(&self) -> SignalSet {
        let signals = self.templates.keys().filter_map(|measure| match measure {
            Measure::Signal(kind) => Some(*kind),
            Measure::ReadyPods | Measure::DesiredPods => None,
        });
        SignalSet::of(signals)
    }

    /// The queries, in the order of their measures.
    pub fn templates(&self) -> impl Iterator<Item = &QueryTemplate> {
        self.templates.values()
    }

    /// Why a target is none of this cluster.
    pub(super) fn foreign(&self, target: &Target) -> Option<QueryFault> {
        let asked = target.cluster.as_ref().filter(|asked| self.cluster.as_ref() != Some(*asked))?;
        Some(QueryFault::OtherCluster { asked: asked.clone(), of: self.cluster.clone() })
    }

    /// The name by which a workload's service is known.
    pub(super) fn service<'a>(&'a self, target: &'a Target) -> &'a str {
        self.aliases.get(target).map_or(&target.name, String::as_str)
    }
}
