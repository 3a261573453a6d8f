//! Answers of the API, decoded in one pass: labels are borrowed from the text, values parsed where they stand.

mod decode;

use std::borrow::Cow;

use self::decode::{Envelope, Text};

/// Longest piece of a server's text that a message repeats, in characters.
const QUOTED: usize = 200;

/// An answer that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The text ends half-way.
    #[error("the answer ends half-way, at byte {0}: it was cut off in transfer")]
    Cut(usize),
    /// The text is no answer of this API.
    #[error("the answer is not one of the Prometheus API: {0}")]
    Malformed(String),
    /// The server answered that it failed.
    #[error("the server answers {kind}: {message}")]
    Refused {
        /// `errorType`: `bad_data`, `timeout`, `execution`, …
        kind: String,
        /// Its message.
        message: String,
    },
    /// The answer is of another type than was asked for.
    #[error("the answer is a {got}, expected a {expected}: the query must return {}", if *expected == "vector" { "an instant vector" } else { "one value at each step" })]
    WrongType {
        /// `vector` or `matrix`.
        expected: &'static str,
        /// Type of the answer.
        got: String,
    },
    /// The answer holds native histograms, which are no numbers.
    #[error("the answer holds native histograms: query a rate or quantile of them")]
    Histograms,
}

impl AnswerError {
    /// Returns true if asking again later can help: text that was cut, or a server that was busy.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Cut(_) => true,
            Self::Refused { kind, .. } => matches!(kind.as_str(), "timeout" | "canceled" | "internal" | "unavailable"),
            _ => false,
        }
    }
}

/// Form of the answer that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The answer to an instant query: one sample a series.
    Vector,
    /// The answer to a range query.
    Matrix,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Vector => "vector",
            Self::Matrix => "matrix",
        }
    }
}

/// One value at one instant, both as the server wrote them: NaN and infinities included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// Value.
    pub value: f64,
}

/// One series of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series<'a> {
    labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Samples in the order of the answer.
    pub samples: Vec<Sample>,
}

impl Series<'_> {
    /// Labels and their values, in the order of the answer.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Value of a label; a label that is not there is empty, as PromQL has it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// True if it has no label at all.
    pub fn is_bare(&self) -> bool {
        self.labels.is_empty()
    }

    /// Labels as PromQL writes them: `{namespace="shop", pod="a"}`, shortened.
    pub fn selector(&self) -> String {
        let labels: Vec<_> = self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        shortened(&format!("{{{}}}", labels.join(", ")))
    }
}

/// A successful answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer<'a> {
    /// Series; none if nothing matches.
    pub series: Vec<Series<'a>>,
    /// Warnings: the answer may lack something.
    pub warnings: Vec<String>,
    /// Remarks on the query.
    pub infos: Vec<String>,
    /// VictoriaMetrics: some storage did not answer.
    pub is_partial: bool,
}

impl Answer<'_> {
    /// The reason why the answer may lack series or samples, if there is one: the server says so, or it (Thanos, say) warns of a store
    /// that did not answer. Warnings of the query language itself are about the query.
    pub fn partial(&self) -> Option<String> {
        let warning = self.warnings.iter().find(|warning| !warning.starts_with("PromQL "));
        warning
            .map(|warning| shortened(warning))
            .or_else(|| self.is_partial.then(|| "some storage did not answer".into()))
    }
}

/// Decodes an answer.
///
/// ```
/// use scaling_core::source::parse::prometheus::answer::{Shape, read};
///
/// let text = br#"{"status":"success","data":{"resultType":"vector","result":[
///     {"metric":{"namespace":"shop","workload":"web"},"value":[1700000000.5,"NaN"]}]}}"#;
/// let answer = read(text, Shape::Vector)?;
/// assert_eq!(answer.series[0].label("workload"), "web");
/// assert_eq!(answer.series[0].samples[0].at_ms, 1_700_000_000_500);
/// assert!(answer.series[0].samples[0].value.is_nan());
/// # Ok::<(), scaling_core::source::parse::prometheus::answer::AnswerError>(())
/// ```
///
/// # Errors
/// [`AnswerError`] if it is none, is cut, of another type, or says that the query failed.
pub fn read(bytes: &[u8], shape: Shape) -> Result<Answer<'_>, AnswerError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // A character cut in two is a text cut in two.
        Err(error) if error.error_len().is_none() => return Err(AnswerError::Cut(bytes.len())),
        Err(error) => return Err(AnswerError::Malformed(format!("byte {} is not UTF-8", error.valid_up_to()))),
    };
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| {
        if error.is_eof() {
            AnswerError::Cut(bytes.len())
        } else {
            AnswerError::Malformed(shortened(&error.to_string()))
        }
    })?;
    if envelope.status != "success" {
        let said = |text: Option<Cow<'_, str>>, or: &str| text.map_or_else(|| or.to_owned(), |text| shortened(&text));
        return Err(AnswerError::Refused {
            kind: said(envelope.error_type, "an error"),
            message: said(envelope.error, "it does not say which"),
        });
    }
    let data = envelope.data.ok_or_else(|| AnswerError::Malformed("it has no data".into()))?;
    if data.result_type != shape.name() {
        return Err(AnswerError::WrongType { expected: shape.name(), got: shortened(&data.result_type) });
    }
    if data.result.has_histograms {
        return Err(AnswerError::Histograms);
    }
    let texts =
        |all: Option<Vec<Text<'_>>>| all.unwrap_or_default().into_iter().map(|Text(text)| text.into_owned()).collect();
    let (warnings, infos) = (texts(envelope.warnings), texts(envelope.infos));
    Ok(Answer { series: data.result.series, warnings, infos, is_partial: envelope.is_partial.unwrap_or_default() })
}

/// The start of a text on one line.
pub(crate) fn shortened(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let short: String = chars.by_ref().take(QUOTED).collect();
    if chars.next().is_some() { format!("{short}…") } else { short }
}
