//! [`Outcome`]: the end of a tick, and [`Unchanged`]: the reason why one that neither failed nor was refused changed nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bounds::Bounds;

/// Which step of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The source.
    Observe,
    /// Reading the HPA.
    Read,
    /// The engine.
    Decide,
    /// The applier.
    Apply,
}

impl Step {
    /// Returns a short, constant name, for metrics and traces.
    pub fn label(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Read => "read",
            Self::Decide => "decide",
            Self::Apply => "apply",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Observe => "observe",
            Self::Read => "read the HPA",
            Self::Decide => "decide",
            Self::Apply => "apply",
        })
    }
}

/// End of a tick.
///
/// ```
/// use scaling_core::{Bounds, Outcome, Unchanged};
///
/// let outcome = Outcome::Unchanged { why: Unchanged::Allowed { bounds: Bounds::new(3, 11)?, replicas: 6 } };
/// assert_eq!(outcome.to_string(), "unchanged: bounds 3..11 already allow 6");
/// # Ok::<(), scaling_core::InvalidBounds>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// There was nothing to change.
    Unchanged {
        /// Reason.
        why: Unchanged,
    },
    /// The change was planned; nothing left the process.
    Planned,
    /// The API server would take the change; nothing persists.
    Validated,
    /// The change was applied.
    Applied,
    /// A guard refused, and nothing was changed.
    Refused {
        /// The guard.
        guard: String,
        /// Reason, for people.
        why: String,
    },
    /// A step failed, and nothing was changed, unless it says that the change may have happened.
    Failed {
        /// The step.
        step: Step,
        /// Error, for people.
        error: String,
        /// True if it can pass by itself.
        transient: bool,
        /// True if the change may have been made all the same, because the answer to the write was lost: it counts as made until
        /// a read says otherwise (law 12). Always false before [`Step::Apply`].
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        may_have_happened: bool,
    },
}

impl Outcome {
    /// Returns a short, constant name of the end, for metrics and traces.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unchanged { .. } => "unchanged",
            Self::Planned => "planned",
            Self::Validated => "validated",
            Self::Applied => "applied",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged { why } => write!(f, "unchanged: {why}"),
            Self::Planned => f.write_str("planned"),
            Self::Validated => f.write_str("validated by the API server"),
            Self::Applied => f.write_str("applied"),
            Self::Refused { guard, why } => write!(f, "refused by {guard}: {why}"),
            Self::Failed { step, error, .. } => write!(f, "failed to {step}: {error}"),
        }
    }
}

/// Reason why there was nothing to change, with its numbers. Limits that guards set are in the record beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unchanged {
    /// The tick has not come to a decision: the state of a record before its tick.
    Undecided,
    /// The bounds already allow the size that guards left of the request, and hold the floor that is due.
    Allowed {
        /// Bounds of the HPA.
        bounds: Bounds,
        /// Replicas requested, as far as guards allowed.
        replicas: u32,
    },
    /// Fewer replicas would do, and the min is not lowered for them.
    MinHeld {
        /// Bounds of the HPA.
        bounds: Bounds,
        /// Replicas requested, as far as guards allowed.
        replicas: u32,
        /// What holds the min.
        by: MinHolder,
    },
    /// More replicas run than the max allows, and none beyond those that run are requested.
    AboveMax {
        /// Bounds of the HPA.
        bounds: Bounds,
        /// Replicas requested, as far as guards allowed.
        replicas: u32,
    },
    /// The applier found the new bounds in place: an earlier write, whose answer was lost, or somebody else's.
    AlreadyThere {
        /// Bounds that were to be written.
        bounds: Bounds,
    },
}

/// What keeps a min where it is while fewer replicas would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MinHolder {
    /// The bounds that the HPA's owner set.
    Owner,
    /// A floor that is due: of a schedule, a forecast or an event.
    Floor,
    /// The hard limits of the host, or a guard that lets no more pods go.
    Limits,
}

impl Unchanged {
    /// Finds the reason, for bounds that stay as they are.
    pub(crate) fn of(bounds: Bounds, replicas: u32, resting: Bounds, floor: Option<u32>) -> Self {
        if replicas > bounds.max() {
            Self::AboveMax { bounds, replicas }
        } else if replicas >= bounds.min() {
            Self::Allowed { bounds, replicas }
        } else {
            let by = if floor.is_some_and(|floor| floor >= bounds.min()) {
                MinHolder::Floor
            } else if resting.min() >= bounds.min() {
                MinHolder::Owner
            } else {
                MinHolder::Limits
            };
            Self::MinHeld { bounds, replicas, by }
        }
    }

    /// Returns a short, constant name of the kind, for metrics and counts.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Allowed { .. } => "allowed",
            Self::MinHeld { by: MinHolder::Owner, .. } => "min_held_by_owner",
            Self::MinHeld { by: MinHolder::Floor, .. } => "min_held_by_floor",
            Self::MinHeld { by: MinHolder::Limits, .. } => "min_held_by_limits",
            Self::AboveMax { .. } => "above_max",
            Self::AlreadyThere { .. } => "already_there",
        }
    }
}

impl fmt::Display for Unchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undecided => f.write_str("no decision yet"),
            Self::Allowed { bounds, replicas } => write!(f, "bounds {bounds} already allow {replicas}"),
            Self::MinHeld { bounds, replicas, by } => {
                let by = match by {
                    MinHolder::Owner => "the owner's min",
                    MinHolder::Floor => "a floor that is due",
                    MinHolder::Limits => "the limits",
                };
                write!(f, "bounds {bounds} hold {}, more than the {replicas} needed, for {by}", bounds.min())
            }
            Self::AboveMax { bounds, replicas } => {
                write!(f, "{replicas} run, above the max of bounds {bounds}, and no more are needed")
            }
            Self::AlreadyThere { bounds } => write!(f, "bounds {bounds} were there already"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_follows_from_where_the_request_lies() {
        let bounds = |min, max| Bounds::new(min, max).unwrap();
        let why = |replicas, floor| Unchanged::of(bounds(3, 11), replicas, bounds(3, 9), floor).to_string();
        assert_eq!(why(6, None), "bounds 3..11 already allow 6");
        assert_eq!(why(3, Some(3)), "bounds 3..11 already allow 3");
        assert_eq!(why(2, None), "bounds 3..11 hold 3, more than the 2 needed, for the owner's min");
        assert_eq!(why(2, Some(3)), "bounds 3..11 hold 3, more than the 2 needed, for a floor that is due");
        assert_eq!(why(12, None), "12 run, above the max of bounds 3..11, and no more are needed");
        let limited = Unchanged::of(bounds(3, 11), 2, bounds(1, 9), Some(2));
        assert_eq!(limited.label(), "min_held_by_limits");
    }
}
