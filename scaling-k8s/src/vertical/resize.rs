//! A change of one container, and what is looked at before it is made.

use scaling_core::hpa::Resources;
use scaling_core::{HpaPlan, ResourceChange};
use serde_json::Value;

use super::pod::{PodSizes, QosClass, Sizes};
use super::violation::{Part, Refused, Violation};
use super::{limit_range, quota};

/// Resources that a plan changes.
const CHANGED: [&str; 2] = ["cpu", "memory"];

/// Treatment of a limit whose request changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LimitRule {
    /// Keeps its proportion to the request, as a VerticalPodAutoscaler does it. A Guaranteed pod stays one.
    #[default]
    Follow,
    /// Stays. A request that would go above it is refused, and so is one that would make a Guaranteed pod Burstable.
    Keep,
}

/// A change of what one container requests, in percent of what it requests now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resize {
    /// The container. It is never guessed: the first is as often a sidecar as not.
    pub container: String,
    /// The change.
    pub change: ResourceChange,
    /// Treatment of limits.
    pub limits: LimitRule,
}

impl Resize {
    /// A change of one container, its limits in proportion.
    pub fn new(container: impl Into<String>, change: ResourceChange) -> Self {
        Self { container: container.into(), change, limits: LimitRule::Follow }
    }

    /// The change of requests that a plan holds, for this container; none if it holds none.
    pub fn of(plan: &HpaPlan, container: impl Into<String>) -> Option<Self> {
        plan.resources().and_then(ResourceChange::filled).map(|change| Self::new(container, change))
    }

    /// Sets the treatment of limits.
    #[must_use]
    pub fn limits(mut self, rule: LimitRule) -> Self {
        self.limits = rule;
        self
    }

    fn percent(&self, resource: &str) -> i32 {
        if resource == "cpu" { self.change.cpu_percent } else { self.change.memory_percent }
    }
}

/// Use of one container, the highest over its pods and over the time that matters: what a smaller size must still hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU in thousandths of a core, if known.
    pub cpu_millicores: Option<u64>,
    /// Memory in bytes, if known.
    pub memory_bytes: Option<u64>,
}

impl Usage {
    fn milli(self, resource: &str) -> Option<i64> {
        let amount = match resource {
            "cpu" => self.cpu_millicores,
            _ => self.memory_bytes.map(|bytes| bytes.saturating_mul(1000)),
        };
        amount.map(|amount| i64::try_from(amount).unwrap_or(i64::MAX))
    }
}

/// Surroundings of a change: how many pods there are, what they use, and the rules of their namespace, in the JSON of the API.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Pods of the workload.
    pub pods: u32,
    /// Pods that a rollout has on top of them for a while; 0 for a resize in place.
    pub surge: u32,
    /// Use of the container.
    pub usage: Usage,
    /// Margin above the use, in percent. Default 20.
    pub margin_percent: u32,
    /// The LimitRanges of the namespace.
    pub limit_ranges: &'a [Value],
    /// The ResourceQuotas of the namespace.
    pub quotas: &'a [Value],
}

impl Situation<'static> {
    /// A namespace without rules.
    pub fn new(pods: u32, usage: Usage) -> Self {
        Self { pods, surge: 0, usage, margin_percent: 20, limit_ranges: &[], quotas: &[] }
    }
}

/// A change that may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The pod after it.
    pub sizes: PodSizes,
    /// The container that changes.
    pub container: String,
    /// Its requests and limits before the change.
    pub old: Sizes,
    /// Its requests and limits after the change.
    pub new: Sizes,
    /// Class of the pod, before and after.
    pub qos: QosClass,
}

/// Makes a change of one container, and looks at everything that is against it.
///
/// Requests are rounded up, so that nothing is smaller than was asked for; to millicores and whole bytes.
///
/// # Errors
/// [`Refused`] with every reason that was found.
pub fn check(before: &PodSizes, resize: &Resize, around: &Situation<'_>) -> Result<Checked, Refused> {
    let mut violations = Vec::new();
    let Some(old) = before.container(&resize.container) else {
        violations.push(Violation::NoContainer { container: resize.container.clone() });
        return Err(Refused { violations });
    };
    let mut new = old.sizes.clone();
    for resource in CHANGED {
        let percent = resize.percent(resource);
        if percent == 0 {
            continue;
        }
        let container = || resize.container.clone();
        let Some(request) = old.sizes.requests.get(resource).filter(|request| *request > 0) else {
            violations.push(Violation::NotRequested { container: container(), resource: resource.to_owned() });
            continue;
        };
        let wanted = by_percent(resource, request, percent);
        if wanted == 0 {
            violations.push(Violation::Zero { container: container(), resource: resource.to_owned() });
            continue;
        }
        new.requests.insert(resource.to_owned(), wanted);
        if let (Some(limit), LimitRule::Follow) = (old.sizes.limits.get(resource), resize.limits) {
            let follows = if limit == request { wanted } else { in_proportion(resource, limit, request, wanted) };
            new.limits.insert(resource.to_owned(), follows);
        }
        lowered(resize, resource, &old.sizes, &new, around, &mut violations);
        if let Some(limit) = new.limits.get(resource).filter(|limit| *limit < wanted) {
            let resource = resource.to_owned();
            violations.push(Violation::AboveLimit { container: container(), resource, request: wanted, limit });
        }
    }
    let mut sizes = before.clone();
    if let Some(changed) = sizes.container_mut(&resize.container) {
        changed.clone_from(&new);
    }
    let (qos, after) = (before.qos(), sizes.qos());
    if qos != after {
        violations.push(Violation::Qos { before: qos, after });
    }
    limit_range::check(&sizes, &resize.container, around.limit_ranges, &mut violations);
    quota::check(before, &sizes, qos, around, &mut violations);
    if violations.is_empty() {
        Ok(Checked { sizes, container: resize.container.clone(), old: old.sizes.clone(), new, qos })
    } else {
        Err(Refused { violations })
    }
}

/// What becomes lower must still hold what is used.
fn lowered(
    resize: &Resize,
    resource: &str,
    old: &Sizes,
    new: &Sizes,
    around: &Situation<'_>,
    violations: &mut Vec<Violation>,
) {
    let lower = |before: &Resources, after: &Resources| {
        after.get(resource).filter(|after| before.get(resource).is_some_and(|before| *after < before))
    };
    let parts = [(Part::Request, lower(&old.requests, &new.requests)), (Part::Limit, lower(&old.limits, &new.limits))];
    if parts.iter().all(|(_, amount)| amount.is_none()) {
        return;
    }
    let container = resize.container.clone();
    let Some(used) = around.usage.milli(resource) else {
        violations.push(Violation::UsageUnknown { container, resource: resource.to_owned() });
        return;
    };
    let needed = i128::from(used) * i128::from(100 + u64::from(around.margin_percent));
    for (part, wanted) in parts.into_iter().filter_map(|(part, amount)| Some((part, amount?))) {
        if i128::from(wanted) * 100 < needed {
            let (container, resource) = (container.clone(), resource.to_owned());
            let margin_percent = around.margin_percent;
            violations.push(Violation::BelowUsage { container, part, resource, wanted, used, margin_percent });
        }
    }
}

/// A request changed by percent, rounded up; none at all at -100 and below.
pub(super) fn by_percent(resource: &str, request: i64, percent: i32) -> i64 {
    let factor = i128::from(100_i64.saturating_add(percent.into()).max(0));
    whole(resource, i128::from(request) * factor, 100)
}

fn in_proportion(resource: &str, limit: i64, request: i64, wanted: i64) -> i64 {
    whole(resource, i128::from(limit) * i128::from(wanted), request.max(1).into())
}

/// A fraction rounded up, to a whole byte where it is memory.
fn whole(resource: &str, numerator: i128, denominator: i128) -> i64 {
    let unit = if resource == "memory" { 1000 } else { 1 };
    let step = denominator * unit;
    let units = numerator.div_euclid(step) + i128::from(numerator.rem_euclid(step) != 0);
    i64::try_from(units * unit).unwrap_or(i64::MAX - i64::MAX % 1000)
}
