//! [`Manifests`]: the HPAs of a file, which may hold several documents, lists, and objects of other kinds.

use std::sync::Arc;

use scaling_core::Target;
use scaling_core::hpa::{Fault, InvalidHpa};
use serde_json::Value;

use super::metadata::Metadata;
use super::template::TemplateSyntax;
use super::workload::Workload;
use super::yaml::{self, Document, Tree};
use super::{API_VERSION, HpaManifest, KIND, schema, template, v1};
use crate::ManifestError;

/// Largest text that is read, in bytes.
const MAX_BYTES: usize = 32 << 20;
/// Kinds and names of other objects that a message lists at most.
const LISTED: usize = 5;
/// Stands among the other objects for changes of one, as kustomize takes them.
const JSON_PATCH: &str = "a JSON patch";
/// Stands among them for a document that is a scalar.
const TEXT: &str = "text";
/// Stands among them, before its name, for an object that does not say what it is.
const NO_KIND: &str = "an object without a kind";

/// The HPAs of a text, and the workloads beside them.
///
/// A text is one document or several (separated by `---`), each an object or a list of objects, in YAML 1.1 as Kubernetes reads it, or
/// in JSON. Empty documents and objects of other kinds are passed over.
///
/// ```
/// use scaling_k8s::Manifests;
///
/// let text = "
/// kind: Deployment
/// metadata: {name: web}
/// spec: {template: {spec: {containers: [{name: app, resources: {requests: {cpu: 250m}}}]}}}
/// ---
/// apiVersion: autoscaling/v1
/// kind: HorizontalPodAutoscaler
/// metadata: {name: web}
/// spec:
///   scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
///   maxReplicas: 9
///   targetCPUUtilizationPercentage: 70
/// ";
/// let manifests = Manifests::from_yaml(text)?;
/// let hpa = manifests.one(None)?;
/// assert_eq!(hpa.spec.cpu_target_percent(), Some(70));
/// let workload = manifests.workload(&hpa.target()).expect("it stands beside it");
/// assert_eq!(workload.request_milli("cpu"), Ok(250));
/// # Ok::<(), scaling_k8s::ManifestError>(())
/// ```
#[derive(Debug, Default)]
pub struct Manifests {
    hpas: Vec<Found>,
    workloads: Vec<Workload>,
    /// Kind and name of each other object.
    others: Vec<String>,
}

/// An HPA in a text, whether it can be read or not.
#[derive(Debug)]
struct Found {
    /// Namespace, if one is written.
    namespace: Option<String>,
    name: String,
    read: Result<HpaManifest, ManifestError>,
    /// Reason why the API server would refuse what was read.
    refusal: Option<ManifestError>,
}

impl Found {
    /// The manifest, if the API server would accept it.
    fn accepted(&self) -> Result<HpaManifest, ManifestError> {
        self.refusal.clone().map_or_else(|| self.read.clone(), Err)
    }

    fn called(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Manifests {
    /// Reads a text. An HPA that cannot be read is an error only for who asks for it.
    ///
    /// # Errors
    /// [`ManifestError`] if the text is too large, a document that may hold an HPA is no YAML, or there is no HPA in it.
    pub fn from_yaml(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MAX_BYTES {
            return Err(ManifestError::TooLarge { bytes: text.len(), limit: MAX_BYTES });
        }
        let mut found = Self::default();
        let mut broken = Vec::new();
        for document in yaml::documents(text) {
            let Document { line, text, content, .. } = document;
            let place = Place { line, text };
            match content {
                Ok(Tree { value, duplicates }) => found.take(value, "", &duplicates, &place),
                Err(yaml::Fault { line, what }) => {
                    let error = ManifestError::Syntax { line, what };
                    broken.push((text.contains(KIND), place.explained(error)));
                }
            }
        }
        // A document that is no YAML is another tool's affair, unless it may be the one that is wanted.
        let alone = found.hpas.is_empty();
        match broken.into_iter().find(|(may_be_hpa, _)| alone || *may_be_hpa) {
            Some((_, error)) => Err(error),
            None if alone => Err(found.none(text)),
            None => Ok(found),
        }
    }

    /// Returns the HPA of this name, or the only one there is. A name may be given as `NAMESPACE/NAME`.
    ///
    /// It is one that the API server would accept.
    ///
    /// # Errors
    /// [`ManifestError`] if the API server would refuse it, there is none of this name, or there are several.
    pub fn one(&self, name: Option<&str>) -> Result<HpaManifest, ManifestError> {
        let fits = |found: &&Found| name.is_none_or(|name| found.name == name || found.called() == name);
        let mut fitting = self.hpas.iter().filter(fits);
        let names = || self.hpas.iter().map(Found::called).collect();
        let Some(first) = fitting.next() else {
            let name = name.unwrap_or_default().to_owned();
            return Err(ManifestError::NoSuchHpa { name, found: names() });
        };
        if fitting.next().is_some() {
            return Err(ManifestError::Several { found: names() });
        }
        first.accepted()
    }

    /// Returns the only HPA there is, whether the API server would accept it or not.
    pub(super) fn only(&self) -> Result<HpaManifest, ManifestError> {
        match self.hpas.as_slice() {
            [only] => only.read.clone(),
            several => Err(ManifestError::Several { found: several.iter().map(Found::called).collect() }),
        }
    }

    /// Returns all HPAs, each with the name by which [`one`](Self::one) finds it.
    pub fn all(&self) -> impl Iterator<Item = (String, Result<HpaManifest, ManifestError>)> {
        self.hpas.iter().map(|found| (found.called(), found.accepted()))
    }

    /// Returns the workload that a target names, if it stands in the same text.
    pub fn workload(&self, target: &Target) -> Option<&Workload> {
        self.workloads.iter().find(|workload| workload.is(target))
    }

    /// Takes an object, or the objects of a list; `version` is that of the list.
    fn take(&mut self, object: Value, version: &str, duplicates: &[String], place: &Place<'_>) {
        let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (mut kind, mut api_version) = (text("kind"), text("apiVersion"));
        if kind.is_empty() && !version.is_empty() {
            KIND.clone_into(&mut kind);
            if api_version.is_empty() {
                version.clone_into(&mut api_version);
            }
        }
        if kind == KIND {
            return self.hpa(object, &api_version, duplicates, place);
        }
        let Value::Object(mut fields) = object else {
            let is_patch = |item: &Value| item.get("op").is_some() && item.get("path").is_some();
            self.others.extend(match object {
                Value::Null => None,
                Value::Array(items) if items.iter().any(is_patch) => Some(JSON_PATCH.to_owned()),
                Value::Array(_) => Some("a list without a kind".to_owned()),
                _ => Some(TEXT.to_owned()),
            });
            return;
        };
        let items = fields.get_mut("items").map(Value::take).filter(|_| kind.ends_with("List"));
        if let Some(Value::Array(items)) = items {
            let of_hpas = kind.strip_suffix("List") == Some(KIND);
            for (index, item) in items.into_iter().enumerate() {
                let own = format!("items[{index}].");
                let own: Vec<String> =
                    duplicates.iter().filter_map(|path| path.strip_prefix(&own)).map(str::to_owned).collect();
                self.take(item, if of_hpas { &api_version } else { "" }, &own, place);
            }
            return;
        }
        let object = Value::Object(fields);
        self.workloads.extend(Workload::of(&object));
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let kind = if kind.is_empty() { NO_KIND } else { &kind };
        self.others.push(format!("{kind} {name}").trim_end().chars().take(80).collect());
    }

    fn hpa(&mut self, object: Value, api_version: &str, duplicates: &[String], place: &Place<'_>) {
        let text = |pointer: &str| Some(object.pointer(pointer)?.as_str()?.chars().take(300).collect::<String>());
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name").unwrap_or_default());
        let read = read(object, api_version, duplicates).map_err(|error| place.explained(error));
        let refusal = read.as_ref().ok().and_then(|manifest| manifest.validate().err());
        let refusal = refusal.map(|error| place.explained(error));
        self.hpas.push(Found { namespace, name, read, refusal });
    }

    fn none(&self, text: &str) -> ManifestError {
        let has = |kind: &str| self.others.iter().any(|other| other.split(' ').next() == Some(kind));
        if has("Template") {
            return ManifestError::Template {
                syntax: TemplateSyntax::Object,
                line: 1,
                text: "kind: Template".to_owned(),
            };
        }
        if has("Kustomization") {
            return ManifestError::Kustomization;
        }
        if self.others.iter().any(|other| other == JSON_PATCH) {
            return ManifestError::Patch;
        }
        // Arguments of a container have `$(NAME)` too: other objects are none of a template's signs.
        let may_be = text.contains(KIND) || self.others.iter().all(|other| other == TEXT || other == NO_KIND);
        if let Some((syntax, line, text)) = template::sign(text).filter(|_| may_be) {
            return ManifestError::Template { syntax, line, text };
        }
        let mut found = self.others.clone();
        let more = found.len().saturating_sub(LISTED);
        found.truncate(LISTED);
        if more > 0 {
            found.push(format!("{more} more"));
        }
        ManifestError::NoHpa { found }
    }
}

/// Place of an object in its text.
struct Place<'a> {
    line: usize,
    text: &'a str,
}

impl Place<'_> {
    /// An error is about the template where the text is no YAML because of it, or the value at fault is a sign of it. An annotation may
    /// well have braces and dollars of its own.
    fn explained(&self, error: ManifestError) -> ManifestError {
        let by_template = match &error {
            ManifestError::Syntax { .. } => true,
            ManifestError::Invalid(_) | ManifestError::Name { .. } => template::sign(&error.to_string()).is_some(),
            _ => false,
        };
        match template::sign(self.text).filter(|_| by_template) {
            Some((syntax, line, text)) => ManifestError::Template { syntax, line: line + self.line - 1, text },
            None => error,
        }
    }
}

/// Reads one object as the API server reads it: types and fields first, all faults together, and then what the values must be.
fn read(object: Value, api_version: &str, duplicates: &[String]) -> Result<HpaManifest, ManifestError> {
    let shape = match api_version {
        API_VERSION => schema::V2,
        "autoscaling/v1" => schema::V1,
        other => return Err(ManifestError::ApiVersion { found: other.to_owned() }),
    };
    if object.pointer("/spec/scaleTargetRef").is_none_or(Value::is_null) {
        return Err(ManifestError::Patch);
    }
    let mut faults: Vec<Fault> =
        duplicates.iter().map(|path| Fault::new(path, "duplicate field: it is given more than once")).collect();
    let mut object = schema::conformed(object, shape, "", &mut faults);
    if let Some(faults) = InvalidHpa::of(faults) {
        return Err(faults.into());
    }
    let mut part =
        |field: &str| object.get_mut(field).map_or_else(|| Value::Object(serde_json::Map::new()), Value::take);
    let (metadata, mut spec) = (part("metadata"), part("spec"));
    let inexpressible = |error: serde_json::Error| ManifestError::Inexpressible(Arc::new(error));
    let mut metadata: Metadata = serde_json::from_value(metadata).map_err(inexpressible)?;
    if let (Value::Object(fields), "autoscaling/v1") = (&mut spec, api_version) {
        *fields = v1::completed(std::mem::take(fields), &mut metadata);
    }
    let spec = serde_json::from_value(spec).map_err(inexpressible)?;
    Ok(HpaManifest { metadata, spec })
}
