//! From a body of chat completions to an answer: pure.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::super::backend::{object, part, tokens, unusable};
use super::super::failure::failure;
use crate::{Completion, ModelError, Usage};

/// Fields that are read of an answer; unknown fields are each server's own.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    choices: Only<Choice>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default, borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

/// The element of a list of at most one.
struct Only<T>(Option<T>);

impl<T> Default for Only<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Only<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(OnlyVisitor(PhantomData))
    }
}

struct OnlyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyVisitor<T> {
    type Value = Only<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of one choice")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Only<T>, A::Error> {
        let first = list.next_element()?;
        match list.next_element::<IgnoredAny>()? {
            Some(_) => Err(Error::custom("there are several choices")),
            None => Ok(Only(first)),
        }
    }
}

pub(super) fn read(status: u16, body: &[u8]) -> Result<Completion, ModelError> {
    if !(200..300).contains(&status) {
        return Err(failure(status, body));
    }
    let envelope: Envelope<'_> = serde_json::from_str(object(body)?).map_err(unusable)?;
    if envelope.error.is_some() {
        // Gateways put errors into answers that succeed.
        return Err(failure(status, body));
    }
    let choice = envelope.choices.0.ok_or_else(|| unusable("it has no choice"))?;
    if choice.message.refusal.is_some_and(|refusal| !refusal.is_empty()) {
        return Err(ModelError::Refused);
    }
    match choice.finish_reason.as_deref() {
        Some("stop") => {}
        Some("length") => return Err(ModelError::Truncated),
        Some("content_filter") => return Err(ModelError::Refused),
        Some(other) => return Err(unusable(format_args!("it stopped for {other:?}"))),
        None => return Err(unusable("it does not say why it stopped")),
    }
    let text = choice.message.content.filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| unusable("it has no text"))?;
    Ok(Completion { text, usage: usage(envelope.usage), request_id: None, model: envelope.model })
}

#[derive(Default, Deserialize)]
struct Counts<'a> {
    #[serde(default, borrow)]
    prompt_tokens: Option<&'a RawValue>,
    #[serde(default, borrow)]
    completion_tokens: Option<&'a RawValue>,
    #[serde(default, borrow)]
    prompt_tokens_details: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Details<'a> {
    #[serde(default, borrow, rename = "cached_tokens")]
    read: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "cache_write_tokens")]
    written: Option<&'a RawValue>,
}

fn usage(raw: Option<&RawValue>) -> Usage {
    let counts: Counts<'_> = part(raw);
    let details: Details<'_> = part(counts.prompt_tokens_details);
    Usage {
        input_tokens: tokens(counts.prompt_tokens),
        output_tokens: tokens(counts.completion_tokens),
        cache_read_tokens: tokens(details.read),
        cache_write_tokens: tokens(details.written),
    }
}

/// A text without one `<think>…</think>` before it, and then without one markdown fence around all of it, marked `json` or not at
/// all. A text that is neither stays as it is.
pub(super) fn bare(text: &str) -> &str {
    let thought = text.trim_start().strip_prefix("<think>").and_then(|rest| rest.split_once("</think>"));
    let text = thought.map_or(text, |(_, rest)| rest);
    let inside = text.trim().strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    let inside = inside.filter(|inside| !inside.contains("```")).and_then(|inside| inside.split_once('\n'));
    match inside {
        Some((mark, inside)) if matches!(mark.trim_end(), "" | "json" | "JSON") => inside,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thought_and_one_fence_are_taken_off_and_nothing_else() {
        for (text, expected) in [
            ("{}", "{}"),
            (" {} ", " {} "),
            ("<think>6 or 7?\n</think>\n{}", "\n{}"),
            ("\n<think></think>{}", "{}"),
            ("```json\n{}\n```", "{}\n"),
            (" ```\r\n{}```\n", "{}"),
            ("<think>x</think>\n\n```json\n{}\n```", "{}\n"),
        ] {
            assert_eq!(bare(text), expected, "{text}");
        }
        for left in [
            "Here you are: ```json\n{}\n```",
            "```json\n{}\n```\nDone.",
            "```json\n{}\n```\n```json\n{}\n```",
            "```yaml\na: 1\n```",
            "```json {}```",
            "```",
            "``````",
            "<think>without an end {}",
            "{}<think>later</think>",
            "<thinking>other</thinking>{}",
        ] {
            assert_eq!(bare(left), left);
        }
        assert_eq!(bare("<think>a</think><think>b</think>{}"), "<think>b</think>{}");
    }
}
