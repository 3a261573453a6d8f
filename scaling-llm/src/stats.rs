//! Counters of the questions to a model and of their outcomes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Usage;
use crate::asking::NotAsked;

/// Upper ends of the buckets of the latency, in seconds.
pub(crate) const LATENCY_BUCKETS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 30.0];

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
    /// Short locks, never held over an await.
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    counts: LlmCounts,
    latency: Latency,
}

/// Times that questions took, answered or not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latency {
    pub(crate) sum_s: f64,
    /// Questions by bucket of [`LATENCY_BUCKETS`], each counted once; the last place is for longer ones.
    pub(crate) counts: [u64; LATENCY_BUCKETS.len() + 1],
}

/// The counters at one moment.
///
/// `decisions` is the sum of `heard`, `awaited` and all of `not_asked`. Once nothing is under way and every answer was used or dropped,
/// `asked` is the sum of `answered`, `late`, `refused`, `unavailable`, `malformed`, `out_of_range`, `unsure`, `unproved`, `stale` and
/// `abandoned`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LlmCounts {
    /// Decisions for which a model could have been asked: all for which the baseline had an answer.
    pub decisions: u64,
    /// Of those, decisions that are not the baseline's.
    pub decisions_changed: u64,
    /// Decisions for which there was an answer, usable or not, new or remembered.
    pub heard: u64,
    /// Decisions made while the question about them was under way.
    pub awaited: u64,
    /// Decisions about which no question was put and none was remembered, by the reason.
    pub not_asked: NotAskedCounts,
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
    /// Questions for which the model could not be reached, rejected the request, was cut off, or panicked.
    pub unavailable: u64,
    /// Answers that are not exactly the one JSON object.
    pub malformed: u64,
    /// Answers with a size outside the range.
    pub out_of_range: u64,
    /// Answers with a confidence of their own below the threshold.
    pub unsure: u64,
    /// Answers whose size was not proved to be no worse than the baseline's ([`Proof`](crate::Proof)).
    pub unproved: u64,
    /// Answers that no decision used while they were fresh: the inputs had changed, or it came too late.
    pub stale: u64,
    /// Questions that were given up: their decision was cancelled, their workload forgotten, or the runtime shut down.
    pub abandoned: u64,
    /// Tokens of all questions that came back, used or not; those of a cache included.
    pub input_tokens: u64,
    /// Tokens of all answers, used or not.
    pub output_tokens: u64,
    /// Of the input tokens, those read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Of the input tokens, those written to it.
    pub cache_write_tokens: u64,
    /// Cost of all answers whose price is known, in the currency of the budget's prices.
    pub cost: f64,
    /// Answers whose cost is not known: the price is not, or the server counts no tokens.
    pub unpriced: u64,
}

/// Decisions without a question, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NotAskedCounts {
    /// No model is set up.
    pub no_model: u64,
    /// The baseline's request leaves nothing to pick.
    pub no_room: u64,
    /// Advice has brought pods lately, and may not grow again yet.
    pub cooling: u64,
    /// The baseline keeps what is there, and nothing has changed since the last question.
    pub unchanged: u64,
    /// An earlier question about the workload was under way.
    pub busy: u64,
    /// There was no tokio runtime.
    pub no_runtime: u64,
    /// The model failed too often.
    pub breaker_open: u64,
    /// The budget did not allow it.
    pub over_budget: u64,
}

impl NotAskedCounts {
    /// The counters with the labels that metrics give them.
    pub fn by_reason(&self) -> [(&'static str, u64); 8] {
        // Taken apart, so that none is forgotten.
        let Self { no_model, no_room, cooling, unchanged, busy, no_runtime, breaker_open, over_budget } = *self;
        [
            ("no_model", no_model),
            ("no_room", no_room),
            ("cooling", cooling),
            ("unchanged", unchanged),
            ("busy", busy),
            ("no_runtime", no_runtime),
            ("breaker_open", breaker_open),
            ("over_budget", over_budget),
        ]
    }
}

impl LlmCounts {
    /// Share of the decisions that are the baseline's, 0 to 1; `None` before the first.
    ///
    /// ```
    /// use scaling_llm::LlmCounts;
    /// let counts = LlmCounts { decisions: 40, decisions_changed: 1, ..LlmCounts::default() };
    /// assert_eq!(counts.share_equal_to_baseline(), Some(0.975));
    /// ```
    pub fn share_equal_to_baseline(&self) -> Option<f64> {
        (self.decisions > 0).then(|| 1.0 - self.decisions_changed as f64 / self.decisions as f64)
    }
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
    Stale,
    Abandoned,
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
            Self::Stale => "stale",
            Self::Abandoned => "abandoned",
        }
    }
}

impl LlmStats {
    /// Reads the counters, all at one moment.
    pub fn counts(&self) -> LlmCounts {
        self.lock().counts
    }

    #[cfg_attr(not(feature = "telemetry"), allow(dead_code))]
    pub(crate) fn latency(&self) -> Latency {
        self.lock().latency
    }

    pub(crate) fn ask(&self) {
        self.lock().counts.asked += 1;
    }

    /// Counts the tokens of an answer, and its cost if it is known.
    pub(crate) fn used(&self, usage: Usage, cost: Option<f64>) {
        let counts = &mut self.lock().counts;
        let add = |sum: &mut u64, tokens: u64| *sum = sum.saturating_add(tokens);
        add(&mut counts.input_tokens, usage.input_tokens);
        add(&mut counts.output_tokens, usage.output_tokens);
        add(&mut counts.cache_read_tokens, usage.cache_read_tokens);
        add(&mut counts.cache_write_tokens, usage.cache_write_tokens);
        match cost {
            Some(cost) => counts.cost += cost,
            None => counts.unpriced += 1,
        }
    }

    /// Counts the time that a question took.
    pub(crate) fn took(&self, time: Duration) {
        let latency = &mut self.lock().latency;
        let seconds = time.as_secs_f64();
        latency.sum_s += seconds;
        let bucket = LATENCY_BUCKETS.iter().take_while(|end| **end < seconds).count();
        if let Some(count) = latency.counts.get_mut(bucket) {
            *count += 1;
        }
    }

    /// Counts how a question ended.
    pub(crate) fn settle(&self, outcome: AdviceOutcome) {
        let counts = &mut self.lock().counts;
        *match outcome {
            AdviceOutcome::Agreed | AdviceOutcome::Changed => &mut counts.answered,
            AdviceOutcome::Late => &mut counts.late,
            AdviceOutcome::Refused => &mut counts.refused,
            AdviceOutcome::Unavailable => &mut counts.unavailable,
            AdviceOutcome::Malformed => &mut counts.malformed,
            AdviceOutcome::OutOfRange => &mut counts.out_of_range,
            AdviceOutcome::Unsure => &mut counts.unsure,
            AdviceOutcome::Unproved => &mut counts.unproved,
            AdviceOutcome::Stale => &mut counts.stale,
            AdviceOutcome::Abandoned => &mut counts.abandoned,
        } += 1;
        if outcome == AdviceOutcome::Changed {
            counts.changed += 1;
        }
    }

    /// Counts a decision for which there was an answer.
    pub(crate) fn heard(&self, is_changed: bool) {
        let counts = &mut self.lock().counts;
        counts.decisions += 1;
        counts.heard += 1;
        counts.decisions_changed += u64::from(is_changed);
    }

    /// Counts a decision whose question is under way.
    pub(crate) fn awaited(&self) {
        let counts = &mut self.lock().counts;
        counts.decisions += 1;
        counts.awaited += 1;
    }

    /// Counts a decision without a question.
    pub(crate) fn not_asked(&self, why: &NotAsked) {
        let counts = &mut self.lock().counts;
        counts.decisions += 1;
        let causes = &mut counts.not_asked;
        *match why {
            NotAsked::NoModel => &mut causes.no_model,
            NotAsked::NoRoom { .. } => &mut causes.no_room,
            NotAsked::Cooling { .. } => &mut causes.cooling,
            NotAsked::Unchanged => &mut causes.unchanged,
            NotAsked::Busy => &mut causes.busy,
            NotAsked::NoRuntime => &mut causes.no_runtime,
            NotAsked::Open { .. } => &mut causes.breaker_open,
            NotAsked::OverBudget(_) => &mut causes.over_budget,
        } += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
