//! The world as the baseline would see it without advice.
//!
//! Most engines keep a size until a much smaller one would do, and none knows whose pods it measures. Pods that advice has taken look
//! like pods that start, and the utilization of those that are left like load; either keeps a baseline from what it would have asked
//! for alone, for as long as it looks back. What advice costs could then neither be known nor bounded. So the baseline is asked as if
//! its own size had been in force all along: with its own ready pods, and the CPU utilization that the same work would have caused in
//! them, now and in the samples of the last day.
//!
//! Rates, queues, response times, errors and memory it sees as they were measured: what users feel is never explained away.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{MetricsHistory, Observation, ScalingDecision, Signal, SignalKind};

/// Time for which the size may differ both from what was asked for and from the baseline's own: then somebody else sets it, and the
/// baseline has to see what is there.
const STRAYED_AT_MOST: Duration = Duration::from_secs(600);

/// Time for which samples are shown as they would have been: longer than any engine looks back for single samples, or compares them
/// to know a past again (a day).
const SHOWN_MS: i64 = 26 * 3_600_000;

/// Samples that are shown so at most: those of [`SHOWN_MS`] every 15 s. Beyond it the oldest are seen as they were.
const SHOWN_AT_MOST: usize = 6_240;

/// Age up to which a sample of history that was no observation of a decision is taken for one with the decision before it.
const SAME_MOMENT_MS: i64 = 60_000;

/// Decisions that are remembered to know over which pods a mean of utilization was: at most.
const COUNTS_AT_MOST: usize = 256;

/// Utilization in percent up to which pods that would have had more to do are shown.
const FULL_PERCENT: f64 = 100.0;

/// Size of the baseline alone, since advice was taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Alone {
    /// Pods that the baseline asked for last.
    pub(super) pods: u32,
    /// Pods that were asked for last in all.
    asked: u32,
    strayed: Duration,
}

impl Alone {
    /// Begins with advice that is taken instead of the baseline's request.
    pub(super) fn new(baseline: &ScalingDecision, asked: u32) -> Self {
        Self { pods: baseline.desired_replicas, asked, strayed: Duration::ZERO }
    }

    /// Enters what the baseline asks for now. Returns false once the size was the baseline's own again, or somebody else's.
    pub(super) fn goes_on(&mut self, observation: &Observation, baseline: &ScalingDecision, since: Duration) -> bool {
        let there = observation.current.replicas();
        let is_own = there == Some(self.pods);
        self.strayed = if there == Some(self.asked) { Duration::ZERO } else { self.strayed.saturating_add(since) };
        self.pods = baseline.desired_replicas;
        self.asked = baseline.desired_replicas;
        !is_own && !self.is_astray()
    }

    /// Returns true if the size has been somebody else's for long.
    pub(super) fn is_astray(&self) -> bool {
        self.strayed > STRAYED_AT_MOST
    }

    /// Enters advice that is taken instead.
    pub(super) fn ask(&mut self, replicas: u32) {
        self.asked = replicas;
    }
}

/// Pods at one decision: those that were there, and those that would have been.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Counts {
    at: DateTime<Utc>,
    there: u32,
    ready: u32,
    own: u32,
    own_ready: u32,
}

/// A sample as it would have been: its ready pods, and its CPU utilization as a multiple of what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shown {
    at_ms: i64,
    ready: u32,
    cpu_factor: f64,
}

/// The last pods of a target, and the samples that are shown as they would have been without advice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct World {
    counts: VecDeque<Counts>,
    shown: VecDeque<Shown>,
}

impl World {
    /// The observation as it would be with the baseline's own size in force; `None` if that is the same.
    pub(super) fn seen(&self, alone: Option<Alone>, observation: &Observation) -> Option<Observation> {
        let now = self.now(alone, observation);
        let history = self.history(observation);
        if alone.is_none() && now.is_none() && history.is_none() {
            return None;
        }
        let mut seen = observation.clone();
        if let Some(alone) = alone {
            seen.current.desired_pod_count = Some(alone.pods);
        }
        if let Some((_, shown)) = now {
            shown.enter(&mut seen.current);
        }
        if let Some(history) = history {
            seen.history = Arc::new(history);
        }
        Some(seen)
    }

    /// Remembers the pods of now, and how the sample of now was shown.
    pub(super) fn remember(&mut self, alone: Option<Alone>, observation: &Observation) {
        let shown = self.now(alone, observation);
        if let Some((counts, shown)) = shown
            && shown.changes(&counts)
            && self.shown.back().is_none_or(|last| last.at_ms < shown.at_ms)
        {
            self.shown.push_back(shown);
        }
        let oldest_ms = observation.current.timestamp.timestamp_millis().saturating_sub(SHOWN_MS);
        while self.shown.front().is_some_and(|first| first.at_ms < oldest_ms) || self.shown.len() > SHOWN_AT_MOST {
            self.shown.pop_front();
        }
        let Some(counts) = shown.map(|(counts, _)| counts).or_else(|| self.count(alone, observation)) else { return };
        // A clock that has jumped back makes what lies ahead unusable.
        while self.counts.back().is_some_and(|last| last.at >= counts.at) {
            self.counts.pop_back();
        }
        self.counts.push_back(counts);
        let facts = &observation.facts;
        let times = [facts.start_up, facts.metrics_lag, facts.metrics_window, facts.sync_period];
        let oldest = earlier(observation.now, times.into_iter().fold(Duration::ZERO, Duration::saturating_add));
        while self.counts.front().is_some_and(|first| first.at < oldest) || self.counts.len() > COUNTS_AT_MOST {
            self.counts.pop_front();
        }
    }

    /// The pods of now: those that are there and those that would be.
    fn count(&self, alone: Option<Alone>, observation: &Observation) -> Option<Counts> {
        let at = observation.now;
        let there = observation.current.replicas()?;
        let ready = observation.current.current_pod_count?;
        let own = alone.map_or(there, |alone| alone.pods);
        // Pods take their start-up time to be ready: those of the smallest size since then would be, as far as those that are there are.
        let since = earlier(at, observation.facts.start_up);
        let recent = self.counts.iter().rev().take_while(|counts| counts.at > since);
        let (least_there, least_own) = recent.fold((there, own), |(least_there, least_own), counts| {
            (least_there.min(counts.there), least_own.min(counts.own))
        });
        let own_ready = ready.saturating_add(least_own).saturating_sub(least_there).min(own);
        Some(Counts { at, there, ready, own, own_ready })
    }

    /// How the sample of now is shown; `None` where advice has changed no pods of it.
    fn now(&self, alone: Option<Alone>, observation: &Observation) -> Option<(Counts, Shown)> {
        let counts = self.count(alone, observation)?;
        // Utilization is a mean over a window that ended a lag ago.
        let facts = &observation.facts;
        let until = earlier(counts.at, facts.metrics_lag);
        let from = earlier(until, facts.metrics_window);
        // Pods are removed at once and become ready at the end of some step: between two decisions there were the fewer of both.
        let steps = self.counts.iter().zip(self.counts.iter().skip(1));
        let within = steps.filter(|(_, end)| end.at > from && end.at <= until);
        let each = |pods: u32| 1.0 / f64::from(pods.max(1));
        let (measured, own) = within.fold((0.0, 0.0), |(measured, own), (begin, end)| {
            (measured + each(begin.ready.min(end.ready)), own + each(begin.own_ready.min(end.own_ready)))
        });
        let cpu_factor = if measured > 0.0 { own / measured } else { 1.0 };
        let at_ms = observation.current.timestamp.timestamp_millis();
        let shown = Shown { at_ms, ready: counts.own_ready, cpu_factor };
        shown.changes(&counts).then_some((counts, shown))
    }

    /// The history with its samples as they would have been; `None` if none of them is shown otherwise.
    fn history(&self, observation: &Observation) -> Option<MetricsHistory> {
        let first = self.shown.front()?;
        let history = &observation.history;
        let end_ms = observation.current.timestamp.timestamp_millis();
        let times = history.before(i64::MAX).times();
        let from = times.partition_point(|time| *time < first.at_ms);
        let before = first.at_ms.checked_sub(1).and_then(DateTime::from_timestamp_millis)?;
        if from >= times.len() || first.at_ms >= end_ms {
            return None;
        }
        let mut shown = MetricsHistory::clone(history);
        shown.truncate_after(before);
        let mut next = self.shown.iter().peekable();
        let mut last: Option<&Shown> = None;
        for mut sample in (from..times.len()).filter_map(|index| history.sample(index)) {
            let at_ms = sample.timestamp.timestamp_millis();
            while let Some(reached) = next.next_if(|shown| shown.at_ms <= at_ms) {
                last = Some(reached);
            }
            if let Some(last) = last.filter(|last| at_ms - last.at_ms < SAME_MOMENT_MS) {
                last.enter(&mut sample);
            }
            // In order, as they came.
            shown.push(&sample).ok();
        }
        Some(shown)
    }
}

impl Shown {
    fn changes(&self, counts: &Counts) -> bool {
        self.ready != counts.ready || (self.cpu_factor - 1.0).abs() > 0.0
    }

    fn enter(&self, sample: &mut scaling_core::ScalingMetrics) {
        if let Some(cpu) = sample.value(SignalKind::CpuUtilization) {
            let cpu = (cpu * self.cpu_factor).min(cpu.max(FULL_PERCENT));
            sample.set(SignalKind::CpuUtilization, Signal::Present(cpu));
        }
        sample.current_pod_count = Some(self.ready);
    }
}

fn earlier(at: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by).ok().and_then(|by| at.checked_sub_signed(by)).unwrap_or(DateTime::<Utc>::MIN_UTC)
}
