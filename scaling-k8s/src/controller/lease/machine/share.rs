//! The fair share of a replica: what it takes, and what it gives up.

use std::collections::BTreeMap;
use std::time::Instant;

use super::lease::{Key, Lease, Write, Yield};
use super::{Action, MOST_WRITES, Machine};

impl Machine {
    /// Shards are taken only with a fresh view, in which this replica and all others are counted.
    pub(super) fn may_claim(&self, now: Instant) -> bool {
        let Some(listed) = self.listed else { return false };
        let is_fresh = now < listed + self.timing.retry() * 2 + self.timing.request();
        let is_counted = self.shards == 1
            || self.leases.iter().any(|(key, lease)| {
                matches!(key, Key::Member(_)) && lease.hold.as_ref().is_some_and(|hold| hold.stored <= listed)
            });
        let may = self.claim_after.is_none_or(|after| after <= now);
        !self.stopping && is_fresh && is_counted && may && !self.meets_another_division(now)
    }

    /// Other replicas that are alive, with the number of shards that each holds.
    pub(super) fn others_alive(&self, now: Instant) -> BTreeMap<String, usize> {
        let mut alive = BTreeMap::<String, usize>::new();
        let mut late = Vec::new();
        for (key, lease) in &self.leases {
            let Some(holder) = lease.holder().filter(|holder| *holder != self.me) else { continue };
            if lease.is_of_another_division(&self.me, self.shards, &self.timing, now) {
                continue;
            }
            if lease.available_from(&self.me, &self.timing).is_none_or(|from| now < from) {
                *alive.entry(holder.to_owned()).or_default() += usize::from(matches!(key, Key::Shard(_)));
            } else {
                // It has let one expire: it does not count, whatever else of it has not expired yet.
                late.push(holder);
            }
        }
        for holder in late {
            alive.remove(holder);
        }
        alive
    }

    /// Number of shards that this replica shall hold.
    pub(super) fn quota(&self, now: Instant) -> usize {
        let mut counts = self.others_alive(now);
        counts.insert(self.me.clone(), self.mine());
        quota_of(&counts, &self.me, self.shards as usize)
    }

    /// Number of shards that are held and kept, or asked for.
    fn mine(&self) -> usize {
        let is_mine = |lease: &Lease| match (&lease.hold, lease.writing) {
            (Some(hold), _) => hold.yielding == Yield::No,
            (None, Some((write, _))) => write == Write::Claim,
            (None, None) => false,
        };
        self.leases.iter().filter(|(key, lease)| matches!(key, Key::Shard(_)) && is_mine(lease)).count()
    }

    pub(super) fn claim(&mut self, now: Instant, quota: usize, actions: &mut Vec<Action>) {
        let (grace, shards) = (self.grace(), self.shards);
        let mut free: Vec<(u64, Key, Instant)> = Vec::new();
        for (key, lease) in &self.leases {
            let from = lease.available_from(&self.me, &self.timing).filter(|from| *from <= now);
            if let (Key::Shard(shard), Some(from)) = (*key, from)
                && shard < shards
                && lease.is_writable(now)
            {
                free.push((self.turn(shard), *key, from));
            }
        }
        // In an order of its own: replicas that see the same seldom ask for the same.
        free.sort_unstable();
        let (mut room, mut mine) = (MOST_WRITES.saturating_sub(self.writes()), self.mine());
        let mut taken = false;
        for (_, key, from) in free {
            let Some(lease) = self.leases.get_mut(&key).filter(|_| room > 0) else { continue };
            if mine < quota || from + grace <= now || lease.names(&self.me) {
                actions.push(lease.write(now, key, Write::Claim));
                (room, mine, taken) = (room - 1, mine + 1, true);
            }
        }
        if mine > quota && taken {
            self.give_after = Some(now + self.timing.duration() * 4);
        }
    }

    /// Calmly: once all others have lived for a whole duration, and while nothing lies unserved.
    pub(super) fn give_up_surplus(&mut self, now: Instant, quota: usize) {
        let is_unserved = |lease: &Lease| {
            lease.writing.is_some_and(|(write, _)| write != Write::Renew)
                || lease.hold.as_ref().is_some_and(|hold| hold.yielding != Yield::No)
                || lease.available_from(&self.me, &self.timing).is_some_and(|from| from <= now)
        };
        let shards = (0..self.shards).map(Key::Shard);
        if self.give_after.is_some_and(|after| now < after)
            || self.alive.values().any(|since| now < *since + self.timing.duration())
            || shards.clone().any(|key| self.leases.get(&key).is_some_and(is_unserved))
        {
            return;
        }
        let mut surplus = self.mine().saturating_sub(quota);
        for key in shards.rev() {
            let Some(lease) = self.leases.get_mut(&key).filter(|lease| surplus > 0 && lease.hold.is_some()) else {
                continue;
            };
            lease.give_up();
            surplus -= 1;
        }
    }
}

/// The number of shards that `me` shall hold, among replicas with the number that each holds: the same for all, and one more for those that
/// hold the most already, so that nothing moves without need. With the same view, the quotas of all replicas add up to `shards`.
fn quota_of(counts: &BTreeMap<String, usize>, me: &str, shards: usize) -> usize {
    let mut order: Vec<(&str, usize)> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    // Stable: those that hold as many stay in the order of their names.
    order.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let replicas = order.len().max(1);
    let rank = order.iter().position(|(name, _)| *name == me);
    shards / replicas + usize::from(rank.is_some_and(|rank| rank < shards % replicas))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quotas_add_up_and_differ_by_one(held in proptest::collection::vec(0_usize..20, 1..6), shards in 1_usize..40) {
            let counts: BTreeMap<String, usize> =
                held.iter().enumerate().map(|(index, count)| (format!("replica-{index}"), *count)).collect();
            let quotas: Vec<usize> = counts.keys().map(|name| quota_of(&counts, name, shards)).collect();
            prop_assert_eq!(quotas.iter().sum::<usize>(), shards);
            prop_assert!(quotas.iter().max().unwrap() - quotas.iter().min().unwrap() <= 1);
        }

        #[test]
        fn what_is_even_stays(each in 0_usize..5, extra in 0_usize..4) {
            let held = |index: usize| each + usize::from((index * 7) % 4 < extra);
            let counts: BTreeMap<String, usize> = (0..4).map(|index| (format!("replica-{index}"), held(index))).collect();
            let shards = counts.values().sum();
            for (name, count) in &counts {
                prop_assert_eq!(quota_of(&counts, name, shards), *count);
            }
        }
    }
}
