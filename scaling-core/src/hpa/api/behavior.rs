//! `behavior` as the controller works with it.

use super::quantity::Quantity;
use super::spec::{HpaBehavior, ScalingRules};

/// How fast an HPA may move, each way; complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// Upward.
    pub scale_up: Rules,
    /// Downward.
    pub scale_down: Rules,
}

/// How fast it may move, one way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// How long a wish must last, in seconds. Without it: upward 0, downward the controller's own.
    pub window_s: Option<i32>,
    /// Which of several policies counts.
    pub select: SelectPolicy,
    /// How much per period.
    pub policies: Vec<Policy>,
    /// What replaces the controller's tolerance in this direction.
    pub tolerance: Option<f64>,
}

/// Which of several policies counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelectPolicy {
    /// The one that allows the most.
    #[default]
    Max,
    /// The one that allows the least.
    Min,
    /// None: no change in this direction.
    Disabled,
}

/// So much per period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// In pods or in percent.
    pub kind: PolicyKind,
    /// How much.
    pub value: i32,
    /// The period in seconds.
    pub period_s: i32,
}

/// The unit of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Pods.
    Pods,
    /// Percent of the size at the beginning of the period.
    Percent,
}

impl From<&HpaBehavior> for Behavior {
    /// Of a behavior whose defaults are [filled in](HpaSpec::with_defaults).
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
