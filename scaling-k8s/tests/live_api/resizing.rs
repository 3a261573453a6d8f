//! Requests and limits: pods in place, templates by a rollout, and the rules of a namespace as the server keeps them.

use kube::api::{GetParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use scaling_core::hpa::Resources;
use scaling_core::{ApplyError, ApplyMode, HpaPlan, ResourceChange, Target};
use scaling_k8s::vertical::{HpaUsage, LimitRule, PodSizes, Resize, Situation, Usage, check};
use scaling_k8s::{EffectPolicy, InUse, ResizeApplier, ResizeWay, Writer};
use serde_json::{Value, json};

use crate::vertical::{facts, plan};
use crate::world::{World, bounds};

pub(crate) fn applier(world: &World) -> ResizeApplier {
    ResizeApplier::new(world.admin.clone())
}

/// One that rolls out, and takes the fields of the template over from others.
pub(crate) fn forced(world: &World) -> ResizeApplier {
    ResizeApplier::new(Writer::new(world.admin.clone()).force()).way(ResizeWay::Rollout)
}

pub(crate) async fn create(world: &World, path: &str, body: &Value, manager: &str) -> Value {
    let params = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
    let request = Request::new(path).create(&params, body.to_string().into_bytes());
    world.admin.request(request.unwrap()).await.unwrap()
}

pub(crate) async fn read(world: &World, path: &str, name: &str) -> Value {
    world.admin.request(Request::new(path).get(name, &GetParams::default()).unwrap()).await.unwrap()
}

pub(crate) fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const SETS: &str = "/apis/apps/v1/namespaces/default/replicasets";

/// Pods are admitted with a service account, which a controller makes otherwise.
async fn service_account(world: &World, namespace: &str) {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    create(world, &path, &json!({ "metadata": { "name": "default" } }), "test").await;
}

pub(crate) fn pod(name: &str, app: &str, resources: &Value) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "app": app } },
        "spec": { "automountServiceAccountToken": false, "containers": [
            { "name": "app", "image": "app", "resources": resources }, { "name": "log", "image": "log" }] },
    })
}

/// Creates a pod of a ReplicaSet.
pub(crate) async fn create_owned(world: &World, name: &str, app: &str, resources: &Value, set: &Value) {
    let mut body = pod(name, app, resources);
    body["metadata"]["ownerReferences"] = json!([reference("ReplicaSet", set)]);
    create(world, &pods("default"), &body, "host").await;
}

pub(crate) fn reference(kind: &str, object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({ "apiVersion": "apps/v1", "kind": kind, "name": metadata["name"], "uid": metadata["uid"], "controller": true })
}

/// A Deployment whose pods request 250m of CPU and 512Mi of memory, two such pods, and nobody who would make others of them.
pub(crate) async fn workload(world: &World, name: &str) -> Target {
    let resources = json!({ "requests": { "cpu": "250m", "memory": "512Mi" }, "limits": { "cpu": "500m" } });
    let template = pod(name, name, &resources);
    let body = json!({
        "metadata": { "name": name },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "app": name } },
            "template": { "metadata": { "labels": { "app": name } }, "spec": template["spec"] } },
    });
    let made = create(world, DEPLOYMENTS, &body, "host").await;
    let mut set =
        json!({ "metadata": { "name": format!("{name}-1"), "labels": { "app": name } }, "spec": body["spec"] });
    set["metadata"]["ownerReferences"] = json!([reference("Deployment", &made)]);
    let set = create(world, SETS, &set, "host").await;
    for nth in ["a", "b"] {
        create_owned(world, &format!("{name}-{nth}"), name, &resources, &set).await;
    }
    Target::deployment("default", name)
}

pub(crate) fn grown(target: &Target) -> HpaPlan {
    plan(target, bounds(2, 6), &facts(), 50, 0)
}

/// Ten pods of 175 millicores each.
pub(crate) fn in_use() -> InUse {
    let hpa = HpaUsage { replicas: 10, ready: 10, of_a_pod: Resources::from([("cpu", 175)]), ..HpaUsage::default() };
    InUse { container: Usage { cpu_millicores: Some(100), memory_bytes: Some(100 << 20) }, hpa, ..InUse::default() }
}

pub(crate) fn cpu(object: &Value, pointer: &str) -> (String, String) {
    let resources = object.pointer(pointer).unwrap();
    let of = |part: &str| resources[part]["cpu"].as_str().unwrap().to_owned();
    (of("requests"), of("limits"))
}

pub(crate) async fn pods_are_resized_where_they_are(world: &World) {
    service_account(world, "default").await;
    let target = workload(world, "sized").await;
    let plan = grown(&target);
    let preview = applier(world).preview(&plan, "app", &in_use()).await.unwrap();
    assert_eq!(
        (preview.way, preview.pods.as_slice()),
        (ResizeWay::InPlace, &["sized-a".to_owned(), "sized-b".to_owned()][..])
    );

    let before = [read(world, &pods("default"), "sized-a").await, read(world, &pods("default"), "sized-b").await];
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun] {
        assert!(applier(world).apply(&plan, "app", &in_use(), mode).await.unwrap().changed);
        assert_eq!(read(world, &pods("default"), "sized-a").await, before[0], "law 3: {mode}");
    }
    let template = read(world, DEPLOYMENTS, "sized").await;
    assert!(applier(world).apply(&plan, "app", &in_use(), ApplyMode::Apply).await.unwrap().changed);
    for (name, before) in ["sized-a", "sized-b"].into_iter().zip(before) {
        let after = read(world, &pods("default"), name).await;
        assert_eq!(cpu(&after, "/spec/containers/0/resources"), ("375m".into(), "750m".into()));
        assert_eq!(after["spec"]["containers"][0]["resources"]["requests"]["memory"], "512Mi");
        assert_eq!(after["spec"]["containers"][1], before["spec"]["containers"][1]);
        assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"], "it is the same pod");
    }
    assert_eq!(read(world, DEPLOYMENTS, "sized").await, template, "the template is not ours to change then");
    let again = applier(world).apply(&plan, "app", &in_use(), ApplyMode::Apply).await.unwrap();
    assert!(!again.changed && again.preview.checked.is_none(), "a percentage, and yet twice equals once: {again:?}");

    // Some done and some not, as after a failure: the rest follows.
    let late = json!({ "requests": { "cpu": "250m", "memory": "512Mi" }, "limits": { "cpu": "500m" } });
    // One with the same labels that somebody else made is nobody's to resize.
    create(world, &pods("default"), &pod("sized-z", "sized", &late), "host").await;
    let set = read(world, SETS, "sized-1").await;
    create_owned(world, "sized-c", "sized", &late, &set).await;
    let rest = applier(world).apply(&plan, "app", &in_use(), ApplyMode::Apply).await.unwrap();
    assert_eq!(rest.preview.pods, ["sized-c"]);
    let other = json!({ "requests": { "cpu": "1", "memory": "512Mi" } });
    create_owned(world, "sized-d", "sized", &other, &set).await;
    let error = applier(world).apply(&plan, "app", &in_use(), ApplyMode::Apply).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("pod sized-d: the pod requests 1 of cpu, and the plan to resize container app was made for 250m"),
        "{error}"
    );
}

pub(crate) async fn a_template_is_rolled_out_and_its_owner_asked(world: &World) {
    let target = workload(world, "rolled").await;
    let plan = grown(&target);
    let applier = applier(world).way(ResizeWay::Rollout);
    let before = read(world, DEPLOYMENTS, "rolled").await;
    for mode in [ApplyMode::Plan, ApplyMode::ServerDryRun, ApplyMode::Apply] {
        let error = applier.apply(&plan, "app", &in_use(), mode).await.unwrap_err();
        let ApplyError::Conflict { field, owner, since, .. } = &error else { panic!("{error:?}") };
        assert!(field.contains("spec.template.spec.containers[app].resources.requests.cpu"), "{field}");
        assert!(owner == "host" && since.is_some(), "{error}");
    }
    let forced = forced(world);
    assert!(forced.apply(&plan, "app", &in_use(), ApplyMode::ServerDryRun).await.unwrap().changed);
    assert_eq!(read(world, DEPLOYMENTS, "rolled").await, before, "law 3");
    assert!(forced.apply(&plan, "app", &in_use(), ApplyMode::Apply).await.unwrap().changed);
    let mut after = read(world, DEPLOYMENTS, "rolled").await;
    assert_eq!(cpu(&after, "/spec/template/spec/containers/0/resources"), ("375m".into(), "750m".into()));
    let resources = before["spec"]["template"]["spec"]["containers"][0]["resources"].clone();
    after["spec"]["template"]["spec"]["containers"][0]["resources"] = resources;
    assert_eq!(after["spec"], before["spec"], "nothing but the sizes");
    assert!(!forced.apply(&plan, "app", &in_use(), ApplyMode::Apply).await.unwrap().changed);
}

pub(crate) async fn the_effect_on_the_hpa_is_told_before(world: &World) {
    let target = workload(world, "counted").await;
    let metrics = json!([{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 } } }]);
    let spec = json!({ "spec": { "minReplicas": 2, "maxReplicas": 20, "metrics": metrics,
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "counted" } } });
    world.apply("host", "counted", spec, false).await.unwrap();
    // A container without a request has no utilization, and neither has the pod.
    let blind = applier(world).preview(&grown(&target), "app", &in_use()).await.unwrap().effect.unwrap();
    assert_eq!((blind.unknown, blind.after), (1, None));
    let log = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "log", "resources": { "requests": { "cpu": "0" } } }] } } } });
    let request = Request::new(DEPLOYMENTS).patch("counted", &PatchParams::default(), &Patch::Strategic(log)).unwrap();
    world.admin.request::<Value>(request).await.unwrap();
    let forced = forced(world);
    let effect = forced.preview(&grown(&target), "app", &in_use()).await.unwrap().effect.unwrap();
    assert_eq!((effect.before, effect.after), (Some(10), Some(7)), "{effect}");
    let error = forced
        .effect(EffectPolicy::KeepSize)
        .apply(&grown(&target), "app", &in_use(), ApplyMode::Apply)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("the HPA wants 7 replicas instead of 10"), "{error}");
}

/// The pure checks say what the server says, pod by pod and change by change.
pub(crate) async fn the_rules_are_the_servers(world: &World) {
    create(world, "/api/v1/namespaces", &json!({ "metadata": { "name": "limited" } }), "test").await;
    service_account(world, "limited").await;
    let range = json!({ "metadata": { "name": "small" }, "spec": { "limits": [
        { "type": "Container", "min": { "cpu": "100m" }, "max": { "cpu": "1" }, "maxLimitRequestRatio": { "cpu": "4" } },
        { "type": "Pod", "max": { "memory": "1Gi" } } ] } });
    let range = create(world, "/api/v1/namespaces/limited/limitranges", &range, "test").await;
    let kinds = [
        json!({ "requests": { "cpu": "250m", "memory": "256Mi" }, "limits": { "cpu": "500m", "memory": "512Mi" } }),
        json!({ "requests": { "cpu": "500m", "memory": "512Mi" }, "limits": { "cpu": "500m", "memory": "512Mi" } }),
        json!({ "requests": { "cpu": "300m", "memory": "256Mi" }, "limits": { "cpu": "300m", "memory": "512Mi" } }),
    ];
    let (mut allowed, mut refused) = (0, 0);
    for (nth, resources) in kinds.iter().enumerate() {
        let name = format!("ruled-{nth}");
        let mut body = pod(&name, "ruled", resources);
        body["spec"]["containers"].as_array_mut().unwrap().truncate(1);
        let made = create(world, &pods("limited"), &body, "test").await;
        let before = PodSizes::of(&made["spec"]).unwrap();
        for percent in [-70, -40, -10, 10, 60, 120, 220] {
            for rule in [LimitRule::Follow, LimitRule::Keep] {
                let change =
                    ResourceChange { cpu_percent: percent, memory_percent: if nth == 1 { percent } else { 0 } };
                let resize = Resize::new("app", change).limits(rule);
                let ranges = [range.clone()];
                let usage = Usage { cpu_millicores: Some(0), memory_bytes: Some(0) };
                let situation = Situation { limit_ranges: &ranges, ..Situation::new(1, usage) };
                let ours = check(&before, &resize, &situation);
                let amount = |text: &Value, unit: &str, changes: bool| {
                    let amount: i64 = text.as_str().unwrap().trim_end_matches(unit).parse().unwrap();
                    let changed = (amount * i64::from(100 + percent) + 99) / 100;
                    format!("{}{unit}", if changes { changed } else { amount })
                };
                let part = |part: &str, changes: bool| {
                    json!({ "cpu": amount(&resources[part]["cpu"], "m", changes),
                        "memory": amount(&resources[part]["memory"], "Mi", changes && nth == 1) })
                };
                let sizes =
                    json!({ "requests": part("requests", true), "limits": part("limits", rule == LimitRule::Follow) });
                let patch =
                    Patch::Strategic(json!({ "spec": { "containers": [{ "name": "app", "resources": sizes }] } }));
                let params = PatchParams { dry_run: true, ..PatchParams::default() };
                let request =
                    Request::new(pods("limited")).patch_subresource("resize", &name, &params, &patch).unwrap();
                let servers = world.admin.request::<Value>(request).await;
                match (&ours, &servers) {
                    (Ok(_), Ok(_)) => allowed += 1,
                    (Err(_), Err(kube::Error::Api(status))) if matches!(status.code, 403 | 422) => refused += 1,
                    other => panic!("{resources} by {percent} % with {rule:?}, sent as {sizes}: {other:?}"),
                }
            }
        }
    }
    assert!(allowed >= 8 && refused >= 8, "both happen: {allowed} allowed, {refused} refused");
}

pub(crate) async fn a_quota_is_looked_at_before(world: &World) {
    create(world, "/api/v1/namespaces", &json!({ "metadata": { "name": "counted" } }), "test").await;
    service_account(world, "counted").await;
    let hard = json!({ "requests.cpu": "600m" });
    let quotas = "/api/v1/namespaces/counted/resourcequotas";
    create(world, quotas, &json!({ "metadata": { "name": "team" }, "spec": { "hard": hard } }), "test").await;
    // What a controller counts otherwise.
    let status = Patch::Merge(json!({ "status": { "hard": hard, "used": { "requests.cpu": "500m" } } }));
    let request = Request::new(quotas).patch_subresource("status", "team", &PatchParams::default(), &status).unwrap();
    world.admin.request::<Value>(request).await.unwrap();
    let resources = json!({ "requests": { "cpu": "250m", "memory": "512Mi" } });
    let mut template = pod("q", "q", &resources);
    template["spec"]["containers"].as_array_mut().unwrap().truncate(1);
    let body = json!({ "metadata": { "name": "q" }, "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "q" } },
        "template": { "metadata": { "labels": { "app": "q" } }, "spec": template["spec"] } } });
    create(world, "/apis/apps/v1/namespaces/counted/deployments", &body, "host").await;
    let target = Target::deployment("counted", "q");
    let forced = forced(world);
    let error = forced.preview(&grown(&target), "app", &in_use()).await.unwrap_err();
    assert!(matches!(error, ApplyError::Refused { .. }));
    // 125m more for each of two pods, and one more pod of 375m on the way there.
    assert!(
        error
            .to_string()
            .contains("requests.cpu: 625m more for 2 pods, and 500m of 600m of ResourceQuota team are used"),
        "{error}"
    );
}
