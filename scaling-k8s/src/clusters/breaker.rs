//! [`Breaker`]: when a cluster is left alone, and for how long. Pure: time is an argument, in milliseconds.

use std::time::Duration;

use super::ClustersConfig;

/// Longest cause that is kept.
const LONGEST: usize = 500;

/// State of one cluster.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    asked: bool,
    failures: u32,
    /// How often the pause was doubled.
    doubled: u32,
    open_until: Option<i64>,
    why: String,
    /// Reason why the last answer was a no to whoever asks.
    denied: Option<String>,
}

/// A question that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) struct Pass {
    /// True for the one that tries whether a cluster is back.
    is_trial: bool,
}

/// State for those who watch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    Unasked,
    Up,
    Denied { why: String },
    Failing { failures: u32, why: String },
    Open { failures: u32, why: String, left: Duration },
}

impl Breaker {
    /// Lets a question pass, or tells for how long none does.
    pub(super) fn begin(&mut self, now_ms: i64, config: &ClustersConfig) -> Result<Pass, (u32, String, Duration)> {
        let Some(until) = self.open_until else { return Ok(Pass { is_trial: false }) };
        // An end that lies farther ahead than a pause was set by a clock that has jumped back since.
        let until = until.min(now_ms.saturating_add(self.pause(config)));
        self.open_until = Some(until);
        if now_ms < until {
            return Err((self.failures, self.why.clone(), left(until, now_ms)));
        }
        // Others are held back while this one is under way, and also if it is never told how it ended.
        self.open_until = Some(now_ms.saturating_add(self.pause(config)));
        Ok(Pass { is_trial: true })
    }

    /// Takes the end of a question that was let pass: none, or why it failed.
    pub(super) fn end(&mut self, pass: Pass, failure: Option<String>, now_ms: i64, config: &ClustersConfig) {
        let Some(why) = failure else {
            *self = Self { asked: true, ..Self::default() };
            return;
        };
        (self.asked, self.denied) = (true, None);
        self.failures = self.failures.saturating_add(1);
        self.why = why.chars().take(LONGEST).collect();
        if pass.is_trial {
            self.doubled = self.doubled.saturating_add(1);
        } else if self.open_until.is_some() || self.failures < config.failures {
            // Many that were under way together fail together: that is one failure of the cluster.
            return;
        }
        self.open_until = Some(now_ms.saturating_add(self.pause(config)));
    }

    /// Takes in that the question that ended last was answered, with a no to whoever asked. That is no reason to leave a cluster alone:
    /// another question may be allowed.
    pub(super) fn deny(&mut self, why: &str) {
        self.denied = Some(why.chars().take(LONGEST).collect());
    }

    pub(super) fn state(&self, now_ms: i64) -> State {
        let (failures, why) = (self.failures, self.why.clone());
        match self.open_until {
            Some(until) => State::Open { failures, why, left: left(until, now_ms) },
            None if failures > 0 => State::Failing { failures, why },
            None if self.denied.is_some() => State::Denied { why: self.denied.clone().unwrap_or_default() },
            None if self.asked => State::Up,
            None => State::Unasked,
        }
    }

    fn pause(&self, config: &ClustersConfig) -> i64 {
        let doubled = config.first_pause.saturating_mul(2_u32.saturating_pow(self.doubled));
        let pause = doubled.min(config.longest_pause.max(config.first_pause));
        i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)
    }
}

fn left(until: i64, now: i64) -> Duration {
    Duration::from_millis(u64::try_from(until.saturating_sub(now)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG: fn() -> ClustersConfig = ClustersConfig::default;

    #[test]
    fn the_pause_doubles_up_to_its_limit_and_one_success_ends_it() {
        let (mut breaker, config) = (Breaker::default(), CONFIG());
        assert_eq!(breaker.state(0), State::Unasked);
        for _ in 0..2 {
            let pass = breaker.begin(0, &config).unwrap();
            breaker.end(pass, Some("gone".into()), 0, &config);
        }
        let (mut now, mut pauses) = (0, Vec::new());
        for _ in 0..7 {
            let (_, why, left) = breaker.begin(now, &config).unwrap_err();
            assert_eq!(why, "gone");
            pauses.push(left.as_secs());
            now += i64::try_from(left.as_millis()).unwrap();
            let pass = breaker.begin(now, &config).unwrap();
            assert!(breaker.begin(now, &config).is_err(), "one trial at a time");
            breaker.end(pass, Some("gone".into()), now, &config);
        }
        assert_eq!(pauses, [15, 30, 60, 120, 240, 300, 300]);
        now += 300_000;
        let pass = breaker.begin(now, &config).unwrap();
        breaker.end(pass, None, now, &config);
        assert_eq!(breaker.state(now), State::Up);
        assert!(breaker.begin(now, &config).is_ok());
    }

    #[test]
    fn a_cluster_that_knows_nobody_is_not_up_and_is_still_asked() {
        let (mut breaker, config) = (Breaker::default(), CONFIG());
        for _ in 0..5 {
            let pass = breaker.begin(0, &config).unwrap();
            breaker.end(pass, None, 0, &config);
            breaker.deny("401");
        }
        assert_eq!(breaker.state(0), State::Denied { why: "401".into() });
        let pass = breaker.begin(0, &config).unwrap();
        breaker.end(pass, None, 0, &config);
        assert_eq!(breaker.state(0), State::Up);
    }

    #[test]
    fn many_that_fail_together_are_one_failure_and_a_trial_that_is_lost_is_followed_by_another() {
        let (mut breaker, config) = (Breaker::default(), CONFIG());
        let passes: Vec<_> = (0..50).map(|_| breaker.begin(0, &config).unwrap()).collect();
        for pass in passes {
            breaker.end(pass, Some("late".into()), 0, &config);
        }
        assert!(matches!(breaker.state(0), State::Open { failures: 50, left, .. } if left == config.first_pause));
        let _lost = breaker.begin(15_000, &config).unwrap();
        assert!(breaker.begin(29_999, &config).is_err());
        assert!(breaker.begin(30_000, &config).is_ok());
    }

    proptest! {
        /// However the clock jumps, a cluster is tried again within the longest pause of it.
        #[test]
        fn no_clock_keeps_a_cluster_out(steps in prop::collection::vec((-1_000_000_i64..1_000_000, any::<bool>()), 1..50)) {
            let (mut breaker, config) = (Breaker::default(), CONFIG());
            let mut now = 0;
            for (step, ok) in steps {
                now += step;
                if let Ok(pass) = breaker.begin(now, &config) {
                    breaker.end(pass, (!ok).then(String::new), now, &config);
                }
            }
            let _ = breaker.begin(now, &config);
            prop_assert!(breaker.begin(now + 300_000, &config).is_ok());
        }
    }
}
