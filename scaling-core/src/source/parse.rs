//! Metrics from text: one reader behind every tool. Pure: bytes in, samples, [notes](Note) and [typed errors](ParseError) out.
//!
//! | form | told by |
//! | --- | --- |
//! | a JSON object, array or lines of [`ScalingMetrics`] | `{` or `[` |
//! | answers of the Prometheus HTTP API ([`prometheus`]), VictoriaMetrics' export, `promtool query range` | `{"status":…}`, `"metric"` with `"values"`, ` @[` |
//! | text in columns, wide or long (feature `csv`) | all else; separated by comma, semicolon, tab or pipe |
//! | any of them packed (feature `gzip`) | its first bytes |
//!
//! Columns are known by name, those of [`SignalKind::field`] first, and many that tools write (`rps`, `CPU (%)`, `Time`). A name
//! with another unit (`requests_per_minute`) is not converted by guess: a [`ColumnMapping`] does it. What is not read is named in a
//! note; if nothing is left, the error lists what was found and the nearest names known. Where a table has but one column of values
//! and its name says nothing (a query, labels), that column is the load, and a note says so.
//!
//! Instants are RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since the epoch, told by their size. Times without a
//! zone need [`Reader::in_zone`]. `null`, `NaN`, `N/A` and empty cells are gaps; numbers that cannot be are marked
//! ([`Placed::impossible`]), for the caller to refuse.

mod cell;
mod columns;
#[cfg(feature = "csv")]
mod csv;
#[cfg(feature = "csv")]
mod decimals;
mod error;
mod instants;
mod json;
mod labels;
mod mapping;
mod note;
mod packed;
pub mod prometheus;
mod rows;
#[cfg(feature = "csv")]
mod shape;
#[cfg(feature = "csv")]
mod time_beside;
mod zone;

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use serde::{Deserialize, Serialize};

pub use self::error::{Fault, ParseError};
pub use self::instants::{DateOrder, EpochUnit, InvalidInstant, instant};
pub use self::mapping::{ColumnMapping, InvalidMapping};
pub use self::note::Note;
use self::rows::Sheet;
use self::zone::Zone;
use crate::metrics::ScalingMetrics;
#[cfg(doc)]
use crate::metrics::SignalKind;

/// Position of a sample in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this line, counted from 1.
    Line(usize),
    /// This element of an array, counted from 1.
    Element(usize),
    /// This value of a series, counted from 1.
    Value(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Element(element) => write!(f, "element {element}"),
            Self::Value(value) => write!(f, "value {value}"),
        }
    }
}

/// Position of a sample's timestamp in the interval that its numbers speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleTime {
    /// The interval starts at the timestamp, as in load traces.
    Starts,
    /// The interval ends at the timestamp, as in metrics.
    Ends,
}

/// Dates for samples without a timestamp: `interval` apart, the last one at `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undated {
    /// Instant of the last sample.
    pub end: DateTime<Utc>,
    /// Time between two samples.
    pub interval: TimeDelta,
}

/// A sample with its place in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The line or element.
    pub place: Place,
    /// The sample.
    pub metrics: ScalingMetrics,
    /// The first number in it that cannot be (negative, infinite, beyond its kind): it is absent from `metrics`, but unlike one that
    /// is stated to be absent, it was written there.
    pub impossible: Option<String>,
}

/// Everything that a text said.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Samples in the order of the text, which need not be that of time.
    pub samples: Vec<Placed>,
    /// Things that were taken for granted, left out or are doubtful, for people.
    pub notes: Vec<Note>,
    /// Position of the timestamps: a table of a clock and a request rate alone is a load trace, whose samples
    /// [start](SampleTime::Starts) there; everything else is metrics.
    pub sample_time: SampleTime,
}

impl Reading {
    /// Returns the samples alone.
    pub fn into_metrics(self) -> Vec<ScalingMetrics> {
        self.samples.into_iter().map(|sample| sample.metrics).collect()
    }
}

/// Reads metrics from text; by default without a zone, mappings or dates for undated samples.
///
/// ```
/// use scaling_core::SignalKind;
/// use scaling_core::source::parse::{Note, Reader};
///
/// let text = b"Zeit;Web\n2026-01-05 10:00:00;50,4\n2026-01-05 10:01:00;null\n";
/// let reading = Reader::new().in_zone("UTC", scaling_core::chrono::Utc).read(text)?;
/// assert_eq!(reading.samples[0].metrics.value(SignalKind::RequestRate), Some(50.4));
/// assert_eq!(reading.samples[1].metrics.value(SignalKind::RequestRate), None);
/// assert!(reading.notes.contains(&Note::DecimalComma));
/// # Ok::<(), scaling_core::source::parse::ParseError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Reader {
    undated: Option<Undated>,
    zone: Option<Zone>,
    columns: Vec<ColumnMapping>,
}

impl Reader {
    /// Creates a reader.
    pub fn new() -> Self {
        Self::default()
    }

    /// Dates samples of a text in which none has a timestamp. Without it, a missing timestamp is an error.
    #[must_use]
    pub fn undated(mut self, undated: Undated) -> Self {
        self.undated = Some(undated);
        self
    }

    /// Reads times without a zone by the clock of this one. An hour that comes twice is told apart by the order of the text, one that
    /// never was is read as if the clock had not been put forward, and a [note](Note::Zone) counts both.
    #[must_use]
    pub fn in_zone<Z: TimeZone + Send + Sync + 'static>(mut self, name: impl Into<String>, zone: Z) -> Self {
        self.zone = Some(Zone::new(name, zone));
        self
    }

    /// Reads a column as a signal, whatever its name says. What no mapping speaks of is still known by name.
    #[must_use]
    pub fn with_column(mut self, mapping: ColumnMapping) -> Self {
        self.columns.push(mapping);
        self
    }

    /// Reads samples in the order of the text, which need not be that of time.
    ///
    /// # Errors
    /// [`ParseError`] with the place and the [`Fault`].
    pub fn read(&self, bytes: &[u8]) -> Result<Reading, ParseError> {
        let unpacked = packed::unpacked(bytes)?;
        let text = text(unpacked.as_deref().unwrap_or(bytes))?;
        let is_ambiguous = |error: &ParseError| matches!(error.fault(), Fault::AmbiguousDate { .. });
        match self.read_text(&text, None) {
            Err(error) if is_ambiguous(&error) => {
                // A day above the 12th, somewhere, leaves one order that all dates can have.
                let [day_first, month_first] =
                    [DateOrder::DayFirst, DateOrder::MonthFirst].map(|order| self.read_text(&text, Some(order)));
                match [&day_first, &month_first].map(|read| read.as_ref().err().is_some_and(is_ambiguous)) {
                    [false, true] => day_first,
                    [true, false] => month_first,
                    _ => Err(error),
                }
            }
            read => read,
        }
    }

    fn read_text(&self, text: &str, order: Option<DateOrder>) -> Result<Reading, ParseError> {
        let mut sheet = Sheet::new(self, order);
        sheet.notes.extend(order.map(Note::Dates));
        let begin = text.trim_start();
        match begin.as_bytes().first() {
            None => return Err(ParseError::of("line 1", Fault::Empty("the text is empty"))),
            Some(b'<') => {
                return Err(ParseError::new(
                    "line 1",
                    "this is HTML, not metrics: a login page or a proxy may have answered",
                ));
            }
            Some(b'{') if prometheus::is_answer(begin.as_bytes()) => prometheus::read(begin.as_bytes(), &mut sheet)?,
            Some(b'[') => json::array(text, &mut sheet)?,
            Some(b'{') if !prometheus::is_promtool(begin) => json::objects(text, &mut sheet)?,
            Some(_) if prometheus::is_promtool(begin) => prometheus::read_promtool(text, &mut sheet)?,
            Some(_) => table(text, &mut sheet)?,
        }
        sheet.conclude()
    }
}

/// Reads samples with a plain [`Reader`], in the order of the text.
///
/// # Errors
/// [`ParseError`] with the line or element and the field.
pub fn metrics(text: &[u8], undated: Option<Undated>) -> Result<Vec<ScalingMetrics>, ParseError> {
    Reader { undated, ..Reader::default() }.read(text).map(Reading::into_metrics)
}

#[cfg(feature = "csv")]
use self::csv::read as table;

#[cfg(not(feature = "csv"))]
fn table(_: &str, _: &mut Sheet<'_>) -> Result<(), ParseError> {
    Err(ParseError::new("line 1", "not JSON, and CSV is not built in (feature `csv`)"))
}

/// Decodes UTF-8, or the UTF-16 that Windows tools write, without their mark.
fn text(bytes: &[u8]) -> Result<Cow<'_, str>, ParseError> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = rest
            .chunks_exact(2)
            .map(|pair| unit([pair.first().copied().unwrap_or(0), pair.last().copied().unwrap_or(0)]));
        let decoded: Result<String, _> = char::decode_utf16(units).collect();
        decoded.map(Cow::Owned).map_err(|_| ParseError::new("the text", "it is not UTF-16, as its first bytes say"))
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => std::str::from_utf8(bytes)
            .map(|text| Cow::Borrowed(text.trim_start_matches('\u{feff}')))
            .map_err(|error| ParseError::new(format!("byte {}", error.valid_up_to()), "the text is not UTF-8")),
    }
}

#[cfg(test)]
mod tests;
