//! Faults of what a schedule becomes.

use std::sync::Arc;

use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};
use scaling_core::{InvalidBounds, Target};

/// Longest value that an error quotes.
const QUOTED: usize = 100;

/// Reasons why a schedule cannot go out as asked, or cannot be read back.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
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
    /// There is no such time of the day.
    #[error("there is no time {hour:02}:{minute:02}")]
    Time {
        /// The hour.
        hour: u32,
        /// The minute.
        minute: u32,
    },
    /// An event does not go from a whole minute to a later one, or in years that four digits cannot write.
    #[error("an event from {from} to {to}: it must go from a whole minute to a later one, in the years 1000 to 9999")]
    Dates {
        /// Start.
        from: String,
        /// End.
        to: String,
    },
    /// Bounds cannot be.
    #[error(transparent)]
    Bounds(#[from] InvalidBounds),
    /// The output has no way to say something that the schedule says.
    #[error("{output} cannot express {what}")]
    Inexpressible {
        /// The output.
        output: &'static str,
        /// What it cannot express, and what to do about it.
        what: String,
    },
    /// A document that was read is no schedule, or one that was edited into something else.
    #[error("it cannot be read back: {field}: {why}")]
    Unreadable {
        /// The field, or the line.
        field: String,
        /// Reason.
        why: String,
    },
    /// The objects cannot be written as YAML.
    #[error("the objects cannot be written: {0}")]
    Write(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl OutputError {
    pub(crate) fn unreadable(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unreadable { field: field.into(), why: why.into() }
    }
}

/// A name that Kubernetes does not take.
pub(crate) fn odd_name(field: &'static str, value: &str, must: &'static str) -> OutputError {
    OutputError::Name { field, value: quoted(value), must }
}

/// Namespace and HPA of a target are called as Kubernetes calls them, and its cluster as a kubeconfig may call a context.
pub(crate) fn check_names(target: &Target) -> Result<(), OutputError> {
    if !is_dns_label(&target.namespace) {
        return Err(odd_name("namespace", &target.namespace, "a DNS label"));
    }
    if !is_dns_subdomain(&target.hpa) {
        return Err(odd_name("name of the HPA", &target.hpa, "a DNS subdomain"));
    }
    match &target.cluster {
        Some(cluster) if cluster.is_empty() || cluster.chars().any(char::is_control) => {
            Err(odd_name("cluster", cluster, "not empty, and without control characters"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn quoted(value: &str) -> String {
    value.chars().take(QUOTED).collect()
}
