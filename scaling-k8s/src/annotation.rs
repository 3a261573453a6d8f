//! Annotations of ours at an HPA: JSON of a known length and version, under a field manager of ours, made for one object.
//!
//! An annotation is checked before it is used: an owner may copy a manifest with everything in it, edit it, or delete the object and make it
//! anew. The reasons are the same for each annotation.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ownership::entries;

/// Longest name of a field manager that the API server takes, in bytes.
pub(crate) const MAX_MANAGER: usize = 128;

/// Reasons why an annotation of ours tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DamagedText {
    /// Another field manager wrote it: a manifest was copied with everything in it, or somebody has set it by hand.
    #[error("another field manager wrote it")]
    Foreign,
    /// It was made for another object of the same name.
    #[error("it was made for an earlier object of this name")]
    OtherObject,
    /// It is no text.
    #[error("it is no text")]
    NoText,
    /// It is longer than any that we write.
    #[error("it has {bytes} bytes; at most {most} are read")]
    TooLong {
        /// Length, in bytes.
        bytes: usize,
        /// Longest that is read, in bytes.
        most: usize,
    },
    /// It is not what we write.
    #[error("it cannot be read: {why}")]
    Unreadable {
        /// Fault, with its place.
        why: String,
    },
    /// A newer release wrote it.
    #[error("it is of version {found}, and this release reads version {read}")]
    Version {
        /// Version in the text.
        found: u64,
        /// Version that is read.
        read: u64,
    },
}

/// The annotation of this key, whatever it is; none if there is none.
pub(crate) fn value<'a>(hpa: &'a Value, key: &str) -> Option<&'a Value> {
    hpa.pointer("/metadata/annotations")?.get(key)
}

/// Returns true if the annotation of this key was applied by the field manager, whatever it says.
pub(crate) fn is_applied(hpa: &Value, key: &str, manager: &str) -> bool {
    let field = format!("f:{key}");
    entries(hpa).any(|entry| entry.is_applied_by(manager) && entry.owns(&["f:metadata", "f:annotations", &field]))
}

/// The text of the annotation of this key; none if there is none. Where the metadata carry no managed fields, as in a cache that leaves
/// them out, nobody else counts as its owner.
pub(crate) fn text<'a>(hpa: &'a Value, key: &str, manager: &str) -> Result<Option<&'a str>, DamagedText> {
    let Some(value) = value(hpa, key) else { return Ok(None) };
    if entries(hpa).next().is_some() && !is_applied(hpa, key, manager) {
        return Err(DamagedText::Foreign);
    }
    value.as_str().map(Some).ok_or(DamagedText::NoText)
}

/// Reads a text of at most so many bytes.
pub(crate) fn read<T: DeserializeOwned>(text: &str, most: usize) -> Result<T, DamagedText> {
    if text.len() > most {
        return Err(DamagedText::TooLong { bytes: text.len(), most });
    }
    serde_json::from_str(text).map_err(|error| unreadable(&error))
}

/// Reads a text of at most so many bytes whose field `v` says that it is of this version.
pub(crate) fn read_version<T: DeserializeOwned>(text: &str, most: usize, version: u64) -> Result<T, DamagedText> {
    let value: Value = read(text, most)?;
    if let Some(found) = value.get("v").and_then(Value::as_u64).filter(|found| *found != version) {
        return Err(DamagedText::Version { found, read: version });
    }
    serde_json::from_value(value).map_err(|error| unreadable(&error))
}

/// Refuses what was made for an object of another identity, where both are known.
pub(crate) fn check_object(hpa: &Value, made_for: Option<&str>) -> Result<(), DamagedText> {
    let uid = hpa.pointer("/metadata/uid").and_then(Value::as_str);
    let is_other = made_for.zip(uid).is_some_and(|(made_for, uid)| made_for != uid);
    if is_other { Err(DamagedText::OtherObject) } else { Ok(()) }
}

/// A manager of ours for something else than the bounds: the name with an ending, of no more bytes than the API server takes.
pub(crate) fn derived(manager: &str, ending: &str) -> String {
    let most = MAX_MANAGER - ending.len();
    let end = (0..=most.min(manager.len())).rev().find(|end| manager.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{ending}", manager.get(..end).unwrap_or_default())
}

fn unreadable(error: &serde_json::Error) -> DamagedText {
    DamagedText::Unreadable { why: error.to_string() }
}
