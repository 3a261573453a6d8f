//! The `HorizontalPodAutoscaler` in two parts: [`api`], the object as a value, and [`controller`], the algorithm.
//!
//! [`HpaSpec`] mirrors `autoscaling/v2`, [`HpaSpec::with_defaults`] fills in what the API server fills in, [`HpaSpec::validate`]
//! refuses what it refuses, and [`Hpa`] is the form that the controller works with. [`HpaController::sync`] is one sync of the
//! controller: the [`Calculator`] makes a proposal of each metric, the largest counts, and stabilization, policies and bounds
//! [limit](limits) it. Both are pure; time is an argument.
//!
//! [`baseline::HpaEngine`](crate::baseline::HpaEngine) is the algorithm as an engine, and [`recommend`](crate::recommend) finds a
//! configuration for a workload.

pub mod api;
pub mod controller;

pub use api::{
    Behavior, CannotLeaveOut, CrossVersionObjectReference, DEFAULT_CPU_PERCENT, Fault, Hpa, HpaBehavior, HpaSpec,
    InvalidHpa, InvalidQuantity, LabelSelector, LabelSelectorRequirement, Metric, MetricIdentifier, MetricKind,
    MetricSource, MetricSpec, MetricTarget, Policy, PolicyKind, Quantity, Resources, Rules, ScalingPolicy,
    ScalingRules, SelectPolicy, TargetFields, TargetKind, TargetValue, ValidationOptions, names,
};
pub use controller::{
    Calculator, Condition, ConditionStatus, Conditions, Container, ControllerConfig, DEFAULT_WINDOW_S, HpaController,
    HpaMemory, LimitReason, MetricError, MetricSamples, MissingFallback, Pod, PodClass, PodGroups, PodPhase, PodTally,
    PodUsage, PodValue, Proposal, Ready, Recommendation, Recommendations, Release, Reported, SampleTime, Scale,
    ScaleEvent, ScaleEvents, ScaledObject, Selector, SyncResult, ToleranceMode, Tolerances, classify, limits,
    per_replica_usage, requests, stabilized_reason,
};
