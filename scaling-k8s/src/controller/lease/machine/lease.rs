//! One Lease, as this replica knows it.

use std::time::{Duration, Instant};

use super::Action;
use crate::controller::lease::settings::{LONGEST, LeaseTiming};

/// Which Lease of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::controller::lease) enum Key {
    /// That of a shard: whoever holds it decides about the shard's targets.
    Shard(u32),
    /// That of a replica that lives.
    Member(u32),
}

/// Content of a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller::lease) enum Standing {
    /// Given up by its holder, or never held.
    Free,
    /// Held, or not known to be free: without a holder, if somebody else than the holder removed it.
    Held {
        /// Identity of the holder.
        holder: Option<String>,
        /// Number of shards that the holder divides the fleet into.
        shards: Option<u32>,
        /// Time that it must be seen unchanged.
        duration: Duration,
    },
}

/// A Lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller::lease) struct Seen {
    pub(in crate::controller::lease) key: Key,
    /// `resourceVersion`.
    pub(in crate::controller::lease) version: String,
    pub(in crate::controller::lease) standing: Standing,
}

/// What a write says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controller::lease) enum Write {
    /// This process holds it from now on.
    Claim,
    /// This process still holds it.
    Renew,
    /// Nobody holds it.
    Release,
    /// It exists. Whether somebody held one that vanished is not known: it is waited for as for a holder.
    Place,
}

/// Answer to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller::lease) enum Answer {
    /// Stored, as it is now.
    Stored(Seen),
    /// Not stored: the object is another one, is not there, or is there already.
    Conflict,
    /// Not stored, and trying again at once is no use.
    Refused,
    /// No answer: it may be stored.
    Unknown,
}

/// How far a hand-over is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Yield {
    No,
    Asked,
    /// Waits for writes under way.
    Draining,
    Drained,
}

/// A Lease that was written successfully by this process.
#[derive(Debug)]
pub(super) struct Hold {
    /// Instant at which its last successful write was sent.
    pub(super) sent: Instant,
    /// Instant at which the answer to its claim came.
    pub(super) stored: Instant,
    /// False until a look after the claim.
    pub(super) sure: bool,
    pub(super) yielding: Yield,
}

impl Hold {
    pub(super) fn until(&self, timing: &LeaseTiming) -> Instant {
        self.sent + timing.renew_deadline()
    }
}

#[derive(Debug)]
struct Known {
    version: String,
    standing: Standing,
    /// Instant at which this version was seen first.
    since: Instant,
    /// Instant at which the newest read was sent that showed this version.
    looked: Instant,
    /// The same of the version before it: this one was stored later. None if that was not seen.
    after: Option<Instant>,
}

impl Known {
    /// Instant from which anybody may take it.
    fn expiry(&self, timing: &LeaseTiming) -> Instant {
        match &self.standing {
            Standing::Free => self.since,
            Standing::Held { duration, .. } => {
                let waited = (*duration).min(LONGEST).max(timing.duration());
                // Of a holder with other times it is not known for how long it is sure.
                let credit = if *duration == timing.duration() { timing.credit() } else { Duration::ZERO };
                self.since.checked_sub(credit).map_or(self.since, |from| self.stored_after().max(from)) + waited
            }
        }
    }

    /// Instant before which it cannot have been stored.
    fn stored_after(&self) -> Instant {
        self.after.map_or(self.since, |after| after.min(self.since))
    }
}

/// Where it was looked for, and whether it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Lists show it, or nobody has looked yet.
    #[default]
    Listed,
    Missing,
    /// It could not be created, since it exists.
    Exists,
    /// It exists, but lists do not show it: it is read by its name.
    Unlisted,
}

#[derive(Debug, Default)]
pub(super) struct Lease {
    known: Option<Known>,
    place: Place,
    pub(super) hold: Option<Hold>,
    /// The write under way, and the instant at which it was sent.
    pub(super) writing: Option<(Write, Instant)>,
    /// Instant at which the read under way was sent.
    pub(super) reading: Option<Instant>,
    /// Instant at which the last answer to a write came.
    answered: Option<Instant>,
    /// It must be read before it is written: something may be stored that is not known.
    pub(super) doubt: bool,
    pub(super) not_before: Option<Instant>,
}

impl Lease {
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.writing.is_none() && self.reading.is_none() && self.not_before.is_none_or(|at| at <= now)
    }

    pub(super) fn is_writable(&self, now: Instant) -> bool {
        self.is_idle(now) && !self.doubt
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.known.is_none() && self.hold.is_none() && self.writing.is_none() && !self.is_unlisted() && !self.doubt
    }

    /// Returns true if it was not seen yet, so that a write creates it.
    pub(super) fn is_unknown(&self) -> bool {
        self.known.is_none()
    }

    pub(super) fn holder(&self) -> Option<&str> {
        match &self.known.as_ref()?.standing {
            Standing::Free => None,
            Standing::Held { holder, .. } => holder.as_deref(),
        }
    }

    pub(super) fn names(&self, me: &str) -> bool {
        self.holder() == Some(me)
    }

    /// Instant from which anybody may take it; none while it is this process's own, or not known.
    pub(super) fn available_from(&self, me: &str, timing: &LeaseTiming) -> Option<Instant> {
        if self.hold.is_some() || self.writing.is_some() || self.doubt {
            return None;
        }
        let known = self.known.as_ref()?;
        Some(if self.names(me) { known.since } else { known.expiry(timing) })
    }

    /// Returns true if it is held by somebody else, and not by one who divides the fleet into as many shards.
    pub(super) fn is_of_another_division(&self, me: &str, own: u32, timing: &LeaseTiming, now: Instant) -> bool {
        let Some(known) = &self.known else { return false };
        let Standing::Held { holder, shards, .. } = &known.standing else { return false };
        holder.as_deref() != Some(me) && *shards != Some(own) && now < known.expiry(timing)
    }

    /// Returns true if it has been seen in this version for the whole duration.
    pub(super) fn has_expired_at(&self, seen: &Seen, timing: &LeaseTiming, now: Instant) -> bool {
        let known = self.known.as_ref().filter(|known| known.version == seen.version);
        known.is_some_and(|known| known.expiry(timing) <= now)
    }

    /// Gives it up, unless that has begun.
    pub(super) fn give_up(&mut self) {
        if let Some(hold) = self.hold.as_mut().filter(|hold| hold.yielding == Yield::No) {
            hold.yielding = Yield::Asked;
        }
    }

    pub(super) fn write(&mut self, now: Instant, key: Key, write: Write) -> Action {
        self.writing = Some((write, now));
        Action::Write { key, version: self.known.as_ref().map(|known| known.version.clone()), write }
    }

    pub(super) fn is_missing(&self) -> bool {
        self.place == Place::Missing
    }

    pub(super) fn is_unlisted(&self) -> bool {
        self.place == Place::Unlisted
    }

    /// Takes in what was found under its name, though lists do not show it.
    pub(super) fn look_by_name(&mut self, now: Instant, sent: Instant, found: Option<Seen>, me: &str) {
        let is_there = found.is_some();
        self.look(now, sent, found, me);
        if is_there {
            self.place = Place::Unlisted;
        }
    }

    /// Takes in that a list does not show it that was sent at an instant.
    pub(super) fn look_in_vain(&mut self, now: Instant, sent: Instant, me: &str) {
        if self.is_older(sent) {
            return;
        }
        if matches!(self.place, Place::Exists | Place::Unlisted) {
            (self.place, self.doubt) = (Place::Unlisted, true);
        } else {
            self.look(now, sent, None, me);
        }
    }

    /// Returns true if what was read may be older than a write of this process.
    fn is_older(&self, sent: Instant) -> bool {
        self.writing.is_some() || self.answered.is_some_and(|answered| sent < answered)
    }

    /// Takes in what a read found that was sent at an instant.
    pub(super) fn look(&mut self, now: Instant, sent: Instant, found: Option<Seen>, me: &str) {
        if self.is_older(sent) {
            return;
        }
        self.doubt = false;
        let Some(seen) = found else {
            self.known = None;
            self.hold = None;
            self.place = Place::Missing;
            return;
        };
        self.place = Place::Listed;
        if let Some(known) = self.known.as_mut().filter(|known| known.version == seen.version) {
            known.looked = known.looked.max(sent);
            return;
        }
        let after = self.known.as_ref().map(|known| known.looked);
        self.known = Some(Known { version: seen.version, standing: seen.standing, since: now, looked: sent, after });
        if !self.names(me) {
            self.hold = None;
        }
    }

    /// Takes in the answer to the write under way.
    pub(super) fn written(&mut self, now: Instant, answer: Answer, timing: &LeaseTiming) {
        let Some((write, sent)) = self.writing.take() else { return };
        self.answered = Some(now);
        self.not_before = None;
        match answer {
            Answer::Stored(seen) => self.stored(now, sent, write, seen, timing),
            Answer::Conflict => {
                self.hold = None;
                if self.known.is_none() {
                    self.place = Place::Exists;
                }
                self.doubt = true;
                // Whatever makes it meet a conflict each time does not make it write without a pause.
                self.not_before = Some(now + timing.retry() / 4);
            }
            Answer::Refused => self.not_before = Some(now + timing.retry()),
            Answer::Unknown => {
                self.doubt = true;
                if write != Write::Renew {
                    self.hold = None;
                    self.not_before = Some(now + timing.retry());
                }
            }
        }
    }

    fn stored(&mut self, now: Instant, sent: Instant, write: Write, seen: Seen, timing: &LeaseTiming) {
        if self.known.as_ref().is_some_and(|known| known.version == seen.version) {
            // To everybody else it is unchanged: a wall clock that was set back made the very same object.
            self.not_before = Some(now + timing.retry());
            return;
        }
        if self.place == Place::Missing {
            self.place = Place::Listed;
        }
        self.known =
            Some(Known { version: seen.version, standing: seen.standing, since: now, looked: sent, after: None });
        match (write, self.hold.as_mut()) {
            (Write::Release | Write::Place, _) => self.hold = None,
            (Write::Renew, Some(hold)) => {
                if hold.until(timing) <= now {
                    // Others may have taken it for expired meanwhile.
                    (hold.sure, hold.stored) = (false, now);
                }
                hold.sent = sent;
            }
            (Write::Claim | Write::Renew, _) => {
                self.hold = Some(Hold { sent, stored: now, sure: false, yielding: Yield::No });
            }
        }
    }
}
