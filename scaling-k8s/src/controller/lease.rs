//! Which replica decides about which target: shards of the fleet, each held by one replica through a Lease of the API server.
//!
//! A fleet that outgrows one process, or shall survive one, is served by several replicas. Its targets fall into `N` shards by a hash
//! that is the same in every process ([`shard_of`]); each shard has a `coordination.k8s.io/v1` Lease, and whoever holds that Lease
//! decides about the shard's targets. Leader election is the case `N = 1`.
//!
//! # Why it holds
//!
//! - **The API server is the arbiter.** Every write is bound to the `resourceVersion` that was read; of two replicas that write at once,
//!   one is answered with 409, and has lost.
//! - **No clocks are compared.** A Lease of somebody else has expired when the whole duration has gone by since *this* replica first saw it
//!   as it is, on its own monotonic clock. Of the pause between that look and the one before, in which it was stored, at most a
//!   [`retry`](LeaseTiming::retry) is taken off, and never more than half of what lies between deadline and duration. The times in the
//!   object are for people; a wall clock that jumps changes nothing.
//! - **A holder stops first.** A hold is sure until [`renew_deadline`](LeaseTiming::renew_deadline) after its last successful renewal was
//!   *sent*, which is sooner than others may take it. [`Fenced`] refuses a write once the hold is not sure, before anything is sent.
//! - **A Lease that vanished, or was cleared by hand, is waited for** as one that is held: its holder may not know yet. So the first start
//!   of all, when no Lease exists, takes one duration until something is held. Only a Lease that its holder gave up is taken at once.
//! - **Another number of shards is another division of the fleet.** Replicas with different numbers never hold at the same time: the new
//!   ones of a rollout wait until the last of the old ones has gone.
//!
//! What no Lease can exclude: a process that is halted between its last check and the sending of a request, for longer than a Lease lasts.
//! Such a write is bound to the version that was read, so it fails if the next holder has written since.
//!
//! # How soon
//!
//! The shards of a replica that is killed are held by others one duration after the kill at the latest, by the clock of whoever takes them,
//! and some round trips: renewals are younger than that, and the pause between two looks is taken off. Simulated with clocks up to 3 % slow and
//! answers that take up to 80 ms, the default times and thousands of kills: 12.5 s in the middle, 99 % within 15 s, none later than
//! 15.5 s. What a replica that ends gives up is taken at the next look.
//!
//! # Fair shares
//!
//! Replicas announce themselves in Leases of their own (`PREFIX-member-0`, …: as many as there were replicas at once), and each takes
//! `N` over the number of replicas that live, up or down. One that has too many gives up the surplus once a newcomer has lived for a
//! whole duration, after its writes under way have ended. What nobody takes in time is taken by whoever sees it: being served comes
//! before being fair. With one shard there are no members to count.
//!
//! ```no_run
//! use scaling_k8s::KubeHpaApplier;
//! use scaling_k8s::controller::lease::{LeaseSettings, ShardLeases, shard_of};
//! # async fn run(client: scaling_k8s::kube::Client, stop: impl Future<Output = ()>) -> Result<(), Box<dyn std::error::Error>> {
//! let settings = LeaseSettings::new("shop-autoscaler", "autoscaling", "operator-7d9f")?.shards(16)?;
//! let leases = ShardLeases::new(client.clone(), settings);
//! let held = leases.held();
//! let applier = leases.fence(KubeHpaApplier::new(client));
//! // In the loop of the host: decide about a target only if its shard is held.
//! # let target = scaling_core::Target::deployment("shop", "checkout");
//! let mine = held.borrow().is_sure(shard_of(&target, 16), tokio::time::Instant::now());
//! leases.run(stop).await; // returns when everything is handed over
//! # Ok(())
//! # }
//! ```

mod driver;
mod fenced;
mod held;
mod machine;
mod object;
mod settings;
mod shard;

pub use driver::ShardLeases;
pub use fenced::{Fenced, NotHeld};
pub use held::{Held, Hold};
pub use settings::{LeaseSettings, LeaseSettingsError, LeaseTiming};
pub use shard::shard_of;
