//! Trying again: [`Retry`], its backoff, and `Retry-After`.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Attempts, and the time between them: exponential backoff with jitter.
///
/// The n-th wait lies between half and the whole of `initial` × 2ⁿ⁻¹, at most `max`. Half of it is random, so that a fleet that failed
/// together does not come back together. A longer `Retry-After` or `Retry-After-Ms` of the server is heeded; where it ends after the
/// deadline, the answer counts as final at once. One that is neither a number of at least 0 nor a date counts as absent.
///
/// Answers 429, 503 and failed connections are tried again always. 408, 425, 500, 502, 504, 529 (overloaded, as some services say it), broken connections and attempts without an
/// answer in time are tried again only if the request may have been carried out twice without harm
/// ([`HttpRequest::repeatable`](super::HttpRequest::repeatable)). A service that says more than its status does has a word in it through
/// [`HttpConfig::retry_if`](super::HttpConfig::retry_if).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all; 1 never tries again. Default 4.
    pub attempts: u32,
    /// First wait at most. Default 200 ms.
    pub initial: Duration,
    /// Longest wait. Default 5 s.
    pub max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 4, initial: Duration::from_millis(200), max: Duration::from_secs(5) }
    }
}

impl Retry {
    /// One attempt and no more.
    pub const NEVER: Self = Self { attempts: 1, initial: Duration::ZERO, max: Duration::ZERO };

    /// Returns the wait after the `attempt`-th attempt (from 1) failed, `random` being any number: `None` if it was the last, or if
    /// the wait would not end before the deadline, `left` from now.
    pub(super) fn wait(
        self,
        attempt: u32,
        retry_after: Option<Duration>,
        left: Duration,
        random: u64,
    ) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let longest = self.initial.saturating_mul(doubled).min(self.max);
        let share = (random >> 11) as f64 / (1_u64 << 53) as f64;
        let wait = longest.mul_f64(0.5 + 0.5 * share).max(retry_after.unwrap_or_default());
        (wait < left).then_some(wait)
    }
}

/// True for answers that say that nothing was done.
pub(super) fn refused(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// True for answers that a later attempt may change: the one list of them.
pub(super) fn passing(status: u16) -> bool {
    refused(status) || matches!(status, 408 | 425 | 500 | 502 | 504 | 529)
}

/// Reads `Retry-After`: seconds, some services write fractions, or a date, which is measured from the server's own `Date` where it says
/// one, so that clocks that differ do not matter.
pub(super) fn retry_after(value: &str, date: Option<&str>, now: DateTime<Utc>) -> Option<Duration> {
    if let Some(seconds) = decimal(value) {
        return Some(seconds);
    }
    let instant = |text: &str| DateTime::parse_from_rfc2822(text.trim()).ok().map(|at| at.with_timezone(&Utc));
    let from = date.and_then(instant).unwrap_or(now);
    Some((instant(value)? - from).to_std().unwrap_or_default())
}

/// Reads `Retry-After-Ms`: milliseconds, which is what some services send beside or instead of seconds.
pub(super) fn retry_after_ms(value: &str) -> Option<Duration> {
    Some(decimal(value)? / 1000)
}

/// Seconds as digits with at most one point between them: no sign, no exponent, no `inf`.
fn decimal(value: &str) -> Option<Duration> {
    let value = value.trim();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Too long a number for a duration is still a number: never.
    let seconds = || value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    (digits(whole) && digits(fraction)).then(|| seconds().unwrap_or(Duration::from_secs(u64::MAX)))
}

/// A sequence of numbers from a seed (splitmix64): jitter needs no more.
#[derive(Debug)]
pub(super) struct Jitter(std::sync::atomic::AtomicU64);

impl Jitter {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed.into())
    }

    pub(super) fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, std::sync::atomic::Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let read = |value, date| retry_after(value, date, now);
        assert_eq!(read(" 120 ", None), Some(Duration::from_secs(120)));
        assert_eq!(read("1.5", None), Some(Duration::from_millis(1500)));
        assert_eq!(
            [retry_after_ms("1500"), retry_after_ms("0.5")],
            [1_500_000, 500].map(Duration::from_micros).map(Some)
        );
        assert_eq!(read("Tue, 14 Nov 2023 22:14:20 GMT", None), Some(Duration::from_secs(60)));
        // The server's clock is an hour ahead of ours.
        let ahead = Some("Tue, 14 Nov 2023 23:13:20 GMT");
        assert_eq!(read("Tue, 14 Nov 2023 23:14:20 GMT", ahead), Some(Duration::from_secs(60)));
        assert_eq!(read("Tue, 14 Nov 2000 22:14:20 GMT", None), Some(Duration::ZERO));
        assert_eq!(read("99999999999999999999999", None), Some(Duration::from_secs(u64::MAX)));
        for nonsense in ["", "-5", "+5", "1.", ".5", "1.5.2", "1e3", "NaN", "inf", "0x10", "soon", "Tue, 99 Nov 2023"] {
            assert_eq!((read(nonsense, None), retry_after_ms(nonsense)), (None, None), "{nonsense}");
        }
    }

    #[test]
    fn what_is_tried_again_is_transient_and_nothing_else_but_401() {
        let transient = |status| {
            let (url, excerpt) = (String::new(), String::new());
            crate::http::HttpError::Status { url, status, excerpt, retry_after: None }.is_transient()
        };
        assert!((100..=599).all(|status| transient(status) == (status == 401 || passing(status))));
        assert!(passing(529) && !refused(529), "overloaded: whether anything was done is not said");
    }

    proptest! {
        #[test]
        fn a_wait_ends_before_the_deadline_and_is_never_shorter_than_what_the_server_asked(
            attempt in 1..100_u32, attempts in 0..100_u32, random: u64, asked in proptest::option::of(0..10_000_u64), left in 0..10_000_u64,
        ) {
            let retry = Retry { attempts, ..Retry::default() };
            let (asked, left) = (asked.map(Duration::from_secs), Duration::from_secs(left));
            match retry.wait(attempt, asked, left, random) {
                Some(wait) => {
                    prop_assert!(attempt < attempts && wait < left && wait >= asked.unwrap_or_default());
                    prop_assert!(wait <= retry.max.max(asked.unwrap_or_default()));
                }
                None => prop_assert!(attempt >= attempts || left <= retry.max || asked >= Some(left)),
            }
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_half_of_each_is_random() {
        let retry = Retry { attempts: 100, ..Retry::default() };
        let waits =
            |random| [1, 2, 3, 6, 99].map(|attempt| retry.wait(attempt, None, HOUR, random).unwrap().as_millis());
        assert_eq!(waits(0), [100, 200, 400, 2500, 2500]);
        assert_eq!(waits(u64::MAX), [200, 400, 800, 5000, 5000]);
        let jitter = Jitter::seeded(7);
        let [first, second, again] = [jitter.next(), jitter.next(), Jitter::seeded(7).next()];
        assert!(first != second && first == again);
    }
}
