//! What is known of one HPA.

use std::sync::Arc;

use scaling_core::hpa::InvalidHpa;
use scaling_core::{Adoption, HpaState, Target};
use serde_json::Value;

use super::object::Object;
use super::version::Version;
use crate::annotation;
use crate::controller::settings::{Mode, Promotion, SettingErrors, Settings};
use crate::history;
use crate::manifest::{API_VERSION, KIND};
use crate::resting::{ANNOTATION, Memory, Seen};
use crate::stage::{self, DamagedStage, ReachedStage};

/// A target with what its owner asks for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FleetTarget {
    /// The workload and its HPA.
    pub target: Target,
    /// Identity of the HPA: another one of the same name is another target.
    pub uid: Option<String>,
    /// Its settings, or their faults: then it is observed only.
    pub settings: Result<Settings, SettingErrors>,
    /// The stage of adoption that its HPA says it has reached by evidence, or the reason why what it says is not used. None without the
    /// annotation.
    pub reached: Result<Option<ReachedStage>, DamagedStage>,
}

impl FleetTarget {
    /// Extent to which it is managed: [`Mode::Observe`] where a setting has a fault.
    pub fn mode(&self) -> Mode {
        self.settings.as_ref().map_or(Mode::Observe, |settings| settings.mode)
    }

    /// Stage of adoption that is in force: the mode, or what evidence has [reached](Self::in_force) from it.
    pub fn stage(&self) -> Adoption {
        self.in_force().map_or_else(|| self.mode().into(), |reached| reached.stage)
    }

    /// The stage that was reached, where it holds: for a target that is promoted by evidence, from the mode and with the engine that it has now.
    pub fn in_force(&self) -> Option<&ReachedStage> {
        let (settings, reached) = (self.settings.as_ref().ok()?, self.reached.as_ref().ok()?.as_ref()?);
        let holds = settings.promotion == Promotion::Evidence
            && reached.begins == settings.mode.into()
            && reached.engine.as_deref() == settings.engine.as_deref();
        holds.then_some(reached)
    }
}

/// An HPA in the cache.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) version: Version,
    pub(super) pods: Option<u32>,
    /// Shared with the reads, and kept while nothing but the status changes.
    pub(super) known: Arc<Known>,
    /// True if this process has seen it as a target, or it says itself that it was one: its resting bounds, or a history, stand there under our
    /// field manager.
    pub(super) was_target: bool,
}

#[derive(Debug)]
pub(super) struct Known {
    object: Object,
    pub(super) target: Target,
    /// None if it is no target.
    pub(super) listed: Option<Arc<FleetTarget>>,
    pub(super) state: Result<HpaState, InvalidHpa>,
    pub(super) memory: Memory,
    /// True if there is a stage of ours that tells nothing any more: it is to be taken away.
    pub(super) outdated: bool,
    /// True if it tells that we hold it: resting bounds that are ours by the managed fields, or changes of ours.
    is_held: bool,
}

impl Entry {
    /// Reads an HPA. What is known of it already is kept where it says the same.
    pub(super) fn new(mut object: Object, manager: &str, cluster: Option<&str>, before: Option<&Self>) -> Self {
        let version = Version::of(object.metadata.resource_version.take());
        let pods = object.pods();
        object.status = None;
        let object = object.reduced();
        let known = match before {
            Some(before) if before.known.object == object => Arc::clone(&before.known),
            _ => Arc::new(Known::new(object, manager, cluster)),
        };
        let before = before.filter(|before| before.uid() == known.uid());
        let was_target = known.listed.is_some() || known.is_held || before.is_some_and(|before| before.was_target);
        Self { version, pods, known, was_target }
    }

    pub(super) fn uid(&self) -> Option<&str> {
        self.known.object.metadata.uid.as_deref()
    }

    /// The HPA as an applier tells it.
    pub(super) fn state(&self) -> Result<HpaState, InvalidHpa> {
        let state = self.known.state.clone()?;
        Ok(self.pods.map_or(state, |pods| state.with_pods(pods)))
    }

    /// The object as far as it is kept, in the JSON of the API.
    pub(super) fn json(&self) -> Value {
        let mut json = self.known.object.json();
        if let (Some(metadata), Some(version)) =
            (json.get_mut("metadata").and_then(Value::as_object_mut), self.version.text())
        {
            metadata.insert("resourceVersion".to_owned(), version.into());
        }
        json
    }
}

impl Object {
    fn json(&self) -> Value {
        // Plain data with string keys: it always has a JSON form.
        let mut json = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = json.as_object_mut() {
            fields.insert("apiVersion".to_owned(), API_VERSION.into());
            fields.insert("kind".to_owned(), KIND.into());
        }
        json
    }
}

impl Known {
    pub(super) fn uid(&self) -> Option<&str> {
        self.object.metadata.uid.as_deref()
    }

    fn new(object: Object, manager: &str, cluster: Option<&str>) -> Self {
        let json = object.json();
        let (state, memory) = match Seen::of(&json, manager) {
            Ok(seen) => (Ok(seen.state.bounds_only()), seen.memory),
            Err(error) => (Err(error), Memory::Nothing),
        };
        let (metadata, scaled) = (&object.metadata, &object.spec.scale_target_ref);
        let target = Target {
            cluster: cluster.map(str::to_owned),
            namespace: metadata.namespace.clone(),
            name: scaled.name.clone(),
            kind: scaled.kind.clone(),
            hpa: metadata.name.clone(),
        };
        let reached = ReachedStage::of(&json, manager);
        let listed = |settings| FleetTarget {
            target: target.clone(),
            uid: metadata.uid.clone(),
            settings,
            reached: reached.clone(),
        };
        let listed = match Settings::of(&metadata.labels, &metadata.annotations) {
            Ok(None) => None,
            Ok(Some(settings)) => Some(Arc::new(listed(Ok(settings)))),
            Err(faults) => Some(Arc::new(listed(Err(faults)))),
        };
        // A typing error in another setting costs no evidence.
        let is_kept = listed.as_ref().is_some_and(|listed| listed.settings.is_err() || listed.in_force().is_some());
        let outdated = !is_kept && stage::is_kept(&json, manager);
        let tells_history = || history::of_hpa(&json, manager).is_ok_and(|changes| !changes.is_empty());
        let keeps_resting =
            annotation::value(&json, ANNOTATION).is_some() && annotation::is_applied(&json, ANNOTATION, manager);
        let is_held = keeps_resting || tells_history();
        Self { object, target, listed, state, memory, outdated, is_held }
    }
}
