//! What is allowed: [`Guard`], the chain [`Guards`], and its two outcomes [`Approved`] and [`Refusal`].
//!
//! Only the chain can make an [`Approved`], only an `Approved` can become an [`crate::HpaPlan`], and only an `HpaPlan` can be
//! applied: there is no way around the guards that compiles (law 4).
//!
//! ```compile_fail
//! use scaling_core::{Approved, ScalingDecision};
//! fn sneak(decision: ScalingDecision) -> Approved {
//!     Approved { decision, replicas: 500, clamps: Vec::new() } // private fields
//! }
//! ```

mod absence;
mod confidence;
mod cooldown;
mod freshness;
mod hard_limits;
mod removal_budget;
mod step;

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use absence::AbsenceGuard;
pub use confidence::ConfidenceGate;
pub use cooldown::Cooldown;
pub use freshness::Freshness;
pub use hard_limits::HardLimitsGuard;
pub use removal_budget::RemovalBudget;
pub use step::StepLimit;

use crate::{Bounds, HardLimits, HpaState, Observation, Requests, ScalingAction, ScalingDecision, Target};

/// When a workload's bounds were last moved, each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastChanges {
    /// Last change that asked for more pods.
    pub grown: Option<DateTime<Utc>>,
    /// Last change that asked for fewer.
    pub shrunk: Option<DateTime<Utc>>,
}

/// Everything a guard may look at besides the decision.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The workload.
    pub target: &'a Target,
    /// What time it is.
    pub now: DateTime<Utc>,
    /// What the engine saw.
    pub observation: &'a Observation,
    /// The HPA as it stands.
    pub state: HpaState,
    /// The sizes the host allows at all.
    pub limits: HardLimits,
    /// When this workload was last changed.
    pub last: LastChanges,
    /// Pods removed lately, all workloads together, newest last: when, and how many.
    pub removals: &'a [(DateTime<Utc>, u32)],
}

/// What one guard says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it.
    Pass,
    /// Not that many or few: this many instead.
    Limit {
        /// The number of pods allowed.
        replicas: u32,
        /// Why.
        why: Cow<'static, str>,
    },
    /// Not now.
    Refuse {
        /// Why.
        why: Cow<'static, str>,
    },
}

/// One rule about what is allowed.
///
/// **Given:** a decision that wants a change, the number of pods that earlier guards left of it, and the situation.
/// **Promised:** a pure answer; a limit lies between the present size and the number given, both included: a guard makes a
/// change smaller. The chain sees to it that it never turns one round nor makes it larger.
pub trait Guard: Send + Sync {
    /// A short, constant name for records and metrics.
    fn name(&self) -> &'static str;

    /// Judges a decision of which `replicas` is left.
    fn check(&self, decision: &ScalingDecision, replicas: u32, situation: &Situation<'_>) -> Verdict;
}

/// One limit that a guard set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clamp {
    /// The guard.
    pub guard: Cow<'static, str>,
    /// Pods wanted before it.
    pub from: u32,
    /// Pods allowed by it.
    pub to: u32,
    /// Why.
    pub why: Cow<'static, str>,
}

impl fmt::Display for Clamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} instead of {} ({})", self.guard, self.to, self.from, self.why)
    }
}

/// A decision that all guards let pass, with what they made of it, for the workload, the bounds and the limits that they judged
/// it by: whatever is planned from it is planned for those.
#[derive(Clone, Debug, PartialEq)]
pub struct Approved {
    decision: ScalingDecision,
    replicas: u32,
    clamps: Vec<Clamp>,
    target: Target,
    bounds: Bounds,
    limits: HardLimits,
    requests: Requests,
}

impl Approved {
    /// The decision as the engine made it.
    pub fn decision(&self) -> &ScalingDecision {
        &self.decision
    }

    /// The number of pods that is allowed.
    pub fn replicas(&self) -> u32 {
        self.replicas
    }

    /// What the guards changed, in order.
    pub fn clamps(&self) -> &[Clamp] {
        &self.clamps
    }

    /// The workload.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The HPA's bounds that it was judged by.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The limits that it was judged by.
    pub fn limits(&self) -> HardLimits {
        self.limits
    }

    pub(crate) fn requests(&self) -> Requests {
        self.requests
    }

    pub(crate) fn into_parts(self) -> (ScalingDecision, Vec<Clamp>) {
        (self.decision, self.clamps)
    }
}

/// A decision that a guard did not let pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The decision as the engine made it.
    pub decision: ScalingDecision,
    /// What earlier guards had changed.
    pub clamps: Vec<Clamp>,
    /// The guard that refused.
    pub guard: &'static str,
    /// Why.
    pub why: Cow<'static, str>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refused: {}", self.guard, self.why)
    }
}

/// The guards, in order.
///
/// Two come first whatever the chain: the decision must be consistent in itself and with what was seen, and the hard limits
/// hold. Then, by default: freshness, absence, confidence, cooldown, step, removal budget. Those that refuse outright come before
/// those that only make the change smaller.
pub struct Guards {
    chain: Vec<Box<dyn Guard>>,
}

impl fmt::Debug for Guards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entry(&HardLimitsGuard.name()).entries(self.chain.iter().map(|guard| guard.name())).finish()
    }
}

impl Default for Guards {
    fn default() -> Self {
        Self::only_hard_limits()
            .with(Freshness::default())
            .with(AbsenceGuard)
            .with(ConfidenceGate::default())
            .with(Cooldown::default())
            .with(StepLimit::default())
            .with(RemovalBudget::default())
    }
}

impl Guards {
    /// Nothing but consistency and the hard limits, which are always there.
    pub fn only_hard_limits() -> Self {
        Self { chain: Vec::new() }
    }

    /// The same with one more guard at the end; one of the same name is replaced where it stands.
    #[must_use]
    pub fn with(mut self, guard: impl Guard + 'static) -> Self {
        match self.chain.iter_mut().find(|present| present.name() == guard.name()) {
            Some(present) => *present = Box::new(guard),
            None => self.chain.push(Box::new(guard)),
        }
        self
    }

    /// Passes a decision through the chain. A decision to maintain passes as it is.
    ///
    /// # Errors
    /// [`Refusal`], with the guard that refused.
    // A refusal carries the whole decision into the record, as an approval does.
    #[allow(clippy::result_large_err)]
    pub fn approve(&self, decision: ScalingDecision, situation: &Situation<'_>) -> Result<Approved, Refusal> {
        if let Some(why) = inconsistency(&decision, situation.observation) {
            return Err(Refusal { decision, clamps: Vec::new(), guard: "consistency", why: why.into() });
        }
        let current = decision.current_replicas;
        let mut replicas = decision.desired_replicas;
        let mut clamps = Vec::new();
        let changes = replicas != current || decision.resources.is_some();
        let chain = std::iter::once(&HardLimitsGuard as &dyn Guard).chain(self.chain.iter().map(|guard| &**guard));
        for guard in chain.filter(|_| changes) {
            match guard.check(&decision, replicas, situation) {
                Verdict::Pass => {}
                Verdict::Limit { replicas: limit, why } => {
                    // Whatever a guard says, it only makes the change smaller.
                    let to = limit.clamp(replicas.min(current), replicas.max(current));
                    clamps.push(Clamp { guard: guard.name().into(), from: replicas, to, why });
                    replicas = to;
                }
                Verdict::Refuse { why } => {
                    return Err(Refusal { decision, clamps, guard: guard.name(), why });
                }
            }
        }
        Ok(Approved {
            decision,
            replicas,
            clamps,
            target: situation.target.clone(),
            bounds: situation.state.bounds,
            limits: situation.limits,
            requests: Requests::of(&situation.observation.facts),
        })
    }
}

/// What a decision says that cannot be so. The guards judge a change by its size; a wrong present size would hide it from them.
fn inconsistency(decision: &ScalingDecision, observation: &Observation) -> Option<String> {
    let (current, desired) = (decision.current_replicas, decision.desired_replicas);
    let seen = observation.current.replicas();
    if seen != Some(current) {
        let seen = seen.map_or_else(|| "an unknown number of".to_owned(), |seen| seen.to_string());
        return Some(format!("the decision starts from {current} pods, {seen} pods were seen"));
    }
    let action = ScalingAction::of(current, desired, decision.resources);
    let said = decision.action;
    (said != action).then(|| format!("the decision says {said:?}, its numbers say {action:?}"))
}
