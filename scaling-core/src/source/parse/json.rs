//! JSON: one object, an array, or one object a line.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::cell::{Cell, Comma, cell};
use super::columns::{Column, time_unit};
use super::error::{Fault, ParseError, quoted};
use super::instants::{Clock, When};
use super::rows::{Row, Sheet, Target};
use super::{Place, prometheus};
use crate::metrics::{Absence, Signal, SignalKind};

pub(super) fn array(text: &str, sheet: &mut Sheet<'_>) -> Result<(), ParseError> {
    let values: Vec<Value> = serde_json::from_str(text).map_err(|error| json_error(&error, 1))?;
    if values.is_empty() {
        return Err(ParseError::of("line 1", Fault::Empty("the array is empty")));
    }
    if values.first().is_some_and(prometheus::is_series) {
        return prometheus::read_result(Value::Array(values), sheet);
    }
    let mut keys = Keys::default();
    for (index, value) in values.into_iter().enumerate() {
        keys.push(value, Place::Element(index + 1), sheet)?;
    }
    keys.conclude(sheet)
}

/// JSON lines, or one object that may span lines.
pub(super) fn objects(text: &str, sheet: &mut Sheet<'_>) -> Result<(), ParseError> {
    let mut keys = Keys::default();
    if let Ok(value @ Value::Object(_)) = serde_json::from_str(text) {
        if prometheus::is_series(&value) {
            return prometheus::read_result(Value::Array(vec![value]), sheet);
        }
        keys.push(value, Place::Line(1), sheet)?;
        return keys.conclude(sheet);
    }
    let mut exported = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let value: Value = serde_json::from_str(line).map_err(|error| json_error(&error, index + 1))?;
        if prometheus::is_series(&value) {
            exported.push(value);
        } else {
            keys.push(value, Place::Line(index + 1), sheet)?;
        }
    }
    if exported.is_empty() { keys.conclude(sheet) } else { prometheus::read_result(Value::Array(exported), sheet) }
}

/// Keys of all objects so far, each read once.
#[derive(Default)]
struct Keys {
    known: HashMap<String, Option<Target>>,
    unread: BTreeSet<String>,
    clock: Clock,
    /// Name under which each column had a value.
    delivered: BTreeMap<usize, String>,
}

impl Keys {
    fn push(&mut self, value: Value, place: Place, sheet: &mut Sheet<'_>) -> Result<(), ParseError> {
        let Value::Object(map) = value else {
            return Err(ParseError::new(place, "a sample must be an object"));
        };
        let row = self.row(&map, place, sheet)?;
        for (name, value) in &map {
            if let (Some(None), Value::String(text)) = (self.known.get(name), value) {
                sheet.labels.push(name, sheet.rows.len(), text);
            }
        }
        sheet.push(row)
    }

    fn row(&mut self, map: &Map<String, Value>, place: Place, sheet: &Sheet<'_>) -> Result<Row, ParseError> {
        let mut row = Row::new(place);
        let mut is_known = false;
        let mut taken: [Option<&str>; 11] = [None; 11];
        for (name, value) in map {
            let Some(target) = self.target(name, sheet) else {
                self.unread.insert(name.clone());
                continue;
            };
            is_known = true;
            if !value.is_null() {
                self.delivered.entry(target.column.index()).or_insert_with(|| name.clone());
            }
            if let Some(taken) = taken.get_mut(target.column.index()) {
                if let Some(first) = taken.filter(|_| !value.is_null()) {
                    let (first, second) = (quoted(first), quoted(name));
                    return Err(ParseError::of(
                        place,
                        Fault::SameSignal { first, second, column: target.column.field() },
                    ));
                }
                *taken = (!value.is_null()).then_some(name);
            }
            if target.column == Column::Time {
                self.clock.order = sheet.order;
                row.when = self.instant(name, value).map_err(|fault| ParseError::of(place, fault))?;
            } else {
                put(&mut row, &target, name, value)
                    .map_err(|what| ParseError::new(place, format!("{}: {what}", quoted(name))))?;
            }
        }
        if !is_known {
            return Err(ParseError::of(place, Fault::NoKnownName { found: map.keys().cloned().collect() }));
        }
        Ok(row)
    }

    fn instant(&mut self, name: &str, value: &Value) -> Result<Option<When>, Fault> {
        if !self.known.contains_key(name) || self.clock.named.is_none() {
            (self.clock.named, self.clock.utc) = time_unit(name).unwrap_or_default();
        }
        match value {
            Value::Null => Ok(None),
            Value::String(text) => self.clock.read(text, name).map(Some),
            other => self.clock.read(&other.to_string(), name).map(Some),
        }
    }

    fn target(&mut self, name: &str, sheet: &Sheet<'_>) -> Option<Target> {
        if let Some(target) = self.known.get(name) {
            return *target;
        }
        let target = sheet.target(name);
        self.known.insert(name.to_owned(), target);
        target
    }

    fn conclude(mut self, sheet: &mut Sheet<'_>) -> Result<(), ParseError> {
        let names: Vec<String> = self.known.keys().cloned().collect();
        sheet.check_mappings(&names).map_err(|fault| ParseError::of("line 1", fault))?;
        let signals = self.known.values().flatten().any(|target| target.column != Column::Time);
        if !signals {
            let found = self.known.into_keys().collect::<BTreeSet<_>>().into_iter().collect();
            return Err(ParseError::of("line 1", Fault::NoKnownName { found }));
        }
        // One empty column among others is no news, a text of nothing else is.
        let is_signal = |index: &usize| Column::Signal(SignalKind::CpuUtilization).index() <= *index;
        if !self.delivered.keys().any(is_signal) {
            let empty = self.known.iter().filter_map(|(name, target)| Some((name, target.as_ref()?.column.index())));
            self.delivered
                .extend(empty.filter(|(_, index)| is_signal(index)).map(|(name, index)| (index, name.clone())));
        }
        self.unread.iter().for_each(|name| sheet.unread(name));
        sheet.names = self.delivered;
        sheet.keep_unit(&self.clock);
        Ok(())
    }
}

fn put(row: &mut Row, target: &Target, name: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Null => Ok(()),
        Value::Number(number) => row.put_named(target, Cell::Number(number.as_f64().unwrap_or(f64::NAN)), name),
        Value::String(text) => {
            let value = cell(text.trim(), Comma::Ambiguous).map_err(|what| format!("{:?} {what}", quoted(text)))?;
            row.put_named(target, value, name)
        }
        // A stated absence.
        Value::Object(_) => match target.column {
            Column::Signal(kind) => {
                let absence: Absence = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
                row.metrics.set(kind, Signal::Absent(absence));
                Ok(())
            }
            _ => Err("an object is not a number".to_owned()),
        },
        other => Err(format!("{} is not a number", quoted(&other.to_string()))),
    }
}

fn json_error(error: &serde_json::Error, first_line: usize) -> ParseError {
    let line = first_line + error.line().saturating_sub(1);
    let text = error.to_string();
    // serde_json counts from the text it was given; the place is said once, in the file's own lines.
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    ParseError::new(format!("line {line} column {}", error.column()), format!("not JSON: {what}"))
}
