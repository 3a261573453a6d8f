//! Usual days: their peaks and lows, weekdays against weekend and each weekday.

use chrono::{Datelike, NaiveTime, Weekday};

use super::found::{Evidence, Lack, Stretch, UsualDay, Verdict, WeekdayLevel, WeekendContrast};
use super::grid::Grid;
use super::heat::HeatMap;
use super::level::{Levels, mean_of, medians, middle};
use super::proof::{self, Trials};
use crate::Days;

/// Share of the range of the usual day by which a peak must rise above the lows beside it.
const PROMINENT: f64 = 0.25;
/// Share by which it must lie above the mean of the day, or a low below.
const APART: f64 = 0.1;
/// Most stretches of one kind that are told of a day.
const MOST: usize = 6;
/// Sizes of two samples up to which ranks are counted exactly: their number of ways is a whole number that a float holds.
const EXACT_FEW: usize = 8;
const EXACT_MANY: usize = 60;
const WEEK: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

/// Weekdays against the weekend, tried on held-out days.
pub(super) fn weekend(grid: &Grid, levels: &Levels, weekend: Days, significance: f64) -> WeekendContrast {
    let is_weekend = |day: usize| grid.days.get(day).is_some_and(|day| weekend.contains(day.date.weekday()));
    let trials: Trials = proof::of_kinds(grid, &levels.relative, 2, |day| usize::from(is_weekend(day)));
    let level = |kind: bool| {
        let mut of: Vec<f64> = against_around(levels)
            .filter(|(day, level)| is_weekend(*day) == kind && !level.is_nan())
            .map(|(_, level)| level)
            .collect();
        (!of.is_empty()).then(|| middle(&mut of))
    };
    let ratio = level(true).zip(level(false)).map(|(weekend, other)| weekend / other).filter(|ratio| ratio.is_finite());
    WeekendContrast {
        ratio,
        verdict: trials.verdict(1, significance),
        strength: trials.strength(),
        evidence: trials.evidence(1, grid),
    }
}

/// Level of each day against the week around.
fn against_around(levels: &Levels) -> impl Iterator<Item = (usize, f64)> + '_ {
    levels.of_day.iter().zip(&levels.around).map(|(level, around)| level / around).enumerate()
}

/// Each weekday against the others, by the rank-sum test of Mann and Whitney (1947) in its normal approximation.
pub(super) fn weekdays(grid: &Grid, levels: &Levels, significance: f64) -> Vec<WeekdayLevel> {
    let day_of = |day: usize| grid.days.get(day).map_or(Weekday::Mon, |day| day.date.weekday());
    let all: Vec<(Weekday, f64)> =
        against_around(levels).filter(|(_, level)| !level.is_nan()).map(|(day, level)| (day_of(day), level)).collect();
    let of = |day| all.iter().filter(move |(weekday, _)| *weekday == day).map(|(_, level)| *level);
    let medians = WEEK.map(|day| middle(&mut of(day).collect::<Vec<_>>()));
    let mean = mean_of(&medians);
    let mut found = Vec::with_capacity(WEEK.len());
    for (day, level) in WEEK.into_iter().zip(medians) {
        let days_seen = u32::try_from(of(day).count()).unwrap_or(u32::MAX);
        let others = u32::try_from(all.len()).unwrap_or(u32::MAX).saturating_sub(days_seen);
        let ranks = RankSum::of(of(day), || all.iter().filter(|(weekday, _)| *weekday != day).map(|(_, level)| *level));
        let needed =
            (1..u32::MAX).find(|weeks| RankSum::extreme(*weeks, 6 * weeks) * 7.0 <= significance).unwrap_or(u32::MAX);
        let error_rate = (ranks.error_rate() * 7.0).min(1.0);
        let reachable = RankSum::extreme(days_seen, others) * 7.0 <= significance;
        let verdict = match (reachable, error_rate <= significance) {
            (false, _) => Verdict::CannotTell(Lack::Occurrences { have: days_seen, need: needed.max(days_seen + 1) }),
            (true, true) => Verdict::Proven,
            (true, false) => Verdict::NotShown,
        };
        found.push(WeekdayLevel {
            day,
            days_seen,
            level: Some(level / mean).filter(|level| level.is_finite()),
            verdict,
            evidence: (days_seen > 0 && others > 0).then(|| Evidence {
                trials: days_seen * others,
                successes: ranks.on_one_side(),
                error_rate,
                span: grid.span(),
            }),
        });
    }
    found
}

/// Pairs of two samples by which is larger.
struct RankSum {
    above: f64,
    pairs: f64,
    numbers: (f64, f64),
}

impl RankSum {
    fn of<I: Iterator<Item = f64>>(these: impl Iterator<Item = f64>, others: impl Fn() -> I) -> Self {
        let mut numbers = (0.0, others().count() as f64);
        let mut above = 0.0;
        for value in these {
            numbers.0 += 1.0;
            for other in others() {
                above += if value > other {
                    1.0
                } else if value < other {
                    0.0
                } else {
                    0.5
                };
            }
        }
        Self { above, pairs: numbers.0 * numbers.1, numbers }
    }

    fn deviation(&self) -> f64 {
        let (number, others) = self.numbers;
        (number * others * (number + others + 1.0) / 12.0).sqrt()
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a count
    fn on_one_side(&self) -> u32 {
        self.above.max(self.pairs - self.above).floor() as u32
    }

    /// Chance of as much on either side if they do not differ: by counting, where that is exact, or by a normal distribution.
    fn error_rate(&self) -> f64 {
        if self.pairs == 0.0 {
            return 1.0;
        }
        if let Some(exact) = self.exact() {
            return exact;
        }
        let apart = ((self.above - self.pairs / 2.0).abs() - 0.5).max(0.0) / self.deviation();
        super::normal_tails(apart)
    }

    /// Counts the ways to place the smaller sample among all: the coefficients of a Gaussian binomial, one factor a value.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most some thousands
    fn exact(&self) -> Option<f64> {
        let (few, many) = (self.numbers.0.min(self.numbers.1) as usize, self.numbers.0.max(self.numbers.1) as usize);
        if few > EXACT_FEW || many > EXACT_MANY {
            return None;
        }
        let pairs = few * many;
        let mut ways = vec![0.0; pairs + 1];
        *ways.first_mut()? = 1.0;
        for value in 1..=few {
            for (from, to) in (0..=pairs).rev().map(|from| (from, from + many + value)) {
                let less = ways.get(from).copied().unwrap_or(0.0);
                if let Some(way) = ways.get_mut(to) {
                    *way -= less;
                }
            }
            for to in value..=pairs {
                let more = ways.get(to - value).copied().unwrap_or(0.0);
                if let Some(way) = ways.get_mut(to) {
                    *way += more;
                }
            }
        }
        let tail: f64 = ways.iter().skip(self.on_one_side() as usize).sum();
        Some((2.0 * tail / ways.iter().sum::<f64>()).min(1.0))
    }

    /// The same if all of them lie on one side.
    fn extreme(number: u32, others: u32) -> f64 {
        let numbers = (f64::from(number), f64::from(others));
        let pairs = numbers.0 * numbers.1;
        Self { above: pairs, pairs, numbers }.error_rate()
    }
}

/// The usual day of all weekdays, or of weekdays and weekend where they differ; and the usual load of each slot by kind of day.
pub(super) struct Kinds {
    pub(super) days: Vec<Days>,
    pub(super) usual: Vec<Vec<f64>>,
}

impl Kinds {
    pub(super) fn of(grid: &Grid, levels: &Levels, weekend: Days, differ: bool) -> Self {
        if !differ {
            return Self { days: vec![Days::DAILY], usual: vec![levels.usual.clone()] };
        }
        let weekdays = Days::of(WEEK.into_iter().filter(|day| !weekend.contains(*day)));
        let days = vec![weekdays, weekend];
        let of =
            |days: &Days| medians(grid, |day| grid.days.get(day).is_some_and(|day| days.contains(day.date.weekday())));
        Self { usual: days.iter().map(of).collect(), days }
    }

    /// The kind of a weekday.
    pub(super) fn kind(&self, day: Weekday) -> usize {
        self.days.iter().position(|days| days.contains(day)).unwrap_or(0)
    }

    pub(super) fn usual(&self, day: Weekday) -> &[f64] {
        self.usual.get(self.kind(day)).map_or(&[], Vec::as_slice)
    }
}

pub(super) fn usual_days(grid: &Grid, kinds: &Kinds, is_proven: bool) -> Vec<UsualDay> {
    let mut all = Vec::new();
    for (days, usual) in kinds.days.iter().zip(&kinds.usual) {
        let such =
            || grid.full_days().filter(|day| grid.days.get(*day).is_some_and(|day| days.contains(day.date.weekday())));
        let mean = mean_of(usual);
        let stretches = |sign: f64| {
            let found = if is_proven && mean > 0.0 { stretches(usual, mean, sign) } else { Vec::new() };
            found.into_iter().map(|slots| tell(grid, usual, mean, slots, sign, such())).collect()
        };
        all.push(UsualDay {
            days: *days,
            days_seen: u32::try_from(such().count()).unwrap_or(u32::MAX),
            mean: if mean.is_nan() { 0.0 } else { mean * grid.unit },
            slots: usual.iter().map(|value| Some(value * grid.unit).filter(|value| !value.is_nan())).collect(),
            peaks: stretches(1.0),
            lows: stretches(-1.0),
        });
    }
    all
}

/// Stretches of high load (sign 1) or low load (−1), as first slot and length, the most extreme first.
///
/// A peak is a highest slot that rises above the lows on both sides by a quarter of the day's range, and a tenth above the mean. Its
/// stretch reaches as far as the load stays above the middle between it and the mean.
fn stretches(usual: &[f64], mean: f64, sign: f64) -> Vec<(usize, usize)> {
    let slots = usual.len();
    let smooth: Vec<f64> = (0..slots)
        .map(|slot| {
            let around =
                [slot + slots - 1, slot, slot + 1].map(|slot| usual.get(slot % slots).copied().unwrap_or(f64::NAN));
            sign * (mean_of(&around) / mean - 1.0)
        })
        .collect();
    let at = |slot: usize| smooth.get(slot % slots).copied().unwrap_or(f64::NAN);
    let known = || smooth.iter().copied().filter(|value| !value.is_nan());
    let range = known().fold(f64::NEG_INFINITY, f64::max) - known().fold(f64::INFINITY, f64::min);
    let mut order: Vec<usize> = (0..slots).filter(|slot| at(*slot) >= APART).collect();
    order.sort_by(|a, b| at(*b).total_cmp(&at(*a)).then(a.cmp(b)));
    let mut taken = vec![false; slots];
    let mut found = Vec::new();
    for top in order {
        if taken.get(top).copied().unwrap_or(true) {
            continue;
        }
        let height = at(top);
        // On both sides the load falls that much before it rises above this slot, or there is no higher slot.
        let falls = |step: &dyn Fn(usize) -> usize| {
            for away in 1..slots {
                let value = at(step(away));
                if value > height {
                    return false;
                }
                if value <= height - PROMINENT * range {
                    return true;
                }
            }
            false
        };
        let prominent = falls(&|away| top + away) && falls(&|away| top + slots - away);
        if !prominent {
            continue;
        }
        let reaches =
            |step: &dyn Fn(usize) -> usize| (1..slots).take_while(|away| at(step(*away)) >= height / 2.0).count();
        let (before, after) = (reaches(&|away| top + slots - away), reaches(&|away| top + away));
        let length = (before + after + 1).min(slots);
        let first = (top + slots - before) % slots;
        let overlaps = (0..length).any(|step| taken.get((first + step) % slots).copied().unwrap_or(true));
        for step in 0..length {
            if let Some(taken) = taken.get_mut((first + step) % slots) {
                *taken = true;
            }
        }
        if !overlaps {
            found.push((first, length));
        }
    }
    found.truncate(MOST);
    found
}

fn tell(
    grid: &Grid,
    usual: &[f64],
    mean: f64,
    (first, length): (usize, usize),
    sign: f64,
    days: impl Iterator<Item = usize>,
) -> Stretch {
    let slots = usual.len();
    let within = |values: &[f64]| -> Vec<(usize, f64)> {
        let values = (0..length).filter_map(|step| {
            let slot = (first + step) % slots;
            Some((slot, *values.get(slot)?))
        });
        values.filter(|(_, value)| !value.is_nan()).collect()
    };
    let level = |values: &[(usize, f64)]| values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64;
    let inside = within(usual);
    let (extreme_at, extreme) = inside
        .iter()
        .copied()
        .max_by(|a, b| (sign * a.1).total_cmp(&(sign * b.1)).then(b.0.cmp(&a.0)))
        .unwrap_or((first, mean));
    let (mut trials, mut successes) = (0, 0);
    for day in days {
        let row = grid.row(day);
        let here = within(row);
        if here.len() * 2 >= length {
            trials += 1;
            successes += u32::from(sign * (level(&here) - mean_of(row)) > 0.0);
        }
    }
    let time = |slot: usize| clock_time(grid, slot);
    Stretch {
        from: time(first),
        to: time(first + length),
        level: level(&inside) / mean,
        extreme: extreme / mean,
        extreme_at: time(extreme_at),
        evidence: Evidence {
            trials,
            successes,
            error_rate: proof::at_least(trials, successes, 0.5),
            span: grid.span(),
        },
    }
}

/// Start of a slot on the wall clock.
pub(super) fn clock_time(grid: &Grid, slot: usize) -> NaiveTime {
    let minutes = u32::try_from(slot % grid.per_day.max(1)).unwrap_or(0) * grid.slot_minutes;
    NaiveTime::from_hms_opt(minutes / 60 % 24, minutes % 60, 0).unwrap_or_default()
}

/// Usual load by hour and weekday.
pub(super) fn heat(grid: &Grid) -> HeatMap {
    let rows = WEEK.iter().map(|weekday| {
        let usual = medians(grid, |day| grid.days.get(day).is_some_and(|day| day.date.weekday() == *weekday));
        (0..24)
            .map(|hour| {
                // Of a slot longer than an hour, every hour has its load.
                let (from, to) = (hour * grid.per_day / 24, ((hour + 1) * grid.per_day).div_ceil(24));
                let mean = mean_of(usual.get(from..to.max(from + 1)).unwrap_or_default());
                Some(mean * grid.unit).filter(|mean| !mean.is_nan())
            })
            .collect()
    });
    HeatMap { rows: rows.collect() }
}
