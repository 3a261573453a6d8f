//! Faults of what a schedule becomes.

use std::sync::Arc;

use scaling_core::InvalidBounds;

/// Longest value that an error quotes.
const QUOTED: usize = 100;

/// Reasons why a schedule cannot go out as asked, or cannot be read back.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// A name is not one that Kubernetes takes.
    #[error("{field} is {value:?}; it must be {must}")]
    Name {
        /// The field.
        field: &'static str,
        /// Value of the field.
        value: String,
        /// Condition that the value must meet.
        must: &'static str,
    },
    /// There is no such time of the day.
    #[error("there is no time {hour:02}:{minute:02}")]
    Time {
        /// The hour.
        hour: u32,
        /// The minute.
        minute: u32,
    },
    /// An event does not go from a whole minute to a later one, or in years that four digits cannot write.
    #[error("an event from {from} to {to}: it must go from a whole minute to a later one, in the years 1000 to 9999")]
    Dates {
        /// Start.
        from: String,
        /// End.
        to: String,
    },
    /// Bounds cannot be.
    #[error(transparent)]
    Bounds(#[from] InvalidBounds),
    /// The output has no way to say something that the schedule says.
    #[error("{output} cannot express {what}")]
    Inexpressible {
        /// The output.
        output: &'static str,
        /// What it cannot express, and what to do about it.
        what: String,
    },
    /// A document that was read is no schedule, or one that was edited into something else.
    #[error("it cannot be read back: {field}: {why}")]
    Unreadable {
        /// The field, or the line.
        field: String,
        /// Reason.
        why: String,
    },
    /// The objects cannot be written as YAML.
    #[error("the objects cannot be written: {0}")]
    Write(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl OutputError {
    pub(crate) fn unreadable(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unreadable { field: field.into(), why: why.into() }
    }
}

pub(crate) fn quoted(value: &str) -> String {
    value.chars().take(QUOTED).collect()
}
