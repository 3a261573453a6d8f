//! Text in columns: separated by comma, semicolon, tab or pipe, with a header or without, wide (a column for each signal) or long (a
//! row for each value, as Grafana's "Series to rows").

use std::collections::BTreeMap;

use super::Place;
use super::cell::Comma;
use super::columns::{self, Column, Head};
use super::decimals::Decimals;
use super::error::{Fault, ParseError, quoted};
use super::instants::{Clock, is_plainly_instant};
use super::note::Note;
use super::rows::{Row, Sheet, Target, check_count};
use super::shape::{delimiter, is_headless, preamble};
use super::time_beside::TimeBeside;
use crate::metrics::SignalKind;

/// Heads of the column that names the series in a long table.
const SERIES: [&str; 4] = ["metric", "series", "name", "field"];
/// Heads of the column of values in a long table.
const VALUE: [&str; 3] = ["value", "values", "val"];

pub(super) fn read(text: &str, sheet: &mut Sheet<'_>) -> Result<(), ParseError> {
    let (skipped, text) = preamble(text);
    let delimiter = delimiter(text);
    let mut table = Table {
        reader: ::csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(text.as_bytes()),
        record: ::csv::StringRecord::new(),
        skipped,
        rows: 0,
        time_beside: None,
    };
    let comma = if delimiter == b',' { Comma::Ambiguous } else { Comma::Decimal };
    if !table.next()? {
        return Err(ParseError::of("line 1", Fault::Empty("the text is empty")));
    }
    let first: Vec<String> = table.record.iter().map(|name| name.trim().to_owned()).collect();
    let headless = is_headless(&first, comma);
    let mut names: Vec<String> =
        if headless { (1..=first.len()).map(|nth| format!("column {nth}")).collect() } else { first };
    if !headless && !table.next()? {
        return Err(ParseError::of("line 1", Fault::Empty("only a header, or neither JSON nor CSV")));
    }
    let is_mapped = sheet.reader.columns.iter().any(|mapping| mapping.column == Column::Time);
    if let Some(beside) = TimeBeside::find(&names, &table.record).filter(|_| !is_mapped) {
        beside.rename(&mut names);
        beside.join(&mut table.record);
        table.time_beside = Some(beside);
    }
    // The first row of values is read already.
    let mut decimals = Decimals::new(comma);
    match long(&names) {
        Some(long) if sheet.reader.columns.is_empty() || !wide_mapping(sheet, &names) => {
            table.read_long(&long, &names, &mut decimals, sheet)
        }
        _ => {
            let layout = layout(&names, &table.record, headless, sheet)?;
            table.read_wide(layout, &mut decimals, sheet)
        }
    }?;
    decimals.conclude(sheet)
}

/// True if a mapping names a column of the table rather than a series in it.
fn wide_mapping(sheet: &Sheet<'_>, names: &[String]) -> bool {
    sheet.reader.columns.iter().any(|mapping| names.iter().any(|name| mapping.factor(name).is_some()))
}

/// Places of the columns in a long table.
struct Long {
    time: usize,
    series: usize,
    value: usize,
}

fn long(names: &[String]) -> Option<Long> {
    let lower: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let find = |known: &[&str]| lower.iter().position(|name| known.contains(&name.trim_start_matches('_')));
    let time = names.iter().position(|name| matches!(columns::head(name), Head::Known(Column::Time, _)))?;
    Some(Long { time, series: find(&SERIES)?, value: find(&VALUE)? })
}

/// Meaning of each column of a wide table.
struct Layout {
    clock: Clock,
    columns: Vec<(String, Option<Target>)>,
}

fn layout(
    names: &[String],
    values: &::csv::StringRecord,
    headless: bool,
    sheet: &mut Sheet<'_>,
) -> Result<Layout, ParseError> {
    let place = Place::Line(1);
    let mut found = sheet.resolve(names).map_err(|fault| ParseError::of(place, fault))?;
    let is_time = |target: &Option<Target>| target.as_ref().is_some_and(|target| target.column == Column::Time);
    if !found.iter().any(is_time) {
        let unread = |nth: &usize| found.get(*nth).is_some_and(Option::is_none);
        let dated = (0..names.len()).filter(unread).find(|nth| values.get(*nth).is_some_and(is_plainly_instant));
        // In a file without a header, a clock may start at 0.
        if let Some(nth) = dated.or_else(|| (headless && names.len() == 2).then_some(0))
            && let Some(target) = found.get_mut(nth)
        {
            *target = Some(Target::of(Column::Time));
            if !headless {
                sheet.notes.push(Note::Assumed {
                    name: names.get(nth).cloned().unwrap_or_default(),
                    column: Column::Time.field(),
                });
            }
        }
    }
    let is_known = |target: &Option<Target>| target.as_ref().is_some_and(|target| target.column != Column::Time);
    if !found.iter().any(is_known) {
        let is_left = |nth: &usize| {
            found.get(*nth).is_some_and(Option::is_none) && names.get(*nth).is_some_and(|name| !name.is_empty())
        };
        let mut left = (0..names.len()).filter(is_left);
        let (only, more) = (left.next(), left.next().is_some());
        // Without a clock, it is no table of metrics at all.
        let name = only.and_then(|nth| names.get(nth)).filter(|_| !more && found.iter().any(is_time));
        if let Some(counter) = name.and_then(|name| columns::counter_in(name)) {
            return Err(ParseError::of(place, Fault::Counter { name: counter.to_owned() }));
        }
        let name = name.filter(|name| columns::head(name) == Head::Unknown);
        let (Some(name), Some(target)) = (name, only.and_then(|nth| found.get_mut(nth))) else {
            return Err(ParseError::of(place, Fault::NoKnownName { found: names.to_vec() }));
        };
        let column = Column::Signal(SignalKind::RequestRate);
        *target = Some(Target::of(column));
        sheet.assumed = Some(name.clone());
        sheet.notes.push(if headless {
            Note::NoHeader
        } else {
            Note::Assumed { name: name.clone(), column: column.field() }
        });
    }
    let mut clock = Clock { order: sheet.order, ..Clock::default() };
    for (name, target) in names.iter().zip(&found) {
        match target {
            Some(target) if target.column == Column::Time => {
                (clock.named, clock.utc) = columns::time_unit(name).unwrap_or_default();
            }
            None if !name.is_empty() => sheet.unread(name),
            _ => {}
        }
    }
    sheet.is_load = sheet.assumed.as_ref().is_none_or(|_| headless)
        && found
            .iter()
            .flatten()
            .all(|target| matches!(target.column, Column::Time | Column::Signal(SignalKind::RequestRate)));
    Ok(Layout { clock, columns: names.iter().cloned().zip(found).collect() })
}

struct Table<'t> {
    reader: ::csv::Reader<&'t [u8]>,
    record: ::csv::StringRecord,
    /// Lines before the table.
    skipped: usize,
    rows: usize,
    time_beside: Option<TimeBeside>,
}

impl Table<'_> {
    /// Reads the next record; false at the end.
    fn next(&mut self) -> Result<bool, ParseError> {
        let skipped = self.skipped;
        let read = self.reader.read_record(&mut self.record).map_err(|error| {
            let line = error.position().map_or(1, ::csv::Position::line) + skipped as u64;
            let what = match error.kind() {
                ::csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("{len} fields, where the first line has {expected_len}")
                }
                _ => error.to_string(),
            };
            ParseError::new(format!("line {line}"), what)
        })?;
        if let Some(beside) = &self.time_beside {
            beside.join(&mut self.record);
        }
        Ok(read)
    }

    fn place(&self) -> Place {
        let line = self.record.position().and_then(|position| usize::try_from(position.line()).ok());
        Place::Line(line.unwrap_or(self.rows + 2) + self.skipped)
    }

    fn read_wide(
        &mut self,
        mut layout: Layout,
        decimals: &mut Decimals,
        sheet: &mut Sheet<'_>,
    ) -> Result<(), ParseError> {
        loop {
            let place = self.place();
            let mut row = Row::new(place);
            for ((name, target), text) in layout.columns.iter().zip(&self.record) {
                let text = text.trim();
                let Some(target) = target else {
                    if !name.is_empty() {
                        sheet.labels.push(name, self.rows, text);
                    }
                    continue;
                };
                if target.column == Column::Time {
                    if !text.is_empty() {
                        row.when = Some(layout.clock.read(text, name).map_err(|fault| ParseError::of(place, fault))?);
                    }
                    continue;
                }
                let value = decimals.read(text, place);
                let put = value.map_err(|what| format!("{:?} {what}", quoted(text)));
                put.and_then(|value| row.put_named(target, value, name))
                    .map_err(|what| ParseError::new(place, format!("{}: {what}", quoted(name))))?;
            }
            sheet.push(row)?;
            self.rows += 1;
            if !self.next()? {
                break;
            }
        }
        sheet.keep_unit(&layout.clock);
        Ok(())
    }

    /// Reads a table with a row for each value: rows of one instant become one sample.
    fn read_long(
        &mut self,
        long: &Long,
        names: &[String],
        decimals: &mut Decimals,
        sheet: &mut Sheet<'_>,
    ) -> Result<(), ParseError> {
        let time = names.get(long.time).map_or("", String::as_str);
        let mut clock = Clock { order: sheet.order, ..Clock::default() };
        (clock.named, clock.utc) = columns::time_unit(time).unwrap_or_default();
        let mut series: BTreeMap<String, Vec<_>> = BTreeMap::new();
        loop {
            let place = self.place();
            let field = |nth| self.record.get(nth).unwrap_or_default().trim();
            let (text, name) = (field(long.value), field(long.series));
            let value = decimals.read(text, place);
            let value =
                value.map_err(|what| ParseError::new(place, format!("{}: {:?} {what}", quoted(name), quoted(text))))?;
            let when = clock.read(field(long.time), time).map_err(|fault| ParseError::of(place, fault))?;
            if !series.contains_key(name) {
                series.insert(name.to_owned(), Vec::new());
            }
            if let Some(values) = series.get_mut(name) {
                values.push((place, when, value));
            }
            self.rows += 1;
            check_count(self.rows)?;
            if !self.next()? {
                break;
            }
        }
        sheet.keep_unit(&clock);
        sheet.push_series(&series.into_iter().collect::<Vec<_>>())
    }
}
