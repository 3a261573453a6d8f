//! The compiler: the fewest windows that hold the pods that a history needed.
//!
//! 1. The need of every sample is sorted into dates and slots of the wall clock; a high quantile over the days is the profile
//!    of a day, one for all days or one each for weekdays and weekends (`profile`).
//! 2. Needs over a week become whole pods, wanted a lead before the load; on Monday 00:00 that is on Sunday evening.
//! 3. Floors that differ little become one, short dips are filled, short peaks widened: always upward, so that no slot gets
//!    less than it needs.
//! 4. The result is read as windows that lie on each other: a long low one with shorter, higher ones inside. One that lasts for
//!    more than a day becomes one for its whole days and one for each end.

mod cells;
mod config;
mod need;
mod profile;

use std::fmt;

use chrono::{NaiveTime, TimeDelta};
use scaling_core::{Confidence, InvalidSetting, MetricsHistory, ScalingMetrics};
use tracing::field::Empty;

pub use config::CompileConfig;
pub use need::{need_by_cpu, need_by_load};
pub use profile::Profile;

use crate::{Days, InvalidSchedule, Schedule, Window};
use cells::{CELL_MINUTES, Needs, Peak};
use profile::{Seen, span};

/// A history or a setting that no schedule can be made from.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// A setting cannot work.
    #[error(transparent)]
    Config(#[from] InvalidSetting),
    /// Less than a day was seen.
    #[error("the history spans {hours:.1} h; a schedule needs a day at least")]
    TooShort {
        /// Length of the history, in hours.
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

/// The need that a compiled window holds its pods for.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowReason {
    /// Name of the window.
    pub window: String,
    /// Largest need, in pods and not rounded, that it meets at its time or a lead ahead. Rounded up it is the floor of the
    /// window, or less than that by no more than the tolerance of the configuration. Higher needs inside it have windows of
    /// their own.
    pub peak_need: f64,
    /// Quantile over days and samples that was taken as the need.
    pub quantile: f64,
    /// Days' worth of samples behind it.
    pub days_seen: f64,
    /// Time before the load at which the pods are wanted.
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
    /// Trust in it: days seen against one more, less the spread between days. One day alone gives one half at most,
    /// three quarters need three days, and of a weekend as well as of the week if they differ.
    pub confidence: Confidence,
}

/// Compiles a history into the fewest windows that hold the pods it needed.
///
/// `need` returns the pods that one sample needed, not rounded; `None` where the sample does not tell. See [`need_by_cpu`] and
/// [`need_by_load`].
///
/// Weekdays and weekends get windows of their own where both were seen for a day at least and differ.
///
/// # Errors
/// [`CompileError`] if a setting cannot work, the history is shorter than a day, or a quarter of the day was never seen.
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta, Timelike};
/// use scaling_core::{MetricsHistory, ScalingMetrics, SignalKind};
/// use scaling_schedule::{CompileConfig, compile, need_by_load};
///
/// // A week of hourly rates with a peak from 09:00 to 17:00; one pod carries 100 requests per second.
/// let monday: DateTime<_> = "2026-11-16T00:00:00Z".parse()?;
/// let samples = (0..7 * 24).map(|hour| {
///     let at = monday + TimeDelta::hours(hour);
///     let rate = if (9..17).contains(&at.hour()) { 750.0 } else { 50.0 };
///     ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, rate)
/// });
/// let (history, _) = MetricsHistory::from_unordered(samples.collect());
///
/// let compiled = compile(&history, need_by_load(SignalKind::RequestRate, 100.0), &CompileConfig::default())?;
/// assert_eq!(
///     compiled.reasons[0].to_string(),
///     "daily 08:40-17:00: the 90 % quantile over 7.0 days is 7.50 pods at most, wanted 20 min ahead",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn compile(
    history: &MetricsHistory,
    need: impl Fn(&ScalingMetrics) -> Option<f64>,
    config: &CompileConfig,
) -> Result<CompiledSchedule, CompileError> {
    let (samples, time_zone) = (history.len(), config.time_zone.name());
    let span = tracing::info_span!(
        "generate_schedule",
        samples,
        time_zone,
        windows = Empty,
        confidence = Empty,
        otel.status_description = Empty,
    );
    let compiled = span.in_scope(|| generate(history, need, config));
    match &compiled {
        Ok(compiled) => {
            span.record("windows", compiled.reasons.len());
            span.record("confidence", compiled.confidence.value());
        }
        Err(error) => {
            span.record("otel.status_description", tracing::field::display(error));
        }
    }
    compiled
}

fn generate(
    history: &MetricsHistory,
    need: impl Fn(&ScalingMetrics) -> Option<f64>,
    config: &CompileConfig,
) -> Result<CompiledSchedule, CompileError> {
    config.validate()?;
    let spanned = span(history);
    if spanned < TimeDelta::days(1) {
        return Err(CompileError::TooShort { hours: spanned.num_seconds() as f64 / 3600.0 });
    }
    let clock = Schedule::new(config.time_zone, Vec::new())?;
    let span = tracing::info_span!("analyze_patterns", profiles = Empty, days_seen = Empty, covered_percent = Empty);
    let profiles = span.in_scope(|| {
        let seen = Seen::new(history, need, &clock, config.slot_minutes, config.quantile);
        classes(&seen, config)
    });
    let percent = profiles.iter().map(Profile::coverage).fold(1.0, f64::min) * 100.0;
    span.record("profiles", profiles.len());
    span.record("days_seen", profiles.iter().map(|profile| profile.days_seen).sum::<f64>());
    span.record("covered_percent", percent);
    drop(span);
    if percent < 75.0 {
        return Err(CompileError::TooSparse { percent });
    }

    let windows = windows(&profiles, config)?;
    let (windows, reasons) = windows.into_iter().unzip();
    let trust = |profile: &Profile| profile.days_seen / (profile.days_seen + 1.0) * (1.0 - profile.spread);
    let confidence = Confidence::new(profiles.iter().map(trust).fold(1.0, f64::min));
    Ok(CompiledSchedule { schedule: Schedule::new(config.time_zone, windows)?, reasons, profiles, confidence })
}

/// One profile for all days, or two where both kinds of day were seen and differ.
fn classes(seen: &Seen, config: &CompileConfig) -> Vec<Profile> {
    let profile = |days| seen.profile(days, config.quantile);
    let both = [Days::WEEKDAYS, Days::WEEKEND].map(profile);
    let known = both.iter().all(|profile| profile.days_seen >= 1.0 && profile.coverage() >= 0.75);
    let [weekdays, weekend] = &both;
    if known && !cells::alike(weekdays, weekend, config) { both.into() } else { vec![profile(Days::DAILY)] }
}

/// A window to be: parts of stretches that begin at the same time of day, last as long and have the same floor.
#[derive(Debug)]
struct Draft {
    days: Days,
    from: usize,
    length: usize,
    floor: u32,
    peak: Peak,
}

/// The windows of a week with these needs, each with its reason: low and long first, as one would tell it.
fn windows(profiles: &[Profile], config: &CompileConfig) -> Result<Vec<(Window, WindowReason)>, InvalidSchedule> {
    let needs = Needs::of(profiles, config.slot_minutes);
    let cells = needs.led(config.lead_cells()).simplified(config);
    let mut drafts: Vec<Draft> = Vec::new();
    for stretch in cells.stretches(config.outside) {
        // The peak is that of the whole stretch: a part of it may stand for nothing but a break that was filled.
        let peak = needs.peak(stretch, config);
        for part in stretch.parts(config.min_cells()).into_iter().filter(|part| cells.needs(*part)) {
            let (day, from) = part.start_of_day();
            let (days, length, floor) = (Days::of([day]), part.length, part.floor);
            let same = |draft: &&mut Draft| (draft.from, draft.length, draft.floor) == (from, length, floor);
            match drafts.iter_mut().find(same) {
                Some(draft) => {
                    draft.days = draft.days.union(days);
                    draft.peak.need = draft.peak.need.max(peak.need);
                    draft.peak.profiles.extend(&peak.profiles);
                }
                None => drafts.push(Draft { days, from, length, floor, peak: peak.clone() }),
            }
        }
    }
    drafts.sort_by_key(|draft| (draft.floor, draft.from, u8::MAX - draft.days.len(), draft.length));
    drafts.into_iter().map(|draft| draft.finish(profiles, config)).collect()
}

impl Draft {
    fn finish(
        mut self,
        profiles: &[Profile],
        config: &CompileConfig,
    ) -> Result<(Window, WindowReason), InvalidSchedule> {
        self.peak.profiles.sort_unstable();
        self.peak.profiles.dedup();
        let (from, to) = (clock_time(self.from), clock_time(self.from + self.length));
        let name = format!("{} {}-{}", self.days, from.format("%H:%M"), to.format("%H:%M"));
        let reason = WindowReason {
            window: name.clone(),
            peak_need: self.peak.need,
            quantile: config.quantile,
            days_seen: self.peak.profiles.iter().filter_map(|place| profiles.get(*place)).map(|p| p.days_seen).sum(),
            lead: config.lead_rounded(),
        };
        Ok((Window::new(name, self.days, from, to, self.floor)?, reason))
    }
}

fn clock_time(cell: usize) -> NaiveTime {
    let minutes = u32::try_from(cell).unwrap_or(0) * CELL_MINUTES % (24 * 60);
    NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0).unwrap_or_default()
}
