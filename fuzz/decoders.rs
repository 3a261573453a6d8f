//! What must be true of a decoder, whatever bytes it gets. Called by the fuzz targets, and by a test over the corpus
//! (`scaling-core/tests/corpus.rs`).

#[cfg(feature = "azure-monitor")]
use scaling_core::source::azure_monitor::{answer as azure, query::Aggregation};
#[cfg(feature = "datadog")]
use scaling_core::source::datadog::answer as datadog_answer;
#[cfg(any(feature = "azure-monitor", feature = "datadog"))]
use scaling_core::source::fleet::Point;
use scaling_core::source::parse;
use scaling_core::source::parse::prometheus::answer::{Shape, read};

/// Longest message that repeats something of an answer, in bytes.
const LONGEST: usize = 2000;

/// Answers to instant and range queries: no sample is made up, and no message grows with the text.
pub fn prometheus(bytes: &[u8]) {
    let opened = String::from_utf8_lossy(bytes).matches('[').count();
    for shape in [Shape::Vector, Shape::Matrix] {
        match read(bytes, shape) {
            Ok(answer) => {
                let samples: usize = answer.series.iter().map(|series| series.samples.len()).sum();
                assert!(samples <= opened, "{samples} samples of {opened} brackets");
                assert!(answer.partial().is_none_or(|why| why.len() <= LONGEST));
                assert!(answer.series.iter().all(|series| series.selector().len() <= LONGEST));
            }
            Err(error) => assert!(error.to_string().len() <= LONGEST, "{error}"),
        }
    }
}

/// Answers of the metrics API and of batches.
#[cfg(feature = "azure-monitor")]
pub fn azure_monitor(bytes: &[u8]) {
    for aggregation in [Aggregation::Average, Aggregation::Total, Aggregation::Count] {
        let one = azure::read(bytes, aggregation).map(|answer| vec![answer]);
        for answers in [one, azure::read_batch(bytes, aggregation)] {
            let answers = match answers {
                Ok(answers) => answers,
                Err(error) => {
                    assert!(error.to_string().len() <= LONGEST, "{error}");
                    continue;
                }
            };
            let series = answers.iter().flat_map(|answer| &answer.metrics).flat_map(|metric| &metric.series);
            for series in series {
                in_order(&series.points, bytes);
            }
        }
    }
}

/// Answers to timeseries queries.
#[cfg(feature = "datadog")]
pub fn datadog(bytes: &[u8]) {
    for queries in [1, 3] {
        match datadog_answer::read(bytes, queries) {
            Ok(answer) => {
                assert!(answer.times.is_sorted_by(|a, b| a < b), "{:?}", answer.times);
                for series in &answer.series {
                    assert!(series.query < queries, "{} of {queries}", series.query);
                    in_order(&series.points, bytes);
                }
            }
            Err(error) => assert!(error.to_string().len() <= LONGEST, "{error}"),
        }
    }
}

/// Files of metrics: tables, JSON, JSON lines, answers of range queries.
pub fn metrics_file(bytes: &[u8]) {
    match parse::metrics(bytes, None) {
        Ok(samples) => {
            assert!(samples.len() <= bytes.len(), "{} samples of {} bytes", samples.len(), bytes.len());
            for sample in &samples {
                let values = scaling_core::SignalKind::ALL.into_iter().filter_map(|kind| sample.value(kind));
                values.for_each(|value| assert!(value.is_finite() && value >= 0.0, "{value}"));
            }
        }
        Err(error) => assert!(error.to_string().len() <= LONGEST, "{error}"),
    }
}

/// Oldest first, no two of the same start, and every value is a number. No more than there is text for.
#[cfg(any(feature = "azure-monitor", feature = "datadog"))]
fn in_order(points: &[Point], bytes: &[u8]) {
    assert!(points.is_sorted_by(|a, b| a.start < b.start), "{points:?}");
    assert!(points.iter().filter_map(|point| point.value.ok()).all(f64::is_finite), "{points:?}");
    assert!(points.len() <= bytes.len());
}
