//! Faults of cron expressions.

use std::fmt;

use super::CronField;

/// Characters of an expression or a term that an error quotes.
const QUOTED: usize = 100;

/// An expression that Kubernetes would refuse as the `schedule` of a CronJob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cron expression {expression:?}: {fault}")]
#[non_exhaustive]
pub struct InvalidCron {
    /// The expression; its first 100 characters.
    pub expression: String,
    /// Reason.
    pub fault: CronFault,
}

impl InvalidCron {
    pub(super) fn new(expression: &str, fault: CronFault) -> Self {
        Self { expression: quoted(expression), fault }
    }
}

/// Reasons why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CronFault {
    /// There are more or fewer fields than minute, hour, day of month, month and day of week.
    #[error("it has {0} fields and needs 5: minute, hour, day of month, month, day of week")]
    FieldCount(usize),
    /// A term of a field is none.
    #[error("{field} {term:?}: {fault}")]
    Term {
        /// The field.
        field: CronField,
        /// The term, one of those between commas.
        term: String,
        /// Reason.
        fault: TermFault,
    },
    /// The expression names a time zone, which the API server refuses here.
    #[error("a time zone belongs into timeZone, not into the expression")]
    TimeZone,
    /// The word after the `@` is unknown. Case counts.
    #[error("the macros are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and @every DURATION")]
    Macro,
    /// The duration after `@every` is none of Go's, such as `1h30m`.
    #[error("{0:?} is not a duration such as 1h30m")]
    Every(String),
    /// No day was given to build an expression from.
    #[error("there is no day on which it would run")]
    NoDays,
    /// The expression is valid, and the enumeration of its times does not take it.
    #[error("its times cannot be enumerated: {0}")]
    Enumeration(String),
}

/// Reasons why a term of a field is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TermFault {
    /// A bound or a step is neither a number nor, for months and days of the week, a name of three letters.
    #[error("neither a number nor a name of this field")]
    NotANumber,
    /// The term begins below the least value of the field.
    #[error("below {0}, the least")]
    Below(u32),
    /// The term ends above the greatest value of the field.
    #[error("above {0}, the greatest")]
    Above(u32),
    /// The term ends before it begins. Ranges do not wrap around.
    #[error("it ends before it begins; write two terms")]
    Reversed,
    /// The step is zero.
    #[error("a step of 0")]
    ZeroStep,
    /// There is more than one hyphen.
    #[error("more than one hyphen")]
    Hyphens,
    /// There is more than one slash.
    #[error("more than one slash")]
    Slashes,
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
        })
    }
}

pub(super) fn quoted(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}
