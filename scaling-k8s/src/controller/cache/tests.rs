//! The watch against a server that follows a script, on a paused clock.

mod script;
mod world;

use std::time::Duration;

use scaling_core::Bounds;
use serde_json::{Value, json};

use super::object::Object;
use super::watch::{Event, Page};

/// An HPA that is a target.
fn hpa(name: &str, version: u64, max: u32) -> Value {
    json!({
        "metadata": {
            "namespace": "shop", "name": name, "uid": format!("u-{name}"), "resourceVersion": version.to_string(),
            "annotations": { "kube-scaling/mode": "full" },
        },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
            "minReplicas": 2, "maxReplicas": max,
        },
        "status": { "currentReplicas": 3, "desiredReplicas": 4 },
    })
}

fn object(json: Value) -> Object {
    serde_json::from_value(json).unwrap()
}

fn page(version: u64, objects: impl IntoIterator<Item = Value>) -> Page {
    Page { objects: objects.into_iter().map(object).collect(), version: Some(version.to_string()), next: None }
}

fn put(json: Value) -> Event {
    Event::Put(Box::new(object(json)))
}

fn removed(json: Value) -> Event {
    Event::Removed(Box::new(object(json)))
}

fn bookmark(version: u64) -> Event {
    Event::Bookmark(Some(version.to_string()))
}

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
