//! The past of a workload, made ready to be learnt from.

use chrono::{DateTime, Utc};
use scaling_core::{Observation, SignalKind, stats};

use super::features::{DAY, Features, HOUR, Track};
use super::forecaster::{ahead, declared_capacity, limited_ahead_ms, log_offset, offset_ms};
use super::quantile::QUANTILES;
use super::regression::{TrainingSample, dot};
use super::season::Seasons;
use super::series::{Points, STEP_MS};

/// Length of the past that is looked at: the training days, and a week before them for their seasons.
const PAST: usize = 14 * DAY;
/// Length of the past that trains: seven days, so that a weekend is among them.
const TRAINING: usize = 7 * DAY;
/// Steps from one training sample to the next. Odd, so that they meet samples of every minute at all their phases.
const SAMPLE_EVERY: usize = 3;
/// Steps after which a training sample counts half: the middle of the training days, so that a change of the pattern wins
/// after half a week.
const HALF_LIFE: f64 = 4.0 * DAY as f64;
/// Shortest past that is learnt from, beyond what a feature needs: two hours. Shorter ones hold too few independent moments for
/// twenty-six coefficients.
const LEARN_MIN: usize = 2 * HOUR;
/// Length of the past that corrects the coverage: a day, so that every hour of the day has its part.
const COVERAGE: usize = DAY;
/// Share of the spread of growth by which one miss moves a quantile, as in adaptive conformal inference. Larger steps would make the
/// constant follow the last hour.
const COVERAGE_STEP: f64 = 0.02;
/// Beginnings of short pasts are rounded to the longest of these times, in ms, of which the past holds at least
/// [`ROUNDED_OF`]: 2 h, 1 h, 30, 15 and 7½ minutes.
const ROUNDINGS_MS: [i64; 5] = [7_200_000, 3_600_000, 1_800_000, 900_000, 450_000];
/// At most a sixteenth of a short past is given up for a beginning that stays.
const ROUNDED_OF: i64 = 16;

/// The time that is learnt from, in ms since the epoch, both ends included.
///
/// It begins at a place that stays when the beginning of a history slides: fourteen days before its end, or, for a shorter
/// history, its beginning rounded up. So a history of limited length gives the same span, and with it the same answer, until its
/// beginning has slid over the next full two hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) from_ms: i64,
    pub(crate) until_ms: i64,
}

impl Span {
    /// `None` if nothing was seen until then.
    pub(crate) fn of(observation: &Observation, until: DateTime<Utc>) -> Option<Self> {
        let now_ms = observation.current.timestamp.timestamp_millis();
        let until_ms = until.timestamp_millis();
        let oldest_ms = observation.history.before(now_ms).times().first().copied().unwrap_or(now_ms);
        #[allow(clippy::cast_possible_truncation)] // two weeks
        let longest_ms = (PAST as f64 * STEP_MS) as i64;
        let seen_ms = until_ms.checked_sub(oldest_ms).filter(|seen| *seen >= 0)?;
        if seen_ms >= longest_ms {
            return Some(Self { from_ms: until_ms - longest_ms, until_ms });
        }
        let rounding = ROUNDINGS_MS.into_iter().find(|rounding| seen_ms / rounding >= ROUNDED_OF).unwrap_or(1);
        let short_of = (-oldest_ms).rem_euclid(rounding);
        Some(Self { from_ms: oldest_ms.saturating_add(short_of), until_ms })
    }
}

/// The past of a workload on an even grid, with what is derived from it.
#[derive(Debug)]
pub(crate) struct Past {
    /// In requests per second, oldest first.
    pub(crate) rates: Vec<f64>,
    pub(crate) track: Track,
    pub(super) seasons: Seasons,
    pub(super) log_offset: f64,
    pub(super) newest_ms: f64,
    pub(super) offset_ms: f64,
    pub(crate) ahead_ms: f64,
}

impl Past {
    /// `None` without a request rate, without a size of a pod, or if the past is too short.
    pub(crate) fn of(observation: &Observation, span: Span) -> Option<Self> {
        let log_offset = log_offset(pod_size(observation, span)?);
        let points = Points::of(observation, span.from_ms as f64, span.until_ms, log_offset);
        let newest_ms = points.newest()?;
        let offset_ms = offset_ms(&observation.facts);
        let ahead_ms = limited_ahead_ms(points.newest_sample()? + offset_ms - newest_ms);
        let ahead = ahead(ahead_ms);
        let rates = points.grid(newest_ms, PAST);
        if rates.len() < Track::look_back(ahead) + ahead.far + LEARN_MIN {
            return None;
        }
        let track = Track::new(&rates, log_offset, ahead);
        let seasons = Seasons::new(&track);
        Some(Self { rates, track, seasons, log_offset, newest_ms, offset_ms, ahead_ms })
    }

    /// Load that one pod carries, roughly, in requests per second.
    pub(crate) fn pod_size(&self) -> f64 {
        4.0 * self.log_offset
    }

    pub(super) fn features(&self, place: usize) -> Option<Features> {
        self.track.features(place, &self.seasons.at(place))
    }

    /// The places that have features, of the newest `steps` of those whose outcome is known.
    fn settled(&self, steps: usize) -> std::ops::Range<usize> {
        let end = self.track.len().saturating_sub(self.track.ahead.far);
        Track::look_back(self.track.ahead).max(end.saturating_sub(steps))..end
    }

    pub(super) fn training_samples(&self) -> Vec<TrainingSample> {
        let busy = self.busy().max(self.log_offset);
        let places = self.settled(TRAINING);
        let end = places.end;
        let sample = |place: usize| {
            let now = *self.rates.get(place)?;
            // A miss hurts in proportion to the load it hits; 0.3 keeps the quiet hours in the fit.
            let matters = 0.3 + 3.0 * (now / busy).min(0.75);
            Some(TrainingSample {
                features: self.features(place)?,
                growth: self.track.growth(place)?,
                weight: matters * (-((end - place) as f64) / HALF_LIFE).exp2(),
            })
        };
        places.rev().step_by(SAMPLE_EVERY).filter_map(sample).collect()
    }

    /// The rate that was exceeded for a hundredth of the time.
    fn busy(&self) -> f64 {
        let mut rates: Vec<f64> = self.rates.iter().step_by(SAMPLE_EVERY).copied().collect();
        stats::quantile(&mut rates, 0.99).unwrap_or(0.0)
    }

    /// Moves each constant as the newest day would have: up after a miss, down otherwise, so that it rests where misses are as
    /// frequent as they should be.
    pub(super) fn correct_coverage(&self, coefficients: &mut [Features; QUANTILES.len()], samples: &[TrainingSample]) {
        let spread = spread(samples);
        for place in self.settled(COVERAGE) {
            let (Some(features), Some(growth)) = (self.features(place), self.track.growth(place)) else { continue };
            for (coefficients, quantile) in coefficients.iter_mut().zip(QUANTILES) {
                let missed = growth > dot(coefficients, &features);
                coefficients[0] += COVERAGE_STEP * spread * if missed { quantile } else { quantile - 1.0 };
            }
        }
    }
}

/// The root of the mean square of growth.
fn spread(samples: &[TrainingSample]) -> f64 {
    let squares: f64 = samples.iter().map(|sample| sample.growth * sample.growth).sum();
    (squares / samples.len().max(1) as f64).sqrt()
}

/// Load that one pod carries, roughly, in requests per second: declared, or what pods have carried on average.
fn pod_size(observation: &Observation, span: Span) -> Option<f64> {
    declared_capacity(&observation.facts).or_else(|| {
        let now_ms = observation.current.timestamp.timestamp_millis();
        let before = observation.history.before(span.until_ms.min(now_ms));
        let first = before.times().partition_point(|time| *time < span.from_ms);
        let (mut load, mut pods) = (0.0, 0.0);
        for (rate, ready) in before.column(SignalKind::RequestRate).iter().zip(before.pods()).skip(first) {
            if rate.is_finite() && *ready >= 1.0 {
                load += rate;
                pods += ready;
            }
        }
        (load > 0.0).then(|| load / pods)
    })
}

#[cfg(test)]
mod tests {
    use scaling_core::chrono::TimeDelta;
    use scaling_core::{MetricsHistory, ScalingMetrics};

    use super::*;

    #[test]
    fn a_beginning_that_slides_moves_the_span_once_in_two_hours() {
        let until = DateTime::from_timestamp(1_700_006_400, 0).unwrap();
        for days in [1_i64, 3, 13, 20] {
            let mut spans: Vec<Span> = (0..480)
                .map(|tick| {
                    let now = until + TimeDelta::seconds(15 * tick);
                    let samples = [now - TimeDelta::days(days), now - TimeDelta::seconds(15)];
                    let (history, _) =
                        MetricsHistory::from_unordered(samples.map(|at| ScalingMetrics::new(at, 1)).into());
                    let observation =
                        Observation::new(scaling_core::Target::deployment("shop", "web"), ScalingMetrics::new(now, 1))
                            .with_history(history);
                    Span::of(&observation, until).unwrap()
                })
                .collect();
            let longest = spans.iter().map(|span| span.until_ms - span.from_ms).max();
            assert!(longest <= Some(14 * 86_400_000));
            spans.dedup();
            assert!(spans.len() <= 1 + usize::from(days < 14) * if days < 2 { 3 } else { 1 }, "{days} days: {spans:?}");
        }
    }
}
