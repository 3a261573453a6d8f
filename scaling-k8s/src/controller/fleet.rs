//! The fleet controller, put together: [`FleetController`].
//!
//! One call starts it in a host: a [watch cache](super::cache) over the HPAs, their [settings](super::settings), a
//! [loop](scaling_core::live::Loop) that ticks those that are targets, an [applier](super::applier) that reads from the cache
//! and writes what changes, and, where several replicas share the fleet, the [Leases](super::lease) of its shards.
//!
//! # What a tick costs
//! One question to the source for each batch. No request to the API server where nothing changes; of an HPA that does, a read and a write,
//! and before its first write a dry run and a look for other owners.
//!
//! # Staged adoption
//! A target is observed, then its floors are held, then it is handed over in full. With [`AdoptionTrials`] the controller says when to go on, by
//! what the days that were seen would have been, and goes on itself where the owner of the HPA asks for it.
//!
//! # Several replicas
//! A target is ticked by the replica that holds its shard, and written to while the hold is sure. One that a replica takes over counts as
//! changed at that instant, since its last holder may have changed it: nothing of it is lowered before the cooldown is over (law 12). Of the
//! removal budget a replica has the part of the shards that it has held for a whole window
//! ([`BudgetShare`](scaling_core::guard::BudgetShare)), so that all of them together let no more pods go than the budget has. They tick for the
//! same instants, each a random while late, so that they do not ask in step.

mod adopting;
mod answers;
mod build;
mod changes;
mod engines;
mod guards;
mod health;
mod leaving;
mod notices;
mod roster;
mod run;
mod source;
mod watching;

pub use adopting::{AdoptionHealth, AdoptionReport, AdoptionStep, AdoptionTrials, StageTrial, Untried};
pub use build::{FleetController, FleetControllerBuilder};
pub use health::{FleetHealth, FleetReadiness};
pub use leaving::Leaving;
pub use watching::WatchHealth;
