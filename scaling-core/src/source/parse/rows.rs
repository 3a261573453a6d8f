//! [`Sheet`], into which all forms are read: rows of samples whose instants may still lack a zone or a date.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::DateTime;

use super::cell::Cell;
use super::columns::{self, Column, Head, head};
use super::error::{Fault, ParseError, quoted};
use super::instants::{Clock, DateOrder, EpochUnit, When};
use super::labels::Labels;
use super::mapping::ColumnMapping;
use super::note::Note;
use super::zone::is_utc;
use super::{Place, Placed, Reader, Undated};
use crate::metrics::{Absence, ScalingMetrics, SignalKind};
use crate::stats::{self, MAX_REPLICAS};

/// Most samples of one text: ten years of one a minute. More would fill the memory of a small machine.
const MOST_SAMPLES: usize = 5_300_000;
/// Least number of values by which a counter can be told.
const COUNTED: usize = 20;
/// Least number of values by which a counter can be told that goes by the name of a rate.
const RISEN: usize = 200;
/// Largest usual increment of such a counter against its usual level.
const INCREMENT: f64 = 0.02;

/// Signal or field that a column is read into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) column: Column,
    factor: f64,
    quantile: Option<f64>,
}

impl Target {
    pub(super) fn of(column: Column) -> Self {
        Self { column, factor: 1.0, quantile: None }
    }
}

/// A sample whose instant may be missing, and where it stood.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) place: Place,
    pub(super) when: Option<When>,
    pub(super) metrics: ScalingMetrics,
    impossible: Option<String>,
}

impl Row {
    pub(super) fn new(place: Place) -> Self {
        let mut metrics = ScalingMetrics::new(DateTime::UNIX_EPOCH, 0);
        metrics.current_pod_count = None;
        Self { place, when: None, metrics, impossible: None }
    }

    /// Puts a value where it belongs; the fault is the reason why it cannot be.
    pub(super) fn put(&mut self, target: &Target, value: Cell) -> Result<(), String> {
        match target.column {
            Column::Time => {}
            Column::ReadyPods => self.metrics.current_pod_count = pods(value, target.factor)?,
            Column::DesiredPods => self.metrics.desired_pod_count = pods(value, target.factor)?,
            Column::Quantile => self.metrics.response_time_quantile = quantile(value)?,
            Column::Signal(kind) => {
                let value = match value {
                    Cell::Missing => return Ok(()),
                    Cell::Percent(value) if is_percent(kind) => value,
                    Cell::Percent(value) => return Err(format!("{value} % is no {kind}")),
                    Cell::Number(value) => value * target.factor,
                };
                let signal = kind.check(value);
                // NaN is what many write for nothing. What is stated and cannot be is another matter.
                let cause = signal.absence().filter(|_| !value.is_nan());
                if let Some(cause @ (Absence::NotFinite | Absence::OutOfRange)) = cause {
                    self.impossible.get_or_insert_with(|| format!("{value}: {cause}"));
                }
                self.metrics.set(kind, signal);
                if target.quantile.is_some() && signal.value().is_some() {
                    self.metrics.response_time_quantile = target.quantile;
                }
            }
        }
        Ok(())
    }

    fn name_impossible(&mut self, name: &str, before: bool) {
        if let Some(what) = self.impossible.as_mut().filter(|_| !before) {
            *what = format!("{name}: {what}");
        }
    }

    /// As [`Row::put`], and names the column in what cannot be.
    pub(super) fn put_named(&mut self, target: &Target, value: Cell, name: &str) -> Result<(), String> {
        let before = self.impossible.is_some();
        self.put(target, value)?;
        self.name_impossible(name, before);
        Ok(())
    }
}

fn is_percent(kind: SignalKind) -> bool {
    matches!(kind, SignalKind::CpuUtilization | SignalKind::MemoryUtilization | SignalKind::ErrorRate)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn pods(value: Cell, factor: f64) -> Result<Option<u32>, String> {
    match value {
        Cell::Missing => Ok(None),
        Cell::Number(number) if number.is_nan() => Ok(None),
        Cell::Number(number) => {
            let number = number * factor;
            let whole = number.fract() == 0.0 && (0.0..=f64::from(MAX_REPLICAS)).contains(&number);
            if whole {
                Ok(Some(number as u32))
            } else {
                Err(format!("{number} is not a whole number within 0..={MAX_REPLICAS}"))
            }
        }
        Cell::Percent(number) => Err(format!("{number} % is not a number of pods")),
    }
}

fn quantile(value: Cell) -> Result<Option<f64>, String> {
    match value {
        Cell::Missing => Ok(None),
        Cell::Number(number) if (0.0..=1.0).contains(&number) => Ok(Some(number)),
        Cell::Number(number) => Err(format!("{number} is not within 0..=1")),
        Cell::Percent(number) => quantile(Cell::Number(number / 100.0)),
    }
}

/// Values of one series in a long table or an answer.
pub(super) type Values = Vec<(Place, When, Cell)>;

/// Everything that was read so far.
#[derive(Debug)]
pub(super) struct Sheet<'r> {
    pub(super) reader: &'r Reader,
    pub(super) rows: Vec<Row>,
    /// Order of day and month in dates whose year comes last, once it is known.
    pub(super) order: Option<DateOrder>,
    pub(super) notes: Vec<Note>,
    /// Name of the column that was taken for the request rate for want of another.
    pub(super) assumed: Option<String>,
    /// True for a load trace: a clock and a request rate by name, and nothing else.
    pub(super) is_load: bool,
    unread: BTreeSet<String>,
    /// Texts of the columns that are not read.
    pub(super) labels: Labels,
    unit: Option<EpochUnit>,
    /// Name by which each signal was found, for doubts.
    pub(super) names: BTreeMap<usize, String>,
}

impl<'r> Sheet<'r> {
    pub(super) fn new(reader: &'r Reader, order: Option<DateOrder>) -> Self {
        Self {
            reader,
            rows: Vec::new(),
            order,
            notes: Vec::new(),
            assumed: None,
            is_load: false,
            unread: BTreeSet::new(),
            labels: Labels::default(),
            unit: None,
            names: BTreeMap::new(),
        }
    }

    pub(super) fn push(&mut self, row: Row) -> Result<(), ParseError> {
        self.rows.push(row);
        check_count(self.rows.len())
    }

    pub(super) fn unread(&mut self, name: &str) {
        self.unread.insert(name.to_owned());
    }

    pub(super) fn keep_unit(&mut self, clock: &Clock) {
        self.unit = clock.unusual_unit().or(self.unit);
    }

    /// Finds what a column is: what a mapping says or, for what no mapping speaks of, its name.
    pub(super) fn target(&self, name: &str) -> Option<Target> {
        let columns = &self.reader.columns;
        let mapped = columns.iter().find_map(|mapping| Some((mapping.column, mapping.factor(name)?)));
        if let Some((column, factor)) = mapped {
            return Some(Target { factor, ..Target::of(column) });
        }
        match head(name) {
            Head::Known(column, quantile) if columns.iter().all(|mapping| mapping.column != column) => {
                Some(Target { quantile, ..Target::of(column) })
            }
            _ => None,
        }
    }

    /// Finds what each column of a table is.
    pub(super) fn resolve(&mut self, names: &[String]) -> Result<Vec<Option<Target>>, Fault> {
        self.check_mappings(names)?;
        let mut taken: BTreeMap<usize, &str> = BTreeMap::new();
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let target = self.target(name);
            if let Some(target) = target
                && let Some(first) = taken.insert(target.column.index(), name)
            {
                let (first, second) = (quoted(first), quoted(name));
                return Err(Fault::SameSignal { first, second, column: target.column.field() });
            }
            found.push(target);
        }
        self.names = taken.into_iter().map(|(index, name)| (index, name.to_owned())).collect();
        Ok(found)
    }

    /// Refuses a mapping of a column that is not there.
    pub(super) fn check_mappings(&self, names: &[String]) -> Result<(), Fault> {
        let missing = |mapping: &&ColumnMapping| !names.iter().any(|name| mapping.factor(name).is_some());
        match self.reader.columns.iter().find(missing) {
            Some(mapping) => Err(Fault::NoSuchColumn { wanted: mapping.wanted().to_owned(), found: names.to_vec() }),
            None => Ok(()),
        }
    }

    /// Takes the series of a long table: those whose names are known (or mapped) or, if there is but one, that one as the load. Values
    /// of one time become one sample.
    pub(super) fn push_series(&mut self, series: &[(String, Values)]) -> Result<(), ParseError> {
        let place = Place::Line(1);
        let names: Vec<String> = series.iter().map(|(name, _)| name.clone()).collect();
        let mut targets = self.resolve(&names).map_err(|fault| ParseError::of(place, fault))?;
        if targets.iter().all(Option::is_none) {
            let [name] = names.as_slice() else {
                return Err(ParseError::of(place, Fault::SeveralSeries { series: names }));
            };
            if let Some(counter) = columns::counter_in(name) {
                return Err(ParseError::of(place, Fault::Counter { name: counter.to_owned() }));
            }
            match head(name) {
                Head::OtherUnit(..) | Head::OtherThing => {
                    return Err(ParseError::of(place, Fault::NoKnownName { found: names }));
                }
                _ => {}
            }
            self.assumed = Some(name.clone());
            targets = vec![Some(Target::of(Column::Signal(SignalKind::RequestRate)))];
        }
        let several = targets.iter().flatten().count() > 1;
        let mut rows: HashMap<When, usize> = HashMap::new();
        for ((name, values), target) in series.iter().zip(&targets) {
            let Some(target) = target else {
                self.unread(name);
                continue;
            };
            for (place, when, value) in values {
                let next = self.rows.len();
                let index = if several { *rows.entry(*when).or_insert(next) } else { next };
                if index == next {
                    self.push(Row { when: Some(*when), ..Row::new(*place) })?;
                }
                if let Some(row) = self.rows.get_mut(index) {
                    row.put_named(target, *value, &quoted(name))
                        .map_err(|what| ParseError::new(place, format!("{}: {what}", quoted(name))))?;
                }
            }
        }
        Ok(())
    }

    /// Dates the rows, and says what was taken for granted or looks wrong.
    pub(super) fn conclude(mut self) -> Result<super::Reading, ParseError> {
        self.labels.refuse_series(&self.rows)?;
        self.refuse_counter()?;
        self.in_zone()?;
        self.doubt();
        if let Some(unit) = self.unit {
            self.notes.push(Note::Epoch(unit));
        }
        if !self.unread.is_empty() {
            self.notes.push(Note::Unread { names: std::mem::take(&mut self.unread).into_iter().collect() });
        }
        let sample_time = if self.is_load { super::SampleTime::Starts } else { super::SampleTime::Ends };
        Ok(super::Reading { samples: date(self.rows, self.reader.undated)?, notes: self.notes, sample_time })
    }

    /// Refuses values that only rise, whole numbers all, where nothing says that they are a rate.
    fn refuse_counter(&self) -> Result<(), ParseError> {
        let Some(name) = &self.assumed else { return self.refuse_rising_rate() };
        let values = self.rows.iter().filter_map(|row| row.metrics.value(SignalKind::RequestRate));
        if !only_rises(values) {
            return Ok(());
        }
        Err(ParseError::of(Place::Line(1), Fault::Counter { name: quoted(name) }))
    }

    /// Refuses a rate by name that rises at every sample: no load does. Whoever maps the column has looked at it.
    fn refuse_rising_rate(&self) -> Result<(), ParseError> {
        let column = Column::Signal(SignalKind::RequestRate);
        if self.reader.columns.iter().any(|mapping| mapping.column == column) {
            return Ok(());
        }
        let rate = |row: &Row| Some((row.when?, row.metrics.value(SignalKind::RequestRate)?));
        let mut values: Vec<(When, f64)> = self.rows.iter().filter_map(rate).collect();
        // Some tables begin with the newest.
        values.sort_by_key(|(when, _)| *when);
        let values: Vec<f64> = values.into_iter().map(|(_, value)| value).collect();
        if !rises_always(&values) {
            return Ok(());
        }
        let name = self.names.get(&column.index()).map_or_else(|| column.field().to_owned(), |name| quoted(name));
        let largest = values.iter().copied().fold(0.0, f64::max).to_string();
        Err(ParseError::of(Place::Line(1), Fault::RisingRate { name, samples: values.len(), largest }))
    }

    fn in_zone(&mut self) -> Result<(), ParseError> {
        let local = self.rows.iter().find(|row| matches!(row.when, Some(When::Local(_))));
        let Some((place, When::Local(time))) = local.and_then(|row| Some((row.place, row.when?))) else {
            return Ok(());
        };
        let Some(zone) = &self.reader.zone else {
            let field = self.names.get(&Column::Time.index()).map_or("timestamp", String::as_str);
            let text = time.format("%Y-%m-%dT%H:%M:%S").to_string();
            return Err(ParseError::of(place, Fault::NoTimeZone { field: quoted(field), text }));
        };
        let mut times: Vec<Option<When>> = self.rows.iter().map(|row| row.when).collect();
        let folds = zone.instants(&mut times);
        self.rows.iter_mut().zip(times).for_each(|(row, when)| row.when = when);
        if !is_utc(zone) {
            let (repeated, skipped) = (folds.repeated, folds.skipped);
            self.notes.push(Note::Zone { zone: zone.name.clone(), repeated, skipped });
        }
        Ok(())
    }

    /// Doubts values that are possible, and more likely in another unit.
    fn doubt(&mut self) {
        for kind in SignalKind::ALL {
            let (looks_like, factor, low, high) = match kind {
                SignalKind::CpuUtilization | SignalKind::MemoryUtilization => {
                    ("a share, not a percentage", "*100", 1.0, 1000.0)
                }
                SignalKind::ResponseTime => ("seconds, not milliseconds", "*1000", 1.0, f64::INFINITY),
                _ => continue,
            };
            let values = self.rows.iter().filter_map(|row| row.metrics.value(kind));
            let Some(largest) = values.reduce(f64::max) else { continue };
            let name = self.names.get(&Column::Signal(kind).index());
            let name = name.cloned().unwrap_or_else(|| kind.field().to_owned());
            let mapped = self.reader.columns.iter().any(|mapping| mapping.column == Column::Signal(kind));
            let note =
                |looks_like, factor| Note::Doubtful { name, largest, looks_like, remedy: (kind.field(), factor) };
            if mapped || largest <= 0.0 {
                // Whoever maps a column has looked at it.
            } else if largest <= low {
                self.notes.push(note(looks_like, factor));
            } else if largest > high {
                self.notes.push(note("thousandths of a core, not percent of the request", "/10"));
            }
        }
        for (index, name) in &self.names {
            let kind = SignalKind::ALL.into_iter().find(|kind| Column::Signal(*kind).index() == *index);
            let is_valueless = |kind| self.rows.iter().all(|row| row.metrics.value(kind).is_none());
            if kind.is_some_and(is_valueless) {
                self.notes.push(Note::Valueless { name: name.clone() });
            }
        }
    }
}

/// Refuses more samples than are read.
pub(super) fn check_count(count: usize) -> Result<(), ParseError> {
    if count > MOST_SAMPLES {
        return Err(ParseError::of("the text", Fault::TooMany { most: MOST_SAMPLES }));
    }
    Ok(())
}

/// True for values of a counter: whole numbers that rise, but for a few restarts from near 0.
pub(super) fn only_rises(values: impl Iterator<Item = f64>) -> bool {
    let (mut last, mut count, mut rises, mut resets) = (None, 0_usize, 0_usize, 0_usize);
    for value in values {
        if value.fract() != 0.0 {
            return false;
        }
        match last {
            Some(last) if value > last => rises += 1,
            Some(last) if value < 0.5 * last => resets += 1,
            Some(last) if value < last => return false,
            _ => {}
        }
        (last, count) = (Some(value), count + 1);
    }
    count >= COUNTED && rises * 2 > count && resets * 20 <= count
}

/// True for many values of which each is above the one before, but for a few restarts from near 0, by little against their level.
fn rises_always(values: &[f64]) -> bool {
    let pairs = || values.iter().zip(values.iter().skip(1));
    let resets = pairs().filter(|(a, b)| **b < 0.5 * **a).count();
    let mut rises: Vec<f64> = pairs().filter(|(a, b)| b > a).map(|(a, b)| b - a).collect();
    if values.len() < RISEN || resets * 20 > values.len() || rises.len() + resets + 1 < values.len() {
        return false;
    }
    let mut levels = values.to_vec();
    let usual = stats::quantile(&mut rises, 0.5).zip(stats::quantile(&mut levels, 0.5));
    usual.is_some_and(|(rise, level)| rise <= INCREMENT * level)
}

fn date(rows: Vec<Row>, undated: Option<Undated>) -> Result<Vec<Placed>, ParseError> {
    let total = rows.len();
    let is_dated = rows.iter().any(|row| row.when.is_some());
    rows.into_iter()
        .enumerate()
        .map(|(index, row)| {
            let at = match (row.when, undated) {
                (Some(When::At(at)), _) => Some(at),
                (None, Some(Undated { end, interval })) if !is_dated => i32::try_from(total - 1 - index)
                    .ok()
                    .and_then(|steps| interval.checked_mul(steps))
                    .and_then(|back| end.checked_sub_signed(back)),
                _ => None,
            };
            let at = at.ok_or_else(|| ParseError::new(row.place, "timestamp is missing"))?;
            let mut metrics = row.metrics;
            metrics.timestamp = at;
            Ok(Placed { place: row.place, metrics, impossible: row.impossible })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_whole_numbers_that_rise_but_for_restarts() {
        let counter = |nth: u32| f64::from(nth % 30 * 60 + 3);
        assert!(only_rises((0..60).map(counter)));
        assert!(!only_rises((0..60).map(|nth| counter(nth) + 0.5)), "a rate has decimals");
        assert!(!only_rises((0..60).map(|nth| f64::from(100 + nth % 7))), "a load goes up and down");
        assert!(!only_rises((0..60).map(|_| 5.0)), "a constant load");
        assert!(!only_rises((0..10).map(counter)), "too few to tell");
    }

    #[test]
    fn a_rate_that_rises_at_every_sample_is_a_counter() {
        let counter = |nth: u32| f64::from(nth % 250 * 3000) + f64::from(nth % 7) * 100.5;
        let values: Vec<f64> = (0..600).map(counter).collect();
        assert!(rises_always(&values));
        assert!(!rises_always(&values[..150]), "too few to tell");
        let mut calm = values.clone();
        calm[300] = calm[299];
        assert!(!rises_always(&calm), "a load that stays");
        let growing: Vec<f64> = (0..200).map(|nth| 1.05_f64.powi(nth)).collect();
        assert!(!rises_always(&growing), "a load that multiplies");
    }
}
