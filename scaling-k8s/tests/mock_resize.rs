//! Requests and limits over a mocked API server: faults between the pods, clusters that cannot resize, answers that are none.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/vertical.rs"]
mod vertical;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, select};
use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use scaling_core::{ApplyError, ApplyMode, Bounds, HpaPlan, Target};
use scaling_k8s::vertical::Usage;
use scaling_k8s::{InUse, ResizeApplier, ResizeWay, Resized};
use serde_json::{Value, json};
use tower_test::mock::{Handle, pair};

/// Answers of the server that are not the usual ones, by a part of method and path; each once. The flag: after it was carried out.
type Fault = (&'static str, u16, Value, bool);

#[derive(Clone)]
struct World {
    resizes: bool,
    /// Resources and version of the pods and of the template, which is called `web`.
    objects: BTreeMap<String, (Value, u64)>,
    faults: Vec<Fault>,
    log: Vec<String>,
    /// Controllers of pods that are not the workload's own ReplicaSet.
    controllers: BTreeMap<&'static str, Value>,
    webhook: Option<Value>,
    /// Time that each answer takes.
    slow: Duration,
}

impl World {
    fn new() -> Self {
        let names = ["web", "web-a", "web-b", "web-c"];
        let size = json!({ "requests": { "cpu": "250m", "memory": "512Mi" } });
        let objects = names.into_iter().map(|name| (name.to_owned(), (size.clone(), 1))).collect();
        Self {
            resizes: true,
            objects,
            faults: Vec::new(),
            log: Vec::new(),
            controllers: BTreeMap::new(),
            webhook: None,
            slow: Duration::ZERO,
        }
    }

    fn with(faults: &[Fault]) -> Self {
        Self { faults: faults.to_vec(), ..Self::new() }
    }

    fn object(&self, name: &str) -> Value {
        let (resources, version) = &self.objects[name];
        let containers = json!({ "containers": [{ "name": "app", "resources": resources }] });
        let mut metadata = json!({ "name": name, "namespace": "shop", "uid": format!("u-{name}"), "resourceVersion": version.to_string() });
        if name == "web" {
            return json!({ "kind": "Deployment", "metadata": metadata, "spec": { "replicas": 3,
                "selector": { "matchLabels": { "app": "web" } }, "template": { "spec": containers } } });
        }
        let own = || json!({ "kind": "ReplicaSet", "name": "web-1", "uid": "u-web-1", "controller": true });
        metadata["ownerReferences"] = json!([self.controllers.get(name).cloned().unwrap_or_else(own)]);
        json!({ "metadata": metadata, "spec": containers, "status": { "phase": "Running" } })
    }

    fn answer(&mut self, asked: &str, sent: &Value) -> (u16, Value) {
        self.log.push(asked.to_owned());
        let hit = self.faults.iter().position(|fault| asked.contains(fault.0));
        let Some((_, code, body, carried_out)) = hit.map(|at| self.faults.remove(at)) else {
            return self.usual(asked, sent);
        };
        if carried_out {
            self.usual(asked, sent);
        }
        (code, body)
    }

    fn usual(&mut self, asked: &str, sent: &Value) -> (u16, Value) {
        let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
        let resource = |plural: &str, kind: &str, parts: &[&str]| {
            let parts: Vec<Value> = parts.iter().map(|name| json!({ "subresource": name })).collect();
            json!({ "resource": plural, "responseKind": { "kind": kind }, "scope": "Namespaced", "subresources": parts })
        };
        let served = |group: &str, version: &str, resource: Value| json!({ "items": [{ "metadata": { "name": group }, "versions": [{ "version": version, "resources": [resource] }] }] });
        match path {
            "GET /apis" => return (200, served("apps", "v1", resource("deployments", "Deployment", &["scale"]))),
            "GET /api" => {
                let parts: &[&str] = if self.resizes { &["log", "resize"] } else { &["log"] };
                return (200, served("", "v1", resource("pods", "Pod", parts)));
            }
            "GET /api/v1/namespaces/shop/pods" => {
                assert!(query.contains("labelSelector=app%3Dweb"), "{query}");
                let pods: Vec<Value> =
                    self.objects.keys().filter(|name| *name != "web").map(|name| self.object(name)).collect();
                return (200, json!({ "items": pods }));
            }
            "GET /apis/apps/v1/namespaces/shop/replicasets" => {
                assert!(query.contains("labelSelector=app%3Dweb"), "{query}");
                let replica_set = |name: &str, of: &str| {
                    json!({ "metadata": { "name": name, "uid": format!("u-{name}"),
                        "ownerReferences": [{ "kind": "Deployment", "name": of, "uid": format!("u-{of}"), "controller": true }] } })
                };
                return (200, json!({ "items": [replica_set("web-1", "web"), replica_set("canary-1", "canary")] }));
            }
            "GET /api/v1/namespaces/shop/limitranges" | "GET /api/v1/namespaces/shop/resourcequotas" => {
                return (200, json!({ "items": [] }));
            }
            _ => {}
        }
        let name = path.trim_end_matches("/resize").rsplit('/').next().unwrap().to_owned();
        if !self.objects.contains_key(&name) || path.contains("horizontalpodautoscalers") {
            return (404, status(404, "NotFound"));
        }
        if path.starts_with("PATCH") {
            let mut world = self.clone();
            let (resources, version) = world.objects.get_mut(&name).unwrap();
            if sent["metadata"]["resourceVersion"] != json!(version.to_string()) {
                return (409, status(409, "Conflict"));
            }
            let spec = if name == "web" { &sent["spec"]["template"]["spec"] } else { &sent["spec"] };
            *resources = self.webhook.clone().unwrap_or_else(|| spec["containers"][0]["resources"].clone());
            *version += 1;
            let object = world.object(&name);
            if !query.contains("dryRun=All") {
                self.objects = world.objects;
            }
            return (200, object);
        }
        (200, self.object(&name))
    }

    /// CPU requests of the pods and of the template.
    fn cpu(&self) -> Vec<&str> {
        self.objects.values().map(|(resources, _)| resources["requests"]["cpu"].as_str().unwrap()).collect()
    }
}

fn status(code: u16, reason: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason })
}

fn plan() -> HpaPlan {
    let target = Target::deployment("shop", "web");
    vertical::plan(&target, Bounds::new(2, 6).unwrap(), &vertical::facts(), 50, 0)
}

async fn serve(mut handle: Handle<Request<Body>, Response<Body>>, world: Arc<Mutex<World>>) {
    while let Some((request, responder)) = handle.next_request().await {
        let (parts, body) = request.into_parts();
        let sent = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or(Value::Null);
        let slow = world.lock().unwrap().slow;
        tokio::time::sleep(slow).await;
        let (code, answer) = world.lock().unwrap().answer(&format!("{} {}", parts.method, parts.uri), &sent);
        let response = Response::builder().status(StatusCode::from_u16(code).unwrap());
        responder.send_response(response.body(Body::from(answer.to_string().into_bytes())).unwrap());
    }
    std::future::pending::<()>().await;
}

/// Applies against such a server, and returns what is left of it.
async fn apply(
    world: World,
    mode: ApplyMode,
    of: impl FnOnce(ResizeApplier) -> ResizeApplier,
) -> (Result<Resized, ApplyError>, World) {
    let (service, handle) = pair::<Request<Body>, Response<Body>>();
    let applier = of(ResizeApplier::new(Client::new(service, "other")));
    let world = Arc::new(Mutex::new(world));
    let used = InUse { container: Usage { cpu_millicores: Some(100), memory_bytes: None }, ..InUse::default() };
    let plan = plan();
    let answer = {
        let applying = Box::pin(applier.apply(&plan, "app", &used, mode));
        match select(applying, Box::pin(serve(handle, Arc::clone(&world)))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => panic!("the server does not end"),
        }
    };
    let left = world.lock().unwrap().clone();
    (answer, left)
}

const OLD: &str = "250m";
const NEW: &str = "375m";

#[tokio::test(start_paused = true)]
async fn every_pod_is_rehearsed_before_the_first_is_written() {
    let (answer, left) = apply(World::new(), ApplyMode::Apply, |applier| applier).await;
    assert!(answer.unwrap().changed);
    assert_eq!(left.cpu(), [OLD, NEW, NEW, NEW], "the template stays");
    let writes: Vec<bool> =
        left.log.iter().filter(|asked| asked.starts_with("PATCH")).map(|asked| asked.contains("dryRun=All")).collect();
    assert_eq!(writes, [true, true, true, false, false, false]);

    let (answer, left) = apply(
        World::with(&[("PATCH /api/v1/namespaces/shop/pods/web-c", 422, status(422, "Invalid"), false)]),
        ApplyMode::Apply,
        |applier| applier,
    )
    .await;
    assert!(matches!(answer, Err(ApplyError::Refused { .. })), "{answer:?}");
    assert_eq!(left.cpu(), [OLD; 4], "the last one's refusal stops them all");
    let (answer, left) = apply(World::new(), ApplyMode::ServerDryRun, |applier| applier).await;
    assert!(answer.unwrap().changed && left.cpu() == [OLD; 4]);
}

#[tokio::test(start_paused = true)]
async fn law_12_what_was_sent_may_have_happened_and_is_finished_by_the_next_call() {
    let lost = |carried_out| [("web-b/resize?&fieldManager", 500, status(500, "InternalError"), carried_out)];
    for carried_out in [false, true] {
        let (answer, left) = apply(World::with(&lost(carried_out)), ApplyMode::Apply, |applier| applier).await;
        let error = answer.unwrap_err();
        assert!(error.may_have_happened() && error.is_transient(), "{error:?}");
        assert_eq!(left.cpu(), [OLD, NEW, if carried_out { NEW } else { OLD }, OLD]);
        let (answer, left) = apply(left, ApplyMode::Apply, |applier| applier).await;
        assert!(answer.unwrap().changed);
        assert_eq!(left.cpu(), [OLD, NEW, NEW, NEW]);
    }
    // Refused after another pod was changed: something has happened, whatever the answer to this one says.
    let late = [("web-b/resize?&fieldManager", 403, status(403, "Forbidden"), false)];
    let (answer, _) = apply(World::with(&late), ApplyMode::Apply, |applier| applier).await;
    assert!(answer.unwrap_err().may_have_happened());
    for fault in ["GET /api/v1/namespaces/shop/limitranges", "web-b/resize?&dryRun", "GET /apis/apps/v1"] {
        let (answer, left) =
            apply(World::with(&[(fault, 500, status(500, "InternalError"), false)]), ApplyMode::Apply, |applier| {
                applier
            })
            .await;
        let error = answer.unwrap_err();
        assert!(!error.may_have_happened() && error.is_transient(), "{fault}: {error:?}");
        assert_eq!(left.cpu(), [OLD; 4]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_a_busy_server_and_a_pod_that_is_gone_are_looked_at_again() {
    for (fault, code) in [
        ("web-b/resize?&fieldManager", 409),
        ("web-b/resize?&dryRun", 409),
        ("web-b/resize?&fieldManager", 429),
        ("web-b/resize?&fieldManager", 503),
        ("web-b/resize?&dryRun", 404),
        ("web-b/resize?&fieldManager", 404),
    ] {
        let body = status(code, if code == 404 { "NotFound" } else { "Busy" });
        let (answer, left) =
            apply(World::with(&[(fault, code, body, false)]), ApplyMode::Apply, |applier| applier).await;
        assert!(answer.unwrap_or_else(|error| panic!("{fault} {code}: {error}")).changed);
        assert_eq!(left.cpu(), [OLD, NEW, NEW, NEW], "{fault} {code}");
    }
    let restless: Vec<Fault> =
        (0..20).map(|_| ("web-b/resize?&fieldManager", 409, status(409, "Conflict"), false)).collect();
    let (answer, left) = apply(World::with(&restless), ApplyMode::Apply, |applier| applier).await;
    let error = answer.unwrap_err();
    assert!(error.may_have_happened() && error.is_transient(), "{error:?}");
    assert_eq!(left.cpu(), [OLD, NEW, OLD, OLD]);
}

#[tokio::test(start_paused = true)]
async fn many_pods_that_change_often_are_all_done_by_one_call() {
    let mut many = World { slow: Duration::from_millis(100), ..World::new() };
    for nth in 0..200 {
        let size = many.objects["web-a"].clone();
        many.objects.insert(format!("web-p{nth:03}"), size);
    }
    for name in (0..200).step_by(10).map(|nth| format!("web-p{nth:03}")) {
        for what in ["dryRun", "fieldManager"] {
            let part: &'static str = format!("{name}/resize?&{what}").leak();
            many.faults.push((part, 409, status(409, "Conflict"), false));
        }
    }
    for mode in [ApplyMode::ServerDryRun, ApplyMode::Apply] {
        let (answer, left) = apply(many.clone(), mode, |applier| applier).await;
        assert!(answer.unwrap_or_else(|error| panic!("{mode}: {error}")).changed);
        let done = if mode == ApplyMode::Apply { NEW } else { OLD };
        assert!(left.cpu().iter().skip(1).all(|cpu| *cpu == done), "{mode}");
        let rehearsed = left.log.iter().filter(|asked| asked.contains("dryRun=All")).count();
        assert_eq!(rehearsed, 203 + 20, "each once, and once more where it had changed");
    }
}

#[tokio::test(start_paused = true)]
async fn pods_of_others_with_the_same_labels_are_left_alone() {
    for other in [
        json!({ "kind": "Job", "name": "web", "uid": "u-job", "controller": true }),
        json!({ "kind": "ReplicaSet", "name": "canary-1", "uid": "u-canary-1", "controller": true }),
        json!({ "kind": "ReplicaSet", "name": "web-1", "uid": "u-web-1", "controller": false }),
        json!({ "kind": "ReplicaSet", "name": "web-1", "uid": "u-of-another-life", "controller": true }),
        json!({ "kind": "Deployment", "name": "web", "uid": "u-web", "controller": true }),
        json!(3),
    ] {
        let world = World { controllers: BTreeMap::from([("web-b", other.clone())]), ..World::new() };
        let (answer, left) = apply(world, ApplyMode::Apply, |applier| applier).await;
        assert_eq!(answer.unwrap().preview.pods, ["web-a", "web-c"], "{other}");
        assert_eq!(left.cpu(), [OLD, NEW, OLD, NEW], "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_cannot_resize_rolls_out_or_refuses() {
    let old = || World { resizes: false, ..World::new() };
    let (answer, left) = apply(old(), ApplyMode::Apply, |applier| applier).await;
    assert_eq!(answer.unwrap().preview.way, ResizeWay::Rollout);
    assert_eq!(left.cpu(), [NEW, OLD, OLD, OLD]);
    let (answer, left) = apply(left, ApplyMode::Apply, |applier| applier).await;
    assert!(!answer.unwrap().changed, "twice equals once");
    assert_eq!(left.log.iter().filter(|asked| asked.starts_with("PATCH")).count(), 2, "a rehearsal and a write in all");
    let (answer, _) = apply(old(), ApplyMode::Apply, |applier| applier.way(ResizeWay::InPlace)).await;
    assert!(answer.unwrap_err().to_string().contains("does not serve pods/resize"));
    let mut none = World::new();
    none.objects.retain(|name, _| name == "web");
    let (answer, left) = apply(none, ApplyMode::Apply, |applier| applier).await;
    assert_eq!(
        (answer.unwrap().preview.way, left.cpu()),
        (ResizeWay::Rollout, vec![NEW]),
        "without pods there is only the template"
    );
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_none_change_nothing() {
    let web = "GET /apis/apps/v1/namespaces/shop/deployments/web";
    for body in [
        json!([]),
        json!("text"),
        json!({}),
        json!({ "spec": { "selector": {} } }),
        json!({ "spec": { "selector": { "matchLabels": 3 } } }),
    ] {
        let (answer, left) =
            apply(World::with(&[(web, 200, body.clone(), false)]), ApplyMode::Apply, |applier| applier).await;
        assert!(matches!(answer, Err(ApplyError::Refused { .. })), "{body}: {answer:?}");
        assert_eq!(left.cpu(), [OLD; 4]);
    }
    let size = json!({ "requests": { "cpu": "400m", "memory": "512Mi" } });
    let (answer, left) =
        apply(World { webhook: Some(size), ..World::new() }, ApplyMode::Apply, |applier| applier).await;
    let error = answer.unwrap_err();
    assert!(
        error.to_string().contains("web-a did not get the size that was sent") && !error.may_have_happened(),
        "{error}"
    );
    assert_eq!(left.cpu(), [OLD; 4], "the rehearsal has found it out");
}

#[tokio::test]
async fn what_cannot_be_resized_is_refused_before_anything_is_sent() {
    let (service, _handle) = pair::<Request<Body>, Response<Body>>();
    let applier = ResizeApplier::new(Client::new(service, "other"));
    for target in [
        Target::deployment("shop", "../x"),
        Target::deployment("shop", "web").with_hpa("a/b"),
        Target::deployment("shop", "web").of_kind("DaemonSet"),
    ] {
        let plan = vertical::plan(&target, Bounds::new(2, 6).unwrap(), &vertical::facts(), 50, 0);
        let answer = applier.preview(&plan, "app", &InUse::default()).now_or_never().unwrap();
        assert!(matches!(answer, Err(ApplyError::Refused { .. })), "{answer:?}");
    }
}
