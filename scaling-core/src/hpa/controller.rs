//! The algorithm of the HPA's controller: from metrics to proposals, from proposals to a size, and the limits on it.
//!
//! Time is an argument, and the caller keeps the memory between two syncs.

mod calculator;
mod condition;
mod config;
pub mod limits;
mod measured;
mod memory;
mod pods;
mod sync;

pub use calculator::{
    Calculator, DEFAULT_WINDOW_S, MetricError, MetricSamples, PodTally, PodUsage, PodValue, Proposal, Scale,
    Tolerances, per_replica_usage,
};
pub use condition::{Condition, Conditions, LimitReason};
pub use config::{ControllerConfig, MissingFallback, Release, ToleranceMode};
pub use memory::{Recommendation, Recommendations, ScaleEvent, ScaleEvents};
pub use pods::{ConditionStatus, Container, Pod, PodClass, PodGroups, PodPhase, Ready, SampleTime, classify, requests};
pub use sync::{HpaController, HpaMemory, Reported, ScaledObject, Selector, SyncResult, stabilized_reason};
