//! Observations over time, stored by column.

use chrono::{DateTime, Utc};

use super::{ScalingMetrics, Signal, SignalKind, SignalSet};

/// A sample that cannot be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// Time must move forward.
    #[error("sample of {got} is not after the newest one of {newest}")]
    NotAfter {
        /// The newest instant in the history.
        newest: DateTime<Utc>,
        /// The instant that came.
        got: DateTime<Utc>,
    },
}

/// Counts of the samples that [`MetricsHistory::from_unordered`] had to mend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Samples that came before an older one.
    pub reordered: usize,
    /// Samples replaced by a later one of the same instant.
    pub duplicates: usize,
}

/// Time-ordered observations of one workload, strictly increasing in time.
///
/// A gap stays a gap: an absent signal is absent in its column, and no sample is invented between two distant ones.
/// Columns make the engine's passes over one signal run over contiguous memory.
#[derive(Clone, Debug, Default)]
pub struct MetricsHistory {
    /// Milliseconds since the epoch: what the passes compare.
    times: Vec<i64>,
    /// Ready pods; absent is NaN. NaN never leaves this module but through `Columns`, which says so.
    pods: Vec<f64>,
    columns: [Vec<f64>; SignalKind::ALL.len()],
    /// Every signal that ever came; outlives the samples.
    signals: SignalSet,
    /// Kept at least; twice as many at most. 0: all.
    limit: usize,
}

/// Two histories are equal if they hold the same samples; absent equals absent. What came with samples that were dropped is not
/// compared.
impl PartialEq for MetricsHistory {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &[f64], b: &[f64]| a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits()));
        self.times == other.times
            && same(&self.pods, &other.pods)
            && self.columns.iter().zip(&other.columns).all(|(a, b)| same(a, b))
    }
}

impl MetricsHistory {
    /// Empty, without a limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empty; keeps at least the newest `limit` samples and at most twice as many.
    pub fn with_limit(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Limits it to at least the newest `limit` samples and at most twice as many, unless it has a lower limit already.
    #[must_use]
    pub fn limited(mut self, limit: usize) -> Self {
        self.limit = if self.limit == 0 { limit } else { self.limit.min(limit) };
        self.trim();
        self
    }

    /// From samples in any order. Of two with the same instant the later in the list wins.
    pub fn from_unordered(mut samples: Vec<ScalingMetrics>) -> (Self, Repairs) {
        let reordered = samples.windows(2).filter(|pair| matches!(pair, [a, b] if b.timestamp < a.timestamp)).count();
        samples.sort_by_key(|sample| sample.timestamp.timestamp_millis());
        let before = samples.len();
        let mut history = Self::new();
        let mut iter = samples.into_iter().peekable();
        while let Some(sample) = iter.next() {
            let replaced = iter
                .peek()
                .is_some_and(|next| next.timestamp.timestamp_millis() == sample.timestamp.timestamp_millis());
            if !replaced {
                history.append(&sample);
            }
        }
        let repairs = Repairs { reordered, duplicates: before - history.len() };
        (history, repairs)
    }

    /// Appends the newest sample.
    ///
    /// # Errors
    /// [`HistoryError::NotAfter`] unless it is at least a millisecond after the newest one.
    pub fn push(&mut self, sample: &ScalingMetrics) -> Result<(), HistoryError> {
        if let Some(newest) = self.newest()
            && sample.timestamp.timestamp_millis() <= newest.timestamp_millis()
        {
            return Err(HistoryError::NotAfter { newest, got: sample.timestamp });
        }
        self.append(sample);
        Ok(())
    }

    fn append(&mut self, sample: &ScalingMetrics) {
        self.times.push(sample.timestamp.timestamp_millis());
        self.signals = self.signals.union(sample.delivered());
        self.pods.push(sample.current_pod_count.map_or(f64::NAN, f64::from));
        for (kind, column) in SignalKind::ALL.into_iter().zip(&mut self.columns) {
            column.push(sample.value(kind).unwrap_or(f64::NAN));
        }
        self.trim();
    }

    /// Drops the older half in one go, which keeps appending cheap on average.
    fn trim(&mut self) {
        if self.limit > 0 && self.times.len() >= self.limit.saturating_mul(2) {
            let surplus = self.times.len() - self.limit;
            self.times.drain(..surplus);
            self.pods.drain(..surplus);
            for column in &mut self.columns {
                column.drain(..surplus);
            }
        }
    }

    /// Every signal that was ever appended, also with samples that have been dropped since: a signal that was delivered once and
    /// is no longer there is absent for as long as that lasts.
    pub fn signals(&self) -> SignalSet {
        self.signals
    }

    /// Drops what is later than `at`. [`signals`](Self::signals) keeps what came with it.
    pub fn truncate_after(&mut self, at: DateTime<Utc>) {
        let at_ms = at.timestamp_millis();
        let len = self.times.partition_point(|time| *time <= at_ms);
        self.times.truncate(len);
        self.pods.truncate(len);
        for column in &mut self.columns {
            column.truncate(len);
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Instant of the newest sample.
    pub fn newest(&self) -> Option<DateTime<Utc>> {
        self.times.last().copied().and_then(DateTime::from_timestamp_millis)
    }

    /// Instant of the oldest sample.
    pub fn oldest(&self) -> Option<DateTime<Utc>> {
        self.times.first().copied().and_then(DateTime::from_timestamp_millis)
    }

    /// One value of one signal: the `index`-th sample, oldest first.
    pub fn value(&self, kind: SignalKind, index: usize) -> Option<f64> {
        self.columns.get(kind.index())?.get(index).copied().filter(|value| !value.is_nan())
    }

    /// The `index`-th sample, oldest first. Absences come back as not measured: their causes are not kept.
    pub fn sample(&self, index: usize) -> Option<ScalingMetrics> {
        let at = DateTime::from_timestamp_millis(*self.times.get(index)?)?;
        let mut sample = ScalingMetrics::new(at, 0);
        sample.current_pod_count = self.pods.get(index).copied().and_then(count);
        for kind in SignalKind::ALL {
            let signal = self.value(kind, index).map_or(Signal::NOT_MEASURED, Signal::Present);
            sample.set(kind, signal);
        }
        Some(sample)
    }

    /// All samples, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = ScalingMetrics> + '_ {
        (0..self.len()).filter_map(|index| self.sample(index))
    }

    /// Raw columns up to, not including, `before_ms` (milliseconds since the epoch): what an engine passes over. Absent is NaN.
    pub fn before(&self, before_ms: i64) -> Columns<'_> {
        let end = match self.times.last() {
            Some(last) if *last >= before_ms => self.times.partition_point(|time| *time < before_ms),
            _ => self.times.len(),
        };
        Columns { history: self, end }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn count(pods: f64) -> Option<u32> {
    (pods >= 0.0 && pods <= f64::from(u32::MAX)).then_some(pods as u32)
}

/// The columns of a history up to an instant, by [`MetricsHistory::before`]: as many times as pods as values of each signal,
/// oldest first. Absent values are NaN, present ones finite and not negative.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    history: &'a MetricsHistory,
    end: usize,
}

impl<'a> Columns<'a> {
    /// Instants, in milliseconds since the epoch, strictly increasing.
    pub fn times(self) -> &'a [i64] {
        self.history.times.get(..self.end).unwrap_or_default()
    }

    /// Ready pods.
    pub fn pods(self) -> &'a [f64] {
        self.history.pods.get(..self.end).unwrap_or_default()
    }

    /// Values of a signal.
    pub fn column(self, kind: SignalKind) -> &'a [f64] {
        self.history.columns.get(kind.index()).and_then(|column| column.get(..self.end)).unwrap_or_default()
    }
}
