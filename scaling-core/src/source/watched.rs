//! [`Watched`]: a source whose losses are watched over the fleet.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{MetricsSource, SourceError};
use crate::guard::{FleetFreeze, Sight};
use crate::metrics::Observation;
use crate::target::Target;

/// Tells a [`FleetFreeze`] what was seen, before anybody decides on it. A target without an answer is lost: a question that was given up at a
/// deadline, a panic over it alone, or fewer answers than were asked for.
///
/// ```
/// use scaling_core::guard::FleetFreeze;
/// use scaling_core::source::{MemorySource, Watched};
///
/// let freeze = FleetFreeze::default();
/// let source = Watched::new(MemorySource::new(), freeze.clone());
/// # let _ = source;
/// ```
#[derive(Clone, Debug)]
pub struct Watched<S> {
    source: S,
    freeze: FleetFreeze,
}

impl<S> Watched<S> {
    /// Creates a source that answers as `source` does.
    pub fn new(source: S, freeze: FleetFreeze) -> Self {
        Self { source, freeze }
    }
}

/// Targets that were asked for and not answered yet. Dropped with the question, as at a deadline, it says that they are lost.
struct Asked<'a> {
    freeze: &'a FleetFreeze,
    targets: &'a [Target],
    now: DateTime<Utc>,
}

impl Asked<'_> {
    fn answered(mut self, seen: &[Result<Observation, SourceError>]) {
        let answers = seen.len().min(self.targets.len());
        self.freeze.observed(self.targets.iter().zip(seen), self.now);
        self.targets = self.targets.get(answers..).unwrap_or_default();
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // Nothing is decided on a panic over several: whoever catches it asks for each alone, and that says which are lost.
        let is_settled = self.targets.is_empty() || (self.targets.len() > 1 && std::thread::panicking());
        if !is_settled {
            self.freeze.saw(self.targets.iter().map(|target| (target, Sight::Lost)), self.now);
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: MetricsSource> MetricsSource for Watched<S> {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let asked = Asked { freeze: &self.freeze, targets: std::slice::from_ref(target), now };
        let seen = self.source.observe(target, now).await;
        asked.answered(std::slice::from_ref(&seen));
        seen
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let asked = Asked { freeze: &self.freeze, targets, now };
        let seen = self.source.observe_all(targets, now).await;
        asked.answered(&seen);
        seen
    }
}
