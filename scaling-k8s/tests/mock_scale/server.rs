//! The part of an API server that an applier of replicas talks to, with faults on demand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use scaling_core::Target;
use scaling_k8s::ScaleApplier;
use serde_json::{Value, json};
use tower_test::mock::{Handle, pair};

/// An answer instead of the usual one: a code and a body, after the request was carried out or without.
pub(crate) struct Fault {
    /// The method, and a part of the path with the query; with a `$` at its end, the end of it.
    pub(crate) on: (&'static str, &'static str),
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) carried_out: bool,
}

#[derive(Default)]
pub(crate) struct World {
    /// Replicas and version by name.
    pub(crate) deployments: BTreeMap<String, (u32, u64)>,
    pub(crate) hpas: Vec<Value>,
    pub(crate) faults: Vec<Fault>,
    /// Requests so far, as method and path with query.
    pub(crate) log: Vec<String>,
    /// Replicas as a webhook makes them.
    pub(crate) webhook: Option<u32>,
}

pub(crate) type Shared = Arc<Mutex<World>>;

/// An applier over such a server; the future is the server, and never ends by itself.
pub(crate) fn served(world: &Shared) -> (ScaleApplier, impl Future<Output = ()> + use<>) {
    let (service, handle) = pair::<Request<Body>, Response<Body>>();
    (ScaleApplier::new(Client::new(service, "other")), serve(handle, Arc::clone(world)))
}

async fn serve(mut handle: Handle<Request<Body>, Response<Body>>, world: Shared) {
    while let Some((request, responder)) = handle.next_request().await {
        let (parts, body) = request.into_parts();
        let sent = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or(Value::Null);
        let asked = format!("{} {}", parts.method, parts.uri);
        let (code, answer) = world.lock().unwrap().answer(&asked, &sent);
        let response = Response::builder().status(StatusCode::from_u16(code).unwrap());
        responder.send_response(response.body(Body::from(answer.to_string().into_bytes())).unwrap());
    }
    std::future::pending::<()>().await;
}

pub(crate) fn status(code: u16, reason: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason })
}

pub(crate) fn target(name: &str) -> Target {
    Target::deployment("shop", name)
}

impl World {
    pub(crate) fn with(name: &str, replicas: u32) -> Shared {
        let deployments = BTreeMap::from([(name.to_owned(), (replicas, 1))]);
        Arc::new(Mutex::new(Self { deployments, ..Self::default() }))
    }

    fn answer(&mut self, asked: &str, sent: &Value) -> (u16, Value) {
        self.log.push(asked.to_owned());
        let part = |part: &str| match part.strip_suffix('$') {
            Some(end) => asked.trim_end_matches('?').ends_with(end),
            None => asked.contains(part),
        };
        let hit = |fault: &Fault| asked.starts_with(fault.on.0) && part(fault.on.1);
        let fault = self.faults.iter().position(hit).map(|at| self.faults.remove(at));
        match fault {
            Some(Fault { code, body, carried_out: true, .. }) => {
                self.usual(asked, sent);
                (code, body)
            }
            Some(Fault { code, body, .. }) => (code, body),
            None => self.usual(asked, sent),
        }
    }

    fn usual(&mut self, asked: &str, sent: &Value) -> (u16, Value) {
        let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
        match path {
            "GET /apis" => return (200, discovery()),
            "GET /api" => return (200, json!({ "items": [] })),
            "GET /apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers" => {
                return (200, json!({ "metadata": {}, "items": self.hpas }));
            }
            _ => {}
        }
        let (method, path) = path.split_once(' ').unwrap();
        let Some(name) = path.strip_prefix("/apis/apps/v1/namespaces/shop/deployments/") else {
            return (404, status(404, ""));
        };
        let (name, part) = name.split_once('/').unwrap_or((name, ""));
        let Some((replicas, version)) = self.deployments.get(name).copied() else {
            return (404, status(404, "NotFound"));
        };
        match (method, part) {
            ("GET", "scale") => (200, scale(name, replicas, version)),
            ("GET", "") => (200, json!({ "metadata": { "name": name, "namespace": "shop" } })),
            ("PATCH", "scale") => {
                if sent["metadata"]["resourceVersion"] != json!(version.to_string()) {
                    return (409, status(409, "Conflict"));
                }
                let wanted = u32::try_from(sent["spec"]["replicas"].as_u64().unwrap()).unwrap();
                let wanted = self.webhook.unwrap_or(wanted);
                if !query.contains("dryRun=All") {
                    self.deployments.insert(name.to_owned(), (wanted, version + 1));
                }
                (200, scale(name, wanted, version + 1))
            }
            other => panic!("{other:?}"),
        }
    }
}

fn scale(name: &str, replicas: u32, version: u64) -> Value {
    let mut spec = json!({});
    if replicas > 0 {
        spec["replicas"] = replicas.into();
    }
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "spec": spec, "status": { "replicas": replicas },
        "metadata": { "name": name, "namespace": "shop", "uid": format!("u-{name}"), "resourceVersion": version.to_string() },
    })
}

fn discovery() -> Value {
    let resource = |plural: &str, kind: &str, subresources: Value| json!({ "resource": plural, "responseKind": { "kind": kind }, "scope": "Namespaced", "subresources": subresources });
    json!({ "items": [
        { "metadata": { "name": "apps" }, "versions": [{ "version": "v1", "resources": [
            resource("deployments", "Deployment", json!([{ "subresource": "scale" }])) ] }] },
        { "metadata": { "name": "autoscaling" }, "versions": [{ "version": "v2", "resources": [
            resource("horizontalpodautoscalers", "HorizontalPodAutoscaler", json!([])) ] }] },
    ] })
}
