//! Defaults that the API server fills in.

use super::spec::{HpaBehavior, HpaSpec, MetricSpec, ScalingPolicy, ScalingRules};

/// CPU utilization that an HPA without metrics aims for, in percent of the request.
pub const DEFAULT_CPU_PERCENT: i32 = 80;
/// Period of the built-in policies, in seconds.
const PERIOD_S: i32 = 15;

impl HpaSpec {
    /// Fills in everything that the API server fills in.
    ///
    /// - `minReplicas`: 1.
    /// - `metrics`: CPU at [`DEFAULT_CPU_PERCENT`], where there is none.
    /// - `behavior`: where there is one, each direction field by field. A list of policies replaces the built-in one as a whole,
    ///   and an empty list stays empty. The window of `scaleDown` stays open, because the controller's own setting takes its place.
    #[must_use]
    pub fn with_defaults(mut self) -> Self {
        self.min_replicas = self.min_replicas.or(Some(1));
        if self.metrics.as_ref().is_none_or(Vec::is_empty) {
            self.metrics = Some(vec![MetricSpec::utilization("cpu", DEFAULT_CPU_PERCENT)]);
        }
        self.behavior = self.behavior.map(|behavior| HpaBehavior {
            scale_up: Some(behavior.scale_up.unwrap_or_default().or(scale_up())),
            scale_down: Some(behavior.scale_down.unwrap_or_default().or(scale_down())),
        });
        self
    }
}

impl ScalingRules {
    fn or(self, built_in: Self) -> Self {
        Self {
            stabilization_window_seconds: self.stabilization_window_seconds.or(built_in.stabilization_window_seconds),
            select_policy: self.select_policy.or(built_in.select_policy),
            policies: self.policies.or(built_in.policies),
            tolerance: self.tolerance,
        }
    }
}

fn policy(kind: &str, value: i32) -> ScalingPolicy {
    ScalingPolicy { kind: kind.into(), value, period_seconds: PERIOD_S }
}

/// Built-in growth: at once, by four pods or to double the size, whichever is more.
fn scale_up() -> ScalingRules {
    ScalingRules {
        stabilization_window_seconds: Some(0),
        select_policy: Some("Max".into()),
        policies: Some(vec![policy("Pods", 4), policy("Percent", 100)]),
        tolerance: None,
    }
}

/// Built-in shrinkage: without limit, after the controller's own window.
fn scale_down() -> ScalingRules {
    ScalingRules {
        stabilization_window_seconds: None,
        select_policy: Some("Max".into()),
        policies: Some(vec![policy("Percent", 100)]),
        tolerance: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Bounds;
    use crate::hpa::api::CrossVersionObjectReference;

    fn spec() -> HpaSpec {
        HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(2, 9).unwrap())
    }

    #[test]
    fn without_behavior_there_stays_none() {
        let spec = spec().with_defaults();
        assert_eq!(spec.behavior, None);
        assert_eq!(spec.cpu_target_percent(), Some(80));
    }

    #[test]
    fn an_empty_behavior_is_completed_but_for_the_window_of_scale_down() {
        let spec = HpaSpec { behavior: Some(HpaBehavior::default()), ..spec() }.with_defaults();
        let behavior = spec.behavior.unwrap();
        assert_eq!(behavior.scale_up, Some(scale_up()));
        assert_eq!(behavior.scale_down.unwrap().stabilization_window_seconds, None);
    }

    #[test]
    fn given_policies_replace_the_built_in_ones_even_if_there_is_none() {
        for policies in [vec![policy("Pods", 1)], Vec::new()] {
            let rules = ScalingRules { policies: Some(policies.clone()), ..ScalingRules::default() };
            let behavior = HpaBehavior { scale_up: Some(rules), scale_down: None };
            let completed = HpaSpec { behavior: Some(behavior), ..spec() }.with_defaults();
            let up = completed.behavior.unwrap().scale_up.unwrap();
            assert_eq!(up.policies, Some(policies));
            assert_eq!(up.select_policy.as_deref(), Some("Max"));
        }
    }

    #[test]
    fn completing_twice_equals_once() {
        let once = HpaSpec { behavior: Some(HpaBehavior::default()), min_replicas: None, ..spec() }.with_defaults();
        assert_eq!(once.clone().with_defaults(), once);
    }
}
