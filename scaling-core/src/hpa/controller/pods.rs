//! Pods as the controller sees them: their requests, and their classification for a metric.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::calculator::MetricError;
use super::config::ControllerConfig;
use crate::hpa::api::Resources;

/// Phase of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodPhase {
    /// Accepted, but not all containers run yet.
    Pending,
    /// Bound to a node, with at least one container running.
    #[default]
    Running,
    /// All containers ended without an error.
    Succeeded,
    /// All containers ended, at least one with an error.
    Failed,
}

/// Status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// The reporter of the condition cannot tell.
    Unknown,
}

/// Ready condition of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Status of the condition.
    pub status: ConditionStatus,
    /// Instant of the last change of status; none counts as long ago.
    pub since: Option<DateTime<Utc>>,
}

/// Container of a pod, as far as the controller looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Name of the container.
    pub name: String,
    /// Requests of the container.
    pub requests: Resources,
    /// True for an init container that restarts always, which makes it a sidecar.
    pub restart_always: bool,
}

/// Pod that the selector of the scale subresource matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Name of the pod.
    pub name: String,
    /// Phase of the pod.
    pub phase: PodPhase,
    /// True while the pod is being deleted.
    pub deleting: bool,
    /// Ready condition, if the pod has one.
    pub ready: Option<Ready>,
    /// Instant at which the node accepted the pod, if it has.
    pub started: Option<DateTime<Utc>>,
    /// Containers of the pod.
    pub containers: Vec<Container>,
    /// Init containers, in their order.
    pub init_containers: Vec<Container>,
    /// Requests of the pod as a whole, if it states any.
    pub requests: Option<Resources>,
    /// Overhead of running the pod, beyond its containers.
    pub overhead: Resources,
}

impl Pod {
    /// Returns true for a pod that runs and is ready, which is what Object and External metrics count.
    pub fn is_running_and_ready(&self) -> bool {
        self.phase == PodPhase::Running && self.ready.is_some_and(|ready| ready.status == ConditionStatus::True)
    }

    /// Returns the request of a resource, in thousandths: of one container, if `container` names it, and otherwise of the pod.
    ///
    /// With `pod_level` the request of the pod as a whole goes before the sum over its containers.
    ///
    /// # Errors
    /// [`MetricError::MissingRequest`] if the pod does not state it, [`MetricError::ContainerNotFound`] without that container.
    #[inline]
    pub fn request(&self, resource: &str, container: Option<&str>, pod_level: bool) -> Result<i64, MetricError> {
        match container {
            Some(container) => self.container_request(resource, container),
            None if pod_level && self.requests.is_some() && self.has_pod_level_requests() => {
                self.pod_level_request(resource)
            }
            None => {
                let mut sum = 0_i64;
                let sidecars = self.init_containers.iter().filter(|container| container.restart_always);
                // Two loops, because one over a chain is slower and a sync spends most of its time here.
                for container in &self.containers {
                    sum = sum.saturating_add(self.stated(container.requests.get(resource))?);
                }
                for container in sidecars {
                    sum = sum.saturating_add(self.stated(container.requests.get(resource))?);
                }
                Ok(sum)
            }
        }
    }

    fn container_request(&self, resource: &str, name: &str) -> Result<i64, MetricError> {
        let container = self
            .long_running()
            .find(|container| container.name == name)
            .ok_or_else(|| MetricError::ContainerNotFound { pod: self.name.clone() })?;
        self.stated(container.requests.get(resource))
    }

    #[inline]
    fn stated(&self, request: Option<i64>) -> Result<i64, MetricError> {
        request.ok_or_else(|| MetricError::MissingRequest { pod: self.name.clone() })
    }

    /// Iterates over the containers that run as long as the pod does.
    fn long_running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().chain(self.init_containers.iter().filter(|container| container.restart_always))
    }

    fn has_pod_level_requests(&self) -> bool {
        let supported = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
        self.requests.iter().flat_map(Resources::names).any(supported)
    }

    /// Returns the request that the scheduler would reserve.
    ///
    /// That is the pod's own or, for a resource that it does not state, the larger of what its lasting containers request and of
    /// what runs at any moment of the initialization; both with the overhead.
    fn pod_level_request(&self, resource: &str) -> Result<i64, MetricError> {
        let supported = matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-");
        let overhead = self.overhead.get(resource);
        let own = self.requests.as_ref().and_then(|requests| requests.get(resource)).filter(|_| supported);
        let reserved = own.or_else(|| self.reserved(resource));
        match (reserved, overhead) {
            (None, None) => self.stated(None),
            (reserved, overhead) => Ok(reserved.unwrap_or(0).saturating_add(overhead.unwrap_or(0))),
        }
    }

    fn reserved(&self, resource: &str) -> Option<i64> {
        let request = |container: &Container| container.requests.get(resource);
        let stated = self.containers.iter().chain(&self.init_containers).any(|container| request(container).is_some());
        let lasting = self.long_running().filter_map(request).fold(0_i64, i64::saturating_add);
        let (mut sidecars, mut peak) = (0_i64, 0_i64);
        for container in &self.init_containers {
            let own = request(container).unwrap_or(0);
            peak = peak.max(own.saturating_add(sidecars));
            if container.restart_always {
                sidecars = sidecars.saturating_add(own);
            }
        }
        stated.then_some(lasting.max(peak))
    }
}

/// Time that a sample covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleTime {
    /// End of the window.
    pub at: DateTime<Utc>,
    /// Length of the window in seconds.
    pub window_s: i64,
}

/// Class of a pod in the evaluation of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodClass {
    /// The pod counts.
    Ready,
    /// The pod cannot serve yet, or its CPU sample covers the start-up.
    Unready,
    /// The pod has no sample.
    Missing,
    /// The pod is being deleted or has ended.
    Ignored,
}

/// Classifies a pod: the first rule that applies counts.
///
/// `of_cpu` is true for a metric of CPU, whose samples say nothing of the load while a pod starts.
pub fn classify(
    pod: &Pod,
    sample: Option<SampleTime>,
    of_cpu: bool,
    config: &ControllerConfig,
    now: DateTime<Utc>,
) -> PodClass {
    Classifier::new(of_cpu, config, now).class(pod, sample)
}

/// Classifier for the pods of one sync.
#[derive(Clone, Copy)]
pub(super) struct Classifier<'a> {
    of_cpu: bool,
    config: &'a ControllerConfig,
    /// Pods that started later are young; none if all are.
    young_after: Option<DateTime<Utc>>,
}

impl<'a> Classifier<'a> {
    pub(super) fn new(of_cpu: bool, config: &'a ControllerConfig, now: DateTime<Utc>) -> Self {
        let period = TimeDelta::from_std(config.cpu_initialization_period).ok();
        Self { of_cpu, config, young_after: period.and_then(|period| now.checked_sub_signed(period)) }
    }

    #[inline]
    pub(super) fn class(&self, pod: &Pod, sample: Option<SampleTime>) -> PodClass {
        let succeeded = pod.phase == PodPhase::Succeeded && self.config.release.ignore_succeeded_pods;
        if pod.deleting || pod.phase == PodPhase::Failed || succeeded {
            return PodClass::Ignored;
        }
        if pod.phase == PodPhase::Pending {
            return PodClass::Unready;
        }
        match sample {
            None => PodClass::Missing,
            Some(sample) if self.of_cpu && !self.is_usable(pod, sample) => PodClass::Unready,
            Some(_) => PodClass::Ready,
        }
    }

    /// Returns true if a CPU sample is of a pod at work.
    fn is_usable(&self, pod: &Pod, sample: SampleTime) -> bool {
        let (Some(ready), Some(started)) = (pod.ready, pod.started) else { return false };
        let since = || ready.since.unwrap_or(DateTime::<Utc>::MIN_UTC);
        let is_false = ready.status == ConditionStatus::False;
        if self.young_after.is_none_or(|young_after| started > young_after) {
            // Start-up burns CPU that says nothing of load.
            !is_false && sample.at >= later(since(), TimeDelta::try_seconds(sample.window_s))
        } else {
            // Older: unready only if it has never been ready.
            let settled = || later(started, TimeDelta::from_std(self.config.initial_readiness_delay).ok());
            !(is_false && settled() > since())
        }
    }
}

fn later(at: DateTime<Utc>, by: Option<TimeDelta>) -> DateTime<Utc> {
    by.and_then(|by| at.checked_add_signed(by)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Pods by class, with their names sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodGroups {
    /// Number of pods that count.
    pub ready: usize,
    /// Pods that cannot serve yet.
    pub unready: Vec<String>,
    /// Pods without a sample.
    pub missing: Vec<String>,
    /// Pods that are being deleted or have ended.
    pub ignored: Vec<String>,
}

impl PodGroups {
    /// Classifies pods by the samples of one metric of `resource`, which is empty for a metric that is not a resource.
    pub fn of(
        pods: &[Pod],
        samples: &HashMap<String, SampleTime>,
        resource: &str,
        config: &ControllerConfig,
        now: DateTime<Utc>,
    ) -> Self {
        let mut groups = Self::default();
        for pod in pods {
            let sample = samples.get(&pod.name).copied();
            match classify(pod, sample, resource == "cpu", config, now) {
                PodClass::Ready => groups.ready += 1,
                PodClass::Unready => groups.unready.push(pod.name.clone()),
                PodClass::Missing => groups.missing.push(pod.name.clone()),
                PodClass::Ignored => groups.ignored.push(pod.name.clone()),
            }
        }
        for names in [&mut groups.unready, &mut groups.missing, &mut groups.ignored] {
            names.sort();
        }
        groups
    }
}

/// Returns the request of each pod, in thousandths, by name.
///
/// # Errors
/// [`MetricError`] if a single pod does not state it, because a utilization then means nothing.
pub fn requests(
    pods: &[Pod],
    resource: &str,
    container: Option<&str>,
    pod_level: bool,
) -> Result<BTreeMap<String, i64>, MetricError> {
    pods.iter().map(|pod| Ok((pod.name.clone(), pod.request(resource, container, pod_level)?))).collect()
}
