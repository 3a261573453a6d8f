//! The next firings as text.

use std::fmt;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::CronExpression;

/// The next firings of an expression by the clock of its zone and in UTC, for a person to check; from
/// [`upcoming`](CronExpression::upcoming).
///
/// ```
/// use scaling_schedule::{CronExpression, Tz};
///
/// let cron: CronExpression = "0 8 * * SAT,SUN".parse()?;
/// let upcoming = cron.upcoming(Tz::Europe__Berlin, "2026-10-24T00:00:00Z".parse().unwrap(), 2);
/// assert_eq!(upcoming.to_string(), "\
/// 0 8 * * SAT,SUN in Europe/Berlin
/// Sat 2026-10-24 08:00 CEST  2026-10-24 06:00 UTC
/// Sun 2026-10-25 08:00 CET   2026-10-25 07:00 UTC
/// ");
/// # Ok::<(), scaling_schedule::InvalidCron>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Upcoming {
    expression: String,
    zone: Tz,
    firings: Vec<DateTime<Tz>>,
}

impl Upcoming {
    pub(super) fn new(expression: &CronExpression, zone: Tz, after: DateTime<Utc>, count: usize) -> Self {
        let firings = expression.fires_after(zone, after).take(count).collect();
        Self { expression: expression.to_string(), zone, firings }
    }

    /// The firings, in order.
    pub fn firings(&self) -> &[DateTime<Tz>] {
        &self.firings
    }
}

impl fmt::Display for Upcoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} in {}", self.expression, self.zone)?;
        if self.firings.is_empty() {
            return writeln!(f, "never");
        }
        let local: Vec<String> = self.firings.iter().map(|at| at.format("%a %Y-%m-%d %H:%M %Z").to_string()).collect();
        let width = local.iter().map(String::len).max().unwrap_or(0);
        for (local, at) in local.iter().zip(&self.firings) {
            writeln!(f, "{local:width$}  {}", at.to_utc().format("%Y-%m-%d %H:%M UTC"))?;
        }
        Ok(())
    }
}
