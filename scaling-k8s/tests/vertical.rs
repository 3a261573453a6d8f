//! Sizes of pods: classes, rules of a namespace, and the effect on an HPA. Pure.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "vertical/course.rs"]
mod course;
#[path = "vertical/effect.rs"]
mod effect;
#[path = "support/vertical.rs"]
mod plans;
#[path = "vertical/progress.rs"]
mod progress;
#[path = "vertical/properties.rs"]
mod properties;
#[path = "vertical/rules.rs"]
mod rules;

use scaling_core::ResourceChange;
use scaling_k8s::vertical::{Checked, LimitRule, PodSizes, QosClass, Refused, Resize, Situation, Usage, check};
use serde_json::{Value, json};

/// A pod of one container with these resources.
fn pod(resources: &Value) -> PodSizes {
    PodSizes::of(&json!({ "containers": [{ "name": "app", "resources": resources }] })).unwrap()
}

fn resize(cpu_percent: i32, memory_percent: i32) -> Resize {
    Resize::new("app", ResourceChange { cpu_percent, memory_percent })
}

/// 100 millicores and 100 MiB are used.
fn situation() -> Situation<'static> {
    Situation::new(3, Usage { cpu_millicores: Some(100), memory_bytes: Some(100 << 20) })
}

fn said(answer: Result<Checked, Refused>) -> String {
    answer.unwrap_err().to_string()
}

#[test]
fn the_class_of_a_pod_is_the_servers() {
    let both = json!({ "cpu": "1", "memory": "1Gi" });
    let class = |containers: Value| PodSizes::of(&json!({ "containers": containers })).unwrap().qos();
    let with = |resources: Value| json!({ "name": "app", "resources": resources });
    let cases = [
        (json!([with(json!({}))]), QosClass::BestEffort),
        (json!([{ "name": "app" }]), QosClass::BestEffort),
        (json!([with(json!({ "requests": { "cpu": 0 } }))]), QosClass::BestEffort),
        (json!([with(json!({ "requests": { "nvidia.com/gpu": 1 } }))]), QosClass::BestEffort),
        (json!([with(json!({ "requests": { "cpu": "1m" } }))]), QosClass::Burstable),
        (json!([with(json!({ "limits": both, "requests": both }))]), QosClass::Guaranteed),
        (json!([with(json!({ "limits": both }))]), QosClass::Guaranteed),
        (
            json!([with(json!({ "limits": both, "requests": { "cpu": "1000m", "memory": "1024Mi" } }))]),
            QosClass::Guaranteed,
        ),
        (json!([with(json!({ "limits": both, "requests": { "cpu": "999m" } }))]), QosClass::Burstable),
        (json!([with(json!({ "limits": { "cpu": 1 } }))]), QosClass::Burstable),
        (json!([with(json!({ "limits": both })), { "name": "log" }]), QosClass::Burstable),
    ];
    for (containers, expected) in cases {
        assert_eq!(class(containers.clone()), expected, "{containers}");
    }
    let init = json!({ "containers": [with(json!({ "limits": both }))], "initContainers": [{ "name": "wait" }] });
    assert_eq!(PodSizes::of(&init).unwrap().qos(), QosClass::Burstable, "init containers count");
    let whole = json!({ "containers": [{ "name": "app" }], "resources": { "limits": both } });
    assert_eq!(PodSizes::of(&whole).unwrap().qos(), QosClass::Guaranteed, "of the pod as a whole");
}

#[test]
fn a_pod_requests_what_runs_or_what_starts_whichever_is_more() {
    let with = |name: &str, cpu: &str| json!({ "name": name, "resources": { "requests": { "cpu": cpu } } });
    let mut sidecar = with("proxy", "50m");
    sidecar["restartPolicy"] = "Always".into();
    let sizes = |init: &str| {
        let init = json!([with("first", "10m"), sidecar, with("migrate", init)]);
        PodSizes::of(&json!({ "containers": [with("app", "0.25"), { "name": "log" }], "initContainers": init }))
            .unwrap()
    };
    assert_eq!(sizes("100m").requested("cpu"), Some(300));
    assert_eq!(sizes("2").requested("cpu"), Some(2050));
    assert_eq!((sizes("2").limit("cpu"), sizes("2").requested("memory")), (None, None));
}

#[test]
fn limits_follow_or_stay() {
    let burstable = pod(
        &json!({ "requests": { "cpu": "200m", "memory": "256Mi" }, "limits": { "cpu": "500m", "memory": "512Mi" } }),
    );
    let new = check(&burstable, &resize(50, 25), &situation()).unwrap().new;
    assert_eq!((new.requests.get("cpu"), new.limits.get("cpu")), (Some(300), Some(750)));
    assert_eq!((new.requests.get("memory"), new.limits.get("memory")), (Some(320_000 << 20), Some(640_000 << 20)));
    let new = check(&burstable, &resize(50, 0).limits(LimitRule::Keep), &situation()).unwrap().new;
    assert_eq!((new.requests.get("cpu"), new.limits.get("cpu")), (Some(300), Some(500)));
    let answer = check(&burstable, &resize(200, 0).limits(LimitRule::Keep), &situation());
    assert_eq!(said(answer), "container app: request of cpu 600m is above its limit 500m");

    let guaranteed = pod(&json!({ "limits": { "cpu": "333m", "memory": "512Mi" } }));
    let checked = check(&guaranteed, &resize(7, -10), &situation()).unwrap();
    assert_eq!((checked.qos, checked.sizes.qos()), (QosClass::Guaranteed, QosClass::Guaranteed));
    let answer = check(&guaranteed, &resize(-10, 0).limits(LimitRule::Keep), &situation());
    assert_eq!(said(answer), "the pod would be Burstable and not Guaranteed any more");
}

#[test]
fn nothing_comes_below_what_is_used() {
    let pod = pod(&json!({ "requests": { "cpu": "200m", "memory": "200Mi" }, "limits": { "memory": "200Mi" } }));
    assert!(check(&pod, &resize(-40, -40), &situation()).is_ok(), "120m and 120Mi are just enough");
    let answer = check(&pod, &resize(-41, -41), &situation());
    assert_eq!(
        said(answer),
        "container app: request of cpu 118m is below the 100m that it uses plus 20 %; \
         container app: request of memory 118Mi is below the 100Mi that it uses plus 20 %; \
         container app: limit of memory 118Mi is below the 100Mi that it uses plus 20 %"
    );
    let blind = Situation { usage: Usage { cpu_millicores: None, memory_bytes: Some(0) }, ..situation() };
    let answer = check(&pod, &resize(-1, -1), &blind);
    assert_eq!(said(answer), "container app: it is not known how much cpu it uses, so nothing is lowered");
    assert!(check(&pod, &resize(100, 100), &blind).is_ok(), "and growth needs to know nothing");
}

#[test]
fn what_cannot_be_changed_is_named() {
    let pod = pod(&json!({ "requests": { "cpu": "200m" } }));
    assert_eq!(
        said(check(&pod, &resize(0, 5), &situation())),
        "container app requests no memory: there is nothing to change by percent"
    );
    assert_eq!(
        said(check(&pod, &resize(-100, 0), &situation())),
        "container app: nothing would be left of its request of cpu"
    );
    assert_eq!(
        said(check(&pod, &resize(i32::MIN, 0), &situation())),
        "container app: nothing would be left of its request of cpu"
    );
    let other = Resize::new("log", ResourceChange { cpu_percent: 5, memory_percent: 0 });
    assert_eq!(said(check(&pod, &other, &situation())), "there is no container log that goes on running");
    for amount in [json!("-1"), json!("1Zi"), json!([]), json!(null)] {
        let error =
            PodSizes::of(&json!({ "containers": [{ "name": "app", "resources": { "limits": { "cpu": amount } } }] }));
        assert_eq!(
            error.unwrap_err().to_string(),
            format!("containers[app].resources.limits: {amount} is not an amount of cpu")
        );
    }
}
