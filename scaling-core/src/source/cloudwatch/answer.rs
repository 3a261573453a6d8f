//! Answers read as series. Pure.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::query::Batch;
use crate::metrics::Absence;
use crate::source::fleet::{Fault, Line, Point, QueryError, Window};

/// One page of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Page {
    pub(super) results: Vec<Answer>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
}

/// What a page holds of one query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) status: Status,
    /// Starts of the periods; `None` for an instant that cannot be.
    pub(super) starts: Vec<Option<DateTime<Utc>>>,
    pub(super) values: Vec<f64>,
    /// What the service adds in words.
    pub(super) message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Complete,
    /// More is to come, or stays out.
    Partial,
    InternalError,
    Forbidden,
    /// Another word, or none.
    Other(Option<String>),
}

/// The answer to each series of the request, by its place in what was wanted. `names` says what was asked at a place.
pub(super) fn lines(
    batch: &Batch,
    pages: Vec<Page>,
    window: Window,
    names: impl Fn(usize) -> String,
) -> Vec<(usize, Result<Line, Fault>)> {
    let gathered = gather(pages, window);
    let line = |(place, id): &(usize, String)| {
        let failed =
            |(cause, transient): (String, bool)| Fault::Failed(QueryError { query: names(*place), cause, transient });
        let points =
            gathered.get(id).map_or_else(|| Err(missing()), |gathered| gathered.points(window)).map_err(failed);
        let line = points.map(|points| {
            let points = points.into_iter().map(|(start, value)| Point { start, value }).collect();
            Line { step: window.step, points }
        });
        (*place, line)
    };
    batch.readings.iter().map(line).collect()
}

type Points = BTreeMap<DateTime<Utc>, Result<f64, Absence>>;

/// What came of one query, over all pages.
#[derive(Debug)]
struct Gathered {
    points: Points,
    /// As the last page that named it has it.
    status: Status,
    message: Option<String>,
    /// Timestamps and values differed in number, so that nobody knows which belongs to which.
    unpaired: bool,
}

fn gather(pages: Vec<Page>, window: Window) -> HashMap<String, Gathered> {
    let mut gathered: HashMap<String, Gathered> = HashMap::new();
    for answer in pages.into_iter().flat_map(|page| page.results) {
        let fresh = Gathered { points: Points::new(), status: Status::Complete, message: None, unpaired: false };
        let known = gathered.entry(answer.id).or_insert(fresh);
        known.status = answer.status;
        known.message = answer.message.or(known.message.take());
        known.unpaired |= answer.starts.len() != answer.values.len() || answer.starts.contains(&None);
        for (start, value) in answer.starts.into_iter().flatten().zip(answer.values) {
            // Nothing outside of what was asked for, above all nothing of a bucket that has not ended.
            if start >= window.from && start.checked_add_signed(window.step).is_some_and(|end| end <= window.to) {
                known.take(start, value);
            }
        }
    }
    gathered
}

impl Gathered {
    fn take(&mut self, start: DateTime<Utc>, value: f64) {
        let value = if value.is_finite() { Ok(value) } else { Err(Absence::NotFinite) };
        self.points
            .entry(start)
            // Twice the same is one; of two different numbers for one period neither can be believed.
            .and_modify(|known| {
                if *known != value {
                    *known = Err(Absence::OutOfRange);
                }
            })
            .or_insert(value);
    }

    fn points(&self, window: Window) -> Result<Points, (String, bool)> {
        let said = |what: &str| match &self.message {
            Some(message) => format!("{what}: {message}"),
            None => what.to_owned(),
        };
        if self.unpaired {
            return Err(("the answer has timestamps without values, or values without timestamps".into(), true));
        }
        match &self.status {
            Status::Complete => Ok(self.points.clone()),
            Status::Partial => Ok(self.with_holes(window)),
            Status::InternalError => Err((said("CloudWatch reports an internal error for it"), true)),
            Status::Forbidden => {
                Err((said("forbidden: the account may not read it (cloudwatch:GetMetricData)"), false))
            }
            Status::Other(Some(status)) => Err((said(&format!("CloudWatch reports the status {status:?}")), true)),
            Status::Other(None) => Err((said("CloudWatch reports no status for it"), true)),
        }
    }

    /// The points that came; each bucket that did not is absent in part of the answer, and not measured as nothing.
    fn with_holes(&self, window: Window) -> Points {
        let buckets = (window.to - window.from).num_seconds() / window.step.num_seconds().max(1);
        let covered = 100 * i64::try_from(self.points.len()).unwrap_or(i64::MAX).min(buckets) / buckets.max(1);
        let absence = Absence::Partial { covered_percent: u8::try_from(covered).unwrap_or(100) };
        let mut points = self.points.clone();
        let mut start = window.from;
        while start < window.to {
            points.entry(start).or_insert(Err(absence));
            start += window.step.max(TimeDelta::seconds(1));
        }
        points
    }
}

fn missing() -> (String, bool) {
    ("the answer has no result for it".into(), true)
}
