//! From history to the fewest windows.
//!
//! 1. The need of every sample is sorted into dates and slots of the wall clock; a high quantile over the days is the profile
//!    of a day, one for all days or one each for weekdays and weekends ([`pattern`](crate::pattern)).
//! 2. Needs become whole pods, wanted a lead before the load.
//! 3. Floors that differ little become one, short dips are filled, short peaks widened: always upward, so that no slot gets
//!    less than it needs.
//! 4. What is left is read as windows that lie on each other: a long low one with shorter, higher ones inside.

mod cells;
mod config;

use std::fmt;

use chrono::{NaiveTime, TimeDelta};
use scaling_core::{Confidence, MetricsHistory, ScalingMetrics};

pub use config::{CompileConfig, InvalidCompileConfig};

use crate::pattern::{Calendar, Profile, span};
use crate::{Days, InvalidSchedule, Schedule, Window};
use cells::{CELL_MINUTES, Cells, Stretch};

/// Why no schedule can be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// A setting cannot work.
    #[error(transparent)]
    Config(#[from] InvalidCompileConfig),
    /// Less than a day was seen.
    #[error("the history spans {hours:.1} h; a schedule needs a day at least")]
    TooShort {
        /// What it spans.
        hours: f64,
    },
    /// Too much of the day was never seen.
    #[error("need is known for {percent:.0} % of the day; a schedule needs three quarters at least")]
    TooSparse {
        /// Percent of the day's slots seen.
        percent: f64,
    },
    /// The result is no schedule.
    #[error(transparent)]
    Schedule(#[from] InvalidSchedule),
}

/// Why a compiled window holds what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowReason {
    /// The window.
    pub window: String,
    /// The largest need that it meets, not rounded. Higher needs inside it have windows of their own.
    pub peak_need: f64,
    /// The quantile over days and samples that was taken as the need.
    pub quantile: f64,
    /// Days' worth of samples behind it.
    pub days_seen: f64,
    /// How long before the load the pods are wanted.
    pub lead: TimeDelta,
}

impl fmt::Display for WindowReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: the {:.0} % quantile over {:.1} days is {:.2} pods at most, wanted {} min ahead",
            self.window,
            self.quantile * 100.0,
            self.days_seen,
            self.peak_need,
            self.lead.num_minutes()
        )
    }
}

/// A schedule made from history, with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledSchedule {
    /// The schedule.
    pub schedule: Schedule,
    /// One for each window, in the same order.
    pub reasons: Vec<WindowReason>,
    /// The profiles it was made from: one for all days, or those of weekdays and weekends.
    pub profiles: Vec<Profile>,
    /// How far to trust it: days seen against one more, less the spread between days. One day alone gives one half at most,
    /// three quarters need three days, and of a weekend as well as of the week if they differ.
    pub confidence: Confidence,
}

/// The fewest windows that hold what the past needed.
///
/// `need` says how many pods one sample needed, not rounded; `None` where the sample does not tell. See
/// [`need_by_cpu`](crate::pattern::need_by_cpu) and [`need_by_load`](crate::pattern::need_by_load).
///
/// Weekdays and weekends get windows of their own where both were seen for a day at least and differ.
///
/// # Errors
/// [`CompileError`] if a setting cannot work, the history is shorter than a day, or a quarter of the day was never seen.
pub fn compile(
    history: &MetricsHistory,
    need: impl Fn(&ScalingMetrics) -> Option<f64>,
    config: &CompileConfig,
) -> Result<CompiledSchedule, CompileError> {
    config.validate()?;
    let seen = span(history);
    if seen < TimeDelta::days(1) {
        return Err(CompileError::TooShort { hours: seen.num_seconds() as f64 / 3600.0 });
    }
    let clock = Schedule::new(config.time_zone, Vec::new())?;
    let calendar = Calendar::new(history, need, &clock, config.slot_minutes, config.quantile);
    let profiles = classes(&calendar, config);
    let percent = profiles.iter().map(Profile::coverage).fold(1.0, f64::min) * 100.0;
    if percent < 75.0 {
        return Err(CompileError::TooSparse { percent });
    }

    let floors: Vec<Cells> = profiles.iter().map(|profile| Cells::of(profile, config.slot_minutes)).collect();
    // What may follow a day: itself where there is one class, either where there are two.
    let next = floors.iter().skip(1).fold(floors.first().cloned().unwrap_or_default(), Cells::max);
    let circular = profiles.len() == 1;
    let mut found: Vec<(Days, Stretch, f64)> = Vec::new();
    for (profile, floors) in profiles.iter().zip(&floors) {
        let stretches =
            floors.led(&next, config.lead_cells()).simplified(config, circular).stretches(config.outside, circular);
        for stretch in stretches {
            match found.iter_mut().find(|(_, same, _)| *same == stretch) {
                Some((days, _, days_seen)) => {
                    *days = days.union(profile.days);
                    *days_seen += profile.days_seen;
                }
                None => found.push((profile.days, stretch, profile.days_seen)),
            }
        }
    }
    finish(found, profiles, config)
}

/// One profile for all days, or two where both kinds of day were seen and differ.
fn classes(calendar: &Calendar, config: &CompileConfig) -> Vec<Profile> {
    let profile = |days| calendar.profile(days, config.quantile);
    let both = [Days::WEEKDAYS, Days::WEEKEND].map(profile);
    let seen = both.iter().all(|profile| profile.days_seen >= 1.0 && profile.coverage() >= 0.75);
    let [weekdays, weekend] = both.each_ref().map(|profile| Cells::of(profile, config.slot_minutes));
    if seen && !weekdays.alike(&weekend, config) { both.into() } else { vec![profile(Days::DAILY)] }
}

fn finish(
    mut found: Vec<(Days, Stretch, f64)>,
    profiles: Vec<Profile>,
    config: &CompileConfig,
) -> Result<CompiledSchedule, CompileError> {
    // Low and long first, as one would tell it.
    found.sort_by_key(|(days, stretch, _)| (stretch.floor, stretch.start, u8::MAX - days.len()));
    let (mut windows, mut reasons) = (Vec::new(), Vec::new());
    for (days, stretch, days_seen) in found {
        let (from, to) = (clock_time(stretch.start), clock_time(stretch.start + stretch.length));
        let name = format!("{days} {}-{}", from.format("%H:%M"), to.format("%H:%M"));
        // The load that the window is for starts a lead after it.
        let peak_need = profiles
            .iter()
            .filter(|profile| profile.days.iter().any(|day| days.contains(day)))
            .flat_map(|profile| stretch.needs(profile, config))
            .fold(0.0, f64::max);
        reasons.push(WindowReason {
            window: name.clone(),
            peak_need,
            quantile: config.quantile,
            days_seen,
            lead: config.lead_rounded(),
        });
        windows.push(Window::new(name, days, from, to, stretch.floor).map_err(InvalidSchedule::from)?);
    }
    let trust = |profile: &Profile| profile.days_seen / (profile.days_seen + 1.0) * (1.0 - profile.spread);
    let confidence = Confidence::new(profiles.iter().map(trust).fold(1.0, f64::min));
    Ok(CompiledSchedule { schedule: Schedule::new(config.time_zone, windows)?, reasons, profiles, confidence })
}

fn clock_time(cell: usize) -> NaiveTime {
    let minutes = u32::try_from(cell).unwrap_or(0) * CELL_MINUTES % (24 * 60);
    NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0).unwrap_or_default()
}
