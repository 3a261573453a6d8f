//! From text to documents of plain JSON values, as `kubectl` and the API server make them.

mod size;

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};

use super::scalar;
use size::{Copies, Size};

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
    let (mut documents, mut copies) = (Vec::new(), Copies::default());
    let (mut begin, mut line, mut at, mut number) = (0, 1, 0, 1);
    for piece in text.split_inclusive('\n') {
        if piece.starts_with("---") {
            documents.push(document(text.get(begin..at).unwrap_or_default(), line, mark + begin, &mut copies));
            // What stands on the same line after the mark belongs to the document: `--- {kind: …}`.
            (begin, line) = (at + 3, number);
        }
        at += piece.len();
        number += 1;
    }
    documents.push(document(text.get(begin..).unwrap_or_default(), line, mark + begin, &mut copies));
    documents
}

fn document<'a>(text: &'a str, line: usize, offset: usize, copies: &mut Copies) -> Document<'a> {
    let content = read(text, copies).map_err(|fault| Fault { line: fault.line + line - 1, ..fault });
    Document { line, offset, text, content }
}

fn read(text: &str, copies: &mut Copies) -> Result<Tree, Fault> {
    // In JSON 70.0 is no integer; in YAML it becomes one.
    let json = text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let mut builder = Builder {
        json,
        root: Value::Null,
        frames: Vec::new(),
        anchors: HashMap::new(),
        size: Size::default(),
        copies,
        duplicates: Vec::new(),
    };
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
    /// Size of what was there before it.
    before: Size,
}

struct Builder<'c> {
    json: bool,
    root: Value,
    frames: Vec<Frame>,
    /// Anchored values with their sizes.
    anchors: HashMap<usize, (Value, Size)>,
    size: Size,
    copies: &'c mut Copies,
    duplicates: Vec<String>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let size = Size::of(&text);
                self.count(size)?;
                if self.awaits_key() {
                    let merge = text == "<<" && style == ScalarStyle::Plain;
                    if merge {
                        return self.key(MERGE.to_owned());
                    }
                    let value = scalar(&text, style, tag.as_deref(), false)?;
                    self.keep(&value, anchor, size)?;
                    self.key(key(&value, &text)?)?;
                } else {
                    let value = scalar(&text, style, tag.as_deref(), self.json)?;
                    self.put(value, anchor, size)?;
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
                self.put(value, anchor, self.size - before)?;
            }
            Event::Alias(anchor) => {
                let size = self.anchors.get(&anchor).map(|(_, size)| *size);
                let size = size.ok_or("an alias stands within its own anchor")?;
                self.count(size)?;
                self.copies.take(size)?;
                let Some((value, _)) = self.anchors.get(&anchor).cloned() else { return Ok(()) };
                if self.awaits_key() {
                    let written = value.as_str().unwrap_or_default().to_owned();
                    self.key(key(&value, &written)?)?;
                } else {
                    self.put(value, 0, size)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, size: Size) -> Result<(), String> {
        self.size = self.size + size;
        if self.size.values > MAX_NODES {
            Err(format!("more than {MAX_NODES} values, aliases included"))
        } else {
            Ok(())
        }
    }

    fn open(&mut self, open: Open, anchor: usize) -> Result<(), String> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(format!("nested more than {MAX_DEPTH} deep"));
        }
        if self.awaits_key() {
            return Err("a key must be a scalar".to_owned());
        }
        let before = self.size;
        self.count(Size::of(""))?;
        self.frames.push(Frame { open, anchor, before });
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { open: Open::Mapping { key: None, .. }, .. }))
    }

    fn key(&mut self, new: String) -> Result<(), String> {
        let Some(Frame { open: Open::Mapping { fields, .. }, .. }) = self.frames.last() else { return Ok(()) };
        if fields.contains_key(&new) {
            let path = super::diff::joined(&self.path(), &new);
            self.copies.take(Size { values: 0, bytes: path.len() })?;
            self.duplicates.push(path);
        }
        if let Some(Frame { open: Open::Mapping { key, .. }, .. }) = self.frames.last_mut() {
            *key = Some(new);
        }
        Ok(())
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

    /// Keeps a value for the aliases of its anchor, if it has one.
    fn keep(&mut self, value: &Value, anchor: usize, size: Size) -> Result<(), String> {
        if anchor > 0 {
            self.copies.take(size)?;
            self.anchors.insert(anchor, (value.clone(), size));
        }
        Ok(())
    }

    fn put(&mut self, value: Value, anchor: usize, size: Size) -> Result<(), String> {
        self.keep(&value, anchor, size)?;
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
        Ok(())
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
mod tests;
