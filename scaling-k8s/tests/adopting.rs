//! Staged adoption under the fleet controller, against a scripted API server: by the host, by evidence, over a restart, and back.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "adopting/api.rs"]
mod api;
#[path = "adopting/world.rs"]
mod world;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::Api;
use scaling_core::live::{LoopReport, Stop};
use scaling_core::{Adoption, ApplyMode, Currency, Price};
use scaling_k8s::controller::fleet::{
    AdoptionReport, AdoptionStep, AdoptionTrials, FleetController, FleetHealth, Untried,
};
use scaling_k8s::ownership::OwnershipPolicy;
use tokio::task::JoinHandle;
use world::{Fast, Knows, Seen, trials};

type Reports = Arc<Mutex<Vec<AdoptionReport>>>;

struct Running {
    run: JoinHandle<LoopReport>,
    stop: Stop,
    health: Box<dyn Fn() -> FleetHealth + Send + Sync>,
    reports: Reports,
}

impl Running {
    fn start(api: &Api, knows: &Knows, mode: ApplyMode, set: impl FnOnce(AdoptionTrials) -> AdoptionTrials) -> Self {
        let (reports, client) = (Reports::default(), api.serve());
        let kept = Arc::clone(&reports);
        let trials = set(trials(knows)).after_report(move |report| {
            kept.lock().unwrap().push(report.clone());
            assert_ne!(report.target.hpa, "untold", "the host cannot tell of it");
        });
        let controller = FleetController::builder(client, Seen, knows.clone())
            .engine("bomb", knows.clone())
            .engine("other", knows.clone())
            .ownership(OwnershipPolicy::Take)
            .price(Price::per_pod_hour(0.05, Currency::USD).unwrap())
            .clock(Fast::new(world::start(), 1))
            .mode(mode)
            .adopting(trials)
            .build();
        let (stop, health) = (Stop::new(), Box::new(controller.health()));
        let theirs = stop.clone();
        let run = tokio::spawn(async move { Box::pin(controller.run(&theirs)).await });
        Self { run, stop, health, reports }
    }

    /// Waits for the first report about an HPA that is so, from the newest seen on.
    async fn report(&self, name: &str, is: impl Fn(&AdoptionReport) -> bool) -> AdoptionReport {
        for _ in 0..2000 {
            {
                let mut reports = self.reports.lock().unwrap();
                if let Some(place) = reports.iter().position(|report| report.target.hpa == name && is(report)) {
                    return reports.drain(..=place).next_back().unwrap();
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("no such report of {name}: {:#?}", self.reports.lock().unwrap());
    }

    async fn end(self) {
        self.stop.request();
        self.run.await.unwrap();
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(start_paused = true)]
async fn evidence_promotes_stage_by_stage_survives_a_restart_steps_back_and_leaves_no_trace() {
    let (api, knows) = (Api::default(), Knows::default());
    api.hpa("web", &[("mode", "observe"), ("promotion", "evidence")]);
    let first = Running::start(&api, &knows, ApplyMode::Apply, |trials| trials);
    let promoted = |stage| move |report: &AdoptionReport| report.step == AdoptionStep::Promote(stage);
    let report = first.report("web", promoted(Adoption::Floors)).await;
    assert_eq!((report.in_force, report.not_kept.as_deref()), (Adoption::Observe, None), "{report}");
    let trial = report.of_next().unwrap();
    let (alone, floors) = trial.totals();
    assert_eq!((trial.days.len(), alone.changes), (5, 0), "{report}");
    assert!(floors.violating_share < alone.violating_share * 0.7 && floors.changes >= 10, "{report}");
    let (saved, evidence) = (trial.saved.unwrap().0, trial.verdict.evidence());
    assert!((saved - 0.05 * evidence.saved_pod_hours).abs() < 1e-9);
    assert_eq!(api.stage("web").as_deref(), Some("floors"));

    let report = first.report("web", promoted(Adoption::Full)).await;
    assert_eq!(report.trials.as_ref().unwrap().len(), 2, "what was reached is tried as well: {report}");
    assert_eq!(api.stage("web").as_deref(), Some("full"));
    first.report("web", |report| report.in_force == Adoption::Full && report.step == AdoptionStep::Stay).await;
    let told = api.world().events.values().find(|event| event["reason"] == "AdoptionPromoted").cloned().unwrap();
    assert!(
        told["message"].as_str().unwrap().starts_with("floors is in force; full by evidence from now on"),
        "{told}"
    );
    let health = (first.health)().adoption.unwrap();
    assert_eq!((health.promoted, health.untried, health.not_kept, health.panics), (2, 0, 0, 0), "{health:?}");
    first.end().await;
    let stages = |api: &Api| {
        let ours = |write: &&(String, Vec<String>)| write.0 == "kube-scaling-adoption";
        api.world().writes.iter().filter(ours).count()
    };
    assert_eq!(stages(&api), 2, "written when it changes, and not when it does not");
    assert!(api.world().writes.iter().all(|(_, keys)| !keys.iter().any(|key| key == "kube-scaling/mode")), "law 9");

    // Another process goes on where it was.
    knows.greedy.store(true, Ordering::SeqCst);
    let second = Running::start(&api, &knows, ApplyMode::Apply, |trials| trials);
    let report = second.report("web", |_| true).await;
    assert_eq!((report.in_force, report.step), (Adoption::Full, AdoptionStep::StepBack(Adoption::Floors)), "{report}");
    let stays = |report: &AdoptionReport| report.in_force == Adoption::Floors;
    assert_eq!(second.report("web", stays).await.step, AdoptionStep::Stay, "the worse stage is not gone to again");
    assert_eq!((api.stage("web").as_deref(), stages(&api)), (Some("floors"), 3));

    // The owner decides again, and nothing of it is left.
    api.annotate("web", "promotion", "");
    until("the stage is taken away", || api.stage("web").is_none()).await;
    let managers = api.world().hpas["web"]["metadata"]["managedFields"].to_string();
    assert!(!managers.contains("kube-scaling-adoption"), "{managers}");
    let report = second.report("web", |report| report.in_force == Adoption::Observe).await;
    assert_eq!(report.step, AdoptionStep::Advise(Adoption::Floors), "{report}");
    assert_eq!(stages(&api), 4);
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_host_is_told_and_each_target_that_cannot_be_tried_says_why() {
    let (api, knows) = (Api::default(), Knows::default());
    api.hpa("floors", &[("mode", "floors")]);
    api.hpa("full", &[("mode", "full")]);
    api.hpa("young", &[("mode", "observe")]);
    api.hpa("bomb", &[("mode", "observe"), ("engine", "bomb")]);
    api.hpa("other", &[("mode", "observe"), ("engine", "other")]);
    api.left("left");
    let broken = |trials: AdoptionTrials| trials.engine("bomb", || panic!("no fuse"));
    let running = Running::start(&api, &knows, ApplyMode::Apply, broken);
    let report = running.report("floors", |_| true).await;
    assert_eq!(report.step, AdoptionStep::Advise(Adoption::Full), "{report}");
    assert!(report.to_string().contains("annotate kube-scaling/mode=full to go on"), "{report}");
    for (name, why) in [
        ("young", Untried::TooFewDays { samples: 61, hours: 1 }),
        ("bomb", Untried::Panicked { why: "no fuse".into() }),
        ("other", Untried::NoRecipe { engine: "other".into() }),
    ] {
        until("all were tried", || running.reports.lock().unwrap().iter().any(|report| report.target.hpa == name))
            .await;
        let reports = running.reports.lock().unwrap();
        let report = reports.iter().find(|report| report.target.hpa == name).unwrap();
        assert_eq!(report.trials, Err(why));
    }
    running.report("floors", |_| true).await;
    assert!(
        running.reports.lock().unwrap().iter().all(|report| report.target.hpa != "full"),
        "there is no stage above"
    );
    let health = (running.health)().adoption.unwrap();
    assert!(health.advised >= 2 && health.panics >= 1 && health.untried >= 3, "{health:?}");
    until("what is no target any more keeps no stage", || api.stage("left").is_none()).await;
    running.end().await;
    let world = api.world();
    let stages: Vec<_> = world.writes.iter().filter(|(manager, _)| manager == "kube-scaling-adoption").collect();
    assert_eq!(stages, [&("kube-scaling-adoption".to_owned(), vec![])], "and no other is written");
}

#[tokio::test(start_paused = true)]
async fn law_3_below_apply_nothing_is_kept_and_no_event_is_written() {
    let (api, knows) = (Api::default(), Knows::default());
    api.hpa("web", &[("mode", "observe"), ("promotion", "evidence")]);
    let running = Running::start(&api, &knows, ApplyMode::Plan, |trials| trials);
    let report = running.report("web", |_| true).await;
    assert_eq!(report.step, AdoptionStep::Promote(Adoption::Floors));
    assert!(report.not_kept.is_some_and(|why| why.contains("mode plan")));
    let report = running.report("web", |_| true).await;
    assert_eq!(report.in_force, Adoption::Observe);
    running.end().await;
    let world = api.world();
    assert!(world.writes.is_empty() && world.events.is_empty(), "{:?}", world.writes);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_panics_over_a_report_ends_no_trials() {
    let (api, knows) = (Api::default(), Knows::default());
    api.hpa("untold", &[("mode", "observe"), ("promotion", "evidence")]);
    let running = Running::start(&api, &knows, ApplyMode::Plan, |trials| trials);
    running.report("untold", |_| true).await;
    running.report("untold", |_| true).await;
    let health = (running.health)().adoption.unwrap();
    assert!(health.panics >= 1 && health.tried >= 2, "{health:?}");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_hangs_holds_up_neither_the_ticks_nor_the_end() {
    struct Hangs;
    #[async_trait::async_trait]
    impl scaling_core::DecisionEngine for Hangs {
        fn name(&self) -> &'static str {
            "hangs"
        }
        async fn decide(
            &self,
            _: &scaling_core::Observation,
        ) -> Result<scaling_core::ScalingDecision, scaling_core::EngineError> {
            std::future::pending().await
        }
    }
    let (api, knows) = (Api::default(), Knows::default());
    api.hpa("web", &[("mode", "observe"), ("engine", "other")]);
    let asked = Arc::new(tokio::sync::Notify::new());
    let heard = Arc::clone(&asked);
    let running = Running::start(&api, &knows, ApplyMode::Apply, move |trials| {
        trials.engine("other", move || {
            heard.notify_one();
            Ok(Box::new(Hangs))
        })
    });
    // The clock of the test stands while a replay is under way, so that no limit of time ends it.
    asked.notified().await;
    running.end().await;
}
