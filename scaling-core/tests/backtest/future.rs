//! Nothing from the future reaches a decision, and resolution may change along a trace.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use scaling_core::backtest::{Candidate, CandidateSetup, ClusterModel, Driver, SampleTime, Scenario, Trace};
use scaling_core::hpa::{ControllerConfig, MetricSpec};
use scaling_core::{DecisionEngine, EngineError, HardLimits, Observation, ScalingDecision, ScalingMetrics, SignalKind};

use crate::world::{candidates, report, scenario, spec_between, waves};

/// What happened so far does not depend on what comes: neither what was seen, nor what was decided, nor what it cost.
#[test]
fn the_future_changes_no_earlier_decision() {
    let calm = waves();
    let mut wild = calm.clone();
    for rate in &mut wild[600..] {
        *rate = 4000.0 - *rate;
    }
    // Both are scored up to the moment at which they part, less the half minute by which the trace joins its samples.
    let until =
        |rates: &[f64]| Scenario { longest: Duration::from_secs((600 - 360) * 60 - 600 - 60), ..scenario(rates) };
    let [a, b] = [calm, wild].map(|rates| report(&[until(&rates)], &candidates()));
    assert_eq!(a.traces[0].candidates, b.traces[0].candidates);
    assert_eq!(a.traces[0].oracle.zero_violations, b.traces[0].oracle.zero_violations);
}

/// Instants, and all that was shown and decided then.
type Seen = Vec<(DateTime<Utc>, String)>;

/// Keeps word of all that an engine is shown, and decides by every bit of it.
struct Witness {
    seen: Arc<Mutex<Seen>>,
    drives: bool,
}

fn mixed(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[async_trait::async_trait]
impl DecisionEngine for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let Observation { current, history, .. } = observation;
        let mut seen = self.seen.lock().unwrap();
        // All of the history the first time; later, what was added to it.
        let kept = if seen.is_empty() { history.len() } else { 2 };
        let newest: Vec<_> = history.iter().skip(history.len().saturating_sub(kept)).collect();
        let shown = format!("{current:?} {} {newest:?}", history.len());
        let pods = current.replicas().ok_or(EngineError::NoPodCount)?;
        let desired = if self.drives { 1 + u32::try_from(mixed(&shown) % 12).unwrap() } else { pods };
        seen.push((current.timestamp, format!("{desired} {shown}")));
        Ok(ScalingDecision::replicas("witness", current.timestamp, pods, desired).with_confidence(1.0))
    }
}

/// What is recorded besides the load.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Recording {
    RateAlone,
    Everything,
    CpuAlone,
}

/// A recording, as its maker knows it: when each sample's interval begins and ends.
#[derive(Clone, Debug)]
struct Kind {
    time: SampleTime,
    recording: Recording,
    /// Interval of each sample in seconds, and whether it is there.
    intervals: Vec<(i64, i64, bool)>,
}

impl Kind {
    /// The trace with values drawn from one seed for samples that ended by `until`, and from others for the rest.
    fn trace(&self, until: i64, demand_seed: u64, other_seed: u64) -> Trace {
        let draw = |seed: u64, nth: usize, what: &str| (mixed(&format!("{seed} {nth} {what}")) % 1000) as f64 / 1000.0;
        let there = self.intervals.iter().enumerate().filter(|(_, (.., there))| *there);
        let samples = there.map(|(nth, (begin, end, _))| {
            let (demand_seed, other_seed) = if *end <= until { (0, 0) } else { (demand_seed, other_seed) };
            let at = if self.time == SampleTime::Starts { *begin } else { *end };
            let mut sample = ScalingMetrics::new(DateTime::from_timestamp(at, 0).unwrap(), 4);
            let mut set = |kind, seed, low: f64, high: f64| {
                sample.set(kind, kind.check(low + (high - low) * draw(seed, nth, &format!("{kind:?}"))));
            };
            if self.recording != Recording::CpuAlone {
                set(SignalKind::RequestRate, demand_seed, 20.0, 400.0);
            }
            match self.recording {
                Recording::RateAlone => {}
                Recording::CpuAlone => set(SignalKind::CpuUtilization, demand_seed, 20.0, 90.0),
                Recording::Everything => {
                    set(SignalKind::CpuUtilization, other_seed, 20.0, 90.0);
                    set(SignalKind::ResponseTime, other_seed, 20.0, 400.0);
                    set(SignalKind::ErrorRate, other_seed, 0.0, 3.0);
                    set(SignalKind::QueueDepth, other_seed, 0.0, 50.0);
                }
            }
            if self.recording == Recording::RateAlone {
                sample.current_pod_count = None;
            } else {
                set(SignalKind::MemoryUtilization, other_seed, 20.0, 90.0);
                set(SignalKind::ActiveConnections, other_seed, 0.0, 900.0);
            }
            sample
        });
        Trace::from_samples("future", samples.collect(), self.time).unwrap()
    }

    /// All that engines were shown and decided over this trace, driving pods and moving an HPA's bounds.
    fn seen(&self, trace: Trace) -> [Seen; 3] {
        let basis = trace.basis();
        let period = Duration::from_secs(60);
        let model = ClusterModel {
            pod_capacity: if self.recording == Recording::CpuAlone { 1.0 } else { 50.0 },
            sync_period: period,
            scrape_period: period,
            metrics_lag: period,
            // Few pods, so that the oracle, which every replay comes with, is quick.
            limits: HardLimits::new(1, 12).unwrap(),
            noise_seed: Some(5),
            ..ClusterModel::default()
        };
        let seen: [Arc<Mutex<Seen>>; 3] = Default::default();
        let [taught, driving, moving] = seen.clone();
        let hpa_metric = if self.recording == Recording::RateAlone { "cpu" } else { "memory" };
        let candidates = [
            Candidate::direct("driven", move |training| {
                assert_eq!(training.basis, basis);
                let first = training.history.iter().last().map(|sample| sample.timestamp).unwrap_or_default();
                taught.lock().unwrap().push((first, format!("{:?}", training.history.iter().collect::<Vec<_>>())));
                Ok(Driver::direct(Witness { seen: Arc::clone(&driving), drives: true }))
            }),
            Candidate::new("moved", move |_| {
                let spec = spec_between(1, 12, MetricSpec::utilization(hpa_metric, 60));
                let witness = Witness { seen: Arc::clone(&moving), drives: false };
                Ok(CandidateSetup::hpa(spec, ControllerConfig::default()).driven_by(Driver::bounds(witness)))
            }),
        ];
        let scenario = Scenario { history_share: 0.4, settle: Duration::ZERO, ..Scenario::new(trace, model) };
        report(&[scenario], &candidates);
        seen.map(|seen| std::mem::take(&mut *seen.lock().unwrap()))
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of a length
fn share_of(length: usize, share: f64) -> usize {
    (length as f64 * share) as usize
}

fn kind() -> impl Strategy<Value = Kind> {
    let lengths = prop_oneof![
        Just(vec![(1600, 15)]),
        Just(vec![(420, 60)]),
        Just(vec![(90, 300)]),
        Just(vec![(14, 3600)]),
        Just(vec![(40, 300), (250, 60)]),
        Just(vec![(250, 60), (40, 300)]),
        Just(vec![(12, 3600), (300, 60), (20, 900)]),
        Just(vec![(300, 60), (12, 3600)]),
    ];
    let recording = prop_oneof![Just(Recording::RateAlone), Just(Recording::Everything), Just(Recording::CpuAlone)];
    (lengths, recording, any::<bool>(), prop::collection::vec(0.05..0.95_f64, 0..3)).prop_map(
        |(lengths, recording, starts, gaps)| {
            let mut intervals = Vec::new();
            let mut begin = 0;
            for (number, length) in lengths {
                for _ in 0..number {
                    intervals.push((begin, begin + length, true));
                    begin += length;
                }
            }
            // A gap of several samples, away from the edges and from a change of resolution.
            for gap in gaps {
                let from = share_of(intervals.len(), gap);
                let lengths: Vec<i64> = intervals.iter().map(|(begin, end, _)| end - begin).collect();
                let around = lengths.get(from.saturating_sub(12)..from + 16).unwrap_or_default();
                if !around.is_empty() && around.iter().all(|length| *length == around[0]) {
                    intervals[from..from + 3].iter_mut().for_each(|interval| interval.2 = false);
                }
            }
            Kind { time: if starts { SampleTime::Starts } else { SampleTime::Ends }, recording, intervals }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nothing is seen of the future, over every kind of trace.
    ///
    /// A sample is *known* at an instant if its interval has ended by then. At any instant `t` of the replay, samples not known by
    /// then are replaced by others:
    ///
    /// 1. in everything but the load: all observations and decisions up to `t`, and all that a candidate learns from, stay as they
    ///    are, bit for bit. Recorded memory, connections and response times are handed out once their interval is over;
    /// 2. in the load as well: what a candidate learns from stays as it is, and so do all observations and decisions up to the
    ///    *centre* of the last known sample. From there on the load that arrives is on the line to the next centre, by
    ///    the model of the measurement: it arrives, is measured, and so may move.
    #[test]
    fn replacing_the_future_changes_no_earlier_decision(kind in kind(), cut in 0.0..1.0_f64) {
        let base = kind.seen(kind.trace(i64::MAX, 0, 0));
        let (first, last) = (base[1].first().unwrap().0.timestamp() + 120, base[1].last().unwrap().0.timestamp());
        let until = first + i64::try_from(share_of(usize::try_from(last - first).unwrap(), cut)).unwrap();
        let upto = |seen: &[(DateTime<Utc>, String)], limit: i64| {
            // A tick sees metrics that are a minute old.
            let limit = DateTime::from_timestamp(limit - 60, 0).unwrap();
            seen.iter().take_while(|(at, _)| *at <= limit).cloned().collect::<Vec<_>>()
        };
        prop_assert!(base[0].len() == 1 && !upto(&base[1], until).is_empty() && !upto(&base[2], until).is_empty());

        let others = kind.seen(kind.trace(until, 0, 1));
        prop_assert_eq!(&base[0], &others[0]);
        for way in [1, 2] {
            prop_assert_eq!(upto(&base[way], until), upto(&others[way], until));
        }

        let all = kind.seen(kind.trace(until, 1, 1));
        prop_assert_eq!(&base[0], &all[0]);
        let known = kind.intervals.iter().filter(|(_, end, there)| *there && *end <= until);
        let centre = known.map(|(begin, end, _)| i64::midpoint(*begin, *end)).max().unwrap();
        for way in [1, 2] {
            prop_assert_eq!(upto(&base[way], centre), upto(&all[way], centre));
        }
    }

    /// Resolution may change along a trace, in either order, without a gap; and a gap is one at any resolution.
    #[test]
    fn a_change_of_resolution_is_no_gap(
        coarse in prop_oneof![Just(300_i64), Just(900), Just(3600)], coarse_first: bool, starts: bool,
        missing in prop::option::of(0.1..0.9_f64),
    ) {
        let [a, b] = [(40, coarse), (60, 60)];
        let order = if coarse_first { [a, b] } else { [b, a] };
        let mut intervals = Vec::new();
        for (number, length) in order {
            for nth in 0..number {
                let begin = intervals.last().map_or(0, |(_, end, _)| *end);
                // Away from the change and from the edges.
                intervals.push((begin, begin + length, nth > 12 && nth + 12 < number));
            }
        }
        let removable: Vec<usize> = (0..intervals.len()).filter(|nth| intervals[*nth].2).collect();
        let removed = missing.map(|share| removable[share_of(removable.len(), share)]);
        let removed_s = removed.map_or(0, |nth| intervals[nth].1 - intervals[nth].0);
        for (nth, interval) in intervals.iter_mut().enumerate() {
            interval.2 = removed != Some(nth);
        }
        let end = intervals.last().unwrap().1;
        let time = if starts { SampleTime::Starts } else { SampleTime::Ends };
        let trace = Kind { time, recording: Recording::RateAlone, intervals }.trace(i64::MAX, 0, 0);
        prop_assert_eq!(trace.facts().gap_seconds, removed_s as f64);
        prop_assert_eq!((trace.span().0.timestamp(), trace.span().1.timestamp()), (0, end));
        let stepped = trace.resample(Duration::from_secs(60));
        let gap = stepped.demand().iter().filter(|demand| demand.is_nan()).count();
        prop_assert_eq!(gap as f64 * 60.0, removed_s as f64);
        prop_assert_eq!(stepped.step(), TimeDelta::seconds(60));
    }
}
