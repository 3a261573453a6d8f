//! Pods that must be there whatever the present load: [`Floor`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Reason;

/// Replicas that must be there until an instant, and why: a window of a schedule that is open, an event that was declared.
///
/// A floor begins and ends by the clock and not by metrics, so it is held while a source is down, and given back to the resting
/// bounds when it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// Pods that must be there.
    pub replicas: u32,
    /// The instant at which it ends, not included; `None` if nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Reason for it.
    pub reason: Reason,
}

impl Floor {
    /// A floor without a known end.
    pub fn new(replicas: u32, reason: Reason) -> Self {
        Self { replicas, until: None, reason }
    }

    /// Sets the end.
    #[must_use]
    pub fn until(mut self, end: DateTime<Utc>) -> Self {
        self.until = Some(end);
        self
    }

    /// Returns true if it is certain to hold at an instant: it has an end, and that lies ahead.
    pub fn holds_at(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|end| now < end)
    }

    /// The highest of some floors; of equal ones the first.
    pub fn highest(floors: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let higher = |best: Self, other: Self| if other.replicas > best.replicas { other } else { best };
        floors.into_iter().flatten().reduce(higher)
    }
}
