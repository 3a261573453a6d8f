//! What the owner of an HPA asks of the controller, as annotations of the HPA.
//!
//! | annotation | value | effect |
//! | --- | --- | --- |
//! | `kube-scaling/mode` | `observe`, `floors`, `full` | makes it a target; may be a label instead |
//! | `kube-scaling/promotion` | `host`, `evidence` | who hands it over further: the owner, by the mode (the default), or evidence, from the mode on ([`Promotion`]) |
//! | `kube-scaling/engine` | a name | the engine that the host knows by this name |
//! | `kube-scaling/hard-min`, `kube-scaling/hard-max` | pods | [`HardLimits`] of this workload, within those of the host |
//! | `kube-scaling/cooldown` | a duration, such as `90s` or `10m` | no bound is lowered sooner after any change |
//! | `kube-scaling/step-up` | a factor, such as `1.5` | requests grow to at most so many times the pods that run |
//! | `kube-scaling/step-down` | percent, such as `80%` | at least this share of the pods is kept at once |
//! | `kube-scaling/ceiling` | `rest`, `follow` | the max while less is needed than its owner allows ([`Ceiling`]) |
//! | `kube-scaling/headroom` | percent | room above the request for the HPA |
//! | `kube-scaling/start-up` | a duration | from the creation of a pod to its first request |
//! | `kube-scaling/pod-capacity` | requests per second | what one pod serves at full utilization |
//! | `kube-scaling/max-wait` | a duration | a request that waits longer violates |
//!
//! Each is read strictly, and all faults are told together: a value that is not exactly one of these, an annotation of ours that nobody
//! knows (with the nearest that there is), settings without a mode. A target with a fault is [observed only](Mode::Observe): a typing
//! error never lets us do more than its owner meant.
//!
//! ```
//! use std::collections::BTreeMap;
//! use scaling_k8s::controller::settings::{Mode, Settings};
//!
//! let annotations = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
//!     pairs.iter().map(|(key, value)| (format!("kube-scaling/{key}"), (*value).to_owned())).collect()
//! };
//! let labels = BTreeMap::new();
//! let settings = Settings::of(&labels, &annotations(&[("mode", "floors"), ("hard-max", "40"), ("cooldown", "10m")]))?;
//! assert_eq!(settings.expect("it has a mode").mode, Mode::Floors);
//! assert_eq!(Settings::of(&labels, &annotations(&[]))?, None, "no target");
//!
//! let faults = Settings::of(&labels, &annotations(&[("mode", "floors"), ("hard-mux", "40")])).unwrap_err();
//! assert_eq!(faults.to_string(), "kube-scaling/hard-mux is not known; did you mean kube-scaling/hard-max?");
//! # Ok::<(), scaling_k8s::controller::settings::SettingErrors>(())
//! ```

mod error;
mod event;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use scaling_core::{Adoption, BoundsPolicy, Ceiling, Cooldown, HardLimits, StepLimit, WorkloadFacts};
use serde::{Deserialize, Serialize};

pub use error::{SettingError, SettingErrors};
pub use event::SettingEvents;

use value::Reader;

/// Start of the key of every label and annotation of ours.
pub const PREFIX: &str = "kube-scaling/";

/// Keys that are settings, without the [`PREFIX`].
const KNOWN: [&str; 13] = [
    "mode",
    "promotion",
    "engine",
    "hard-min",
    "hard-max",
    "cooldown",
    "step-up",
    "step-down",
    "ceiling",
    "headroom",
    "start-up",
    "pod-capacity",
    "max-wait",
];

/// Keys of ours that are no settings: what we keep at an HPA ourselves, and what belongs on CronJobs.
const OTHERS: [&str; 6] = ["resting-bounds", "adoption", "history", "schedule", "week", "hpa"];

/// Extent to which a target is managed. Each includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decisions are made and recorded, and nothing is written.
    #[default]
    Observe,
    /// Floors that are due are held, and the engine's own requests are recorded only.
    Floors,
    /// Everything that the guards approve is applied.
    Full,
}

impl Mode {
    const NAMES: [(&'static str, Self); 3] =
        [("observe", Self::Observe), ("floors", Self::Floors), ("full", Self::Full)];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, mode)| mode == self);
        f.write_str(name.map_or("observe", |(name, _)| name))
    }
}

impl From<Mode> for Adoption {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Observe => Self::Observe,
            Mode::Floors => Self::Floors,
            Mode::Full => Self::Full,
        }
    }
}

/// Who hands a target over further than its mode says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promotion {
    /// Its owner, by the mode. Reports tell them when.
    #[default]
    Host,
    /// The evidence of the days that were seen, if the controller [makes trials](super::fleet::AdoptionTrials). The mode is the stage to begin
    /// with, and the least. The stage that was reached stands in an annotation of ours ([`stage`](crate::stage)).
    Evidence,
}

/// Settings of one target. What is none is for the host to say.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Extent to which it is managed.
    pub mode: Mode,
    /// Who hands it over further than that.
    pub promotion: Promotion,
    /// Name of the engine, which the host resolves.
    pub engine: Option<Arc<str>>,
    /// Fewest pods allowed.
    pub hard_min: Option<u32>,
    /// Most pods allowed.
    pub hard_max: Option<u32>,
    /// Pause between any change and one that lowers a bound.
    pub cooldown: Option<Duration>,
    /// Most times the present size that is requested at once: 1 to 10.
    pub step_up: Option<f64>,
    /// Share of the present size that is kept at once: 0 to 1.
    pub step_down: Option<f64>,
    /// The max while less is needed than its owner allows.
    pub ceiling: Option<Ceiling>,
    /// Room above the request for the HPA, as a share of the request: 0 to 10.
    pub headroom: Option<f64>,
    /// Time from the creation of a pod to its first request.
    pub start_up: Option<Duration>,
    /// Requests per second that one pod serves at full utilization.
    pub pod_capacity: Option<f64>,
    /// Waiting time beyond which a request violates the objective.
    pub max_wait: Option<Duration>,
}

impl Settings {
    /// Reads the settings among the labels and annotations of an HPA. None if it has none of ours: then it is no target.
    ///
    /// # Errors
    /// [`SettingErrors`], all of them. Such a target is observed only.
    pub fn of(
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, SettingErrors> {
        let mut reader = Reader::new(labels, annotations);
        if reader.is_empty() {
            return Ok(None);
        }
        let settings = Self {
            mode: reader.mode().unwrap_or_default(),
            promotion: reader.promotion().unwrap_or_default(),
            engine: reader.name("engine"),
            hard_min: reader.pods("hard-min", 0),
            hard_max: reader.pods("hard-max", 1),
            cooldown: reader.duration("cooldown"),
            step_up: reader.decimal("step-up", 1.0, 10.0, "a factor from 1 to 10, such as 1.5"),
            step_down: reader.percent("step-down", 100.0, "percent from 0% to 100%"),
            ceiling: reader.ceiling("ceiling"),
            headroom: reader.percent("headroom", 1000.0, "percent from 0% to 1000%"),
            start_up: reader.duration("start-up"),
            pod_capacity: reader.decimal("pod-capacity", 0.001, 1e9, "requests per second, from 0.001 to 1000000000"),
            max_wait: reader.duration("max-wait"),
        };
        if let (Some(min), Some(max)) = (settings.hard_min, settings.hard_max)
            && min > max
        {
            reader.fault(SettingError::MinAboveMax { min, max });
        }
        reader.finish().map(|()| Some(settings))
    }

    /// The hard limits of this target: those of the host, narrowed by its own. They are never wider than the host's.
    ///
    /// # Errors
    /// [`SettingError::OutsideHost`] if the two have no size in common.
    ///
    /// ```
    /// use scaling_core::HardLimits;
    /// use scaling_k8s::controller::settings::Settings;
    ///
    /// let mut settings = Settings::default();
    /// settings.hard_max = Some(5000);
    /// assert_eq!(settings.limits(HardLimits::new(1, 1000)?)?, HardLimits::new(1, 1000)?);
    /// settings.hard_max = Some(40);
    /// assert_eq!(settings.limits(HardLimits::new(1, 1000)?)?, HardLimits::new(1, 40)?);
    /// settings.hard_min = Some(30);
    /// assert!(settings.limits(HardLimits::new(1, 20)?).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limits(&self, host: HardLimits) -> Result<HardLimits, SettingError> {
        let bounds = host.bounds();
        let min = self.hard_min.unwrap_or(0).max(bounds.min());
        let max = self.hard_max.unwrap_or(u32::MAX).min(bounds.max());
        let outside = || SettingError::OutsideHost { min: self.hard_min, max: self.hard_max, host };
        HardLimits::new(min, max).map_err(|_| outside())
    }

    /// The host's policy with what is set here.
    #[must_use]
    pub fn policy(&self, mut host: BoundsPolicy) -> BoundsPolicy {
        host.ceiling = self.ceiling.unwrap_or(host.ceiling);
        host.headroom_share = self.headroom.unwrap_or(host.headroom_share);
        host
    }

    /// The host's pauses with what is set here: one pause for everything that lowers a bound.
    #[must_use]
    pub fn cooldown(&self, host: Cooldown) -> Cooldown {
        match self.cooldown {
            Some(pause) => Cooldown { down: pause, down_foreseen: pause, down_idle: pause, ..host },
            None => host,
        }
    }

    /// The host's steps with what is set here.
    #[must_use]
    pub fn step(&self, host: StepLimit) -> StepLimit {
        StepLimit { up: self.step_up.unwrap_or(host.up), down: self.step_down.unwrap_or(host.down) }
    }

    /// The host's facts with what is set here.
    #[must_use]
    pub fn facts(&self, mut host: WorkloadFacts) -> WorkloadFacts {
        host.start_up = self.start_up.unwrap_or(host.start_up);
        host.pod_capacity = self.pod_capacity.or(host.pod_capacity);
        host.objective.wait = self.max_wait.unwrap_or(host.objective.wait);
        // Nobody gives up before a wait that is still fine.
        host.objective.patience = host.objective.patience.max(host.objective.wait);
        host
    }
}
