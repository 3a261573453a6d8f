//! What the real controller is shown.

use serde_json::{Value, json};

use crate::support::aggregated::Reading;
use crate::world::{Action, Scenario};
use Action::{Apply, Edit, Rollout, Scale, Set};
use Reading::{Fails, PerPod, Series, Shared};

const QUEUE: &str = "queue";

/// An HPA over an external metric of 10 for each replica.
fn queue(min: u32, max: u32) -> Value {
    json!({ "minReplicas": min, "maxReplicas": max, "metrics": [external(QUEUE, "averageValue", "10")] })
}

fn with_behavior(mut hpa: Value, behavior: &Value) -> Value {
    hpa["behavior"] = behavior.clone();
    hpa
}

fn external(name: &str, field: &str, target: &str) -> Value {
    let kind = if field == "value" { "Value" } else { "AverageValue" };
    json!({ "type": "External", "external": { "metric": { "name": name }, "target": { "type": kind, field: target } } })
}

fn utilization(resource: &str, percent: u32) -> Value {
    let target = json!({ "type": "Utilization", "averageUtilization": percent });
    json!({ "type": "Resource", "resource": { "name": resource, "target": target } })
}

fn metrics(min: u32, max: u32, metrics: &[Value]) -> Value {
    json!({ "minReplicas": min, "maxReplicas": max, "metrics": metrics })
}

/// A queue of so many entries.
fn waiting(entries: i64) -> Reading {
    Series(vec![entries * 1000])
}

/// The queue holds each of these for `every` syncs, one after the other.
fn queue_of(name: &'static str, hpa: Value, every: usize, entries: &[i64]) -> Scenario {
    let steps = entries.iter().enumerate().skip(1).map(|(place, one)| (place * every, Set(QUEUE, waiting(*one))));
    let readings = vec![(QUEUE, waiting(entries[0]))];
    Scenario { name, replicas: 3, hpa, readings, steps: steps.collect(), syncs: entries.len() * every + 6 }
}

fn policy(kind: &str, value: u32, period: u32) -> Value {
    json!({ "type": kind, "value": value, "periodSeconds": period })
}

pub(crate) fn all() -> Vec<Scenario> {
    [loads(), speeds(), absences(), bounds(), pods(), zero()].into_iter().flatten().collect()
}

/// Steps, ramps and what the tolerance does with them.
fn loads() -> Vec<Scenario> {
    let tolerant = json!({ "scaleUp": { "tolerance": "300m" }, "scaleDown": { "tolerance": "0", "stabilizationWindowSeconds": 0 } });
    vec![
        queue_of("step-up-and-down", queue(1, 30), 8, &[30, 200, 20]),
        queue_of("ramp-up", queue(1, 30), 2, &[30, 45, 60, 80, 110, 150, 190, 240]),
        queue_of("ramp-down", queue(1, 30), 2, &[200, 160, 130, 100, 80, 60, 40, 20, 10, 10]),
        queue_of("saw", queue(1, 30), 3, &[30, 120, 30, 120, 30, 120]),
        queue_of("impulses", queue(1, 30), 1, &[30, 300, 30, 30, 30, 200, 30, 30, 30, 30, 100, 30]),
        queue_of("beyond-the-bounds", queue(2, 8), 6, &[30, 5000, 0]),
        queue_of("on-the-edge-of-tolerance", queue(1, 30), 4, &[30, 33, 34, 28, 27, 26]),
        queue_of("own-tolerance", with_behavior(queue(1, 30), &tolerant), 4, &[30, 38, 39, 40, 49, 60, 52]),
        queue_of("total-target", metrics(1, 30, &[external(QUEUE, "value", "60")]), 5, &[60, 90, 60, 30]),
        Scenario {
            steps: vec![(5, Set(QUEUE, Series(vec![20_000, 30_500, 40_001]))), (10, Set(QUEUE, Series(vec![1, 1, 1])))],
            ..queue_of("several-series", queue(1, 30), 8, &[30, 30])
        },
        Scenario {
            readings: vec![(QUEUE, waiting(30)), ("topics", waiting(10))],
            steps: vec![
                (4, Set("topics", waiting(400))),
                (8, Set(QUEUE, waiting(150))),
                (12, Set("topics", waiting(10))),
            ],
            ..queue_of(
                "two-metrics",
                metrics(1, 30, &[external(QUEUE, "averageValue", "10"), external("topics", "averageValue", "50")]),
                12,
                &[30, 30],
            )
        },
    ]
}

/// Policies and windows of `behavior`.
fn speeds() -> Vec<Scenario> {
    let ups = |policies: &[Value], select: &str| json!({ "scaleUp": { "policies": policies, "selectPolicy": select }, "scaleDown": { "stabilizationWindowSeconds": 2 } });
    let downs = |window: u32, policies: &[Value]| json!({ "scaleDown": { "stabilizationWindowSeconds": window, "policies": policies } });
    vec![
        queue_of("pods-up", with_behavior(queue(1, 30), &ups(&[policy("Pods", 2, 3)], "Max")), 14, &[30, 150]),
        queue_of("percent-up", with_behavior(queue(1, 30), &ups(&[policy("Percent", 50, 4)], "Max")), 14, &[30, 250]),
        queue_of(
            "least-of-two-up",
            with_behavior(queue(1, 30), &ups(&[policy("Pods", 3, 4), policy("Percent", 60, 3)], "Min")),
            14,
            &[30, 250],
        ),
        queue_of("never-up", with_behavior(queue(1, 30), &ups(&[policy("Pods", 9, 9)], "Disabled")), 6, &[30, 250, 20]),
        queue_of(
            "never-down",
            with_behavior(queue(1, 30), &json!({ "scaleDown": { "selectPolicy": "Disabled" } })),
            7,
            &[30, 120, 10],
        ),
        queue_of("pods-down", with_behavior(queue(1, 30), &downs(0, &[policy("Pods", 1, 2)])), 8, &[90, 90, 10, 10]),
        queue_of(
            "percent-down",
            with_behavior(queue(1, 30), &downs(1, &[policy("Percent", 25, 3)])),
            8,
            &[160, 160, 10, 10],
        ),
        queue_of(
            "window-up",
            with_behavior(
                queue(1, 30),
                &json!({ "scaleUp": { "stabilizationWindowSeconds": 4 }, "scaleDown": { "stabilizationWindowSeconds": 1 } }),
            ),
            2,
            &[30, 120, 30, 30, 120, 120, 120, 60, 60, 120],
        ),
        queue_of(
            "window-down",
            with_behavior(queue(1, 30), &json!({ "scaleDown": { "stabilizationWindowSeconds": 3 } })),
            2,
            &[30, 120, 30, 120, 30, 30, 30, 90, 30],
        ),
        queue_of("empty-behavior", with_behavior(queue(1, 30), &json!({ "scaleUp": {} })), 5, &[30, 150, 60, 30]),
        Scenario {
            steps: vec![
                (6, Set(QUEUE, waiting(20))),
                (8, Edit(json!({ "behavior": { "scaleDown": { "stabilizationWindowSeconds": 6 } } }))),
                (16, Edit(json!({ "behavior": null }))),
                (18, Set(QUEUE, waiting(150))),
                (20, Edit(json!({ "behavior": { "scaleUp": { "policies": [policy("Pods", 1, 2)] } } }))),
            ],
            syncs: 26,
            ..queue_of("edited-behavior", with_behavior(queue(1, 30), &downs(2, &[policy("Pods", 1, 2)])), 26, &[90])
        },
    ]
}

/// Metrics that are not there, for a while or for good.
fn absences() -> Vec<Scenario> {
    let two = metrics(1, 30, &[external(QUEUE, "averageValue", "10"), external("topics", "averageValue", "50")]);
    vec![
        Scenario {
            readings: vec![],
            steps: vec![(6, Set(QUEUE, waiting(80)))],
            ..queue_of("late-metric", queue(1, 30), 12, &[0])
        },
        Scenario {
            steps: vec![(4, Set(QUEUE, waiting(90))), (8, Set(QUEUE, Fails(500))), (16, Set(QUEUE, waiting(10)))],
            ..queue_of("outage", queue(1, 30), 24, &[30])
        },
        Scenario {
            readings: vec![(QUEUE, waiting(60)), ("topics", waiting(10))],
            steps: vec![
                (8, Set("topics", Fails(503))),
                (10, Set(QUEUE, waiting(20))),
                (14, Set(QUEUE, waiting(120))),
                (17, Set(QUEUE, waiting(20))),
                (20, Set("topics", waiting(50))),
            ],
            ..queue_of("one-of-two-fails", two, 24, &[30])
        },
        Scenario { steps: vec![(5, Set(QUEUE, Series(vec![])))], ..queue_of("empty-answer", queue(1, 30), 10, &[60]) },
        Scenario {
            steps: vec![
                (4, Set(QUEUE, Fails(500))),
                (7, Apply { pods: 3, wanted: 16 }),
                (12, Apply { pods: 8, wanted: 2 }),
                (15, Set(QUEUE, waiting(10))),
            ],
            ..queue_of("floor-in-an-outage", queue(2, 20), 22, &[30])
        },
    ]
}

/// Bounds that move while the controller runs.
fn bounds() -> Vec<Scenario> {
    let slow = json!({ "scaleDown": { "stabilizationWindowSeconds": 1, "policies": [policy("Pods", 2, 2)] } });
    vec![
        floor("floor", queue(2, 10)),
        floor("floor-with-behavior", with_behavior(queue(2, 10), &slow)),
        Scenario {
            steps: vec![(4, Apply { pods: 3, wanted: 16 }), (7, Set(QUEUE, waiting(140)))],
            ..queue_of(
                "floor-charged-to-growth",
                with_behavior(queue(2, 20), &json!({ "scaleUp": { "policies": [policy("Pods", 2, 6)] } })),
                18,
                &[30],
            )
        },
        Scenario {
            steps: vec![
                (5, Edit(json!({ "maxReplicas": 4 }))),
                (10, Edit(json!({ "maxReplicas": 20 }))),
                (14, Set(QUEUE, waiting(20))),
            ],
            ..queue_of("max-below-what-runs", with_behavior(queue(2, 20), &slow), 22, &[120])
        },
        Scenario {
            steps: vec![
                (4, Edit(json!({ "minReplicas": 6, "maxReplicas": 6 }))),
                (8, Set(QUEUE, waiting(100))),
                (12, Edit(json!({ "minReplicas": 2, "maxReplicas": 20 }))),
            ],
            ..queue_of("pinned", queue(2, 20), 18, &[40])
        },
        Scenario {
            steps: vec![(5, Scale(9)), (9, Scale(1)), (13, Scale(40))],
            ..queue_of("scaled-by-hand", queue(2, 20), 18, &[50])
        },
    ]
}

/// A floor of 8 is raised by the applier and given back.
fn floor(name: &'static str, hpa: Value) -> Scenario {
    Scenario {
        steps: vec![(5, Apply { pods: 3, wanted: 16 }), (12, Apply { pods: 8, wanted: 2 })],
        ..queue_of(name, hpa, 24, &[30])
    }
}

/// Metrics of the pods, which follow their number, and rollouts.
fn pods() -> Vec<Scenario> {
    let per_pod = json!({ "type": "Pods", "pods": { "metric": { "name": "busy" }, "target": { "type": "AverageValue", "averageValue": "4" } } });
    let object = |field: &str, kind: &str| {
        let of = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" });
        json!({ "type": "Object", "object": {
            "metric": { "name": "hits" }, "describedObject": of, "target": { "type": kind, field: "20" } } })
    };
    let container = json!({ "type": "ContainerResource", "containerResource": {
        "name": "cpu", "container": "web", "target": { "type": "Utilization", "averageUtilization": 60 } } });
    let quiet = json!({ "scaleDown": { "stabilizationWindowSeconds": 2 } });
    let of = |name, hpa, readings, steps, syncs| Scenario { name, replicas: 3, hpa, readings, steps, syncs };
    let cpu = |percent| metrics(1, 12, &[utilization("cpu", percent)]);
    vec![
        of(
            "cpu",
            cpu(50),
            vec![("cpu", Shared(300))],
            vec![(6, Set("cpu", Shared(800))), (12, Set("cpu", Shared(150)))],
            24,
        ),
        of(
            "cpu-with-missing-samples",
            with_behavior(cpu(50), &quiet),
            vec![("cpu", PerPod(|place, _| (place % 3 != 2).then_some(90)))],
            vec![
                (9, Set("cpu", PerPod(|place, _| (place % 3 != 2).then_some(220)))),
                (15, Set("cpu", PerPod(|place, _| (place == 0).then_some(10)))),
            ],
            22,
        ),
        of(
            "cpu-fails",
            cpu(50),
            vec![("cpu", Shared(300))],
            vec![(6, Set("cpu", Fails(503))), (10, Set("cpu", Shared(500)))],
            16,
        ),
        of(
            "cpu-and-memory",
            metrics(1, 12, &[utilization("cpu", 50), utilization("memory", 70)]),
            vec![("cpu", Shared(200)), ("memory", PerPod(|_, _| Some(90 * 1024 * 1024 * 1000)))],
            vec![
                (7, Set("memory", PerPod(|_, _| Some(170 * 1024 * 1024 * 1000)))),
                (12, Set("memory", PerPod(|_, _| None))),
            ],
            18,
        ),
        of(
            "container-cpu",
            metrics(1, 12, &[container]),
            vec![("cpu", Shared(180))],
            vec![(6, Set("cpu", Shared(420)))],
            16,
        ),
        of(
            "per-pod-metric",
            with_behavior(metrics(1, 12, &[per_pod]), &quiet),
            vec![("busy", Shared(12_000))],
            vec![
                (5, Set("busy", Shared(30_000))),
                (11, Set("busy", PerPod(|place, _| (place % 2 == 0).then_some(1000)))),
            ],
            20,
        ),
        of(
            "object-total",
            metrics(1, 12, &[object("value", "Value")]),
            vec![("hits", waiting(20))],
            vec![(5, Set("hits", waiting(34))), (8, Set("hits", waiting(21))), (12, Set("hits", waiting(5)))],
            20,
        ),
        of(
            "object-per-replica",
            metrics(1, 12, &[object("averageValue", "AverageValue")]),
            vec![("hits", waiting(60))],
            vec![(5, Set("hits", waiting(140))), (10, Set("hits", Fails(404)))],
            16,
        ),
        Scenario {
            steps: vec![(5, Rollout), (9, Set(QUEUE, waiting(90))), (10, Apply { pods: 6, wanted: 20 })],
            ..queue_of("rollout", queue(2, 20), 18, &[60])
        },
        of(
            "rollout-under-cpu",
            cpu(50),
            vec![("cpu", Shared(400))],
            vec![(8, Rollout), (12, Set("cpu", Shared(600)))],
            20,
        ),
    ]
}

/// Nothing runs: by the controller's own doing, or by somebody else's.
fn zero() -> Vec<Scenario> {
    vec![
        Scenario {
            steps: vec![
                (4, Set(QUEUE, waiting(0))),
                (13, Set(QUEUE, waiting(25))),
                (17, Set(QUEUE, waiting(0))),
                (25, Edit(json!({ "minReplicas": 2 }))),
            ],
            ..queue_of("to-zero-and-back", queue(0, 10), 28, &[20])
        },
        Scenario {
            steps: vec![(4, Scale(0)), (8, Apply { pods: 0, wanted: 8 }), (12, Scale(1))],
            ..queue_of("paused-by-hand", queue(1, 10), 16, &[30])
        },
    ]
}
