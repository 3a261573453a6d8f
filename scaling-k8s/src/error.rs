//! Faults of a manifest, and of the files made from it.

use std::error::Error;

use scaling_core::hpa::InvalidHpa;
use scaling_core::{Bounds, InvalidBounds};

/// A manifest that cannot be read, written, or used as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The text is larger than any object the API server stores.
    #[error("the manifest has {bytes} bytes; the API server stores no object above {limit}")]
    TooLarge {
        /// Size of the text, in bytes.
        bytes: usize,
        /// Largest size that is read, in bytes.
        limit: usize,
    },
    /// The text is no YAML, or a value in it is of the wrong kind. The message says where.
    #[error("the manifest cannot be read: {0}")]
    Read(#[source] Box<dyn Error + Send + Sync>),
    /// The text has more than one document.
    #[error("the manifest has more than one YAML document; give each HPA a file of its own")]
    ManyDocuments,
    /// The manifest is of another API version.
    #[error("apiVersion is {found:?}; only \"autoscaling/v2\" is supported")]
    ApiVersion {
        /// Version in the manifest; empty if there is none.
        found: String,
    },
    /// The manifest is of another kind of object.
    #[error("kind is {found:?}, not \"HorizontalPodAutoscaler\"")]
    Kind {
        /// Kind in the manifest; empty if there is none.
        found: String,
    },
    /// The manifest has fields that `autoscaling/v2` does not know.
    #[error("unknown field {}", .paths.join(", "))]
    UnknownFields {
        /// Paths of the fields.
        paths: Vec<String>,
    },
    /// A name is not one that Kubernetes takes.
    #[error("{field} is {value:?}; it must be {must}")]
    Name {
        /// The field.
        field: &'static str,
        /// Value of the field.
        value: String,
        /// Condition that the value must meet.
        must: &'static str,
    },
    /// Kubernetes would refuse the manifest.
    #[error(transparent)]
    Invalid(#[from] InvalidHpa),
    /// A spec has a number or a field that the other form of it does not have.
    #[error("spec cannot be expressed: {0}")]
    Inexpressible(#[source] Box<dyn Error + Send + Sync>),
    /// The manifest cannot be written as YAML.
    #[error("the manifest cannot be written: {0}")]
    Write(#[source] Box<dyn Error + Send + Sync>),
    /// A plan is for another workload than the manifest.
    #[error("the plan is for {plan}, the manifest for {manifest}")]
    OtherTarget {
        /// The plan's target and HPA.
        plan: String,
        /// The manifest's target and HPA.
        manifest: String,
    },
    /// A plan starts from other bounds than the manifest has.
    #[error("the manifest's bounds are {found}, the plan was made for {expected}; plan again")]
    OtherBounds {
        /// The bounds that the plan starts from.
        expected: Bounds,
        /// The bounds in the manifest.
        found: Bounds,
    },
    /// A change of what pods request cannot be written.
    #[error("the change of requests cannot be written: {0}")]
    Requests(&'static str),
}

impl From<InvalidBounds> for ManifestError {
    fn from(error: InvalidBounds) -> Self {
        Self::Invalid(error.into())
    }
}
