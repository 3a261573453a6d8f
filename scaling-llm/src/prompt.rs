//! From an observation and the baseline's decision to a prompt: pure, and bounded in size whatever comes in.
//!
//! A prompt is made of numbers and of codes from fixed lists. Text that others wrote (names of workloads, events, windows, metrics and
//! engines, errors, reasons of a host's own rules) does not reach it, not even cut or quoted: an event is `e1` in it, a window
//! `w1`. Two observations that differ in such text alone give the same bytes. Equal inputs give equal bytes, so that an answer can be
//! cached and replayed.

mod causes;
mod events;
mod history;
mod number;
mod signals;
mod written;

use std::time::Duration;

use scaling_core::backtest::Score;
use scaling_core::{Bounds, HardLimits, Observation, ScalingDecision, StepLimit};

use crate::AdviceRange;
use written::Written;

/// System text of every question. Constant to the byte, so that servers can cache it.
pub const SYSTEM: &str = include_str!("prompt/system.txt");

/// Longest question, in bytes, whatever the history, the events or the reasons.
pub const MAX_BYTES: usize = 8192;

/// A question to a model, as text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prompt {
    /// System text: [`SYSTEM`].
    pub system: &'static str,
    /// One line of JSON about this workload at this moment.
    pub user: String,
}

impl Prompt {
    /// Writes a question.
    pub fn new(question: &Question<'_>) -> Self {
        // Text keys and plain values cannot fail to be written.
        Self { system: SYSTEM, user: serde_json::to_string(&Written::new(question)).unwrap_or_default() }
    }
}

/// Everything that a question is about. Times in it are measured from [`Observation::now`].
///
/// ```
/// use scaling_core::{HardLimits, Observation, ScalingDecision, ScalingMetrics, Target, chrono::DateTime};
/// use scaling_llm::{AdviceRange, Prompt, Question, ReplicaRange, prompt::KnownLimits};
///
/// let at = DateTime::UNIX_EPOCH;
/// let observation = Observation::new(Target::deployment("shop", "web"), ScalingMetrics::new(at, 4));
/// let baseline = ScalingDecision::replicas("rules", at, 4, 6);
/// let range = AdviceRange::pods_only(ReplicaRange::around(&baseline, 0.5), &baseline);
/// let limits = KnownLimits { hard: Some(HardLimits::new(2, 20)?), ..KnownLimits::default() };
///
/// let prompt = Prompt::new(&Question::new(&observation, &baseline, range).with_limits(limits));
/// assert!(prompt.user.starts_with(r#"{"allowed":{"lowest":6,"highest":9,"#));
/// assert!(prompt.user.contains(r#""hard_min":2,"hard_max":20"#) && !prompt.user.contains("shop"));
/// # Ok::<(), scaling_core::InvalidBounds>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Observation of the workload.
    pub observation: &'a Observation,
    /// Decision of the baseline.
    pub baseline: &'a ScalingDecision,
    /// Sizes and requests that may be picked.
    pub allowed: AdviceRange,
    /// Limits of the host, as far as they are known.
    pub limits: KnownLimits,
    /// Score of the baseline over the recent past, if it was replayed.
    pub backtest: Option<BacktestSays>,
}

impl<'a> Question<'a> {
    /// A question about a decision, with no limits known and nothing replayed.
    pub fn new(observation: &'a Observation, baseline: &'a ScalingDecision, allowed: AdviceRange) -> Self {
        Self { observation, baseline, allowed, limits: KnownLimits::default(), backtest: None }
    }

    /// Sets the limits of the host.
    #[must_use]
    pub fn with_limits(mut self, limits: KnownLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the score of the baseline over the recent past.
    #[must_use]
    pub fn with_backtest(mut self, says: Option<BacktestSays>) -> Self {
        self.backtest = says;
        self
    }
}

/// Limits that come after the engine, as far as whoever asks knows them. They are told to the model so that it does not ask in vain;
/// they hold whatever it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KnownLimits {
    /// Sizes that the host allows at all.
    pub hard: Option<HardLimits>,
    /// Bounds of the HPA now.
    pub bounds: Option<Bounds>,
    /// Largest step at once.
    pub step: Option<StepLimit>,
    /// Time until fewer pods or smaller requests are let through again; zero if that may be now.
    pub cooldown_left: Option<Duration>,
}

/// Score of the baseline in a replay of the recent past, as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BacktestSays {
    /// Length of what was replayed, in hours.
    pub hours: f64,
    /// Share of requests that waited too long or were dropped, 0 to 1.
    pub violating_share: f64,
    /// Hours of pods paid for.
    pub pod_hours: f64,
    /// Pod-hours over the least that would have done with all load known in advance; 1 cannot be beaten.
    pub oracle_ratio: Option<f64>,
    /// Most pods at a time.
    pub peak_pods: u32,
}

impl From<&Score> for BacktestSays {
    fn from(score: &Score) -> Self {
        let Score { hours, violating_share, pod_hours, oracle_ratio, peak_pods, .. } = *score;
        Self { hours, violating_share, pod_hours, oracle_ratio, peak_pods }
    }
}
