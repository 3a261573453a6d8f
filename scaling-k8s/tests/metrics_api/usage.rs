//! The highest use of a container, over its pods and over time.

use std::time::Duration;

use scaling_core::MetricsSource;
use scaling_k8s::metrics_api::{MetricsApi, MetricsApiConfig};
use scaling_k8s::vertical::Usage;
use scaling_k8s::{InUse, PodUsage};

use crate::fake_cluster::{FakeCluster, Fault, at, sample};
use crate::{USAGE, web};

/// Sets what each pod uses, in millicores and MiB of its first container; the second one uses nothing.
fn uses(fake: &FakeCluster, second: i64, pods: &[(&str, i64, i64)]) {
    let each = pods.iter().map(|(name, milli, mib)| sample(name, at(second), milli * 1_000_000, mib * 1024));
    fake.state().usage = each.collect();
}

fn names(fake: &FakeCluster) -> Vec<String> {
    fake.state().pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// A look at each second, with what the three pods use then.
async fn looked(source: &MetricsApi, fake: &FakeCluster, looks: &[(i64, [(i64, i64); 3])]) -> InUse {
    let names = names(fake);
    for (second, used) in looks {
        let used: Vec<_> = names.iter().zip(used).map(|(name, (cpu, memory))| (name.as_str(), *cpu, *memory)).collect();
        uses(fake, *second, &used);
        source.observe(&web(), at(*second)).await.unwrap();
    }
    source.in_use(&web(), "main")
}

fn usage(cpu: u64, mib: u64) -> Usage {
    Usage { cpu_millicores: Some(cpu), memory_bytes: Some(mib << 20) }
}

#[tokio::test(start_paused = true)]
async fn it_is_the_most_of_any_pod_at_any_time_of_the_window() {
    let fake = FakeCluster::web(at(0));
    let config = MetricsApiConfig::default().with_usage_window(Duration::from_secs(600));
    let source = MetricsApi::new(fake.client()).with_config(config).unwrap();
    assert_eq!(source.in_use(&web(), "main"), InUse::default(), "nobody has looked");
    let calm = [(100, 100), (90, 110), (110, 90)];
    let seen = looked(&source, &fake, &[(0, calm), (15, [(300, 100), (90, 250), (110, 90)]), (30, calm)]).await;
    assert_eq!(seen.container, usage(300, 250));
    assert_eq!(seen.hpa.of_a_pod.get("cpu"), Some(100), "the mean is of now");
    assert_eq!((seen.hpa.replicas, seen.hpa.ready), (3, 3));
    let within = seen.seen.unwrap();
    assert_eq!((within.from, within.to, within.looks, within.pods), (at(0), at(30), 3, 3));
    assert_eq!(within.to_string(), "the most of 3 pods in 3 looks from 2023-11-14T22:13:20Z to 2023-11-14T22:13:50Z");
    assert_eq!(seen.hpa.load_permille.last(), Some(&1000));
    assert_eq!(source.in_use(&web(), "proxy").container, usage(0, 0));
    assert_eq!(source.in_use(&web(), "other").container, Usage::default(), "there is no such container");
    // Half a window later it still counts; after the window it does not.
    assert_eq!(looked(&source, &fake, &[(300, calm)]).await.container, usage(300, 250));
    assert_eq!(looked(&source, &fake, &[(900, calm)]).await.container, usage(110, 110));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_now_is_none_whatever_was_seen_before() {
    let fake = FakeCluster::web(at(0));
    let source = MetricsApi::new(fake.client());
    let calm = [(100, 100), (90, 110), (110, 90)];
    assert_eq!(looked(&source, &fake, &[(0, calm)]).await.container, usage(110, 110));
    // One pod of three is silent: it may be the one that uses most.
    let names = names(&fake);
    uses(&fake, 15, &[(&names[0], 100, 100), (&names[1], 90, 110)]);
    source.observe(&web(), at(15)).await.unwrap();
    assert_eq!(source.in_use(&web(), "main").container, Usage::default());
    // A sample that is too old is none.
    uses(&fake, 15, &[(&names[0], 100, 100), (&names[1], 90, 110), (&names[2], 90, 110)]);
    source.observe(&web(), at(600)).await.unwrap();
    assert_eq!(source.in_use(&web(), "main").container, Usage::default());
    assert_eq!(looked(&source, &fake, &[(615, calm)]).await.container, usage(110, 110), "it is back");
    fake.state().faults.push((USAGE.to_owned(), Fault::Status(503, "{}".to_owned())));
    assert!(source.observe(&web(), at(630)).await.is_err());
    let lost = source.in_use(&web(), "main");
    assert_eq!((lost.container, lost.hpa, lost.seen), Default::default(), "nobody answered");
}
