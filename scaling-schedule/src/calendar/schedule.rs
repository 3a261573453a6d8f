//! Windows in a time zone.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::zones;
use crate::{DatedWindow, InvalidSchedule, Window};

/// Most windows and events of a schedule together.
pub(crate) const MAX_WINDOWS: usize = 1_000;
/// Two weeks and a day: a window of one weekday may be skipped once by a clock change, and then opens a week later.
const SEARCH_DAYS: i64 = 15;

/// Windows on the wall clock of a time zone: recurring ones, and events of one date. Where several are open, the largest floor counts, and
/// the largest ceiling.
///
/// A window is open whenever the wall clock shows a time inside it. So a window whose start is skipped by a clock change opens
/// at the first instant after the gap, one that lies wholly inside the gap does not open that day, and a time that comes
/// twice is inside the window both times. An event is one stretch of time: see [`DatedWindow`].
///
/// The rules of time zones are those that chrono-tz carries; a cluster evaluates its own. Where a law changed lately, compare.
///
/// ```
/// use scaling_schedule::{Days, Schedule, Tz, Window};
/// use scaling_core::chrono::DateTime;
///
/// let peak = Window::parse("morning", Days::WEEKDAYS, "08:00", "11:00", 8)?;
/// let schedule = Schedule::new(Tz::Europe__Berlin, vec![peak])?;
/// // A Tuesday, half past nine in Berlin.
/// let at: DateTime<_> = "2026-11-24T08:30:00Z".parse().unwrap();
/// assert_eq!(schedule.open_at(at).map(|open| (open.window, open.min)), Some(("morning", 8)));
/// assert_eq!(schedule.next_change(at), Some("2026-11-24T10:00:00Z".parse().unwrap()));
/// # Ok::<(), scaling_schedule::InvalidSchedule>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Schedule {
    time_zone: Tz,
    windows: Vec<Window>,
    events: Vec<DatedWindow>,
}

/// Bounds that a schedule holds at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open<'a> {
    /// Name of the open window with the largest floor; of equal ones the first.
    pub window: &'a str,
    /// That floor, in pods.
    pub min: u32,
    /// The largest ceiling of the open windows that state one.
    pub max: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    time_zone: Tz,
    windows: Vec<Window>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    events: Vec<DatedWindow>,
}

impl TryFrom<Raw> for Schedule {
    type Error = InvalidSchedule;
    fn try_from(raw: Raw) -> Result<Self, InvalidSchedule> {
        Self::new(raw.time_zone, raw.windows)?.with_events(raw.events)
    }
}

impl From<Schedule> for Raw {
    fn from(schedule: Schedule) -> Self {
        Self { time_zone: schedule.time_zone, windows: schedule.windows, events: schedule.events }
    }
}

impl Open<'_> {
    /// Both at once.
    fn and(self, other: Self) -> Self {
        let higher = if other.min > self.min { other } else { self };
        Open { max: self.max.max(other.max), ..higher }
    }
}

impl Schedule {
    /// Creates a schedule after checking it. Without windows it never raises anything.
    ///
    /// # Errors
    /// [`InvalidSchedule::DuplicateName`] if two windows have the same name; [`InvalidSchedule::TooMany`] above 1,000.
    pub fn new(time_zone: Tz, windows: Vec<Window>) -> Result<Self, InvalidSchedule> {
        Self { time_zone, windows, events: Vec::new() }.checked()
    }

    /// A schedule without windows.
    pub(crate) fn none(time_zone: Tz) -> Self {
        Self { time_zone, windows: Vec::new(), events: Vec::new() }
    }

    /// Adds windows of one date.
    ///
    /// # Errors
    /// [`InvalidSchedule::DuplicateName`] if two windows have the same name; [`InvalidSchedule::TooMany`] above 1,000 of both.
    pub fn with_events(mut self, events: Vec<DatedWindow>) -> Result<Self, InvalidSchedule> {
        self.events.extend(events);
        self.checked()
    }

    fn checked(self) -> Result<Self, InvalidSchedule> {
        let (windows, events) = (self.windows.len(), self.events.len());
        if windows.saturating_add(events) > MAX_WINDOWS {
            return Err(InvalidSchedule::TooMany { windows, events });
        }
        let names = self.windows.iter().map(Window::name).chain(self.events.iter().map(DatedWindow::name));
        let mut seen = std::collections::BTreeSet::new();
        match names.into_iter().find(|name| !seen.insert(*name)) {
            Some(name) => Err(InvalidSchedule::DuplicateName { name: name.to_owned() }),
            None => Ok(self),
        }
    }

    /// Returns the time zone of the wall clock.
    pub fn time_zone(&self) -> Tz {
        self.time_zone
    }

    /// Returns the windows, in the order given.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// Returns the windows of one date, in the order given.
    pub fn events(&self) -> &[DatedWindow] {
        &self.events
    }

    /// Returns the bounds that the open windows hold. `None` if no window is open.
    pub fn open_at(&self, at: DateTime<Utc>) -> Option<Open<'_>> {
        let local = self.wall_clock(at)?;
        let dated = self.events.iter().filter(|event| event.is_open(self.time_zone, at, local));
        let dated = dated.map(|event| Open { window: event.name(), min: event.min(), max: event.max() });
        self.recurring_on_wall_clock(local).into_iter().chain(dated).reduce(Open::and)
    }

    /// As [`Schedule::open_at`], of the recurring windows alone.
    pub(crate) fn recurring_on_wall_clock(&self, local: NaiveDateTime) -> Option<Open<'_>> {
        let open = self.windows.iter().filter(|window| window.is_open(local));
        open.map(|window| Open { window: window.name(), min: window.min(), max: window.max() }).reduce(Open::and)
    }

    /// Returns the first instant after `after` at which the floor or the ceiling is another one, if there is one within two weeks.
    pub fn next_change(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let bounds = |at| self.open_at(at).map(|open| (open.min, open.max));
        let now = bounds(after);
        self.candidates(after).into_iter().find(|at| bounds(*at) != now)
    }

    /// As [`Schedule::next_change`], of the floor alone.
    pub(crate) fn next_floor(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let floor = |at| self.open_at(at).map(|open| open.min);
        let now = floor(after);
        self.candidates(after).into_iter().find(|at| floor(*at) != now)
    }

    /// Instants after `after` at which a window can open or close, in order: wall-clock times of the windows, and clock
    /// changes, which put the clock into or out of a window without passing its edge.
    fn candidates(&self, after: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let mut times: Vec<NaiveTime> = self.windows.iter().flat_map(|window| [window.from(), window.to()]).collect();
        times.sort_unstable();
        times.dedup();
        let mut found = Vec::new();
        // The wall clock is at most a day away from UTC in either direction.
        for day in -1..=SEARCH_DAYS {
            let Some(at) = after.checked_add_signed(TimeDelta::days(day)) else { continue };
            for time in &times {
                self.add_instants(at.date_naive().and_time(*time), &mut found);
            }
            found.extend(self.clock_change(at));
        }
        for event in &self.events {
            found.extend(event.opens_at(self.time_zone).into_iter().chain(event.closes_at(self.time_zone)));
        }
        let latest = after.checked_add_signed(TimeDelta::days(SEARCH_DAYS)).unwrap_or(DateTime::<Utc>::MAX_UTC);
        found.retain(|at| *at > after && *at <= latest);
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The instants at which the wall clock shows a time: none, one or two.
    fn add_instants(&self, local: NaiveDateTime, found: &mut Vec<DateTime<Utc>>) {
        match self.time_zone.from_local_datetime(&local) {
            MappedLocalTime::Single(one) => found.push(one.to_utc()),
            MappedLocalTime::Ambiguous(first, second) => found.extend([first.to_utc(), second.to_utc()]),
            MappedLocalTime::None => {}
        }
    }

    /// The clock change in the day that starts at `at`, to the second.
    fn clock_change(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next_day = at.checked_add_signed(TimeDelta::days(1))?;
        // Not at the ends of the calendar.
        self.wall_clock(at).and(self.wall_clock(next_day))?;
        zones::clock_change(self.time_zone, at, next_day)
    }

    /// Time on the wall clock; `None` at the ends of the calendar, where chrono would panic.
    pub(crate) fn wall_clock(&self, at: DateTime<Utc>) -> Option<NaiveDateTime> {
        Self::clock(self.time_zone, at)
    }

    /// Time on the wall clock of a zone; `None` at the ends of the calendar.
    pub(crate) fn clock(time_zone: Tz, at: DateTime<Utc>) -> Option<NaiveDateTime> {
        let utc = at.naive_utc();
        utc.checked_add_offset(time_zone.offset_from_utc_datetime(&utc).fix())
    }
}
