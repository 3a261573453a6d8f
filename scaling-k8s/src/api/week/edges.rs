//! The times at which bounds change, as cron expressions.

use std::collections::{BTreeMap, BTreeSet};

use scaling_core::chrono::{Datelike, Timelike};

use super::{DAYS, WeekPlan};

/// Name of the zone whose clock never changes, as all sources of time zones have it.
pub(in crate::api) const UTC: &str = "Etc/UTC";

/// Minutes at which the bounds change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::api) enum Edge {
    /// A time of the day, on some days of the week by their number from Monday.
    Weekly { hour: u32, minute: u32, days: BTreeSet<u32> },
    /// A minute of a date in UTC, which no clock skips or repeats. Cron knows no years, so it comes again, and what runs then must look at
    /// the year.
    Dated { month: u32, day: u32, hour: u32, minute: u32 },
}

impl Edge {
    pub(in crate::api) fn cron(&self) -> String {
        match self {
            Self::Weekly { hour, minute, days } => format!("{minute} {hour} * * {}", day_names(days)),
            Self::Dated { month, day, hour, minute } => format!("{minute} {hour} {day} {month} *"),
        }
    }

    /// The time zone of the expression.
    pub(in crate::api) fn time_zone<'a>(&self, week: &'a WeekPlan) -> &'a str {
        match self {
            Self::Weekly { .. } => week.time_zone(),
            Self::Dated { .. } => UTC,
        }
    }

    /// The end of a name. There is no dash in it, so the HPAs `shop` and `shop-1127` cannot get the same name out of different edges.
    pub(in crate::api) fn suffix(&self) -> String {
        match self {
            Self::Weekly { hour, minute, .. } => format!("{hour:02}{minute:02}"),
            Self::Dated { month, day, hour, minute } => format!("{month:02}{day:02}t{hour:02}{minute:02}"),
        }
    }
}

/// Names of days as cron has them: numbers mean other days to other readers of it.
fn day_names(days: &BTreeSet<u32>) -> String {
    if days.len() == 7 {
        return "*".to_owned();
    }
    days.iter().filter_map(|day| DAYS.get(*day as usize).copied()).collect::<Vec<_>>().join(",")
}

impl WeekPlan {
    /// The times at which something begins or ends: those of the week, and those of events.
    pub(in crate::api) fn edges(&self) -> Vec<Edge> {
        let mut days_of: BTreeMap<(u32, u32), BTreeSet<u32>> = BTreeMap::new();
        for change in self.changes() {
            days_of.entry((change.hour(), change.minute())).or_default().insert(change.day().num_days_from_monday());
        }
        let dated = self.dated_changes().into_iter();
        let dated: BTreeSet<Edge> = dated
            .map(|at| Edge::Dated { month: at.month(), day: at.day(), hour: at.hour(), minute: at.minute() })
            .collect();
        let weekly = days_of.into_iter().map(|((hour, minute), days)| Edge::Weekly { hour, minute, days });
        weekly.chain(dated).collect()
    }

    /// The stretches between changes of the week: start, minutes, and the bounds of each. The last can go on into the next week; none if
    /// the bounds never change.
    #[cfg(feature = "schedule")]
    pub(in crate::api) fn stretches(&self) -> Vec<(super::Moment, u32, scaling_core::Bounds)> {
        let changes: Vec<super::Moment> = self.changes().collect();
        let next = changes.iter().cycle().skip(1);
        let length = |from: super::Moment, to: super::Moment| {
            (to.minute_of_week() + super::WEEK - from.minute_of_week()) % super::WEEK
        };
        changes.iter().zip(next).map(|(from, to)| (*from, length(*from, *to), self.at(*from))).collect()
    }
}

/// Minutes of the week at which an expression fires.
#[cfg(feature = "schedule")]
pub(in crate::api) fn minutes_of(field: String, text: &str) -> Result<BTreeSet<u32>, super::OutputError> {
    let cron: scaling_schedule::CronExpression = match text.parse() {
        Ok(cron) => cron,
        Err(error) => return Err(super::OutputError::unreadable(field, error.to_string())),
    };
    match cron.minutes_of_week() {
        Some(minutes) => Ok(minutes.into_iter().collect()),
        None => Err(super::OutputError::unreadable(field, "weeks are not alike: it depends on the date")),
    }
}
