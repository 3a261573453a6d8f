//! [`Backoff`]: a source that is down is asked less often.

use chrono::{DateTime, TimeDelta, Utc};

/// When a source that failed as a whole is asked again: after one interval, then two, then four, at most after the longest wait.
/// It is told by the instants of ticks alone.
#[derive(Debug)]
pub(super) struct Backoff {
    interval: TimeDelta,
    longest: TimeDelta,
    down: Option<Down>,
}

#[derive(Debug)]
struct Down {
    /// Failures without an answer in between.
    failures: u32,
    last: DateTime<Utc>,
    wait: TimeDelta,
    cause: String,
}

/// The source was not asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not asked: it failed {failures} times in a row, and is asked again at {again}; the last time: {cause}")]
pub(super) struct NotAsked {
    failures: u32,
    again: DateTime<Utc>,
    cause: String,
}

impl Backoff {
    pub(super) fn new(interval: TimeDelta, longest: TimeDelta) -> Self {
        Self { interval, longest, down: None }
    }

    /// The reason not to ask at this tick. A clock that was set back is no reason to wait for.
    pub(super) fn waits(&self, now: DateTime<Utc>) -> Option<NotAsked> {
        let down = self.down.as_ref()?;
        let again = down.last.checked_add_signed(down.wait)?;
        let cause = || down.cause.clone();
        (down.last <= now && now < again).then(|| NotAsked { failures: down.failures, again, cause: cause() })
    }

    pub(super) fn answered(&mut self) {
        self.down = None;
    }

    pub(super) fn failed(&mut self, now: DateTime<Utc>, cause: String) {
        let before = self.down.as_ref();
        let failures = before.map_or(0, |down| down.failures).saturating_add(1);
        let wait = before.map_or(self.interval, |down| (down.wait + down.wait).min(self.longest).max(self.interval));
        self.down = Some(Down { failures, last: now, wait, cause });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    #[test]
    fn a_source_that_stays_down_is_asked_after_one_interval_then_two_then_four_and_not_seldomer() {
        let mut backoff = Backoff::new(TimeDelta::minutes(1), TimeDelta::minutes(4));
        let mut asked = Vec::new();
        for minute in 0..16 {
            if backoff.waits(at(minute)).is_none() {
                asked.push(minute);
                backoff.failed(at(minute), "refused".into());
            }
        }
        assert_eq!(asked, [0, 1, 3, 7, 11, 15]);
        let why = backoff.waits(at(16)).map(|why| why.to_string()).unwrap_or_default();
        let told = "not asked: it failed 6 times in a row, and is asked again at 1970-01-01 00:19:00 UTC; the last time: refused";
        assert_eq!(why, told);
        backoff.answered();
        assert!(backoff.waits(at(16)).is_none());
        backoff.failed(at(17), "refused".into());
        assert!(backoff.waits(at(18)).is_none(), "an answer in between forgives");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_make_it_wait_for_the_old_time() {
        let mut backoff = Backoff::new(TimeDelta::minutes(1), TimeDelta::minutes(4));
        for minute in [100, 101, 103] {
            backoff.failed(at(minute), String::new());
        }
        assert!(backoff.waits(at(104)).is_some() && backoff.waits(at(102)).is_none());
    }

    #[test]
    fn an_interval_longer_than_the_longest_wait_is_kept_to() {
        let mut backoff = Backoff::new(TimeDelta::hours(1), TimeDelta::minutes(2));
        backoff.failed(at(0), String::new());
        backoff.failed(at(60), String::new());
        assert!(backoff.waits(at(120)).is_none());
    }
}
