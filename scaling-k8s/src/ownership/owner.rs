//! One owner, and how it is known.

use std::fmt;

use scaling_core::chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Writes;
use super::object::{Object, ObjectName, shown};

/// Operation of a field manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Server-side apply: the manager says which fields it wants, and drops those that it no longer names.
    Apply,
    /// Any other write.
    Update,
}

impl Operation {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "Apply" => Some(Self::Apply),
            "Update" => Some(Self::Update),
            _ => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apply => "apply",
            Self::Update => "update",
        })
    }
}

/// Somebody who sets the size of a workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Owner {
    /// Another HPA of the same workload: with two, neither works.
    Hpa {
        /// Name of the HPA.
        name: String,
    },
    /// A KEDA ScaledObject, which makes an HPA of its own and puts back what others change in it.
    Keda {
        /// Name of the ScaledObject.
        scaled_object: String,
    },
    /// A VerticalPodAutoscaler, which changes what the pods request.
    Vpa {
        /// Name of the VerticalPodAutoscaler.
        name: String,
        /// Its update mode; with `Off` it recommends only.
        mode: String,
    },
    /// A CronJob that patches the HPA or scales the workload.
    CronJob {
        /// Name of the CronJob.
        name: String,
        /// True if it is suspended, and does nothing for now.
        suspended: bool,
    },
    /// Argo CD, which puts a Git repository into the cluster.
    ArgoCd {
        /// Its application, where that is known.
        application: Option<String>,
    },
    /// Flux, from a Kustomization.
    FluxKustomization {
        /// Name of the Kustomization, where that is known.
        name: Option<String>,
        /// Namespace of the Kustomization, where that is known.
        namespace: Option<String>,
    },
    /// Flux, from a HelmRelease.
    FluxHelmRelease {
        /// Name of the HelmRelease, where that is known.
        name: Option<String>,
        /// Namespace of the HelmRelease, where that is known.
        namespace: Option<String>,
    },
    /// Helm by itself: it writes when a release is upgraded or rolled back, and not in between.
    Helm {
        /// Name of the release, where that is known.
        release: Option<String>,
    },
    /// A person, or a script, with kubectl.
    Person {
        /// The way they used: `kubectl-edit`, `kubectl-client-side-apply`.
        with: String,
    },
    /// The controller of Kubernetes that an HPA works through: it sets the replicas of a workload, as it should.
    HpaController,
    /// An object that owns this one, and whose controller writes it.
    Controller {
        /// Kind and name of the owner.
        object: String,
    },
    /// Any other field manager.
    Manager {
        /// Name of the manager.
        name: String,
    },
}

impl Owner {
    /// The owner behind a field manager.
    pub(super) fn of_manager(manager: &str, subresource: Option<&str>, object: Object<'_>) -> Self {
        let label = |key: &str| object.label(key).map(shown);
        match manager {
            "kube-controller-manager" if subresource == Some("scale") => Self::HpaController,
            "argocd-controller" | "argocd-application-controller" | "argocd-server" | "argocd" => {
                let tracked = object.annotation(super::marks::ARGO_TRACKING).and_then(|id| id.split(':').next());
                let application = tracked.or_else(|| object.label("argocd.argoproj.io/instance"));
                Self::ArgoCd {
                    application: application.or_else(|| object.label("app.kubernetes.io/instance")).map(shown),
                }
            }
            "kustomize-controller" => Self::FluxKustomization {
                name: label("kustomize.toolkit.fluxcd.io/name"),
                namespace: label("kustomize.toolkit.fluxcd.io/namespace"),
            },
            "helm-controller" => Self::FluxHelmRelease {
                name: label("helm.toolkit.fluxcd.io/name"),
                namespace: label("helm.toolkit.fluxcd.io/namespace"),
            },
            "helm" | "Helm" | "Go-http-client" if object.annotation(super::marks::HELM_RELEASE).is_some() => {
                Self::Helm { release: object.annotation(super::marks::HELM_RELEASE).map(shown) }
            }
            "helm" | "Helm" => Self::Helm { release: None },
            "keda-operator" | "keda" => {
                Self::Keda { scaled_object: label(super::marks::KEDA_NAME).unwrap_or_else(|| "unknown".to_owned()) }
            }
            // The dashboards and consoles through which people edit: a browser is known by the first word of its agent.
            "k9s" | "Mozilla" | "node-fetch" | "GoogleCloudConsole" => Self::Person { with: manager.to_owned() },
            _ if manager == "kubectl" || manager.starts_with("kubectl-") || manager == "before-first-apply" => {
                Self::Person { with: shown(manager) }
            }
            _ => Self::Manager { name: shown(manager) },
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named =
            |f: &mut fmt::Formatter<'_>, tool: &str, kind: &str, namespace: &Option<String>, name: &Option<String>| {
                match (namespace, name) {
                    (Some(namespace), Some(name)) => write!(f, "{tool} ({kind} {namespace}/{name})"),
                    (None, Some(name)) => write!(f, "{tool} ({kind} {name})"),
                    _ => f.write_str(tool),
                }
            };
        match self {
            Self::Hpa { name } => write!(f, "another HPA, {name},"),
            Self::Keda { scaled_object } => write!(f, "KEDA (ScaledObject {scaled_object})"),
            Self::Vpa { name, mode } => write!(f, "the VerticalPodAutoscaler {name} (mode {mode})"),
            Self::CronJob { name, suspended: false } => write!(f, "the CronJob {name}"),
            Self::CronJob { name, suspended: true } => write!(f, "the CronJob {name} (suspended)"),
            Self::ArgoCd { application } => named(f, "Argo CD", "application", &None, application),
            Self::FluxKustomization { name, namespace } => named(f, "Flux", "Kustomization", namespace, name),
            Self::FluxHelmRelease { name, namespace } => named(f, "Flux", "HelmRelease", namespace, name),
            Self::Helm { release } => named(f, "Helm", "release", &None, release),
            Self::Person { with } => write!(f, "a person with {with}"),
            Self::HpaController => f.write_str("the HPA controller"),
            Self::Controller { object } => write!(f, "the controller of {object}"),
            Self::Manager { name } => f.write_str(name),
        }
    }
}

/// Evidence of an owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Evidence {
    /// `metadata.managedFields` of the object.
    ManagedFields,
    /// An owner reference of the object.
    OwnerReference,
    /// A label or an annotation that a tool leaves on what it applies.
    Mark {
        /// Key of the label or annotation.
        key: String,
    },
    /// Another object, which names the workload or its HPA.
    Names,
}

/// One owner of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    /// The owner.
    pub owner: Owner,
    /// The object that it writes.
    pub object: ObjectName,
    /// Fields that it is known to own; empty if it may write the whole object.
    pub fields: Vec<String>,
    /// Field manager that it writes under, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// Operation by which it writes, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Time of its last write of these fields, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Evidence of it.
    pub evidence: Evidence,
    /// What a mark or a reference is about: the bounds, where it stands on the HPA or on what owns it; the requests, on the workload.
    pub part: Writes,
    /// Setting by which the owner leaves our fields alone, if there is one: then it does not stand in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<String>,
}

impl Ownership {
    /// Returns true if such a write would start a fight, or a conflict.
    pub fn stands_in_the_way_of(&self, writes: Writes) -> bool {
        if self.settled.is_some() {
            return false;
        }
        let sizes = |part: &str| self.fields.iter().any(|field| field.contains(part));
        match (&self.owner, &self.evidence) {
            (Owner::HpaController, _) => false,
            (_, Evidence::ManagedFields) => match writes {
                Writes::Bounds => sizes("spec.minReplicas") || sizes("spec.maxReplicas"),
                Writes::Replicas => sizes("spec.replicas"),
                Writes::Requests => sizes(".resources."),
            },
            (Owner::Vpa { mode, .. }, _) => writes == Writes::Requests && mode != "Off",
            (Owner::CronJob { suspended, .. }, _) => writes != Writes::Requests && !suspended,
            // Between two upgrades Helm writes nothing, and the next one is the host's to make.
            (Owner::Helm { .. }, _) => false,
            (Owner::Hpa { .. } | Owner::Keda { .. }, _) | (_, Evidence::Names) => writes != Writes::Requests,
            (_, Evidence::Mark { .. } | Evidence::OwnerReference) => writes == self.part,
        }
    }

    /// Equal for two findings of the same thing.
    pub(super) fn key(&self) -> impl Ord + use<> {
        let tool = match &self.owner {
            Owner::Keda { .. } | Owner::Hpa { .. } => (Some(self.owner.clone()), None),
            _ => (
                None,
                Some((
                    self.owner.clone(),
                    self.object.clone(),
                    self.fields.clone(),
                    self.operation,
                    self.manager.clone(),
                )),
            ),
        };
        // One and the same KEDA is found by reference, by label and by its ScaledObject; a field that it owns is another matter.
        (tool, self.evidence == Evidence::ManagedFields)
    }
}

impl fmt::Display for Ownership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, object, fields, manager, operation, since, evidence, settled, .. } = self;
        let owner = owner.to_string();
        match (evidence, fields.as_slice()) {
            (Evidence::Names, _) => write!(f, "{owner} sets the size of the same workload")?,
            (_, []) => write!(f, "{owner} manages {object}")?,
            (_, fields) => write!(f, "{owner} owns {} of {object}", fields.join(" and "))?,
        }
        let how = match evidence {
            Evidence::ManagedFields => operation.map(|operation| operation.to_string()),
            Evidence::OwnerReference => Some("by owner reference".to_owned()),
            Evidence::Mark { key } => Some(format!("by {key}")),
            Evidence::Names => None,
        };
        let since = since.map(|since| since.to_string());
        let manager =
            manager.as_ref().filter(|manager| !owner.contains(*manager)).map(|manager| format!("as {manager}"));
        let details: Vec<String> = manager.into_iter().chain(how).chain(since).collect();
        if !details.is_empty() {
            write!(f, " ({})", details.join(", "))?;
        }
        match settled {
            Some(setting) => write!(f, "; it leaves our fields alone: {setting}"),
            None => Ok(()),
        }
    }
}
