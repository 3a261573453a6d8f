//! Writes only while the hold is sure: [`Fenced`].

use async_trait::async_trait;
use scaling_core::{Applied, ApplyError, ApplyMode, HpaApplier, HpaPlan, HpaState, Target};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::driver::Gates;
use super::held::Held;
use super::shard::shard_of;

/// Reason why a write was not begun: this replica does not surely hold the target's shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotHeld {
    /// Another replica decides about the target, or may.
    #[error("shard {shard} of {shards} is not surely held by this replica")]
    Elsewhere {
        /// Shard of the target.
        shard: u32,
        /// Number of shards.
        shards: u32,
    },
    /// The shard is about to be given up: nothing may begin any more.
    #[error("shard {shard} of {shards} is being handed over")]
    HandedOver {
        /// Shard of the target.
        shard: u32,
        /// Number of shards.
        shards: u32,
    },
}

/// The hold ended while the write was under way.
#[derive(Debug, thiserror::Error)]
#[error("the hold of shard {shard} could not be renewed while the write was under way")]
struct Lapsed {
    shard: u32,
}

/// Applier that writes for a target only while this replica surely holds the target's shard. Made by
/// [`ShardLeases::fence`](super::ShardLeases::fence).
///
/// Without the hold, [`apply`](HpaApplier::apply) is [`ApplyError::NotHeld`] with a [`NotHeld`] as its cause, before anything is sent. If the
/// hold ends while the inner applier works, nothing more is sent, and the error is [`ApplyError::Backend`]: the change may have
/// happened (law 12). A shard is handed over only when no write for it is under way. Reads and dry runs pass.
#[derive(Clone, Debug)]
pub struct Fenced<A> {
    inner: A,
    shards: u32,
    held: watch::Receiver<Held>,
    gates: Gates,
}

impl<A> Fenced<A> {
    pub(super) fn new(inner: A, shards: u32, held: watch::Receiver<Held>, gates: Gates) -> Self {
        Self { inner, shards, held, gates }
    }
}

#[async_trait]
impl<A: HpaApplier> HpaApplier for Fenced<A> {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        self.inner.current(target).await
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        if mode != ApplyMode::Apply {
            return self.inner.apply(plan, mode).await;
        }
        self.while_held(plan.target(), self.inner.apply(plan, mode)).await
    }
}

impl<A> Fenced<A> {
    /// Does some work that writes to a target, while the target's shard is surely held: without the hold it is not begun, and it ends when the
    /// hold does, as an [`apply`](HpaApplier::apply) does.
    ///
    /// # Errors
    /// [`ApplyError::NotHeld`] before anything is done, [`ApplyError::Backend`] if the hold ended meanwhile, and those of the work.
    pub async fn while_held<T>(
        &self,
        target: &Target,
        work: impl Future<Output = Result<T, ApplyError>>,
    ) -> Result<T, ApplyError> {
        let shards = self.shards;
        let shard = shard_of(target, shards);
        let refused = |why: NotHeld| ApplyError::NotHeld { target: target.clone(), source: Box::new(why) };
        // Kept until the write has ended: a hand-over waits for it.
        let Some(_pass) = self.gates.pass(shard) else { return Err(refused(NotHeld::HandedOver { shard, shards })) };
        let is_sure = self.held.borrow().is_sure(shard, Instant::now());
        if !is_sure {
            let is_held = self.held.borrow().sure_until(shard, Instant::now()).is_some();
            let why =
                if is_held { NotHeld::HandedOver { shard, shards } } else { NotHeld::Elsewhere { shard, shards } };
            return Err(refused(why));
        }
        tokio::select! {
            // First: an applier that is ready to send again does not.
            biased;
            () = self.lapse(shard) => {
                Err(ApplyError::Backend { target: target.clone(), transient: true, source: Box::new(Lapsed { shard }) })
            }
            done = work => done,
        }
    }

    /// Returns when the shard is not surely held any more.
    async fn lapse(&self, shard: u32) {
        let mut held = self.held.clone();
        loop {
            let Some(until) = held.borrow_and_update().sure_until(shard, Instant::now()) else { return };
            tokio::select! {
                () = sleep_until(until) => {}
                changed = held.changed() => if changed.is_err() {
                    // Nobody renews any more. It ends when it ends.
                    return sleep_until(until).await;
                },
            }
        }
    }
}
