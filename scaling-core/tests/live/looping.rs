//! One fault each, and the tick that it spoils.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use scaling_core::live::{Cadence, Loop, LoopReport, SimulatedClock, Stop};
use scaling_core::{
    ApplyMode, Autoscaler, ChangeLog, DecisionRecord, MemoryApplier, MemoryRecorder, Outcome, RecordError, Recorder,
    Step,
};

use super::world::{Answer, Calendar, Hanging, Scripted, bounds, hpas, minute, start, target};

/// A loop over the first few workloads, and what was recorded of it.
struct Run {
    report: LoopReport,
    records: Vec<DecisionRecord>,
    ticks: Vec<DateTime<Utc>>,
}

impl Run {
    fn of(&self, nth: usize) -> Vec<&DecisionRecord> {
        self.records.iter().filter(|record| record.target == target(nth)).collect()
    }
}

struct Setup {
    clock: Arc<SimulatedClock>,
    script: Vec<Answer>,
    floor_from: DateTime<Utc>,
    ticks: usize,
    targets: usize,
    /// The clock is moved so far after the tick of this number.
    set: Option<(usize, TimeDelta)>,
}

impl Setup {
    fn new(ticks: usize, script: impl IntoIterator<Item = Answer>) -> Self {
        let clock = Arc::new(SimulatedClock::at(start()));
        Self { clock, script: script.into_iter().collect(), floor_from: minute(1), ticks, targets: 2, set: None }
    }

    async fn run(self, applier: impl scaling_core::HpaApplier + 'static) -> Run {
        let (clock, recorder) = (self.clock, Arc::new(MemoryRecorder::new()));
        let autoscaler = Autoscaler::builder()
            .source(Scripted::new(&clock, self.script))
            .engine(Calendar { from: self.floor_from, replicas: 6 })
            .applier(applier)
            .recorder(Arc::clone(&recorder))
            .mode(ApplyMode::Apply)
            .build();
        let (stop, seen) = (Stop::new(), Arc::new(Mutex::new(Vec::new())));
        let (enough, kept, hand) = (stop.clone(), Arc::clone(&seen), Arc::clone(&clock));
        let report = Loop::new(autoscaler, (0..self.targets).map(target), Cadence::default())
            .clock(clock)
            .longest_backoff(Duration::from_secs(240))
            .after_tick(move |tick, _| {
                let mut kept = kept.lock().unwrap();
                kept.push(tick.at);
                if let Some((_, by)) = self.set.filter(|(nth, _)| *nth == kept.len()) {
                    hand.advance(by);
                }
                if kept.len() == self.ticks {
                    enough.request();
                }
            })
            .run(&stop)
            .await;
        let ticks = seen.lock().unwrap().clone();
        Run { report, records: recorder.records(), ticks }
    }
}

fn step(record: &DecisionRecord) -> Option<(Step, bool)> {
    match record.withheld.as_ref().unwrap_or(&record.outcome) {
        Outcome::Failed { step, may_have_happened, .. } => Some((*step, *may_have_happened)),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn missed_ticks_are_skipped_and_counted_and_the_next_are_aligned_again() {
    let run = Setup::new(4, [Answer::Metrics, Answer::Late(200)]).run(hpas(2)).await;
    assert_eq!(run.ticks, [minute(0), minute(1), minute(4), minute(5)]);
    assert_eq!((run.report.ticks, run.report.missed, run.report.failed, run.report.records), (4, 2, 0, 8));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_is_followed_both_ways() {
    for (by, ticks, missed) in [(-120, [0, 1, 0, 1, 2], 0), (120, [0, 1, 3, 4, 5], 1), (-20, [0, 1, 2, 3, 4], 0)] {
        let mut setup = Setup::new(5, []);
        setup.set = Some((2, TimeDelta::seconds(by)));
        let run = setup.run(hpas(2)).await;
        assert_eq!((run.ticks, run.report.missed), (ticks.map(minute).to_vec(), missed), "set by {by} s");
    }
}

#[tokio::test(start_paused = true)]
async fn law_2_a_source_that_hangs_is_cut_off_in_time_to_hold_the_floor_that_is_due() {
    let hpas = Arc::new(hpas(2));
    let run = Setup::new(2, [Answer::Metrics, Answer::Hangs]).run(Arc::clone(&hpas)).await;
    assert_eq!((run.report.overrun, run.report.failed, run.report.ticks), (1, 1, 2));
    for nth in [0, 1] {
        assert_eq!(hpas.bounds(&target(nth)), Some(bounds(6, 10)));
        let record = run.of(nth)[1];
        assert_eq!((&record.outcome, step(record)), (&Outcome::Applied, Some((Step::Observe, false))));
        assert!(format!("{:?}", record.withheld).contains("no answer within 27.0 s"), "{:?}", record.withheld);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_down_is_asked_less_often_and_floors_are_held_meanwhile() {
    let hpas = Arc::new(hpas(1));
    let mut setup = Setup::new(10, [Answer::Metrics, Answer::Down, Answer::Down, Answer::Down]);
    (setup.floor_from, setup.targets) = (minute(5), 1);
    let run = setup.run(Arc::clone(&hpas)).await;
    // Down at 1, 2 and 4; asked again at 8.
    let asked: Vec<_> = run.of(0).iter().map(|record| !format!("{record:?}").contains("not asked")).collect();
    assert_eq!(asked, [true, true, true, false, true, false, false, false, true, true]);
    assert_eq!((run.report.unasked, run.report.failed, run.report.missed), (4, 7, 0));
    assert_eq!(run.of(0)[5].outcome, Outcome::Applied, "the floor is due in the middle of it");
    assert_eq!(hpas.bounds(&target(0)), Some(bounds(6, 10)));
}

#[tokio::test(start_paused = true)]
async fn law_12_a_write_that_hangs_is_cut_off_counts_as_done_and_is_recorded() {
    let hpas = Arc::new(hpas(3));
    let applier = Hanging { hpas: Arc::clone(&hpas), target: target(0), reads: false };
    let mut setup = Setup::new(3, []);
    setup.targets = 3;
    let run = setup.run(applier).await;
    assert_eq!((run.report.overrun, run.report.failed, run.report.records), (1, 1, 9));
    for nth in [1, 2] {
        assert_eq!(run.of(nth)[1].outcome, Outcome::Applied, "the others are served in the same tick");
    }
    let records = run.of(0);
    assert_eq!(step(records[1]), Some((Step::Apply, true)));
    assert_eq!(step(records[2]), None, "the next read has settled it");
    assert_eq!(records[2].resting, Some(bounds(2, 10)), "what is there is ours, not the owner's");
    // A restart that has only the records knows as much.
    let log = ChangeLog::from_records(&records[..2].iter().map(|record| (*record).clone()).collect::<Vec<_>>());
    assert_eq!(log.last_changes(&target(0)).grown, Some(minute(1)));
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_off_goes_first_next_time_and_has_a_record_if_it_was_not_even_reached() {
    let applier = Hanging { hpas: Arc::new(hpas(3)), target: target(0), reads: true };
    let recorder = Arc::new(MemoryRecorder::new());
    let clock = Arc::new(SimulatedClock::at(start()));
    let autoscaler = Autoscaler::builder()
        .source(Scripted::new(&clock, []))
        .engine(Calendar { from: minute(0), replicas: 6 })
        .applier(applier)
        .recorder(Arc::clone(&recorder))
        .build();
    let (stop, cut) = (Stop::new(), Arc::new(Mutex::new(Vec::new())));
    let (enough, kept) = (stop.clone(), Arc::clone(&cut));
    // One after the other: the first that hangs keeps the others from their turn.
    let hook = move |tick: &scaling_core::live::Ticked, _: &LoopReport| {
        let mut kept = kept.lock().unwrap();
        kept.push(tick.cut_off.clone());
        if kept.len() == 2 {
            enough.request();
        }
    };
    let order = [target(1), target(0), target(2)];
    let report = Loop::new(autoscaler, order, Cadence::default()).side_by_side(1).clock(clock).after_tick(hook);
    let report = report.run(&stop).await;
    assert_eq!((report.overrun, report.records), (2, 6));
    let cut = cut.lock().unwrap();
    assert_eq!(*cut, [vec![target(0), target(2)], vec![target(0), target(2), target(1)]]);
    assert_eq!(recorder.records().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_tick_under_way_when_the_end_is_asked_for_is_finished_within_the_grace_and_flushed() {
    #[derive(Default)]
    struct Flushed(Mutex<(usize, usize)>);
    impl Recorder for Flushed {
        fn record(&self, _: &DecisionRecord) -> Result<(), RecordError> {
            self.0.lock().unwrap().0 += 1;
            Ok(())
        }
        fn flush(&self) -> Result<(), RecordError> {
            let mut counts = self.0.lock().unwrap();
            counts.1 = counts.0;
            Ok(())
        }
    }
    let applier = Hanging { hpas: Arc::new(hpas(2)), target: target(0), reads: true };
    let recorder = Arc::new(Flushed::default());
    let clock = Arc::new(SimulatedClock::at(start()));
    let autoscaler = Autoscaler::builder()
        .source(Scripted::new(&clock, [Answer::Hangs]))
        .engine(Calendar { from: minute(0), replicas: 6 })
        .applier(applier)
        .recorder(Arc::clone(&recorder))
        .build();
    let stop = Stop::new();
    let live = Loop::new(autoscaler, [target(0), target(1)], Cadence::default()).clock(clock);
    let began = tokio::time::Instant::now();
    let ask = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.request();
    };
    let (report, ()) = tokio::join!(live.grace(Duration::from_secs(10)).run(&stop), ask);
    assert_eq!(began.elapsed().as_secs(), 15, "not the 54 s of the deadline, though source and applier hang");
    assert_eq!((report.ticks, report.overrun, report.records), (1, 1, 2));
    assert_eq!(*recorder.0.lock().unwrap(), (2, 2), "recorded and flushed");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_asked_for_before_is_one() {
    let stop = Stop::new();
    stop.request();
    let clock = Arc::new(SimulatedClock::at(start()));
    let autoscaler = Autoscaler::builder()
        .source(Scripted::new(&clock, []))
        .engine(Calendar { from: minute(0), replicas: 6 })
        .applier(MemoryApplier::new())
        .build();
    let report = Loop::new(autoscaler, [target(0)], Cadence::default()).clock(clock).run(&stop).await;
    assert_eq!(report, LoopReport::default());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_not_kept_is_counted() {
    struct Full;
    impl Recorder for Full {
        fn record(&self, record: &DecisionRecord) -> Result<(), RecordError> {
            if record.target == target(0) { Err(RecordError::backend("the disk is full")) } else { Ok(()) }
        }
    }
    let clock = Arc::new(SimulatedClock::at(start()));
    let autoscaler = Autoscaler::builder()
        .source(Scripted::new(&clock, []))
        .engine(Calendar { from: minute(9), replicas: 6 })
        .applier(hpas(2))
        .recorder(Full)
        .build();
    let stop = Stop::new();
    let enough = stop.clone();
    let live = Loop::new(autoscaler, [target(0), target(1), target(0)], Cadence::default()).clock(clock);
    let report = live.after_tick(move |_, _| enough.request()).run(&stop).await;
    assert_eq!((report.records, report.unrecorded), (2, 1), "and a workload that is named twice is ticked once");
    assert!(report.to_string().contains("2 records, 1 of them not kept"), "{report}");
}

/// The instants of ten ticks, and how late each began.
async fn delays(jitter_seed: u64, most: Duration) -> (LoopReport, Vec<(DateTime<Utc>, TimeDelta)>) {
    let clock = Arc::new(SimulatedClock::at(start()));
    let autoscaler = Autoscaler::builder()
        .source(Scripted::new(&clock, []))
        .engine(Calendar { from: minute(100), replicas: 6 })
        .applier(hpas(1))
        .build();
    let (stop, seen) = (Stop::new(), Arc::new(Mutex::new(Vec::new())));
    let (enough, kept, hand) = (stop.clone(), Arc::clone(&seen), Arc::clone(&clock));
    let looped = Loop::new(autoscaler, [target(0)], Cadence::default()).clock(clock).jitter(most, jitter_seed);
    let looped = looped.after_tick(move |tick, _| {
        use scaling_core::live::Clock;
        let mut kept = kept.lock().unwrap();
        kept.push((tick.at, hand.now() - tick.at));
        if kept.len() == 10 {
            enough.request();
        }
    });
    let report = looped.run(&stop).await;
    let seen = seen.lock().unwrap().clone();
    (report, seen)
}

#[tokio::test(start_paused = true)]
async fn ticks_begin_a_random_while_late_that_the_seed_decides_and_none_is_missed_for_it() {
    let (report, one) = delays(1, Duration::from_secs(3600)).await;
    assert_eq!((report.ticks, report.missed), (10, 0));
    let instants: Vec<_> = one.iter().map(|(at, _)| *at).collect();
    assert_eq!(instants, (0..10).map(minute).collect::<Vec<_>>(), "they tick for the same instants");
    let late: Vec<_> = one.iter().map(|(_, late)| *late).collect();
    assert!(late.iter().all(|late| *late >= TimeDelta::zero() && *late <= TimeDelta::seconds(6)), "{late:?}");
    assert!(late.iter().max().unwrap() > &TimeDelta::seconds(3), "{late:?}");
    assert_eq!(delays(1, Duration::from_secs(3600)).await.1, one, "law 5");
    let (_, other) = delays(2, Duration::from_secs(3600)).await;
    assert!(one.iter().zip(&other).all(|(one, other)| one.0 == other.0 && one.1 != other.1), "{other:?}");
    let (_, none) = delays(1, Duration::ZERO).await;
    assert!(none.iter().all(|(_, late)| late.is_zero()));
}
