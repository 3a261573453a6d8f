//! The real HPA controller, sync by sync, beside module `hpa` of the core: some dozens of workloads, all at once in one control plane.
//!
//! The controller talks to the API server through a proxy of the test, so what each sync read and wrote is known, and the module is given
//! the same. Nothing here depends on how fast anything is, except that all of it has to end within [`LIMIT`].

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "live_hpa/pods.rs"]
mod pods;
#[path = "live_hpa/replay.rs"]
mod replay;
#[path = "live_hpa/scenarios.rs"]
mod scenarios;
mod support;
#[path = "live_hpa/transcript.rs"]
mod transcript;
#[path = "live_hpa/world.rs"]
mod world;

use std::time::Duration;

use futures::future::join_all;
use pods::PodHistory;
use scaling_core::chrono::Datelike;
use scaling_core::hpa::{ControllerConfig, Release};
use support::aggregated::MetricsApis;
use support::proxy::{Proxy, now};
use support::{ADMIN, ControlPlane};
use transcript::{Sync, is_part_of_a_sync, proposals, syncs};
use world::World;

/// Most time that all scenarios together may take.
const LIMIT: Duration = Duration::from_secs(240);

/// Stabilization of the controller for HPAs without `behavior`.
const STABILIZATION: Duration = Duration::from_secs(5);

const CONTROLLERS: [&str; 4] = [
    "deployment-controller",
    "replicaset-controller",
    "serviceaccount-controller",
    "horizontal-pod-autoscaler-controller",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_controller_does_what_the_module_computes() {
    let Some(assets) = support::assets_with(&["kube-controller-manager", "kwok"]) else { return };
    let mut plane = ControlPlane::start(&assets).await;
    let metrics = MetricsApis::start(&plane).await;
    let proxy = Proxy::start(plane.config(ADMIN), is_part_of_a_sync).await;
    let world = World { client: plane.client(ADMIN), proxy, metrics };
    plane.start_node().await;
    let scenarios = scenarios::all();
    let (history, watch) = PodHistory::watch(world.client.clone());
    let specs = join_all(scenarios.iter().map(|scenario| scenario.prepare(&world))).await;
    plane.start_controllers(&world.proxy.address(), &CONTROLLERS, STABILIZATION);
    let all = join_all(scenarios.iter().map(|scenario| scenario.run(&world)));
    tokio::time::timeout(LIMIT, all).await.expect("every scenario ends in time");
    watch.abort();

    // First what went through: the controller has logged every sync that is over by then.
    let seen: Vec<_> = scenarios.iter().map(|scenario| world.proxy.log(scenario.name)).collect();
    let (log, year) = (plane.log("kube-controller-manager"), now().year());
    let mut transcripts = Vec::new();
    for ((scenario, spec), seen) in scenarios.iter().zip(&specs).zip(&seen) {
        let syncs = syncs(seen, spec, &proposals(&log, scenario.name, year));
        assert!(syncs.len() >= scenario.syncs, "{}: {} syncs", scenario.name, syncs.len());
        transcripts.push((scenario.name, syncs));
    }
    let compared: usize = transcripts.iter().map(|(_, syncs)| syncs.len()).sum();
    let differences = |config: &ControllerConfig| -> Vec<String> {
        let compare = |(name, syncs): &(&str, Vec<Sync>)| replay::compare(name, syncs, &history, config).err();
        transcripts.iter().filter_map(compare).collect()
    };
    let config = ControllerConfig {
        sync_period: Duration::from_secs(1),
        downscale_stabilization: STABILIZATION,
        release: Release::v1_37(),
        ..ControllerConfig::default()
    };
    let different = differences(&config);
    assert!(different.is_empty(), "{} of {} differ:\n{}", different.len(), scenarios.len(), different.join("\n\n"));
    println!("{compared} syncs of {} HPAs are those that the module computes", scenarios.len());

    // The comparison has teeth: another controller would have been found out.
    for other in [
        ControllerConfig { tolerance: 0.15, ..config.clone() },
        ControllerConfig { downscale_stabilization: STABILIZATION / 2, ..config.clone() },
        ControllerConfig { release: Release::v1_33(), ..config.clone() },
        ControllerConfig { cpu_initialization_period: Duration::ZERO, ..config },
    ] {
        assert!(!differences(&other).is_empty(), "{other:?} explains everything too");
    }
    floors(&world);
}

/// Raising the floor scales up at once; giving it back lets the HPA scale down, by its own behavior and not by a write of ours.
fn floors(world: &World) {
    let sizes = |name: &str| -> Vec<i32> {
        let written =
            syncs(&world.proxy.log(name), &serde_json::Value::Null, &[]).into_iter().filter_map(|sync| sync.written);
        written.filter(|(_, stored)| *stored).map(|(size, _)| size).collect()
    };
    assert_eq!(sizes("floor"), [8, 3], "up in one step; down in one, after the window");
    assert_eq!(sizes("floor-with-behavior"), [8, 6, 4, 3], "down by two pods at a time");
}
