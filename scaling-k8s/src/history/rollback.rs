//! Going back to before a change.

use scaling_core::{Approved, Bounds, GuardContext, Guards, HpaState, Proposal, Target, Undo};

use super::{Change, History};

/// Reasons why there is no way back to before a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RollbackRefused {
    /// No change of this number is kept.
    #[error("no change #{number} is kept")]
    Unknown {
        /// Number that was asked for.
        number: u64,
    },
    /// Somebody else has changed the bounds since our last change.
    #[error("the bounds are {found}, and our last change made them {expected}: somebody else has changed them since")]
    ChangedSince {
        /// The bounds after our last change.
        expected: Bounds,
        /// The bounds that are there.
        found: Bounds,
    },
    /// Somebody else has changed the bounds between two changes of ours, and going back would undo that too.
    #[error("somebody else has made the bounds {found} before change #{number}, after we had made them {expected}")]
    ChangedBetween {
        /// The first change of ours after it.
        number: u64,
        /// The bounds after our change before it.
        expected: Bounds,
        /// The bounds that our next change started from.
        found: Bounds,
    },
    /// The owner of the HPA has set other bounds since.
    #[error("the owner's bounds were {then} at change #{number} and are {now} now")]
    OwnerChanged {
        /// Number of the change.
        number: u64,
        /// The owner's bounds at the change.
        then: Bounds,
        /// The owner's bounds now.
        now: Bounds,
    },
    /// Whether a change was made at all is not known.
    #[error("whether change #{number} was made is not known yet: the answer to it was lost")]
    Uncertain {
        /// Number of the change.
        number: u64,
    },
    /// The bounds are what they were before the change.
    #[error("the bounds are {bounds} already, as before change #{number}")]
    AlreadyThere {
        /// Number of the change.
        number: u64,
        /// The bounds.
        bounds: Bounds,
    },
}

/// A way back to before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a rollback changes nothing before it is approved and applied"]
pub struct Rollback {
    change: Change,
    from: Bounds,
    /// The owner's bounds.
    resting: Bounds,
}

impl History {
    /// The way back to the bounds before change `number`, from the HPA as it was just read. Later changes of ours are undone with it.
    ///
    /// # Errors
    /// [`RollbackRefused`] if somebody else has changed the bounds since, or what was done is not known.
    pub fn rollback(&self, target: &Target, number: u64, found: HpaState) -> Result<Rollback, RollbackRefused> {
        let mut since = self.of(target).skip_while(|change| change.number != number);
        let Some(change) = since.next() else { return Err(RollbackRefused::Unknown { number }) };
        let mut last = change;
        for next in since {
            if next.before != last.after {
                let (expected, found) = (last.after, next.before);
                return Err(RollbackRefused::ChangedBetween { number: next.number, expected, found });
            }
            last = next;
        }
        if last.uncertain {
            return Err(RollbackRefused::Uncertain { number: last.number });
        }
        // Whoever made them so.
        if found.bounds == change.before {
            return Err(RollbackRefused::AlreadyThere { number, bounds: found.bounds });
        }
        if found.bounds != last.after {
            return Err(RollbackRefused::ChangedSince { expected: last.after, found: found.bounds });
        }
        let then = change.resting.unwrap_or(change.before);
        if found.resting_is_known && found.resting != then {
            return Err(RollbackRefused::OwnerChanged { number, then, now: found.resting });
        }
        let resting = if found.resting_is_known { found.resting } else { then };
        Ok(Rollback { change: change.clone(), from: found.bounds, resting })
    }
}

impl Rollback {
    /// The change that is undone, with all that came after it.
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// The bounds that it starts from.
    pub fn from(&self) -> Bounds {
        self.from
    }

    /// The bounds that it goes back to, as far as the guards let pods go.
    pub fn to(&self) -> Bounds {
        self.change.before
    }

    /// The same as what a [`Review`](scaling_core::Review) answers: an autoscaler passes it through its guards, and records it.
    pub fn undo(&self, why: impl Into<String>) -> Undo {
        Undo { to: self.to(), resting: self.resting, why: why.into() }
    }

    /// Passes it through the guards: an undo that goes back to the bounds before the change, while those of the owner stay what they are. No bound makes a pod leave
    /// (law 11); where guards hold a part of it back, the rest is for later.
    ///
    /// The context is that of the present moment, with the HPA as it was read.
    pub fn approve(&self, guards: &Guards, context: &GuardContext<'_>) -> Approved {
        let state = context.state.with_resting(self.resting);
        guards.approve(Proposal::restore_to(self.to()), &GuardContext { state, ..*context })
    }
}
