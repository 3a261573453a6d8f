//! From the model's text to [`Advice`]: pure and strict.
//!
//! The text is exactly one JSON object of known fields, with white space around it at most. Prose around it is refused,
//! and so is a markdown fence: the object was asked for bare, and a server that constrains its output to [`SCHEMA`] gives it
//! bare, so a fence means that the constraint is not in force. Nothing is repaired, guessed or converted; a number is written as a
//! whole number, so `7.0` and `7e0` are refused.
//!
//! Assessment, action, size and confidence must be there. A server that does not constrain its output may leave out what is
//! suggested to people, which suggests nothing, and the requests of a pod, unless they are what the answer picks.

mod error;
mod fields;
mod number;

use std::borrow::Cow;

use serde::Deserialize;

pub use crate::advice::{Action, Advice, Resize, SuggestedWindow};
use crate::text::one_line;
pub use error::ReplyError;
use fields::some;
use number::Whole;

/// Longest answer that is read, in bytes. A longer one is refused unread.
pub const MAX_BYTES: usize = 4096;

/// Longest assessment that is kept, in characters. The rest is cut off.
pub const MAX_ASSESSMENT: usize = 500;

/// JSON schema of the answer, in the subset that Anthropic (`output_config.format`) and OpenAI-compatible servers (`strict`) both
/// accept: a flat object, every field required, no bounds but in words. Constant to the byte, because servers compile a schema on
/// first use; so no limits of a workload are in it, and they are checked afterwards.
pub const SCHEMA: &str = concat!(
    r#"{"type":"object","additionalProperties":false,"required":["assessment","action","target_replicas","#,
    r#""cpu_request_percent_of_now","memory_request_percent_of_now","confidence_percent","proposed_hpa_target_percent","#,
    r#""proposed_window_days","proposed_window_start_hour","proposed_window_end_hour","proposed_window_min_replicas"],"#,
    r#""properties":{"#,
    r#""assessment":{"type":"string","description":"one short sentence, at most 200 characters"},"#,
    r#""action":{"type":"string","enum":["scale","hold","resize"],"description":"hold keeps the baseline's decision, "#,
    r#"scale picks target_replicas instead, resize picks the requests of a pod instead"},"#,
    r#""target_replicas":{"type":"integer","#,
    r#""description":"total number of pods, not a change; from allowed.lowest to allowed.highest"},"#,
    r#""cpu_request_percent_of_now":{"type":"integer","#,
    r#""description":"CPU request of a pod in percent of the present one; 100 keeps it; within its allowed range"},"#,
    r#""memory_request_percent_of_now":{"type":"integer","#,
    r#""description":"memory request of a pod in percent of the present one; 100 keeps it; within its allowed range"},"#,
    r#""confidence_percent":{"type":"integer","description":"0 to 100"},"#,
    r#""proposed_hpa_target_percent":{"type":"integer","#,
    r#""description":"for people: a CPU target of the HPA, 10 to 95; 0 for none"},"#,
    r#""proposed_window_days":{"type":"string","enum":["none","every_day","weekdays","weekends"],"#,
    r#""description":"for people: days of a recurring window with more pods"},"#,
    r#""proposed_window_start_hour":{"type":"integer","description":"0 to 23, local time"},"#,
    r#""proposed_window_end_hour":{"type":"integer","description":"1 to 24, local time"},"#,
    r#""proposed_window_min_replicas":{"type":"integer","description":"pods that the window holds; 0 for none"}}}"#,
);

/// The fields as they come. Action and days are text here: an enum would also take `{"scale":null}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    target_replicas: Whole,
    confidence_percent: Whole,
    #[serde(borrow)]
    assessment: Cow<'a, str>,
    #[serde(default, deserialize_with = "some")]
    cpu_request_percent_of_now: Option<Whole>,
    #[serde(default, deserialize_with = "some")]
    memory_request_percent_of_now: Option<Whole>,
    #[serde(default, deserialize_with = "some")]
    proposed_hpa_target_percent: Option<Whole>,
    #[serde(borrow, default, deserialize_with = "some")]
    proposed_window_days: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "some")]
    proposed_window_start_hour: Option<Whole>,
    #[serde(default, deserialize_with = "some")]
    proposed_window_end_hour: Option<Whole>,
    #[serde(default, deserialize_with = "some")]
    proposed_window_min_replicas: Option<Whole>,
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
    let raw: Raw<'_> =
        serde_json::from_str(object).map_err(|error| ReplyError::Invalid(error::quoted(&error.to_string())))?;
    let percent = u8::try_from(raw.confidence_percent.0).ok().filter(|percent| *percent <= 100);
    Ok(Advice {
        action: raw.action()?,
        target_replicas: raw.target_replicas.0,
        confidence_percent: percent.ok_or(ReplyError::Confidence(raw.confidence_percent.0))?,
        suggested_target_percent: raw.suggested_target()?,
        suggested_window: raw.suggested_window()?,
        assessment: one_line(&raw.assessment, MAX_ASSESSMENT),
    })
}
