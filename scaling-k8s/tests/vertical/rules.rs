//! LimitRanges and ResourceQuotas.

use scaling_k8s::vertical::{Situation, check};
use serde_json::{Value, json};

use crate::{pod, resize, said, situation};

fn range(kind: &str, rules: Value) -> Value {
    let mut item = rules;
    item["type"] = kind.into();
    json!({ "metadata": { "name": "small" }, "spec": { "limits": [{ "type": "PersistentVolumeClaim", "max": { "storage": "1Gi" } }, item] } })
}

fn quota(hard: &Value, used: &Value) -> Value {
    json!({ "metadata": { "name": "team" }, "spec": { "hard": hard }, "status": { "hard": hard, "used": used } })
}

#[test]
fn a_limit_range_is_kept_as_the_server_keeps_it() {
    let with = pod(&json!({ "requests": { "cpu": "200m" }, "limits": { "cpu": "400m" } }));
    let without = pod(&json!({ "requests": { "cpu": "200m" } }));
    let cases = [
        ("Container", json!({ "max": { "cpu": "600m" } }), 50, ""),
        (
            "Container",
            json!({ "max": { "cpu": "599m" } }),
            50,
            "container app: limit of cpu 600m is above the max 599m of LimitRange small",
        ),
        (
            "Container",
            json!({ "min": { "cpu": "190m" } }),
            -10,
            "container app: request of cpu 180m is below the min 190m of LimitRange small",
        ),
        (
            "Container",
            json!({ "min": { "memory": "1Mi" } }),
            10,
            "container app: no request of memory against the min 1Mi of LimitRange small",
        ),
        ("Container", json!({ "maxLimitRequestRatio": { "cpu": 2 } }), 50, ""),
        (
            "Container",
            json!({ "maxLimitRequestRatio": { "cpu": "1.5" } }),
            50,
            "container app: limit of cpu 2 requests is above the ratio 1.5 requests of LimitRange small",
        ),
        (
            "Pod",
            json!({ "max": { "cpu": "599m" } }),
            50,
            "the pod: limit of cpu 600m is above the max 599m of LimitRange small",
        ),
        ("Pod", json!({ "max": { "cpu": "oops" } }), 50, "LimitRange small: max: \"oops\" is not an amount of cpu"),
    ];
    for (kind, rules, percent, expected) in cases {
        let ranges = [range(kind, rules)];
        let around = Situation { limit_ranges: &ranges, ..situation() };
        let found = check(&with, &resize(percent, 0), &around).err().map(|refused| refused.to_string());
        assert_eq!(found.unwrap_or_default(), expected, "{ranges:?}");
    }
    let ranges = [range("Container", json!({ "max": { "cpu": 4 } }))];
    let around = Situation { limit_ranges: &ranges, ..situation() };
    assert_eq!(
        said(check(&without, &resize(10, 0), &around)),
        "container app: no limit of cpu against the max 4 of LimitRange small"
    );
}

#[test]
fn a_quota_has_room_for_all_pods_of_the_workload() {
    let pods = pod(&json!({ "requests": { "cpu": "200m", "memory": "200Mi" }, "limits": { "cpu": "400m" } }));
    let asked = |hard: Value, used: Value, surge: u32, cpu: i32| {
        let quotas = [quota(&hard, &used)];
        let around = Situation { quotas: &quotas, surge, ..situation() };
        check(&pods, &resize(cpu, 0), &around).err().map(|refused| refused.to_string()).unwrap_or_default()
    };
    // Three pods take 100m more each.
    assert_eq!(asked(json!({ "requests.cpu": "1300m" }), json!({ "requests.cpu": 1 }), 0, 50), "");
    assert_eq!(
        asked(json!({ "requests.cpu": "1299m" }), json!({ "requests.cpu": 1 }), 0, 50),
        "requests.cpu: 300m more for 3 pods, and 1 of 1299m of ResourceQuota team are used"
    );
    assert_eq!(
        asked(json!({ "cpu": "1300m" }), json!({ "cpu": 1 }), 1, 50),
        "cpu: 600m more for 3 pods, and 1 of 1300m of ResourceQuota team are used",
        "a rollout has one pod of the new size on top"
    );
    assert!(
        asked(json!({ "limits.cpu": "2" }), json!({ "limits.cpu": "1.5" }), 0, 50).starts_with("limits.cpu: 600m more")
    );
    assert_eq!(
        asked(json!({ "cpu": 1 }), json!({}), 0, 50),
        "cpu: ResourceQuota team does not say yet how much is used"
    );
    assert_eq!(
        asked(json!({ "memory": "1Mi" }), json!({ "memory": "1Gi" }), 0, 50),
        "",
        "what does not change needs no room"
    );
    assert_eq!(asked(json!({ "cpu": 1 }), json!({ "cpu": 5 }), 0, -10), "", "less fits where more does not");
}

#[test]
fn a_quota_counts_the_pods_of_its_scopes() {
    let pods = pod(&json!({ "requests": { "cpu": "200m" } }));
    let refused = |scope: Value| {
        let mut quota = quota(&json!({ "cpu": 1 }), &json!({ "cpu": 1 }));
        quota["spec"].as_object_mut().unwrap().extend(scope.as_object().unwrap().clone());
        let quotas = [quota];
        check(&pods, &resize(50, 0), &Situation { quotas: &quotas, ..situation() }).is_err()
    };
    assert!(
        refused(json!({}))
            && refused(json!({ "scopes": ["NotBestEffort"] }))
            && refused(json!({ "scopes": ["NotTerminating"] }))
    );
    assert!(
        !refused(json!({ "scopes": ["BestEffort"] }))
            && !refused(json!({ "scopes": ["NotBestEffort", "Terminating"] }))
    );
    let by_class = |operator: &str| json!({ "scopeSelector": { "matchExpressions": [{ "scopeName": "PriorityClass", "operator": operator, "values": ["high"] }] } });
    assert!(
        !refused(by_class("In"))
            && !refused(by_class("Exists"))
            && refused(by_class("NotIn"))
            && refused(by_class("DoesNotExist"))
    );
    assert!(refused(json!({ "scopes": ["OfAnotherYear"] })), "rather a refusal too many");
}
