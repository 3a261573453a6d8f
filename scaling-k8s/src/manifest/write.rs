//! From an [`HpaManifest`] to text.

use std::sync::Arc;

use scaling_core::HpaSpec;
use serde::Serialize;

use super::{API_VERSION, HpaManifest, KIND, Metadata};
use crate::ManifestError;

/// The written form: what a repository holds, in the order people expect.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: &'a HpaSpec,
}

impl<'a> Written<'a> {
    pub(super) fn new(manifest: &'a HpaManifest) -> Self {
        Self {
            api_version: API_VERSION,
            kind: KIND,
            metadata: manifest.metadata.without_server_fields(),
            spec: &manifest.spec,
        }
    }
}

pub(super) fn yaml(manifest: &HpaManifest) -> Result<String, ManifestError> {
    serde_saphyr::to_string(&Written::new(manifest)).map_err(|error| ManifestError::Write(Arc::new(error)))
}
