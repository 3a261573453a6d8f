//! The live code in a smaller world: a [`Cluster`] *is* the source and the applier, and any policy is replayed on past traffic
//! with its cost and its users' pain beside a clairvoyant's.

mod arrivals;
mod cluster;
mod model;
mod noise;
mod pods;
mod queue;
mod trace;

pub use arrivals::Arrivals;
pub use cluster::{Cluster, ClusterError, ClusterSetup, Control, Run, StepSeen};
pub use model::{ClusterModel, InvalidModel};
pub use trace::{Censoring, DemandBasis, Grid, SampleTime, Trace, TraceError, TraceFacts};
