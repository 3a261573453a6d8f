//! The live code in a smaller world: a [`ReplayCluster`] *is* the source and the applier.

mod cluster;
mod model;
mod noise;
mod pods;
mod queue;
mod trace;

pub use cluster::{ClusterError, Demand, ReplayCluster, ReplayConfig};
pub use trace::{Censoring, DemandBasis, Grid, SampleTime, Trace, TraceError, TraceFacts};
