//! Law 8 in figures, over real load: whatever a model says, with the proof on it costs at most 1 % more than the baseline alone and adds
//! no violations.
//!
//! The traces lie beside the repository, in `../shared/traces`; without them nothing is replayed, and the test says so. A quarter of
//! a day of each is replayed over the rules, under the models that harm most. The ignored variant takes more of everything:
//! `PROOF_DAYS=14`, `PROOF_TRACE=daily`, `PROOF_MODELS=greedy,clairvoyant` and `PROOF_BASELINES=rules` choose.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use scaling_core::NoRecorder;
use scaling_core::backtest::{Scenario, Trace};

use crate::replay::{Replay, scenario};

/// Part of the baseline's own violating requests by which they may differ. A pod more in the first seconds of a burst leaves a shorter
/// queue, for which the baseline then asks for a pod less: of a burst that no size serves, a few requests wait at another time.
const SHIFTED: f64 = 0.005;

/// Choice of what is replayed.
struct Selection {
    days: f64,
    trace: String,
    models: String,
    baselines: String,
}

fn environment(name: &str, default: &str) -> String {
    std::env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

fn paths(wanted: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: there are no traces in ../shared/traces");
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.ends_with(".csv.gz") && name.contains(wanted)
    });
    paths.sort();
    paths
}

impl Selection {
    /// Replays one trace and returns what is wrong.
    fn replay(&self, path: &Path) -> Vec<String> {
        let mut worse = Vec::new();
        let name = path.file_name().unwrap().to_string_lossy().replace(".csv.gz", "");
        let trace = Trace::parse(name.clone(), &std::fs::read(path).unwrap()).unwrap();
        let longest = Duration::from_secs_f64(self.days * 86_400.0);
        let replay = Replay::new(Scenario { longest, ..scenario(trace) });
        for baseline in ["rules", "predictive"].into_iter().filter(|name| self.baselines.contains(name)) {
            let own = replay.alone(baseline);
            let share = 100.0 * own.violating_share;
            println!("{name} | {baseline} | alone | {:.1} | | {share:.4} | | |", own.pod_hours);
            for (script, model) in replay.scripts().iter().filter(|(script, _)| self.models.contains(script)) {
                let (score, counts) = replay.advised(baseline, model, NoRecorder);
                let more = score.pod_hours / own.pod_hours - 1.0;
                let added = score.violating_share - own.violating_share;
                println!(
                    "{name} | {baseline} | {script} | {:.1} | {:+.3} | {:.4} | {:+.5} | {} | {}",
                    score.pod_hours,
                    100.0 * more,
                    100.0 * score.violating_share,
                    100.0 * added,
                    counts.changed,
                    counts.unproved
                );
                if more > 0.01 || added > SHIFTED * own.violating_share {
                    worse.push(format!("{name} {baseline} {script}: {more:+.4} {added:+.6}"));
                }
            }
        }
        worse
    }

    /// Replays every trace, several at a time.
    fn check(&self) {
        println!("trace | baseline | model | pod-hours | more % | violating % | added points | accepted | unproved");
        let paths = paths(&self.trace);
        let (next, worse) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let found = self.replay(path);
                        worse.lock().unwrap().extend(found);
                    }
                });
            }
        });
        let worse = worse.into_inner().unwrap();
        assert!(worse.is_empty(), "{worse:#?}");
    }
}

#[test]
fn whatever_a_model_says_costs_a_hundredth_at_most_and_adds_no_violations() {
    let [trace, models, baselines] = ["", "adversarial,random", "rules"].map(str::to_owned);
    Selection { days: 0.25, trace, models, baselines }.check();
}

#[test]
#[ignore = "takes many minutes: all models, both baselines, a day of each trace"]
fn whatever_any_model_says_over_longer_times() {
    Selection {
        days: environment("PROOF_DAYS", "1").parse().unwrap(),
        trace: environment("PROOF_TRACE", ""),
        models: environment("PROOF_MODELS", "greedy,timid,random,contrary,adversarial"),
        baselines: environment("PROOF_BASELINES", "rules,predictive"),
    }
    .check();
}

/// The proof is no wall: of a model that knows the load to come much is taken.
#[test]
fn a_model_that_knows_the_load_saves_pods_and_adds_no_violations() {
    for path in paths("isp-uk").into_iter().chain(paths("worldcup98-matches")) {
        let trace = Trace::parse("trace", &std::fs::read(&path).unwrap()).unwrap();
        let replay = Replay::new(Scenario { longest: Duration::from_secs(6 * 3600), ..scenario(trace) });
        let own = replay.alone("rules");
        let (_, clairvoyant) = replay.scripts().into_iter().find(|(name, _)| *name == "clairvoyant").unwrap();
        let (score, counts) = replay.advised("rules", &clairvoyant, NoRecorder);
        println!("{}: {:.1} of {:.1} pod-hours, {counts:?}", path.display(), score.pod_hours, own.pod_hours);
        assert!(counts.changed > 0 && score.pod_hours < 0.97 * own.pod_hours, "{}: {counts:?}", path.display());
        assert!(score.violating_requests <= own.violating_requests, "{}", path.display());
    }
}
