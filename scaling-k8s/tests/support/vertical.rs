//! Plans that change what pods request.

use scaling_core::chrono::DateTime;
use scaling_core::{
    Bounds, BoundsPolicy, Guards, HardLimits, HpaPlan, HpaState, LastChanges, Observation, ResourceChange,
    ScalingAction, ScalingDecision, ScalingMetrics, Situation, Target, WorkloadFacts,
};

/// 250m of CPU and 512Mi of memory.
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
    let mut decision = ScalingDecision::replicas("test", at, 3, 3);
    decision.resources = Some(ResourceChange { cpu_percent, memory_percent });
    decision.action = ScalingAction::of(3, 3, decision.resources);
    let observation = Observation::new(ScalingMetrics::new(at, 3)).with_facts(facts.clone());
    let state = HpaState::new(old);
    let limits = HardLimits::default();
    let last = LastChanges::default();
    let situation = Situation { target, now: at, observation: &observation, state, limits, last, removals: &[] };
    let approved = Guards::only_hard_limits().approve(decision, &situation).unwrap();
    BoundsPolicy::default().plan(&approved)
}
