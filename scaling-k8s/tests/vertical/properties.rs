//! Laws of arbitrary pods, rules and changes.

use proptest::prelude::*;
use scaling_core::ResourceChange;
use scaling_core::hpa::{ControllerConfig, HpaSpec, Resources};
use scaling_k8s::vertical::{Effect, HpaUsage, LimitRule, PodSizes, Resize, Situation, Usage, check};
use serde_json::{Value, json};

fn amounts() -> impl Strategy<Value = Value> {
    let some = prop::option::weighted(
        0.7,
        prop_oneof![4 => 1_u64..4000, 1 => Just(0), 1 => any::<u64>().prop_map(|n| n >> 2)],
    );
    (some.clone(), some).prop_map(|(cpu, memory)| {
        let mut amounts = json!({});
        if let Some(cpu) = cpu {
            amounts["cpu"] = format!("{cpu}m").into();
        }
        if let Some(memory) = memory {
            amounts["memory"] = format!("{}", memory.saturating_mul(1 << 16)).into();
        }
        amounts
    })
}

fn a_pod() -> impl Strategy<Value = Value> {
    let container = (amounts(), amounts(), any::<bool>());
    prop::collection::vec(container, 1..4).prop_map(|all| {
        let containers: Vec<Value> = all
            .into_iter()
            .enumerate()
            .map(|(nth, (requests, limits, guaranteed))| {
                let name = if nth == 0 { "app".to_owned() } else { format!("c{nth}") };
                let resources = if guaranteed {
                    json!({ "limits": limits })
                } else {
                    json!({ "requests": requests, "limits": limits })
                };
                json!({ "name": name, "resources": resources })
            })
            .collect();
        json!({ "containers": containers })
    })
}

fn a_resize() -> impl Strategy<Value = Resize> {
    let percent = || prop_oneof![4 => -60_i32..150, 1 => Just(0), 1 => any::<i32>()];
    (percent(), percent(), any::<bool>()).prop_map(|(cpu_percent, memory_percent, keep)| {
        let rule = if keep { LimitRule::Keep } else { LimitRule::Follow };
        Resize::new("app", ResourceChange { cpu_percent, memory_percent }).limits(rule)
    })
}

/// JSON of any shape, with the words that matter in it.
fn anything() -> impl Strategy<Value = Value> {
    const WORDS: [&str; 16] = [
        "containers",
        "resources",
        "requests",
        "limits",
        "cpu",
        "memory",
        "name",
        "app",
        "spec",
        "status",
        "hard",
        "used",
        "type",
        "Container",
        "min",
        "max",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(&WORDS[..]).prop_map(Value::from),
        "[0-9a-zA-Z.-]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(&WORDS[..]), inner), 0..5).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_allowed_keeps_class_limits_use_and_room(
        pod in a_pod(), resize in a_resize(), pods in 0_u32..50, surge in 0_u32..5,
        used in prop::option::of(0_u64..3000), hard in 0_u64..200_000, spent in 0_u64..200_000, max in 1_u64..6000,
    ) {
        let before = PodSizes::of(&pod).unwrap();
        let quotas = [json!({ "metadata": { "name": "q" }, "spec": { "hard": { "cpu": format!("{hard}m") } },
            "status": { "hard": { "cpu": format!("{hard}m") }, "used": { "cpu": format!("{spent}m") } } })];
        let ranges = [json!({ "metadata": { "name": "r" }, "spec": { "limits": [{ "type": "Pod", "max": { "cpu": format!("{max}m") } }] } })];
        let usage = Usage { cpu_millicores: used, memory_bytes: used.map(|used| used << 16) };
        let free = Situation { surge, ..Situation::new(pods, usage) };
        let around = Situation { quotas: &quotas, limit_ranges: &ranges, ..free };
        let Ok(checked) = check(&before, &resize, &around) else { return Ok(()) };
        prop_assert!(check(&before, &resize, &free).is_ok(), "rules only take away");
        let old = &before.container("app").unwrap().sizes;
        prop_assert_eq!(checked.sizes.qos(), before.qos());
        for resource in ["cpu", "memory"] {
            let (was, is) = (old.requests.get(resource), checked.new.requests.get(resource));
            let changed = was != is;
            if let (true, Some(limit)) = (changed, checked.new.limits.get(resource)) {
                prop_assert!(is.unwrap() <= limit);
            }
            if is < was {
                let used = usage.cpu_millicores.unwrap();
                let used = if resource == "cpu" { used } else { (used << 16) * 1000 };
                prop_assert!(i128::from(is.unwrap()) * 100 >= i128::from(used) * 120);
            }
            if resource == "memory" && changed {
                prop_assert_eq!(is.unwrap() % 1000, 0, "whole bytes");
            }
        }
        for other in before.containers().iter().filter(|container| container.name != "app") {
            prop_assert_eq!(checked.sizes.container(&other.name), Some(other));
        }
        let (was, is) = (before.requested("cpu").unwrap_or(0), checked.sizes.requested("cpu").unwrap_or(0));
        if is > was {
            let more = i128::from(is - was) * i128::from(pods) + i128::from(is) * i128::from(surge);
            prop_assert!(more == 0 || i128::from(spent) + more <= i128::from(hard));
        }
        prop_assert!(checked.sizes.limit("cpu").is_some_and(|limit| limit <= i64::try_from(max).unwrap()));
    }

    #[test]
    fn nothing_that_is_read_makes_it_panic(pod in anything(), range in anything(), quota in anything(), resize in a_resize()) {
        let pods = PodSizes::of(&pod);
        let pods = pods.unwrap_or_else(|_| PodSizes::of(&json!({ "containers": [{ "name": "app", "resources": { "requests": { "cpu": 1 } } }] })).unwrap());
        let (ranges, quotas) = ([range.clone(), json!({ "spec": { "limits": [range] } })], [quota]);
        let around = Situation { limit_ranges: &ranges, quotas: &quotas, ..Situation::new(u32::MAX, Usage::default()) };
        let _ = check(&pods, &resize, &around).map_err(|refused| refused.to_string());
    }

    #[test]
    fn a_larger_request_never_makes_an_hpa_want_more(
        request in 1_i64..4000, percent in 1_i32..300, used in 0_i64..8000, pods in 1_u32..60, target in 1_i32..150,
    ) {
        let before = PodSizes::of(&json!({ "containers": [{ "name": "app", "resources": { "requests": { "cpu": format!("{request}m") } } }] })).unwrap();
        let resize = Resize::new("app", ResourceChange { cpu_percent: percent, memory_percent: 0 });
        let after = check(&before, &resize, &Situation::new(pods, Usage::default())).unwrap().sizes;
        let spec: HpaSpec = serde_json::from_value(json!({
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" }, "maxReplicas": 100,
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": target } } }],
        })).unwrap();
        let usage = HpaUsage { replicas: pods, ready: pods, of_a_pod: Resources::from([("cpu", used)]), ..HpaUsage::default() };
        let effect = Effect::of(&spec, &before, &after, &usage, &ControllerConfig::default()).unwrap();
        prop_assert!(effect.after <= effect.before, "{effect}");
        prop_assert!(effect.metrics[0].same_use_percent <= target, "{effect:?}");
        let same = Effect::of(&spec, &before, &before, &usage, &ControllerConfig::default()).unwrap();
        prop_assert!(!same.moves_the_size() && same.before == effect.before);
    }
}
