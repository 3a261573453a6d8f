//! A month in seconds, under random faults of source, applier and clock.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use scaling_core::live::{
    Cadence, Entry, Loop, LoopReport, RecordFiles, Rotation, SimulatedClock, Stop, Ticked, entries,
};
use scaling_core::record::Tee;
use scaling_core::{
    Absence, Applied, ApplyError, ApplyMode, Autoscaler, DecisionRecord, HpaApplier, HpaPlan, HpaState, MemoryApplier,
    MemorySource, MetricsSource, Observation, RecordError, Recorder, RuleBasedEngine, ScalingMetrics, SignalKind,
    SourceError, Target,
};

use super::world::{bounds, down, start, target};

/// Samples of history of each workload.
const HISTORY: usize = 120;
const FILES: usize = 4;
const FILE_BYTES: u64 = 1 << 20;

/// Chance by a hash of what it is for: the same faults in every run, whatever is asked in between.
#[derive(Clone, Copy)]
struct Chance(u64);

impl Chance {
    fn of(self, what: &str, nth: u64, one_in: u64) -> bool {
        self.hash(what, nth).is_multiple_of(one_in)
    }

    fn hash(self, what: &str, nth: u64) -> u64 {
        let mut state = what.bytes().fold(self.0 ^ nth.wrapping_mul(0x9e37_79b9_7f4a_7c15), |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // The end of splitmix64.
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    }
}

struct Source {
    metrics: MemorySource,
    clock: Arc<SimulatedClock>,
    chance: Chance,
    /// Questions so far.
    asked: Mutex<u64>,
    pods: Arc<MemoryApplier>,
}

impl Source {
    /// A day's wave, another phase for each workload, on as many pods as the min holds.
    fn sample(&self, nth: usize, target: &Target, now: DateTime<Utc>, tick: u64) -> ScalingMetrics {
        let day = (now.timestamp() % 86_400) as f64 / 86_400.0 + nth as f64 / 7.0;
        let rate = 300.0 - 200.0 * (day * std::f64::consts::TAU).cos();
        let pods = self.pods.bounds(target).map_or(3, scaling_core::Bounds::min);
        let cpu = (rate / f64::from(pods) / 60.0 * 100.0).min(100.0);
        let sample = ScalingMetrics::new(now, pods)
            .with(SignalKind::CpuUtilization, cpu)
            .with(SignalKind::RequestRate, rate)
            .with(SignalKind::MemoryUtilization, 40.0);
        let place = tick * 1000 + nth as u64;
        if self.chance.of("absent", place, 50) {
            let kinds = [SignalKind::CpuUtilization, SignalKind::RequestRate, SignalKind::MemoryUtilization];
            let kind = kinds[(self.chance.hash("kind", place) % 3) as usize];
            return sample.without(kind, Absence::NotMeasured);
        }
        sample
    }
}

#[async_trait]
impl MetricsSource for Source {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        self.metrics.observe(target, now).await
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let tick = {
            let mut asked = self.asked.lock().unwrap();
            *asked += 1;
            *asked
        };
        // An outage lasts for several questions.
        if self.chance.of("down", tick / 6, 60) {
            return targets.iter().map(|target| Err(down(target))).collect();
        }
        if self.chance.of("hangs", tick, 300) {
            self.clock.advance(TimeDelta::seconds(27));
            pending::<()>().await;
        }
        if self.chance.of("late", tick, 300) {
            self.clock.advance(TimeDelta::seconds((self.chance.hash("by", tick) % 200) as i64));
        }
        let mut seen = Vec::with_capacity(targets.len());
        for (nth, target) in targets.iter().enumerate() {
            // Late and repeated samples, as when the clock was set back, are refused and counted by the source.
            self.metrics.advance(target, self.sample(nth, target, now, tick), now).ok();
            let nothing = || SourceError::NoData { target: Box::new(target.clone()), at: now };
            let gap = self.chance.of("gap", tick * 1000 + nth as u64, 200);
            seen.push(if gap { Err(nothing()) } else { self.metrics.observe(target, now).await });
        }
        seen
    }
}

struct Applier {
    hpas: Arc<MemoryApplier>,
    chance: Chance,
    calls: Mutex<u64>,
}

impl Applier {
    fn call(&self) -> u64 {
        let mut calls = self.calls.lock().unwrap();
        *calls += 1;
        *calls
    }
}

#[async_trait]
impl HpaApplier for Applier {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        let call = self.call();
        if self.chance.of("read hangs", call, 20_000) {
            pending::<()>().await;
        }
        if self.chance.of("read fails", call, 200) {
            let source = "the API server is restarting".into();
            return Err(ApplyError::Unapplied { target: target.clone(), transient: true, source });
        }
        // As the API server: it knows no resting bounds.
        Ok(HpaState::new(self.hpas.current(target).await?.bounds).bounds_only())
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        let (call, target) = (self.call(), plan.target().clone());
        let lost = || ApplyError::Backend { target: target.clone(), transient: true, source: "reset".into() };
        if self.chance.of("lost before", call, 50) {
            return Err(lost());
        }
        if self.chance.of("refused", call, 50) {
            return Err(ApplyError::Refused { target: target.clone(), detail: "by a webhook".into(), denied: false });
        }
        let applied = self.hpas.apply(plan, mode).await;
        if self.chance.of("lost after", call, 50) {
            return Err(lost());
        }
        if self.chance.of("hangs", call, 500) {
            pending::<()>().await;
        }
        applied
    }
}

/// Keeps the instants of each workload's records of a tick, and no more.
#[derive(Default)]
struct Account {
    all: u64,
    tick: HashMap<Target, Vec<DateTime<Utc>>>,
    longest_history: usize,
    shrunk_blindly: u64,
}

#[derive(Default)]
struct Accountant(Mutex<Account>);

impl Recorder for Accountant {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        let mut account = self.0.lock().unwrap();
        account.all += 1;
        account.longest_history = account.longest_history.max(record.history_len);
        account.tick.entry(record.target.clone()).or_default().push(record.at);
        let absent = |metrics: &ScalingMetrics| record.declared.is_some_and(|declared| metrics.delivered() != declared);
        let blind = record.metrics.as_ref().is_none_or(absent);
        let lowers = record.change.is_some_and(|change| change.new.min() < change.old.min());
        // What a floor had raised is given back whatever is absent.
        account.shrunk_blindly += u64::from(blind && lowers && record.floor.is_none() && change_of_engine(record));
        Ok(())
    }
}

/// Returns whether it was the engine that let pods go.
fn change_of_engine(record: &DecisionRecord) -> bool {
    record.decision.is_some() && record.change.is_some_and(|change| change.released > 0)
}

/// What was found once the month is over.
struct Month {
    report: LoopReport,
    ticked: u64,
    records: u64,
    read_back: Vec<DateTime<Utc>>,
    folder_bytes: u64,
    longest_history: usize,
    released: usize,
    remembered: usize,
    shrunk_blindly: u64,
    /// Resident memory after a tenth of the ticks and at the end, in KiB.
    resident: Option<(u64, u64)>,
}

async fn month(targets: usize, days: i64) -> Month {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().to_owned();
    let (clock, chance) = (Arc::new(SimulatedClock::at(start())), Chance(17));
    let hpas = Arc::new((0..targets).fold(MemoryApplier::new(), |hpas, nth| hpas.with(target(nth), bounds(2, 20))));
    let mut rotation = Rotation::default();
    // A month of waiting for the disk is no part of what is looked at.
    (rotation.max_bytes, rotation.files, rotation.sync) = (FILE_BYTES, FILES, false);
    let files = RecordFiles::open(&folder, rotation).unwrap();
    let accountant = Arc::new(Accountant::default());
    let metrics = MemorySource::new().with_limit(HISTORY);
    let source = Source { metrics, clock: Arc::clone(&clock), chance, asked: Mutex::new(0), pods: Arc::clone(&hpas) };
    let autoscaler = Arc::new(
        Autoscaler::builder()
            .source(source)
            .engine(RuleBasedEngine::default())
            .applier(Applier { hpas, chance, calls: Mutex::new(0) })
            .recorder(Tee::new().with(files).with(Arc::clone(&accountant)))
            .mode(ApplyMode::Apply)
            .build(),
    );
    let stop = Stop::new();
    let (enough, hand, account) = (stop.clone(), Arc::clone(&clock), Arc::clone(&accountant));
    let end = start() + TimeDelta::days(days);
    let seen = Arc::new(Mutex::new((0_u64, None::<u64>)));
    let (kept, mut last, mut missed) = (Arc::clone(&seen), None::<DateTime<Utc>>, 0);
    let hook = move |tick: &Ticked, report: &LoopReport| {
        let mut account = account.0.lock().unwrap();
        let whole = account.tick.len() == targets && account.tick.values().all(|instants| *instants == [tick.at]);
        assert!(whole, "one record of each workload at {}: {:?}", tick.at, account.tick);
        account.tick.clear();
        // Instants that were passed over, by the ticks alone.
        let between = last.map_or(0, |last| (tick.at - last).num_minutes() - 1).max(0);
        missed += u64::try_from(between).unwrap();
        assert_eq!(report.missed, missed, "at {}", tick.at);
        last = Some(tick.at);
        let mut kept = kept.lock().unwrap();
        kept.0 += 1;
        if kept.0 == u64::try_from(days).unwrap() * 144 {
            kept.1 = resident();
        }
        if chance.of("clock", kept.0, 500) {
            let forward = chance.hash("way", kept.0).is_multiple_of(2);
            hand.advance(TimeDelta::minutes(if forward { 2 } else { -2 }));
        }
        if tick.at >= end {
            enough.request();
        }
    };
    let live = Loop::new(Arc::clone(&autoscaler), (0..targets).map(target), Cadence::default());
    let report = live.clock(clock).deadline(Duration::from_secs(54)).after_tick(hook).run(&stop).await;
    let log = autoscaler.change_log();
    let read_back = entries(&folder).unwrap().filter_map(|entry| match entry {
        Entry::Record(record) => Some(record.at),
        Entry::Intent(_) => None,
        other => panic!("{other:?}"),
    });
    let read_back = read_back.collect();
    let sizes = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    let account = accountant.0.lock().unwrap();
    let (ticked, early) = *seen.lock().unwrap();
    Month {
        report,
        ticked,
        records: account.all,
        read_back,
        folder_bytes: sizes.sum(),
        longest_history: account.longest_history,
        released: log.released().len(),
        remembered: log.len(),
        shrunk_blindly: account.shrunk_blindly,
        resident: early.zip(resident()),
    }
}

/// Resident memory of this process, in KiB, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn check(month: &Month, targets: usize, days: i64) {
    let Month { report, .. } = month;
    println!("{report}\nresident (KiB, early and at the end): {:?}", month.resident);
    assert_eq!((report.ticks, report.records), (month.ticked, month.ticked * targets as u64));
    assert_eq!((month.records, report.unrecorded), (report.records, 0), "no record is lost");
    assert!(report.ticks + report.missed >= u64::try_from(days).unwrap() * 1440, "{report}");
    assert!(report.overrun > 10 && report.missed > 10 && report.unasked > 10, "the faults have come: {report}");
    assert!(report.failed < report.ticks, "{report}");
    assert_eq!(month.shrunk_blindly, 0, "law 2");
    // What is held is bounded, whatever has come.
    assert!(month.longest_history <= 2 * HISTORY, "{}", month.longest_history);
    assert!(month.remembered == targets && month.released <= 2000, "{} {}", month.remembered, month.released);
    assert!(month.folder_bytes <= FILES as u64 * FILE_BYTES, "{}", month.folder_bytes);
    // The newest records are there, as many as the files hold, each tick whole.
    assert!(month.read_back.len() >= 1000, "{}", month.read_back.len());
    let newest = *month.read_back.last().unwrap();
    assert_eq!(month.read_back.iter().rev().take_while(|at| **at == newest).count(), targets);
    if let Some((early, end)) = month.resident {
        assert!(end < early + 16 * 1024, "memory has grown from {early} to {end} KiB");
    }
}

/// More workloads than are ticked side by side.
#[tokio::test(start_paused = true)]
async fn five_days_of_twenty_workloads_under_faults_are_accounted_for() {
    check(&month(20, 5).await, 20, 5);
}

/// Six minutes of a processor with the checks of a test build, most of it those of the standard library and the writing of 4.3 million
/// records: `cargo test -p scaling-core --test live -- --ignored --nocapture hundred`
#[tokio::test(start_paused = true)]
#[ignore = "minutes: a month of a hundred workloads"]
async fn a_month_of_a_hundred_workloads_under_faults_is_accounted_for() {
    check(&month(100, 30).await, 100, 30);
}
