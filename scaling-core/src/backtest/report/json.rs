//! [`Lines`]: JSON with a line for each field of an object, and none for each number of a list: charts have thousands.

use std::io::{self, Write};

use serde_json::ser::{Formatter, PrettyFormatter};

/// Writes objects as `serde_json` does for people, and lists on one line.
#[derive(Default)]
pub(super) struct Lines(PrettyFormatter<'static>);

impl Formatter for Lines {
    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::{Serializer, Value, json};

    use super::*;

    #[test]
    fn lists_take_one_line_and_fields_one_each() {
        let value = json!({"name": "a", "points": [1.5, null, 2.0], "rows": [{"x": 1}, {"x": []}], "none": {}});
        let mut bytes = Vec::new();
        value.serialize(&mut Serializer::with_formatter(&mut bytes, Lines::default())).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("\n  \"points\": [1.5,null,2.0]"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
