//! All-day events of an iCalendar file (RFC 5545), as dates.
//!
//! Written here rather than taken: `icalendar` recurses into nested components, so that a hostile file overflows its stack, and loses the
//! lines that errors should name when it unfolds; `ical` is hardly kept. What is needed is a dozen properties of one component. Nothing
//! here recurses, and time and memory are linear in the text and the dates.

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};

use super::dates::{BUDGET, DatesFault, InvalidDates, insert, shown};
use super::yearly::Yearly;

/// The most components inside each other: a calendar, an event, its alarm, and as many again.
const DEEPEST: usize = 8;
/// The most days of one event: a year and a day.
const LONGEST: u64 = 366;

pub(super) fn dates(text: &str, until_year: i32) -> Result<BTreeSet<NaiveDate>, InvalidDates> {
    let mut reader = Reader { until_year, budget: BUDGET, ..Reader::default() };
    for line in Lines::new(text) {
        // What an event lacks is said where it begins.
        let begins = reader.event.as_ref().map(|event| event.line);
        reader.read(&line).map_err(|Fault { whole_event, fault }| {
            let line = begins.filter(|_| whole_event).unwrap_or(line.number);
            InvalidDates { line, fault }
        })?;
    }
    let lines = text.lines().count().max(1);
    match reader.open.pop() {
        Some(open) => Err(InvalidDates { line: lines, fault: DatesFault::Nesting { text: format!("BEGIN:{open}") } }),
        None if !reader.calendar => Err(InvalidDates { line: lines, fault: DatesFault::NoCalendar }),
        None => Ok(reader.dates),
    }
}

/// A content line, unfolded.
struct Line<'a> {
    /// Where it starts, from 1.
    number: usize,
    content: Cow<'a, str>,
}

/// Content lines: a line that starts with a space or a tab goes on with the one before.
struct Lines<'a> {
    lines: std::iter::Peekable<std::iter::Zip<std::ops::RangeFrom<usize>, std::str::Lines<'a>>>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self { lines: (1..).zip(text.trim_start_matches('\u{feff}').lines()).peekable() }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        loop {
            let (number, first) = self.lines.next()?;
            let mut content = Cow::Borrowed(first);
            while let Some((_, more)) = self.lines.next_if(|(_, line)| line.starts_with([' ', '\t'])) {
                content.to_mut().push_str(more.get(1..).unwrap_or_default());
            }
            // Empty lines are in many files, though they should not.
            if !content.trim().is_empty() {
                return Some(Line { number, content });
            }
        }
    }
}

/// A content line in its parts.
struct Content<'a> {
    name: &'a str,
    parameters: &'a str,
    value: &'a str,
}

impl<'a> Content<'a> {
    /// `NAME;PARAMETER="a:b":VALUE`: the first colon outside quotes ends the parameters.
    fn of(line: &'a str) -> Option<Self> {
        let mut quoted = false;
        let colon = line.find(|letter: char| {
            quoted ^= letter == '"';
            letter == ':' && !quoted
        })?;
        let (head, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        let (name, parameters) = head.split_once(';').unwrap_or((head, ""));
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_name.then_some(Self { name, parameters, value })
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value of a parameter, without quotes.
    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.split(';').find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"'))
        })
    }

    fn fault(&self, property: &'static str, must: &'static str) -> DatesFault {
        DatesFault::Property { property, text: shown(self.value), must }
    }
}

/// A fault of a line, or of the event that ends with it.
struct Fault {
    whole_event: bool,
    fault: DatesFault,
}

impl From<DatesFault> for Fault {
    fn from(fault: DatesFault) -> Self {
        Self { whole_event: false, fault }
    }
}

#[derive(Default)]
struct Reader {
    until_year: i32,
    budget: usize,
    calendar: bool,
    /// Components that are open, outermost first.
    open: Vec<String>,
    event: Option<Event>,
    dates: BTreeSet<NaiveDate>,
}

/// An event that is being read.
#[derive(Default)]
struct Event {
    /// Where it begins.
    line: usize,
    start: Option<NaiveDate>,
    /// The first date that is not part of it.
    end: Option<NaiveDate>,
    days: Option<u64>,
    rule: Option<Yearly>,
    more: Vec<NaiveDate>,
    except: BTreeSet<NaiveDate>,
    cancelled: bool,
    /// It replaces one occurrence of another event, which is an exception there.
    replaces: Option<NaiveDate>,
}

impl Reader {
    fn read(&mut self, line: &Line<'_>) -> Result<(), Fault> {
        let text = line.content.as_ref();
        let content = Content::of(text).ok_or_else(|| DatesFault::Line { text: shown(text) })?;
        if content.is("BEGIN") {
            return Ok(self.begin(content.value.trim(), line.number)?);
        }
        if content.is("END") {
            return self.end(content.value.trim());
        }
        // Only what stands in an event itself, not in its alarm.
        match &mut self.event {
            Some(event) if self.open.last().is_some_and(|open| open == "VEVENT") => Ok(event.read(&content)?),
            _ if self.open.is_empty() => Err(DatesFault::NoCalendar.into()),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, name: &str, line: usize) -> Result<(), DatesFault> {
        let fault = || DatesFault::Nesting { text: shown(&format!("BEGIN:{name}")) };
        let name = name.to_ascii_uppercase();
        let outer = self.open.last().map(String::as_str);
        let belongs = match name.as_str() {
            "VCALENDAR" => outer.is_none(),
            "VEVENT" => outer == Some("VCALENDAR"),
            _ => outer.is_some(),
        };
        if !belongs || self.open.len() >= DEEPEST || name.len() > 64 {
            return Err(fault());
        }
        self.calendar |= name == "VCALENDAR";
        if name == "VEVENT" {
            self.event = Some(Event { line, ..Event::default() });
        }
        self.open.push(name);
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), Fault> {
        if !self.open.last().is_some_and(|open| open.eq_ignore_ascii_case(name)) {
            return Err(DatesFault::Nesting { text: shown(&format!("END:{name}")) }.into());
        }
        let name = self.open.pop();
        match self.event.take_if(|_| name.as_deref() == Some("VEVENT")) {
            Some(event) => event
                .add_to(&mut self.dates, self.until_year, &mut self.budget)
                .map_err(|fault| Fault { whole_event: true, fault }),
            None => Ok(()),
        }
    }
}

impl Event {
    fn read(&mut self, content: &Content<'_>) -> Result<(), DatesFault> {
        match content.name.to_ascii_uppercase().as_str() {
            "DTSTART" => once(&mut self.start, date_of(content, "DTSTART")?, "DTSTART"),
            "DTEND" => once(&mut self.end, date_of(content, "DTEND")?, "DTEND"),
            "DURATION" => once(&mut self.days, days_of(content)?, "DURATION"),
            "RRULE" => {
                let rule = Yearly::parse(content.value).map_err(|must| content.fault("RRULE", must))?;
                once(&mut self.rule, rule, "RRULE")
            }
            "RDATE" => {
                self.more.extend(dates_of(content, "RDATE")?);
                Ok(())
            }
            "EXDATE" => {
                self.except.extend(dates_of(content, "EXDATE")?);
                Ok(())
            }
            "RECURRENCE-ID" => once(&mut self.replaces, date_of(content, "RECURRENCE-ID")?, "RECURRENCE-ID"),
            "STATUS" => {
                self.cancelled |= content.value.trim().eq_ignore_ascii_case("CANCELLED");
                Ok(())
            }
            "EXRULE" => Err(content.fault("EXRULE", "exceptions are understood as EXDATE")),
            _ => Ok(()),
        }
    }

    fn add_to(self, dates: &mut BTreeSet<NaiveDate>, until_year: i32, budget: &mut usize) -> Result<(), DatesFault> {
        let start = self.start.ok_or(DatesFault::NoStart)?;
        if self.replaces.is_some() {
            let text = start.format("%Y%m%d").to_string();
            let must = "a moved occurrence of another event is not understood; write its dates as events";
            return Err(DatesFault::Property { property: "RECURRENCE-ID", text, must });
        }
        let days = match (self.end, self.days) {
            (Some(_), Some(_)) => return Err(DatesFault::Twice { property: "DTEND or DURATION" }),
            // RFC 5545 wants the end after the start; some write the same date for one day.
            (Some(end), None) if end >= start => u64::try_from((end - start).num_days()).unwrap_or(0).max(1),
            (Some(end), None) => return Err(DatesFault::EndsBeforeStart { first: start, last: end }),
            (None, days) => days.unwrap_or(1),
        };
        if days > LONGEST {
            let text = format!("{days} days");
            return Err(DatesFault::Property { property: "DTEND", text, must: "an event of a year at most" });
        }
        if self.cancelled {
            return Ok(());
        }
        let recurs: Vec<NaiveDate> = match &self.rule {
            Some(rule) => rule.starts(start, until_year, budget).ok_or(DatesFault::TooMany)?,
            None => vec![start],
        };
        let length = usize::try_from(days).unwrap_or(usize::MAX);
        for first in recurs.into_iter().chain(self.more).filter(|first| !self.except.contains(first)) {
            *budget = budget.checked_sub(length).ok_or(DatesFault::TooMany)?;
            let last = first.checked_add_days(Days::new(days - 1)).unwrap_or(NaiveDate::MAX);
            insert(dates, first, last)?;
        }
        Ok(())
    }
}

fn once<T>(place: &mut Option<T>, value: T, property: &'static str) -> Result<(), DatesFault> {
    match place.replace(value) {
        Some(_) => Err(DatesFault::Twice { property }),
        None => Ok(()),
    }
}

/// Exactly `YYYYMMDD`.
pub(super) fn date(text: &str) -> Option<NaiveDate> {
    let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok();
    NaiveDate::from_ymd_opt(i32::try_from(number(0..4)?).ok()?, number(4..6)?, number(6..8)?)
}

fn date_of(content: &Content<'_>, property: &'static str) -> Result<NaiveDate, DatesFault> {
    date(content.value.trim()).ok_or_else(|| content.fault(property, "only whole days are understood, as YYYYMMDD"))
}

fn dates_of(content: &Content<'_>, property: &'static str) -> Result<Vec<NaiveDate>, DatesFault> {
    let must = "only whole days are understood, as YYYYMMDD";
    if content.parameter("VALUE").is_some_and(|value| value.eq_ignore_ascii_case("PERIOD")) {
        return Err(content.fault(property, must));
    }
    content.value.split(',').map(|text| date(text.trim()).ok_or_else(|| content.fault(property, must))).collect()
}

/// `P2D` or `P1W`.
fn days_of(content: &Content<'_>) -> Result<u64, DatesFault> {
    let value = content.value.trim();
    let number = |unit| value.strip_prefix('+').unwrap_or(value).strip_prefix('P')?.strip_suffix(unit)?.parse().ok();
    let days = number('D').or_else(|| number('W').and_then(|weeks: u64| weeks.checked_mul(7)));
    days.filter(|days| *days > 0).ok_or_else(|| content.fault("DURATION", "only days or weeks are understood, as P2D"))
}
