//! The part of a history that the rules learn from: a bounded number of samples, evenly spread, the newest last.

use super::assessment::millis;
use crate::metrics::{Observation, SignalKind};
use crate::stats;

/// Samples looked at, at most. More history is thinned evenly: a decision costs the same after a week as after an hour.
pub(super) const MAX_SAMPLES: usize = 128;

/// One moment, absent values as NaN. All comparisons with NaN are false, and the code below is written so that false is safe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) at_ms: i64,
    pub(super) pods: f64,
    pub(super) cpu: f64,
    pub(super) memory: f64,
    pub(super) load: f64,
    pub(super) response_ms: f64,
    pub(super) errors: f64,
    pub(super) queue: f64,
    pub(super) rate: f64,
}

impl Sample {
    // Three passes over each sample stand or fall with these two being inlined.
    #[inline]
    fn of(at_ms: i64, pods: f64, load: Option<SignalKind>, value: impl Fn(SignalKind) -> f64) -> Self {
        let cpu = value(SignalKind::CpuUtilization);
        let rate = value(SignalKind::RequestRate);
        Self {
            at_ms,
            pods,
            cpu,
            memory: value(SignalKind::MemoryUtilization),
            load: match load {
                Some(SignalKind::RequestRate) => rate,
                Some(kind) => value(kind),
                None => cpu * pods,
            },
            response_ms: value(SignalKind::ResponseTime),
            errors: value(SignalKind::ErrorRate),
            queue: value(SignalKind::QueueDepth),
            rate,
        }
    }
}

/// The samples of a history and, last, the current one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Samples<'a> {
    // Columns up to the present, cut once: the passes below index them.
    times: &'a [i64],
    pods: &'a [f64],
    columns: [&'a [f64]; SignalKind::ALL.len()],
    current: Sample,
    /// The signal that measures load; without one, CPU work does.
    pub(super) load: Option<SignalKind>,
    start: usize,
    stride: usize,
    /// Two metrics windows: a burst shorter than a window is in the samples for less than that.
    pub(super) steady_ms: i64,
    /// Time that the pods of a sample take to be seen in its metrics: those are means over a window that ended a lag ago. Where
    /// pods are counted once they are asked for, they take their start-up time to serve.
    settle_ms: i64,
}

impl<'a> Samples<'a> {
    pub(super) fn new(observation: &'a Observation, pods: f64, learn_window_ms: i64) -> Self {
        let metrics = &observation.current;
        let load = [SignalKind::RequestRate, SignalKind::ActiveConnections]
            .into_iter()
            .find(|kind| metrics.value(*kind).is_some());
        let at_ms = metrics.timestamp.timestamp_millis();
        let value = |kind| metrics.value(kind).unwrap_or(f64::NAN);
        let current = Sample::of(at_ms, pods, load, value);
        let before = observation.history.before(at_ms);
        let times = before.times();
        let oldest = at_ms.saturating_sub(learn_window_ms);
        let start = match times.first() {
            Some(first) if *first < oldest => times.partition_point(|time| *time < oldest),
            _ => 0,
        };
        let columns = SignalKind::ALL.map(|kind| before.column(kind));
        let facts = &observation.facts;
        Self {
            times,
            pods: before.pods(),
            columns,
            current,
            load,
            start,
            stride: stride(times.len() - start),
            steady_ms: millis(facts.metrics_window.saturating_mul(2)),
            settle_ms: millis(facts.metrics_window.max(facts.start_up).saturating_add(facts.metrics_lag)),
        }
    }

    pub(super) fn current(&self) -> &Sample {
        &self.current
    }

    /// Samples of history, not thinned.
    pub(super) fn history_len(&self) -> usize {
        self.times.len()
    }

    #[inline]
    fn at(&self, index: usize) -> Sample {
        let value = |column: &[f64]| column.get(index).copied().unwrap_or(f64::NAN);
        let at_ms = self.times.get(index).copied().unwrap_or(i64::MIN);
        Sample::of(at_ms, value(self.pods), self.load, |kind| {
            self.columns.get(kind.index()).map_or(f64::NAN, |column| value(column))
        })
    }

    /// The thinned samples of the whole learn window, oldest first, the current one last.
    pub(super) fn iter(&self) -> impl Iterator<Item = Sample> + '_ {
        self.thinned(self.start, self.stride)
    }

    /// The thinned samples since `window_ms` ago, oldest first, the current one last.
    pub(super) fn since(&self, window_ms: i64) -> impl Iterator<Item = Sample> + '_ {
        let oldest = self.current.at_ms.saturating_sub(window_ms);
        let start = match self.times.get(self.start) {
            Some(first) if *first < oldest => self.times.partition_point(|time| *time < oldest),
            _ => self.start,
        };
        self.thinned(start, stride(self.times.len() - start))
    }

    /// Index at which thinning starts, so that the newest is among the samples kept.
    fn first(&self, start: usize, stride: usize) -> usize {
        start + (self.times.len() - start).saturating_sub(1) % stride
    }

    fn thinned(&self, start: usize, stride: usize) -> impl Iterator<Item = Sample> + '_ {
        (self.first(start, stride)..self.times.len())
            .step_by(stride)
            .map(|index| self.at(index))
            .chain(std::iter::once(self.current))
    }

    /// Response times of the thinned samples, the current one last.
    pub(super) fn response_times(&self) -> impl Iterator<Item = f64> + '_ {
        let column = self.columns.get(SignalKind::ResponseTime.index()).copied().unwrap_or_default();
        let thinned = column.get(self.first(self.start, self.stride)..).unwrap_or_default();
        thinned.iter().step_by(self.stride).copied().chain(std::iter::once(self.current.response_ms))
    }

    /// Load per pod and memory utilization of the thinned samples, the current one last. Three columns rather than whole samples: it
    /// is one more pass over all of them.
    pub(super) fn memory_by_load(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let first = self.first(self.start, self.stride);
        let thinned = |column: &'a [f64]| column.get(first..).unwrap_or_default().iter().step_by(self.stride).copied();
        let column = |kind: SignalKind| thinned(self.columns.get(kind.index()).copied().unwrap_or_default());
        // Where CPU measures load, utilization is the load of a pod.
        let by_cpu = self.load.is_none();
        let loads = column(self.load.unwrap_or(SignalKind::CpuUtilization)).zip(thinned(self.pods));
        let loads = loads.map(move |(load, pods)| if by_cpu { load } else { load / pods });
        let now = &self.current;
        loads.zip(column(SignalKind::MemoryUtilization)).chain(std::iter::once((now.load / now.pods, now.memory)))
    }

    /// The newest samples, newest first: the current one, then those of `window_ms` and in any case `least` in all.
    pub(super) fn recent(&self, window_ms: i64, least: usize) -> impl Iterator<Item = Sample> + '_ {
        let oldest = self.current.at_ms.saturating_sub(window_ms);
        let history = (0..self.times.len()).rev().map(|index| self.at(index));
        let history = history.enumerate().take_while(move |(nth, sample)| sample.at_ms >= oldest || nth + 1 < least);
        std::iter::once(self.current).chain(history.map(|(_, sample)| sample))
    }

    /// The fewest and the most pods over a time before now, the present ones included; the settling time at least.
    pub(super) fn pods_over(&self, window_ms: i64) -> (f64, f64) {
        let oldest = self.current.at_ms.saturating_sub(window_ms.max(self.settle_ms));
        let before = self.times.iter().zip(self.pods).rev().take_while(|(at_ms, _)| **at_ms >= oldest);
        // `min` and `max` pass over NaN.
        before.fold((self.current.pods, self.current.pods), |(least, most), (_, pods)| {
            (least.min(*pods), most.max(*pods))
        })
    }

    /// The newest samples back to the first that is two metrics windows old, newest first; `None` if the history is shorter.
    pub(super) fn steady(&self) -> Option<impl Iterator<Item = Sample> + '_> {
        let oldest = self.current.at_ms.saturating_sub(self.steady_ms);
        let mut number = self.times.len();
        loop {
            number = number.checked_sub(1)?;
            if *self.times.get(number)? <= oldest {
                break;
            }
        }
        let history = (number..self.times.len()).rev().map(|index| self.at(index));
        Some(std::iter::once(self.current).chain(history))
    }
}

/// Every how many samples one is looked at.
fn stride(len: usize) -> usize {
    len.div_ceil(MAX_SAMPLES - 1).max(1)
}

/// A fixed place for numbers to take quantiles of.
#[derive(Debug)]
pub(super) struct Buffer {
    values: [f64; MAX_SAMPLES],
    len: usize,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self { values: [0.0; MAX_SAMPLES], len: 0 }
    }

    /// Keeps a finite value; others, and what no longer fits, are left out.
    pub(super) fn push(&mut self, value: f64) {
        if value.is_finite()
            && let Some(place) = self.values.get_mut(self.len)
        {
            *place = value;
            self.len += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The [quantile](stats::quantile) of what was kept; NaN if that is nothing.
    pub(super) fn quantile(&mut self, share: f64) -> f64 {
        self.values.get_mut(..self.len).and_then(|values| stats::quantile(values, share)).unwrap_or(f64::NAN)
    }
}
