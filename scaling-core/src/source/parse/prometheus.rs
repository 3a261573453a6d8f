//! Answers of the Prometheus HTTP API to a range query (`/api/v1/query_range`), as VictoriaMetrics, Thanos and Mimir give them too;
//! their result alone; VictoriaMetrics' export in JSON lines; and what `promtool query range` prints.
//!
//! One series is the load, in requests per second, unless its name says what else it is. Several are read if mappings (or their names)
//! say which signal each is, and refused otherwise: adding them up is the query's task.

pub mod answer;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use self::answer::{Answer, AnswerError, Shape};
use super::Place;
use super::cell::Cell;
use super::error::{Fault, ParseError, message, quoted};
use super::instants::{When, milliseconds, seconds};
use super::note::Note;
use super::rows::{Sheet, Values, check_count};

#[derive(Deserialize)]
struct RawSeries {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<Value>,
    /// Milliseconds, in VictoriaMetrics' export, beside bare values.
    #[serde(default)]
    timestamps: Option<Vec<f64>>,
    #[serde(default)]
    histograms: Option<Value>,
}

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Values in the order of the answer, which is that of time. NaN and infinities are as Prometheus wrote them.
    pub values: Vec<(DateTime<Utc>, f64)>,
}

impl Series {
    /// Returns the name and the labels as Prometheus writes them: `http_requests_total{job="web"}`.
    pub fn selector(&self) -> String {
        let labels = self.labels.iter().filter(|(name, _)| *name != NAME);
        let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
        let name = self.name();
        if labels.is_empty() && !name.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(", ")) }
    }

    fn name(&self) -> &str {
        self.labels.get(NAME).map_or("", String::as_str)
    }
}

/// Label of a metric's name.
const NAME: &str = "__name__";

/// Tells an answer of Prometheus from metrics in JSON: it is an object with a `status` of success or error.
pub fn is_answer(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head {
        status: String,
    }
    let start: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(16).collect();
    [&b"{\"status\":\"succe"[..], b"{\"status\":\"error"].iter().any(|known| start.starts_with(known))
        || serde_json::from_slice::<Head>(bytes).is_ok_and(|head| head.status == "success" || head.status == "error")
}

/// Reads all series of the answer to a range query. An answer without a series is an empty list.
///
/// # Errors
/// [`ParseError`] if the text is no such answer, if Prometheus answered with an error, or with the number of the value, counted from 1,
/// that is no number at an instant.
///
/// ```
/// use scaling_core::source::parse::prometheus;
///
/// let text = r#"{"status":"success","data":{"resultType":"matrix","result":[
///     {"metric":{"job":"web"},"values":[[60,"1.5"],[120,"NaN"]]}]}}"#;
/// let series = prometheus::series(text.as_bytes()).unwrap();
/// assert_eq!(series[0].labels["job"], "web");
/// assert_eq!(series[0].values[0].1, 1.5);
/// ```
pub fn series(bytes: &[u8]) -> Result<Vec<Series>, ParseError> {
    all(&answer(bytes)?)
}

fn fault(what: impl AsRef<str>) -> ParseError {
    ParseError::new(Place::Line(1), what)
}

/// Reads the answer to a range query.
fn answer(bytes: &[u8]) -> Result<Answer<'_>, ParseError> {
    answer::read(bytes, Shape::Matrix).map_err(|error| match error {
        AnswerError::Refused { kind, message: said } => {
            ParseError::of(Place::Line(1), Fault::Answered { kind: quoted(&kind), message: message(&said) })
        }
        AnswerError::WrongType { got, .. } => {
            ParseError::of(Place::Line(1), Fault::NotARange { result_type: quoted(&got) })
        }
        AnswerError::Histograms => ParseError::of(Place::Line(1), Fault::NativeHistograms),
        AnswerError::Cut(_) | AnswerError::Malformed(_) => fault(error.to_string()),
    })
}

/// Returns the series of an answer, which borrow nothing.
fn all(answer: &Answer<'_>) -> Result<Vec<Series>, ParseError> {
    let one = |series: &answer::Series<'_>| {
        let values = series.samples.iter().enumerate().map(|(index, sample)| {
            let at = milliseconds(sample.at_ms as f64);
            Ok((at.map_err(|error| ParseError::new(Place::Value(index + 1), error.to_string()))?, sample.value))
        });
        let labels = series.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Series { labels, values: values.collect::<Result<_, _>>()? })
    };
    answer.series.iter().map(one).collect()
}

/// Reads the series of a result.
fn result(result: Value) -> Result<Vec<Series>, ParseError> {
    let all: Vec<RawSeries> = serde_json::from_value(result).map_err(|error| fault(error.to_string()))?;
    all.into_iter().map(one).collect()
}

fn one(raw: RawSeries) -> Result<Series, ParseError> {
    if raw.values.is_empty() && raw.histograms.as_ref().is_some_and(|histograms| !histograms.is_null()) {
        return Err(ParseError::of(Place::Line(1), Fault::NativeHistograms));
    }
    let bad = |index: usize, what: String| ParseError::new(Place::Value(index + 1), what);
    if let Some(timestamps) = raw.timestamps {
        if timestamps.len() != raw.values.len() {
            return Err(fault(format!("{} values at {} timestamps", raw.values.len(), timestamps.len())));
        }
        let pairs = timestamps.iter().zip(&raw.values).enumerate().map(|(index, (at, value))| {
            let at = milliseconds(*at).map_err(|error| bad(index, error.to_string()))?;
            Ok((at, number(value).ok_or_else(|| bad(index, format!("{value} is not a number")))?))
        });
        return Ok(Series { values: pairs.collect::<Result<_, _>>()?, labels: raw.metric });
    }
    let pairs = raw.values.iter().enumerate().map(|(index, pair)| {
        let Some([at, value]) = pair.as_array().and_then(|pair| <&[Value; 2]>::try_from(pair.as_slice()).ok()) else {
            return Err(bad(index, format!("{pair} is not an instant and a value")));
        };
        let at = at.as_f64().ok_or_else(|| bad(index, format!("{at} is not an instant in seconds")))?;
        let at = seconds(at).map_err(|error| bad(index, error.to_string()))?;
        Ok((at, number(value).ok_or_else(|| bad(index, format!("{value} is not a number")))?))
    });
    Ok(Series { values: pairs.collect::<Result<_, _>>()?, labels: raw.metric })
}

/// Reads a value, which Prometheus writes as text; `null` is NaN, as exports write it.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(f64::NAN),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Reads an answer into samples.
pub(super) fn read(bytes: &[u8], sheet: &mut Sheet<'_>) -> Result<(), ParseError> {
    let answer = answer(bytes)?;
    let said = answer.warnings.iter().chain(&answer.infos);
    sheet.notes.extend(said.map(|text| Note::Warned(text.clone())));
    if answer.is_partial {
        sheet.notes.push(Note::Warned("the answer is partial".to_owned()));
    }
    take(&all(&answer)?, sheet)
}

/// True for an element of a result, or a line of VictoriaMetrics' export.
pub(super) fn is_series(value: &Value) -> bool {
    value.get("metric").is_some_and(Value::is_object)
        && ["values", "histograms"].iter().any(|key| value.get(key).is_some_and(Value::is_array))
}

/// Reads the result of an answer alone.
pub(super) fn read_result(value: Value, sheet: &mut Sheet<'_>) -> Result<(), ParseError> {
    take(&result(value)?, sheet)
}

/// True for what `promtool query range` prints: a line with the labels and ` =>`, then a line `VALUE @[SECONDS]` for each sample.
pub(super) fn is_promtool(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.next().is_some_and(|line| line.ends_with("=>") || line.contains("=> ") && line.ends_with(']'))
        && text.contains(" @[")
}

/// Reads what `promtool query range` prints.
pub(super) fn read_promtool(text: &str, sheet: &mut Sheet<'_>) -> Result<(), ParseError> {
    let mut all: Vec<Series> = Vec::new();
    for (index, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
        let place = Place::Line(index + 1);
        if let Some(selector) = line.strip_suffix("=>") {
            let labels = BTreeMap::from([(NAME.to_owned(), selector.trim().trim_end_matches("{}").to_owned())]);
            all.push(Series { labels, values: Vec::new() });
            continue;
        }
        if line.contains("=> ") {
            return Err(ParseError::of(place, Fault::NotARange { result_type: "vector".to_owned() }));
        }
        let pair = line.strip_suffix(']').and_then(|line| line.split_once(" @["));
        let read = pair.and_then(|(value, at)| Some((seconds(at.parse().ok()?).ok()?, value.trim().parse().ok()?)));
        match (read, all.last_mut()) {
            (Some(sample), Some(series)) => series.values.push(sample),
            _ => return Err(ParseError::new(place, format!("{:?} is not VALUE @[SECONDS]", quoted(line)))),
        }
    }
    take(&all, sheet)
}

/// Takes the series as the signals that they are.
fn take(all: &[Series], sheet: &mut Sheet<'_>) -> Result<(), ParseError> {
    if all.is_empty() {
        return Err(ParseError::of(Place::Line(1), Fault::Empty("the query found no series")));
    }
    let samples = all.iter().map(|series| series.values.len()).sum();
    check_count(samples)?;
    if samples == 0 {
        return Err(ParseError::of(Place::Line(1), Fault::Empty("there is no value in the series")));
    }
    if all.iter().flat_map(|series| &series.values).all(|(_, value)| value.is_nan()) {
        return Err(ParseError::of(Place::Line(1), Fault::AllNan { samples }));
    }
    let is_only = |name: &str| all.iter().filter(|series| series.name() == name).count() == 1;
    let named = |series: &Series| match series.name() {
        // The name alone says which signal it is, where it is one's own.
        name if !name.is_empty() && is_only(name) => name.to_owned(),
        _ => series.selector(),
    };
    let named: Vec<(String, Values)> = all
        .iter()
        .map(|series| {
            let values = series.values.iter().enumerate();
            let values =
                values.map(|(index, (at, value))| (Place::Value(index + 1), When::At(*at), Cell::Number(*value)));
            (named(series), values.collect())
        })
        .collect();
    sheet.push_series(&named)
}

#[cfg(test)]
mod tests {
    use super::super::{Reader, Reading};
    use super::*;
    use crate::metrics::{Absence, Signal, SignalKind};

    fn answer(result: &str) -> Vec<u8> {
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#).into_bytes()
    }

    fn read(bytes: &[u8]) -> Result<Reading, String> {
        Reader::new().read(bytes).map_err(|error| error.to_string())
    }

    /// A series of minutes.
    fn minutes(metric: &str, values: impl IntoIterator<Item = f64>) -> String {
        let values: Vec<_> =
            values.into_iter().enumerate().map(|(nth, value)| format!("[{},\"{value}\"]", nth * 60)).collect();
        format!(r#"{{"metric":{metric},"values":[{}]}}"#, values.join(","))
    }

    fn rates(reading: &Reading) -> Vec<Option<f64>> {
        reading.samples.iter().map(|sample| sample.metrics.value(SignalKind::RequestRate)).collect()
    }

    #[test]
    fn every_series_is_read_with_its_labels_and_values_as_written() {
        let text = answer(
            r#"{"metric":{"job":"web","pod":"a"},"values":[[60.25,"1.5"],[120,"+Inf"]]},{"metric":{},"values":[]}"#,
        );
        let all = series(&text).unwrap();
        let first = all.first().unwrap();
        assert_eq!((all.len(), first.labels.len()), (2, 2));
        let at = |ms| DateTime::from_timestamp_millis(ms).unwrap();
        assert_eq!(first.values, [(at(60_250), 1.5), (at(120_000), f64::INFINITY)]);
        assert_eq!(first.selector(), r#"{job="web", pod="a"}"#);
        assert_eq!(series(&answer("")).unwrap(), []);
    }

    #[test]
    fn one_series_is_the_load_unless_its_name_says_what_else() {
        let reading = read(&answer(r#"{"metric":{},"values":[[60,"40"],[75,"NaN"],[90,null]]}"#)).unwrap();
        assert_eq!(rates(&reading), [Some(40.0), None, None]);
        let nan = reading.samples[1].metrics.signal(SignalKind::RequestRate);
        assert_eq!((nan, reading.samples[1].impossible.as_ref()), (Signal::Absent(Absence::NotFinite), None));
        assert!(reading.samples.iter().all(|sample| sample.metrics.current_pod_count.is_none()));
        let cpu = read(&answer(r#"{"metric":{"__name__":"cpu_utilization_percent"},"values":[[60,"40"]]}"#)).unwrap();
        assert_eq!(cpu.samples[0].metrics.value(SignalKind::CpuUtilization), Some(40.0));
        let error =
            read(&answer(r#"{"metric":{"__name__":"node_memory_used_bytes"},"values":[[60,"40"]]}"#)).unwrap_err();
        assert!(error.contains("no known field; found \"node_memory_used_bytes\""), "{error}");
        let negative = read(&answer(r#"{"metric":{},"values":[[60,"1"],[75,"-1"]]}"#)).unwrap();
        assert!(negative.samples[1].impossible.as_ref().unwrap().contains("out of range"));
        assert_eq!(negative.samples[1].place.to_string(), "value 2");
    }

    #[test]
    fn several_series_are_refused_by_name_unless_mappings_tell_them_apart() {
        let two = [r#"{"__name__":"load","pod":"a"}"#, r#"{"__name__":"load","pod":"b"}"#]
            .map(|metric| minutes(metric, [1.5, 2.5]));
        let text = answer(&two.join(","));
        let error = read(&text).unwrap_err();
        assert!(error.contains(r#"2 series: "load{pod=\"a\"}", "load{pod=\"b\"}"; add them up"#), "{error}");
        let reader = Reader::new()
            .with_column(r#"rps=load{pod="a"}"#.parse().unwrap())
            .with_column(r#"queue_depth=load{pod="b"}*2"#.parse().unwrap());
        let reading = reader.read(&text).unwrap();
        assert_eq!(rates(&reading), [Some(1.5), Some(2.5)]);
        assert_eq!(reading.samples[1].metrics.value(SignalKind::QueueDepth), Some(5.0));
    }

    #[test]
    fn a_counter_is_refused_by_its_name_or_by_its_course() {
        let rising = |metric: &str| answer(&minutes(metric, (0..60).map(|nth| f64::from(nth % 40 * 60 + 3))));
        let error = read(&rising(r#"{"__name__":"http_requests_total","job":"web"}"#)).unwrap_err();
        assert!(
            error.contains("http_requests_total is a counter") && error.contains("sum(rate(http_requests_total[1m]))"),
            "{error}"
        );
        assert!(read(&rising("{}")).unwrap_err().contains("is a counter"));
        let few = answer(&minutes(r#"{"__name__":"http_request_duration_seconds_bucket"}"#, [1.0]));
        assert!(read(&few).unwrap_err().contains("is a counter"));
        let mapped = Reader::new().with_column("rps=http_requests_total".parse().unwrap());
        assert!(mapped.read(&rising(r#"{"__name__":"http_requests_total","job":"web"}"#)).is_ok());
        let load = answer(&minutes("{}", (0..60).map(|nth| f64::from(nth) * 1.01 + 0.3)));
        assert!(read(&load).is_ok(), "a load may rise for an hour");
    }

    #[test]
    fn what_is_no_answer_to_a_range_query_is_told_as_what_it_is() {
        let of_type = |kind: &str, result: &str| {
            format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
        };
        for (text, what) in [
            (of_type("matrix", "[]"), "the query found no series"),
            (of_type("matrix", r#"[{"metric":{},"values":[]}]"#), "no value in the series"),
            (
                of_type("matrix", r#"[{"metric":{},"histograms":[[1,{"count":"1","sum":"1"}]]}]"#),
                "native histograms are not supported: query a rate",
            ),
            (of_type("matrix", &format!("[{}]", minutes("{}", [f64::NAN; 7]))), "all 7 samples are NaN"),
            (
                of_type("matrix", r#"[{"metric":{},"values":[[60,"1"],[120,"x"]]}]"#),
                r#"string "x", expected a number in quotes at line 1 column "#,
            ),
            (
                of_type("matrix", r#"[{"metric":{},"values":[[60,"1"],7]}]"#),
                "integer `7`, expected an instant in seconds and a value in quotes at line 1 column ",
            ),
            (of_type("vector", r#"[{"metric":{},"value":[60,"1"]}]"#), "the answer is a vector"),
            (of_type("scalar", r#"[60,"1"]"#), "the answer is a scalar"),
            (of_type("string", r#"[60,"a"]"#), "the answer is a string"),
            (
                r#"{"status":"error","errorType":"bad_data","error":"parse error at char 3"}"#.into(),
                "Prometheus answered: bad_data: parse error at char 3",
            ),
            (r#"{"data":null,"status":"success"}"#.into(), "no data"),
            (r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric""#.into(), "cut off in transfer"),
            ("<html><title>Sign in</title>".into(), "this is HTML"),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.contains(what) && error.len() < 300, "{text}: {error}");
        }
    }

    #[test]
    fn variants_of_the_same_answer_read_alike_and_their_warnings_are_kept() {
        let series = minutes(r#"{"job":"web"}"#, [1.5, 2.5, 0.5]);
        let plain = read(&answer(&series)).unwrap();
        for text in [
            format!(
                r#"{{"status":"success","isPartial":false,"data":{{"resultType":"matrix","result":[{series}]}},"stats":{{"seriesFetched":"1"}}}}"#
            ),
            format!(r#"{{"data":{{"result":[{series}],"resultType":"matrix","analysis":{{}}}},"status":"success"}}"#),
            format!("[{series}]"),
            r#"{"metric":{"job":"web"},"values":[1.5,2.5,0.5],"timestamps":[0,60000,120000]}"#.to_owned(),
            "{job=\"web\"} =>\n1.5 @[0]\n2.5 @[60]\n0.5 @[120.000]\n".to_owned(),
        ] {
            assert_eq!(rates(&read(text.as_bytes()).unwrap()), rates(&plain), "{text}");
        }
        let warned = format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}},"warnings":["one store is down"],"infos":["i"],"isPartial":true}}"#
        );
        let notes: Vec<_> = read(warned.as_bytes()).unwrap().notes.iter().map(ToString::to_string).collect();
        assert_eq!(notes[..2], ["the server warns: one store is down", "the server warns: i"]);
        assert_eq!(notes.len(), 3);
        let vector = read(b"{job=\"web\"} => 1.5 @[60]\n").unwrap_err();
        assert!(vector.contains("is a vector"), "{vector}");
        let torn = read(b"{} =>\n1.5 @[0]\n2.5 @\n").unwrap_err();
        assert!(torn.contains("line 3"), "{torn}");
    }

    #[test]
    fn answers_are_told_from_samples() {
        assert!(is_answer(br#" { "status" : "error" }"#) && is_answer(br#"{"data":null,"status":"success"}"#));
        assert!(!is_answer(br#"{"timestamp":1,"rps":2}"#) && !is_answer(b"timestamp_s,rps\n") && !is_answer(b""));
        assert!(!is_answer(br#"{"status":"ready","timestamp":1,"rps":2}"#));
    }
}
