//! A schedule that is made again every night.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chrono::NaiveDate;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::engine::FloorSource;
use scaling_core::{
    DecisionEngine, EngineError, Floor, InvalidSetting, MetricsHistory, Observation, ScalingDecision, Target,
};

use super::{HpaBeneath, Search, Settings};
use crate::{CompileConfig, CompiledSchedule, Need, Schedule, ScheduleEngine};

const NAME: &str = "renewed schedule";

/// Windows over an HPA that follow the load: what [`compile_over_hpa`](crate::compile_over_hpa) proved is fitted again with the first
/// decision of each local day, to the history of its source, with the settings that were proven. The windows stay while they are about
/// as good as new ones.
///
/// A load drifts, and windows that were made once do not. It moves floors alone, like [`ScheduleEngine`]; one engine is for one
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
            made: Mutex::new(Made { on: None, schedule }),
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
            if made.on.is_some() && made.on != today {
                // Events are announced, not fitted: they stay.
                let events = made.schedule.events().to_vec();
                let again = self.again(&observation.history, settings, &made.schedule);
                if let Some(again) = again.and_then(|again| again.with_events(events).ok()) {
                    made.schedule = again;
                }
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

    /// The windows of a longer history; none where the old ones are about as good, or it says less than the old one did.
    fn again(&self, history: &MetricsHistory, settings: Settings, old: &Schedule) -> Option<Schedule> {
        Search::new(history, self.need, &self.hpa, &self.config).fitted(settings, old)
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
