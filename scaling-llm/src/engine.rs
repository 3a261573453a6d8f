//! [`LlmEngine`]: a baseline that decides, and a model that advises it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{
    DecisionEngine, EngineError, Floor, InvalidSetting, Observation, Reason, ScalingDecision, Target, Urgency,
};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::growth::{Growths, Room};
use crate::stats::AdviceOutcome;
use crate::{Action, Advice, ChatModel, Completion, LlmStats, ModelError, Prompt, Proof, ReplicaRange, reply};

/// Settings of an [`LlmEngine`]: how long a model may take, and how far its advice may go.
#[derive(Clone, Debug, PartialEq)]
pub struct LlmConfig {
    /// Total time for one answer, connection and retries included. Above 0; default 10 s, less than the HPA's sync period of 15 s.
    pub deadline: Duration,
    /// Room above the baseline's own request, as a share of it, rounded up. 0 to 10; default 0.5. With 0 a model can only keep pods
    /// that the baseline would remove.
    pub share_above: f64,
    /// Time between two growths by advice of one target. Default 10 min: long enough for pods to start, for their metrics to
    /// settle, and for the baseline to answer. With 0 there is none. It starts at the first of several ticks that advise the same
    /// growth while the pods do not move.
    pub growth_cooldown: Duration,
    /// Least confidence of an answer that is followed, in percent, at most 100; default 75. The number is the model's own and
    /// uncalibrated, so it only ever takes away.
    pub min_confidence_percent: u8,
}

impl Default for LlmConfig {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            share_above: 0.5,
            growth_cooldown: Duration::from_secs(600),
            min_confidence_percent: 75,
        }
    }
}

impl LlmConfig {
    /// Checks every setting.
    ///
    /// ```
    /// use scaling_llm::LlmConfig;
    /// let error = LlmConfig { share_above: 11.0, ..LlmConfig::default() }.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "share_above is 11; it must be from 0 to 10");
    /// ```
    ///
    /// # Errors
    /// [`InvalidSetting`] with the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let deadline = [("deadline (seconds)", self.deadline.as_secs_f64())];
        InvalidSetting::check(&deadline, "above 0", |seconds| seconds > 0.0)?;
        let share = [("share_above", self.share_above)];
        InvalidSetting::check(&share, "from 0 to 10", |share| (0.0..=10.0).contains(&share))?;
        let percent = [("min_confidence_percent", f64::from(self.min_confidence_percent))];
        InvalidSetting::check(&percent, "at most 100", |percent| percent <= 100.0)
    }
}

/// An engine that asks a baseline first, then a model for advice within what the baseline leaves open ([`ReplicaRange`]).
///
/// Law 8: a model only advises. Its answer can move the request for pods within the range and nothing else: not the floor, not what
/// a pod requests, not confidence or timing. Late, refused, malformed and out-of-range answers count as none: they are counted
/// ([`LlmStats`]), the baseline's decision stands, and one more reason says so. An error of the baseline is passed on and no model
/// is asked.
///
/// A growth by advice is remembered per target, with the baseline's own request that it was measured from. As long as the baseline
/// only keeps the pods that advice has brought, that request stays the measure, and no further growth by advice comes within
/// [`LlmConfig::growth_cooldown`] of [`Observation::now`]. At most 10,000 targets are remembered; a host that drops a target calls
/// [`forget`](Self::forget). After a restart nothing is remembered, and the range is measured from the baseline alone.
///
/// The deadline needs tokio's timer. Without a tokio runtime the model is not asked at all, and the decision says so; inside a
/// runtime built without its timer, tokio panics.
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
    model: M,
    baseline: B,
    config: LlmConfig,
    stats: Arc<LlmStats>,
    growths: Growths,
    proof: Option<Proof>,
    name: String,
}

impl<M: ChatModel, B: DecisionEngine> LlmEngine<M, B> {
    /// Creates an engine with `model` as an adviser to `baseline`, and the defaults of [`LlmConfig`].
    pub fn new(model: M, baseline: B) -> Self {
        Self::unchecked(model, baseline, LlmConfig::default())
    }

    /// Creates an engine with other settings.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a setting cannot work.
    pub fn with_config(model: M, baseline: B, config: LlmConfig) -> Result<Self, InvalidSetting> {
        config.validate()?;
        Ok(Self::unchecked(model, baseline, config))
    }

    fn unchecked(model: M, baseline: B, config: LlmConfig) -> Self {
        let name = format!("llm over {}", baseline.name());
        Self { model, baseline, config, stats: Arc::default(), growths: Growths::default(), proof: None, name }
    }

    /// Takes advice only once it is proved ([`Proof`]): replayed beside the baseline's request and not worse. Then it may also be for
    /// fewer pods than the baseline requests. The verdict and both scores are in the decision's reasons.
    #[must_use]
    pub fn proved_by(mut self, proof: Proof) -> Self {
        self.proof = Some(proof);
        self
    }

    /// The counters, shared with the engine: a host keeps them to report them.
    pub fn stats(&self) -> Arc<LlmStats> {
        Arc::clone(&self.stats)
    }

    /// The settings.
    pub fn config(&self) -> &LlmConfig {
        &self.config
    }

    /// Forgets the growths by advice of a target.
    pub fn forget(&self, target: &Target) {
        self.growths.forget(target);
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

    /// Asks the model, within the deadline.
    async fn ask(&self, prompt: &Prompt) -> Result<Completion, ModelError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(ModelError::Unavailable("there is no tokio runtime to keep the deadline".into()));
        }
        let answer = self.model.complete(prompt.system, &prompt.user);
        tokio::time::timeout(self.config.deadline, answer).await.unwrap_or(Err(ModelError::Late))
    }

    /// The advice in an answer, if it may be followed; otherwise its outcome and why.
    fn judge(
        &self,
        answer: Result<Completion, ModelError>,
        allowed: ReplicaRange,
    ) -> Result<Advice, (AdviceOutcome, String)> {
        let completion = answer.map_err(|error| (outcome(&error), error.to_string()))?;
        self.stats.used(completion.usage);
        let advice = reply::parse(&completion.text).map_err(|error| (AdviceOutcome::Malformed, error.to_string()))?;
        if advice.confidence_percent < self.config.min_confidence_percent {
            let least = self.config.min_confidence_percent;
            return Err((AdviceOutcome::Unsure, format!("{} % sure, less than {least} %", advice.confidence_percent)));
        }
        if advice.action == Action::Scale && !allowed.contains(advice.target_replicas) {
            let ReplicaRange { lowest, highest } = allowed;
            return Err((
                AdviceOutcome::OutOfRange,
                format!("{} pods are not within {lowest} to {highest}", advice.target_replicas),
            ));
        }
        Ok(advice)
    }

    /// Counts how a question ended, and enters it into its span.
    fn settle(&self, outcome: AdviceOutcome, span: &Span) {
        self.stats.settle(outcome);
        span.record("outcome", outcome.label());
    }

    /// The baseline's decision with the size that was picked, everything else kept that still holds.
    fn follow(&self, baseline: ScalingDecision, advice: &Advice) -> ScalingDecision {
        let text = format!(
            "picked {} pods instead of {}, {} % sure: {}",
            advice.target_replicas, baseline.desired_replicas, advice.confidence_percent, advice.assessment
        );
        // The model's own confidence never counts: low, it would stop a growth that the baseline is sure of.
        let mut decision = baseline.resized(advice.target_replicas);
        decision.engine = self.name.clone().into();
        decision.reasons.insert(0, said(&text));
        let urgency = if decision.grows() { decision.urgency.max(Urgency::Normal) } else { decision.urgency };
        decision.with_urgency(urgency)
    }
}

/// The span of one question to the model. The attributes of its tokens are named as OpenTelemetry names them (semantic conventions
/// for generative AI); what was asked and answered is not in it, since it may hold what a workload does.
fn analysis(observation: &Observation, baseline: &ScalingDecision, engine: &str) -> Span {
    let target = &observation.target;
    tracing::info_span!(
        "ai_analysis",
        cluster = target.cluster,
        namespace = target.namespace,
        name = target.name,
        engine,
        replicas = baseline.current_replicas,
        replicas_baseline = baseline.desired_replicas,
        replicas_wanted = Empty,
        outcome = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        otel.status_description = Empty,
    )
}

/// The baseline's decision, with the reason why no model was asked (law 10).
fn unasked(baseline: ScalingDecision, room: Room) -> ScalingDecision {
    let pods = baseline.desired_replicas;
    let why = match room.wait {
        Some(left) => format!("advice may grow again in {} s", left.as_secs_f64().ceil()),
        None => format!("the baseline's own request leaves no room above {pods} pods"),
    };
    baseline.because(said(&format!("not asked: {why}")))
}

fn outcome(error: &ModelError) -> AdviceOutcome {
    match error {
        ModelError::Late => AdviceOutcome::Late,
        ModelError::Refused => AdviceOutcome::Refused,
        ModelError::Unavailable(_)
        | ModelError::Rejected(_)
        | ModelError::Denied(_)
        | ModelError::Spent(_)
        | ModelError::Truncated
        | ModelError::NotRecorded => AdviceOutcome::Unavailable,
    }
}

fn said(text: &str) -> Reason {
    // Errors may quote a server.
    let text = crate::text::one_line(text, 500);
    Reason::Custom { rule: Cow::Borrowed("llm"), text: Cow::Owned(text) }
}

#[async_trait]
impl<M: ChatModel, B: DecisionEngine> DecisionEngine for LlmEngine<M, B> {
    fn name(&self) -> &str {
        &self.name
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let baseline = match &self.proof {
            Some(proof) => proof.observe(observation, self.baseline.decide(&proof.seen(observation)).await?),
            None => self.baseline.decide(observation).await?,
        };
        let room = self.room(observation, &baseline);
        if room.range.is_single() {
            // Nothing to pick: the question would cost tokens and time for nothing.
            return Ok(unasked(baseline, room));
        }
        let prompt = Prompt::new(observation, &baseline, room.range);
        self.stats.ask();
        let span = analysis(observation, &baseline, &self.name);
        let answer = self.ask(&prompt).instrument(span.clone()).await;
        if let Ok(Completion { usage, .. }) = &answer {
            span.record("gen_ai.usage.input_tokens", usage.input_tokens);
            span.record("gen_ai.usage.output_tokens", usage.output_tokens);
        }
        // Another tick of this target may have followed advice in between.
        let allowed = self.room(observation, &baseline).range;
        match self.judge(answer, allowed) {
            Ok(advice) if advice.action == Action::Scale && advice.target_replicas != baseline.desired_replicas => {
                let proof = self.proof.as_ref();
                let verdict = proof.map(|proof| proof.admit(observation, &baseline, advice.target_replicas));
                if let Some(verdict) = verdict.filter(|verdict| !verdict.is_accepted()) {
                    self.settle(AdviceOutcome::Unproved, &span);
                    span.record("otel.status_description", verdict.verdict.to_string());
                    return Ok(baseline.because(said("no advice: not proved")).because(verdict.reason()));
                }
                self.settle(AdviceOutcome::Changed, &span);
                span.record("replicas_wanted", advice.target_replicas);
                self.growths.follow(observation, &baseline, advice.target_replicas, self.config.growth_cooldown);
                let decision = self.follow(baseline, &advice);
                Ok(match verdict {
                    Some(verdict) => decision.because(verdict.reason()),
                    None => decision,
                })
            }
            Ok(advice) => {
                self.settle(AdviceOutcome::Agreed, &span);
                span.record("replicas_wanted", baseline.desired_replicas);
                let text = format!("agrees, {} % sure: {}", advice.confidence_percent, advice.assessment);
                Ok(baseline.because(said(&text)))
            }
            Err((outcome, why)) => {
                self.settle(outcome, &span);
                span.record("otel.status_description", &*why);
                Ok(baseline.because(said(&format!("no advice: {why}"))))
            }
        }
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        self.baseline.floor(target, now)
    }
}
