//! [`StartUpTimes`]: how long the pods of a workload take from their creation to readiness. Pure.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::stats::quantile_of;

use super::pods::PodView;

/// Starts that are remembered of a workload.
const KEPT: usize = 64;

/// Longest start that counts. What lies beyond is a pod that lost its readiness and got it back, or one that waited for a node of a
/// kind that nobody had.
const LONGEST: TimeDelta = TimeDelta::hours(1);

/// Start-up times of a workload, measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartUpTimes {
    /// From the creation of a pod to readiness, at the [quantile](super::MetricsApiConfig::start_up_quantile).
    pub from_creation: Duration,
    /// From its assignment to a node to readiness, at the same quantile: what is left where nodes are at hand. None where no pod says
    /// when it was assigned.
    pub from_scheduling: Option<Duration>,
    /// Starts that it is of.
    pub starts: usize,
}

#[derive(Clone, Copy, Debug)]
struct Start {
    from_creation: Duration,
    from_scheduling: Option<Duration>,
}

/// Starts of one workload. A pod counts once, when it is ready for the first time that anybody looks: the transition of a later
/// readiness is not that of its start.
#[derive(Debug, Default)]
pub(super) struct StartUp {
    /// Starts of pods that were created while somebody looked.
    seen: VecDeque<Start>,
    /// Starts of pods that were there already. Their last transition may be a later one: they count until enough were seen.
    found: VecDeque<Start>,
    /// Pods that exist and have not been ready yet.
    starting: HashSet<String>,
    /// Pods that exist and have counted.
    counted: HashSet<String>,
    /// Instant of the last look.
    looked: Option<DateTime<Utc>>,
}

impl StartUp {
    /// Looks at all the pods that exist.
    pub(super) fn look(&mut self, pods: &[&PodView], now: DateTime<Utc>) {
        // Bounded by what exists.
        let there: HashSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
        self.starting.retain(|uid| there.contains(uid.as_str()));
        self.counted.retain(|uid| there.contains(uid.as_str()));
        for pod in pods.iter().filter(|pod| pod.is_current()) {
            if self.counted.contains(&pod.uid) {
                continue;
            }
            if !pod.serves() {
                self.starting.insert(pod.uid.clone());
                continue;
            }
            let was_starting = self.starting.remove(&pod.uid);
            self.counted.insert(pod.uid.clone());
            let Some(start) = start(pod, now) else { continue };
            let is_new = self.looked.is_some_and(|looked| pod.created.is_some_and(|created| created > looked));
            let kept = if was_starting || is_new { &mut self.seen } else { &mut self.found };
            if kept.len() >= KEPT {
                kept.pop_front();
            }
            kept.push_back(start);
        }
        self.looked = Some(now);
    }

    /// The times, once `least` starts are known.
    pub(super) fn times(&self, quantile: f64, least: usize) -> Option<StartUpTimes> {
        let found = if self.seen.len() >= least { None } else { Some(&self.found) };
        let starts: Vec<Start> = self.seen.iter().chain(found.into_iter().flatten()).copied().collect();
        if starts.len() < least.max(1) {
            return None;
        }
        let mut from_creation: Vec<_> = starts.iter().map(|start| start.from_creation).collect();
        let mut from_scheduling: Vec<_> = starts.iter().filter_map(|start| start.from_scheduling).collect();
        Some(StartUpTimes {
            from_creation: quantile_of(&mut from_creation, quantile)?,
            from_scheduling: quantile_of(&mut from_scheduling, quantile),
            starts: starts.len(),
        })
    }
}

/// None where it cannot be told: a container has restarted, or the times contradict each other.
fn start(pod: &PodView, now: DateTime<Utc>) -> Option<Start> {
    let since = pod.pod.ready.and_then(|ready| ready.since).filter(|since| *since <= now)?;
    let created = pod.created.filter(|_| pod.restarts == 0)?;
    let until = |from: DateTime<Utc>| {
        let took = since.signed_duration_since(from);
        if took <= LONGEST { took.to_std().ok() } else { None }
    };
    Some(Start { from_creation: until(created)?, from_scheduling: pod.scheduled.and_then(until) })
}
