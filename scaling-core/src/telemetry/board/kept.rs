//! [`Kept`]: what the board keeps of one workload, tick by tick.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::NAME;
use super::series::{Sample, Series};
use super::told::{Told, capped};
use crate::bounds::Bounds;
use crate::decision::{CapacityModel, Floor, Reason, ScalingAction, ScalingDecision, Urgency};
use crate::metrics::{Absence, ScalingMetrics, SignalKind, SignalSet};
use crate::record::{DecisionRecord, Outcome, Step};
use crate::size_owner::{OwnerSetting, SizeOwner};
use crate::state::ApplyMode;

/// Guards that are counted by name; what others refuse is counted together.
const GUARDS: usize = 16;
/// Bytes of an error or of the reason of a floor.
const WORDS: usize = 200;
/// Others who set the size that are kept, and bytes of their texts. The first of them may say more than the rest: what makes it leave the
/// size to us.
const OWNERS: usize = 2;
const OWNER: usize = 120;
const ADVICE: usize = 320;
const SETTING: usize = 600;
/// Forecasts that wait for the moment that they are for.
const WAITING: usize = 40;

/// What the load of a workload is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LoadUnit {
    /// Requests per second.
    RequestsPerSecond,
    /// Pods that CPU utilization fills: utilization times ready pods, where no request rate is declared.
    PodsFilled,
}

impl LoadUnit {
    fn of(declared: SignalSet) -> Option<Self> {
        if declared.contains(SignalKind::RequestRate) {
            Some(Self::RequestsPerSecond)
        } else if declared.contains(SignalKind::CpuUtilization) {
            Some(Self::PodsFilled)
        } else {
            None
        }
    }

    pub(super) fn load(self, metrics: &ScalingMetrics) -> Option<f64> {
        match self {
            Self::RequestsPerSecond => metrics.value(SignalKind::RequestRate),
            Self::PodsFilled => {
                let pods = metrics.current_pod_count?;
                metrics.value(SignalKind::CpuUtilization).map(|percent| percent / 100.0 * f64::from(pods))
            }
        }
    }

    fn signal(self) -> SignalKind {
        match self {
            Self::RequestsPerSecond => SignalKind::RequestRate,
            Self::PodsFilled => SignalKind::CpuUtilization,
        }
    }
}

/// A forecast of load, as a decision tells it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Forecasted {
    /// Load at the time.
    pub(super) observed: f64,
    /// Load that is exceeded with the probability 1 − `quantile`.
    pub(super) expected: f64,
    pub(super) quantile: f64,
    /// From the observation to the moment that is forecast, in seconds.
    pub(super) ahead_s: f64,
}

/// How often the load stayed below its forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Coverage {
    /// Forecasts whose moment has come, with a load.
    pub(super) judged: u64,
    /// Those that the load did not exceed.
    pub(super) held: u64,
}

/// A floor in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct FloorTold {
    pub(super) replicas: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<DateTime<Utc>>,
    pub(super) why: String,
}

impl FloorTold {
    fn of(floor: &Floor) -> Self {
        Self { replicas: floor.replicas, until: floor.until, why: capped(&floor.reason, WORDS) }
    }
}

/// How often a guard said no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct GuardCount {
    pub(super) guard: String,
    /// Ticks in which it refused all.
    pub(super) refused: u64,
    /// Ticks in which it allowed less than was asked for, and not nothing.
    pub(super) limited: u64,
}

/// A step that fails now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Failing {
    pub(super) step: Step,
    /// First tick in a row in which it failed.
    pub(super) since: DateTime<Utc>,
    pub(super) error: String,
    /// True if it can pass by itself.
    pub(super) transient: bool,
}

/// What was decided last, in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Newest {
    pub(super) action: ScalingAction,
    /// Pods requested.
    pub(super) desired: u32,
    /// Pods wanted, with the floor.
    pub(super) wanted: u32,
    pub(super) urgency: Urgency,
    pub(super) confidence: f64,
    pub(super) engine: String,
}

/// Others who set the size of a workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Others {
    /// Instant at which they were seen last.
    pub(super) seen: DateTime<Utc>,
    pub(super) owners: Vec<SizeOwner>,
    /// How many more there are.
    pub(super) more: usize,
}

impl Others {
    pub(super) fn new(seen: DateTime<Utc>, owners: &[SizeOwner]) -> Option<Self> {
        let kept = |(nth, owner): (usize, &SizeOwner)| SizeOwner {
            owner: capped(&owner.owner, OWNER),
            field: capped(&owner.field, OWNER),
            since: owner.since,
            advice: capped(&owner.advice, if nth == 0 { ADVICE } else { OWNER }),
            // A text that is cut is of no use to anybody.
            setting: owner.setting.as_ref().filter(|setting| nth == 0 && setting.text.len() <= SETTING).map(
                |setting| OwnerSetting { place: capped(&setting.place, OWNER), text: setting.text.as_str().into() },
            ),
        };
        let more = owners.len().saturating_sub(OWNERS);
        let owners: Vec<_> = owners.iter().take(OWNERS).enumerate().map(kept).collect();
        (!owners.is_empty()).then_some(Self { seen, owners, more })
    }

    fn bytes(&self) -> usize {
        let texts = |owner: &SizeOwner| {
            let setting = owner.setting.as_ref().map_or(0, |one| one.place.capacity() + one.text.capacity());
            owner.owner.capacity() + owner.field.capacity() + owner.advice.capacity() + setting
        };
        self.owners.capacity() * size_of::<SizeOwner>() + self.owners.iter().map(texts).sum::<usize>()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) first: DateTime<Utc>,
    pub(super) last: DateTime<Utc>,
    pub(super) ticks: u64,
    pub(super) mode: ApplyMode,
    /// First tick in a row in this mode.
    pub(super) mode_since: DateTime<Utc>,
    pub(super) unit: Option<LoadUnit>,
    pub(super) series: Series,
    pub(super) told: Told,
    pub(super) metrics: Option<ScalingMetrics>,
    pub(super) declared: SignalSet,
    pub(super) bounds: Option<Bounds>,
    pub(super) resting: Option<Bounds>,
    pub(super) floor: Option<FloorTold>,
    pub(super) min_without_floor: Option<u32>,
    pub(super) decided: Option<Newest>,
    pub(super) forecast: Option<Forecasted>,
    /// Why there is none, of an engine that asked for one.
    pub(super) no_forecast: Option<String>,
    /// Load that one pod carries at 100 %, in the unit of the load, as a decision last told it, and whether the engine learnt it.
    pub(super) per_pod: Option<(f64, bool)>,
    pub(super) coverage: Coverage,
    waiting: VecDeque<(DateTime<Utc>, f64)>,
    pub(super) guards: Vec<GuardCount>,
    /// Refusals and limits of guards beyond those that are counted by name.
    pub(super) other_guards: u64,
    pub(super) absent: [Option<(DateTime<Utc>, Absence)>; SignalKind::ALL.len()],
    pub(super) failing: Option<Failing>,
    /// Others who set the size, until a write gets through.
    pub(super) others: Option<Others>,
    /// Failures by step.
    pub(super) failures: [u64; STEPS.len()],
}

pub(super) const STEPS: [Step; 4] = [Step::Observe, Step::Read, Step::Decide, Step::Apply];

impl Kept {
    pub(super) fn new(at: DateTime<Utc>) -> Self {
        Self {
            first: at,
            last: at,
            ticks: 0,
            mode: ApplyMode::default(),
            mode_since: at,
            unit: None,
            series: Series::default(),
            told: Told::default(),
            metrics: None,
            declared: SignalSet::NONE,
            bounds: None,
            resting: None,
            floor: None,
            min_without_floor: None,
            decided: None,
            forecast: None,
            no_forecast: None,
            per_pod: None,
            coverage: Coverage::default(),
            waiting: VecDeque::new(),
            guards: Vec::new(),
            other_guards: 0,
            absent: [None; SignalKind::ALL.len()],
            failing: None,
            others: None,
            failures: [0; STEPS.len()],
        }
    }

    /// Takes in a tick.
    pub(super) fn take(&mut self, record: &DecisionRecord) {
        if self.mode != record.mode {
            (self.mode, self.mode_since) = (record.mode, record.at);
        }
        self.last = record.at;
        self.ticks += 1;
        self.fail(record);
        self.observe(record);
        self.decide(record);
        // What could not be read stays as it was known, and `failing` says so.
        if record.bounds.is_some() {
            (self.bounds, self.resting) = (record.bounds, record.resting.or(record.bounds));
            self.floor = record.floor.as_ref().map(FloorTold::of);
            self.min_without_floor = record.min_without_floor;
        }
        match record.outcome {
            _ if !record.owners.is_empty() => self.others = Others::new(record.at, &record.owners),
            Outcome::Applied | Outcome::Validated => self.others = None,
            _ => {}
        }
        self.count_guards(record);
        self.told.take(record);
        let both = |bounds: Bounds| (bounds.min(), bounds.max());
        let sample = Sample {
            load: record.metrics.as_ref().and_then(|metrics| self.unit?.load(metrics)),
            expected: record.decision.as_ref().and(self.forecast).map(|forecast| forecast.expected),
            pods: record.metrics.as_ref().and_then(|metrics| metrics.current_pod_count),
            wanted: record.decision.as_ref().map(ScalingDecision::wanted),
            bounds: record.bounds.map(both),
            resting: record.bounds.and(self.resting).map(both),
            floor: record.floor.as_ref().map(|floor| floor.replicas),
            failed: failure(record).is_some(),
        };
        self.series.push(record.at.timestamp(), &sample);
    }

    fn observe(&mut self, record: &DecisionRecord) {
        let Some(metrics) = &record.metrics else { return };
        self.declared = record.declared.unwrap_or_else(|| metrics.delivered());
        let unit = LoadUnit::of(self.declared);
        if unit != self.unit {
            self.series.forget_loads();
            self.waiting.clear();
            (self.unit, self.coverage, self.forecast, self.per_pod) = (unit, Coverage::default(), None, None);
        }
        let mut absent = [None; SignalKind::ALL.len()];
        for (kind, cause) in metrics.absent_of(self.declared) {
            let before = self.absent.get(kind.index()).copied().flatten();
            if let Some(place) = absent.get_mut(kind.index()) {
                *place = Some((before.map_or(record.at, |(since, _)| since), cause));
            }
        }
        self.absent = absent;
        if let Some(load) = unit.and_then(|unit| unit.load(metrics)) {
            self.judge(metrics.timestamp, load);
        }
        self.metrics = Some(metrics.clone());
    }

    /// Holds forecasts whose moment has come against the load of that moment.
    fn judge(&mut self, at: DateTime<Utc>, load: f64) {
        while let Some((due, expected)) = self.waiting.front().copied().filter(|(due, _)| *due <= at) {
            self.waiting.pop_front();
            // After a gap nobody knows what the load was at the moment.
            if at.signed_duration_since(due) < TimeDelta::minutes(1) {
                self.coverage.judged += 1;
                self.coverage.held += u64::from(load <= expected);
            }
        }
    }

    fn decide(&mut self, record: &DecisionRecord) {
        let Some(decision) = &record.decision else { return };
        self.decided = Some(Newest {
            action: decision.action(),
            desired: decision.desired_replicas,
            wanted: decision.wanted(),
            urgency: decision.urgency,
            confidence: decision.confidence.value(),
            engine: capped(&decision.engine, NAME),
        });
        (self.forecast, self.no_forecast) = (None, None);
        let measured_by = self.unit.map(LoadUnit::signal);
        for reason in &decision.reasons {
            match reason {
                Reason::Forecast { signal, observed, expected, quantile, ahead_s }
                    if signal.is_some() && *signal == measured_by =>
                {
                    let (observed, expected, quantile, ahead_s) = (*observed, *expected, *quantile, *ahead_s);
                    self.forecast = Some(Forecasted { observed, expected, quantile, ahead_s });
                    self.await_moment(decision.at, ahead_s, expected);
                }
                Reason::NoForecast { cause } => self.no_forecast = Some(capped(cause, WORDS)),
                Reason::Capacity {
                    model: model @ (CapacityModel::Declared | CapacityModel::Learnt),
                    load,
                    per_pod: Some(per_pod),
                    ..
                } if *load == measured_by => {
                    self.per_pod = Some((*per_pod, *model == CapacityModel::Learnt));
                }
                _ => {}
            }
        }
    }

    #[allow(clippy::cast_possible_truncation)] // limited to a day
    fn await_moment(&mut self, at: DateTime<Utc>, ahead_s: f64, expected: f64) {
        let ahead = TimeDelta::milliseconds((ahead_s.clamp(0.0, 86_400.0) * 1000.0) as i64);
        let Some(due) = at.checked_add_signed(ahead) else { return };
        if self.waiting.back().is_some_and(|(last, _)| *last >= due) {
            return;
        }
        if self.waiting.capacity() == 0 {
            self.waiting.reserve_exact(WAITING);
        }
        if self.waiting.len() >= WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back((due, expected));
    }

    fn fail(&mut self, record: &DecisionRecord) {
        let Some((step, error, transient)) = failure(record) else {
            self.failing = None;
            return;
        };
        let place = STEPS.iter().position(|known| *known == step);
        if let Some(count) = place.and_then(|place| self.failures.get_mut(place)) {
            *count += 1;
        }
        let before = self.failing.take().filter(|failing| failing.step == step);
        let since = before.map_or(record.at, |failing| failing.since);
        self.failing = Some(Failing { step, since, error: capped(&error, WORDS), transient });
    }

    fn count_guards(&mut self, record: &DecisionRecord) {
        let outcomes = [Some(&record.outcome), record.withheld.as_ref()];
        let refused = outcomes.into_iter().flatten().find_map(|outcome| match outcome {
            Outcome::Refused { guard, .. } => Some(guard.as_str()),
            _ => None,
        });
        if let Some(guard) = refused {
            self.count(guard, |count| count.refused += 1);
        }
        for (nth, clamp) in record.clamps.iter().enumerate() {
            // One that refused has not limited as well, and one that is asked again about what it left counts once.
            let counted = record.clamps.iter().take(nth).any(|earlier| earlier.guard == clamp.guard);
            if !counted && refused != Some(clamp.guard.as_ref()) {
                self.count(&clamp.guard, |count| count.limited += 1);
            }
        }
    }

    fn count(&mut self, guard: &str, add: impl Fn(&mut GuardCount)) {
        let guard = capped(&guard, NAME);
        if let Some(count) = self.guards.iter_mut().find(|count| count.guard == guard) {
            add(count);
        } else if self.guards.len() < GUARDS {
            let mut count = GuardCount { guard, refused: 0, limited: 0 };
            add(&mut count);
            self.guards.reserve_exact(1);
            self.guards.push(count);
        } else {
            self.other_guards += 1;
        }
    }

    /// True if the source fails, so that nothing is known of now.
    pub(super) fn observe_fails(&self) -> bool {
        self.failing.as_ref().is_some_and(|failing| failing.step == Step::Observe)
    }

    /// All memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let guards: usize = self.guards.iter().map(|count| count.guard.capacity()).sum();
        let texts = [
            self.floor.as_ref().map(|floor| &floor.why),
            self.no_forecast.as_ref(),
            self.failing.as_ref().map(|failing| &failing.error),
            self.decided.as_ref().map(|decided| &decided.engine),
        ];
        size_of::<Self>()
            + self.series.bytes()
            + self.told.bytes()
            + self.waiting.capacity() * size_of::<(DateTime<Utc>, f64)>()
            + self.guards.capacity() * size_of::<GuardCount>()
            + guards
            + self.others.as_ref().map_or(0, Others::bytes)
            + texts.into_iter().flatten().map(String::capacity).sum::<usize>()
    }
}

/// The step that failed in a tick, also where a floor was held all the same.
fn failure(record: &DecisionRecord) -> Option<(Step, &str, bool)> {
    [Some(&record.outcome), record.withheld.as_ref()].into_iter().flatten().find_map(|outcome| match outcome {
        Outcome::Failed { step, error, transient, .. } => Some((*step, error.as_str(), *transient)),
        _ => None,
    })
}
