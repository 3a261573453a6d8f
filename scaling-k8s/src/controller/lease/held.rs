//! The shards that this replica holds: [`Held`].

use std::collections::BTreeMap;

use tokio::time::Instant;

/// Hold of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hold {
    /// Instant until which no other replica can hold the shard. Each renewal moves it on.
    pub until: Instant,
    /// Instant from which it is held without a break. Another one than before means that it was lost and taken again.
    pub tenure: Instant,
    /// True while it is about to be given up: what has begun may end, and nothing more may begin.
    pub yielding: bool,
}

/// Shards that this replica holds, and until when that is sure.
///
/// A value is a snapshot, and stays true: a shard in it is held at any instant before `until`, whatever happens to the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// Each shard that is held or about to be given up.
    pub shards: BTreeMap<u32, Hold>,
    /// Reason why the last request to the API server failed, for as long as none has succeeded since.
    pub trouble: Option<String>,
}

impl Held {
    /// Returns true if something may begin for this shard now: it is surely held, and is not about to be given up.
    pub fn is_sure(&self, shard: u32, now: Instant) -> bool {
        self.shards.get(&shard).is_some_and(|hold| !hold.yielding && now < hold.until)
    }

    /// Returns the instant until which something that has begun may go on, if the shard is surely held now.
    pub fn sure_until(&self, shard: u32, now: Instant) -> Option<Instant> {
        self.shards.get(&shard).map(|hold| hold.until).filter(|until| now < *until)
    }
}
