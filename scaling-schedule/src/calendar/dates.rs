//! [`ExcludedDates`]: dates that patterns and windows are not judged by.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::ical;

/// Most dates that there may be: a hundred years of every day.
pub(super) const MAX_DATES: usize = 36_525;
/// Dates that are worked out for one text, the same ones counted again: a hostile text is small, and repeats for ever.
pub(super) const BUDGET: usize = 1_000_000;
/// Largest text that is read, in bytes. Holidays of a country over ten years are some 50 KB.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// Dates on the wall clock that patterns are not judged by, and windows neither made from nor judged by: holidays, days of an outage, a sale.
///
/// Made from dates, from a list in text, one a line, or from the all-day events of an iCalendar file.
///
/// ```
/// use scaling_schedule::ExcludedDates;
///
/// let dates = ExcludedDates::parse_list("2026-12-25  # Christmas\n2026-12-26\n\n# new year\n2027-01-01..2027-01-02\n")?;
/// assert_eq!(dates.len(), 4);
/// assert!(dates.contains("2027-01-02".parse().unwrap()));
///
/// let error = ExcludedDates::parse_list("2026-12-25\n2026-13-01\n").unwrap_err();
/// assert_eq!(error.to_string(), "line 2: \"2026-13-01\" is no date written YYYY-MM-DD");
/// # Ok::<(), scaling_schedule::InvalidDates>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExcludedDates(BTreeSet<NaiveDate>);

impl FromIterator<NaiveDate> for ExcludedDates {
    fn from_iter<I: IntoIterator<Item = NaiveDate>>(dates: I) -> Self {
        Self(dates.into_iter().collect())
    }
}

impl Extend<NaiveDate> for ExcludedDates {
    fn extend<I: IntoIterator<Item = NaiveDate>>(&mut self, dates: I) {
        self.0.extend(dates);
    }
}

impl ExcludedDates {
    /// Reads a list: one date `YYYY-MM-DD` a line, or the first and last of several as `YYYY-MM-DD..YYYY-MM-DD`. Empty lines and what
    /// follows a `#` are comments.
    ///
    /// # Errors
    /// [`InvalidDates`] with the line that is no date.
    pub fn parse_list(text: &str) -> Result<Self, InvalidDates> {
        check_size(text)?;
        let (mut dates, mut budget) = (BTreeSet::new(), BUDGET);
        for (line, content) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let content = content.split('#').next().unwrap_or_default().trim();
            if content.is_empty() {
                continue;
            }
            let at = |fault| InvalidDates { line, fault };
            let date = |text: &str| {
                let text = text.trim();
                // chrono also reads signs and years of more digits.
                let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
                date.ok_or_else(|| at(DatesFault::Date { text: shown(text) }))
            };
            let (first, last) = match content.split_once("..") {
                Some((first, last)) => (date(first)?, date(last)?),
                None => (date(content)?, date(content)?),
            };
            if last < first {
                return Err(at(DatesFault::EndsBeforeStart { first, last }));
            }
            let days = usize::try_from((last - first).num_days()).unwrap_or(usize::MAX).saturating_add(1);
            budget = budget.checked_sub(days).ok_or_else(|| at(DatesFault::TooMany))?;
            insert(&mut dates, first, last).map_err(at)?;
        }
        Ok(Self(dates))
    }

    /// Reads the all-day events of an iCalendar file (RFC 5545), with those that recur from year to year up to and including the
    /// year `until_year`.
    ///
    /// Understood are `VEVENT`s with `DTSTART` as a date, `DTEND` (a date, exclusive) or `DURATION` in days or weeks, `RDATE`,
    /// `EXDATE`, and `RRULE` with `FREQ=YEARLY` and `INTERVAL`, `COUNT`, `UNTIL`, `BYMONTH`, `BYMONTHDAY` or `BYDAY` (n-th weekday
    /// of the month). Cancelled events are none. Other components (`VTIMEZONE`, `VTODO`, `VALARM`) say no dates and are passed
    /// over. Everything else that would say a date is an error: no holiday is lost in silence.
    ///
    /// # Errors
    /// [`InvalidDates`] with the line and what is not understood there.
    ///
    /// ```
    /// use scaling_schedule::ExcludedDates;
    ///
    /// let file = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Christmas\r\nDTSTART;VALUE=DATE:20241225\r\n\
    ///             DTEND;VALUE=DATE:20241227\r\nRRULE:FREQ=YEARLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    /// let dates = ExcludedDates::parse_icalendar(file, 2026)?;
    /// assert_eq!(dates.len(), 6, "two days in each of three years");
    /// # Ok::<(), scaling_schedule::InvalidDates>(())
    /// ```
    pub fn parse_icalendar(text: &str, until_year: i32) -> Result<Self, InvalidDates> {
        check_size(text)?;
        ical::dates(text, until_year).map(Self)
    }

    /// True if the date is one of them.
    pub fn contains(&self, date: NaiveDate) -> bool {
        self.0.contains(&date)
    }

    /// Number of dates.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The dates, in order.
    pub fn iter(&self) -> impl Iterator<Item = NaiveDate> + '_ {
        self.0.iter().copied()
    }
}

fn check_size(text: &str) -> Result<(), InvalidDates> {
    if text.len() > MAX_BYTES {
        return Err(InvalidDates { line: 1, fault: DatesFault::TooLarge { bytes: text.len() } });
    }
    Ok(())
}

/// Adds the dates from one to another, both included.
pub(super) fn insert(dates: &mut BTreeSet<NaiveDate>, first: NaiveDate, last: NaiveDate) -> Result<(), DatesFault> {
    for date in first.iter_days().take_while(|date| *date <= last) {
        dates.insert(date);
        if dates.len() > MAX_DATES {
            return Err(DatesFault::TooMany);
        }
    }
    Ok(())
}

/// The beginning of a text, for a message.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// Dates that are refused, with the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct InvalidDates {
    /// The line, from 1: of a folded one the first.
    pub line: usize,
    /// The fault.
    pub fault: DatesFault,
}

/// A fault of a list of dates or an iCalendar file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatesFault {
    /// A text is no date.
    #[error("{text:?} is no date written YYYY-MM-DD")]
    Date {
        /// The text, cut if long.
        text: String,
    },
    /// The end lies before the start.
    #[error("it ends on {last}, before it starts on {first}")]
    EndsBeforeStart {
        /// The start.
        first: NaiveDate,
        /// The end.
        last: NaiveDate,
    },
    /// More dates than make sense.
    #[error("more than {MAX_DATES} dates")]
    TooMany,
    /// The text is too large.
    #[error("{bytes} bytes are more than the {MAX_BYTES} that are read")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// A line of an iCalendar file is no `NAME;PARAMETER=VALUE:VALUE`.
    #[error("{text:?} is no line of an iCalendar file")]
    Line {
        /// The line, cut if long.
        text: String,
    },
    /// A component begins or ends where it cannot.
    #[error("{text:?} has no counterpart")]
    Nesting {
        /// The component.
        text: String,
    },
    /// A value of an iCalendar property is not understood.
    #[error("{property} {text:?}: {must}")]
    Property {
        /// The property, such as `DTSTART`.
        property: &'static str,
        /// Its value, cut if long.
        text: String,
        /// What is understood.
        must: &'static str,
    },
    /// An event without a start.
    #[error("the event has no DTSTART")]
    NoStart,
    /// A property that may be there once.
    #[error("a second {property} in one event")]
    Twice {
        /// The property.
        property: &'static str,
    },
    /// There is no calendar in the text.
    #[error("there is no BEGIN:VCALENDAR")]
    NoCalendar,
}
