//! [`Decimals`]: how a table writes its decimals, which no single number can say.

use super::Place;
use super::cell::{Cell, Comma, cell, has_decimal_comma};
use super::error::ParseError;
use super::note::Note;
use super::rows::Sheet;

/// Notation of decimals, over the whole text.
pub(super) struct Decimals {
    comma: Comma,
    /// True once a decimal comma was there.
    seen: bool,
    /// First number with a point before three digits: `1.234`.
    dotted: Option<(Place, String)>,
}

impl Decimals {
    pub(super) fn new(comma: Comma) -> Self {
        Self { comma, seen: false, dotted: None }
    }

    pub(super) fn read(&mut self, text: &str, place: Place) -> Result<Cell, &'static str> {
        let read = cell(text, self.comma)?;
        if text.contains(',') && has_decimal_comma(text) {
            self.seen = true;
        } else if self.comma == Comma::Decimal
            && self.dotted.is_none()
            && text.split_once('.').is_some_and(|(whole, decimals)| decimals.len() == 3 && whole.len() <= 3)
        {
            self.dotted = Some((place, text.to_owned()));
        }
        Ok(read)
    }

    pub(super) fn conclude(self, sheet: &mut Sheet<'_>) -> Result<(), ParseError> {
        if !self.seen {
            return Ok(());
        }
        if let Some((place, text)) = self.dotted {
            return Err(ParseError::new(
                place,
                format!("{text:?} is ambiguous beside decimal commas: its point may group thousands"),
            ));
        }
        sheet.notes.push(Note::DecimalComma);
        Ok(())
    }
}
