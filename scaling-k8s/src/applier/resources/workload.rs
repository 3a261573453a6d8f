//! Workloads and their pods, as far as a change of sizes needs them. Pure.

use serde_json::Value;

/// Values of one requirement of a selector, and requirements, that are read.
const MOST: usize = 1000;
/// Pods on top of all others in a rollout, in percent, where a Deployment does not say.
const DEFAULT_SURGE: u64 = 25;

/// The label selector of a workload, as text; none if it has none that is understood. It would select all pods then.
pub(super) fn selector(workload: &Value) -> Option<String> {
    let selector = workload.pointer("/spec/selector")?;
    let mut parts = Vec::new();
    for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten().take(MOST) {
        parts.push(format!("{key}={}", value.as_str()?));
    }
    let requirements = selector.get("matchExpressions").and_then(Value::as_array);
    for requirement in requirements.into_iter().flatten().take(MOST) {
        let key = requirement.get("key")?.as_str()?;
        let values = requirement.get("values").and_then(Value::as_array).into_iter().flatten().take(MOST);
        let values = values.map(Value::as_str).collect::<Option<Vec<_>>>()?.join(",");
        parts.push(match requirement.get("operator")?.as_str()? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

/// Pods that a rollout of this workload has on top of all others for a while.
pub(super) fn surge(workload: &Value, replicas: u32) -> u32 {
    let is_deployment = workload.get("kind").and_then(Value::as_str) == Some("Deployment");
    if !is_deployment || workload.pointer("/spec/strategy/type").and_then(Value::as_str) == Some("Recreate") {
        return 0;
    }
    let surge = workload.pointer("/spec/strategy/rollingUpdate/maxSurge");
    let percent = match surge {
        Some(Value::Number(pods)) => {
            return pods.as_u64().and_then(|pods| u32::try_from(pods).ok()).unwrap_or(u32::MAX);
        }
        Some(Value::String(text)) => text.trim_end_matches('%').parse().unwrap_or(100),
        _ => DEFAULT_SURGE,
    };
    u32::try_from((u64::from(replicas).saturating_mul(percent)).div_ceil(100)).unwrap_or(u32::MAX)
}

/// Reason why a new template would reach no pod, or not all of them, until somebody does something.
pub(super) fn held_back(workload: &Value) -> Option<String> {
    if workload.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return Some("its rollout is paused: a new template would reach no pod until somebody resumes it".to_owned());
    }
    if workload.get("kind").and_then(Value::as_str) != Some("StatefulSet") {
        return None;
    }
    if workload.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete") {
        let why = "its update strategy is OnDelete: a new template would reach a pod once somebody deletes it";
        return Some(why.to_owned());
    }
    let partition = workload.pointer("/spec/updateStrategy/rollingUpdate/partition").and_then(Value::as_u64);
    partition
        .filter(|partition| *partition > 0)
        .map(|partition| format!("its rollout ends at partition {partition}: pods below it would keep their size"))
}

/// Returns true if a pod runs or may yet, and is not on its way out.
pub(super) fn is_active(pod: &Value) -> bool {
    let leaves = pod.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null());
    !leaves && !matches!(pod.pointer("/status/phase").and_then(Value::as_str), Some("Succeeded" | "Failed"))
}

/// UID of an object.
pub(super) fn uid(object: &Value) -> Option<&str> {
    object.pointer("/metadata/uid").and_then(Value::as_str).filter(|uid| !uid.is_empty())
}

/// Returns true if the controller of an object is one of these. A label says only who may look for it.
pub(super) fn is_controlled_by(object: &Value, uids: &[String]) -> bool {
    let references = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controls = |reference: &&Value| reference.get("controller") == Some(&Value::Bool(true));
    let controller = references.into_iter().flatten().find(controls);
    let uid = controller.and_then(|controller| controller.get("uid")).and_then(Value::as_str);
    uid.is_some_and(|uid| uids.iter().any(|known| known == uid))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_is_written_as_the_server_reads_it() {
        let of = |spec: Value| selector(&json!({ "spec": { "selector": spec } }));
        let all = json!({ "matchLabels": { "app": "web" }, "matchExpressions": [
            { "key": "tier", "operator": "In", "values": ["a", "b"] }, { "key": "old", "operator": "DoesNotExist" },
            { "key": "x", "operator": "NotIn", "values": ["c"] }, { "key": "y", "operator": "Exists" } ] });
        assert_eq!(of(all).as_deref(), Some("app=web,tier in (a,b),!old,x notin (c),y"));
        for none in [
            json!({}),
            json!({ "matchLabels": { "app": 3 } }),
            json!({ "matchExpressions": [{ "key": "x", "operator": "Near" }] }),
            json!({ "app": "web" }),
        ] {
            assert_eq!(of(none), None, "it would be all pods of the namespace");
        }
        assert_eq!(selector(&json!({})), None);
    }

    #[test]
    fn a_template_that_reaches_no_pod_is_told() {
        let of = |kind: &str, spec: Value| held_back(&json!({ "kind": kind, "spec": spec }));
        let free =
            [json!({}), json!({ "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } } })];
        for spec in free {
            assert_eq!((of("StatefulSet", spec.clone()), of("Deployment", spec)), (None, None));
        }
        assert!(of("Deployment", json!({ "paused": true })).unwrap().contains("paused"));
        assert!(of("StatefulSet", json!({ "updateStrategy": { "type": "OnDelete" } })).unwrap().contains("OnDelete"));
        let partition = json!({ "updateStrategy": { "rollingUpdate": { "partition": 2 } } });
        assert!(of("StatefulSet", partition).unwrap().contains("partition 2"));
    }

    #[test]
    fn a_rollout_has_as_many_on_top_as_it_says() {
        let of = |strategy: Value| surge(&json!({ "kind": "Deployment", "spec": { "strategy": strategy } }), 10);
        assert_eq!(of(json!(null)), 3);
        assert_eq!(of(json!({ "rollingUpdate": { "maxSurge": 1 } })), 1);
        assert_eq!(of(json!({ "rollingUpdate": { "maxSurge": "50%" } })), 5);
        assert_eq!(of(json!({ "type": "Recreate" })), 0);
        assert_eq!(surge(&json!({ "kind": "StatefulSet" }), 10), 0);
    }
}
