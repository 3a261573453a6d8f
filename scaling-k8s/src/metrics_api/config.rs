//! What is asked for of a workload, and how: [`MetricsApiConfig`], [`WorkloadMetrics`], [`ApiMetric`].

use std::time::Duration;

use scaling_core::hpa::ControllerConfig;
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain, is_path_segment};
use scaling_core::source::DEFAULT_LIMIT;
use scaling_core::source::mapping::{Mapping, MappingError, Measure};
use scaling_core::{InvalidSetting, SignalKind, SignalSet, WorkloadFacts};
use serde::{Deserialize, Serialize};

/// Longest selector that is sent.
const LONGEST_SELECTOR: usize = 2000;

/// Limits and times of a [`MetricsApi`](super::MetricsApi).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MetricsApiConfig {
    /// Time that all questions of a tick may take together. Default 12 s: a tick each 15 s is never late for it.
    pub deadline: Duration,
    /// Age from which a sample is stale. Default 120 s: metrics-server measures each 15 to 60 s, over windows of about as long.
    pub stale_after: Duration,
    /// Time after a pod became ready in which it need not have a sample yet. Default 90 s. Not so where the values of pods
    /// are summed: there one that serves and has none would count as 0.
    pub first_sample_within: Duration,
    /// Time by which a sample may lie ahead of now: clocks of a cluster that agree to it count as right. Default 60 s.
    pub ahead: Duration,
    /// Share of the ready pods, in percent, that must have a sample for a utilization to count. Default 100: a pod that does not answer
    /// may be the one that is full.
    pub least_coverage_percent: u8,
    /// Questions at once. Default 8.
    pub concurrency: usize,
    /// Items of one page of a list. Default 250.
    pub page: usize,
    /// Pages of one list at most. Default 200.
    pub pages: usize,
    /// Bytes of one answer at most. Default 32 MiB.
    pub body_limit: usize,
    /// Samples of history that are kept of a workload at least; twice as many at most. Default [`DEFAULT_LIMIT`].
    pub history: usize,
    /// Workloads that are remembered at most. Beyond it the one that was asked for longest ago is forgotten. Default 10,000.
    pub workloads: usize,
    /// Quantile of the start-up times seen that is handed to the engine. Default 0.9: a horizon that is too short is worse than one
    /// that is too long.
    pub start_up_quantile: f64,
    /// Starts that must have been seen before they replace the start-up time that is stated. Default 3.
    pub starts: usize,
    /// Time over which the highest use of a container is remembered: what a smaller request must still hold. Default 1 h.
    pub usage_window: Duration,
    /// Readiness as the HPA's controller judges it.
    pub controller: ControllerConfig,
}

impl Default for MetricsApiConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(12),
            stale_after: Duration::from_secs(120),
            first_sample_within: Duration::from_secs(90),
            ahead: Duration::from_secs(60),
            least_coverage_percent: 100,
            concurrency: 8,
            page: 250,
            pages: 200,
            body_limit: 32 << 20,
            history: DEFAULT_LIMIT,
            workloads: 10_000,
            start_up_quantile: 0.9,
            starts: 3,
            usage_window: Duration::from_secs(3600),
            controller: ControllerConfig::default(),
        }
    }
}

impl MetricsApiConfig {
    /// Sets the time that all questions of a tick may take together.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets the age from which a sample is stale.
    #[must_use]
    pub fn with_stale_after(mut self, age: Duration) -> Self {
        self.stale_after = age;
        self
    }

    /// Sets the share of the ready pods, in percent, that must have a sample.
    #[must_use]
    pub fn with_least_coverage(mut self, percent: u8) -> Self {
        self.least_coverage_percent = percent;
        self
    }

    /// Sets how many samples of history are kept.
    #[must_use]
    pub fn with_history(mut self, samples: usize) -> Self {
        self.history = samples;
        self
    }

    /// Sets the time over which the highest use of a container is remembered.
    #[must_use]
    pub fn with_usage_window(mut self, window: Duration) -> Self {
        self.usage_window = window;
        self
    }

    /// Sets how a list is cut: items of a page, pages at most, bytes of an answer at most.
    #[must_use]
    pub fn with_pages(mut self, items: usize, pages: usize, bytes: usize) -> Self {
        (self.page, self.pages, self.body_limit) = (items, pages, bytes);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`InvalidSetting`] of the first that cannot be.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let within = |field, value: f64, from: f64, to: f64, must| {
            if (from..=to).contains(&value) { Ok(()) } else { Err(InvalidSetting { field, value, must }) }
        };
        let day = 86_400.0;
        within("deadline", self.deadline.as_secs_f64(), 0.001, day, "0.001 to 86400 s")?;
        within("stale_after", self.stale_after.as_secs_f64(), 1.0, day, "1 to 86400 s")?;
        within("first_sample_within", self.first_sample_within.as_secs_f64(), 0.0, day, "0 to 86400 s")?;
        within("ahead", self.ahead.as_secs_f64(), 0.0, day, "0 to 86400 s")?;
        within("least_coverage_percent", self.least_coverage_percent.into(), 1.0, 100.0, "1 to 100")?;
        within("concurrency", self.concurrency as f64, 1.0, 1000.0, "1 to 1000")?;
        within("page", self.page as f64, 1.0, 10_000.0, "1 to 10000")?;
        within("pages", self.pages as f64, 1.0, 100_000.0, "1 to 100000")?;
        within("body_limit", self.body_limit as f64, 1024.0, 1e9, "1024 to 10^9 bytes")?;
        within("history", self.history as f64, 1.0, 1e8, "1 to 10^8")?;
        within("workloads", self.workloads as f64, 1.0, 1e8, "1 to 10^8")?;
        within("start_up_quantile", self.start_up_quantile, 0.5, 1.0, "0.5 to 1")?;
        within("starts", self.starts as f64, 1.0, 64.0, "1 to 64")?;
        within("usage_window", self.usage_window.as_secs_f64(), 1.0, 31.0 * day, "1 s to 31 days")
    }
}

/// How the values of several pods or series become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Combine {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest.
    Max,
}

/// A metric of the custom or the external metrics API. Names are the metrics' own; what their numbers mean is stated beside them
/// ([`SignalQuery`](scaling_core::source::mapping::SignalQuery)).
///
/// Written as `{"api": "pods", "metric": "http_requests_per_second"}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "api", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ApiMetric {
    /// A metric that each pod of the workload has, over those that run.
    Pods {
        /// Name of the metric.
        metric: String,
        /// Selector of labels of the metric.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        selector: Option<String>,
        /// How the pods become one. Default: the sum of rates and counts, the mean of all else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        combine: Option<Combine>,
    },
    /// A metric of one object in the namespace of the workload.
    Object {
        /// Resource of the object with its group, such as `services` or `ingresses.networking.k8s.io`.
        resource: String,
        /// Name of the object.
        name: String,
        /// Name of the metric.
        metric: String,
        /// Selector of labels of the metric.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        selector: Option<String>,
    },
    /// A metric of something outside of the cluster, asked for in the namespace of the workload.
    External {
        /// Name of the metric.
        metric: String,
        /// Selector of labels of the series.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        selector: Option<String>,
        /// How the series become one. Default: the sum of rates and counts, the mean of all else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        combine: Option<Combine>,
    },
}

impl ApiMetric {
    /// A metric of each pod.
    pub fn pods(metric: impl Into<String>) -> Self {
        Self::Pods { metric: metric.into(), selector: None, combine: None }
    }

    /// A metric of an object.
    pub fn object(resource: impl Into<String>, name: impl Into<String>, metric: impl Into<String>) -> Self {
        Self::Object { resource: resource.into(), name: name.into(), metric: metric.into(), selector: None }
    }

    /// An external metric.
    pub fn external(metric: impl Into<String>) -> Self {
        Self::External { metric: metric.into(), selector: None, combine: None }
    }

    /// Sets the selector of labels.
    #[must_use]
    pub fn with_selector(mut self, labels: impl Into<String>) -> Self {
        let (Self::Pods { selector, .. } | Self::Object { selector, .. } | Self::External { selector, .. }) = &mut self;
        *selector = Some(labels.into());
        self
    }

    /// The name of the metric.
    pub fn metric(&self) -> &str {
        let (Self::Pods { metric, .. } | Self::Object { metric, .. } | Self::External { metric, .. }) = self;
        metric
    }

    pub(super) fn combine(&self, measure: Measure) -> Combine {
        let stated = match self {
            Self::Pods { combine, .. } | Self::External { combine, .. } => *combine,
            Self::Object { .. } => None,
        };
        let of_size = measure.signal().is_some_and(SignalKind::is_extensive);
        stated.unwrap_or(if of_size { Combine::Sum } else { Combine::Mean })
    }

    /// The part that cannot be sent.
    fn odd(&self) -> Option<&str> {
        let (Self::Pods { metric, selector, .. }
        | Self::Object { metric, selector, .. }
        | Self::External { metric, selector, .. }) = self;
        if !is_path_segment(metric) {
            return Some(metric);
        }
        let odd = |text: &&String| text.len() > LONGEST_SELECTOR || text.chars().any(char::is_control);
        if let Some(odd) = selector.as_ref().filter(odd) {
            return Some(odd);
        }
        match self {
            Self::Object { resource, .. } if !is_dns_subdomain(resource) => Some(resource),
            Self::Object { name, .. } if !is_path_segment(name) => Some(name),
            _ => None,
        }
    }
}

/// What is asked for of a workload.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WorkloadMetrics {
    /// CPU utilization is measured. Default true.
    pub cpu: bool,
    /// Memory utilization is measured. Default true. Turn it off where pods request no memory: it would be absent for ever, and what is
    /// declared and absent shrinks nothing.
    pub memory: bool,
    /// Signals that come from the custom or the external metrics API. Default none.
    pub metrics: Option<Mapping<ApiMetric>>,
    /// Facts about the workload, as far as they are not measured: requests, limits and the window of CPU and memory are those of the
    /// pods.
    pub facts: WorkloadFacts,
    /// The start-up time is that of the pods seen, once there are [enough](MetricsApiConfig::starts). Default true.
    pub measure_start_up: bool,
}

impl Default for WorkloadMetrics {
    fn default() -> Self {
        Self { cpu: true, memory: true, metrics: None, facts: WorkloadFacts::default(), measure_start_up: true }
    }
}

/// A workload whose metrics cannot be asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMetrics {
    /// A unit or statistic is not one of the measure.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// A measure that comes with the pods is mapped to a metric too.
    #[error("{0}: it comes with the pods; take the metric out, or turn that off")]
    Taken(Measure),
    /// A name cannot be part of a question.
    #[error("{measure}: {name:?} cannot be asked for")]
    Name {
        /// The measure.
        measure: Measure,
        /// The refused part.
        name: String,
    },
}

impl WorkloadMetrics {
    /// Sets the signals of the custom and external metrics APIs.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Mapping<ApiMetric>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Sets the facts.
    #[must_use]
    pub fn with_facts(mut self, facts: WorkloadFacts) -> Self {
        self.facts = facts;
        self
    }

    /// Measures no memory.
    #[must_use]
    pub fn without_memory(mut self) -> Self {
        self.memory = false;
        self
    }

    /// Measures no CPU.
    #[must_use]
    pub fn without_cpu(mut self) -> Self {
        self.cpu = false;
        self
    }

    /// The signals that are delivered (law 2).
    pub fn declared(&self) -> SignalSet {
        let resources = self.resources().map(|(kind, _)| kind);
        let mapped = self.metrics.as_ref().map_or(SignalSet::NONE, Mapping::declared);
        SignalSet::of(resources).union(mapped)
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = (SignalKind, &'static str)> + use<> {
        let cpu = self.cpu.then_some((SignalKind::CpuUtilization, "cpu"));
        cpu.into_iter().chain(self.memory.then_some((SignalKind::MemoryUtilization, "memory")))
    }

    /// Checks the mapping.
    ///
    /// # Errors
    /// [`InvalidMetrics`] of the first metric that cannot be asked for.
    pub fn check(&self) -> Result<(), InvalidMetrics> {
        let Some(mapping) = &self.metrics else { return Ok(()) };
        // A gauge: there is no period that events are counted in.
        mapping.conversions(&self.facts, Duration::ZERO)?;
        for query in mapping.queries() {
            let measure = query.measure;
            let taken = match measure {
                Measure::Signal(kind) => self.resources().any(|(own, _)| own == kind),
                _ => true,
            };
            if taken {
                return Err(InvalidMetrics::Taken(measure));
            }
            if let Some(name) = query.query.odd() {
                return Err(InvalidMetrics::Name { measure, name: name.chars().take(100).collect() });
            }
        }
        Ok(())
    }
}

/// Where the objects of a kind and their scale are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScaledKind {
    group: String,
    version: String,
    plural: String,
}

impl ScaledKind {
    /// A kind by its API: `argoproj.io`, `v1alpha1`, `rollouts`. The group of the core API is empty.
    ///
    /// Returns none if one of them cannot be part of a path.
    pub fn new(group: &str, version: &str, plural: &str) -> Option<Self> {
        let fits = (group.is_empty() || is_dns_subdomain(group)) && is_dns_label(version) && is_dns_label(plural);
        fits.then(|| Self { group: group.into(), version: version.into(), plural: plural.into() })
    }

    /// Path of a scale subresource.
    pub(super) fn scale(&self, namespace: &str, name: &str) -> String {
        let Self { group, version, plural } = self;
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        format!("{root}/namespaces/{namespace}/{plural}/{name}/scale")
    }
}
