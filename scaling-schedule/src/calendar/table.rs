//! A schedule as text for people.

use std::fmt;

use crate::Schedule;

/// The windows as a table, each with the hours it is open in a week.
///
/// ```
/// use scaling_schedule::{Days, Schedule, Tz, Window};
/// let windows = vec![
///     Window::parse("day", Days::DAILY, "06:00", "23:00", 4)?,
///     Window::parse("weekday peak", Days::WEEKDAYS, "08:00", "11:30", 10)?,
/// ];
/// let schedule = Schedule::new(Tz::Europe__Berlin, windows)?;
/// assert_eq!(schedule.to_string(), "\
/// Wall clock of Europe/Berlin
/// WINDOW        DAYS      FROM   TO     PODS  HOURS/WEEK
/// day           daily     06:00  23:00     4       119.0
/// weekday peak  weekdays  08:00  11:30    10        17.5
/// ");
/// # Ok::<(), scaling_schedule::InvalidSchedule>(())
/// ```
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Wall clock of {}", self.time_zone())?;
        if self.windows().is_empty() {
            return writeln!(f, "no windows");
        }
        let width = |title: usize, cells: &mut dyn Iterator<Item = usize>| cells.fold(title, usize::max);
        let name = width(6, &mut self.windows().iter().map(|window| window.name().chars().count()));
        let days = width(4, &mut self.windows().iter().map(|window| window.days().to_string().len()));
        let pods = width(4, &mut self.windows().iter().map(|window| window.min().to_string().len()));
        writeln!(f, "{:name$}  {:days$}  FROM   TO     {:>pods$}  HOURS/WEEK", "WINDOW", "DAYS", "PODS")?;
        for window in self.windows() {
            writeln!(
                f,
                "{:name$}  {:days$}  {}  {}  {:>pods$}  {:>10.1}",
                window.name(),
                window.days().to_string(),
                window.from().format("%H:%M"),
                window.to().format("%H:%M"),
                window.min(),
                window.hours_per_week(),
            )?;
        }
        Ok(())
    }
}
