//! Whether each query of each workload works, asked once: what an operator runs first.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::assemble::reading;
use super::series::{Backend, Fault, Lines, Window};
use super::source::{FleetSource, wanted};
use super::term::Term;
use crate::metrics::Absence;
use crate::source::mapping::{Conversion, Measure, SignalQuery, Unit};
use crate::target::Target;

/// What became of one query of one workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The workload.
    pub target: Target,
    /// The measure that the query delivers.
    pub measure: Measure,
    /// The query, to paste where the service shows its metrics.
    pub query: String,
    /// What was found.
    pub finding: Finding,
}

/// What a query answered when it was tried.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// A value that can be true.
    Works {
        /// The value in the unit of the measure.
        value: f64,
        /// End of the step that it is of.
        at: DateTime<Utc>,
    },
    /// The service has no such series, or no value in it for as long as is looked back.
    Empty,
    /// The newest value is old.
    Stale {
        /// Its age, from the last step that has settled.
        age: TimeDelta,
    },
    /// The unit is another than the one that was stated, or the values say so: above what can be, or never above 1 where percent are
    /// expected.
    WrongUnit {
        /// What shows it.
        why: String,
    },
    /// Several series fit where one was meant.
    Ambiguous {
        /// Number of series.
        matches: usize,
    },
    /// There is nothing to take a share of, at the moment.
    Idle,
    /// Not a finite number.
    NotFinite,
    /// The query failed.
    Failed {
        /// Cause.
        cause: String,
    },
}

impl Finding {
    /// True if the query delivers its measure.
    pub fn works(&self) -> bool {
        matches!(self, Self::Works { .. } | Self::Idle)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works { value, at } => write!(f, "works: {value:.3} at {}", at.format("%H:%M:%S UTC")),
            Self::Empty => f.write_str("empty: no such series, or no value in it lately"),
            Self::Stale { age } => write!(f, "stale: the newest value is {} s old", age.num_seconds()),
            Self::WrongUnit { why } => write!(f, "wrong unit: {why}"),
            Self::Ambiguous { matches } => write!(f, "ambiguous: {matches} series fit where one was meant"),
            Self::Idle => f.write_str("idle: there is nothing to take a share of now"),
            Self::NotFinite => f.write_str("not a finite number"),
            Self::Failed { cause } => write!(f, "failed: {cause}"),
        }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, measure, query, finding } = self;
        write!(f, "{target} {measure}: {finding}\n    {query}")
    }
}

impl<B: Backend> FleetSource<B> {
    /// Asks every query once, in as few requests as a tick takes, and says of each what it found: by workload, then in the order of
    /// its mapping. Nothing is remembered of the answers.
    pub async fn check(&self, now: DateTime<Utc>) -> Vec<Checked> {
        let (backend, times) = self.parts();
        let window = times.window(now);
        let answer = backend.fetch(&wanted(self.workloads()), window, now).await;
        let mut workloads: Vec<_> = self.workloads().collect();
        workloads.sort_by(|a, b| a.target.cmp(&b.target));
        let mut checked = Vec::new();
        for workload in workloads {
            for query in workload.mapping.queries() {
                let finding = match &answer {
                    Ok(lines) => {
                        let period = times.step.to_std().unwrap_or_default();
                        let conversion = |period| query.conversion(&workload.facts, period).ok();
                        find(query, lines, window, conversion, period)
                    }
                    Err(error) => Finding::Failed { cause: error.cause.clone() },
                };
                let (target, text) = (workload.target.clone(), query.query.to_string());
                checked.push(Checked { target, measure: query.measure, query: text, finding });
            }
        }
        checked
    }
}

fn find<S: Eq + std::hash::Hash>(
    query: &SignalQuery<Term<S>>,
    lines: &Lines<S>,
    window: Window,
    conversion: impl Fn(Duration) -> Option<Conversion>,
    period: Duration,
) -> Finding {
    let parts = query.query.series(query.unit);
    let may_be_empty = |place| place == 0 && matches!(query.query, Term::Sparse { .. });
    for (place, (series, _)) in parts.iter().enumerate() {
        match lines.get(*series) {
            Some(Err(Fault::Failed(error))) => return Finding::Failed { cause: error.cause.clone() },
            Some(Err(Fault::Ambiguous { matches })) => return Finding::Ambiguous { matches: *matches },
            Some(Err(fault @ Fault::WrongUnit { .. })) => return Finding::WrongUnit { why: fault.to_string() },
            Some(Ok(line)) if line.points.iter().any(|point| point.value.is_ok()) => {}
            Some(Ok(line)) if line.points.iter().any(|point| point.value == Err(Absence::NotFinite)) => {
                return Finding::NotFinite;
            }
            Some(Ok(_)) if may_be_empty(place) => {}
            Some(Ok(_)) | None => return Finding::Empty,
        }
    }
    let (newest, stands_for) = reading(&query.query, lines, window.to, window.step);
    match newest {
        Ok(value) => judge(query, value, conversion(stands_for), window, &values(query, lines)),
        Err(Absence::Stale { age_s }) => Finding::Stale { age: TimeDelta::seconds(age_s.into()) },
        Err(Absence::NotFinite) => Finding::NotFinite,
        // Both amounts have values: the whole is 0.
        Err(_) if parts.len() > 1 && stands_for == period => Finding::Idle,
        Err(_) => Finding::Empty,
    }
}

/// Every value of a query of one series.
fn values<S: Eq + std::hash::Hash>(query: &SignalQuery<Term<S>>, lines: &Lines<S>) -> Vec<f64> {
    let Term::One(series) = &query.query else { return Vec::new() };
    let points = lines.get(series).and_then(|line| line.as_ref().ok()).map(|line| line.points.iter());
    points.into_iter().flatten().filter_map(|point| point.value.ok()).collect()
}

fn judge<S>(
    query: &SignalQuery<Term<S>>,
    value: f64,
    conversion: Option<Conversion>,
    window: Window,
    values: &[f64],
) -> Finding {
    let Some(value) = conversion.map(|conversion| conversion.convert(value)) else { return Finding::Empty };
    let limit = query.measure.signal().map_or(1e9, crate::metrics::SignalKind::limit);
    if !value.is_finite() {
        return Finding::NotFinite;
    }
    if !(0.0..=limit).contains(&value) {
        return Finding::WrongUnit { why: format!("{value} is outside of 0 to {limit}") };
    }
    // A workload below one percent for the whole time is possible, and rarer than a ratio taken for percent.
    if query.unit == Unit::Percent && values.len() >= 3 && values.iter().all(|value| (0.0..=1.0).contains(value)) {
        let largest = values.iter().copied().fold(0.0, f64::max);
        if largest > 0.0 {
            let why = format!("the largest of {} values is {largest}: a ratio, stated as percent?", values.len());
            return Finding::WrongUnit { why };
        }
    }
    Finding::Works { value, at: window.to }
}
