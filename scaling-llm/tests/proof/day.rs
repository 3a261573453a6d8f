//! Load that rises and falls with the day, with a ripple: what models of all kinds bring about.

use std::sync::Arc;

use scaling_core::backtest::{SampleTime, Scenario, Trace};
use scaling_core::chrono::DateTime;
use scaling_core::{DecisionRecord, MemoryRecorder, NoRecorder, Reason, ScalingMetrics, SignalKind};
use scaling_llm::{LlmConfig, ProofConfig};

use crate::models::Script;
use crate::replay::{Replay, scenario};

/// Two days of history, and the half of a day in which load rises.
fn day() -> Replay {
    let sample = |minute: i32| {
        let hour = f64::from(minute) / 60.0;
        let rate = 1000.0 - 600.0 * (hour / 24.0 * std::f64::consts::TAU).cos() + 25.0 * (hour * 7.0).sin();
        let at = DateTime::from_timestamp(i64::from(minute) * 60, 0).unwrap();
        ScalingMetrics::new(at, 1).with(SignalKind::RequestRate, rate)
    };
    let trace = Trace::from_samples("day", (0..5 * 720).map(sample).collect(), SampleTime::Starts).unwrap();
    Replay::new(Scenario { history_share: 0.8, ..scenario(trace) })
}

#[test]
fn every_model_costs_a_hundredth_at_most_and_adds_no_violations() {
    let replay = day();
    let own = replay.alone("rules");
    for (name, model) in replay.scripts() {
        let (score, counts) = replay.advised("rules", &model, NoRecorder);
        let more = score.pod_hours / own.pod_hours - 1.0;
        println!("{name}: {:.1} pod-hours ({:+.2} %), {counts:?}", score.pod_hours, 100.0 * more);
        assert!(more <= 0.01, "{name}: {more}");
        assert!(score.violating_requests <= own.violating_requests, "{name}");
        match model {
            Script::Agrees => assert_eq!(score.pod_hours.to_bits(), own.pod_hours.to_bits()),
            // The proof is no wall: knowledge of the load to come saves pods.
            Script::Clairvoyant(_) => assert!(counts.changed > 100 && more < -0.01, "{more}: {counts:?}"),
            _ => assert!(counts.unproved > 0, "{name}"),
        }
    }
}

/// The baseline's peak and half as much again, as `share_above` has it.
#[test]
fn a_greedy_model_ends_a_day_of_ticks_within_the_share_above_the_peak_of_the_baseline() {
    let replay = day();
    let own = replay.alone("rules");
    let (_, greedy) = replay.scripts().into_iter().find(|(name, _)| *name == "greedy").unwrap();
    // Advice may cost what it will: only the range holds it.
    let config = ProofConfig { cost_margin: 10.0, ..ProofConfig::default() };
    let (score, counts) = replay.proved_by(config, "rules", &greedy, NoRecorder);
    println!("peak {} pods, alone {}: {counts:?}", score.peak_pods, own.peak_pods);
    assert!(counts.changed > 0, "some of it was taken: {counts:?}");
    let highest = (f64::from(own.peak_pods) * (1.0 + LlmConfig::default().share_above)).ceil();
    assert!(f64::from(score.peak_pods) <= highest, "{} of {}", score.peak_pods, own.peak_pods);
    assert!(score.peak_pods > own.peak_pods, "it did what it could");
}

#[test]
fn verdicts_and_scores_are_in_the_records_and_replay_to_the_byte() {
    let replay = day();
    let lines = || {
        let records = Arc::new(MemoryRecorder::new());
        let (_, script) = replay.scripts().into_iter().find(|(name, _)| *name == "clairvoyant").unwrap();
        replay.advised("rules", &script, Arc::clone(&records));
        let records = records.records();
        records.iter().map(|record| serde_json::to_string(record).unwrap()).collect::<Vec<_>>()
    };
    let first = lines();
    assert_eq!(first, lines());
    let (mut taken, mut refused) = (0, 0);
    for line in &first {
        let record: DecisionRecord = serde_json::from_str(line).unwrap();
        assert_eq!(&serde_json::to_string(&record).unwrap(), line);
        let reasons = record.decision.iter().flat_map(|decision| &decision.reasons);
        for reason in reasons {
            if let Reason::Replayed { verdict, own, proposed, moments } = reason {
                let replayed = *moments > 0 && own.pod_hours > 0.0 && proposed.pod_hours > 0.0;
                assert!(!verdict.is_accepted() || replayed, "{line}");
                *(if verdict.is_accepted() { &mut taken } else { &mut refused }) += 1;
            }
        }
    }
    assert!(taken > 0 && refused > 0, "{taken} {refused}");
}
