//! The form of an answer: [`AnswerFormat`].

use serde_json::value::RawValue;

use super::SetupError;
use crate::reply;

/// Form in which a back end makes a model answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerFormat {
    /// One JSON object of [`reply::SCHEMA`]: advice to an engine.
    #[default]
    Advice,
    /// Free text: an explanation for people.
    Text,
    /// One JSON object of a schema of one's own. Both APIs take less than all of JSON Schema: every property in `required`,
    /// `additionalProperties: false`, no bounds and lengths.
    Schema {
        /// Name of the schema, of `A-Z a-z 0-9 _ -`, at most 64.
        name: String,
        /// The schema, as JSON text. Its bytes are sent as they are: servers compile a schema on first use and keep it.
        schema: String,
    },
}

/// A schema as it is sent.
#[derive(Clone, Debug)]
pub(super) struct NamedSchema {
    pub(super) name: String,
    pub(super) schema: Box<RawValue>,
}

impl AnswerFormat {
    /// Returns the schema, if there is one.
    pub(super) fn schema(&self) -> Result<Option<NamedSchema>, SetupError> {
        let (name, schema) = match self {
            Self::Text => return Ok(None),
            Self::Advice => ("scaling_decision", reply::SCHEMA),
            Self::Schema { name, schema } => (name.as_str(), schema.as_str()),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(SetupError::setting("schema", format!("{name:?} is no name of a schema")));
        }
        let fault = |what: String| SetupError::setting("schema", what);
        if !schema.trim_start().starts_with('{') {
            return Err(fault("it is no JSON object".into()));
        }
        let schema = RawValue::from_string(schema.trim().to_owned()).map_err(|error| fault(error.to_string()))?;
        Ok(Some(NamedSchema { name: name.to_owned(), schema }))
    }
}
