//! What Datadog answers: series of buckets, from the bytes of a `timeseries_response`.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::metrics::{Absence, Repairs};
use crate::source::fleet::{Malformed, Number, Point};
use crate::source::mapping;

/// Values in one answer at most: 1,000 workloads, ten queries, an hour of minutes, five times over.
pub const MAX_VALUES: usize = 3_000_000;

/// An answer with status 200 that is no answer to the question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// It is not JSON of the documented form. An infinite or too large number in it counts as this: JSON has no such number.
    #[error("the answer is no timeseries_response at {0}")]
    Malformed(#[from] Malformed),
    /// It says that the query failed.
    #[error("the answer reports an error of the query")]
    Reported,
    /// It has no `data.attributes`.
    #[error("the answer has no data")]
    NoData,
    /// Series and their values are not as many.
    #[error("the answer has {series} series and values of {values}")]
    Unpaired {
        /// Number of series.
        series: usize,
        /// Number of lists of values.
        values: usize,
    },
    /// A series has not as many values as there are times.
    #[error("series {series} has {values} values for {times} times")]
    Uneven {
        /// Place of the series.
        series: usize,
        /// Number of its values.
        values: usize,
        /// Number of times.
        times: usize,
    },
    /// A series belongs to no query that was asked.
    #[error("series {series} belongs to query {query}, of {asked} that were asked")]
    UnknownQuery {
        /// Place of the series.
        series: usize,
        /// The query that it says it belongs to.
        query: i64,
        /// Number of queries.
        asked: usize,
    },
    /// A time that no calendar has.
    #[error("time {0} is no instant in milliseconds")]
    Time(i64),
    /// It is larger than a fleet needs.
    #[error("the answer has {got} values; at most {MAX_VALUES} are read")]
    TooLarge {
        /// Number of values.
        got: usize,
    },
}

/// The series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// In the order of the answer.
    pub series: Vec<Series>,
    /// Starts of the buckets, oldest first, each once.
    pub times: Vec<DateTime<Utc>>,
    /// Times that were out of order, and buckets replaced by a later one of the same time.
    pub repairs: Repairs,
}

/// Values of one query for one combination of tags.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Index of the query.
    pub query: usize,
    /// Tags that it was grouped by, as `key:value`.
    pub tags: Vec<String>,
    /// Unit that Datadog knows of the metric, `None` if it knows none.
    pub unit: Option<Unit>,
    /// Buckets, oldest first, no two of the same start.
    pub points: Vec<Point>,
}

impl Series {
    /// Value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find_map(|tag| tag.split_once(':').filter(|(name, _)| *name == key).map(|(_, value)| value))
    }
}

/// A unit as Datadog names it: `byte`, `nanocore`, `hit` per `second`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Name in the singular.
    pub name: String,
    /// The unit below the stroke.
    pub per: Option<String>,
}

impl Unit {
    /// True unless it is known to be another unit than the stated one. Names are those of the page "Units"; of a count nothing can be
    /// said, since Datadog names what is counted.
    pub fn fits(&self, stated: mapping::Unit) -> bool {
        use mapping::Unit as Stated;
        let name = self.name.as_str();
        let expected: &[&str] = match stated {
            Stated::Percent => &["percent"],
            Stated::Ratio => &["fraction"],
            Stated::Cores => &["core", "cpu"],
            Stated::Millicores => &["millicore"],
            Stated::Nanocores => &["nanocore", "percent_nano"],
            Stated::Bytes => &["byte"],
            Stated::Seconds => &["second"],
            Stated::Milliseconds => &["millisecond"],
            Stated::Microseconds => &["microsecond"],
            Stated::Nanoseconds => &["nanosecond"],
            Stated::PerSecond => {
                return !PHYSICAL.contains(&name) && self.per.as_deref().is_none_or(|per| per == "second");
            }
            Stated::PerMinute => {
                return !PHYSICAL.contains(&name) && self.per.as_deref().is_none_or(|per| per == "minute");
            }
            Stated::PerPeriod | Stated::Count => return !PHYSICAL.contains(&name) && self.per.is_none(),
        };
        expected.contains(&name) && self.per.is_none()
    }
}

/// Units of which no number of things is.
const PHYSICAL: [&str; 14] = [
    "byte",
    "kibibyte",
    "mebibyte",
    "gibibyte",
    "nanosecond",
    "microsecond",
    "millisecond",
    "second",
    "minute",
    "percent",
    "fraction",
    "core",
    "millicore",
    "nanocore",
];

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.per.as_ref().map_or(Ok(()), |per| write!(f, "/{per}"))
    }
}

/// Reads the answer to so many queries.
///
/// # Errors
/// [`AnswerError`] if it is not one. A series without a value is no error, and neither is an answer without a series.
///
/// ```
/// use scaling_core::metrics::Absence;
/// use scaling_core::source::datadog::answer;
///
/// let bytes = br#"{"data":{"type":"timeseries_response","attributes":{
///   "series":[{"group_tags":["service:web"],"query_index":0,"unit":[{"name":"hit"},{"name":"second"}]}],
///   "times":[1700000040000,1700000100000],"values":[[12.5,null]]}}}"#;
/// let answer = answer::read(bytes, 1)?;
/// let web = &answer.series[0];
/// assert_eq!((web.tag("service"), web.unit.as_ref().unwrap().to_string().as_str()), (Some("web"), "hit/second"));
/// assert_eq!(web.points[0].value, Ok(12.5));
/// assert_eq!(web.points[1].value, Err(Absence::NotMeasured), "null is not 0");
/// # Ok::<(), scaling_core::source::datadog::answer::AnswerError>(())
/// ```
pub fn read(bytes: &[u8], queries: usize) -> Result<Answer, AnswerError> {
    let wire: Wire = serde_json::from_slice(bytes).map_err(Malformed::from)?;
    if wire.errors.is_some_and(|Reported(some)| some) {
        return Err(AnswerError::Reported);
    }
    let attributes = wire.data.and_then(|data| data.attributes).ok_or(AnswerError::NoData)?;
    let (series, values, times) = (attributes.series, attributes.values, attributes.times);
    if series.len() != values.len() {
        return Err(AnswerError::Unpaired { series: series.len(), values: values.len() });
    }
    let got = values.iter().map(Vec::len).sum();
    if got > MAX_VALUES {
        return Err(AnswerError::TooLarge { got });
    }
    let (order, repairs) = order(&times);
    let starts = order.iter().map(|(_, time)| DateTime::from_timestamp_millis(*time).ok_or(AnswerError::Time(*time)));
    let starts = starts.collect::<Result<Vec<_>, _>>()?;
    let mut read = Vec::with_capacity(series.len());
    for (place, (head, values)) in series.into_iter().zip(values).enumerate() {
        if values.len() != times.len() {
            return Err(AnswerError::Uneven { series: place, values: values.len(), times: times.len() });
        }
        let unknown = || AnswerError::UnknownQuery { series: place, query: head.query_index, asked: queries };
        let query = usize::try_from(head.query_index).ok().filter(|index| *index < queries).ok_or_else(unknown)?;
        let value = |index: usize| values.get(index).map_or(Err(Absence::NotMeasured), |Number(value)| *value);
        let points = order.iter().zip(&starts).map(|((index, _), start)| Point { start: *start, value: value(*index) });
        let unit = head.unit.and_then(unit);
        read.push(Series { query, tags: head.group_tags.unwrap_or_default(), unit, points: points.collect() });
    }
    Ok(Answer { series: read, times: starts, repairs })
}

/// Length of the buckets that start at these times, when buckets of `asked` were asked for: the smallest distance between two, if it
/// is smaller or if every time is a multiple of it. Datadog answers in larger buckets where there would be too many, and leaves buckets
/// without a value out where no series has one; the start of a bucket is aligned to the epoch (page "Rollup").
pub fn step(times: &[DateTime<Utc>], asked: TimeDelta) -> TimeDelta {
    let distances = times.windows(2).filter_map(|pair| pair.first().zip(pair.last()).map(|(a, b)| *b - *a));
    let Some(distance) = distances.min() else { return asked };
    let ms = distance.num_milliseconds();
    let aligned = || ms > 0 && times.iter().all(|time| time.timestamp_millis() % ms == 0);
    if distance < asked || aligned() { distance } else { asked }
}

/// Places of the times in their order, of equal ones the last, and what had to be mended for it.
fn order(times: &[i64]) -> (Vec<(usize, i64)>, Repairs) {
    let reordered = times.windows(2).filter(|pair| pair.first() > pair.last()).count();
    let mut order: Vec<(usize, i64)> = times.iter().copied().enumerate().collect();
    order.sort_by_key(|(_, time)| *time);
    // Of equal neighbours `dedup_by` keeps the first, in whose place the later one goes.
    order.dedup_by(|later, kept| {
        let same = later.1 == kept.1;
        if same {
            *kept = *later;
        }
        same
    });
    let duplicates = times.len() - order.len();
    (order, Repairs { reordered, duplicates })
}

fn unit(parts: Vec<Option<WireUnit>>) -> Option<Unit> {
    let mut names = parts.into_iter().map(|part| part.and_then(|part| part.name));
    let name = names.next()??;
    Some(Unit { name, per: names.next().flatten() })
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    data: Option<WireData>,
    #[serde(default)]
    errors: Option<Reported>,
}

#[derive(Deserialize)]
struct WireData {
    #[serde(default)]
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
struct Attributes {
    series: Vec<Head>,
    times: Vec<i64>,
    values: Vec<Vec<Number>>,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    group_tags: Option<Vec<String>>,
    query_index: i64,
    #[serde(default)]
    unit: Option<Vec<Option<WireUnit>>>,
}

#[derive(Deserialize)]
struct WireUnit {
    #[serde(default)]
    name: Option<String>,
}

/// `errors` of a 200: a text by the reference, a list where it follows the other endpoints. Empty is none.
struct Reported(bool);

impl<'de> Deserialize<'de> for Reported {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReportedVisitor;
        impl<'de> Visitor<'de> for ReportedVisitor {
            type Value = Reported;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("errors")
            }
            fn visit_str<E>(self, text: &str) -> Result<Reported, E> {
                Ok(Reported(!text.is_empty()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Reported, A::Error> {
                let mut some = false;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    some = true;
                }
                Ok(Reported(some))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reported, A::Error> {
                let mut some = false;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    some = true;
                }
                Ok(Reported(some))
            }
        }
        deserializer.deserialize_any(ReportedVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(series: &str, times: &str, values: &str) -> String {
        format!(r#"{{"data":{{"attributes":{{"series":[{series}],"times":[{times}],"values":[{values}]}}}}}}"#)
    }

    fn values(answer: &Answer, series: usize) -> Vec<Result<f64, Absence>> {
        answer.series[series].points.iter().map(|point| point.value).collect()
    }

    #[test]
    fn every_kind_of_value_is_told_apart_and_none_becomes_0() {
        let text = answer(r#"{"query_index":0}"#, "0,60000,120000,180000,240000", r#"[0,null,"NaN","-Infinity",-3.5]"#);
        let read = read(text.as_bytes(), 1).unwrap();
        let expected = [Ok(0.0), Err(Absence::NotMeasured), Err(Absence::NotFinite), Err(Absence::NotFinite), Ok(-3.5)];
        assert_eq!(values(&read, 0), expected);
        assert_eq!((read.times.len(), read.repairs), (5, Repairs::default()));
        assert_eq!(read.series[0].unit, None);
    }

    #[test]
    fn an_empty_answer_is_an_answer() {
        let read = read(answer("", "", "").as_bytes(), 3).unwrap();
        assert_eq!(read, Answer { series: vec![], times: vec![], repairs: Repairs::default() });
    }

    #[test]
    fn times_out_of_order_and_twice_are_mended_and_counted() {
        let text = answer(r#"{"query_index":0}"#, "120000,0,60000,60000", "[3,1,7,2]");
        let read = read(text.as_bytes(), 1).unwrap();
        assert_eq!(values(&read, 0), [Ok(1.0), Ok(2.0), Ok(3.0)]);
        assert_eq!(read.repairs, Repairs { reordered: 1, duplicates: 1 });
    }

    #[test]
    fn units_and_tags_are_read_where_they_are_known() {
        let series = r#"{"query_index":1,"group_tags":["kube_namespace:shop","image:shop/web:1.2","bare"],"unit":[{"name":"byte"},null]},
            {"query_index":0,"group_tags":null,"unit":null},{"query_index":0,"unit":[null,null]},{"query_index":0,"unit":[]}"#;
        let read = read(answer(series, "0", "[1],[2],[3],[4]").as_bytes(), 2).unwrap();
        let first = &read.series[0];
        assert_eq!(
            (first.query, first.tag("kube_namespace"), first.tag("image")),
            (1, Some("shop"), Some("shop/web:1.2"))
        );
        assert_eq!((first.tag("bare"), first.unit.as_ref().map(ToString::to_string)), (None, Some("byte".to_owned())));
        assert!(read.series[1..].iter().all(|series| series.unit.is_none() && series.tags.is_empty()));
    }

    #[test]
    fn what_is_no_answer_is_refused_with_what_is_wrong_and_nothing_of_its_text() {
        let one = r#"{"query_index":0}"#;
        let cases = [
            (answer(one, "0", ""), AnswerError::Unpaired { series: 1, values: 0 }),
            (answer(one, "0,1", "[1]"), AnswerError::Uneven { series: 0, values: 1, times: 2 }),
            (answer(r#"{"query_index":2}"#, "0", "[1]"), AnswerError::UnknownQuery { series: 0, query: 2, asked: 2 }),
            (answer(r#"{"query_index":-1}"#, "0", "[1]"), AnswerError::UnknownQuery { series: 0, query: -1, asked: 2 }),
            (answer(one, "9223372036854775807", "[1]"), AnswerError::Time(i64::MAX)),
            (r#"{"errors":"secret detail"}"#.to_owned(), AnswerError::Reported),
            (r#"{"errors":["secret detail"]}"#.to_owned(), AnswerError::Reported),
            (r#"{"errors":[]}"#.to_owned(), AnswerError::NoData),
            ("{}".to_owned(), AnswerError::NoData),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text.as_bytes(), 2), Err(expected), "{text}");
        }
        for (text, said) in [
            (answer(one, "0", r#"["secret"]"#), "another form"),
            (answer(one, "0", "[1e999]"), "not JSON"),
            (answer(one, "0", "[true]"), "another form"),
            ("<html>secret</html>".to_owned(), "not JSON"),
            (answer(one, "0", "[1]").split_at(40).0.to_owned(), "ends early"),
        ] {
            let refused = read(text.as_bytes(), 2).unwrap_err().to_string();
            assert!(refused.contains(said) && !refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn the_length_of_a_bucket_is_seen_where_it_is_another_than_the_one_asked_for() {
        let times = |seconds: &[i64]| -> Vec<_> {
            seconds.iter().map(|seconds| DateTime::from_timestamp(*seconds, 0).unwrap()).collect()
        };
        let minute = TimeDelta::minutes(1);
        for (seconds, expected) in [
            (&[][..], 60),
            (&[600], 60),
            (&[600, 660, 780], 60),
            (&[600, 900, 1200], 300),
            (&[600, 620, 640], 20),
            // Every other bucket left out: multiples of a minute, not of two.
            (&[660, 780, 900], 60),
        ] {
            assert_eq!(step(&times(seconds), minute).num_seconds(), expected, "{seconds:?}");
        }
    }

    #[test]
    fn a_unit_fits_what_it_is_and_nothing_else() {
        let unit = |name: &str, per: Option<&str>| Unit { name: name.into(), per: per.map(Into::into) };
        for (reported, stated, fits) in [
            (unit("nanocore", None), mapping::Unit::Nanocores, true),
            (unit("core", None), mapping::Unit::Nanocores, false),
            (unit("hit", Some("second")), mapping::Unit::PerSecond, true),
            (unit("request", None), mapping::Unit::PerSecond, true),
            (unit("byte", Some("second")), mapping::Unit::PerSecond, false),
            (unit("hit", Some("minute")), mapping::Unit::PerSecond, false),
            (unit("second", None), mapping::Unit::Milliseconds, false),
            (unit("fraction", None), mapping::Unit::Percent, false),
            (unit("pod", None), mapping::Unit::Count, true),
            (unit("byte", None), mapping::Unit::Count, false),
        ] {
            assert_eq!(reported.fits(stated), fits, "{reported} for {stated}");
        }
    }

    proptest! {
        /// Bytes of any kind are read or refused.
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), queries in 0..3_usize) {
            let _ = read(&bytes, queries);
        }

        /// An answer that is cut, or in which one byte is another, is read or refused; what is read holds no 0 that was not there.
        #[test]
        fn a_damaged_answer_makes_nothing_up(place in any::<prop::sample::Index>(), byte in any::<u8>(), cut: bool) {
            let text = answer(r#"{"query_index":0,"group_tags":["service:web"]}"#, "60000,120000,180000", "[5,null,7.5]");
            let mut bytes = text.into_bytes();
            let place = place.index(bytes.len());
            if cut { bytes.truncate(place) } else { bytes[place] = byte }
            if let Ok(answer) = read(&bytes, 1) {
                for point in answer.series.iter().flat_map(|series| &series.points) {
                    prop_assert!(point.value != Ok(0.0) || byte == b'0');
                }
                let _ = step(&answer.times, TimeDelta::minutes(1));
            }
        }

        /// Times of any kind are put in order, each once, with their own values.
        #[test]
        fn times_of_any_kind_keep_their_values(times in prop::collection::vec(-9_000_000_000_000_i64..9_000_000_000_000, 0..20)) {
            let joined = |texts: Vec<String>| texts.join(",");
            let values = joined((0..times.len()).map(|place| (place + 1).to_string()).collect());
            let text = answer(r#"{"query_index":0}"#, &joined(times.iter().map(ToString::to_string).collect()), &format!("[{values}]"));
            let read = read(text.as_bytes(), 1).unwrap();
            let points = &read.series[0].points;
            prop_assert!(points.windows(2).all(|pair| pair[0].start < pair[1].start));
            for point in points {
                let place = times.iter().rposition(|time| *time == point.start.timestamp_millis()).unwrap();
                prop_assert_eq!(point.value, Ok((place + 1) as f64));
            }
        }
    }
}
