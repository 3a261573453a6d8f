//! [`TagSeries`]: one series of a query, told by its tags.

use std::collections::HashMap;
use std::fmt;

use super::answer::{self, Answer, Series};
use super::query::{InvalidQuery, MetricQuery};
use crate::source::fleet::{Fault, Line, Window};
use crate::source::mapping::Unit;

/// The one series of a query whose tags have these values. The query is the same for a whole fleet, so it is asked once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TagSeries {
    query: MetricQuery,
    /// In the order in which the query groups.
    tags: Vec<(String, String)>,
}

impl TagSeries {
    /// The series of `query` with these tags. It is grouped by `apart` as well: what else can differ (the cluster, the environment),
    /// so that values of two of them are not added up without a word. If several series have the tags, none is taken.
    ///
    /// # Errors
    /// [`InvalidQuery`] if a tag or its value is none.
    pub fn new(
        query: MetricQuery,
        tags: impl IntoIterator<Item = (String, String)>,
        apart: &[&str],
    ) -> Result<Self, InvalidQuery> {
        let tags: Vec<_> = tags.into_iter().collect();
        let mut groups: Vec<String> = tags.iter().map(|(key, _)| key.clone()).collect();
        for key in apart.iter().map(|key| (*key).to_owned()) {
            if !groups.contains(&key) {
                groups.push(key);
            }
        }
        groups.sort();
        // It is not filtered by them, but no series can have such a value.
        tags.iter().try_fold(query.clone(), |query, (key, value)| query.filtered(key, value))?;
        Ok(Self { query: query.grouped_by(groups)?, tags })
    }

    /// The query that it is a series of.
    pub fn query(&self) -> &MetricQuery {
        &self.query
    }

    /// The tags that tell it.
    pub fn tags(&self) -> &[(String, String)] {
        &self.tags
    }
}

impl fmt::Display for TagSeries {
    /// The query narrowed to this series, to paste into a notebook or graph.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let narrow =
            |query: MetricQuery, (key, value): &(String, String)| query.clone().filtered(key, value).unwrap_or(query);
        self.tags.iter().fold(self.query.clone(), narrow).fmt(f)
    }
}

/// The query narrowed to what all of these series of it have in common: for one workload, to that workload.
pub(super) fn narrowed(query: &MetricQuery, wanted: &[&TagSeries]) -> MetricQuery {
    let Some((first, others)) = wanted.split_first() else { return query.clone() };
    let common = first.tags.iter().filter(|tag| others.iter().all(|other| other.tags.contains(tag)));
    // Tags were checked when they were given as keys; a value that cannot be filtered by is left to the grouping.
    common.fold(query.clone(), |query, (key, value)| query.clone().filtered(key, value).unwrap_or(query))
}

/// The line of each wanted series in an answer of which each is of the query at `index`.
pub(super) fn lines(
    answer: &Answer,
    index: usize,
    wanted: &[&TagSeries],
    units: &[Unit],
    window: Window,
) -> Vec<Result<Line, Fault>> {
    let series: Vec<&Series> = answer.series.iter().filter(|series| series.query == index).collect();
    // By the values of the keys that a wanted series names; those of one query name the same ones, nearly always.
    let mut places: HashMap<Vec<&str>, HashMap<Vec<&str>, Vec<&Series>>> = HashMap::new();
    let step = answer::step(&answer.times, window.step);
    let mut lines = Vec::with_capacity(wanted.len());
    for (one, unit) in wanted.iter().copied().zip(units) {
        let keys: Vec<&str> = one.tags.iter().map(|(key, _)| key.as_str()).collect();
        let values: Vec<&str> = one.tags.iter().map(|(_, value)| value.as_str()).collect();
        let by_value = places.entry(keys).or_insert_with_key(|keys| {
            let mut by_value: HashMap<Vec<&str>, Vec<&Series>> = HashMap::new();
            for &series in &series {
                if let Some(values) = keys.iter().map(|key| series.tag(key)).collect() {
                    by_value.entry(values).or_default().push(series);
                }
            }
            by_value
        });
        lines.push(match by_value.get(&values).map(Vec::as_slice) {
            None | Some([]) => Ok(Line { step, points: Vec::new() }),
            Some([found]) => match found.unit.as_ref().filter(|reported| !reported.fits(*unit)) {
                Some(reported) => Err(Fault::WrongUnit { stated: *unit, reported: reported.to_string() }),
                None => Ok(Line { step, points: found.points.clone() }),
            },
            Some(several) => Err(Fault::Ambiguous { matches: several.len() }),
        });
    }
    lines
}
