//! JSON: one object, an array, or one object a line.

use serde_json::Value;

use super::{ParseError, Place, Row, row};

pub(super) fn array(text: &str) -> Result<Vec<Row>, ParseError> {
    let values: Vec<Value> = serde_json::from_str(text).map_err(|error| json_error(&error, 1))?;
    if values.is_empty() {
        return Err(ParseError::new("line 1", "there is no sample: the array is empty"));
    }
    values.into_iter().enumerate().map(|(index, value)| row(value, Place::Element(index + 1))).collect()
}

/// JSON lines, or one object that may span lines.
pub(super) fn objects(text: &str) -> Result<Vec<Row>, ParseError> {
    if let Ok(Value::Object(map)) = serde_json::from_str(text) {
        return Ok(vec![row(Value::Object(map), Place::Line(1))?]);
    }
    let rows = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(|(index, line)| {
        let value = serde_json::from_str(line).map_err(|error| json_error(&error, index + 1))?;
        row(value, Place::Line(index + 1))
    });
    rows.collect()
}

fn json_error(error: &serde_json::Error, first_line: usize) -> ParseError {
    let line = first_line + error.line().saturating_sub(1);
    let text = error.to_string();
    // serde_json counts from the text it was given; the place is said once, in the file's own lines.
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    ParseError::new(format!("line {line} column {}", error.column()), format!("not JSON: {what}"))
}
