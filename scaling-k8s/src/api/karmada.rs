//! A week as a Karmada CronFederatedHPA, and back.
//!
//! Its rules set the min and the max of a FederatedHPA at the times at which they change. They hold edges, no state: a rule that was
//! missed, or whose time the clock skipped, is made up by the next one only. Events cannot be expressed, since cron knows no year.
//!
//! ```
//! use scaling_core::chrono::Weekday::{Fri, Mon};
//! use scaling_core::{Bounds, Target};
//! use scaling_k8s::api::{Moment, WeekPlan, karmada};
//!
//! let mut week = WeekPlan::new("Europe/Berlin", Bounds::new(2, 10)?)?;
//! week.set(Moment::new(Mon, 8, 0)?, Moment::new(Fri, 18, 30)?, Bounds::new(5, 20)?);
//! let object = karmada::cron_federated_hpa(&Target::deployment("shop", "checkout"), &week)?;
//! let rule = &object["spec"]["rules"][0];
//! assert_eq!((&rule["schedule"], &rule["targetMaxReplicas"]), (&"0 8 * * MON".into(), &20.into()));
//! assert_eq!(karmada::read(&object)?.at(Moment::new(Mon, 8, 0)?), Bounds::new(5, 20)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};

use scaling_core::{Bounds, Target};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::check_names;
use super::week::{Edge, WEEK, minutes_of};
use super::{Moment, OutputError, WeekPlan};

const OUTPUT: &str = "a CronFederatedHPA of Karmada";
/// API version of it and of the FederatedHPA.
const API_VERSION: &str = "autoscaling.karmada.io/v1alpha1";
/// Rules of an object that is read.
const MAX_RULES: usize = 1_000;

/// The CronFederatedHPA of a week on the FederatedHPA that has the name of the target's HPA. A week that never changes has one rule, every
/// day at midnight.
///
/// # Errors
/// [`OutputError::Inexpressible`] if there are events, or a min is 0, which Karmada refuses; [`OutputError::Name`] if namespace or HPA cannot be called so.
pub fn cron_federated_hpa(target: &Target, week: &WeekPlan) -> Result<Value, OutputError> {
    check_names(target)?;
    if week.has_events() {
        let what = "events of one date: its rules would come again each year; render the week without them".to_owned();
        return Err(OutputError::Inexpressible { output: OUTPUT, what });
    }
    week.check_min(OUTPUT)?;
    let mut days_of: BTreeMap<(u32, u32, u32, u32), BTreeSet<u32>> = BTreeMap::new();
    for (from, _, bounds) in week.stretches() {
        let key = (from.hour(), from.minute(), bounds.min(), bounds.max());
        days_of.entry(key).or_default().insert(from.day().num_days_from_monday());
    }
    if days_of.is_empty() {
        let bounds = week.at(Moment::of_week(0));
        days_of.insert((0, 0, bounds.min(), bounds.max()), (0..7).collect());
    }
    let rule = |((hour, minute, min, max), days): ((u32, u32, u32, u32), BTreeSet<u32>)| {
        json!({
            "name": format!("{hour:02}{minute:02}-{min}-{max}"),
            "schedule": Edge::Weekly { hour, minute, days }.cron(),
            "timeZone": week.time_zone(),
            "targetMinReplicas": min,
            "targetMaxReplicas": max,
            "suspend": false,
            "successfulHistoryLimit": 1,
            "failedHistoryLimit": 3,
        })
    };
    let rules: Vec<Value> = days_of.into_iter().map(rule).collect();
    Ok(json!({
        "apiVersion": API_VERSION,
        "kind": "CronFederatedHPA",
        "metadata": { "name": target.hpa, "namespace": target.namespace, "labels": { "app.kubernetes.io/managed-by": "kube-scaling" } },
        "spec": {
            "scaleTargetRef": { "apiVersion": API_VERSION, "kind": "FederatedHPA", "name": target.hpa },
            "rules": rules,
        },
    }))
}

#[derive(Deserialize)]
struct Spec {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    schedule: String,
    time_zone: Option<String>,
    target_min_replicas: Option<u32>,
    target_max_replicas: Option<u32>,
    target_replicas: Option<i64>,
    #[serde(default)]
    suspend: bool,
}

/// Reads the week of a CronFederatedHPA: each rule holds what it sets until the next one that sets the same. Suspended rules do not.
///
/// # Errors
/// [`OutputError::Unreadable`] with the field if it is none, nothing sets the min or the max, two rules set them apart at the same time,
/// rules have different time zones or none, or one does not come every week alike.
pub fn read(object: &Value) -> Result<WeekPlan, OutputError> {
    if object.get("kind").and_then(Value::as_str) != Some("CronFederatedHPA") {
        return Err(OutputError::unreadable("kind", "it is not CronFederatedHPA"));
    }
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let spec = Spec::deserialize(spec).map_err(|error| OutputError::unreadable("spec", error.to_string()))?;
    if spec.rules.len() > MAX_RULES {
        return Err(OutputError::unreadable("spec.rules", format!("there are more than {MAX_RULES}")));
    }
    let mut zone: Option<&str> = None;
    let (mut mins, mut maxes) = (BTreeMap::new(), BTreeMap::new());
    for (nth, rule) in spec.rules.iter().enumerate().filter(|(_, rule)| !rule.suspend) {
        let field = |name: &str| format!("spec.rules[{nth}].{name}");
        if rule.target_replicas.is_some() {
            return Err(OutputError::unreadable(field("targetReplicas"), "it sets replicas, and bounds are read"));
        }
        // Without one it would be that of the process which runs the rules.
        let own =
            rule.time_zone.as_deref().ok_or_else(|| OutputError::unreadable(field("timeZone"), "it is missing"))?;
        if *zone.get_or_insert(own) != own {
            return Err(OutputError::unreadable(field("timeZone"), "another one than that of the rules before"));
        }
        for minute in minutes_of(field("schedule"), &rule.schedule)? {
            for (target, all) in [(rule.target_min_replicas, &mut mins), (rule.target_max_replicas, &mut maxes)] {
                let Some(target) = target else { continue };
                if *all.entry(minute).or_insert(target) != target {
                    let why = "it sets something else than another rule at the same time";
                    return Err(OutputError::unreadable(field("schedule"), why));
                }
            }
        }
    }
    let (mins, maxes) = (held(&mins, "targetMinReplicas")?, held(&maxes, "targetMaxReplicas")?);
    let bounds = mins.into_iter().zip(maxes).map(|(min, max)| Bounds::new(min, max)).collect::<Result<Vec<_>, _>>()?;
    let first = bounds.first().copied().ok_or_else(|| OutputError::unreadable("spec.rules", "there is none"))?;
    let mut week = WeekPlan::new(zone.unwrap_or("UTC"), first)?;
    week.fill_minutes(&bounds);
    Ok(week)
}

/// A value for each minute of the week: what was set last.
fn held(set: &BTreeMap<u32, u32>, field: &str) -> Result<Vec<u32>, OutputError> {
    let last = set.values().next_back().copied();
    let mut value = last.ok_or_else(|| OutputError::unreadable("spec.rules", format!("none has a {field}")))?;
    let minute = |minute| {
        value = set.get(&minute).copied().unwrap_or(value);
        value
    };
    Ok((0..WEEK).map(minute).collect())
}
