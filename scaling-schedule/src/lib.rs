#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod calendar;
mod compile;
mod cost;
mod engine;
mod error;
pub mod forecast;
mod predictive;

pub use calendar::{DatedWindow, Days, Open, Schedule, Segment, Week, Window};
pub use compile::{
    CompileConfig, CompileError, CompiledSchedule, Profile, WindowReason, compile, need_by_cpu, need_by_load,
};
pub use cost::{CostReport, Size};
pub use engine::ScheduleEngine;
pub use error::{InvalidSchedule, InvalidWindow, WindowFault};
pub use forecast::Forecaster;
pub use predictive::{LearntForecast, PredictiveConfig, PredictiveEngine, Snapshot, SnapshotError};

pub use chrono_tz;
pub use chrono_tz::Tz;
