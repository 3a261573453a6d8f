//! Replicas of an HPA over time, before and after a change of requests: [`Simulation`].

mod text;
mod workload;

use std::time::Duration;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::hpa::{ControllerConfig, Hpa, HpaController, HpaMemory, HpaSpec, InvalidHpa, TargetValue};
use serde::Serialize;

use super::effect::{HpaUsage, same_use};
use super::pod::PodSizes;
use workload::{Known, Simulated, known};

/// Syncs that are simulated at most: six hours of the default period.
const MOST_SYNCS: u32 = 1440;
/// Changes of a course that are kept.
const MOST_CHANGES: usize = 256;
/// Turns from which a course flaps: up, down and up again.
const FLAPS: u32 = 2;

/// Speed at which pods get their new size, and the size of those that come later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Time from the creation of a pod until it serves.
    pub start_up: Duration,
    /// Time over which the pods that are there change, evenly; 0 for a resize in place.
    pub change_over: Duration,
    /// True if pods that come later have the new size: with a rollout. Those that come after a resize in place are made from the template,
    /// which is as it was.
    pub later_are_new: bool,
}

impl Pace {
    /// All pods at once, and those that come later as the template has them.
    pub fn in_place(start_up: Duration) -> Self {
        Self { start_up, change_over: Duration::ZERO, later_are_new: false }
    }

    /// A rollout: as many pods at once as there may be on top, each after it has started.
    pub fn rollout(start_up: Duration, pods: u32, surge: u32) -> Self {
        Self { start_up, change_over: start_up.saturating_mul(pods.div_ceil(surge.max(1))), later_are_new: true }
    }
}

/// Replicas that an HPA asks for over time, from the moment of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Course {
    /// Seconds after the change and replicas from then on: the start, and each change after it, the first 256 of them.
    pub replicas: Vec<(u64, u32)>,
    /// Replicas at the end, if they had stayed for longer than anything in the HPA remembers; none if they still changed.
    pub settled: Option<u32>,
    /// Seconds from the change to the last change of replicas.
    pub settled_after_s: u64,
    /// Most replicas on the way.
    pub peak: u32,
    /// Fewest replicas on the way.
    pub lowest: u32,
    /// Turns from growth to shrinkage, or back.
    pub turns: u32,
    /// True if the metrics asked for more than the max of the HPA.
    pub beyond_max: bool,
}

/// Danger of a change of requests, beside what the HPA would do without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Hazard {
    /// The HPA would want more pods than it may have, and so the pods would be full.
    BeyondMax {
        /// The max of the HPA.
        max: u32,
    },
    /// The size would go up and down.
    Flaps {
        /// Turns from growth to shrinkage, or back.
        turns: u32,
        /// The same without the change.
        without: u32,
    },
    /// The size would not come to rest.
    Unsettled {
        /// Time that was simulated, in seconds.
        within_s: u64,
    },
}

/// What an HPA whose target is a share of the request does after a change of it, sync by sync, by the algorithm of its controller.
///
/// The load is that of [`HpaUsage`]: constant, or as it was seen. **CPU** is work that the ready pods share, so that more pods have less each.
/// **Memory** is what each pod holds whatever the number of pods, which is the worse case: more pods do not lower it. Metrics that are
/// no resource, or whose use is not known, are left out. A pod that starts counts as the controller counts it.
///
/// As text it is a line for each of the three courses, and one for each hazard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Simulation {
    /// Without the change.
    pub without: Course,
    /// With the change, and the HPA as it is.
    pub with: Course,
    /// With the change, and the target of each metric at what stands for the same use per pod; none if no target would be another.
    pub coordinated: Option<Coordinated>,
    /// Dangers of the change with the HPA as it is; empty if there are none.
    pub hazards: Vec<Hazard>,
    /// Metrics that are left out.
    pub unknown: usize,
}

/// The alternative: targets that are changed together with the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coordinated {
    /// The metrics whose `averageUtilization` changes.
    pub targets: Vec<NewTarget>,
    /// Replicas over time with these targets.
    pub course: Course,
    /// Dangers that are left then.
    pub hazards: Vec<Hazard>,
}

/// One target of an HPA, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewTarget {
    /// Place of the metric in the list of the HPA.
    pub metric: usize,
    /// The resource.
    pub resource: String,
    /// `averageUtilization` as it is.
    pub from_percent: i32,
    /// `averageUtilization` that stands for the same use per pod after the change.
    pub to_percent: i32,
    /// Seconds from the change to that of the target: 0 for one that rises; one that falls waits until all pods have their new size, because
    /// before the HPA would take those of the old size for too full.
    pub after_s: u64,
}

impl Simulation {
    /// Simulates an HPA from the present size on. None if no metric of it has a value here.
    ///
    /// # Errors
    /// [`InvalidHpa`] if the API server would refuse the HPA.
    pub fn of(
        spec: &HpaSpec,
        before: &PodSizes,
        after: &PodSizes,
        usage: &HpaUsage,
        pace: Pace,
        config: &ControllerConfig,
    ) -> Result<Option<Self>, InvalidHpa> {
        let mut hpa = Hpa::try_from(spec)?;
        let all = std::mem::take(&mut hpa.metrics);
        let number = all.len();
        let mut places = Vec::new();
        let mut metrics: Vec<Known> = Vec::new();
        for (place, metric) in all.into_iter().enumerate() {
            if let Some(known) = known(&metric, before, after, usage, config.release.pod_level_resources) {
                places.push(place);
                metrics.push(known);
                hpa.metrics.push(metric);
            }
        }
        if metrics.is_empty() || usage.replicas == 0 {
            return Ok(None);
        }
        let run = Run { metrics: &metrics, usage, pace, config };
        let without = run.course(&hpa, Change::None, &[]);
        let with = run.course(&hpa, Change::Made, &[]);
        let max = u32::try_from(hpa.max_replicas).unwrap_or(0);
        let mut targets = Vec::new();
        for (nth, ((place, known), metric)) in places.iter().zip(&metrics).zip(&hpa.metrics).enumerate() {
            let Some(TargetValue::Utilization(from_percent)) = metric.target_value() else { continue };
            let to_percent = same_use(from_percent, (known.before, known.after));
            if to_percent != from_percent {
                let falls = to_percent < from_percent;
                let after_s = if falls { pace.change_over.as_secs() } else { 0 };
                let resource = known.resource.clone();
                targets.push((nth, NewTarget { metric: *place, resource, from_percent, to_percent, after_s }));
            }
        }
        let coordinated = (!targets.is_empty()).then(|| {
            let course = run.course(&hpa, Change::Made, &targets);
            let targets = targets.into_iter().map(|(_, target)| target).collect();
            Coordinated { targets, hazards: hazards(&without, &course, max), course }
        });
        let hazards = hazards(&without, &with, max);
        Ok(Some(Self { without, with, coordinated, hazards, unknown: number - metrics.len() }))
    }

    /// Returns true if the HPA comes to rest at another size than without the change, or not at all.
    pub fn moves_the_size(&self) -> bool {
        self.with.settled.is_none() || self.with.settled != self.without.settled
    }
}

/// Dangers of a course that are not there without the change.
fn hazards(without: &Course, with: &Course, max: u32) -> Vec<Hazard> {
    let mut found = Vec::new();
    if with.beyond_max && !without.beyond_max {
        found.push(Hazard::BeyondMax { max });
    }
    if with.turns >= FLAPS && with.turns > without.turns {
        found.push(Hazard::Flaps { turns: with.turns, without: without.turns });
    }
    if with.settled.is_none() && without.settled.is_some() {
        found.push(Hazard::Unsettled { within_s: with.settled_after_s });
    }
    found
}

/// What all courses have in common.
struct Run<'a> {
    metrics: &'a [Known],
    usage: &'a HpaUsage,
    pace: Pace,
    config: &'a ControllerConfig,
}

/// A change of the requests at the start of a course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    Made,
}

impl Run<'_> {
    /// Replicas from the present size on, with a change at the start or without one, and with new targets of metrics in their time.
    fn course(&self, hpa: &Hpa, change: Change, targets: &[(usize, NewTarget)]) -> Course {
        let mut hpa = hpa.clone();
        let period = TimeDelta::from_std(self.config.sync_period).unwrap_or(TimeDelta::MAX);
        let period = period.clamp(TimeDelta::seconds(1), TimeDelta::hours(1));
        let controller = HpaController::new(self.config.clone());
        let quiet = quiet(&hpa, self.config, self.pace) + period * 2;
        let mut workload = Simulated::new(self.metrics, self.usage, self.pace, change == Change::Made);
        let mut memory = HpaMemory::default();
        let start = self.usage.replicas;
        let mut course = Course {
            replicas: vec![(0, start)],
            settled: None,
            settled_after_s: 0,
            peak: start,
            lowest: start,
            turns: 0,
            beyond_max: false,
        };
        let (mut replicas, mut direction) = (start, None);
        let mut since = TimeDelta::zero();
        for sync in 0..MOST_SYNCS {
            // The change comes one period before the first sync that sees it.
            let after = period * i32::try_from(sync + 1).unwrap_or(i32::MAX);
            workload.at(after, sync);
            for (nth, target) in targets.iter().filter(|(_, target)| target.after_s <= seconds(after)) {
                if let Some(metric) = hpa.metrics.get_mut(*nth) {
                    metric.target.average_utilization = Some(target.to_percent);
                }
            }
            let now: DateTime<Utc> = DateTime::UNIX_EPOCH + after;
            let result = controller.sync(&hpa, &mut memory, &mut workload, now);
            course.beyond_max |= result.raw_desired.is_some_and(|raw| raw > hpa.max_replicas);
            let next = workload.replicas();
            if next != replicas {
                let grows = next > replicas;
                course.turns += u32::from(direction.is_some_and(|before| before != grows));
                (direction, replicas, since) = (Some(grows), next, after);
                course.peak = course.peak.max(next);
                course.lowest = course.lowest.min(next);
                course.settled_after_s = seconds(after);
                if course.replicas.len() < MOST_CHANGES {
                    course.replicas.push((seconds(after), next));
                }
            }
            // Until the last load that was seen, nothing is at rest.
            if after - since > quiet && usize::try_from(sync).is_ok_and(|sync| sync >= self.usage.load_permille.len()) {
                course.settled = Some(replicas);
                return course;
            }
        }
        course
    }
}

/// Time after which an HPA remembers nothing of what was before.
fn quiet(hpa: &Hpa, config: &ControllerConfig, pace: Pace) -> TimeDelta {
    let of = |duration: Duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
    let rules = hpa.behavior.iter().flat_map(|behavior| [&behavior.scale_up, &behavior.scale_down]);
    let remembered =
        rules.flat_map(|rules| rules.window_s.into_iter().chain(rules.policies.iter().map(|policy| policy.period_s)));
    let behavior = TimeDelta::seconds(remembered.max().unwrap_or(0).into());
    let pods = of(pace.start_up.saturating_add(pace.change_over).min(Duration::from_secs(86_400)));
    of(config.downscale_stabilization.min(Duration::from_secs(86_400))).max(behavior) + pods
}

fn seconds(time: TimeDelta) -> u64 {
    u64::try_from(time.num_seconds()).unwrap_or(0)
}
