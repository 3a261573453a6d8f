//! The recent past as paths of load: how load went on from moments that resemble the present.

use std::collections::VecDeque;
use std::time::Duration;

use scaling_core::{Columns, Observation, SignalKind};

/// Samples further apart than this are not joined by a line: what the load did in between is not known.
const JOINED_MS: i64 = 600_000;

/// Of each stretch of this length one moment counts, the one after which load grew most: thousands of neighbours tell the same, and
/// the rare burst must not be the one that is skipped.
const STRETCH_S: f64 = 300.0;

/// Signal by which load is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadSignal {
    /// Requests per second.
    Rate,
    /// CPU that all pods use, in pods' worth.
    Cpu,
}

impl LoadSignal {
    fn value(self, columns: Columns<'_>, index: usize) -> f64 {
        let at = |column: &[f64]| column.get(index).copied().unwrap_or(f64::NAN);
        match self {
            Self::Rate => at(columns.column(SignalKind::RequestRate)),
            Self::Cpu => at(columns.column(SignalKind::CpuUtilization)) / 100.0 * at(columns.pods()),
        }
    }
}

/// Load over the recent past in steps of equal length; NaN where it is not known.
#[derive(Debug)]
pub(super) struct Past {
    load: Vec<f64>,
    step_s: f64,
}

impl Past {
    /// Reads the history of an observation, which ends with the present load.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a number of steps, from a length of at most a month
    pub(super) fn new(
        observation: &Observation,
        signal: LoadSignal,
        present: f64,
        length: Duration,
        step_s: f64,
    ) -> Self {
        let end_ms = observation.current.timestamp.timestamp_millis();
        let step_ms = ((step_s * 1000.0) as i64).max(1);
        let steps = (length.as_secs_f64() / step_s) as usize;
        let begin_ms = end_ms.saturating_sub(step_ms.saturating_mul(steps as i64));
        let columns = observation.history.before(end_ms);
        let times = columns.times();
        // One sample before the beginning, for the line that leads into it.
        let first = times.partition_point(|time| *time < begin_ms).saturating_sub(1);
        let samples = (first..times.len()).filter_map(|index| Some((*times.get(index)?, signal.value(columns, index))));
        let known = samples.chain([(end_ms, present)]).filter(|(_, load)| load.is_finite());
        let mut load = vec![f64::NAN; steps + 1];
        let mut last: Option<(i64, f64)> = None;
        for (time, value) in known {
            let (from, start) = match last {
                Some((from, start)) if time.saturating_sub(from) <= JOINED_MS => (from, start),
                _ => (time, value),
            };
            // The steps after `from`, or at it where nothing leads here, up to this sample.
            let after = from.saturating_sub(begin_ms).max(0) / step_ms;
            let until = time.saturating_sub(begin_ms).max(0) / step_ms;
            for step in after..=until {
                let at = begin_ms.saturating_add(step.saturating_mul(step_ms));
                if at < from || at > time {
                    continue;
                }
                let share = if time > from { (at - from) as f64 / (time - from) as f64 } else { 1.0 };
                if let Some(place) = usize::try_from(step).ok().and_then(|step| load.get_mut(step)) {
                    *place = start + (value - start) * share;
                }
            }
            last = Some((time, value));
        }
        Self { load, step_s }
    }

    /// The moments whose load is within a factor of `level` and whose next `steps` steps are known: of each stretch the one after
    /// which load grew most, with that growth.
    pub(super) fn moments(&self, level: f64, likeness: f64, steps: usize) -> Vec<Moment> {
        let (least, most) = (level / likeness, level * likeness);
        if !(least > 0.0 && most.is_finite()) {
            return Vec::new();
        }
        let mut moments: Vec<(usize, Moment)> = Vec::new();
        // Indices of the window, their loads falling: the first is the largest.
        let mut falling: VecDeque<usize> = VecDeque::new();
        let mut known_from = 0;
        for (end, load) in self.load.iter().copied().enumerate() {
            if load.is_nan() {
                known_from = end + 1;
                falling.clear();
                continue;
            }
            while falling.back().is_some_and(|index| self.at(*index) <= load) {
                falling.pop_back();
            }
            falling.push_back(end);
            let Some(start) = end.checked_sub(steps).filter(|start| *start >= known_from) else { continue };
            while falling.front().is_some_and(|index| *index < start) {
                falling.pop_front();
            }
            let from = self.at(start);
            if !(least..=most).contains(&from) {
                continue;
            }
            let growth = falling.front().map_or(1.0, |index| self.at(*index)) / from;
            let stretch = self.stretch(start);
            match moments.last_mut() {
                Some((of, moment)) if *of == stretch => {
                    if growth > moment.growth {
                        *moment = Moment { start, growth };
                    }
                }
                _ => moments.push((stretch, Moment { start, growth })),
            }
        }
        moments.into_iter().map(|(_, moment)| moment).collect()
    }

    /// The load from a moment on, as multiples of the load of that moment.
    pub(super) fn path(&self, moment: Moment, steps: usize) -> impl Iterator<Item = f64> + Clone + '_ {
        let from = self.at(moment.start);
        let path = self.load.get(moment.start..).unwrap_or_default().iter();
        path.take(steps).map(move |load| load / from)
    }

    fn at(&self, index: usize) -> f64 {
        self.load.get(index).copied().unwrap_or(f64::NAN)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of a number of steps
    fn stretch(&self, step: usize) -> usize {
        (step as f64 * self.step_s / STRETCH_S) as usize
    }
}

/// A moment of the past that resembles the present.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    start: usize,
    /// Largest load of what followed over the load of the moment.
    pub(super) growth: f64,
}
