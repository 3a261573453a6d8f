//! What the numbers of a monitoring service mean: a [`SignalQuery`] names the query, the [`Unit`] of its answer and the [`Statistic`]
//! behind it, and a [`Mapping`] holds those of one workload, checked.
//!
//! The same name means different things in different places: percent of a node, of a limit or of a request; seconds or
//! milliseconds; a count in a minute or a rate. A number read in the wrong unit is worse than none, because it moves pods. So a unit is
//! never guessed from a name or from a value: it is stated, each pair of measure and unit either has one factor or is refused, and
//! what a conversion needs to know (the request of a pod) is asked for by name.
//!
//! | measure | units |
//! | --- | --- |
//! | CPU utilization, percent of request | [`Percent`](Unit::Percent), [`Ratio`](Unit::Ratio); of one pod: [`Cores`](Unit::Cores), [`Millicores`](Unit::Millicores), [`Nanocores`](Unit::Nanocores) |
//! | memory utilization, percent of request | [`Percent`](Unit::Percent), [`Ratio`](Unit::Ratio); of one pod: [`Bytes`](Unit::Bytes) |
//! | request rate | [`PerSecond`](Unit::PerSecond), [`PerMinute`](Unit::PerMinute), [`PerPeriod`](Unit::PerPeriod) |
//! | response time | [`Seconds`](Unit::Seconds), [`Milliseconds`](Unit::Milliseconds), [`Microseconds`](Unit::Microseconds), [`Nanoseconds`](Unit::Nanoseconds) |
//! | error rate, percent of requests | [`Percent`](Unit::Percent), [`Ratio`](Unit::Ratio) |
//! | connections, queue, pods | [`Count`](Unit::Count) |

mod conversion;
mod measure;
mod statistic;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use conversion::{Conversion, Unit};
pub use measure::Measure;
pub use statistic::{InvalidStatistic, Statistic};

use crate::metrics::{SignalSet, WorkloadFacts};

/// A query that cannot become a measure, by what is wrong with it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// The unit is not one of this measure.
    #[error("{measure}: the unit {unit} does not measure it; expected one of {}", Unit::names(*measure))]
    Unit {
        /// The measure.
        measure: Measure,
        /// The refused unit.
        unit: Unit,
    },
    /// The statistic makes another quantity of it: the sum of percentages, the mean of counts that are to become a rate.
    #[error("{measure}: the statistic {statistic} of a quantity in {unit} is none; expected {expected}")]
    Statistic {
        /// The measure.
        measure: Measure,
        /// The unit.
        unit: Unit,
        /// The refused statistic.
        statistic: Statistic,
        /// What would make sense.
        expected: &'static str,
    },
    /// An amount for each pod is a share of the request of a pod, which nobody has stated.
    #[error("{measure}: an amount in {unit} needs the request of a pod: set {field} in the facts of the workload")]
    RequestUnknown {
        /// The measure.
        measure: Measure,
        /// The unit.
        unit: Unit,
        /// The missing field of [`WorkloadFacts`].
        field: &'static str,
    },
    /// Two queries deliver the same measure.
    #[error("{measure}: two queries deliver it; keep one")]
    Twice {
        /// The measure.
        measure: Measure,
    },
    /// There is no query.
    #[error("there is no query in it, so nothing would be measured")]
    Empty,
    /// A count in a period of no length is no rate.
    #[error("{measure}: a count in a period of no length is no rate")]
    NoPeriod {
        /// The measure.
        measure: Measure,
    },
}

/// One query of a monitoring service and the measure that its answer is. `Q` is how the service names what is asked for.
///
/// ```
/// use scaling_core::source::mapping::{SignalQuery, Statistic, Unit};
/// use scaling_core::{SignalKind, WorkloadFacts};
/// use std::time::Duration;
///
/// let requests = SignalQuery::new(SignalKind::RequestRate, "RequestCount", Unit::PerPeriod, Statistic::Sum);
/// let per_second = requests.conversion(&WorkloadFacts::default(), Duration::from_secs(60))?;
/// assert_eq!(per_second.convert(1200.0), 20.0);
///
/// let milliseconds = SignalQuery::new(SignalKind::RequestRate, "Latency", Unit::Milliseconds, Statistic::Average);
/// assert!(milliseconds.conversion(&WorkloadFacts::default(), Duration::from_secs(60)).is_err());
/// # Ok::<(), scaling_core::source::mapping::MappingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalQuery<Q> {
    /// What the answer measures.
    pub measure: Measure,
    /// What is asked for, in the terms of the service.
    pub query: Q,
    /// Unit of the numbers that come back.
    pub unit: Unit,
    /// How the samples of one period became one number.
    pub statistic: Statistic,
}

impl<Q> SignalQuery<Q> {
    /// A query as it is stated; [`Mapping::new`] checks it.
    pub fn new(measure: impl Into<Measure>, query: Q, unit: Unit, statistic: Statistic) -> Self {
        Self { measure: measure.into(), query, unit, statistic }
    }

    /// Checks what can be known without the workload: that the unit and the statistic are of this measure.
    ///
    /// # Errors
    /// [`MappingError`] if they are not.
    pub fn check(&self) -> Result<(), MappingError> {
        let Self { measure, unit, statistic, .. } = self;
        if !unit.measures(*measure) {
            return Err(MappingError::Unit { measure: *measure, unit: *unit });
        }
        match unit.refuses(*statistic) {
            Some(expected) => {
                Err(MappingError::Statistic { measure: *measure, unit: *unit, statistic: *statistic, expected })
            }
            None => Ok(()),
        }
    }

    /// The conversion from the unit of the answer, each number of which stands for `period`.
    ///
    /// # Errors
    /// [`MappingError`] if there is none, or if it needs a fact that is not stated.
    pub fn conversion(&self, facts: &WorkloadFacts, period: Duration) -> Result<Conversion, MappingError> {
        self.check()?;
        Conversion::of(self.measure, self.unit, facts, period)
    }
}

/// The queries of one workload: at least one, and at most one for each measure.
///
/// It declares the signals that its queries deliver (law 2): one that comes back empty is absent, not unknown. Written as a list of
/// [`SignalQuery`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<SignalQuery<Q>>", into = "Vec<SignalQuery<Q>>", bound(serialize = "Q: Serialize + Clone"))]
pub struct Mapping<Q>(Vec<SignalQuery<Q>>);

impl<Q> Mapping<Q> {
    /// The checked queries.
    ///
    /// # Errors
    /// [`MappingError`] of the first query that cannot be.
    pub fn new(queries: impl Into<Vec<SignalQuery<Q>>>) -> Result<Self, MappingError> {
        let queries = queries.into();
        let mut seen: Vec<Measure> = Vec::with_capacity(queries.len());
        for query in &queries {
            query.check()?;
            if seen.contains(&query.measure) {
                return Err(MappingError::Twice { measure: query.measure });
            }
            seen.push(query.measure);
        }
        if queries.is_empty() { Err(MappingError::Empty) } else { Ok(Self(queries)) }
    }

    /// The queries, in the order in which they were given.
    pub fn queries(&self) -> &[SignalQuery<Q>] {
        &self.0
    }

    /// The signals that they deliver; pod counts are none.
    pub fn declared(&self) -> SignalSet {
        SignalSet::of(self.0.iter().filter_map(|query| query.measure.signal()))
    }

    /// The quantile of the response time that they deliver (0.95 for p95); `None` for a mean, or without a response time.
    pub fn response_time_quantile(&self) -> Option<f64> {
        let time = self.0.iter().find(|query| query.measure == Measure::RESPONSE_TIME)?;
        time.statistic.quantile()
    }

    /// The conversion of each query, in their order.
    ///
    /// # Errors
    /// [`MappingError`] of the first that needs a fact which is not stated.
    pub fn conversions(&self, facts: &WorkloadFacts, period: Duration) -> Result<Vec<Conversion>, MappingError> {
        self.0.iter().map(|query| query.conversion(facts, period)).collect()
    }
}

impl<Q> TryFrom<Vec<SignalQuery<Q>>> for Mapping<Q> {
    type Error = MappingError;

    fn try_from(queries: Vec<SignalQuery<Q>>) -> Result<Self, MappingError> {
        Self::new(queries)
    }
}

impl<Q> From<Mapping<Q>> for Vec<SignalQuery<Q>> {
    fn from(mapping: Mapping<Q>) -> Self {
        mapping.0
    }
}

#[cfg(test)]
mod tests;
