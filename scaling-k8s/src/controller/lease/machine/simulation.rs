//! Replicas and an API server in simulated time: lost and late requests, kills, halts, clocks that jump and run unequally, hands that
//! delete Leases. Never are two replicas sure of one shard at the same true time.

mod laws;
mod world;
