//! A workload whose pods change their size, as its HPA sees it.

use std::time::Duration;

use scaling_core::chrono::TimeDelta;
use scaling_core::hpa::{
    Calculator, Metric, MetricError, MetricKind, PodTally, Proposal, Resources, Scale, ScaledObject,
};

use super::Pace;
use crate::vertical::effect::HpaUsage;
use crate::vertical::pod::PodSizes;

/// A metric whose value is known, in thousandths.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) resource: String,
    /// Mean use of a pod now.
    used: i64,
    /// Request of a pod, before the change and after it.
    pub(super) before: i64,
    pub(super) after: i64,
}

/// A metric with its use and its requests; none if one of them is not known.
pub(super) fn known(
    metric: &Metric,
    before: &PodSizes,
    after: &PodSizes,
    usage: &HpaUsage,
    pod_level: bool,
) -> Option<Known> {
    let (resource, container) = match &metric.source {
        MetricKind::Resource { resource } => (resource, None),
        MetricKind::ContainerResource { resource, container } => (resource, Some(container)),
        _ => return None,
    };
    let used = usage.of(resource, container.map(String::as_str))?;
    let request = |pod: &PodSizes| pod.measured_against(resource, container.map(String::as_str), pod_level);
    metric.target_value()?;
    let (before, after) = (request(before)?, request(after)?);
    (before > 0 && after > 0).then(|| Known { resource: resource.clone(), used: used.max(0), before, after })
}

impl HpaUsage {
    /// Mean use of a pod, or of a container of it.
    pub(in crate::vertical) fn of(&self, resource: &str, container: Option<&str>) -> Option<i64> {
        let of_container = |name: &str| self.of_containers.iter().find(|(known, _)| known == name);
        let amounts: &Resources = match container {
            None => &self.of_a_pod,
            Some(name) => &of_container(name)?.1,
        };
        amounts.get(resource)
    }
}

/// Pods that came together.
#[derive(Clone, Copy, Debug)]
struct Group {
    pods: u32,
    /// Time from which they serve.
    ready: TimeDelta,
    /// True if they were there at the change.
    is_old: bool,
}

/// The workload at one moment.
pub(super) struct Simulated<'a> {
    metrics: &'a [Known],
    load_permille: &'a [u32],
    pace: Pace,
    changes: bool,
    /// Pods that were measured at the start.
    measured: u32,
    start: u32,
    /// Oldest first.
    groups: Vec<Group>,
    now: TimeDelta,
    /// Load, in thousandths of that of the start.
    load: i64,
}

impl<'a> Simulated<'a> {
    pub(super) fn new(metrics: &'a [Known], usage: &'a HpaUsage, pace: Pace, changes: bool) -> Self {
        let ready = usage.ready.min(usage.replicas);
        let started = Group { pods: ready, ready: TimeDelta::zero(), is_old: true };
        let mut simulated = Self {
            metrics,
            load_permille: &usage.load_permille,
            pace,
            changes,
            measured: usage.ready,
            start: usage.replicas,
            groups: vec![started],
            now: TimeDelta::zero(),
            load: 1000,
        };
        let ready = simulated.start_up();
        simulated.groups.push(Group { pods: usage.replicas - started.pods, ready, is_old: true });
        simulated
    }

    fn start_up(&self) -> TimeDelta {
        TimeDelta::from_std(self.pace.start_up.min(Duration::from_secs(86_400))).unwrap_or(TimeDelta::zero())
    }

    /// Goes on to a sync, so long after the change. The last load that was seen goes on.
    pub(super) fn at(&mut self, after: TimeDelta, sync: u32) {
        self.now = after;
        let place = usize::try_from(sync).unwrap_or(usize::MAX).min(self.load_permille.len().saturating_sub(1));
        self.load = self.load_permille.get(place).map_or(1000, |load| i64::from(*load));
    }

    pub(super) fn replicas(&self) -> u32 {
        self.groups.iter().fold(0, |sum, group| sum.saturating_add(group.pods))
    }

    /// Pods of those that were there which have their new size by now.
    fn changed(&self) -> u32 {
        if !self.changes {
            return 0;
        }
        let over = i64::try_from(self.pace.change_over.as_millis()).unwrap_or(i64::MAX);
        let passed = self.now.num_milliseconds();
        if passed >= over {
            return self.start;
        }
        let share = i128::from(self.start) * i128::from(passed) / i128::from(over.max(1));
        u32::try_from(share).unwrap_or(self.start)
    }

    /// Requests of the pods that serve, and of those that do not yet, with their numbers.
    fn requests(&self, metric: &Known) -> [(u32, i64); 2] {
        let mut left = self.changed();
        let later = if self.changes && self.pace.later_are_new { metric.after } else { metric.before };
        let mut sums = [(0_u32, 0_i64); 2];
        for group in &self.groups {
            let new = if group.is_old { group.pods.min(left) } else { 0 };
            left -= new;
            let old = if group.is_old { metric.before } else { later };
            let times = |pods: u32, request: i64| request.saturating_mul(pods.into());
            let request = times(new, metric.after).saturating_add(times(group.pods - new, old));
            let [serving, starting] = &mut sums;
            let sum = if group.ready > self.now { starting } else { serving };
            *sum = (sum.0.saturating_add(group.pods), sum.1.saturating_add(request));
        }
        sums
    }

    fn tally(&self, metric: &Known) -> PodTally {
        let [(ready, requests), (unready, unready_requests)] = self.requests(metric);
        let whole = |amount: i128| i64::try_from(amount).unwrap_or(i64::MAX);
        let usage = if metric.resource == "memory" {
            whole(i128::from(metric.used) * i128::from(ready))
        } else {
            whole(i128::from(metric.used) * i128::from(self.measured) * i128::from(self.load) / 1000)
        };
        let usage = if ready == 0 { 0 } else { usage };
        let (ready, unready) = (ready as usize, unready as usize);
        PodTally { ready, unready, usage, requests, unready_requests, ..PodTally::default() }
    }
}

impl ScaledObject for Simulated<'_> {
    fn scale(&self) -> Option<Scale> {
        let replicas = i32::try_from(self.replicas()).unwrap_or(i32::MAX);
        Some(Scale { spec_replicas: replicas, status_replicas: replicas })
    }

    fn propose(&self, index: usize, metric: &Metric, calculator: &Calculator<'_>) -> Result<Proposal, MetricError> {
        let known = self.metrics.get(index).ok_or(MetricError::FetchFailed)?;
        let tally = self.tally(known);
        if tally.ready == 0 {
            return Err(MetricError::NoMetricsForReadyPods);
        }
        calculator.tallied(&tally, metric.target_value().ok_or(MetricError::NoTarget)?)
    }

    fn write_scale(&mut self, replicas: i32) -> bool {
        let wanted = u32::try_from(replicas).unwrap_or(0);
        let there = self.replicas();
        if wanted > there {
            self.groups.push(Group { pods: wanted - there, ready: self.now + self.start_up(), is_old: false });
            return true;
        }
        // The youngest leave first, as a ReplicaSet has it.
        let mut leaving = there - wanted;
        while leaving > 0 {
            let Some(group) = self.groups.last_mut() else { break };
            let gone = group.pods.min(leaving);
            (group.pods, leaving) = (group.pods - gone, leaving - gone);
            if group.pods == 0 {
                self.groups.pop();
            }
        }
        true
    }
}
