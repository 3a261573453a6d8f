//! What a change of requests means to an HPA: its target is a share of them.

use std::fmt;

use scaling_core::chrono::DateTime;
use scaling_core::hpa::{
    Calculator, ControllerConfig, Hpa, HpaController, HpaSpec, InvalidHpa, Metric, MetricKind, PodTally, Resources,
    Scale, TargetValue,
};
use serde::Serialize;

use super::pod::PodSizes;

/// Use of a workload as an HPA sees it now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HpaUsage {
    /// Replicas that are asked for.
    pub replicas: u32,
    /// Pods that are measured.
    pub ready: u32,
    /// Mean use of one pod, in thousandths, by resource.
    pub of_a_pod: Resources,
    /// Mean use of the containers of one pod, by name.
    pub of_containers: Vec<(String, Resources)>,
    /// Load over the time to come as it was seen before, a value for each sync of the controller, in thousandths of the present load. The
    /// last one goes on; without any the load stays as it is.
    pub load_permille: Vec<u32>,
}

/// Replicas that an HPA wants for its present use, before and after a change of requests.
///
/// As text it is one line for each metric that the change moves, and one for the size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// The metrics that count a share of a request, whether the change moves them or not.
    pub metrics: Vec<MetricEffect>,
    /// Metrics that have no value here, because they are no resource or their use is not known. The size leaves them out.
    pub unknown: usize,
    /// Replicas before, within the bounds of the HPA; none if no metric has a value.
    pub before: Option<u32>,
    /// Replicas after, the same way.
    pub after: Option<u32>,
}

/// One metric of an HPA before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MetricEffect {
    /// The resource.
    pub resource: String,
    /// The container, where the metric is of one.
    pub container: Option<String>,
    /// Target in percent of the request.
    pub target_percent: i32,
    /// Use in percent of the request, before and after.
    pub utilization: (i32, i32),
    /// Replicas that the metric asks for, before and after, without the bounds.
    pub replicas: (u32, u32),
    /// Target that would stand for the same use per pod after the change; at least 1.
    pub same_use_percent: i32,
}

impl Effect {
    /// Computes what an HPA wants at the present use, by its own algorithm, with the requests of either side. Pods are taken to be alike.
    ///
    /// # Errors
    /// [`InvalidHpa`] if the API server would refuse the HPA.
    pub fn of(
        spec: &HpaSpec,
        before: &PodSizes,
        after: &PodSizes,
        usage: &HpaUsage,
        config: &ControllerConfig,
    ) -> Result<Self, InvalidHpa> {
        let hpa = Hpa::try_from(spec)?;
        let size = |pods: u32| i32::try_from(pods).unwrap_or(i32::MAX);
        let calculator = Calculator {
            config,
            tolerances: HpaController::new(config.clone()).tolerances(hpa.behavior.as_ref()),
            scale: Scale { spec_replicas: size(usage.replicas), status_replicas: size(usage.replicas) },
            // Sums over pods carry no time.
            now: DateTime::UNIX_EPOCH,
        };
        let (mut metrics, mut unknown, mut wanted) = (Vec::new(), 0, Vec::new());
        for metric in &hpa.metrics {
            let share = Share { calculator: &calculator, metric, usage };
            match share.effect(before, after) {
                Some((effect, replicas)) => {
                    metrics.extend(effect);
                    wanted.push(replicas);
                }
                None => unknown += 1,
            }
        }
        let most = |side: fn(&(u32, u32)) -> u32| {
            let most = wanted.iter().map(side).max()?;
            let bound = |bound: i32| u32::try_from(bound).unwrap_or(0);
            Some(most.min(bound(hpa.max_replicas)).max(bound(hpa.min_replicas)))
        };
        Ok(Self { metrics, unknown, before: most(|sides| sides.0), after: most(|sides| sides.1) })
    }

    /// Returns true if the HPA wants another size for the same use.
    pub fn moves_the_size(&self) -> bool {
        self.before != self.after
    }
}

/// One metric, looked at from both sides.
struct Share<'a> {
    calculator: &'a Calculator<'a>,
    metric: &'a Metric,
    usage: &'a HpaUsage,
}

impl Share<'_> {
    /// Replicas on both sides, with the effect if the metric is a share of a request. None if it has no value.
    fn effect(&self, before: &PodSizes, after: &PodSizes) -> Option<(Option<MetricEffect>, (u32, u32))> {
        let (resource, container) = match &self.metric.source {
            MetricKind::Resource { resource } => (resource, None),
            MetricKind::ContainerResource { resource, container } => (resource, Some(container)),
            _ => return None,
        };
        let container_name = container.map(String::as_str);
        let used = self.usage.of(resource, container_name)?;
        let target = self.metric.target_value()?;
        let pod_level = self.calculator.config.release.pod_level_resources;
        let request = |pod: &PodSizes| pod.measured_against(resource, container_name, pod_level);
        let requests = (request(before)?, request(after)?);
        let propose = |request: i64| {
            let proposal =
                self.calculator.tallied(&PodTally::alike(self.usage.ready, 0, used, request), target).ok()?;
            Some((u32::try_from(proposal.replicas).unwrap_or(0), proposal.utilization_percent))
        };
        let (one, other) = (propose(requests.0)?, propose(requests.1)?);
        let effect = match (target, one.1, other.1) {
            (TargetValue::Utilization(target_percent), Some(before), Some(after)) => Some(MetricEffect {
                resource: resource.clone(),
                container: container.cloned(),
                target_percent,
                utilization: (before, after),
                replicas: (one.0, other.0),
                same_use_percent: same_use(target_percent, requests),
            }),
            _ => None,
        };
        Some((effect, (one.0, other.0)))
    }
}

pub(super) fn same_use(target: i32, (before, after): (i64, i64)) -> i32 {
    let percent = (i128::from(target) * i128::from(before) + i128::from(after) / 2) / i128::from(after.max(1));
    i32::try_from(percent).unwrap_or(i32::MAX).max(1)
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for metric in self.metrics.iter().filter(|metric| metric.utilization.0 != metric.utilization.1) {
            let MetricEffect { resource, target_percent, utilization, replicas, same_use_percent, .. } = metric;
            let of = metric.container.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
            writeln!(
                f,
                "{resource}{of}: {} % of the request become {} %, which at a target of {target_percent} % is {} instead of {} replica{}; \
                 a target of {same_use_percent} % would mean what it means now",
                utilization.0,
                utilization.1,
                replicas.1,
                replicas.0,
                if replicas.0 == 1 { "" } else { "s" }
            )?;
        }
        if self.unknown > 0 {
            writeln!(f, "{} metrics are left out: they are no resource, or nothing is known of them", self.unknown)?;
        }
        match (self.before, self.after) {
            (Some(1), Some(1)) => f.write_str("the HPA wants 1 replica before and after"),
            (Some(before), Some(after)) if before == after => {
                write!(f, "the HPA wants {before} replicas before and after")
            }
            (Some(before), Some(1)) => write!(f, "the HPA wants 1 replica instead of {before}"),
            (Some(before), Some(after)) => write!(f, "the HPA wants {after} replicas instead of {before}"),
            _ => f.write_str("what the HPA wants is not known"),
        }
    }
}
