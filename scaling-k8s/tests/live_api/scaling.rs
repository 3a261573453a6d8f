//! Workloads without an HPA, driven through their scale subresource.

use std::sync::atomic::{AtomicU32, Ordering};

use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Request;
use scaling_core::conformance::{self, direct::plan};
use scaling_core::{ApplyError, ApplyMode, HpaApplier, Target};
use scaling_k8s::{ScaleApplier, Writer};
use serde_json::{Value, json};

use crate::world::World;

/// Path, version and kind of what has a scale subresource.
const KINDS: [(&str, &str, &str); 4] = [
    ("/apis/apps/v1/namespaces/default/deployments", "apps/v1", "Deployment"),
    ("/apis/apps/v1/namespaces/default/statefulsets", "apps/v1", "StatefulSet"),
    ("/apis/apps/v1/namespaces/default/replicasets", "apps/v1", "ReplicaSet"),
    ("/apis/argoproj.io/v1alpha1/namespaces/default/rollouts", "argoproj.io/v1alpha1", "Rollout"),
];

fn applier(world: &World) -> ScaleApplier {
    ScaleApplier::new(world.admin.clone())
}

fn forced(world: &World) -> ScaleApplier {
    ScaleApplier::new(Writer::new(world.admin.clone()).force())
}

fn workload(version: &str, kind: &str, name: &str) -> Value {
    let labels = json!({ "app": name });
    let mut spec = json!({
        "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "app", "image": "app" }] } },
    });
    if kind == "StatefulSet" {
        spec["serviceName"] = name.into();
    }
    json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name, "namespace": "default" }, "spec": spec })
}

async fn request(world: &World, request: Result<http::Request<Vec<u8>>, kube::core::request::Error>) -> Value {
    world.admin.request(request.unwrap()).await.unwrap()
}

/// A workload of so many replicas, which `manager` set.
async fn create(world: &World, kind: &str, name: &str, manager: &str, replicas: u32) -> Target {
    let (path, version, kind) = *KINDS.iter().find(|known| known.2 == kind).unwrap();
    let mut body = workload(version, kind, name);
    body["spec"]["replicas"] = replicas.into();
    let params = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
    request(world, Request::new(path).create(&params, body.to_string().into_bytes())).await;
    Target::deployment("default", name).of_kind(kind)
}

/// The same, its replicas owned by the default manager of the applier.
pub(crate) async fn create_handed_over(world: &World, kind: &str, name: &str, replicas: u32) -> Target {
    let target = create(world, kind, name, "host", replicas + 1).await;
    let path = KINDS.iter().find(|known| known.2 == kind).unwrap().0;
    let mut body = json!({ "metadata": { "name": name }, "spec": { "replicas": replicas } });
    let (params, change) = if kind == "Rollout" {
        let params = PatchParams { field_manager: Some("kube-scaling".into()), ..PatchParams::default() };
        (params, Patch::Merge(body))
    } else {
        (body["apiVersion"], body["kind"]) = ("autoscaling/v1".into(), "Scale".into());
        (PatchParams { force: true, ..PatchParams::apply("kube-scaling") }, Patch::Apply(body))
    };
    request(world, Request::new(path).patch_subresource("scale", name, &params, &change)).await;
    target
}

pub(crate) async fn read(world: &World, kind: &str, name: &str) -> Value {
    let path = KINDS.iter().find(|known| known.2 == kind).unwrap().0;
    request(world, Request::new(path).get(name, &kube::api::GetParams::default())).await
}

/// A kind with a scale subresource, named and grouped as Argo's; another group may serve the same kind.
async fn define(world: &World, group: &str, version: &str) {
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let body = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("rollouts.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": { "plural": "rollouts", "singular": "rollout", "kind": "Rollout" },
            "versions": [{
                "name": version, "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": { "replicas": { "type": "integer" } } }, "status": open } } },
                "subresources": { "status": {}, "scale": {
                    "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas" } },
            }],
        },
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    request(world, Request::new(path).create(&PostParams::default(), body.to_string().into_bytes())).await;
    served(world, group).await;
}

/// Waits until the kind is in the discovery that an applier asks for.
async fn served(world: &World, group: &str) {
    for _ in 0..600 {
        let groups = world.admin.list_api_groups_aggregated().await.unwrap();
        let named = |name: &Option<String>| name.as_deref() == Some(group);
        let found = groups.items.iter().find(|item| item.metadata.as_ref().is_some_and(|meta| named(&meta.name)));
        if found.is_some_and(|group| group.versions.iter().any(|version| !version.resources.is_empty())) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{group} is not served");
}

pub(crate) async fn every_kind_keeps_the_promises(world: &World) {
    static MADE: AtomicU32 = AtomicU32::new(0);
    define(world, "argoproj.io", "v1alpha1").await;
    for (_, _, kind) in KINDS {
        let applier = applier(world);
        let name = || format!("scaled-{}", MADE.fetch_add(1, Ordering::Relaxed));
        conformance::direct_applier(async |replicas| {
            (applier.clone(), create_handed_over(world, kind, &name(), replicas).await)
        })
        .await;
    }
    let forced = forced(world);
    conformance::direct_applier(async |replicas| {
        let name = format!("forced-{}", MADE.fetch_add(1, Ordering::Relaxed));
        (forced.clone(), create(world, "Deployment", &name, "host", replicas).await)
    })
    .await;
}

pub(crate) async fn the_replicas_alone_change_and_a_dry_run_leaves_no_trace(world: &World) {
    for (_, _, kind) in KINDS {
        let name = format!("alone-{}", kind.to_lowercase());
        let target = create(world, kind, &name, "host", 3).await;
        let mut before = read(world, kind, &name).await;
        let plan = plan(&target, 3, 5);
        forced(world).apply(&plan, ApplyMode::ServerDryRun).await.unwrap();
        assert_eq!(read(world, kind, &name).await, before, "law 3, resourceVersion and managedFields too");
        assert!(forced(world).apply(&plan, ApplyMode::Apply).await.unwrap().changed);
        let mut after = read(world, kind, &name).await;
        let ours: Vec<Value> = after["metadata"]["managedFields"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["manager"] == "kube-scaling")
            .cloned()
            .collect();
        assert_eq!(ours.len(), 1, "{kind}: {after}");
        assert_eq!(ours[0]["fieldsV1"], json!({ "f:spec": { "f:replicas": {} } }), "law 9: own little");
        let operation = if kind == "Rollout" { "Update" } else { "Apply" };
        assert_eq!((&ours[0]["subresource"], &ours[0]["operation"]), (&json!("scale"), &json!(operation)));
        before["spec"]["replicas"] = 5.into();
        for object in [&mut before, &mut after] {
            for field in ["resourceVersion", "generation", "managedFields"] {
                object["metadata"].as_object_mut().unwrap().remove(field);
            }
        }
        assert_eq!(after, before, "{kind}");
    }
}

pub(crate) async fn what_is_released_leaves_no_manager_of_ours_and_keeps_its_replicas(world: &World) {
    for (_, _, kind) in KINDS {
        let name = format!("released-{}", kind.to_lowercase());
        let target = create_handed_over(world, kind, &name, 4).await;
        assert!(applier(world).release(&target).await.unwrap(), "{kind}");
        let after = read(world, kind, &name).await;
        assert_eq!(after["spec"]["replicas"], 4, "{kind}");
        let managers = after["metadata"]["managedFields"].as_array().unwrap();
        assert!(managers.iter().all(|entry| entry["manager"] != "kube-scaling"), "{kind}: {managers:?}");
        assert!(!applier(world).release(&target).await.unwrap(), "{kind}: twice equals once");
        assert_eq!(read(world, kind, &name).await, after, "{kind}");
    }
}

pub(crate) async fn replicas_of_somebody_else_are_a_conflict(world: &World) {
    for (_, _, kind) in KINDS {
        let name = format!("theirs-{}", kind.to_lowercase());
        let target = create(world, kind, &name, "kubectl-client-side-apply", 3).await;
        let before = read(world, kind, &name).await;
        for mode in [ApplyMode::ServerDryRun, ApplyMode::Apply] {
            let error = applier(world).apply(&plan(&target, 3, 5), mode).await.unwrap_err();
            let ApplyError::Conflict { field, owner, since, .. } = &error else { panic!("{kind}: {error:?}") };
            assert_eq!((field.as_str(), owner.as_str()), ("spec.replicas", "kubectl-client-side-apply"));
            assert!(since.is_some(), "law 9 names owner, field and time: {error}");
            assert_eq!(read(world, kind, &name).await, before);
        }
    }
}

pub(crate) async fn what_an_hpa_or_keda_scales_is_left_alone(world: &World) {
    let target = create_handed_over(world, "Deployment", "has-hpa", 3).await;
    let applier = forced(world);
    assert!(applier.apply(&plan(&target, 3, 4), ApplyMode::Apply).await.unwrap().changed);
    // It comes after the first write, under the very name of the target's HPA.
    world.create("has-hpa", 2, 6).await;
    let stands = async |name: &str| {
        for mode in [ApplyMode::ServerDryRun, ApplyMode::Apply] {
            let error = applier.apply(&plan(&target, 4, 5), mode).await.unwrap_err();
            assert!(matches!(error, ApplyError::Refused { .. }), "{error:?}");
            assert!(error.to_string().contains(&format!("{name:?} scales it")), "{error}");
        }
        assert_eq!(read(world, "Deployment", "has-hpa").await["spec"]["replicas"], 4);
    };
    stands("has-hpa").await;
    world.api().delete("has-hpa", &kube::api::DeleteParams::default()).await.unwrap();

    // KEDA comes to the cluster, and an applier that asks again sees it.
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let body = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "scaledobjects.keda.sh" },
        "spec": { "group": "keda.sh", "scope": "Namespaced",
            "names": { "plural": "scaledobjects", "singular": "scaledobject", "kind": "ScaledObject" },
            "versions": [{ "name": "v1alpha1", "served": true, "storage": true, "schema": { "openAPIV3Schema": open } }] },
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let made = Request::new(path).create(&PostParams::default(), body.to_string().into_bytes()).unwrap();
    if let Err(error) = world.admin.request::<Value>(made).await {
        assert!(
            matches!(&error, kube::Error::Api(status) if status.code == 409),
            "another step has defined it: {error}"
        );
    }
    served(world, "keda.sh").await;
    let body = json!({ "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": { "name": "queue" },
        "spec": { "scaleTargetRef": { "name": "has-hpa" } } });
    let path = "/apis/keda.sh/v1alpha1/namespaces/default/scaledobjects";
    request(world, Request::new(path).create(&PostParams::default(), body.to_string().into_bytes())).await;
    let applier = forced(world);
    let error = applier.apply(&plan(&target, 4, 5), ApplyMode::Apply).await.unwrap_err();
    assert!(error.to_string().contains("ScaledObject \"queue\" scales it"), "{error}");
    request(world, Request::new(path).delete("queue", &kube::api::DeleteParams::default())).await;
    assert!(applier.apply(&plan(&target, 4, 5), ApplyMode::Apply).await.unwrap().changed);
}

pub(crate) async fn what_another_object_owns_is_left_to_it(world: &World) {
    let web = create(world, "Deployment", "owner", "host", 1).await;
    let uid = read(world, "Deployment", &web.name).await["metadata"]["uid"].clone();
    let target = create_handed_over(world, "ReplicaSet", "owned", 3).await;
    let reference = json!({ "metadata": { "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "owner",
        "uid": uid, "controller": true }] } });
    let path = Request::new(KINDS[2].0);
    request(world, path.patch("owned", &PatchParams::default(), &Patch::Merge(reference))).await;
    let error = applier(world).apply(&plan(&target, 3, 4), ApplyMode::Apply).await.unwrap_err();
    assert!(error.to_string().contains("Deployment owner owns it"), "{error}");
    assert!(forced(world).apply(&plan(&target, 3, 4), ApplyMode::Apply).await.unwrap().changed);
}

pub(crate) async fn what_is_paused_by_hand_is_left_alone(world: &World) {
    let target = create_handed_over(world, "StatefulSet", "paused", 2).await;
    let scale = |replicas: u32| {
        let body = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let params = PatchParams { field_manager: Some("kubectl".into()), ..PatchParams::default() };
        Request::new(KINDS[1].0).patch_subresource("scale", "paused", &params, &body)
    };
    request(world, scale(0)).await;
    let error = forced(world).current(&target).await.unwrap_err();
    // A 0 leaves no trace of who set it: the server does not store it in a scale.
    assert!(error.to_string().contains("its replicas were set to 0: it is paused"), "{error}");
    let error = forced(world).apply(&plan(&target, 0, 3), ApplyMode::Apply).await.unwrap_err();
    assert!(error.to_string().contains("it is paused"), "{error}");

    // What we have set to 0 is not paused: a host whose hard limits begin there wants it so.
    request(world, scale(1)).await;
    let applier = forced(world);
    assert!(applier.apply(&plan(&target, 1, 0), ApplyMode::Apply).await.unwrap().changed);
    assert_eq!(applier.current(&target).await.unwrap().bounds.number(), Some(0));
    assert!(applier.apply(&plan(&target, 0, 3), ApplyMode::Apply).await.unwrap().changed);
    assert_eq!(applier.current(&target).await.unwrap().bounds.number(), Some(3));
}

pub(crate) async fn one_of_two_writers_at_once_is_told_so(world: &World) {
    let target = create_handed_over(world, "Deployment", "raced-scale", 3).await;
    let (first, second) = (applier(world), applier(world));
    let (one, two) = (plan(&target, 3, 5), plan(&target, 3, 6));
    let results =
        futures::future::join(first.apply(&one, ApplyMode::Apply), second.apply(&two, ApplyMode::Apply)).await;
    let there = read(world, "Deployment", "raced-scale").await["spec"]["replicas"].clone();
    match results {
        (Ok(_), Err(ApplyError::Changed { .. })) => assert_eq!(there, 5),
        (Err(ApplyError::Changed { .. }), Ok(_)) => assert_eq!(there, 6),
        other => panic!("{other:?}"),
    }
}

/// Comes last: from here on two groups serve the kind.
pub(crate) async fn a_kind_of_two_groups_is_not_guessed(world: &World) {
    define(world, "rollouts.example.com", "v1").await;
    let target = create_handed_over(world, "Rollout", "of-two-groups", 3).await;
    let error = applier(world).current(&target).await.unwrap_err();
    assert!(error.to_string().contains("argoproj.io, rollouts.example.com each have a kind Rollout"), "{error}");
    let said = applier(world).kind_of_group("Rollout", "argoproj.io");
    assert_eq!(said.current(&target).await.unwrap().bounds.number(), Some(3));
    let error = applier(world).current(&target.clone().of_kind("ConfigMap")).await.unwrap_err();
    assert!(error.to_string().contains("serves no kind ConfigMap that can be scaled"), "{error}");
    let without_rights = ScaleApplier::new(world.plain.clone()).kind_of_group("Rollout", "argoproj.io");
    let error = without_rights.current(&target).await.unwrap_err();
    assert!(matches!(error, ApplyError::Refused { .. }), "{error:?}");
}
