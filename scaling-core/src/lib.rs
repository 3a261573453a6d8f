#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "backtest")]
pub mod adoption;
pub mod applier;
pub mod autoscaler;
#[cfg(feature = "backtest")]
pub mod backtest;
pub mod baseline;
pub mod bounds;
#[cfg(any(feature = "http", feature = "cloudwatch"))]
mod causes;
pub mod change_log;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod cost;
pub mod decision;
pub mod engine;
pub mod forecast;
pub mod guard;
pub mod guide;
pub mod hpa;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "live")]
pub mod live;
pub mod metrics;
pub mod moment;
pub mod plan;
pub mod policy;
pub mod recommend;
pub mod record;
pub mod resources;
pub mod rules;
mod serde_seconds;
mod setting;
mod size_owner;
pub mod source;
pub mod state;
pub mod stats;
pub mod target;
#[cfg(any(feature = "telemetry", feature = "otlp"))]
pub mod telemetry;
#[cfg(any(feature = "http", feature = "telemetry", feature = "otlp"))]
mod trace_context;
pub mod web;

#[doc(inline)]
pub use applier::{Applied, ApplyError, HpaApplier, MemoryApplier};
#[doc(inline)]
pub use autoscaler::{Autoscaler, AutoscalerBuilder, Missing, Review, TickError, Undo};
#[doc(inline)]
pub use bounds::{Bounds, HardLimits, InvalidBounds, MAX_REPLICAS};
#[doc(inline)]
pub use change_log::ChangeLog;
#[doc(inline)]
pub use cost::{CostImpact, Currency, InvalidPrice, Price};
#[doc(inline)]
pub use decision::{
    CapacityModel, Confidence, Floor, NeedDriver, Reason, ReplayVerdict, ReplayedSize, ScalingAction, ScalingDecision,
    ShadowDecision, ShadowOutcome, Timing, Urgency, WindowDays,
};
#[doc(inline)]
pub use engine::{
    Breaker, BreakerConfig, BreakerWatch, DecisionEngine, EngineError, EngineExt, Ensemble, Fallback, FloorSource,
    Floored, Forecasting, Shadow,
};
#[doc(inline)]
pub use forecast::Forecast;
#[doc(inline)]
pub use guard::{
    AbsenceGuard, Approved, Change, Clamp, ConfidenceGate, Cooldown, Freshness, Guard, GuardContext, Guards,
    HardLimitsGuard, LastChanges, Limit, Proposal, Refusal, RemovalBudget, ResourceLimits, StepLimit, Verdict,
};
#[doc(inline)]
pub use hpa::HpaSpec;
#[doc(inline)]
pub use metrics::{
    Absence, Columns, EventKind, HistoryError, InvalidEvent, LoadForecast, MetricsHistory, NoForecast, Objective,
    Observation, PlannedEvent, Provenance, Repairs, ScalingMetrics, Signal, SignalKind, SignalSet, WorkloadFacts,
};
#[doc(inline)]
pub use plan::HpaPlan;
#[doc(inline)]
pub use policy::{BoundsChange, BoundsPolicy, Ceiling};
#[doc(inline)]
pub use record::{
    DecisionRecord, JsonLinesRecorder, MemoryRecorder, MinHolder, NoRecorder, Outcome, RecordError, Recorder, Step,
    Tee, Unchanged, Undoing,
};
#[doc(inline)]
pub use resources::{Requests, ResourceChange};
#[doc(inline)]
pub use rules::{Rule, RuleBasedEngine, RuleConfig};
#[doc(inline)]
pub use setting::InvalidSetting;
#[doc(inline)]
pub use size_owner::{OwnerSetting, SizeOwner};
#[doc(inline)]
pub use source::{MemorySource, MetricsSource, SourceError};
#[doc(inline)]
pub use state::{Adoption, ApplyMode, HpaState};
#[doc(inline)]
pub use target::Target;

pub use async_trait;
pub use chrono;
