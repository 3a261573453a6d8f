//! A schedule that is made again every night.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chrono::NaiveDate;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::engine::FloorSource;
use scaling_core::{
    DecisionEngine, EngineError, Floor, InvalidSetting, MetricsHistory, Observation, ScalingDecision, Target,
};

use super::budget::Budget;
use super::fit::Summed;
use super::model::Outcome;
use super::{HALVINGS, HpaBeneath, Search, Settings, VIOLATION, total};
use crate::compile::{Cells, LEAST_DAYS, floors_of, windows};
use crate::{CompileConfig, CompiledSchedule, Need, Schedule, ScheduleEngine, Window};

const NAME: &str = "renewed schedule";
/// Share by which new windows must be cheaper than old ones to take their place, of all pods and violations.
const ABOUT_AS_GOOD: f64 = 0.01;

/// Windows over an HPA that follow the load: what [`compile_over_hpa`](crate::compile_over_hpa) proved is fitted again with the first
/// decision of each local day, to the history of its source, with the settings that were proven. The windows stay while they are about
/// as good as new ones.
///
/// A load drifts, and windows that were made once do not: they can come to cost more than was proven. So what they have cost is booked each
/// night, by a model of the HPA alone and of the HPA with them, and new windows are made only as dear as keeps the days booked, four weeks
/// at most, within [`HpaBeneath::cost_limit`]. A restart begins a new book.
///
/// It moves floors alone, like [`ScheduleEngine`]; one engine is for one
/// workload. Without a proven schedule it has no floor.
#[derive(Debug)]
pub struct RenewedSchedule {
    need: Need,
    hpa: HpaBeneath,
    config: CompileConfig,
    settings: Option<Settings>,
    made: Mutex<Made>,
}

#[derive(Debug)]
struct Made {
    on: Option<NaiveDate>,
    schedule: Schedule,
    budget: Budget,
}

impl RenewedSchedule {
    /// Begins with a compiled schedule; none for the HPA alone.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a setting cannot work.
    pub fn new(
        compiled: Option<&CompiledSchedule>,
        need: &Need,
        hpa: &HpaBeneath,
        config: &CompileConfig,
    ) -> Result<Self, InvalidSetting> {
        hpa.validate()?;
        config.validate()?;
        let schedule = compiled.map_or_else(|| Schedule::none(config.time_zone), |compiled| compiled.schedule.clone());
        Ok(Self {
            need: *need,
            hpa: *hpa,
            config: config.clone(),
            settings: compiled.and_then(|compiled| compiled.over_hpa),
            made: Mutex::new(Made { on: None, schedule, budget: Budget::new(hpa.cost_limit) }),
        })
    }

    /// Returns the schedule as it was made last.
    pub fn schedule(&self) -> Schedule {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).schedule.clone()
    }

    /// Decides, without a future.
    ///
    /// # Errors
    /// [`EngineError::NoPodCount`] if nothing says how many pods there are.
    pub fn evaluate(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(settings) = self.settings {
            let today = self.today(observation.now);
            if let Some(day) = made.on
                && made.on != today
            {
                self.renew(&mut made, &observation.history, settings, day);
            }
            made.on = today;
        }
        let engine = ScheduleEngine::new(made.schedule.clone());
        drop(made);
        engine.evaluate(observation)
    }

    fn today(&self, now: DateTime<Utc>) -> Option<NaiveDate> {
        let clock = Schedule::none(self.config.time_zone);
        clock.wall_clock(now).map(|local| local.date())
    }

    /// Books what the windows have cost on the day that they were made for, and makes them again.
    fn renew(&self, made: &mut Made, history: &MetricsHistory, settings: Settings, day: NaiveDate) {
        let search = Search::new(history, self.need, &self.hpa, &self.config);
        if let Some((with, alone)) = search.spent(made.schedule.windows(), day) {
            made.budget.book(with, alone);
        }
        // Events are announced, not fitted: they stay.
        let events = made.schedule.events().to_vec();
        let again = search.fitted(settings, &made.schedule, &mut made.budget);
        if let Some(again) = again.and_then(|again| again.with_events(events).ok()) {
            made.schedule = again;
        }
    }
}

impl Search<'_> {
    /// Pods of a day, with windows and of the HPA alone; none where it was not seen.
    fn spent(&self, windows: &[Window], date: NaiveDate) -> Option<(f64, f64)> {
        let mut days = self.load.days.iter().skip(self.first).zip(&self.alone);
        let (day, alone) = days.find(|(day, _)| day.date() == date)?;
        Some((self.day(*day, Some(&floors_of(windows))).pod_steps, alone.pod_steps))
    }

    /// The windows of all days, with settings that were chosen before, as far as the budget affords them. None where the old ones are about
    /// as good, or the history is too short to tell of each kind of days: after a restart it may be.
    ///
    /// Prices often stand near a point at which other windows are as cheap, and each change costs what no price knows: a window that
    /// moves is in force too early on one day or too late.
    fn fitted(&self, settings: Settings, old: &Schedule, budget: &mut Budget) -> Option<Schedule> {
        let days = self.load.days.len();
        // Of a kind of days that was not seen it would be said what others need.
        if days < LEAST_DAYS || !self.can_tell(settings.kinds, days) {
            return None;
        }
        let kinds = settings.kinds.days().into_iter();
        let summed: Vec<Summed> = kinds.map(|kind| self.prices.summed(days, kind, settings.blur)).collect();
        let judge = |cells: Cells| {
            let outcomes: Vec<Outcome> = self.judged(|_| Some(cells.clone())).collect();
            (cells, outcomes)
        };
        let made = |violation| judge(self.cells(Settings { violation, ..settings }, &summed));
        // The scatter of a day is that of the mean of n days, times the root of n.
        let scatter = |outcomes: &[Outcome]| self.error(outcomes, |one| one.pod_steps) * (outcomes.len() as f64).sqrt();
        let affords = |outcomes: &[Outcome]| budget.affords(self.cost(outcomes), scatter(outcomes));
        let mut best = made(settings.violation);
        if !affords(&best.1) {
            // Fewer windows, down to none: those of the highest price of violations that can be afforded.
            best = (Cells::new(Vec::new()), self.alone.clone());
            let (mut low, mut high) = (VIOLATION.0.ln(), settings.violation.ln());
            for _ in 0..HALVINGS {
                let middle = f64::midpoint(low, high);
                let lower = made(middle.exp());
                if affords(&lower.1) {
                    (low, best) = (middle, lower);
                } else {
                    high = middle;
                }
            }
        }
        let price = |outcomes: &[Outcome]| self.prices.of(total(outcomes), settings);
        let (_, stand) = judge(floors_of(old.windows()));
        if budget.bears(self.cost(&stand), scatter(&stand)) && price(&stand) <= price(&best.1) * (1.0 + ABOUT_AS_GOOD) {
            budget.foresee(self.cost(&stand));
            return None;
        }
        budget.foresee(self.cost(&best.1));
        let made = windows(&best.0, self.outside, self.shortest()).ok()?;
        Schedule::new(self.config.time_zone, made).ok()
    }
}

impl FloorSource for RenewedSchedule {
    fn name(&self) -> &'static str {
        NAME
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        FloorSource::floor(&made.schedule, target, now)
    }
}

#[async_trait]
impl DecisionEngine for RenewedSchedule {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        self.evaluate(observation)
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        FloorSource::floor(self, target, now)
    }
}
