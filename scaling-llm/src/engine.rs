//! [`LlmEngine`]: a baseline that decides, and a model that advises it.

mod config;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{
    DecisionEngine, EngineError, Floor, InvalidSetting, Observation, Reason, ScalingDecision, Target, Urgency,
};
use tracing::Span;

use crate::asking::{Asker, Asks, Heard, Mishap, NotAsked, Reading};
use crate::growth::{Growths, Room};
use crate::prompt::KnownLimits;
use crate::stats::AdviceOutcome;
use crate::{Action, Advice, AdviceRange, Budget, ChatModel, LlmStats, ModelBreaker, NoModel, Proof, Resize, Verdict};
pub use config::{Asking, LlmConfig};

/// An engine that asks a baseline first, then a model for advice within what the baseline leaves open ([`AdviceRange`]).
///
/// Law 8: a model only advises. Its answer can move the request for pods, or what a pod requests, within the range and nothing else: not
/// the floor, not confidence or timing. Late, refused, malformed and out-of-range answers count as none: they are counted
/// ([`LlmStats`]), the baseline's decision stands, and one more reason says so. An error of the baseline is passed on and no model
/// is asked.
///
/// # When it is asked
///
/// A question is put where the baseline leaves something to pick, about inputs that were not asked about before: pods, range and floor to
/// the number, measured signals in steps of about five percent. While its answer is fresh ([`LlmConfig::fresh_for`]) it serves every
/// decision about the same inputs, and none about others. After that the same question is put again where the baseline moves, is unsure,
/// an event is near, or growth by advice has not shown its effect; where nothing of this holds, after [`LlmConfig::ask_again_after`].
/// A change of the workload's facts, of the model, its system text or schema drops every answer. One question per workload is under way
/// at a time.
///
/// By default ([`Asking::Background`]) a decision never waits: the one that puts a question is the baseline's, and a later one
/// uses the answer. With [`Asking::Inline`] it waits, until the deadline. A [`Budget`] limits calls, tokens and money, and a
/// [`ModelBreaker`] stops asking a model that fails; both can be shared by several engines. A model that panics has not answered. Every
/// decision without an answer says why.
///
/// # Growth
///
/// A growth by advice is remembered per target, with the baseline's own request that it was measured from. As long as the baseline
/// only keeps the pods that advice has brought, that request stays the measure, and no further growth by advice comes within
/// [`LlmConfig::growth_cooldown`] of [`Observation::now`]. At most 10,000 targets are remembered; a host that drops a target calls
/// [`forget`](Self::forget). After a restart nothing is remembered, and the range is measured from the baseline alone.
///
/// The deadline needs tokio's timer. Without a tokio runtime the model is not asked at all, and the decision says so.
///
/// ```
/// use scaling_core::{DecisionEngine, RuleBasedEngine};
/// use scaling_llm::{LlmEngine, ReplayModel, Transcript};
///
/// let engine = LlmEngine::new(ReplayModel::new(Transcript::default()), RuleBasedEngine::default());
/// assert_eq!(engine.name(), "llm over rules");
/// ```
#[derive(Debug)]
pub struct LlmEngine<M, B> {
    model: Option<Arc<M>>,
    baseline: B,
    config: LlmConfig,
    asker: Asker,
    growths: Growths,
    proof: Option<Proof>,
    limits: Limits,
    name: String,
}

/// Source of the limits of a workload.
struct Limits(Box<dyn Fn(&Observation) -> KnownLimits + Send + Sync>);

impl Limits {
    fn none() -> Self {
        Self(Box::new(|_| KnownLimits::default()))
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Limits(..)")
    }
}

impl<B: DecisionEngine> LlmEngine<NoModel, B> {
    /// Creates an engine that simply is its baseline, as [`optional`](Self::optional) does without a model.
    pub fn without_model(baseline: B) -> Self {
        Self::unchecked(None, baseline, LlmConfig::default())
    }
}

impl<M: ChatModel + 'static, B: DecisionEngine> LlmEngine<M, B> {
    /// Creates an engine with `model` as an adviser to `baseline`, and the defaults of [`LlmConfig`].
    pub fn new(model: M, baseline: B) -> Self {
        Self::unchecked(Some(model), baseline, LlmConfig::default())
    }

    /// Creates an engine with other settings.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a setting cannot work.
    pub fn with_config(model: M, baseline: B, config: LlmConfig) -> Result<Self, InvalidSetting> {
        Self::optional(Some(model), baseline, config)
    }

    /// Creates an engine with a model if there is one, as where a key may be set or not. Without one it simply is the baseline: the same
    /// name and the same decisions, which the log says once, and [`NotAskedCounts::no_model`](crate::NotAskedCounts::no_model) counts.
    ///
    /// ```
    /// use scaling_core::{DecisionEngine, RuleBasedEngine};
    /// use scaling_llm::{ChatModel, LlmConfig, LlmEngine};
    ///
    /// let model: Option<Box<dyn ChatModel>> = None; // no key is set
    /// let engine = LlmEngine::optional(model, RuleBasedEngine::default(), LlmConfig::default())?;
    /// assert_eq!(engine.name(), "rules");
    /// # Ok::<(), scaling_core::InvalidSetting>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidSetting`] if a setting cannot work.
    pub fn optional(model: Option<M>, baseline: B, config: LlmConfig) -> Result<Self, InvalidSetting> {
        config.validate()?;
        Ok(Self::unchecked(model, baseline, config))
    }
}

impl<M, B: DecisionEngine> LlmEngine<M, B> {
    fn unchecked(model: Option<M>, baseline: B, config: LlmConfig) -> Self {
        let name = if model.is_some() {
            format!("llm over {}", baseline.name())
        } else {
            tracing::warn!(engine = baseline.name(), "no language model is set up: the baseline decides alone");
            baseline.name().to_owned()
        };
        let asker = Asker::new(&config);
        let model = model.map(Arc::new);
        Self { model, baseline, config, asker, growths: Growths::default(), proof: None, limits: Limits::none(), name }
    }
}

impl<M, B> LlmEngine<M, B> {
    /// Takes advice only once it is proved ([`Proof`]): replayed beside the baseline's request and not worse. Then it may also be for
    /// fewer pods than the baseline requests. The verdict and both scores are in the decision's reasons. What cannot be replayed is not
    /// taken, so a model picks pods alone, and no requests of a pod.
    #[must_use]
    pub fn proved_by(mut self, proof: Proof) -> Self {
        self.proof = Some(proof);
        self
    }

    /// Sets where the limits come from that the model is told: those of the host's guards, and the bounds of the workload's HPA. They
    /// hold whether it is told or not.
    ///
    /// ```
    /// use scaling_core::{HardLimits, RuleBasedEngine};
    /// use scaling_llm::{LlmEngine, ReplayModel, Transcript, prompt::KnownLimits};
    ///
    /// let hard = Some(HardLimits::new(2, 20)?);
    /// let engine = LlmEngine::new(ReplayModel::new(Transcript::default()), RuleBasedEngine::default())
    ///     .with_limits(move |_observation| KnownLimits { hard, ..KnownLimits::default() });
    /// # let _ = engine;
    /// # Ok::<(), scaling_core::InvalidBounds>(())
    /// ```
    #[must_use]
    pub fn with_limits(mut self, limits: impl Fn(&Observation) -> KnownLimits + Send + Sync + 'static) -> Self {
        self.limits = Limits(Box::new(limits));
        self
    }

    /// Sets the budget. Without it the engine has one of its own, with the defaults of [`BudgetConfig`](crate::BudgetConfig).
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.asker.budget = budget;
        self
    }

    /// Sets the breaker. Without it the engine has one of its own.
    #[must_use]
    pub fn with_breaker(mut self, breaker: ModelBreaker) -> Self {
        self.asker.breaker = breaker;
        self
    }

    /// Counts into counters that other engines share.
    #[must_use]
    pub fn with_stats(mut self, stats: Arc<LlmStats>) -> Self {
        self.asker.share(stats);
        self
    }

    /// The counters, shared with the engine: a host keeps them to report them.
    pub fn stats(&self) -> Arc<LlmStats> {
        Arc::clone(self.asker.stats())
    }

    /// The budget.
    pub fn budget(&self) -> &Budget {
        &self.asker.budget
    }

    /// The breaker.
    pub fn breaker(&self) -> &ModelBreaker {
        &self.asker.breaker
    }

    /// The settings.
    pub fn config(&self) -> &LlmConfig {
        &self.config
    }

    /// Forgets a target: its growths by advice, its answers, and the question about it that is under way. What was spent on it is not
    /// forgotten.
    pub fn forget(&self, target: &Target) {
        self.growths.forget(target);
        self.asker.forget(target);
        if let Some(proof) = &self.proof {
            proof.forget(target);
        }
    }

    /// The sizes that the model may pick from now.
    fn room(&self, observation: &Observation, baseline: &ScalingDecision) -> Room {
        let room = self.growths.room(observation, baseline, self.config.share_above, self.config.growth_cooldown);
        match &self.proof {
            Some(proof) => Room { range: room.range.at_least(proof.lowest(baseline)), ..room },
            None => room,
        }
    }

    /// Everything that the model may pick from, where the sizes are those of a room.
    fn allowed(&self, observation: &Observation, baseline: &ScalingDecision, room: Room) -> AdviceRange {
        match self.proof {
            Some(_) => AdviceRange::pods_only(room.range, baseline),
            None => AdviceRange::new(room.range, observation, baseline, self.config.share_above),
        }
    }

    /// True if an answer can matter although nothing has changed since the last one.
    fn matters(&self, observation: &Observation, baseline: &ScalingDecision) -> bool {
        let moves = baseline.desired_replicas != baseline.current_replicas || baseline.resources.is_some();
        let near = TimeDelta::from_std(self.config.event_near).unwrap_or(TimeDelta::MAX);
        let now = observation.now;
        let mut events = observation.events.iter();
        moves
            || baseline.confidence.value() < self.config.unsure_below
            || events.any(|event| now < event.end() && event.start() - now <= near)
            || self.growths.is_pending(&observation.target)
    }

    /// The decision with an answer, and its outcome.
    fn weigh(
        &self,
        observation: &Observation,
        baseline: ScalingDecision,
        reading: Reading,
    ) -> (ScalingDecision, AdviceOutcome) {
        // Another tick of this target may have followed advice since the question was put.
        let allowed = self.allowed(observation, &baseline, self.room(observation, &baseline));
        match reading.and_then(|advice| in_range(advice, allowed)) {
            Ok(advice) if advice.changes(&baseline) => {
                let proof = self.proof.as_ref();
                let verdict = proof.map(|proof| proof.admit(observation, &baseline, advice.target_replicas));
                let (decision, outcome) = match &verdict {
                    Some(verdict) if !verdict.is_accepted() => {
                        (baseline.because(said("no advice: not proved")), AdviceOutcome::Unproved)
                    }
                    _ => (self.follow(observation, baseline, &advice), AdviceOutcome::Changed),
                };
                let reasons = verdict.iter().map(Verdict::reason).chain(advice.suggestions());
                (reasons.fold(decision, ScalingDecision::because), outcome)
            }
            Ok(advice) => {
                let text = format!("agrees, {} % sure: {}", advice.confidence_percent, advice.assessment);
                let decision = baseline.because(said(&text));
                (advice.suggestions().fold(decision, ScalingDecision::because), AdviceOutcome::Agreed)
            }
            Err(Mishap { outcome, why }) => (baseline.because(said(&format!("no advice: {why}"))), outcome),
        }
    }

    /// The baseline's decision with the size that was picked, everything else kept that still holds.
    fn follow(&self, observation: &Observation, baseline: ScalingDecision, advice: &Advice) -> ScalingDecision {
        let text = match advice.action {
            Action::Resize(Resize { cpu_percent, memory_percent }) => format!(
                "picked requests of {cpu_percent} % of the present CPU and {memory_percent} % of the present memory, {} % sure: {}",
                advice.confidence_percent, advice.assessment
            ),
            Action::Scale | Action::Hold => format!(
                "picked {} pods instead of {}, {} % sure: {}",
                advice.target_replicas, baseline.desired_replicas, advice.confidence_percent, advice.assessment
            ),
        };
        let pods = advice.applied_to(baseline.clone()).desired_replicas;
        self.growths.follow(observation, &baseline, pods, self.config.growth_cooldown);
        // The model's own confidence never counts: low, it would stop a growth that the baseline is sure of.
        let mut decision = advice.applied_to(baseline);
        decision.engine = self.name.clone().into();
        decision.reasons.insert(0, said(&text));
        let urgency = if decision.grows() { decision.urgency.max(Urgency::Normal) } else { decision.urgency };
        decision.with_urgency(urgency)
    }

    /// The baseline's decision, with the reason why no model was asked (law 10).
    fn unasked(&self, baseline: ScalingDecision, why: &NotAsked) -> ScalingDecision {
        self.asker.stats().not_asked(why);
        baseline.because(said(&format!("not asked: {why}")))
    }

    /// The decision with what there is to hear, counted.
    fn conclude(&self, observation: &Observation, baseline: ScalingDecision, heard: Heard) -> ScalingDecision {
        match heard {
            Heard::NotAsked(why) => self.unasked(baseline, &why),
            Heard::NotYet => {
                self.asker.stats().awaited();
                baseline.because(said("asked; no answer yet"))
            }
            Heard::Answer { reading, first, span } => {
                let (decision, outcome) = self.weigh(observation, baseline, reading);
                if first {
                    self.asker.stats().settle(outcome);
                }
                self.asker.stats().heard(outcome == AdviceOutcome::Changed);
                if let Some(span) = span {
                    enter(&span, &decision, outcome);
                }
                decision
            }
        }
    }
}

/// Enters into the span of a question what became of its answer.
fn enter(span: &Span, decision: &ScalingDecision, outcome: AdviceOutcome) {
    match outcome {
        AdviceOutcome::Agreed | AdviceOutcome::Changed => {
            span.record("outcome", outcome.label());
            span.record("replicas_wanted", decision.desired_replicas);
        }
        AdviceOutcome::OutOfRange | AdviceOutcome::Unproved => {
            span.record("outcome", outcome.label());
            span.record("error.type", outcome.label());
        }
        // The question itself has told.
        _ => {}
    }
}

/// Advice that may be followed, by what is allowed.
fn in_range(advice: Advice, allowed: AdviceRange) -> Reading {
    let mishap = |error: crate::OutOfRange| Mishap { outcome: AdviceOutcome::OutOfRange, why: error.to_string() };
    allowed.check(&advice).map_err(mishap)?;
    Ok(advice)
}

fn said(text: &str) -> Reason {
    // Errors may quote a server.
    let text = crate::text::one_line(text, 500);
    Reason::Custom { rule: Cow::Borrowed("llm"), text: Cow::Owned(text) }
}

#[async_trait]
impl<M: ChatModel + 'static, B: DecisionEngine> DecisionEngine for LlmEngine<M, B> {
    fn name(&self) -> &str {
        &self.name
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let Some(model) = &self.model else {
            let baseline = self.baseline.decide(observation).await?;
            self.asker.stats().not_asked(&NotAsked::NoModel);
            return Ok(baseline);
        };
        let baseline = match &self.proof {
            Some(proof) => proof.observe(observation, self.baseline.decide(&proof.seen(observation)).await?),
            None => self.baseline.decide(observation).await?,
        };
        let room = self.room(observation, &baseline);
        let allowed = self.allowed(observation, &baseline, room);
        if allowed.is_single() {
            // Nothing to pick: the question would cost tokens and time for nothing.
            let pods = baseline.desired_replicas;
            let why = room.wait.map_or(NotAsked::NoRoom { pods }, |left| NotAsked::Cooling { left });
            return Ok(self.unasked(baseline, &why));
        }
        let asks = Asks {
            observation,
            baseline: &baseline,
            allowed,
            limits: (self.limits.0)(observation),
            proof: self.proof.as_ref(),
            engine: &self.name,
            fresh_for: self.config.lifetime(&observation.facts),
            matters: self.matters(observation, &baseline),
        };
        let heard = self.asker.hear(model, &asks).await;
        Ok(self.conclude(observation, baseline, heard))
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        self.baseline.floor(target, now)
    }
}

/// Nobody is left to use the answers.
impl<M, B> Drop for LlmEngine<M, B> {
    fn drop(&mut self) {
        self.asker.end();
    }
}
