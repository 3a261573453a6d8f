//! Signals of many workloads that vanish together, under a loop: nothing is lowered anywhere until they return, and growth goes on.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use scaling_core::guard::FleetFreeze;
use scaling_core::live::{Cadence, Loop, SimulatedClock, Stop};
use scaling_core::source::Watched;
use scaling_core::{
    Absence, ApplyMode, Autoscaler, Cooldown, DecisionEngine, EngineError, Guards, MemoryApplier, MetricsSource,
    Observation, ScalingDecision, ScalingMetrics, SignalKind, SignalSet, SourceError, Target,
};

use super::world::{bounds, minute, start, target};

/// Ten workloads of four pods: the last two never lose their CPU signal, the others have none from minute 1 to 3.
struct Losing;

fn number(target: &Target) -> usize {
    target.name.rsplit('-').next().unwrap().parse().unwrap()
}

#[async_trait]
impl MetricsSource for Losing {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        let metrics = ScalingMetrics::new(now, 4).with(SignalKind::CpuUtilization, 50.0);
        let lost = number(target) < 8 && (minute(1)..minute(4)).contains(&now);
        let metrics = if lost { metrics.without(SignalKind::CpuUtilization, Absence::NotMeasured) } else { metrics };
        let declared = SignalSet::of([SignalKind::CpuUtilization]);
        Ok(Observation::new(target.clone(), metrics).declaring(declared).at(now))
    }
}

/// Asks for fewer pods for the workloads but the last, of which it asks for more.
struct Eager;

#[async_trait]
impl DecisionEngine for Eager {
    fn name(&self) -> &'static str {
        "eager"
    }

    async fn decide(&self, seen: &Observation) -> Result<ScalingDecision, EngineError> {
        let wanted = if number(&seen.target) == 9 { 8 } else { 3 };
        // Not before the freeze: then nothing is asked for.
        let wanted = if seen.now < minute(1) { 4 } else { wanted };
        let decision = ScalingDecision::replicas("eager", seen.current.timestamp, 4, wanted);
        Ok(decision.with_confidence(1.0).with_foresight())
    }
}

#[tokio::test(start_paused = true)]
async fn law_2_when_many_signals_vanish_together_nothing_is_lowered_until_they_return_and_growth_passes() {
    let hpas = (0..10).fold(MemoryApplier::new(), |hpas, nth| hpas.with(target(nth), bounds(2, 10)));
    let (clock, hpas, freeze) = (Arc::new(SimulatedClock::at(start())), Arc::new(hpas), FleetFreeze::default());
    let none = std::time::Duration::ZERO;
    let cooldown = Cooldown { down: none, down_foreseen: none, down_idle: none, ..Cooldown::default() };
    let autoscaler = Autoscaler::builder()
        .source(Watched::new(Losing, freeze.clone()))
        .engine(Eager)
        .guards(Guards::default().with(cooldown).with(freeze.clone()))
        .applier(Arc::clone(&hpas))
        .mode(ApplyMode::Apply)
        .build();
    let (stop, mut told) = (Stop::new(), Vec::new());
    let (enough, frozen) = (stop.clone(), freeze.clone());
    let (tell, mut say) = tokio::sync::mpsc::unbounded_channel();
    Loop::new(autoscaler, (0..10).map(target), Cadence::default())
        .clock(clock)
        .after_tick(move |tick, report| {
            let of_eight: Vec<_> = tick.records.iter().filter(|record| record.target == target(8)).collect();
            let why = format!("{:?}", of_eight[0].outcome);
            tell.send((frozen.frozen().is_some(), why.contains("fleet_freeze"))).unwrap();
            if report.ticks == 5 {
                enough.request();
            }
        })
        .run(&stop)
        .await;
    while let Ok(one) = say.try_recv() {
        told.push(one);
    }
    let frozen = [(false, false), (true, true), (true, true), (true, true), (false, false)];
    assert_eq!(told, frozen, "the workload that kept its signals is held by the fleet, and says so");
    assert!(hpas.bounds(&target(9)).unwrap().max() >= 8, "what grows, grows");
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Hangs,
    Panics,
    AnswersForFew,
}

/// Whole at minute 0, and nothing but its fault after.
struct Failing(Fault);

#[async_trait]
impl MetricsSource for Failing {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        self.observe_all(std::slice::from_ref(target), now).await.remove(0)
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let answers = match self.0 {
            _ if now < minute(1) => targets.len(),
            Fault::Hangs => std::future::pending().await,
            Fault::Panics => panic!("a fault of the source"),
            Fault::AnswersForFew => 2,
        };
        let metrics = ScalingMetrics::new(now, 4).with(SignalKind::CpuUtilization, 50.0);
        let seen = |target: &Target| Ok(Observation::new(target.clone(), metrics.clone()).at(now));
        targets.iter().take(answers).map(seen).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn law_2_a_source_that_hangs_panics_or_answers_for_few_loses_the_signals_of_those_without_an_answer() {
    for (fault, missing) in [(Fault::Hangs, 10), (Fault::Panics, 10), (Fault::AnswersForFew, 8)] {
        let hpas = (0..10).fold(MemoryApplier::new(), |hpas, nth| hpas.with(target(nth), bounds(2, 10)));
        let freeze = FleetFreeze::default();
        let autoscaler = Autoscaler::builder()
            .source(Watched::new(Failing(fault), freeze.clone()))
            .engine(Eager)
            .applier(hpas)
            .build();
        let (stop, told) = (Stop::new(), Arc::new(std::sync::Mutex::new(Vec::new())));
        let (enough, frozen, tell) = (stop.clone(), freeze.clone(), Arc::clone(&told));
        Loop::new(autoscaler, (0..10).map(target), Cadence::default())
            .clock(SimulatedClock::at(start()))
            .after_tick(move |_, report| {
                tell.lock().unwrap().push(frozen.frozen());
                if report.ticks == 4 {
                    enough.request();
                }
            })
            .run(&stop)
            .await;
        let frozen = Some((minute(1), missing));
        assert_eq!(*told.lock().unwrap(), [None, frozen, frozen, frozen], "{fault:?}");
    }
}
