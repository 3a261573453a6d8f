//! Who holds what: a pure state machine. Time is an argument, requests are [`Action`]s, answers are [`Event`]s.
//!
//! An instant at which an action is handed out counts as the one at which its request is sent: the request goes later, never sooner.

mod lease;
mod share;
#[cfg(test)]
mod simulation;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use super::settings::{LeaseSettings, LeaseTiming};
pub(super) use lease::{Answer, Key, Seen, Standing, Write};
use lease::{Lease, Yield};

/// Writes that are under way at once. A fleet of many shards does not flood the API server at its start.
const MOST_WRITES: usize = 32;

/// A request to send, or something to wait for. Each is answered by one [`Event`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Read all Leases of the group.
    List,
    /// Read one, which a list did not show.
    Read(Key),
    /// Store what is said of this process, if the object has this version still; without a version, create it.
    Write { key: Key, version: Option<String>, write: Write },
    /// Wait until the writes for targets of this shard have ended. None begins any more.
    Drain(u32),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// All Leases of the group; none if they could not be read.
    Listed(Option<Vec<Seen>>),
    /// One Lease, if it is there.
    Read(Key, Option<Seen>),
    /// One Lease could not be read.
    Unread(Key),
    /// Answer to a write.
    Wrote(Key, Answer),
    /// No write for a target of this shard is under way any more.
    Drained(u32),
}

/// State of one replica.
#[derive(Debug)]
pub(super) struct Machine {
    me: String,
    shards: u32,
    timing: LeaseTiming,
    leases: BTreeMap<Key, Lease>,
    /// Instant at which the list under way was sent.
    listing: Option<Instant>,
    /// Instant at which the last list that was answered was sent.
    listed: Option<Instant>,
    next_list: Instant,
    /// No list is sent before, whatever is in doubt: the last one failed.
    list_after: Instant,
    /// Other replicas, and since when each has been alive without a break.
    alive: BTreeMap<String, Instant>,
    /// Nothing is taken before: replicas with another number of shards were met.
    claim_after: Option<Instant>,
    /// Creations that were refused in a row, and when the next one may be sent: each refusal doubles the pause. What is refused for one
    /// Lease, since its namespace or the right is missing, is refused for all.
    refused: u32,
    create_after: Option<Instant>,
    /// No surplus is given up before: what was given up last found no taker.
    give_after: Option<Instant>,
    stopping: bool,
}

impl Machine {
    pub(super) fn new(settings: &LeaseSettings, now: Instant) -> Self {
        let leases = (0..settings.shards).map(|shard| (Key::Shard(shard), Lease::default())).collect();
        Self {
            me: settings.identity.clone(),
            shards: settings.shards,
            timing: settings.timing,
            leases,
            listing: None,
            listed: None,
            next_list: now,
            list_after: now,
            alive: BTreeMap::new(),
            claim_after: None,
            refused: 0,
            create_after: None,
            give_after: None,
            stopping: false,
        }
    }

    /// Shards that are surely held until an instant after `now`, since when without a break, and whether each is about to be given up.
    pub(super) fn held(&self, now: Instant) -> impl Iterator<Item = (u32, Instant, Instant, bool)> + '_ {
        self.leases.iter().filter_map(move |(key, lease)| {
            let Key::Shard(shard) = *key else { return None };
            let hold = lease.hold.as_ref().filter(|hold| hold.sure && hold.yielding != Yield::Drained)?;
            let until = hold.until(&self.timing);
            (now < until).then_some((shard, until, hold.stored, hold.yielding != Yield::No))
        })
    }

    /// Begins the hand-over of everything.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        for lease in self.leases.values_mut() {
            lease.give_up();
        }
    }

    /// Returns true once nothing is held, and nothing is under way.
    pub(super) fn is_done(&self) -> bool {
        let is_over =
            |lease: &Lease| lease.hold.is_none() && lease.writing.is_none() && !lease.doubt && !lease.names(&self.me);
        self.stopping && self.leases.values().all(is_over)
    }

    /// Requests to send now.
    pub(super) fn next(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.list(now, &mut actions);
        self.renew(now, &mut actions);
        self.place(now, &mut actions);
        self.take_a_member_lease(now, &mut actions);
        self.tidy(now, &mut actions);
        if self.may_claim(now) {
            let quota = self.quota(now);
            self.claim(now, quota, &mut actions);
            self.give_up_surplus(now, quota);
        }
        self.drain(&mut actions);
        actions
    }

    /// The next instant at which [`next`](Self::next) may have something to send, if no answer comes before.
    pub(super) fn wake(&self, now: Instant) -> Instant {
        let of_lease = |lease: &Lease| {
            let hold = lease.hold.as_ref();
            let available = lease.available_from(&self.me, &self.timing);
            [
                lease.not_before,
                hold.map(|hold| hold.sent + self.timing.renew_after()),
                hold.map(|hold| hold.until(&self.timing)),
                available,
                available.map(|from| from + self.grace()),
            ]
        };
        let own = [Some(self.next_list), Some(self.list_after), self.claim_after, self.create_after, self.give_after];
        let all = own.into_iter().chain(self.leases.values().flat_map(of_lease)).flatten();
        all.filter(|at| now < *at).min().unwrap_or(now + self.timing.retry())
    }

    /// Takes an answer in.
    pub(super) fn on(&mut self, now: Instant, event: Event) {
        match event {
            Event::Listed(answer) => {
                let sent = self.listing.take().unwrap_or(now);
                // One that took longer than that has paused enough.
                self.next_list = now.max(sent + self.timing.retry());
                self.list_after = if answer.is_some() { now } else { self.next_list };
                if let Some(seen) = answer {
                    self.listed = Some(sent);
                    // Of all that is there, before what may be older than a write of ours is left out.
                    let is_alone =
                        self.is_whole(&seen) && !seen.iter().any(|seen| self.is_of_another_division(seen, now));
                    self.look(now, sent, seen);
                    self.confirm(now, sent, is_alone);
                }
            }
            Event::Read(key, found) => {
                let lease = self.leases.entry(key).or_default();
                let sent = lease.reading.take().unwrap_or(now);
                lease.look_by_name(now, sent, found, &self.me);
            }
            Event::Unread(key) => {
                let lease = self.leases.entry(key).or_default();
                lease.reading = None;
                lease.not_before = Some(now + self.timing.retry());
            }
            Event::Wrote(key, answer) => {
                let lease = self.leases.entry(key).or_default();
                let was_creation = lease.is_unknown();
                if was_creation && answer == Answer::Refused {
                    let pause = self.timing.retry() * 2_u32.saturating_pow(self.refused.min(16));
                    self.create_after = Some(now + pause.min(self.timing.duration() * 2));
                    self.refused = self.refused.saturating_add(1);
                } else if was_creation {
                    (self.refused, self.create_after) = (0, None);
                }
                lease.written(now, answer, &self.timing);
                if self.stopping {
                    lease.give_up();
                }
            }
            Event::Drained(shard) => {
                if let Some(hold) = self.leases.get_mut(&Key::Shard(shard)).and_then(|lease| lease.hold.as_mut()) {
                    hold.yielding = Yield::Drained;
                }
            }
        }
    }

    /// What others leave unserved for so long is taken by whoever sees it.
    fn grace(&self) -> Duration {
        self.timing.retry() * 2
    }

    /// A number that replicas do not share.
    fn turn(&self, shard: u32) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.me, shard).hash(&mut hasher);
        hasher.finish()
    }

    fn writes(&self) -> usize {
        self.leases.values().filter(|lease| lease.writing.is_some()).count()
    }

    fn list(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let is_due = self.next_list <= now || (self.list_after <= now && self.is_in_doubt());
        if self.listing.is_none() && is_due {
            self.listing = Some(now);
            actions.push(Action::List);
        }
        for (key, lease) in &mut self.leases {
            if lease.is_unlisted() && lease.doubt && lease.is_idle(now) {
                lease.reading = Some(now);
                actions.push(Action::Read(*key));
            }
        }
    }

    /// Returns true if something must be looked at before the next write, or before it is sure.
    fn is_in_doubt(&self) -> bool {
        let is_unsure = |lease: &Lease| {
            let hold = lease.hold.as_ref();
            (lease.doubt && !lease.is_unlisted()) || hold.is_some_and(|hold| !hold.sure && hold.yielding == Yield::No)
        };
        self.leases.values().any(is_unsure)
    }

    fn look(&mut self, now: Instant, sent: Instant, seen: Vec<Seen>) {
        let mut found: BTreeMap<Key, Seen> = seen.into_iter().map(|seen| (seen.key, seen)).collect();
        for (key, lease) in &mut self.leases {
            match found.remove(key) {
                Some(seen) => {
                    lease.look(now, sent, Some(seen), &self.me);
                }
                None => lease.look_in_vain(now, sent, &self.me),
            }
        }
        for (key, seen) in found {
            self.leases.entry(key).or_default().look(now, sent, Some(seen), &self.me);
        }
        let shards = self.shards;
        self.leases.retain(|key, lease| matches!(key, Key::Shard(shard) if *shard < shards) || !lease.is_forgotten());
    }

    /// A shard is sure to be held once a look after the Lease was stored shows nobody who divides the fleet otherwise: of two that
    /// wrote and looked, at least one sees the other.
    fn confirm(&mut self, now: Instant, sent: Instant, is_alone: bool) {
        let mut met = false;
        for (key, lease) in &mut self.leases {
            let Some(hold) = lease.hold.as_mut().filter(|hold| !hold.sure && hold.stored <= sent) else { continue };
            if is_alone || matches!(key, Key::Member(_)) {
                hold.sure = true;
            } else {
                hold.yielding = Yield::Drained;
                met = true;
            }
        }
        if met {
            // Not the same for everybody, or they would meet again.
            let turns = u32::try_from(self.turn(0) % 8).unwrap_or(0);
            self.claim_after = Some(now + self.timing.retry() * (2 + turns));
        }
        let alive = self.others_alive(now);
        self.alive.retain(|name, _| alive.contains_key(name));
        for name in alive.into_keys() {
            self.alive.entry(name).or_insert(now);
        }
    }

    /// Returns true if no Lease of a shard is missing: its holder might divide the fleet otherwise.
    fn is_whole(&self, seen: &[Seen]) -> bool {
        let there: BTreeSet<Key> = seen.iter().map(|seen| seen.key).collect();
        let unlisted = |key: &Key| self.leases.get(key).is_some_and(Lease::is_unlisted);
        (0..self.shards).map(Key::Shard).all(|key| there.contains(&key) || unlisted(&key))
    }

    /// Returns true if a Lease that was just read is held by somebody who divides the fleet otherwise.
    fn is_of_another_division(&self, seen: &Seen, now: Instant) -> bool {
        let Standing::Held { holder, shards, .. } = &seen.standing else { return false };
        let is_other = holder.as_ref() != Some(&self.me) && *shards != Some(self.shards);
        let has_expired =
            || self.leases.get(&seen.key).is_some_and(|lease| lease.has_expired_at(seen, &self.timing, now));
        matches!(seen.key, Key::Shard(_)) && is_other && !has_expired()
    }

    fn meets_another_division(&self, now: Instant) -> bool {
        self.leases.iter().any(|(key, lease)| {
            let is_other = lease.is_missing() || lease.is_of_another_division(&self.me, self.shards, &self.timing, now);
            matches!(key, Key::Shard(_)) && is_other
        })
    }

    fn renew(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let mut room = MOST_WRITES.saturating_sub(self.writes());
        // The oldest first.
        let mut due: Vec<(Instant, Key)> = Vec::new();
        for (key, lease) in &self.leases {
            let Some(hold) = &lease.hold else { continue };
            let at = match hold.yielding {
                Yield::Drained => now,
                _ => hold.sent + self.timing.renew_after(),
            };
            if at <= now && lease.is_writable(now) {
                due.push((hold.sent, *key));
            }
        }
        due.sort_unstable();
        for (_, key) in due {
            let Some(lease) = self.leases.get_mut(&key).filter(|_| room > 0) else { continue };
            let is_over = lease.hold.as_ref().is_some_and(|hold| hold.yielding == Yield::Drained);
            actions.push(lease.write(now, key, if is_over { Write::Release } else { Write::Renew }));
            room -= 1;
        }
    }

    /// Creates the Leases of shards that are not there. Nobody holds them at once: if they were deleted, a holder may not know it yet.
    fn place(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if !self.may_create(now) {
            return;
        }
        // After a refusal one tries for all.
        let most = if self.refused > 0 { 1 } else { MOST_WRITES };
        let mut room = most.saturating_sub(self.writes());
        for (key, lease) in &mut self.leases {
            let is_due = matches!(key, Key::Shard(shard) if *shard < self.shards) && lease.is_missing();
            if is_due && room > 0 && !self.stopping && lease.is_writable(now) {
                actions.push(lease.write(now, *key, Write::Place));
                room -= 1;
            }
        }
    }

    fn may_create(&self, now: Instant) -> bool {
        self.create_after.is_none_or(|at| at <= now)
    }

    /// Announces this replica: the first member Lease that is free, or one more.
    fn take_a_member_lease(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let is_own = |(key, lease): (&Key, &Lease)| {
            matches!(key, Key::Member(_)) && (lease.hold.is_some() || lease.writing.is_some() || lease.doubt)
        };
        if self.shards == 1 || self.stopping || self.listed.is_none() || self.leases.iter().any(is_own) {
            return;
        }
        let members = || (0..=u32::MAX).map(Key::Member);
        let is_free = |key: &Key| {
            let Some(lease) = self.leases.get(key) else { return true };
            let from = lease.available_from(&self.me, &self.timing);
            lease.is_writable(now) && from.is_some_and(|from| from <= now)
        };
        // One that names this process is its own, its answer was lost.
        let named = self.leases.iter().find(|(key, lease)| matches!(key, Key::Member(_)) && lease.names(&self.me));
        if let Some(key) = named.map(|(key, _)| *key).or_else(|| members().find(is_free)) {
            let may_create = self.may_create(now);
            let lease = self.leases.entry(key).or_default();
            if lease.is_writable(now) && (may_create || !lease.is_unknown()) {
                actions.push(lease.write(now, key, Write::Claim));
            }
        }
    }

    /// Gives back what names this process and is not wanted: the answer to its write was lost.
    fn tidy(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let has_slot = self.leases.iter().any(|(key, lease)| matches!(key, Key::Member(_)) && lease.hold.is_some());
        let is_unwanted = self.stopping || self.meets_another_division(now);
        for (key, lease) in &mut self.leases {
            let is_unwanted = match key {
                Key::Shard(_) => is_unwanted,
                Key::Member(_) => self.stopping || has_slot,
            };
            if is_unwanted && lease.hold.is_none() && lease.names(&self.me) && lease.is_writable(now) {
                actions.push(lease.write(now, *key, Write::Release));
            }
        }
    }

    fn drain(&mut self, actions: &mut Vec<Action>) {
        for (key, lease) in &mut self.leases {
            let Some(hold) = lease.hold.as_mut().filter(|hold| hold.yielding == Yield::Asked) else { continue };
            match key {
                // Nothing can have begun while it was not sure.
                Key::Shard(shard) if hold.sure => {
                    hold.yielding = Yield::Draining;
                    actions.push(Action::Drain(*shard));
                }
                _ => hold.yielding = Yield::Drained,
            }
        }
    }
}
