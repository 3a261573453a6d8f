//! [`TimeBeside`]: a table that writes the date of an instant in one column and its time of day in another.

use chrono::{NaiveDate, NaiveTime};

use super::columns::{self, Column, Head};

/// Forms of a time of day.
const TIMES: [&str; 4] = ["%H:%M:%S%.f", "%H:%M", "%I:%M:%S%.f %p", "%I:%M %p"];

/// Places of the two columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeBeside {
    date: usize,
    time: usize,
}

impl TimeBeside {
    /// Finds the columns by their names and the first values under them: two columns of instants, of which the first value of one is a
    /// day and that of the other a time of day.
    pub(super) fn find(names: &[String], first: &::csv::StringRecord) -> Option<Self> {
        let is_instant = |nth: &usize| {
            names.get(*nth).is_some_and(|name| matches!(columns::head(name), Head::Known(Column::Time, _)))
        };
        let instants: Vec<usize> = (0..names.len()).filter(is_instant).collect();
        let value = |nth: usize| first.get(nth).unwrap_or_default().trim();
        let [a, b] = *instants.as_slice() else { return None };
        if is_day(value(a)) && is_time(value(b)) {
            Some(Self { date: a, time: b })
        } else {
            (is_time(value(a)) && is_day(value(b))).then_some(Self { date: b, time: a })
        }
    }

    /// Leaves one column of instants: the other loses its name.
    pub(super) fn rename(self, names: &mut [String]) {
        let is_utc = |name: &str| columns::time_unit(name).is_some_and(|(_, utc)| utc);
        let utc = names.get(self.time).is_some_and(|name| is_utc(name));
        if let Some(name) = names.get_mut(self.date).filter(|name| utc && !is_utc(name.as_str())) {
            name.push_str(" (UTC)");
        }
        if let Some(name) = names.get_mut(self.time) {
            name.clear();
        }
    }

    /// Puts the time of a row behind its date. A date without a time is no instant, and midnight would be a guess.
    pub(super) fn join(self, record: &mut ::csv::StringRecord) {
        let joined = record.iter().enumerate().map(|(nth, text)| {
            let time = record.get(self.time).unwrap_or_default().trim();
            match text.trim() {
                _ if nth == self.time => String::new(),
                "" if nth == self.date && time.is_empty() => String::new(),
                "" if nth == self.date => format!("(no date) {time}"),
                date if nth == self.date && time.is_empty() => format!("{date} (no time)"),
                date if nth == self.date => format!("{date} {time}"),
                _ => text.to_owned(),
            }
        });
        let mut joined: ::csv::StringRecord = joined.collect::<Vec<_>>().into();
        joined.set_position(record.position().cloned());
        *record = joined;
    }
}

fn is_time(text: &str) -> bool {
    // Behind a time there may be its zone.
    let parts: Vec<&str> = text.split_whitespace().collect();
    let time = match parts.as_slice() {
        [time, half, ..] if ["AM", "PM"].iter().any(|known| half.eq_ignore_ascii_case(known)) => {
            format!("{time} {half}")
        }
        [time, ..] => (*time).trim_end_matches('Z').to_owned(),
        [] => return false,
    };
    TIMES.iter().any(|form| NaiveTime::parse_from_str(&time, form).is_ok())
}

/// True for a date without a time, whatever the order of its parts.
fn is_day(text: &str) -> bool {
    let numbers: Vec<&str> = text.split(['-', '/', '.']).collect();
    let digits = |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    numbers.len() == 3 && numbers.iter().all(digits)
        || NaiveDate::parse_from_str(&text.replace(',', ""), "%B %d %Y").is_ok()
}
