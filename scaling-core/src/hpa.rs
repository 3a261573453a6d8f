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
//!     CrossVersionObjectReference, Hpa, HpaController, HpaMemory, HpaSpec, MetricSpec, Quantity, Reported, Samples, Scale, Selector,
//! };
//! use scaling_core::{Bounds, chrono::DateTime};
//!
//! let mut spec = HpaSpec::new(CrossVersionObjectReference::deployment("worker"), Bounds::new(1, 20)?);
//! spec.metrics = Some(vec![MetricSpec::external("queue_depth", Quantity::from_milli(10_000))]); // 10 for each replica
//! let hpa = Hpa::try_from(&spec)?;
//!
//! let scale = Scale { spec_replicas: 3, status_replicas: 3 };
//! let samples = vec![Samples::External(vec![48_000])]; // 48 are waiting
//! let mut seen = Reported { scale: Some(scale), selector: Selector::Usable, pods: vec![], samples, writable: true };
//! let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
//! let sync = HpaController::default().sync(&hpa, &mut HpaMemory::default(), &mut seen, now);
//! assert_eq!((sync.desired, sync.rescaled), (5, true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calculator;
mod condition;
mod config;
mod controller;
mod defaults;
pub(crate) mod engine;
mod kpa;
pub mod limits;
mod measured;
mod memory;
mod metric;
pub mod names;
mod pods;
mod quantity;
mod recommend;
mod resources;
mod spec;
mod validate;

pub use calculator::{
    Calculator, DEFAULT_WINDOW_S, MetricError, PodTally, PodUsage, PodValue, Proposal, Samples, Scale, Tolerances,
    per_replica_usage,
};
pub use condition::{Condition, Conditions, LimitReason};
pub use config::{ControllerConfig, MissingFallback, Release, ToleranceMode};
pub use controller::{HpaController, HpaMemory, Reported, ScaledObject, Selector, Sync, stabilized_reason};
pub use defaults::DEFAULT_CPU_PERCENT;
pub use engine::HpaEngine;
pub use kpa::{Kpa, KpaConfig, KpaEngine, KpaLoad};
pub use limits::{Behavior, Rules};
pub use memory::{Recommendation, Recommendations, ScaleEvent, ScaleEvents};
pub use metric::{Aim, Hpa, Metric, MetricKind, TargetKind, TargetValues};
pub use pods::{ConditionStatus, Container, Pod, PodClass, PodGroups, PodPhase, Ready, SampleTime, classify, requests};
pub use quantity::{InvalidQuantity, Quantity};
pub use recommend::{HpaRecommendation, RecommendError, recommend};
pub use resources::Resources;
pub use spec::{
    CrossVersionObjectReference, HpaBehavior, HpaSpec, LabelSelector, LabelSelectorRequirement, MetricIdentifier,
    MetricSource, MetricSpec, MetricTarget, ScalingPolicy, ScalingRules,
};
pub use validate::{Fault, InvalidHpa, ValidationOptions};
