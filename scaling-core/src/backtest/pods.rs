//! [`Pods`]: simulated pods, by age.

use std::collections::VecDeque;

/// Pods of one workload, oldest first, in cohorts that become ready together. Time counts in steps.
#[derive(Clone, Debug, Default)]
pub(super) struct Pods {
    /// Step at which a cohort is ready, and its pods. In order of creation, and so of readiness.
    cohorts: VecDeque<(usize, u32)>,
    total: u32,
    /// Pods of `total` in cohorts that were ready when last asked for, and the number of such cohorts.
    ready: u32,
    ready_cohorts: usize,
}

impl Pods {
    /// Creates pods that are ready from the beginning.
    pub(super) fn ready_from_the_start(count: u32) -> Self {
        Self { cohorts: [(0, count)].into(), total: count, ready: 0, ready_cohorts: 0 }
    }

    /// Returns the number of all pods.
    pub(super) fn total(&self) -> u32 {
        self.total
    }

    /// Returns the number of pods ready in step `now`; steps are asked for in order.
    pub(super) fn ready(&mut self, now: usize) -> u32 {
        while let Some((_, count)) = self.cohorts.get(self.ready_cohorts).filter(|(at, _)| *at <= now) {
            self.ready += count;
            self.ready_cohorts += 1;
        }
        self.ready
    }

    /// Returns the number of pods that have been ready since step `since` or longer.
    pub(super) fn ready_since(&self, since: usize) -> u32 {
        self.cohorts.iter().take_while(|(at, _)| *at <= since).map(|(_, count)| count).sum()
    }

    /// Grows or shrinks to `size`: new pods are ready at `ready_at`, the youngest go first.
    pub(super) fn resize(&mut self, size: u32, ready_at: usize) {
        if size > self.total {
            self.add(size - self.total, ready_at);
            return;
        }
        let mut surplus = self.total - size;
        self.total = size;
        while surplus > 0 {
            let Some((_, count)) = self.cohorts.back_mut() else { return };
            let gone = surplus.min(*count);
            *count -= gone;
            surplus -= gone;
            let is_empty = *count == 0;
            if self.cohorts.len() <= self.ready_cohorts {
                self.ready -= gone;
                self.ready_cohorts -= usize::from(is_empty);
            }
            if is_empty {
                self.cohorts.pop_back();
            }
        }
    }

    /// Replaces some ready pods, the oldest, by new ones.
    pub(super) fn replace(&mut self, failed: u32, ready_at: usize) {
        let failed = failed.min(self.ready);
        let mut left = failed;
        while left > 0 {
            let Some((_, count)) = self.cohorts.front_mut() else { return };
            let gone = left.min(*count);
            *count -= gone;
            left -= gone;
            if *count == 0 {
                self.cohorts.pop_front();
                self.ready_cohorts -= 1;
            }
        }
        self.ready -= failed;
        self.total -= failed;
        self.add(failed, ready_at);
    }

    fn add(&mut self, count: u32, ready_at: usize) {
        if count == 0 {
            return;
        }
        self.total += count;
        // A cohort that was counted as ready is not added to, or its new pods would be.
        let is_open = self.ready_cohorts < self.cohorts.len();
        match self.cohorts.back_mut() {
            Some((at, size)) if is_open && *at == ready_at => *size += count,
            _ => self.cohorts.push_back((ready_at, count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_pods_take_their_time_and_the_youngest_go_first() {
        let mut pods = Pods::ready_from_the_start(3);
        assert_eq!(pods.ready(0), 3);
        pods.resize(8, 4);
        assert_eq!((pods.total(), pods.ready(3)), (8, 3));
        pods.resize(5, 7);
        assert_eq!((pods.ready(4), pods.ready_since(3)), (5, 3));
        pods.resize(2, 9);
        assert_eq!((pods.total(), pods.ready(5)), (2, 2));
    }

    #[test]
    fn a_failed_pod_is_replaced_by_one_that_starts() {
        let mut pods = Pods::ready_from_the_start(3);
        assert_eq!(pods.ready(0), 3);
        pods.replace(5, 4);
        assert_eq!((pods.total(), pods.ready(3), pods.ready(4)), (3, 0, 3));
    }

    proptest::proptest! {
        /// With the youngest removed first, what is ready is the smallest size of the last start-up time.
        #[test]
        fn ready_is_the_least_of_the_last_sizes(
            sizes in proptest::collection::vec(0..12_u32, 1..60), start_up in 0..6_usize,
        ) {
            let first = sizes[0];
            let mut pods = Pods::ready_from_the_start(first);
            for (now, size) in sizes.iter().enumerate() {
                pods.resize(*size, now + start_up);
                let least = (0..=start_up).map(|back| now.checked_sub(back).map_or(first, |at| sizes[at])).min();
                proptest::prop_assert_eq!(Some(pods.ready(now)), least);
                proptest::prop_assert_eq!(pods.ready_since(now), pods.ready(now));
                proptest::prop_assert_eq!(pods.total(), *size);
            }
        }
    }
}
