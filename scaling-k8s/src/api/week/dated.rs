//! Events of one date, which raise what the week holds.

use std::collections::BTreeSet;

use scaling_core::Bounds;
use scaling_core::chrono::{Datelike, NaiveDateTime, TimeDelta, Timelike};

use super::super::error::quoted;
use super::{Moment, OutputError, WeekPlan};

const FORM: &str = "%Y-%m-%dT%H:%M";
/// Stretches of equal bounds that the events of a plan may be cut into.
const MAX_ROWS: i64 = 2_000;

/// Bounds that are raised to these from one wall-clock instant to another, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raise {
    from: NaiveDateTime,
    to: NaiveDateTime,
    min: u32,
    max: Option<u32>,
}

impl Raise {
    pub(super) fn written(&self) -> (String, String, u32, Option<u32>) {
        (self.from.format(FORM).to_string(), self.to.format(FORM).to_string(), self.min, self.max)
    }

    fn is_open(&self, local: NaiveDateTime) -> bool {
        self.from <= local && local < self.to
    }
}

pub(super) fn read(field: &str, text: &str) -> Result<NaiveDateTime, OutputError> {
    // chrono's own parser takes fewer digits too.
    let read = NaiveDateTime::parse_from_str(text, FORM).ok().filter(|read| read.format(FORM).to_string() == text);
    read.ok_or_else(|| OutputError::unreadable(field, format!("{:?} is not written as YYYY-MM-DDTHH:MM", quoted(text))))
}

/// Bounds with a floor, and a ceiling if there is one.
pub(super) fn raised(bounds: Bounds, min: u32, max: Option<u32>) -> Result<Bounds, OutputError> {
    let min = bounds.min().max(min);
    Ok(Bounds::new(min, bounds.max().max(max.unwrap_or(0)).max(min))?)
}

impl WeekPlan {
    /// Raises the bounds from one wall-clock instant to another, which is not part of it, once: the min is at least `min` then, and the max
    /// at least `max` and the min.
    ///
    /// # Errors
    /// [`OutputError::Dates`] if the instants are no whole minutes or not in order; [`OutputError::Bounds`] if the numbers cannot be bounds.
    pub fn raise(
        &mut self,
        from: NaiveDateTime,
        to: NaiveDateTime,
        min: u32,
        max: Option<u32>,
    ) -> Result<(), OutputError> {
        let fits = |at: NaiveDateTime| at.second() == 0 && at.nanosecond() == 0 && (1000..=9999).contains(&at.year());
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

    /// The same week without the events that are over when the wall clock shows a time.
    #[must_use]
    pub fn without_past_events(mut self, local: NaiveDateTime) -> Self {
        self.events.retain(|event| event.to > local);
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

    /// Returns the bounds that hold when the wall clock shows a time, events and all.
    pub fn on_wall_clock(&self, local: NaiveDateTime) -> Bounds {
        let week = self
            .at(Moment::of_week((local.weekday().num_days_from_monday() * 24 + local.hour()) * 60 + local.minute()));
        let open = self.events.iter().filter(|event| event.is_open(local));
        // Both were bounds, and so is the higher of each.
        open.fold(week, |bounds, event| raised(bounds, event.min, event.max).unwrap_or(bounds))
    }

    /// Returns the bounds that hold at an instant; `None` if the time zone is not known to `chrono-tz`.
    #[cfg(feature = "schedule")]
    pub fn bounds_at(&self, at: scaling_core::chrono::DateTime<scaling_core::chrono::Utc>) -> Option<Bounds> {
        use scaling_core::chrono::{Offset, TimeZone};
        let zone: scaling_schedule::Tz = self.time_zone.parse().ok()?;
        let utc = at.naive_utc();
        Some(self.on_wall_clock(utc.checked_add_offset(zone.offset_from_utc_datetime(&utc).fix())?))
    }

    /// Rows of the script's table of dates: from and to as the number that `date +%Y%m%d%H%M` gives, min, and max or 0.
    pub(in crate::api) fn dated_rows(&self) -> impl Iterator<Item = (String, String, u32, u32)> {
        let number = |at: NaiveDateTime| at.format("%Y%m%d%H%M").to_string();
        self.events.iter().map(move |event| (number(event.from), number(event.to), event.min, event.max.unwrap_or(0)))
    }

    /// The times at which an event changes the bounds, in order.
    pub(super) fn dated_changes(&self) -> BTreeSet<NaiveDateTime> {
        let edges = self.events.iter().flat_map(|event| [event.from, event.to]);
        let before = |at: NaiveDateTime| at.checked_sub_signed(TimeDelta::minutes(1)).unwrap_or(at);
        edges.filter(|at| self.on_wall_clock(*at) != self.on_wall_clock(before(*at))).collect()
    }

    /// The stretches in which events raise the bounds, each with the bounds that hold then.
    pub(crate) fn dated_stretches(
        &self,
        output: &'static str,
    ) -> Result<Vec<(NaiveDateTime, NaiveDateTime, Bounds)>, OutputError> {
        let changes: Vec<u32> = self.changes().map(Moment::minute_of_week).collect();
        let per_week = i64::try_from(changes.len()).unwrap_or(i64::MAX).saturating_add(2);
        let weeks: i64 = self.events.iter().map(|event| (event.to - event.from).num_weeks() + 1).sum();
        if weeks.saturating_mul(per_week) > MAX_ROWS {
            let what = format!("events of {weeks} weeks in a week with {} changes; make them windows", changes.len());
            return Err(OutputError::Inexpressible { output, what });
        }
        let mut cuts = BTreeSet::new();
        for event in &self.events {
            cuts.extend([event.from, event.to]);
            let monday = event.from.date().and_time(scaling_core::chrono::NaiveTime::MIN)
                - TimeDelta::days(event.from.weekday().num_days_from_monday().into());
            let weekly = (0..=(event.to - event.from).num_weeks() + 1).flat_map(|week| {
                changes.iter().map(move |minute| monday + TimeDelta::weeks(week) + TimeDelta::minutes((*minute).into()))
            });
            cuts.extend(weekly.filter(|at| event.is_open(*at)));
        }
        let mut found: Vec<(NaiveDateTime, NaiveDateTime, Bounds)> = Vec::new();
        for (from, to) in cuts.iter().zip(cuts.iter().skip(1)) {
            if !self.events.iter().any(|event| event.is_open(*from)) {
                continue;
            }
            let bounds = self.on_wall_clock(*from);
            match found.last_mut() {
                Some(last) if last.1 == *from && last.2 == bounds => last.1 = *to,
                _ => found.push((*from, *to, bounds)),
            }
        }
        Ok(found)
    }
}
