//! What the answers of JSON services have in common: numbers that may be none, texts that are no answer, calls that failed.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use crate::http::HttpError;
use crate::metrics::Absence;

/// Where a text stops being an answer, with nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct Malformed {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Kind of the fault.
    pub what: &'static str,
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        let what = match error.classify() {
            serde_json::error::Category::Eof => "it ends early",
            serde_json::error::Category::Syntax => "not JSON",
            serde_json::error::Category::Data | serde_json::error::Category::Io => "another form",
        };
        Self { line: error.line(), column: error.column(), what }
    }
}

/// A value of a bucket: a number, `null`, or the name of what is no number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::source) struct Number(pub(in crate::source) Result<f64, Absence>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl de::Visitor<'_> for NumberVisitor {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or null")
            }
            fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
                Ok(Number(if value.is_finite() { Ok(value) } else { Err(Absence::NotFinite) }))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
                Ok(Number(Ok(value as f64)))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
                Ok(Number(Ok(value as f64)))
            }
            fn visit_unit<E>(self) -> Result<Number, E> {
                Ok(Number(Err(Absence::NotMeasured)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                match text.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str() {
                    "nan" | "inf" | "infinity" => Ok(Number(Err(Absence::NotFinite))),
                    _ => Err(E::invalid_type(de::Unexpected::Other("text"), &self)),
                }
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// What went wrong with a call, without its address and without anything of an answer.
pub(in crate::source) fn cause(error: &HttpError) -> String {
    match error {
        HttpError::Timeout { after, attempts, .. } => {
            format!("no answer within {} s ({attempts} attempts)", after.as_secs_f64())
        }
        HttpError::Status { status, .. } => format!("status {status}"),
        other => other.to_string(),
    }
}
