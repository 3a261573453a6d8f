//! The stretches in which events raise the bounds, on the wall clock.

use std::collections::BTreeSet;

use scaling_core::Bounds;
use scaling_core::chrono::{DateTime, Datelike, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use scaling_schedule::Tz;

use super::super::{Moment, OutputError, WeekPlan};
use super::Raise;

/// Time on the wall clock with its distance from UTC, so that a time which comes twice is one of both.
const FORM: &str = "%Y-%m-%d %H:%M%:z";
/// Stretches of equal bounds that the events of a plan may be cut into.
const MAX_ROWS: i64 = 2_000;

pub(super) fn zone_of(week: &WeekPlan) -> Option<Tz> {
    week.time_zone.parse().ok()
}

impl WeekPlan {
    /// The stretches in which events raise the bounds, each with the bounds that hold then.
    pub(crate) fn dated_stretches(&self, output: &'static str) -> Result<Vec<(String, String, Bounds)>, OutputError> {
        let changes: Vec<u32> = self.changes().map(Moment::minute_of_week).collect();
        let per_week = i64::try_from(changes.len()).unwrap_or(i64::MAX).saturating_add(2);
        let weeks: i64 = self.events.iter().map(|event| (event.to - event.from).num_weeks() + 1).sum();
        let inexpressible = |what: String| OutputError::Inexpressible { output, what };
        if weeks.saturating_mul(per_week) > MAX_ROWS {
            let what = format!("events of {weeks} weeks in a week with {} changes; make them windows", changes.len());
            return Err(inexpressible(what));
        }
        if !self.has_events() {
            return Ok(Vec::new());
        }
        let zone = zone_of(self).ok_or_else(|| {
            inexpressible(format!("events in a time zone called {}, of which nothing is known here", self.time_zone))
        })?;
        let mut cuts = BTreeSet::new();
        for event in &self.events {
            cuts.extend([event.from, event.to]);
            cuts.extend(within(event, zone, &changes).into_iter().filter(|at| event.is_open(*at)));
        }
        let mut found: Vec<(DateTime<Utc>, DateTime<Utc>, Bounds)> = Vec::new();
        for (from, to) in cuts.iter().zip(cuts.iter().skip(1)) {
            let is_open = self.events.iter().any(|event| event.is_open(*from));
            let Some(bounds) = self.bounds_at(*from).filter(|_| is_open) else { continue };
            match found.last_mut() {
                Some(last) if last.1 == *from && last.2 == bounds => last.1 = *to,
                _ => found.push((*from, *to, bounds)),
            }
        }
        let written = |at: DateTime<Utc>| at.with_timezone(&zone).format(FORM).to_string();
        Ok(found.into_iter().map(|(from, to, bounds)| (written(from), written(to), bounds)).collect())
    }
}

/// Instants around an event at which the week may change: its own changes, and those of the clock, which put it before or behind one.
fn within(event: &Raise, zone: Tz, changes: &[u32]) -> Vec<DateTime<Utc>> {
    let day = TimeDelta::days(1);
    let local = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local();
    let mut found = Vec::new();
    let mut at = event.from - day;
    while at < event.to + day {
        let (today, offset) = (local(at), local(at) - at.naive_utc());
        let midnight = today.date().and_time(NaiveTime::MIN);
        let weekday = today.weekday().num_days_from_monday();
        let of_today = changes.iter().filter(|minute| **minute / 1440 == weekday);
        found.extend(of_today.flat_map(|minute| instants(zone, midnight + TimeDelta::minutes((minute % 1440).into()))));
        if local(at + day) - (at + day).naive_utc() != offset {
            let (mut before, mut after) = (at.timestamp(), (at + day).timestamp());
            while after - before > 1 {
                let middle = i64::midpoint(before, after);
                let is_old = DateTime::from_timestamp(middle, 0).is_none_or(|at| local(at) - at.naive_utc() == offset);
                if is_old { before = middle } else { after = middle }
            }
            found.extend(DateTime::from_timestamp(after, 0));
        }
        at += day;
    }
    found
}

/// The instants at which the wall clock shows a time: none, one or two.
fn instants(zone: Tz, local: NaiveDateTime) -> impl Iterator<Item = DateTime<Utc>> {
    let shown = zone.from_local_datetime(&local);
    let both = [shown.earliest(), shown.latest()];
    both.into_iter().flatten().map(|at| at.to_utc())
}
