//! Places of keys and values in the text of one document.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::{Event, Parser, StructureStyle};

/// Place of one entry of a mapping.
#[derive(Clone, Debug, PartialEq)]
struct Spot {
    key: Range<usize>,
    value: Range<usize>,
}

/// The entries of one mapping whose values are scalars, and where the first entry stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Spots {
    flow: bool,
    first_key: Option<Range<usize>>,
    entries: BTreeMap<String, Spot>,
}

/// A change of a text: what goes, and what comes in its place.
pub(super) type Edit = (Range<usize>, String);

enum Open {
    Sequence { next: usize },
    Mapping { key: Option<(String, Range<usize>)> },
}

struct Frame {
    open: Open,
    /// Length of the path of the collection itself.
    path: usize,
}

/// Reads events with the path of each: what is before a value is the path of its mapping and its key.
pub(super) struct Walk {
    frames: Vec<Frame>,
    path: String,
}

impl Walk {
    pub(super) fn new() -> Self {
        Self { frames: Vec::new(), path: String::new() }
    }

    /// Path of the value that comes next, as a JSON pointer.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Returns true if a key comes next.
    pub(super) fn awaits_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { open: Open::Mapping { key: None }, .. }))
    }

    pub(super) fn take(&mut self, event: &Event<'_>, span: Range<usize>) {
        match event {
            Event::Scalar(text, ..) if self.awaits_key() => self.enter(text.to_string(), span),
            Event::Alias(_) if self.awaits_key() => self.enter(String::new(), span),
            Event::SequenceStart(..) => self.open(Open::Sequence { next: 0 }),
            Event::MappingStart(..) => self.open(Open::Mapping { key: None }),
            Event::SequenceEnd | Event::MappingEnd => {
                self.frames.pop();
                self.done();
            }
            Event::Scalar(..) | Event::Alias(_) => self.done(),
            _ => {}
        }
    }

    fn open(&mut self, open: Open) {
        self.frames.push(Frame { open, path: self.path.len() });
        self.step();
    }

    fn enter(&mut self, name: String, span: Range<usize>) {
        if let Some(Frame { open: Open::Mapping { key }, .. }) = self.frames.last_mut() {
            *key = Some((name, span));
        }
        self.step();
    }

    /// A value is complete.
    fn done(&mut self) {
        match self.frames.last_mut().map(|frame| &mut frame.open) {
            Some(Open::Sequence { next }) => *next += 1,
            Some(Open::Mapping { key }) => *key = None,
            None => {}
        }
        self.step();
    }

    /// Renews the last step of the path alone: keys may be long, and there may be many.
    fn step(&mut self) {
        let Some(Frame { open, path }) = self.frames.last() else { return self.path.clear() };
        self.path.truncate(*path);
        self.path.push('/');
        match open {
            Open::Sequence { next } => self.path.push_str(&next.to_string()),
            Open::Mapping { key } => self.path.push_str(key.as_ref().map_or("", |(key, _)| key)),
        }
    }

    fn key(&self) -> Option<&(String, Range<usize>)> {
        match self.frames.last() {
            Some(Frame { open: Open::Mapping { key }, .. }) => key.as_ref(),
            _ => None,
        }
    }
}

/// The events of a document with their places; up to the first fault, or the end of the document.
pub(super) fn events(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    let events = Parser::new_from_str(text).map_while(Result::ok);
    let within = events.take_while(|(event, _)| !matches!(event, Event::DocumentEnd));
    within.filter_map(|(event, span)| span.byte_range().map(|range| (event, range)))
}

impl Spots {
    /// The entries of the mapping at `path` in a document.
    pub(super) fn of(text: &str, path: &str) -> Self {
        let (mut walk, mut spots) = (Walk::new(), Self::default());
        let within = format!("{path}/");
        for (event, span) in events(text) {
            let here = walk.path();
            let child = here.strip_prefix(&within).filter(|rest| !rest.contains('/'));
            match (&event, child) {
                (Event::MappingStart(style, ..), _) if here == path && !walk.awaits_key() => {
                    spots.flow = *style == StructureStyle::Flow;
                }
                (Event::Scalar(..), Some(_)) if walk.awaits_key() => {
                    spots.first_key.get_or_insert(span.clone());
                }
                (Event::Scalar(..) | Event::Alias(_), Some(name)) => {
                    if let Some((_, key)) = walk.key() {
                        spots.entries.insert(name.to_owned(), Spot { key: key.clone(), value: span.clone() });
                    }
                }
                _ => {}
            }
            walk.take(&event, span);
        }
        spots
    }

    /// Another number in the place of a value that is written.
    pub(super) fn replace(&self, field: &str, number: u32) -> Option<Edit> {
        let Spot { value, key } = self.entries.get(field)?;
        // A key without a value: it ends at its colon.
        if value.is_empty() {
            let colon = value.start.max(key.end + 1);
            return Some((colon..colon, format!(" {number}")));
        }
        Some((value.clone(), number.to_string()))
    }

    /// A new entry beside the one called `beside`, or before the first.
    pub(super) fn insert(&self, text: &str, field: &str, beside: &str, number: u32) -> Option<Edit> {
        let sibling = self.entries.get(beside);
        let key = sibling.map(|spot| &spot.key).or(self.first_key.as_ref())?;
        let line = text.get(..key.start)?.rfind('\n').map_or(0, |end| end + 1);
        let before = text.get(line..key.start)?;
        let quote = if text.get(key.clone())?.starts_with('"') { "\"" } else { "" };
        let entry = format!("{quote}{field}{quote}: {number}");
        let alone = before.chars().all(|c| c == ' ' || c == '\t');
        let end_of_line = end_of_line(text);
        if self.flow {
            let gap = if alone && !before.is_empty() { format!(",{end_of_line}{before}") } else { ", ".to_owned() };
            return Some((key.start..key.start, format!("{entry}{gap}")));
        }
        if !alone {
            return None;
        }
        // A comment right above belongs to what is beneath it, so the new line goes behind that, or above both.
        let above = above_comments(text, line);
        if above < line
            && let Some(spot) = sibling
        {
            let rest = text.get(spot.value.end..)?;
            let (at, lead) = match rest.find('\n') {
                Some(end) => (spot.value.end + end + 1, ""),
                None => (text.len(), end_of_line),
            };
            let tail = if lead.is_empty() { end_of_line } else { "" };
            return Some((at..at, format!("{lead}{before}{entry}{tail}")));
        }
        Some((above..above, format!("{before}{entry}{end_of_line}")))
    }
}

/// The end of lines of a text.
pub(super) fn end_of_line(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// The beginning of the comments right above a line that begins at `line`; the line itself where there are none.
pub(super) fn above_comments(text: &str, mut line: usize) -> usize {
    while let Some(before) = text.get(..line).and_then(|text| text.strip_suffix('\n')) {
        let begin = before.rfind('\n').map_or(0, |end| end + 1);
        if !before.get(begin..).is_some_and(|line| line.trim_start().starts_with('#')) {
            break;
        }
        line = begin;
    }
    line
}
