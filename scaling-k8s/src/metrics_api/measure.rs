//! From pods and samples to signals. Pure.

use std::collections::BTreeMap;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::hpa::{PodClass, SampleTime, classify};
use scaling_core::{Absence, Signal, SignalKind};

use super::answer::{MetricValue, Usage};
use super::config::{Combine, MetricsApiConfig};
use super::pods::PodView;

/// Time as it is judged in one tick.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) now: DateTime<Utc>,
    pub(super) config: &'a MetricsApiConfig,
}

/// What a sample is good for, by its age.
enum Age {
    Fresh,
    Stale(u32),
    Ahead,
}

impl Moment<'_> {
    fn age(&self, at: DateTime<Utc>) -> Age {
        let age = self.now.signed_duration_since(at);
        let is = |limit: std::time::Duration| TimeDelta::from_std(limit).unwrap_or(TimeDelta::MAX);
        if -age > is(self.config.ahead) {
            Age::Ahead
        } else if age > is(self.config.stale_after) {
            Age::Stale(u32::try_from(age.num_seconds()).unwrap_or(u32::MAX))
        } else {
            Age::Fresh
        }
    }

    pub(super) fn is_fresh(&self, at: DateTime<Utc>) -> bool {
        matches!(self.age(at), Age::Fresh)
    }

    pub(super) fn is_ahead(&self, at: DateTime<Utc>) -> bool {
        matches!(self.age(at), Age::Ahead)
    }

    /// True for a pod that has been ready for long enough to have a sample.
    pub(super) fn expects(&self, pod: &PodView) -> bool {
        let wait = TimeDelta::from_std(self.config.first_sample_within).unwrap_or(TimeDelta::MAX);
        let due = |since: DateTime<Utc>| since.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC);
        pod.ready_since().is_some_and(|since| due(since) <= self.now)
    }
}

/// Pods by what became of their samples.
#[derive(Default)]
struct Tally {
    counted: usize,
    /// Pods that should have a sample and have none that counts.
    missing: usize,
    /// Age of the youngest sample that is stale.
    stale: Option<u32>,
    /// True if a sample cannot be true.
    odd: bool,
}

impl Tally {
    fn misses(&mut self, pod: &PodView, moment: Moment<'_>) {
        self.missing += usize::from(moment.expects(pod));
    }

    fn is_stale(&mut self, age: u32) {
        self.stale = Some(self.stale.map_or(age, |known| known.min(age)));
    }

    /// The reason why what was counted does not count; none if it does.
    fn absence(&self, pods: &[&PodView], config: &MetricsApiConfig) -> Option<Absence> {
        if self.counted == 0 {
            return Some(if !pods.iter().any(|pod| pod.serves()) {
                Absence::NoPods
            } else if self.odd {
                Absence::OutOfRange
            } else if let Some(age_s) = self.stale {
                Absence::Stale { age_s }
            } else {
                Absence::NotMeasured
            });
        }
        // Rounded down: 999 of 1000 are not all.
        let covered = self.counted * 100 / (self.counted + self.missing);
        let covered_percent = u8::try_from(covered).unwrap_or(100);
        (covered_percent < config.least_coverage_percent).then_some(Absence::Partial { covered_percent })
    }
}

/// Usage of a resource in percent of its request: the total over the total, over the pods that the HPA's controller counts.
///
/// Left out as there: pods that are being deleted or have ended, that are pending, and for CPU those that start. A pod that has been
/// ready for a while and has no sample makes it partial.
pub(super) fn utilization(
    kind: SignalKind,
    resource: &str,
    pods: &[&PodView],
    usage: &BTreeMap<String, Usage>,
    moment: Moment<'_>,
) -> Signal {
    let mut tally = Tally::default();
    let (mut used, mut requested) = (0_i128, 0_i128);
    for pod in pods {
        let sample = usage.get(&pod.pod.name);
        // Of a former pod of this name.
        let sample = sample.filter(|sample| pod.created.is_none_or(|created| sample.at >= created));
        let sample = sample.filter(|sample| match moment.age(sample.at) {
            Age::Fresh => true,
            Age::Stale(age) => {
                tally.is_stale(age);
                false
            }
            Age::Ahead => false,
        });
        let amount = sample.and_then(|sample| Some((sample, sample.of(resource)?)));
        let time = amount.map(|(sample, _)| SampleTime { at: sample.at, window_s: sample.window_s });
        match (classify(&pod.pod, time, resource == "cpu", &moment.config.controller, moment.now), amount) {
            (PodClass::Ready, Some((sample, amount))) => {
                let Ok(request) = pod.pod.request(resource, None, true) else {
                    return Signal::Absent(Absence::NoRequest);
                };
                let share = 100.0 * amount as f64 / request as f64;
                if request <= 0 {
                    return Signal::Absent(Absence::NoRequest);
                }
                if sample.is_negative(resource) || kind.check(share).value().is_none() {
                    tally.odd = true;
                    tally.misses(pod, moment);
                    continue;
                }
                tally.counted += 1;
                used += i128::from(amount);
                requested += i128::from(request);
            }
            (PodClass::Missing, _) => tally.misses(pod, moment),
            _ => {}
        }
    }
    match tally.absence(pods, moment.config) {
        Some(absence) => Signal::Absent(absence),
        None => kind.check(100.0 * used as f64 / requested as f64),
    }
}

/// A metric of pods over those that run, before its unit is converted.
pub(super) fn of_pods(
    pods: &[&PodView],
    values: &[MetricValue],
    namespace: &str,
    combine: Combine,
    moment: Moment<'_>,
) -> Result<f64, Absence> {
    let mut by_pod: BTreeMap<&str, &MetricValue> = BTreeMap::new();
    for value in values.iter().filter(|value| value.namespace.is_empty() || value.namespace == namespace) {
        let known = by_pod.entry(value.object.as_str()).or_insert(value);
        if known.at <= value.at {
            *known = value;
        }
    }
    let (mut tally, mut numbers) = (Tally::default(), Vec::new());
    for pod in pods.iter().filter(|pod| pod.is_current()) {
        let value = by_pod.get(pod.pod.name.as_str()).filter(|value| pod.created.is_none_or(|at| value.at >= at));
        match value.map(|value| (usable(value), moment.age(value.at))) {
            Some((true, Age::Fresh)) => {
                let time = value.map(|value| SampleTime { at: value.at, window_s: 0 });
                if classify(&pod.pod, time, false, &moment.config.controller, moment.now) == PodClass::Ready {
                    tally.counted += 1;
                    numbers.extend(value.map(|value| value.value));
                }
                continue;
            }
            Some((false, _)) => tally.odd = true,
            Some((true, Age::Stale(age))) => tally.is_stale(age),
            Some((true, Age::Ahead)) | None => {}
        }
        match combine {
            // Of a sum a pod without a value would be a 0, however young it is: load has moved to it since it is ready.
            Combine::Sum => tally.missing += usize::from(pod.serves()),
            Combine::Mean | Combine::Max => tally.misses(pod, moment),
        }
    }
    match tally.absence(pods, moment.config) {
        Some(absence) => Err(absence),
        None => combined(&numbers, combine),
    }
}

/// A metric of one object, or of some series, before its unit is converted.
pub(super) fn of_series(values: &[MetricValue], combine: Combine, moment: Moment<'_>) -> Result<f64, Absence> {
    let mut numbers = Vec::with_capacity(values.len());
    for value in values {
        match moment.age(value.at) {
            Age::Fresh if usable(value) => numbers.push(value.value),
            Age::Fresh => return Err(Absence::OutOfRange),
            // Of a sum nobody knows what the missing part would be.
            Age::Stale(age_s) => return Err(Absence::Stale { age_s }),
            Age::Ahead => return Err(Absence::NotMeasured),
        }
    }
    combined(&numbers, combine)
}

fn usable(value: &MetricValue) -> bool {
    value.value.is_finite() && value.value >= 0.0
}

fn combined(numbers: &[f64], combine: Combine) -> Result<f64, Absence> {
    if numbers.is_empty() {
        return Err(Absence::NotMeasured);
    }
    let sum: f64 = numbers.iter().sum();
    Ok(match combine {
        Combine::Sum => sum,
        Combine::Mean => sum / numbers.len() as f64,
        Combine::Max => numbers.iter().copied().fold(0.0, f64::max),
    })
}
