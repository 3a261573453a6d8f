//! Settings of the controller, and switches for what differs between releases.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the controller: the flags of `kube-controller-manager`, and the release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControllerConfig {
    /// Time between two syncs (`--horizontal-pod-autoscaler-sync-period`). Default 15 s.
    #[serde(with = "crate::serde_seconds")]
    pub sync_period: Duration,
    /// Stabilization window for shrinkage (`--horizontal-pod-autoscaler-downscale-stabilization`). Default 300 s.
    #[serde(with = "crate::serde_seconds")]
    pub downscale_stabilization: Duration,
    /// Tolerance around the target, as a share (`--horizontal-pod-autoscaler-tolerance`). Default 0.1.
    pub tolerance: f64,
    /// Age of a pod below which a CPU sample counts only after the pod got ready
    /// (`--horizontal-pod-autoscaler-cpu-initialization-period`). Default 300 s.
    #[serde(with = "crate::serde_seconds")]
    pub cpu_initialization_period: Duration,
    /// Time after its start within which a pod that turns unready counts as never ready
    /// (`--horizontal-pod-autoscaler-initial-readiness-delay`). Default 30 s.
    #[serde(with = "crate::serde_seconds")]
    pub initial_readiness_delay: Duration,
    /// Release of Kubernetes to follow. Default: the line of mid 2026 (1.37) with its fixes.
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

/// Test whether a ratio is on target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToleranceMode {
    /// Within an interval around 1, edges included, with a tolerance for each direction (since 1.33).
    #[default]
    Interval,
    /// By the distance from 1 (until 1.32), which differs at the edge by rounding: exactly 1.1 grows.
    Distance,
}

/// Usage that is assumed of a pod without a sample when the others ask to shrink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingFallback {
    /// All of the request or, with a target above 100 %, as much as the target.
    #[default]
    Target,
    /// All of the request, whatever the target (older releases).
    Request,
}

/// Switches for what differs between releases of Kubernetes.
///
/// Default: the line of mid 2026 (1.37) with its fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // feature gates
pub struct Release {
    /// Honours `behavior.*.tolerance` (feature HPAConfigurableTolerance, on since 1.35). Default true.
    pub configurable_tolerance: bool,
    /// Scales to and from zero (feature HPAScaleToZero, on since 1.37). Default true.
    pub scale_to_zero: bool,
    /// Returns from zero only if the condition ScaledToZero says that the autoscaler itself went there (since 1.36; before,
    /// `minReplicas: 0` was enough). Default true.
    pub scale_from_zero_requires_condition: bool,
    /// Ignores pods that have succeeded (since August 2026; 1.37.2 counts them as pods without a sample). Default true.
    pub ignore_succeeded_pods: bool,
    /// Honours requests of the pod as a whole (feature PodLevelResources). Default true.
    pub pod_level_resources: bool,
    /// Fails the whole metric if one sample lacks the named container (older releases). Default false.
    pub missing_container_fails: bool,
    /// Test of the tolerance. Default [`ToleranceMode::Interval`].
    pub tolerance_mode: ToleranceMode,
    /// Usage that is assumed of a pod without a sample. Default [`MissingFallback::Target`].
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
    /// Follows Kubernetes 1.37.2.
    pub fn v1_37() -> Self {
        Self { ignore_succeeded_pods: false, ..Self::default() }
    }

    /// Follows Kubernetes 1.35: no scaling to zero, and `minReplicas: 0` alone returns from it.
    pub fn v1_35() -> Self {
        Self { scale_to_zero: false, scale_from_zero_requires_condition: false, ..Self::v1_37() }
    }

    /// Follows Kubernetes 1.33 and 1.34: the controller's tolerance in both directions.
    pub fn v1_33() -> Self {
        Self { configurable_tolerance: false, ..Self::v1_35() }
    }
}
