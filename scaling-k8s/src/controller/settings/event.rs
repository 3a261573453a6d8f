//! Faults of settings as Kubernetes Events: one object for each HPA, written when something changes.

use std::collections::HashMap;
use std::time::Duration;

use scaling_core::Target;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{SettingErrors, Settings};
use crate::history::{About, MAX_COMPONENT, MAX_MESSAGE, News, cut, is_early};

/// Workloads that are kept.
const TARGETS: usize = 20_000;
/// Part of the Event's name that keeps it apart from that of the changes.
const SERIES: &str = "/settings";

/// Answers to the settings of HPAs as Events of the core API: `SettingsRefused` with every fault, and `SettingsAccepted` once they
/// are gone. Settings without a fault, from the beginning, get no answer.
///
/// All answers to one HPA are one object, and the same answer is given once. Of each HPA one is given out in a while at most; one that
/// was held back comes when it is [`due`](Self::due), if it is still true.
///
/// An Event is written by a server-side apply, which creates it or moves it on.
#[derive(Debug)]
pub struct SettingEvents {
    component: String,
    every: TimeDelta,
    series: HashMap<Target, Series>,
}

#[derive(Debug, Default)]
struct Series {
    uid: Option<String>,
    /// The answer that is true now; none for settings without a fault.
    now: Option<String>,
    /// The answer that was given out last.
    told: Option<String>,
    first: Option<DateTime<Utc>>,
    sent: Option<DateTime<Utc>>,
    count: u32,
}

impl Series {
    fn is_told(&self) -> bool {
        self.now == self.told
    }
}

impl SettingEvents {
    /// Events of a component, the field manager as a rule: of each HPA one in such a while at most.
    pub fn new(component: impl AsRef<str>, every: Duration) -> Self {
        let component = cut(component.as_ref(), MAX_COMPONENT);
        Self { component, every: TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX), series: HashMap::new() }
    }

    /// Takes in the settings of the HPA with this uid, and gives the Event to be written now, if one is.
    pub fn take(
        &mut self,
        target: &Target,
        uid: Option<&str>,
        settings: Result<&Settings, &SettingErrors>,
        now: DateTime<Utc>,
    ) -> Option<Value> {
        self.note(target, uid, settings);
        self.give(target, now)
    }

    /// Takes in the settings of the HPA with this uid. The Event comes when it is [`due`](Self::due).
    pub fn note(&mut self, target: &Target, uid: Option<&str>, settings: Result<&Settings, &SettingErrors>) {
        if settings.is_ok() && !self.series.contains_key(target) {
            return;
        }
        if self.series.len() >= TARGETS && !self.series.contains_key(target) {
            let oldest = self.series.iter().min_by_key(|(_, series)| series.sent).map(|(target, _)| target.clone());
            oldest.map(|oldest| self.series.remove(&oldest));
        }
        let series = self.series.entry(target.clone()).or_default();
        if series.uid.as_deref() != uid {
            // Another object of the same name has been told nothing.
            *series = Series { uid: uid.map(str::to_owned), ..Series::default() };
        }
        series.now = settings.err().map(|faults| cut(&faults.to_string(), MAX_MESSAGE));
    }

    /// The Events that were held back and are due by now, in the order of their workloads; at most so many, and the others another time.
    pub fn due(&mut self, now: DateTime<Utc>, most: usize) -> Vec<Value> {
        let mut waiting: Vec<Target> =
            self.series.iter().filter(|(_, series)| !series.is_told()).map(|(target, _)| target.clone()).collect();
        waiting.sort();
        waiting.iter().filter_map(|target| self.give(target, now)).take(most).collect()
    }

    /// Forgets a workload that is gone.
    pub fn forget(&mut self, target: &Target) {
        self.series.remove(target);
    }

    fn give(&mut self, target: &Target, now: DateTime<Utc>) -> Option<Value> {
        let series = self.series.get_mut(target)?;
        if series.is_told() || series.sent.is_some_and(|sent| is_early(now, sent, self.every)) {
            return None;
        }
        series.told.clone_from(&series.now);
        series.sent = Some(now);
        series.count = series.count.saturating_add(1);
        let first = *series.first.get_or_insert(now);
        let (kind, reason, message) = match &series.told {
            Some(faults) => ("Warning", "SettingsRefused", format!("observed only: {faults}")),
            None => ("Normal", "SettingsAccepted", "all settings are understood".to_owned()),
        };
        let name = format!("{}{SERIES}", self.component);
        let about = About { component: &self.component, name: &name, target, uid: series.uid.as_deref() };
        Some(about.event(News { kind, reason, message: &message }, (first, now), series.count))
    }
}
