//! [`Workload`]: all that is known of one workload.

use std::collections::VecDeque;

use scaling_core::{LoadForecast, NoForecast, Observation, RuleConfig, SignalKind, WorkloadFacts};
use serde::{Deserialize, Serialize};

use super::policy::{Aim, Policy};
use super::rehearsal::{QueueModel, Rehearsal};
use super::saturation::Pace;
use crate::forecast::{Forecaster, Step};

/// Longest past that is learnt from, in ms: fourteen days.
const PAST_MS: i64 = 14 * 86_400_000;
/// Earlier samples by which a past is recognized besides the newest, and the time between two of them in ms: a day in all.
const WITNESSES: usize = 12;
const WITNESS_EVERY_MS: i64 = 2 * 3_600_000;
/// Samples after which what a pod carries counts half: a day of 15 s.
const CARRIED_HALF_LIFE: f64 = 5760.0;
/// Factor by which the capacity of a pod may move before the past is learnt anew with it.
const RESIZED: f64 = 2.0;
/// A declared capacity is believed up to this multiple of what pods have shown, when swings are told from noise.
const DECLARED_AT_MOST: f64 = 4.0;
/// Counts of ready pods that are kept: an hour of 15 s. A mean of CPU over a longer window is taken as one over that.
const COUNTS: usize = 240;

/// A sample as far as it matters here. NaN for what was not measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    at_ms: i64,
    pods: f64,
    rate: f64,
    cpu: f64,
}

impl Sample {
    fn present(observation: &Observation) -> Self {
        let now = &observation.current;
        let value = |kind| now.value(kind).unwrap_or(f64::NAN);
        Self {
            at_ms: now.timestamp.timestamp_millis(),
            pods: now.current_pod_count.map_or(f64::NAN, f64::from),
            rate: value(SignalKind::RequestRate),
            cpu: value(SignalKind::CpuUtilization),
        }
    }

    /// True if both are the same sample, bit by bit.
    fn is(&self, other: &Self) -> bool {
        let bits = |sample: &Self| [sample.pods, sample.rate, sample.cpu].map(f64::to_bits);
        self.at_ms == other.at_ms && bits(self) == bits(other)
    }
}

/// Sums by which it is known what a pod carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Carried {
    rate: f64,
    pods: f64,
    /// Where CPU is measured: pods that would be full, and the rate that they served.
    busy: f64,
    busy_rate: f64,
}

impl Carried {
    fn see(&mut self, sample: &Sample) {
        if !(sample.rate > 0.0 && sample.pods >= 1.0) {
            return;
        }
        let kept = (-1.0 / CARRIED_HALF_LIFE).exp2();
        self.rate = kept * self.rate + sample.rate;
        self.pods = kept * self.pods + sample.pods;
        let busy = sample.cpu / 100.0 * sample.pods;
        if busy > 0.0 {
            self.busy = kept * self.busy + busy;
            self.busy_rate = kept * self.busy_rate + sample.rate;
        }
    }

    /// Load that a full pod carries, roughly: by CPU, or else what pods have carried on average.
    fn per_pod(&self) -> Option<f64> {
        let shares = [(self.busy_rate, self.busy), (self.rate, self.pods)];
        shares.into_iter().map(|(rate, pods)| rate / pods).find(|carried| carried.is_finite() && *carried > 0.0)
    }
}

/// Everything that is known of one workload. Samples go in, in the order of their time; what comes out depends on them alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Workload {
    /// Facts that it was learnt for; with others it is learnt anew.
    signal: SignalKind,
    facts: WorkloadFacts,
    /// Load that a pod carries, by which the forecaster tells swings from noise.
    pod_size: f64,
    forecaster: Forecaster,
    rehearsal: Rehearsal,
    pace: Pace,
    carried: Carried,
    newest: Sample,
    /// Some earlier samples.
    witnesses: VecDeque<Sample>,
    /// Ready pods over the time that a mean of CPU utilization may be over, oldest first.
    pods: VecDeque<(i64, f64)>,
    /// True until the first observation after a restart, whose history may be at other instants than the samples before.
    #[serde(skip)]
    restored: bool,
}

impl Workload {
    /// Learns from the whole history of an observation. Fails without a load, or if nothing tells what a pod carries.
    pub(super) fn learn(observation: &Observation, rules: &RuleConfig, aim: Aim) -> Result<Self, NoForecast> {
        let signal = signal(observation)?;
        let facts = observation.facts.clone();
        let pod_size = match signal {
            SignalKind::RequestRate => {
                let shown = Self::carried_over(observation).per_pod();
                match (declared_capacity(&facts), shown) {
                    (Some(declared), Some(shown)) => declared.min(DECLARED_AT_MOST * shown),
                    (Some(declared), None) => declared,
                    // Rounded, so that it hardly depends on when it was first asked for.
                    (None, shown) => shown.ok_or(NoForecast::NoCapacity)?.log2().round().exp2(),
                }
            }
            _ => 1.0,
        };
        let mut workload = Self {
            signal,
            pod_size,
            forecaster: Forecaster::new(&facts, pod_size),
            rehearsal: Rehearsal::new(&facts),
            pace: Pace::default(),
            carried: Carried::default(),
            newest: Sample { at_ms: i64::MIN, pods: f64::NAN, rate: f64::NAN, cpu: f64::NAN },
            witnesses: VecDeque::new(),
            pods: VecDeque::new(),
            restored: false,
            facts,
        };
        let now_ms = observation.current.timestamp.timestamp_millis();
        workload.newest.at_ms = now_ms.saturating_sub(PAST_MS);
        workload.observe(observation, rules, aim);
        Ok(workload)
    }

    fn carried_over(observation: &Observation) -> Carried {
        let present = Sample::present(observation);
        let mut carried = Carried::default();
        samples_after(observation, present.at_ms.saturating_sub(PAST_MS)).for_each(|sample| carried.see(&sample));
        carried.see(&present);
        carried
    }

    /// True if this is what was learnt of the past that the observation shows, and for its facts: then only what is new has to be
    /// learnt. Two pasts of one target that differ in none of the samples looked at count as equal.
    pub(super) fn continues(&self, observation: &Observation) -> bool {
        let present = Sample::present(observation);
        let known = |sample: &Sample| {
            let before = observation.history.before(sample.at_ms.saturating_add(1));
            let column = |kind| before.column(kind).last().copied().unwrap_or(f64::NAN);
            let found = before.times().last().map(|at_ms| Sample {
                at_ms: *at_ms,
                pods: before.pods().last().copied().unwrap_or(f64::NAN),
                rate: column(SignalKind::RequestRate),
                cpu: column(SignalKind::CpuUtilization),
            });
            found.is_some_and(|found| found.is(sample))
        };
        let oldest_ms = observation.history.oldest().map_or(i64::MAX, |oldest| oldest.timestamp_millis());
        let newest = self.restored
            || if present.at_ms == self.newest.at_ms { present.is(&self.newest) } else { known(&self.newest) };
        let resized = self.carried.per_pod().is_some_and(|carried| {
            let ratio = carried / self.pod_size;
            declared_capacity(&self.facts).is_none() && !(1.0 / RESIZED..=RESIZED).contains(&ratio)
        });
        self.newest.at_ms <= present.at_ms
            && newest
            && self.facts == observation.facts
            && signal(observation).is_ok_and(|signal| signal == self.signal)
            && !(resized && self.signal == SignalKind::RequestRate)
            && self.witnesses.iter().filter(|witness| witness.at_ms >= oldest_ms).all(known)
    }

    /// Learns what is new.
    pub(super) fn observe(&mut self, observation: &Observation, rules: &RuleConfig, aim: Aim) {
        let present = Sample::present(observation);
        self.restored = false;
        for sample in samples_after(observation, self.newest.at_ms) {
            self.see(&sample, rules, aim);
        }
        if present.at_ms > self.newest.at_ms {
            self.see(&present, rules, aim);
        }
    }

    fn see(&mut self, sample: &Sample, rules: &RuleConfig, aim: Aim) {
        self.pace.see(sample.at_ms, sample.pods, sample.rate, sample.cpu, &self.facts);
        self.carried.see(sample);
        let load = if self.signal == SignalKind::RequestRate {
            sample.rate
        } else {
            let used = sample.cpu / 100.0 * self.mean_pods(sample);
            // New pods are busy with starting: what is used while they come is not yet what is asked for.
            if self.grew_lately() { used.min(self.forecaster.load()) } else { used }
        };
        let capacity = match self.signal {
            SignalKind::RequestRate => {
                declared_capacity(&self.facts).or(self.carried.per_pod()).unwrap_or(self.pod_size)
            }
            _ => 1.0,
        };
        let model = QueueModel::of(capacity, self.forecaster.ahead_ms(), &self.facts, rules);
        let rehearsal = &mut self.rehearsal;
        self.forecaster.push_with(sample.at_ms, load, &mut |forecaster, step| match step {
            Step::Load(load) => rehearsal.play(load, forecaster, &model, aim),
            Step::Gap => rehearsal.interrupt(),
        });
        if self.witnesses.back().is_none_or(|last| sample.at_ms.saturating_sub(last.at_ms) >= WITNESS_EVERY_MS) {
            self.witnesses.push_back(*sample);
            if self.witnesses.len() > WITNESSES {
                self.witnesses.pop_front();
            }
        }
        self.newest = *sample;
    }

    /// Ready pods over the window that a mean of CPU utilization is over: those that were seen a lag before, as a count of pods is
    /// known at once and a mean only once its window is over.
    fn mean_pods(&mut self, sample: &Sample) -> f64 {
        let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let (lag_ms, window_ms) = (millis(self.facts.metrics_lag), millis(self.facts.metrics_window));
        if sample.pods >= 0.0 {
            self.pods.push_back((sample.at_ms, sample.pods));
        }
        let until_ms = sample.at_ms.saturating_sub(lag_ms);
        let from_ms = until_ms.saturating_sub(window_ms);
        // One before the window and a start-up tells how many there were at its beginning.
        let kept_ms = from_ms.saturating_sub(millis(self.facts.start_up));
        let is_old = |second: &(i64, f64)| second.0 <= kept_ms;
        while self.pods.len() > COUNTS || (self.pods.len() > 2 && self.pods.get(1).is_some_and(is_old)) {
            self.pods.pop_front();
        }
        let (mut sum, mut number) = (0.0, 0.0);
        for (_, pods) in self.pods.iter().filter(|(at_ms, _)| (from_ms..=until_ms).contains(at_ms)) {
            sum += pods;
            number += 1.0;
        }
        if number > 0.0 { sum / number } else { self.pods.front().map_or(f64::NAN, |(_, pods)| *pods) }
    }

    /// True if there are more pods than a window, a lag and a start-up ago.
    fn grew_lately(&self) -> bool {
        let oldest = self.pods.front().map_or(f64::NAN, |(_, pods)| *pods);
        self.pods.back().is_some_and(|(_, newest)| *newest > oldest)
    }

    /// True if its load is a rate that an observation lacks though it may well be declared: then what was learnt is kept.
    pub(super) fn lacks_its_rate(&self, observation: &Observation) -> bool {
        let rate = SignalKind::RequestRate;
        let declared = observation.declared.is_none_or(|declared| declared.contains(rate));
        self.signal == rate && observation.current.value(rate).is_none() && declared
    }

    /// The same after a restart: what is newer goes on from it, though the samples before may not be found again.
    pub(super) fn restored(mut self) -> Self {
        self.restored = true;
        self.witnesses.clear();
        self
    }

    /// The policy that is sized by.
    pub(super) fn policy(&self, aim: Aim) -> Policy {
        self.rehearsal.chosen().unwrap_or(aim.unlearnt())
    }

    /// Number of moments that were learnt from.
    pub(super) fn moments(&self) -> f64 {
        self.forecaster.moments()
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// The forecast that is sized for.
    pub(super) fn forecast(&self, aim: Aim) -> Result<LoadForecast, NoForecast> {
        let policy = self.policy(aim);
        let expected = self.forecaster.upper(policy.quantile, policy.hold).ok_or(NoForecast::TooShort)?;
        let observed = match self.signal {
            SignalKind::RequestRate => self.newest.rate,
            _ => self.forecaster.load(),
        };
        if !(expected.is_finite() && observed.is_finite()) {
            return Err(NoForecast::NotFinite);
        }
        Ok(LoadForecast {
            signal: self.signal,
            observed,
            expected,
            quantile: policy.quantile.value(),
            ahead_s: self.forecaster.ahead_seconds(),
        })
    }

    /// True if one that was read back can be used.
    pub(super) fn is_sound(&self) -> bool {
        self.forecaster.is_sound()
            && self.rehearsal.is_sound()
            && self.pod_size.is_finite()
            && self.pod_size > 0.0
            && self.witnesses.len() <= WITNESSES
    }
}

/// Signal that measures the load: the request rate, or where none is measured or declared the CPU that pods use.
fn signal(observation: &Observation) -> Result<SignalKind, NoForecast> {
    let (rate, cpu) = (SignalKind::RequestRate, SignalKind::CpuUtilization);
    if observation.current.value(rate).is_some() {
        return Ok(rate);
    }
    if observation.declared().contains(rate) || observation.history.signals().contains(rate) {
        return Err(NoForecast::NoLoad { signal: rate });
    }
    let measured = observation.current.value(cpu).is_some() && observation.current.current_pod_count.is_some();
    let was_measured = observation.declared().contains(cpu) || observation.history.signals().contains(cpu);
    if measured { Ok(cpu) } else { Err(NoForecast::NoLoad { signal: if was_measured { cpu } else { rate } }) }
}

/// The samples of the history after an instant and before the present.
fn samples_after(observation: &Observation, after_ms: i64) -> impl Iterator<Item = Sample> + '_ {
    let before = observation.history.before(observation.current.timestamp.timestamp_millis());
    let first = before.times().partition_point(|at_ms| *at_ms <= after_ms);
    let [rates, cpu] =
        [SignalKind::RequestRate, SignalKind::CpuUtilization].map(|kind| before.column(kind).iter().skip(first));
    let times = before.times().iter().zip(before.pods()).skip(first);
    times.zip(rates).zip(cpu).map(|(((at_ms, pods), rate), cpu)| Sample {
        at_ms: *at_ms,
        pods: *pods,
        rate: *rate,
        cpu: *cpu,
    })
}

/// The capacity that the host declared, if it is a usable number.
pub(super) fn declared_capacity(facts: &WorkloadFacts) -> Option<f64> {
    facts.pod_capacity.filter(|capacity| capacity.is_finite() && *capacity > 0.0)
}
