//! A cluster in memory behind a Kubernetes client: workloads, pods, samples and metrics as the APIs answer them, and whatever a test
//! wants to go wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use scaling_core::chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use tower_test::mock::pair;

/// An answer that is not the usual one, for paths that begin so.
#[derive(Clone)]
pub(crate) enum Fault {
    Status(u16, String),
    Body(String),
    Hang,
}

#[derive(Default)]
pub(crate) struct State {
    /// Plural and object.
    pub(crate) workloads: Vec<(&'static str, Value)>,
    pub(crate) pods: Vec<Value>,
    pub(crate) usage: Vec<Value>,
    /// Items by path.
    pub(crate) metrics: BTreeMap<String, Vec<Value>>,
    pub(crate) custom_versions: Vec<&'static str>,
    pub(crate) faults: Vec<(String, Fault)>,
    pub(crate) asked: Vec<String>,
}

#[derive(Clone, Default)]
pub(crate) struct FakeCluster(Arc<Mutex<State>>);

pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

pub(crate) fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A pod of `app`, created at an instant and ready so many seconds later, or not yet.
pub(crate) fn pod(name: &str, app: &str, created: DateTime<Utc>, ready_after: Option<i64>) -> Value {
    let ready = ready_after.map(|seconds| created + TimeDelta::seconds(seconds));
    json!({
        "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-{name}-{}", created.timestamp()),
            "labels": { "app": app, "pod-template-hash": "x" }, "creationTimestamp": text(created) },
        "spec": { "containers": [
            { "name": "main", "resources": { "requests": { "cpu": "400m", "memory": "256Mi" }, "limits": { "memory": "512Mi" } } },
            { "name": "proxy", "resources": { "requests": { "cpu": "0.1", "memory": "64Mi" }, "limits": { "memory": "64Mi" } } },
        ] },
        "status": {
            "phase": "Running", "startTime": text(created),
            "conditions": [
                { "type": "PodScheduled", "status": "True", "lastTransitionTime": text(created + TimeDelta::seconds(2)) },
                { "type": "Ready", "status": if ready.is_some() { "True" } else { "False" },
                  "lastTransitionTime": text(ready.unwrap_or(created)) },
            ],
            "containerStatuses": [{ "restartCount": 0 }, { "restartCount": 0 }],
        },
    })
}

/// A sample of a pod: CPU in nanocores over both containers, memory in KiB.
pub(crate) fn sample(pod: &str, at: DateTime<Utc>, nanocores: i64, kib: i64) -> Value {
    json!({
        "metadata": { "name": pod, "namespace": "shop" }, "timestamp": text(at), "window": "30.5s",
        "containers": [
            { "name": "main", "usage": { "cpu": format!("{nanocores}n"), "memory": format!("{kib}Ki") } },
            { "name": "proxy", "usage": { "cpu": "0", "memory": "0" } },
        ],
    })
}

pub(crate) fn value(object: &str, at: DateTime<Utc>, value: &str) -> Value {
    json!({ "describedObject": { "kind": "Pod", "namespace": "shop", "name": object }, "metric": { "name": "m" },
        "timestamp": text(at), "value": value })
}

pub(crate) fn workload(name: &str, replicas: u32) -> Value {
    json!({ "metadata": { "name": name, "namespace": "shop" },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": name } } } })
}

impl FakeCluster {
    /// Deployment `web` of three pods that are ready since long, at half of their request of CPU and memory at `now`.
    pub(crate) fn web(now: DateTime<Utc>) -> Self {
        let fake = Self::default();
        {
            let mut state = fake.state();
            state.workloads.push(("deployments", workload("web", 3)));
            for name in ["web-a", "web-b", "web-c"] {
                state.pods.push(pod(name, "web", now - TimeDelta::hours(1), Some(20)));
                state.usage.push(sample(name, now - TimeDelta::seconds(10), 250_000_000, 160 * 1024));
            }
            state.custom_versions = vec!["v1beta2", "v1beta1"];
        }
        fake
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn fault(&self, path: &str, fault: Fault) {
        self.state().faults.push((path.to_owned(), fault));
    }

    /// Paths asked since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state().asked)
    }

    /// A client whose requests this cluster answers as long as the runtime lives.
    pub(crate) fn client(&self) -> Client {
        let (service, mut server) = pair::<Request<Body>, Response<Body>>();
        let this = self.clone();
        tokio::spawn(async move {
            let mut hanging = Vec::new();
            while let Some((request, responder)) = server.next_request().await {
                let uri = request.uri().to_string();
                let reply = this.reply(&uri);
                this.state().asked.push(uri);
                match reply {
                    Some((code, body)) => {
                        let response = Response::builder().status(StatusCode::from_u16(code).unwrap());
                        responder.send_response(response.body(Body::from(body.into_bytes())).unwrap());
                    }
                    None => hanging.push(responder),
                }
            }
        });
        Client::new(service, "default")
    }

    fn reply(&self, uri: &str) -> Option<(u16, String)> {
        let state = self.state();
        if let Some((_, fault)) = state.faults.iter().rev().find(|(path, _)| uri.starts_with(path.as_str())) {
            return match fault {
                Fault::Status(code, body) => Some((*code, body.clone())),
                Fault::Body(body) => Some((200, body.clone())),
                Fault::Hang => None,
            };
        }
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let ok = |value: Value| Some((200, value.to_string()));
        match parts.as_slice() {
            ["apis", "apps", "v1", "namespaces", namespace, plural] => {
                let of =
                    |(kind, object): &&(&str, Value)| kind == plural && object["metadata"]["namespace"] == *namespace;
                let items: Vec<&Value> = state.workloads.iter().filter(of).map(|(_, object)| object).collect();
                ok(json!({ "items": items }))
            }
            ["apis", "apps", "v1", "namespaces", namespace, plural, name] => {
                let is = |(kind, object): &&(&str, Value)| {
                    kind == plural
                        && object["metadata"]["namespace"] == *namespace
                        && object["metadata"]["name"] == *name
                };
                match state.workloads.iter().find(is) {
                    Some((_, object)) => ok(object.clone()),
                    None => Some((404, status(404, "NotFound", &format!("{plural}.apps {name:?} not found")))),
                }
            }
            ["api", "v1", "namespaces", namespace, "pods"] => {
                let items: Vec<&Value> =
                    state.pods.iter().filter(|pod| selected(pod, namespace, parameter("labelSelector"))).collect();
                ok(paged(&items, parameter("limit"), parameter("continue")))
            }
            ["apis", "metrics.k8s.io", "v1beta1", "namespaces", namespace, "pods"] => {
                let items: Vec<&Value> =
                    state.usage.iter().filter(|sample| sample["metadata"]["namespace"] == *namespace).collect();
                ok(json!({ "kind": "PodMetricsList", "items": items }))
            }
            ["apis", "custom.metrics.k8s.io"] if !state.custom_versions.is_empty() => {
                let versions: Vec<Value> =
                    state.custom_versions.iter().map(|version| json!({ "version": version })).collect();
                ok(json!({ "kind": "APIGroup", "versions": versions }))
            }
            _ => match state.metrics.get(path) {
                Some(items) => ok(json!({ "items": items })),
                None => Some((404, "404 page not found\n".to_owned())),
            },
        }
    }
}

pub(crate) fn status(code: u16, reason: &str, message: &str) -> String {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message })
        .to_string()
}

fn selected(pod: &Value, namespace: &str, selector: Option<&str>) -> bool {
    let label = selector.and_then(|selector| selector.strip_prefix("app%3D"));
    pod["metadata"]["namespace"] == namespace && label.is_none_or(|label| pod["metadata"]["labels"]["app"] == label)
}

fn paged(items: &[&Value], limit: Option<&str>, from: Option<&str>) -> Value {
    let number = |text: Option<&str>, default| text.map_or(default, |text| text.parse::<usize>().unwrap());
    let (limit, from) = (number(limit, usize::MAX), number(from, 0));
    let page: Vec<&&Value> = items.iter().skip(from).take(limit).collect();
    let end = from + page.len();
    let next = if end < items.len() { end.to_string() } else { String::new() };
    json!({ "metadata": { "continue": next }, "items": page })
}
