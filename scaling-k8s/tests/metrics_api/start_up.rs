//! Start-up times, measured.

use proptest::prelude::*;
use scaling_core::MetricsSource;
use scaling_core::WorkloadFacts;
use scaling_core::chrono::TimeDelta;
use scaling_k8s::metrics_api::{MetricsApi, WorkloadMetrics};
use std::time::Duration;

use super::fake_cluster::{FakeCluster, at, pod, sample, workload};
use super::web;

/// Pods that are made one after the other, each ready so many seconds later, seen each 15 s.
async fn rolled(source: &MetricsApi, fake: &FakeCluster, takes: &[i64]) {
    for (number, takes) in (0_i64..).zip(takes) {
        let made = 100 + number * 600;
        for after in [15, 30, 300] {
            let ready = Some(*takes).filter(|takes| *takes <= after);
            let (name, created) = (format!("web-{number}"), at(made));
            {
                let mut state = fake.state();
                state.pods = vec![pod(&name, "web", created, ready)];
                state.usage = vec![sample(&name, at(made + after), 1, 1)];
            }
            let _ = source.observe(&web(), at(made + after)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn starts_that_were_seen_replace_those_that_were_found() {
    let fake = FakeCluster::web(at(0));
    // Ready again after a network failure, two days after they were made: more than any start takes, and so no start.
    for found in &mut fake.state().pods {
        *found = pod(found["metadata"]["name"].as_str().unwrap(), "web", at(-172_800), Some(172_000));
    }
    let source = MetricsApi::new(fake.client());
    let seen = source.observe(&web(), at(0)).await.unwrap();
    assert_eq!((seen.facts.start_up, source.start_up(&web())), (WorkloadFacts::default().start_up, None));
    rolled(&source, &fake, &[40, 44, 42, 41, 200]).await;
    let times = source.start_up(&web()).unwrap();
    assert_eq!((times.starts, times.from_creation.as_secs()), (5, 200));
    assert_eq!(times.from_scheduling, Some(Duration::from_secs(198)));
    let seen = source.observe(&web(), at(9000)).await.unwrap();
    assert_eq!(seen.facts.start_up, Duration::from_secs(200));
    // Nine in ten are about 40 s: the one that took 200 is beyond the quantile.
    rolled(&source, &fake, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn one_slow_start_in_twenty_is_beyond_the_quantile() {
    let fake = FakeCluster::web(at(0));
    fake.state().pods.clear();
    let source = MetricsApi::new(fake.client());
    source.observe(&web(), at(0)).await.unwrap();
    let mut takes = [42_i64; 20];
    takes[7] = 290;
    rolled(&source, &fake, &takes).await;
    assert_eq!(source.start_up(&web()).unwrap().from_creation, Duration::from_secs(42));
}

#[tokio::test(start_paused = true)]
async fn a_readiness_that_was_lost_and_came_back_is_no_start() {
    let fake = FakeCluster::web(at(0));
    let source = MetricsApi::new(fake.client());
    source.observe(&web(), at(0)).await.unwrap();
    let before = source.start_up(&web()).unwrap();
    // The same pods, unready and ready again 500 s after.
    for ready in [None, Some(4_100)] {
        for known in &mut fake.state().pods {
            let name = known["metadata"]["name"].as_str().unwrap().to_owned();
            *known = pod(&name, "web", at(-3600), ready);
        }
        source.observe(&web(), at(if ready.is_some() { 600 } else { 300 })).await.unwrap();
    }
    assert_eq!(source.start_up(&web()), Some(before));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_states_it_is_believed() {
    let fake = FakeCluster::web(at(0));
    let mut facts = WorkloadFacts::default();
    facts.start_up = Duration::from_secs(7);
    let mut metrics = WorkloadMetrics::default().with_facts(facts);
    metrics.measure_start_up = false;
    let source = MetricsApi::new(fake.client()).with_workload(web(), metrics).unwrap();
    assert_eq!(source.observe(&web(), at(0)).await.unwrap().facts.start_up, Duration::from_secs(7));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Whatever clocks and restarts say: a time that is told is one that a pod took, and no longer than an hour.
    #[test]
    fn no_start_is_invented(pods in prop::collection::vec((-5000_i64..5000, prop::option::of(-5000_i64..5000), 0_u32..2), 0..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let fake = FakeCluster::default();
            fake.state().workloads.push(("deployments", workload("web", 3)));
            for (number, (created, ready, restarts)) in pods.iter().enumerate() {
                let mut one = pod(&format!("web-{number}"), "web", at(*created), *ready);
                one["status"]["containerStatuses"][0]["restartCount"] = (*restarts).into();
                fake.state().pods.push(one);
            }
            let source = MetricsApi::new(fake.client());
            source.observe(&web(), at(0)).await.unwrap();
            if let Some(times) = source.start_up(&web()) {
                let took = i64::try_from(times.from_creation.as_secs()).unwrap();
                assert!(pods.iter().any(|(_, ready, restarts)| *restarts == 0 && *ready == Some(took)), "{times:?}");
                assert!(took <= TimeDelta::hours(1).num_seconds());
            }
        });
    }
}
