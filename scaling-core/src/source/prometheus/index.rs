//! Which target a series is about: [`Index`].

use std::collections::HashMap;

use super::answer;
use super::query;
use super::query_set::QuerySet;
use super::template::{ANSWERED, QueryTemplate};
use crate::target::Target;

/// True for a series that says how many of a workload's pods answered.
pub(super) fn is_coverage(series: &answer::Series<'_>) -> bool {
    !series.label(ANSWERED).is_empty()
}

/// What such a series says. What is no percentage vouches for nobody.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within 0 and 100; NaN becomes 0
pub(super) fn covered_percent(sample: answer::Sample) -> u8 {
    sample.value.clamp(0.0, 100.0) as u8
}

/// Targets by what the labels of a series say.
pub(super) struct Index<'a> {
    template: &'a QueryTemplate,
    targets: &'a [Target],
    by_name: HashMap<(&'a str, &'a str), Vec<usize>>,
}

impl<'a> Index<'a> {
    pub(super) fn new(set: &'a QuerySet, template: &'a QueryTemplate, targets: &'a [Target]) -> Self {
        let mut by_name: HashMap<_, Vec<usize>> = HashMap::with_capacity(targets.len());
        for (place, target) in targets.iter().enumerate() {
            let name = query::label_of(set, template, target);
            by_name.entry((target.namespace.as_str(), name)).or_default().push(place);
        }
        Self { template, targets, by_name }
    }

    /// The targets that a series is about: those of its names and, where it says a kind, of that kind. A series without any label is
    /// about the one target that was asked for.
    pub(super) fn targets(&self, series: &answer::Series<'_>) -> Vec<usize> {
        if series.is_bare() && self.targets.len() == 1 {
            return vec![0];
        }
        let labels = (series.label(&self.template.namespace_label), series.label(&self.template.workload_label));
        let named = self.by_name.get(&labels).map(Vec::as_slice).unwrap_or_default();
        let kind = series.label("kind");
        let of_kind =
            |place: &&usize| kind.is_empty() || self.targets.get(**place).is_some_and(|target| target.kind == kind);
        named.iter().filter(of_kind).copied().collect()
    }
}
