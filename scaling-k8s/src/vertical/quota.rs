//! ResourceQuotas: room for all pods of a workload.

use scaling_core::hpa::Resources;
use serde_json::Value;

use super::pod::{PodSizes, QosClass, amounts};
use super::resize::Situation;
use super::violation::{Part, Violation};

/// ResourceQuotas that are looked at.
const MOST: usize = 1000;

/// Names by which a quota counts what pods request and may use.
const COUNTED: [(&str, Part, &str); 6] = [
    ("cpu", Part::Request, "cpu"),
    ("requests.cpu", Part::Request, "cpu"),
    ("limits.cpu", Part::Limit, "cpu"),
    ("memory", Part::Request, "memory"),
    ("requests.memory", Part::Request, "memory"),
    ("limits.memory", Part::Limit, "memory"),
];

pub(super) fn check(
    before: &PodSizes,
    after: &PodSizes,
    qos: QosClass,
    around: &Situation<'_>,
    violations: &mut Vec<Violation>,
) {
    for quota in around.quotas.iter().take(MOST).filter(|quota| covers(quota, before, qos)) {
        let name = quota.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name");
        let of = |pointer: &str| {
            let given = quota.pointer(pointer).and_then(Value::as_object);
            amounts(given.into_iter().flatten(), pointer.trim_start_matches('/'))
        };
        let hard = of("/spec/hard");
        let read = hard.and_then(|hard| Ok((hard, of("/status/hard")?, of("/status/used")?)));
        match read {
            Ok((wanted, hard, used)) => {
                Quota { name, wanted, hard, used }.check(before, after, around, violations);
            }
            Err(why) => violations.push(Violation::Unreadable { object: format!("ResourceQuota {name}"), why }),
        }
    }
}

struct Quota<'a> {
    name: &'a str,
    /// The spec.
    wanted: Resources,
    /// The status, which is what admission goes by.
    hard: Resources,
    used: Resources,
}

impl Quota<'_> {
    fn check(&self, before: &PodSizes, after: &PodSizes, around: &Situation<'_>, violations: &mut Vec<Violation>) {
        for (resource, part, counted) in COUNTED {
            let total = |pod: &PodSizes| match part {
                Part::Request => pod.requested(counted),
                Part::Limit => pod.limit(counted),
            };
            let (old, new) = (total(before).unwrap_or(0), total(after).unwrap_or(0));
            // What a rollout has on top is there beside pods of either size.
            let grown = i128::from(new.saturating_sub(old).max(0)) * i128::from(around.pods);
            let needed = grown + i128::from(new) * i128::from(around.surge);
            if needed == 0 || (self.wanted.get(resource).is_none() && self.hard.get(resource).is_none()) || old == new {
                continue;
            }
            let name = self.name.to_owned();
            let resource = resource.to_owned();
            let (Some(hard), Some(used)) = (self.hard.get(&resource), self.used.get(&resource)) else {
                violations.push(Violation::QuotaUnknown { name, resource });
                continue;
            };
            if needed > i128::from(hard.saturating_sub(used)) {
                let needed = i64::try_from(needed).unwrap_or(i64::MAX);
                violations.push(Violation::Quota { name, resource, needed, used, hard, pods: around.pods });
            }
        }
    }
}

/// Returns true if a quota counts such pods. A scope that is not known counts: rather a refusal too many.
fn covers(quota: &Value, pod: &PodSizes, qos: QosClass) -> bool {
    let scopes = quota.pointer("/spec/scopes").and_then(Value::as_array).into_iter().flatten();
    let plain = scopes.filter_map(Value::as_str).all(|scope| in_scope(scope, pod, qos));
    let selected = quota.pointer("/spec/scopeSelector/matchExpressions").and_then(Value::as_array);
    plain && selected.into_iter().flatten().all(|expression| matches(expression, pod, qos))
}

fn in_scope(scope: &str, pod: &PodSizes, qos: QosClass) -> bool {
    match scope {
        "BestEffort" => qos == QosClass::BestEffort,
        "NotBestEffort" => qos != QosClass::BestEffort,
        "Terminating" => pod.has_deadline,
        "NotTerminating" => !pod.has_deadline,
        "PriorityClass" => pod.priority_class.is_some(),
        _ => true,
    }
}

fn matches(expression: &Value, pod: &PodSizes, qos: QosClass) -> bool {
    let text = |field: &str| expression.get(field).and_then(Value::as_str).unwrap_or_default();
    let listed = || {
        let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
        values.filter_map(Value::as_str).any(|value| Some(value) == pod.priority_class.as_deref())
    };
    match (text("scopeName"), text("operator")) {
        ("PriorityClass", "In") => listed(),
        ("PriorityClass", "NotIn") => !listed(),
        ("PriorityClass", "DoesNotExist") => pod.priority_class.is_none(),
        (scope, _) => in_scope(scope, pod, qos),
    }
}
