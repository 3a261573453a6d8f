//! A mocked API server of one workload and its pods.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use tower_test::mock::Handle;

/// Sets fields of an object.
fn merge(into: &mut Value, fields: &Value) {
    for (name, value) in fields.as_object().unwrap() {
        into[name] = value.clone();
    }
}

/// Answers of the server that are not the usual ones, by a part of method and path; each once. The flag: after it was carried out.
pub(crate) type Fault = (&'static str, u16, Value, bool);

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) resizes: bool,
    /// Resources and version of the pods and of the template, which is called `web`.
    pub(crate) objects: BTreeMap<String, (Value, u64)>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) log: Vec<String>,
    /// Controllers of pods that are not the workload's own ReplicaSet.
    pub(crate) controllers: BTreeMap<&'static str, Value>,
    pub(crate) webhook: Option<Value>,
    /// Kind of the workload.
    pub(crate) kind: &'static str,
    /// Fields of the spec and of the metadata of the workload besides the usual ones.
    pub(crate) spec: Value,
    pub(crate) marks: Value,
    /// Spec of its HPA, if it has one.
    pub(crate) hpa: Option<Value>,
    /// Update mode of a VerticalPodAutoscaler of it, if there is one.
    pub(crate) vpa: Option<&'static str>,
    /// Time that each answer takes.
    pub(crate) slow: Duration,
}

impl World {
    pub(crate) fn new() -> Self {
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
            kind: "Deployment",
            spec: json!({}),
            marks: json!({}),
            hpa: None,
            vpa: None,
            slow: Duration::ZERO,
        }
    }

    pub(crate) fn with(faults: &[Fault]) -> Self {
        Self { faults: faults.to_vec(), ..Self::new() }
    }

    fn object(&self, name: &str) -> Value {
        let (resources, version) = &self.objects[name];
        let containers = json!({ "containers": [{ "name": "app", "resources": resources }] });
        let mut metadata = json!({ "name": name, "namespace": "shop", "uid": format!("u-{name}"), "resourceVersion": version.to_string() });
        if name == "web" {
            let mut spec = json!({ "replicas": 3, "selector": { "matchLabels": { "app": "web" } }, "template": { "spec": containers } });
            merge(&mut spec, &self.spec);
            merge(&mut metadata, &self.marks);
            return json!({ "apiVersion": "apps/v1", "kind": self.kind, "metadata": metadata, "spec": spec });
        }
        let own = || {
            if self.kind == "StatefulSet" {
                return json!({ "kind": "StatefulSet", "name": "web", "uid": "u-web", "controller": true });
            }
            json!({ "kind": "ReplicaSet", "name": "web-1", "uid": "u-web-1", "controller": true })
        };
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
            "GET groups" => {
                let group = |name: &str, version: &str| {
                    let version = json!({ "groupVersion": format!("{name}/{version}"), "version": version });
                    json!({ "name": name, "versions": [version], "preferredVersion": version })
                };
                let groups = self.vpa.map(|_| group("autoscaling.k8s.io", "v1"));
                return (200, json!({ "kind": "APIGroupList", "groups": groups.into_iter().collect::<Vec<_>>() }));
            }
            "GET /apis/autoscaling.k8s.io/v1/namespaces/shop/verticalpodautoscalers" => {
                let spec = json!({ "targetRef": { "apiVersion": "apps/v1", "kind": self.kind, "name": "web" },
                    "updatePolicy": { "updateMode": self.vpa } });
                let vpa = json!({ "metadata": { "name": "web-vpa", "namespace": "shop" }, "spec": spec });
                return (200, json!({ "metadata": {}, "items": [vpa] }));
            }
            "GET /apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web" if self.hpa.is_some() => {
                let mut spec =
                    json!({ "scaleTargetRef": { "apiVersion": "apps/v1", "kind": self.kind, "name": "web" } });
                merge(&mut spec, &self.hpa.clone().unwrap());
                return (
                    200,
                    json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "web", "namespace": "shop", "uid": "u-hpa" }, "spec": spec }),
                );
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
    pub(crate) fn cpu(&self) -> Vec<&str> {
        self.objects.values().map(|(resources, _)| resources["requests"]["cpu"].as_str().unwrap()).collect()
    }
}

pub(crate) fn status(code: u16, reason: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason })
}

pub(crate) async fn serve(mut handle: Handle<Request<Body>, Response<Body>>, world: Arc<Mutex<World>>) {
    while let Some((request, responder)) = handle.next_request().await {
        let (parts, body) = request.into_parts();
        let sent = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or(Value::Null);
        let slow = world.lock().unwrap().slow;
        tokio::time::sleep(slow).await;
        let accepted = parts.headers.get("accept").and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
        let is_groups = parts.uri.path() == "/apis" && !accepted.contains("apidiscovery");
        let uri = if is_groups { "groups".to_owned() } else { parts.uri.to_string() };
        let (code, answer) = world.lock().unwrap().answer(&format!("{} {uri}", parts.method), &sent);
        let response = Response::builder().status(StatusCode::from_u16(code).unwrap());
        responder.send_response(response.body(Body::from(answer.to_string().into_bytes())).unwrap());
    }
    std::future::pending::<()>().await;
}
