//! Parts that panic: one workload's tick is lost, and says so; everything else goes on.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use scaling_core::live::{Cadence, Loop, SimulatedClock, Stop};
use scaling_core::{
    Applied, ApplyError, ApplyMode, Autoscaler, ChangeLog, DecisionEngine, DecisionRecord, EngineError, Floor, Guards,
    HpaApplier, HpaPlan, HpaState, MemoryApplier, MemoryRecorder, MetricsSource, Observation, Outcome, RecordError,
    Recorder, ScalingDecision, SourceError, Step, Target,
};

use super::world::{Calendar, Scripted, bounds, hpas, minute, start, target};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Source,
    Read,
    Engine,
    Guard,
    Apply,
    Record,
    Intend,
    Flush,
}

/// Wraps each part of a sound autoscaler, and panics in one of them: about the first workload, at the second minute.
struct Bad<T>(Part, T);

impl<T> Bad<T> {
    fn panics(&self, part: Part, target: &Target) {
        assert!(self.0 != part || *target != super::world::target(0), "the {part:?} is broken");
    }
}

#[async_trait]
impl<S: MetricsSource> MetricsSource for Bad<S> {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        if now == minute(1) {
            self.panics(Part::Source, target);
        }
        self.1.observe(target, now).await
    }
}

#[async_trait]
impl DecisionEngine for Bad<Calendar> {
    fn name(&self) -> &'static str {
        "bad"
    }

    fn floor(&self, target: &Target, now: DateTime<Utc>) -> Option<Floor> {
        self.1.floor(target, now)
    }

    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        if observation.now == minute(1) {
            self.panics(Part::Engine, &observation.target);
        }
        self.1.decide(observation).await
    }
}

struct At<T>(Arc<SimulatedClock>, Bad<T>);

impl<T> At<T> {
    fn panics(&self, part: Part, target: &Target) {
        use scaling_core::live::Clock;
        if self.0.now() == minute(1) {
            self.1.panics(part, target);
        }
    }
}

#[async_trait]
impl HpaApplier for At<Arc<MemoryApplier>> {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        self.panics(Part::Read, target);
        self.1.1.current(target).await
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        self.panics(Part::Apply, plan.target());
        self.1.1.apply(plan, mode).await
    }
}

impl scaling_core::Guard for At<()> {
    fn name(&self) -> &'static str {
        "bad"
    }

    fn check(&self, _: &scaling_core::Change<'_>, context: &scaling_core::GuardContext<'_>) -> scaling_core::Verdict {
        self.panics(Part::Guard, context.target);
        scaling_core::Verdict::Pass
    }
}

impl Recorder for At<Arc<MemoryRecorder>> {
    fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        self.panics(Part::Record, &record.target);
        self.1.1.record(record)
    }

    fn intend(&self, record: &DecisionRecord) -> Result<(), RecordError> {
        self.panics(Part::Intend, &record.target);
        Ok(())
    }

    fn flush(&self) -> Result<(), RecordError> {
        self.panics(Part::Flush, &target(0));
        Ok(())
    }
}

/// Three ticks over three workloads; a floor is due from the second on.
async fn run(part: Part) -> (Vec<DecisionRecord>, Arc<MemoryApplier>, scaling_core::live::LoopReport) {
    let (clock, hpas, recorder) =
        (Arc::new(SimulatedClock::at(start())), Arc::new(hpas(3)), Arc::new(MemoryRecorder::new()));
    let autoscaler = Autoscaler::builder()
        .source(Bad(part, Scripted::new(&clock, [])))
        .engine(Bad(part, Calendar { from: minute(1), replicas: 6 }))
        .guards(Guards::default().with(At(Arc::clone(&clock), Bad(part, ()))))
        .applier(At(Arc::clone(&clock), Bad(part, Arc::clone(&hpas))))
        .recorder(At(Arc::clone(&clock), Bad(part, Arc::clone(&recorder))))
        .mode(ApplyMode::Apply)
        .build();
    let stop = Stop::new();
    let enough = stop.clone();
    let hook = move |_: &scaling_core::live::Ticked, report: &scaling_core::live::LoopReport| {
        if report.ticks == 3 {
            enough.request();
        }
    };
    let targets = [target(0), target(1), target(2)];
    let report = Loop::new(autoscaler, targets, Cadence::default()).clock(clock).after_tick(hook).run(&stop).await;
    (recorder.records(), hpas, report)
}

fn failed(record: &DecisionRecord) -> Option<(Step, &str, bool)> {
    match record.withheld.as_ref().unwrap_or(&record.outcome) {
        Outcome::Failed { step, error, may_have_happened, .. } => Some((*step, error, *may_have_happened)),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_panics_costs_the_tick_of_one_workload_and_its_record_says_at_what_step() {
    for (part, step, may_have_happened, floor_is_held) in [
        (Part::Source, Step::Observe, false, true),
        (Part::Read, Step::Read, false, false),
        (Part::Engine, Step::Decide, false, true),
        (Part::Guard, Step::Decide, false, false),
        (Part::Apply, Step::Apply, true, false),
    ] {
        let (records, hpas, report) = run(part).await;
        assert_eq!((report.ticks, report.records, report.failed, report.unrecorded), (3, 9, 1, 0), "{part:?}");
        for record in &records {
            let told = failed(record);
            if record.target == target(0) && record.at == minute(1) {
                let (at, why, may_have) = told.unwrap();
                assert_eq!((at, may_have), (step, may_have_happened), "{part:?}");
                assert!(why.contains(&format!("the {part:?} is broken")), "{why}");
                assert_eq!(record.outcome == Outcome::Applied, floor_is_held, "{part:?}");
            } else {
                assert_eq!(told, None, "{part:?}");
            }
        }
        for nth in 0..3 {
            assert_eq!(
                hpas.bounds(&target(nth)),
                Some(bounds(6, 10)),
                "{part:?}: held at the third tick at the latest"
            );
        }
        // What may have happened counts in what a restart knows.
        let log = ChangeLog::from_records(records.iter().filter(|record| record.at <= minute(1)));
        let grown = log.last_changes(&target(0)).grown;
        assert_eq!(grown.is_some(), may_have_happened || floor_is_held, "{part:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorder_that_panics_loses_a_record_and_nothing_else() {
    for part in [Part::Record, Part::Intend, Part::Flush] {
        let (records, hpas, report) = run(part).await;
        let lost = usize::from(part == Part::Record);
        assert_eq!((report.ticks, report.unrecorded, records.len()), (3, lost as u64, 9 - lost), "{part:?}");
        assert_eq!(hpas.bounds(&target(0)), Some(bounds(6, 10)), "{part:?}: the write was sent all the same");
    }
}
