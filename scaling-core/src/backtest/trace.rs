//! [`Trace`]: the work that arrived, over time.
//!
//! A recording is the *result* of the policy that ran then. It shows demand as the rate of requests or, without one, as the CPU
//! that was used: utilization × pods. Where pods were full, requests queued or failed, even that is cut off at what the pods
//! managed; such time is marked as [censored](TraceFacts::censored_seconds) and counted, and nothing is made up for it.

mod intervals;
mod resample;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use self::intervals::{GAP, Interval, intervals};
pub(super) use self::resample::MOST_STEPS;
pub use self::resample::SteppedDemand;
pub use crate::source::parse::SampleTime;
use crate::source::parse::{Note, ParseError, Reader, Reading};
use crate::stats::{quantile, quantile_of};
use crate::{MetricsHistory, ScalingMetrics, SignalKind};

/// Longest recording: ten years. A longer one has a wrong timestamp.
const LONGEST: TimeDelta = TimeDelta::days(3660);

/// Usual interval of samples, in milliseconds, up to which forecasts learn from them: they bridge six minutes, and take more for a gap.
const SPARSE_MS: i64 = 360_000;

/// Origin of the demand in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemandBasis {
    /// Requests per second.
    RequestRate,
    /// CPU utilization × ready pods: demand is in pods' worth of work, and a pod serves 1 of it.
    CpuUsage,
}

/// Thresholds from which on a recorded sample says less than there was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Censoring {
    /// CPU utilization at or above which pods count as full, percent. Default 95.
    pub cpu_percent: f64,
    /// Waiting requests, in seconds of the present rate, from which on pods count as full. Default 1.
    pub queue_seconds: f64,
    /// Failed requests from which on the rate counts as cut off, percent. Default 5.
    pub error_percent: f64,
}

impl Default for Censoring {
    fn default() -> Self {
        Self { cpu_percent: 95.0, queue_seconds: 1.0, error_percent: 5.0 }
    }
}

/// Reasons why a recording is no trace.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The text is malformed; the error names the place.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// There is no sample.
    #[error("there is no sample to replay")]
    Empty,
    /// No signal says how much work there was.
    #[error("there is neither a request rate nor CPU utilization with pod counts in it{}", Because(notes, *samples))]
    NoDemand {
        /// Notes of its reader on columns that were left out or are empty.
        notes: Vec<Note>,
        /// Samples read.
        samples: usize,
    },
    /// The recording is too long.
    #[error("the samples span from {start} to {end}; at most ten years can be replayed")]
    TooLong {
        /// Instant of the first sample.
        start: DateTime<Utc>,
        /// Instant of the last sample.
        end: DateTime<Utc>,
    },
    /// The samples are too close for so long a time.
    #[error(
        "from {start} to {end} there are {steps} steps of the usual interval of the samples; at most {most} can be replayed"
    )]
    TooFine {
        /// Instant of the first sample.
        start: DateTime<Utc>,
        /// Instant of the last sample.
        end: DateTime<Utc>,
        /// Intervals in that time.
        steps: i64,
        /// Intervals that can be replayed.
        most: i64,
    },
}

/// Columns that were found in place of demand.
struct Because<'a>(&'a [Note], usize);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|note| match note {
            Note::Unread { .. } => write!(f, "; {note}"),
            Note::Valueless { name } => write!(f, "; {name}: all {} are empty", self.1),
            _ => Ok(()),
        })
    }
}

/// Contents of a trace, for the report: nothing is dropped without a word.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceFacts {
    /// Samples read.
    pub samples: usize,
    /// Samples without a value: gaps.
    pub absent: usize,
    /// Samples that came before an older one; put in order.
    pub reordered: usize,
    /// Samples replaced by a later one of the same instant.
    pub duplicates: usize,
    /// Median time between two samples, in seconds. The resolution may change along the trace.
    pub interval_seconds: f64,
    /// Time without data between the first sample and the last, in seconds.
    pub gap_seconds: f64,
    /// Time in which demand may have been higher than what was recorded, in seconds.
    pub censored_seconds: f64,
    /// Origin of the demand.
    pub basis: DemandBasis,
}

/// Demand over time, as recorded.
///
/// Resolution may change along a trace, in either order: each sample lasts as long as the samples around it say.
///
/// ```
/// use scaling_core::backtest::{SampleTime, Trace};
/// use scaling_core::{ScalingMetrics, SignalKind, chrono::DateTime};
///
/// let sample = |second| {
///     let at = DateTime::from_timestamp(second, 0).unwrap_or_default();
///     ScalingMetrics::new(at, 1).with(SignalKind::RequestRate, 100.0)
/// };
/// // Two hours in samples of 5 minutes, then one in samples of a minute.
/// let coarse = (0..24).map(|nth| sample(300 * nth));
/// let fine = (0..60).map(|nth| sample(7200 + 60 * nth));
/// let trace = Trace::from_samples("web", coarse.chain(fine).collect(), SampleTime::Starts)?;
/// assert_eq!(trace.facts().gap_seconds, 0.0);
/// assert_eq!((trace.span().1 - trace.span().0).num_minutes(), 180);
/// # Ok::<(), scaling_core::backtest::TraceError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    name: String,
    /// Samples with a demand, in order of time.
    points: Vec<Point>,
    basis: DemandBasis,
    interval_ms: i64,
    pod_capacity: Option<f64>,
    facts: TraceFacts,
    notes: Vec<Note>,
    /// Everything that was recorded, where that is more than demand.
    recorded: Option<Arc<[Recorded]>>,
}

/// Demand in one interval.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    /// Interval that the demand belongs to. At its end, and not before, the demand can be known.
    interval: Interval,
    demand: f64,
    censored: bool,
}

/// One sample, with the time in which it is the newest that can be known.
#[derive(Clone, Debug, PartialEq)]
struct Recorded {
    /// End of its interval.
    known: DateTime<Utc>,
    /// Age up to which it stands for the present: until the next is known or, before a gap, half an interval longer than it lasted.
    fresh: TimeDelta,
    sample: ScalingMetrics,
}

impl Trace {
    /// Reads a trace from any text that a plain [`Reader`] reads: tables, JSON, answers of Prometheus; packed or not.
    ///
    /// # Errors
    /// The errors of [`Trace::of_reading`], and those of the reader.
    pub fn parse(name: impl Into<String>, bytes: &[u8]) -> Result<Self, TraceError> {
        Self::of_reading(name, Reader::new().read(bytes)?)
    }

    /// Makes a trace of what a [`Reader`] read, and keeps its [notes](Trace::notes).
    ///
    /// A number that cannot be (negative, infinite, beyond its kind) is an error; an empty cell, a word for nothing, NaN and a stated
    /// absence are gaps.
    ///
    /// ```
    /// use scaling_core::backtest::Trace;
    /// use scaling_core::source::parse::Reader;
    ///
    /// let reader = Reader::new().with_column("request_rate=per_minute/60".parse()?);
    /// let text = br#"[{"timestamp":0,"per_minute":600},{"timestamp":60,"per_minute":null},{"timestamp":120,"per_minute":660}]"#;
    /// let trace = Trace::of_reading("web", reader.read(text)?)?;
    /// assert_eq!((trace.demand_quantile(0.0), trace.facts().gap_seconds), (11.0, 60.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TraceError`] with the place and the cause.
    pub fn of_reading(name: impl Into<String>, reading: Reading) -> Result<Self, TraceError> {
        // Elsewhere such a number passes for a missing sample; here it would be a gap that was not recorded.
        if let Some((place, what)) = reading.samples.iter().find_map(|row| Some((row.place, row.impossible.clone()?))) {
            return Err(ParseError::new(place, what).into());
        }
        let samples = reading.samples.into_iter().map(|row| row.metrics).collect();
        match Self::from_samples(name, samples, reading.sample_time) {
            Ok(trace) => {
                let mut notes = reading.notes;
                if reading.sample_time == SampleTime::Ends {
                    notes.push(Note::EndsAtTimestamp);
                }
                if trace.interval_ms > SPARSE_MS {
                    notes.push(Note::Sparse { minutes: trace.interval_ms as f64 / 60_000.0 });
                }
                Ok(Self { notes, ..trace })
            }
            Err(TraceError::NoDemand { samples, .. }) => Err(TraceError::NoDemand { notes: reading.notes, samples }),
            Err(error) => Err(error),
        }
    }

    /// Makes a trace of samples in any order; of two samples of one instant the later counts.
    ///
    /// # Errors
    /// [`TraceError`] if there is nothing in it to replay.
    pub fn from_samples(
        name: impl Into<String>,
        samples: Vec<ScalingMetrics>,
        sample_time: SampleTime,
    ) -> Result<Self, TraceError> {
        Self::with_censoring(name, samples, sample_time, Censoring::default())
    }

    /// Makes a trace with other thresholds for censored samples.
    ///
    /// # Errors
    /// The errors of [`Trace::from_samples`].
    pub fn with_censoring(
        name: impl Into<String>,
        samples: Vec<ScalingMetrics>,
        sample_time: SampleTime,
        censoring: Censoring,
    ) -> Result<Self, TraceError> {
        let total = samples.len();
        let keep = !samples.iter().all(has_no_more_than_rate);
        let (ordered, repairs) = MetricsHistory::from_unordered(samples);
        let recorded: Vec<_> = ordered.iter().collect();
        let (Some(first), Some(last)) = (recorded.first(), recorded.last()) else { return Err(TraceError::Empty) };
        let (start, end) = (first.timestamp, last.timestamp);
        if end - start > LONGEST {
            return Err(TraceError::TooLong { start, end });
        }
        let basis = if recorded.iter().any(|sample| sample.value(SignalKind::RequestRate).is_some()) {
            DemandBasis::RequestRate
        } else {
            DemandBasis::CpuUsage
        };
        let at_ms: Vec<i64> = recorded.iter().map(|sample| sample.timestamp.timestamp_millis()).collect();
        let intervals = intervals(&at_ms, sample_time);
        let demands: Vec<Option<f64>> = recorded.iter().map(|sample| demand(sample, basis)).collect();
        let followers = demands.iter().skip(1).copied().chain([None]);
        let points: Vec<_> = recorded
            .iter()
            .zip(&intervals)
            .zip(demands.iter().zip(followers))
            .filter_map(|((sample, interval), (demand, follower))| {
                // A sample without a value is a gap.
                let interval = Interval { joined: interval.joined && follower.is_some(), ..*interval };
                Some(Point { interval, demand: (*demand)?, censored: is_censored(sample, censoring) })
            })
            .collect();
        if points.is_empty() {
            return Err(TraceError::NoDemand { notes: Vec::new(), samples: total });
        }
        let interval_ms = usual_interval_ms(&recorded);
        let steps = (end - start).num_milliseconds() / interval_ms + 1;
        if steps > MOST_STEPS {
            return Err(TraceError::TooFine { start, end, steps, most: MOST_STEPS });
        }
        let pairs = points.iter().zip(points.iter().skip(1));
        let gaps_ms: i64 = pairs.map(|(a, b)| b.interval.begin_ms - a.interval.end_ms).sum();
        let length_ms = |point: &Point| point.interval.end_ms - point.interval.begin_ms;
        let censored_ms: i64 = points.iter().filter(|point| point.censored).map(length_ms).sum();
        Ok(Self {
            name: name.into(),
            facts: TraceFacts {
                samples: total,
                absent: recorded.len() - points.len(),
                reordered: repairs.reordered,
                duplicates: repairs.duplicates,
                interval_seconds: interval_ms as f64 / 1000.0,
                gap_seconds: gaps_ms as f64 / 1000.0,
                censored_seconds: censored_ms as f64 / 1000.0,
                basis,
            },
            pod_capacity: match basis {
                DemandBasis::RequestRate => learnt_capacity(&recorded, censoring),
                DemandBasis::CpuUsage => Some(1.0),
            },
            points,
            basis,
            interval_ms,
            notes: Vec::new(),
            recorded: keep.then(|| with_ends(recorded, &intervals, sample_time)),
        })
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its contents.
    pub fn facts(&self) -> TraceFacts {
        self.facts
    }

    /// Returns what its reader took for granted, left out or doubts.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Returns the origin of its demand.
    pub fn basis(&self) -> DemandBasis {
        self.basis
    }

    /// Returns the median time between two samples.
    pub fn interval(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.interval_ms)
    }

    /// Returns the beginning of the first sample and the end of the last.
    pub fn span(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let (start, end) = self.span_ms();
        let instant = |ms| DateTime::from_timestamp_millis(ms).unwrap_or_default();
        (instant(start), instant(end))
    }

    /// Returns the time between two instants that was recorded.
    pub fn recorded_within(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> TimeDelta {
        let (from, until) = (from.timestamp_millis(), until.timestamp_millis());
        let within = |point: &Point| (point.interval.end_ms.min(until) - point.interval.begin_ms.max(from)).max(0);
        TimeDelta::milliseconds(self.points.iter().map(within).sum())
    }

    /// Returns the requests per second of one pod at full utilization, as far as the recording shows them: the median of rate over
    /// used CPU.
    pub fn pod_capacity(&self) -> Option<f64> {
        self.pod_capacity
    }

    /// Returns the demand that is exceeded in this share of the samples (0.001 for p99.9), at the nearest rank. In requests per second
    /// (or pods' worth of work).
    pub fn demand_quantile(&self, exceeded: f64) -> f64 {
        let mut demands: Vec<f64> = self.points.iter().map(|point| point.demand).collect();
        quantile(&mut demands, 1.0 - exceeded).unwrap_or(0.0)
    }

    /// Multiplies the demand, and recorded signals that follow it. A factor that is no number above 0 changes nothing.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        if factor.is_finite() && factor > 0.0 {
            for point in &mut self.points {
                point.demand *= factor;
            }
            self.pod_capacity = self.pod_capacity.map(|capacity| capacity * factor);
            if let Some(recorded) = &mut self.recorded {
                let busier = |one: &Recorded| Recorded { sample: busier(&one.sample, factor), ..one.clone() };
                *recorded = recorded.iter().map(busier).collect();
            }
        }
        self
    }

    /// Shifts all samples in time: for traces whose clock starts at 0, so that the hour of the day is right.
    #[must_use]
    pub fn later_by(mut self, by: TimeDelta) -> Self {
        for point in &mut self.points {
            point.interval.begin_ms = point.interval.begin_ms.saturating_add(by.num_milliseconds());
            point.interval.end_ms = point.interval.end_ms.saturating_add(by.num_milliseconds());
        }
        if let Some(recorded) = &mut self.recorded {
            let later = |at: DateTime<Utc>| at.checked_add_signed(by).unwrap_or(at);
            let moved = recorded.iter().cloned().map(|mut one| {
                one.known = later(one.known);
                one.sample.timestamp = later(one.sample.timestamp);
                one
            });
            *recorded = moved.collect();
        }
        self
    }

    /// Returns whether a signal besides demand was recorded.
    pub(super) fn has_recorded(&self, kind: SignalKind) -> bool {
        self.recorded.iter().flat_map(|recorded| recorded.iter()).any(|one| one.sample.value(kind).is_some())
    }

    /// Returns the newest recorded sample whose interval ended by an instant, where more than demand was recorded, unless it is out of
    /// date. A sample whose interval is under way is not known yet: it is the mean of time to come.
    pub(super) fn recorded_at(&self, at: DateTime<Utc>) -> Option<&ScalingMetrics> {
        let recorded = self.recorded.as_deref()?;
        let newest = recorded.get(recorded.partition_point(|one| one.known <= at).checked_sub(1)?)?;
        (at - newest.known <= newest.fresh).then_some(&newest.sample)
    }

    /// Returns the samples whose interval ended by an instant, each at that end: the material from which an engine may learn.
    pub(super) fn history_until(&self, until: DateTime<Utc>) -> Vec<ScalingMetrics> {
        if let Some(recorded) = &self.recorded {
            let known = recorded.iter().take_while(|one| one.known <= until).map(|one| {
                let mut sample = one.sample.clone();
                sample.timestamp = one.known;
                sample
            });
            return known.collect();
        }
        let samples = self.points.iter().filter_map(|point| {
            let end = DateTime::from_timestamp_millis(point.interval.end_ms).filter(|end| *end <= until)?;
            let mut sample = ScalingMetrics::new(end, 0).with(SignalKind::RequestRate, point.demand);
            sample.current_pod_count = None;
            Some(sample)
        });
        samples.collect()
    }
}

/// Adds to each sample from when to when it is the newest that can be known.
fn with_ends(samples: Vec<ScalingMetrics>, intervals: &[Interval], time: SampleTime) -> Arc<[Recorded]> {
    let followers = intervals.iter().skip(1).map(Some).chain([None]);
    let recorded = samples.into_iter().zip(intervals).zip(followers).map(|((sample, interval), follower)| {
        let length_ms = interval.end_ms - interval.begin_ms;
        let known = match time {
            SampleTime::Starts => sample.timestamp.checked_add_signed(TimeDelta::milliseconds(length_ms)),
            SampleTime::Ends => Some(sample.timestamp),
        };
        #[allow(clippy::cast_possible_truncation)] // at most some years
        let outlasting = TimeDelta::milliseconds((GAP * length_ms as f64) as i64);
        let fresh = match follower {
            Some(next) if interval.joined => TimeDelta::milliseconds(next.end_ms - interval.end_ms).max(outlasting),
            _ => outlasting,
        };
        Recorded { known: known.unwrap_or(sample.timestamp), fresh, sample }
    });
    recorded.collect()
}

/// Multiplies the requests of a sample, and those that wait or are connected to make them.
fn busier(sample: &ScalingMetrics, factor: f64) -> ScalingMetrics {
    let mut sample = sample.clone();
    for kind in [SignalKind::RequestRate, SignalKind::QueueDepth, SignalKind::ActiveConnections] {
        if let Some(value) = sample.value(kind) {
            sample.set(kind, kind.check(value * factor));
        }
    }
    sample
}

fn has_no_more_than_rate(sample: &ScalingMetrics) -> bool {
    SignalKind::ALL.into_iter().all(|kind| kind == SignalKind::RequestRate || sample.value(kind).is_none())
}

/// Returns the work that arrived in a sample.
fn demand(sample: &ScalingMetrics, basis: DemandBasis) -> Option<f64> {
    match basis {
        DemandBasis::RequestRate => sample.value(SignalKind::RequestRate),
        DemandBasis::CpuUsage => {
            let pods = f64::from(sample.current_pod_count?);
            Some(sample.value(SignalKind::CpuUtilization)? / 100.0 * pods)
        }
    }
}

fn is_censored(sample: &ScalingMetrics, censoring: Censoring) -> bool {
    let at_least = |kind, limit: f64| sample.value(kind).is_some_and(|value| value >= limit);
    let rate = sample.value(SignalKind::RequestRate);
    let queued = sample.value(SignalKind::QueueDepth).zip(rate);
    at_least(SignalKind::CpuUtilization, censoring.cpu_percent)
        || at_least(SignalKind::ErrorRate, censoring.error_percent)
        || queued.is_some_and(|(waiting, rate)| waiting > 0.0 && waiting >= rate * censoring.queue_seconds)
}

/// Returns the median of what a fully used pod would have served, over samples that show it.
fn learnt_capacity(recorded: &[ScalingMetrics], censoring: Censoring) -> Option<f64> {
    let mut capacities: Vec<f64> = recorded
        .iter()
        .filter(|sample| !is_censored(sample, censoring))
        .filter_map(|sample| {
            let cpu = sample.value(SignalKind::CpuUtilization).filter(|cpu| *cpu >= 5.0)?;
            let work = cpu / 100.0 * f64::from(sample.current_pod_count?);
            let capacity = sample.value(SignalKind::RequestRate)? / work;
            (capacity.is_finite() && capacity > 0.0).then_some(capacity)
        })
        .collect();
    quantile(&mut capacities, 0.5)
}

/// Returns the median time between samples, at least a second.
fn usual_interval_ms(samples: &[ScalingMetrics]) -> i64 {
    let pairs = samples.iter().zip(samples.iter().skip(1));
    let mut intervals: Vec<i64> = pairs.map(|(a, b)| (b.timestamp - a.timestamp).num_milliseconds()).collect();
    quantile_of(&mut intervals, 0.5).unwrap_or(60_000).max(1000)
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // computed exactly
mod tests {
    use std::time::Duration;

    use super::*;

    fn parsed(text: &str) -> Result<Trace, String> {
        Trace::parse("test", text.as_bytes()).map_err(|error| error.to_string())
    }

    fn grid(trace: &Trace, seconds: u64) -> Vec<f64> {
        trace.resample(Duration::from_secs(seconds)).demand().to_vec()
    }

    #[cfg(feature = "csv")]
    #[test]
    fn a_load_trace_is_joined_between_the_centres_of_its_samples() {
        let trace = parsed("timestamp_s,rps\n0,60\n60,120\n120,120\n").unwrap();
        assert_eq!(trace.span().0.timestamp(), 0);
        assert_eq!(trace.notes(), []);
        assert_eq!(trace.span().1.timestamp(), 180);
        // Centres at 30, 90 and 150 s; steps are asked at their own centres.
        let expected = [60.0, 60.0, 67.5, 82.5, 97.5, 112.5, 120.0, 120.0, 120.0, 120.0, 120.0, 120.0];
        assert_eq!(grid(&trace, 15), expected);
    }

    #[cfg(feature = "csv")]
    #[test]
    fn samples_far_apart_are_a_trace_and_it_is_said_what_they_hide() {
        let spaced = |seconds: u32| {
            let rows: Vec<_> = (0..48).map(|nth| format!("{},{}", nth * seconds, 100 + nth % 7)).collect();
            parsed(&format!("timestamp_s,rps\n{}\n", rows.join("\n"))).unwrap()
        };
        let hourly = spaced(3600);
        assert_eq!((hourly.facts().gap_seconds, hourly.facts().absent), (0.0, 0));
        assert!(grid(&hourly, 15).iter().all(|demand| demand.is_finite()));
        assert_eq!(hourly.notes(), [Note::Sparse { minutes: 60.0 }]);
        assert!(hourly.notes()[0].to_string().contains("60 minutes apart"));
        assert_eq!(spaced(300).notes(), []);
    }

    #[cfg(feature = "csv")]
    #[test]
    fn gaps_stay_gaps_and_are_counted() {
        let trace = parsed("timestamp_s,rps\n0,1\n60,1\n120,\n180,1\n240,1\n480,1\n540,1\n").unwrap();
        let grid = grid(&trace, 60);
        let gaps: Vec<_> = grid.iter().map(|demand| demand.is_nan()).collect();
        assert_eq!(gaps, [false, false, true, false, false, true, true, true, false, false]);
        assert_eq!((trace.facts().absent, trace.facts().gap_seconds), (1, 240.0));
    }

    #[cfg(feature = "csv")]
    #[test]
    fn bad_rows_name_the_line_and_the_cause() {
        for (row, what) in [
            ("60,-4", "rps: -4: out of range"),
            ("60,inf", "rps: inf: not a finite number"),
            ("60,many", "rps"),
            ("noon,4", "timestamp_s"),
            ("60", "line 3"),
            (",4", "timestamp is missing"),
        ] {
            let error = parsed(&format!("timestamp_s,rps\n0,12\n{row}\n120,3\n")).unwrap_err();
            assert!(error.contains("line 3") && error.contains(what), "{row}: {error}");
        }
    }

    #[test]
    fn a_number_that_cannot_be_is_an_error_in_json_too_and_a_stated_absence_a_gap() {
        let text = |rate: &str| {
            format!(
                "{{\"timestamp\":0,\"rps\":1}}\n{{\"timestamp\":60,\"rps\":{rate}}}\n{{\"timestamp\":120,\"rps\":1}}"
            )
        };
        assert_eq!(parsed(&text("-4")).unwrap_err(), "line 2: rps: -4: out of range");
        assert_eq!(parsed(&text("\"+Inf\"")).unwrap_err(), "line 2: rps: inf: not a finite number");
        for gap in ["null", "\"NaN\"", "\"N/A\"", r#"{"absent":"out_of_range"}"#] {
            assert_eq!(parsed(&text(gap)).unwrap().facts().gap_seconds, 60.0, "{gap}");
        }
    }

    #[test]
    fn a_recording_without_rate_counts_used_pods_and_marks_where_they_were_full() {
        let lines: Vec<_> = [(0, 50, 4), (60, 99, 4), (120, 60, 8)]
            .map(|(at, cpu, pods)| {
                format!(r#"{{"timestamp":{at},"cpu_utilization_percent":{cpu},"current_pod_count":{pods}}}"#)
            })
            .into();
        let trace = parsed(&lines.join("\n")).unwrap();
        assert_eq!(trace.basis(), DemandBasis::CpuUsage);
        assert_eq!(trace.pod_capacity(), Some(1.0));
        assert_eq!(grid(&trace, 60), [2.0, 3.96, 4.8]);
        assert_eq!(trace.facts().censored_seconds, 60.0);
    }

    #[test]
    fn the_capacity_of_a_pod_is_read_off_where_it_can_be() {
        let lines: Vec<_> = [(0, 50, 200.0), (60, 99, 300.0), (120, 25, 104.0)]
            .map(|(at, cpu, rate)| {
                format!(
                    r#"{{"timestamp":{at},"cpu_utilization_percent":{cpu},"current_pod_count":4,"request_rate_per_second":{rate}}}"#
                )
            })
            .into();
        let trace = parsed(&lines.join("\n")).unwrap();
        assert_eq!(trace.pod_capacity(), Some(100.0));
        assert_eq!(trace.facts().censored_seconds, 60.0, "a full minute says less than there was");
        assert_eq!(trace.scaled(0.5).pod_capacity(), Some(50.0));
    }

    #[test]
    fn a_range_query_of_prometheus_is_a_trace() {
        let answer = |result: &str| {
            format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}},"warnings":["w"]}}"#)
        };
        let one = r#"{"metric":{"job":"web"},"values":[[60,"1.5"],[120,"NaN"],[180.0,"2"]]}"#;
        let trace = parsed(&answer(one)).unwrap();
        assert_eq!((trace.facts().samples, trace.facts().absent), (3, 1));
        assert_eq!(trace.notes().last(), Some(&Note::EndsAtTimestamp));
        assert_eq!(trace.span().0.timestamp(), 0, "a sample speaks of the time before it");
        let negative = answer(r#"{"metric":{},"values":[[60,"1"],[120,"-1"]]}"#);
        assert!(parsed(&negative).unwrap_err().starts_with("value 2: "));
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        assert!(parsed("").unwrap_err().contains("empty"));
        assert!(parsed(r#"{"timestamp":1,"queue_depth":3}"#).unwrap_err().contains("neither"));
        let unread = parsed(r#"{"timestamp":1,"queue_depth":3,"requests_per_minute":5}"#).unwrap_err();
        assert!(unread.contains("; not read: \"requests_per_minute\" (--column"), "{unread}");
        let empty = parsed("{\"timestamp\":1,\"rps\":null}\n{\"timestamp\":2,\"rps\":null}").unwrap_err();
        assert!(empty.ends_with("; rps: all 2 are empty"), "{empty}");
        let long = "{\"timestamp\":0,\"rps\":1}\n{\"timestamp\":99999999999,\"rps\":1}";
        assert!(parsed(long).unwrap_err().contains("ten years"));
    }

    #[test]
    fn more_steps_than_can_be_replayed_are_refused_and_not_cut_off() {
        let line = |at: i64| format!("{{\"timestamp\":{at},\"rps\":1}}");
        let lines = |last| [0, 1, 2, last].map(line).join("\n");
        assert!(parsed(&lines(200_000_000)).unwrap_err().contains("1970-01-01 00:00:00 UTC to 1976"));
        let trace = parsed(&lines(15_000_000)).unwrap();
        assert_eq!(trace.facts().gap_seconds, 14_999_997.0);
    }

    #[test]
    fn with_many_times_the_demand_the_recorded_past_has_it_too() {
        let sample = |at| {
            let sample = ScalingMetrics::new(DateTime::from_timestamp(at, 0).unwrap(), 4);
            sample.with(SignalKind::RequestRate, 5.0).with(SignalKind::QueueDepth, 2.0).with(SignalKind::ErrorRate, 1.0)
        };
        let trace = Trace::from_samples("test", [0, 60].map(sample).into(), SampleTime::Ends).unwrap().scaled(10.0);
        for sample in trace.history_until(trace.span().1) {
            let kinds = [SignalKind::RequestRate, SignalKind::QueueDepth, SignalKind::ErrorRate];
            assert_eq!(kinds.map(|kind| sample.value(kind)), [Some(50.0), Some(20.0), Some(1.0)]);
        }
    }

    #[test]
    fn samples_finer_than_steps_all_count() {
        let sample = |at: i64| {
            let rate = if at % 15 == 3 { 1500.0 } else { 0.0 };
            let sample = ScalingMetrics::new(DateTime::from_timestamp(at, 0).unwrap(), 1);
            sample
                .with(SignalKind::RequestRate, rate)
                .with(SignalKind::CpuUtilization, if at == 20 { 100.0 } else { 5.0 })
        };
        let trace = Trace::from_samples("test", (0..60).map(sample).collect(), SampleTime::Starts).unwrap();
        let grid = trace.resample(Duration::from_secs(15));
        assert_eq!(grid.demand(), [100.0; 4]);
        assert_eq!(grid.censored(), [false, true, false, false]);
    }

    #[test]
    fn the_past_is_what_had_ended_by_then() {
        let sample =
            |at| ScalingMetrics::new(DateTime::from_timestamp(at, 0).unwrap(), 1).with(SignalKind::RequestRate, 5.0);
        let samples: Vec<_> = [0, 60, 120].map(sample).into();
        let until = DateTime::from_timestamp(120, 0).unwrap();
        let known = |time| Trace::from_samples("test", samples.clone(), time).unwrap().history_until(until).len();
        assert_eq!((known(SampleTime::Starts), known(SampleTime::Ends)), (2, 3));
    }
}
