//! Replicas over time, before and after a change of requests: cases and laws.

use std::time::Duration;

use proptest::prelude::*;
use scaling_core::hpa::{ControllerConfig, HpaSpec, Resources};
use scaling_k8s::vertical::{Coordinated, Course, Hazard, HpaUsage, Pace, PodSizes, Simulation};
use serde_json::{Value, json};

use crate::pod;

const START_UP: Duration = Duration::from_secs(40);

fn hpa(min: u32, max: u32, metrics: &Value, behavior: &Value) -> HpaSpec {
    let mut spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
        "minReplicas": min, "maxReplicas": max, "metrics": metrics,
    });
    if !behavior.is_null() {
        spec["behavior"] = behavior.clone();
    }
    serde_json::from_value(spec).unwrap()
}

fn share(resource: &str, percent: i32) -> Value {
    json!([{ "type": "Resource", "resource": { "name": resource, "target": { "type": "Utilization", "averageUtilization": percent } } }])
}

fn sized(resource: &str, amount: u32) -> PodSizes {
    let amount = if resource == "cpu" { format!("{amount}m") } else { format!("{amount}Mi") };
    pod(&json!({ "requests": { resource: amount } }))
}

fn used(resource: &str, replicas: u32, of_a_pod: i64) -> HpaUsage {
    let of_a_pod = Resources::from([(resource, of_a_pod)]);
    HpaUsage { replicas, ready: replicas, of_a_pod, ..HpaUsage::default() }
}

fn simulated(spec: &HpaSpec, sizes: (u32, u32), usage: &HpaUsage, pace: Pace) -> Simulation {
    let resource = usage.of_a_pod.names().next().unwrap();
    let (before, after) = (sized(resource, sizes.0), sized(resource, sizes.1));
    Simulation::of(spec, &before, &after, usage, pace, &ControllerConfig::default()).unwrap().unwrap()
}

#[test]
fn a_larger_request_lets_the_hpa_remove_pods_after_its_window() {
    let spec = hpa(2, 40, &share("cpu", 70), &Value::Null);
    let seen = simulated(&spec, (250, 500), &used("cpu", 10, 175), Pace::rollout(START_UP, 10, 3));
    assert_eq!(
        seen.to_string(),
        "simulated without the change: stays at 10 replicas\n\
         simulated with the change: 10 replicas become 5 within 7 min 45 s\n\
         simulated with the change and a target of 35 % of cpu in place of 70 % after 2 min 40 s: stays at 10 replicas"
    );
    assert!(seen.hazards.is_empty() && seen.moves_the_size());
    let json = serde_json::to_value(&seen).unwrap();
    assert_eq!(json["with"]["settled"], 5);
    assert_eq!(json["coordinated"]["targets"][0]["to_percent"], 35);
}

#[test]
fn a_smaller_request_at_once_asks_for_more_than_the_max() {
    let spec = hpa(2, 15, &share("cpu", 70), &Value::Null);
    let usage = used("cpu", 10, 175);
    let seen = simulated(&spec, (250, 130), &usage, Pace::rollout(START_UP, 10, 3));
    assert_eq!(seen.hazards, [Hazard::BeyondMax { max: 15 }]);
    assert_eq!((seen.with.peak, seen.with.settled), (15, Some(15)));
    let coordinated = seen.coordinated.unwrap();
    assert_eq!((coordinated.targets[0].to_percent, coordinated.course.settled), (135, Some(10)));
    assert!(coordinated.hazards.is_empty());
    // Pods that come after a resize in place are made from the template, and so fewer are needed.
    let seen = simulated(&hpa(2, 40, &share("cpu", 70), &Value::Null), (250, 130), &usage, Pace::in_place(START_UP));
    assert_eq!(seen.with.settled, Some(14), "10 of 130m and 4 of 250m, each at 70 %");
}

#[test]
fn memory_that_more_pods_do_not_lower_runs_to_the_max() {
    let spec = hpa(2, 20, &share("memory", 70), &Value::Null);
    let usage = used("memory", 4, (70 << 20) * 1000);
    let seen = simulated(&spec, (100, 80), &usage, Pace::in_place(START_UP));
    assert!(seen.hazards.contains(&Hazard::BeyondMax { max: 20 }) || seen.with.settled > Some(4), "{seen}");
    assert_eq!(seen.coordinated.unwrap().course.settled, Some(4));
}

#[test]
fn a_load_that_swings_flaps_where_small_pods_follow_it() {
    // Below the min the load shows nothing; smaller requests bring every swing up to where the HPA follows it at once.
    let behavior = json!({ "scaleDown": { "stabilizationWindowSeconds": 0, "policies": [{ "type": "Percent", "value": 100, "periodSeconds": 15 }] } });
    let spec = hpa(4, 40, &share("cpu", 70), &behavior);
    let swings: Vec<u32> = (0..80).map(|sync| if sync / 10 % 2 == 0 { 1000 } else { 500 }).collect();
    let usage = HpaUsage { load_permille: swings, ..used("cpu", 4, 87) };
    let seen = simulated(&spec, (250, 50), &usage, Pace::rollout(Duration::ZERO, 4, 4));
    assert_eq!((seen.without.turns, seen.without.settled), (0, Some(4)));
    assert!(matches!(seen.hazards[..], [Hazard::Flaps { turns: 2.., without: 0 }]), "{seen}");
}

/// Two pods are made small where they are. The pods that the HPA then adds are made from the template, five times as large, so that all of
/// them together look idle and it removes them again.
#[test]
fn pods_of_two_sizes_make_an_hpa_flap() {
    let spec = hpa(1, 500, &share("cpu", 36), &Value::Null);
    let usage = used("cpu", 2, 11);
    let seen = simulated(&spec, (50, 10), &usage, Pace::in_place(START_UP));
    assert!(matches!(seen.hazards[..], [Hazard::Flaps { .. }, Hazard::Unsettled { .. }]), "{seen}");
    let rolled = simulated(&spec, (50, 10), &usage, Pace::rollout(START_UP, 2, 1));
    assert!(rolled.hazards.is_empty() && rolled.with.settled == Some(7), "{rolled}");
}

#[test]
fn what_has_no_value_is_left_out_and_alone_it_is_none() {
    let queue = json!({ "type": "External", "external": { "metric": { "name": "queue" }, "target": { "type": "Value", "value": 5 } } });
    let mut metrics = share("cpu", 70);
    metrics.as_array_mut().unwrap().push(queue.clone());
    let seen =
        simulated(&hpa(2, 40, &metrics, &Value::Null), (250, 500), &used("cpu", 10, 175), Pace::in_place(START_UP));
    assert_eq!((seen.unknown, seen.with.settled), (1, Some(5)));
    let of = |metrics: &Value, usage: &HpaUsage| {
        let (before, after) = (sized("cpu", 250), sized("cpu", 500));
        let spec = hpa(2, 40, metrics, &Value::Null);
        Simulation::of(&spec, &before, &after, usage, Pace::in_place(START_UP), &ControllerConfig::default()).unwrap()
    };
    assert_eq!(of(&json!([queue]), &used("cpu", 10, 175)), None);
    assert_eq!(of(&share("cpu", 70), &HpaUsage::default()), None, "no stand-in for a use that nobody measured");
    assert_eq!(of(&share("cpu", 70), &used("cpu", 0, 175)), None, "an HPA at 0 does nothing");
}

fn within(course: &Course, start: u32, bounds: (u32, u32)) -> bool {
    let mut after_the_start = course.replicas.iter().skip(1).map(|(_, replicas)| *replicas);
    after_the_start.all(|replicas| replicas <= bounds.1 && replicas >= bounds.0.min(start))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_laws_of_a_simulation(
        (min, more) in (1_u32..20, 0_u32..60), replicas in 1_u32..80, of_a_pod in 1_i64..2000, target in 10_i32..120,
        (before, after) in (20_u32..1000, 20_u32..1000), start_up in 0_u64..300, rollout in any::<bool>(),
        load in prop::collection::vec(0_u32..3000, 0..40),
    ) {
        let bounds = (min, min + more);
        let replicas = replicas.clamp(bounds.0, bounds.1);
        let spec = hpa(bounds.0, bounds.1, &share("cpu", target), &Value::Null);
        let usage = HpaUsage { load_permille: load, ..used("cpu", replicas, of_a_pod) };
        let start_up = Duration::from_secs(start_up);
        let pace = if rollout { Pace::rollout(start_up, replicas, 1) } else { Pace::in_place(start_up) };
        let seen = simulated(&spec, (before, after), &usage, pace);
        // The same input gives the same course, and no change is no change.
        prop_assert_eq!(&seen, &simulated(&spec, (before, after), &usage, pace));
        let none = simulated(&spec, (before, before), &usage, pace);
        prop_assert_eq!(&none.with, &none.without);
        prop_assert!(none.hazards.is_empty() && none.coordinated.is_none());
        for course in [&seen.without, &seen.with].into_iter().chain(seen.coordinated.as_ref().map(|other| &other.course)) {
            prop_assert!(within(course, replicas, bounds), "{course:?} within {bounds:?}");
            prop_assert!(course.lowest <= course.peak && course.peak <= bounds.1);
            prop_assert!(course.settled.is_none_or(|settled| (course.lowest..=course.peak).contains(&settled)));
            prop_assert!(course.replicas.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 != two[1].1));
            prop_assert!(course.replicas.last().unwrap().0 <= course.settled_after_s);
        }
        // What the HPA does without the change does not hang on it.
        prop_assert_eq!(&seen.without, &none.without);
    }

    /// A larger request is never a reason for more pods, a smaller one never for fewer: at a load that stays, once all is at rest. Of a
    /// rollout; after a resize in place the pods that come later have another size.
    #[test]
    fn the_size_moves_against_the_request(
        replicas in 2_u32..60, utilization in 5_i64..200, target in 20_i32..100, request in 50_u32..1000, percent in 20_u32..300,
    ) {
        let spec = hpa(1, 500, &share("cpu", target), &Value::Null);
        let usage = used("cpu", replicas, (i64::from(request) * utilization / 100).max(1));
        let other = (request * percent / 100).max(1);
        let seen = simulated(&spec, (request, other), &usage, Pace::rollout(START_UP, replicas, 2));
        let (Some(without), Some(with)) = (seen.without.settled, seen.with.settled) else {
            return Err(TestCaseError::fail(format!("a load that stays comes to rest: {seen}")));
        };
        if other > request {
            prop_assert!(with <= without, "{seen}");
        } else if other < request {
            prop_assert!(with >= without, "{seen}");
        }
        // With the coordinated target it stays where it would be, but for the rounding of percents and the tolerance of the controller.
        let exact = |other: &Coordinated| other.targets.iter().all(|target| target.to_percent >= 20);
        if let Some(coordinated) = seen.coordinated.filter(exact) {
            let settled = f64::from(coordinated.course.settled.unwrap());
            let off = (settled - f64::from(without)).abs();
            prop_assert!(off <= 1.0 + 0.3 * f64::from(without), "{settled} instead of {without}");
        }
    }

    #[test]
    fn hostile_numbers_end(
        replicas in any::<u32>(), ready in any::<u32>(), used in any::<i64>(), load in prop::collection::vec(any::<u32>(), 0..5),
        (start_up, pods, surge) in (any::<u64>(), any::<u32>(), any::<u32>()), percent in 1_i32..i32::MAX,
    ) {
        let usage = HpaUsage { replicas, ready, of_a_pod: Resources::from([("cpu", used)]), load_permille: load, ..HpaUsage::default() };
        let spec = hpa(1, u32::try_from(i32::MAX).unwrap(), &share("cpu", percent), &Value::Null);
        let (before, after) = (sized("cpu", u32::MAX), sized("cpu", 1));
        let pace = Pace::rollout(Duration::from_secs(start_up), pods, surge);
        let seen = Simulation::of(&spec, &before, &after, &usage, pace, &ControllerConfig::default()).unwrap();
        prop_assert!(seen.is_none() == (replicas == 0));
    }
}
