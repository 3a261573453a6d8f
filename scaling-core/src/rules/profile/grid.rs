//! Load on an even grid, and what can be read off it.

use crate::{Observation, SignalKind};

/// Spacing of the grid, in seconds: the HPA's sync period, and the shortest sensible interval of metrics.
pub(super) const STEP_S: f64 = 15.0;
const STEP_MS: f64 = STEP_S * 1000.0;

// All in steps of the grid.
const MINUTE: usize = 4;
const QUARTER_HOUR: usize = 60;
const HALF_HOUR: usize = 120;
/// How far back a reading looks.
pub(super) const FAR_BACK: usize = 240;

pub(super) const READINGS: usize = 7;
/// What is read off the load at one moment.
pub(super) type Readings = [f64; READINGS];

/// A moment of the past: what could be read then, what came of it, and how much that matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lesson {
    pub(super) readings: Readings,
    pub(super) growth: f64,
    pub(super) weight: f64,
}

/// The last hour and a little, on the stack: what a decision looks at.
#[derive(Debug)]
pub(super) struct Recent {
    /// Newest first.
    rates: [f64; Self::STEPS],
}

impl Recent {
    const HELD_AT_MOST: usize = 15;
    const STEPS: usize = FAR_BACK + 1 + Self::HELD_AT_MOST;

    /// `None` without a request rate now.
    pub(super) fn of(observation: &Observation, held: usize) -> Option<Self> {
        debug_assert!(held <= Self::HELD_AT_MOST);
        let mut rates = [f64::NAN; Self::STEPS];
        observation.current.value(SignalKind::RequestRate)?;
        let mut walk = Walk::new(observation, observation.current.timestamp.timestamp_millis())?;
        let mut last = walk.newest();
        for place in rates.iter_mut().take(FAR_BACK + 1 + held) {
            // A past that is shorter is continued with its first value.
            last = walk.next().unwrap_or(last);
            *place = last;
        }
        Some(Self { rates })
    }

    /// The level `back` steps ago, and what could be read then.
    pub(super) fn readings(&self, back: usize, floor: f64) -> Option<(f64, Readings)> {
        let rates = self.rates.get(back..=back + FAR_BACK)?;
        let (now, before) = (*rates.first()?, *rates.get(1)?);
        let half_hour = rates.get(..HALF_HOUR)?;
        let moved: f64 =
            half_hour.iter().zip(rates.get(MINUTE..)?).map(|(later, earlier)| (later - earlier).abs()).sum();
        let quarter = largest(rates.get(..=QUARTER_HOUR)?);
        let facts = Facts {
            now,
            before,
            quarter,
            hour: quarter.max(largest(rates.get(QUARTER_HOUR..)?)),
            half_hour_sum: half_hour.iter().sum(),
            half_hour_moved: moved,
        };
        Some((now, facts.readings(floor)))
    }
}

/// The load over a long past.
#[derive(Debug)]
pub(super) struct Grid {
    /// Oldest first.
    rates: Vec<f64>,
}

impl Grid {
    /// `None` without a request rate now.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a number of days
    pub(super) fn past(observation: &Observation, until_ms: i64, seconds: f64) -> Option<Self> {
        let steps = (seconds / STEP_S) as usize + FAR_BACK;
        let mut rates: Vec<f64> = Walk::new(observation, until_ms)?.take(steps).collect();
        rates.reverse();
        Some(Self { rates })
    }

    pub(super) fn len(&self) -> usize {
        self.rates.len()
    }

    /// A lesson for every minute: what could be read, and the larger load of the two steps ahead.
    pub(super) fn lessons(&self, (near, far): (usize, usize), floor: f64) -> Vec<Lesson> {
        let rates = &self.rates;
        let quarter = sliding_max(rates, QUARTER_HOUR);
        let hour = sliding_max(rates, FAR_BACK);
        let sums = running(rates.iter().copied());
        let moved =
            running((0..rates.len()).map(|k| match (k.checked_sub(MINUTE).and_then(|j| rates.get(j)), rates.get(k)) {
                (Some(earlier), Some(later)) => (later - earlier).abs(),
                _ => 0.0,
            }));
        let busy = self.busy().max(floor);
        let last = rates.len().saturating_sub(far);
        let lesson = |k: usize| {
            let half_hour = |sums: &[f64]| Some(sums.get(k + 1)? - sums.get((k + 1).checked_sub(HALF_HOUR)?)?);
            let now = *rates.get(k)?;
            let facts = Facts {
                now,
                before: *rates.get(k.checked_sub(1)?)?,
                quarter: *quarter.get(k)?,
                hour: *hour.get(k)?,
                half_hour_sum: half_hour(&sums)?,
                half_hour_moved: half_hour(&moved)?,
            };
            let came = rates.get(k + near)?.max(*rates.get(k + far)?);
            Some(Lesson {
                readings: facts.readings(floor),
                growth: ((came + floor) / (now + floor)).ln(),
                // A miss hurts in proportion to the load it hits.
                weight: 0.3 + 3.0 * (now / busy).min(0.75),
            })
        };
        (FAR_BACK..last).rev().step_by(MINUTE).filter_map(lesson).collect()
    }

    /// The rate that was exceeded for a hundredth of the time.
    fn busy(&self) -> f64 {
        let mut sorted: Vec<f64> = self.rates.iter().step_by(MINUTE).copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len().saturating_sub(1) * 99 / 100).copied().unwrap_or(0.0)
    }
}

/// Numbers from which readings are made, however they were come by.
struct Facts {
    now: f64,
    before: f64,
    quarter: f64,
    hour: f64,
    half_hour_sum: f64,
    half_hour_moved: f64,
}

impl Facts {
    fn readings(&self, floor: f64) -> Readings {
        let level = self.now + floor;
        let slope = (level / (self.before + floor)).ln();
        let half_hour = self.half_hour_sum / HALF_HOUR as f64 + floor;
        [
            1.0,
            slope,
            slope.max(0.0),
            ((self.quarter + floor) / level).ln(),
            ((self.hour + floor) / level).ln(),
            self.half_hour_moved / HALF_HOUR as f64 / half_hour,
            1.0 / self.now.max(floor).sqrt(),
        ]
        .map(|reading| reading.clamp(-3.0, 3.0))
    }
}

/// Walks the grid from the newest sample back to the oldest, interpolating between samples that have a request rate.
struct Walk<'a> {
    times: &'a [i64],
    rates: &'a [f64],
    /// The samples that enclose the walk's place: instants in ms, and rates.
    later: (f64, f64),
    earlier: Option<(f64, f64)>,
    place: f64,
}

impl<'a> Walk<'a> {
    /// From the newest sample up to `until_ms` that has a rate.
    fn new(observation: &'a Observation, until_ms: i64) -> Option<Self> {
        let now_ms = observation.current.timestamp.timestamp_millis();
        let before = observation.history.before(now_ms.min(until_ms.saturating_add(1)));
        let mut walk = Self {
            times: before.times(),
            rates: before.column(SignalKind::RequestRate),
            later: (f64::NAN, f64::NAN),
            earlier: None,
            place: f64::NAN,
        };
        let current = observation.current.value(SignalKind::RequestRate).filter(|_| now_ms <= until_ms);
        walk.later = current.map(|rate| (now_ms as f64, rate)).or_else(|| walk.pull())?;
        walk.place = walk.later.0;
        walk.earlier = walk.pull();
        Some(walk)
    }

    fn newest(&self) -> f64 {
        self.later.1
    }

    /// The next older sample that has a rate.
    fn pull(&mut self) -> Option<(f64, f64)> {
        loop {
            let ((time, times), (rate, rates)) = (self.times.split_last()?, self.rates.split_last()?);
            (self.times, self.rates) = (times, rates);
            if !rate.is_nan() {
                return Some((*time as f64, *rate));
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        while let Some(earlier) = self.earlier.filter(|earlier| earlier.0 >= self.place) {
            self.later = earlier;
            self.earlier = self.pull();
        }
        let (time, rate) = self.later;
        let value = if time <= self.place {
            rate
        } else {
            let (before, from) = self.earlier?;
            from + (rate - from) * (self.place - before) / (time - before)
        };
        self.place -= STEP_MS;
        Some(value)
    }
}

/// The largest of numbers that are not negative, in lanes that the compiler can run side by side.
fn largest(values: &[f64]) -> f64 {
    let mut lanes = [0.0_f64; 8];
    for chunk in values.chunks(lanes.len()) {
        for (most, value) in lanes.iter_mut().zip(chunk) {
            *most = if *value > *most { *value } else { *most };
        }
    }
    lanes.into_iter().fold(0.0, f64::max)
}

/// For each place the largest of it and `back` places before.
fn sliding_max(values: &[f64], back: usize) -> Vec<f64> {
    // Places whose values fall: the first is the largest within reach.
    let mut falling: std::collections::VecDeque<(usize, f64)> = std::collections::VecDeque::new();
    let mut result = Vec::with_capacity(values.len());
    for (place, value) in values.iter().enumerate() {
        while falling.back().is_some_and(|(_, last)| last <= value) {
            falling.pop_back();
        }
        falling.push_back((place, *value));
        while falling.front().is_some_and(|(first, _)| first + back < place) {
            falling.pop_front();
        }
        result.extend(falling.front().map(|(_, largest)| *largest));
    }
    result
}

/// Running sums, from 0.
fn running(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sum = 0.0;
    std::iter::once(0.0)
        .chain(values.map(|value| {
            sum += value;
            sum
        }))
        .collect()
}
