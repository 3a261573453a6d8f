//! State of a cache, and the reasons why it tells nothing.

use std::sync::Arc;
use std::time::Duration;

/// Reasons why a cache does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unread {
    /// The HPAs have not been listed yet.
    #[error("the HPAs have not been listed yet{}", said(last_fault.as_deref()))]
    NotListed {
        /// The last failure, if there was one.
        last_fault: Option<Arc<str>>,
    },
    /// The API server has not been heard for too long.
    #[error(
        "the API server has not been heard for {} s, and after {} s its HPAs are not known any more{}",
        age.as_secs(), limit.as_secs(), said(last_fault.as_deref())
    )]
    Stale {
        /// Time since it was heard.
        age: Duration,
        /// The longest time allowed.
        limit: Duration,
        /// The last failure, if there was one since.
        last_fault: Option<Arc<str>>,
    },
}

fn said(fault: Option<&str>) -> String {
    fault.map(|fault| format!(": {fault}")).unwrap_or_default()
}

/// State of an [`HpaCache`](super::HpaCache), for readiness and status pages. Numbers count from its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheHealth {
    /// True once all HPAs were listed, and for as long as the API server is heard.
    pub ready: bool,
    /// Time for which the API server has not been heard; none if the HPAs were never listed.
    pub age: Option<Duration>,
    /// HPAs that are there.
    pub hpas: usize,
    /// HPAs that are targets.
    pub targets: usize,
    /// Targets whose settings have a fault.
    pub faulty: usize,
    /// Lists that were read to their end: the first, and one each time that the watch could not be continued.
    pub lists: u64,
    /// Watches that the API server accepted.
    pub watches: u64,
    /// Changes that it sent.
    pub events: u64,
    /// Failures of lists and watches.
    pub faults: u64,
    /// The last failure; none once the API server is heard again.
    pub last_fault: Option<Arc<str>>,
}
