//! What Azure Monitor answers: series of buckets, from the bytes of a metrics call or of a batch.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::query::{self, Aggregation};
use crate::metrics::{Absence, Repairs};
use crate::source::fleet::{Malformed, Number, Point};
use crate::source::mapping;

/// Buckets in one answer at most: 50 resources, 20 metrics, a day of minutes, twice over.
pub const MAX_POINTS: usize = 3_000_000;

/// An answer with status 200 that is no answer to the question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// It is not JSON of the documented form. An infinite or too large number in it counts as this: JSON has no such number.
    #[error("the answer is no metrics response at {0}")]
    Malformed(#[from] Malformed),
    /// It is larger than a fleet needs.
    #[error("the answer has {got} buckets; at most {MAX_POINTS} are read")]
    TooLarge {
        /// Number of buckets.
        got: usize,
    },
}

/// The metrics of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its id in lower case; a call for one resource does not repeat it.
    pub resource: Option<String>,
    /// Length of a bucket, if it is one that is known.
    pub step: Option<TimeDelta>,
    /// Its metrics.
    pub metrics: Vec<Metric>,
}

/// The series of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Name.
    pub name: String,
    /// Unit, as Azure names it: `Count`, `MilliSeconds`, …
    pub unit: String,
    /// Code of what went wrong with this metric alone, if not all went well.
    pub error: Option<String>,
    /// One for each combination of the dimensions that were asked for; none if there are no data.
    pub series: Vec<Series>,
}

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Names in lower case, with their values.
    pub dimensions: Vec<(String, String)>,
    /// Buckets, oldest first, no two of the same start.
    pub points: Vec<Point>,
    /// What had to be mended for that.
    pub repairs: Repairs,
}

impl Series {
    /// Value of a dimension, whose name is told regardless of case.
    pub fn dimension(&self, name: &str) -> Option<&str> {
        self.dimensions.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// True unless Azure's unit is known to be another than the stated one.
pub fn fits(reported: &str, stated: mapping::Unit) -> bool {
    use mapping::Unit as Stated;
    let expected: &[&str] = match stated {
        Stated::Percent => &["Percent"],
        Stated::Cores => &["Cores"],
        Stated::Millicores => &["MilliCores"],
        Stated::Nanocores => &["NanoCores"],
        Stated::Bytes => &["Bytes"],
        Stated::Seconds => &["Seconds"],
        Stated::Milliseconds => &["MilliSeconds"],
        Stated::Ratio | Stated::Microseconds | Stated::Nanoseconds => &[],
        Stated::PerSecond => &["CountPerSecond"],
        Stated::PerMinute | Stated::PerPeriod | Stated::Count => &["Count"],
    };
    reported.eq_ignore_ascii_case("Unspecified") || expected.iter().any(|name| name.eq_ignore_ascii_case(reported))
}

/// Reads the answer to a call for one resource.
///
/// # Errors
/// [`AnswerError`] if it is not one. A metric without series, and a bucket without a value, are no errors.
///
/// ```
/// use scaling_core::metrics::Absence;
/// use scaling_core::source::azure_monitor::{answer, query::Aggregation};
///
/// let bytes = br#"{"timespan":"2023-11-14T22:14:00Z/2023-11-14T22:16:00Z","interval":"PT1M","value":[{
///   "name":{"value":"BackendResponseStatus"},"unit":"Count","errorCode":"Success","timeseries":[{
///     "metadatavalues":[{"name":{"value":"backendpool"},"value":"web"}],
///     "data":[{"timeStamp":"2023-11-14T22:14:00Z","total":1200.0},{"timeStamp":"2023-11-14T22:15:00Z"}]}]}]}"#;
/// let answer = answer::read(bytes, Aggregation::Total)?;
/// let web = &answer.metrics[0].series[0];
/// assert_eq!(web.dimension("BackendPool"), Some("web"));
/// assert_eq!(web.points[0].value, Ok(1200.0));
/// assert_eq!(web.points[1].value, Err(Absence::NotMeasured), "a bucket without a value is not 0");
/// # Ok::<(), answer::AnswerError>(())
/// ```
pub fn read(bytes: &[u8], aggregation: Aggregation) -> Result<Answer, AnswerError> {
    let wire: WireAnswer = serde_json::from_slice(bytes).map_err(Malformed::from)?;
    bounded(std::slice::from_ref(&wire))?;
    Ok(answer(wire, aggregation))
}

/// Reads the answer to a batch.
///
/// # Errors
/// [`AnswerError`] if it is not one.
pub fn read_batch(bytes: &[u8], aggregation: Aggregation) -> Result<Vec<Answer>, AnswerError> {
    let wire: WireBatch = serde_json::from_slice(bytes).map_err(Malformed::from)?;
    bounded(&wire.values)?;
    Ok(wire.values.into_iter().map(|one| answer(one, aggregation)).collect())
}

fn bounded(answers: &[WireAnswer]) -> Result<(), AnswerError> {
    let metrics = answers.iter().flat_map(|answer| &answer.value);
    let got = metrics.flat_map(|metric| &metric.timeseries).map(|series| series.data.len()).sum();
    if got > MAX_POINTS { Err(AnswerError::TooLarge { got }) } else { Ok(()) }
}

fn answer(wire: WireAnswer, aggregation: Aggregation) -> Answer {
    let resource = wire.resourceid.map(|id| id.trim_end_matches('/').to_ascii_lowercase());
    let step = wire.interval.as_deref().and_then(query::length);
    Answer { resource, step, metrics: wire.value.into_iter().map(|one| metric(one, aggregation)).collect() }
}

fn metric(wire: WireMetric, aggregation: Aggregation) -> Metric {
    // A code is a word of the service's own; a text could be anything.
    let word = |code: String| code.chars().filter(char::is_ascii_alphanumeric).take(60).collect::<String>();
    let error = wire.error_code.filter(|code| !code.is_empty() && !code.eq_ignore_ascii_case("Success")).map(word);
    let series = wire.timeseries.into_iter().map(|one| series(one, aggregation)).collect();
    Metric { name: wire.name.value, unit: wire.unit, error, series }
}

fn series(wire: WireSeries, aggregation: Aggregation) -> Series {
    let dimension = |one: WireDimension| (one.name.value.to_ascii_lowercase(), one.value.unwrap_or_default());
    let dimensions = wire.metadatavalues.unwrap_or_default().into_iter().map(dimension).collect();
    let mut points: Vec<Point> = wire.data.iter().map(|one| point(one, aggregation)).collect();
    let reordered = points.windows(2).filter(|pair| matches!(pair, [a, b] if b.start < a.start)).count();
    points.sort_by_key(|point| point.start);
    let before = points.len();
    // Of equal neighbours `dedup_by` keeps the first, in whose place the later one goes.
    points.dedup_by(|later, kept| {
        let same = later.start == kept.start;
        if same {
            *kept = *later;
        }
        same
    });
    let repairs = Repairs { reordered, duplicates: before - points.len() };
    Series { dimensions, points, repairs }
}

fn point(wire: &WirePoint, aggregation: Aggregation) -> Point {
    let number = match aggregation {
        Aggregation::Average => wire.average,
        Aggregation::Minimum => wire.minimum,
        Aggregation::Maximum => wire.maximum,
        Aggregation::Total => wire.total,
        Aggregation::Count => wire.count,
    };
    // Some providers fill a bucket without a measurement with 0, and say so in its count (page on aggregation, "NULL and zero values").
    let is_empty = aggregation != Aggregation::Count && matches!(wire.count, Some(Number(Ok(count))) if count <= 0.0);
    let value = if is_empty {
        Err(Absence::NotMeasured)
    } else {
        number.map_or(Err(Absence::NotMeasured), |Number(value)| value)
    };
    Point { start: wire.time_stamp, value }
}

#[derive(Deserialize)]
struct WireBatch {
    values: Vec<WireAnswer>,
}

#[derive(Deserialize)]
struct WireAnswer {
    #[serde(default)]
    interval: Option<String>,
    #[serde(default)]
    resourceid: Option<String>,
    value: Vec<WireMetric>,
}

#[derive(Deserialize)]
struct WireMetric {
    name: Named,
    unit: String,
    #[serde(default, rename = "errorCode")]
    error_code: Option<String>,
    timeseries: Vec<WireSeries>,
}

#[derive(Deserialize)]
struct Named {
    value: String,
}

#[derive(Deserialize)]
struct WireSeries {
    #[serde(default)]
    metadatavalues: Option<Vec<WireDimension>>,
    #[serde(default)]
    data: Vec<WirePoint>,
}

#[derive(Deserialize)]
struct WireDimension {
    name: Named,
    #[serde(default)]
    value: Option<String>,
}

#[derive(Deserialize)]
struct WirePoint {
    #[serde(rename = "timeStamp")]
    time_stamp: DateTime<Utc>,
    #[serde(default)]
    average: Option<Number>,
    #[serde(default)]
    minimum: Option<Number>,
    #[serde(default)]
    maximum: Option<Number>,
    #[serde(default)]
    total: Option<Number>,
    #[serde(default)]
    count: Option<Number>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(unit: &str, data: &str) -> String {
        format!(
            r#"{{"interval":"PT1M","resourceid":"/Subscriptions/S/","value":[{{"name":{{"value":"M"}},"unit":"{unit}","timeseries":[{{"data":[{data}]}}]}}]}}"#
        )
    }

    fn at(minute: u32, fields: &str) -> String {
        format!(r#"{{"timeStamp":"2023-11-14T22:{minute:02}:00Z"{fields}}}"#)
    }

    fn values(data: &[String], aggregation: Aggregation) -> (Vec<Result<f64, Absence>>, Repairs) {
        let answer = read(text("Count", &data.join(",")).as_bytes(), aggregation).unwrap();
        let series = &answer.metrics[0].series[0];
        (series.points.iter().map(|point| point.value).collect(), series.repairs)
    }

    #[test]
    fn every_kind_of_value_is_told_apart_and_none_becomes_0() {
        let data = [
            at(0, r#","total":0"#),
            at(1, ""),
            at(2, r#","total":null"#),
            at(3, r#","total":"NaN""#),
            at(4, r#","total":-2.5"#),
            at(5, r#","average":7"#),
            at(6, r#","total":0,"count":0"#),
            at(7, r#","total":0,"count":4"#),
        ];
        let none = Err(Absence::NotMeasured);
        let expected = [Ok(0.0), none, none, Err(Absence::NotFinite), Ok(-2.5), none, none, Ok(0.0)];
        assert_eq!(values(&data, Aggregation::Total), (expected.into(), Repairs::default()));
    }

    #[test]
    fn buckets_out_of_order_and_twice_are_mended_and_counted() {
        let data = [at(2, r#","total":3"#), at(0, r#","total":1"#), at(1, r#","total":9"#), at(1, r#","total":2"#)];
        let repairs = Repairs { reordered: 1, duplicates: 1 };
        assert_eq!(values(&data, Aggregation::Total), (vec![Ok(1.0), Ok(2.0), Ok(3.0)], repairs));
    }

    #[test]
    fn no_data_and_an_error_of_one_metric_are_no_error_of_the_answer() {
        let bytes = br#"{"values":[{"resourceid":"/A","value":[
            {"name":{"value":"M"},"unit":"Count","timeseries":[]},
            {"name":{"value":"N"},"unit":"Count","timeseries":[],"errorCode":"Throttled: see <b>","errorMessage":"secret"}]}]}"#;
        let answers = read_batch(bytes, Aggregation::Total).unwrap();
        assert_eq!((answers[0].resource.as_deref(), answers[0].step), (Some("/a"), None));
        let errors: Vec<_> = answers[0].metrics.iter().map(|metric| metric.error.as_deref()).collect();
        assert_eq!(errors, [None, Some("Throttledseeb")]);
        assert!(!format!("{answers:?}").contains("secret"));
    }

    #[test]
    fn what_is_no_answer_is_refused_with_nothing_of_its_text() {
        for (bytes, said) in [
            ("<html>secret".to_owned(), "not JSON"),
            (r#"{"code":"BadRequest","message":"secret"}"#.to_owned(), "another form"),
            (text("Count", &at(0, r#","total":1e999"#)), "not JSON"),
            (text("Count", r#"{"timeStamp":"secret"}"#), "another form"),
            (text("Count", r#"{"total":1}"#), "another form"),
            (r#"{"value":["#.to_owned(), "ends early"),
        ] {
            let refused = read(bytes.as_bytes(), Aggregation::Total).unwrap_err().to_string();
            assert!(refused.contains(said) && !refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn a_unit_fits_what_it_is_and_nothing_else() {
        assert!(fits("Count", mapping::Unit::PerPeriod) && fits("MilliSeconds", mapping::Unit::Milliseconds));
        assert!(fits("Unspecified", mapping::Unit::Count));
        assert!(!fits("MilliSeconds", mapping::Unit::Seconds) && !fits("Percent", mapping::Unit::Ratio));
    }

    proptest! {
        /// Bytes of any kind are read or refused.
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes, Aggregation::Average);
            let _ = read_batch(&bytes, Aggregation::Average);
        }

        /// An answer that is cut, or in which one byte is another, is read or refused; what is read holds no 0 that was not there.
        #[test]
        fn a_damaged_answer_makes_nothing_up(place in any::<prop::sample::Index>(), byte in any::<u8>(), cut: bool) {
            let mut bytes = text("Count", &[at(0, r#","total":5"#), at(1, ""), at(2, r#","total":7.5"#)].join(",")).into_bytes();
            let place = place.index(bytes.len());
            if cut { bytes.truncate(place) } else { bytes[place] = byte }
            if let Ok(answer) = read(&bytes, Aggregation::Total) {
                let points = answer.metrics.iter().flat_map(|metric| &metric.series).flat_map(|series| &series.points);
                for point in points {
                    prop_assert!(point.value != Ok(0.0) || byte == b'0');
                }
            }
        }
    }
}
