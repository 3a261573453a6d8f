//! Amounts of resources.

use std::collections::BTreeMap;

/// Amounts of resources by name, in thousandths: millicores of `cpu`, thousandths of a byte of `memory`.
///
/// ```
/// use scaling_core::hpa::Resources;
///
/// let requests = Resources::from([("cpu", 500), ("nvidia.com/gpu", 1000)]);
/// assert_eq!(requests.get("cpu"), Some(500));
/// assert_eq!(requests.get("memory"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    // Fields of their own: nearly all lookups, one for each pod and sync, are of these two.
    cpu: Option<i64>,
    memory: Option<i64>,
    others: BTreeMap<String, i64>,
}

impl Resources {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the amount of a resource, in thousandths.
    #[inline]
    pub fn get(&self, resource: &str) -> Option<i64> {
        match resource {
            "cpu" => self.cpu,
            "memory" => self.memory,
            other => self.others.get(other).copied(),
        }
    }

    /// Sets the amount of a resource, in thousandths.
    pub fn insert(&mut self, resource: impl Into<String> + AsRef<str>, amount: i64) {
        match resource.as_ref() {
            "cpu" => self.cpu = Some(amount),
            "memory" => self.memory = Some(amount),
            _ => {
                self.others.insert(resource.into(), amount);
            }
        }
    }

    /// Iterates over the names: `cpu`, `memory`, then the others in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let known = [self.cpu.map(|_| "cpu"), self.memory.map(|_| "memory")];
        known.into_iter().flatten().chain(self.others.keys().map(String::as_str))
    }
}

impl<S: Into<String> + AsRef<str>> FromIterator<(S, i64)> for Resources {
    fn from_iter<I: IntoIterator<Item = (S, i64)>>(amounts: I) -> Self {
        let mut resources = Self::new();
        for (resource, amount) in amounts {
            resources.insert(resource, amount);
        }
        resources
    }
}

impl<S: Into<String> + AsRef<str>, const N: usize> From<[(S, i64); N]> for Resources {
    fn from(amounts: [(S, i64); N]) -> Self {
        amounts.into_iter().collect()
    }
}
