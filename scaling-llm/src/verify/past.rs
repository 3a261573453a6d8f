//! The recent past as paths of load: how load went on from moments that resemble the present.

use std::collections::VecDeque;
use std::time::Duration;

use scaling_core::{Columns, Observation, SignalKind};

/// Samples further apart than this are not joined by a line: what the load did in between is not known.
const JOINED_MS: i64 = 600_000;

/// Of each stretch of this length the worst moments count: thousands of neighbours tell the same, and the rare burst must not be the one
/// that is skipped.
const STRETCH_S: f64 = 300.0;

/// Signal by which load is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadSignal {
    /// Requests per second.
    Rate,
    /// CPU that all pods use, in pods' worth.
    Cpu,
}

impl LoadSignal {
    fn value(self, columns: Columns<'_>, index: usize) -> f64 {
        let at = |column: &[f64]| column.get(index).copied().unwrap_or(f64::NAN);
        match self {
            Self::Rate => at(columns.column(SignalKind::RequestRate)),
            Self::Cpu => at(columns.column(SignalKind::CpuUtilization)) / 100.0 * at(columns.pods()),
        }
    }
}

/// Load over the recent past in steps of equal length; NaN where it is not known.
#[derive(Debug)]
pub(super) struct Past {
    load: Vec<f64>,
    step_s: f64,
}

impl Past {
    /// Reads the history of an observation, which ends with the present load.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a number of steps, from a length of at most a month
    pub(super) fn new(
        observation: &Observation,
        signal: LoadSignal,
        present: f64,
        length: Duration,
        step_s: f64,
    ) -> Self {
        let end_ms = observation.current.timestamp.timestamp_millis();
        let every_ms = ((step_s * 1000.0) as i64).max(1);
        let count = (length.as_secs_f64() / step_s) as u32;
        let begin_ms = end_ms.saturating_sub(every_ms.saturating_mul(i64::from(count)));
        let columns = observation.history.before(end_ms);
        let times = columns.times();
        // One sample before the beginning, for the line that leads into it.
        let first = times.partition_point(|time| *time < begin_ms).saturating_sub(1);
        let samples = (first..times.len()).filter_map(|index| Some((*times.get(index)?, signal.value(columns, index))));
        let known = samples.chain([(end_ms, present)]).filter(|(_, load)| load.is_finite());
        let mut load = vec![f64::NAN; count as usize + 1];
        let mut last: Option<(i64, f64)> = None;
        for (time, value) in known {
            let (from, start) = match last {
                Some((from, start)) if time.saturating_sub(from) <= JOINED_MS => (from, start),
                _ => (time, value),
            };
            // The steps after `from`, or at it where nothing leads here, up to this sample.
            let after = from.saturating_sub(begin_ms).max(0) / every_ms;
            let until = time.saturating_sub(begin_ms).max(0) / every_ms;
            for step in after..=until {
                let at = begin_ms.saturating_add(step.saturating_mul(every_ms));
                if at < from || at > time {
                    continue;
                }
                let share = if time > from { (at - from) as f64 / (time - from) as f64 } else { 1.0 };
                if let Some(place) = usize::try_from(step).ok().and_then(|step| load.get_mut(step)) {
                    *place = start + (value - start) * share;
                }
            }
            last = Some((time, value));
        }
        Self { load, step_s }
    }

    /// The moments whose load is within a factor of `level` and whose next `steps` steps are known: of each stretch the one after which
    /// load rose highest and the one after which it was highest in the mean, both counted from step `decided` on. Of equal ones the last
    /// counts, which shows most of what followed.
    pub(super) fn moments(&self, level: f64, likeness: f64, decided: usize, steps: usize) -> Vec<Stretch> {
        let (least, most) = (level / likeness, level * likeness);
        if !(least > 0.0 && most.is_finite()) {
            return Vec::new();
        }
        let mut stretches: Vec<Stretch> = Vec::new();
        // Indices of the window, their loads falling: the first is the largest.
        let mut falling: VecDeque<usize> = VecDeque::new();
        let (mut known_from, mut sum) = (0, 0.0);
        let length = steps.saturating_sub(decided).max(1);
        for (end, load) in self.load.iter().copied().enumerate() {
            if load.is_nan() {
                (known_from, sum) = (end + 1, 0.0);
                falling.clear();
                continue;
            }
            while falling.back().is_some_and(|index| self.at(*index) <= load) {
                falling.pop_back();
            }
            falling.push_back(end);
            sum += load;
            let gone = end.checked_sub(length).filter(|gone| *gone >= known_from);
            if let Some(gone) = gone {
                sum -= self.at(gone);
                while falling.front().is_some_and(|index| *index <= gone) {
                    falling.pop_front();
                }
            }
            let Some(start) = (end + 1).checked_sub(steps).filter(|start| *start >= known_from) else { continue };
            let from = self.at(start);
            if !(least..=most).contains(&from) {
                continue;
            }
            let growth = falling.front().map_or(1.0, |index| self.at(*index)) / from;
            let mean = sum / length as f64 / from;
            let nth = self.stretch(start);
            match stretches.last_mut().filter(|stretch| stretch.nth == nth) {
                Some(stretch) => {
                    if growth >= stretch.growth {
                        (stretch.highest, stretch.growth) = (start, growth);
                    }
                    if mean >= stretch.mean {
                        (stretch.fullest, stretch.mean) = (start, mean);
                    }
                }
                None => stretches.push(Stretch { nth, highest: start, growth, fullest: start, mean }),
            }
        }
        stretches
    }

    /// The load from a moment on, as multiples of the load of that moment.
    pub(super) fn path(&self, start: usize, steps: usize) -> impl Iterator<Item = f64> + Clone + '_ {
        let from = self.at(start);
        let path = self.load.get(start..).unwrap_or_default().iter();
        path.take(steps).map(move |load| load / from)
    }

    fn at(&self, index: usize) -> f64 {
        self.load.get(index).copied().unwrap_or(f64::NAN)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of a number of steps
    fn stretch(&self, step: usize) -> usize {
        (step as f64 * self.step_s / STRETCH_S) as usize
    }
}

/// Some minutes of the past with moments that resemble the present, the worst of which stand for all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    nth: usize,
    /// Moment after which load rose highest.
    highest: usize,
    /// Largest load of what followed over the load of the moment.
    pub(super) growth: f64,
    /// Moment after which load was highest in the mean.
    fullest: usize,
    mean: f64,
}

impl Stretch {
    /// The moments, each once.
    pub(super) fn moments(self) -> impl Iterator<Item = usize> {
        [self.highest].into_iter().chain(Some(self.fullest).filter(|fullest| *fullest != self.highest))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use scaling_core::chrono::DateTime;
    use scaling_core::{MetricsHistory, ScalingMetrics, Target};

    use super::*;

    /// The past of samples at some seconds; the last is the present.
    fn past(samples: &[(i64, f64)], length_s: u64) -> Past {
        let sample = |(second, rate): &(i64, f64)| {
            let at = DateTime::from_timestamp(*second, 0).unwrap();
            ScalingMetrics::new(at, 1).with(SignalKind::RequestRate, *rate)
        };
        let (now, before) = samples.split_last().unwrap();
        let (history, _) = MetricsHistory::from_unordered(before.iter().map(sample).collect());
        let observation = Observation::new(Target::deployment("shop", "web"), sample(now)).with_history(history);
        Past::new(&observation, LoadSignal::Rate, now.1, Duration::from_secs(length_s), 15.0)
    }

    #[test]
    fn samples_are_joined_by_lines_and_gaps_stay_gaps() {
        let seen = past(&[(0, 10.0), (60, 50.0), (1000, 7.0), (1015, 9.0)], 1015).load;
        // The steps lie 15 s apart, back from the present.
        assert_eq!(seen.len(), 68);
        assert!((seen.first().unwrap() - (10.0 + 40.0 * 10.0 / 60.0)).abs() < 1e-9, "{seen:?}");
        assert_eq!(seen.get(66..), Some([7.0, 9.0].as_slice()));
        assert!(seen.iter().skip(4).take(62).all(|load| load.is_nan()), "{seen:?}");
    }

    #[test]
    fn what_is_older_than_the_length_leads_in_and_no_more() {
        let seen = past(&[(0, 1.0), (300, 2.0), (600, 2.0), (630, 4.0)], 60).load;
        assert_eq!(seen, [2.0, 2.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn of_each_stretch_the_worst_moments_count() {
        // A burst of two steps in an hour of 100.
        let rate = |nth: i64| if (100..102).contains(&nth) { 180.0 } else { 100.0 };
        let samples: Vec<_> = (0..240).map(|nth| (nth * 15, rate(nth))).collect();
        let past = past(&samples, 3585);
        let stretches = past.moments(100.0, 2.0, 2, 8);
        assert_eq!(stretches.len(), 12);
        let worst = stretches.iter().max_by(|a, b| a.mean.total_cmp(&b.mean)).unwrap();
        let path: Vec<f64> = past.path(worst.fullest, 8).collect();
        assert_eq!(path.get(..4), Some([1.0, 1.0, 1.8, 1.8].as_slice()), "all of it, from the decision on");
        assert!(past.moments(500.0, 2.0, 2, 8).is_empty(), "nothing was like that");
        assert!(past.moments(100.0, 2.0, 2, 400).is_empty(), "no path is so long");
        assert!(past.moments(f64::NAN, 2.0, 2, 8).is_empty() && past.moments(0.0, 2.0, 2, 8).is_empty());
    }
}
