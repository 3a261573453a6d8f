//! The live code in a smaller world: a [`Cluster`] *is* the source and the applier, and any policy is replayed on past traffic
//! with its cost and its users' pain beside a clairvoyant's.

mod arrivals;
mod candidate;
mod cluster;
mod gate;
mod model;
mod noise;
pub mod oracle;
mod pods;
mod queue;
mod report;
mod run;
mod score;
mod trace;

pub use arrivals::Arrivals;
pub use candidate::{Candidate, CandidateError, Contender, Driver, Past};
pub use cluster::{Cluster, ClusterError, ClusterSetup, Control, Run, StepSeen};
pub use gate::{Budget, Exceeded, PolicyDiff};
pub use model::{ClusterModel, InvalidModel};
pub use report::{
    CandidatePlot, CandidateReport, OraclePoint, OracleReport, Plot, Report, Scored, Summary, TraceReport,
};
pub use run::{BacktestError, Progress, Scenario, run, run_one};
pub use score::{Decisions, Quantiles, Score};
pub use trace::{Censoring, DemandBasis, Grid, SampleTime, Trace, TraceError, TraceFacts};
