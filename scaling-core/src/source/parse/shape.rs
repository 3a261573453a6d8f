//! The shape of a text in columns, before any of it is read: where the table begins, what separates its fields, whether it has a head.

use super::cell::{Cell, Comma, cell};
use super::instants::is_plainly_instant;

/// Lines that a delimiter is looked for in.
const TRIED: usize = 20;

/// Skips what some programs write before the header: Excel's `sep=;`, comments that begin with `#`. The header itself may begin so,
/// if numbers follow.
pub(super) fn preamble(text: &str) -> (usize, &str) {
    let (mut skipped, mut rest) = (0, text);
    loop {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = line.trim();
        let is_header = || {
            let next = after.lines().next().unwrap_or_default();
            next.trim_start().starts_with(|c: char| c.is_ascii_digit() || c == '"')
        };
        if trimmed.is_empty() && !after.is_empty() || trimmed.to_ascii_lowercase().starts_with("sep=") {
            (skipped, rest) = (skipped + 1, after);
        } else if let Some(comment) = trimmed.strip_prefix('#') {
            if is_header() {
                return (skipped, rest.trim_start().strip_prefix('#').unwrap_or(rest));
            }
            if comment.is_empty() && after.is_empty() {
                return (skipped, rest);
            }
            (skipped, rest) = (skipped + 1, after);
        } else {
            return (skipped, rest);
        }
    }
}

/// Finds the delimiter that cuts the first lines into the most fields, as many in each.
pub(super) fn delimiter(text: &str) -> u8 {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).take(TRIED).collect();
    let count = |line: &str, delimiter: u8| {
        let mut inside = false;
        let outside = line.bytes().filter(|byte| {
            inside ^= *byte == b'"';
            *byte == delimiter && !inside
        });
        outside.count()
    };
    let even = |delimiter: u8| {
        let counts: Vec<usize> = lines.iter().map(|line| count(line, delimiter)).collect();
        let first = counts.first().copied().unwrap_or_default();
        // One torn line among many is a fault of that line.
        let same = counts.iter().filter(|count| **count == first).count();
        (first > 0 && same * 5 >= counts.len() * 4).then_some(first)
    };
    // A comma stands inside numbers and queries, too: the others come first.
    b";\t|,".iter().copied().find(|delimiter| even(*delimiter).is_some()).unwrap_or_else(|| {
        let head = lines.first().copied().unwrap_or_default();
        b",;\t|".iter().copied().max_by_key(|delimiter| (count(head, *delimiter), *delimiter == b',')).unwrap_or(b',')
    })
}

/// True if the first line holds values: numbers, dates and words for nothing, and at least one that is something.
pub(super) fn is_headless(first: &[String], comma: Comma) -> bool {
    let value = |text: &String| cell(text, comma).is_ok() || is_plainly_instant(text);
    first.len() > 1 && first.iter().all(value) && first.iter().any(|text| cell(text, comma) != Ok(Cell::Missing))
}
