//! A baseline that decides, and a model that advises it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{DecisionEngine, EngineError, Floor, Observation, Reason, ScalingDecision, Target, Urgency};

use crate::stats::Fate;
use crate::{Action, Advice, Allowed, ChatModel, Completion, LlmStats, ModelError, Prompt, reply};

/// How far a model is heard.
#[derive(Clone, Debug, PartialEq)]
pub struct LlmConfig {
    /// Total time for one answer, whatever happens in it. Above 0; default 10 s, less than the HPA's sync period of 15 s.
    pub deadline: Duration,
    /// How far above the baseline's wish a model may go, as a share of that wish, rounded up. 0 to 10; default 0.5. With 0 it
    /// can only keep pods that the baseline would remove.
    pub share_above: f64,
    /// Answers less sure than this are ignored. Percent, at most 100; default 75. The number is the model's own and uncalibrated, so it
    /// only ever takes away.
    pub min_confidence_percent: u8,
}

impl Default for LlmConfig {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10), share_above: 0.5, min_confidence_percent: 75 }
    }
}

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field} is {value}; it must be {must}")]
pub struct InvalidLlmConfig {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// What it must be.
    pub must: &'static str,
}

impl LlmConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`InvalidLlmConfig`] with the first that cannot work.
    pub fn validate(&self) -> Result<(), InvalidLlmConfig> {
        let percent = f64::from(self.min_confidence_percent);
        let checks = [
            ("deadline (seconds)", self.deadline.as_secs_f64(), !self.deadline.is_zero(), "above 0"),
            ("share_above", self.share_above, (0.0..=10.0).contains(&self.share_above), "from 0 to 10"),
            ("min_confidence_percent", percent, percent <= 100.0, "at most 100"),
        ];
        match checks.into_iter().find(|(_, _, works, _)| !works) {
            Some((field, value, _, must)) => Err(InvalidLlmConfig { field, value, must }),
            None => Ok(()),
        }
    }
}

/// Asks a baseline first, then a model for advice within what the baseline leaves open ([`Allowed`]).
///
/// Law 8: a model only advises. Its answer can move the size within the allowed range and nothing else. Late, refused, malformed
/// and out-of-range answers count as none: they are counted ([`LlmStats`]), the baseline's decision stands, and one more reason
/// says so. An error of the baseline is passed on and no model is asked.
///
/// The deadline needs tokio's timer. Without a tokio runtime the model is not asked at all, and the decision says so; inside a
/// runtime built without its timer, tokio panics.
#[derive(Debug)]
pub struct LlmEngine<M, B> {
    model: M,
    baseline: B,
    config: LlmConfig,
    stats: Arc<LlmStats>,
    name: String,
}

impl<M: ChatModel, B: DecisionEngine> LlmEngine<M, B> {
    /// `model` as an adviser to `baseline`, with the defaults of [`LlmConfig`].
    pub fn new(model: M, baseline: B) -> Self {
        Self::unchecked(model, baseline, LlmConfig::default())
    }

    /// The same with other settings.
    ///
    /// # Errors
    /// [`InvalidLlmConfig`] if a setting cannot work.
    pub fn with_config(model: M, baseline: B, config: LlmConfig) -> Result<Self, InvalidLlmConfig> {
        config.validate()?;
        Ok(Self::unchecked(model, baseline, config))
    }

    fn unchecked(model: M, baseline: B, config: LlmConfig) -> Self {
        let name = format!("llm over {}", baseline.name());
        Self { model, baseline, config, stats: Arc::default(), name }
    }

    /// The counters, to be kept by whoever reports them.
    pub fn stats(&self) -> Arc<LlmStats> {
        Arc::clone(&self.stats)
    }

    /// The settings.
    pub fn config(&self) -> &LlmConfig {
        &self.config
    }

    /// Asks the model, within the deadline.
    async fn ask(&self, prompt: &Prompt) -> Result<Completion, ModelError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(ModelError::Unavailable("there is no tokio runtime to keep the deadline".into()));
        }
        let answer = self.model.complete(prompt.system, &prompt.user);
        tokio::time::timeout(self.config.deadline, answer).await.unwrap_or(Err(ModelError::Late))
    }

    /// The advice in an answer, if it may be followed; otherwise what became of it and why.
    fn judge(&self, answer: Result<Completion, ModelError>, allowed: Allowed) -> Result<Advice, (Fate, String)> {
        let completion = answer.map_err(|error| (fate(&error), error.to_string()))?;
        self.stats.used(completion.usage);
        let advice = reply::parse(&completion.text).map_err(|error| (Fate::Malformed, error.to_string()))?;
        if advice.confidence_percent < self.config.min_confidence_percent {
            let least = self.config.min_confidence_percent;
            return Err((Fate::Unsure, format!("{} % sure, less than {least} %", advice.confidence_percent)));
        }
        if advice.action == Action::Scale && !allowed.contains(advice.target_replicas) {
            let Allowed { lowest, highest } = allowed;
            return Err((
                Fate::OutOfRange,
                format!("{} pods are not within {lowest} to {highest}", advice.target_replicas),
            ));
        }
        Ok(advice)
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

fn fate(error: &ModelError) -> Fate {
    match error {
        ModelError::Late => Fate::Late,
        ModelError::Refused => Fate::Refused,
        ModelError::Unavailable(_) | ModelError::Rejected(_) | ModelError::Truncated | ModelError::NotRecorded => {
            Fate::Unavailable
        }
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
        let baseline = self.baseline.decide(observation).await?;
        let allowed = Allowed::around(&baseline, self.config.share_above);
        if allowed.is_single() {
            // Nothing to pick: the question would cost tokens and time for nothing.
            return Ok(baseline);
        }
        let prompt = Prompt::new(observation, &baseline, allowed);
        self.stats.ask();
        let answer = self.ask(&prompt).await;
        match self.judge(answer, allowed) {
            Ok(advice) if advice.action == Action::Scale && advice.target_replicas != baseline.desired_replicas => {
                self.stats.settle(Fate::Changed);
                Ok(self.follow(baseline, &advice))
            }
            Ok(advice) => {
                self.stats.settle(Fate::Agreed);
                let text = format!("agrees, {} % sure: {}", advice.confidence_percent, advice.assessment);
                Ok(baseline.because(said(&text)))
            }
            Err((fate, why)) => {
                self.stats.settle(fate);
                Ok(baseline.because(said(&format!("no advice: {why}"))))
            }
        }
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        self.baseline.floor(target, now)
    }
}
