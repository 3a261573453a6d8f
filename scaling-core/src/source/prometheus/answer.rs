//! Answers of the API, decoded in one pass: labels are borrowed from the text, values parsed where they stand.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

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
    pub warnings: Vec<Cow<'a, str>>,
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
/// use scaling_core::source::prometheus::answer::{Shape, read};
///
/// let text = br#"{"status":"success","data":{"resultType":"vector","result":[
///     {"metric":{"namespace":"shop","workload":"web"},"value":[1700000000.5,"NaN"]}]}}"#;
/// let answer = read(text, Shape::Vector)?;
/// assert_eq!(answer.series[0].label("workload"), "web");
/// assert_eq!(answer.series[0].samples[0].at_ms, 1_700_000_000_500);
/// assert!(answer.series[0].samples[0].value.is_nan());
/// # Ok::<(), scaling_core::source::prometheus::answer::AnswerError>(())
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
    let warnings = envelope.warnings.unwrap_or_default().into_iter().map(|Text(text)| text).collect();
    Ok(Answer { series: data.result.series, warnings, is_partial: envelope.is_partial.unwrap_or_default() })
}

/// The start of a text on one line.
pub(super) fn shortened(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let short: String = chars.by_ref().take(QUOTED).collect();
    if chars.next().is_some() { format!("{short}…") } else { short }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    error_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
    #[serde(borrow)]
    warnings: Option<Vec<Text<'a>>>,
    is_partial: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow)]
    result_type: Cow<'a, str>,
    #[serde(borrow)]
    result: Elements<'a>,
}

/// A string, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The elements of a result: series or, in that of a scalar, a number and a string, which nobody asked for.
#[derive(Default)]
struct Elements<'a> {
    series: Vec<Series<'a>>,
    has_histograms: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All<'a>(Elements<'a>);

        impl<'de: 'a, 'a> Visitor<'de> for All<'a> {
            type Value = Elements<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of series")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Elements<'a>, A::Error> {
                while seq.next_element_seed(Element(&mut self.0))?.is_some() {}
                Ok(self.0)
            }
        }

        deserializer.deserialize_any(All(Elements::default()))
    }
}

struct Element<'b, 'a>(&'b mut Elements<'a>);

impl<'de: 'a, 'a> DeserializeSeed<'de> for Element<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Element<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a series")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut series = Series::default();
        while let Some(Text(key)) = map.next_key()? {
            match key.as_ref() {
                "metric" => series.labels = map.next_value::<Labels<'a>>()?.0,
                "value" => series.samples.push(map.next_value::<Pair>()?.0),
                "values" => map.next_value_seed(Pairs(&mut series.samples))?,
                "histogram" | "histograms" => {
                    map.next_value::<IgnoredAny>()?;
                    self.0.has_histograms = true;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        self.0.series.push(series);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

struct Labels<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Labels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

        impl<'de: 'a, 'a> Visitor<'de> for All<'a> {
            type Value = Labels<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Labels<'a>, A::Error> {
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    self.0.push((name, value));
                }
                Ok(Labels(self.0))
            }
        }

        deserializer.deserialize_map(All(Vec::new()))
    }
}

/// The values of a series, appended one by one.
struct Pairs<'b>(&'b mut Vec<Sample>);

impl<'de> DeserializeSeed<'de> for Pairs<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Pairs<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(Pair(sample)) = seq.next_element()? {
            self.0.push(sample);
        }
        Ok(())
    }
}

/// `[seconds, "value"]`.
struct Pair(Sample);

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Both;

        impl<'de> Visitor<'de> for Both {
            type Value = Pair;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an instant in seconds and a value in quotes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Pair, A::Error> {
                let missing = |index| move || de::Error::invalid_length(index, &Both);
                let Millis(at_ms) = seq.next_element()?.ok_or_else(missing(0))?;
                let Number(value) = seq.next_element()?.ok_or_else(missing(1))?;
                match seq.next_element::<IgnoredAny>()? {
                    None => Ok(Pair(Sample { at_ms, value })),
                    Some(_) => Err(de::Error::invalid_length(3, &Both)),
                }
            }
        }

        deserializer.deserialize_seq(Both)
    }
}

/// Seconds in the text, milliseconds here.
struct Millis(i64);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;

        impl Visitor<'_> for Seconds {
            type Value = Millis;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an instant in seconds")
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Millis, E> {
                let ms = i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1000));
                ms.map(Millis).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(seconds), &self))
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Millis, E> {
                let ms = seconds.checked_mul(1000);
                ms.map(Millis).ok_or_else(|| E::invalid_value(de::Unexpected::Signed(seconds), &self))
            }

            #[allow(clippy::cast_possible_truncation)] // checked
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Millis, E> {
                let ms = (seconds * 1000.0).round();
                if ms.abs() < 9e15 {
                    Ok(Millis(ms as i64))
                } else {
                    Err(E::invalid_value(de::Unexpected::Float(seconds), &self))
                }
            }
        }

        deserializer.deserialize_any(Seconds)
    }
}

/// A number in quotes.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quoted;

        impl Visitor<'_> for Quoted {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(|_| E::invalid_value(de::Unexpected::Str(&shortened(text)), &self))
            }
        }

        deserializer.deserialize_str(Quoted)
    }
}
