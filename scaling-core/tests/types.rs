//! What every host may count on of the public types: they can be shared between threads, printed and, where they are errors, boxed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::error::Error;
use std::fmt::Debug;

use scaling_core::chrono::DateTime;
use scaling_core::*;

type Engine = RuleBasedEngine;

fn shared<T: Debug + Send + Sync + 'static>() {}
fn error<T: Error + Send + Sync + 'static>() {}
fn sendable<T: Send>(_: T) {}

#[test]
fn the_types_of_the_crate_root_are_shared_between_threads() {
    // What a host builds and keeps.
    shared::<Autoscaler>();
    shared::<AutoscalerBuilder>();
    shared::<Missing>();
    shared::<ChangeLog>();
    shared::<Guards>();
    shared::<BoundsPolicy>();
    shared::<Ceiling>();
    shared::<Target>();
    shared::<Bounds>();
    shared::<HardLimits>();
    shared::<Adoption>();
    shared::<ApplyMode>();
    shared::<HpaState>();
    shared::<OwnerSetting>();
    shared::<SizeOwner>();
    shared::<Undo>();
    shared::<Undoing>();
    shared::<HpaSpec>();

    // What is seen and decided.
    shared::<Observation>();
    shared::<Provenance>();
    shared::<WorkloadFacts>();
    shared::<Objective>();
    shared::<PlannedEvent>();
    shared::<ScalingMetrics>();
    shared::<MetricsHistory>();
    shared::<Columns<'static>>();
    shared::<Repairs>();
    shared::<Signal>();
    shared::<SignalKind>();
    shared::<SignalSet>();
    shared::<Absence>();
    shared::<LoadForecast>();
    shared::<NoForecast>();
    shared::<ScalingDecision>();
    shared::<ScalingAction>();
    shared::<Timing>();
    shared::<Urgency>();
    shared::<WindowDays>();
    shared::<EventKind>();
    shared::<Confidence>();
    shared::<Reason>();
    shared::<NeedDriver>();
    shared::<CapacityModel>();
    shared::<ReplayVerdict>();
    shared::<ReplayedSize>();
    shared::<Floor>();
    shared::<ShadowDecision>();
    shared::<ShadowOutcome>();
    shared::<Requests>();
    shared::<ResourceChange>();
    shared::<Price>();
    shared::<Currency>();
    shared::<CostImpact>();

    // What is allowed, planned, applied and recorded.
    shared::<Proposal>();
    shared::<Change<'static>>();
    shared::<GuardContext<'static>>();
    shared::<LastChanges>();
    shared::<Limit>();
    shared::<Verdict>();
    shared::<Clamp>();
    shared::<Refusal>();
    shared::<Approved>();
    shared::<AbsenceGuard>();
    shared::<ConfidenceGate>();
    shared::<Cooldown>();
    shared::<Freshness>();
    shared::<HardLimitsGuard>();
    shared::<RemovalBudget>();
    shared::<ResourceLimits>();
    shared::<StepLimit>();
    shared::<HpaPlan>();
    shared::<BoundsChange>();
    shared::<Applied>();
    shared::<MemoryApplier>();
    shared::<MemorySource>();
    shared::<DecisionRecord>();
    shared::<Outcome>();
    shared::<Step>();
    shared::<Unchanged>();
    shared::<MinHolder>();
    shared::<MemoryRecorder>();
    shared::<JsonLinesRecorder<Vec<u8>>>();
    shared::<NoRecorder>();
    shared::<Tee>();

    // Engines and what wraps them.
    shared::<RuleBasedEngine>();
    shared::<RuleConfig>();
    shared::<Breaker<Engine>>();
    shared::<BreakerConfig>();
    shared::<BreakerWatch>();
    shared::<Ensemble>();
    shared::<Fallback<Engine, Engine>>();
    shared::<Shadow<Engine, Engine>>();
    shared::<Floored<Engine, Target>>();
    shared::<Forecasting<Engine, Target>>();
}

#[test]
fn errors_can_be_boxed_and_sent() {
    error::<ApplyError>();
    error::<EngineError>();
    error::<HistoryError>();
    error::<InvalidBounds>();
    error::<InvalidEvent>();
    error::<InvalidPrice>();
    error::<InvalidSetting>();
    error::<RecordError>();
    error::<SourceError>();
    error::<TickError>();
}

#[test]
fn a_tick_may_move_between_threads_and_behind_any_pointer() {
    let applier: std::sync::Arc<dyn HpaApplier> = std::sync::Arc::new(MemoryApplier::new());
    let source: Box<dyn MetricsSource> = Box::new(MemorySource::new());
    let engine: Box<dyn DecisionEngine> = Box::new(RuleBasedEngine::default());
    let autoscaler = Autoscaler::builder().source(source).engine(engine).applier(applier).build();
    let target = Target::deployment("shop", "web");
    sendable(autoscaler.tick(&target, DateTime::from_timestamp(0, 0).unwrap()));
}

/// The lists above name every type that the root of the crate exports; traits and constants aside.
#[test]
fn no_type_of_the_crate_root_is_left_out() {
    let traits_and_constants = [
        "HpaApplier",
        "MAX_REPLICAS",
        "DecisionEngine",
        "EngineExt",
        "FloorSource",
        "Forecast",
        "Guard",
        "Recorder",
        "Review",
        "Rule",
        "MetricsSource",
    ];
    let (root, this) = (include_str!("../src/lib.rs"), include_str!("types.rs"));
    let exports = root.split("pub use ").skip(1).filter_map(|statement| statement.split(';').next());
    let names = exports.flat_map(|statement| statement.split(|c: char| !(c.is_alphanumeric() || c == '_')));
    let types = names.filter(|name| name.starts_with(char::is_uppercase) && !traits_and_constants.contains(name));
    let left_out: Vec<_> =
        types.filter(|name| ![">", "<"].iter().any(|after| this.contains(&format!("::<{name}{after}")))).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
}
