//! Windows that help an HPA: floors that are there before a load which it meets too late.
//!
//! While the HPA holds more pods than a floor, the floor costs nothing. So a window pays only where it runs ahead of the HPA, and its
//! floor is found by price: what holding it would have cost, and the work that would have waited too long without it, by a model of the HPA
//! (`model`, `fit`). The settings of that fit are chosen on days that were held out: each day of the second half of the history gets
//! windows made from the days before it (rolling origin), and the cheapest settings that prevent enough are taken. Where none prevent
//! enough within the limit of cost, the answer is no schedule.

mod budget;
mod fit;
mod load;
mod model;
mod renewed;
mod trial;

use std::time::Duration;

use scaling_core::{Bounds, Confidence, InvalidSetting, MetricsHistory, Objective, WorkloadFacts};

pub use self::renewed::RenewedSchedule;

pub(crate) use self::fit::Settings;
use self::fit::{Kinds, Prices, Summed, ladder};
use self::load::{Day, Load};
use self::model::{Model, Outcome};
use crate::compile::{Cells, LEAST_DAYS, cells_of, history_span_ms, lead_time as lead_time_of, of_days, windows};
use crate::{
    CompileConfig, CompileError, Compiled, CompiledSchedule, CurvePoint, HeldOut, Need, NoSchedule, Schedule, Unproven,
};

/// Share of violating requests below which an HPA leaves nothing to prevent.
const NEGLIGIBLE: f64 = 0.0005;
/// Standard errors by which what is left on held-out days must lie below what may be left, so that as much holds on others.
const ERRORS: f64 = 2.0;
/// What a window costs in the choice between settings, relative to all pods: a twentieth of a percent.
const A_WINDOW: f64 = 0.0005;
/// What a violating request less is worth, in pods: a percent of the requests as much as half a percent of the pods.
const A_VIOLATION: f64 = 0.5;
/// Halvings of the interval of the price of a violation.
const HALVINGS: usize = 7;
/// Prices of a violation between which is searched.
const VIOLATION: (f64, f64) = (0.01, 30.0);
/// Time at the beginning of a judged day, taken from the day before, in which pods settle.
const SETTLE_S: f64 = 3600.0;

/// An HPA on CPU utilization, without `behavior`, and the pods beneath it.
///
/// ```
/// use scaling_core::{Bounds, WorkloadFacts};
/// use scaling_schedule::HpaBeneath;
///
/// let hpa = HpaBeneath::new(70.0, Bounds::new(2, 60)?, &WorkloadFacts::default());
/// assert!(hpa.validate().is_ok());
/// # Ok::<(), scaling_core::InvalidBounds>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HpaBeneath {
    /// Target utilization, in percent.
    pub target_percent: f64,
    /// Its minReplicas and maxReplicas.
    pub bounds: Bounds,
    /// Share of the target by which utilization may differ without a change. Default 0.1.
    pub tolerance: f64,
    /// For how long it holds the most that was recommended. Default 300 s.
    pub stabilization: Duration,
    /// Time from the creation of a pod to its first request.
    pub start_up: Duration,
    /// Age of the newest metrics.
    pub metrics_lag: Duration,
    /// Time over which metrics are means.
    pub metrics_window: Duration,
    /// Time between two syncs; less than 15 s counts as 15 s.
    pub sync_period: Duration,
    /// Waits that are no violation.
    pub objective: Objective,
    /// Extra cost that windows may have on held-out days, relative to the HPA alone, and again over the last four weeks in which a
    /// [`RenewedSchedule`] was in force. Default 0.05.
    pub cost_limit: f64,
    /// Part of the violations that windows may leave. Default 0.5: they halve them.
    pub left_limit: f64,
}

impl HpaBeneath {
    /// An HPA with the settings of the controller manager, over a workload of these facts.
    pub fn new(target_percent: f64, bounds: Bounds, facts: &WorkloadFacts) -> Self {
        Self {
            target_percent,
            bounds,
            tolerance: 0.1,
            stabilization: Duration::from_secs(300),
            start_up: facts.start_up,
            metrics_lag: facts.metrics_lag,
            metrics_window: facts.metrics_window,
            sync_period: facts.sync_period,
            objective: facts.objective,
            cost_limit: 0.05,
            left_limit: 0.5,
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`InvalidSetting`] with the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let day = |duration: Duration| duration <= Duration::from_secs(86_400);
        let checks = [
            ("target_percent", self.target_percent, (1.0..=1000.0).contains(&self.target_percent), "within 1..=1000"),
            ("tolerance", self.tolerance, (0.0..1.0).contains(&self.tolerance), "at least 0 and below 1"),
            ("stabilization", self.stabilization.as_secs_f64(), day(self.stabilization), "at most a day"),
            ("start_up", self.start_up.as_secs_f64(), day(self.start_up), "at most a day"),
            ("metrics_lag", self.metrics_lag.as_secs_f64(), day(self.metrics_lag), "at most a day"),
            ("metrics_window", self.metrics_window.as_secs_f64(), day(self.metrics_window), "at most a day"),
            ("sync_period", self.sync_period.as_secs_f64(), day(self.sync_period), "at most a day"),
            ("cost_limit", self.cost_limit, (0.0..=10.0).contains(&self.cost_limit), "within 0..=10"),
            ("left_limit", self.left_limit, (0.0..=1.0).contains(&self.left_limit), "within 0..=1"),
        ];
        match checks.into_iter().find(|(_, _, works, _)| !works) {
            Some((field, value, _, must)) => Err(InvalidSetting { field, value, must }),
            None => Ok(()),
        }
    }

    fn step_s(&self) -> u32 {
        u32::try_from(self.sync_period.as_secs()).unwrap_or(300).clamp(15, 300)
    }
}

/// Compiles a history into windows that raise an HPA's min ahead of the loads that it meets too late.
///
/// `need` says the pods that a sample needed at full use: [`need_by_cpu`](crate::need_by_cpu) of 100 %, or
/// [`need_by_load`](crate::need_by_load) of what a pod serves at most. Of `config`, time zone, slots, minimum length, number of windows and
/// excluded dates count; the lead follows from the start-up of the HPA's pods, and floors from its violations.
///
/// The four newest weeks are looked at. It simulates them some hundred times: tenths of a second for a week.
///
/// # Errors
/// [`CompileError`] if a setting cannot work, or the history is shorter than a day.
pub fn compile_over_hpa(
    history: &MetricsHistory,
    need: &Need,
    hpa: &HpaBeneath,
    config: &CompileConfig,
) -> Result<Compiled, CompileError> {
    config.validate()?;
    need.validate()?;
    hpa.validate()?;
    let hours = history_span_ms(history) as f64 / 3_600_000.0;
    if hours < 24.0 {
        return Err(CompileError::TooShort { hours });
    }
    let search = Search::new(history, *need, hpa, config);
    let found = search.searched(hpa);
    let answer = search.answer(history, *need, &found, hpa.left_limit)?;
    // The profiles are need at full use.
    Ok(answer.with_pods_per_need(100.0 / hpa.target_percent))
}

/// The days of a history, with the HPA alone on those that are held out.
struct Search<'a> {
    load: Load,
    model: Model,
    prices: Prices,
    config: &'a CompileConfig,
    outside: u32,
    /// First day that is judged.
    first: usize,
    alone: Vec<Outcome>,
    lead: usize,
}

/// The outcome of a search.
#[derive(Clone, Debug)]
struct Found {
    best: Tried,
    /// Reason why even the best are no schedule.
    why: Option<Unproven>,
    /// All that leave few enough violations.
    tried: Vec<Tried>,
}

/// Settings, with their outcome on held-out days.
#[derive(Clone, Copy, Debug)]
struct Tried {
    settings: Settings,
    outcome: Outcome,
    /// Part of the violations that is left, with two standard errors.
    left: f64,
    cost: f64,
    windows: usize,
}

impl<'a> Search<'a> {
    fn new(history: &MetricsHistory, need: Need, hpa: &HpaBeneath, config: &'a CompileConfig) -> Self {
        let load = Load::new(history, need, config.time_zone, &config.excluded, hpa.step_s());
        let model = Model::new(hpa, load.step_s);
        let most = load.demand.iter().copied().filter(|work| work.is_finite()).fold(0.0, f64::max);
        let top = scaling_core::stats::whole_pods(most * 100.0 / hpa.target_percent).min(hpa.bounds.max());
        let outside = hpa.bounds.min().max(1);
        let prices = Prices::new(&load, &model, ladder(outside, top));
        let first = load.days.len().div_ceil(2);
        let mut search = Self { load, model, prices, config, outside, first, alone: Vec::new(), lead: 0 };
        search.alone = search.judged(|_| None).collect();
        search.lead = cells_of(hpa.start_up);
        search
    }

    /// Judges the held-out days, each with the floors that it is given.
    fn judged<'b>(&'b self, cells: impl Fn(usize) -> Option<Cells> + 'b) -> impl Iterator<Item = Outcome> + 'b {
        let days = self.load.days.iter().enumerate().skip(self.first);
        days.map(move |(nth, day)| self.day(*day, cells(nth).as_ref()))
    }

    /// The outcome of a day with these floors, none for the HPA alone.
    fn day(&self, day: Day, floors: Option<&Cells>) -> Outcome {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // an hour in steps
        let settle = (SETTLE_S / self.load.step_s) as usize;
        let from = day.first_step.saturating_sub(settle);
        let start = day.weekday().num_days_from_monday() as usize * crate::compile::DAY_CELLS;
        let floor = |step: usize| {
            let cell = self.load.cells.get(from + step).copied().unwrap_or(0) + start;
            floors.and_then(|floors| floors.floors().get(cell).copied()).unwrap_or(0)
        };
        self.model.run(self.load.of(from, day.end_step), day.first_step - from, floor, |_, _, _| ())
    }

    /// The cheapest settings that leave few enough violations, or why there are none.
    fn searched(&self, hpa: &HpaBeneath) -> Found {
        let days = self.load.days.len();
        let nothing = Tried {
            settings: Settings { kinds: Kinds::Daily, blur: 1, change: 0.2, lead: self.lead, violation: 1.0 },
            outcome: Outcome::default(),
            left: 1.0,
            cost: 1.0,
            windows: 0,
        };
        let none = |why| Found { best: nothing, why: Some(why), tried: Vec::new() };
        if days < LEAST_DAYS {
            return none(Unproven::TooFewDays { days, least: LEAST_DAYS });
        }
        let alone = total(&self.alone);
        if alone.share() < NEGLIGIBLE {
            return none(Unproven::NothingToPrevent { violating_share: alone.share() });
        }
        let tried = self.tried(hpa.left_limit);
        let allowed = |tried: &&Tried| self.config.max_windows.is_none_or(|most| tried.windows <= most);
        let price = |tried: &&Tried| tried.cost + A_WINDOW * tried.windows as f64 + A_VIOLATION * tried.outcome.share();
        let cheapest = |limit: f64| {
            let within = tried.iter().filter(allowed).filter(|tried| tried.cost <= limit);
            within.min_by(|a, b| price(a).total_cmp(&price(b))).copied()
        };
        let (best, why) = match (cheapest(1.0 + hpa.cost_limit), cheapest(f64::INFINITY)) {
            (Some(best), _) => (Some(best), None),
            (None, Some(best)) => {
                let Tried { left, cost, .. } = best;
                (Some(best), Some(Unproven::TooLittlePrevented { left, wanted: hpa.left_limit, cost }))
            }
            (None, None) => {
                let fewest = tried.iter().map(|tried| tried.windows).min().zip(self.config.max_windows);
                let needed = fewest.map(|(needed, most)| Unproven::MoreWindowsNeeded { needed, most });
                (None, Some(needed.unwrap_or(Unproven::NothingPrevents { wanted: hpa.left_limit })))
            }
        };
        Found { best: best.unwrap_or(nothing), why, tried }
    }

    /// Settings that leave few enough violations: of each kind some, down to the smallest price of violations that does.
    fn tried(&self, wanted: f64) -> Vec<Tried> {
        let leads = [self.lead.saturating_sub(1), self.lead];
        let mut found = Vec::new();
        for kinds in Kinds::ALL.into_iter().filter(|kinds| self.can_tell(*kinds, self.first)) {
            for blur in [0, 1] {
                let summed = self.summed(kinds, blur);
                for lead in leads {
                    for change in [0.05, 0.1, 0.2, 0.5, 1.0] {
                        let (mut low, mut high) = (VIOLATION.0.ln(), VIOLATION.1.ln());
                        for _ in 0..HALVINGS {
                            let middle = f64::midpoint(low, high);
                            let settings = Settings { kinds, blur, change, lead, violation: middle.exp() };
                            let tried = self.outcome(settings, &summed);
                            if tried.left <= wanted && self.goes_out(&tried, &summed, wanted) {
                                found.push(tried);
                                high = middle;
                            } else {
                                low = middle;
                            }
                        }
                    }
                }
            }
        }
        found
    }

    /// Whether the windows of all days prevent as much on the held-out days as those made from the days before each of these: they are what
    /// goes out, and can be other ones, or none, near a price at which windows stop to pay.
    fn goes_out(&self, tried: &Tried, summed: &[Vec<Summed>], wanted: f64) -> bool {
        let Some(summed) = summed.last().filter(|_| tried.windows > 0) else { return false };
        let cells = self.cells(tried.settings, summed);
        let outcomes: Vec<Outcome> = self.judged(|_| Some(cells.clone())).collect();
        ratio(total(&outcomes).violating, total(&self.alone).violating) <= wanted
    }

    /// Prices before each held-out day, and before what comes, of each kind of day.
    fn summed(&self, kinds: Kinds, blur: usize) -> Vec<Vec<Summed>> {
        let of = |before| kinds.days().into_iter().map(|days| self.prices.summed(before, days, blur)).collect();
        (self.first..=self.load.days.len()).map(of).collect()
    }

    fn shortest(&self) -> usize {
        self.config.min_cells_over_hpa()
    }

    fn cells(&self, settings: Settings, summed: &[Summed]) -> Cells {
        self.prices.fit(summed, settings, self.shortest())
    }

    fn outcome(&self, settings: Settings, summed: &[Vec<Summed>]) -> Tried {
        let of = |day: usize| Some(self.cells(settings, summed.get(day.checked_sub(self.first)?)?));
        let outcomes: Vec<Outcome> = self.judged(of).collect();
        let (outcome, alone) = (total(&outcomes), total(&self.alone));
        let left = ratio(outcome.violating, alone.violating) + ERRORS * self.error(&outcomes, |one| one.violating);
        let cost = self.cost(&outcomes);
        let last = summed.last().map(|summed| self.cells(settings, summed));
        let windows =
            last.and_then(|cells| windows(&cells, self.outside, self.shortest()).ok()).map_or(0, |all| all.len());
        Tried { settings, outcome, left, cost, windows }
    }

    /// Standard error of what outcomes have of something, relative to the HPA alone, by the jackknife: each day is left out once (Efron and
    /// Stein, *The Jackknife Estimate of Variance*, 1981). What holds must not hang on one of the days.
    fn error(&self, outcomes: &[Outcome], of: impl Fn(&Outcome) -> f64) -> f64 {
        let (with, without) = (of(&total(outcomes)), of(&total(&self.alone)));
        let days = outcomes.iter().zip(&self.alone);
        let left_out: Vec<f64> = days.map(|(one, alone)| ratio(with - of(one), without - of(alone))).collect();
        let number = left_out.len().max(1) as f64;
        let mean = left_out.iter().sum::<f64>() / number;
        let squares: f64 = left_out.iter().map(|left| (left - mean).powi(2)).sum();
        ((number - 1.0) / number * squares).sqrt()
    }

    /// Among the first of the days there is a whole week, and of single weekdays two.
    fn can_tell(&self, kinds: Kinds, days: usize) -> bool {
        let seen = |day| self.load.days.iter().take(days).filter(|seen| seen.weekday() == day).count();
        let least = match kinds {
            Kinds::Daily => 0,
            Kinds::WeekdaysAndWeekend => 1,
            Kinds::EachWeekday => 2,
        };
        crate::Days::DAILY.iter().all(|day| seen(day) >= least)
    }

    /// Pods of outcomes, relative to those of the HPA alone.
    fn cost(&self, outcomes: &[Outcome]) -> f64 {
        ratio(total(outcomes).pod_steps, total(&self.alone).pod_steps)
    }

    fn answer(
        &self,
        history: &MetricsHistory,
        need: Need,
        found: &Found,
        left_limit: f64,
    ) -> Result<Compiled, CompileError> {
        let Found { best: found, why, tried } = found;
        let summed = self.summed(found.settings.kinds, found.settings.blur);
        let fitted: Vec<Cells> = summed.iter().map(|summed| self.cells(found.settings, summed)).collect();
        let (last, judged_by) = fitted.split_last().map_or((None, &[][..]), |(last, rest)| (Some(last), rest));
        let none = Cells::new(Vec::new());
        let made = windows(last.unwrap_or(&none), self.outside, self.shortest())?;
        let config = CompileConfig { outside: self.outside, lead: lead_time(found), ..self.config.clone() };
        let kinds = found.settings.kinds.days();
        let dates = self.load.days.iter().skip(self.first).map(|day| day.number);
        let judged_by: Vec<(i64, Cells)> = dates.zip(judged_by.iter().cloned()).collect();
        let (mut reasons, profiles) = of_days(history, need, &config, &judged_by, &made, &kinds);
        self.tell(&mut reasons, &made, &judged_by, left_limit);
        let held_out = (found.outcome.arrived > 0.0).then(|| self.held_out(found.outcome));
        let days = self.load.days.len() as f64;
        let trust = days / (days + 1.0) * held_out.map_or(0.5, |held_out| held_out.coverage);
        let confidence = Confidence::new(if why.is_some() { trust.min(0.5) } else { trust });
        let curve = self.curve(found, tried);
        let schedule = Schedule::new(self.config.time_zone, made)?;
        let over_hpa = Some(found.settings);
        let excluded_days = self.load.excluded_days;
        // Nothing shows how far an event can do with less than all of the start-up.
        let lead = lead_time_of(self.lead);
        let draft = CompiledSchedule {
            schedule,
            reasons,
            profiles,
            held_out,
            curve,
            confidence,
            excluded_days,
            lead,
            over_hpa,
            pods_per_need: 1.0,
        };
        Ok(match *why {
            Some(why) => Compiled::NoSchedule(Box::new(NoSchedule { why, draft })),
            None => Compiled::Schedule(Box::new(draft)),
        })
    }

    /// The cheapest settings of each number of windows that cost less than all with fewer.
    fn curve(&self, chosen: &Tried, tried: &[Tried]) -> Vec<CurvePoint> {
        let mut by_number: Vec<&Tried> = tried.iter().collect();
        // One choice of each number: of the chosen one that which was chosen.
        by_number.retain(|tried| tried.windows != chosen.windows || tried.settings == chosen.settings);
        by_number.sort_by(|a, b| a.windows.cmp(&b.windows).then(a.cost.total_cmp(&b.cost)));
        let mut least = f64::INFINITY;
        by_number.retain(|tried| {
            let is_chosen = tried.settings == chosen.settings;
            let is_cheaper = tried.cost < least;
            least = least.min(tried.cost);
            is_cheaper || is_chosen
        });
        let point = |tried: &Tried| {
            let HeldOut { pod_hours_a_week, violating_share, .. } = self.held_out(tried.outcome);
            let chosen = tried.settings == chosen.settings;
            CurvePoint { windows: tried.windows, pod_hours_a_week, violating_share, chosen }
        };
        by_number.into_iter().map(point).collect()
    }

    fn held_out(&self, outcome: Outcome) -> HeldOut {
        let alone = total(&self.alone);
        let steps = self.load.days.iter().skip(self.first).map(|day| day.end_step - day.first_step).sum::<usize>();
        let a_week = |outcome: Outcome| outcome.pod_steps / steps.max(1) as f64 * 168.0;
        HeldOut {
            days: self.alone.len(),
            coverage: 1.0 - outcome.share(),
            violating_share: outcome.share(),
            pod_hours_a_week: a_week(outcome),
            compared_pod_hours_a_week: a_week(alone),
            compared_violating_share: alone.share(),
        }
    }
}

fn lead_time(found: &Tried) -> Duration {
    Duration::from_secs(found.settings.lead.max(1) as u64 * u64::from(crate::compile::CELL_MINUTES) * 60)
}

fn total(outcomes: &[Outcome]) -> Outcome {
    outcomes.iter().fold(Outcome::default(), |sum, one| sum.plus(*one))
}

/// A part of a whole; all of it where there is no whole.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole).max(0.0) } else { 1.0 }
}
