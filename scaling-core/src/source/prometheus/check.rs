//! Each query once, and what is wrong with it in words: [`QueryCheck`].

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::answer::{self, Sample};
use super::client::QueryFault;
use super::index::{Index, covered_percent, is_coverage};
use super::query::{self, Names};
use super::source::PrometheusSource;
use super::template::{Measure, QueryTemplate, Unit};
use crate::http::HttpError;
use crate::metrics::SignalKind;
use crate::target::Target;

/// How far back is looked, and how often: enough for a counter to show, and little for a server.
const BACK: TimeDelta = TimeDelta::hours(1);
const STEP: Duration = Duration::from_secs(300);

/// Queries in a row without an answer after which no more are asked.
const PATIENCE: u32 = 2;

/// Most label sets shown.
const SHOWN: usize = 10;

/// What is right or wrong with a query.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It answers with a value, in the measure's own unit.
    Works {
        /// The value now.
        value: f64,
    },
    /// It answers NaN, as response times and shares of failures do while there are no requests.
    NothingToMeasure,
    /// The value is infinite, or NaN where that is no answer.
    NotFinite,
    /// The value is negative, or beyond what the measure can be.
    OutOfRange {
        /// The value now.
        value: f64,
    },
    /// No series, whatever the labels.
    Empty,
    /// There are series, of other workloads.
    LabelsDoNotMatch {
        /// Labels that there are, at most 10.
        found: Vec<String>,
    },
    /// The values look like another unit.
    WrongUnit {
        /// Largest value within the last hour, as it was answered.
        largest: f64,
        /// The unit that would fit.
        looks_like: Unit,
    },
    /// It counts pods, and the value is no whole number: it is not taken.
    Fractional {
        /// The value now.
        value: f64,
    },
    /// It is a counter: values only rise, or its name says so, and no rate is taken.
    Counter,
    /// There was a value, and there is none now.
    Stale {
        /// Age of the newest value; steps of five minutes.
        age: TimeDelta,
    },
    /// There are several series for the one workload.
    Ambiguous {
        /// Their labels, at most 10.
        found: Vec<String>,
    },
    /// The query failed.
    Failed(QueryFault),
    /// It was not asked, as the server did not answer those before.
    NotAsked,
}

impl Verdict {
    /// True if the signal can be used as it is.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Works { .. } | Self::NothingToMeasure)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works { value } => write!(f, "works: {value:.3}"),
            Self::NothingToMeasure => f.write_str("works: NaN, nothing to measure now"),
            Self::NotFinite => f.write_str("infinite or NaN: something is divided by 0"),
            Self::OutOfRange { value } => write!(f, "out of range: {value}; a wrong unit or a broken exporter"),
            Self::Empty => f.write_str("empty: the server has no such series; is the exporter scraped?"),
            Self::LabelsDoNotMatch { found } => {
                write!(f, "labels do not match: no series for this workload, but for {}", found.join(", "))
            }
            Self::WrongUnit { largest, looks_like } => {
                let (unit, remedy) = match looks_like {
                    Unit::Ratio => ("a share of 1", "Unit::Ratio"),
                    Unit::Seconds => ("seconds", "Unit::Seconds"),
                    Unit::PerMinute => ("a rate per minute", "Unit::PerMinute"),
                    Unit::Own => ("its own unit", "Unit::Own"),
                };
                write!(f, "wrong unit: at most {largest} within an hour looks like {unit}; if so, say {remedy}")
            }
            Self::Counter => f.write_str("a counter without a rate: write rate(…[{window}])"),
            Self::Stale { age } => write!(f, "stale: the newest value is {} min old", age.num_minutes()),
            Self::Ambiguous { found } => {
                write!(f, "ambiguous: {} series for one workload: {}; add them up", found.len(), found.join(", "))
            }
            Self::Fractional { value } => {
                write!(f, "not whole: {value} pods; count them, without a mean over time or a division")
            }
            Self::Failed(fault) => write!(f, "failed: {fault}"),
            Self::NotAsked => f.write_str("not asked, as the server did not answer"),
        }
    }
}

/// What is right or wrong with the query for one measure, and that query.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryCheck {
    /// What it measures.
    pub measure: Measure,
    /// The text, to paste into the server's own page.
    pub promql: String,
    /// What is right or wrong.
    pub verdict: Verdict,
}

impl fmt::Display for QueryCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    {}", self.measure, self.verdict, self.promql)
    }
}

impl PrometheusSource {
    /// Runs each query of the set for one target, over the last hour, and says what is right or wrong with it. At most three queries
    /// each: those without a series are asked again without the workload, and without the namespace, to see what there is. Once two in a row had no
    /// answer at all, the rest is not asked: whoever waits has waited long enough.
    ///
    /// A share of failures below 1 cannot be told from a percentage below 1, so it is not called a wrong unit.
    pub async fn check(&self, target: &Target, now: DateTime<Utc>) -> Vec<QueryCheck> {
        let mut checks = Vec::new();
        let foreign = self.set.foreign(target);
        let mut unanswered = 0;
        for template in self.set.templates() {
            let namespaces = BTreeSet::from([target.namespace.as_str()]);
            let workloads = BTreeSet::from([query::label_of(&self.set, template, target)]);
            let names = Names { namespaces: Some(&namespaces), workloads: Some(&workloads) };
            let promql = query::rendered(&self.set, template, names);
            let verdict = match &foreign {
                Some(fault) => Err(fault.clone()),
                None if unanswered >= PATIENCE => Ok(Verdict::NotAsked),
                None => self.verdict(template, target, &promql, &namespaces, now).await,
            };
            let verdict = verdict.unwrap_or_else(Verdict::Failed);
            match &verdict {
                Verdict::Failed(QueryFault::Http(HttpError::Timeout { .. } | HttpError::Connect { .. })) => {
                    unanswered += 1;
                }
                Verdict::NotAsked => {}
                _ => unanswered = 0,
            }
            checks.push(QueryCheck { measure: template.measure(), promql, verdict });
        }
        checks
    }

    async fn verdict(
        &self,
        template: &QueryTemplate,
        target: &Target,
        promql: &str,
        namespaces: &BTreeSet<&str>,
        now: DateTime<Utc>,
    ) -> Result<Verdict, QueryFault> {
        let reply = self.client.range(promql, (now - BACK, now), STEP).await?;
        let answer = reply.read()?;
        let targets = std::slice::from_ref(target);
        let index = Index::new(&self.set, template, targets);
        let ours = answer.series.iter().filter(|series| !index.targets(series).is_empty());
        // Over an hour, the same workload may have answered in part and in whole.
        let (parts, ours): (Vec<_>, Vec<_>) = ours.partition(|series| is_coverage(series));
        let now_ms = now.timestamp_millis();
        let part = parts.iter().flat_map(|part| &part.samples).find(|sample| sample.at_ms >= now_ms);
        if let Some(part) = part {
            let why = format!("only {} % of the pods that should answer did", covered_percent(*part));
            return Err(QueryFault::Partial(why));
        }
        match ours.as_slice() {
            [] if !answer.series.is_empty() => Ok(Verdict::LabelsDoNotMatch { found: shown(&answer.series) }),
            [] => {
                for names in [Names { namespaces: Some(namespaces), workloads: None }, Names::default()] {
                    let found = self.labels(template, names, now).await?;
                    if !found.is_empty() {
                        return Ok(Verdict::LabelsDoNotMatch { found });
                    }
                }
                Ok(Verdict::Empty)
            }
            [series] => Ok(judged(template, &series.samples, now)),
            several => Ok(Verdict::Ambiguous { found: several.iter().take(SHOWN).map(|one| one.selector()).collect() }),
        }
    }

    /// The labels that there are for some names.
    async fn labels(
        &self,
        template: &QueryTemplate,
        names: Names<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, QueryFault> {
        let reply = self.client.instant(&query::rendered(&self.set, template, names), now).await?;
        Ok(shown(&reply.read()?.series))
    }
}

fn shown(series: &[answer::Series<'_>]) -> Vec<String> {
    series.iter().take(SHOWN).map(answer::Series::selector).collect()
}

/// Judges an hour of samples.
fn judged(template: &QueryTemplate, samples: &[Sample], now: DateTime<Utc>) -> Verdict {
    let Some(newest) = samples.iter().max_by_key(|sample| sample.at_ms) else { return Verdict::Empty };
    let age = TimeDelta::milliseconds(now.timestamp_millis().saturating_sub(newest.at_ms));
    // The last step of the range is `now` itself.
    if age.num_seconds() > 0 {
        return Verdict::Stale { age };
    }
    if is_counter(template, samples) {
        return Verdict::Counter;
    }
    let (value, largest) = (newest.value, samples.iter().map(|sample| sample.value).fold(0.0, f64::max));
    let own = template.unit.convert(value);
    let limit = match template.measure() {
        Measure::Signal(kind) => kind.limit(),
        Measure::ReadyPods | Measure::DesiredPods => f64::from(crate::stats::MAX_REPLICAS),
    };
    match own {
        own if own.is_nan() && may_be_nan(template.measure()) => Verdict::NothingToMeasure,
        own if !own.is_finite() => Verdict::NotFinite,
        own if own < 0.0 || own > limit => Verdict::OutOfRange { value: own },
        own if own.fract() != 0.0 && matches!(template.measure(), Measure::ReadyPods | Measure::DesiredPods) => {
            Verdict::Fractional { value: own }
        }
        own => match looks_like(template, largest) {
            Some(looks_like) => Verdict::WrongUnit { largest, looks_like },
            None => Verdict::Works { value: own },
        },
    }
}

/// True for what has no value while there are no requests. A rate, a number or a utilization has one always.
fn may_be_nan(measure: Measure) -> bool {
    matches!(measure, Measure::Signal(SignalKind::ResponseTime | SignalKind::ErrorRate))
}

/// The unit that a largest value of an hour speaks for, where another was declared.
fn looks_like(template: &QueryTemplate, largest: f64) -> Option<Unit> {
    if template.unit != Unit::Own || largest <= 0.0 {
        return None;
    }
    match template.measure() {
        // A pod that is used by less than 2 % of its request for an hour is rarer than a ratio.
        Measure::Signal(SignalKind::CpuUtilization | SignalKind::MemoryUtilization) if largest < 2.0 => {
            Some(Unit::Ratio)
        }
        // No request over HTTP is answered within a tenth of a millisecond at a high quantile.
        Measure::Signal(SignalKind::ResponseTime) if largest < 0.1 => Some(Unit::Seconds),
        _ => None,
    }
}

/// True if a counter is asked for without a rate: by its name, or because it only rises over the hour, from a value that a load would
/// not have.
fn is_counter(template: &QueryTemplate, samples: &[Sample]) -> bool {
    let text = template.promql();
    let has_rate = ["rate", "increase", "delta", "deriv", "histogram_quantile"].iter().any(|function| {
        text.match_indices(function).any(|(at, _)| {
            let after = text.get(at + function.len()..).unwrap_or_default().trim_start();
            after.starts_with('(') || after.starts_with("_over")
        })
    });
    if has_rate {
        return false;
    }
    let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let has_name = words.any(|word| ["_total", "_count", "_sum", "_bucket"].iter().any(|end| word.ends_with(end)));
    let rises = samples.len() > 6
        && samples.windows(2).all(|pair| matches!(pair, [a, b] if b.value > a.value))
        && matches!(template.measure(), Measure::Signal(SignalKind::RequestRate));
    has_name || rises
}
