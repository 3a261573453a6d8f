//! Memory of what was learnt, one thing for each target: [`Memory`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scaling_core::Target;

/// One thing per target, for a bounded number of targets: the one that was not asked for the longest makes room.
pub(super) struct Memory<T> {
    limit: usize,
    known: Mutex<Known<T>>,
}

struct Known<T> {
    entries: HashMap<Arc<Target>, Entry<T>>,
    /// Counts every use.
    uses: u64,
}

struct Entry<T> {
    /// A lock of its own, so that what takes long for one target holds up no other.
    kept: Arc<Mutex<Option<T>>>,
    used: u64,
}

impl<T> fmt::Debug for Memory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("limit", &self.limit)
            .field("targets", &lock(&self.known).entries.len())
            .finish_non_exhaustive()
    }
}

impl<T> Memory<T> {
    /// Remembers at most `limit` targets, and at least one.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), known: Mutex::new(Known { entries: HashMap::new(), uses: 0 }) }
    }

    /// Entry of a target; `None` in it if nothing is kept yet.
    pub(super) fn of(&self, target: &Arc<Target>) -> Arc<Mutex<Option<T>>> {
        lock(&self.known).of(target, self.limit)
    }

    /// Entry of a target, if it is one that was asked for.
    pub(super) fn get(&self, target: &Target) -> Option<Arc<Mutex<Option<T>>>> {
        lock(&self.known).entries.get(target).map(|entry| entry.kept.clone())
    }

    pub(super) fn forget(&self, target: &Target) {
        lock(&self.known).entries.remove(target);
    }
}

impl<T> Known<T> {
    fn of(&mut self, target: &Arc<Target>, limit: usize) -> Arc<Mutex<Option<T>>> {
        self.uses += 1;
        if let Some(entry) = self.entries.get_mut(target) {
            entry.used = self.uses;
            return entry.kept.clone();
        }
        if self.entries.len() >= limit {
            // A walk over all of them costs far less than the learning that follows.
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(target, _)| target.clone());
            oldest.and_then(|oldest| self.entries.remove(&oldest));
        }
        let kept = Arc::new(Mutex::new(None));
        self.entries.insert(target.clone(), Entry { kept: kept.clone(), used: self.uses });
        kept
    }
}

/// A panic elsewhere leaves at worst what was learnt until then.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for a target and returns whether nothing was kept of it.
    fn is_new(memory: &Memory<()>, name: &str) -> bool {
        lock(&memory.of(&Arc::new(Target::deployment("shop", name)))).replace(()).is_none()
    }

    #[test]
    fn the_target_that_was_not_asked_for_the_longest_makes_room() {
        let memory = Memory::new(2);
        assert!(is_new(&memory, "a") && is_new(&memory, "b"));
        assert!(!is_new(&memory, "a"));
        assert!(is_new(&memory, "c"), "b makes room");
        assert!(!is_new(&memory, "a") && is_new(&memory, "b"));
        assert_eq!(lock(&memory.known).entries.len(), 2);
    }

    #[test]
    fn a_forgotten_target_is_new() {
        let memory = Memory::new(2);
        assert!(is_new(&memory, "a") && !is_new(&memory, "a"));
        memory.forget(&Target::deployment("shop", "a"));
        assert!(is_new(&memory, "a"));
    }
}
