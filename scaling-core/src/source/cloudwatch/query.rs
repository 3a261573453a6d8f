//! Requests made of series. Pure.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::series::{InvalidSeries, MetricStat, Series};
use crate::source::fleet::Window;

/// Queries of one request (API reference, `GetMetricData`).
pub(super) const MOST_QUERIES: usize = 500;

/// One query of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    /// Unique in its request; a lower-case letter first.
    pub(super) id: String,
    pub(super) ask: Ask,
    /// False for what only an expression needs.
    pub(super) returned: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ask {
    Stat(MetricStat),
    Math(String),
}

/// The queries of one request, and the id of the one that each series is read from, by its place in what was wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Batch {
    pub(super) queries: Vec<Query>,
    pub(super) readings: Vec<(usize, String)>,
    /// A metric that several series need is asked for, and paid for, once.
    known: HashMap<MetricStat, String>,
}

/// Requests for the series, and those that cannot be asked for. No series is split over two requests.
pub(super) fn batches<'a>(wanted: impl IntoIterator<Item = &'a Series>) -> (Vec<Batch>, Vec<(usize, InvalidSeries)>) {
    let (mut batches, mut invalid) = (Vec::new(), Vec::new());
    let mut batch = Batch::default();
    for (place, series) in wanted.into_iter().enumerate() {
        if let Err(error) = series.check() {
            invalid.push((place, error));
            continue;
        }
        if batch.queries.len() + most_queries(series) > MOST_QUERIES {
            batches.push(std::mem::take(&mut batch));
        }
        batch.add(place, series);
    }
    if !batch.queries.is_empty() {
        batches.push(batch);
    }
    (batches, invalid)
}

fn most_queries(series: &Series) -> usize {
    match series {
        Series::Stat(_) => 1,
        Series::Math { metrics, .. } => metrics.len() + 1,
    }
}

impl Batch {
    fn add(&mut self, place: usize, series: &Series) {
        let reading = match series {
            Series::Stat(stat) => self.stat(stat),
            Series::Math { expression, metrics } => {
                // The names of one workload's expression may be those of another's.
                let prefix = format!("e{}_", self.queries.len());
                for (id, stat) in metrics {
                    let id = format!("{prefix}{id}");
                    self.queries.push(Query { id, ask: Ask::Stat(stat.clone()), returned: false });
                }
                let id = format!("{prefix}0");
                let expression = renamed(expression, |word| metrics.contains_key(word), &prefix);
                self.queries.push(Query { id: id.clone(), ask: Ask::Math(expression), returned: true });
                id
            }
        };
        self.readings.push((place, reading));
    }

    fn stat(&mut self, stat: &MetricStat) -> String {
        if let Some(id) = self.known.get(stat) {
            return id.clone();
        }
        let id = format!("q{}", self.queries.len());
        self.queries.push(Query { id: id.clone(), ask: Ask::Stat(stat.clone()), returned: true });
        self.known.insert(stat.clone(), id.clone());
        id
    }
}

/// The expression with its own names set apart by a prefix; what stands in quotes is left as it is.
fn renamed(expression: &str, is_name: impl Fn(&str) -> bool, prefix: &str) -> String {
    pieces(expression).fold(String::new(), |mut text, piece| {
        if is_name(piece) {
            text.push_str(prefix);
        }
        text.push_str(piece);
        text
    })
}

/// The identifiers of an expression.
pub(super) fn words(expression: &str) -> impl Iterator<Item = &str> {
    pieces(expression).filter(|piece| piece.starts_with(|first: char| first.is_ascii_alphabetic()))
}

/// An expression in pieces: identifiers, quoted texts, and single other characters. Together they are the whole of it.
fn pieces(expression: &str) -> impl Iterator<Item = &str> {
    let mut rest = expression;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let length = match first {
            '"' | '\'' => rest.char_indices().skip(1).find(|(_, char)| *char == first).map(|(at, _)| at + 1),
            _ if is_word(first) => rest.find(|char| !is_word(char)),
            _ => Some(first.len_utf8()),
        };
        let (piece, after) = rest.split_at_checked(length.unwrap_or(rest.len()))?;
        rest = after;
        Some(piece)
    })
}

/// A window that CloudWatch cannot answer in periods of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a step of {seconds} s is no period of CloudWatch: 10, 20 or 30 s, or whole minutes")]
pub(super) struct InvalidPeriod {
    seconds: i64,
}

/// The part of a window for which CloudWatch still has data points of its step, and the period in seconds.
pub(super) fn answerable(window: Window, now: DateTime<Utc>) -> Result<(Window, i32), InvalidPeriod> {
    let seconds = window.step.num_seconds();
    let is_period = matches!(seconds, 1 | 5 | 10 | 20 | 30) || (seconds > 0 && seconds % 60 == 0);
    let period = i32::try_from(seconds).ok().filter(|_| is_period).ok_or(InvalidPeriod { seconds })?;
    let oldest = now.checked_sub_signed(retention(window.step)).unwrap_or(DateTime::<Utc>::MIN_UTC);
    let mut kept = window;
    if oldest > window.from {
        // Whole steps, so that buckets lie where they would have.
        let lost = (oldest - window.from).num_seconds().div_euclid(seconds) + 1;
        kept.from = window.from.checked_add_signed(TimeDelta::seconds(lost.saturating_mul(seconds))).unwrap_or(oldest);
    }
    Ok((kept, period))
}

/// How long data points of a period are kept (API reference, `GetMetricData`): 3 hours below a minute, 15 days below five minutes, 63
/// days below an hour, 455 days beyond. Asked for more, CloudWatch answers in coarser periods.
fn retention(step: TimeDelta) -> TimeDelta {
    match step.num_seconds() {
        ..60 => TimeDelta::hours(3),
        60..300 => TimeDelta::days(15),
        300..3600 => TimeDelta::days(63),
        _ => TimeDelta::days(455),
    }
}
