//! [`Situation`]: a labelled moment of a workload, what is known of it, and the load that comes next.

use std::time::Duration;

use scaling_core::chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use scaling_core::conformance::dataset;
use scaling_core::{
    Absence, Observation, PlannedEvent, ScalingAction, ScalingMetrics, Signal, SignalKind, SignalSet, Target,
};
use serde::Deserialize;

/// Sizes that would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The smallest.
    pub lowest: u32,
    /// The largest.
    pub highest: u32,
}

impl Label {
    /// Returns true for a size that would be right.
    pub fn holds(self, replicas: u32) -> bool {
        (self.lowest..=self.highest).contains(&replicas)
    }
}

/// A labelled moment: what is seen, and what comes.
#[derive(Clone, Debug)]
pub struct Situation {
    /// Its name.
    pub name: String,
    /// Group of situations alike: `event`, `deploy`, `outage`, …; `dataset` for the eight scenarios of the dataset.
    pub kind: String,
    /// Knowledge of a person, in a sentence. No engine and no model sees it.
    pub knowledge: String,
    /// Observation that engines see.
    pub observation: Observation,
    /// Load per second, minute by minute, from now on, while a size is held.
    pub coming: Vec<f64>,
    /// Load per second that one pod carries at 100 % while it comes.
    pub pod_capacity: f64,
    /// Largest size that is allowed.
    pub limit: u32,
    /// The sizes that would be right; none where the dataset does not say.
    pub label: Option<Label>,
}

/// A file of situations that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SituationError {
    /// It is not the JSON that it should be.
    #[error("the situations cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// One of them cannot be.
    #[error("situation {name:?}: {what}")]
    Invalid {
        /// Name of the situation.
        name: String,
        /// Fault of it.
        what: String,
    },
    /// The dataset cannot be read.
    #[error("the dataset cannot be read: {0}")]
    Dataset(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "description")]
    _description: String,
    situations: Vec<Raw>,
}

/// Points of a course, `[minute from now, value]`, with straight lines between them.
type Course = Vec<[f64; 2]>;

/// The written form: courses instead of samples, so that a person can read and change it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    kind: String,
    knowledge: String,
    #[serde(default = "tuesday")]
    at: DateTime<Utc>,
    /// Ready pods, each from its minute on.
    pods: Course,
    /// Requests per second of a pod at 100 %.
    pod_capacity: f64,
    load: Course,
    /// Rises and falls with the hour of the day by this share around the course of the load, with its peak at an hour.
    #[serde(default)]
    daily: Option<Daily>,
    #[serde(default = "two")]
    noise_percent: f64,
    /// Share of its capacity that a pod has: a bad version, a slow dependency.
    #[serde(default)]
    health: Course,
    /// Courses of signals that do not follow from load and pods.
    #[serde(default)]
    signals: Vec<(SignalKind, Course)>,
    #[serde(default)]
    absent: Vec<Lost>,
    #[serde(default)]
    events: Vec<Event>,
    #[serde(default = "minute")]
    start_up_s: u64,
    #[serde(default = "half_an_hour")]
    hold_min: u32,
    #[serde(default = "two_days")]
    history_min: u32,
    #[serde(default = "sixty")]
    limit: u32,
    label: Label,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Daily {
    swing: f64,
    peak_hour: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lost {
    signal: SignalKind,
    /// First minute without it.
    since_min: f64,
    cause: Absence,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    name: String,
    from_min: i64,
    to_min: i64,
    factor: f64,
}

fn tuesday() -> DateTime<Utc> {
    // 2026-03-03 10:00 UTC.
    DateTime::from_timestamp(1_772_532_000, 0).unwrap_or_default()
}

fn two() -> f64 {
    2.0
}

fn minute() -> u64 {
    60
}

fn half_an_hour() -> u32 {
    30
}

fn two_days() -> u32 {
    2880
}

fn sixty() -> u32 {
    60
}

/// Longest history and longest time ahead, in minutes.
const LONGEST: u32 = 20_160;
/// Minutes before now that have a sample each; before, there is one in five minutes.
const FINE: i64 = 180;

/// Reads a file of situations.
///
/// # Errors
/// [`SituationError`] with the situation.
pub fn situations(json: &str) -> Result<Vec<Situation>, SituationError> {
    let file: File = serde_json::from_str(json)?;
    let built = file
        .situations
        .into_iter()
        .map(|raw| raw.build().map_err(|what| SituationError::Invalid { name: raw.name.clone(), what }));
    built.collect()
}

/// The eight scenarios of the dataset. What comes is the load of the last sample; a pod carries what the samples say on average; the
/// label is the number of pods that a person recommended, a quarter more or less, or the present one where they would keep it.
///
/// # Errors
/// [`SituationError`] if the dataset cannot be read.
pub fn dataset_situations(json: &str) -> Result<Vec<Situation>, SituationError> {
    let scenarios = dataset::scenarios(json).map_err(SituationError::Dataset)?;
    let built = scenarios.into_iter().map(|scenario| {
        let invalid = |what: &str| SituationError::Invalid { name: scenario.name.clone(), what: what.to_owned() };
        let observation = scenario.observation().ok_or_else(|| invalid("there is no sample"))?;
        let current = observation.current.current_pod_count.unwrap_or(1);
        let filled: Vec<f64> = scenario.samples.iter().filter_map(capacity).collect();
        let rate = observation.current.value(SignalKind::RequestRate);
        let (Some(rate), false) = (rate, filled.is_empty()) else { return Err(invalid("there is no load")) };
        let label = match (scenario.label.replicas, scenario.label.action) {
            (Some(replicas), _) => Some(Label { lowest: replicas - replicas / 4, highest: replicas + replicas / 4 }),
            (None, Some(ScalingAction::Maintain | ScalingAction::ScaleUpVertical)) => {
                Some(Label { lowest: current, highest: current })
            }
            _ => None,
        };
        Ok(Situation {
            kind: "dataset".to_owned(),
            knowledge: scenario.label.text.clone(),
            observation,
            coming: vec![rate; 30],
            pod_capacity: filled.iter().sum::<f64>() / filled.len() as f64,
            limit: sixty(),
            label,
            name: scenario.name,
        })
    });
    built.collect()
}

/// Load per pod at 100 %, as one sample has it.
fn capacity(sample: &ScalingMetrics) -> Option<f64> {
    let (cpu, rate) = (sample.value(SignalKind::CpuUtilization)?, sample.value(SignalKind::RequestRate)?);
    let filled = cpu / 100.0 * f64::from(sample.current_pod_count?);
    (filled > 0.0 && rate > 0.0).then(|| rate / filled)
}

impl Raw {
    fn build(&self) -> Result<Situation, String> {
        self.check()?;
        let mut samples: Vec<ScalingMetrics> = (-i64::from(self.history_min)..=0)
            .filter(|minute| *minute > -FINE || minute % 5 == 0)
            .map(|minute| self.sample(minute))
            .collect();
        let current = samples.pop().ok_or("there is no sample")?;
        let target = Target::deployment("eval", &self.name);
        let mut observation = Observation::new(target, current).declaring(SignalSet::of(SignalKind::ALL));
        observation = observation.with_history(scaling_core::MetricsHistory::from_unordered(samples).0);
        observation.facts.start_up = Duration::from_secs(self.start_up_s);
        observation.facts.cpu_request_millicores = Some(1000);
        let instant = |minute: i64| self.at + TimeDelta::minutes(minute);
        let events = self
            .events
            .iter()
            .map(|event| PlannedEvent::new(&event.name, instant(event.from_min), instant(event.to_min), event.factor));
        let events: Vec<_> = events.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        Ok(Situation {
            name: self.name.clone(),
            kind: self.kind.clone(),
            knowledge: self.knowledge.clone(),
            observation: observation.with_events(events),
            coming: (0..=i64::from(self.hold_min)).map(|minute| self.load(minute)).collect(),
            pod_capacity: self.pod_capacity * self.health(f64::from(self.hold_min) / 2.0),
            limit: self.limit,
            label: Some(self.label),
        })
    }

    fn check(&self) -> Result<(), String> {
        if !(self.pod_capacity.is_finite() && self.pod_capacity > 0.0) {
            return Err(format!("pod_capacity is {}; it must be above 0", self.pod_capacity));
        }
        if self.history_min > LONGEST || !(5..=LONGEST).contains(&self.hold_min) {
            return Err(format!("history_min and hold_min are at most {LONGEST}, hold_min at least 5"));
        }
        if !(1..=1000).contains(&self.limit) || self.label.lowest > self.label.highest {
            return Err("limit must be from 1 to 1000, and the label's lowest at most its highest".to_owned());
        }
        if !(1970..=2200).contains(&self.at.year()) {
            return Err(format!("at is {}; it must be from 1970 to 2200", self.at));
        }
        let ahead = self.events.iter().flat_map(|event| [event.from_min, event.to_min]);
        if let Some(minute) = ahead.into_iter().find(|minute| minute.unsigned_abs() > u64::from(LONGEST)) {
            return Err(format!("an event is {minute} minutes from now; it may be {LONGEST} at most"));
        }
        let courses = [("pods", &self.pods), ("load", &self.load), ("health", &self.health)];
        let named = self.signals.iter().map(|(kind, course)| (kind.field(), course));
        for (name, course) in courses.into_iter().chain(named) {
            let in_order = course.windows(2).all(|pair| matches!(pair, [[a, _], [b, _]] if a < b));
            let possible = course.iter().flatten().all(|number| number.is_finite())
                && course.iter().all(|[_, value]| *value >= 0.0);
            if !in_order || !possible || (course.is_empty() && matches!(name, "pods" | "load")) {
                return Err(format!("{name} needs finite points, in the order of time, none below 0"));
            }
        }
        Ok(())
    }

    fn load(&self, minute: i64) -> f64 {
        let at = minute as f64;
        let daily = self.daily.as_ref().map_or(1.0, |daily| {
            let local = self.at + TimeDelta::minutes(minute);
            let hour = f64::from(local.hour()) + f64::from(local.minute()) / 60.0;
            1.0 + daily.swing * ((hour - daily.peak_hour) / 24.0 * std::f64::consts::TAU).cos()
        });
        (along(&self.load, at).unwrap_or(0.0) * daily * (1.0 + self.noise_percent / 100.0 * jitter(minute))).max(0.0)
    }

    fn health(&self, minute: f64) -> f64 {
        along(&self.health, minute).unwrap_or(1.0).max(0.01)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked: finite and not negative, and it saturates
    fn pods(&self, minute: i64) -> u32 {
        let newest = self.pods.iter().rfind(|[from, _]| *from <= minute as f64).or(self.pods.first());
        newest.map_or(1, |[_, pods]| *pods as u32)
    }

    /// Measurements of a minute: as load and pods make it, unless its course is given.
    fn sample(&self, minute: i64) -> ScalingMetrics {
        let at = minute as f64;
        let (load, pods) = (self.load(minute), self.pods(minute));
        let capacity = self.pod_capacity * self.health(at) * f64::from(pods.max(1));
        let used = load / capacity;
        let lost = (1.0 - 1.0 / used.max(1.0)) * 100.0;
        let usual = [
            100.0 * used.min(1.0),
            45.0 + 10.0 * used.min(1.0),
            load,
            80.0 * (1.0 + used.min(1.0).powi(4)) + if used > 1.0 { 2000.0 } else { 0.0 },
            0.2 + lost,
            3.0 * load,
            (load - capacity).max(0.0) * 30.0,
        ];
        let mut sample = ScalingMetrics::new(self.at + TimeDelta::minutes(minute), pods);
        sample.response_time_quantile = Some(0.95);
        for (kind, usual) in SignalKind::ALL.into_iter().zip(usual) {
            let given =
                self.signals.iter().find(|(signal, _)| *signal == kind).and_then(|(_, course)| along(course, at));
            sample = sample.with(kind, given.unwrap_or(usual));
        }
        for lost in self.absent.iter().filter(|lost| lost.since_min <= at) {
            sample.set(lost.signal, Signal::Absent(lost.cause));
        }
        sample
    }
}

/// The value of a course in a minute: on the line between two points, and as the first or last before and after them.
fn along(course: &[[f64; 2]], minute: f64) -> Option<f64> {
    let after = course.partition_point(|[at, _]| *at <= minute);
    let before = after.checked_sub(1).and_then(|place| course.get(place));
    Some(match (before, course.get(after)) {
        (Some([start, from]), Some([end, to])) => from + (to - from) * (minute - start) / (end - start),
        (Some([_, value]), None) | (None, Some([_, value])) => *value,
        (None, None) => return None,
    })
}

/// From -1 to 1, the same for the same minute.
fn jitter(minute: i64) -> f64 {
    let mixed = super::scripted::mixed(minute.cast_unsigned());
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}
