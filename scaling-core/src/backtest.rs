//! The live code in a smaller world: a [`ReplayCluster`] *is* the source and the applier.

mod cluster;

pub use cluster::{ClusterError, Demand, ReplayCluster, ReplayConfig};
