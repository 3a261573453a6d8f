//! The part of an API server that is about who owns what, for one HPA.

use scaling_k8s::resting::Bound;
use serde_json::{Map, Value, json};

pub(crate) struct Server {
    pub(crate) hpa: Value,
}

fn field(bound: Bound) -> &'static str {
    match bound {
        Bound::Min => "minReplicas",
        Bound::Max => "maxReplicas",
    }
}

impl Server {
    /// An HPA whose bounds one manager set.
    pub(crate) fn with(manager: &str, operation: &str, min: u32, max: u32) -> Self {
        Self {
            hpa: json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": { "namespace": "shop", "name": "checkout", "uid": "0b6f", "annotations": {}, "managedFields": [{
                    "manager": manager, "operation": operation, "fieldsV1": {
                        "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {}, "f:scaleTargetRef": {} } },
                }] },
                "spec": { "minReplicas": min, "maxReplicas": max },
            }),
        }
    }

    pub(crate) fn bounds(&self) -> (u32, u32) {
        let number = |name: &str| u32::try_from(self.hpa["spec"][name].as_u64().unwrap()).unwrap();
        (number("minReplicas"), number("maxReplicas"))
    }

    pub(crate) fn owners(&self, bound: Bound) -> Vec<&str> {
        let key = format!("f:{}", field(bound));
        let owns = |entry: &&Value| entry["fieldsV1"]["f:spec"].get(&key).is_some();
        self.entries().iter().filter(owns).map(|entry| entry["manager"].as_str().unwrap()).collect()
    }

    pub(crate) fn co_own(&mut self, manager: &str) {
        let entry = json!({ "manager": manager, "operation": "Apply", "fieldsV1": { "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {} } } });
        self.entries_mut().push(entry);
    }

    /// A forced server-side apply of annotations and bounds.
    pub(crate) fn apply(&mut self, manager: &str, body: &Value) {
        assert_eq!(body["metadata"]["uid"], self.hpa["metadata"]["uid"]);
        for bound in [Bound::Min, Bound::Max] {
            self.set(bound, &body["spec"][field(bound)], manager);
        }
        let annotations = body["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
        let fields: Map<String, Value> = annotations.keys().map(|key| (format!("f:{key}"), json!({}))).collect();
        // What a manager applies no more is removed.
        let before = self.entry(manager, "Apply").map(|entry| entry["fieldsV1"]["f:metadata"]["f:annotations"].clone());
        for key in before.as_ref().and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key) {
            if !fields.contains_key(key) {
                self.hpa["metadata"]["annotations"].as_object_mut().unwrap().remove(key.trim_start_matches("f:"));
            }
        }
        for (key, value) in annotations {
            self.hpa["metadata"]["annotations"][key] = value;
        }
        let all = json!({ "f:metadata": { "f:annotations": fields }, "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {} } });
        match self.entry(manager, "Apply") {
            Some(entry) => entry["fieldsV1"] = all,
            None => self.entries_mut().push(json!({ "manager": manager, "operation": "Apply", "fieldsV1": all })),
        }
    }

    /// A write by somebody else.
    pub(crate) fn update(&mut self, manager: &str, bound: Bound, number: u32) {
        let before = self.hpa["spec"][field(bound)].clone();
        self.set(bound, &json!(number), manager);
        if before != json!(number) {
            let key = format!("f:{}", field(bound));
            match self.entry(manager, "Update") {
                Some(entry) => entry["fieldsV1"]["f:spec"][&key] = json!({}),
                None => self
                    .entries_mut()
                    .push(json!({ "manager": manager, "operation": "Update", "fieldsV1": { "f:spec": { key: {} } } })),
            }
        }
    }

    /// A JSON patch, with the operations that a release has.
    pub(crate) fn patch(&mut self, patch: &Value) {
        for operation in patch.as_array().unwrap() {
            let pointer = operation["path"].as_str().unwrap();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            let key = key.replace("~1", "/").replace("~0", "~");
            let parent = self.hpa.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            match operation["op"].as_str().unwrap() {
                "test" => assert_eq!(parent[&key], operation["value"]),
                "remove" => assert!(parent.remove(&key).is_some(), "nothing to remove at {pointer}"),
                "replace" => *parent.get_mut(&key).unwrap() = operation["value"].clone(),
                other => panic!("{other}"),
            }
        }
    }

    /// A value that differs is taken from all who owned it.
    fn set(&mut self, bound: Bound, value: &Value, manager: &str) {
        if self.hpa["spec"][field(bound)] == *value {
            return;
        }
        self.hpa["spec"][field(bound)] = value.clone();
        let key = format!("f:{}", field(bound));
        for entry in self.entries_mut().iter_mut().filter(|entry| entry["manager"] != manager) {
            if let Some(spec) = entry["fieldsV1"]["f:spec"].as_object_mut() {
                spec.remove(&key);
            }
        }
    }

    fn entry(&mut self, manager: &str, operation: &str) -> Option<&mut Value> {
        self.entries_mut().iter_mut().find(|entry| entry["manager"] == manager && entry["operation"] == operation)
    }

    fn entries(&self) -> &Vec<Value> {
        self.hpa["metadata"]["managedFields"].as_array().unwrap()
    }

    fn entries_mut(&mut self) -> &mut Vec<Value> {
        self.hpa["metadata"]["managedFields"].as_array_mut().unwrap()
    }
}
