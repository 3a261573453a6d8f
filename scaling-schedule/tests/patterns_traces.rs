//! Patterns of recorded loads, where these are at hand: a directory `shared/traces` beside the repository or above.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use scaling_core::chrono::{DateTime, Utc};
use scaling_schedule::patterns::CourseKind;
use scaling_schedule::{AnalyzeConfig, analyze_values};

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

/// A day that the whole trace shows by its correlation is proven, one that it does not show is not.
#[test]
fn days_are_proven_on_the_traces_that_have_them() {
    let Some(directory) = traces() else {
        eprintln!("skipped: no shared/traces");
        return;
    };
    let manifest: serde_json::Value =
        serde_json::from_reader(File::open(directory.join("manifest.json")).unwrap()).unwrap();
    for trace in manifest["traces"].as_array().unwrap() {
        let (name, day) = (trace["name"].as_str().unwrap(), trace["acf_day"].as_f64().unwrap());
        let patterns =
            analyze_values(&load(&directory.join(trace["file"].as_str().unwrap())), &AnalyzeConfig::default()).unwrap();
        match day {
            // Levels with steps between them are alike from day to day without a day.
            _ if name == "aws-rds-steps" => {
                assert!(
                    matches!(&patterns.course.kind, CourseKind::Shifts(_) | CourseKind::Trend { .. }),
                    "{patterns}"
                );
            }
            0.5.. => assert!(patterns.has_day(), "{name}: {patterns}"),
            ..0.2 => assert!(!patterns.has_day(), "{name}: {patterns}"),
            _ => {}
        }
        assert!(patterns.periods.iter().skip(2).all(|period| period.verdict.is_proven()));
    }
}
