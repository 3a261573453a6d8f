//! [`Term`]: how series become a number. [`Workload`]: the terms of one.

use std::fmt;

use crate::metrics::WorkloadFacts;
use crate::source::mapping::{Mapping, Unit};
use crate::target::Target;

/// How the series of a service become one number.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Term<S> {
    /// One series as it is.
    One(S),
    /// The share of one amount in another, from 0 to 1 or above: usage of what is requested, failures of all requests. Over 0 there is
    /// no share. Made by [`Term::share`]; delivered as [`Unit::Ratio`], which a source insists on.
    Share {
        /// What is a part of it.
        part: Amount<S>,
        /// The whole.
        whole: Amount<S>,
    },
    /// As [`Share`](Self::Share), of a count that the service leaves out while it is 0, such as the failures of requests. In a step in
    /// which the whole was measured, an answer that is complete and holds no count means 0: there were requests, and none of them failed.
    /// Without a value of the whole, or where the answer to the part failed or came in part, it is absent as any other.
    ///
    /// A name that is misspelt looks like a count of 0. A check shows such a query as working at 0: make it fail once.
    Sparse {
        /// The count that may be left out.
        part: Amount<S>,
        /// What is reported whenever there was anything to count.
        whole: Amount<S>,
    },
}

/// A series and the unit of its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Amount<S> {
    /// The series.
    pub series: S,
    /// Unit of its numbers.
    pub unit: Unit,
}

/// A share of amounts that do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an amount in {part} is no share of one in {whole}")]
pub struct InvalidTerm {
    part: Unit,
    whole: Unit,
}

impl<S> Term<S> {
    /// The share of `part` in `whole`; deliver it as [`Unit::Ratio`].
    ///
    /// # Errors
    /// [`InvalidTerm`] if they are of different quantities: bytes of cores.
    pub fn share(part: Amount<S>, whole: Amount<S>) -> Result<Self, InvalidTerm> {
        if scale(part.unit).0 == scale(whole.unit).0 {
            Ok(Self::Share { part, whole })
        } else {
            Err(InvalidTerm { part: part.unit, whole: whole.unit })
        }
    }

    /// [`share`](Self::share) of a count that the service leaves out while it is 0.
    ///
    /// # Errors
    /// [`InvalidTerm`] as with [`share`](Self::share).
    pub fn sparse_share(part: Amount<S>, whole: Amount<S>) -> Result<Self, InvalidTerm> {
        Self::share(part, whole).map(|term| match term {
            Self::Share { part, whole } => Self::Sparse { part, whole },
            other => other,
        })
    }

    /// The unit in which it is a number whatever its series are in; `None` for one series, whose unit is stated.
    pub(super) fn own_unit(&self) -> Option<Unit> {
        match self {
            Self::One(_) => None,
            Self::Share { .. } | Self::Sparse { .. } => Some(Unit::Ratio),
        }
    }

    /// Its series, with the unit stated for each; that of one series alone is stated with the measure.
    pub(super) fn series(&self, unit: Unit) -> Vec<(&S, Unit)> {
        match self {
            Self::One(series) => vec![(series, unit)],
            Self::Share { part, whole } | Self::Sparse { part, whole } => {
                vec![(&part.series, part.unit), (&whole.series, whole.unit)]
            }
        }
    }
}

impl<S: fmt::Display> fmt::Display for Term<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(series) => series.fmt(f),
            Self::Share { part, whole } | Self::Sparse { part, whole } => {
                write!(f, "{} / {}", part.series, whole.series)
            }
        }
    }
}

/// Factor from the unit of `part` to that of `whole`.
pub(super) fn factor(part: Unit, whole: Unit) -> f64 {
    scale(part).1 / scale(whole).1
}

/// The quantity that a unit measures, and its size in the base unit of it.
fn scale(unit: Unit) -> (&'static str, f64) {
    match unit {
        Unit::Cores => ("cores", 1.0),
        Unit::Millicores => ("cores", 1e-3),
        Unit::Nanocores => ("cores", 1e-9),
        Unit::Bytes => ("bytes", 1.0),
        Unit::PerSecond => ("rate", 1.0),
        Unit::PerMinute => ("rate", 1.0 / 60.0),
        Unit::PerPeriod => ("events", 1.0),
        Unit::Seconds => ("time", 1.0),
        Unit::Milliseconds => ("time", 1e-3),
        Unit::Microseconds => ("time", 1e-6),
        Unit::Nanoseconds => ("time", 1e-9),
        Unit::Count => ("count", 1.0),
        Unit::Percent => ("ratio", 0.01),
        Unit::Ratio => ("ratio", 1.0),
    }
}

/// A workload and what its series mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload<S> {
    /// The workload.
    pub target: Target,
    /// Its measures, which are also the signals that it declares (law 2).
    pub mapping: Mapping<Term<S>>,
    /// Facts about it: what amounts for each pod are shares of, and what is handed to the engine.
    pub facts: WorkloadFacts,
}

impl<S> Workload<S> {
    /// A workload of which no facts are stated.
    pub fn new(target: Target, mapping: Mapping<Term<S>>) -> Self {
        Self { target, mapping, facts: WorkloadFacts::default() }
    }

    /// Sets the facts.
    #[must_use]
    pub fn with_facts(mut self, facts: WorkloadFacts) -> Self {
        self.facts = facts;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_the_same_quantity() {
        let amount = |unit| Amount { series: "s", unit };
        assert!(Term::share(amount(Unit::Nanocores), amount(Unit::Cores)).is_ok());
        let refused = Term::share(amount(Unit::Bytes), amount(Unit::Cores)).unwrap_err();
        assert_eq!(refused.to_string(), "an amount in bytes is no share of one in cores");
        assert!(Term::share(amount(Unit::PerPeriod), amount(Unit::PerSecond)).is_err());
        assert!((factor(Unit::Nanocores, Unit::Cores) - 1e-9).abs() < 1e-21);
        assert!((factor(Unit::Milliseconds, Unit::Microseconds) - 1e3).abs() < 1e-9);
    }
}
