//! From text to an [`HpaManifest`].

use std::fmt::Write;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use scaling_core::HpaSpec;
use serde::Deserialize;
use serde_ignored::Path;

use super::{API_VERSION, HpaManifest, KIND};
use crate::ManifestError;

/// Largest object that etcd takes by default, in bytes; no larger object can come from, or go to, a cluster.
const MAX_BYTES: usize = 1_572_864;

/// The part that says how to read the rest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    api_version: Option<String>,
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    metadata: ObjectMeta,
    spec: HpaSpec,
}

pub(super) fn manifest(text: &str) -> Result<HpaManifest, ManifestError> {
    if text.len() > MAX_BYTES {
        return Err(ManifestError::TooLarge { bytes: text.len(), limit: MAX_BYTES });
    }
    // First alone: in another version other fields are right, and the version is what must be reported.
    let Header { api_version, kind } = parse(text)?;
    let (api_version, kind) = (api_version.unwrap_or_default(), kind.unwrap_or_default());
    if kind != KIND {
        return Err(ManifestError::Kind { found: kind });
    }
    if api_version != API_VERSION {
        return Err(ManifestError::ApiVersion { found: api_version });
    }
    // The API's own types skip what they do not know, which yields the paths of all such fields; ours, read next, give the
    // place of each wrong value.
    let paths = unknown_fields(text)?;
    if !paths.is_empty() {
        return Err(ManifestError::UnknownFields { paths });
    }
    let Document { metadata, spec } = parse(text)?;
    Ok(HpaManifest { metadata, spec })
}

fn parse<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, ManifestError> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| read_error(&error))
}

fn unknown_fields(text: &str) -> Result<Vec<String>, ManifestError> {
    let mut paths = Vec::new();
    serde_saphyr::with_deserializer_from_str_with_options(text, options(), |deserializer| {
        serde_ignored::deserialize(deserializer, |path| paths.push(written(&path))).map(|_: HorizontalPodAutoscaler| ())
    })
    .map_err(|error| read_error(&error))?;
    Ok(paths)
}

/// Deep nesting, many aliases and long scalars are refused long before they cost anything: an HPA has none of them.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 64, max_documents: 2 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
        with_snippet: false,
    }
}

fn read_error(error: &serde_saphyr::Error) -> ManifestError {
    match error.without_snippet() {
        serde_saphyr::Error::MultipleDocuments { .. } => ManifestError::ManyDocuments,
        other => ManifestError::Read(other.to_string().into()),
    }
}

/// `spec.metrics[0].resource`, as Kubernetes writes paths.
fn written(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => {
            let mut path = written(parent);
            let _ = write!(path, "[{index}]");
            path
        }
        Path::Map { parent, key } => {
            let mut path = written(parent);
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(key);
            path
        }
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => written(parent),
    }
}
