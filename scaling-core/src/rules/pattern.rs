//! Patterns in the load: a trend, the hour of the day, the weekend, a declared event.

use chrono::{DateTime, TimeDelta, Utc};

use super::RuleConfig;
use super::assessment::millis;
use super::samples::Samples;
use crate::{Observation, PlannedEvent};

const TREND_BINS: usize = 12;
const DAY_S: i64 = 86_400;

/// Load rising steadily over the trend window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Last third over first third.
    pub growth: f64,
    /// Length of the history, in seconds.
    pub seconds: f64,
    /// Highest load seen.
    pub peak: f64,
}

/// Load following the hour of the day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DailyPattern {
    /// Highest hour over lowest hour.
    pub swing: f64,
    /// Days seen.
    pub days: f64,
    /// True if the present load is what this hour usually brings.
    pub explains_now: bool,
}

/// Patterns in the load that the history shows.
#[derive(Clone, Copy, Debug)]
pub struct Pattern<'a> {
    /// A steady rise.
    pub trend: Option<Trend>,
    /// A daily pattern.
    pub daily: Option<DailyPattern>,
    /// A weekend that is quieter than the week, or a history that has seen nothing but weekend.
    pub quiet_weekend: bool,
    /// True if load stayed level over the trend window; `None` without history.
    pub flat: Option<bool>,
    /// A declared event that is about to begin, under way, or just over.
    pub event: Option<&'a PlannedEvent>,
    /// Queue in the first third of the history; NaN if absent.
    pub(super) early_queue: f64,
}

impl<'a> Pattern<'a> {
    pub(super) fn new(samples: &Samples<'_>, observation: &'a Observation, config: &RuleConfig) -> Self {
        let event = event(observation, config);
        if samples.history_len() == 0 {
            return Self { trend: None, daily: None, quiet_weekend: false, flat: None, event, early_queue: f64::NAN };
        }
        let bins = Bins::of(samples, millis(config.trend_window));
        let offset = i64::from(observation.facts.utc_offset_seconds);
        let horizon = observation.facts.look_ahead().as_secs_f64();
        Self {
            trend: bins.as_ref().and_then(|bins| bins.trend(horizon, config)),
            daily: daily(samples, offset, config),
            quiet_weekend: quiet_weekend(samples, offset, config),
            flat: bins.as_ref().and_then(|bins| bins.flat(config)),
            event,
            early_queue: bins.as_ref().map_or(f64::NAN, |bins| bins.early_queue),
        }
    }
}

/// Mean load in equal slices of time: whatever the sampling interval, a trend looks the same.
#[derive(Debug)]
struct Bins {
    means: [f64; TREND_BINS],
    len: usize,
    seconds: f64,
    peak: f64,
    early_queue: f64,
}

impl Bins {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn of(samples: &Samples<'_>, window_ms: i64) -> Option<Self> {
        let first = samples.since(window_ms).next()?.at_ms;
        let last = samples.current().at_ms;
        let span = last.saturating_sub(first);
        if span <= 0 {
            return None;
        }
        let (mut sums, mut counts) = ([0.0; TREND_BINS], [0_u32; TREND_BINS]);
        let mut peak = 0.0_f64;
        let (mut queue, mut queued) = (0.0, 0.0);
        for sample in samples.since(window_ms) {
            let share = sample.at_ms.saturating_sub(first) as f64 / span as f64;
            if share < 0.34 && !sample.queue.is_nan() {
                queue += sample.queue;
                queued += 1.0;
            }
            let index = ((share * TREND_BINS as f64) as usize).min(TREND_BINS - 1);
            if let (false, Some(sum), Some(count)) = (sample.load.is_nan(), sums.get_mut(index), counts.get_mut(index))
            {
                *sum += sample.load;
                *count += 1;
                peak = peak.max(sample.load);
            }
        }
        let (mut means, mut len) = ([0.0; TREND_BINS], 0);
        for (sum, count) in sums.into_iter().zip(counts) {
            if count > 0
                && let Some(mean) = means.get_mut(len)
            {
                *mean = sum / f64::from(count);
                len += 1;
            }
        }
        Some(Self { means, len, seconds: span as f64 / 1000.0, peak, early_queue: queue / queued })
    }

    fn means(&self) -> &[f64] {
        self.means.get(..self.len).unwrap_or_default()
    }

    /// Mean of the last third over mean of the first.
    fn growth(&self) -> Option<f64> {
        let means = self.means();
        let third = means.len() / 3;
        if third == 0 {
            return None;
        }
        let first: f64 = means.iter().take(third).sum();
        let last: f64 = means.iter().rev().take(third).sum();
        (first > 0.0).then_some(last / first)
    }

    /// Kendall's rank correlation of load with time, −1 to 1.
    fn tau(&self) -> f64 {
        let means = self.means();
        let mut score = 0.0;
        for (index, earlier) in means.iter().enumerate() {
            for later in means.iter().skip(index + 1) {
                score += if later > earlier {
                    1.0
                } else if later < earlier {
                    -1.0
                } else {
                    0.0
                };
            }
        }
        let len = means.len() as f64;
        score / (len * (len - 1.0) / 2.0).max(1.0)
    }

    fn trend(&self, horizon_s: f64, config: &RuleConfig) -> Option<Trend> {
        let growth = self.growth()?;
        let steady = self.len >= 5 && growth >= config.trend_growth && self.tau() >= config.trend_tau;
        (steady && self.seconds >= config.trend_horizons * horizon_s).then_some(Trend {
            growth,
            seconds: self.seconds,
            peak: self.peak,
        })
    }

    fn flat(&self, config: &RuleConfig) -> Option<bool> {
        let growth = self.growth()?;
        Some(growth <= 1.0 + config.flat_load && growth >= 1.0 / (1.0 + config.flat_load))
    }
}

/// The daily pattern, if load follows the hour of the day.
///
/// With two days or more, the share of variance that the hour explains tells. With one day, a smooth swing is all the evidence
/// there can be: noise would go up and down many times.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn daily(samples: &Samples<'_>, offset_s: i64, config: &RuleConfig) -> Option<DailyPattern> {
    let first_ms = samples.iter().next()?.at_ms;
    let days = samples.current().at_ms.saturating_sub(first_ms) as f64 / 1000.0 / DAY_S as f64;
    if days < 20.0 / 24.0 {
        return None;
    }
    let hour_of = |at_ms: i64| ((at_ms.div_euclid(1000) + offset_s).rem_euclid(DAY_S) / 3600) as usize;
    let (mut sums, mut counts) = ([0.0_f64; 24], [0.0_f64; 24]);
    let (mut total, mut squares, mut number) = (0.0, 0.0, 0.0);
    for sample in samples.iter().filter(|sample| !sample.load.is_nan()) {
        let hour = hour_of(sample.at_ms);
        if let (Some(sum), Some(count)) = (sums.get_mut(hour), counts.get_mut(hour)) {
            *sum += sample.load;
            *count += 1.0;
        }
        total += sample.load;
        squares += sample.load * sample.load;
        number += 1.0;
    }
    let hours =
        || sums.iter().zip(&counts).filter(|(_, count)| **count > 0.0).map(|(sum, count)| (sum / count, *count));
    let (low, high, seen) = hours()
        .fold((f64::INFINITY, 0.0_f64, 0), |(low, high, seen), (mean, _)| (low.min(mean), high.max(mean), seen + 1));
    if seen < 12 || low <= 0.0 || high / low < config.daily_swing {
        return None;
    }
    let proven = if days >= 1.8 {
        let mean = total / number;
        let variance = squares / number - mean * mean;
        let between = hours().map(|(hour, count)| count * (hour - mean).powi(2)).sum::<f64>() / number;
        variance > 0.0 && between / variance >= config.daily_strength
    } else {
        let means = || hours().map(|(mean, _)| mean);
        let ups_and_downs: f64 = means().zip(means().skip(1)).map(|(a, b)| (b - a).abs()).sum();
        ups_and_downs <= 5.0 * (high - low)
    };
    let current = samples.current();
    let hour = hour_of(current.at_ms);
    let usual = sums.get(hour).zip(counts.get(hour)).map_or(f64::NAN, |(sum, count)| sum / count);
    proven.then_some(DailyPattern {
        swing: high / low,
        days,
        explains_now: current.load <= usual * 1.5 && current.load >= usual / 1.5,
    })
}

fn is_weekend(at_ms: i64, offset_s: i64) -> bool {
    // Day 0 of the epoch was a Thursday; 2 and 3 are Saturday and Sunday.
    matches!((at_ms.div_euclid(1000) + offset_s).div_euclid(DAY_S).rem_euclid(7), 2 | 3)
}

/// True if it is weekend and quieter than the week; or weekend, and hardly anything of a week was seen to compare it with.
fn quiet_weekend(samples: &Samples<'_>, offset_s: i64, config: &RuleConfig) -> bool {
    let now_ms = samples.current().at_ms;
    // A sample speaks of the time since the one before: one at midnight on Monday ends the weekend, it does not begin the week.
    let previous_ms = samples.recent(0, 2).nth(1).map_or(now_ms, |sample| sample.at_ms);
    let half_ms = (now_ms.saturating_sub(previous_ms) / 2).min(6 * 3_600_000);
    let weekend_at = |at_ms: i64| is_weekend(at_ms.saturating_sub(half_ms), offset_s);
    if !weekend_at(now_ms) {
        return false;
    }
    let (mut week, mut weekend) = ((0.0, 0.0), (0.0, 0.0));
    for sample in samples.iter().filter(|sample| !sample.load.is_nan()) {
        let part = if weekend_at(sample.at_ms) { &mut weekend } else { &mut week };
        part.0 += sample.load;
        part.1 += 1.0;
    }
    if week.1 < weekend.1 / 2.0 {
        week.1 + weekend.1 >= config.shrink_min_samples as f64
    } else {
        week.0 / week.1 >= config.trend_growth * weekend.0 / weekend.1
    }
}

/// The event with the largest factor that touches the present. It does so from its lead before the start until the shrink
/// window after the end: a load that goes away then went with the event.
fn event<'a>(observation: &'a Observation, config: &RuleConfig) -> Option<&'a PlannedEvent> {
    let now = observation.now;
    let lead = config.event_lead.max(observation.facts.look_ahead());
    let (lead, tail) = (delta(lead), delta(config.shrink_window));
    observation
        .events
        .iter()
        .filter(|event| now >= earlier(event.start(), lead) && now < later(event.end(), tail))
        .max_by(|a, b| is_open(a, now).cmp(&is_open(b, now)).then(a.factor().total_cmp(&b.factor())))
}

/// True if its pods are wanted: about to begin, or under way.
pub(super) fn is_open(event: &PlannedEvent, now: DateTime<Utc>) -> bool {
    now < event.end()
}

fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

fn earlier(at: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    at.checked_sub_signed(by).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

fn later(at: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
