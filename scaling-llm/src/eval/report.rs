//! [`EvalReport`]: what was measured, one line a situation and in all.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Held, Label, ScriptedModel};
use crate::{ModelId, Usage};

/// End of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcomes {
    /// Nothing was asked: there was nothing to pick, or asking was not allowed.
    NotAsked,
    /// The model kept the baseline's size.
    Agreed,
    /// The model picked another size.
    Changed,
    /// There was no answer in time.
    Late,
    /// The model declined.
    Refused,
    /// The model could not be reached, denied the caller, or is not in the transcript.
    Unavailable,
    /// The answer was not the object that was asked for.
    Malformed,
    /// The size was outside of the range.
    OutOfRange,
    /// The model was less sure than the engine follows.
    Unsure,
}

impl Outcomes {
    /// Returns its name, as it is written.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::Agreed => "agreed",
            Self::Changed => "changed",
            Self::Late => "late",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed",
            Self::OutOfRange => "out_of_range",
            Self::Unsure => "unsure",
        }
    }
}

/// Fate of a size other than the baseline's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proposal {
    /// There was none.
    None,
    /// It was taken without a proof.
    Unproved,
    /// The proof let it pass, for this reason.
    Accepted(String),
    /// The proof refused it, for this reason, and the baseline's size was taken.
    Rejected(String),
}

/// One situation: the four sizes, each replayed over the load that came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SituationReport {
    /// Name of the situation.
    pub name: String,
    /// Its group.
    pub kind: String,
    /// Pods that were there.
    pub current: u32,
    /// Sizes that would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The baseline's size.
    pub baseline: Held,
    /// The size with the model's advice, before the proof.
    pub advised: Held,
    /// The size that was taken.
    pub taken: Held,
    /// The best size, all load known in advance.
    pub best: Held,
    /// End of the question.
    pub outcome: Outcomes,
    /// Fate of a size other than the baseline's.
    pub proposal: Proposal,
    /// The engine's words about the advice.
    pub said: String,
    /// Tokens of the question and its answer.
    pub usage: Usage,
    /// Time for the answer. Not part of the JSON: it differs from run to run.
    #[serde(skip)]
    pub seconds: f64,
}

/// Sums over all situations of one of the sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Requests that came late or were dropped.
    pub violating_requests: f64,
    /// Mean share of them.
    pub mean_violating_share: f64,
    /// Pod-hours.
    pub pod_hours: f64,
    /// Labelled situations in which the size is one that the label has.
    pub right: usize,
}

impl Totals {
    fn of(reports: &[SituationReport], held: impl Fn(&SituationReport) -> Held) -> Self {
        let mut totals = Self::default();
        for report in reports {
            let held = held(report);
            totals.violating_requests += held.violating_requests;
            totals.mean_violating_share += held.violating_share / reports.len() as f64;
            totals.pod_hours += held.pod_hours;
            totals.right += usize::from(report.label.is_some_and(|label| label.holds(held.replicas)));
        }
        totals
    }
}

/// All situations together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Situations.
    pub situations: usize,
    /// Situations with a label.
    pub labelled: usize,
    /// Questions by how they ended.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// Answers that kept the baseline's size, of those that could be used.
    pub agreement: Option<f64>,
    /// Sizes other than the baseline's.
    pub proposals: usize,
    /// Of them, those that the proof accepted; none without a proof.
    pub accepted: Option<usize>,
    /// Situations in which what was taken keeps fewer requests waiting than the baseline's size.
    pub better: usize,
    /// Situations in which it keeps more waiting.
    pub worse: usize,
    /// Late requests that were prevented, of those that the best size would have: 1 is as good as that, below 0 is harm done. None
    /// where the baseline leaves nothing to prevent.
    pub harm_prevented: Option<f64>,
    /// The baseline alone.
    pub baseline: Totals,
    /// With advice, before the proof.
    pub advised: Totals,
    /// As taken.
    pub taken: Totals,
    /// The best sizes.
    pub best: Totals,
    /// Tokens of all questions and answers.
    pub usage: Usage,
    /// Price of the tokens, if one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Mean and longest time for an answer, in seconds. Not part of the JSON.
    #[serde(skip)]
    pub seconds: (f64, f64),
    /// False if the answers are a script's: then no real model was measured.
    pub real_model: bool,
}

/// Outcome of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvalReport {
    /// The model that was asked, or whose answers were replayed.
    pub model: ModelId,
    /// All situations together.
    pub summary: Summary,
    /// One line a situation.
    pub situations: Vec<SituationReport>,
}

impl EvalReport {
    pub(super) fn new(model: ModelId, situations: Vec<SituationReport>, price: Option<(f64, f64)>) -> Self {
        let summary = Summary::of(&model, &situations, price);
        Self { model, summary, situations }
    }

    /// Says what was measured, in a sentence: a report of a script must not pass for one of a model.
    pub fn measured(&self) -> String {
        let ModelId { provider, model } = &self.model;
        if self.summary.real_model {
            format!("Measured: answers of {model} ({provider}).")
        } else if provider == ScriptedModel::PROVIDER {
            format!("No real model was measured: the answers are those of the script {model}.")
        } else {
            "No real model is known to have been measured: the answers do not say whose they are.".to_owned()
        }
    }
}

impl Summary {
    fn of(model: &ModelId, reports: &[SituationReport], price: Option<(f64, f64)>) -> Self {
        let count = |is: &dyn Fn(&SituationReport) -> bool| reports.iter().filter(|report| is(report)).count();
        let mut outcomes = BTreeMap::new();
        for report in reports {
            *outcomes.entry(report.outcome.label()).or_insert(0) += 1;
        }
        let agreed = count(&|report| report.outcome == Outcomes::Agreed);
        let changed = count(&|report| report.outcome == Outcomes::Changed);
        let rejected = count(&|report| matches!(report.proposal, Proposal::Rejected(_)));
        let accepted = count(&|report| matches!(report.proposal, Proposal::Accepted(_)));
        let fewer = |a: Held, b: Held| a.violating_requests < b.violating_requests - 1e-6;
        let [baseline, advised, taken, best] = [
            Totals::of(reports, |report| report.baseline),
            Totals::of(reports, |report| report.advised),
            Totals::of(reports, |report| report.taken),
            Totals::of(reports, |report| report.best),
        ];
        let preventable = baseline.violating_requests - best.violating_requests;
        let mut usage = Usage::default();
        for report in reports {
            usage += report.usage;
        }
        let asked: Vec<f64> =
            reports.iter().filter(|report| report.outcome != Outcomes::NotAsked).map(|report| report.seconds).collect();
        Self {
            situations: reports.len(),
            labelled: count(&|report| report.label.is_some()),
            outcomes,
            agreement: (agreed + changed > 0).then(|| agreed as f64 / (agreed + changed) as f64),
            proposals: count(&|report| report.proposal != Proposal::None),
            accepted: (accepted + rejected > 0).then_some(accepted),
            better: count(&|report| fewer(report.taken, report.baseline)),
            worse: count(&|report| fewer(report.baseline, report.taken)),
            harm_prevented: (preventable > 1e-6)
                .then(|| (baseline.violating_requests - taken.violating_requests) / preventable),
            baseline,
            advised,
            taken,
            best,
            usage,
            cost: price
                .map(|(input, output)| (usage.input_tokens as f64 * input + usage.output_tokens as f64 * output) / 1e6),
            seconds: (asked.iter().sum::<f64>() / asked.len().max(1) as f64, asked.iter().copied().fold(0.0, f64::max)),
            real_model: !matches!(model.provider.as_str(), "" | ScriptedModel::PROVIDER),
        }
    }
}
