//! Windows and schedules as cron expressions.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta, Utc, Weekday};

use super::{CronExpression, InvalidCron};
use crate::{Days, Schedule, Window};

impl Window {
    /// The expressions of its start and of its end. A window of 24 hours does not end on a day on which it starts again; on all days of
    /// the week it never ends, and has no expression for it.
    ///
    /// ```
    /// use scaling_schedule::{Days, Window};
    ///
    /// let night = Window::parse("night", Days::WEEKEND, "22:00", "02:00", 4)?;
    /// let (opens, closes) = night.cron()?;
    /// let closes = closes.ok_or("it ends")?;
    /// assert_eq!((opens.as_str(), closes.as_str()), ("0 22 * * SAT,SUN", "0 2 * * MON,SUN"));
    ///
    /// let days = Window::parse("days", Days::WEEKDAYS, "00:00", "00:00", 4)?;
    /// assert_eq!(days.cron()?.1.ok_or("it ends")?.as_str(), "0 0 * * SAT");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// None today: a window has a day. See [`CronExpression::weekly`].
    pub fn cron(&self) -> Result<(CronExpression, Option<CronExpression>), InvalidCron> {
        let mut last_days =
            if self.ends_next_day() { Days::of(self.days().iter().map(|day| day.succ())) } else { self.days() };
        if self.from() == self.to() {
            last_days = Days::of(last_days.iter().filter(|day| !self.days().contains(*day)));
        }
        let opens = CronExpression::weekly(self.from(), self.days())?;
        let closes = (!last_days.is_empty()).then(|| CronExpression::weekly(self.to(), last_days)).transpose()?;
        Ok((opens, closes))
    }
}

impl Schedule {
    /// The expressions at whose firings the bounds change: one for each time of the day at which a week does, in order, and one for each
    /// edge of an event at which none of those fires. No two fire at the same time in a week without events.
    ///
    /// An expression of an event comes again each year, so what it starts must look at the year. Where the clock shows the time of an edge
    /// twice it comes twice on that day, of which once nothing changes; where it skips the time, it is the time after the gap.
    ///
    /// # Errors
    /// None today. See [`CronExpression::weekly`].
    pub fn cron(&self) -> Result<Vec<CronExpression>, InvalidCron> {
        let mut days_at: BTreeMap<NaiveTime, Vec<Weekday>> = BTreeMap::new();
        let week = self.week();
        let last = week.segments().last();
        let before = last.into_iter().chain(week.segments());
        for (segment, before) in week.segments().iter().zip(before) {
            if (segment.floor, segment.ceiling) != (before.floor, before.ceiling) {
                let (day, time) = segment.start();
                days_at.entry(time).or_default().push(day);
            }
        }
        let weekly = days_at.into_iter().map(|(time, days)| CronExpression::weekly(time, Days::of(days)));
        let mut all: Vec<CronExpression> = weekly.collect::<Result<_, _>>()?;
        for edge in self.edges_of_events() {
            if !all.iter().any(|cron| cron.matches(edge)) {
                all.push(CronExpression::yearly(edge)?);
            }
        }
        Ok(all)
    }

    /// Times that the wall clock shows when an event changes the bounds, in order.
    fn edges_of_events(&self) -> Vec<NaiveDateTime> {
        let bounds = |at| self.open_at(at).map(|open| (open.min, open.max));
        let zone = self.time_zone();
        let edges =
            self.events().iter().flat_map(|event| event.opens_at(zone).into_iter().chain(event.closes_at(zone)));
        let before = |edge: DateTime<Utc>| edge.checked_sub_signed(TimeDelta::minutes(1)).unwrap_or(edge);
        let edges = edges.filter(|edge| bounds(*edge) != bounds(before(*edge)));
        let mut edges: Vec<NaiveDateTime> = edges.filter_map(|edge| self.wall_clock(edge)).collect();
        edges.sort_unstable();
        edges.dedup();
        edges
    }
}
