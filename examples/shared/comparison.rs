//! One workload under its HPA alone, with us, and with us and the HPA that we recommend: [`Comparison`].
//!
//! Every number comes from the same simulation, the backtest, and is set beside the clairvoyant's.

use std::sync::Arc;

use futures::executor::block_on;
use scaling_core::Recorder;
use scaling_core::backtest::{
    Candidate, CandidateError, CandidateReport, CandidateSetup, Driver, Scenario, TraceReport, TrainingPeriod, run_one,
};
use scaling_core::hpa::{ControllerConfig, HpaSpec};
use scaling_core::recommend::{ChosenTarget, TargetAdvice};

use crate::Failure;
use crate::candidates::EngineRecipe;
use crate::recommended::{Recommended, recommended};

/// Name of the HPA as it stands, without us.
pub const ALONE: &str = "the HPA alone, as it stands";
/// Name of the HPA as it stands, its bounds moved by us.
pub const WITH_US: &str = "with us";
/// Name of the HPA that we recommend, its bounds moved by us.
pub const RECOMMENDED: &str = "with us, recommended target";
/// Name of the HPA that we recommend without us: what is left if we stop and nobody sets its target back.
pub const IF_WE_STOP: &str = "the recommended target without us";

/// Makes the recorder of a replay, when its history is known.
pub type RecorderRecipe = Arc<dyn Fn(&TrainingPeriod<'_>) -> Result<Box<dyn Recorder>, CandidateError> + Send + Sync>;

/// Outcome of one comparison.
#[derive(Debug)]
pub struct Comparison {
    /// The candidates by the names above, and the clairvoyant.
    pub report: TraceReport,
    /// The HPA that is recommended, or the advice to keep it, or why there is none.
    pub recommended: Result<Recommended, String>,
    /// Pods that the peak of the load was scaled to; none for a load as it was recorded.
    pub scaled_to: Option<f64>,
}

impl Comparison {
    /// Replays all of them, two at a time.
    ///
    /// # Errors
    /// [`Failure`] if one cannot be replayed: an HPA outside the limits, or with a metric that was not recorded.
    pub fn new(
        scenario: &Scenario,
        spec: &HpaSpec,
        engine: &EngineRecipe,
        recorder: RecorderRecipe,
        share: f64,
    ) -> Result<Self, Failure> {
        let replay = |candidate: Candidate| {
            let report = block_on(run_one(scenario, &[candidate], &()));
            report.map_err(crate::scenario::failure)
        };
        let mut report = replay(Candidate::hpa(ALONE, spec.clone(), ControllerConfig::default()))?;
        let (with_us, found) = std::thread::scope(|scope| {
            let with_us = scope.spawn(|| replay(driven(WITH_US, spec.clone(), engine.clone(), Some(recorder))));
            let found = recommended(scenario, spec, engine, share).and_then(|found| match found {
                Ok(found) => judged(found, &report, spec, share, |proposed| {
                    let mut both = replay(driven(RECOMMENDED, proposed.clone(), engine.clone(), None))?.candidates;
                    let alone = Candidate::hpa(IF_WE_STOP, proposed, ControllerConfig::default());
                    both.extend(replay(alone)?.candidates);
                    Ok(both)
                }),
                Err(why) => Ok((Err(why), Vec::new())),
            });
            (with_us.join(), found)
        });
        let with_us = with_us.map_err(|_| Failure::failed("the replay ended early"))??;
        let (recommended, replayed) = found?;
        report.candidates.extend(with_us.candidates);
        report.candidates.extend(replayed);
        Ok(Self { report, recommended, scaled_to: None })
    }

    /// Returns the outcome of one of them.
    pub fn of(&self, name: &str) -> Option<&CandidateReport> {
        self.report.candidate(name)
    }
}

/// Judges a setting on the part that it was not chosen on, as `hpa_manager` does, and gives it up where it is not worth it.
fn judged(
    found: ChosenTarget,
    alone: &TraceReport,
    spec: &HpaSpec,
    share: f64,
    replay: impl Fn(HpaSpec) -> Result<Vec<CandidateReport>, Failure>,
) -> Result<(Result<Recommended, String>, Vec<CandidateReport>), Failure> {
    let proposed = found.setting.applied_to(spec);
    let is_own = proposed == *spec;
    let replayed = replay(proposed)?;
    let (Some(before), Some(after)) = (alone.candidates.first(), replayed.first()) else {
        return Ok((Err("no target is recommended: there is nothing to compare".to_owned()), Vec::new()));
    };
    let advice = TargetAdvice::of(&found.setting, &before.score, &after.score, share);
    let (said, changes) = (advice.to_string(), advice.verdict.changes());
    if !changes {
        return Ok((Err(said), Vec::new()));
    }
    let recommended = Recommended { setting: found.setting, tried: found.tried.len(), advice: said };
    // Under its own setting, the HPA with us has its row already.
    Ok((Ok(recommended), if is_own { Vec::new() } else { replayed }))
}

/// An engine that moves the bounds of an HPA through the default guards.
pub fn driven(name: &str, spec: HpaSpec, engine: EngineRecipe, recorder: Option<RecorderRecipe>) -> Candidate {
    Candidate::new(name, move |training| {
        let mut driver = Driver::bounds(engine()?);
        driver.recorder = recorder.as_ref().map(|recorder| recorder(training)).transpose()?;
        Ok(CandidateSetup::hpa(spec.clone(), ControllerConfig::default()).driven_by(driver))
    })
}
