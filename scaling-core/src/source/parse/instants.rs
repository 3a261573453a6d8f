//! Instants as files write them: numbers since the epoch, dates with a zone, and times of a clock on some wall.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use super::error::{Fault, quoted};

/// A text or number that is no instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidInstant(String);

/// Unit of a number that counts from the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EpochUnit {
    /// Seconds, up to the year 5138.
    Seconds,
    /// Milliseconds, as Grafana and Java write them.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds, as InfluxDB and Go write them.
    Nanoseconds,
}

impl fmt::Display for EpochUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        })
    }
}

impl EpochUnit {
    /// The unit in which a number of this size is an instant of our time: each has three digits more than the one before. A number
    /// below 10¹¹ is seconds, so that clocks that start at 0 stay what they are.
    fn of(number: f64) -> Self {
        match number.abs() {
            size if size < 1e11 => Self::Seconds,
            size if size < 1e14 => Self::Milliseconds,
            size if size < 1e17 => Self::Microseconds,
            _ => Self::Nanoseconds,
        }
    }

    fn per_second(self) -> f64 {
        match self {
            Self::Seconds => 1.0,
            Self::Milliseconds => 1e3,
            Self::Microseconds => 1e6,
            Self::Nanoseconds => 1e9,
        }
    }
}

/// Reads an instant: RFC 3339, or a number since the epoch in seconds (which may have decimals), milliseconds, microseconds or
/// nanoseconds, told by its size.
///
/// It is rounded to milliseconds, the grain in which history counts.
///
/// # Errors
/// [`InvalidInstant`] for anything else: a time without a zone is none.
///
/// ```
/// use scaling_core::source::parse::instant;
///
/// assert_eq!(instant("2026-01-05T11:00:00+01:00"), instant("1767607200.0"));
/// assert_eq!(instant("1767607200000"), instant("1767607200"));
/// assert!(instant("noon").is_err());
/// ```
pub fn instant(text: &str) -> Result<DateTime<Utc>, InvalidInstant> {
    match read(text.trim(), None, None, "time") {
        Ok((When::At(at), _)) => Ok(at),
        Ok((When::Local(_), _)) => {
            Err(InvalidInstant(format!("{:?} has no time zone, such as Z or +01:00", quoted(text))))
        }
        Err(fault) => Err(InvalidInstant(fault.to_string())),
    }
}

/// Order of day and month in dates whose year comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DateOrder {
    /// As 31.01.2026.
    DayFirst,
    /// As 01/31/2026.
    MonthFirst,
}

/// A time as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum When {
    /// An instant.
    At(DateTime<Utc>),
    /// A time of some clock.
    Local(NaiveDateTime),
}

/// Reads the instants of one column: all numbers in it have one unit.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Unit that the name of the column says.
    pub(super) named: Option<EpochUnit>,
    /// Unit of the numbers so far.
    pub(super) unit: Option<EpochUnit>,
    /// True if times without a zone are UTC, as the name of the column says.
    pub(super) utc: bool,
    /// Order of dates whose year comes last, where the whole text told it.
    pub(super) order: Option<DateOrder>,
}

impl Clock {
    pub(super) fn read(&mut self, text: &str, field: &str) -> Result<When, Fault> {
        let (when, unit) = read(text.trim(), self.named, self.order, field)?;
        if let Some(unit) = unit {
            match self.unit {
                Some(before) if before != unit => {
                    return Err(Fault::MixedUnits { field: quoted(field), text: quoted(text), unit, before });
                }
                _ => self.unit = Some(unit),
            }
        }
        Ok(match when {
            When::Local(time) if self.utc => When::At(time.and_utc()),
            when => when,
        })
    }

    /// The unit of its numbers, where it is not that of seconds.
    pub(super) fn unusual_unit(&self) -> Option<EpochUnit> {
        self.unit.filter(|unit| *unit != EpochUnit::Seconds)
    }
}

/// True for a text that can be nothing but an instant: a date, or a number of the size of those of our time.
#[cfg_attr(not(feature = "csv"), allow(dead_code))] // asked of tables alone
pub(super) fn is_plainly_instant(text: &str) -> bool {
    match text.trim().parse::<f64>() {
        Ok(number) => (1e8..1e20).contains(&number),
        Err(_) => matches!(read(text.trim(), None, None, ""), Ok(_) | Err(Fault::AmbiguousDate { .. })),
    }
}

fn read(
    text: &str,
    named: Option<EpochUnit>,
    order: Option<DateOrder>,
    field: &str,
) -> Result<(When, Option<EpochUnit>), Fault> {
    let bad = || {
        Fault::Malformed(format!(
            "{field}: {:?} is neither a date (RFC 3339) nor seconds since the epoch",
            quoted(text)
        ))
    };
    if let Ok(number) = text.parse::<f64>() {
        // 20260105100000 would be milliseconds of the year 2612.
        if text.len() == 14 && (text.starts_with("19") || text.starts_with("20")) && !text.contains('.') {
            return Err(Fault::Malformed(format!(
                "{field}: {text} looks like a date; write it as 2026-01-05T10:00:00Z"
            )));
        }
        let by_size = EpochUnit::of(number);
        // A clock may count milliseconds from 0; one in seconds may sit in a column that says milliseconds, but not the reverse.
        let unit = named.filter(|named| named.per_second() > by_size.per_second()).unwrap_or(by_size);
        let at = since_epoch(number, unit).ok_or_else(bad)?;
        return Ok((When::At(at), Some(unit)));
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok((When::At(at.to_utc()), None));
    }
    dated(text, order).map(|when| (when, None)).ok_or_else(|| {
        if is_year_last(text) { Fault::AmbiguousDate { field: quoted(field), text: quoted(text) } } else { bad() }
    })
}

/// Reads seconds since the epoch.
pub(super) fn seconds(value: f64) -> Result<DateTime<Utc>, InvalidInstant> {
    since_epoch(value, EpochUnit::Seconds)
        .ok_or_else(|| InvalidInstant(format!("{value} is no instant in seconds since the epoch")))
}

/// Reads milliseconds since the epoch.
pub(super) fn milliseconds(value: f64) -> Result<DateTime<Utc>, InvalidInstant> {
    since_epoch(value, EpochUnit::Milliseconds)
        .ok_or_else(|| InvalidInstant(format!("{value} is no instant in milliseconds since the epoch")))
}

#[allow(clippy::cast_possible_truncation)] // checked to lie far inside both types
fn since_epoch(number: f64, unit: EpochUnit) -> Option<DateTime<Utc>> {
    let millis = (number / unit.per_second() * 1000.0).round();
    (millis.abs() < 1e15).then(|| DateTime::from_timestamp_millis(millis as i64)).flatten()
}

/// Reads a date whose year comes first, with or without time and zone: `2026-01-05 10:00:00.5`, `2026/01/05T10:00`,
/// `2026-01-05 10:00:00 UTC`, `2026-01-05 10:00:00 +0100`; one whose year comes last, if the order of the rest is known; those of mail
/// headers, and those whose month is a word.
fn dated(text: &str, order: Option<DateOrder>) -> Option<When> {
    let (date, rest) = match text.char_indices().find(|(_, c)| matches!(c, 'T' | 't' | ' ')) {
        Some((at, _)) if at >= 8 => (text.get(..at)?, text.get(at + 1..)?.trim()),
        Some(_) => {
            let mail = DateTime::parse_from_rfc2822(text).ok().map(|at| When::At(at.to_utc()));
            return mail.or_else(|| month_in_words(text));
        }
        None => (text, ""),
    };
    let mut year_first = ["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"].iter();
    let date = year_first
        .find_map(|form| NaiveDate::parse_from_str(date, form).ok())
        .filter(|_| !is_year_last(date))
        .or_else(|| year_last(date, order?))?;
    timed(date, rest)
}

/// Reads a date whose month is a word, as Kibana writes it: `Jan 5, 2026 @ 10:00:00.000`, `5 January 2026 10:00`, `Jan 5, 2026, 9:00 PM`.
fn month_in_words(text: &str) -> Option<When> {
    let plain = text.replace(['@', ','], " ");
    let words: Vec<&str> = plain.split_whitespace().collect();
    let [first, second, year, rest @ ..] = words.as_slice() else { return None };
    let (month, day) =
        if first.starts_with(|c: char| c.is_ascii_alphabetic()) { (first, second) } else { (second, first) };
    // Of two digits nobody knows which century they mean.
    let date =
        NaiveDate::parse_from_str(&format!("{month} {day} {year}"), "%B %d %Y").ok().filter(|_| year.len() == 4)?;
    timed(date, &rest.join(" "))
}

/// Reads the time of a day, which may be left out, and the zone behind it: `10:00:00.5 +0100`, `9:00 PM`.
fn timed(date: NaiveDate, rest: &str) -> Option<When> {
    let (time, zone) = match rest.char_indices().find(|(_, c)| !(c.is_ascii_digit() || matches!(c, ':' | '.' | ','))) {
        Some((at, _)) => (rest.get(..at)?, rest.get(at..)?.trim()),
        None => (rest, ""),
    };
    let time = time.replace(',', ".");
    let half = zone.get(..2).filter(|half| ["AM", "PM"].iter().any(|known| half.eq_ignore_ascii_case(known)));
    let zone = if half.is_some() { zone.get(2..)?.trim() } else { zone };
    let time = if let Some(half) = half {
        let time = format!("{time} {half}");
        ["%I:%M:%S%.f %p", "%I:%M %p"].iter().find_map(|form| NaiveTime::parse_from_str(&time, form).ok())?
    } else if time.is_empty() {
        NaiveTime::MIN
    } else {
        ["%H:%M:%S%.f", "%H:%M"].iter().find_map(|form| NaiveTime::parse_from_str(&time, form).ok())?
    };
    let local = date.and_time(time);
    match zone {
        "" => Some(When::Local(local)),
        "Z" | "z" | "UTC" | "GMT" => Some(When::At(local.and_utc())),
        offset => {
            // Behind the offset, some write the name of its zone: +0100 CET.
            let digits = offset.split_whitespace().next()?;
            let at = DateTime::parse_from_str(&format!("{local} {digits}"), "%Y-%m-%d %H:%M:%S%.f %#z").ok()?;
            Some(When::At(at.to_utc()))
        }
    }
}

/// Reads a date whose year comes last, in four digits: of 26-01-13 nobody knows which is the year.
fn year_last(date: &str, order: DateOrder) -> Option<NaiveDate> {
    let mut parts = date.split(['/', '.', '-']);
    let (first, second, year) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
    let (day, month) = match order {
        DateOrder::DayFirst => (first, second),
        DateOrder::MonthFirst => (second, first),
    };
    (parts.next().is_none() && year.len() == 4)
        .then(|| NaiveDate::from_ymd_opt(year.parse().ok()?, month, day))
        .flatten()
}

/// True for `05/01/2026`, `5.1.2026` and the like, with or without a time behind.
fn is_year_last(text: &str) -> bool {
    let date = text.split([' ', 'T']).next().unwrap_or_default();
    let parts: Vec<&str> = date.split(['/', '.', '-']).collect();
    let number = |part: &&str| part.len() <= 4 && !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let year_first = parts.first().is_some_and(|part| part.len() == 4);
    parts.len() == 3 && !year_first && parts.iter().all(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_name_the_same_instant_and_all_else_is_refused_by_name() {
        let at = DateTime::from_timestamp_millis(1_700_000_000_250);
        for text in [
            "1700000000.25",
            " 1700000000.2501 ",
            "1700000000250",
            "1700000000250000",
            "1700000000250000000",
            "2023-11-14T22:13:20.25Z",
            "2023-11-14T23:13:20.250+01:00",
            "2023-11-14 22:13:20.25 UTC",
            "2023-11-14 23:13:20,250 +0100 CET",
            "2023/11/14T22:13:20.25Z",
        ] {
            assert_eq!(instant(text).ok(), at, "{text}");
        }
        for text in ["noon", "1e300", "NaN", "inf", "", "2023-13-14", "20260105100000x"] {
            let error = instant(text).unwrap_err().to_string();
            assert!(error.contains("seconds since the epoch"), "{text}: {error}");
        }
        assert_eq!(instant("Tue, 14 Nov 2023 22:13:20 +0000").ok(), DateTime::from_timestamp(1_700_000_000, 0));
        assert_eq!(instant("Nov 14, 2023 @ 22:13:20.250 UTC").ok(), at);
        assert!(instant("2023-11-14").unwrap_err().to_string().contains("no time zone"));
        assert!(instant("20260105100000").unwrap_err().to_string().contains("looks like a date"));
    }

    #[test]
    fn times_of_a_clock_are_told_from_instants_and_from_what_may_be_two_dates() {
        let local = |text| match read(text, None, None, "t") {
            Ok((When::Local(time), None)) => Some(time.and_utc().timestamp()),
            _ => None,
        };
        for text in ["2023-11-14T22:13:20", "2023-11-14 22:13:20", "2023-11-14 22:13:20.000", "2023/11/14 22:13:20"] {
            assert_eq!(local(text), Some(1_700_000_000), "{text}");
        }
        for text in [
            "Nov 14, 2023 @ 22:13:20.000",
            "14 November 2023 22:13:20",
            "Nov 14, 2023, 10:13:20 PM",
            "2023-11-14 10:13:20 pm",
        ] {
            assert_eq!(local(text), Some(1_700_000_000), "{text}");
        }
        for text in ["Nov 14, 23 @ 22:13:20", "Nov 31, 2023 @ 22:13", "Nov 14, 2023 @ 13:00 PM", "Nov 14 2023 @ noon"] {
            assert_eq!(local(text), None, "{text}");
        }
        assert_eq!(local("2023-11-14 22:13"), Some(1_699_999_980));
        assert_eq!(local("2023-11-14"), Some(1_699_920_000));
        for text in ["05/01/2026", "5/1/26 10:00", "05.01.2026 10:00:00", "05-01-2026T10:00"] {
            assert!(matches!(read(text, None, None, "t"), Err(Fault::AmbiguousDate { .. })), "{text}");
        }
    }

    #[test]
    fn a_column_has_one_unit_and_its_name_counts_for_clocks_that_start_at_zero() {
        let mut clock = Clock { named: Some(EpochUnit::Milliseconds), ..Clock::default() };
        let at = |ms| Ok(When::At(DateTime::from_timestamp_millis(ms).unwrap()));
        assert_eq!((clock.read("0", "t"), clock.read("60000", "t")), (at(0), at(60_000)));
        let mut clock = Clock { named: Some(EpochUnit::Seconds), ..Clock::default() };
        assert_eq!(clock.read("1767571200000", "t"), at(1_767_571_200_000));
        assert_eq!(clock.unusual_unit(), Some(EpochUnit::Milliseconds));
        let error = clock.read("1767571260", "t").unwrap_err().to_string();
        assert!(error.contains("would be seconds since the epoch, and instants before it are milliseconds"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[-0-9T:. +/,a-zA-Zäµ€]{0,40}") {
            let _ = (instant(&text), is_plainly_instant(&text));
        }
    }
}
