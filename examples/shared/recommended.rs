//! The target and the stabilization of an HPA that cost least once our floors cover what is coming: [`recommended`].

use futures::executor::block_on;
use scaling_core::backtest::{Driver, Scenario};
use scaling_core::hpa::HpaSpec;
use scaling_core::recommend::{ChosenTarget, TargetError, TargetSearch, TargetSetting};

use crate::Failure;
use crate::candidates::EngineRecipe;

/// A setting of the HPA that is recommended, and how it was found.
#[derive(Clone, Debug)]
pub struct Recommended {
    /// CPU target and `scaleDown.stabilizationWindowSeconds`.
    pub setting: TargetSetting,
    /// Number of settings that were tried.
    pub tried: usize,
    /// Advice, in a sentence.
    pub advice: String,
}

/// Finds the setting under which the engine costs least while at most `share` of the requests violate, by replays of the scenario's
/// history: what the comparison is about is not looked at. The search is that of `hpa_manager`, so that both say the same.
///
/// # Errors
/// [`Failure`] if a replay fails; the inner error says why there is nothing to recommend.
pub fn recommended(
    scenario: &Scenario,
    spec: &HpaSpec,
    engine: &EngineRecipe,
    share: f64,
) -> Result<Result<ChosenTarget, String>, Failure> {
    let search = TargetSearch { wanted_share: share, ..TargetSearch::default() };
    let engine = engine.clone();
    match block_on(search.choose(scenario, spec, move |_| Ok(Driver::bounds(engine()?)), &())) {
        Ok(chosen) => Ok(Ok(chosen)),
        Err(TargetError::Backtest(error)) => Err(crate::scenario::failure(error)),
        Err(why) => Ok(Err(format!("no target is recommended: {why}"))),
    }
}
