//! Settings of an [`LlmEngine`](super::LlmEngine).

use std::time::Duration;

use scaling_core::{InvalidSetting, WorkloadFacts};

/// Moment at which a decision uses the answer to its question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asking {
    /// The question is put in the background, and the decision that puts it is the baseline's. A later decision about the same inputs
    /// uses the answer, while it is fresh. A slow model delays nothing, so this is the form for live ticks. What a decision says depends
    /// on when an answer came: its record tells, and is not derived again.
    #[default]
    Background,
    /// The decision waits for the answer, until the deadline. The form for backtests, replays and examples: with a recorded model the
    /// same observations give the same bytes (law 5).
    Inline,
}

/// Settings of an [`LlmEngine`](super::LlmEngine): when a model is asked, how long it may take, and how far its advice may go.
#[derive(Clone, Debug, PartialEq)]
pub struct LlmConfig {
    /// Moment at which an answer is used. Default: [`Asking::Background`].
    pub asking: Asking,
    /// Total time for one answer, connection and retries included. Above 0; default 10 s, less than the HPA's sync period of 15 s.
    pub deadline: Duration,
    /// Time from a question for which its answer is used, by decisions about the same inputs. Above 0; by default two sync periods of
    /// the workload ([`WorkloadFacts::sync_period`]), 30 s where the HPA's own is in use. After it the answer is dropped.
    pub fresh_for: Option<Duration>,
    /// Time from a question until it may be put again although the baseline keeps what is there, is sure of it, and nothing has
    /// changed. Default 10 min. Where the decision moves, is unsure, or an event is near, an answer that is no longer fresh is enough.
    pub ask_again_after: Duration,
    /// Confidence of the baseline below which it counts as unsure, 0 to 1; default 0.75, that of the guard.
    pub unsure_below: f64,
    /// Time before an event from which it counts as near; one that goes on is near as well. Default 30 min.
    pub event_near: Duration,
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
            asking: Asking::default(),
            deadline: Duration::from_secs(10),
            fresh_for: None,
            ask_again_after: Duration::from_secs(600),
            unsure_below: 0.75,
            event_near: Duration::from_secs(1800),
            share_above: 0.5,
            growth_cooldown: Duration::from_secs(600),
            min_confidence_percent: 75,
        }
    }
}

impl LlmConfig {
    /// The defaults, with decisions that wait for their answer ([`Asking::Inline`]).
    ///
    /// ```
    /// use scaling_llm::{Asking, LlmConfig};
    /// assert_eq!(LlmConfig::inline().asking, Asking::Inline);
    /// ```
    pub fn inline() -> Self {
        Self { asking: Asking::Inline, ..Self::default() }
    }

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
        let fresh_for = self.fresh_for.map_or(1.0, |fresh| fresh.as_secs_f64());
        let times = [("deadline (seconds)", self.deadline.as_secs_f64()), ("fresh_for (seconds)", fresh_for)];
        InvalidSetting::check(&times, "above 0", |seconds| seconds > 0.0)?;
        let share = [("share_above", self.share_above)];
        InvalidSetting::check(&share, "from 0 to 10", |share| (0.0..=10.0).contains(&share))?;
        let unsure = [("unsure_below", self.unsure_below)];
        InvalidSetting::check(&unsure, "from 0 to 1", |share| (0.0..=1.0).contains(&share))?;
        let percent = [("min_confidence_percent", f64::from(self.min_confidence_percent))];
        InvalidSetting::check(&percent, "at most 100", |percent| percent <= 100.0)
    }

    /// Time for which an answer about a workload is used.
    pub(super) fn lifetime(&self, facts: &WorkloadFacts) -> Duration {
        self.fresh_for.unwrap_or_else(|| facts.sync_period.saturating_mul(2))
    }
}
