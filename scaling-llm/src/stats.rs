//! Counters of the questions to a model and of their outcomes.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::Usage;

/// Counters of a [`LlmEngine`](crate::LlmEngine), shared with it and counted up while it works.
///
/// ```
/// use scaling_core::RuleBasedEngine;
/// use scaling_llm::{LlmEngine, ReplayModel, Transcript};
///
/// let engine = LlmEngine::new(ReplayModel::new(Transcript::default()), RuleBasedEngine::default());
/// let stats = engine.stats(); // stays readable when the engine is handed to an autoscaler
/// assert_eq!(stats.counts().asked, 0);
/// ```
#[derive(Debug, Default)]
pub struct LlmStats {
    asked: AtomicU64,
    answered: AtomicU64,
    changed: AtomicU64,
    late: AtomicU64,
    refused: AtomicU64,
    unavailable: AtomicU64,
    malformed: AtomicU64,
    out_of_range: AtomicU64,
    unsure: AtomicU64,
    unproved: AtomicU64,
    input_tokens: AtomicU64,
    output_tokens: AtomicU64,
}

/// The counters at one moment.
///
/// Once nothing is under way, `asked` is the sum of `answered`, `late`, `refused`, `unavailable`, `malformed`, `out_of_range`,
/// `unsure` and `unproved`; a decision that its host gave up waiting for is asked and nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlmCounts {
    /// Questions put to the model.
    pub asked: u64,
    /// Questions whose answer could be used.
    pub answered: u64,
    /// Of those, answers that picked another size than the baseline.
    pub changed: u64,
    /// Questions without an answer within the deadline.
    pub late: u64,
    /// Questions that the model or a filter before it declined.
    pub refused: u64,
    /// Questions for which the model could not be reached, rejected the request, or was cut off.
    pub unavailable: u64,
    /// Answers that are not exactly the one JSON object.
    pub malformed: u64,
    /// Answers with a size outside the range.
    pub out_of_range: u64,
    /// Answers with a confidence of their own below the threshold.
    pub unsure: u64,
    /// Answers whose size was not proved to be no worse than the baseline's ([`Proof`](crate::Proof)).
    #[serde(default)]
    pub unproved: u64,
    /// Tokens of all questions that came back, used or not.
    pub input_tokens: u64,
    /// Tokens of all answers, used or not.
    pub output_tokens: u64,
}

/// Outcome of one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdviceOutcome {
    Agreed,
    Changed,
    Late,
    Refused,
    Unavailable,
    Malformed,
    OutOfRange,
    Unsure,
    Unproved,
}

impl AdviceOutcome {
    /// A short, constant name, for traces: that of its counter, but for an answer that picked what the baseline had.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::Changed => "changed",
            Self::Late => "late",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed",
            Self::OutOfRange => "out_of_range",
            Self::Unsure => "unsure",
            Self::Unproved => "unproved",
        }
    }
}

impl LlmStats {
    /// Reads the counters. Each is exact; together they may be a moment apart.
    pub fn counts(&self) -> LlmCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LlmCounts {
            asked: read(&self.asked),
            answered: read(&self.answered),
            changed: read(&self.changed),
            late: read(&self.late),
            refused: read(&self.refused),
            unavailable: read(&self.unavailable),
            malformed: read(&self.malformed),
            out_of_range: read(&self.out_of_range),
            unsure: read(&self.unsure),
            unproved: read(&self.unproved),
            input_tokens: read(&self.input_tokens),
            output_tokens: read(&self.output_tokens),
        }
    }

    pub(crate) fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn used(&self, usage: Usage) {
        self.input_tokens.fetch_add(usage.input_tokens, Ordering::Relaxed);
        self.output_tokens.fetch_add(usage.output_tokens, Ordering::Relaxed);
    }

    pub(crate) fn settle(&self, outcome: AdviceOutcome) {
        let counter = match outcome {
            AdviceOutcome::Agreed | AdviceOutcome::Changed => &self.answered,
            AdviceOutcome::Late => &self.late,
            AdviceOutcome::Refused => &self.refused,
            AdviceOutcome::Unavailable => &self.unavailable,
            AdviceOutcome::Malformed => &self.malformed,
            AdviceOutcome::OutOfRange => &self.out_of_range,
            AdviceOutcome::Unsure => &self.unsure,
            AdviceOutcome::Unproved => &self.unproved,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if outcome == AdviceOutcome::Changed {
            self.changed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
