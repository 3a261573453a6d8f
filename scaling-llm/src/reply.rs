//! From the model's text to [`Advice`]: pure and strict.
//!
//! The text is exactly one JSON object of the four known fields, with white space around it at most. Prose around it is refused,
//! and so is a markdown fence: the object was asked for bare, and a server that constrains its output to [`SCHEMA`] gives it
//! bare, so a fence means that the constraint is not in force. Nothing is repaired, guessed or converted, with one exception:
//! JSON knows one kind of number, so `7.0` is the whole number 7.

mod number;

use std::borrow::Cow;

use serde::Deserialize;

use crate::text::one_line;
use number::Whole;

/// Longest answer that is read, in bytes. A longer one is refused unread.
pub const MAX_BYTES: usize = 4096;

/// Longest assessment that is kept, in characters. The rest is cut off.
pub const MAX_ASSESSMENT: usize = 300;

/// JSON schema of the answer, in the subset that Anthropic (`output_config.format`) and OpenAI-compatible servers (`strict`) both
/// accept. Constant to the byte, because servers compile a schema on first use; so no limits of a workload are in it, and they
/// are checked afterwards.
pub const SCHEMA: &str = concat!(
    r#"{"type":"object","additionalProperties":false,"#,
    r#""required":["assessment","action","target_replicas","confidence_percent"],"properties":{"#,
    r#""assessment":{"type":"string","description":"one short sentence, at most 200 characters"},"#,
    r#""action":{"type":"string","enum":["scale","hold"],"#,
    r#""description":"hold keeps the baseline's size, scale picks target_replicas instead"},"#,
    r#""target_replicas":{"type":"integer","#,
    r#""description":"total number of pods, not a change; from allowed.lowest to allowed.highest"},"#,
    r#""confidence_percent":{"type":"integer","description":"0 to 100"}}}"#,
);

/// Choice of a model between the baseline's size and another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Pick `target_replicas`.
    Scale,
    /// Keep the baseline's size; `target_replicas` is not looked at.
    Hold,
}

/// Advice of a model, well-formed but not yet checked against a [`ReplicaRange`](crate::ReplicaRange).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Choice between the baseline's size and `target_replicas`.
    pub action: Action,
    /// Size that is picked, in pods.
    pub target_replicas: u32,
    /// Confidence that the model states, in percent, 0 to 100. It is uncalibrated: a reason to ignore the answer, never one to
    /// trust it.
    pub confidence_percent: u8,
    /// Explanation of the model, as one line of at most [`MAX_ASSESSMENT`] printable characters.
    pub assessment: String,
}

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
    /// The action is neither of the two.
    #[error("the action is {0:?}, not \"scale\" or \"hold\"")]
    Action(String),
    /// The confidence is above 100 %.
    #[error("confidence_percent is {0}, more than 100")]
    Confidence(u32),
}

/// The fields as they come. The action is text here: an enum would also take `{"scale":null}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    target_replicas: Whole,
    confidence_percent: Whole,
    #[serde(borrow)]
    assessment: Cow<'a, str>,
}

/// Parses an answer. Nothing in it is repaired or guessed.
///
/// ```
/// use scaling_llm::reply::{Action, parse};
/// let advice = parse(
///     r#"{"assessment":"p95 rises","action":"scale","target_replicas":7,"confidence_percent":82}"#,
/// )?;
/// assert_eq!((advice.action, advice.target_replicas), (Action::Scale, 7));
///
/// let error = parse(r#"{"assessment":"","action":"scale","target_replicas":7.5,"confidence_percent":82}"#);
/// assert!(error.unwrap_err().to_string().contains("7.5"));
/// # Ok::<(), scaling_llm::ReplyError>(())
/// ```
///
/// # Errors
/// [`ReplyError`] with the first fault.
pub fn parse(text: &str) -> Result<Advice, ReplyError> {
    if text.len() > MAX_BYTES {
        return Err(ReplyError::TooLong { bytes: text.len() });
    }
    let object = text.trim_matches([' ', '\t', '\r', '\n']);
    match object.as_bytes().first() {
        None => return Err(ReplyError::Empty),
        // A struct would also read from an array.
        Some(b'{') => {}
        Some(b'`') => return Err(ReplyError::Fenced),
        Some(_) => return Err(ReplyError::NotAnObject),
    }
    // What is wrong may quote the answer.
    let raw: Raw<'_> = serde_json::from_str(object).map_err(|error| ReplyError::Invalid(quoted(&error.to_string())))?;
    let action = match raw.action.as_ref() {
        "scale" => Action::Scale,
        "hold" => Action::Hold,
        other => return Err(ReplyError::Action(quoted(other))),
    };
    let percent = u8::try_from(raw.confidence_percent.0).ok().filter(|percent| *percent <= 100);
    Ok(Advice {
        action,
        target_replicas: raw.target_replicas.0,
        confidence_percent: percent.ok_or(ReplyError::Confidence(raw.confidence_percent.0))?,
        assessment: one_line(&raw.assessment, MAX_ASSESSMENT),
    })
}

fn quoted(text: &str) -> String {
    one_line(text, 160)
}
