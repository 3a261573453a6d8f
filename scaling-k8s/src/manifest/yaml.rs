//! From text to documents of plain JSON values, as `kubectl` and the API server make them.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};

use super::scalar;

/// Deepest nesting: custom resource definitions, which may stand beside an HPA, have about 40.
const MAX_DEPTH: usize = 128;
/// Most nodes of a document, each alias counted as often as it is used.
const MAX_NODES: usize = 400_000;

/// One document of a stream.
#[derive(Debug)]
pub(super) struct Document<'a> {
    /// Line at which it begins, from 1.
    pub(super) line: usize,
    /// Place of its text in the whole text, in bytes.
    pub(super) offset: usize,
    pub(super) text: &'a str,
    /// Its content; null if there is none but comments.
    pub(super) content: Result<Tree, Fault>,
}

/// Content of a document.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) value: Value,
    /// Paths of the keys that stand more than once in one mapping.
    pub(super) duplicates: Vec<String>,
}

/// Reasons why a document is no YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Line in the whole text, from 1.
    pub(super) line: usize,
    pub(super) what: String,
}

/// Splits a stream where `kubectl` splits it, at each line that begins with `---`, and reads every part by itself.
pub(super) fn documents(text: &str) -> Vec<Document<'_>> {
    let whole = text.len();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mark = whole - text.len();
    let mut documents = Vec::new();
    let (mut begin, mut line, mut at, mut number) = (0, 1, 0, 1);
    for piece in text.split_inclusive('\n') {
        if piece.starts_with("---") {
            documents.push(document(text.get(begin..at).unwrap_or_default(), line, mark + begin));
            // What stands on the same line after the mark belongs to the document: `--- {kind: …}`.
            (begin, line) = (at + 3, number);
        }
        at += piece.len();
        number += 1;
    }
    documents.push(document(text.get(begin..).unwrap_or_default(), line, mark + begin));
    documents
}

fn document(text: &str, line: usize, offset: usize) -> Document<'_> {
    let content = read(text).map_err(|fault| Fault { line: fault.line + line - 1, ..fault });
    Document { line, offset, text, content }
}

fn read(text: &str) -> Result<Tree, Fault> {
    // In JSON 70.0 is no integer; in YAML it becomes one.
    let json = text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let mut builder = Builder { json, ..Builder::default() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Fault { line: error.marker().line(), what: error.info() })?;
        let end = matches!(event, Event::DocumentEnd);
        builder.take(event).map_err(|what| Fault { line: span.start.line(), what })?;
        if end {
            break;
        }
    }
    Ok(Tree { value: builder.root, duplicates: builder.duplicates })
}

/// A collection that is not yet complete.
enum Open {
    Sequence(Vec<Value>),
    Mapping { fields: Map<String, Value>, merged: Vec<Value>, key: Option<String> },
}

struct Frame {
    open: Open,
    anchor: usize,
    /// Nodes that were there before it.
    before: usize,
}

#[derive(Default)]
struct Builder {
    json: bool,
    root: Value,
    frames: Vec<Frame>,
    /// Anchored values with their sizes.
    anchors: HashMap<usize, (Value, usize)>,
    nodes: usize,
    duplicates: Vec<String>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1)?;
                if self.awaits_key() {
                    let merge = text == "<<" && style == ScalarStyle::Plain;
                    let key =
                        if merge { None } else { Some(key(&scalar(&text, style, tag.as_deref(), false)?, &text)?) };
                    self.key(key.unwrap_or_else(|| MERGE.to_owned()));
                } else {
                    let value = scalar(&text, style, tag.as_deref(), self.json)?;
                    self.put(value, anchor, 1);
                }
            }
            Event::SequenceStart(_, anchor, _) => self.open(Open::Sequence(Vec::new()), anchor)?,
            Event::MappingStart(_, anchor, _) => {
                self.open(Open::Mapping { fields: Map::new(), merged: Vec::new(), key: None }, anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Frame { open, anchor, before }) = self.frames.pop() else { return Ok(()) };
                let value = match open {
                    Open::Sequence(items) => Value::Array(items),
                    Open::Mapping { fields, merged, .. } => Value::Object(with_merged(fields, merged)?),
                };
                self.put(value, anchor, self.nodes - before);
            }
            Event::Alias(anchor) => {
                let size = self.anchors.get(&anchor).map(|(_, size)| *size);
                self.count(size.ok_or("an alias stands within its own anchor")?)?;
                let Some((value, size)) = self.anchors.get(&anchor).cloned() else { return Ok(()) };
                if self.awaits_key() {
                    let written = value.as_str().unwrap_or_default().to_owned();
                    self.key(key(&value, &written)?);
                } else {
                    self.put(value, 0, size);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES { Err(format!("more than {MAX_NODES} values, aliases included")) } else { Ok(()) }
    }

    fn open(&mut self, open: Open, anchor: usize) -> Result<(), String> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(format!("nested more than {MAX_DEPTH} deep"));
        }
        if self.awaits_key() {
            return Err("a key must be a scalar".to_owned());
        }
        let before = self.nodes;
        self.count(1)?;
        self.frames.push(Frame { open, anchor, before });
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { open: Open::Mapping { key: None, .. }, .. }))
    }

    fn key(&mut self, new: String) {
        let path = self.path();
        if let Some(Frame { open: Open::Mapping { fields, key, .. }, .. }) = self.frames.last_mut() {
            if fields.contains_key(&new) {
                self.duplicates.push(super::diff::joined(&path, &new));
            }
            *key = Some(new);
        }
    }

    /// Path of the innermost collection.
    fn path(&self) -> String {
        let mut path = String::new();
        for Frame { open, .. } in &self.frames {
            match open {
                Open::Sequence(items) => path = format!("{path}[{}]", items.len()),
                Open::Mapping { key: Some(key), .. } => path = super::diff::joined(&path, key),
                Open::Mapping { .. } => {}
            }
        }
        path
    }

    fn put(&mut self, value: Value, anchor: usize, size: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), size));
        }
        match self.frames.last_mut().map(|frame| &mut frame.open) {
            None => self.root = value,
            Some(Open::Sequence(items)) => items.push(value),
            Some(Open::Mapping { fields, merged, key }) => match key.take() {
                Some(key) if key == MERGE => merged.push(value),
                Some(key) => {
                    fields.insert(key, value);
                }
                None => {}
            },
        }
    }
}

/// Stands for a plain `<<`. No key can be written so: NUL is not allowed in YAML.
const MERGE: &str = "\0<<";

/// Merges fill in: entries of the mapping itself win, and so do those that are merged first.
fn with_merged(mut fields: Map<String, Value>, merged: Vec<Value>) -> Result<Map<String, Value>, String> {
    for value in merged {
        let sources = if let Value::Array(sources) = value { sources } else { vec![value] };
        for source in sources {
            let Value::Object(source) = source else { return Err("<< merges mappings only".to_owned()) };
            for (key, value) in source {
                fields.entry(key).or_insert(value);
            }
        }
    }
    Ok(fields)
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, json: bool) -> Result<Value, String> {
    let meant = || {
        let float = json && text.contains(['.', 'e', 'E']);
        let exact = float.then(|| serde_json::from_str::<Value>(text).ok()).flatten().filter(Value::is_number);
        exact.unwrap_or_else(|| scalar::plain(text))
    };
    let core = tag.and_then(Tag::core_suffix);
    match (tag, core) {
        (None, _) if style == ScalarStyle::Plain => Ok(meant()),
        (None, _) | (Some(_), Some("str") | None) => Ok(text.into()),
        (Some(_), Some(core)) => {
            let value = meant();
            let fits = match core {
                "int" => value.is_i64() || value.is_u64(),
                "float" => value.is_number(),
                "bool" => value.is_boolean(),
                "null" => value.is_null(),
                _ => false,
            };
            if fits { Ok(value) } else { Err(format!("cannot decode {text:?} as a !!{core}")) }
        }
    }
}

/// Keys are text in JSON; a number or a boolean becomes the text of its value.
fn key(value: &Value, written: &str) -> Result<String, String> {
    match value {
        Value::String(key) => Ok(key.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(format!("{written:?} cannot be a key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(text: &str) -> Value {
        read(text).unwrap().value
    }

    #[test]
    fn documents_are_split_at_their_marks_and_may_be_empty() {
        let text = "# head\n---\na: 1\n--- # why\nb: |\n  x\n  --- y\n---\n# nothing\n";
        let found = documents(text);
        let values: Vec<_> = found.iter().map(|document| document.content.as_ref().unwrap().value.clone()).collect();
        assert_eq!(values, [json!(null), json!({ "a": 1 }), json!({ "b": "x\n--- y\n" }), json!(null)]);
        assert_eq!(found.iter().map(|document| document.line).collect::<Vec<_>>(), [1, 2, 4, 8]);
        assert_eq!(documents("--- {a: 1}\n")[1].content.as_ref().unwrap().value, json!({ "a": 1 }));
    }

    #[test]
    fn a_fault_has_its_line_in_the_whole_text() {
        let found = documents("a: 1\n---\nb: [\n---\nc: 3\n");
        assert_eq!(found[2].content.as_ref().unwrap().value, json!({ "c": 3 }));
        let fault = found[1].content.as_ref().unwrap_err();
        assert!((3..=4).contains(&fault.line) && !fault.what.is_empty(), "{fault:?}");
    }

    #[test]
    fn keys_that_stand_twice_are_told_with_their_path() {
        let tree = read("a: {b: [{c: 1}, {c: 1, c: 2}]}\na: 3\nx.y: 1\nx.y: 2\n").unwrap();
        assert_eq!(tree.duplicates, ["a.b[1].c", "a", "x.y"]);
    }

    #[test]
    fn anchors_merges_and_tags() {
        assert_eq!(
            value("a: &a {x: 1, z: 2}\nb: {<<: *a, x: 3}\nc: *a"),
            json!({ "a": { "x": 1, "z": 2 }, "b": { "x": 3, "z": 2 }, "c": { "x": 1, "z": 2 } })
        );
        assert_eq!(value("[!!str 5, !!int 5, '5', \"5\", 5, yes, 'yes']"), json!(["5", 5, "5", "5", 5, true, "yes"]));
        assert_eq!(value("{on: 1, 012: 2}"), json!({ "true": 1, "10": 2 }));
        assert!(read("!!int five").is_err() && read("&a [*a]").is_err() && read("{[a]: 1}").is_err());
    }

    #[test]
    fn in_json_a_fraction_of_nothing_is_no_integer() {
        assert_eq!(value("{\"a\": 70.0}"), json!({ "a": 70.0 }));
        assert!(value("{\"a\": 70.0}")["a"].is_f64() && value("a: 70.0")["a"].is_i64());
    }
}
