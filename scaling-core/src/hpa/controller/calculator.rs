//! Proposal of one metric.
//!
//! As upstream, sums and averages are integers and truncated; only ratios are doubles, and replicas round up. The results depend on
//! it: 56 % against 50 % on 25 pods is 28.000000000000004 in doubles, and proposes 29.

use chrono::{DateTime, Utc};

use super::config::{ControllerConfig, MissingFallback, Release, ToleranceMode};
use super::limits::whole;
use super::measured::{EntryBuffer, Measured, MetricSelector, Sample};
use super::pods::{Classifier, Pod, PodClass, SampleTime};
use crate::hpa::api::{Metric, MetricKind, Resources, TargetValue};

/// Window of a sample whose backend does not state one, in seconds.
pub const DEFAULT_WINDOW_S: i64 = 60;

/// Error of a metric that proposes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// The selector matches no pod.
    #[error("no pods match the selector")]
    NoPods,
    /// The backend returned no sample.
    #[error("the metrics backend returned no metrics")]
    NoMetricsReturned,
    /// No sample is left without those of unready pods and of pods that are being deleted or have ended.
    #[error("no metrics for the targeted pods; they may be unready")]
    NoMetricsForReadyPods,
    /// No sample is of a listed pod, or the pods request 0.
    #[error("no metrics match the listed pods")]
    NoMatchingMetrics,
    /// A pod does not request the resource.
    #[error("pod {pod} does not request the resource")]
    MissingRequest {
        /// Name of the pod.
        pod: String,
    },
    /// The usage is known only as a share of the request, and the request is not known.
    #[error("the usage is known only as a share of the request, and the request is not known")]
    UnknownRequest,
    /// A pod does not have the container.
    #[error("pod {pod} has no such container")]
    ContainerNotFound {
        /// Name of the pod.
        pod: String,
    },
    /// A sample lacks the container ([`Release::missing_container_fails`]).
    #[error("the sample of pod {pod} lacks the container")]
    ContainerMetricMissing {
        /// Name of the pod.
        pod: String,
    },
    /// The metric has no target that fits its source.
    #[error("the metric has no target of a kind that it understands")]
    NoTarget,
    /// The source of the metric is of an unknown type.
    #[error("the metric is of a type that the controller does not know")]
    UnknownMetricType,
    /// The backend failed.
    #[error("the metrics backend failed")]
    FetchFailed,
}

impl MetricError {
    /// Returns a short, constant code, for labels of metrics and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoPods => "no_pods",
            Self::NoMetricsReturned => "no_metrics_returned",
            Self::NoMetricsForReadyPods => "no_metrics_for_ready_pods",
            Self::NoMatchingMetrics => "no_matching_metrics",
            Self::MissingRequest { .. } => "missing_request",
            Self::UnknownRequest => "unknown_request",
            Self::ContainerNotFound { .. } => "container_not_found",
            Self::ContainerMetricMissing { .. } => "container_metric_missing",
            Self::NoTarget => "no_target",
            Self::UnknownMetricType => "unknown_metric_type",
            Self::FetchFailed => "fetch_error",
        }
    }
}

/// Answer of the metrics backend for one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricSamples {
    /// Usage of each pod; for Resource and ContainerResource metrics.
    PodUsage(Vec<PodUsage>),
    /// Value of each pod; for Pods metrics.
    PodValues(Vec<PodValue>),
    /// Value of the object, in thousandths; for Object metrics.
    Object(i64),
    /// Value of each series, in thousandths; for External metrics.
    External(Vec<i64>),
    /// No answer: the backend failed.
    Failed,
}

/// Usage of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodUsage {
    /// Name of the pod.
    pub pod: String,
    /// Time that the sample covers.
    pub time: SampleTime,
    /// Usage of each container, by name.
    pub containers: Vec<(String, Resources)>,
}

/// Value of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodValue {
    /// Name of the pod.
    pub pod: String,
    /// Time that the sample covers.
    pub time: SampleTime,
    /// Value in thousandths.
    pub value_milli: i64,
}

/// Distance from 1 within which a ratio counts as on target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerances {
    /// Distance above 1, as a share.
    pub up: f64,
    /// Distance below 1, as a share.
    pub down: f64,
}

impl Tolerances {
    /// Returns true if a ratio is on target. In [`ToleranceMode::Interval`] the edges are.
    pub fn contain(self, ratio: f64, mode: ToleranceMode) -> bool {
        match mode {
            ToleranceMode::Interval => (1.0 - self.down..=1.0 + self.up).contains(&ratio),
            ToleranceMode::Distance => (1.0 - ratio).abs() <= if ratio > 1.0 { self.up } else { self.down },
        }
    }
}

/// Sizes that the scale subresource reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Replicas asked for, which the algorithm takes as the current size.
    pub spec_replicas: i32,
    /// Replicas that exist.
    pub status_replicas: i32,
}

/// Proposal of one metric, with the figures that the status reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// Number of replicas.
    pub replicas: i32,
    /// Utilization in percent of the request, as measured, without assumptions for missing samples.
    pub utilization_percent: Option<i32>,
    /// Value for each replica, in thousandths.
    pub average_value_milli: Option<i64>,
    /// Value in all, in thousandths.
    pub value_milli: Option<i64>,
}

/// Replica calculator of one sync. Pure.
#[derive(Clone, Copy, Debug)]
pub struct Calculator<'a> {
    /// Settings of the controller.
    pub config: &'a ControllerConfig,
    /// Tolerances of the autoscaler.
    pub tolerances: Tolerances,
    /// Sizes that the scale subresource reports.
    pub scale: Scale,
    /// Instant of the sync.
    pub now: DateTime<Utc>,
}

impl Calculator<'_> {
    /// Returns the proposal of a metric, given the pods that the selector matches and the answer of the backend.
    ///
    /// # Errors
    /// [`MetricError`] if there is none.
    pub fn propose(&self, metric: &Metric, pods: &[Pod], samples: &MetricSamples) -> Result<Proposal, MetricError> {
        if metric.source == MetricKind::Unknown {
            return Err(MetricError::UnknownMetricType);
        }
        let target = metric.target_value().ok_or(MetricError::NoTarget)?;
        match (&metric.source, samples) {
            (_, MetricSamples::Failed) => Err(MetricError::FetchFailed),
            (MetricKind::Resource { resource }, MetricSamples::PodUsage(usage)) => {
                self.per_pod(pods, usage, MetricSelector { resource, container: None }, target)
            }
            (MetricKind::ContainerResource { resource, container }, MetricSamples::PodUsage(usage)) => {
                self.per_pod(pods, usage, MetricSelector { resource, container: Some(container) }, target)
            }
            (MetricKind::Pods { .. }, MetricSamples::PodValues(values)) => {
                self.per_pod(pods, values, MetricSelector { resource: "", container: None }, target)
            }
            (MetricKind::Object { .. }, MetricSamples::Object(value)) => self.total(*value, target, ready_pods(pods)),
            (MetricKind::External { .. }, MetricSamples::External(series)) => {
                if series.is_empty() {
                    return Err(MetricError::NoMetricsReturned);
                }
                let total = series_total(series, matches!(target, TargetValue::AverageValue(_)));
                self.total(total, target, ready_pods(pods))
            }
            _ => Err(MetricError::NoMetricsReturned),
        }
    }

    /// Returns the proposal of a metric that is measured per pod.
    fn per_pod(
        &self,
        pods: &[Pod],
        samples: &[impl Sample],
        selector: MetricSelector<'_>,
        target: TargetValue,
    ) -> Result<Proposal, MetricError> {
        if samples.is_empty() {
            return Err(MetricError::NoMetricsReturned);
        }
        let release = self.config.release;
        let mut buffer = EntryBuffer::new();
        let mut measured = Measured::new(samples, &mut buffer, selector, release.missing_container_fails)?;
        if pods.is_empty() {
            return Err(MetricError::NoPods);
        }
        let classifier = Classifier::new(selector.resource == "cpu", self.config, self.now);
        let mut tally = PodTally::default();
        let mut left = measured.entries().len();
        let mut refused = None;
        for pod in pods {
            let sample = measured.take(&pod.name);
            let class = classifier.class(pod, sample.map(|(time, _)| time));
            if sample.is_some() && class != PodClass::Ready {
                // Saturating, because the names that a caller gives may not be unique as those of a cluster are.
                left = left.saturating_sub(1);
            }
            // As upstream, every listed pod must state its request, even one that does not count.
            let request = match target {
                TargetValue::Utilization(_) => {
                    pod.request(selector.resource, selector.container, release.pod_level_resources)
                }
                _ => Ok(0),
            };
            match request {
                Ok(request) => tally.add(class, sample.map_or(0, |(_, value)| value), request, target, release),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if left == 0 {
            return Err(MetricError::NoMetricsForReadyPods);
        }
        if let Some(error) = refused {
            return Err(error);
        }
        let unlisted = measured.entries().iter().filter(|entry| !entry.taken).map(|entry| entry.value);
        // Limited only at the end, so that the sum does not depend on the order of the samples.
        let (number, sum) = unlisted.fold((0, 0_i128), |(number, sum), value| (number + 1, sum + i128::from(value)));
        tally.add_unlisted(number, sum, target);
        self.tallied(&tally, target)
    }

    /// Returns the proposal of a metric that is measured per pod, from sums over the pods.
    ///
    /// # Errors
    /// [`MetricError::NoMetricsForReadyPods`] without any value, [`MetricError::NoMatchingMetrics`] if the requests are 0.
    pub fn tallied(&self, tally: &PodTally, target: TargetValue) -> Result<Proposal, MetricError> {
        let (first, proposal) = tally.measure(target, Guess::None)?;
        let mode = self.config.release.tolerance_mode;
        let on_target = |ratio: f64| self.tolerances.contain(ratio, mode);
        let replicas = |replicas: i32| Ok(Proposal { replicas, ..proposal });
        let current = self.scale.spec_replicas;

        let scale_up_with_unready = tally.unready > 0 && first > 1.0;
        if !scale_up_with_unready && tally.missing == 0 {
            return replicas(if on_target(first) { current } else { count(first, tally.ready) });
        }
        // Pods without a usable sample are assumed to work against the change: it then happens less often, and less far.
        let guess = if first < 1.0 {
            Guess::MissingAtTarget
        } else if first > 1.0 {
            Guess::Idle
        } else {
            Guess::None
        };
        let (second, _) = tally.measure(target, guess)?;
        let turned = (first < 1.0 && second > 1.0) || (first > 1.0 && second < 1.0);
        if on_target(second) || turned {
            return replicas(current);
        }
        let wanted = count(second, tally.values(guess));
        let against = (second < 1.0 && wanted > current) || (second > 1.0 && wanted < current);
        replicas(if against { current } else { wanted })
    }

    /// Returns the proposal of an Object or External metric with this total.
    ///
    /// `ready` is the number of pods that run and are ready, none if there is no pod at all.
    ///
    /// # Errors
    /// [`MetricError::NoPods`] if the size would change and `ready` is none, [`MetricError::NoTarget`] for a utilization.
    pub fn total(&self, total_milli: i64, target: TargetValue, ready: Option<usize>) -> Result<Proposal, MetricError> {
        let total = total_milli as f64;
        let on_target = |ratio| self.tolerances.contain(ratio, self.config.release.tolerance_mode);
        match target {
            TargetValue::Value(target) => {
                let ratio = total / target as f64;
                let current = self.scale.spec_replicas;
                let replicas = if current == 0 {
                    whole(ratio.ceil())
                } else if on_target(ratio) {
                    current
                } else {
                    count(ratio, ready.ok_or(MetricError::NoPods)?)
                };
                Ok(Proposal { replicas, value_milli: Some(total_milli), ..Proposal::default() })
            }
            TargetValue::AverageValue(target) => {
                let existing = self.scale.status_replicas;
                let ratio = total / (target as f64 * f64::from(existing));
                let replicas = if on_target(ratio) { existing } else { whole((total / target as f64).ceil()) };
                let average_value_milli = Some(per_replica_usage(total_milli, existing));
                Ok(Proposal { replicas, average_value_milli, ..Proposal::default() })
            }
            TargetValue::Utilization(_) => Err(MetricError::NoTarget),
        }
    }
}

/// Counts the pods that run and are ready; none without any pod.
fn ready_pods(pods: &[Pod]) -> Option<usize> {
    (!pods.is_empty()).then(|| pods.iter().filter(|pod| pod.is_running_and_ready()).count())
}

/// Sums series up to the largest number of 64 bits.
///
/// For a target per replica a negative sum on the way counts as an overflow, as it does upstream.
fn series_total(series: &[i64], per_replica: bool) -> i64 {
    let add = |sum: i64, value: &i64| {
        let sum = if *value > 0 { sum.checked_add(*value)? } else { sum.saturating_add(*value) };
        (sum >= 0 || !per_replica).then_some(sum)
    };
    series.iter().try_fold(0, add).unwrap_or(i64::MAX)
}

/// Returns the value for each replica that the status reports of a total, in thousandths and rounded up.
///
/// 0 without replicas, and the largest number for a total that a double cannot tell from it.
pub fn per_replica_usage(total_milli: i64, status_replicas: i32) -> i64 {
    if status_replicas == 0 {
        return 0;
    }
    if total_milli as f64 >= i64::MAX as f64 {
        return i64::MAX;
    }
    #[allow(clippy::cast_possible_truncation)] // the cast saturates
    let usage = (total_milli as f64 / f64::from(status_replicas)).ceil() as i64;
    usage
}

/// Usage that is assumed of pods without a usable sample.
#[derive(Clone, Copy, PartialEq)]
enum Guess {
    /// None: the pods are left out.
    None,
    /// Pods without a sample use as much as the target.
    MissingAtTarget,
    /// Pods without a sample, and unready ones, use nothing.
    Idle,
}

/// Sums over pods, in thousandths, which are all that a per-pod target depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodTally {
    /// Number of pods that count.
    pub ready: usize,
    /// Number of pods that cannot serve yet.
    pub unready: usize,
    /// Number of pods without a sample.
    pub missing: usize,
    /// Number of samples of pods that the selector does not match.
    pub unlisted: usize,
    /// Usage of the pods that count and, unless the target is a utilization, of the unlisted ones.
    pub usage: i64,
    /// Requests of the pods that count.
    pub requests: i64,
    /// Requests of the pods that cannot serve yet.
    pub unready_requests: i64,
    /// Requests of the pods without a sample.
    pub missing_requests: i64,
    /// Usage of the pods without a sample if they are at the target.
    pub missing_at_target: i64,
}

impl PodTally {
    /// Sums over pods that are all alike: `ready` of them use `usage` each, `unready` cannot serve yet, each requests `request`.
    pub fn alike(ready: u32, unready: u32, usage: i64, request: i64) -> Self {
        let times = |amount: i64, pods: u32| amount.saturating_mul(pods.into());
        Self {
            ready: ready as usize,
            unready: unready as usize,
            usage: times(usage, ready),
            requests: times(request, ready),
            unready_requests: times(request, unready),
            ..Self::default()
        }
    }

    /// Adds a listed pod.
    pub fn add(&mut self, class: PodClass, usage: i64, request: i64, target: TargetValue, release: Release) {
        match class {
            PodClass::Ready => {
                self.ready += 1;
                self.usage = self.usage.saturating_add(usage);
                self.requests = self.requests.saturating_add(request);
            }
            PodClass::Unready => {
                self.unready += 1;
                self.unready_requests = self.unready_requests.saturating_add(request);
            }
            PodClass::Missing => {
                self.missing += 1;
                self.missing_requests = self.missing_requests.saturating_add(request);
                let at_target = match target {
                    TargetValue::Utilization(target) => {
                        let percent = match release.missing_fallback {
                            MissingFallback::Target => target.max(100),
                            MissingFallback::Request => 100,
                        };
                        share(request, percent.into(), 100)
                    }
                    TargetValue::AverageValue(target) | TargetValue::Value(target) => target,
                };
                self.missing_at_target = self.missing_at_target.saturating_add(at_target);
            }
            PodClass::Ignored => {}
        }
    }

    /// Adds samples of pods that the selector does not match. They have no request, so a utilization ignores their usage.
    fn add_unlisted(&mut self, number: usize, usage: i128, target: TargetValue) {
        self.unlisted += number;
        if !matches!(target, TargetValue::Utilization(_)) {
            self.usage = limited(i128::from(self.usage) + usage);
        }
    }

    /// Counts the values.
    fn values(&self, guess: Guess) -> usize {
        self.ready
            + self.unlisted
            + match guess {
                Guess::None => 0,
                Guess::MissingAtTarget => self.missing,
                Guess::Idle => self.missing + self.unready,
            }
    }

    /// Returns the ratio of usage to target, with the figures to report.
    fn measure(&self, target: TargetValue, guess: Guess) -> Result<(f64, Proposal), MetricError> {
        let guessed = if guess == Guess::MissingAtTarget { self.missing_at_target } else { 0 };
        let usage = self.usage.saturating_add(guessed);
        match target {
            TargetValue::Utilization(target) => {
                let requests = self.requests.saturating_add(match guess {
                    Guess::None => 0,
                    Guess::MissingAtTarget => self.missing_requests,
                    Guess::Idle => self.missing_requests.saturating_add(self.unready_requests),
                });
                if requests == 0 {
                    return Err(MetricError::NoMatchingMetrics);
                }
                let percent = i32::try_from(share(usage, 100, requests)).unwrap_or(i32::MAX);
                let proposal = Proposal {
                    utilization_percent: Some(percent),
                    average_value_milli: self.ready.try_into().ok().and_then(|ready: i64| usage.checked_div(ready)),
                    ..Proposal::default()
                };
                Ok((f64::from(percent) / f64::from(target), proposal))
            }
            TargetValue::AverageValue(target) | TargetValue::Value(target) => {
                let values = i64::try_from(self.values(guess)).unwrap_or(i64::MAX);
                let average = usage.checked_div(values).ok_or(MetricError::NoMetricsForReadyPods)?;
                let proposal = Proposal { average_value_milli: Some(average), ..Proposal::default() };
                Ok((average as f64 / target as f64, proposal))
            }
        }
    }
}

/// Returns `value × times ÷ by`, truncated and limited to 64 bits.
fn share(value: i64, times: i64, by: i64) -> i64 {
    if let Some(product) = value.checked_mul(times) {
        return product / by.max(1);
    }
    limited(i128::from(value) * i128::from(times) / i128::from(by).max(1))
}

#[allow(clippy::cast_possible_truncation)] // clamped
fn limited(value: i128) -> i64 {
    value.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

fn count(ratio: f64, pods: usize) -> i32 {
    whole((ratio * pods as f64).ceil())
}
