//! [`Member`]: a workload of a loop. The list of them may change from tick to tick.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::autoscaler::Terms;
use crate::bounds::HardLimits;
use crate::policy::BoundsPolicy;
use crate::state::Adoption;
use crate::target::Target;

/// Says which workloads there are at an instant.
pub(super) type Members = Box<dyn FnMut(DateTime<Utc>) -> Vec<Member> + Send>;

/// A workload of a [`Loop`](super::Loop), and what holds for it alone.
///
/// ```
/// use scaling_core::live::Member;
/// use scaling_core::{Adoption, HardLimits, Target};
///
/// let member = Member::new(Target::deployment("shop", "web")).adopted(Adoption::Floors).within(HardLimits::new(2, 40)?);
/// assert_eq!(member.adoption, Adoption::Floors);
/// # Ok::<(), scaling_core::InvalidBounds>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Member {
    /// The workload.
    pub target: Target,
    /// How far it is handed over. Default: in full, as far as the mode of the autoscaler goes.
    pub adoption: Adoption,
    /// Limits in the place of those of the autoscaler.
    pub limits: Option<HardLimits>,
    /// Mapping to bounds in the place of that of the autoscaler.
    pub policy: Option<BoundsPolicy>,
    /// Instant from which this process has it without a break, where several share a fleet. Another one than at the last tick means that it was
    /// lost and taken over again in between, so it joins.
    pub tenure: Option<Instant>,
}

impl Member {
    /// Creates one that is handed over in full, within the limits of the autoscaler.
    pub fn new(target: Target) -> Self {
        Self { target, adoption: Adoption::Full, limits: None, policy: None, tenure: None }
    }

    /// Sets how far it is handed over.
    #[must_use]
    pub fn adopted(mut self, adoption: Adoption) -> Self {
        self.adoption = adoption;
        self
    }

    /// Sets limits of its own.
    #[must_use]
    pub fn within(mut self, limits: HardLimits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Sets a mapping to bounds of its own.
    #[must_use]
    pub fn mapped_by(mut self, policy: BoundsPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Sets since when this process has it.
    #[must_use]
    pub fn held_since(mut self, tenure: Instant) -> Self {
        self.tenure = Some(tenure);
        self
    }

    pub(super) fn terms(&self) -> Terms {
        Terms { adoption: self.adoption, limits: self.limits, policy: self.policy }
    }
}

impl From<Target> for Member {
    fn from(target: Target) -> Self {
        Self::new(target)
    }
}

/// The members of one batch, each once: two ticks of one workload must not run side by side.
pub(super) fn of_batch(members: Vec<Member>, batch: u32, batches: u32) -> Vec<Member> {
    let mut members: Vec<Member> =
        members.into_iter().filter(|member| batch_of(&member.target, batches) == batch).collect();
    let mut seen = HashSet::with_capacity(members.len());
    let first: Vec<bool> = members.iter().map(|member| seen.insert(&member.target)).collect();
    let mut first = first.into_iter();
    members.retain(|_| first.next().unwrap_or(true));
    members
}

/// The batch of a workload: always the same, whoever asks, for which the hash of the standard library is not made.
///
/// FNV-1a, with its bits mixed once more at the end (the finalizer of `SplitMix64`): its low bits are poor, and shards of a fleet by
/// another hash of the same names must not all fall into one batch.
fn batch_of(target: &Target, batches: u32) -> u32 {
    let Target { cluster, namespace, name, kind, hpa } = target;
    let parts = [cluster.as_deref().unwrap_or_default(), namespace, name, kind, hpa];
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.bytes().chain([0xff])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    u32::try_from(hash % u64::from(batches.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_workload_is_in_one_batch_always_the_same_and_the_batches_are_of_like_size() {
        let members: Vec<Member> =
            (0..10_000).map(|nth| Target::deployment("shop", format!("web-{nth}")).into()).collect();
        for batches in [1, 2, 7, 20] {
            let sizes: Vec<usize> = (0..batches).map(|batch| of_batch(members.clone(), batch, batches).len()).collect();
            assert_eq!(sizes.iter().sum::<usize>(), members.len());
            let even = members.len() / batches as usize;
            assert!(sizes.iter().all(|size| size.abs_diff(even) < even / 5 + 1), "{sizes:?}");
        }
        assert_eq!(batch_of(&Target::deployment("shop", "web"), 20), 10, "a restart must not move it");
    }

    #[test]
    fn a_workload_that_is_named_twice_counts_once() {
        let web = Target::deployment("shop", "web");
        let first = Member::from(web.clone()).adopted(Adoption::Observe);
        assert_eq!(of_batch(vec![first.clone(), web.into()], 0, 1), [first]);
    }
}
