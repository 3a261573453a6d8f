//! A schedule as floors under an engine, and as an engine by itself.
//!
//! Law 7: a schedule only raises the floor, and what it raised is given back. The usual way is a reactive engine
//! [floored](scaling_core::EngineExt::floored) by the schedule: the request stays the engine's own, with its own confidence, and
//! the floor of the open window is held beside it. [`ScheduleEngine`] is for workloads that nothing else decides about.
//!
//! Windows open and close by the time of the tick, not by that of the metrics, and while the source is down as well.

use async_trait::async_trait;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{
    DecisionEngine, EngineError, Floor, FloorSource, Observation, Reason, ScalingDecision, Target, Timing,
};

use crate::Schedule;

const NAME: &str = "schedule";

/// ```
/// use scaling_core::{DecisionEngine, EngineExt, Observation, RuleBasedEngine, ScalingMetrics, Target};
/// use scaling_schedule::{Days, Schedule, Tz, Window};
///
/// let peak = Window::parse("peak", Days::DAILY, "08:00", "11:00", 8)?;
/// let engine = RuleBasedEngine::default().floored(Schedule::new(Tz::UTC, vec![peak])?);
///
/// let quiet = ScalingMetrics::new("2026-11-24T08:00:00Z".parse()?, 3);
/// let observation = Observation::new(Target::deployment("shop", "web"), quiet);
/// let decision = futures::executor::block_on(engine.decide(&observation))?;
/// assert_eq!((decision.desired_replicas, decision.wanted()), (3, 8));
/// assert_eq!(decision.floor.unwrap().reason.to_string(), "window \"peak\" holds 8 pods");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl FloorSource for Schedule {
    fn name(&self) -> &'static str {
        NAME
    }

    fn floor(&self, _: &Target, now: DateTime<Utc>) -> Option<Floor> {
        let open = self.open_at(now)?;
        let reason = Reason::Schedule { window: open.window.to_owned(), replicas: open.min };
        Some(Floor { replicas: open.min, until: self.next_floor(now), reason })
    }
}

/// A schedule that decides by itself: it holds the floors of its windows and leaves the size alone otherwise, with confidence 1,
/// because a host declared it. It never asks for fewer pods.
///
/// ```
/// use scaling_core::{DecisionEngine, Observation, ScalingMetrics, Target};
/// use scaling_schedule::{Days, Schedule, ScheduleEngine, Tz, Window};
///
/// let peak = Window::parse("peak", Days::DAILY, "08:00", "11:00", 8)?;
/// let engine = ScheduleEngine::new(Schedule::new(Tz::UTC, vec![peak])?);
/// let night = ScalingMetrics::new("2026-11-24T03:00:00Z".parse()?, 3);
/// let observation = Observation::new(Target::deployment("shop", "web"), night);
/// assert_eq!(futures::executor::block_on(engine.decide(&observation))?.wanted(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ScheduleEngine {
    schedule: Schedule,
}

impl ScheduleEngine {
    /// Holds the floors of `schedule`.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule }
    }

    /// The schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Decides, without a future.
    ///
    /// # Errors
    /// [`EngineError::NoPodCount`] if nothing says how many pods there are.
    pub fn evaluate(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let current = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let decision =
            ScalingDecision::replicas(NAME, observation.current.timestamp, current, current).with_confidence(1.0);
        Ok(match FloorSource::floor(&self.schedule, &observation.target, observation.now) {
            Some(floor) => decision.with_timing(Timing::Scheduled).with_floor(floor),
            None => decision,
        })
    }
}

#[async_trait]
impl DecisionEngine for ScheduleEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        self.evaluate(observation)
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        FloorSource::floor(&self.schedule, target, now)
    }
}
