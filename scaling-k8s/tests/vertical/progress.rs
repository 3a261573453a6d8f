//! Plans that are applied again: what of them is left.

use proptest::prelude::*;
use scaling_core::{Bounds, HpaPlan, Target};
use scaling_k8s::vertical::{LimitRule, PodSizes, Resize, Situation, Usage, check};
use serde_json::{Value, json};

use crate::plans;

/// A pod whose first container is the app, and the others beside it.
fn pod(cpu: &[Option<u64>], memory: Option<u64>) -> PodSizes {
    let container = |(nth, cpu): (usize, &Option<u64>)| {
        let name = if nth == 0 { "app".to_owned() } else { format!("c{nth}") };
        let mut requests = json!({});
        if let Some(cpu) = cpu {
            requests["cpu"] = format!("{cpu}m").into();
        }
        if let Some(memory) = memory {
            requests["memory"] = memory.into();
        }
        json!({ "name": name, "resources": { "requests": requests } })
    };
    let containers: Vec<Value> = cpu.iter().enumerate().map(container).collect();
    PodSizes::of(&json!({ "containers": containers })).unwrap()
}

fn plan(pod: &PodSizes, cpu_percent: i32, memory_percent: i32) -> HpaPlan {
    let mut facts = plans::facts();
    let amount = |resource: &str| pod.requested(resource).map(|amount| u64::try_from(amount).unwrap());
    facts.cpu_request_millicores = amount("cpu");
    facts.memory_request_bytes = amount("memory").map(|milli| milli / 1000);
    let target = Target::deployment("shop", "web");
    plans::plan(&target, Bounds::new(2, 6).unwrap(), &facts, cpu_percent, memory_percent)
}

fn left(plan: &HpaPlan, pod: &PodSizes) -> Option<Resize> {
    Resize::remaining(plan, "app", LimitRule::Follow, pod).unwrap()
}

fn made(pod: &PodSizes, resize: &Resize) -> PodSizes {
    let used = Usage { cpu_millicores: Some(0), memory_bytes: Some(0) };
    check(pod, resize, &Situation::new(3, used)).unwrap().sizes
}

#[test]
fn a_plan_of_a_pod_with_several_containers_is_done_once() {
    for (cpu, percent, expected) in [([100, 100], 100, 200), ([200, 100], 20, 240), ([150, 150], -50, 75)] {
        let before = pod(&cpu.map(Some), None);
        let plan = plan(&before, percent, 0);
        let after = made(&before, &left(&plan, &before).expect("nothing is done yet"));
        assert_eq!(after.container("app").unwrap().sizes.requests.get("cpu"), Some(expected));
        assert_eq!(left(&plan, &after), None, "{cpu:?} by {percent} %");
    }
}

#[test]
fn a_plan_for_other_requests_is_stale() {
    let plan = plan(&pod(&[Some(100), Some(100)], None), 50, 0);
    // The first requests as much by itself as the pod of the plan did.
    for cpu in [[200, 100], [100, 200], [120, 100], [10, 500], [0, 100]] {
        let pod = pod(&cpu.map(Some), None);
        let error = Resize::remaining(&plan, "app", LimitRule::Follow, &pod).unwrap_err();
        assert_eq!((error.expected.as_str(), error.container.as_str()), ("200m", "app"), "{cpu:?}: {error}");
        assert_eq!(error.found, format!("{}m", cpu[0] + cpu[1]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn twice_equals_once_and_is_what_the_plan_says(
        app in 1_u64..4000, others in prop::collection::vec(prop::option::of(0_u64..4000), 0..4),
        memory in prop::option::of(1_u64..1 << 36), cpu_percent in -90_i32..300, memory_percent in -90_i32..300,
    ) {
        let memory_percent = if memory.is_some() { memory_percent } else { 0 };
        let cpu: Vec<Option<u64>> = std::iter::once(Some(app)).chain(others).collect();
        let before = pod(&cpu, memory);
        let plan = plan(&before, cpu_percent, memory_percent);
        let once = left(&plan, &before).map_or_else(|| before.clone(), |resize| made(&before, &resize));
        let twice = left(&plan, &once).map_or_else(|| once.clone(), |resize| made(&once, &resize));
        prop_assert_eq!(&twice, &once);
        let amount = |pod: &PodSizes| pod.container("app").unwrap().sizes.requests.get("cpu").unwrap();
        let wanted = (i64::try_from(app).unwrap() * i64::from(100 + cpu_percent)).div_euclid(100);
        prop_assert!((wanted..=wanted + 1).contains(&amount(&once)), "{} for {wanted}", amount(&once));
    }
}
