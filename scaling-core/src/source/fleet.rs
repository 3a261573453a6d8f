//! Many workloads asked for at once: what sources that read series of a monitoring service have in common.
//!
//! A service is asked for series of buckets. The mapping of each [`Workload`] says which of its measures is which series, or the share
//! of one series in another ([`Term`]). The values meet on one grid of time: a sample stands at the end of each step, and holds what was
//! measured in it and no more. What is missing at a step is absent with its cause; no value is carried on to the next.
//!
//! | what came | what it becomes |
//! | --- | --- |
//! | a number | the value, in the unit of the measure |
//! | `null`, no bucket, no series | absent: stale, with its age, where the series had a value lately, else not measured |
//! | NaN, ±∞ | absent: not finite |
//! | negative, or beyond the limit of the signal | absent: out of range |
//! | another unit than the one that was stated | absent: out of range |
//! | several series where one was meant | absent: not measured, and [`Finding::Ambiguous`] in a check |
//! | a share of 0 | absent: there is nothing to measure |
//! | no count where the service leaves out a 0 ([`Term::Sparse`]) | 0, if the answer is complete and the whole was measured in that step |
//! | a query that failed | absent; an error of the source if all of the workload's failed |

mod assemble;
mod backfill;
mod batch;
mod check;
mod config;
mod series;
mod source;
mod state;
mod term;
#[cfg(any(feature = "azure-monitor", feature = "datadog"))]
mod wire;

pub use backfill::{Backfilled, Gap};
pub use check::{Checked, Finding};
pub use config::FleetConfig;
pub use series::{Backend, Fault, Line, Lines, Point, QueryError, Window};
pub use source::{FleetSource, InvalidFleet};
pub use term::{Amount, InvalidTerm, Term, Workload};
#[cfg(any(feature = "azure-monitor", feature = "datadog"))]
pub use wire::Malformed;

pub(super) use batch::{DEADLINE, too_late, within};
#[cfg(any(feature = "azure-monitor", feature = "datadog"))]
pub(super) use wire::{Number, cause};
