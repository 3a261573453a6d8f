//! Leases as an API server keeps them, behind a mocked client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower_test::mock::pair;

/// What the server does with requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Answers,
    /// Nothing comes back, and nothing is stored.
    Hangs,
    /// Writes are stored, and their answers are lost.
    LosesAnswers,
    Refuses(u16),
    /// The namespace is missing: lists are empty, and nothing can be created.
    NoNamespace,
}

#[derive(Default)]
struct State {
    leases: BTreeMap<String, Value>,
    version: u64,
    mood: Mood,
    /// Method, path with query, and body of each request.
    seen: Vec<(String, String, Value)>,
}

#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/ops/leases";

impl Server {
    /// A client of a replica of its own.
    pub(crate) fn client(&self) -> Client {
        let (service, mut handle) = pair::<Request<Body>, Response<Body>>();
        let this = self.clone();
        tokio::spawn(async move {
            let mut never = Vec::new();
            while let Some((request, responder)) = handle.next_request().await {
                let (parts, body) = request.into_parts();
                let body = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or(Value::Null);
                match this.answer(parts.method.as_str(), &parts.uri.to_string(), body) {
                    Some((code, value)) => {
                        let response = Response::builder().status(StatusCode::from_u16(code).unwrap());
                        responder.send_response(response.body(Body::from(value.to_string().into_bytes())).unwrap());
                    }
                    // Dropped, it would be an answer.
                    None => never.push(responder),
                }
            }
        });
        Client::new(service, "other")
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    pub(crate) fn seen(&self) -> Vec<(String, String, Value)> {
        self.0.lock().unwrap().seen.clone()
    }

    pub(crate) fn lease(&self, name: &str) -> Option<Value> {
        self.0.lock().unwrap().leases.get(name).cloned()
    }

    /// Leases that nobody has held yet.
    pub(crate) fn with_free(self, shards: u32) -> Self {
        for shard in 0..shards {
            let name = format!("fleet-shard-{shard}");
            let metadata = json!({ "name": name, "labels": { "kube-scaling/lease-group": "fleet" } });
            let lease =
                json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": {} });
            self.0.lock().unwrap().store(name, lease);
        }
        self
    }

    fn answer(&self, method: &str, uri: &str, body: Value) -> Option<(u16, Value)> {
        let mut state = self.0.lock().unwrap();
        state.seen.push((method.to_owned(), uri.to_owned(), body.clone()));
        let path = uri.split('?').next().unwrap();
        let name = path.strip_prefix(PATH).unwrap_or_else(|| panic!("another path: {path}")).trim_start_matches('/');
        match state.mood {
            Mood::Hangs => return None,
            Mood::Refuses(code) => return Some(status(code, "no")),
            Mood::NoNamespace if method == "POST" => return Some(status(404, "NotFound")),
            Mood::Answers | Mood::LosesAnswers | Mood::NoNamespace => {}
        }
        let answer = match method {
            "GET" if name.is_empty() => {
                let items: Vec<&Value> = state.leases.values().collect();
                (
                    200,
                    json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "LeaseList", "metadata": {}, "items": items }),
                )
            }
            "GET" => state.leases.get(name).map_or_else(|| status(404, "NotFound"), |lease| (200, lease.clone())),
            "POST" => {
                let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                if state.leases.contains_key(&name) {
                    status(409, "AlreadyExists")
                } else {
                    (201, state.store(name, body))
                }
            }
            "PATCH" => state.patch(name, &body),
            _ => panic!("another method: {method}"),
        };
        (state.mood != Mood::LosesAnswers).then_some(answer)
    }
}

impl State {
    fn store(&mut self, name: String, mut lease: Value) -> Value {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.leases.insert(name, lease.clone());
        lease
    }

    fn patch(&mut self, name: &str, patch: &Value) -> (u16, Value) {
        let Some(mut lease) = self.leases.get(name).cloned() else { return status(404, "NotFound") };
        if patch["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] {
            return status(409, "Conflict");
        }
        let old = lease.clone();
        merge(&mut lease, patch);
        (200, if lease == old { old } else { self.store(name.to_owned(), lease) })
    }
}

/// RFC 7386.
fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else { return *value = patch.clone() };
    if !value.is_object() {
        *value = json!({});
    }
    for (key, patch) in fields {
        if patch.is_null() {
            value.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut value[key.as_str()], patch);
        }
    }
}

fn status(code: u16, reason: &str) -> (u16, Value) {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "leases: no", "metadata": {},
    });
    (code, status)
}
