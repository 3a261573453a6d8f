//! [`ReplyError`]: what was wrong with an answer.

use super::MAX_BYTES;
use crate::text::one_line;

/// Fault of an answer, for which it is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The answer is longer than [`MAX_BYTES`].
    #[error("the answer has {bytes} bytes, more than {MAX_BYTES}")]
    TooLong {
        /// Length of the answer, in bytes.
        bytes: usize,
    },
    /// The answer is empty.
    #[error("the answer is empty")]
    Empty,
    /// The answer is wrapped in a markdown fence.
    #[error("the answer is wrapped in a markdown fence; a bare JSON object was asked for")]
    Fenced,
    /// The answer does not start with an object: it is something else, or has prose before it.
    #[error("the answer does not start with a JSON object")]
    NotAnObject,
    /// The answer is another object than the one asked for: broken, with unknown, missing or doubled fields, with wrong types, or
    /// with prose after it.
    #[error("the answer is not what was asked for: {0}")]
    Invalid(String),
    /// The action is none of the three.
    #[error("the action is {0:?}, not \"scale\", \"hold\" or \"resize\"")]
    Action(String),
    /// The confidence is above 100 %.
    #[error("confidence_percent is {0}, more than 100")]
    Confidence(u32),
    /// The days of the suggested window are none of the four.
    #[error("proposed_window_days is {0:?}, not \"none\", \"every_day\", \"weekdays\" or \"weekends\"")]
    Days(String),
    /// A number lies outside what its field can be.
    #[error("{field} is {value}; it must be {expected}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// Number that was answered.
        value: u32,
        /// Numbers that can be.
        expected: &'static str,
    },
    /// A field is missing that the rest of the answer asks for.
    #[error("{field} is missing")]
    Missing {
        /// Name of the field.
        field: &'static str,
    },
}

/// Text of an answer as it may be quoted.
pub(super) fn quoted(text: &str) -> String {
    one_line(text, 160)
}
