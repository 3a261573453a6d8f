//! The `HorizontalPodAutoscaler`: as a value, as the algorithm that the controller runs, and a configuration recommended from
//! history.
//!
//! [`HpaSpec`] mirrors `autoscaling/v2`, field by field, in its own spelling. Unknown fields are an error that names them, as with
//! the API server's strict validation: a misspelt `minReplica` must not silently mean 1. [`HpaSpec::validate`] says what the server
//! would refuse, [`HpaSpec::with_defaults`] what it would fill in, and [`Hpa`] is what the controller makes of it.
//!
//! [`HpaController::sync`] is one sync of the controller: the [`Calculator`] says what each metric asks for, the largest counts,
//! and stabilization, policies and bounds [limit](limits) it. It reaches the size that Kubernetes 1.37 reaches, sync by sync, and
//! [`Release`] holds what differs in others. Pure: time comes in, and the caller keeps the [`HpaMemory`].
//!
//! ```
//! use scaling_core::hpa::{
//!     CrossVersionObjectReference, Hpa, HpaController, HpaMemory, HpaSpec, MetricSpec, Quantity, Reported, MetricSamples, Scale, Selector,
//! };
//! use scaling_core::{Bounds, chrono::DateTime};
//!
//! let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("worker"), Bounds::new(1, 20)?);
//! spec.metrics = Some(vec![MetricSpec::external("queue_depth", Quantity::from_milli(10_000))]); // 10 for each replica
//! let hpa = Hpa::try_from(&spec)?;
//!
//! let scale = Scale { spec_replicas: 3, status_replicas: 3 };
//! let samples = vec![MetricSamples::External(vec![48_000])]; // 48 are waiting
//! let mut seen = Reported { scale: Some(scale), selector: Selector::Usable, pods: vec![], samples, writable: true };
//! let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
//! let sync = HpaController::default().sync(&hpa, &mut HpaMemory::default(), &mut seen, now);
//! assert_eq!((sync.desired, sync.rescaled), (5, true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod api;
pub mod controller;

pub use api::{
    Behavior, CrossVersionObjectReference, DEFAULT_CPU_PERCENT, Fault, Hpa, HpaBehavior, HpaSpec, InvalidHpa,
    InvalidQuantity, LabelSelector, LabelSelectorRequirement, Metric, MetricIdentifier, MetricKind, MetricSource,
    MetricSpec, MetricTarget, Policy, PolicyKind, Quantity, Resources, Rules, ScalingPolicy, ScalingRules,
    SelectPolicy, TargetFields, TargetKind, TargetValue, ValidationOptions, names,
};
pub use controller::{
    Calculator, Condition, ConditionStatus, Conditions, Container, ControllerConfig, DEFAULT_WINDOW_S, HpaController,
    HpaMemory, LimitReason, MetricError, MetricSamples, MissingFallback, Pod, PodClass, PodGroups, PodPhase, PodTally,
    PodUsage, PodValue, Proposal, Ready, Recommendation, Recommendations, Release, Reported, SampleTime, Scale,
    ScaleEvent, ScaleEvents, ScaledObject, Selector, SyncResult, ToleranceMode, Tolerances, classify, limits,
    per_replica_usage, requests, stabilized_reason,
};
