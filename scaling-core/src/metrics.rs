//! Measurements: [`ScalingMetrics`] at one instant, [`MetricsHistory`] over time, and the [`Absence`] of those that are lacking.
//!
//! A number that is missing is a value of its own. It is never 0, because a zero that nobody measured shrinks workloads
//! that are merely unobserved.

mod absence;
mod event;
mod forecast;
mod history;
mod observation;
mod provenance;
mod sample;
mod signal_set;

pub use absence::{Absence, Signal, SignalKind};
pub use event::{EventKind, InvalidEvent, PlannedEvent};
pub use forecast::{LoadForecast, NoForecast};
pub use history::{Columns, HistoryError, MetricsHistory, Repairs};
pub use observation::{Objective, Observation, WorkloadFacts};
pub use provenance::Provenance;
pub use sample::ScalingMetrics;
pub use signal_set::SignalSet;
