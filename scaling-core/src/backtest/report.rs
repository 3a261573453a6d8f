//! [`Report`]: the outcome of a backtest, for machines, terminals and people.

mod html;
mod json;
mod part;
mod plot;
#[cfg(feature = "table")]
mod spark;
#[cfg(feature = "table")]
mod table;
mod verdict;

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use serde::{Deserialize, Serialize};

pub use part::{InvalidPart, LeftOut, MergeError, ParsePartError, Part};
pub use plot::{CandidatePlot, Plot};

use super::candidate::Candidate;
use super::oracle::{FrontierPoint, Oracle, OracleError};
use super::score::Score;
use super::{ClusterModel, DemandBasis, Run, Scenario, TraceFacts};

/// Outcome of every candidate over every trace: comparable, in the order that was asked for, free of wall time. Tables and the page
/// show the candidates [by rank](TraceReport::ranking) instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this crate.
    pub version: String,
    /// Command that made the report, if a program said it ([`Report::made_by`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Which part of a report it is, where several processes make one ([`Report::merged`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Workloads that could not be replayed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Reports of the traces.
    pub traces: Vec<TraceReport>,
    /// Candidates over all traces.
    pub summary: Vec<Summary>,
}

/// Outcome over one trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceReport {
    /// Name of the trace.
    pub name: String,
    /// Contents of the trace.
    pub facts: TraceFacts,
    /// Cluster of the replay.
    pub model: ClusterModel,
    /// Part of the trace that counts.
    pub scored: Scored,
    /// Currency of costs, if a price is known.
    pub currency: Option<String>,
    /// Outcome of the oracle.
    pub oracle: OracleReport,
    /// Candidates, in the order asked for.
    pub candidates: Vec<CandidateReport>,
    /// Load and the oracle's pods, for charts.
    pub plot: Plot,
    /// Times of a zone, for people ([`Report::in_zone`]).
    #[serde(skip)]
    local: Option<Local>,
}

/// Times of [`Scored`] by the clock of a zone.
#[derive(Clone, Debug, PartialEq)]
struct Local {
    zone: String,
    recorded_from: NaiveDateTime,
    start: NaiveDateTime,
    end: NaiveDateTime,
    /// Offsets to UTC over the trace: from which second since the epoch on, and how many seconds.
    offsets: Vec<(i64, i32)>,
}

/// Time between two looks at the offset of a zone: zones change theirs at whole quarters of an hour.
const OFFSET_STEP: TimeDelta = TimeDelta::minutes(15);

/// Finds the offsets of a zone from one instant to another.
fn offsets<Z: TimeZone>(zone: &Z, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<(i64, i32)> {
    let mut found: Vec<(i64, i32)> = Vec::new();
    let quarter = OFFSET_STEP.num_seconds();
    let mut second = from.timestamp() - from.timestamp().rem_euclid(quarter);
    while let Some(at) = DateTime::from_timestamp(second, 0).filter(|at| *at <= to) {
        let offset = at.with_timezone(zone).offset().fix().local_minus_utc();
        if found.last().is_none_or(|(_, before)| *before != offset) {
            found.push((second, offset));
        }
        second += quarter;
    }
    found
}

/// Returns true for an instant that has a date. A clock that starts at 0 has none, and its first years are elapsed time.
pub fn is_dated(at: DateTime<Utc>) -> bool {
    at.year() > 1980
}

/// Part of a trace that counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Beginning of the trace, and of the history before the replay.
    pub recorded_from: DateTime<Utc>,
    /// Beginning.
    pub start: DateTime<Utc>,
    /// End.
    pub end: DateTime<Utc>,
    /// Step of the simulation, in seconds.
    pub step_seconds: f64,
    /// Days of history before the replay.
    pub history_days: f64,
    /// Requests that arrived.
    pub requests: f64,
    /// Seconds without data, which count for nothing.
    pub gap_seconds: f64,
    /// Seconds after gaps in which pods could not yet fit the load, which count for nothing either.
    pub settling_seconds: f64,
    /// Seconds in which demand may have been higher than what was recorded.
    pub censored_seconds: f64,
}

/// Cost of the cheapest schedules that were possible with the start-up time and limits of the candidates, had all load been known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OracleReport {
    /// Pod-hours without a single violating request, if that is possible.
    pub zero_violations: Option<OraclePoint>,
    /// Pod-hours with at most one violating request in a hundred.
    pub one_percent: Option<OraclePoint>,
    /// Share of violating requests against pod-hours, by increasing share.
    pub frontier: Vec<OraclePoint>,
    /// Reason why there is no oracle: a problem too large to be solved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacking: Option<String>,
    /// Pods of the schedule without violations, for charts.
    #[serde(skip)]
    pods: Vec<u32>,
}

/// One schedule of the oracle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OraclePoint {
    /// Share of violating requests.
    pub violating_share: f64,
    /// Cost of the schedule.
    pub pod_hours: f64,
    /// Proved least cost of any schedule that violates no more; equal to `pod_hours` where the schedule is optimal.
    pub at_least: f64,
}

/// Outcome of one candidate over one trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateReport {
    /// Name of the candidate.
    pub name: String,
    /// Family it belongs to, if it is one setting of a parameter.
    pub family: Option<String>,
    /// Value of the parameter.
    pub parameter: Option<f64>,
    /// Cost and violations.
    pub score: Score,
    /// Pods and queue, for charts.
    pub plot: CandidatePlot,
}

/// Outcome of one candidate over all traces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the candidate.
    pub name: String,
    /// Number of traces.
    pub traces: usize,
    /// Mean over the traces of [`Score::oracle_ratio`]: pod-hours over the least possible at the same share of violating requests.
    pub oracle_ratio: Option<f64>,
    /// Mean share of violating requests.
    pub violating_share: f64,
    /// Pod-hours in all.
    pub pod_hours: f64,
    /// Costs in all.
    pub cost: Option<f64>,
    /// Minutes in which requests that arrived violated, in all.
    pub violation_minutes: f64,
    /// Mean changes of the size in a day.
    pub scale_events_a_day: f64,
    /// Mean changes of bounds in a day, each a write to the API server.
    pub bound_changes_a_day: f64,
}

impl Report {
    /// Puts the reports of traces together.
    pub fn new(traces: Vec<TraceReport>) -> Self {
        let mut names: Vec<&str> = Vec::new();
        let mut scores: BTreeMap<&str, Vec<&Score>> = BTreeMap::new();
        for candidate in traces.iter().flat_map(|trace| &trace.candidates) {
            let of_name = scores.entry(&candidate.name).or_default();
            if of_name.is_empty() {
                names.push(&candidate.name);
            }
            of_name.push(&candidate.score);
        }
        let summary = names.iter().filter_map(|name| Some(Summary::of(name, scores.get(name)?))).collect();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { version, command: None, part: None, left_out: Vec::new(), traces, summary }
    }

    /// Names the command that made the report. It stands in the JSON and in the page, so it must not name what differs between two
    /// runs that are otherwise equal, as the files that they write.
    #[must_use]
    pub fn made_by(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// Tells times by the clock of this zone, in tables and on the page. By default it is UTC, as in JSON always.
    #[must_use]
    pub fn in_zone<Z: TimeZone>(mut self, name: &str, zone: &Z) -> Self {
        let local = |at: DateTime<Utc>| at.with_timezone(zone).naive_local();
        for trace in &mut self.traces {
            let Scored { recorded_from, start, end, .. } = trace.scored;
            let offsets = offsets(zone, recorded_from, end);
            let [recorded_from, start, end] = [recorded_from, start, end].map(local);
            trace.local = Some(Local { zone: name.to_owned(), recorded_from, start, end, offsets });
        }
        self
    }

    /// Writes the report as JSON, a line for each field, with a line break at the end.
    ///
    /// Shares are between 0 and 1, instants RFC 3339 in UTC. `oracle_ratio` is explained at [`Score::oracle_ratio`].
    ///
    /// # Errors
    /// If a number cannot be written; the scores of a replay can.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut bytes = Vec::new();
        self.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, json::Lines::default()))?;
        bytes.push(b'\n');
        String::from_utf8(bytes).map_err(serde::ser::Error::custom)
    }

    /// Writes one HTML page with charts, tables, and their meaning. It loads nothing from a network.
    pub fn to_html(&self) -> String {
        html::page(self)
    }
}

impl TraceReport {
    pub(super) fn new(
        scenario: &Scenario,
        scored: Scored,
        oracle: OracleReport,
        candidates: Vec<CandidateReport>,
        plot: Plot,
    ) -> Self {
        Self {
            name: scenario.trace.name().to_owned(),
            facts: scenario.trace.facts(),
            model: scenario.model.clone(),
            scored,
            // At a price of 0 there is no money to tell of.
            currency: scenario.price.filter(|price| price.pod_hour() > 0.0).map(|price| price.currency().to_string()),
            oracle,
            candidates,
            plot,
            local: None,
        }
    }

    /// Returns true if the trace has dates; a trace that starts its clock at 0 has none.
    pub fn is_dated(&self) -> bool {
        is_dated(self.scored.recorded_from)
    }

    /// Returns the zone by whose clock times are told, and its offsets to UTC over the trace.
    fn zone(&self) -> (&str, &[(i64, i32)]) {
        self.local.as_ref().map_or(("UTC", &[]), |local| (local.zone.as_str(), local.offsets.as_slice()))
    }

    /// Says from when to when the trace reaches and which part of it counts, with dates and zone where it has them.
    fn period(&self) -> String {
        let Scored { recorded_from, start, end, .. } = self.scored;
        if self.is_dated() {
            let said = |at: NaiveDateTime| at.format("%Y-%m-%d %H:%M").to_string();
            let utc = |at: DateTime<Utc>| at.naive_utc();
            let (zone, [from, to, counts]) = match &self.local {
                Some(local) => (local.zone.as_str(), [local.recorded_from, local.end, local.start].map(said)),
                None => ("UTC", [recorded_from, end, start].map(utc).map(said)),
            };
            format!("{from} to {to} {zone}, of which the time from {counts} on counts")
        } else {
            let said = |at: DateTime<Utc>| format!("{:.1}", (at - recorded_from).num_seconds() as f64 / 3600.0);
            format!("no dates; of {} hours those from hour {} on count", said(end), said(start))
        }
    }

    /// Returns the unit of the load.
    fn unit(&self) -> &'static str {
        match self.facts.basis {
            DemandBasis::RequestRate => "requests/s",
            DemandBasis::CpuUsage => "pods' work",
        }
    }

    /// Returns the candidate of that name.
    pub fn candidate(&self, name: &str) -> Option<&CandidateReport> {
        self.candidates.iter().find(|candidate| candidate.name == name)
    }
}

impl OracleReport {
    pub(super) fn new(oracle: &mut Oracle, points: usize) -> Self {
        let requests = oracle.problem().requests();
        let share = |rejected: f64| if requests > 0.0 { rejected / requests } else { 0.0 };
        let strict = oracle.zero_violations();
        let frontier = oracle.frontier(points);
        let hours = |oracle: &Oracle, pod_steps: u64| oracle.problem().pod_hours(pod_steps as f64);
        let zero_violations = OraclePoint {
            violating_share: share(strict.rejected),
            pod_hours: hours(oracle, strict.pod_steps),
            at_least: hours(oracle, strict.lower_bound),
        };
        let one_percent = oracle.cheapest(0.01).map_or(zero_violations, |schedule| OraclePoint {
            violating_share: share(schedule.rejected),
            pod_hours: hours(oracle, schedule.pod_steps),
            at_least: hours(oracle, schedule.lower_bound),
        });
        // Beyond what min pods reject, more violations save nothing: the frontier ends there.
        let end = oracle
            .cheapest(1.0)
            .ok()
            .map(|least| FrontierPoint { share: share(least.rejected), pod_steps: least.pod_steps });
        let end = end.filter(|end| frontier.last().is_none_or(|last| last.share < end.share));
        let frontier = frontier
            .into_iter()
            .chain(end)
            .map(|point| OraclePoint {
                violating_share: point.share,
                pod_hours: hours(oracle, point.pod_steps),
                at_least: oracle.problem().pod_hours(oracle.lower_bound_at(point.share)),
            })
            .collect();
        Self {
            zero_violations: Some(zero_violations),
            one_percent: Some(one_percent),
            frontier,
            lacking: None,
            pods: strict.pods,
        }
    }

    /// Reports that there is no oracle, and why.
    pub(super) fn lacking(why: &OracleError) -> Self {
        Self {
            zero_violations: None,
            one_percent: None,
            frontier: Vec::new(),
            lacking: Some(why.to_string()),
            pods: Vec::new(),
        }
    }

    /// Returns the schedules that tables show, by name.
    fn rows(&self) -> impl Iterator<Item = (&'static str, OraclePoint)> {
        let rows = [("oracle, none", self.zero_violations), ("oracle, 1 %", self.one_percent)];
        rows.into_iter().filter_map(|(name, point)| Some((name, point?)))
    }

    /// Returns the pods of the schedule without violations, over the time that counts.
    pub(super) fn pods(&self) -> &[u32] {
        &self.pods
    }
}

impl CandidateReport {
    pub(super) fn new(candidate: &Candidate, score: Score, run: &Run) -> Self {
        let (family, parameter) = candidate.family().map(|(family, value)| (family.to_owned(), value)).unzip();
        Self { name: candidate.name().to_owned(), family, parameter, score, plot: CandidatePlot::of(run) }
    }
}

impl Scored {
    fn seconds(&self) -> f64 {
        (self.end - self.start).num_milliseconds() as f64 / 1000.0
    }
}

/// Writes a time in the largest unit that fits.
fn span(seconds: f64) -> String {
    if seconds >= 2.0 * 86_400.0 {
        format!("{:.1} days", seconds / 86_400.0)
    } else if seconds >= 2.0 * 3600.0 {
        format!("{:.1} hours", seconds / 3600.0)
    } else if seconds >= 120.0 {
        format!("{:.0} minutes", seconds / 60.0)
    } else {
        format!("{seconds:.0} seconds")
    }
}

/// Writes 1 where a schedule of the oracle is proved optimal, and otherwise how far it may be from that.
fn proved(point: OraclePoint) -> String {
    let excess = if point.at_least > 0.0 { point.pod_hours / point.at_least - 1.0 } else { 0.0 };
    if excess > 0.0 { format!("1 + {excess:.0e}") } else { "1".to_owned() }
}

impl Summary {
    fn of(name: &str, scores: &[&Score]) -> Self {
        let number = scores.len() as f64;
        let sum = |value: fn(&Score) -> f64| scores.iter().map(|score| value(score)).sum::<f64>();
        let ratios: Option<Vec<f64>> = scores.iter().map(|score| score.oracle_ratio).collect();
        let costs: Option<Vec<f64>> = scores.iter().map(|score| score.cost).collect();
        Self {
            name: name.to_owned(),
            traces: scores.len(),
            oracle_ratio: ratios.map(|ratios| ratios.iter().sum::<f64>() / number),
            violating_share: sum(|score| score.violating_share) / number,
            pod_hours: sum(|score| score.pod_hours),
            cost: costs.map(|costs| costs.iter().sum()),
            violation_minutes: sum(|score| score.violation_minutes),
            scale_events_a_day: sum(Score::scale_events_a_day) / number,
            bound_changes_a_day: sum(Score::bound_changes_a_day) / number,
        }
    }
}
