//! Mapping of series to the measures of workloads, read from a file: the part that all clouds share.

use std::collections::BTreeMap;
use std::path::Path;

use scaling_core::Target;
use scaling_core::source::fleet::{Amount, Term, Workload};
use scaling_core::source::mapping::{Mapping, Measure, SignalQuery, Statistic, Unit};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Failure;
use crate::live::arguments;

/// A series as a file writes it.
pub(super) trait Written {
    /// The series that the source asks for.
    type Series: Clone;

    /// The series, and how one number is made of the samples of a period.
    fn series(&self, target: &Target) -> Result<(Self::Series, Statistic), String>;
}

/// A query of one's own: a series in a unit, or the share of one series in another.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnQuery<S> {
    /// Name of a signal, or of a pod count.
    measure: Measure,
    series: Option<S>,
    unit: Option<Unit>,
    part: Option<Part<S>>,
    whole: Option<Part<S>>,
    /// True if the service leaves the part out while it is 0.
    #[serde(default)]
    sparse: bool,
}

/// A series and the unit of its numbers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part<S> {
    series: S,
    unit: Unit,
}

/// Query as a preset gives it.
pub(super) type Query<S> = SignalQuery<Term<S>>;

impl<S: Written> OwnQuery<S> {
    fn query(&self, target: &Target) -> Result<Query<S::Series>, String> {
        let amount =
            |part: &Part<S>| Ok::<_, String>(Amount { series: part.series.series(target)?.0, unit: part.unit });
        match (&self.series, self.unit, &self.part, &self.whole) {
            (Some(series), Some(unit), None, None) if !self.sparse => {
                let (series, statistic) = series.series(target)?;
                Ok(SignalQuery::new(self.measure, Term::One(series), unit, statistic))
            }
            (None, None, Some(part), Some(whole)) => {
                let share = if self.sparse { Term::sparse_share } else { Term::share };
                let term = share(amount(part)?, amount(whole)?).map_err(|error| error.to_string())?;
                Ok(SignalQuery::new(self.measure, term, Unit::Ratio, Statistic::Average))
            }
            _ => Err("expected series and unit, or part and whole (and sparse)".to_owned()),
        }
    }
}

/// Reads a file. Errors name the file, the place and the field.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let at = |what: &dyn std::fmt::Display| Failure::input(format!("{}: {what}", crate::place(path)));
    let text = String::from_utf8(crate::read(path)?).map_err(|_| at(&"it is not UTF-8"))?;
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(&text, options).map_err(|error| at(&error))
}

/// Builder of the workloads of a file.
pub(super) struct Workloads<'a> {
    pub(super) path: &'a Path,
    /// Those of the command line; without any, all of the file.
    pub(super) targets: &'a [Target],
}

impl Workloads<'_> {
    /// Makes the workloads that are asked for. The others are read all the same, so that a mistake is found before it matters.
    pub(super) fn made<W, S: Clone>(
        &self,
        written: &BTreeMap<String, W>,
        make: impl Fn(&W, Target) -> Result<Workload<S>, String>,
    ) -> Result<Vec<Workload<S>>, Failure> {
        let mut known = BTreeMap::new();
        for (name, one) in written {
            let at = |what: String| self.at(&format!("workloads: {name}: {what}"));
            let named = arguments::target(name).map_err(at)?;
            // The command line says which HPA.
            let same = |target: &&Target| key(target) == key(&named);
            let target = self.targets.iter().find(same).unwrap_or(&named);
            let workload = make(one, target.clone()).map_err(at)?;
            if known.insert(key(&named), workload).is_some() {
                return Err(at("it is written twice".to_owned()));
            }
        }
        let chosen = |target: &Target| {
            known.get(&key(target)).cloned().ok_or_else(|| {
                let names: Vec<_> = written.keys().map(String::as_str).collect();
                self.at(&format!("workloads: there is no {target}; there are: {}", names.join(", ")))
            })
        };
        if self.targets.is_empty() {
            return Ok(known.values().cloned().collect());
        }
        self.targets.iter().map(chosen).collect()
    }

    /// Fault of the file, with its place.
    pub(super) fn at(&self, what: &dyn std::fmt::Display) -> Failure {
        Failure::input(format!("{}: {what}", crate::place(self.path)))
    }
}

fn key(target: &Target) -> (String, String, String) {
    (target.namespace.clone(), target.kind.clone(), target.name.clone())
}

/// Joins what presets deliver with queries of one's own, which take the place of those of the same measure.
pub(super) fn joined<S: Written>(
    target: &Target,
    presets: Vec<Query<S::Series>>,
    own: &[OwnQuery<S>],
    without: &[Measure],
) -> Result<Mapping<Term<S::Series>>, String> {
    let mut queries = presets;
    for measure in without {
        let before = queries.len();
        queries.retain(|query| query.measure != *measure);
        if queries.len() == before {
            return Err(format!("without: no preset of it delivers {measure}"));
        }
    }
    let own: Vec<_> = own
        .iter()
        .enumerate()
        .map(|(nth, own)| own.query(target).map_err(|what| format!("queries: {} ({}): {what}", nth + 1, own.measure)))
        .collect::<Result<_, _>>()?;
    queries.retain(|query| !own.iter().any(|own| own.measure == query.measure));
    queries.extend(own);
    let mapping = Mapping::new(queries).map_err(|error| error.to_string())?;
    if mapping.declared().is_empty() {
        return Err("it measures pods and no signal, so nothing could be decided".to_owned());
    }
    Ok(mapping)
}
