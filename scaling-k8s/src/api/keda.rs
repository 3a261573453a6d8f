//! A week as the cron triggers of a KEDA ScaledObject, and back.
//!
//! KEDA makes an HPA of its own from a ScaledObject, with one min and one max for all time; cron triggers ask for more pods while they are
//! active, and the highest of them counts. So a week in which the max changes cannot be expressed, nor can events, since cron knows no
//! year: [`OutputError::Inexpressible`] says so. With cron triggers alone nothing asks for more than the schedule, which is right for
//! windows that hold the load by themselves; those over an HPA want its CPU target as a trigger beside them.
//!
//! KEDA's webhook refuses a ScaledObject for a workload that an HPA scales already, unless it takes that HPA over
//! (`scaledobject.keda.sh/transfer-hpa-ownership`, with the HPA's name in `horizontalPodAutoscalerConfig`). This one does: the HPA keeps its
//! name, KEDA writes its bounds and metrics from then on and makes it where there is none, and deleting the ScaledObject deletes it. Take
//! the HPA out of what else applies it (Helm, Argo CD, Flux), or both write in turns.
//!
//! A cron trigger is a metric of KEDA's HPA, which has the usual tolerance: within 10 % of what a trigger asks for nothing is scaled. So
//! where 10 pods run and a window asks for 11, it stays at 10. A min is held to the pod.
//!
//! A trigger is active when its end comes before its next start. Where the clock skips a start or an end, KEDA therefore takes
//! all the time from the firing before it to the one after, a week for a window of one weekday, for the window or for none of it: keep edges
//! out of the hour that the zone skips.
//!
//! ```
//! use scaling_core::chrono::Weekday::{Fri, Mon};
//! use scaling_core::{Bounds, Target};
//! use scaling_k8s::api::{Moment, WeekPlan, keda};
//!
//! let mut week = WeekPlan::new("Europe/Berlin", Bounds::new(2, 20)?)?;
//! week.set(Moment::new(Mon, 8, 0)?, Moment::new(Fri, 18, 30)?, Bounds::new(5, 20)?);
//! let object = keda::scaled_object(&Target::deployment("shop", "checkout"), &week, None)?;
//! assert_eq!(object["spec"]["triggers"][0]["metadata"]["start"], "0 8 * * MON");
//! assert_eq!(object["spec"]["triggers"][0]["metadata"]["end"], "30 18 * * FRI");
//! assert_eq!(keda::read(&object)?, week);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use scaling_core::hpa::names::is_dns_subdomain;
use scaling_core::{Bounds, Target};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::{check_names, odd_name};
use super::week::{Edge, WEEK};
use super::{Moment, OutputError, WeekPlan};

const OUTPUT: &str = "a ScaledObject of KEDA";
/// Key of the annotation by which a ScaledObject takes over the HPA that it names. Source: KEDA's documentation of the ScaledObject.
const TRANSFER: &str = "scaledobject.keda.sh/transfer-hpa-ownership";
/// Bounds of a ScaledObject that states none.
const DEFAULTS: (u32, u32) = (0, 100);
/// Triggers of an object that is read.
const MAX_TRIGGERS: usize = 1_000;

/// The ScaledObject of a week on the workload of a target, under the name of its HPA, which it takes over. `target_cpu`, in percent of the requests, is a trigger
/// beside those of the week: what the HPA that KEDA replaces did between the bounds. [`read`] passes it over.
///
/// # Errors
/// [`OutputError::Inexpressible`] if the max changes, there are events, or KEDA would refuse it: without any trigger, as a week that never
/// changes is without a CPU target, or with a min of 0 and nothing but the CPU; [`OutputError::Name`] if a name is none, or the kind of the
/// workload is not of the API group `apps`.
pub fn scaled_object(target: &Target, week: &WeekPlan, target_cpu: Option<NonZeroU16>) -> Result<Value, OutputError> {
    let inexpressible = |what: &str| Err(OutputError::Inexpressible { output: OUTPUT, what: what.to_owned() });
    check(target)?;
    if week.has_events() {
        return inexpressible(
            "events of one date: its triggers would come again each year; render the week without them",
        );
    }
    let stretches = week.stretches();
    let max = week.at(Moment::of_week(0)).max();
    if stretches.iter().any(|(_, _, bounds)| bounds.max() != max) {
        return inexpressible("a max that changes: render the week with the highest for all time");
    }
    let lowest = stretches.iter().map(|(_, _, bounds)| bounds.min()).min();
    let lowest = lowest.unwrap_or_else(|| week.at(Moment::of_week(0)).min());
    let mut days_of: BTreeMap<(u32, u32, u32, u32), BTreeSet<u32>> = BTreeMap::new();
    for (from, minutes, bounds) in stretches.iter().filter(|(_, _, bounds)| bounds.min() > lowest) {
        let key = (from.hour(), from.minute(), *minutes, bounds.min());
        days_of.entry(key).or_default().insert(from.day().num_days_from_monday());
    }
    let mut triggers: Vec<Value> = days_of.into_iter().map(|(key, days)| trigger(week, key, days)).collect();
    match target_cpu {
        None if triggers.is_empty() => {
            return inexpressible(
                "a week that never changes without a trigger: give it a CPU target, or set the bounds of an HPA",
            );
        }
        Some(_) if triggers.is_empty() && lowest == 0 => {
            return inexpressible(
                "a min of 0 with a CPU target alone, which no pod would ever report: set it to 1 or more",
            );
        }
        _ => {}
    }
    triggers.extend(target_cpu.map(
        |percent| json!({ "type": "cpu", "metricType": "Utilization", "metadata": { "value": percent.to_string() } }),
    ));
    Ok(json!({
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": { "name": target.hpa, "namespace": target.namespace, "labels": { "app.kubernetes.io/managed-by": "kube-scaling" },
            "annotations": { TRANSFER: "true" } },
        "spec": {
            "advanced": { "horizontalPodAutoscalerConfig": { "name": target.hpa } },
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": target.kind, "name": target.name },
            "minReplicaCount": lowest,
            "maxReplicaCount": max,
            "triggers": triggers,
        },
    }))
}

/// The trigger of all stretches with one time of day, length in minutes and min.
fn trigger(week: &WeekPlan, (hour, minute, minutes, min): (u32, u32, u32, u32), days: BTreeSet<u32>) -> Value {
    let ends = hour * 60 + minute + minutes;
    let last_days = days.iter().map(|day| (day + ends / 1440) % 7).collect();
    let start = Edge::Weekly { hour, minute, days };
    let end = Edge::Weekly { hour: ends % 1440 / 60, minute: ends % 60, days: last_days };
    json!({ "type": "cron", "metadata": {
        "timezone": week.time_zone(), "start": start.cron(), "end": end.cron(), "desiredReplicas": min.to_string() } })
}

fn check(target: &Target) -> Result<(), OutputError> {
    check_names(target)?;
    if !is_dns_subdomain(&target.name) {
        return Err(odd_name("name of the workload", &target.name, "a DNS subdomain"));
    }
    if !["Deployment", "StatefulSet", "ReplicaSet"].contains(&target.kind.as_str()) {
        return Err(odd_name("kind", &target.kind, "Deployment, StatefulSet or ReplicaSet"));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    min_replica_count: Option<u32>,
    max_replica_count: Option<u32>,
    triggers: Vec<Trigger>,
}

#[derive(Deserialize)]
struct Trigger {
    r#type: String,
    metadata: BTreeMap<String, Value>,
}

/// Reads the week of a ScaledObject: its bounds, raised while a cron trigger is active. Other triggers are those of the load, and left
/// aside.
///
/// # Errors
/// [`OutputError::Unreadable`] with the field if it is no ScaledObject, KEDA would refuse a trigger, triggers have different time zones, or
/// one does not come every week alike.
pub fn read(object: &Value) -> Result<WeekPlan, OutputError> {
    if object.get("kind").and_then(Value::as_str) != Some("ScaledObject") {
        return Err(OutputError::unreadable("kind", "it is not ScaledObject"));
    }
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let spec = Spec::deserialize(spec).map_err(|error| OutputError::unreadable("spec", error.to_string()))?;
    if spec.triggers.len() > MAX_TRIGGERS {
        return Err(OutputError::unreadable("spec.triggers", format!("there are more than {MAX_TRIGGERS}")));
    }
    let (min, max) = (spec.min_replica_count.unwrap_or(DEFAULTS.0), spec.max_replica_count.unwrap_or(DEFAULTS.1));
    let outside = Bounds::new(min, max)?;
    let cron = spec.triggers.iter().enumerate().filter(|(_, trigger)| trigger.r#type == "cron");
    let mut zone: Option<&str> = None;
    let mut mins = vec![min; WEEK as usize];
    for (nth, trigger) in cron {
        let field = |name: &str| format!("spec.triggers[{nth}].metadata.{name}");
        let text = |name: &str| {
            let value = trigger.metadata.get(name).and_then(Value::as_str);
            value.ok_or_else(|| OutputError::unreadable(field(name), "it is missing, or no text"))
        };
        let own = text("timezone")?;
        if *zone.get_or_insert(own) != own {
            return Err(OutputError::unreadable(field("timezone"), "another one than that of the triggers before"));
        }
        let (start, end) = (text("start")?, text("end")?);
        if start == end {
            return Err(OutputError::unreadable(field("end"), "the same as the start, which KEDA refuses"));
        }
        let (start, end) = (minutes(field("start"), start)?, minutes(field("end"), end)?);
        let desired = text("desiredReplicas")?.parse::<u32>().ok().filter(|desired| *desired > 0);
        let desired =
            desired.ok_or_else(|| OutputError::unreadable(field("desiredReplicas"), "not a number from 1 on"))?;
        // The HPA gives no more than its max, whatever asks.
        raise(&mut mins, &start, &end, desired.min(max));
    }
    let mut week = WeekPlan::new(zone.unwrap_or("UTC"), outside)?;
    week.fill_minutes(&mins.iter().map(|min| Bounds::new(*min, max)).collect::<Result<Vec<_>, _>>()?);
    Ok(week)
}

/// Minutes of the week at which an expression fires.
fn minutes(field: String, text: &str) -> Result<BTreeSet<u32>, OutputError> {
    if text.starts_with('@') {
        return Err(OutputError::unreadable(field, "KEDA takes no macros"));
    }
    super::week::minutes_of(field, text)
}

/// Raises the minutes in which the next end is not after the next start.
fn raise(mins: &mut [u32], start: &BTreeSet<u32>, end: &BTreeSet<u32>, desired: u32) {
    let next = |set: &BTreeSet<u32>, minute: u32| {
        let later = set.range(minute + 1..).next().copied();
        later.or_else(|| set.first().map(|first| first + WEEK)).unwrap_or(u32::MAX)
    };
    for (minute, min) in (0..WEEK).zip(mins) {
        if next(end, minute) <= next(start, minute) {
            *min = desired.max(*min);
        }
    }
}
