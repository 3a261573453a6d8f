//! How time is cut: [`FleetConfig`].

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::series::Window;
use crate::setting::InvalidSetting;

/// How time is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetConfig {
    /// Length of a step: a sample stands at the end of each. Default 60 s.
    pub step: TimeDelta,
    /// Time that a bucket is given to be complete at the service after its end. What is read earlier may still be missing or too
    /// small, and is never corrected. Default `None`: as long as the service needs ([`Backend::settle`](super::Backend::settle)), which
    /// is 2 min for Datadog and 3 min for Azure Monitor and CloudWatch.
    pub settle: Option<TimeDelta>,
    /// The oldest that the present may be, and how far a query reaches back for what was missed. Default 10 min.
    pub lookback: TimeDelta,
    /// Samples of history that are kept of each workload at least; twice as many at most. Default 20,160: 14 days of minutes.
    pub limit: usize,
}

impl Default for FleetConfig {
    fn default() -> Self {
        let minutes = TimeDelta::minutes;
        Self { step: minutes(1), settle: None, lookback: minutes(10), limit: 20_160 }
    }
}

impl FleetConfig {
    /// Sets the length of a step.
    #[must_use]
    pub fn with_step(mut self, step: TimeDelta) -> Self {
        self.step = step;
        self
    }

    /// Sets the time that a bucket is given to be complete.
    #[must_use]
    pub fn with_settle(mut self, settle: TimeDelta) -> Self {
        self.settle = Some(settle);
        self
    }

    /// Sets the oldest that the present may be.
    #[must_use]
    pub fn with_lookback(mut self, lookback: TimeDelta) -> Self {
        self.lookback = lookback;
        self
    }

    /// Sets how many samples of history are kept.
    #[must_use]
    pub fn with_limit(mut self, samples: usize) -> Self {
        self.limit = samples;
        self
    }

    /// The times for a service that needs so long to settle and answers so many buckets at once.
    pub(super) fn times(self, settle: TimeDelta, longest: i32) -> Result<Times, InvalidSetting> {
        let Self { step, lookback, limit, .. } = self;
        let settle = self.settle.unwrap_or(settle);
        let seconds = |field, value: TimeDelta, at_least: i64, at_most: i64, must| {
            let within = (at_least..=at_most).contains(&value.num_seconds()) && value.subsec_nanos() == 0;
            if within { Ok(()) } else { Err(InvalidSetting { field, value: value.num_seconds() as f64, must }) }
        };
        seconds("step", step, 10, 3600, "10 to 3600 s, whole seconds")?;
        seconds("settle", settle, 0, 3600, "0 to 3600 s, whole seconds")?;
        let longest = step.num_seconds().saturating_mul(longest.into());
        let expected = "at least settle and two steps, at most what one query spans";
        seconds("lookback", lookback, (settle + step * 2).num_seconds(), longest, expected)?;
        InvalidSetting::check(&[("limit", limit as f64)], "at least 1", |limit| limit >= 1.0)?;
        Ok(Times { step, settle, lookback, limit })
    }
}

/// A configuration that was checked, for one service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) step: TimeDelta,
    settle: TimeDelta,
    pub(super) lookback: TimeDelta,
    pub(super) limit: usize,
}

impl Times {
    /// End of the last step that has settled.
    pub(super) fn newest(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let settled = before(now, self.settle);
        settled.duration_trunc(self.step).unwrap_or(settled)
    }

    /// The steps that a tick asks for.
    pub(super) fn window(&self, now: DateTime<Utc>) -> Window {
        let to = self.newest(now);
        let from = before(to, self.lookback);
        Window { from: from.duration_trunc(self.step).unwrap_or(from), to, step: self.step }
    }
}

/// `now` less a time, or `now` where no calendar reaches that far.
pub(super) fn before(now: DateTime<Utc>, time: TimeDelta) -> DateTime<Utc> {
    now.checked_sub_signed(time).unwrap_or(now)
}
