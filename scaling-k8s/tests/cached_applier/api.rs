//! An API server in memory, of as much as an applier and a watch ask for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use scaling_core::Bounds;
use scaling_k8s::controller::cache::HpaCache;
use scaling_k8s::kube;
use serde_json::{Value, json};
use tower_test::mock::{SendResponse, pair};

type Responder = SendResponse<Response<Body>>;

/// What becomes of the next write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lost {
    /// It is stored, and the answer is an error of something in between.
    AfterTheWrite,
    /// It is not stored.
    BeforeTheWrite,
    /// It is stored, and there is no answer.
    ForEver,
}

#[derive(Clone)]
pub(crate) struct Api(Arc<Mutex<World>>);

struct World {
    hpas: BTreeMap<String, Value>,
    version: u64,
    asked: Vec<String>,
    managers: Vec<String>,
    lost: Option<Lost>,
    refuses: bool,
    stopped: bool,
    /// Lines that no watch has told yet.
    events: Vec<String>,
    /// Watches that wait for something to tell, and answers that never come.
    watches: Vec<Responder>,
    unanswered: Vec<Responder>,
}

impl Api {
    pub(crate) fn with(name: &str, bounds: Bounds) -> Self {
        let hpa = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": name, "namespace": "shop", "resourceVersion": "7", "uid": "u-1",
                "annotations": { "kube-scaling/mode": "full" } },
            "spec": {
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
                "minReplicas": bounds.min(), "maxReplicas": bounds.max(),
            },
        });
        Self(Arc::new(Mutex::new(World {
            hpas: BTreeMap::from([(name.to_owned(), hpa)]),
            version: 20,
            asked: Vec::new(),
            managers: Vec::new(),
            lost: None,
            refuses: false,
            stopped: false,
            events: Vec::new(),
            watches: Vec::new(),
            unanswered: Vec::new(),
        })))
    }

    /// A client of it.
    pub(crate) fn serve(&self) -> Client {
        let (service, mut server) = pair::<Request<Body>, Response<Body>>();
        let this = self.clone();
        tokio::spawn(async move {
            while let Some((request, responder)) = server.next_request().await {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                this.world().take(&parts.method, &parts.uri.to_string(), &body, responder);
            }
        });
        Client::new(service, "other")
    }

    /// Everything that was asked for, in short.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.world().asked.clone()
    }

    /// Field managers of the writes.
    pub(crate) fn managers(&self) -> Vec<String> {
        self.world().managers.clone()
    }

    pub(crate) fn lose(&self, lost: Lost) {
        self.world().lost = Some(lost);
    }

    pub(crate) fn refuse(&self) {
        self.world().refuses = true;
    }

    /// Answers nothing any more.
    pub(crate) fn stop(&self) {
        self.world().stopped = true;
    }

    /// Changes the bounds as a person would. No watch tells of it yet.
    pub(crate) fn edit(&self, name: &str, bounds: Bounds) {
        let mut world = self.world();
        let mut hpa = world.hpas[name].clone();
        hpa["spec"]["minReplicas"] = bounds.min().into();
        hpa["spec"]["maxReplicas"] = bounds.max().into();
        world.store(name, hpa);
    }

    pub(crate) fn delete(&self, name: &str) {
        let mut world = self.world();
        let mut hpa = world.hpas.remove(name).unwrap();
        world.version += 1;
        hpa["metadata"]["resourceVersion"] = world.version.to_string().into();
        world.events.push(event("DELETED", &hpa));
    }

    /// Tells the watch of everything since it was told last, and waits until the cache has it.
    pub(crate) async fn tell(&self, cache: &HpaCache) {
        let version = {
            let mut world = self.world();
            world.tell();
            world.version.to_string()
        };
        cache.caught_up(&version).await;
    }

    /// Tells the watch of a version that may be an old one.
    pub(crate) async fn tell_of(&self, name: &str, version: u64, bounds: Bounds) {
        {
            let mut world = self.world();
            let mut hpa = world.hpas[name].clone();
            hpa["metadata"]["resourceVersion"] = version.to_string().into();
            hpa["spec"]["minReplicas"] = bounds.min().into();
            hpa["spec"]["maxReplicas"] = bounds.max().into();
            let later = std::mem::replace(&mut world.events, vec![event("MODIFIED", &hpa)]);
            world.tell();
            world.events = later;
        }
        // It is heard of, and the next watch is there.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }
}

impl World {
    fn take(&mut self, method: &Method, uri: &str, body: &[u8], responder: Responder) {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let name = path.rsplit_once("/horizontalpodautoscalers").map_or("", |(_, name)| name.trim_start_matches('/'));
        let name = name.to_owned();
        let dry = query.contains("dryRun=All");
        let what = if query.contains("watch=true") { "WATCH" } else { method.as_str() };
        self.asked.push(format!("{what} {name}{}", if dry { " dry" } else { "" }).trim_end().to_owned());
        if self.stopped {
            self.unanswered.push(responder);
            return;
        }
        match (what, name.is_empty()) {
            ("WATCH", _) => {
                self.watches.push(responder);
            }
            ("GET", true) => {
                let items: Vec<&Value> = self.hpas.values().collect();
                let list = json!({
                    "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscalerList",
                    "metadata": { "resourceVersion": self.version.to_string() }, "items": items,
                });
                answer(responder, 200, &list);
            }
            ("GET", false) => match self.hpas.get(&name) {
                Some(hpa) => answer(responder, 200, hpa),
                None => answer(responder, 404, &status(404, "NotFound")),
            },
            ("PATCH", false) => {
                self.managers
                    .extend(query.split('&').find_map(|pair| Some(pair.strip_prefix("fieldManager=")?.to_owned())));
                self.patch(&name, dry, &serde_json::from_slice(body).unwrap(), responder);
            }
            other => panic!("nobody asks for {other:?}"),
        }
    }

    fn patch(&mut self, name: &str, dry: bool, body: &Value, responder: Responder) {
        if self.refuses {
            return answer(responder, 422, &status(422, "Invalid"));
        }
        let Some(mut hpa) = self.hpas.get(name).cloned() else {
            return answer(responder, 404, &status(404, "NotFound"));
        };
        if body["metadata"]["resourceVersion"] != hpa["metadata"]["resourceVersion"] {
            return answer(responder, 409, &status(409, "Conflict"));
        }
        for part in ["/spec", "/metadata/annotations"] {
            for (key, value) in body.pointer(part).unwrap().as_object().unwrap() {
                hpa.pointer_mut(part).unwrap()[key] = value.clone();
            }
        }
        if dry {
            return answer(responder, 200, &hpa);
        }
        match self.lost.take() {
            Some(Lost::BeforeTheWrite) => return answer(responder, 500, &status(500, "InternalError")),
            Some(Lost::AfterTheWrite) => {
                self.store(name, hpa);
                return answer(responder, 500, &status(500, "InternalError"));
            }
            Some(Lost::ForEver) => {
                self.store(name, hpa);
                self.unanswered.push(responder);
                return;
            }
            None => {}
        }
        self.store(name, hpa);
        answer(responder, 200, &self.hpas[name]);
    }

    fn store(&mut self, name: &str, mut hpa: Value) {
        self.version += 1;
        hpa["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.events.push(event("MODIFIED", &hpa));
        self.hpas.insert(name.to_owned(), hpa);
    }

    fn tell(&mut self) {
        let watch = self.watches.pop().unwrap();
        let lines: String = self.events.drain(..).collect();
        watch.send_response(Response::new(Body::from(lines.into_bytes())));
    }
}

fn event(kind: &str, hpa: &Value) -> String {
    format!("{}\n", json!({ "type": kind, "object": hpa }))
}

fn status(code: u16, reason: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason })
}

fn answer(responder: Responder, code: u16, body: &Value) {
    let response = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
    responder.send_response(response.unwrap());
}
