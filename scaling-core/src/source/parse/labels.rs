//! [`Labels`]: texts of the columns that are not read, which may tell several series apart.
//!
//! A long table with a row for each pod and instant reads like one series whose instants come twice. Taking the last row of each
//! instant would lose the load of all other pods.

use std::collections::BTreeMap;

use super::Place;
use super::error::{Fault, ParseError, quoted};
use super::instants::When;
use super::rows::Row;

/// Most texts of a column that are kept: more of them are no names of series.
const MOST_TEXTS: usize = 1000;

/// Texts of the columns that are not read, row by row.
#[derive(Debug, Default)]
pub(super) struct Labels(BTreeMap<String, Column>);

#[derive(Debug, Default)]
struct Column {
    known: BTreeMap<String, u16>,
    /// Number of the text of each row; rows before the column first came have none.
    rows: Vec<Option<u16>>,
    is_full: bool,
}

impl Labels {
    /// Keeps the text of a row, counted from 0.
    pub(super) fn push(&mut self, column: &str, row: usize, text: &str) {
        if !self.0.contains_key(column) {
            self.0.insert(column.to_owned(), Column::default());
        }
        if let Some(column) = self.0.get_mut(column) {
            column.push(row, text);
        }
    }

    /// Refuses rows of which most instants come several times, once for each text of a column.
    pub(super) fn refuse_series(&self, rows: &[Row]) -> Result<(), ParseError> {
        let mut order: Vec<(When, usize)> =
            rows.iter().enumerate().filter_map(|(nth, row)| Some((row.when?, nth))).collect();
        order.sort_unstable();
        let instants = || order.chunk_by(|(a, _), (b, _)| a == b);
        let several = |count: usize| count * 2 > instants().count();
        if self.0.is_empty() || !several(instants().filter(|rows| rows.len() > 1).count()) {
            return Ok(());
        }
        let tells_apart = |column: &&Column| {
            let differs = |rows: &&[(When, usize)]| {
                let mut texts: Vec<u16> = rows.iter().filter_map(|(_, nth)| column.text(*nth)).collect();
                texts.sort_unstable();
                texts.dedup();
                rows.len() > 1 && texts.len() == rows.len()
            };
            !column.is_full && column.known.len() * 2 <= rows.len() && several(instants().filter(differs).count())
        };
        match self.0.iter().find(|(_, column)| tells_apart(column)) {
            Some((name, column)) => Err(ParseError::of(
                Place::Line(1),
                Fault::SeriesInColumn { column: quoted(name), series: column.known.keys().cloned().collect() },
            )),
            None => Ok(()),
        }
    }
}

impl Column {
    fn push(&mut self, row: usize, text: &str) {
        if self.is_full {
            return;
        }
        let number = match self.known.get(text) {
            Some(number) => *number,
            None if self.known.len() >= MOST_TEXTS => {
                *self = Self { is_full: true, ..Self::default() };
                return;
            }
            None => {
                let number = u16::try_from(self.known.len()).unwrap_or(u16::MAX);
                self.known.insert(text.to_owned(), number);
                number
            }
        };
        self.rows.resize(row, None);
        self.rows.push(Some(number));
    }

    fn text(&self, row: usize) -> Option<u16> {
        self.rows.get(row).copied().flatten()
    }
}
