#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

pub mod compile;
pub mod cost;
mod days;
mod engine;
mod error;
pub mod forecast;
pub mod pattern;
mod predictive;
mod schedule;
mod table;
mod week;
mod window;

pub use compile::{CompileConfig, CompileError, CompiledSchedule, WindowReason, compile};
pub use cost::{CostReport, Size};
pub use days::Days;
pub use engine::ScheduleEngine;
pub use error::{InvalidSchedule, InvalidWindow, WindowFault};
pub use forecast::Forecaster;
pub use predictive::{PredictiveConfig, PredictiveEngine};
pub use schedule::Schedule;
pub use week::{Segment, Week};
pub use window::Window;

pub use chrono_tz;
pub use chrono_tz::Tz;
