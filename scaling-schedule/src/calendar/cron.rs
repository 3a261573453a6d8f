//! Cron expressions as Kubernetes reads them.
//!
//! The `cron` crate enumerates; what it reads differently is settled before it is asked. It wants six fields, counts days of the week
//! from 1, and takes two restricted fields of days as both instead of either. So expressions are parsed here into sets of numbers, and
//! handed over as lists of numbers and names of days, one list for each way in which a day can match.

mod error;
mod every;
mod field;
mod firings;
mod upcoming;
mod windows;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub use error::{CronFault, InvalidCron, TermFault};
pub use field::CronField;
pub use firings::Firings;
pub use upcoming::Upcoming;

use crate::Days;
use field::{DAYS, FieldSet};

/// A cron expression of five fields, or a macro, that means what it means as the `schedule` of a CronJob of Kubernetes.
///
/// Fields are minute, hour, day of month, month and day of week, of terms between commas: `*`, `?`, a number, a range, each with a step.
/// Days of the week are 0, Sunday, to 6, or names; 7 is refused, and so is a range that wraps around. Where both fields of days are
/// restricted, a day needs to match only one of them. Macros are `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`, `@midnight`,
/// `@hourly`, and `@every` with a duration, which counts from the last run.
///
/// On the days of a clock change, a time that the wall clock skips does not fire, and one that it shows twice fires twice. The parser of
/// the CronJob controller agrees but for its faults: where the clock moves by half an hour or skips midnight, it can lose a firing of that
/// day, or run on into it.
///
/// ```
/// use scaling_core::chrono::{DateTime, Utc};
/// use scaling_schedule::{CronExpression, Tz};
///
/// let cron: CronExpression = "30 2 * * MON-FRI,sun".parse()?;
/// // The night in which the clock of Berlin goes from 02:00 to 03:00.
/// let saturday: DateTime<Utc> = "2026-03-28T12:00:00Z".parse().unwrap();
/// let next = cron.fires_after(Tz::Europe__Berlin, saturday).next().unwrap();
/// assert_eq!(next.to_string(), "2026-03-30 02:30:00 CEST");
///
/// let error = "0 8 * * 1-7".parse::<CronExpression>().unwrap_err();
/// assert_eq!(error.to_string(), r#"cron expression "0 8 * * 1-7": day of week "1-7": above 6, the greatest"#);
/// # Ok::<(), scaling_schedule::InvalidCron>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CronExpression {
    text: String,
    times: Times,
}

#[derive(Clone, Debug)]
enum Times {
    Calendar { fields: Fields, schedules: Vec<cron::Schedule> },
    Every(TimeDelta),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    minute: FieldSet,
    hour: FieldSet,
    day_of_month: FieldSet,
    month: FieldSet,
    day_of_week: FieldSet,
}

/// Two expressions are equal if they are written the same.
impl PartialEq for CronExpression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for CronExpression {}

impl FromStr for CronExpression {
    type Err = InvalidCron;

    fn from_str(text: &str) -> Result<Self, InvalidCron> {
        match Times::parse(text) {
            Ok(times) => Ok(Self { text: text.to_owned(), times }),
            Err(fault) => Err(InvalidCron::new(text, fault)),
        }
    }
}

impl TryFrom<String> for CronExpression {
    type Error = InvalidCron;

    fn try_from(text: String) -> Result<Self, InvalidCron> {
        text.parse()
    }
}

impl From<CronExpression> for String {
    fn from(expression: CronExpression) -> Self {
        expression.text
    }
}

/// The expression as it was written.
impl fmt::Display for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl CronExpression {
    /// The expression of a time of day on some weekdays. Days are named, since their numbers differ between readers of cron.
    ///
    /// # Errors
    /// [`CronFault::NoDays`] if there is no day.
    pub fn weekly(time: NaiveTime, days: Days) -> Result<Self, InvalidCron> {
        let names: Vec<String> = days.iter().map(|day| day.to_string().to_uppercase()).collect();
        if names.is_empty() {
            return Err(InvalidCron::new("", CronFault::NoDays));
        }
        let days = if days == Days::DAILY { "*".to_owned() } else { names.join(",") };
        format!("{} {} * * {days}", time.minute(), time.hour()).parse()
    }

    /// The expression of a minute on a date. It comes again each year, since cron knows none.
    ///
    /// # Errors
    /// None today; the expression is parsed like any other.
    pub fn yearly(at: NaiveDateTime) -> Result<Self, InvalidCron> {
        format!("{} {} {} {} *", at.minute(), at.hour(), at.day(), at.month()).parse()
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns true if it fires when the wall clock shows this, seconds and all. `@every` fires at no time of the clock.
    pub fn matches(&self, local: NaiveDateTime) -> bool {
        match &self.times {
            Times::Calendar { fields, .. } => fields.contain(local),
            Times::Every(_) => false,
        }
    }

    /// The firings after an instant, on the wall clock of a time zone. `@every` counts from that instant.
    pub fn fires_after(&self, zone: Tz, after: DateTime<Utc>) -> Firings {
        match &self.times {
            Times::Calendar { schedules, .. } => Firings::calendar(schedules.clone(), zone, after),
            Times::Every(pause) => Firings::every(*pause, zone, after),
        }
    }

    /// The next `count` firings, as a table for a person to check.
    pub fn upcoming(&self, zone: Tz, after: DateTime<Utc>, count: usize) -> Upcoming {
        Upcoming::new(self, zone, after, count)
    }

    /// Minutes since Monday 00:00 at which it fires in a week without a clock change, if all weeks are alike: neither days of the month nor
    /// months are restricted, and it is no `@every`.
    pub fn minutes_of_week(&self) -> Option<Vec<u32>> {
        let Times::Calendar { fields, .. } = &self.times else { return None };
        let is_weekly = fields.day_of_month.star && fields.month.values().count() == 12;
        let at = |day: u32, hour: u32, minute: u32| (day * 24 + hour) * 60 + minute;
        is_weekly.then(|| {
            // Sunday, the first of cron, is the last here.
            let days = (0..7).filter(|day| fields.day_of_week.contains((day + 1) % 7));
            let hours = |day| fields.hour.values().map(move |hour| (day, hour));
            let minutes = |(day, hour)| fields.minute.values().map(move |minute| at(day, hour, minute));
            days.flat_map(hours).flat_map(minutes).collect()
        })
    }
}

impl Times {
    fn parse(text: &str) -> Result<Self, CronFault> {
        // The API server refuses it wherever it stands.
        if text.contains("TZ") {
            return Err(CronFault::TimeZone);
        }
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ if text.starts_with('@') => {
                let pause = text.strip_prefix("@every ").ok_or(CronFault::Macro)?;
                return every::parse(pause).map(Self::Every).ok_or_else(|| CronFault::Every(error::quoted(pause)));
            }
            fields => fields,
        };
        let written: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day_of_month, month, day_of_week] = *written.as_slice() else {
            return Err(CronFault::FieldCount(written.len()));
        };
        let fields = Fields {
            minute: FieldSet::parse(CronField::Minute, minute)?,
            hour: FieldSet::parse(CronField::Hour, hour)?,
            day_of_month: FieldSet::parse(CronField::DayOfMonth, day_of_month)?,
            month: FieldSet::parse(CronField::Month, month)?,
            day_of_week: FieldSet::parse(CronField::DayOfWeek, day_of_week)?,
        };
        Ok(Self::Calendar { schedules: fields.schedules()?, fields })
    }
}

impl Fields {
    fn contain(&self, local: NaiveDateTime) -> bool {
        let day_of_month = self.day_of_month.contains(local.day());
        let day_of_week = self.day_of_week.contains(local.weekday().num_days_from_sunday());
        let day = if self.either_day() { day_of_month || day_of_week } else { day_of_month && day_of_week };
        let time = self.minute.contains(local.minute()) && self.hour.contains(local.hour());
        day && time && self.month.contains(local.month()) && local.second() == 0 && local.nanosecond() == 0
    }

    fn either_day(&self) -> bool {
        !self.day_of_month.star && !self.day_of_week.star
    }

    /// Expressions of the `cron` crate whose times together are those of the fields.
    fn schedules(&self) -> Result<Vec<cron::Schedule>, CronFault> {
        if [self.minute, self.hour, self.month].into_iter().any(FieldSet::is_empty) {
            return Ok(Vec::new());
        }
        let numbers = |set: FieldSet| set.values().map(|value| value.to_string()).collect::<Vec<_>>().join(",");
        let days_of_month = if self.day_of_month.star { "*".to_owned() } else { numbers(self.day_of_month) };
        let names = |value: u32| DAYS.get(value as usize).copied();
        let days_of_week: Vec<&str> = self.day_of_week.values().filter_map(names).collect();
        let days_of_week = if self.day_of_week.star { "*".to_owned() } else { days_of_week.join(",") };
        let ways = if self.either_day() {
            vec![(days_of_month, "*".to_owned()), ("*".to_owned(), days_of_week)]
        } else {
            vec![(days_of_month, days_of_week)]
        };
        let (minutes, hours, months) = (numbers(self.minute), numbers(self.hour), numbers(self.month));
        let possible = ways.iter().filter(|(of_month, of_week)| !of_month.is_empty() && !of_week.is_empty());
        let schedule = |(of_month, of_week): &(String, String)| {
            let text = format!("0 {minutes} {hours} {of_month} {months} {of_week}");
            cron::Schedule::from_str(&text).map_err(|error| CronFault::Enumeration(error.to_string()))
        };
        possible.map(schedule).collect()
    }
}
