//! Which workload: [`Target`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// The workload a decision is about, and the HPA that scales it.
///
/// ```
/// use scaling_core::Target;
/// let target = Target::deployment("shop", "checkout").with_hpa("checkout-hpa");
/// assert_eq!(target.to_string(), "shop/Deployment/checkout");
/// assert_eq!(target.in_cluster("eu-1").to_string(), "eu-1/shop/Deployment/checkout");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The cluster, where more than one is managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Namespace of the workload and of its HPA.
    pub namespace: String,
    /// Name of the scaled object.
    pub name: String,
    /// Kind of the scaled object: `Deployment`, `StatefulSet`, or anything with a scale subresource.
    pub kind: String,
    /// Name of the `HorizontalPodAutoscaler` whose bounds are moved.
    pub hpa: String,
}

impl Target {
    /// A Deployment, scaled by an HPA of the same name, as `kubectl autoscale` makes it. [`with_hpa`](Self::with_hpa) for another.
    pub fn deployment(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let name = name.into();
        Self { cluster: None, namespace: namespace.into(), hpa: name.clone(), name, kind: "Deployment".into() }
    }

    /// The same workload, scaled by the HPA of this name.
    #[must_use]
    pub fn with_hpa(mut self, hpa: impl Into<String>) -> Self {
        self.hpa = hpa.into();
        self
    }

    /// The same workload, in a named cluster.
    #[must_use]
    pub fn in_cluster(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = Some(cluster.into());
        self
    }

    /// The same target with another kind of scaled object.
    #[must_use]
    pub fn of_kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(cluster) = &self.cluster {
            write!(f, "{cluster}/")?;
        }
        write!(f, "{}/{}/{}", self.namespace, self.kind, self.name)
    }
}
