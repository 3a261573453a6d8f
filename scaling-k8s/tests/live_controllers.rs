//! The control plane of the tests: real controllers make pods of a Deployment, kwok makes them run, and the API server goes and comes back.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "live_controllers/cronjobs.rs"]
mod cronjobs;
mod support;
#[path = "live_controllers/windows.rs"]
mod windows;

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::PostParams;
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use support::{ADMIN, ControlPlane, NODE};

const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_run_and_the_api_server_comes_back_with_them() {
    let Some(assets) = support::assets_with(&["kube-controller-manager", "kwok"]) else { return };
    let mut plane = ControlPlane::start(&assets).await;
    let controllers = ["deployment-controller", "replicaset-controller", "serviceaccount-controller"];
    plane.start_controllers(&plane.server(), &controllers, Duration::from_secs(5));
    plane.start_node().await;
    let deployments: Api<Deployment> = Api::namespaced(plane.client(ADMIN), "default");
    deployments.create(&PostParams::default(), &deployment("web", 3)).await.unwrap();
    let ready = |count: i32| move |seen: Option<&Deployment>| ready_replicas(seen) == Some(count);
    tokio::time::timeout(LIMIT, await_condition(deployments.clone(), "web", ready(3))).await.unwrap().unwrap();

    plane.stop_api_server();
    assert!(deployments.get("web").await.is_err());
    plane.start_api_server_again().await;
    let there = deployments.get("web").await.unwrap();
    assert_eq!(ready_replicas(Some(&there)), Some(3));
    // The controllers and kwok, which were not stopped, find it again.
    let mut more = there;
    more.spec.replicas = Some(5);
    deployments.replace("web", &PostParams::default(), &more).await.unwrap();
    tokio::time::timeout(LIMIT, await_condition(deployments, "web", ready(5))).await.unwrap().unwrap();
}

fn ready_replicas(deployment: Option<&Deployment>) -> Option<i32> {
    deployment?.status.as_ref()?.ready_replicas
}

fn deployment(name: &str, replicas: u32) -> Deployment {
    let labels = json!({ "app": name });
    let deployment: Value = json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "nodeName": NODE, "containers": [{ "name": "web", "image": "example/web:1" }] },
            },
        },
    });
    serde_json::from_value(deployment).unwrap()
}
