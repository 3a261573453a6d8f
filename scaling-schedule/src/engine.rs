//! A schedule that decides.
//!
//! Law 7: a schedule only raises the floor, and a scale-down must be agreed by both. What a schedule alone can say is
//! therefore "at least so many", and there are three places to say it:
//!
//! - [`ScheduleEngine::over`] a reactive engine: that engine's decision, never below the floor. The usual way. A shrink is the
//!   reactive engine's own, with its own confidence, and ends at the floor.
//! - [`ScheduleEngine::new`] by itself: raises to the floor, and otherwise leaves the size alone. It never shrinks.
//! - [`ScheduleEngine::as_vote`] as a member of an [`Ensemble`](scaling_core::Ensemble), which takes the largest request: asks for
//!   the floor and no more, so that others may shrink down to it. Alone it would shrink by itself: give it company.

use async_trait::async_trait;
use scaling_core::{
    Confidence, DecisionEngine, EngineError, Observation, Reason, ResourceChange, ScalingAction, ScalingDecision,
    Timing,
};

use crate::Schedule;

const NAME: &str = "schedule";

/// A schedule as a decision engine. See the [crate's page](crate) for where to put it.
///
/// ```
/// use scaling_core::{DecisionEngine, Observation, RuleBasedEngine, ScalingMetrics};
/// use scaling_schedule::{Days, Schedule, ScheduleEngine, Tz, Window};
///
/// let peak = Window::parse("peak", Days::DAILY, "08:00", "11:00", 8)?;
/// let schedule = Schedule::new(Tz::UTC, vec![peak])?;
/// let engine = ScheduleEngine::new(schedule).over(RuleBasedEngine::default());
///
/// let quiet = ScalingMetrics::new("2026-11-24T08:00:00Z".parse()?, 3);
/// let decision = futures::executor::block_on(engine.decide(&Observation::new(quiet)))?;
/// assert_eq!(decision.desired_replicas, 8);
/// assert_eq!(decision.reasons[0].to_string(), "window \"peak\" holds 8 pods");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ScheduleEngine {
    schedule: Schedule,
    confidence: Confidence,
    vote: bool,
}

impl ScheduleEngine {
    /// Creates an engine that raises to the floor of `schedule` and never shrinks. Confidence 1: the host declared it.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, confidence: Confidence::new(1.0), vote: false }
    }

    /// Replaces the confidence, by that of a compiled schedule for example.
    #[must_use]
    pub fn with_confidence(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }

    /// Turns the engine into a member of an [`Ensemble`](scaling_core::Ensemble) that asks for exactly the floor, and for one pod
    /// where no window is open.
    ///
    /// Only beside a reactive member: without one, no other engine agrees to the shrink. And prefer [`ScheduleEngine::over`] the
    /// ensemble: a shrink that ends at the floor is this member's answer here, and bears its confidence instead of the
    /// reactive member's.
    #[must_use]
    pub fn as_vote(mut self) -> Self {
        self.vote = true;
        self
    }

    /// Puts a reactive engine over the floor: its decision, never below the floor.
    pub fn over<E: DecisionEngine>(self, reactive: E) -> Floored<E> {
        let name = format!("{NAME} over {}", reactive.name());
        Floored { schedule: self, reactive, name }
    }

    /// Returns the schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The floor at the instant of the observation, with its reason.
    fn floor(&self, observation: &Observation) -> Option<(u32, Reason)> {
        let (window, replicas) = self.schedule.floor_at(observation.current.timestamp)?;
        Some((replicas, Reason::Schedule { window: window.name().to_owned(), replicas }))
    }

    /// Decides, without a future.
    ///
    /// # Errors
    /// [`EngineError::NoPodCount`] if nothing says how many pods there are.
    pub fn evaluate(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let current = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let floor = self.floor(observation);
        // A workload at rest with no pods stays there until a window opens.
        let asked = floor.as_ref().map_or(current.min(1), |(replicas, _)| *replicas);
        let desired = if self.vote { asked } else { asked.max(current) };
        let mut decision = ScalingDecision::replicas(NAME, observation.current.timestamp, current, desired);
        decision.timing = if floor.is_some() { Timing::Scheduled } else { Timing::Now };
        decision.confidence = self.confidence;
        decision.reasons.extend(floor.map(|(_, reason)| reason));
        Ok(decision)
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
}

/// A reactive engine over the floor of a schedule; made by [`ScheduleEngine::over`].
///
/// Without an answer from the reactive engine the schedule still raises to its floor, and says that the other failed; where the
/// floor is met already, the failure is passed on and the workload is left alone.
#[derive(Clone, Debug)]
pub struct Floored<E> {
    schedule: ScheduleEngine,
    reactive: E,
    name: String,
}

impl<E: DecisionEngine> Floored<E> {
    fn without_answer(&self, observation: &Observation, error: EngineError) -> Result<ScalingDecision, EngineError> {
        let Some(current) = observation.current.replicas() else { return Err(error) };
        match self.schedule.floor(observation) {
            Some((floor, reason)) if floor > current => {
                let mut raised = ScalingDecision::replicas(NAME, observation.current.timestamp, current, floor)
                    .because(reason)
                    .because(Reason::FellBack { engine: self.reactive.name().to_owned(), error: error.to_string() });
                raised.timing = Timing::Scheduled;
                raised.confidence = self.schedule.confidence;
                Ok(raised)
            }
            _ => Err(error),
        }
    }

    /// The decision with its size raised to `floor`, everything else kept that still holds.
    fn raised(&self, decision: ScalingDecision, floor: u32, reason: Reason) -> ScalingDecision {
        let at_floor = ScalingDecision::replicas(NAME, decision.at, decision.current_replicas, floor);
        let grows = at_floor.grows();
        let action = match decision.resources {
            Some(change) if at_floor.action == ScalingAction::Maintain => vertical(change),
            _ => at_floor.action,
        };
        let mut reasons = vec![reason];
        reasons.extend(decision.reasons);
        ScalingDecision {
            action,
            resources: decision.resources,
            timing: Timing::Scheduled,
            // Growth is the schedule's request, what is left of a shrink is still the reactive engine's.
            confidence: if grows { self.schedule.confidence } else { decision.confidence },
            urgency: if grows { decision.urgency.max(at_floor.urgency) } else { decision.urgency },
            reasons,
            shadow: decision.shadow,
            ..at_floor
        }
    }
}

fn vertical(change: ResourceChange) -> ScalingAction {
    if change.cpu_percent > 0 || change.memory_percent > 0 {
        ScalingAction::ScaleUpVertical
    } else {
        ScalingAction::ScaleDownVertical
    }
}

#[async_trait]
impl<E: DecisionEngine> DecisionEngine for Floored<E> {
    fn name(&self) -> &str {
        &self.name
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let decision = match self.reactive.decide(observation).await {
            Ok(decision) => decision,
            Err(error) => return self.without_answer(observation, error),
        };
        Ok(match self.schedule.floor(observation) {
            Some((floor, reason)) if floor > decision.desired_replicas => self.raised(decision, floor, reason),
            _ => decision,
        })
    }
}
