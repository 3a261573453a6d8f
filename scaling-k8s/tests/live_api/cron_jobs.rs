//! A weekly schedule as CronJobs: applied, changed, pruned, removed.

use std::collections::BTreeSet;

use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use scaling_core::chrono::Weekday;
use scaling_core::{ApplyMode, Target};
use scaling_k8s::api::cronjob::CronJobs;
use scaling_k8s::api::{Moment, WeekPlan};
use scaling_k8s::ownership::ObjectName;
use scaling_k8s::{CronJobApplier, CronJobErrorKind, Writer};
use serde_json::json;

use crate::world::{World, bounds};

const KINDS: [(&str, &str); 4] = [
    ("", "ServiceAccount"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("batch", "CronJob"),
];

fn api(client: &Client, group: &str, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
    Api::namespaced_with(client.clone(), "default", &resource)
}

/// Busy from Monday to Friday, and from this hour on in the morning.
fn jobs(from: u32) -> CronJobs {
    let mut week = WeekPlan::new("Europe/Berlin", bounds(2, 10)).unwrap();
    let at = |day, hour| Moment::new(day, hour, 0).unwrap();
    week.set(at(Weekday::Mon, from), at(Weekday::Fri, 20), bounds(5, 20));
    CronJobs::new(&target(), week, "example/kubectl:1").unwrap()
}

fn target() -> Target {
    Target::deployment("default", "scheduled")
}

/// Names of the objects with the label, and their versions.
async fn there(world: &World) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (group, kind) in KINDS {
        let list = ListParams::default().labels(&jobs(7).selector());
        for item in api(&world.admin, group, kind).list(&list).await.unwrap() {
            found.push((format!("{kind} {}", item.metadata.name.unwrap()), item.metadata.resource_version.unwrap()));
        }
    }
    found
}

fn names(of: &[ObjectName]) -> Vec<&str> {
    of.iter().map(|object| &*object.name).collect()
}

pub(crate) async fn a_schedule_is_applied_changed_and_removed(world: &World) {
    let applier = CronJobApplier::new(world.admin.clone());
    let planned = applier.apply(&jobs(7), ApplyMode::Plan).await.unwrap();
    let tried = applier.apply(&jobs(7), ApplyMode::ServerDryRun).await.unwrap();
    assert_eq!((planned.written.len(), &planned), (6, &tried), "nothing is there yet");
    assert!(there(world).await.is_empty(), "law 3");

    assert_eq!(applier.apply(&jobs(7), ApplyMode::Apply).await.unwrap(), tried);
    let before = there(world).await;
    assert_eq!(before.len(), 6);
    let again = applier.apply(&jobs(7), ApplyMode::Apply).await.unwrap();
    assert!(again.is_empty() && again.unchanged.len() == 6, "{again:?}");
    assert_eq!(there(world).await, before, "law 6: nothing is written when nothing changes");

    // Another week: two jobs change, one begins at another time, so one is new and one obsolete.
    let tried = applier.apply(&jobs(8), ApplyMode::ServerDryRun).await.unwrap();
    assert_eq!(there(world).await, before, "law 3");
    let changed = applier.apply(&jobs(8), ApplyMode::Apply).await.unwrap();
    assert_eq!(changed, tried);
    assert_eq!(names(&changed.pruned), ["scheduled-0700"]);
    assert_eq!(names(&changed.written), ["scheduled-0800", "scheduled-2000", "scheduled-hourly"]);
    assert_eq!(there(world).await.len(), 6);

    let all = api(&world.admin, "batch", "CronJob");
    let suspended = json!({ "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "scheduled-0800" }, "spec": { "schedule": "1 1 * * *" } });
    let by_hand = PatchParams { force: true, ..PatchParams::apply("somebody") };
    all.patch("scheduled-0800", &by_hand, &Patch::Apply(suspended)).await.unwrap();
    let before = there(world).await;
    let error = applier.apply(&jobs(8), ApplyMode::Apply).await.unwrap_err();
    assert!(matches!(&error.kind, CronJobErrorKind::Conflict(why) if why.contains("somebody")), "{error}");
    assert!(error.done.is_empty() && there(world).await == before, "all are validated before the first is written");
    let forced =
        CronJobApplier::new(Writer::new(world.admin.clone()).force()).apply(&jobs(8), ApplyMode::Apply).await.unwrap();
    assert_eq!(names(&forced.written), ["scheduled-0800"]);

    let removed = applier.remove(&target()).await.unwrap();
    assert_eq!(removed.pruned.len(), 6);
    assert!(there(world).await.is_empty());
    assert!(applier.remove(&target()).await.unwrap().is_empty());
}

pub(crate) async fn an_event_that_is_over_is_pruned(world: &World) {
    let [from, to] = ["2026-11-27T17:00:00Z", "2026-11-27T19:00:00Z"].map(|at| at.parse().unwrap());
    let mut week = WeekPlan::new("Europe/Berlin", bounds(2, 10)).unwrap();
    let monday = |hour| Moment::new(Weekday::Mon, hour, 0).unwrap();
    week.set(monday(8), monday(9), bounds(3, 10));
    week.raise(from, to, 5, Some(20)).unwrap();
    let applier = CronJobApplier::new(world.admin.clone());
    let jobs = |at| CronJobs::new(&target(), week.clone().without_past_events(at), "example/kubectl:1").unwrap();
    assert_eq!(applier.apply(&jobs(from), ApplyMode::Apply).await.unwrap().written.len(), 8);
    let after = applier.apply(&jobs(to), ApplyMode::Apply).await.unwrap();
    assert_eq!(names(&after.pruned), ["scheduled-1127t1700", "scheduled-1127t1900"]);
    let left = ["scheduled-0800", "scheduled-0900", "scheduled-hourly"];
    assert_eq!(names(&after.written), left, "their script holds the event no more");
    assert_eq!(applier.remove(&target()).await.unwrap().pruned.len(), 6);
}

pub(crate) async fn an_object_of_somebody_else_is_left_alone(world: &World) {
    let applier = CronJobApplier::new(world.admin.clone());
    let accounts = api(&world.admin, "", "ServiceAccount");
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "scheduled-bounds" } });
    let by_hand = PatchParams::apply("somebody");
    accounts.patch("scheduled-bounds", &by_hand, &Patch::Apply(&account)).await.unwrap();
    let error = applier.apply(&jobs(7), ApplyMode::Apply).await.unwrap_err();
    assert!(matches!(error.kind, CronJobErrorKind::Foreign), "{error}");
    assert_eq!(error.object.to_string(), "ServiceAccount default/scheduled-bounds");
    assert!(there(world).await.is_empty());
    accounts.delete("scheduled-bounds", &kube::api::DeleteParams::default()).await.unwrap();

    let plain = CronJobApplier::new(world.plain.clone());
    let error = plain.apply(&jobs(7), ApplyMode::ServerDryRun).await.unwrap_err();
    assert!(matches!(&error.kind, CronJobErrorKind::Refused(why) if why.contains("(403)")), "{error}");
}

/// The rights that the applier says it needs are enough, and a namespace is all that they are for.
pub(crate) async fn the_rights_that_are_named_are_enough(world: &World) {
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(world.admin.clone());
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "narrow" } });
    namespaces.patch("narrow", &PatchParams::apply("host"), &Patch::Apply(namespace)).await.unwrap();
    let all = ["get", "list", "create", "patch", "delete"];
    let rbac = "rbac.authorization.k8s.io";
    let role = json!({ "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": { "name": "scheduler" }, "rules": [
        { "apiGroups": [""], "resources": ["serviceaccounts"], "verbs": all },
        { "apiGroups": [rbac], "resources": ["roles", "rolebindings"], "verbs": all },
        { "apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": all },
        { "apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["get", "patch"] },
    ] });
    let binding = json!({ "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": { "name": "scheduler" },
        "roleRef": { "apiGroup": rbac, "kind": "Role", "name": "scheduler" },
        "subjects": [{ "apiGroup": rbac, "kind": "User", "name": "plain" }] });
    for (kind, object) in [("Role", role), ("RoleBinding", binding)] {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(rbac, "v1", kind));
        let api: Api<DynamicObject> = Api::namespaced_with(world.admin.clone(), "narrow", &resource);
        api.patch("scheduler", &PatchParams::apply("host"), &Patch::Apply(object)).await.unwrap();
    }
    let target = Target::deployment("narrow", "scheduled");
    let mut week = WeekPlan::new("UTC", bounds(2, 10)).unwrap();
    week.set(Moment::new(Weekday::Mon, 8, 0).unwrap(), Moment::new(Weekday::Mon, 9, 0).unwrap(), bounds(5, 10));
    let jobs = CronJobs::new(&target, week, "example/kubectl:1").unwrap();
    let applier = CronJobApplier::new(world.plain.clone());
    let tried = loop {
        // Rights are known a moment after they are stored.
        match applier.apply(&jobs, ApplyMode::ServerDryRun).await {
            Err(error) if error.to_string().contains("403") => tokio::task::yield_now().await,
            tried => break tried.unwrap(),
        }
    };
    assert_eq!(applier.apply(&jobs, ApplyMode::Apply).await.unwrap(), tried);
    assert!(applier.apply(&jobs, ApplyMode::Apply).await.unwrap().is_empty());
    let all = |objects: &[ObjectName]| objects.iter().map(ObjectName::to_string).collect::<BTreeSet<_>>();
    assert_eq!(all(&applier.remove(&target).await.unwrap().pruned), all(&tried.written));
}
