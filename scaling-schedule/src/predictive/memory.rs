//! Memory of what was learnt, one thing for each target: [`Memory`].

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scaling_core::{Observation, SignalKind, Target};

use crate::forecast::Span;

/// Newest samples of a past that are all compared.
const NEWEST: usize = 16;
/// Samples of a past that are compared besides, evenly spread. A difference that lasts a thousandth of the past is seen: for two
/// days that is three minutes, for fourteen twenty. More would show in the time of a decision.
const SPREAD: usize = 1024;

/// The past that something was learnt from, recognized by its span, the number of its samples, the newest of them and some that
/// are evenly spread, and the facts that matter. Two pasts of one target that differ in none of these count as equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Evidence {
    span: Option<Span>,
    samples: usize,
    fingerprint: u64,
}

impl Evidence {
    pub(super) fn of(observation: &Observation, span: Option<Span>) -> Self {
        // `new` has fixed keys: the same past has the same fingerprint in every process.
        let mut hasher = DefaultHasher::new();
        let facts = &observation.facts;
        (facts.start_up, facts.metrics_lag, facts.metrics_window, facts.sync_period).hash(&mut hasher);
        (facts.objective.wait, facts.objective.patience).hash(&mut hasher);
        (facts.pod_capacity.map(f64::to_bits), facts.cpu_request_millicores, facts.cpu_limit_millicores)
            .hash(&mut hasher);
        let Some(within) = span else { return Self { span, samples: 0, fingerprint: hasher.finish() } };

        let now = &observation.current;
        let now_ms = now.timestamp.timestamp_millis();
        let before = observation.history.before(within.until_ms.saturating_add(1).min(now_ms));
        let first = before.times().partition_point(|time| *time < within.from_ms);
        let columns = [SignalKind::RequestRate, SignalKind::CpuUtilization].map(|kind| before.column(kind));
        // At a full two hours the present is the end of the past: the same sample that the history ends with from then on.
        let value = |kind| now.value(kind).unwrap_or(f64::NAN);
        let present = (now_ms <= within.until_ms).then(|| {
            let pods = now.current_pod_count.map_or(f64::NAN, f64::from);
            [pods, value(SignalKind::RequestRate), value(SignalKind::CpuUtilization)]
        });
        let seen = before.times().len() - first;
        let mut lanes = [0_u64; 4];
        let mut mix = |time_ms: i64, sample: [f64; 3]| {
            let words = std::iter::once(time_ms.cast_unsigned()).chain(sample.into_iter().map(f64::to_bits));
            for (lane, word) in lanes.iter_mut().zip(words) {
                // As in FNV-1a, a word at a time: four independent chains take no longer than one.
                *lane = (*lane ^ word).rotate_left(29).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            }
        };
        let samples = seen + usize::from(present.is_some());
        let stride = samples.div_ceil(SPREAD).max(1);
        let newest = samples.saturating_sub(NEWEST).min(seen);
        let [rates, cpu] = columns;
        // The last sample is among the newest alone, so that it counts alike as the present.
        let spread = samples.saturating_sub(1).div_ceil(stride);
        for (from, stride, number) in [(first, stride, spread), (first + newest, 1, NEWEST)] {
            let [pods, rates, cpu] =
                [before.pods(), rates, cpu].map(|column| column.iter().skip(from).step_by(stride).take(number));
            let times = before.times().iter().skip(from).step_by(stride);
            for (((time_ms, pods), rate), cpu) in times.zip(pods).zip(rates).zip(cpu) {
                mix(*time_ms, [*pods, *rate, *cpu]);
            }
        }
        if let Some(present) = present {
            mix(now_ms, present);
        }
        lanes.hash(&mut hasher);
        Self { span, samples, fingerprint: hasher.finish() }
    }
}

/// One thing learnt per target, for a bounded number of targets: the one that was not asked for the longest makes room.
///
/// A target whose past is another one than before is learnt anew, so that what is remembered never changes an answer.
pub(super) struct Memory<T> {
    limit: usize,
    known: Mutex<Known<T>>,
}

struct Known<T> {
    entries: HashMap<Arc<Target>, Entry<T>>,
    /// Counts every use.
    uses: u64,
}

struct Entry<T> {
    evidence: Evidence,
    learnt: Arc<T>,
    used: u64,
}

impl<T> fmt::Debug for Memory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("limit", &self.limit)
            .field("targets", &self.known().entries.len())
            .finish_non_exhaustive()
    }
}

impl<T> Memory<T> {
    /// Remembers at most `limit` targets, and at least one.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), known: Mutex::new(Known { entries: HashMap::new(), uses: 0 }) }
    }

    pub(super) fn get_or_learn(&self, target: &Arc<Target>, evidence: Evidence, learn: impl FnOnce() -> T) -> Arc<T> {
        if let Some(learnt) = self.known().get(target, evidence) {
            return learnt;
        }
        // Not under the lock: others may decide meanwhile, and two that learn from the same past learn alike.
        let learnt = Arc::new(learn());
        self.known().insert(target, evidence, learnt.clone(), self.limit);
        learnt
    }

    pub(super) fn forget(&self, target: &Target) {
        self.known().entries.remove(target);
    }

    fn known(&self) -> MutexGuard<'_, Known<T>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Known<T> {
    fn get(&mut self, target: &Target, evidence: Evidence) -> Option<Arc<T>> {
        let entry = self.entries.get_mut(target).filter(|entry| entry.evidence == evidence)?;
        self.uses += 1;
        entry.used = self.uses;
        Some(entry.learnt.clone())
    }

    fn insert(&mut self, target: &Arc<Target>, evidence: Evidence, learnt: Arc<T>, limit: usize) {
        self.uses += 1;
        if self.entries.len() >= limit && !self.entries.contains_key(target) {
            // A walk over all of them costs far less than the learning that brought us here.
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(target, _)| target.clone());
            oldest.and_then(|oldest| self.entries.remove(&oldest));
        }
        self.entries.insert(target.clone(), Entry { evidence, learnt, used: self.uses });
    }
}

#[cfg(test)]
mod tests {
    use scaling_core::chrono::{DateTime, TimeDelta};
    use scaling_core::{MetricsHistory, ScalingMetrics};

    use super::*;

    #[test]
    fn a_present_that_becomes_history_is_the_same_past() {
        let until = DateTime::from_timestamp(1_700_006_400, 0).unwrap();
        let seen = |minutes: i64, changed: i64| {
            let sample = |minute: i64| {
                let rate = if minute == changed { 7.0 } else { 100.0 };
                ScalingMetrics::new(until + TimeDelta::minutes(minute), 3).with(SignalKind::RequestRate, rate)
            };
            let (history, _) = MetricsHistory::from_unordered((-600..minutes).map(sample).collect());
            let observation =
                Observation::new(Target::deployment("shop", "web"), sample(minutes)).with_history(history);
            Evidence::of(&observation, Span::of(&observation, until))
        };
        assert_eq!(seen(0, 99), seen(1, 99));
        assert_eq!(seen(0, 99), seen(90, 60), "later samples are not looked at");
        assert_ne!(seen(0, 0), seen(1, 99));
        assert_eq!(seen(0, -1), seen(1, -1));
        assert_ne!(seen(1, 99), seen(1, -333));
    }

    fn target(name: &str) -> Arc<Target> {
        Arc::new(Target::deployment("shop", name).with_hpa("hpa"))
    }

    fn evidence(fingerprint: u64) -> Evidence {
        Evidence { span: None, samples: 0, fingerprint }
    }

    /// Asks for a target and returns whether it had to be learnt.
    fn learns(memory: &Memory<()>, name: &str, past: u64) -> bool {
        let mut learnt = false;
        memory.get_or_learn(&target(name), evidence(past), || learnt = true);
        learnt
    }

    #[test]
    fn the_target_that_was_not_asked_for_the_longest_makes_room() {
        let memory = Memory::new(2);
        assert!(learns(&memory, "a", 1) && learns(&memory, "b", 1));
        assert!(!learns(&memory, "a", 1));
        assert!(learns(&memory, "c", 1), "b makes room");
        assert!(!learns(&memory, "a", 1) && learns(&memory, "b", 1));
        assert_eq!(memory.known().entries.len(), 2);
    }

    #[test]
    fn another_past_is_learnt_anew_and_a_forgotten_target_too() {
        let memory = Memory::new(2);
        assert!(learns(&memory, "a", 1) && learns(&memory, "a", 2) && !learns(&memory, "a", 2));
        memory.forget(&target("a"));
        assert!(learns(&memory, "a", 2));
    }
}
