//! What every host may count on of the public types: they can be shared between threads, printed and, where they are errors, boxed.
#![allow(missing_docs)]

use std::error::Error;
use std::fmt::Debug;

use scaling_schedule::*;

fn shared<T: Debug + Send + Sync + 'static>() {}
fn error<T: Error + Send + Sync + 'static>() {}

#[test]
fn types_are_shared_between_threads() {
    shared::<AnnouncedEvent>();
    shared::<AnalyzeConfig>();
    shared::<CompileConfig>();
    shared::<Compiled>();
    shared::<CompiledSchedule>();
    shared::<CostBasis>();
    shared::<CostReport>();
    shared::<CurvePoint>();
    shared::<DatedWindow>();
    shared::<Days>();
    shared::<ExcludedDates>();
    shared::<Forecaster>();
    shared::<HeldOut>();
    shared::<HpaBeneath>();
    shared::<LearntForecast>();
    shared::<Need>();
    shared::<NoSchedule>();
    shared::<Open<'static>>();
    shared::<Patterns>();
    shared::<PredictiveConfig>();
    shared::<PredictiveEngine>();
    shared::<Profile>();
    shared::<Proof>();
    shared::<ProofConfig>();
    shared::<RenewedSchedule>();
    shared::<Replayed>();
    shared::<Savings>();
    shared::<Schedule>();
    shared::<ScheduleEngine>();
    shared::<Segment>();
    shared::<Size<'static>>();
    shared::<Snapshot>();
    shared::<Unproven>();
    shared::<Band>();
    shared::<Week>();
    shared::<WeekBand>();
    shared::<WeekStrip<'static>>();
    shared::<Window>();
    shared::<WindowConfidence>();
    shared::<WindowFault>();
    shared::<WindowReason>();
}

#[test]
fn errors_can_be_boxed_and_sent() {
    error::<AnalyzeError>();
    error::<CompileError>();
    error::<InvalidDates>();
    error::<InvalidSchedule>();
    error::<InvalidWindow>();
    error::<ProofError>();
    error::<SnapshotError>();
}
