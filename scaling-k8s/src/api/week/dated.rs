//! Events of one date, which raise what the week holds.
//!
//! An event is one stretch of time, from one instant to another: on the wall clock it could come twice, or be cut in two, where the clock
//! changes within it.

use std::collections::BTreeSet;

use scaling_core::Bounds;
use scaling_core::chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};

use super::super::error::quoted;
use super::{OutputError, WeekPlan};
#[cfg(feature = "schedule")]
use stretches::zone_of;

#[cfg(feature = "schedule")]
mod stretches;

const FORM: &str = "%Y-%m-%dT%H:%MZ";

/// Bounds that are raised to these from one instant to another, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raise {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    min: u32,
    max: Option<u32>,
}

impl Raise {
    pub(super) fn written(&self) -> (String, String, u32, Option<u32>) {
        (self.from.format(FORM).to_string(), self.to.format(FORM).to_string(), self.min, self.max)
    }

    #[cfg(feature = "schedule")]
    fn is_open(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && at < self.to
    }
}

pub(super) fn read(field: &str, text: &str) -> Result<DateTime<Utc>, OutputError> {
    // chrono's own parser takes fewer digits too.
    let read = NaiveDateTime::parse_from_str(text, FORM).ok().filter(|read| read.format(FORM).to_string() == text);
    let read = read.map(|read| read.and_utc());
    read.ok_or_else(|| {
        OutputError::unreadable(field, format!("{:?} is not written as YYYY-MM-DDTHH:MMZ", quoted(text)))
    })
}

/// Bounds with a floor, and a ceiling if there is one.
#[cfg(feature = "schedule")]
pub(super) fn raised(bounds: Bounds, min: u32, max: Option<u32>) -> Result<Bounds, OutputError> {
    let min = bounds.min().max(min);
    Ok(Bounds::new(min, bounds.max().max(max.unwrap_or(0)).max(min))?)
}

impl WeekPlan {
    /// Raises the bounds from one instant to another, which is not part of it, once: the min is at least `min` then, and the max at least
    /// `max` and the min.
    ///
    /// # Errors
    /// [`OutputError::Dates`] if the instants are no whole minutes or not in order; [`OutputError::Bounds`] if the numbers cannot be bounds.
    pub fn raise(
        &mut self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        min: u32,
        max: Option<u32>,
    ) -> Result<(), OutputError> {
        let fits = |at: DateTime<Utc>| at.second() == 0 && at.nanosecond() == 0 && (1000..=9999).contains(&at.year());
        if !fits(from) || !fits(to) || from >= to {
            return Err(OutputError::Dates { from: from.to_string(), to: to.to_string() });
        }
        Bounds::new(min, max.unwrap_or(min))?;
        self.events.push(Raise { from, to, min, max });
        Ok(())
    }

    /// Returns true if events raise the bounds on some dates.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The same week without the events.
    #[must_use]
    pub fn without_events(mut self) -> Self {
        self.events.clear();
        self
    }

    /// Leaves out the events that have ended by `at`. An event that is under way stays.
    #[must_use]
    pub fn without_past_events(mut self, at: DateTime<Utc>) -> Self {
        self.events.retain(|event| event.to > at);
        self
    }

    /// The same with the highest max of the week and its events for all time, for outputs that have one.
    #[must_use]
    pub fn with_highest_max(mut self) -> Self {
        let of_events =
            self.events.iter().filter_map(|event| Bounds::new(event.min, event.max.unwrap_or(event.min)).ok());
        let all = self.from.values().flatten().copied().chain([self.outside]).chain(of_events);
        let max = all.map(Bounds::max).max().unwrap_or_else(|| self.outside.max());
        // Higher than a max that had its min below it.
        let widened = |bounds: Bounds| Bounds::new(bounds.min(), max).unwrap_or(bounds);
        self.outside = widened(self.outside);
        for bounds in self.from.values_mut().flatten() {
            *bounds = widened(*bounds);
        }
        let mut before = None;
        self.from.retain(|_, bounds| before.replace(*bounds) != Some(*bounds));
        self
    }

    /// Returns the bounds that hold at an instant, events and all; `None` if the time zone is not known to `chrono-tz`.
    #[cfg(feature = "schedule")]
    pub fn bounds_at(&self, at: DateTime<Utc>) -> Option<Bounds> {
        use scaling_core::chrono::{Offset, TimeZone};
        let utc = at.naive_utc();
        let local = utc.checked_add_offset(zone_of(self)?.offset_from_utc_datetime(&utc).fix())?;
        let minute = (local.weekday().num_days_from_monday() * 24 + local.hour()) * 60 + local.minute();
        let open = self.events.iter().filter(|event| event.is_open(at));
        // Both were bounds, and so is the higher of each.
        let week = self.at(super::Moment::of_week(minute));
        Some(open.fold(week, |bounds, event| raised(bounds, event.min, event.max).unwrap_or(bounds)))
    }

    /// Rows of the script's table of dates: from and to in seconds since 1970, as `date +%s` gives them, min, and max or 0.
    pub(in crate::api) fn dated_rows(&self) -> impl Iterator<Item = (i64, i64, u32, u32)> {
        self.events
            .iter()
            .map(|event| (event.from.timestamp(), event.to.timestamp(), event.min, event.max.unwrap_or(0)))
    }

    /// The instants at which an event begins or ends, in order.
    pub(super) fn dated_changes(&self) -> BTreeSet<DateTime<Utc>> {
        self.events.iter().flat_map(|event| [event.from, event.to]).collect()
    }

    /// No stretches: without time zones nothing says what the week holds at an instant.
    #[cfg(not(feature = "schedule"))]
    pub(crate) fn dated_stretches(&self, output: &'static str) -> Result<Vec<(String, String, Bounds)>, OutputError> {
        if self.has_events() {
            let what = "events: the time zones come with the feature `schedule`".to_owned();
            return Err(OutputError::Inexpressible { output, what });
        }
        Ok(Vec::new())
    }
}
