//! Utilization while usage of some pods is missing: a mean over the others would lie.

use std::time::Duration;

use scaling_core::source::prometheus::{Backfill, Measure, QueryFault, QuerySet, Verdict};
use scaling_core::{Absence, MetricsSource, Signal, SignalKind, Target};

use super::servers::Data;
use super::{at, both, every};

const KINDS: [SignalKind; 2] = [SignalKind::CpuUtilization, SignalKind::MemoryUtilization];

/// A Deployment of the namespace `shop`.
fn deployment(data: &mut Data, name: &str) {
    let labels = format!(r#"replicaset="{name}-7d",owner_kind="Deployment",owner_name="{name}""#);
    data.add(format!(r#"kube_replicaset_owner{{namespace="shop",{labels}}}"#), every(30, -3600..1, |_| 1.0));
}

/// A pod of it, ready since some second, with containers that each request 1 and use `share` of it up to some second.
fn pod(data: &mut Data, deployment: &str, pod: &str, ready: i64, containers: &[(&str, i64)], share: f64) {
    let pod = format!(r#"namespace="shop",pod="{deployment}-7d-{pod}""#);
    let owner = format!(r#"owner_kind="ReplicaSet",owner_name="{deployment}-7d""#);
    data.add(format!("kube_pod_owner{{{pod},{owner}}}"), every(30, ready..1, |_| 1.0));
    data.add(format!(r#"kube_pod_status_ready{{{pod},condition="true"}}"#), every(30, ready..1, |_| 1.0));
    for (container, until) in containers {
        let labels = format!(r#"{pod},container="{container}""#);
        for resource in ["cpu", "memory"] {
            let selector = format!(r#"kube_pod_container_resource_requests{{{labels},resource="{resource}"}}"#);
            data.add(selector, every(30, ready..1, |_| 1.0));
        }
        let used = |second: i64| (second - ready) as f64 * share;
        data.add(format!("container_cpu_usage_seconds_total{{{labels}}}"), every(30, ready..*until, used));
        data.add(format!("container_memory_working_set_bytes{{{labels}}}"), every(30, ready..*until, |_| share));
    }
}

#[tokio::test]
async fn utilization_is_partial_while_a_pod_that_is_long_ready_does_not_answer() {
    const NEVER: i64 = -3600;
    let mut data = Data::default();
    for name in ["whole", "hidden", "half", "growing", "new", "lost", "modest"] {
        deployment(&mut data, name);
        if name == "new" {
            // All pods are new: those that answer are all that there is.
            pod(&mut data, name, "a", -90, &[("app", 1)], 0.4);
            pod(&mut data, name, "b", -30, &[("app", -30)], 0.4);
            continue;
        }
        let until = if name == "lost" { -600 } else { 1 };
        pod(&mut data, name, "a", NEVER, &[("app", until)], 0.2);
        pod(&mut data, name, "b", NEVER, &[("app", until)], 0.2);
        match name {
            "whole" => pod(&mut data, name, "c", NEVER, &[("app", 1)], 0.8),
            // The hot one is no longer seen.
            "hidden" => pod(&mut data, name, "c", NEVER, &[("app", -600)], 0.8),
            // One of its containers is not seen.
            "half" => pod(&mut data, name, "c", NEVER, &[("app", 1), ("proxy", -600)], 0.8),
            // Ready for less than the window: no usage yet.
            "growing" => pod(&mut data, name, "c", -60, &[("app", -60)], 0.8),
            // One pod requests nothing, so nobody knows its share.
            "modest" => pod(&mut data, name, "c", NEVER, &[], 0.8),
            _ => {}
        }
    }
    let targets = ["whole", "hidden", "half", "growing", "new", "lost", "modest"];
    let targets = targets.map(|name| Target::deployment("shop", name));
    let partial = Signal::Absent(Absence::Partial { covered_percent: 66 });
    for server in both(&data).await {
        let source = server.source(QuerySet::kubernetes());
        let seen = source.observe_all(&targets, at(0)).await;
        for kind in KINDS {
            let said = |place: usize| seen[place].as_ref().map(|seen| seen.current.signal(kind));
            let near = |place: usize, expected: f64| {
                let value = said(place).unwrap().value();
                let near = value.is_some_and(|value| (value - expected).abs() < 0.5);
                assert!(near, "{}: {} {kind} {value:?}", server.name, targets[place]);
            };
            near(0, 40.0);
            near(3, 20.0);
            near(4, 40.0);
            for place in [1, 2, 6] {
                assert_eq!(said(place).unwrap(), partial, "{}: {} {kind}", server.name, targets[place]);
            }
            assert!(said(5).is_err(), "{}: no pod answers", server.name);
        }

        // The past has a gap there, and no lower mean.
        let hour = Backfill { span: Duration::from_secs(1800), pause: Duration::ZERO, ..Backfill::default() };
        let source = server.source(QuerySet::kubernetes());
        let report = source.backfill(&targets[1..2], at(0), hour).await;
        assert!(report.failed.is_empty() && report.partial > 10, "{}: {report:?}", server.name);
        let past = source.observe(&targets[1], at(0)).await.unwrap().history;
        let values: Vec<_> = past.iter().filter_map(|sample| sample.value(KINDS[0])).collect();
        assert!(
            values.len() > 15 && values.iter().all(|value| (value - 40.0).abs() < 0.5),
            "{}: {values:?}",
            server.name
        );

        let checks = source.check(&targets[1], at(0)).await;
        for check in checks.iter().filter(|check| matches!(check.measure, Measure::Signal(_))) {
            let is_partial =
                matches!(&check.verdict, Verdict::Failed(QueryFault::Partial(why)) if why.contains("66 %"));
            assert!(is_partial, "{}: {check}", server.name);
        }
    }
}
