//! The labelled scenarios, as they are and disturbed.
#![allow(clippy::unwrap_used, missing_docs)]

use chrono::TimeDelta;
use scaling_core::conformance::dataset::{Scenario, scenarios};
use scaling_core::{RuleBasedEngine, ScalingDecision, SignalKind};

fn all() -> Vec<Scenario> {
    scenarios(include_str!("../../test_data/metrics_dataset.json")).unwrap()
}

fn decide(scenario: &Scenario) -> ScalingDecision {
    RuleBasedEngine::default().evaluate(&scenario.observation().unwrap()).unwrap()
}

/// Checks the label; a pod count within ±1 of the original size, scaled with the workload.
fn verdict(scenario: &Scenario, size: u32) -> Result<(), String> {
    let decision = decide(scenario);
    let label = &scenario.label;
    let mut wrong = Vec::new();
    if label.action.is_some_and(|action| action != decision.action()) {
        wrong.push("action");
    }
    if label.timing.is_some_and(|timing| timing != decision.timing) {
        wrong.push("timing");
    }
    if label.replicas.is_some_and(|replicas| replicas.abs_diff(decision.desired_replicas) > size) {
        wrong.push("replicas");
    }
    let memory = decision.resources.map(|change| change.memory_percent);
    if label.memory_percent.is_some() && label.memory_percent != memory {
        wrong.push("memory");
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        let reasons: Vec<_> = decision.reasons.iter().map(ToString::to_string).collect();
        Err(format!("{}: {wrong:?} differ; expected {label:?}, got {decision:?}\n{reasons:#?}", scenario.name))
    }
}

fn check(scenarios: impl IntoIterator<Item = (String, Scenario, u32)>) {
    let wrong: Vec<_> = scenarios
        .into_iter()
        .filter_map(|(how, scenario, size)| verdict(&scenario, size).err().map(|error| format!("{how}: {error}")))
        .collect();
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn every_label_is_reached() {
    assert_eq!(all().len(), 8);
    check(all().into_iter().map(|scenario| ("as it is".into(), scenario, 1)));
}

#[test]
fn labels_scale_with_the_workload() {
    check([2, 5, 10].into_iter().flat_map(|factor| {
        all().into_iter().map(move |scenario| (format!("times {factor}"), scenario.scaled(factor), factor))
    }));
}

/// What a label says can only be seen in the signals named here.
fn only_evidence(name: &str) -> &'static [SignalKind] {
    match name {
        "memory_constrained" => &[SignalKind::MemoryUtilization],
        _ => &[],
    }
}

#[test]
fn labels_survive_the_loss_of_any_signal_that_is_not_their_only_evidence() {
    check(all().into_iter().flat_map(|scenario| {
        let kinds = SignalKind::ALL.into_iter().filter(|kind| !only_evidence(&scenario.name).contains(kind));
        kinds.map(|kind| (format!("without {kind}"), scenario.clone().without(kind), 1)).collect::<Vec<_>>()
    }));
}

#[test]
fn labels_survive_another_sampling_interval() {
    check(all().into_iter().flat_map(|scenario| {
        let [a, b, ..] = scenario.samples.as_slice() else { panic!("too few samples") };
        let interval = b.timestamp - a.timestamp;
        let intervals = [interval * 2, interval / 2, interval / 3, interval / 6, interval / 12];
        intervals.map(|interval| (format!("every {interval}"), scenario.clone().resampled(interval), 1)).to_vec()
    }));
}

#[test]
fn labels_survive_the_same_samples_closer_together_or_further_apart() {
    // The hour of the day and the length of a weekend are what two of the labels say; they cannot be stretched.
    let stretchable = |scenario: &Scenario| scenario.name != "daily_peak_pattern" && scenario.events.is_empty();
    check(all().into_iter().filter(stretchable).flat_map(|scenario| {
        [60, 120, 300, 600]
            .map(|seconds| (format!("{seconds} s apart"), scenario.clone().respaced(TimeDelta::seconds(seconds)), 1))
    }));
}

#[test]
fn labels_survive_five_percent_of_noise() {
    // A fixed sequence: the result is a statement about the engine, not about today's luck.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        0.95 + 0.1 * (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut missed = Vec::new();
    for draw in 0..500 {
        for scenario in all() {
            missed
                .extend(verdict(&scenario.disturbed(&mut noise), 1).err().map(|error| format!("draw {draw}: {error}")));
        }
    }
    assert!(missed.is_empty(), "{} of 4000 missed\n{}", missed.len(), missed.join("\n\n"));
}
