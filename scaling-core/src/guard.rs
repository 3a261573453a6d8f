//! [`Guards`], the chain of guards that limits or refuses a change and makes an [`Approved`] one of the rest.
//!
//! Guards judge a [`Change`]: the request for pods, the bounds that would come of it, and what a pod requests. Floors, vertical
//! changes and an undo pass the same chain. Only the chain can make an [`Approved`], only an `Approved` can become an
//! [`HpaPlan`](crate::HpaPlan), and only an `HpaPlan` can be applied: no way around the guards compiles (law 4).
//!
//! ```compile_fail
//! use scaling_core::{Approved, BoundsChange, Target};
//! fn sneak(target: Target, change: BoundsChange) -> Approved {
//!     Approved { target, change } // private fields
//! }
//! ```

mod absence;
mod approved;
mod budget_share;
mod confidence;
mod cooldown;
mod fleet_freeze;
mod freshness;
mod hard_limits;
mod removal_budget;
mod resource_limits;
mod step;

use std::borrow::Cow;
use std::fmt;

use approved::Restore;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use absence::AbsenceGuard;
pub use approved::{Approved, Proposal, Refusal};
pub use budget_share::BudgetShare;
pub use confidence::ConfidenceGate;
pub use cooldown::Cooldown;
pub use fleet_freeze::{FleetFreeze, Sight};
pub use freshness::Freshness;
pub use hard_limits::HardLimitsGuard;
pub use removal_budget::RemovalBudget;
pub use resource_limits::ResourceLimits;
pub use step::StepLimit;

use crate::bounds::{Bounds, HardLimits};
use crate::decision::ScalingDecision;
use crate::metrics::{Observation, ScalingMetrics};
use crate::policy::{BoundsPolicy, Mapped, Mapping};
use crate::resources::ResourceChange;
use crate::state::HpaState;
use crate::target::Target;

/// Instants of the last changes of a workload, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastChanges {
    /// Last change that raised a bound.
    pub grown: Option<DateTime<Utc>>,
    /// Last change that lowered a bound.
    pub shrunk: Option<DateTime<Utc>>,
    /// Last change of what a pod requests.
    pub resized: Option<DateTime<Utc>>,
}

impl LastChanges {
    /// The last change of any kind.
    pub fn any(&self) -> Option<DateTime<Utc>> {
        self.grown.max(self.shrunk).max(self.resized)
    }
}

/// Everything a guard may look at besides the change.
#[derive(Clone, Copy, Debug)]
pub struct GuardContext<'a> {
    /// The workload.
    pub target: &'a Target,
    /// Time of the tick.
    pub now: DateTime<Utc>,
    /// Observation that the engine saw; none while the source is down.
    pub observation: Option<&'a Observation>,
    /// The HPA as it stands.
    pub state: HpaState,
    /// The sizes the host allows at all.
    pub limits: HardLimits,
    /// Mapping from a request to bounds.
    pub policy: &'a BoundsPolicy,
    /// The min as it would be without the floors that are or were in force; `None` if no floor raised it.
    pub min_without_floor: Option<u32>,
    /// Instants of the last changes of this workload.
    pub last: LastChanges,
    /// Pods let go lately, all workloads together, newest last: when, and how many.
    pub released: &'a [(DateTime<Utc>, u32)],
}

/// A proposed change, with what earlier guards left of it.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The engine's decision as it was made; none while there is none (the source is down), and for an undo.
    pub decision: Option<&'a ScalingDecision>,
    /// Pods that run or start.
    pub current: u32,
    /// Pods requested; equal to `current` where nothing is requested, or nothing is left of it.
    pub request: u32,
    /// The highest floor that is due; 0 for none.
    pub floor: u32,
    /// Bounds before.
    pub old: Bounds,
    /// Bounds after.
    pub new: Bounds,
    /// Pods that the old min held and the new one does not: those that the HPA may then remove.
    pub released: u32,
    /// Change of what a pod requests.
    pub resources: Option<ResourceChange>,
}

impl Change<'_> {
    /// Returns true if more pods are requested.
    pub fn grows(&self) -> bool {
        self.request > self.current
    }

    /// Returns true if fewer pods are requested.
    pub fn shrinks(&self) -> bool {
        self.request < self.current
    }

    /// Returns true if a bound would become lower.
    pub fn lowers(&self) -> bool {
        self.new.min() < self.old.min() || self.new.max() < self.old.max()
    }

    /// Returns true if a pod would request less.
    pub fn shrinks_pods(&self) -> bool {
        self.resources.is_some_and(ResourceChange::shrinks)
    }

    /// Returns true if it rests on the engine's decision, and not on a floor alone.
    pub fn rests_on_the_engine(&self) -> bool {
        self.grows() || self.shrinks() || self.resources.is_some()
    }

    /// Returns true if the engine's urgency is critical.
    pub fn is_critical(&self) -> bool {
        self.decision.is_some_and(|decision| decision.urgency == crate::decision::Urgency::Critical)
    }
}

/// A part of a change, and how much of it is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Pods requested.
    Replicas(u32),
    /// Pods that may be let go. With 0 no bound is lowered at all.
    Released(u32),
    /// Change of what a pod requests.
    Resources(ResourceChange),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replicas(pods) => write!(f, "{pods} pods"),
            Self::Released(0) => f.write_str("no bound lowered"),
            Self::Released(pods) => write!(f, "{pods} pods let go"),
            Self::Resources(ResourceChange { cpu_percent, memory_percent }) => {
                write!(f, "requests {cpu_percent:+} % CPU and {memory_percent:+} % memory")
            }
        }
    }
}

/// The answer of one guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it.
    Pass,
    /// Not that much: this much of it.
    Limit {
        /// Part that is allowed.
        limit: Limit,
        /// Reason, for people.
        why: Cow<'static, str>,
    },
    /// Nothing of what the engine decided: neither pods nor resources. A floor that is due is held all the same, and one that has
    /// ended is given back.
    Refuse {
        /// Reason, for people.
        why: Cow<'static, str>,
    },
}

impl Verdict {
    /// No bound may be lowered, and no pod may request less.
    pub fn lower_nothing(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Limit { limit: Limit::Released(0), why: why.into() }
    }

    /// Nothing of what the engine decided is allowed.
    pub fn refuse(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Refuse { why: why.into() }
    }
}

/// One rule about what is allowed.
///
/// **Given:** a change, as far as earlier guards left it, and its context. **Promised:** a pure answer that makes the change
/// smaller: a limit on the request lies between the present size and the request, both included; fewer pods are let go; a pod's
/// requests change by less. The chain sees to it that a guard never turns a change round nor makes it larger. A guard is asked
/// again about what it left, until it passes.
///
/// ```
/// use scaling_core::guard::{Change, Guard, GuardContext, Limit, Verdict};
///
/// /// Never more than ten pods more at once.
/// struct TenAtMost;
///
/// impl Guard for TenAtMost {
///     fn name(&self) -> &'static str {
///         "ten_at_most"
///     }
///     fn check(&self, change: &Change<'_>, _: &GuardContext<'_>) -> Verdict {
///         let most = change.current.saturating_add(10);
///         if change.request > most {
///             Verdict::Limit { limit: Limit::Replicas(most), why: "ten more at once".into() }
///         } else {
///             Verdict::Pass
///         }
///     }
/// }
/// ```
pub trait Guard: Send + Sync {
    /// A short, constant name for records and metrics.
    fn name(&self) -> &'static str;

    /// Judges a change.
    fn check(&self, change: &Change<'_>, context: &GuardContext<'_>) -> Verdict;
}

/// One limit that a guard set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clamp {
    /// The guard.
    pub guard: Cow<'static, str>,
    /// The change before it.
    pub from: Limit,
    /// The change allowed by it.
    pub to: Limit,
    /// Reason, for people.
    pub why: Cow<'static, str>,
}

impl fmt::Display for Clamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} instead of {} ({})", self.guard, self.to, self.from, self.why)
    }
}

/// The guards, in order.
///
/// Two come first whatever the chain: the decision must start from the pods that were seen, and the hard limits hold. Then, by
/// default: freshness, absence, confidence, cooldown, step, resources, removal budget. Those that refuse outright come before
/// those that only make a change smaller, so that no limit is recorded for a change that is refused anyway; the budget comes
/// last, because it is spent on what all others have left.
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
            .with(ResourceLimits::default())
            .with(RemovalBudget::default())
    }
}

impl Guards {
    /// Nothing but consistency and the hard limits, which are always there.
    pub fn only_hard_limits() -> Self {
        Self { chain: Vec::new() }
    }

    /// Adds a guard at the end; one of the same name is replaced where it stands.
    #[must_use]
    pub fn with(mut self, guard: impl Guard + 'static) -> Self {
        match self.chain.iter_mut().find(|present| present.name() == guard.name()) {
            Some(present) => *present = Box::new(guard),
            None => self.chain.push(Box::new(guard)),
        }
        self
    }

    /// Passes a proposal through the chain. There is always an answer: what is refused of it, is named in it.
    pub fn approve(&self, proposal: Proposal, context: &GuardContext<'_>) -> Approved {
        let mut judged = Judged::new(&proposal, context);
        if let Some(why) = inconsistency(&proposal, context) {
            judged.refuse("consistency", why.into());
        }
        if let Some(why) = hard_limits::outside(context) {
            // Nothing at all is changed, floors neither: bringing the bounds in would move them the wrong way.
            judged.refuse(HardLimitsGuard.name(), why.into());
            judged.frozen = true;
        }
        judged.hold_floors_only();
        let chain = std::iter::once(&HardLimitsGuard as &dyn Guard).chain(self.chain.iter().map(|guard| &**guard));
        let refused_before = judged.refusal.is_some();
        let chain: Vec<_> = chain.collect();
        for guard in &chain {
            judged.ask(*guard, context);
        }
        if judged.refusal.is_some() && !refused_before {
            // What is left without the engine's request may lower what the guards before the refusal have not seen lowered.
            for guard in &chain {
                judged.ask(*guard, context);
            }
        }
        let (change, request) = (judged.outcome(), judged.change(proposal.decision.as_ref()).request);
        let Judged { clamps, refusal, .. } = judged;
        Approved::new(context, proposal, change, request, clamps, refusal)
    }
}

/// A change while it passes the chain.
struct Judged<'a> {
    policy: &'a BoundsPolicy,
    mapping: Mapping,
    mapped: Mapped,
    resources: Option<ResourceChange>,
    /// Nothing may change at all.
    frozen: bool,
    clamps: Vec<Clamp>,
    refusal: Option<Refusal>,
    decision: Option<&'a ScalingDecision>,
}

/// Name in records of what [`BoundsPolicy::floors_only`] refuses.
const FLOORS_ONLY: &str = "floors_only";

/// Times that a guard is asked about what it left of a change: once for each part of it, and once more.
const ASKED_AT_MOST: usize = 4;

impl<'a> Judged<'a> {
    fn new(proposal: &'a Proposal, context: &GuardContext<'a>) -> Self {
        let decision = proposal.decision.as_ref();
        let metrics = context.observation.map(|observation| &observation.current);
        let old_min = context.state.bounds.min();
        // While the source is down, the pods that the min holds are those that are known to run. What a decision says of them
        // does not count: it may be wrong.
        let current = metrics.and_then(ScalingMetrics::replicas).unwrap_or(old_min);
        // Pods that are not ready are held as well: where only the ready ones are known, the min tells.
        let asked = metrics.and_then(|metrics| metrics.desired_pod_count).unwrap_or(old_min);
        let request = decision.map(|decision| decision.desired_replicas);
        let mapping = Mapping {
            state: context.state,
            limits: context.limits,
            current,
            running: current.max(context.state.pods.unwrap_or(0)),
            held: old_min.min(asked),
            request,
            grows: request.is_some_and(|request| request > current),
            foreseen: decision.is_some_and(|decision| decision.foreseen),
            restore: proposal.restore.map(|restore| match restore {
                Restore::Resting => context.state.resting,
                Restore::To(bounds) => bounds,
            }),
            floor: proposal.floor.as_ref().map_or(0, |floor| floor.replicas),
            min_without_floor: context.min_without_floor.unwrap_or(u32::MAX),
            release_at_most: None,
        };
        let mapped = context.policy.map(&mapping);
        let resources = decision.and_then(|decision| decision.resources).and_then(ResourceChange::filled);
        let (clamps, refusal) = (Vec::new(), None);
        Self { policy: context.policy, mapping, mapped, resources, frozen: false, clamps, refusal, decision }
    }

    fn change<'b>(&self, decision: Option<&'b ScalingDecision>) -> Change<'b> {
        Change {
            decision,
            current: self.mapping.current,
            request: self.mapping.request.unwrap_or(self.mapping.current),
            floor: self.mapping.floor,
            old: self.mapping.state.bounds,
            new: self.mapped.bounds,
            released: self.mapped.released,
            resources: self.resources,
        }
    }

    /// Asks one guard, until it passes what it left.
    fn ask(&mut self, guard: &dyn Guard, context: &GuardContext<'_>) {
        for _ in 0..ASKED_AT_MOST {
            let change = self.change(self.decision);
            let nothing = change.old == change.new && !change.rests_on_the_engine();
            if self.frozen || nothing {
                return;
            }
            match guard.check(&change, context) {
                Verdict::Pass => return,
                Verdict::Limit { limit, why } => {
                    if !self.limit(guard.name(), limit, why) {
                        return;
                    }
                }
                Verdict::Refuse { why } => {
                    // Once refused there is nothing left of the decision to refuse again.
                    if self.mapping.request.is_none() && self.resources.is_none() {
                        return;
                    }
                    self.refuse(guard.name(), why);
                }
            }
        }
    }

    /// Makes the change smaller. Whatever a guard says, it turns nothing round and makes nothing larger. False if nothing changed.
    fn limit(&mut self, guard: &'static str, limit: Limit, why: Cow<'static, str>) -> bool {
        let (from, to) = match limit {
            Limit::Replicas(pods) => {
                let (current, Some(request)) = (self.mapping.current, self.mapping.request) else { return false };
                let to = pods.clamp(request.min(current), request.max(current));
                self.mapping.request = Some(to);
                (Limit::Replicas(request), Limit::Replicas(to))
            }
            Limit::Released(pods) => {
                let before = self.mapping.release_at_most;
                if before.is_some_and(|before| before <= pods) {
                    return false;
                }
                let released = self.mapped.released;
                self.mapping.release_at_most = Some(pods);
                if pods == 0 {
                    self.resources = self.resources.and_then(|change| grown_only(change).filled());
                }
                (Limit::Released(released), Limit::Released(pods.min(released)))
            }
            Limit::Resources(allowed) => {
                let Some(change) = self.resources else { return false };
                let to = ResourceChange {
                    cpu_percent: nearer(change.cpu_percent, allowed.cpu_percent),
                    memory_percent: nearer(change.memory_percent, allowed.memory_percent),
                };
                self.resources = to.filled();
                (Limit::Resources(change), Limit::Resources(to))
            }
        };
        let before = self.mapped;
        self.mapped = self.policy.map(&self.mapping);
        if from == to && before == self.mapped {
            return false;
        }
        self.clamps.push(Clamp { guard: guard.into(), from, to, why });
        true
    }

    /// Under a policy that holds floors alone, nothing that the engine asks for is left.
    fn hold_floors_only(&mut self) {
        if !self.policy.floors_only {
            return;
        }
        let old = self.mapping.state.bounds;
        if self.change(self.decision).rests_on_the_engine() {
            self.refuse(FLOORS_ONLY, "floors alone are held, what the engine asks for is not followed".into());
        } else {
            (self.mapping.request, self.mapping.grows) = (None, false);
            self.mapped = self.policy.map(&self.mapping);
        }
        if self.mapping.floor > old.max() && self.policy.cuts_floors(old) {
            let (from, to) = (Limit::Replicas(self.mapping.floor), Limit::Replicas(old.max()));
            let why = "floors alone are held, the max is not raised for them".into();
            self.clamps.push(Clamp { guard: FLOORS_ONLY.into(), from, to, why });
        }
    }

    fn refuse(&mut self, guard: &'static str, why: Cow<'static, str>) {
        (self.mapping.request, self.mapping.grows) = (None, false);
        self.resources = None;
        self.mapped = self.policy.map(&self.mapping);
        self.refusal.get_or_insert(Refusal { guard, why });
    }

    fn outcome(&self) -> crate::policy::BoundsChange {
        let old = self.mapping.state.bounds;
        let new = if self.frozen { old } else { self.mapped.bounds };
        let without = self.mapped.min_without_floor;
        crate::policy::BoundsChange {
            old,
            new,
            released: if self.frozen { 0 } else { self.mapped.released },
            min_without_floor: (without < new.min()).then_some(without),
            resources: self.resources,
        }
    }
}

/// The part of a change that grows.
fn grown_only(change: ResourceChange) -> ResourceChange {
    ResourceChange { cpu_percent: change.cpu_percent.max(0), memory_percent: change.memory_percent.max(0) }
}

/// The smaller of two changes in the direction of the first.
fn nearer(change: i32, allowed: i32) -> i32 {
    allowed.clamp(change.min(0), change.max(0))
}

/// Finds a statement of a decision that cannot be so. The guards judge a change by its size; a wrong present size would hide it from them.
fn inconsistency(proposal: &Proposal, context: &GuardContext<'_>) -> Option<String> {
    let decision = proposal.decision.as_ref()?;
    let current = decision.current_replicas;
    let seen = context.observation.and_then(|observation| observation.current.replicas());
    (seen != Some(current)).then(|| {
        let seen = seen.map_or_else(|| "an unknown number of".to_owned(), |seen| seen.to_string());
        format!("the decision starts from {current} pods, {seen} pods were seen")
    })
}
