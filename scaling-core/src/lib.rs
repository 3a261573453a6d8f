#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod applier;
pub mod autoscaler;
#[cfg(feature = "backtest")]
pub mod backtest;
mod bounds;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod cost;
pub mod decision;
pub mod engine;
pub mod guard;
pub mod hpa;
pub mod metrics;
pub mod plan;
pub mod record;
pub mod rules;
mod serde_seconds;
mod setting;
pub mod source;
mod target;

pub use applier::{Applied, ApplyError, ApplyMode, HpaApplier, HpaState, MemoryApplier};
pub use autoscaler::{Autoscaler, AutoscalerBuilder, MissingPart, TickError};
pub use bounds::{Bounds, HardLimits, InvalidBounds, MAX_REPLICAS};
pub use cost::{CostImpact, Currency, InvalidPrice, Price};
pub use decision::{
    CapacityModel, Confidence, NeedDriver, Reason, ResourceChange, ScalingAction, ScalingDecision, ShadowDecision,
    ShadowOutcome, Timing, Urgency,
};
pub use engine::{Breaker, BreakerConfig, DecisionEngine, EngineError, EngineExt, Ensemble, Fallback, Shadow};
pub use guard::{
    AbsenceGuard, Approved, Clamp, ConfidenceGate, Cooldown, Freshness, Guard, Guards, HardLimitsGuard, LastChanges,
    Refusal, RemovalBudget, Situation, StepLimit, Verdict,
};

pub use hpa::HpaSpec;
pub use metrics::{
    Absence, Columns, HistoryError, InvalidEvent, MetricsHistory, Observation, PlannedEvent, Repairs, ScalingMetrics,
    Signal, SignalKind, WorkloadFacts,
};
pub use plan::{BoundsChange, BoundsPolicy, HpaPlan, Requests};
pub use record::{DecisionRecord, JsonLinesRecorder, MemoryRecorder, NoRecorder, Outcome, RecordError, Recorder, Step};
pub use rules::{LoadProfile, Rule, RuleBasedEngine, RuleConfig};
pub use setting::InvalidSetting;
pub use source::{MemorySource, MetricsSource, SourceError};
pub use target::Target;

pub use async_trait;
pub use chrono;
