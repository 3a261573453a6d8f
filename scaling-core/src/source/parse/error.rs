//! [`ParseError`]: a text that cannot be read, with the place and the [`Fault`].

use std::fmt;

use super::columns;
use super::instants::EpochUnit;

/// Longest text of the input that a message repeats, in characters.
const QUOTED: usize = 60;
/// Longest message of a parser beneath, in characters: some repeat the whole input.
const MESSAGE: usize = 160;
/// Most names that a list shows.
const LISTED: usize = 12;

/// A text that cannot be read: the place and the fault.
///
/// ```
/// use scaling_core::source::parse::{Fault, Reader};
///
/// let error = Reader::new().read(b"{\"timestamp\":\"2026-01-05T10:00:00\",\"rps\":3}").unwrap_err();
/// assert!(matches!(error.fault(), Fault::NoTimeZone { .. }));
/// assert!(error.to_string().starts_with("line 1: timestamp: \"2026-01-05T10:00:00\" has no time zone"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct ParseError {
    place: String,
    fault: Fault,
}

impl ParseError {
    #[allow(clippy::needless_pass_by_value)] // callers have it by value
    pub(crate) fn new(place: impl ToString, what: impl AsRef<str>) -> Self {
        Self::of(place, Fault::Malformed(shortened(what.as_ref(), MESSAGE)))
    }

    #[allow(clippy::needless_pass_by_value)] // callers have it by value
    pub(crate) fn of(place: impl ToString, fault: Fault) -> Self {
        Self { place: place.to_string(), fault }
    }

    /// Position in the input, for people: a line, an element, a value of a series, a byte.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The fault at that place.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

/// Reasons why a text cannot be read. The text of each says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// There is no sample in it.
    #[error("there is no sample: {0}")]
    Empty(&'static str),
    /// The text has another form than it should, or a value is not of its kind.
    #[error("{0}")]
    Malformed(String),
    /// No column (or key) is known.
    #[error("no known field{}; {}", UnknownNames(found), KnownNames)]
    NoKnownName {
        /// Names in the input.
        found: Vec<String>,
    },
    /// Several columns would be the same signal.
    #[error("{first:?} and {second:?} are both {column}; say which with --column {column}=HEADER")]
    SameSignal {
        /// Name of the first column.
        first: String,
        /// Name of the second column.
        second: String,
        /// Name of the signal.
        column: &'static str,
    },
    /// A mapping names a column that is not there.
    #[error("there is no column {wanted:?}{}", UnknownNames(found))]
    NoSuchColumn {
        /// The name asked for.
        wanted: String,
        /// Names in the input.
        found: Vec<String>,
    },
    /// A time of day without a time zone.
    #[error("{field}: {text:?} has no time zone: give --time-zone, such as --time-zone Europe/Berlin or UTC")]
    NoTimeZone {
        /// Name of the column.
        field: String,
        /// The text.
        text: String,
    },
    /// A date whose day and month cannot be told apart.
    #[error("{field}: {text:?} is ambiguous: day and month cannot be told apart; write it as 2026-01-31")]
    AmbiguousDate {
        /// Name of the column.
        field: String,
        /// The text.
        text: String,
    },
    /// Instants in two units.
    #[error("{field}: {text} would be {unit} since the epoch, and instants before it are {before}")]
    MixedUnits {
        /// Name of the column.
        field: String,
        /// The text.
        text: String,
        /// Unit of this instant.
        unit: EpochUnit,
        /// Unit of those before.
        before: EpochUnit,
    },
    /// Values that count up instead of saying how much there is a second.
    #[error("{}", CounterAdvice(name))]
    Counter {
        /// Name of the series; empty, or labels alone, where it has none.
        name: String,
    },
    /// A rate by name that rises at every sample, as a counter does.
    #[error(
        "{name} rises at every one of {samples} samples, up to {largest}: a counter, and no rate; query its rate: \
         sum(rate(METRIC[1m])); if it is a rate all the same, --column 'request_rate_per_second={name}' takes it"
    )]
    RisingRate {
        /// Name of the column.
        name: String,
        /// Samples with a value.
        samples: usize,
        /// Largest value.
        largest: String,
    },
    /// Every value is NaN.
    #[error("all {samples} samples are NaN: the query divided by 0, or no series was there to divide")]
    AllNan {
        /// Number of samples.
        samples: usize,
    },
    /// Native histograms.
    #[error("native histograms are not supported: query a rate or a quantile, as in histogram_quantile(0.95, …)")]
    NativeHistograms,
    /// Several series where one is needed.
    #[error("{} series: {}; add them up in the query, as with sum()", series.len(), Listed(series))]
    SeveralSeries {
        /// Labels of each.
        series: Vec<String>,
    },
    /// Rows of several series, told apart by a column that is not read.
    #[error(
        "most instants come several times, once for each {column:?}: {} series: {}; add them up for each instant, or keep the rows \
         of one",
        series.len(),
        Listed(series)
    )]
    SeriesInColumn {
        /// Name of the column.
        column: String,
        /// Its values.
        series: Vec<String>,
    },
    /// The server answered with an error.
    #[error("Prometheus answered: {kind}: {message}")]
    Answered {
        /// Type of the error, as `bad_data`.
        kind: String,
        /// Its message.
        message: String,
    },
    /// The answer of another query than one over a range.
    #[error(
        "the answer is a {result_type}, that of a query at one instant; that of a range query (/api/v1/query_range) is needed"
    )]
    NotARange {
        /// Type of the result, as `vector`.
        result_type: String,
    },
    /// There is more than is read.
    #[error("more than {most} samples; ten years of one a minute are enough")]
    TooMany {
        /// Most samples read.
        most: usize,
    },
    /// A packed file that cannot be unpacked.
    #[error("gzip: {0}")]
    Gzip(String),
}

/// Query to use in place of a counter, as far as its name is known.
struct CounterAdvice<'a>(&'a str);

impl fmt::Display for CounterAdvice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0;
        if name.trim_end_matches("{}").is_empty() {
            return f.write_str(
                "this is a counter, which only rises; query its rate: sum(rate(METRIC[1m])), with its name for METRIC",
            );
        }
        write!(f, "{name} is a counter, which only rises; query its rate: sum(rate({name}[1m]))")
    }
}

/// `; found "a", "b" (did you mean "c"?)`, or nothing.
struct UnknownNames<'a>(&'a [String]);

impl fmt::Display for UnknownNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, "; found {}", Listed(self.0))?;
        f.write_str(&hints(self.0))
    }
}

/// Advice about names that are not read, in parentheses; of the first few, because looking for the nearest takes time.
pub(super) fn hints(names: &[String]) -> String {
    let hints: Vec<_> = names.iter().take(LISTED).filter_map(|name| columns::hint(name)).take(3).collect();
    if hints.is_empty() { String::new() } else { format!(" ({})", hints.join("; ")) }
}

/// The names that are read.
struct KnownNames;

impl fmt::Display for KnownNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected names such as {}; or map one with --column SIGNAL=HEADER", columns::canonical().join(", "))
    }
}

/// Names in quotes, and how many more there are.
pub(super) struct Listed<'a>(pub(super) &'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.0.iter().take(LISTED).map(|name| format!("{:?}", quoted(name))).collect();
        f.write_str(&shown.join(", "))?;
        match self.0.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Text of the input as a message repeats it.
pub(super) fn quoted(text: &str) -> String {
    shortened(text, QUOTED)
}

/// Message of a server as ours repeat it.
pub(super) fn message(text: &str) -> String {
    shortened(text, MESSAGE)
}

fn shortened(text: &str, longest: usize) -> String {
    let one_line = || text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().nth(longest).is_none() {
        return if text.contains('\n') { one_line() } else { text.to_owned() };
    }
    let text = one_line();
    // The end often says more than the middle.
    let (head, tail) = (longest * 2 / 3, longest / 3);
    let count = text.chars().count();
    if count <= longest {
        return text;
    }
    let begin: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(count - tail).collect();
    format!("{begin}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_short_whatever_the_input() {
        let long = format!("invalid type: string \"{}\", expected a map", "x".repeat(100_000));
        let error = ParseError::new("line 3", long).to_string();
        assert!(error.len() < 200 && error.ends_with("expected a map"), "{error}");
        let found = (0..1000).map(|nth| format!("{}{nth}", "y".repeat(500))).collect();
        let error = ParseError::of("line 1", Fault::NoKnownName { found }).to_string();
        assert!(error.len() < 1500 && error.contains("and 988 more"), "{} {error}", error.len());
        assert_eq!(quoted("two\nlines"), "two lines");
    }
}
