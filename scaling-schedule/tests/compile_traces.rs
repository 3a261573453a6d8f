//! What the compiler states of itself against what comes, on recorded loads, where these are at hand: a directory `shared/traces` beside
//! the repository or above.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::stats::quantile;
use scaling_core::{MetricsHistory, ScalingMetrics, SignalKind};
use scaling_schedule::{CompileConfig, compile, need_by_load};

/// Points of a hundred by which what is stated may differ from what comes.
const WITHIN: f64 = 0.02;

fn traces() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|directory| directory.join("shared/traces")).find(|path| path.join("manifest.json").exists())
}

fn load(path: &Path) -> Vec<(DateTime<Utc>, f64)> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines()
        .skip(1)
        .map(|line| {
            let (seconds, value) = line.split_once(',').unwrap();
            #[allow(clippy::cast_possible_truncation)] // a date
            let at = (seconds.parse::<f64>().unwrap() * 1000.0) as i64;
            (DateTime::from_timestamp_millis(at).unwrap(), value.parse().unwrap_or(f64::NAN))
        })
        .collect()
}

#[test]
fn a_proven_schedule_holds_what_it_states_on_the_half_that_it_has_not_seen() {
    let Some(directory) = traces() else {
        eprintln!("skipped: no shared/traces");
        return;
    };
    let manifest: serde_json::Value =
        serde_json::from_reader(File::open(directory.join("manifest.json")).unwrap()).unwrap();
    let mut proven = 0;
    for trace in manifest["traces"].as_array().unwrap() {
        let name = trace["name"].as_str().unwrap();
        let all = load(&directory.join(trace["file"].as_str().unwrap()));
        let peak = quantile(&mut all.iter().map(|(_, rate)| *rate).collect::<Vec<_>>(), 0.999).unwrap();
        let per_pod = peak / 40.0;
        let (past, coming) = all.split_at(all.len() / 2);
        let samples = past.iter().map(|(at, rate)| ScalingMetrics::new(*at, 3).with(SignalKind::RequestRate, *rate));
        let history = MetricsHistory::from_unordered(samples.collect()).0;
        let answer =
            compile(&history, &need_by_load(SignalKind::RequestRate, per_pod), &CompileConfig::default()).unwrap();
        let draft = answer.draft();
        let holds = |(at, rate): &(DateTime<Utc>, f64)| {
            let floor = draft.schedule.open_at(*at).map_or(1, |open| open.min);
            rate / per_pod <= f64::from(floor)
        };
        let realised = coming.iter().filter(|sample| holds(sample)).count() as f64 / coming.len() as f64;
        let stated = draft.held_out.unwrap().coverage;
        let told = answer.why_not().map_or_else(|| "schedule".to_owned(), ToString::to_string);
        let told = format!("{name}: stated {:.1} %, realised {:.1} %, {told}", stated * 100.0, realised * 100.0);
        eprintln!("{told}");
        assert!(answer.schedule().is_none() || (stated - realised).abs() <= WITHIN, "{told}");
        proven += usize::from(answer.schedule().is_some());
    }
    assert!(proven > 0, "no trace has a schedule, so nothing was judged");
}
