//! Windows of minutes with a min and a max, and an event, carried out by the real controllers in a zone whose clock shows other hours and
//! other minutes than UTC: one run is missed and made up by the next, the bounds are those of the same schedule in process, and the HPA's
//! controller moves the replicas.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use scaling_core::chrono::{DateTime, TimeDelta, Timelike, Utc};
use scaling_core::{Bounds, DecisionEngine, Target};
use scaling_k8s::api::WeekPlan;
use scaling_k8s::api::cronjob::CronJobs;
use scaling_schedule::{DatedWindow, Days, Schedule, ScheduleEngine, Tz, Window};
use serde_json::json;

use crate::cronjobs::{LIMIT, bounds, completes, create, create_one, made, pod_of, run};
use crate::support::proxy::now;
use crate::support::{self, ADMIN, ControlPlane};

const CONTROLLERS: [&str; 7] = [
    "cronjob-controller",
    "job-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "deployment-controller",
    "replicaset-controller",
    "horizontal-pod-autoscaler-controller",
];

const OUTSIDE: (u32, u32) = (1, 6);
/// 5:45 hours ahead of UTC all year: a run by any other clock finds no window, or none of its own.
const ZONE: Tz = Tz::Asia__Kathmandu;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_of_minutes_are_what_the_schedule_in_process_holds() {
    let Some(assets) = support::assets_with(&["kube-controller-manager", "kubectl", "kwok"]) else { return };
    let mut plane = ControlPlane::start(&assets).await;
    plane.start_controllers(&plane.server(), &CONTROLLERS, Duration::from_secs(5));
    plane.start_node().await;
    let client = plane.client(ADMIN);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "default");
    deployments.create(&PostParams::default(), &crate::deployment("checkout", OUTSIDE.0)).await.unwrap();
    create(&client, "apis/autoscaling/v2", "horizontalpodautoscalers", &hpa()).await;

    // The first minute that can still be met; the sale begins a minute later and lasts for one.
    let opens = (now() + TimeDelta::seconds(80)).with_second(0).unwrap().with_nanosecond(0).unwrap();
    let sale = opens + TimeDelta::minutes(1);
    let schedule = schedule(opens, sale);
    let week = WeekPlan::of(&schedule, bounds(OUTSIDE.0, OUTSIDE.1)).unwrap();
    let jobs = CronJobs::new(&Target::deployment("default", "checkout"), week, "example/kubectl:1").unwrap();
    for object in jobs.objects() {
        let zone = &object["spec"]["timeZone"];
        assert!(object["kind"] != "CronJob" || *zone == ZONE.name() || *zone == "Etc/UTC");
        create_one(&client, &object).await;
    }
    // The run that opens the window is missed.
    let cron_jobs: Api<CronJob> = Api::namespaced(client.clone(), "default");
    let missed = format!("checkout-{}", opens.with_timezone(&ZONE).format("%H%M"));
    let asleep = Patch::Merge(json!({ "spec": { "suspend": true } }));
    cron_jobs.patch(&missed, &PatchParams::default(), &asleep).await.unwrap();

    let ends = sale + TimeDelta::minutes(1);
    for (at, expected) in [(sale, (4, 15)), (ends, (4, 12))] {
        assert_eq!(held(&schedule, at), bounds(expected.0, expected.1));
        let job = made(&client, &format!("checkout-{}", at.format("%m%dt%H%M")), at).await;
        if at == sale {
            assert_eq!(written(&client).await, bounds(OUTSIDE.0, OUTSIDE.1), "nothing has opened the window");
            let jobs: Api<Job> = Api::namespaced(client.clone(), "default");
            let names =
                jobs.list(&ListParams::default()).await.unwrap().items.into_iter().filter_map(|job| job.metadata.name);
            assert_eq!(names.filter(|name| name.starts_with(&format!("{missed}-"))).count(), 0);
        }
        let pod = pod_of(&client, &job).await;
        let before = held(&schedule, now());
        run(&plane, &client, &assets, &pod).await;
        let after = held(&schedule, now());
        let written = written(&client).await;
        assert!([before, after].contains(&written), "{at}: {written}, not {before}");
        completes(&client, &job, &pod).await;
        // The floor of the window, which only this run has brought.
        let follows = |seen: Option<&Deployment>| seen.and_then(|seen| seen.status.as_ref()?.ready_replicas) == Some(4);
        tokio::time::timeout(LIMIT, await_condition(deployments.clone(), "checkout", follows)).await.unwrap().unwrap();
    }
}

/// A window of every day from `opens` on, for four hours, and a sale of a minute that needs fewer pods and may have more.
fn schedule(opens: DateTime<Utc>, sale: DateTime<Utc>) -> Schedule {
    let local = |at: DateTime<Utc>| at.with_timezone(&ZONE).naive_local();
    let (from, closes) = (local(opens).time(), local(opens + TimeDelta::hours(4)).time());
    let window = Window::new("peak", Days::DAILY, from, closes, 4).unwrap().with_max(12).unwrap();
    let event = DatedWindow::new("sale", local(sale), local(sale + TimeDelta::minutes(1)), 3).unwrap();
    let event = event.with_max(15).unwrap();
    Schedule::new(ZONE, vec![window]).unwrap().with_events(vec![event]).unwrap()
}

/// The bounds of the same schedule in process. The engine holds its floor.
fn held(schedule: &Schedule, at: DateTime<Utc>) -> Bounds {
    let open = schedule.open_at(at);
    let target = Target::deployment("default", "checkout");
    let floor = ScheduleEngine::new(schedule.clone()).floor(&target, at);
    assert_eq!(floor.map(|floor| floor.replicas), open.map(|open| open.min));
    let min = OUTSIDE.0.max(open.map_or(0, |open| open.min));
    bounds(min, OUTSIDE.1.max(open.and_then(|open| open.max).unwrap_or(0)).max(min))
}

async fn written(client: &Client) -> Bounds {
    let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), "default");
    scaling_k8s::hpa::state(&hpas.get("checkout").await.unwrap()).unwrap().bounds
}

fn hpa() -> serde_json::Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "checkout" },
        "spec": {
            "minReplicas": OUTSIDE.0, "maxReplicas": OUTSIDE.1,
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout" },
        },
    })
}
