//! The HPA as a file: [`HpaManifest`].

mod diff;
mod edit;
mod metadata;
mod scalar;
mod schema;
mod stream;
mod template;
mod v1;
mod workload;
mod write;
mod yaml;

use scaling_core::{Bounds, HpaSpec, Target};
use serde_json::{Value, json};

pub use diff::diff;
pub use edit::with_bounds;
pub(crate) use edit::{Listing, Place, edited, listing, places, unreadable, with_item};
pub use metadata::Metadata;
pub use stream::Manifests;
pub use template::TemplateSyntax;
pub use workload::{MissingRequest, Workload};

use crate::ManifestError;
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};

pub(crate) const API_VERSION: &str = "autoscaling/v2";
pub(crate) const KIND: &str = "HorizontalPodAutoscaler";

/// An `autoscaling/v2` `HorizontalPodAutoscaler`, as a file holds it.
///
/// Everything that the host set is kept: metrics, behavior, labels, annotations. Fields that the API server set are not written,
/// because they do not belong into a repository: `status`, `managedFields`, `resourceVersion`, `uid`, `generation`, timestamps,
/// `selfLink` and kubectl's copy of the last applied manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct HpaManifest {
    /// Name, namespace, labels, annotations and the rest of the metadata.
    pub metadata: Metadata,
    /// Spec of the HPA.
    pub spec: HpaSpec,
}

impl HpaManifest {
    /// Creates a manifest called `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, spec: HpaSpec) -> Self {
        let metadata = Metadata { namespace: Some(namespace.into()), name: Some(name.into()), ..Metadata::default() };
        Self { metadata, spec }
    }

    /// Reads the only HPA of a text, as [`Manifests`] reads it: YAML 1.1 or JSON, `autoscaling/v2` or `autoscaling/v1`, which is
    /// completed as the API server completes it.
    ///
    /// # Errors
    /// [`ManifestError`] if there is none or more than one, it is of another version, or it has fields or types of value that the API
    /// server does not take. What the values must be is for [`validate`](Self::validate).
    pub fn from_yaml(text: &str) -> Result<Self, ManifestError> {
        Manifests::from_yaml(text)?.only()
    }

    /// Writes the manifest as YAML. Strings that a YAML 1.1 reader would take for something else are quoted.
    ///
    /// # Errors
    /// [`ManifestError::Write`] if it cannot be expressed.
    pub fn to_yaml(&self) -> Result<String, ManifestError> {
        write::yaml(self)
    }

    /// The whole object in the JSON of the API, with the fields that the server set: what [`ownership`](crate::ownership) and
    /// [`resting`](crate::resting) read.
    pub fn to_object(&self) -> Value {
        // Plain data with string keys: both always have a JSON form.
        let part = |part: Result<Value, serde_json::Error>| part.unwrap_or_default();
        let (metadata, spec) = (part(serde_json::to_value(&self.metadata)), part(serde_json::to_value(&self.spec)));
        json!({ "apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec })
    }

    /// Name of the HPA; empty if it has none.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Namespace of the HPA. Default: `default`.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or("default")
    }

    /// Bounds of the HPA; without `minReplicas` the min is 1.
    ///
    /// # Errors
    /// [`ManifestError::Invalid`] if Kubernetes would not take them.
    pub fn bounds(&self) -> Result<Bounds, ManifestError> {
        Ok(self.spec.bounds()?)
    }

    /// Replaces the bounds, and nothing else.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.spec = self.spec.with_bounds(bounds);
        self
    }

    /// Workload that the HPA scales, without a cluster, because a manifest names none.
    pub fn target(&self) -> Target {
        let scaled = &self.spec.scale_target_ref;
        Target::deployment(self.namespace(), &scaled.name).with_hpa(self.name()).of_kind(&scaled.kind)
    }

    /// Checks what the API server of Kubernetes 1.37 would check of it when it is created: names, labels, annotations, bounds,
    /// target, metrics and behavior.
    ///
    /// # Errors
    /// [`ManifestError`] with the first fault.
    pub fn validate(&self) -> Result<(), ManifestError> {
        self.check_names()?;
        self.metadata.validate()?;
        Ok(self.spec.validate()?)
    }

    fn check_names(&self) -> Result<(), ManifestError> {
        if !is_dns_subdomain(self.name()) {
            return Err(name_fault("metadata.name", self.name(), "a DNS subdomain"));
        }
        if !is_dns_label(self.namespace()) {
            return Err(name_fault("metadata.namespace", self.namespace(), "a DNS label"));
        }
        Ok(())
    }
}

/// Returns true if a YAML 1.1 reader takes such a plain scalar for text.
pub(crate) fn is_text(plain: &str) -> bool {
    scalar::plain(plain).is_string()
}

pub(crate) fn name_fault(field: &'static str, value: &str, must: &'static str) -> ManifestError {
    ManifestError::Name { field, value: value.to_owned(), must }
}
