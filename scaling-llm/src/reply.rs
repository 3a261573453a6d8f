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

/// Longer answers are refused unread.
pub const MAX_BYTES: usize = 4096;

/// Characters of the assessment that are kept.
pub const MAX_ASSESSMENT: usize = 300;

/// The answer's JSON schema, in the subset that Anthropic (`output_config.format`) and OpenAI-compatible servers (`strict`) both
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

/// Whether to pick another size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take the target.
    Scale,
    /// Keep what the baseline wants; the target is not looked at.
    Hold,
}

/// What a model advises. Whether that is allowed is the engine's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Whether to pick another size.
    pub action: Action,
    /// The size, in pods.
    pub target_replicas: u32,
    /// How sure the model says it is, 0 to 100. Uncalibrated: a reason to ignore the answer, never one to trust it.
    pub confidence_percent: u8,
    /// Why, as one line of at most [`MAX_ASSESSMENT`] printable characters.
    pub assessment: String,
}

/// What was wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// Too long to be what was asked for.
    #[error("the answer has {bytes} bytes, more than {MAX_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Nothing.
    #[error("the answer is empty")]
    Empty,
    /// A markdown fence around it.
    #[error("the answer is wrapped in a markdown fence; a bare JSON object was asked for")]
    Fenced,
    /// Something else than an object, or prose before it.
    #[error("the answer does not start with a JSON object")]
    NotAnObject,
    /// Not the object that was asked for: broken, unknown, missing or doubled fields, wrong types, or prose after it.
    #[error("the answer is not what was asked for: {0}")]
    Invalid(String),
    /// The action is neither of the two.
    #[error("the action is {0:?}, not \"scale\" or \"hold\"")]
    Action(String),
    /// More than all.
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

/// Reads an answer.
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
/// [`ReplyError`] says what was wrong.
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
