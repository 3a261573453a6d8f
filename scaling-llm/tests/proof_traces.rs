//! Law 8 in figures: whatever a model says, with the proof on it costs at most 1 % more than the baseline alone and adds no violations.
//!
//! The traces lie beside the repository, in `../shared/traces`; without them nothing is replayed, and the test says so. A few days of
//! each are replayed; `PROOF_DAYS=14` replays all, and `PROOF_TRACE=daily` those whose name contains the word.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs
)]

#[path = "proof/models.rs"]
mod models;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use models::{Future, Script, Timed};
use scaling_core::backtest::{Arrivals, Candidate, ClusterModel, Driver, Scenario, Score, Trace, score_one};
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{DecisionEngine, HardLimits, RuleBasedEngine};
use scaling_llm::{LlmCounts, LlmEngine, Proof, ProofConfig};
use scaling_schedule::{PredictiveConfig, PredictiveEngine};

const POD_CAPACITY: f64 = 50.0;

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The shared traces, each scaled so that its busiest thousandth needs 40 pods.
fn scenarios() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: there are no traces in ../shared/traces");
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(".csv.gz"));
    paths.sort();
    let days: f64 = environment("PROOF_DAYS").map_or(1.0, |days| days.parse().unwrap());
    let wanted = environment("PROOF_TRACE").unwrap_or_default();
    let scenario = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().replace(".csv.gz", "");
        let trace = Trace::parse(name, &std::fs::read(path).unwrap()).unwrap();
        let factor = 40.0 * POD_CAPACITY / trace.demand_quantile(0.001);
        let limits = HardLimits::new(1, 200).unwrap();
        let model = ClusterModel { pod_capacity: POD_CAPACITY, limits, ..ClusterModel::default() };
        Scenario { longest: Duration::from_secs_f64(days * 86_400.0), ..Scenario::new(trace.scaled(factor), model) }
    };
    let chosen = paths.iter().filter(|path| path.to_string_lossy().contains(&wanted));
    chosen.map(scenario).collect()
}

fn baseline(name: &str) -> Box<dyn DecisionEngine> {
    match name {
        "rules" => Box::new(RuleBasedEngine::default()),
        _ => Box::new(PredictiveEngine::new(PredictiveConfig::default()).unwrap()),
    }
}

fn score(scenario: &Scenario, candidate: &Candidate) -> Score {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(score_one(scenario, candidate, &())).unwrap()
}

fn alone(scenario: &Scenario, name: &'static str) -> Score {
    score(scenario, &Candidate::direct(name, move |_| Ok(Driver::direct(baseline(name)))))
}

fn advised(
    scenario: &Scenario,
    name: &'static str,
    script: &Script,
    now: &Arc<Mutex<DateTime<Utc>>>,
) -> (Score, LlmCounts) {
    let counts = Arc::new(Mutex::new(None));
    let (kept, script, now) = (Arc::clone(&counts), script.clone(), Arc::clone(now));
    let candidate = Candidate::direct("advised", move |_| {
        let proof = Proof::new(ProofConfig::default())?;
        let engine = LlmEngine::new(script.clone(), baseline(name)).proved_by(proof);
        *kept.lock().unwrap() = Some(engine.stats());
        Ok(Driver::direct(Timed { engine, now: Arc::clone(&now) }))
    });
    let score = score(scenario, &candidate);
    let counts = counts.lock().unwrap().as_ref().unwrap().counts();
    (score, counts)
}

#[test]
fn whatever_a_model_says_costs_a_hundredth_at_most_and_adds_no_violations() {
    let wanted = environment("PROOF_MODELS").unwrap_or_else(|| "adversarial,timid".into());
    println!("trace | baseline | model | pod-hours | more % | violating % | added points | accepted | unproved");
    let mut worst = Vec::new();
    for scenario in scenarios() {
        let now = Arc::new(Mutex::new(DateTime::UNIX_EPOCH));
        let arrivals = Arc::new(Arrivals::new(&scenario.trace, &scenario.model).unwrap());
        let future = Future { arrivals, pod_capacity: POD_CAPACITY, now: Arc::clone(&now) };
        let scripts = [
            ("agrees", Script::Agrees),
            ("greedy", Script::Greedy),
            ("timid", Script::Timid),
            ("random", Script::Random(Arc::new(Mutex::new(7)))),
            ("contrary", Script::Contrary),
            ("adversarial", Script::Adversarial(future.clone())),
            ("clairvoyant", Script::Clairvoyant(future)),
        ];
        let baselines = environment("PROOF_BASELINES").unwrap_or_else(|| "rules,predictive".into());
        for name in ["rules", "predictive"].into_iter().filter(|name| baselines.contains(name)) {
            let own = alone(&scenario, name);
            println!(
                "{} | {name} | alone | {:.1} | | {:.4} | | |",
                scenario.trace.name(),
                own.pod_hours,
                100.0 * own.violating_share
            );
            for (script, model) in scripts.iter().filter(|(script, _)| wanted.contains(script)) {
                let (score, counts) = advised(&scenario, name, model, &now);
                let more = score.pod_hours / own.pod_hours - 1.0;
                let added = score.violating_share - own.violating_share;
                println!(
                    "{} | {name} | {script} | {:.1} | {:+.3} | {:.4} | {:+.5} | {} | {}",
                    scenario.trace.name(),
                    score.pod_hours,
                    100.0 * more,
                    100.0 * score.violating_share,
                    100.0 * added,
                    counts.changed,
                    counts.unproved
                );
                if more > 0.01 || added > 0.0 {
                    worst.push(format!("{} {name} {script}: {more:+.4} {added:+.6}", scenario.trace.name()));
                }
            }
        }
    }
    assert!(worst.is_empty(), "{worst:#?}");
}
