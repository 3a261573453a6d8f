//! [`Patterns`]: all that was found in a load, each with its evidence.

use std::fmt;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::heat::HeatMap;
use crate::Days;
use crate::calendar::WrittenDays;

/// Numbers behind a statement.
///
/// A statement is tried on parts of the data that it was not made from: on `trials` of them, and on `successes` of them it held. The
/// error rate is the chance of at least as many successes if there were no pattern, times the number of like statements that were tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Days, or occurrences, on which it was tried.
    pub trials: u32,
    /// Of those, how many it held on.
    pub successes: u32,
    /// Chance of as much by accident, from 0 to 1.
    pub error_rate: f64,
    /// First and last date of the data behind it.
    pub span: (NaiveDate, NaiveDate),
}

/// Answer to a question about the data.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// It is there: tried on held-out data, with an error rate of at most the significance asked for.
    Proven,
    /// It was looked for, and held-out data do not show it. It may be there and small.
    NotShown,
    /// There is too little data to tell.
    CannotTell(Lack),
}

impl Verdict {
    /// True if it is there.
    pub fn is_proven(self) -> bool {
        self == Self::Proven
    }
}

/// Data that a question lacks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Lack {
    /// Days on which it could be tried.
    Days {
        /// Days that there are.
        have: u32,
        /// Days that it takes at least.
        need: u32,
    },
    /// Occurrences of the date that it is about: month ends, third Tuesdays.
    Occurrences {
        /// The most that there are.
        have: u32,
        /// Occurrences that it takes at least.
        need: u32,
    },
    /// Samples: they are too far apart for it.
    Resolution {
        /// Minutes from one slot to the next.
        slot_minutes: u32,
    },
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days { have, need } => write!(f, "{have} days can be tried on, and it takes {need}"),
            Self::Occurrences { have, need } => write!(f, "it came {have} times at most, and it takes {need}"),
            Self::Resolution { slot_minutes } => write!(f, "samples are {slot_minutes} min apart"),
        }
    }
}

/// The data that were looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSeen {
    /// First and last date with a sample that counts, on the wall clock.
    pub span: (NaiveDate, NaiveDate),
    /// Dates in that span that are not excluded.
    pub days: u32,
    /// Of those, the ones of which half was seen at least: the others are no days to judge by.
    pub full_days: u32,
    /// Samples that count.
    pub samples: u64,
    /// Minutes of a slot: as configured, or longer where samples are further apart.
    pub slot_minutes: u32,
    /// Share of the slots of those dates that were seen, from 0 to 1.
    pub coverage: f64,
    /// Mean load over the slots.
    pub mean: f64,
    /// Samples that do not count, and why.
    pub left_out: LeftOut,
}

/// Counts of samples that do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// On excluded dates.
    pub excluded: u64,
    /// Not measured, NaN or infinite.
    pub not_finite: u64,
    /// Below 0.
    pub negative: u64,
    /// Replaced by a later one of the same instant.
    pub duplicates: u64,
    /// More than [`MAX_DAYS`](super::MAX_DAYS) before the newest, after [`AnalyzeConfig::until`](super::AnalyzeConfig), or beyond the calendar.
    pub out_of_range: u64,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { excluded, not_finite, negative, duplicates, out_of_range } = *self;
        let counts = [
            (excluded, "on excluded dates"),
            (not_finite, "not measured"),
            (negative, "below 0"),
            (duplicates, "replaced by a later one of the same instant"),
            (out_of_range, "out of the range of time"),
        ];
        let mut told = false;
        for (count, why) in counts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{}{count} {why}", if told { ", " } else { "" })?;
            told = true;
        }
        if told { Ok(()) } else { f.write_str("none was given") }
    }
}

/// A period that was looked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Period {
    /// Length in minutes on the wall clock: 1,440 for a day.
    pub minutes: u32,
    /// Correlation of the load with itself a period ago, from −1 to 1; `None` where it is constant.
    pub autocorrelation: Option<f64>,
    /// The answer.
    pub verdict: Verdict,
    /// By how much knowing it lowers the squared error of a held-out day, relative: the median over those days, from below 0 (it
    /// misleads) to 1 (it explains all). `None` where nothing could be held out.
    pub strength: Option<f64>,
    /// Held-out days, those on which the error was lower, and the chance of it. `None` where nothing could be held out.
    pub evidence: Option<Evidence>,
}

/// The usual day of some weekdays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UsualDay {
    /// Weekdays it stands for.
    #[serde(with = "written_days")]
    pub days: Days,
    /// Days of which half was seen at least.
    pub days_seen: u32,
    /// Mean load over the usual day.
    pub mean: f64,
    /// Usual load of each slot, from midnight on: the median over the days. `None` where none was seen.
    pub slots: Vec<Option<f64>>,
    /// Times of high load, highest first. Empty unless a period of a day or a week is proven.
    pub peaks: Vec<Stretch>,
    /// Times of low load, lowest first. Empty unless a period of a day or a week is proven.
    pub lows: Vec<Stretch>,
}

/// A stretch of the usual day with high or low load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// Start on the wall clock.
    #[serde(with = "clock_time")]
    pub from: NaiveTime,
    /// End on the wall clock. At or before the start: on the next day.
    #[serde(with = "clock_time")]
    pub to: NaiveTime,
    /// Mean load within, against the mean of the usual day: 1.8 is 80 % above.
    pub level: f64,
    /// The highest, or lowest, slot against the mean of the usual day.
    pub extreme: f64,
    /// Start of that slot.
    #[serde(with = "clock_time")]
    pub extreme_at: NaiveTime,
    /// Days on which the stretch was seen, and those on which its load lay on this side of that day's mean.
    pub evidence: Evidence,
}

/// Level of one weekday.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeekdayLevel {
    /// The weekday.
    pub day: Weekday,
    /// Days of which half was seen at least.
    pub days_seen: u32,
    /// Its usual load against the mean of all weekdays, without the trend: 0.4 is 60 % below. `None` if it was not seen.
    pub level: Option<f64>,
    /// Whether it differs from the other days.
    pub verdict: Verdict,
    /// Pairs of one such day and another day, those that lie on the same side, and the chance of it (rank-sum test, times seven).
    pub evidence: Option<Evidence>,
}

/// Weekdays against weekend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeekendContrast {
    /// Load of the weekend's days against that of the others: 0.4 is 60 % below. `None` if one of the two was not seen.
    pub ratio: Option<f64>,
    /// Whether knowing it lowers the error of held-out days.
    pub verdict: Verdict,
    /// By how much, as of a [`Period`].
    pub strength: Option<f64>,
    /// As of a [`Period`].
    pub evidence: Option<Evidence>,
}

/// Course of the level over the days, without the periods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// What it is.
    pub kind: CourseKind,
    /// Whether it is proven; for [`CourseKind::Steady`], whether there was enough data to find another.
    pub verdict: Verdict,
    /// Days that were judged by, and the chance of as much in days that only scatter. `None` where there were too few.
    pub evidence: Option<Evidence>,
}

/// Kinds of [`Course`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CourseKind {
    /// No change that days would not show by scattering.
    Steady,
    /// A gradual change over the whole span.
    Trend {
        /// Change of the level from the first day to the last, relative to the first: 0.5 is half as much again.
        change: f64,
        /// Change a day, relative to the mean level.
        per_day: f64,
    },
    /// Lasting changes from one day to the next.
    Shifts(Vec<LevelShift>),
}

/// A lasting change of the level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelShift {
    /// First date at the new level.
    pub date: NaiveDate,
    /// New level against the old: 2 is twice as much. Infinite levels are not told: from nothing to something is `None`.
    pub factor: Option<f64>,
    /// Days at the old level and at the new, up to the shifts before and after.
    pub days: (u32, u32),
}

/// A sudden spike: load far above what is usual at its time, that does not recur.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spike {
    /// Start on the wall clock, to the slot.
    pub start: NaiveDateTime,
    /// Length in minutes.
    pub minutes: u32,
    /// The highest slot's load.
    pub peak: f64,
    /// The usual load at the time of the highest slot.
    pub usual: f64,
}

/// Something that comes again, beyond the usual day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecurringEvent {
    /// Dates on which it comes.
    pub rule: DateRule,
    /// Start and end on the wall clock; `None` for a day as a whole.
    pub time: Option<EventTime>,
    /// Load within against the usual load at that time: 3 is threefold, below 1 is a dip. `None` where usually there is none.
    pub factor: Option<f64>,
    /// Load within, minus the usual load.
    pub extra: f64,
    /// Occurrences of the rule that were seen, those on which it came, and the chance of it from how often the like comes on other
    /// dates.
    pub evidence: Evidence,
}

/// Time of day of a [`RecurringEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTime {
    /// Start on the wall clock.
    #[serde(with = "clock_time")]
    pub from: NaiveTime,
    /// End on the wall clock. At or before the start: on the next day.
    #[serde(with = "clock_time")]
    pub to: NaiveTime,
}

/// A rule of dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DateRule {
    /// Every week on this day (0: Monday, as counted from it).
    Weekly(WeekdayNumber),
    /// The last day of every month.
    MonthEnd,
    /// This day of every month.
    MonthDay(u8),
    /// The n-th such weekday of every month.
    NthWeekday(u8, WeekdayNumber),
    /// The last such weekday of every month.
    LastWeekday(WeekdayNumber),
}

/// A weekday that has an order: Monday first. Written as `"Mon"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WeekdayNumber(pub Weekday);

impl PartialOrd for WeekdayNumber {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for WeekdayNumber {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.num_days_from_monday().cmp(&other.0.num_days_from_monday())
    }
}

/// A question that the data cannot answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Untold {
    /// The question.
    pub question: Question,
    /// What it lacks.
    pub lack: Lack,
}

/// Questions that are put to the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Question {
    /// A pattern of the day.
    DailyPattern,
    /// A pattern of the week.
    WeeklyPattern,
    /// Weekdays against the weekend.
    Weekend,
    /// Each weekday against the others.
    Weekdays,
    /// Trend or lasting shifts.
    Course,
    /// Spikes, and jobs at a time of day.
    Spikes,
    /// Events that come every week.
    WeeklyEvents,
    /// Events of the month: its end, a day of it, an n-th weekday.
    MonthlyEvents,
    /// A pattern of the year. Never told: three years at most are looked at.
    YearlyPattern,
}

/// All that was found in a load.
///
/// `Display` writes it for people, serde for programs (field names as here; times as `"HH:MM"`, dates as `"YYYY-MM-DD"`),
/// [`HeatMap`](super::HeatMap) draws the week in a terminal, [`to_html`](Self::to_html) all of it as a page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Patterns {
    /// Wall clock that all times and dates are on.
    pub time_zone: Tz,
    /// Error rate up to which a statement counts as proven.
    pub significance: f64,
    /// The data that were looked at.
    pub data: DataSeen,
    /// Periods that were looked for: the day and the week always, in this order; others only where they are proven, strongest first.
    pub periods: Vec<Period>,
    /// Usual days: one for all weekdays, or one each for weekdays and weekend where they are proven to differ.
    pub usual_days: Vec<UsualDay>,
    /// Weekdays against weekend.
    pub weekend: WeekendContrast,
    /// Each weekday, Monday first.
    pub weekdays: Vec<WeekdayLevel>,
    /// Course of the level over the days.
    pub course: Course,
    /// Sudden spikes, the highest first: at most [`MAX_SPIKES`](super::MAX_SPIKES).
    pub spikes: Vec<Spike>,
    /// How many spikes there were.
    pub spikes_in_all: u32,
    /// Recurring events, the surest first.
    pub events: Vec<RecurringEvent>,
    /// Usual load by hour and weekday.
    pub heat: HeatMap,
    /// What the data cannot tell.
    pub untold: Vec<Untold>,
}

/// A time of day as `"HH:MM"`.
mod clock_time {
    use chrono::NaiveTime;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
    pub(super) fn serialize<S: Serializer>(time: &NaiveTime, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&time.format("%H:%M"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<NaiveTime, D::Error> {
        let text = String::deserialize(from)?;
        NaiveTime::parse_from_str(&text, "%H:%M").map_err(|_| D::Error::custom(format!("{text:?} is no HH:MM")))
    }
}

/// Days as in a schedule.
mod written_days {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::{Days, WrittenDays};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
    pub(super) fn serialize<S: Serializer>(days: &Days, to: S) -> Result<S::Ok, S::Error> {
        WrittenDays::from(*days).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Days, D::Error> {
        Days::try_from(WrittenDays::deserialize(from)?).map_err(|word| D::Error::custom(format!("{word:?} is no day")))
    }
}
