//! An API server in memory: HPAs with their field managers, a watch of them, and Events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower_test::mock::{SendResponse, pair};

type Responder = SendResponse<Response<Body>>;

#[derive(Clone, Default)]
pub(crate) struct Api(Arc<Mutex<World>>);

#[derive(Default)]
pub(crate) struct World {
    pub(crate) hpas: BTreeMap<String, Value>,
    pub(crate) events: BTreeMap<String, Value>,
    /// Manager and annotations of each write that was stored.
    pub(crate) writes: Vec<(String, Vec<String>)>,
    pub(crate) reads: usize,
    version: u64,
    lines: Vec<String>,
    watches: Vec<Responder>,
}

impl Api {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// An HPA on CPU, of 2 to 20 pods of 50 requests a second.
    pub(crate) fn hpa(&self, name: &str, settings: &[(&str, &str)]) {
        let cpu = json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } } });
        let mut annotations = json!({ "kube-scaling/pod-capacity": "50" });
        for (key, value) in settings {
            annotations[format!("kube-scaling/{key}")] = (*value).into();
        }
        let hpa = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "annotations": annotations,
                "managedFields": [{ "manager": "kubectl", "operation": "Update", "fieldsV1": {
                    "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {} } } }] },
            "spec": {
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
                "minReplicas": 2, "maxReplicas": 20, "metrics": [cpu],
            },
        });
        self.world().store(name, hpa);
    }

    /// An HPA that was a target once: of ours, a stage is all that is left.
    pub(crate) fn left(&self, name: &str) {
        self.hpa(name, &[]);
        let mut world = self.world();
        let mut hpa = world.hpas[name].clone();
        let text = r#"{"v":1,"stage":"full","begins":"observe","since":"2026-01-01T00:00:00Z"}"#;
        hpa["metadata"]["annotations"] = json!({ "kube-scaling/adoption": text });
        let entry = json!({ "manager": "kube-scaling-adoption", "operation": "Apply",
            "fieldsV1": { "f:metadata": { "f:annotations": { "f:kube-scaling/adoption": {} } } } });
        hpa["metadata"]["managedFields"].as_array_mut().unwrap().push(entry);
        world.store(name, hpa);
    }

    /// Changes a setting as its owner does; an empty value takes it away.
    pub(crate) fn annotate(&self, name: &str, key: &str, value: &str) {
        let mut world = self.world();
        let mut hpa = world.hpas[name].clone();
        let annotations = hpa["metadata"]["annotations"].as_object_mut().unwrap();
        match value {
            "" => annotations.remove(&format!("kube-scaling/{key}")),
            _ => annotations.insert(format!("kube-scaling/{key}"), value.into()),
        };
        world.store(name, hpa);
    }

    /// The stage that stands at an HPA.
    pub(crate) fn stage(&self, name: &str) -> Option<String> {
        let world = self.world();
        let text = world.hpas[name]["metadata"]["annotations"]["kube-scaling/adoption"].as_str()?.to_owned();
        serde_json::from_str::<Value>(&text).ok()?["stage"].as_str().map(str::to_owned)
    }

    /// A client of it.
    pub(crate) fn serve(&self) -> Client {
        let (service, mut server) = pair::<Request<Body>, Response<Body>>();
        let this = self.clone();
        tokio::spawn(async move {
            while let Some((request, responder)) = server.next_request().await {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let query = parts.uri.query().unwrap_or_default();
                let manager = query.split('&').find_map(|pair| pair.strip_prefix("fieldManager=")).unwrap_or_default();
                let asked = Asked { method: parts.method, path: parts.uri.path(), query, manager };
                this.world().take(&asked, &body, responder);
            }
        });
        Client::new(service, "shop")
    }
}

struct Asked<'a> {
    method: Method,
    path: &'a str,
    query: &'a str,
    manager: &'a str,
}

impl World {
    fn store(&mut self, name: &str, mut hpa: Value) {
        self.version += 1;
        hpa["metadata"]["resourceVersion"] = self.version.to_string().into();
        let kind = if self.hpas.contains_key(name) { "MODIFIED" } else { "ADDED" };
        self.lines.push(format!("{}\n", json!({ "type": kind, "object": hpa })));
        self.hpas.insert(name.to_owned(), hpa);
        if !self.watches.is_empty() {
            let body = std::mem::take(&mut self.lines).concat();
            // The others are continued from where they are when they ask again.
            for watch in self.watches.drain(..) {
                send(watch, 200, body.clone());
            }
        }
    }

    fn take(&mut self, asked: &Asked<'_>, body: &[u8], responder: Responder) {
        let name = asked.path.rsplit('/').next().unwrap_or_default().to_owned();
        let is_hpas = asked.path.contains("/horizontalpodautoscalers");
        if is_hpas && asked.query.contains("watch=true") {
            let from: u64 =
                asked.query.split("resourceVersion=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
            if from < self.version {
                // Everything anew is as good as what was missed.
                let lines: Vec<String> = self
                    .hpas
                    .values()
                    .map(|hpa| format!("{}\n", json!({ "type": "MODIFIED", "object": hpa })))
                    .collect();
                return send(responder, 200, lines.concat());
            }
            return self.watches.push(responder);
        }
        match (&asked.method, is_hpas) {
            (&Method::GET, true) if name == "horizontalpodautoscalers" => {
                let list = json!({ "kind": "HorizontalPodAutoscalerList", "apiVersion": "autoscaling/v2",
                    "metadata": { "resourceVersion": self.version.to_string() }, "items": self.hpas.values().collect::<Vec<_>>() });
                send(responder, 200, list.to_string());
            }
            (&Method::GET, true) => {
                self.reads += 1;
                match self.hpas.get(&name) {
                    Some(hpa) => send(responder, 200, hpa.to_string()),
                    None => send(responder, 404, json!({ "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "gone" }).to_string()),
                }
            }
            (&Method::PATCH, true) => {
                let hpa = self.applied(&name, &serde_json::from_slice(body).unwrap(), asked.manager);
                send(responder, 200, hpa.to_string());
                if !asked.query.contains("dryRun") {
                    let annotations = serde_json::from_slice::<Value>(body).unwrap()["metadata"]["annotations"].clone();
                    let keys = annotations.as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default();
                    self.writes.push((asked.manager.to_owned(), keys));
                    self.store(&name, hpa);
                }
            }
            (&Method::PATCH, false) => {
                let event: Value = serde_json::from_slice(body).unwrap();
                send(responder, 200, event.to_string());
                self.events.insert(name, event);
            }
            _ => send(
                responder,
                403,
                json!({ "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no" })
                    .to_string(),
            ),
        }
    }

    /// The HPA after a server-side apply: what the manager had applied before and leaves out now is gone.
    fn applied(&self, name: &str, body: &Value, manager: &str) -> Value {
        let mut hpa = self.hpas[name].clone();
        assert_eq!(body["metadata"]["uid"], hpa["metadata"]["uid"], "bound to the object");
        let keys = |value: &Value| -> BTreeSet<String> {
            value.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
        };
        let mut entries = hpa["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        let before = entries.iter().position(|entry| entry["manager"] == manager && entry["operation"] == "Apply");
        let before = before.map(|place| entries.remove(place)).unwrap_or_default();
        let mut owned = json!({});
        for (part, place) in [("/metadata/annotations", "/f:metadata/f:annotations"), ("/spec", "/f:spec")] {
            let had = before["fieldsV1"].pointer(place).map(&keys).unwrap_or_default();
            let has = body.pointer(part).map(&keys).unwrap_or_default();
            let target = hpa.pointer_mut(part).unwrap().as_object_mut().unwrap();
            for key in had {
                let key = key.trim_start_matches("f:");
                if !has.contains(key) {
                    target.remove(key);
                }
            }
            let fields: serde_json::Map<String, Value> =
                has.iter().map(|key| (format!("f:{key}"), json!({}))).collect();
            for key in has {
                target.insert(key.clone(), body.pointer(part).unwrap()[&key].clone());
            }
            if !fields.is_empty() {
                match place {
                    "/f:spec" => owned["f:spec"] = fields.into(),
                    _ => owned["f:metadata"] = json!({ "f:annotations": fields }),
                }
            }
        }
        if owned != json!({}) {
            entries.push(json!({ "manager": manager, "operation": "Apply", "fieldsV1": owned }));
        }
        hpa["metadata"]["managedFields"] = entries.into();
        hpa
    }
}

fn send(responder: Responder, code: u16, body: String) {
    responder.send_response(Response::builder().status(code).body(Body::from(body.into_bytes())).unwrap());
}
