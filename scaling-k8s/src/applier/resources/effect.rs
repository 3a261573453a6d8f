//! What a change of sizes does to the HPA of a workload, and whether that is borne.

use scaling_core::Target;
use scaling_core::hpa::HpaSpec;
use serde_json::Value;

use super::seen::{Denied, World, denied, replicas};
use super::workload::surge;
use super::{EffectPolicy, InUse, ResizeApplier, ResizeWay};
use crate::applier::answer::{backend, unapplied};
use crate::vertical::{Effect, Pace, PodSizes, Simulation};

impl ResizeApplier {
    /// What the HPA wants now, and what it does then, with the requests of either side.
    pub(super) fn effect_on(
        &self,
        target: &Target,
        hpa: &Value,
        (before, after): (&PodSizes, &PodSizes),
        used: &InUse,
        pace: Pace,
    ) -> Result<(Effect, Option<Simulation>), Denied> {
        let broken = |error: &dyn std::fmt::Display| {
            Box::new(unapplied(backend(target, false, format!("HPA {}: {error}", target.hpa))))
        };
        let spec = hpa.get("spec").cloned().unwrap_or_default();
        let spec: HpaSpec = serde_json::from_value(spec).map_err(|error| broken(&error))?;
        let controller = &self.controller;
        let effect = Effect::of(&spec, before, after, &used.hpa, controller).map_err(|error| broken(&error))?;
        let simulation = Simulation::of(&spec, before, after, &used.hpa, pace, controller);
        Ok((effect, simulation.map_err(|error| broken(&error))?))
    }

    pub(super) fn pace(&self, way: ResizeWay, world: &World, used: &InUse) -> Pace {
        let start_up = used.start_up.unwrap_or(self.start_up);
        if way != ResizeWay::Rollout {
            return Pace::in_place(start_up);
        }
        let replicas = replicas(&world.workload);
        Pace::rollout(start_up, replicas, surge(&world.workload, replicas))
    }

    pub(super) fn refuse_effect(
        &self,
        target: &Target,
        effect: &Effect,
        simulation: Option<&Simulation>,
    ) -> Result<(), Denied> {
        let why = match (self.effect, simulation) {
            (EffectPolicy::Tell, _) => return Ok(()),
            (EffectPolicy::KeepSize, Some(simulation)) if simulation.moves_the_size() => {
                "the HPA would change its size"
            }
            (EffectPolicy::KeepSize, _) if effect.moves_the_size() => "the HPA would change its size",
            (_, Some(simulation)) if !simulation.hazards.is_empty() => "the HPA would not bear it",
            _ => return Ok(()),
        };
        let simulated = simulation.map(|simulation| format!("\n{simulation}")).unwrap_or_default();
        Err(denied(target, format!("{why}: {effect}{simulated}")))
    }
}
