//! One question about a whole fleet: [`QueryTemplate`].

use std::fmt;

use crate::metrics::SignalKind;

/// Longest template, in bytes.
const LONGEST: usize = 8 * 1024;

/// Label of a series that is no value of a workload, but says how many of its pods answered, in percent.
pub(super) const ANSWERED: &str = "answered";

/// What a query measures of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Measure {
    /// A signal.
    Signal(SignalKind),
    /// Pods that are ready.
    ReadyPods,
    /// Pods that the scale subresource asks for.
    DesiredPods,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(kind) => kind.fmt(f),
            Self::ReadyPods => f.write_str("ready pods"),
            Self::DesiredPods => f.write_str("desired pods"),
        }
    }
}

/// The unit in which a query answers. Nothing is converted but what is said here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The unit of the measure itself: percent, requests per second, milliseconds, a number of things.
    Own,
    /// A share of 1; times 100 it is percent.
    Ratio,
    /// Seconds; times 1,000 they are milliseconds.
    Seconds,
    /// A rate per minute; a sixtieth of it is per second.
    PerMinute,
}

impl Unit {
    /// Returns a value of this unit in the measure's own.
    pub fn convert(self, value: f64) -> f64 {
        match self {
            Self::Own => value,
            Self::Ratio => value * 100.0,
            Self::Seconds => value * 1000.0,
            Self::PerMinute => value / 60.0,
        }
    }
}

/// What stands in the label that tells workloads apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// The name of the workload.
    Workload,
    /// The name of its service, which may be another ([`QuerySet::known_as`](super::QuerySet::known_as)).
    Service,
}

/// A template that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("query for {measure}: {what}")]
pub struct InvalidTemplate {
    measure: String,
    what: String,
}

/// A query in PromQL that answers for many workloads at once: one series for each, told apart by two labels.
///
/// | placeholder | becomes |
/// | --- | --- |
/// | `{namespace}`, `{workload}` | the names asked for as one regular expression, escaped to stand between double quotes: `namespace=~"{namespace}"` |
/// | `{namespace_label}`, `{workload_label}` | names of the labels that tell workloads apart ([`labels`](Self::labels)) |
/// | `{matchers}` | further matchers with a comma in front, or nothing ([`QuerySet::matching`](super::QuerySet::matching)) |
/// | `{window}` | length of the window for rates, as `60s` |
/// | `{fresh}` | age up to which a value counts, as `120s`: for `last_over_time(metric[{fresh}])`, since the server itself looks back 5 min |
/// | `{quantile}` | quantile of response times, as `0.95` |
///
/// A series with a label `answered` (whatever it says) is no value, but the percent of a workload's pods that answered: the signal is
/// then [`Absence::Partial`](crate::Absence::Partial), whatever other series there is. The ready-made utilizations have it where pods
/// are missing.
///
/// ```
/// use scaling_core::SignalKind;
/// use scaling_core::source::prometheus::{Measure, QueryTemplate, Unit};
///
/// let queue = QueryTemplate::new(
///     Measure::Signal(SignalKind::QueueDepth),
///     Unit::Own,
///     r#"sum by (namespace, workload) (last_over_time(jobs_waiting{namespace=~"{namespace}",workload=~"{workload}"}[{fresh}]))"#,
/// )?;
/// assert!(QueryTemplate::new(Measure::ReadyPods, Unit::Own, "up{job=\"{app}\"}").unwrap_err().to_string().contains("{app}"));
/// # Ok::<(), scaling_core::source::prometheus::InvalidTemplate>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryTemplate {
    pub(super) measure: Measure,
    pub(super) unit: Unit,
    pub(super) promql: String,
    pub(super) namespace_label: String,
    pub(super) workload_label: String,
    pub(super) named_by: NamedBy,
}

/// Placeholders, with their braces.
pub(super) const PLACEHOLDERS: [&str; 8] = [
    "{namespace}",
    "{workload}",
    "{namespace_label}",
    "{workload_label}",
    "{matchers}",
    "{window}",
    "{fresh}",
    "{quantile}",
];

impl QueryTemplate {
    /// Creates a template whose series are told apart by the labels `namespace` and `workload`.
    ///
    /// # Errors
    /// [`InvalidTemplate`] if it is empty, too long, or has a placeholder that is none.
    pub fn new(measure: Measure, unit: Unit, promql: impl Into<String>) -> Result<Self, InvalidTemplate> {
        let promql = promql.into();
        let fault = |what: String| InvalidTemplate { measure: measure.to_string(), what };
        if promql.trim().is_empty() {
            return Err(fault("it is empty".into()));
        }
        if promql.len() > LONGEST {
            return Err(fault(format!("it is {} bytes long; at most {LONGEST} are allowed", promql.len())));
        }
        if let Some(unknown) = unknown_placeholder(&promql) {
            return Err(fault(format!("{unknown} is no placeholder; known are {}", PLACEHOLDERS.join(", "))));
        }
        Ok(Self::known(measure, unit, promql))
    }

    /// A template of this crate.
    pub(super) fn known(measure: Measure, unit: Unit, promql: impl Into<String>) -> Self {
        let (namespace_label, workload_label) = ("namespace".into(), "workload".into());
        Self { measure, unit, promql: promql.into(), namespace_label, workload_label, named_by: NamedBy::Workload }
    }

    /// Sets the labels that tell workloads apart, in the query and in its answer.
    #[must_use]
    pub fn labels(mut self, namespace: impl Into<String>, workload: impl Into<String>) -> Self {
        (self.namespace_label, self.workload_label) = (namespace.into(), workload.into());
        self
    }

    /// Says whether the label holds the name of the workload (the default) or that of its service.
    #[must_use]
    pub fn named_by(mut self, named_by: NamedBy) -> Self {
        self.named_by = named_by;
        self
    }

    /// True if it asks for response times at the quantile of the set.
    pub(super) fn says_quantile(&self) -> bool {
        self.measure == Measure::Signal(SignalKind::ResponseTime) && self.promql.contains("{quantile}")
    }

    /// What it measures.
    pub fn measure(&self) -> Measure {
        self.measure
    }

    /// The text, with its placeholders.
    pub fn promql(&self) -> &str {
        &self.promql
    }
}

/// Finds `{word}` that is none of the placeholders: PromQL itself has no such thing outside of strings.
fn unknown_placeholder(promql: &str) -> Option<&str> {
    promql.match_indices('{').find_map(|(begin, _)| {
        let rest = promql.get(begin..)?;
        let end = rest.find('}')? + 1;
        let whole = rest.get(..end)?;
        let word = whole.get(1..end - 1)?;
        let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        (is_word && !PLACEHOLDERS.contains(&whole)).then_some(whole)
    })
}
