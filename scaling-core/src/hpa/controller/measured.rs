//! Samples of a metric, found by their pod.

use super::calculator::{MetricError, PodUsage, PodValue};
use super::pods::SampleTime;

/// Number of samples that fit without an allocation: more than most workloads have pods, and 768 bytes of stack.
const FEW: usize = 32;

/// Resource, and container if any, that a metric measures.
#[derive(Clone, Copy)]
pub(super) struct MetricSelector<'a> {
    pub(super) resource: &'a str,
    pub(super) container: Option<&'a str>,
}

/// Sample of one pod.
pub(super) trait Sample {
    fn pod(&self) -> &str;
    fn time(&self) -> SampleTime;
    /// Returns the value in thousandths, if the sample has it.
    ///
    /// # Errors
    /// [`MetricError::ContainerMetricMissing`] if it lacks the container and `missing_container_fails`.
    fn value(&self, selector: MetricSelector<'_>, missing_container_fails: bool) -> Result<Option<i64>, MetricError>;
}

impl Sample for PodUsage {
    fn pod(&self) -> &str {
        &self.pod
    }

    fn time(&self) -> SampleTime {
        self.time
    }

    #[inline]
    fn value(&self, selector: MetricSelector<'_>, missing_container_fails: bool) -> Result<Option<i64>, MetricError> {
        let Some(name) = selector.container else {
            // A pod has no sample if one container has none, or if it has no container at all.
            let mut values = self.containers.iter().map(|(_, usage)| usage.get(selector.resource));
            let sum = values.try_fold(0_i64, |sum, value| Some(sum.saturating_add(value?)));
            return Ok(sum.filter(|_| !self.containers.is_empty()));
        };
        match self.containers.iter().find(|(container, _)| container == name) {
            Some((_, usage)) => Ok(usage.get(selector.resource)),
            None if missing_container_fails => Err(MetricError::ContainerMetricMissing { pod: self.pod.clone() }),
            None => Ok(None),
        }
    }
}

impl Sample for PodValue {
    fn pod(&self) -> &str {
        &self.pod
    }

    fn time(&self) -> SampleTime {
        self.time
    }

    fn value(&self, _: MetricSelector<'_>, _: bool) -> Result<Option<i64>, MetricError> {
        Ok(Some(self.value_milli))
    }
}

/// Sample that has a value.
#[derive(Clone, Copy, Default)]
pub(super) struct Entry {
    sample: u32,
    pub(super) value: i64,
    /// Set once a pod was found for it.
    pub(super) taken: bool,
}

/// Space for the entries of one metric; [`FEW`] need no allocation.
pub(super) struct EntryBuffer {
    few: [Entry; FEW],
    many: Vec<Entry>,
}

impl EntryBuffer {
    pub(super) fn new() -> Self {
        Self { few: [Entry::default(); FEW], many: Vec::new() }
    }

    fn for_samples(&mut self, samples: usize) -> &mut [Entry] {
        if samples > FEW {
            self.many.resize(samples, Entry::default());
            &mut self.many
        } else {
            &mut self.few
        }
    }
}

/// Samples that have a value, by pod; of several of one pod, the last.
///
/// Lists in the order of names, as the API server returns them, are walked side by side. Others are sorted first.
pub(super) struct Measured<'s, S> {
    samples: &'s [S],
    buffer: &'s mut [Entry],
    len: usize,
    /// Index at which the sample of the next pod is expected.
    next: usize,
}

impl<'s, S: Sample> Measured<'s, S> {
    /// Collects the samples that have a value.
    ///
    /// # Errors
    /// [`MetricError::ContainerMetricMissing`] if one lacks the container and `missing_container_fails`.
    pub(super) fn new(
        samples: &'s [S],
        buffer: &'s mut EntryBuffer,
        selector: MetricSelector<'_>,
        missing_container_fails: bool,
    ) -> Result<Self, MetricError> {
        let mut measured = Self { samples, buffer: buffer.for_samples(samples.len()), len: 0, next: 0 };
        let mut before: Option<&str> = None;
        let mut is_sorted = true;
        for (index, sample) in (0..).zip(samples) {
            let Some(value) = sample.value(selector, missing_container_fails)? else { continue };
            if let Some(entry) = measured.buffer.get_mut(measured.len) {
                *entry = Entry { sample: index, value, taken: false };
                measured.len += 1;
            }
            is_sorted &= before < Some(sample.pod());
            before = Some(sample.pod());
        }
        if !is_sorted {
            measured.sort();
        }
        Ok(measured)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    fn entries_mut(&mut self) -> &mut [Entry] {
        self.buffer.get_mut(..self.len).unwrap_or_default()
    }

    fn name(&self, entry: &Entry) -> &'s str {
        self.samples.get(entry.sample as usize).map_or("", S::pod)
    }

    fn sort(&mut self) {
        let samples = self.samples;
        let name = |entry: &Entry| samples.get(entry.sample as usize).map_or("", S::pod);
        let entries = self.entries_mut();
        // Of several samples of a pod the last one comes first, because the first one is kept.
        entries.sort_unstable_by(|a, b| name(a).cmp(name(b)).then(b.sample.cmp(&a.sample)));
        let mut len = 0;
        for index in 0..entries.len() {
            let Some(entry) = entries.get(index).copied() else { break };
            let is_new = len == 0 || entries.get(len - 1).is_none_or(|kept| name(kept) != name(&entry));
            if let Some(place) = entries.get_mut(len).filter(|_| is_new) {
                *place = entry;
                len += 1;
            }
        }
        self.len = len;
    }

    /// Marks the sample of a pod as taken and returns its time and value.
    #[inline]
    pub(super) fn take(&mut self, pod: &str) -> Option<(SampleTime, i64)> {
        let is_next = self.entries().get(self.next).is_some_and(|entry| self.name(entry) == pod);
        let place = if is_next {
            self.next
        } else {
            self.entries().binary_search_by(|entry| self.name(entry).cmp(pod)).ok()?
        };
        self.next = place + 1;
        let entry = self.entries_mut().get_mut(place)?;
        entry.taken = true;
        let (index, value) = (entry.sample, entry.value);
        Some((self.samples.get(index as usize)?.time(), value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_what_a_map_finds(
            names in prop::collection::vec(0_u8..90, 0..120), pods in prop::collection::vec(0_u8..90, 0..120), sorted: bool,
        ) {
            let mut names = names;
            if sorted {
                names.sort_unstable();
            }
            let time = SampleTime { at: DateTime::<Utc>::UNIX_EPOCH, window_s: 60 };
            let samples: Vec<PodValue> = (0..).zip(&names)
                .map(|(value_milli, name)| PodValue { pod: format!("web-{name}"), time, value_milli })
                .collect();
            let mut expected: HashMap<&str, i64> =
                samples.iter().map(|sample| (sample.pod.as_str(), sample.value_milli)).collect();
            let mut buffer = EntryBuffer::new();
            let mut measured = Measured::new(&samples, &mut buffer, MetricSelector { resource: "", container: None }, true).unwrap();
            prop_assert_eq!(measured.entries().len(), expected.len());
            for pod in &pods {
                let name = format!("web-{pod}");
                prop_assert_eq!(measured.take(&name).map(|(_, value)| value), expected.get(name.as_str()).copied());
            }
            for pod in &pods {
                expected.remove(format!("web-{pod}").as_str());
            }
            let mut left: Vec<i64> =
                measured.entries().iter().filter(|entry| !entry.taken).map(|entry| entry.value).collect();
            let mut unlisted: Vec<i64> = expected.into_values().collect();
            left.sort_unstable();
            unlisted.sort_unstable();
            prop_assert_eq!(left, unlisted);
        }
    }
}
