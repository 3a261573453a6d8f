//! State of a controller, for readiness, liveness and status pages: [`FleetHealth`].

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use scaling_core::chrono::{DateTime, SecondsFormat, Utc};
use tokio::time::Instant;

use super::adopting::AdoptionHealth;
use super::watching::WatchHealth;
use crate::controller::cache::CacheHealth;

/// Whether a controller does its work, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FleetReadiness {
    /// Ticks come, the source answers or has failed for a short time only, and the HPAs are known.
    Ready,
    /// The HPAs were not listed yet, or no tick is complete.
    Starting,
    /// The API server has not been heard for too long: nothing is written, since nobody knows what is there.
    CacheStale {
        /// For how long.
        age: Duration,
    },
    /// The source has not answered for any workload for too long.
    SourceFails {
        /// The first tick without an answer.
        since: DateTime<Utc>,
    },
    /// No tick has come for too long: a restart may help.
    Stalled {
        /// The newest tick.
        since: DateTime<Utc>,
    },
}

impl FleetReadiness {
    /// Returns true if the controller does its work. One that holds no shard is ready to take one.
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }
}

impl fmt::Display for FleetReadiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = |at: &DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Starting => f.write_str("the HPAs were not all read, or no tick is complete yet"),
            Self::CacheStale { age } => write!(f, "the API server was not heard for {} s", age.as_secs()),
            Self::SourceFails { since } => write!(f, "the source has failed since {}", utc(since)),
            Self::Stalled { since } => write!(f, "no tick since {}", utc(since)),
        }
    }
}

/// State of a controller at a moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FleetHealth {
    /// Whether it does its work.
    pub readiness: FleetReadiness,
    /// False only if a restart could help: ticks have stopped coming.
    pub is_alive: bool,
    /// State of the watch cache.
    pub cache: CacheHealth,
    /// Shards that this replica holds; none without Leases.
    pub shards: Option<Vec<u32>>,
    /// Reason why the Leases cannot be read or written; none if they can.
    pub lease_trouble: Option<String>,
    /// Since when signals of many workloads are missing together, and of how many: nothing is lowered meanwhile.
    pub frozen: Option<(DateTime<Utc>, usize)>,
    /// HPAs that are targets no more and have bounds of ours, or had when the selector of the watch told of them last: they wait to be
    /// [released](crate::KubeHpaApplier::release), by the controller where it was told so ([`Leaving`](super::Leaving)).
    pub abandoned: usize,
    /// What came of the trials of adoption; none without any.
    pub adoption: Option<AdoptionHealth>,
    /// State of the watch over changes; none if none is watched.
    pub watch: Option<WatchHealth>,
    /// The newest complete tick.
    pub last_tick: Option<DateTime<Utc>>,
}

/// Ticks of the loop, for readiness and liveness. Their age is told by the monotonic clock, which nobody sets: a clock that jumps ahead asks for
/// no restart, and one that was ahead hides no ticks that stay away.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticks(Arc<Mutex<Told>>);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// The instant that it was for, and when it was over.
    pub(super) newest: Option<(DateTime<Utc>, Instant)>,
    /// The first and the newest of the ticks in a row without an answer of the source.
    failing: Option<Failing>,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    /// The instant that the first was for.
    since: DateTime<Utc>,
    began: Instant,
    last: Instant,
}

impl Ticks {
    /// Whether the source answered; none for a tick without workloads, which says nothing about it.
    pub(super) fn ticked(&self, at: DateTime<Utc>, answered: Option<bool>) {
        let (mut told, now) = (self.told(), Instant::now());
        told.newest = Some((at, now));
        match answered {
            Some(true) => told.failing = None,
            Some(false) => {
                let before = told.failing.unwrap_or(Failing { since: at, began: now, last: now });
                told.failing = Some(Failing { last: now, ..before });
            }
            None => {}
        }
    }

    pub(super) fn now(&self) -> Told {
        *self.told()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Intervals without a tick after which a controller counts as hanging.
const STALLED_INTERVALS: u32 = 5;

/// For how long the source may fail, and ticks may stay away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) failing: Duration,
    pub(super) stalled: Duration,
}

impl Patience {
    /// That with ticks in such an interval.
    pub(super) fn of(interval: Duration) -> Self {
        let stalled = interval.saturating_mul(STALLED_INTERVALS).max(Duration::from_secs(60));
        Self { failing: Duration::from_secs(300), stalled }
    }

    pub(super) fn readiness(&self, told: Told, cache: &CacheHealth) -> FleetReadiness {
        if let Some((since, _)) = told.newest.filter(|(_, over)| over.elapsed() > self.stalled) {
            return FleetReadiness::Stalled { since };
        }
        let Some((_, newest)) = told.newest.filter(|_| cache.age.is_some()) else { return FleetReadiness::Starting };
        if !cache.ready {
            return FleetReadiness::CacheStale { age: cache.age.unwrap_or_default() };
        }
        // Long after the last question there is nobody left to ask for.
        let fails = |failing: &Failing| {
            failing.last.duration_since(failing.began) >= self.failing
                && newest.duration_since(failing.last) < self.failing
        };
        match told.failing.filter(fails) {
            Some(Failing { since, .. }) => FleetReadiness::SourceFails { since },
            None => FleetReadiness::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use scaling_core::chrono::TimeDelta;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn cache(ready: bool) -> CacheHealth {
        CacheHealth { ready, age: Some(Duration::from_secs(300)), ..CacheHealth::default() }
    }

    fn patience() -> Patience {
        Patience { failing: Duration::from_secs(300), stalled: Duration::from_secs(300) }
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_keeps_it_from_its_work_is_said_and_only_missing_ticks_ask_for_a_restart() {
        let (patience, ticks) = (patience(), Ticks::default());
        let readiness = |cache: &CacheHealth| patience.readiness(ticks.now(), cache);
        assert_eq!(readiness(&CacheHealth::default()), FleetReadiness::Starting);
        assert_eq!(readiness(&cache(true)), FleetReadiness::Starting, "no tick yet");
        ticks.ticked(at(0), Some(true));
        pass(60).await;
        assert_eq!(readiness(&cache(true)), FleetReadiness::Ready);
        assert_eq!(readiness(&cache(false)), FleetReadiness::CacheStale { age: Duration::from_secs(300) });
        for (second, passed) in [(60, 60), (120, 240), (360, 0)] {
            ticks.ticked(at(second), Some(false));
            ticks.ticked(at(second), None);
            pass(passed).await;
        }
        assert_eq!(readiness(&cache(true)), FleetReadiness::SourceFails { since: at(60) });
        pass(301).await;
        assert_eq!(readiness(&cache(true)), FleetReadiness::Stalled { since: at(360) });
        ticks.ticked(at(661), None);
        assert_eq!(readiness(&cache(true)), FleetReadiness::Ready, "nothing is asked for any more");
        pass(59).await;
        ticks.ticked(at(720), Some(false));
        assert_eq!(readiness(&cache(true)), FleetReadiness::SourceFails { since: at(60) });
        ticks.ticked(at(721), Some(true));
        assert_eq!(readiness(&cache(true)), FleetReadiness::Ready);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_jumps_neither_asks_for_a_restart_nor_hides_that_one_is_needed() {
        for jump in [3600, -3600] {
            let (patience, ticks) = (patience(), Ticks::default());
            ticks.ticked(at(0), Some(true));
            pass(60).await;
            ticks.ticked(at(60 + jump), Some(false));
            assert_eq!(patience.readiness(ticks.now(), &cache(true)), FleetReadiness::Ready, "{jump}");
            pass(60).await;
            ticks.ticked(at(120), Some(false));
            assert_eq!(patience.readiness(ticks.now(), &cache(true)), FleetReadiness::Ready, "{jump}");
            pass(240).await;
            ticks.ticked(at(360), Some(false));
            let failing = FleetReadiness::SourceFails { since: at(60 + jump) };
            assert_eq!(patience.readiness(ticks.now(), &cache(true)), failing);
            ticks.ticked(at(360 + jump), Some(true));
            pass(301).await;
            let stalled = FleetReadiness::Stalled { since: at(360 + jump) };
            assert_eq!(patience.readiness(ticks.now(), &cache(true)), stalled, "{jump}");
        }
    }
}
