//! The labelled scenarios of `test_data/metrics_dataset.json`, and ways to disturb them that must not change a label.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use crate::{Observation, PlannedEvent, ScalingAction, ScalingMetrics, SignalKind, Timing};

/// Answer that is expected of an engine. `None` where the dataset does not say.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// As written in the dataset.
    pub text: String,
    /// The action.
    pub action: Option<ScalingAction>,
    /// The timing.
    pub timing: Option<Timing>,
    /// The number of pods.
    pub replicas: Option<u32>,
    /// Change of the memory request, percent.
    pub memory_percent: Option<i32>,
}

/// A labelled course of metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Samples, oldest first.
    pub samples: Vec<ScalingMetrics>,
    /// Declared events.
    pub events: Vec<PlannedEvent>,
    /// Answer that is expected of an engine at the end.
    pub label: Label,
}

#[derive(Deserialize)]
struct File {
    scenarios: Vec<Entry>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    generated_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Entry {
    scenario: String,
    duration_minutes: u32,
    #[serde(default)]
    metrics: Series,
    #[serde(default)]
    hourly_metrics: Vec<Hourly>,
    day_type: Option<String>,
    event_type: Option<String>,
    recommended_action: String,
    recommended_pod_count: Option<u32>,
    recommended_memory_increase: Option<String>,
}

#[derive(Default, Deserialize)]
struct Series {
    cpu_utilization_percent: Vec<f64>,
    memory_utilization_percent: Vec<f64>,
    request_rate_per_second: Vec<f64>,
    response_time_ms: Vec<f64>,
    error_rate_percent: Vec<f64>,
    active_connections: Vec<f64>,
    queue_depth: Vec<f64>,
    pod_count: Vec<u32>,
}

#[derive(Deserialize)]
struct Hourly {
    hour: u32,
    cpu: f64,
    memory: f64,
    rps: f64,
    response_ms: f64,
    pods: u32,
}

/// All scenarios of a dataset.
///
/// Samples are spread evenly over the scenario's duration. It ends when the dataset was made (on a weekday), a weekend scenario
/// on the Sunday after, an hourly one at the end of that day. An `event_type` becomes a declared event that starts with the
/// second sample, ends with the scenario, and has the factor by which load rises between the first two.
///
/// # Errors
/// Fault of the file.
pub fn scenarios(json: &str) -> Result<Vec<Scenario>, String> {
    let file: File = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let made = file.metadata.map_or(DateTime::UNIX_EPOCH, |metadata| metadata.generated_at);
    file.scenarios.into_iter().map(|entry| scenario(entry, made)).collect()
}

fn scenario(entry: Entry, made: DateTime<Utc>) -> Result<Scenario, String> {
    let bad = |what: &str| format!("scenario {:?}: {what}", entry.scenario);
    let midnight = made.date_naive().and_hms_opt(0, 0, 0).ok_or_else(|| bad("no such day"))?.and_utc();
    let samples = if entry.hourly_metrics.is_empty() {
        let weekday = i64::from(chrono::Datelike::weekday(&made).num_days_from_monday());
        let end =
            if entry.day_type.as_deref() == Some("weekend") { midnight + TimeDelta::days(7 - weekday) } else { made };
        series(&entry, end).map_err(|what| bad(&what))?
    } else {
        let dated = entry.hourly_metrics.iter().map(|hour| hourly(hour, midnight));
        dated.collect()
    };
    let events = match (&entry.event_type, samples.as_slice()) {
        (Some(name), [first, second, .., last]) => {
            let rate = |sample: &ScalingMetrics| sample.value(SignalKind::RequestRate).unwrap_or(1.0);
            let interval = second.timestamp - first.timestamp;
            let event =
                PlannedEvent::new(name, second.timestamp, last.timestamp + interval, rate(second) / rate(first));
            vec![event.map_err(|error| bad(&error.to_string()))?]
        }
        _ => Vec::new(),
    };
    Ok(Scenario { label: label(&entry), name: entry.scenario, samples, events })
}

fn series(entry: &Entry, end: DateTime<Utc>) -> Result<Vec<ScalingMetrics>, String> {
    let metrics = &entry.metrics;
    let number = metrics.pod_count.len();
    let columns = [
        &metrics.cpu_utilization_percent,
        &metrics.memory_utilization_percent,
        &metrics.request_rate_per_second,
        &metrics.response_time_ms,
        &metrics.error_rate_percent,
        &metrics.active_connections,
        &metrics.queue_depth,
    ];
    if number == 0 || columns.iter().any(|column| column.len() != number) {
        return Err("the columns are empty or differ in length".into());
    }
    let interval = TimeDelta::minutes(i64::from(entry.duration_minutes)) / i32::try_from(number).unwrap_or(i32::MAX);
    let start = end - interval * i32::try_from(number).unwrap_or(i32::MAX);
    let dated = metrics.pod_count.iter().enumerate().map(|(index, pods)| {
        let at = start + interval * i32::try_from(index).unwrap_or(i32::MAX);
        let pairs = SignalKind::ALL.into_iter().zip(columns);
        pairs.fold(ScalingMetrics::new(at, *pods), |sample, (kind, column)| {
            sample.with(kind, column.get(index).copied().unwrap_or(f64::NAN))
        })
    });
    Ok(dated.collect())
}

fn hourly(hour: &Hourly, midnight: DateTime<Utc>) -> ScalingMetrics {
    ScalingMetrics::new(midnight + TimeDelta::hours(i64::from(hour.hour)), hour.pods)
        .with(SignalKind::CpuUtilization, hour.cpu)
        .with(SignalKind::MemoryUtilization, hour.memory)
        .with(SignalKind::RequestRate, hour.rps)
        .with(SignalKind::ResponseTime, hour.response_ms)
}

fn label(entry: &Entry) -> Label {
    use ScalingAction::{Maintain, ScaleDownHorizontal, ScaleUpHorizontal, ScaleUpVertical};
    let (action, timing) = match entry.recommended_action.as_str() {
        "maintain" => (Some(Maintain), Some(Timing::Now)),
        "scale_up_horizontal" => (Some(ScaleUpHorizontal), Some(Timing::Now)),
        "scale_up_horizontal_scheduled" => (Some(ScaleUpHorizontal), Some(Timing::Scheduled)),
        "scale_up_vertical" => (Some(ScaleUpVertical), Some(Timing::Now)),
        "scale_down_horizontal" => (Some(ScaleDownHorizontal), Some(Timing::Now)),
        "scale_down_scheduled" => (Some(ScaleDownHorizontal), Some(Timing::Scheduled)),
        "create_scaling_schedule" => (None, Some(Timing::Scheduled)),
        "event_based_scaling" => (None, Some(Timing::Event)),
        _ => (None, None),
    };
    Label {
        text: entry.recommended_action.clone(),
        action,
        timing,
        replicas: entry.recommended_pod_count,
        memory_percent: entry
            .recommended_memory_increase
            .as_ref()
            .and_then(|increase| increase.trim_end_matches('%').parse().ok()),
    }
}

impl Scenario {
    /// The observation at the end of the scenario; `None` without samples.
    pub fn observation(&self) -> Option<Observation> {
        let (observation, _) = Observation::from_samples(super::some_target(), self.samples.clone())?;
        Some(observation.with_events(self.events.clone()))
    }

    /// The same workload, `factor` times as big: rates, connections, queue, pods and the label.
    #[must_use]
    pub fn scaled(mut self, factor: u32) -> Self {
        for sample in &mut self.samples {
            sample.current_pod_count = sample.current_pod_count.map(|pods| pods * factor);
            for kind in SignalKind::ALL.into_iter().filter(|kind| kind.is_extensive()) {
                if let Some(value) = sample.value(kind) {
                    *sample = sample.clone().with(kind, value * f64::from(factor));
                }
            }
        }
        self.label.replicas = self.label.replicas.map(|replicas| replicas * factor);
        self
    }

    /// Every measured value multiplied by what `noise` gives: 1 ± something.
    #[must_use]
    pub fn disturbed(mut self, mut noise: impl FnMut() -> f64) -> Self {
        for sample in &mut self.samples {
            for kind in SignalKind::ALL {
                if let Some(value) = sample.value(kind) {
                    *sample = sample.clone().with(kind, (value * noise()).min(kind.limit()));
                }
            }
        }
        self
    }

    /// One signal never measured.
    #[must_use]
    pub fn without(mut self, kind: SignalKind) -> Self {
        for sample in &mut self.samples {
            sample.set(kind, crate::Signal::NOT_MEASURED);
        }
        self
    }

    /// The same course, sampled at another interval from its first sample on: interpolated in between, the pods as of the sample before.
    #[must_use]
    pub fn resampled(mut self, interval: TimeDelta) -> Self {
        let (Some(first), Some(last)) = (self.samples.first(), self.samples.last()) else { return self };
        let mut samples = Vec::new();
        let mut at = first.timestamp;
        while at <= last.timestamp {
            let after = self.samples.partition_point(|sample| sample.timestamp < at);
            let Some(b) = self.samples.get(after) else { break };
            let a = self.samples.get(after.saturating_sub(1)).unwrap_or(b);
            let span = (b.timestamp - a.timestamp).num_milliseconds();
            let share = if span > 0 { (at - a.timestamp).num_milliseconds() as f64 / span as f64 } else { 1.0 };
            let pods = if share >= 1.0 { b.current_pod_count } else { a.current_pod_count };
            let mut sample = ScalingMetrics::new(at, pods.unwrap_or_default());
            for kind in SignalKind::ALL {
                if let (Some(from), Some(to)) = (a.value(kind), b.value(kind)) {
                    sample = sample.with(kind, from + (to - from) * share);
                }
            }
            samples.push(sample);
            at += interval;
        }
        self.samples = samples;
        self
    }

    /// The same samples, `interval` apart, ending when they ended.
    #[must_use]
    pub fn respaced(mut self, interval: TimeDelta) -> Self {
        let Some(end) = self.samples.last().map(|sample| sample.timestamp) else { return self };
        for (steps, sample) in (0..).zip(self.samples.iter_mut().rev()) {
            sample.timestamp = end - interval * steps;
        }
        self
    }
}
