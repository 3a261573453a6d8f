//! The fair share of a replica.

use std::collections::BTreeMap;

/// The number of shards that `me` shall hold, among replicas with the number that each holds: the same for all, and one more for those that
/// hold the most already, so that nothing moves without need. With the same view, the quotas of all replicas add up to `shards`.
pub(super) fn quota(counts: &BTreeMap<String, usize>, me: &str, shards: usize) -> usize {
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
            let quotas: Vec<usize> = counts.keys().map(|name| quota(&counts, name, shards)).collect();
            prop_assert_eq!(quotas.iter().sum::<usize>(), shards);
            prop_assert!(quotas.iter().max().unwrap() - quotas.iter().min().unwrap() <= 1);
        }

        #[test]
        fn what_is_even_stays(each in 0_usize..5, extra in 0_usize..4) {
            let held = |index: usize| each + usize::from((index * 7) % 4 < extra);
            let counts: BTreeMap<String, usize> = (0..4).map(|index| (format!("replica-{index}"), held(index))).collect();
            let shards = counts.values().sum();
            for (name, count) in &counts {
                prop_assert_eq!(quota(&counts, name, shards), *count);
            }
        }
    }
}
