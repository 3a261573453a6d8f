//! Bounds and requests on one path: the loop of an autoscaler through a [`VerticalApplier`].

use std::sync::{Arc, Mutex};

use futures::future::{Either, select};
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{
    Applied, ApplyError, ApplyMode, Autoscaler, Bounds, DecisionEngine, DecisionRecord, EngineError, Guards,
    HpaApplier, MemoryApplier, MemorySource, Observation, Outcome, ResourceChange, ScalingDecision, ScalingMetrics,
    SignalKind, Step, Target, conformance,
};
use scaling_k8s::vertical::Usage;
use scaling_k8s::{InUse, PodUsage, ResizeApplier, VerticalApplier};
use tower_test::mock::pair;

use crate::world::{World, serve, status};
use crate::{NEW, OLD, vertical};

struct Measured(Option<u64>);

impl PodUsage for Measured {
    fn in_use(&self, _: &Target, container: &str) -> InUse {
        assert_eq!(container, "app");
        InUse { container: Usage { cpu_millicores: self.0, memory_bytes: None }, ..InUse::default() }
    }
}

/// Wants so many pods, each with another request of CPU.
struct Wishes {
    replicas: u32,
    cpu_percent: i32,
}

#[async_trait::async_trait]
impl DecisionEngine for Wishes {
    fn name(&self) -> &'static str {
        "wishes"
    }

    async fn decide(&self, seen: &Observation) -> Result<ScalingDecision, EngineError> {
        let change = ResourceChange { cpu_percent: self.cpu_percent, memory_percent: 0 };
        let decision = ScalingDecision::replicas("wishes", seen.now, 3, self.replicas).with_confidence(1.0);
        Ok(decision.with_resources(change.filled()))
    }
}

fn web() -> Target {
    Target::deployment("shop", "web")
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

/// Runs a future beside the server, and returns what is left of it.
async fn beside<T>(world: World, run: impl AsyncFnOnce(ResizeApplier) -> T) -> (T, World) {
    let (service, handle) = pair::<Request<Body>, Response<Body>>();
    let world = Arc::new(Mutex::new(world));
    let run = Box::pin(run(ResizeApplier::new(Client::new(service, "other"))));
    let done = match select(run, Box::pin(serve(handle, Arc::clone(&world)))).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => panic!("the server does not end"),
    };
    let left = world.lock().unwrap().clone();
    (done, left)
}

struct Ticked {
    records: Vec<DecisionRecord>,
    hpas: Arc<MemoryApplier>,
    world: World,
}

/// Two ticks of a workload of three pods of 250m, one after the other.
async fn ticked(world: World, mode: ApplyMode, wishes: Wishes, used: Option<u64>) -> Ticked {
    let hpas = Arc::new(MemoryApplier::new().with(web(), bounds(2, 6)));
    let of_loop = Arc::clone(&hpas);
    let (records, world) = beside(world, async move |requests| {
        let source = MemorySource::new();
        let metrics = ScalingMetrics::new(at(), 3).with(SignalKind::CpuUtilization, 40.0);
        source.put(web(), Observation::new(web(), metrics).with_facts(vertical::facts()));
        let autoscaler = Autoscaler::builder()
            .source(source)
            .engine(wishes)
            .guards(Guards::only_hard_limits())
            .applier(VerticalApplier::new(of_loop, requests, Measured(used), "app"))
            .mode(mode)
            .build();
        let mut records = Vec::new();
        for _ in 0..2 {
            records.push(autoscaler.tick(&web(), at()).await.unwrap());
        }
        records
    })
    .await;
    Ticked { records, hpas, world }
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_promises_of_an_applier() {
    // Plans of bounds alone: the API server of the pods is never asked.
    let (service, _handle) = pair::<Request<Body>, Response<Body>>();
    let client = Client::new(service, "other");
    conformance::applier(async |bounds: Bounds| {
        let hpas = MemoryApplier::new().with(web(), bounds);
        (VerticalApplier::new(hpas, ResizeApplier::new(client.clone()), Measured(None), "app"), web())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_tick_changes_bounds_and_requests_and_its_record_says_both() {
    let wishes = Wishes { replicas: 9, cpu_percent: 50 };
    let Ticked { records, hpas, world } = ticked(World::new(), ApplyMode::Apply, wishes, Some(100)).await;
    assert_eq!(records[0].outcome, Outcome::Applied);
    let (old, new) = records[0].requests.unwrap();
    assert_eq!((old.cpu_millicores, new.cpu_millicores), (Some(250), Some(375)));
    assert!(records[0].explain().contains("250 → 375 millicores"), "{}", records[0].explain());
    assert!(hpas.bounds(&web()).unwrap().max() > 6);
    assert_eq!(hpas.resources(&web()), [], "the bounds' applier is asked for bounds");
    assert_eq!(world.cpu(), [OLD, NEW, NEW, NEW]);
    // The second tick is of the same facts, and what they ask for is there.
    assert!(matches!(records[1].outcome, Outcome::Unchanged { .. }), "{:?}", records[1].outcome);
    let writes = world.log.iter().filter(|asked| asked.starts_with("PATCH"));
    assert_eq!(writes.count(), 6, "each pod is rehearsed once and written once");
}

#[tokio::test(start_paused = true)]
async fn law_3_dry_runs_change_nothing() {
    for (mode, outcome) in [(ApplyMode::Plan, Outcome::Planned), (ApplyMode::ServerDryRun, Outcome::Validated)] {
        let wishes = Wishes { replicas: 9, cpu_percent: 50 };
        let Ticked { records, hpas, world } = ticked(World::new(), mode, wishes, Some(100)).await;
        assert!(records.iter().all(|record| record.outcome == outcome), "{records:?}");
        assert_eq!((hpas.bounds(&web()), world.cpu()), (Some(bounds(2, 6)), vec![OLD; 4]), "{mode}");
        assert!(world.log.is_empty() == (mode == ApplyMode::Plan), "a plan leaves nothing the process");
        assert!(world.log.iter().all(|asked| asked.starts_with("GET") || asked.contains("dryRun=All")));
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_measures_is_not_lowered_and_the_record_says_so() {
    let wishes = || Wishes { replicas: 3, cpu_percent: -40 };
    let Ticked { records, world, .. } = ticked(World::new(), ApplyMode::Apply, wishes(), None).await;
    let Outcome::Failed { step: Step::Apply, error, may_have_happened: false, .. } = &records[0].outcome else {
        panic!("{:?}", records[0].outcome)
    };
    assert!(error.contains("it is not known how much cpu it uses, so nothing is lowered"), "{error}");
    assert_eq!(world.cpu(), [OLD; 4]);
    let Ticked { records, world, .. } = ticked(World::new(), ApplyMode::Apply, wishes(), Some(140)).await;
    let said = format!("{:?}", records[0].outcome);
    assert!(said.contains("request of cpu 150m is below the 140m that it uses plus 20 %"), "{said}");
    assert_eq!(world.cpu(), [OLD; 4]);
    let Ticked { records, world, .. } = ticked(World::new(), ApplyMode::Apply, wishes(), Some(100)).await;
    assert_eq!((&records[0].outcome, world.cpu()[1]), (&Outcome::Applied, "150m"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_resize_holds_no_bound_back() {
    let world = World { vpa: Some("Recreate"), ..World::new() };
    let wishes = Wishes { replicas: 9, cpu_percent: 50 };
    let Ticked { records, hpas, world } = ticked(world, ApplyMode::Apply, wishes, Some(100)).await;
    assert!(hpas.bounds(&web()).unwrap().max() > 6, "a floor may be due");
    assert_eq!(world.cpu(), [OLD; 4]);
    let Outcome::Failed { step: Step::Apply, error, may_have_happened, transient } = &records[0].outcome else {
        panic!("{:?}", records[0].outcome)
    };
    // Law 12: what was written of it counts. Law 10: it says which part was not, and why.
    assert!(*may_have_happened && !transient);
    assert!(error.contains("the bounds are ") && error.contains("VerticalPodAutoscaler web-vpa"), "{error}");
}

/// An applier of bounds that refuses.
struct Refuses;

#[async_trait::async_trait]
impl HpaApplier for Refuses {
    async fn current(&self, _: &Target) -> Result<scaling_core::HpaState, ApplyError> {
        Ok(scaling_core::HpaState::new(bounds(2, 6)).bounds_only())
    }

    async fn apply(&self, plan: &scaling_core::HpaPlan, _: ApplyMode) -> Result<Applied, ApplyError> {
        Err(ApplyError::Refused { target: plan.target().clone(), detail: "no".into(), denied: false })
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_bounds_fail_no_request_is_changed() {
    let plan = crate::plan();
    let (answer, world) = beside(World::new(), async |requests| {
        let applier = VerticalApplier::new(Refuses, requests, Measured(Some(100)), "app");
        assert!(applier.current(&web()).await.unwrap().resizes_pods);
        applier.apply(&plan, ApplyMode::Apply).await
    })
    .await;
    assert!(matches!(answer, Err(ApplyError::Refused { .. })));
    assert_eq!(world.cpu(), [OLD; 4]);
}

#[tokio::test(start_paused = true)]
async fn law_12_an_answer_that_is_lost_counts_and_the_next_tick_finishes() {
    let lost = [("web-b/resize?&fieldManager", 500, status(500, "InternalError"), true)];
    let wishes = Wishes { replicas: 3, cpu_percent: 50 };
    let Ticked { records, world, .. } = ticked(World::with(&lost), ApplyMode::Apply, wishes, Some(100)).await;
    assert!(matches!(records[0].outcome, Outcome::Failed { may_have_happened: true, .. }), "{:?}", records[0].outcome);
    assert_eq!(records[1].outcome, Outcome::Applied, "the rest");
    assert_eq!(world.cpu(), [OLD, NEW, NEW, NEW], "and nothing twice");
}
