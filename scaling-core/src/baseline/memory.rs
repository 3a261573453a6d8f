//! State that an engine keeps for each target.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::metrics::Observation;
use crate::target::Target;

/// Targets that are remembered unless the host says otherwise: more than a large cluster has autoscalers.
pub(super) const DEFAULT_CAPACITY: usize = 10_000;

/// Target under which the state of an observation is kept.
pub(super) fn key(observation: &Observation) -> Arc<Target> {
    Arc::clone(&observation.target)
}

/// State by target, of a bounded number of targets. The least recently used one goes first.
#[derive(Clone, Debug)]
pub(super) struct TargetMemory<S> {
    capacity: usize,
    entries: HashMap<Arc<Target>, Entry<S>>,
    /// Targets in the order of their last use: finding the oldest must not mean to look at all.
    by_use: BTreeMap<u64, Arc<Target>>,
    uses: u64,
}

#[derive(Clone, Debug)]
struct Entry<S> {
    used: u64,
    state: S,
}

impl<S> Default for TargetMemory<S> {
    fn default() -> Self {
        Self { capacity: DEFAULT_CAPACITY, entries: HashMap::new(), by_use: BTreeMap::new(), uses: 0 }
    }
}

impl<S> TargetMemory<S> {
    /// Changes the number of targets that are remembered; at least one is.
    pub(super) fn set_capacity(&mut self, targets: usize) {
        self.capacity = targets.max(1);
        self.evict();
    }

    /// Takes the state of a target out, which forgets it until it is put back.
    pub(super) fn take(&mut self, target: &Target) -> Option<S> {
        let entry = self.entries.remove(target)?;
        self.by_use.remove(&entry.used);
        Some(entry.state)
    }

    /// Stores the state of a target, which makes it the most recently used one.
    pub(super) fn put(&mut self, target: Arc<Target>, state: S) {
        self.uses += 1;
        let used = self.uses;
        self.by_use.insert(used, Arc::clone(&target));
        if let Some(replaced) = self.entries.insert(target, Entry { used, state }) {
            self.by_use.remove(&replaced.used);
        }
        self.evict();
    }

    fn evict(&mut self) {
        while self.entries.len() > self.capacity {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> Arc<Target> {
        Arc::new(Target::deployment("shop", name))
    }

    #[test]
    fn each_target_has_its_own_state() {
        let mut memory = TargetMemory::default();
        memory.put(target("a"), 1);
        memory.put(target("b"), 2);
        memory.put(target("a"), 3);
        assert_eq!((memory.take(&target("a")), memory.take(&target("b"))), (Some(3), Some(2)));
        assert_eq!(memory.take(&target("a")), None, "taken out");
        assert!(memory.by_use.is_empty());
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut memory = TargetMemory::default();
        memory.set_capacity(2);
        memory.put(target("a"), 1);
        memory.put(target("b"), 2);
        let state = memory.take(&target("a")).unwrap();
        memory.put(target("a"), state);
        memory.put(target("c"), 3);
        assert_eq!(memory.take(&target("b")), None);
        assert_eq!((memory.take(&target("a")), memory.take(&target("c"))), (Some(1), Some(3)));
    }

    #[test]
    fn a_smaller_capacity_forgets_at_once_and_one_target_is_always_remembered() {
        let mut memory = TargetMemory::default();
        for name in ["a", "b", "c"] {
            memory.put(target(name), name);
        }
        memory.set_capacity(0);
        assert_eq!((memory.entries.len(), memory.by_use.len()), (1, 1));
        assert_eq!(memory.take(&target("c")), Some("c"));
    }
}
