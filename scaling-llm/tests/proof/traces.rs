//! Law 8 in figures, over real load: whatever a model says, with the proof on it costs at most 1 % more than the baseline alone and adds
//! no violations.
//!
//! The traces lie beside the repository, in `../shared/traces`; without them nothing is replayed, and the test says so. Six hours of
//! each are replayed, under the model that harms most; `PROOF_DAYS=14`, `PROOF_TRACE=daily`, `PROOF_MODELS=greedy,clairvoyant` and
//! `PROOF_BASELINES=rules` choose otherwise.

use std::path::{Path, PathBuf};
use std::time::Duration;

use scaling_core::NoRecorder;
use scaling_core::backtest::{Scenario, Trace};

use crate::replay::{Replay, scenario};

fn environment(name: &str, default: &str) -> String {
    std::env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

fn paths() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: there are no traces in ../shared/traces");
        return Vec::new();
    };
    let wanted = environment("PROOF_TRACE", "");
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.ends_with(".csv.gz") && name.contains(&wanted)
    });
    paths.sort();
    paths
}

#[test]
fn whatever_a_model_says_costs_a_hundredth_at_most_and_adds_no_violations() {
    let days: f64 = environment("PROOF_DAYS", "0.25").parse().unwrap();
    let models = environment("PROOF_MODELS", "adversarial");
    let baselines = environment("PROOF_BASELINES", "rules,predictive");
    println!("trace | baseline | model | pod-hours | more % | violating % | added points | accepted | unproved");
    let mut worse = Vec::new();
    for path in paths() {
        let name = path.file_name().unwrap().to_string_lossy().replace(".csv.gz", "");
        let trace = Trace::parse(name.clone(), &std::fs::read(&path).unwrap()).unwrap();
        let longest = Duration::from_secs_f64(days * 86_400.0);
        let replay = Replay::new(Scenario { longest, ..scenario(trace) });
        for baseline in ["rules", "predictive"].into_iter().filter(|name| baselines.contains(name)) {
            let own = replay.alone(baseline);
            let share = 100.0 * own.violating_share;
            println!("{name} | {baseline} | alone | {:.1} | | {share:.4} | | |", own.pod_hours);
            for (script, model) in replay.scripts().iter().filter(|(script, _)| models.contains(script)) {
                let (score, counts) = replay.advised(baseline, model, NoRecorder);
                let (more, added) =
                    (score.pod_hours / own.pod_hours - 1.0, score.violating_share - own.violating_share);
                println!(
                    "{name} | {baseline} | {script} | {:.1} | {:+.3} | {:.4} | {:+.5} | {} | {}",
                    score.pod_hours,
                    100.0 * more,
                    100.0 * score.violating_share,
                    100.0 * added,
                    counts.changed,
                    counts.unproved
                );
                if more > 0.01 || added > 0.0 {
                    worse.push(format!("{name} {baseline} {script}: {more:+.4} {added:+.6}"));
                }
            }
        }
    }
    assert!(worse.is_empty(), "{worse:#?}");
}
