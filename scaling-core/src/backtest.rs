//! Replays of recorded load against a simulated cluster: the cost of a policy, and the requests that it keeps waiting.
//!
//! A [`Candidate`] decides as it would live, on the same path ([`Autoscaler`](crate::Autoscaler)): the simulated [`Cluster`] *is* its
//! source and its applier. A [`Scenario`] is a [`Trace`] of load and the [`ClusterModel`] that it meets. [`run`] replays every
//! candidate over every scenario and gives a [`Report`], in which an [`oracle`] stands beside the candidates: the cheapest schedule
//! that was possible, had all been known. A [`PolicyDiff`] holds a change of policy against a [`Budget`].
//!
//! # Rules of a fair comparison
//!
//! - **One set of limits.** The limits of the model hold for every candidate and for the oracle. A candidate whose own bounds leave
//!   them is refused ([`BacktestError::OutOfLimits`]).
//! - **Nothing from the future.** At any instant an engine is handed measurements of the simulated cluster up to then, and recorded
//!   samples whose interval has *ended* by then. Load within an interval is a line between the centres of neighbouring samples:
//!   that is what arrives, and known only once it has been measured.
//! - **No score of nothing.** Gaps, and the time that pods need to settle after them, count for nothing; what is left without a single
//!   request is refused by the gate ([`DiffError::NothingAsked`]).

mod arrivals;
mod candidate;
mod cluster;
mod gate;
mod hold;
mod model;
mod noise;
mod notes;
pub mod oracle;
mod pods;
mod queue;
mod report;
mod run;
mod scenario;
mod score;
mod trace;

pub use arrivals::Arrivals;
pub use candidate::{Candidate, CandidateError, CandidateSetup, Driver, TrainingPeriod};
pub use cluster::{Cluster, ClusterError, ClusterSetup, Control, Run, StepSeen};
pub use gate::{Budget, BudgetLimit, DiffError, Exceeded, PolicyDiff};
pub use hold::{HeldScore, Hold, HoldStart};
pub use model::{ClusterModel, MappedMetric};
pub use notes::{MetricSyncs, Note, Syncs};
pub use report::{
    CandidatePlot, CandidateReport, InvalidPart, LeftOut, MergeError, OraclePoint, OracleReport, ParsePartError, Part,
    Plot, Report, Scored, Summary, TraceReport, is_dated,
};
pub use run::{BacktestError, Progress, run, run_one, score_one};
pub use scenario::Scenario;
pub use score::{Decisions, Quantiles, Score};
pub use trace::{Censoring, DemandBasis, SampleTime, SteppedDemand, Trace, TraceError, TraceFacts};
