//! The instants at which an expression fires.

use std::iter::Peekable;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use cron::OwnedScheduleIterator;

use super::super::zones::{clock_change, offset_s};

/// Years without a time after which Kubernetes looks no further.
const MAX_YEARS: i32 = 5;

/// Firings of a [`CronExpression`](super::CronExpression), in order, each once; from
/// [`fires_after`](super::CronExpression::fires_after).
///
/// There are none before 1970 or after 2100 (9999 for `@every`), and none after more than five years without one.
#[derive(Debug)]
pub struct Firings(Kind);

enum Kind {
    Calendar(Calendar),
    Every { at: DateTime<Utc>, pause: TimeDelta, zone: Tz },
}

/// The wall clock runs on between two clock changes, so there its times are enumerated as if there were none.
struct Calendar {
    zone: Tz,
    schedules: Vec<cron::Schedule>,
    /// Times on the wall clock of this stretch that are not fired yet, labelled as UTC.
    wall: Vec<Peekable<OwnedScheduleIterator<Utc>>>,
    at: DateTime<Utc>,
    offset: TimeDelta,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Calendar(Calendar { at, zone, .. }) | Self::Every { at, zone, .. }) = self;
        f.debug_struct("Kind").field("at", at).field("zone", zone).finish_non_exhaustive()
    }
}

impl Firings {
    pub(super) fn calendar(schedules: Vec<cron::Schedule>, zone: Tz, after: DateTime<Utc>) -> Self {
        // Years that the enumeration knows; outside of them arithmetic might overflow.
        let at = after.max(DateTime::UNIX_EPOCH - TimeDelta::days(1));
        let schedules = if at.year() > 2100 { Vec::new() } else { schedules };
        let mut calendar = Calendar { zone, schedules, wall: Vec::new(), at, offset: TimeDelta::zero() };
        calendar.enter(at, TimeDelta::zero());
        Self(Kind::Calendar(calendar))
    }

    pub(super) fn every(pause: TimeDelta, zone: Tz, after: DateTime<Utc>) -> Self {
        Self(Kind::Every { at: after, pause, zone })
    }
}

impl Calendar {
    /// Begins a stretch at an instant, or so much before it.
    fn enter(&mut self, at: DateTime<Utc>, before: TimeDelta) {
        self.at = at;
        if self.schedules.is_empty() {
            return;
        }
        self.offset = TimeDelta::seconds(offset_s(self.zone, at));
        let wall = at + self.offset - before;
        self.wall = self.schedules.iter().map(|schedule| schedule.after_owned(wall).peekable()).collect();
    }

    fn next(&mut self) -> Option<DateTime<Utc>> {
        let started = (self.at + self.offset).year();
        loop {
            let wall = self.wall.iter_mut().filter_map(|times| times.peek().copied()).min()?;
            if wall.year() - started > MAX_YEARS {
                return None;
            }
            let at = wall - self.offset;
            if let Some(change) = clock_change(self.zone, self.at, at) {
                // The time of the change is part of what follows it.
                self.enter(change, TimeDelta::seconds(1));
                continue;
            }
            for times in &mut self.wall {
                times.next_if_eq(&wall);
            }
            self.at = at;
            return Some(at);
        }
    }
}

impl Iterator for Firings {
    type Item = DateTime<Tz>;

    fn next(&mut self) -> Option<DateTime<Tz>> {
        match &mut self.0 {
            Kind::Calendar(calendar) if calendar.schedules.is_empty() => None,
            Kind::Calendar(calendar) => calendar.next().map(|at| at.with_timezone(&calendar.zone)),
            Kind::Every { at, pause, zone } => {
                let whole = at.with_nanosecond(0)?;
                *at = whole.checked_add_signed(*pause).filter(|at| at.year() <= 9999)?;
                Some(at.with_timezone(zone))
            }
        }
    }
}
