//! CSV with a header of field names.

#[cfg(feature = "csv")]
use serde_json::Value;

use super::{ParseError, Row};
#[cfg(feature = "csv")]
use super::{Place, row};

#[cfg(not(feature = "csv"))]
pub(super) fn rows(_: &str) -> Result<Vec<Row>, ParseError> {
    Err(ParseError::new("line 1", "not JSON, and CSV is not built in (feature `csv`)"))
}

#[cfg(feature = "csv")]
pub(super) fn rows(text: &str) -> Result<Vec<Row>, ParseError> {
    let place = |error: &::csv::Error, line: usize| {
        let line = error.position().map_or(line as u64, ::csv::Position::line);
        ParseError::new(format!("line {line}"), error.to_string())
    };
    let mut reader = ::csv::ReaderBuilder::new().trim(::csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| place(&error, 1))?.clone();
    let mut rows = Vec::new();
    let mut record = ::csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| place(&error, rows.len() + 2))? {
        let line = record.position().and_then(|position| usize::try_from(position.line()).ok());
        let cells = header.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
        let map = cells
            .map(|(name, cell)| {
                // Numbers as numbers, all else as text, which `row` then takes or refuses by name.
                let number = cell.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
                (name.to_owned(), number.map_or_else(|| Value::String(cell.to_owned()), Value::Number))
            })
            .collect();
        rows.push(row(Value::Object(map), Place::Line(line.unwrap_or(rows.len() + 2)))?);
    }
    if rows.is_empty() {
        return Err(ParseError::new("line 1", "there is no sample: only a header, or neither JSON nor CSV"));
    }
    Ok(rows)
}
