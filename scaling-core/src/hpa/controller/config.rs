//! Settings of the controller, and what differs between releases.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the controller: the flags of `kube-controller-manager`, and the release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControllerConfig {
    /// `--horizontal-pod-autoscaler-sync-period`. Default 15 s.
    #[serde(with = "crate::serde_seconds")]
    pub sync_period: Duration,
    /// `--horizontal-pod-autoscaler-downscale-stabilization`. Default 300 s.
    #[serde(with = "crate::serde_seconds")]
    pub downscale_stabilization: Duration,
    /// `--horizontal-pod-autoscaler-tolerance`, a share. Default 0.1.
    pub tolerance: f64,
    /// `--horizontal-pod-autoscaler-cpu-initialization-period`. Default 300 s.
    #[serde(with = "crate::serde_seconds")]
    pub cpu_initialization_period: Duration,
    /// `--horizontal-pod-autoscaler-initial-readiness-delay`. Default 30 s.
    #[serde(with = "crate::serde_seconds")]
    pub initial_readiness_delay: Duration,
    /// What differs between releases.
    pub release: Release,
}

impl Default for ControllerConfig {
    fn default() -> Self {
        Self {
            sync_period: Duration::from_secs(15),
            downscale_stabilization: Duration::from_secs(300),
            tolerance: 0.1,
            cpu_initialization_period: Duration::from_secs(300),
            initial_readiness_delay: Duration::from_secs(30),
            release: Release::default(),
        }
    }
}

/// How far a ratio may be from 1 to count as on target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToleranceMode {
    /// Within an interval, both edges included, each direction for itself (since 1.33).
    #[default]
    Interval,
    /// By its distance from 1 (until 1.32), which differs at the rounding edge: exactly 1.1 grows.
    Distance,
}

/// What a pod without a sample is taken to use when the others say to shrink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingFallback {
    /// Its whole request or, with a target above 100 %, as much as the target.
    #[default]
    Target,
    /// Its whole request, whatever the target (older releases).
    Request,
}

/// What differs between releases of Kubernetes. The default is the line of mid 2026 (1.37) with its fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // feature gates
pub struct Release {
    /// Honour `behavior.*.tolerance` (feature HPAConfigurableTolerance): on since 1.35.
    pub configurable_tolerance: bool,
    /// Scale to and from zero (feature HPAScaleToZero): on since 1.37.
    pub scale_to_zero: bool,
    /// Return from zero only where the condition ScaledToZero says that the autoscaler itself went there: since 1.36. Before,
    /// `minReplicas: 0` was enough.
    pub scale_from_zero_requires_condition: bool,
    /// Ignore pods that have ended well: since August 2026; 1.37.2 still takes them for missing ones.
    pub ignore_succeeded_pods: bool,
    /// Honour requests of the pod as a whole (feature PodLevelResources).
    pub pod_level_resources: bool,
    /// A sample without the named container fails the whole metric, in older releases.
    pub missing_container_fails: bool,
    /// How the tolerance is tested.
    pub tolerance_mode: ToleranceMode,
    /// What a pod without a sample is taken to use.
    pub missing_fallback: MissingFallback,
}

impl Default for Release {
    fn default() -> Self {
        Self {
            configurable_tolerance: true,
            scale_to_zero: true,
            scale_from_zero_requires_condition: true,
            ignore_succeeded_pods: true,
            pod_level_resources: true,
            missing_container_fails: false,
            tolerance_mode: ToleranceMode::Interval,
            missing_fallback: MissingFallback::Target,
        }
    }
}

impl Release {
    /// Kubernetes 1.37.2.
    pub fn v1_37() -> Self {
        Self { ignore_succeeded_pods: false, ..Self::default() }
    }

    /// Kubernetes 1.35: no scaling to zero, and `minReplicas: 0` alone returns from it.
    pub fn v1_35() -> Self {
        Self { scale_to_zero: false, scale_from_zero_requires_condition: false, ..Self::v1_37() }
    }

    /// Kubernetes 1.33 and 1.34: one tolerance for all.
    pub fn v1_33() -> Self {
        Self { configurable_tolerance: false, ..Self::v1_35() }
    }
}
