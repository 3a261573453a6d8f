//! Faults that were found once, each as the case that showed it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::pending;
use scaling_core::SignalKind::{
    ActiveConnections, CpuUtilization, ErrorRate, MemoryUtilization, QueueDepth, RequestRate, ResponseTime,
};
use scaling_core::{
    Absence, Applied, ApplyError, ApplyMode, Autoscaler, AutoscalerBuilder, Bounds, ChangeLog, DecisionEngine,
    DecisionRecord, EngineError, EngineExt, Floor, FloorSource, Guards, HpaApplier, HpaPlan, HpaState, LastChanges,
    MemoryApplier, MemoryRecorder, MetricsHistory, MetricsSource, Missing, Observation, Outcome, Reason, RemovalBudget,
    ResourceChange, RuleBasedEngine, RuleConfig, ScalingDecision, ScalingMetrics, SignalKind, SignalSet, SourceError,
    Target, Unchanged,
};

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn after(seconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(seconds)
}

fn target() -> Target {
    Target::deployment("shop", "checkout").with_hpa("checkout-hpa")
}

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

// ---- the parts

/// What is measured at each second, with a history of its own.
struct Measures<F> {
    at: F,
    seen: Mutex<(Arc<MetricsHistory>, Option<ScalingMetrics>)>,
}

impl<F: Fn(i64) -> Option<ScalingMetrics> + Send + Sync> Measures<F> {
    fn new(at: F) -> Self {
        Self { at, seen: Mutex::default() }
    }
}

#[async_trait]
impl<F: Fn(i64) -> Option<ScalingMetrics> + Send + Sync> MetricsSource for Measures<F> {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let metrics = (self.at)(now.signed_duration_since(start()).num_seconds());
        let metrics = metrics.ok_or_else(|| SourceError::NoData { target: Box::new(target.clone()), at: now })?;
        let mut seen = self.seen.lock().unwrap();
        if let Some(last) = seen.1.replace(metrics.clone()) {
            Arc::make_mut(&mut seen.0).push(&last).unwrap();
        }
        Ok(Observation::new(target.clone(), metrics).with_history(Arc::clone(&seen.0)))
    }
}

/// So many pods, calm, at whatever time it is.
struct Pods(u32);

#[async_trait]
impl MetricsSource for Pods {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let metrics = ScalingMetrics::new(now, self.0).with(CpuUtilization, 10.0).with(MemoryUtilization, 10.0);
        Ok(Observation::new(target.clone(), metrics))
    }
}

/// Says one thing after the other, and the last one for ever.
struct Says(Vec<(u32, i32)>, AtomicUsize);

impl Says {
    fn pods(pods: impl IntoIterator<Item = u32>) -> Self {
        Self(pods.into_iter().map(|pods| (pods, 0)).collect(), AtomicUsize::new(0))
    }
}

#[async_trait]
impl DecisionEngine for Says {
    fn name(&self) -> &'static str {
        "says"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let nth = self.1.fetch_add(1, Ordering::Relaxed).min(self.0.len() - 1);
        let (pods, cpu_percent) = self.0[nth];
        let current = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let resources = ResourceChange { cpu_percent, memory_percent: 0 };
        let decision = ScalingDecision::replicas("says", observation.current.timestamp, current, pods);
        Ok(decision.with_confidence(1.0).with_resources(resources.filled()))
    }
}

/// What becomes of the answer to a write that has happened.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Comes,
    IsLost,
    /// The host gives up waiting for it.
    NeverComes,
}

/// HPAs whose owner has set some bounds, and that may lose answers.
struct Cluster {
    hpas: MemoryApplier,
    owner: Bounds,
    answer: Answer,
}

impl Cluster {
    fn new(owner: Bounds, present: Bounds, answer: Answer) -> Arc<Self> {
        let hpas = MemoryApplier::new().with(target(), present);
        Arc::new(Self { hpas, owner, answer })
    }

    fn bounds(&self) -> Bounds {
        self.hpas.bounds(&target()).unwrap()
    }
}

#[async_trait]
impl HpaApplier for Cluster {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        Ok(self.hpas.current(target).await?.with_resting(self.owner))
    }
    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        let applied = self.hpas.apply(plan, mode).await?;
        match self.answer {
            Answer::Comes => Ok(applied),
            Answer::IsLost => {
                let (target, source) = (plan.target().clone(), "no answer within 10 s".into());
                Err(ApplyError::Backend { target, transient: true, source })
            }
            Answer::NeverComes => pending().await,
        }
    }
}

fn over(cluster: &Arc<Cluster>) -> AutoscalerBuilder<Missing, Missing, Box<dyn HpaApplier>> {
    Autoscaler::builder().applier(Arc::clone(cluster)).mode(ApplyMode::Apply)
}

/// A tick of which the host may lose patience.
fn tick(autoscaler: &Autoscaler, second: i64) -> Option<DecisionRecord> {
    autoscaler.tick(&target(), after(second)).now_or_never().map(Result::unwrap)
}

/// Runs from one second to another, and gives back all records.
fn drive(autoscaler: &Autoscaler, seconds: std::ops::Range<i64>, every: usize) -> Vec<DecisionRecord> {
    seconds.step_by(every).map(|second| tick(autoscaler, second).unwrap()).collect()
}

fn lowered(record: &DecisionRecord) -> bool {
    record.change.is_some_and(|change| change.shrinks())
}

// ---- writes of which nobody knows

const LOST: [Answer; 2] = [Answer::IsLost, Answer::NeverComes];

#[test]
fn a_write_whose_answer_is_lost_or_given_up_counts_for_the_removal_budget() {
    for answer in LOST {
        let cluster = Cluster::new(bounds(1, 20), bounds(20, 20), answer);
        let targets: Vec<_> =
            (0..20).map(|nth| Target::deployment("shop", format!("w{nth}")).with_hpa("hpa")).collect();
        for target in &targets {
            cluster.hpas.put(target, bounds(20, 20));
        }
        let budget = RemovalBudget::new(10, Duration::from_secs(600)).unwrap();
        let autoscaler =
            over(&cluster).source(Pods(20)).engine(Says::pods([10])).guards(Guards::default().with(budget));
        let autoscaler = autoscaler.build();
        for target in &targets {
            let _ = autoscaler.tick(target, start()).now_or_never();
        }
        let let_go: u32 = targets.iter().map(|target| 20 - cluster.hpas.bounds(target).unwrap().min()).sum();
        assert_eq!(let_go, 10, "of a budget of 10");
    }
}

#[test]
fn a_write_whose_answer_is_lost_or_given_up_counts_for_the_pause() {
    for answer in LOST {
        let cluster = Cluster::new(bounds(1, 8), bounds(2, 8), answer);
        let autoscaler = over(&cluster).source(Pods(8)).engine(Says::pods([16, 4])).build();
        tick(&autoscaler, 0);
        let grown = cluster.bounds();
        assert_eq!(grown, bounds(8, 21), "the growth has happened");
        for second in [1, 299] {
            let record = tick(&autoscaler, second).unwrap();
            assert!(matches!(&record.outcome, Outcome::Refused { guard, .. } if guard == "cooldown"), "{record:?}");
            assert_eq!(cluster.bounds(), grown, "{second} s after the growth");
        }
        tick(&autoscaler, 300);
        assert!(cluster.bounds().min() < grown.min(), "the pause is over");
    }
}

#[test]
fn a_write_that_has_not_happened_counts_for_nothing_once_the_hpa_was_read() {
    /// Loses every write.
    struct Loses(Arc<Cluster>);
    #[async_trait]
    impl HpaApplier for Loses {
        async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
            self.0.current(target).await
        }
        async fn apply(&self, plan: &HpaPlan, _: ApplyMode) -> Result<Applied, ApplyError> {
            let (target, source) = (plan.target().clone(), "connection reset".into());
            Err(ApplyError::Backend { target, transient: true, source })
        }
    }
    let cluster = Cluster::new(bounds(1, 20), bounds(20, 20), Answer::Comes);
    let budget = RemovalBudget::new(10, Duration::from_secs(600)).unwrap();
    let autoscaler = Autoscaler::builder()
        .source(Pods(20))
        .engine(Says::pods([10]))
        .applier(Loses(Arc::clone(&cluster)))
        .guards(Guards::default().with(budget))
        .mode(ApplyMode::Apply)
        .build();
    for second in 0..3 {
        let record = tick(&autoscaler, second).unwrap();
        assert_eq!(record.change.map(|change| change.released), Some(10), "{record:?}");
        assert_eq!(autoscaler.change_log().released().len(), 1, "only the last one is in doubt");
    }
}

#[test]
fn bounds_that_are_there_already_are_those_of_the_write_whose_answer_was_lost() {
    /// Carries out each write one read too late.
    struct Late(Arc<Cluster>, Mutex<Option<HpaPlan>>);
    #[async_trait]
    impl HpaApplier for Late {
        async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
            Ok(HpaState::new(self.0.hpas.bounds(target).unwrap()))
        }
        async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
            let late = self.1.lock().unwrap().replace(plan.clone());
            if let Some(late) = late {
                self.0.apply(&late, mode).await?;
                return self.0.apply(plan, mode).await;
            }
            let (target, source) = (plan.target().clone(), "no answer within 10 s".into());
            Err(ApplyError::Backend { target, transient: true, source })
        }
    }
    let cluster = Cluster::new(bounds(2, 8), bounds(2, 8), Answer::Comes);
    let recorder = Arc::new(MemoryRecorder::new());
    let autoscaler = Autoscaler::builder()
        .source(Pods(8))
        .engine(Says::pods([16, 16, 8]))
        .applier(Late(Arc::clone(&cluster), Mutex::default()))
        .recorder(Arc::clone(&recorder))
        .mode(ApplyMode::Apply)
        .build();
    tick(&autoscaler, 0);
    let record = tick(&autoscaler, 15).unwrap();
    let there = Outcome::Unchanged { why: Unchanged::AlreadyThere { bounds: bounds(8, 21) } };
    assert_eq!((record.outcome, cluster.bounds()), (there, bounds(8, 21)));
    for log in [autoscaler.change_log(), ChangeLog::from_records(&recorder.records())] {
        assert_eq!(log.last_changes(&target()).grown, Some(after(15)), "it counts for the pause");
    }
    let record = tick(&autoscaler, 30).unwrap();
    assert_eq!(record.resting, Some(bounds(2, 8)), "what we raised is not taken for the owner's");
}

// ---- changes of what a pod requests

#[test]
fn smaller_pods_wait_for_the_pause_as_fewer_do() {
    for first in [(8, -20), (16, 0), (7, 0)] {
        let cluster = Cluster::new(bounds(1, 8), bounds(8, 8), Answer::Comes);
        let engine = Says(vec![first, (8, -30)], AtomicUsize::new(0));
        let autoscaler = over(&cluster).source(Pods(8)).engine(engine).build();
        assert!(tick(&autoscaler, 0).unwrap().is_applied(), "{first:?}");
        let shrunk = |second| tick(&autoscaler, second).unwrap().change.and_then(|change| change.resources).is_some();
        assert!(!shrunk(10) && !shrunk(299), "{first:?} before");
        assert!(shrunk(300), "{first:?} before");
    }
}

#[test]
fn a_pod_is_not_left_without_any_request() {
    let cluster = Cluster::new(bounds(1, 8), bounds(8, 8), Answer::Comes);
    let engine = Says(vec![(8, -100)], AtomicUsize::new(0));
    let autoscaler = over(&cluster).source(Pods(8)).engine(engine).build();
    let change = tick(&autoscaler, 0).unwrap().change.unwrap();
    assert_eq!(change.resources, Some(ResourceChange { cpu_percent: -50, memory_percent: 0 }));
}

#[test]
fn smaller_pods_hold_back_no_growth() {
    let cluster = Cluster::new(bounds(1, 8), bounds(8, 8), Answer::Comes);
    let engine = Says(vec![(8, -30), (16, 0)], AtomicUsize::new(0));
    let autoscaler = over(&cluster).source(Pods(8)).engine(engine).build();
    assert!(tick(&autoscaler, 0).unwrap().is_applied());
    assert!(tick(&autoscaler, 15).unwrap().is_applied());
    assert_eq!(cluster.bounds(), bounds(8, 21));
}

// ---- clocks

#[test]
fn a_clock_that_is_a_day_ahead_for_one_tick_holds_nothing_back_longer_than_the_pause() {
    let cluster = Cluster::new(bounds(1, 8), bounds(2, 8), Answer::Comes);
    let autoscaler = over(&cluster).source(Pods(8)).engine(Says::pods([12, 14, 16, 4])).build();
    let day = 86_400;
    assert!(tick(&autoscaler, day).unwrap().is_applied());
    assert!(tick(&autoscaler, 15).unwrap().is_applied(), "growth waits for nothing");
    assert!(tick(&autoscaler, 30).unwrap().is_applied());
    assert!(!lowered(&tick(&autoscaler, 329).unwrap()));
    assert!(lowered(&tick(&autoscaler, 330).unwrap()), "300 s after the last change");
}

#[test]
fn a_change_of_a_clock_that_was_ahead_holds_a_shrink_back_for_one_pause() {
    let cluster = Cluster::new(bounds(1, 8), bounds(2, 8), Answer::Comes);
    let autoscaler = over(&cluster).source(Pods(8)).engine(Says::pods([16, 4])).build();
    assert!(tick(&autoscaler, 86_400).unwrap().is_applied());
    assert!(!lowered(&tick(&autoscaler, 15).unwrap()));
    assert!(!lowered(&tick(&autoscaler, 314).unwrap()));
    assert!(lowered(&tick(&autoscaler, 315).unwrap()), "300 s after it was found");
}

#[test]
fn a_clock_that_is_a_day_behind_for_one_tick_makes_nothing_forgotten() {
    let cluster = Cluster::new(bounds(1, 8), bounds(8, 8), Answer::Comes);
    let budget = RemovalBudget::new(4, Duration::from_secs(600)).unwrap();
    let builder = over(&cluster).source(Pods(8)).engine(Says::pods([8, 2]));
    let autoscaler = builder.guards(Guards::default().with(budget)).build();
    assert_eq!(tick(&autoscaler, 0).unwrap().change.unwrap().released, 4);
    // The pause is over after 300 s, and there is something in the budget again after 600 s.
    for second in [-86_400, 60, 299, 300, 599] {
        assert!(!lowered(&tick(&autoscaler, second).unwrap()), "at {second} s");
    }
    assert!(lowered(&tick(&autoscaler, 600).unwrap()));
}

#[test]
fn a_clock_that_is_a_day_ahead_for_one_tick_makes_nothing_forgotten() {
    let cluster = Cluster::new(bounds(1, 8), bounds(8, 8), Answer::Comes);
    let budget = RemovalBudget::new(6, Duration::from_secs(600)).unwrap();
    let builder = over(&cluster).source(Pods(8)).engine(Says::pods([2, 8, 2]));
    let autoscaler = builder.guards(Guards::default().with(budget)).build();
    let tick = |name: &str, min, second| {
        let target = Target::deployment("shop", name);
        cluster.hpas.put(&target, bounds(min, 8));
        let record = block_on(autoscaler.tick(&target, after(second))).unwrap();
        record.change.map_or(0, |change| change.released)
    };
    assert_eq!(tick("cart", 8, 0), 4);
    assert_eq!(tick("search", 6, 86_400), 2, "half of 8 is held");
    assert_eq!(tick("mail", 8, 60), 0, "of a budget of 6");
}

// ---- the budget

#[test]
fn the_budget_counts_what_the_bounds_let_go_and_not_what_was_asked_for() {
    let cluster = Cluster::new(bounds(1, 400), bounds(200, 400), Answer::Comes);
    let budget = RemovalBudget::new(10, Duration::from_secs(600)).unwrap();
    let autoscaler =
        over(&cluster).source(Pods(200)).engine(Says::pods([150])).guards(Guards::default().with(budget)).build();
    let record = tick(&autoscaler, 0).unwrap();
    assert_eq!(cluster.bounds().min(), 190, "{record:?}");
    assert_eq!(record.change.unwrap().released, 10);
}

#[test]
fn pods_that_were_let_go_once_are_not_counted_again_while_the_hpa_keeps_them() {
    let cluster = Cluster::new(bounds(1, 400), bounds(20, 400), Answer::Comes);
    let autoscaler = over(&cluster).source(Pods(20)).engine(Says::pods([12])).build();
    drive(&autoscaler, 0..3600, 60);
    let released: u32 = autoscaler.change_log().released().iter().map(|(_, pods)| pods).sum();
    assert_eq!((released, cluster.bounds().min()), (14, 6), "half of 12 is held");
}

// ---- memory

#[test]
fn many_workloads_that_come_and_go_are_not_remembered_for_ever() {
    let cluster = Cluster::new(bounds(2, 8), bounds(2, 8), Answer::Comes);
    let builder = over(&cluster).source(Pods(8)).engine(Says::pods([16])).change_log(ChangeLog::with_limit(100));
    let autoscaler = builder.build();
    let preview = |nth: i64| Target::deployment(format!("preview-{nth}"), "w").with_hpa("h");
    for nth in 0..1000 {
        cluster.hpas.put(&preview(nth), bounds(2, 8));
        // The clock of the first half is a day ahead.
        let at = after(nth + if nth < 500 { 86_400 } else { 0 });
        block_on(autoscaler.tick(&preview(nth), at)).unwrap();
        let log = autoscaler.change_log();
        assert!(log.len() <= 100, "{}", log.len());
        assert!(log.last_changes(&preview(nth)).grown.is_some(), "the newest is remembered");
        let kept = (nth - 80).max(0);
        assert!(log.last_changes(&preview(kept)).grown.is_some(), "those before it are: {kept} of {nth}");
    }
    autoscaler.forget(&preview(999));
    assert_eq!(autoscaler.change_log().last_changes(&preview(999)), LastChanges::default());
    assert_eq!(autoscaler.change_log().released(), []);
}

#[test]
fn a_fleet_that_shrinks_all_day_is_counted_for_an_hour() {
    let cluster = Cluster::new(bounds(1, 8), bounds(8, 8), Answer::Comes);
    let autoscaler = over(&cluster).source(Pods(8)).engine(Says::pods([4])).build();
    for second in 0..5000 {
        cluster.hpas.put(&target(), bounds(8, 8));
        let name = Target::deployment("shop", format!("w{second}")).with_hpa("hpa");
        cluster.hpas.put(&name, bounds(8, 8));
        block_on(autoscaler.tick(&name, after(60 * second))).unwrap();
    }
    let kept = autoscaler.change_log().released().len();
    assert!((60..=1000).contains(&kept), "{kept} times");
}

// ---- signals that are lost

/// Twenty pods at work under bounds that were raised to 10..30: the rules, and what is measured at each second.
fn twenty(
    every: usize,
    seconds: i64,
    at: impl Fn(i64, ScalingMetrics) -> Option<ScalingMetrics> + Send + Sync + 'static,
) -> (Arc<Cluster>, Vec<DecisionRecord>) {
    let cluster = Cluster::new(bounds(2, 6), bounds(10, 30), Answer::Comes);
    let measures = Measures::new(move |second| {
        let usual = ScalingMetrics::new(after(second), 20).with(CpuUtilization, 65.0).with(MemoryUtilization, 20.0);
        at(second, usual)
    });
    let autoscaler = over(&cluster).source(measures).engine(RuleBasedEngine::default()).build();
    let records = drive(&autoscaler, 0..seconds, every);
    (cluster, records)
}

/// Nothing was lowered from this second on.
fn held_since(records: &[DecisionRecord], second: i64) {
    for record in records.iter().filter(|record| record.at >= after(second)) {
        assert!(!lowered(record), "{record:?}");
        if let Some(decision) = &record.decision {
            assert!(decision.desired_replicas >= decision.current_replicas, "{decision:?}");
        }
    }
}

#[test]
fn an_outage_of_an_hour_does_not_make_a_lost_signal_forgotten() {
    let (_, records) = twenty(15, 3600 + 3660 + 600, |second, usual| match second {
        ..3600 => Some(usual),
        3600..7260 => None,
        _ => Some(usual.without(CpuUtilization, Absence::NotMeasured)),
    });
    held_since(&records, 3600);
}

#[test]
fn a_signal_that_is_lost_for_hours_is_missed_for_hours() {
    let (_, records) = twenty(60, 5 * 3600, |second, usual| {
        let usual = usual.with(ErrorRate, 0.0).with(ResponseTime, 50.0);
        Some(if second < 7200 { usual } else { usual.without(CpuUtilization, Absence::NotMeasured) })
    });
    held_since(&records, 7200);
}

#[test]
fn a_signal_that_was_lost_before_a_restart_is_missed_after_it() {
    let seen = |metrics: ScalingMetrics| {
        Measures::new(move |second| {
            let mut metrics = metrics.clone();
            metrics.timestamp = after(second);
            Some(metrics)
        })
    };
    let usual = ScalingMetrics::new(start(), 20).with(CpuUtilization, 65.0).with(MemoryUtilization, 20.0);
    let blind = usual.clone().without(CpuUtilization, Absence::NotMeasured);
    let cluster = Cluster::new(bounds(2, 6), bounds(10, 30), Answer::Comes);
    let recorder = Arc::new(MemoryRecorder::new());
    let build = |metrics: &ScalingMetrics| {
        let builder = over(&cluster).source(seen(metrics.clone())).engine(RuleBasedEngine::default());
        let log = ChangeLog::from_records(&recorder.records());
        builder.recorder(Arc::clone(&recorder)).change_log(log).build()
    };
    drive(&build(&usual), 0..300, 60);
    drive(&build(&blind), 300..360, 60);
    let records = drive(&build(&blind), 360..7200, 60);
    assert!(records[0].declared.unwrap().contains(CpuUtilization));
    held_since(&records, 360);
}

#[test]
fn no_engine_of_rules_asks_for_fewer_pods_a_moment_after_a_signal_is_lost() {
    let sample = |second: i64, lost: i64| {
        let metrics = ScalingMetrics::new(after(second), 20).with(CpuUtilization, 65.0).with(MemoryUtilization, 20.0);
        if second > 7200 - lost { metrics } else { metrics.with(RequestRate, 1800.0) }
    };
    for config in [RuleConfig::default(), RuleConfig::tracking()] {
        let engine = RuleBasedEngine::new(config).unwrap();
        for lost in [15, 30, 60, 75, 90, 120, 600, 7200] {
            let past = (0..7200).step_by(15).map(|second| sample(second, lost)).collect();
            let history = MetricsHistory::from_unordered(past).0;
            let mut seen = Observation::new(target(), sample(7200, lost)).with_history(history);
            seen.facts.pod_capacity = Some(100.0);
            let decision = engine.evaluate(&seen.declaring(SignalSet::of([CpuUtilization, RequestRate]))).unwrap();
            assert!(decision.desired_replicas >= 20, "lost for {lost} s: {decision:?}");
        }
    }
}

#[test]
fn pods_that_are_not_ready_are_no_reason_to_ask_for_fewer() {
    for ready_at_first in [20, 4] {
        let (cluster, records) = twenty(60, 5 * 3600, move |second, usual| {
            let mut metrics = usual;
            metrics.current_pod_count = Some(if second < 7200 { ready_at_first } else { 4 });
            metrics.desired_pod_count = Some(20);
            Some(metrics)
        });
        for record in &records {
            let decision = record.decision.as_ref().unwrap();
            assert!(decision.desired_replicas >= 20, "4 of 20 pods are ready: {decision:?}");
        }
        assert!(cluster.bounds().min() >= 10 && cluster.bounds().max() >= 20, "{}", cluster.bounds());
    }
}

#[test]
fn a_mean_over_no_pods_that_reads_0_is_no_measurement() {
    let (_, records) = twenty(60, 5 * 3600, |second, usual| {
        let mut metrics = usual;
        metrics.desired_pod_count = Some(20);
        if second >= 7200 {
            metrics.current_pod_count = Some(0);
            metrics = metrics.with(CpuUtilization, 0.0).with(MemoryUtilization, 0.0);
        }
        Some(metrics)
    });
    held_since(&records, 7200);
}

// ---- growth that must pass

#[test]
fn one_signal_that_is_partly_lost_holds_back_no_growth() {
    let losses: [Option<(SignalKind, Absence)>; 4] = [
        None,
        Some((ActiveConnections, Absence::Partial { covered_percent: 95 })),
        Some((ErrorRate, Absence::NotMeasured)),
        Some((QueueDepth, Absence::Stale { age_s: 90 })),
    ];
    for lost in losses {
        let cluster = Cluster::new(bounds(2, 4), bounds(2, 4), Answer::Comes);
        let measures = Measures::new(move |second| {
            let hot = second >= 7200;
            let or = |calm: f64, busy: f64| if hot { busy } else { calm };
            let metrics = ScalingMetrics::new(after(second), 4)
                .with(CpuUtilization, or(50.0, 99.0))
                .with(MemoryUtilization, 40.0)
                .with(RequestRate, or(200.0, 400.0))
                .with(ResponseTime, or(50.0, 900.0))
                .with(ErrorRate, or(0.0, 15.0))
                .with(QueueDepth, or(0.0, 500.0))
                .with(ActiveConnections, 50.0);
            Some(match lost {
                Some((kind, absence)) if hot => metrics.without(kind, absence),
                _ => metrics,
            })
        });
        let autoscaler = over(&cluster).source(measures).engine(RuleBasedEngine::default()).build();
        drive(&autoscaler, 0..7200, 60);
        let records = drive(&autoscaler, 7200..7500, 15);
        assert!(cluster.bounds().max() > 4, "five minutes at 99 % CPU, {lost:?} lost: {:?}", records.last());
    }
}

#[test]
fn what_nobody_can_measure_while_nobody_asks_holds_no_shrink_back() {
    let (cluster, records) = twenty(60, 8 * 3600, |second, usual| {
        let night = second >= 7200;
        let metrics = usual.with(QueueDepth, 0.0).with(RequestRate, if night { 0.0 } else { 1200.0 });
        Some(if night {
            // Nought divided by nought, as Prometheus answers it.
            metrics.with(CpuUtilization, 1.0).with(ResponseTime, f64::NAN).with(ErrorRate, f64::NAN)
        } else {
            metrics.with(ResponseTime, 50.0).with(ErrorRate, 0.0)
        })
    });
    // Twenty pods are still there: the HPA is not in this case, and no max is set below them.
    assert_eq!(cluster.bounds().min(), 2, "{:?}", records.last());
}

// ---- floors

/// From one second to another.
#[derive(Clone, Copy)]
struct Window(i64, i64, u32);

impl FloorSource for Window {
    fn name(&self) -> &'static str {
        "window"
    }
    fn floor(&self, _: &Target, now: DateTime<Utc>) -> Option<Floor> {
        let Self(begin, end, replicas) = *self;
        let reason = Reason::Schedule { window: "window".into(), replicas };
        (after(begin)..after(end)).contains(&now).then(|| Floor::new(replicas, reason).until(after(end)))
    }
}

/// The window over the rules, with metrics of which the age is given.
fn windowed(
    window: Window,
    age: i64,
    metrics: impl Fn(i64) -> ScalingMetrics + Send + Sync + 'static,
) -> (Arc<Cluster>, Autoscaler) {
    let cluster = Cluster::new(bounds(2, 20), bounds(2, 20), Answer::Comes);
    let measures = Measures::new(move |second| {
        let mut metrics = metrics(second);
        metrics.timestamp = after(second - age);
        Some(metrics)
    });
    let engine = RuleBasedEngine::default().floored(window);
    let autoscaler = over(&cluster).source(measures).engine(engine).build();
    (cluster, autoscaler)
}

fn busy(pods: u32, cpu: f64) -> ScalingMetrics {
    ScalingMetrics::new(start(), pods).with(CpuUtilization, cpu).with(MemoryUtilization, 40.0)
}

#[test]
fn a_window_is_put_into_the_min_even_where_more_pods_run() {
    let (cluster, autoscaler) = windowed(Window(0, 7200, 8), 0, |_| busy(10, 60.0));
    let record = tick(&autoscaler, 0).unwrap();
    assert_eq!(cluster.bounds(), bounds(8, 20), "{record:?}");
    drive(&autoscaler, 60..7200, 60);
    assert_eq!(cluster.bounds().min(), 8);
}

#[test]
fn a_shrink_stops_at_the_window() {
    let (cluster, autoscaler) =
        windowed(Window(0, 7200, 8), 0, |second| busy(16, if second < 300 { 60.0 } else { 15.0 }));
    for record in drive(&autoscaler, 0..7200, 60) {
        assert_eq!(record.change.map_or(8, |change| change.new.min()), 8, "{record:?}");
    }
    assert_eq!(cluster.bounds().min(), 8);
}

#[test]
fn what_a_window_has_raised_is_given_back_after_it() {
    let window = Window(600, 4200, 8);
    let (cluster, autoscaler) =
        windowed(window, 0, |second| busy(if (600..5000).contains(&second) { 8 } else { 5 }, 45.0));
    drive(&autoscaler, 0..4200, 60);
    assert_eq!(cluster.bounds().min(), 8);
    drive(&autoscaler, 4200..6000, 60);
    assert_eq!(cluster.bounds(), bounds(2, 20), "half an hour after its end");
}

#[test]
fn what_is_asked_for_while_a_window_is_open_is_held_after_it() {
    // Half of 14 is less than the window holds, so nothing is written for it.
    let cluster = Cluster::new(bounds(2, 30), bounds(2, 30), Answer::Comes);
    for restarts in [false, true] {
        cluster.hpas.put(&target(), bounds(2, 30));
        let recorder = Arc::new(MemoryRecorder::new());
        let build = |pods: u32, says: &[u32], log: ChangeLog| {
            let engine = Says::pods(says.iter().copied()).floored(Window(0, 600, 8));
            let builder = over(&cluster).source(Pods(pods)).recorder(Arc::clone(&recorder));
            builder.engine(engine).change_log(log).build()
        };
        let resume = |before: &Autoscaler| {
            if restarts { ChangeLog::from_records(&recorder.records()) } else { before.change_log() }
        };
        let open = build(8, &[8, 8, 14], ChangeLog::new());
        drive(&open, 0..300, 60);
        assert_eq!(cluster.bounds(), bounds(8, 30));
        drive(&build(14, &[13], resume(&open)), 600..2000, 60);
        assert_eq!(cluster.bounds().min(), 7, "half of 13, which is what runs");
    }
}

#[test]
fn the_floor_of_an_event_is_held_by_an_engine_without_an_answer_over_a_restart_and_a_higher_window() {
    /// Names an event of six pods and an hour, and then loses the thread.
    struct Names(AtomicUsize);
    #[async_trait]
    impl DecisionEngine for Names {
        fn name(&self) -> &'static str {
            "names"
        }
        async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
            if self.0.fetch_add(1, Ordering::Relaxed) > 0 {
                let detail = "lost the thread".into();
                return Err(EngineError::InvalidAnswer { engine: "names".into(), detail });
            }
            let reason = Reason::Event { name: "sale".into(), factor: 2.0 };
            let decision = ScalingDecision::replicas("names", observation.current.timestamp, 4, 4);
            Ok(decision.with_confidence(1.0).with_floor(Floor::new(6, reason).until(after(3600))))
        }
    }
    let cluster = Cluster::new(bounds(2, 20), bounds(2, 20), Answer::Comes);
    let recorder = Arc::new(MemoryRecorder::new());
    let build = |asked, log| {
        let engine = Names(AtomicUsize::new(asked)).floored(Window(60, 600, 9));
        let builder = over(&cluster).source(Pods(4)).recorder(Arc::clone(&recorder)).engine(engine);
        builder.change_log(log).build()
    };
    let first = build(0, ChangeLog::new());
    tick(&first, 0);
    assert_eq!(cluster.bounds().min(), 6);
    tick(&first, 60);
    assert_eq!(cluster.bounds().min(), 9);
    let second = build(1, ChangeLog::from_records(&recorder.records()));
    drive(&second, 120..3600, 60);
    assert_eq!(cluster.bounds().min(), 6, "the window has closed, the event goes on");
    drive(&second, 3600..6000, 60);
    assert_eq!(cluster.bounds().min(), 2);
}

#[test]
fn a_window_opens_on_time_whatever_the_age_of_the_metrics() {
    for age in [0, 290, 360, 7200] {
        let (cluster, autoscaler) = windowed(Window(600, 4200, 12), age, |_| busy(4, 50.0));
        drive(&autoscaler, 0..600, 15);
        assert_eq!(cluster.bounds().min(), 2, "metrics {age} s old");
        tick(&autoscaler, 600);
        assert_eq!(cluster.bounds().min(), 12, "metrics {age} s old");
    }
}

#[test]
fn a_window_opens_and_closes_while_the_source_is_down_and_is_given_back_when_it_returns() {
    let cluster = Cluster::new(bounds(2, 20), bounds(2, 20), Answer::Comes);
    let measures = Measures::new(|second| {
        (!(300..6000).contains(&second)).then(|| {
            let mut metrics = busy(6, 50.0);
            metrics.timestamp = after(second);
            metrics
        })
    });
    let engine = RuleBasedEngine::default().floored(Window(600, 4200, 12));
    let autoscaler = over(&cluster).source(measures).engine(engine).build();
    drive(&autoscaler, 0..660, 60);
    assert_eq!(cluster.bounds().min(), 12, "it opens");
    let records = drive(&autoscaler, 660..6000, 60);
    assert_eq!(cluster.bounds().min(), 12, "nothing is lowered while nothing is seen");
    assert!(matches!(records.last().unwrap().outcome, Outcome::Refused { .. } | Outcome::Failed { .. }));
    drive(&autoscaler, 6000..9000, 60);
    assert_eq!(cluster.bounds(), bounds(2, 20));
}
