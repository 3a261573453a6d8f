//! A million replies: what is read is what they say, and what comes of it is within what the baseline, the share and the guards allow.
//!
//! The generator is deterministic: replies with fields from lists of valid, odd and wrong values in any order, left out, doubled and
//! escaped, and the same damaged byte by byte. Each is judged twice, by the crate and by independent rules over
//! `serde_json::Value`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, missing_docs)]

mod generate;
mod rules;

use chrono::{DateTime, Utc};
use scaling_core::guard::GuardContext;
use scaling_core::{
    Bounds, BoundsPolicy, Guards, HardLimits, HpaState, LastChanges, NeedDriver, Observation, Proposal, Reason,
    ResourceChange, ScalingDecision, ScalingMetrics, SignalKind, Target, Urgency, WorkloadFacts,
};
use scaling_llm::reply::{MAX_ASSESSMENT, parse};
use scaling_llm::{Action, Advice, AdviceRange, ReplicaRange};

use generate::{Random, built, damaged};
use rules::said;

/// A situation: what the baseline wants, and what advice may pick.
struct Situation {
    observation: Observation,
    baseline: ScalingDecision,
    allowed: AdviceRange,
    state: HpaState,
    limits: HardLimits,
}

const SHARE: f64 = 0.5;

fn situations() -> Vec<Situation> {
    let at = DateTime::<Utc>::UNIX_EPOCH;
    let need = Reason::Need { driver: NeedDriver::Demand, replicas: 6.3 };
    let mut situations = Vec::new();
    for (current, desired) in [(4, 6), (8, 3), (8, 8), (0, 1), (40, 60)] {
        for (cpu, memory) in [(0, 0), (0, 50), (-30, 0), (100, -10)] {
            let mut facts = WorkloadFacts::default();
            (facts.cpu_request_millicores, facts.memory_request_bytes) = (Some(500), Some(512 << 20));
            let now = ScalingMetrics::new(at, current)
                .with(SignalKind::CpuUtilization, 75.0)
                .with(SignalKind::MemoryUtilization, 92.0);
            let observation = Observation::new(Target::deployment("shop", "web"), now).with_facts(facts);
            let change = ResourceChange { cpu_percent: cpu, memory_percent: memory };
            let baseline = ScalingDecision::replicas("rules", at, current, desired)
                .with_confidence(0.9)
                .with_urgency(Urgency::Normal)
                .with_resources(change.filled())
                .because(need.clone());
            let allowed = AdviceRange::new(ReplicaRange::around(&baseline, SHARE), &observation, &baseline, SHARE);
            let state = HpaState::new(Bounds::new(current.clamp(1, 2), 10).unwrap());
            let limits = HardLimits::new(1, 50).unwrap();
            situations.push(Situation { observation, baseline, allowed, state, limits });
        }
    }
    situations
}

/// What comes of advice that is within its range, through the guards.
fn check_effect(situation: &Situation, advice: &Advice, guards: &Guards) {
    let Situation { observation, baseline, state, limits, .. } = situation;
    let decision = advice.applied_to(baseline.clone());
    let (current, wanted, got) = (baseline.current_replicas, baseline.desired_replicas, decision.desired_replicas);
    assert!(got >= wanted, "never fewer than the baseline: {got}, {advice:?}");
    assert!(got <= wanted.max(current).max(wanted + wanted.div_ceil(2)), "{got} pods, {advice:?}");
    assert!(!baseline.shrinks() || got <= current, "a shrink becomes no growth: {advice:?}");
    let [own, new] = [baseline, &decision].map(|decision| decision.resources.unwrap_or_default());
    for (own, new) in [(own.cpu_percent, new.cpu_percent), (own.memory_percent, new.memory_percent)] {
        assert!((own..=own.max(100)).contains(&new), "{own} to {new}, {advice:?}");
    }
    assert!(advice.action == Action::Scale || got == wanted, "{advice:?}");
    assert!(matches!(advice.action, Action::Resize(_)) || own == new, "{advice:?}");
    // Everything but the size, the requests and their cost is the baseline's.
    let (mut same, cost) = (decision.clone(), decision.cost.is_none());
    (same.desired_replicas, same.resources) = (wanted, baseline.resources);
    assert!(cost && same == *baseline, "{advice:?}");

    let policy = BoundsPolicy::default();
    let context = GuardContext {
        target: &observation.target,
        now: observation.now,
        observation: Some(observation),
        state: *state,
        limits: *limits,
        policy: &policy,
        min_without_floor: None,
        last: LastChanges::default(),
        released: &[],
    };
    let approve = |decision: ScalingDecision| guards.approve(Proposal::decided(decision), &context).change();
    let (advised, alone) = (approve(decision), approve(baseline.clone()));
    assert!(limits.bounds().contains(advised.new), "{advised:?}");
    // Within twice the pods there are, with the headroom that any request gets.
    let most = (current * 2).max(1);
    assert!(advised.new.max() <= state.bounds.max().max(most + (most / 4).max(5)), "{advised:?}");
    assert!(advised.new.min() >= alone.new.min(), "{advised:?}, alone {alone:?}");
    // Usage is 75 % of the CPU request and 92 % of the memory request.
    let ResourceChange { cpu_percent, memory_percent } = advised.resources.unwrap_or_default();
    assert!((-25..=100).contains(&cpu_percent) && (0..=100).contains(&memory_percent), "{advised:?}");
}

#[derive(Debug, Default)]
struct Counts {
    read: u64,
    within: u64,
    changing: u64,
    actions: [u64; 3],
    suggesting: u64,
}

fn fuzz(seed: u64, replies: u64) -> Counts {
    let (mut random, situations, guards) = (Random(seed), situations(), Guards::default());
    let mut counts = Counts::default();
    for _ in 0..replies {
        let mut text = built(&mut random);
        if random.one_in(2) {
            text = damaged(&mut random, &text);
        }
        let (got, expected) = (parse(&text), said(&text));
        let (Ok(advice), Some(mut expected)) = (&got, expected.clone()) else {
            assert!(got.is_err() && expected.is_none(), "{text:?}\nread {got:?}\nsaid {expected:?}");
            let error = got.unwrap_err().to_string();
            assert!(error.len() < 1000 && !error.chars().any(char::is_control), "{error:?}");
            continue;
        };
        // Shown as it was said, but for what cannot be seen and what is too long.
        let shown = |text: &str| text.chars().filter(char::is_ascii_graphic).collect::<String>();
        let kept: String = expected.assessment.chars().take(MAX_ASSESSMENT).collect();
        assert_eq!(shown(&advice.assessment), shown(&kept), "{text:?}");
        assert!(
            advice.assessment.chars().count() <= MAX_ASSESSMENT + 1 && !advice.assessment.chars().any(char::is_control)
        );
        expected.assessment.clone_from(&advice.assessment);
        assert_eq!(*advice, expected, "{text:?}");

        counts.read += 1;
        counts.actions[match advice.action {
            Action::Scale => 0,
            Action::Hold => 1,
            Action::Resize(_) => 2,
        }] += 1;
        counts.suggesting += u64::from(advice.suggestions().next().is_some());
        let situation = &situations[random.below(situations.len())];
        if situation.allowed.check(advice).is_ok() {
            counts.within += 1;
            counts.changing += u64::from(advice.changes(&situation.baseline));
            check_effect(situation, advice, &guards);
        }
    }
    counts
}

/// Replies of each of the two tests below, which run beside each other: a million in all.
const FUZZED: u64 = 500_000;

fn whatever_is_answered_is_read_as_it_says_and_stays_within_its_bounds(seed: u64) {
    let counts = fuzz(seed, FUZZED);
    // Each way through is taken often, or the test shows nothing.
    assert!(
        counts.read > FUZZED / 10 && counts.changing > FUZZED / 200 && counts.suggesting > FUZZED / 50,
        "{counts:?}"
    );
    assert!(counts.actions.iter().all(|times| *times > FUZZED / 100), "{counts:?}");
}

#[test]
fn law_8_half_a_million_replies_are_read_as_they_say_and_stay_within_their_bounds() {
    whatever_is_answered_is_read_as_it_says_and_stays_within_its_bounds(11);
}

#[test]
fn law_8_half_a_million_other_replies_too() {
    whatever_is_answered_is_read_as_it_says_and_stays_within_its_bounds(7);
}
