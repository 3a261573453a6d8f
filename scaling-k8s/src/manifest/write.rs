//! From an [`HpaManifest`] to text.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use scaling_core::HpaSpec;
use serde::Serialize;

use super::{API_VERSION, HpaManifest, KIND};
use crate::ManifestError;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The written form: what a repository holds, in the order people expect.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: &'a HpaSpec,
}

impl<'a> Written<'a> {
    pub(super) fn new(manifest: &'a HpaManifest) -> Self {
        Self {
            api_version: API_VERSION,
            kind: KIND,
            metadata: without_server_fields(&manifest.metadata),
            spec: &manifest.spec,
        }
    }
}

pub(super) fn yaml(manifest: &HpaManifest) -> Result<String, ManifestError> {
    serde_saphyr::to_string(&Written::new(manifest)).map_err(|error| ManifestError::Write(Box::new(error)))
}

fn without_server_fields(metadata: &ObjectMeta) -> ObjectMeta {
    let mut annotations = metadata.annotations.clone();
    if let Some(left) = &mut annotations
        && left.remove(LAST_APPLIED).is_some()
        && left.is_empty()
    {
        annotations = None;
    }
    ObjectMeta {
        annotations,
        creation_timestamp: None,
        deletion_grace_period_seconds: None,
        deletion_timestamp: None,
        generation: None,
        managed_fields: None,
        resource_version: None,
        self_link: None,
        uid: None,
        ..metadata.clone()
    }
}
