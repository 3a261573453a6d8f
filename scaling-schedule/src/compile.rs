//! The compiler: the fewest windows that hold the pods that a history needed, if days that were held out prove that they do.
//!
//! 1. The need of every sample is sorted into dates and cells of the wall clock (`seen`). The largest needs of the same slot of other
//!    days, at a quantile over the days, are the profile of a day: one for all days, one each for weekdays and weekends, or one for each
//!    weekday (`profile`).
//! 2. Days that were held out choose among these, and choose the factor on the profile that leaves the wanted share of the requests above
//!    it: two origins, each judged by what came before it (`held_out`; the factor as in split conformal prediction).
//! 3. Needs over a week become whole pods, wanted a lead before the load; on Monday 00:00 that is on Sunday evening. Floors that differ
//!    little become one, short dips are filled, short peaks widened: always upward, so that no slot gets less (`cells`).
//! 4. The result is read as windows that lie on each other: a long low one with shorter, higher ones inside (`windows`). The number of
//!    windows follows from a curve of number against pod-hours.
//! 5. What is not proven is no schedule, with the reason and a draft for people to look at.

mod cells;
mod compiled;
mod confidence;
mod config;
mod expected;
mod held_out;
mod need;
mod profile;
mod reasons;
mod runs;
mod seen;
mod windows;
mod written;

use scaling_core::stats::whole_pods;
use scaling_core::{Confidence, InvalidSetting, MetricsHistory};
use tracing::field::Empty;

pub use compiled::{
    AnnouncedEvent, Compiled, CompiledSchedule, CurvePoint, HeldOut, NoSchedule, Unproven, WindowReason,
};
pub use confidence::WindowConfidence;
pub use config::CompileConfig;
pub use need::{Need, need_by_cpu, need_by_load};
pub use profile::Profile;

pub(crate) use cells::{CELL_MINUTES, Cells, DAY_CELLS};
pub(crate) use config::cells as cells_of;
pub(crate) use need::is_need;
pub(crate) use reasons::of_days;
pub(crate) use seen::span_ms as history_span_ms;
pub(crate) use windows::{first_cell_of_its_day, floors_of, holders, windows};

use crate::{Days, InvalidSchedule, Schedule};
use held_out::{Floors, Judged, Origin, Ratios, judge, led_week, origins, ready, sorted};
use profile::Sorted;
use seen::{Seen, span_ms};

/// Days that prove something: two to learn from, and two to judge by.
pub(crate) const LEAST_DAYS: usize = 4;
/// Days that tell whether days differ by the week: each weekday came twice.
const TWO_WEEKS: usize = 14;
/// Distance of a day from the median day, relative to it, up to which days are alike.
const ALIKE: f64 = 0.1;
/// Growth of the need in a week that windows made once do not hold for long.
const GROWTH: f64 = 0.03;
/// Quantiles over the days that are tried.
const QUANTILES: [f64; 3] = [0.5, 0.8, 1.0];
/// Shares of a floor by which lower ones are made one with it: each gives a number of windows.
const MERGES: [f64; 5] = [0.1, 0.2, 0.35, 0.6, 1.0];
/// Share of what the most windows save that fewer must keep.
const KEPT: f64 = 0.9;
/// What windows must save of the constant size.
const LEAST_SAVED: f64 = 0.05;
/// Share by which one part of the held-out days may violate more than what was wanted of all, and by which what may be expected of other
/// days may lie below what was held of these.
const DRIFT: f64 = 0.02;

/// A history or a setting that nothing can be said of.
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
    #[error("need is known for {percent:.0} % of the day{}; a schedule needs three quarters at least", without(*.excluded_days))]
    TooSparse {
        /// Percent of the day's time seen.
        percent: f64,
        /// Dates that were seen, too, and are excluded.
        excluded_days: usize,
    },
    /// The result is no schedule.
    #[error(transparent)]
    Schedule(#[from] InvalidSchedule),
}

/// Words for dates that were left out.
fn without(excluded_days: usize) -> String {
    if excluded_days > 0 { format!(" without the excluded dates ({excluded_days})") } else { String::new() }
}

/// Compiles a history into the fewest windows that hold the pods it needed, if they hold days that they were not made from.
///
/// `need` says the pods that one sample needed: [`need_by_cpu`] or [`need_by_load`]. The windows hold all of the need by themselves; for
/// windows that only help an HPA there is [`compile_over_hpa`](crate::compile_over_hpa).
///
/// Kinds of days get windows of their own where held-out days say that this costs less.
///
/// # Errors
/// [`CompileError`] if a setting cannot work, the history is shorter than a day, or a quarter of the day was never seen.
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta, Timelike};
/// use scaling_core::{MetricsHistory, ScalingMetrics, SignalKind};
/// use scaling_schedule::{CompileConfig, Unproven, compile, need_by_load};
///
/// // Some days of hourly rates with a peak from 09:00 to 17:00; one pod carries 100 requests per second.
/// let monday: DateTime<_> = "2026-11-16T00:00:00Z".parse()?;
/// let history = |days: i64| {
///     let samples = (0..days * 24).map(|hour| {
///         let at = monday + TimeDelta::hours(hour);
///         let rate = if (9..17).contains(&at.hour()) { 750.0 } else { 50.0 };
///         ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, rate)
///     });
///     MetricsHistory::from_unordered(samples.collect()).0
/// };
///
/// let need = need_by_load(SignalKind::RequestRate, 100.0);
/// let compiled = compile(&history(7), &need, &CompileConfig::default())?;
/// let schedule = compiled.schedule().ok_or("not proven")?;
/// assert_eq!(schedule.reasons[0].window, "daily 08:40-17:00");
/// assert_eq!((schedule.reasons[0].pods, schedule.reasons[0].coverage), (8, Some(1.0)));
///
/// // One day says nothing of the next.
/// let compiled = compile(&history(1), &need, &CompileConfig::default())?;
/// assert_eq!(compiled.why_not(), Some(&Unproven::TooFewDays { days: 1, least: 4 }));
/// assert_eq!(compiled.draft().schedule, schedule.schedule);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn compile(history: &MetricsHistory, need: &Need, config: &CompileConfig) -> Result<Compiled, CompileError> {
    let (samples, time_zone) = (history.len(), config.time_zone.name());
    let span = tracing::info_span!(
        "generate_schedule",
        samples,
        time_zone,
        windows = Empty,
        confidence = Empty,
        otel.status_description = Empty,
    );
    let compiled = span.in_scope(|| generate(history, *need, config));
    match &compiled {
        Ok(compiled) => {
            span.record("windows", compiled.schedule().map_or(0, |compiled| compiled.reasons.len()));
            span.record("confidence", compiled.draft().confidence.value());
        }
        Err(error) => {
            span.record("otel.status_description", tracing::field::display(error));
        }
    }
    compiled
}

fn generate(history: &MetricsHistory, need: Need, config: &CompileConfig) -> Result<Compiled, CompileError> {
    config.validate()?;
    need.validate()?;
    let hours = span_ms(history) as f64 / 3_600_000.0;
    if hours < 24.0 {
        return Err(CompileError::TooShort { hours });
    }
    let span = tracing::info_span!("analyze_patterns", profiles = Empty, days_seen = Empty, covered_percent = Empty);
    let seen = span.in_scope(|| Seen::new(history, need, config.time_zone, &config.excluded));
    let percent = seen.coverage(Days::DAILY) * 100.0;
    span.record("days_seen", seen.days_seen(Days::DAILY));
    span.record("covered_percent", percent);
    if percent < 75.0 {
        return Err(CompileError::TooSparse { percent, excluded_days: seen.excluded_days });
    }
    let choice = Choice::made(&seen, config);
    span.record("profiles", choice.kinds.len());
    drop(span);
    Finished::new(&seen, config, &choice)?.answer(&seen, config, &choice)
}

/// Settings that held-out days have chosen.
#[derive(Debug)]
struct Choice {
    kinds: Vec<Days>,
    quantile: f64,
    factor: f64,
    origins: Vec<Origin>,
    /// Share that no factor brings down to what was wanted.
    not_held: Option<f64>,
    /// Of each origin, and of all days: the needs of a week.
    weeks: Vec<Vec<f64>>,
    week: Vec<f64>,
    sorted: Vec<Sorted>,
}

impl Choice {
    /// The cheapest kinds of days, quantile and factor that leave the wanted share above them.
    fn made(seen: &Seen, config: &CompileConfig) -> Self {
        let (days, lead) = (full_days(seen), config.lead_cells());
        let origins = origins(days, LEAST_DAYS);
        let mut best: Option<(f64, Self)> = None;
        let mut unheld: Option<f64> = None;
        for kinds in kinds(seen, &origins) {
            let learnt: Vec<Vec<Sorted>> =
                origins.iter().map(|origin| sorted(seen, origin.learn, &kinds, config.slot_minutes)).collect();
            for quantile in QUANTILES {
                let mut weeks: Vec<Vec<f64>> = Vec::with_capacity(origins.len());
                let mut ratios = Ratios::new();
                for (origin, sorted) in origins.iter().zip(&learnt) {
                    let profiles = profiles(sorted, quantile);
                    let week = led_week(&profiles, lead);
                    // No dip between slots is shorter than a lead that is shorter than a slot: what is needed is what is ready.
                    let is_short = lead < config.slot_minutes.div_ceil(CELL_MINUTES) as usize;
                    let held = if is_short { led_week(&profiles, 0) } else { ready(&week, lead) };
                    ratios.add(seen, *origin, &held);
                    weeks.push(week);
                }
                match ratios.factor(config.violating_share) {
                    Ok(factor) => {
                        let pods: f64 = weeks.iter().map(|week| pods_of(week, factor)).sum();
                        // Of equal cost the fewer kinds of days, and more of the days behind each.
                        if !origins.is_empty() && best.as_ref().is_none_or(|(cost, _)| pods < cost * 0.98) {
                            let choice = Self::of(kinds.clone(), quantile, factor, &origins, weeks);
                            best = Some((pods, choice));
                        }
                    }
                    Err(share) => unheld = Some(unheld.map_or(share, |least: f64| least.min(share))),
                }
            }
        }
        let mut choice = best.map_or_else(
            || {
                let all = vec![Days::DAILY];
                let weeks = origins
                    .iter()
                    .map(|origin| week(&sorted(seen, origin.learn, &all, config.slot_minutes), 1.0, lead));
                let weeks = weeks.collect();
                Self { not_held: unheld.filter(|_| !origins.is_empty()), ..Self::of(all, 1.0, 1.0, &origins, weeks) }
            },
            |(_, choice)| choice,
        );
        choice.sorted = sorted(seen, seen.days.len(), &choice.kinds, config.slot_minutes);
        choice.week = week(&choice.sorted, choice.quantile, lead);
        choice
    }

    fn of(kinds: Vec<Days>, quantile: f64, factor: f64, origins: &[Origin], weeks: Vec<Vec<f64>>) -> Self {
        let origins = origins.to_vec();
        Self { kinds, quantile, factor, origins, not_held: None, weeks, week: Vec::new(), sorted: Vec::new() }
    }

    /// Floors of a week of needs, not simplified.
    fn floors(&self, week: &[f64]) -> Cells {
        let mut floors = Vec::with_capacity(week.len());
        for needs in week.chunk_by(|a, b| a.to_bits() == b.to_bits()) {
            let floor = needs.first().map_or(0, |need| whole_pods(need * self.factor));
            floors.extend(std::iter::repeat_n(floor, needs.len()));
        }
        Cells::new(floors)
    }
}

/// Whole pods of the needs of a week, summed. Needs of one slot are one run.
fn pods_of(week: &[f64], factor: f64) -> f64 {
    let of_run = |needs: &[f64]| needs.first().map_or(0.0, |need| f64::from(whole_pods(need * factor)));
    week.chunk_by(|a, b| a.to_bits() == b.to_bits()).map(|needs| of_run(needs) * needs.len() as f64).sum()
}

fn week(sorted: &[Sorted], quantile: f64, lead: usize) -> Vec<f64> {
    led_week(&profiles(sorted, quantile), lead)
}

fn profiles(sorted: &[Sorted], quantile: f64) -> Vec<(Days, Vec<f64>)> {
    sorted.iter().map(|sorted| (sorted.days(), sorted.filled(quantile))).collect()
}

/// Days up to the last that was seen for more than an instant.
fn full_days(seen: &Seen) -> usize {
    let much = |day: &seen::Day| day.cells.iter().filter(|cell| cell.is_seen()).count() * 4 >= DAY_CELLS;
    let full = seen.days.iter().filter(|day| much(day)).count();
    // Days that were hardly seen are learnt from and judged like others, but prove nothing.
    if full < LEAST_DAYS { full } else { seen.days.len() }
}

/// Kinds of days that can be told apart: each was seen for two days before anything is judged.
fn kinds(seen: &Seen, origins: &[Origin]) -> Vec<Vec<Days>> {
    let learnt = origins.first().map_or(0, |origin| origin.learn);
    let each: Vec<Days> = Days::DAILY.iter().map(|day| Days::of([day])).collect();
    let known = |days: &Days| seen.days.iter().take(learnt).filter(|day| days.contains(day.weekday)).count() >= 2;
    let mut kinds = vec![vec![Days::DAILY], vec![Days::WEEKDAYS, Days::WEEKEND], each];
    kinds.retain(|kinds| kinds.len() == 1 || kinds.iter().all(known));
    kinds
}

/// The windows, and the choice of their number.
struct Finished {
    /// Of each origin: the floors that were judged.
    judged_by: Vec<Cells>,
    judged: Vec<Judged>,
    curve: Vec<CurvePoint>,
    windows: Vec<crate::Window>,
    constant: u32,
}

impl Finished {
    fn new(seen: &Seen, config: &CompileConfig, choice: &Choice) -> Result<Self, InvalidSchedule> {
        let (shortest, outside) = (config.min_cells(), config.outside);
        let constant = constant_size(seen, choice, config);
        let mut options: Vec<(CurvePoint, Self)> = Vec::new();
        let (whole_week, weeks) =
            (choice.floors(&choice.week), choice.weeks.iter().map(|week| choice.floors(week)).collect::<Vec<_>>());
        let mut before = None;
        for merge in MERGES {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of a number of pods
            let tolerance = |floor: u32| ((f64::from(floor) * merge) as u32).max(1);
            let cells = whole_week.simplified(shortest, tolerance);
            if before.as_ref() == Some(&cells) {
                continue;
            }
            let windows = windows(&cells, outside, shortest)?;
            let pod_hours_a_week = pod_hours(&cells, outside);
            before = Some(cells);
            if options.iter().any(|(point, _)| point.windows <= windows.len()) {
                continue;
            }
            let judged_by: Vec<Cells> = weeks.iter().map(|week| week.simplified(shortest, tolerance)).collect();
            let judged: Vec<Judged> = choice
                .origins
                .iter()
                .zip(&judged_by)
                .map(|(origin, cells)| judge(seen, *origin, cells, outside, config.lead_cells()))
                .collect();
            let all = judged.iter().fold(Judged::default(), |all, one| all.plus(*one));
            let violating_share = all.violating_share();
            let point = CurvePoint { windows: windows.len(), pod_hours_a_week, violating_share, chosen: false };
            options.push((point, Self { judged_by, judged, curve: Vec::new(), windows, constant }));
        }
        options.sort_by_key(|(point, _)| point.windows);
        let limit = config.max_windows.unwrap_or(usize::MAX);
        let whole = f64::from(constant.max(outside)) * 168.0;
        let allowed = || options.iter().enumerate().filter(|(_, (point, _))| point.windows <= limit);
        let most = allowed().map(|(_, (point, _))| whole - point.pod_hours_a_week).fold(0.0, f64::max);
        let kept = |(_, (point, _)): &(usize, &(CurvePoint, Self))| whole - point.pod_hours_a_week >= most * KEPT;
        // A limit below every choice takes the fewest windows there are.
        let chosen = allowed().find(kept).or_else(|| allowed().next_back()).map_or(0, |(place, _)| place);
        let mut curve: Vec<CurvePoint> = options.iter().map(|(point, _)| *point).collect();
        if let Some(point) = curve.get_mut(chosen) {
            point.chosen = true;
        }
        let nothing =
            Self { judged_by: Vec::new(), judged: Vec::new(), curve: Vec::new(), windows: Vec::new(), constant };
        let finished = options.into_iter().nth(chosen).map_or(nothing, |(_, finished)| finished);
        Ok(Self { curve, ..finished })
    }

    fn answer(self, seen: &Seen, config: &CompileConfig, choice: &Choice) -> Result<Compiled, CompileError> {
        let all = self.judged.iter().fold(Judged::default(), |all, one| all.plus(*one));
        let days: usize = choice.origins.iter().map(|origin| origin.until - origin.learn).sum();
        let floors: Vec<Floors<'_>> =
            self.judged_by.iter().map(|cells| Floors::new(cells, config.lead_cells())).collect();
        let judges = expected::judges(seen, config, choice, &floors);
        let held_out = (days > 0).then(|| HeldOut {
            days,
            coverage: expected::coverage(seen, config.outside, &judges).min(all.coverage()),
            violating_share: all.violating_share(),
            pod_hours_a_week: all.mean_pods() * 168.0,
            compared_pod_hours_a_week: f64::from(self.constant) * 168.0,
            compared_violating_share: self.constant_share(seen, choice),
        });
        let reasons = reasons::reasons(seen, config, &judges, &self.windows, self.constant);
        let why = self.why_not(config, choice, held_out.as_ref(), seen);
        let profiles: Vec<Profile> =
            choice.sorted.iter().map(|sorted| sorted.profile(choice.quantile, seen.days_seen(sorted.days()))).collect();
        let days_seen = profiles.iter().map(|profile| profile.days_seen).fold(f64::INFINITY, f64::min).min(1e6);
        let trust = days_seen / (days_seen + 1.0) * held_out.map_or(0.5, |held_out| held_out.coverage);
        let confidence = Confidence::new(if why.is_some() { trust.min(0.5) } else { trust });
        let schedule = Schedule::new(config.time_zone, self.windows)?;
        let curve = self.curve;
        let compiled = CompiledSchedule {
            schedule,
            reasons,
            profiles,
            held_out,
            curve,
            confidence,
            excluded_days: seen.excluded_days,
            lead: lead_time(config.lead_cells()),
            over_hpa: None,
            pods_per_need: 1.0,
        };
        Ok(match why {
            Some(why) => Compiled::NoSchedule(Box::new(NoSchedule { why, draft: compiled })),
            None => Compiled::Schedule(Box::new(compiled)),
        })
    }

    /// Share of the requests of held-out days that come above the constant size.
    fn constant_share(&self, seen: &Seen, choice: &Choice) -> f64 {
        let constant = Cells::new(vec![self.constant; 7 * DAY_CELLS]);
        let judged = choice.origins.iter().map(|origin| judge(seen, *origin, &constant, self.constant, 0));
        judged.fold(Judged::default(), Judged::plus).violating_share()
    }

    fn why_not(
        &self,
        config: &CompileConfig,
        choice: &Choice,
        held_out: Option<&HeldOut>,
        seen: &Seen,
    ) -> Option<Unproven> {
        let wanted = config.violating_share;
        let Some(held_out) = held_out else {
            return Some(Unproven::TooFewDays { days: full_days(seen), least: LEAST_DAYS });
        };
        if self.windows.is_empty() {
            return Some(Unproven::NothingNeeded { outside: config.outside });
        }
        if let Some(violating_share) = choice.not_held {
            return Some(Unproven::NotHeld { violating_share, wanted });
        }
        let worst = self.judged.iter().map(Judged::violating_share).fold(0.0, f64::max);
        if worst > wanted + DRIFT {
            return Some(Unproven::Drifts { worst, wanted });
        }
        let (pod_hours_a_week, constant) = (held_out.pod_hours_a_week, held_out.compared_pod_hours_a_week);
        if pod_hours_a_week > constant * (1.0 - LEAST_SAVED) {
            return Some(Unproven::NothingGained { pod_hours_a_week, constant_pod_hours_a_week: constant });
        }
        let held = self.judged.iter().fold(Judged::default(), |all, one| all.plus(*one)).coverage();
        if held_out.coverage < held - DRIFT {
            return Some(Unproven::Unsure { held, expected: held_out.coverage });
        }
        if let Some(per_week) = expected::growth(seen).filter(|per_week| *per_week > GROWTH) {
            return Some(Unproven::Grows { per_week });
        }
        let days = full_days(seen);
        let apart = if days < TWO_WEEKS { expected::days_apart(seen, wanted) } else { 0.0 };
        (apart > ALIKE).then_some(Unproven::DaysDiffer { apart, days, least: TWO_WEEKS })
    }
}

/// The constant size that leaves the wanted share of the requests of held-out days above it, known in hindsight: what a schedule must
/// beat. Without held-out days it is that of all days.
fn constant_size(seen: &Seen, choice: &Choice, config: &CompileConfig) -> u32 {
    let from = choice.origins.first().map_or(0, |origin| origin.learn);
    let mut needs: Vec<(f64, f64)> = seen
        .days
        .iter()
        .skip(from)
        .flat_map(|day| &day.cells)
        .filter(|cell| cell.is_seen())
        .map(|cell| (cell.top, cell.work))
        .collect();
    let need = scaling_core::stats::weighted_quantile(&mut needs, 1.0 - config.violating_share);
    whole_pods(need.unwrap_or(0.0)).max(config.outside).max(1)
}

/// Time of so many cells; one at least.
pub(crate) fn lead_time(cells: usize) -> chrono::TimeDelta {
    // A day at most, by validation.
    let cells = i64::try_from(cells.clamp(1, DAY_CELLS + 1)).unwrap_or(1);
    chrono::TimeDelta::minutes(cells * i64::from(CELL_MINUTES))
}

/// Pod-hours of a week without a clock change.
fn pod_hours(cells: &Cells, outside: u32) -> f64 {
    let pods: f64 = cells.floors().iter().map(|floor| f64::from((*floor).max(outside))).sum();
    pods * f64::from(cells::CELL_MINUTES) / 60.0
}
