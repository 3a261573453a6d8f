//! [`Series`]: what CloudWatch can be asked for as one series of numbers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::source::mapping::Statistic;

/// Dimensions that CloudWatch accepts of one metric (API reference, `Metric`).
const MOST_DIMENSIONS: usize = 30;
/// Characters that CloudWatch accepts of a name, and of a math expression (API reference, `Metric`, `MetricDataQuery`). The names of
/// metrics in an expression grow a little when many workloads share a request, so that the limit is kept from afar.
const LONGEST_NAME: usize = 255;
const LONGEST_VALUE: usize = 1024;
const LONGEST_EXPRESSION: usize = 1000;
/// Metrics of one expression: as many as anybody writes by hand, and few enough that a request holds many workloads.
const MOST_INPUTS: usize = 100;

/// A metric as CloudWatch names it. A metric with other dimensions, or with one more, is another metric.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Such as `AWS/ApplicationELB`.
    pub namespace: String,
    /// Such as `RequestCount`.
    pub name: String,
    /// All of them, by name.
    #[serde(default)]
    pub dimensions: BTreeMap<String, String>,
}

impl Metric {
    /// A metric without dimensions.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into(), dimensions: BTreeMap::new() }
    }

    /// Adds a dimension.
    #[must_use]
    pub fn with(mut self, dimension: impl Into<String>, value: impl Into<String>) -> Self {
        self.dimensions.insert(dimension.into(), value.into());
        self
    }

    /// The metric by this statistic.
    pub fn by(self, statistic: Statistic) -> MetricStat {
        MetricStat { metric: self, statistic }
    }
}

/// A metric and the statistic that makes one number of the samples of a period.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricStat {
    /// The metric.
    pub metric: Metric,
    /// The statistic.
    pub statistic: Statistic,
}

/// One series of numbers. Shown as the lines that the source view of a CloudWatch graph takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Series {
    /// A metric as it is.
    Stat(MetricStat),
    /// Metric math, which CloudWatch computes: an expression over metrics by their names in it (`m1`, lower case first).
    ///
    /// CloudWatch does not page through expressions; long windows of many metrics may come back in part, and are told apart then.
    Math {
        /// Such as `100 * used / limit`.
        expression: String,
        /// The metrics by name.
        metrics: BTreeMap<String, MetricStat>,
    },
}

/// A series that CloudWatch would refuse, and with it every other one of the same request. It is not asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSeries {
    /// A name or value is empty or too long, or is not in ASCII.
    #[error("the {what} {text:?} is empty, longer than {longest} characters, or not in ASCII")]
    Name {
        /// Namespace, metric name, dimension or value.
        what: &'static str,
        /// What it is.
        text: String,
        /// Characters allowed.
        longest: usize,
    },
    /// More dimensions than a metric can have.
    #[error("{count} dimensions; a metric has {MOST_DIMENSIONS} at most")]
    Dimensions {
        /// Number of dimensions.
        count: usize,
    },
    /// An expression without metrics, or with too many.
    #[error("an expression over {count} metrics; it takes 1 to {MOST_INPUTS}")]
    Inputs {
        /// Number of metrics.
        count: usize,
    },
    /// A name of a metric in an expression is none.
    #[error("{name:?} cannot name a metric in an expression: a lower-case letter, then letters, digits and _")]
    Id {
        /// The name.
        name: String,
    },
    /// A named metric does not occur in the expression: one of the two is misspelt.
    #[error("the expression does not use {name:?}")]
    Unused {
        /// The name.
        name: String,
    },
}

impl Series {
    /// Checks what CloudWatch would refuse.
    ///
    /// # Errors
    /// [`InvalidSeries`] with what is wrong.
    pub fn check(&self) -> Result<(), InvalidSeries> {
        self.stats().try_for_each(|stat| stat.metric.check())?;
        let Self::Math { expression, metrics } = self else { return Ok(()) };
        name("expression", expression, LONGEST_EXPRESSION)?;
        if metrics.is_empty() || metrics.len() > MOST_INPUTS {
            return Err(InvalidSeries::Inputs { count: metrics.len() });
        }
        for id in metrics.keys() {
            let starts = id.starts_with(|first: char| first.is_ascii_lowercase());
            if !starts || !id.chars().all(|char| char.is_ascii_alphanumeric() || char == '_') || id.len() > 64 {
                return Err(InvalidSeries::Id { name: id.clone() });
            }
            if !super::query::words(expression).any(|word| word == id) {
                return Err(InvalidSeries::Unused { name: id.clone() });
            }
        }
        Ok(())
    }

    fn stats(&self) -> impl Iterator<Item = &MetricStat> {
        let (one, inputs) = match self {
            Self::Stat(stat) => (Some(stat), None),
            Self::Math { metrics, .. } => (None, Some(metrics.values())),
        };
        one.into_iter().chain(inputs.into_iter().flatten())
    }
}

impl Metric {
    fn check(&self) -> Result<(), InvalidSeries> {
        name("namespace", &self.namespace, LONGEST_NAME)?;
        name("metric name", &self.name, LONGEST_NAME)?;
        if self.dimensions.len() > MOST_DIMENSIONS {
            return Err(InvalidSeries::Dimensions { count: self.dimensions.len() });
        }
        self.dimensions.iter().try_for_each(|(dimension, value)| {
            name("dimension", dimension, LONGEST_NAME)?;
            name("value of a dimension", value, LONGEST_VALUE)
        })
    }
}

fn name(what: &'static str, text: &str, longest: usize) -> Result<(), InvalidSeries> {
    let fits = !text.trim().is_empty() && text.len() <= longest && text.is_ascii() && !text.contains(char::is_control);
    if fits { Ok(()) } else { Err(InvalidSeries::Name { what, text: text.to_owned(), longest }) }
}

/// The service's name of a statistic.
pub(super) fn statistic(statistic: Statistic) -> String {
    match statistic {
        Statistic::Average => "Average".into(),
        Statistic::Sum => "Sum".into(),
        Statistic::Minimum => "Minimum".into(),
        Statistic::Maximum => "Maximum".into(),
        Statistic::SampleCount => "SampleCount".into(),
        // p95, as CloudWatch writes it.
        percentile @ Statistic::Percentile(_) => percentile.to_string(),
    }
}

/// The line of a graph's source.
fn line(stat: &MetricStat, options: serde_json::Value) -> String {
    let MetricStat { metric, statistic: by } = stat;
    let mut parts = vec![json!(metric.namespace), json!(metric.name)];
    parts.extend(metric.dimensions.iter().flat_map(|(dimension, value)| [json!(dimension), json!(value)]));
    let mut options = options;
    if let Some(options) = options.as_object_mut() {
        options.insert("stat".into(), json!(statistic(*by)));
    }
    parts.push(options);
    serde_json::Value::Array(parts).to_string()
}

impl fmt::Display for MetricStat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&line(self, json!({})))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stat(stat) => stat.fmt(f),
            Self::Math { expression, metrics } => {
                write!(f, "[{}]", json!({ "expression": expression, "id": "e0" }))?;
                metrics
                    .iter()
                    .try_for_each(|(id, stat)| write!(f, ", {}", line(stat, json!({ "id": id, "visible": false }))))
            }
        }
    }
}
