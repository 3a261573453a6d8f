//! The part of a history that the rules learn from: a bounded number of samples, evenly spread, the newest last.

use statrs::statistics::{Data, OrderStatistics};

use crate::metrics::Columns;
use crate::{Observation, SignalKind};

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

/// The samples of a history and, last, the current one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Samples<'a> {
    columns: Columns<'a>,
    current: Sample,
    /// The signal that measures load.
    pub(super) load: Option<SignalKind>,
    start: usize,
    stride: usize,
}

impl<'a> Samples<'a> {
    pub(super) fn new(observation: &'a Observation, pods: f64, learn_window_ms: i64) -> Self {
        let metrics = &observation.current;
        let load = [SignalKind::RequestRate, SignalKind::ActiveConnections]
            .into_iter()
            .find(|kind| metrics.value(*kind).is_some());
        let value = |kind| metrics.value(kind).unwrap_or(f64::NAN);
        let at_ms = metrics.timestamp.timestamp_millis();
        let current = Sample {
            at_ms,
            pods,
            cpu: value(SignalKind::CpuUtilization),
            memory: value(SignalKind::MemoryUtilization),
            load: load.map_or(value(SignalKind::CpuUtilization) * pods, value),
            response_ms: value(SignalKind::ResponseTime),
            errors: value(SignalKind::ErrorRate),
            queue: value(SignalKind::QueueDepth),
            rate: value(SignalKind::RequestRate),
        };
        let columns = observation.history.before(at_ms);
        let times = columns.times();
        let oldest = at_ms.saturating_sub(learn_window_ms);
        let start = match times.first() {
            Some(first) if *first < oldest => times.partition_point(|time| *time < oldest),
            _ => 0,
        };
        Self { columns, current, load, start, stride: stride(times.len() - start) }
    }

    pub(super) fn current(&self) -> Sample {
        self.current
    }

    /// Samples of history, not thinned.
    pub(super) fn history_len(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn at(&self, index: usize) -> Sample {
        let value = |column: &[f64]| column.get(index).copied().unwrap_or(f64::NAN);
        let pods = value(self.columns.pods());
        let cpu = value(self.columns.column(SignalKind::CpuUtilization));
        let load = self.load.map_or(cpu * pods, |kind| value(self.columns.column(kind)));
        Sample {
            at_ms: self.columns.times().get(index).copied().unwrap_or(i64::MIN),
            pods,
            cpu,
            memory: value(self.columns.column(SignalKind::MemoryUtilization)),
            load,
            response_ms: value(self.columns.column(SignalKind::ResponseTime)),
            errors: value(self.columns.column(SignalKind::ErrorRate)),
            queue: value(self.columns.column(SignalKind::QueueDepth)),
            rate: value(self.columns.column(SignalKind::RequestRate)),
        }
    }

    /// The thinned samples of the whole learn window, oldest first, the current one last.
    pub(super) fn iter(&self) -> impl Iterator<Item = Sample> + '_ {
        self.thinned(self.start, self.stride)
    }

    /// The thinned samples since `window_ms` ago, oldest first, the current one last.
    pub(super) fn since(&self, window_ms: i64) -> impl Iterator<Item = Sample> + '_ {
        let oldest = self.current.at_ms.saturating_sub(window_ms);
        let times = self.columns.times();
        let start = match times.get(self.start) {
            Some(first) if *first < oldest => times.partition_point(|time| *time < oldest),
            _ => self.start,
        };
        self.thinned(start, stride(times.len() - start))
    }

    /// Thinned from the newest backwards, so that the newest is always among them.
    fn thinned(&self, start: usize, stride: usize) -> impl Iterator<Item = Sample> + '_ {
        let len = self.columns.len();
        let first = start + (len - start).saturating_sub(1) % stride;
        (first..len).step_by(stride).map(|index| self.at(index)).chain(std::iter::once(self.current))
    }

    /// The newest samples, newest first: the current one, then those of `window_ms` and in any case `least` in all.
    pub(super) fn recent(&self, window_ms: i64, least: usize) -> impl Iterator<Item = Sample> + '_ {
        let oldest = self.current.at_ms.saturating_sub(window_ms);
        let history = (0..self.columns.len()).rev().map(|index| self.at(index));
        let history = history.enumerate().take_while(move |(nth, sample)| sample.at_ms >= oldest || nth + 1 < least);
        std::iter::once(self.current).chain(history.map(|(_, sample)| sample))
    }

    /// Whether a signal was measured within the window before now.
    pub(super) fn was_there(&self, kind: SignalKind, window_ms: i64) -> bool {
        self.columns.seen_since(kind, self.current.at_ms.saturating_sub(window_ms))
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

    /// The quantile; NaN if empty.
    pub(super) fn quantile(&mut self, tau: f64) -> f64 {
        match self.values.get_mut(..self.len) {
            None | Some([]) => f64::NAN,
            Some([only]) => *only,
            Some(values) => Data::new(values).quantile(tau),
        }
    }
}
