#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod calendar;
mod compile;
mod cost;
mod engine;
mod error;
pub mod forecast;
mod local_time;
mod over_hpa;
pub mod patterns;
mod predictive;
mod proof;
mod strip;

pub use calendar::{CronExpression, CronFault, CronField, Firings, InvalidCron, TermFault, Upcoming};
pub use calendar::{DatedWindow, DatesFault, Days, ExcludedDates, InvalidDates, Open, Schedule, Segment, Week, Window};
pub use compile::{
    AnnouncedEvent, CompileConfig, CompileError, Compiled, CompiledSchedule, CurvePoint, HeldOut, Need, NoSchedule,
    Profile, Unproven, WindowConfidence, WindowReason, compile, need_by_cpu, need_by_load,
};
pub use cost::{CostBasis, CostReport, Size};
pub use engine::ScheduleEngine;
pub use error::{InvalidSchedule, InvalidWindow, WindowFault};
pub use forecast::Forecaster;
pub use over_hpa::{HpaBeneath, RenewedSchedule, compile_over_hpa};
pub use patterns::{AnalyzeConfig, AnalyzeError, Load, Patterns, analyze, analyze_values};
pub use predictive::{LearntForecast, PredictiveConfig, PredictiveEngine, Snapshot, SnapshotError};
pub use proof::{Proof, ProofConfig, ProofError, Replayed, Savings, driver_over_hpa, prove};
pub use strip::{Band, WeekBand, WeekStrip};

pub use chrono_tz;
pub use chrono_tz::Tz;

/// A name in a line of text: without what would move the cursor of a terminal.
fn one_line(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}
