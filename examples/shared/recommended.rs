//! The target and the stabilization of an HPA that cost least once our floors cover what is coming: [`recommended`].

use futures::executor::block_on;
use scaling_core::backtest::{Driver, Scenario};
use scaling_core::hpa::HpaSpec;
use scaling_core::recommend::{TargetError, TargetSearch, TargetSetting};

use crate::Failure;
use crate::candidates::EngineRecipe;

/// Targets that are tried, in percent of the CPU request: the higher, the cheaper.
const TARGETS: [i32; 10] = [95, 90, 85, 80, 75, 70, 65, 60, 55, 50];

/// A setting of the HPA that is recommended, and how it was found.
#[derive(Clone, Debug)]
pub struct Recommended {
    /// CPU target and `scaleDown.stabilizationWindowSeconds`.
    pub setting: TargetSetting,
    /// Number of settings that were tried.
    pub tried: usize,
}

/// Finds the setting under which the engine costs least while at most `share` of the requests violate, by replays of the scenario's
/// history: what the comparison is about is not looked at.
///
/// # Errors
/// [`Failure`] if a replay fails; the inner error says why there is nothing to recommend.
pub fn recommended(
    scenario: &Scenario,
    spec: &HpaSpec,
    engine: &EngineRecipe,
    share: f64,
) -> Result<Result<Recommended, String>, Failure> {
    let search = TargetSearch { wanted_share: share, targets: TARGETS.to_vec(), ..TargetSearch::default() };
    let engine = engine.clone();
    match block_on(search.choose(scenario, spec, move |_| Ok(Driver::bounds(engine()?)), &())) {
        Ok(chosen) if chosen.keeps => Ok(Ok(Recommended { setting: chosen.setting, tried: chosen.tried.len() })),
        Ok(_) => Ok(Err(format!("no target keeps to {} % on the history", share * 100.0))),
        Err(TargetError::Backtest(error)) => Err(crate::scenario::failure(error)),
        Err(why) => Ok(Err(why.to_string())),
    }
}
