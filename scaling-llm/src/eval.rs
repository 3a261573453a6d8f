//! Does a model help? An evaluation over labelled situations that any host can run, with its own model or a recorded one.
//!
//! A [`Situation`] is a moment at which knowledge beyond the numbers matters: a sale that was declared, a version that fails, a source
//! that is down. The engine is asked once about each. Its size, the baseline's and the best one are then held over the load that came
//! next, in the backtest: harm is computed, never asserted. The best size is the oracle of such a decision: the cheapest with at most
//! [`TOLERATED`] of the requests late that a larger one would have served in time, all load known in advance.
//!
//! It cannot tell how a model does over days, where its advice changes what it sees next. For that an
//! [`LlmEngine`] is a candidate of the backtest like any other.
//!
//! ```
//! use std::sync::Arc;
//! use scaling_llm::eval::{EvalConfig, ScriptedModel, evaluate, situations};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sale = situations(r#"{"situations":[{
//!     "name":"sale","kind":"event","knowledge":"a sale begins in five minutes",
//!     "pods":[[0,4]],"pod_capacity":50,"load":[[0,120],[5,120],[8,300],[30,300]],
//!     "events":[{"name":"sale","from_min":5,"to_min":65,"factor":2.5}],
//!     "label":{"lowest":7,"highest":11}}]}"#)?;
//! let report = evaluate(Arc::new(ScriptedModel::Greedy), &sale, &EvalConfig::default()).await?;
//! assert_eq!(report.situations[0].best.replicas, 7);
//! assert!(!report.summary.real_model, "a script is no model");
//! # Ok(())
//! # }
//! ```

mod held;
mod report;
mod scripted;
mod situation;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use scaling_core::{DecisionEngine, EngineError, InvalidSetting, Reason, RuleBasedEngine, ScalingDecision};

pub use held::{Held, HeldError, TOLERATED};
pub use report::{EvalReport, Outcomes, Proposal, SituationReport, Summary, Totals};
pub use scripted::{ScriptedModel, UnknownScript};
pub use situation::{Label, Situation, SituationError, dataset_situations, situations};

use crate::{ChatModel, Completion, LlmConfig, LlmCounts, LlmEngine, ModelError, ModelId, Proof, ProofConfig, Usage};

/// Settings of an evaluation.
#[derive(Clone, Debug)]
pub struct EvalConfig {
    /// Settings of the engine.
    pub engine: LlmConfig,
    /// Proof of proposals: the replay alone, since a single decision has no account to pay from. Without one, all are taken that the
    /// engine lets through, and none is for fewer pods than the baseline's.
    pub proof: Option<ProofConfig>,
    /// Price of a million tokens of questions and of answers, in one currency; none if it is not known.
    pub price: Option<(f64, f64)>,
}

impl Default for EvalConfig {
    /// The engine's own defaults, a minute for an answer, a proof with its defaults, and no price.
    fn default() -> Self {
        let engine = LlmConfig { deadline: Duration::from_secs(60), ..LlmConfig::inline() };
        Self { engine, proof: Some(ProofConfig::default()), price: None }
    }
}

/// Reasons why an evaluation ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A setting cannot work.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// The baseline cannot decide.
    #[error("situation {name:?}: {source}")]
    Baseline {
        /// Name of the situation.
        name: String,
        /// Its error.
        #[source]
        source: EngineError,
    },
    /// A situation cannot be replayed.
    #[error("situation {name:?}: {source}")]
    Held {
        /// Name of the situation.
        name: String,
        /// Its error.
        #[source]
        source: HeldError,
    },
}

/// Asks a model about every situation, over [`RuleBasedEngine`], and replays what it says beside the baseline and the best size.
///
/// Equal answers give an equal report, but for [`Summary::seconds`].
///
/// # Errors
/// [`EvalError`] with the situation. A model that fails is no error: it is counted.
pub async fn evaluate(
    model: Arc<dyn ChatModel>,
    situations: &[Situation],
    config: &EvalConfig,
) -> Result<EvalReport, EvalError> {
    config.engine.validate()?;
    let mut reports = Vec::with_capacity(situations.len());
    for situation in situations {
        reports.push(ask(&model, situation, config).await?);
    }
    Ok(EvalReport::new(model.id(), reports, config.price))
}

/// One situation: an engine of its own, so that none remembers another.
async fn ask(
    model: &Arc<dyn ChatModel>,
    situation: &Situation,
    config: &EvalConfig,
) -> Result<SituationReport, EvalError> {
    let undecided = |source| EvalError::Baseline { name: situation.name.clone(), source };
    let unheld = |source| EvalError::Held { name: situation.name.clone(), source };
    let observation = &situation.observation;
    let baseline = RuleBasedEngine::default();
    let own = baseline.decide(observation).await.map_err(undecided)?;
    let timed = Arc::new(Timed { inner: Arc::clone(model), seen: Mutex::default() });
    let proof = config.proof.clone().map(Proof::new).transpose()?;
    let mut engine = LlmEngine::with_config(Arc::clone(&timed), baseline, config.engine.clone())?;
    if let Some(config) = config.proof.clone() {
        engine = engine.proved_by(Proof::new(config)?);
    }
    let advised = engine.decide(observation).await.map_err(undecided)?;
    let counts = engine.stats().counts();
    // Refused or not, a size that was proposed stands beside its replay.
    let proposed = replayed(&advised).unwrap_or(advised.desired_replicas);
    let proposal = match proof {
        _ if proposed == own.desired_replicas => Proposal::None,
        None => Proposal::Unproved,
        Some(proof) => {
            let verdict = proof.prove(observation, &own, proposed).verdict;
            let why = verdict.to_string();
            if verdict.is_accepted() { Proposal::Accepted(why) } else { Proposal::Rejected(why) }
        }
    };
    let taken = if matches!(proposal, Proposal::Rejected(_)) { own.desired_replicas } else { proposed };
    let asked = timed.seen();
    Ok(SituationReport {
        name: situation.name.clone(),
        kind: situation.kind.clone(),
        current: situation.current(),
        label: situation.label,
        baseline: situation.held(own.desired_replicas).await.map_err(unheld)?,
        advised: situation.held(proposed).await.map_err(unheld)?,
        taken: situation.held(taken).await.map_err(unheld)?,
        best: situation.best().await.map_err(unheld)?,
        outcome: outcome(counts),
        proposal,
        said: said(&advised),
        usage: asked.usage,
        seconds: asked.seconds,
    })
}

/// The size that was proposed and replayed.
fn replayed(decision: &ScalingDecision) -> Option<u32> {
    decision.reasons.iter().find_map(|reason| match reason {
        Reason::Replayed { proposed, .. } => Some(proposed.replicas),
        _ => None,
    })
}

/// End of the one question.
fn outcome(counts: LlmCounts) -> Outcomes {
    match counts {
        LlmCounts { asked: 0, .. } => Outcomes::NotAsked,
        // Proposed and refused by the account or the replay: the model had picked another size.
        LlmCounts { changed: 1.., .. } | LlmCounts { unproved: 1.., .. } => Outcomes::Changed,
        LlmCounts { answered: 1.., .. } => Outcomes::Agreed,
        LlmCounts { late: 1.., .. } => Outcomes::Late,
        LlmCounts { refused: 1.., .. } => Outcomes::Refused,
        LlmCounts { malformed: 1.., .. } => Outcomes::Malformed,
        LlmCounts { out_of_range: 1.., .. } => Outcomes::OutOfRange,
        LlmCounts { unsure: 1.., .. } => Outcomes::Unsure,
        _ => Outcomes::Unavailable,
    }
}

/// The engine's own words about the advice.
fn said(decision: &ScalingDecision) -> String {
    let words = decision.reasons.iter().find_map(|reason| match reason {
        Reason::Custom { rule, text } if rule == "llm" => Some(text.clone().into_owned()),
        _ => None,
    });
    words.unwrap_or_default()
}

/// Passes questions on, and counts what they took.
struct Timed {
    inner: Arc<dyn ChatModel>,
    seen: Mutex<Took>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Took {
    usage: Usage,
    seconds: f64,
}

impl Timed {
    fn seen(&self) -> Took {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ChatModel for Timed {
    fn id(&self) -> ModelId {
        self.inner.id()
    }

    async fn complete(&self, system: &str, user: &str) -> Result<Completion, ModelError> {
        let began = Instant::now();
        let answer = self.inner.complete(system, user).await;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.seconds += began.elapsed().as_secs_f64();
        if let Ok(completion) = &answer {
            seen.usage += completion.usage;
        }
        answer
    }
}
