//! What time it is: the trait [`Clock`], [`SystemClock`], and [`SimulatedClock`] for tests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time, and waits.
///
/// It decides which instants are ticked for, not how long a tick may take: that is measured by the machine's own monotonic clock,
/// which nobody sets.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The present instant. It may jump, in both directions.
    fn now(&self) -> DateTime<Utc>;

    /// Waits for so long.
    async fn sleep(&self, time: Duration);
}

#[async_trait]
impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> DateTime<Utc> {
        (**self).now()
    }

    async fn sleep(&self, time: Duration) {
        (**self).sleep(time).await;
    }
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        SystemTime::now().into()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// A clock whose time passes only when somebody waits for it, and then at once: days of a loop in seconds.
#[derive(Debug)]
pub struct SimulatedClock {
    now: Mutex<DateTime<Utc>>,
}

impl SimulatedClock {
    /// Creates a clock that stands at `now`.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self { now: Mutex::new(now) }
    }

    /// Moves it, forward or back: time that something took, or a clock that was set.
    pub fn advance(&self, by: TimeDelta) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.checked_add_signed(by).unwrap_or(*now);
    }
}

#[async_trait]
impl Clock for SimulatedClock {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep(&self, time: Duration) {
        self.advance(TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX));
        // Others get their turn, as while a real clock is waited for.
        tokio::task::yield_now().await;
    }
}
