//! The audit log of the API server, beside what a role grants.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::shipped;

/// Group, resource with its subresource, and verb.
pub(crate) type Right = (String, String, String);

/// Rights of the rules of a shipped file.
pub(crate) struct Granted(pub(crate) BTreeSet<Right>);

impl Granted {
    pub(crate) fn by(file: &str) -> Self {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&shipped(file)).unwrap();
        let role = documents.iter().find(|document| document["rules"].is_array()).unwrap();
        let texts = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
        let mut granted = BTreeSet::new();
        for rule in role["rules"].as_array().unwrap() {
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    let verbs = texts(&rule["verbs"]).into_iter();
                    granted.extend(verbs.map(|verb| (group.clone(), resource.clone(), verb)));
                }
            }
        }
        Self(granted)
    }
}

/// Rights that were made use of.
pub(crate) struct Used {
    /// By namespace; "" for what is in none.
    all: BTreeSet<(String, Right)>,
    pub(crate) refused: Vec<String>,
}

impl Used {
    /// The rights that the requests of the operator have used.
    pub(crate) fn of(requests: &[Value]) -> Self {
        let mut used = Self { all: BTreeSet::new(), refused: Vec::new() };
        for request in requests {
            let text = |path: &str| request.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
            let code = request["responseStatus"]["code"].as_u64().unwrap_or_default();
            if code == 403 || code == 401 {
                used.refused.push(format!("{} {}", text("/verb"), text("/requestURI")));
                continue;
            }
            // Discovery, which everybody may.
            let Some(object) = request.get("objectRef") else { continue };
            let of = |name: &str| object[name].as_str().unwrap_or_default();
            let resource = match of("subresource") {
                "" => of("resource").to_owned(),
                subresource => format!("{}/{subresource}", of("resource")),
            };
            let mut note = |verb: &str| {
                let right = (of("apiGroup").to_owned(), resource.clone(), verb.to_owned());
                used.all.insert((of("namespace").to_owned(), right));
            };
            note(&text("/verb"));
            // An apply that makes an object is held to the right to create it.
            if text("/verb") == "patch" && code == 201 {
                note("create");
            }
        }
        used
    }

    pub(crate) fn of_resources(&self, namespace: &str) -> BTreeSet<Right> {
        self.all.iter().filter(|(of, _)| of == namespace).map(|(_, right)| right.clone()).collect()
    }

    pub(crate) fn namespaces(&self) -> BTreeSet<&str> {
        self.all.iter().map(|(namespace, _)| namespace.as_str()).collect()
    }
}

/// Returns true if a request has written an HPA, and not only rehearsed it.
pub(crate) fn writes_an_hpa(request: &Value) -> bool {
    request["verb"] == "patch"
        && request["objectRef"]["resource"] == "horizontalpodautoscalers"
        && request["responseStatus"]["code"] == 200
        && !request["requestURI"].as_str().unwrap().contains("dryRun=")
}
