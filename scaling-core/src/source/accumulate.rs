//! [`Accumulator`]: the newest sample is the present, and the one before it becomes history.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{MetricsHistory, ScalingMetrics};

/// Samples of history kept by default: 14 days of one each 15 s. A forecast looks for weekly patterns and needs two weeks.
pub const DEFAULT_LIMIT: usize = 80_640;

/// Time by which a sample may lie ahead of `now` by default: clocks of a cluster that agree to a minute count as right.
const TOLERANCE: TimeDelta = TimeDelta::seconds(60);

/// A sample that was not taken. Nothing was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The sample lies further ahead of `now` than the tolerance: one of the two clocks is wrong.
    #[error("sample of {got} is more than {} s ahead of {now}", tolerance.num_seconds())]
    Ahead {
        /// Instant of the sample.
        got: DateTime<Utc>,
        /// The instant at which it came.
        now: DateTime<Utc>,
        /// Time by which a sample may lie ahead.
        tolerance: TimeDelta,
    },
    /// A newer sample is there already. Decisions were made on that one, so the past is not rewritten.
    #[error("sample of {got} is older than the newest one of {newest}")]
    Late {
        /// Instant of the sample.
        got: DateTime<Utc>,
        /// Instant of the newest one.
        newest: DateTime<Utc>,
    },
    /// A sample of the same millisecond is there already.
    #[error("there is a sample of {got} already")]
    Duplicate {
        /// Instant of both.
        got: DateTime<Utc>,
    },
}

/// Counts of samples, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleCounts {
    /// Samples taken.
    pub taken: u64,
    /// Samples refused as [`SampleError::Ahead`].
    pub ahead: u64,
    /// Samples refused as [`SampleError::Late`].
    pub late: u64,
    /// Samples refused as [`SampleError::Duplicate`].
    pub duplicate: u64,
    /// Samples taken once and dropped when the clock turned out to have been ahead then.
    pub withdrawn: u64,
}

/// Samples of one workload as they come: the newest is the present, and those before it are a bounded history.
///
/// Time moves forward. A sample that is late or comes twice is refused with a typed error and [counted](Accumulator::counts); none is
/// lost without a word.
///
/// A wrong clock does no lasting harm, whichever way it jumps. A sample further ahead of `now` than the tolerance (default: 60 s) is
/// refused, and one within it is not shown before `now` has reached it. If samples were taken while the clock was ahead, the next
/// sample that agrees with the corrected clock withdraws them; they are counted.
///
/// ```
/// use scaling_core::ScalingMetrics;
/// use scaling_core::chrono::{DateTime, TimeDelta};
/// use scaling_core::source::Accumulator;
///
/// let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
/// let mut samples = Accumulator::new();
/// for second in [0, 15, 30] {
///     let at = start + TimeDelta::seconds(second);
///     samples.push(ScalingMetrics::new(at, 3), at)?;
/// }
/// let now = start + TimeDelta::seconds(31);
/// assert_eq!(samples.at(now).unwrap().timestamp, start + TimeDelta::seconds(30));
/// assert_eq!(samples.history().len(), 2);
///
/// let tomorrow = ScalingMetrics::new(now + TimeDelta::days(1), 3);
/// assert!(samples.push(tomorrow, now).is_err());
/// assert_eq!((samples.counts().taken, samples.counts().ahead), (3, 1));
/// # Ok::<(), scaling_core::source::SampleError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Accumulator {
    history: Arc<MetricsHistory>,
    /// The newest sample that `now` has reached.
    current: Option<ScalingMetrics>,
    /// Samples that it has not, oldest first.
    coming: VecDeque<ScalingMetrics>,
    tolerance: TimeDelta,
    counts: SampleCounts,
}

impl Default for Accumulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Accumulator {
    /// Creates an empty accumulator that keeps the newest [`DEFAULT_LIMIT`] samples at least, and at most twice as many.
    pub fn new() -> Self {
        Self::continuing(Arc::new(MetricsHistory::with_limit(DEFAULT_LIMIT)))
    }

    /// Creates an accumulator that goes on from a history, and keeps as much as that history's limit says.
    pub fn continuing(history: Arc<MetricsHistory>) -> Self {
        let (current, coming, counts) = (None, VecDeque::new(), SampleCounts::default());
        Self { history, current, coming, tolerance: TOLERANCE, counts }
    }

    /// Sets the time by which a sample may lie ahead of `now`. Default: 60 s.
    #[must_use]
    pub fn tolerating(mut self, tolerance: TimeDelta) -> Self {
        self.tolerance = tolerance.max(TimeDelta::zero());
        self
    }

    /// Takes a sample that came at `now`.
    ///
    /// # Errors
    /// [`SampleError`] if it lies too far ahead of `now`, or not after the newest one in milliseconds, in which history counts.
    pub fn push(&mut self, sample: ScalingMetrics, now: DateTime<Utc>) -> Result<(), SampleError> {
        let got = sample.timestamp;
        let latest = now.checked_add_signed(self.tolerance).unwrap_or(DateTime::<Utc>::MAX_UTC);
        if got > latest {
            self.counts.ahead += 1;
            return Err(SampleError::Ahead { got, now, tolerance: self.tolerance });
        }
        self.withdraw_after(latest);
        if let Some(newest) = self.newest() {
            if got.timestamp_millis() == newest.timestamp_millis() {
                self.counts.duplicate += 1;
                return Err(SampleError::Duplicate { got });
            }
            if got < newest {
                self.counts.late += 1;
                return Err(SampleError::Late { got, newest });
            }
        }
        self.counts.taken += 1;
        self.coming.push_back(sample);
        self.reach(now);
        Ok(())
    }

    /// Puts another sample of the same millisecond in the place of the present one: pod counts may be newer than the measurements
    /// beside them.
    ///
    /// # Errors
    /// [`SampleError::Late`] if the present sample is of another instant, or there is none.
    pub fn revise(&mut self, sample: ScalingMetrics) -> Result<(), SampleError> {
        match &mut self.current {
            Some(current) if current.timestamp.timestamp_millis() == sample.timestamp.timestamp_millis() => {
                *current = sample;
                Ok(())
            }
            _ => {
                self.counts.late += 1;
                let newest = self.newest().unwrap_or(sample.timestamp);
                Err(SampleError::Late { got: sample.timestamp, newest })
            }
        }
    }

    /// Puts samples of the past where history has none, and returns how many. What is known stays as it is, and so does the present.
    #[cfg(any(feature = "azure-monitor", feature = "cloudwatch", feature = "datadog"))]
    pub(super) fn fill(&mut self, past: Vec<ScalingMetrics>, limit: usize) -> usize {
        let mut samples: Vec<ScalingMetrics> = self.history.iter().collect();
        let known: std::collections::HashSet<i64> =
            samples.iter().map(|sample| sample.timestamp.timestamp_millis()).collect();
        let present = self.current.as_ref().or(self.coming.front()).map(|sample| sample.timestamp);
        let before = samples.len();
        samples.extend(past.into_iter().filter(|sample| {
            let is_past = present.is_none_or(|present| sample.timestamp < present);
            is_past && !known.contains(&sample.timestamp.timestamp_millis())
        }));
        let filled = samples.len() - before;
        if filled > 0 {
            self.history = Arc::new(MetricsHistory::from_unordered(samples).0.limited(limit));
            self.counts.taken += u64::try_from(filled).unwrap_or(u64::MAX);
        }
        filled
    }

    /// Ends the present without a sample to follow it: the present sample becomes history, and there is none until the next one, as
    /// in a gap.
    pub fn lapse(&mut self) {
        if let Some(past) = self.current.take() {
            self.keep(&past);
        }
    }

    /// Returns the newest sample at or before `now`, before which lies [`history`](Accumulator::history).
    ///
    /// `None` before the first sample, in a gap, and at an instant before one that was asked for already: the samples in between have
    /// become history.
    pub fn at(&mut self, now: DateTime<Utc>) -> Option<&ScalingMetrics> {
        self.reach(now);
        self.current.as_ref().filter(|current| current.timestamp <= now)
    }

    /// The samples before the present one.
    pub fn history(&self) -> &Arc<MetricsHistory> {
        &self.history
    }

    /// Instant of the newest sample taken, reached or not.
    pub fn newest(&self) -> Option<DateTime<Utc>> {
        let newest = self.coming.back().or(self.current.as_ref()).map(|sample| sample.timestamp);
        newest.or_else(|| self.history.newest())
    }

    /// Counts of the samples so far, by what became of them.
    pub fn counts(&self) -> SampleCounts {
        self.counts
    }

    /// Samples up to `now` take their turn as the present one.
    fn reach(&mut self, now: DateTime<Utc>) {
        while self.coming.front().is_some_and(|next| next.timestamp <= now) {
            let next = self.coming.pop_front();
            if let Some(past) = std::mem::replace(&mut self.current, next) {
                self.keep(&past);
            }
        }
    }

    fn keep(&mut self, past: &ScalingMetrics) {
        // `push` lets nothing in that is not newer.
        Arc::make_mut(&mut self.history).push(past).ok();
    }

    fn withdraw_after(&mut self, latest: DateTime<Utc>) {
        if self.newest().is_none_or(|newest| newest <= latest) {
            return;
        }
        let before = self.len();
        self.coming.retain(|sample| sample.timestamp <= latest);
        self.current.take_if(|current| current.timestamp > latest);
        if self.history.newest() > Some(latest) {
            Arc::make_mut(&mut self.history).truncate_after(latest);
        }
        self.counts.withdrawn += (before - self.len()) as u64;
    }

    fn len(&self) -> usize {
        self.history.len() + usize::from(self.current.is_some()) + self.coming.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn sample(seconds: i64) -> ScalingMetrics {
        ScalingMetrics::new(at(seconds), 3)
    }

    fn accumulated(seconds: impl IntoIterator<Item = i64>) -> Accumulator {
        let mut samples = Accumulator::new();
        seconds.into_iter().for_each(|second| samples.push(sample(second), at(second)).unwrap());
        samples
    }

    #[test]
    fn late_and_repeated_samples_are_refused_by_name_and_counted() {
        let mut samples = accumulated([0, 15, 30]);
        let got = at(15);
        assert_eq!(samples.push(sample(15), at(31)), Err(SampleError::Late { got, newest: at(30) }));
        assert_eq!(samples.push(sample(30), at(31)), Err(SampleError::Duplicate { got: at(30) }));
        let counts = SampleCounts { taken: 3, late: 1, duplicate: 1, ..SampleCounts::default() };
        assert_eq!((samples.counts(), samples.history().len()), (counts, 2));
    }

    #[test]
    fn a_sample_a_little_ahead_waits_for_its_time() {
        let mut samples = accumulated([0]);
        samples.push(sample(45), at(15)).unwrap();
        assert_eq!(samples.at(at(44)).map(|current| current.timestamp), Some(at(0)));
        assert_eq!(samples.history().len(), 0);
        assert_eq!(samples.at(at(45)).map(|current| current.timestamp), Some(at(45)));
        assert_eq!(samples.history().newest(), Some(at(0)));
        let ahead = samples.push(sample(200), at(100)).unwrap_err();
        assert!(ahead.to_string().ends_with("is more than 60 s ahead of 2023-11-14 22:15:00 UTC"), "{ahead}");
        let mut strict = accumulated([0]).tolerating(TimeDelta::zero());
        assert!(strict.push(sample(16), at(15)).is_err());
    }

    #[test]
    fn when_the_clock_was_ahead_for_a_while_the_first_right_sample_withdraws_the_wrong_ones() {
        let mut samples = accumulated([0, 15, 30, 3600, 3615, 3630]);
        samples.push(sample(45), at(45)).unwrap();
        assert_eq!(samples.at(at(45)).map(|current| current.timestamp), Some(at(45)));
        let seen: Vec<_> = samples.history().iter().map(|sample| sample.timestamp).collect();
        assert_eq!(seen, [0, 15, 30].map(at));
        assert_eq!((samples.counts().taken, samples.counts().withdrawn), (7, 3));
    }

    #[test]
    fn a_clock_that_is_behind_for_a_moment_costs_nothing() {
        let mut samples = accumulated([0, 15, 30]);
        // `now` says an hour ago; the sample says otherwise and is refused, and nothing else happens.
        assert!(matches!(samples.push(sample(45), at(-3600)), Err(SampleError::Ahead { .. })));
        assert!(samples.at(at(-3600)).is_none());
        samples.push(sample(60), at(60)).unwrap();
        assert_eq!((samples.history().len(), samples.counts().withdrawn), (3, 0));
    }

    #[test]
    fn in_a_gap_nothing_is_present_and_nothing_is_lost() {
        let mut samples = accumulated([0, 15]);
        samples.lapse();
        assert!(samples.at(at(30)).is_none());
        assert_eq!((samples.history().len(), samples.newest()), (2, Some(at(15))));
        assert!(samples.push(sample(15), at(30)).is_err() && samples.revise(sample(15)).is_err());
        samples.push(sample(45), at(45)).unwrap();
        samples.revise(ScalingMetrics::new(at(45), 9)).unwrap();
        assert_eq!(samples.at(at(45)).and_then(|current| current.current_pod_count), Some(9));
    }

    #[test]
    fn a_history_that_was_there_before_goes_on() {
        let (past, _) = MetricsHistory::from_unordered([0, 15, 30].map(sample).into());
        let mut samples = Accumulator::continuing(Arc::new(past));
        assert!(samples.at(at(30)).is_none());
        assert!(matches!(samples.push(sample(20), at(45)), Err(SampleError::Late { .. })));
        samples.push(sample(45), at(45)).unwrap();
        assert_eq!(samples.history().len(), 3);
    }

    proptest! {
        /// Whatever comes whenever: each sample is taken or counted, the past lies before the present and the present before now, and a
        /// sample of now is always taken soon after, so that no clock can stop a source.
        #[test]
        fn no_order_of_samples_and_no_clock_breaks_it(
            pushes in prop::collection::vec((-200_i64..400, prop_oneof![4 => 0_i64..400, 1 => -9000_i64..9000]), 1..40),
        ) {
            let mut samples = Accumulator::continuing(Arc::new(MetricsHistory::with_limit(5)));
            for (ahead, now) in &pushes {
                samples.push(sample(now + ahead), at(*now)).ok();
                let present = samples.at(at(*now)).map(|current| current.timestamp);
                prop_assert!(present.is_none_or(|present| present <= at(*now)));
                prop_assert!(samples.history().newest() < present.or(Some(DateTime::<Utc>::MAX_UTC)));
                prop_assert!(samples.history().len() < 10);
            }
            let counts = samples.counts();
            prop_assert_eq!(counts.taken + counts.ahead + counts.late + counts.duplicate, pushes.len() as u64);
            // The first may still be late, behind what the tolerance has let in; the next is not.
            let (_, now) = pushes.last().copied().unwrap_or_default();
            for second in [now, now + 61] {
                samples.push(sample(second), at(second)).ok();
            }
            prop_assert_eq!(samples.at(at(now + 61)).map(|current| current.timestamp), Some(at(now + 61)));
        }
    }
}
