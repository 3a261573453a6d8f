//! [`Health`]: whether the loop does its work, as the loop says it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// A reason of the host's for not being ready; none if there is none.
type Reason = Box<dyn Fn() -> Option<String> + Send + Sync>;
type Clock = Box<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Whether the loop does its work. The loop sets it after each tick, [`serve`](super::serve) answers `/readyz` and `/healthz` from it.
///
/// Ready from the first complete tick on; not ready while the source has failed for long. It has no clock: it goes by the instants
/// of the ticks, so a loop that stands still stays what it was, unless a clock is given ([`stalled_after`](Self::stalled_after)).
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta};
/// use scaling_core::telemetry::{Health, Readiness};
///
/// let health = Health::new();
/// assert_eq!(health.readiness(), Readiness::NoTick);
///
/// let start = DateTime::from_timestamp(1_767_600_000, 0).unwrap();
/// health.ticked(start, true);
/// assert_eq!(health.readiness(), Readiness::Ready);
///
/// // The source fails: not ready once that has lasted for five minutes.
/// for minute in 1..=6 {
///     health.ticked(start + TimeDelta::minutes(minute), false);
/// }
/// assert_eq!(health.readiness().to_string(), "the source has failed since 2026-01-05T08:01:00Z, for 300 s");
/// ```
pub struct Health {
    failing_at_most: TimeDelta,
    stall: Option<(TimeDelta, Clock)>,
    unless: Option<Reason>,
    ticks: Mutex<Ticks>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ticks {
    newest: Option<DateTime<Utc>>,
    /// The first of the ticks in a row, up to the newest, without an answer of the source.
    failing_since: Option<DateTime<Utc>>,
}

/// Whether the loop does its work, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// Ticks come, and the source answers or has failed for a short time only.
    Ready,
    /// No tick is complete yet.
    NoTick,
    /// The source has not answered for any workload for too long.
    SourceFails {
        /// The first tick without an answer.
        since: DateTime<Utc>,
        /// From then to the newest tick.
        lasted: TimeDelta,
    },
    /// No tick has come for too long.
    Stalled {
        /// The newest tick.
        since: DateTime<Utc>,
    },
}

impl Readiness {
    /// Returns true if the loop does its work.
    pub fn is_ready(self) -> bool {
        self == Self::Ready
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = |at: &DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        match self {
            Self::Ready => f.write_str("ready"),
            Self::NoTick => f.write_str("no tick is complete yet"),
            Self::SourceFails { since, lasted } => {
                write!(f, "the source has failed since {}, for {} s", utc(since), lasted.num_seconds())
            }
            Self::Stalled { since } => write!(f, "no tick since {}", utc(since)),
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("readiness", &self.readiness()).finish_non_exhaustive()
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Not ready before the first tick; the source may fail for 5 minutes, as long as metrics may be old
    /// ([`Freshness`](crate::guard::Freshness)).
    pub fn new() -> Self {
        Self { failing_at_most: TimeDelta::minutes(5), stall: None, unless: None, ticks: Mutex::default() }
    }

    /// Sets for how long the source may fail.
    #[must_use]
    pub fn failing_at_most(mut self, limit: Duration) -> Self {
        self.failing_at_most = TimeDelta::from_std(limit).unwrap_or(TimeDelta::MAX);
        self
    }

    /// Sets how old the newest tick may be by `clock`: beyond it the loop hangs, which also `/healthz` says, so that it is restarted.
    /// The limit should be several intervals of the loop.
    #[must_use]
    pub fn stalled_after(mut self, limit: Duration, clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        self.stall = Some((TimeDelta::from_std(limit).unwrap_or(TimeDelta::MAX), Box::new(clock)));
        self
    }

    /// Sets what else a host must have to be ready: it is asked each time, and gives the reason why it is not.
    ///
    /// ```
    /// use scaling_core::chrono::DateTime;
    /// use scaling_core::telemetry::Health;
    ///
    /// let health = Health::new().ready_unless(|| Some("the cluster is not heard".to_owned()));
    /// health.ticked(DateTime::from_timestamp(1_767_600_000, 0).unwrap(), true);
    /// assert_eq!(health.why_not_ready().as_deref(), Some("the cluster is not heard"));
    /// ```
    #[must_use]
    pub fn ready_unless(mut self, reason: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        self.unless = Some(Box::new(reason));
        self
    }

    /// Returns why the host is not ready, by its ticks or by what else it must have; none if it is.
    pub fn why_not_ready(&self) -> Option<String> {
        match self.readiness() {
            Readiness::Ready => self.unless.as_ref().and_then(|reason| reason()),
            not_ready => Some(not_ready.to_string()),
        }
    }

    /// Says that a tick is complete, and whether the source answered for any of its workloads.
    pub fn ticked(&self, at: DateTime<Utc>, source_answered: bool) {
        let mut ticks = self.ticks();
        ticks.newest = Some(at);
        ticks.failing_since = if source_answered { None } else { ticks.failing_since.or(Some(at)) };
    }

    /// Whether the loop does its work now.
    pub fn readiness(&self) -> Readiness {
        let Ticks { newest, failing_since } = *self.ticks();
        let Some(newest) = newest else { return Readiness::NoTick };
        if self.is_stalled(newest) {
            return Readiness::Stalled { since: newest };
        }
        match failing_since {
            Some(since) if newest - since >= self.failing_at_most => {
                Readiness::SourceFails { since, lasted: newest - since }
            }
            _ => Readiness::Ready,
        }
    }

    /// Whether restarting the process could help: true only if ticks have stopped coming.
    pub fn is_alive(&self) -> bool {
        self.ticks().newest.is_none_or(|newest| !self.is_stalled(newest))
    }

    fn is_stalled(&self, newest: DateTime<Utc>) -> bool {
        self.stall.as_ref().is_some_and(|(limit, clock)| clock().signed_duration_since(newest) > *limit)
    }

    fn ticks(&self) -> MutexGuard<'_, Ticks> {
        self.ticks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_600_000 + second, 0).unwrap()
    }

    #[test]
    fn one_answer_ends_a_failure_however_long() {
        let health = Health::new().failing_at_most(Duration::from_secs(60));
        health.ticked(at(0), false);
        assert_eq!(health.readiness(), Readiness::Ready, "the first tick is complete");
        health.ticked(at(60), false);
        assert_eq!(health.readiness(), Readiness::SourceFails { since: at(0), lasted: TimeDelta::seconds(60) });
        assert!(health.is_alive(), "a restart does not mend the source");
        health.ticked(at(120), true);
        health.ticked(at(180), false);
        assert_eq!(health.readiness(), Readiness::Ready);
    }

    #[test]
    fn with_a_clock_a_loop_that_hangs_is_neither_ready_nor_alive() {
        let health = Health::new().stalled_after(Duration::from_secs(45), || at(100));
        assert!(health.is_alive(), "before the first tick nothing has stopped");
        health.ticked(at(60), true);
        assert!(health.readiness().is_ready() && health.is_alive());
        health.ticked(at(50), true);
        assert_eq!(health.readiness().to_string(), "no tick since 2026-01-05T08:00:50Z");
        assert!(!health.is_alive());
    }
}
