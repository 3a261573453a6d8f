//! [`MemoryApplier`]: HPAs in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Applied, ApplyError, ApplyMode, HpaApplier, HpaState};
use crate::bounds::Bounds;
use crate::plan::HpaPlan;
use crate::resources::ResourceChange;
use crate::target::Target;

/// HPAs in memory: for replays, tests and hosts that write manifests instead of calling an API.
#[derive(Debug, Default)]
pub struct MemoryApplier {
    hpas: Mutex<HashMap<Target, Hpa>>,
}

#[derive(Debug)]
struct Hpa {
    state: HpaState,
    resources: Vec<ResourceChange>,
    /// The last plan carried out: carrying it out again changes nothing.
    done: Option<HpaPlan>,
}

impl Hpa {
    fn new(bounds: Bounds) -> Self {
        Self { state: HpaState::new(bounds).with_resting(bounds), resources: Vec::new(), done: None }
    }
}

impl MemoryApplier {
    /// No HPA yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with the HPA of one more workload.
    #[must_use]
    pub fn with(self, target: Target, bounds: Bounds) -> Self {
        self.locked().insert(target, Hpa::new(bounds));
        self
    }

    /// Puts bounds in place, as a third party would.
    pub fn put(&self, target: &Target, bounds: Bounds) {
        let mut hpas = self.locked();
        let hpa = hpas.entry(target.clone()).or_insert_with(|| Hpa::new(bounds));
        hpa.state = HpaState::new(bounds).with_resting(bounds);
    }

    /// The bounds of one workload's HPA.
    pub fn bounds(&self, target: &Target) -> Option<Bounds> {
        self.locked().get(target).map(|hpa| hpa.state.bounds)
    }

    /// The resource changes applied to one workload, oldest first.
    pub fn resources(&self, target: &Target) -> Vec<ResourceChange> {
        self.locked().get(target).map(|hpa| hpa.resources.clone()).unwrap_or_default()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Target, Hpa>> {
        self.hpas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl HpaApplier for MemoryApplier {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        self.locked().get(target).map(|hpa| hpa.state).ok_or_else(|| ApplyError::NotFound { target: target.clone() })
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        let mut hpas = self.locked();
        let hpa = hpas.get_mut(plan.target()).ok_or_else(|| ApplyError::NotFound { target: plan.target().clone() })?;
        let found = hpa.state.bounds;
        let done = found == plan.new_bounds() && hpa.done.as_ref() == Some(plan);
        let bounds_are_there = found == plan.new_bounds() && plan.resources().is_none();
        if done || bounds_are_there {
            return Ok(Applied { mode, changed: false });
        }
        if found != plan.old_bounds() && found != plan.new_bounds() {
            return Err(ApplyError::Changed { target: plan.target().clone(), expected: plan.old_bounds(), found });
        }
        if mode == ApplyMode::Apply {
            hpa.state.bounds = plan.new_bounds();
            hpa.resources.extend(plan.resources());
            hpa.done = Some(plan.clone());
        }
        Ok(Applied { mode, changed: true })
    }
}
