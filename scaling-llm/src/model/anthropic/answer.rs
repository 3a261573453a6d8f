//! From a body of the Messages API to an answer: pure.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::super::backend::{object, part, tokens, unusable};
use super::super::failure::failure;
use crate::{Completion, ModelError, Usage};

/// Fields that are read of an answer; unknown fields are the API's to add.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    content: Texts,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default, borrow)]
    usage: Option<&'a RawValue>,
}

/// The text blocks, joined. Thinking, and types that are not known yet, are skipped.
#[derive(Default)]
struct Texts(String);

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: String,
    /// Text, in a text block.
    #[serde(default, borrow)]
    text: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Blocks)
    }
}

struct Blocks;

impl<'de> Visitor<'de> for Blocks {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of content blocks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut blocks: A) -> Result<Texts, A::Error> {
        let mut text = String::new();
        while let Some(block) = blocks.next_element::<Block<'de>>()? {
            if block.kind == "text" {
                let raw = block.text.ok_or_else(|| Error::missing_field("text"))?;
                text.push_str(&serde_json::from_str::<String>(raw.get()).map_err(Error::custom)?);
            }
        }
        Ok(Texts(text))
    }
}

pub(super) fn read(status: u16, body: &[u8]) -> Result<Completion, ModelError> {
    if !(200..300).contains(&status) {
        return Err(failure(status, body));
    }
    let message: Message<'_> = serde_json::from_str(object(body)?).map_err(unusable)?;
    if message.kind != "message" {
        // Gateways put errors into answers that succeed.
        return Err(failure(status, body));
    }
    match message.stop_reason.as_deref() {
        Some("end_turn") => {}
        Some("max_tokens" | "model_context_window_exceeded") => return Err(ModelError::Truncated),
        Some("refusal") => return Err(ModelError::Refused),
        Some(other) => return Err(unusable(format_args!("it stopped for {other:?}"))),
        None => return Err(unusable("it does not say why it stopped")),
    }
    let text = message.content.0;
    if text.trim().is_empty() {
        return Err(unusable("it has no text"));
    }
    Ok(Completion { text, usage: usage(message.usage), request_id: None, model: message.model })
}

#[derive(Default, Deserialize)]
struct Counts<'a> {
    #[serde(default, borrow, rename = "input_tokens")]
    uncached: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "cache_read_input_tokens")]
    read: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "cache_creation_input_tokens")]
    written: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "output_tokens")]
    output: Option<&'a RawValue>,
}

/// The prompt is the sum of what was read from the cache, written to it, and neither.
fn usage(raw: Option<&RawValue>) -> Usage {
    let counts: Counts<'_> = part(raw);
    let (read, written) = (tokens(counts.read), tokens(counts.written));
    Usage {
        input_tokens: tokens(counts.uncached).saturating_add(read).saturating_add(written),
        output_tokens: tokens(counts.output),
        cache_read_tokens: read,
        cache_write_tokens: written,
    }
}
