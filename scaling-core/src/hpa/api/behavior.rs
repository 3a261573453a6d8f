//! `behavior` as the controller works with it: numbers, with every default filled in.

use super::quantity::Quantity;
use super::spec::{HpaBehavior, ScalingRules};

/// Speed of an HPA in both directions, complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// Rules for growth.
    pub scale_up: Rules,
    /// Rules for shrinkage.
    pub scale_down: Rules,
}

/// Speed of an HPA in one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Stabilization window in seconds. Without one: 0 for growth, and the controller's own for shrinkage.
    pub window_s: Option<i32>,
    /// Choice among the policies.
    pub select: SelectPolicy,
    /// Limits per period.
    pub policies: Vec<Policy>,
    /// Tolerance in this direction, as a share. Without one: the controller's own.
    pub tolerance: Option<f64>,
}

/// Choice among several policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelectPolicy {
    /// The policy that allows the largest change.
    #[default]
    Max,
    /// The policy that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// Limit on the change within a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Unit of `value`.
    pub kind: PolicyKind,
    /// Change that is allowed within the period.
    pub value: i32,
    /// Length of the period in seconds.
    pub period_s: i32,
}

/// Unit of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Number of pods.
    Pods,
    /// Percent of the size at the beginning of the period.
    Percent,
}

impl From<&HpaBehavior> for Behavior {
    /// Converts a behavior whose defaults are [filled in](super::spec::HpaSpec::with_defaults).
    fn from(behavior: &HpaBehavior) -> Self {
        let rules = |rules: &Option<ScalingRules>| rules.as_ref().map(Rules::from).unwrap_or_default();
        Self { scale_up: rules(&behavior.scale_up), scale_down: rules(&behavior.scale_down) }
    }
}

impl From<&ScalingRules> for Rules {
    fn from(rules: &ScalingRules) -> Self {
        Self {
            window_s: rules.stabilization_window_seconds,
            select: match rules.select_policy.as_deref() {
                Some("Min") => SelectPolicy::Min,
                Some("Disabled") => SelectPolicy::Disabled,
                _ => SelectPolicy::Max,
            },
            policies: rules
                .policies
                .iter()
                .flatten()
                .map(|policy| Policy {
                    kind: if policy.kind == "Pods" { PolicyKind::Pods } else { PolicyKind::Percent },
                    value: policy.value,
                    period_s: policy.period_seconds,
                })
                .collect(),
            tolerance: rules.tolerance.as_ref().map(Quantity::as_f64),
        }
    }
}
