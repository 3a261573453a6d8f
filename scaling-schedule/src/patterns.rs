//! Patterns of a load: what recurs, what grows, what stands out, each with its evidence, and what the data cannot tell.
//!
//! [`analyze`] sorts a load into dates and slots of the wall clock of any time zone, in one pass, and asks:
//!
//! | question | how it is answered |
//! | --- | --- |
//! | is there a day, a week? | each day, relative to the level of the week around it, is predicted from the days before it, with the period and without. If there were none, the error would fall on half of the days at most, so the number of days on which it fell has a known error rate (`proof`). Likewise weekdays against weekend |
//! | another period? | peaks of the correlation of what the day and the week leave with itself, each proven in the same way, at an error rate over all lags that were looked at |
//! | when is it high, when low? | stretches of the usual day (the median over the days) beyond the middle between its extreme and its mean; only where a period is proven |
//! | does a weekday differ? | rank-sum test of its days against the others, times seven |
//! | trend, or lasting shifts? | Kendall's test and Theil and Sen's line, or the split into levels with the largest difference; the better by Schwarz's criterion. Days that are like their neighbours count as fewer |
//! | spikes? | load further from the usual at its time than six standard deviations of what scatters there, and a third of the mean |
//! | events? | spikes and dips that came by a rule of dates (every Sunday, month end, third Tuesday) more often than chance allows, by how often the like comes on other dates |
//!
//! Dates that the host excludes, such as holidays, count for nothing. A day of 23 or 25 hours is a day: an hour that comes twice
//! counts in the same slots, one that is skipped was not seen.
//!
//! ```
//! use scaling_core::chrono::{DateTime, TimeDelta, Timelike};
//! use scaling_schedule::{AnalyzeConfig, Tz, analyze_values};
//!
//! let monday: DateTime<_> = "2026-11-02T00:00:00Z".parse()?;
//! let samples: Vec<_> = (0..14 * 24 * 4)
//!     .map(|quarter| {
//!         let at = monday + TimeDelta::minutes(15 * quarter);
//!         let busy = (8..16).contains(&at.hour()); // 9 to 17 in Berlin
//!         (at, if busy { 900.0 } else { 100.0 } + f64::from(at.minute()))
//!     })
//!     .collect();
//! let patterns = analyze_values(&samples, &AnalyzeConfig::in_zone(Tz::Europe__Berlin))?;
//! assert!(patterns.has_day() && !patterns.has_week());
//! let peak = &patterns.usual_days[0].peaks[0];
//! // From 09:15 to 16:45: an edge is told to a slot.
//! assert_eq!((peak.from.hour(), peak.to.hour()), (9, 16));
//! println!("{patterns}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bumps;
mod config;
mod course;
mod events;
mod found;
mod grid;
mod heat;
mod html;
mod level;
mod periods;
mod proof;
mod text;
mod usual;

pub use config::AnalyzeConfig;
pub use found::*;
pub use heat::HeatMap;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use scaling_core::{InvalidSetting, MetricsHistory, SignalKind};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use bumps::KindLevels;
use grid::Grid;
use level::Levels;
use periods::Known;
use usual::Kinds;

/// Days before the newest sample that are looked at: three years.
pub const MAX_DAYS: u32 = 1098;
/// Spikes that are told one by one.
pub const MAX_SPIKES: usize = 20;

/// The number that is the load of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Load {
    /// Requests per second.
    #[default]
    RequestRate,
    /// CPU that all pods use, in pods' requests: utilization × ready pods / 100. Utilization alone stays level while pods are added.
    CpuUsed,
    /// A signal as it is.
    Signal(SignalKind),
}

/// A load that no pattern can be looked for in.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnalyzeError {
    /// A setting cannot work.
    #[error(transparent)]
    Config(#[from] InvalidSetting),
    /// There is no sample that counts.
    #[error("no sample counts: {left_out}")]
    NoSamples {
        /// Those that do not, and why.
        left_out: LeftOut,
    },
}

/// Finds the patterns of a history's load.
///
/// # Errors
/// [`AnalyzeError`] if a setting cannot work, or no sample counts.
pub fn analyze(history: &MetricsHistory, load: Load, config: &AnalyzeConfig) -> Result<Patterns, AnalyzeError> {
    let columns = history.before(i64::MAX);
    let times = columns.times().iter().copied();
    let with_pods = |kind| times.clone().zip(columns.column(kind).iter().copied().zip(columns.pods().iter().copied()));
    let left_out = LeftOut::default();
    match load {
        Load::RequestRate => {
            of_samples(times.zip(columns.column(SignalKind::RequestRate).iter().copied()), left_out, config)
        }
        // Without pods there is nothing to measure.
        Load::CpuUsed => {
            let used = |(cpu, pods): (f64, f64)| if pods > 0.0 { cpu * pods / 100.0 } else { f64::NAN };
            let samples = with_pods(SignalKind::CpuUtilization).map(|(at, sample)| (at, used(sample)));
            of_samples(samples, left_out, config)
        }
        Load::Signal(kind) if kind.is_mean_over_pods() => {
            let measured = |(value, pods): (f64, f64)| if pods == 0.0 { f64::NAN } else { value };
            of_samples(with_pods(kind).map(|(at, sample)| (at, measured(sample))), left_out, config)
        }
        Load::Signal(kind) => of_samples(times.zip(columns.column(kind).iter().copied()), left_out, config),
    }
}

/// Finds the patterns of a column of values, in any order. Of two at the same instant, to the millisecond, the later in the list
/// counts. Values that are NaN, infinite or below 0 do not count, and are counted.
///
/// # Errors
/// [`AnalyzeError`] if a setting cannot work, or no sample counts.
pub fn analyze_values(samples: &[(DateTime<Utc>, f64)], config: &AnalyzeConfig) -> Result<Patterns, AnalyzeError> {
    let in_order = samples
        .windows(2)
        .all(|pair| matches!(pair, [(before, _), (after, _)] if before.timestamp_millis() < after.timestamp_millis()));
    let column = |samples: &[(DateTime<Utc>, f64)]| -> Vec<(i64, f64)> {
        samples.iter().map(|(at, value)| (at.timestamp_millis(), *value)).collect()
    };
    if in_order {
        return of_samples(
            samples.iter().map(|(at, value)| (at.timestamp_millis(), *value)),
            LeftOut::default(),
            config,
        );
    }
    let mut sorted = column(samples);
    // The sort is stable: of one instant the last is the last.
    sorted.sort_by_key(|(at_ms, _)| *at_ms);
    sorted.reverse();
    let before = sorted.len();
    sorted.dedup_by_key(|(at_ms, _)| *at_ms);
    let duplicates = u64::try_from(before - sorted.len()).unwrap_or(u64::MAX);
    of_samples(sorted.into_iter().rev(), LeftOut { duplicates, ..LeftOut::default() }, config)
}

fn of_samples(
    samples: impl DoubleEndedIterator<Item = (i64, f64)> + Clone,
    mut left_out: LeftOut,
    config: &AnalyzeConfig,
) -> Result<Patterns, AnalyzeError> {
    config.validate()?;
    let span = tracing::info_span!("analyze_patterns", time_zone = config.time_zone.name());
    let _in = span.enter();
    match Grid::new(samples, config, &mut left_out) {
        Some(grid) => Ok(of_grid(&grid, config)),
        None => Err(AnalyzeError::NoSamples { left_out }),
    }
}

fn of_grid(grid: &Grid, config: &AnalyzeConfig) -> Patterns {
    let significance = config.significance;
    let levels = Levels::of(grid);
    let known = Known::of(grid, &levels, significance);
    let periods = periods::periods(grid, &levels, &known, significance);
    let weekend = usual::weekend(grid, &levels, config.weekend, significance);
    let weekdays = usual::weekdays(grid, &levels, significance);
    let kinds = Kinds::of(grid, &levels, config.weekend, weekend.verdict.is_proven());
    let usual_days = usual::usual_days(grid, &kinds, known.has_day || known.has_week);

    let levels = KindLevels::of(grid, &kinds);
    let expected = bumps::expected(grid, &levels, &kinds);
    let (mut slots, days) = (bumps::of_slots(grid, &kinds, &expected), bumps::of_days(grid, &levels));
    let (mut events, explained) = events::recurring(grid, &days, true, significance, &BTreeSet::new());
    // What happens on a day that is an event as a whole is part of it.
    let of_days: BTreeSet<usize> =
        days.iter().zip(explained).filter(|(_, explained)| *explained).map(|(bump, _)| bump.day).collect();
    slots.retain(|bump| !of_days.contains(&bump.day));
    let (of_slots, explained) = events::recurring(grid, &slots, false, significance, &of_days);
    events.extend(of_slots);
    events.sort_by(|a, b| a.evidence.error_rate.total_cmp(&b.evidence.error_rate));
    let left = slots.iter().zip(explained).filter(|(_, explained)| !explained).map(|(bump, _)| bump);
    let longer = periods.iter().skip(1).filter(|period| period.verdict.is_proven());
    let longer: Vec<usize> = longer.map(|period| (period.minutes / grid.slot_minutes.max(1)) as usize).collect();
    let (spikes, spikes_in_all) = events::spikes(grid, left, &longer);

    let mut patterns = Patterns {
        time_zone: config.time_zone,
        significance,
        data: seen(grid),
        periods,
        usual_days,
        weekend,
        weekdays,
        course: course::course(grid, &levels, significance),
        spikes,
        spikes_in_all,
        events,
        heat: usual::heat(grid),
        untold: Vec::new(),
    };
    patterns.untold = untold(grid, &patterns);
    patterns
}

fn seen(grid: &Grid) -> DataSeen {
    let number = |days: usize| u32::try_from(days).unwrap_or(u32::MAX);
    let days = grid.days.iter().filter(|day| !day.excluded).count();
    let slots = grid.cells.iter().filter(|value| !value.is_nan()).count();
    DataSeen {
        span: grid.span(),
        days: number(days),
        full_days: number(grid.full_days().count()),
        samples: grid.samples,
        slot_minutes: grid.slot_minutes,
        coverage: slots as f64 / (days * grid.per_day).max(1) as f64,
        mean: level::mean_of(&grid.cells) * grid.unit,
        left_out: grid.left_out,
    }
}

/// What the data cannot tell.
fn untold(grid: &Grid, found: &Patterns) -> Vec<Untold> {
    let mut untold = Vec::new();
    let mut add = |question, verdict| {
        if let Verdict::CannotTell(lack) = verdict {
            untold.push(Untold { question, lack });
        }
    };
    for (question, period) in [Question::DailyPattern, Question::WeeklyPattern].into_iter().zip(&found.periods) {
        add(question, period.verdict);
    }
    add(Question::Weekend, found.weekend.verdict);
    // The weekday that lacks most stands for all.
    let lack = |verdict: Verdict| match verdict {
        Verdict::CannotTell(Lack::Occurrences { have, need }) => need.saturating_sub(have),
        _ => 0,
    };
    if let Some(weekday) = found.weekdays.iter().max_by_key(|weekday| lack(weekday.verdict)) {
        add(Question::Weekdays, weekday.verdict);
    }
    add(Question::Course, found.course.verdict);
    if grid.slot_minutes > 60 {
        add(Question::Spikes, Verdict::CannotTell(Lack::Resolution { slot_minutes: grid.slot_minutes }));
    }
    let times = |is: &dyn Fn(chrono::NaiveDate) -> bool| {
        u32::try_from(grid.full_days().filter(|day| grid.days.get(*day).is_some_and(|day| is(day.date))).count())
            .unwrap_or(u32::MAX)
    };
    let need = events::OCCURRENCES;
    let weeks = found.weekdays.iter().map(|weekday| weekday.days_seen).min().unwrap_or(0);
    let month_ends =
        times(&|date| chrono::Datelike::day(&date) == u32::from(chrono::Datelike::num_days_in_month(&date)));
    for (question, have) in [(Question::WeeklyEvents, weeks), (Question::MonthlyEvents, month_ends)] {
        if have < need {
            add(question, Verdict::CannotTell(Lack::Occurrences { have, need }));
        }
    }
    let years = found.data.days / 365;
    add(Question::YearlyPattern, Verdict::CannotTell(Lack::Occurrences { have: years, need: need.max(years + 1) }));
    untold
}

impl Patterns {
    /// True if a pattern of the day is proven.
    pub fn has_day(&self) -> bool {
        self.periods.first().is_some_and(|period| period.verdict.is_proven())
    }

    /// True if a pattern of the week is proven: each weekday as it is, or weekdays against weekend.
    pub fn has_week(&self) -> bool {
        self.weekend.verdict.is_proven() || self.periods.get(1).is_some_and(|period| period.verdict.is_proven())
    }
}

/// Chance of a standard normal value as far from 0 as this, on either side.
fn normal_tails(apart: f64) -> f64 {
    if apart.is_finite() { (2.0 * Normal::standard().sf(apart.abs())).min(1.0) } else { 0.0 }
}

/// The same of Student's distribution. Of what is no number nothing is shown.
fn student_tails(apart: f64, freedom: f64) -> f64 {
    if apart.is_nan() {
        return 1.0;
    }
    StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |student| (2.0 * student.sf(apart.abs())).min(1.0))
}
