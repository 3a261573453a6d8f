//! Plans that change what pods request.

use scaling_core::chrono::DateTime;
use scaling_core::{
    Bounds, BoundsPolicy, GuardContext, Guards, HardLimits, HpaPlan, HpaState, LastChanges, Observation, Proposal,
    ResourceChange, ScalingDecision, ScalingMetrics, Target, WorkloadFacts,
};

/// Facts of a pod that requests 250m of CPU and 512Mi of memory.
pub(crate) fn facts() -> WorkloadFacts {
    let mut facts = WorkloadFacts::default();
    facts.cpu_request_millicores = Some(250);
    facts.memory_request_bytes = Some(512 << 20);
    facts
}

pub(crate) fn plan(
    target: &Target,
    old: Bounds,
    facts: &WorkloadFacts,
    cpu_percent: i32,
    memory_percent: i32,
) -> HpaPlan {
    let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
    let change = ResourceChange { cpu_percent, memory_percent };
    let decision = ScalingDecision::replicas("test", at, 3, 3).with_resources(change.filled());
    let observation = Observation::new(target.clone(), ScalingMetrics::new(at, 3)).with_facts(facts.clone());
    let context = GuardContext {
        target,
        now: at,
        observation: Some(&observation),
        state: HpaState::new(old),
        limits: HardLimits::default(),
        policy: &BoundsPolicy::default(),
        min_without_floor: None,
        last: LastChanges::default(),
        released: &[],
    };
    HpaPlan::of(&Guards::only_hard_limits().approve(Proposal::decided(decision), &context))
}
