//! [`Advice`]: the answer of a model, and a baseline's decision with it.

use scaling_core::{Reason, ResourceChange, ScalingDecision, WindowDays};

/// Choice of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Pick `target_replicas`. What a pod requests stays as the baseline wants it.
    Scale,
    /// Keep the baseline's decision; `target_replicas` is not looked at.
    Hold,
    /// Keep the baseline's size and pick what a pod requests.
    Resize(Resize),
}

impl Action {
    /// A short, constant name, as in the answer: `scale`, `hold` or `resize`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Scale => "scale",
            Self::Hold => "hold",
            Self::Resize(_) => "resize",
        }
    }
}

/// Requests of a pod, in percent of the present ones: 100 keeps a request, 200 doubles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// CPU request.
    pub cpu_percent: u32,
    /// Memory request.
    pub memory_percent: u32,
}

impl Resize {
    /// Requests that a baseline wants.
    pub fn of(baseline: &ScalingDecision) -> Self {
        let ResourceChange { cpu_percent, memory_percent } = baseline.resources.unwrap_or_default();
        let of_now = |change: i32| u32::try_from(100_i64 + i64::from(change)).unwrap_or(0);
        Self { cpu_percent: of_now(cpu_percent), memory_percent: of_now(memory_percent) }
    }

    /// The change of the present requests; `None` if both are kept.
    pub fn change(self) -> Option<ResourceChange> {
        let by = |of_now: u32| i32::try_from(i64::from(of_now) - 100).unwrap_or(i32::MAX);
        ResourceChange { cpu_percent: by(self.cpu_percent), memory_percent: by(self.memory_percent) }.filled()
    }
}

/// Recurring window with more pods that a model suggests to people. Nothing applies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuggestedWindow {
    /// Days on which it opens.
    pub days: WindowDays,
    /// Hour at which it opens, 0 to 23, local time of the workload.
    pub start_hour: u32,
    /// Hour at which it closes, 1 to 24, not the hour at which it opens; one before it is of the next day.
    pub end_hour: u32,
    /// Pods that it would hold, at least 1.
    pub min_replicas: u32,
}

/// Advice of a model, well-formed but not yet checked against an [`AdviceRange`](crate::AdviceRange).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Choice between the baseline's decision, another size, and other requests of a pod.
    pub action: Action,
    /// Size that is picked, in pods.
    pub target_replicas: u32,
    /// Confidence that the model states, in percent, 0 to 100. It is uncalibrated: a reason to ignore the answer, never one to
    /// trust it.
    pub confidence_percent: u8,
    /// Explanation of the model, as one line of at most [`MAX_ASSESSMENT`](crate::reply::MAX_ASSESSMENT) printable characters.
    pub assessment: String,
    /// CPU target of the HPA that is suggested to people, in percent of the request, 10 to 95.
    pub suggested_target_percent: Option<u32>,
    /// Window of a schedule that is suggested to people.
    pub suggested_window: Option<SuggestedWindow>,
}

impl Advice {
    /// Advice to keep the baseline's decision, with nothing suggested.
    pub fn hold(confidence_percent: u8, assessment: impl Into<String>) -> Self {
        Self {
            action: Action::Hold,
            target_replicas: 0,
            confidence_percent,
            assessment: assessment.into(),
            suggested_target_percent: None,
            suggested_window: None,
        }
    }

    /// Returns true if the baseline's decision would not be the same with it.
    pub fn changes(&self, baseline: &ScalingDecision) -> bool {
        match self.action {
            Action::Scale => self.target_replicas != baseline.desired_replicas,
            Action::Hold => false,
            Action::Resize(resize) => resize != Resize::of(baseline),
        }
    }

    /// The baseline's decision with the size or the requests that were picked, and the cost of others dropped. Nothing else is
    /// changed: not the floor, urgency, confidence, timing or reasons.
    #[must_use]
    pub fn applied_to(&self, baseline: ScalingDecision) -> ScalingDecision {
        match self.action {
            Action::Scale => baseline.resized(self.target_replicas),
            Action::Resize(resize) if self.changes(&baseline) => {
                let mut decision = baseline.with_resources(resize.change());
                decision.cost = None;
                decision
            }
            Action::Hold | Action::Resize(_) => baseline,
        }
    }

    /// Suggestions to people, for the record.
    pub fn suggestions(&self) -> impl Iterator<Item = Reason> + use<> {
        let target = self.suggested_target_percent.map(|cpu_percent| Reason::SuggestedTarget { cpu_percent });
        let window = self.suggested_window.map(|SuggestedWindow { days, start_hour, end_hour, min_replicas }| {
            Reason::SuggestedWindow { days, start_hour, end_hour, min_replicas }
        });
        target.into_iter().chain(window)
    }
}
