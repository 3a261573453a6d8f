//! Objects that are written for others to apply: the server takes them, with strict validation.

use std::time::Duration;

use scaling_core::Target;
use scaling_core::chrono::{DateTime, TimeDelta, Weekday};
use scaling_k8s::api::cronjob::CronJobs;
use scaling_k8s::api::{Moment, WeekPlan};
use scaling_k8s::history::{Change, EventSeries};
use serde_json::Value;

use crate::world::{World, bounds};

async fn send(world: &World, request: http::request::Builder, body: &Value) -> Value {
    let request = request.body(serde_json::to_vec(body).unwrap()).unwrap();
    world.admin.request(request).await.unwrap_or_else(|error| panic!("{error}: {body:#}"))
}

pub(crate) async fn cron_jobs_are_accepted(world: &World) {
    let mut week = WeekPlan::new("Europe/Berlin", bounds(2, 10)).unwrap();
    let at = |day, hour, minute| Moment::new(day, hour, minute).unwrap();
    week.set(at(Weekday::Mon, 7, 45), at(Weekday::Fri, 20, 0), bounds(5, 20));
    let jobs = CronJobs::new(&Target::deployment("default", "checkout"), week, "example/kubectl:1").unwrap();
    for object in jobs.objects() {
        let (group, plural) = match object["kind"].as_str().unwrap() {
            "ServiceAccount" => ("api/v1", "serviceaccounts"),
            "Role" => ("apis/rbac.authorization.k8s.io/v1", "roles"),
            "RoleBinding" => ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
            "CronJob" => ("apis/batch/v1", "cronjobs"),
            other => panic!("{other}"),
        };
        let path = format!("/{group}/namespaces/default/{plural}?dryRun=All&fieldValidation=Strict");
        let made = send(world, http::Request::post(path).header("content-type", "application/json"), &object).await;
        // What the server made of it still says the same week.
        if object["kind"] == "CronJob" {
            assert_eq!(CronJobs::read_week(&made).unwrap(), CronJobs::read_week(&object).unwrap());
        }
    }
}

pub(crate) async fn one_event_counts(world: &World) {
    let target = Target::deployment("default", "checkout");
    let mut series = EventSeries::new("kube-scaling", Duration::ZERO);
    for number in 1..3 {
        let change = Change {
            number,
            at: DateTime::UNIX_EPOCH + TimeDelta::minutes(number.cast_signed()),
            who: "kube-scaling".to_owned(),
            why: "demand rises".to_owned(),
            before: bounds(2, 10),
            after: bounds(5, 10),
            resting: None,
            uncertain: false,
            undo: false,
        };
        let event = series.take(&target, Some("0b6f"), &change).unwrap();
        let name = event["metadata"]["name"].as_str().unwrap();
        let path = format!(
            "/api/v1/namespaces/default/events/{name}?fieldManager=kube-scaling&force=true&fieldValidation=Strict"
        );
        let request = http::Request::patch(path).header("content-type", "application/apply-patch+yaml");
        let stored = send(world, request, &event).await;
        assert_eq!((&stored["count"], &stored["lastTimestamp"]), (&number.into(), &event["lastTimestamp"]));
    }
}
