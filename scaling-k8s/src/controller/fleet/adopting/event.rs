//! Reports as Kubernetes Events: one object for each HPA.

use std::collections::HashMap;

use scaling_core::Target;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::report::{AdoptionReport, AdoptionStep};
use crate::history::{About, MAX_COMPONENT, MAX_MESSAGE, News, cut, is_early};

/// Shortest time between an Event of an HPA and one that tells of no step.
const EVERY: TimeDelta = TimeDelta::hours(1);
/// Workloads that are kept.
const TARGETS: usize = 20_000;
/// Part of the Event's name that keeps it apart from those of the changes and the settings.
const SERIES: &str = "/adoption";

/// Reports as Events. What is told twice in a row is told once.
#[derive(Debug)]
pub(super) struct AdoptionEvents {
    component: String,
    series: HashMap<Target, Series>,
}

#[derive(Debug)]
struct Series {
    uid: Option<String>,
    first: DateTime<Utc>,
    sent: DateTime<Utc>,
    message: String,
    count: u32,
}

impl AdoptionEvents {
    pub(super) fn new(component: &str) -> Self {
        Self { component: cut(component, MAX_COMPONENT), series: HashMap::new() }
    }

    /// Takes in a report about the HPA with this uid, and gives the Event to be written, if one is.
    pub(super) fn take(&mut self, report: &AdoptionReport, uid: Option<&str>) -> Option<Value> {
        let (target, at) = (&report.target, report.at);
        let reason = reason(report);
        let message = cut(&report.to_string(), MAX_MESSAGE);
        if self.series.len() >= TARGETS && !self.series.contains_key(target) {
            let oldest = self.series.iter().min_by_key(|(_, series)| series.sent).map(|(target, _)| target.clone())?;
            self.series.remove(&oldest);
        }
        let before = self.series.get(target).filter(|series| series.uid.as_deref() == uid);
        // A step is told at once, and stands for a while.
        let is_step = matches!(report.step, AdoptionStep::Promote(_) | AdoptionStep::StepBack(_));
        let is_told = |series: &Series| series.message == message || !is_step && is_early(at, series.sent, EVERY);
        if before.is_some_and(is_told) {
            return None;
        }
        let (first, count) = before.map_or((at, 1), |series| (series.first, series.count.saturating_add(1)));
        let event = self.event(report, uid, reason, &message, (first, count));
        let uid = uid.map(str::to_owned);
        self.series.insert(target.clone(), Series { uid, first, sent: at, message, count });
        Some(event)
    }

    fn event(
        &self,
        report: &AdoptionReport,
        uid: Option<&str>,
        reason: &'static str,
        message: &str,
        (first, count): (DateTime<Utc>, u32),
    ) -> Value {
        let name = format!("{}{SERIES}", self.component);
        let about = About { component: &self.component, name: &name, target: &report.target, uid };
        let is_bad = report.not_kept.is_some() || matches!(report.step, AdoptionStep::StepBack(_));
        let kind = if is_bad { "Warning" } else { "Normal" };
        about.event(News { kind, reason, message }, (first, report.at), count)
    }
}

fn reason(report: &AdoptionReport) -> &'static str {
    match report.step {
        _ if report.not_kept.is_some() => "AdoptionNotKept",
        AdoptionStep::Promote(_) => "AdoptionPromoted",
        AdoptionStep::StepBack(_) => "AdoptionSteppedBack",
        AdoptionStep::Stay | AdoptionStep::Advise(_) => "AdoptionReport",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use scaling_core::Adoption;
    use serde_json::json;

    use super::*;
    use crate::controller::fleet::adopting::report::Untried;
    use crate::controller::settings::Promotion;

    #[test]
    fn a_report_is_one_series_and_the_same_thing_is_told_once_an_hour_at_most() {
        let report = |minutes: i64, samples: usize, step: AdoptionStep| AdoptionReport {
            target: Target::deployment("shop", "web"),
            at: DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes),
            in_force: Adoption::Observe,
            promotion: Promotion::Evidence,
            trials: Err(Untried::TooFewDays { samples, hours: 3 }),
            step,
            not_kept: None,
            may_be_kept: false,
        };
        let mut events = AdoptionEvents::new("kube-scaling");
        let first = events.take(&report(0, 1, AdoptionStep::Stay), Some("a")).unwrap();
        assert_eq!(first["reason"], "AdoptionReport");
        let message = first["message"].as_str().unwrap();
        assert!(
            message.starts_with("observe is in force; not tried: 1 samples over 3 hours are too few days"),
            "{message}"
        );
        assert_eq!(events.take(&report(30, 2, AdoptionStep::Stay), Some("a")), None, "too early");
        assert_eq!(events.take(&report(90, 1, AdoptionStep::Stay), Some("a")), None, "told already");
        let second = events.take(&report(91, 2, AdoptionStep::Stay), Some("a")).unwrap();
        assert_eq!((&second["count"], &second["metadata"]["name"]), (&json!(2), &first["metadata"]["name"]));
        let step = events.take(&report(92, 3, AdoptionStep::StepBack(Adoption::Observe)), Some("a")).unwrap();
        assert_eq!((&step["reason"], &step["type"]), (&json!("AdoptionSteppedBack"), &json!("Warning")));
        assert_eq!(events.take(&report(93, 4, AdoptionStep::Stay), Some("a")), None, "a step stands for a while");
        let other = events.take(&report(93, 3, AdoptionStep::StepBack(Adoption::Observe)), Some("b")).unwrap();
        assert_eq!(other["count"], 1, "another object has been told nothing");
    }
}
