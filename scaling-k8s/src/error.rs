//! Faults of a manifest, and of the files made from it.

use std::error::Error;
use std::sync::Arc;

use scaling_core::hpa::InvalidHpa;
use scaling_core::{Bounds, InvalidBounds};

use crate::manifest::TemplateSyntax;

/// A manifest that cannot be read, written, or used as asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The text is larger than any set of manifests.
    #[error("the text has {bytes} bytes; at most {limit} are read")]
    TooLarge {
        /// Size of the text, in bytes.
        bytes: usize,
        /// Largest size that is read, in bytes.
        limit: usize,
    },
    /// The text is no YAML.
    #[error("line {line}: {what}")]
    Syntax {
        /// Line at which it ceases to be YAML, from 1.
        line: usize,
        /// Reason.
        what: String,
    },
    /// The text is a template that was not rendered.
    #[error("line {line}: {text:?} belongs to an unrendered template: {syntax}")]
    Template {
        /// Form of the template, which says what renders it.
        syntax: TemplateSyntax,
        /// Line of its first sign, from 1.
        line: usize,
        /// The sign, and what follows it.
        text: String,
    },
    /// The HPA has nothing to scale, so it is a part of one.
    #[error("spec.scaleTargetRef is missing: it looks like a kustomize patch; render it first: kustomize build")]
    Patch,
    /// The text says how to make manifests, and has none.
    #[error("it is a kustomization, not a manifest; render it first: kustomize build")]
    Kustomization,
    /// The text has no HPA.
    #[error("there is no HorizontalPodAutoscaler in it{}", listed(.found))]
    NoHpa {
        /// Kinds and names of the objects that are in it instead.
        found: Vec<String>,
    },
    /// The text has no HPA of the name that was asked for.
    #[error("there is no HorizontalPodAutoscaler {name:?} in it; there are: {}", .found.join(", "))]
    NoSuchHpa {
        /// Name that was asked for.
        name: String,
        /// Names of the HPAs in the text.
        found: Vec<String>,
    },
    /// The text has more than one HPA that may be meant.
    #[error("there are {} HorizontalPodAutoscalers in it: {}; say which", .found.len(), .found.join(", "))]
    Several {
        /// Names of the HPAs in the text.
        found: Vec<String>,
    },
    /// The manifest is of another API version.
    #[error("apiVersion is {found:?}; {}", advice(.found))]
    ApiVersion {
        /// Version in the manifest; empty if there is none.
        found: String,
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
    Inexpressible(#[source] Arc<dyn Error + Send + Sync>),
    /// The manifest cannot be written as YAML.
    #[error("the manifest cannot be written: {0}")]
    Write(#[source] Arc<dyn Error + Send + Sync>),
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
    /// A change cannot be made in place without changing something else.
    #[error("{field} cannot be changed in place: {why}")]
    Uneditable {
        /// The field.
        field: String,
        /// Reason.
        why: &'static str,
    },
    /// A change of what pods request cannot be written.
    #[error("the change of requests cannot be written: {0}")]
    Requests(&'static str),
}

fn listed(found: &[String]) -> String {
    let keda = found.iter().any(|other| other.starts_with("ScaledObject"));
    let keda = if keda { " (KEDA makes an HPA of a ScaledObject: kubectl get hpa -o yaml)" } else { "" };
    if found.is_empty() { String::new() } else { format!("; there is: {}{keda}", found.join(", ")) }
}

/// Advice on coming to a version that is served.
fn advice(found: &str) -> String {
    let convert = |since: &str, what: &str| {
        format!(
            "Kubernetes serves it no more{since}; convert it: kubectl convert -f FILE --output-version autoscaling/v2 ({what})"
        )
    };
    match found {
        "autoscaling/v2beta2" => convert(" since 1.26", "the fields are those of v2, so that apiVersion alone changes"),
        "autoscaling/v2beta1" => convert(
            " since 1.25",
            "metricName becomes metric.name, targetAverageUtilization target.averageUtilization, and so on",
        ),
        "extensions/v1beta1" => convert("", "cpuUtilization becomes a metric"),
        _ => "it must be \"autoscaling/v2\" or \"autoscaling/v1\"".to_owned(),
    }
}

impl From<InvalidBounds> for ManifestError {
    fn from(error: InvalidBounds) -> Self {
        Self::Invalid(error.into())
    }
}
