//! Numbers that the script of the page draws.

use std::fmt::Write;
use std::io;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use super::super::TraceReport;

/// Numbers of one trace.
#[derive(Serialize)]
struct Data<'a> {
    /// Beginning of the replay, in seconds.
    start_s: f64,
    /// Seconds between two points.
    seconds_per_point: f64,
    /// Time of the replay that counts begins here, in seconds.
    counts_from_s: f64,
    /// True if instants have dates.
    dated: bool,
    /// Zone by whose clock instants are told, and its offsets to UTC: from which second on, and how many seconds.
    zone: &'a str,
    offsets: &'a [(i64, i32)],
    unit: &'a str,
    /// Load before the replay, and the highest in each point.
    history: &'a [Option<f64>],
    history_peak: &'a [Option<f64>],
    load: &'a [Option<f64>],
    load_peak: &'a [Option<f64>],
    /// Points in which the recorded pods were full.
    censored: Vec<usize>,
    oracle: &'a [Option<f64>],
    /// Share of violating requests and pod-hours, by increasing share.
    frontier: Vec<(f64, f64)>,
    /// Candidates in the order of the report, their places by rank, and that of the best.
    candidates: Vec<Candidate<'a>>,
    ranking: Vec<usize>,
    best: Option<usize>,
}

#[derive(Serialize)]
struct Candidate<'a> {
    name: &'a str,
    family: Option<&'a str>,
    parameter: Option<f64>,
    violating_share: f64,
    pod_hours: f64,
    pods: &'a [Option<f64>],
    pods_peak: &'a [Option<f64>],
    queue: &'a [Option<f64>],
}

pub(super) fn write(html: &mut String, trace: &TraceReport) {
    let seconds = |at: DateTime<Utc>| at.timestamp_millis() as f64 / 1000.0;
    let (plot, (zone, offsets)) = (&trace.plot, trace.zone());
    let candidates = trace.candidates.iter().map(|one| Candidate {
        name: &one.name,
        family: one.family.as_deref(),
        parameter: one.parameter,
        violating_share: one.score.violating_share,
        pod_hours: one.score.pod_hours,
        pods: &one.plot.pods,
        pods_peak: &one.plot.pods_peak,
        queue: &one.plot.queue,
    });
    let data = Data {
        start_s: seconds(plot.start),
        seconds_per_point: plot.seconds_per_point,
        counts_from_s: seconds(trace.scored.start),
        dated: trace.is_dated(),
        zone,
        offsets,
        unit: trace.unit(),
        history: &plot.history,
        history_peak: &plot.history_peak,
        load: &plot.load,
        load_peak: &plot.load_peak,
        censored: (0..).zip(&plot.censored).filter(|(_, full)| **full).map(|(point, _)| point).collect(),
        oracle: &plot.oracle_pods,
        frontier: trace.oracle.frontier.iter().map(|point| (point.violating_share, point.pod_hours)).collect(),
        candidates: candidates.collect(),
        ranking: trace.ranking(),
        best: trace.best(),
    };
    // Plain numbers and texts always have a JSON form; a `<` in a name must not end the script.
    let mut json = Vec::new();
    data.serialize(&mut Serializer::with_formatter(&mut json, Short)).ok();
    let json = String::from_utf8(json).unwrap_or_default().replace('<', "\\u003c");
    let _ = writeln!(html, "<script type=\"application/json\">{json}</script>");
}

/// Whole numbers, which most are, need no fraction.
struct Short;

impl Formatter for Short {
    fn write_f64<W: io::Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        if value.fract() == 0.0 && value.abs() < 1e15 {
            write!(writer, "{value:.0}")
        } else {
            write!(writer, "{value}")
        }
    }
}
