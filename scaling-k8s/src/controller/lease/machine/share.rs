//! The fair share of a replica.

use std::collections::BTreeMap;

/// What one of several replicas shall hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Number of shards that it shall hold.
    pub(super) quota: usize,
    /// Number that it lacks.
    pub(super) missing: usize,
    /// Number that those before it lack.
    pub(super) before: usize,
}

/// The share of `me` among replicas with the number of shards that each holds: the same number for all, and one more for those that hold the
/// most already, so that nothing moves without need. With the same view, the quotas of all replicas add up to `shards`.
pub(super) fn share(counts: &BTreeMap<String, usize>, me: &str, shards: usize) -> Share {
    let mut order: Vec<(&str, usize)> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    // Stable: those that hold as many stay in the order of their names.
    order.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let (each, extra) = (shards / order.len().max(1), shards % order.len().max(1));
    let mut before = 0;
    for (rank, (name, count)) in order.into_iter().enumerate() {
        let quota = each + usize::from(rank < extra);
        let missing = quota.saturating_sub(count);
        if name == me {
            return Share { quota, missing, before };
        }
        before += missing;
    }
    Share { quota: 0, missing: 0, before }
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
            let shares: Vec<Share> = counts.keys().map(|name| share(&counts, name, shards)).collect();
            let quotas: Vec<usize> = shares.iter().map(|share| share.quota).collect();
            prop_assert_eq!(quotas.iter().sum::<usize>(), shards);
            prop_assert!(quotas.iter().max().unwrap() - quotas.iter().min().unwrap() <= 1);
            // The parts of what is free begin where the one before ends.
            let mut parts: Vec<(usize, usize)> = shares.iter().map(|share| (share.before, share.missing)).collect();
            parts.sort_unstable();
            let mut next = 0;
            for (before, missing) in parts {
                prop_assert_eq!(before, next);
                next += missing;
            }
        }

        #[test]
        fn what_is_even_stays(each in 0_usize..5, extra in 0_usize..4) {
            let held = |index: usize| each + usize::from((index * 7) % 4 < extra);
            let counts: BTreeMap<String, usize> = (0..4).map(|index| (format!("replica-{index}"), held(index))).collect();
            let shards = counts.values().sum();
            for (name, count) in &counts {
                prop_assert_eq!(share(&counts, name, shards).quota, *count);
            }
        }
    }
}
