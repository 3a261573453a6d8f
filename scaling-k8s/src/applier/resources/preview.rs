//! A change of sizes as it is told: [`Preview`] and [`Resized`].

use std::fmt;

use scaling_core::ApplyMode;
use serde_json::{Value, json};

use super::{InUse, ResizeWay, UsedWithin};
use crate::vertical::{Checked, Effect, Simulation, Usage, shown};

/// A change that the checks allow, before anything of it is made.
///
/// As text it is the sizes before and after, the use that they were checked against, the pods, and the effect on the HPA.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// Way that would be taken: in place or by a rollout.
    pub way: ResizeWay,
    /// The pods that would be resized in place; those of the right size already are not among them. Of a change that was carried out, all
    /// that were resized.
    pub pods: Vec<String>,
    /// The new size; none if nothing is left to do.
    pub checked: Option<Checked>,
    /// The highest use of the container, which a smaller size was checked against.
    pub used: Usage,
    /// Time and pods of that use, where they are known.
    pub seen: Option<UsedWithin>,
    /// The effect on the HPA of the target at the present use; none if it has none.
    pub effect: Option<Effect>,
    /// What the HPA then does over time; none if it has no HPA, or the use is not known.
    pub simulation: Option<Simulation>,
}

/// Result of a change of sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Resized {
    /// Mode that was carried out.
    pub mode: ApplyMode,
    /// True if anything is, or with a dry run would be, different.
    pub changed: bool,
    /// What was looked at before.
    pub preview: Preview,
}

impl Preview {
    pub(super) fn new(way: ResizeWay, used: &InUse) -> Self {
        let (used, seen) = (used.container, used.seen);
        Self { way, pods: Vec::new(), checked: None, used, seen, effect: None, simulation: None }
    }

    /// The same after what was told before, in one call: what was to be done from the start stays told.
    pub(super) fn after(mut self, earlier: Option<Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        let new = self.pods.into_iter().filter(|pod| !earlier.pods.contains(pod));
        self.pods = earlier.pods.iter().cloned().chain(new).collect();
        self.checked = earlier.checked.or(self.checked);
        self.effect = earlier.effect.or(self.effect);
        self.simulation = earlier.simulation.or(self.simulation);
        self
    }

    /// The same as JSON, with amounts as Kubernetes writes them.
    pub fn to_json(&self) -> Value {
        let change = self.checked.as_ref().map(|checked| {
            json!({ "container": checked.container, "qos": checked.qos, "old": checked.old.to_json(), "new": checked.new.to_json() })
        });
        json!({
            "way": self.way.to_string(),
            "pods": self.pods,
            "change": change,
            "used": { "cpu_millicores": self.used.cpu_millicores, "memory_bytes": self.used.memory_bytes },
            "used_within": self.seen.map(|seen| seen.to_string()),
            "effect": self.effect,
            "simulation": self.simulation,
        })
    }
}

impl fmt::Display for ResizeWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InPlaceElseRollout => "in place, else by a rollout",
            Self::InPlace => "in place",
            Self::Rollout => "by a rollout",
        })
    }
}

impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(checked) = &self.checked else { return f.write_str("nothing is left to do") };
        write!(f, "container {}, {}, stays {}", checked.container, self.way, checked.qos)?;
        for (part, old, new) in [
            ("requests", &checked.old.requests, &checked.new.requests),
            ("limits", &checked.old.limits, &checked.new.limits),
        ] {
            for resource in new.names() {
                let (before, after) = (old.get(resource), new.get(resource));
                if let (Some(before), Some(after)) = (before, after.filter(|_| before != after)) {
                    write!(f, "\n{part}.{resource}: {} -> {}", shown(resource, before), shown(resource, after))?;
                }
            }
        }
        let Usage { cpu_millicores, memory_bytes } = self.used;
        let told = |resource: &str, amount: Option<u64>, unit: i64| {
            let milli = amount.and_then(|amount| i64::try_from(amount).ok()?.checked_mul(unit));
            milli.map_or_else(|| "not known".to_owned(), |milli| shown(resource, milli))
        };
        write!(f, "\nuse: cpu {}, memory {}", told("cpu", cpu_millicores, 1), told("memory", memory_bytes, 1000))?;
        if let Some(seen) = &self.seen {
            write!(f, ", {seen}")?;
        }
        if !self.pods.is_empty() {
            write!(f, "\npods: {}", self.pods.join(", "))?;
        }
        if let Some(effect) = &self.effect {
            write!(f, "\n{effect}")?;
        }
        if let Some(simulation) = &self.simulation {
            write!(f, "\n{simulation}")?;
        }
        Ok(())
    }
}
