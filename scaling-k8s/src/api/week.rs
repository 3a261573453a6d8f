//! The bounds of a week on the wall clock, and what events raise on top of it.

mod dated;
mod edges;

use std::collections::BTreeMap;
use std::fmt;

use scaling_core::Bounds;
use scaling_core::chrono::Weekday;
use serde::{Deserialize, Serialize};

use super::OutputError;
use dated::Raise;
pub(super) use edges::UTC;
#[cfg(feature = "schedule")]
pub(super) use edges::{Edge, minutes_of};

const DAY: u32 = 24 * 60;
pub(super) const WEEK: u32 = 7 * DAY;
const DAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
/// Longest name of a time zone.
const MAX_ZONE: usize = 64;

/// A minute of the week on the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u32);

impl Moment {
    /// The minute of a day.
    ///
    /// # Errors
    /// [`OutputError::Time`] if no day has it.
    pub fn new(day: Weekday, hour: u32, minute: u32) -> Result<Self, OutputError> {
        if hour > 23 || minute > 59 {
            return Err(OutputError::Time { hour, minute });
        }
        Ok(Self(day.num_days_from_monday() * DAY + hour * 60 + minute))
    }

    /// Returns the hour.
    pub fn hour(self) -> u32 {
        self.0 % DAY / 60
    }

    /// Returns the minute of the hour.
    pub fn minute(self) -> u32 {
        self.0 % 60
    }

    /// The weekday.
    pub fn day(self) -> Weekday {
        u8::try_from(self.0 / DAY).ok().and_then(|day| Weekday::try_from(day).ok()).unwrap_or(Weekday::Mon)
    }

    /// Minutes since Monday 00:00.
    #[cfg(feature = "schedule")]
    pub(crate) fn minute_of_week(self) -> u32 {
        self.0
    }

    /// A minute since Monday 00:00; 10,080 is Monday again.
    pub(crate) fn of_week(minute: u32) -> Self {
        Self(minute % WEEK)
    }

    fn day_name(self) -> &'static str {
        DAYS.get((self.0 / DAY) as usize).copied().unwrap_or("MON")
    }

    /// The number that `date +%u%H%M` gives; the end of Sunday is 80000.
    fn number(minute: u32) -> u32 {
        (minute / DAY + 1) * 10_000 + minute % DAY / 60 * 100 + minute % 60
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:02}:{:02}", self.day_name(), self.hour(), self.minute())
    }
}

/// Bounds for every minute of a week, on the wall clock of a time zone, and what events of one date raise on top of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct WeekPlan {
    time_zone: String,
    outside: Bounds,
    /// The bounds from a minute on, until the next entry; none for those outside of all windows.
    from: BTreeMap<u32, Option<Bounds>>,
    events: Vec<Raise>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    time_zone: String,
    outside: Bounds,
    /// From, to, min, max.
    windows: Vec<(u32, u32, u32, u32)>,
    /// From, to, min, max.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    events: Vec<(String, String, u32, Option<u32>)>,
}

impl TryFrom<Written> for WeekPlan {
    type Error = OutputError;

    fn try_from(written: Written) -> Result<Self, OutputError> {
        let mut week = Self::new(written.time_zone, written.outside)?;
        for (from, to, min, max) in written.windows {
            if from >= to || to > WEEK {
                return Err(OutputError::unreadable("windows", format!("a window from minute {from} to {to}")));
            }
            week.fill(from, to, Bounds::new(min, max)?);
        }
        for (from, to, min, max) in written.events {
            week.raise(dated::read("events", &from)?, dated::read("events", &to)?, min, max)?;
        }
        Ok(week)
    }
}

impl From<WeekPlan> for Written {
    fn from(week: WeekPlan) -> Self {
        let windows = week.windows().map(|(from, to, bounds)| (from, to, bounds.min(), bounds.max())).collect();
        let events = week.events.iter().map(Raise::written).collect();
        Self { windows, events, outside: week.outside, time_zone: week.time_zone }
    }
}

impl WeekPlan {
    /// A week with the same bounds all the time, in an IANA time zone such as `Europe/Berlin`. The API server is who knows all zones;
    /// here only the form of the name is checked.
    ///
    /// # Errors
    /// [`OutputError::Name`] if no zone can be called so. `Local` is none: it would be that of whoever reads it.
    pub fn new(time_zone: impl Into<String>, outside: Bounds) -> Result<Self, OutputError> {
        let time_zone = time_zone.into();
        let is_part =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c));
        let is_local = time_zone.eq_ignore_ascii_case("local");
        if time_zone.len() > MAX_ZONE || !time_zone.split('/').all(is_part) || is_local {
            let value = time_zone.chars().take(MAX_ZONE).collect();
            return Err(OutputError::Name { field: "time zone", value, must: "the name of an IANA time zone" });
        }
        Ok(Self { time_zone, outside, from: BTreeMap::from([(0, None)]), events: Vec::new() })
    }

    /// The week of a schedule, with its events: its floors and ceilings on top of the bounds that hold outside of its windows. A floor raises
    /// the min, and the max only where it is higher than that; a ceiling raises the max.
    ///
    /// Where a clock change skips or repeats a time, the jobs go by the clock as the schedule does, and are at most an hour late. An event is
    /// from one instant to another, and one that the clock skips is left out.
    ///
    /// # Errors
    /// [`OutputError::Bounds`] if a floor is more than Kubernetes can store; [`OutputError::Dates`] if an event is before the year 1000.
    #[cfg(feature = "schedule")]
    pub fn of(schedule: &scaling_schedule::Schedule, outside: Bounds) -> Result<Self, OutputError> {
        let mut week = Self::new(schedule.time_zone().name(), outside)?;
        for segment in schedule.week().segments() {
            if let Some(floor) = segment.floor {
                let raised = dated::raised(outside, floor, segment.ceiling)?;
                week.fill(segment.start_minute, segment.end_minute, raised);
            }
        }
        for event in schedule.events() {
            let zone = schedule.time_zone();
            match event.opens_at(zone).zip(event.closes_at(zone)) {
                Some((opens, closes)) if opens < closes => week.raise(opens, closes, event.min(), event.max())?,
                Some(_) => {}
                None => return Err(OutputError::Dates { from: event.from().to_string(), to: event.to().to_string() }),
            }
        }
        Ok(week)
    }

    /// Sets the bounds from one moment to another, which is not part of it; over the end of the week where it is not later. Equal
    /// moments mean the whole week. What was set before is replaced there.
    pub fn set(&mut self, from: Moment, to: Moment, bounds: Bounds) {
        if from.0 < to.0 {
            self.fill(from.0, to.0, bounds);
        } else {
            self.fill(from.0, WEEK, bounds);
            self.fill(0, to.0, bounds);
        }
    }

    /// Returns true if the bounds are the same all the time, without any event.
    pub fn is_constant(&self) -> bool {
        self.events.is_empty() && self.changes().next().is_none()
    }

    /// Returns the bounds that hold at a moment of a week without events.
    pub fn at(&self, moment: Moment) -> Bounds {
        let entry = self.from.range(..=moment.0).next_back();
        entry.and_then(|(_, bounds)| *bounds).unwrap_or(self.outside)
    }

    /// Returns the time zone.
    pub fn time_zone(&self) -> &str {
        &self.time_zone
    }

    /// Returns the bounds outside of all that was set.
    pub fn outside(&self) -> Bounds {
        self.outside
    }

    /// The moments at which the bounds change, in the order of the week.
    pub fn changes(&self) -> impl Iterator<Item = Moment> {
        let last = self.from.values().next_back().copied().flatten().unwrap_or(self.outside);
        let mut before = last;
        self.from.iter().filter_map(move |(minute, bounds)| {
            let now = bounds.unwrap_or(self.outside);
            let changes = now != before;
            before = now;
            changes.then_some(Moment(*minute))
        })
    }

    /// Refuses a min of 0 for outputs that set the bounds of an HPA: the API server takes none unless its feature gate `HPAScaleToZero` is on.
    pub(super) fn check_min(&self, output: &'static str) -> Result<(), OutputError> {
        match self.from.iter().find(|(_, bounds)| bounds.unwrap_or(self.outside).min() == 0) {
            Some((minute, _)) => {
                let what = format!("a min of 0 ({}): set it to 1 or more", Moment(*minute));
                Err(OutputError::Inexpressible { output, what })
            }
            None => Ok(()),
        }
    }

    pub(super) fn to_json(&self) -> String {
        // Plain data with string keys: it always has a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The rows of the script's table.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u32, u32, Bounds)> {
        self.windows().map(|(from, to, bounds)| (Moment::number(from), Moment::number(to), bounds))
    }

    pub(crate) fn windows(&self) -> impl Iterator<Item = (u32, u32, Bounds)> {
        let ends = self.from.keys().copied().skip(1).chain([WEEK]);
        self.from.iter().zip(ends).filter_map(|((from, bounds), to)| bounds.map(|bounds| (*from, to, bounds)))
    }

    /// Sets the bounds of each minute of the week, in order.
    #[cfg(feature = "schedule")]
    pub(super) fn fill_minutes(&mut self, bounds: &[Bounds]) {
        let mut from = 0;
        for same in bounds.chunk_by(|one, next| one == next) {
            let to = from + u32::try_from(same.len()).unwrap_or(0);
            if let Some(bounds) = same.first().filter(|bounds| **bounds != self.outside) {
                self.fill(from, to.min(WEEK), *bounds);
            }
            from = to;
        }
    }

    fn fill(&mut self, from: u32, to: u32, bounds: Bounds) {
        if from >= to {
            return;
        }
        let after = self.from.range(..=to).next_back().and_then(|(_, bounds)| *bounds);
        self.from.retain(|minute, _| *minute < from || *minute >= to);
        self.from.insert(from, Some(bounds));
        if to < WEEK {
            self.from.entry(to).or_insert(after);
        }
        // Neighbours of one size are one.
        let mut before = None;
        self.from.retain(|_, bounds| before.replace(*bounds) != Some(*bounds));
    }
}
