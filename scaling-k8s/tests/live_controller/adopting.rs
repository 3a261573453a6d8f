//! Staged adoption by evidence against a real API server, by a clock that is a minute a second: observed, floors, full, another process, and back.

#[path = "../adopting/world.rs"]
mod world;

use std::sync::{Arc, Mutex};

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use scaling_core::Adoption;
use scaling_core::live::{LoopReport, Stop};
use scaling_k8s::KubeHpaApplier;
use scaling_k8s::controller::fleet::{AdoptionReport, AdoptionStep, FleetController};
use scaling_k8s::stage;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use world::{Fast, Knows, Seen, trials};

use super::support::{self, ADMIN, ControlPlane};
use super::{told, until};

type Reports = Arc<Mutex<Vec<AdoptionReport>>>;

fn controller(client: &Client) -> (JoinHandle<LoopReport>, Stop, Reports) {
    let (knows, reports) = (Knows::default(), Reports::default());
    let kept = Arc::clone(&reports);
    let trials = trials(&knows).after_report(move |report| kept.lock().unwrap().push(report.clone()));
    let controller = FleetController::builder(client.clone(), Seen, knows)
        .clock(Fast::new(world::start(), 60))
        .adopting(trials)
        .build();
    let stop = Stop::new();
    let theirs = stop.clone();
    (tokio::spawn(async move { controller.run(&theirs).await }), stop, reports)
}

async fn apply(client: &Client, name: &str, annotations: Value) {
    let cpu = json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } } });
    let body = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": name, "annotations": annotations },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
            "maxReplicas": 20, "metrics": [cpu],
        },
    });
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), "default");
    api.patch(name, &PatchParams::apply("host"), &Patch::Apply(body)).await.unwrap();
}

async fn read(client: &Client, name: &str) -> Value {
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), "default");
    serde_json::to_value(api.get(name).await.unwrap()).unwrap()
}

fn stage_of(hpa: &Value) -> Option<Adoption> {
    stage::ReachedStage::of(hpa, "kube-scaling").ok()?.map(|reached| reached.stage)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_hands_over_stage_by_stage_and_what_it_reached_stands_at_the_hpa() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let client = plane.client(ADMIN);
    let settings = json!({ "kube-scaling/mode": "observe", "kube-scaling/promotion": "evidence", "kube-scaling/pod-capacity": "50" });
    apply(&client, "web", settings.clone()).await;
    // Somebody has copied a manifest with everything in it.
    let mut forged = settings.clone();
    forged[stage::ANNOTATION] = r#"{"v":1,"stage":"full","begins":"observe","since":"2026-01-01T00:00:00Z"}"#.into();
    apply(&client, "forged", forged.clone()).await;

    let (run, stop, reports) = controller(&client);
    let has = |stage: Option<Adoption>| {
        let client = &client;
        move || async move { stage_of(&read(client, "web").await) == stage }
    };
    until("floors are reached", has(Some(Adoption::Floors))).await;
    assert_eq!(read(&client, "web").await["spec"].get("minReplicas").unwrap(), 1, "it is no floor that is due");
    until("full is reached", has(Some(Adoption::Full))).await;
    until("and in force", || async { read(&client, "web").await["spec"]["minReplicas"] == 4 }).await;
    until("the HPA is told", || async { told(&client, "AdoptionPromoted").await.contains("web") }).await;
    let hpa = read(&client, "web").await;
    assert_eq!(hpa["metadata"]["annotations"]["kube-scaling/mode"], "observe", "law 9");
    let managers = hpa["metadata"]["managedFields"].as_array().unwrap();
    let ours = managers.iter().find(|entry| entry["manager"] == "kube-scaling-adoption").unwrap();
    let field = json!({ "f:metadata": { "f:annotations": { "f:kube-scaling/adoption": {} } } });
    assert_eq!(ours["fieldsV1"], field, "the annotation and nothing else");

    until("the other one was tried", || async {
        reports.lock().unwrap().iter().any(|report| report.target.hpa == "forged")
    })
    .await;
    let report = reports.lock().unwrap().iter().find(|report| report.target.hpa == "forged").unwrap().clone();
    assert_eq!(
        (report.in_force, report.step),
        (Adoption::Observe, AdoptionStep::Promote(Adoption::Floors)),
        "{report}"
    );
    assert!(report.not_kept.as_ref().is_some_and(|why| why.contains("host")), "{report}");
    assert_eq!(read(&client, "forged").await["metadata"]["annotations"][stage::ANNOTATION], forged[stage::ANNOTATION]);
    stop.request();
    run.await.unwrap();

    // Another process goes on with it, and writes nothing about it.
    let version = || async { read(&client, "web").await["metadata"]["resourceVersion"].clone() };
    let (before, (run, stop, reports)) = (version().await, controller(&client));
    let of_web = |reports: &Reports| reports.lock().unwrap().iter().find(|report| report.target.hpa == "web").cloned();
    until("it is tried", || async { of_web(&reports).is_some() }).await;
    let report = of_web(&reports).unwrap();
    assert_eq!((report.in_force, report.step), (Adoption::Full, AdoptionStep::Stay), "{report}");
    assert_eq!(version().await, before);

    // The owner takes it back.
    let mut observed = settings;
    observed.as_object_mut().unwrap().remove("kube-scaling/promotion");
    apply(&client, "web", observed).await;
    until("nothing of it is left", || async {
        let hpa = read(&client, "web").await;
        stage_of(&hpa).is_none() && !hpa["metadata"]["managedFields"].to_string().contains("kube-scaling-adoption")
    })
    .await;
    stop.request();
    run.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_takes_the_stage_away_too() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let client = plane.client(ADMIN);
    apply(&client, "web", json!({ "kube-scaling/mode": "observe" })).await;
    let hpa = read(&client, "web").await;
    let reached = stage::ReachedStage {
        stage: Adoption::Full,
        begins: Adoption::Observe,
        engine: None,
        since: world::start(),
        uid: hpa["metadata"]["uid"].as_str().map(str::to_owned),
    };
    let uid = hpa["metadata"]["uid"].as_str().unwrap();
    let body = stage::apply_body("default", "web", uid, Some(&reached));
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), "default");
    api.patch("web", &PatchParams::apply(&stage::manager("kube-scaling")), &Patch::Apply(&body)).await.unwrap();
    assert_eq!(stage_of(&read(&client, "web").await), Some(Adoption::Full));

    let applier = KubeHpaApplier::new(client.clone());
    let target = scaling_core::Target::deployment("default", "web");
    let released = applier.release(&target).await.unwrap();
    assert!(matches!(released, scaling_k8s::Released::Done { changed: true, .. }), "{released:?}");
    let after = read(&client, "web").await;
    assert_eq!(after["metadata"]["annotations"], json!({ "kube-scaling/mode": "observe" }));
    let managers = after["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().all(|entry| entry["manager"] == "host"), "{managers:?}");
    let again = applier.release(&target).await.unwrap();
    assert!(matches!(again, scaling_k8s::Released::Done { changed: false, .. }), "{again:?}");
}
