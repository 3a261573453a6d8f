//! The target and the stabilization of an HPA that cost least once our floors cover what is coming: [`recommended`].

use std::time::Duration;

use futures::executor::block_on;
use scaling_core::backtest::{Scenario, run_one};
use scaling_core::hpa::{HpaSpec, MetricSpec};

use crate::Failure;
use crate::candidates::EngineRecipe;
use crate::comparison::driven;

/// Targets that are tried, in percent of the CPU request: the higher, the cheaper.
const TARGETS: [i32; 10] = [95, 90, 85, 80, 75, 70, 65, 60, 55, 50];
/// Values of `scaleDown.stabilizationWindowSeconds` that are tried: the shorter, the cheaper.
const STABILIZATIONS: [i32; 3] = [0, 60, 300];
/// Share of the history that is only learnt from; the rest is replayed.
const LEARNT_SHARE: f64 = 0.5;
/// Shortest history to recommend from, in hours: two days hold each hour of the day once to learn and once to try.
const LEAST_HOURS: f64 = 48.0;

/// An HPA that is recommended, and how it was found.
#[derive(Clone, Debug)]
pub struct Recommended {
    /// CPU target in percent.
    pub percent: i32,
    /// `scaleDown.stabilizationWindowSeconds`.
    pub stabilization_s: i32,
    /// Number of HPAs that were tried.
    pub tried: usize,
}

impl Recommended {
    /// Returns the HPA with this target and stabilization, and all else as it is.
    pub fn applied_to(&self, spec: &HpaSpec) -> HpaSpec {
        with_target(spec.clone(), self.percent, self.stabilization_s)
    }
}

/// Finds the HPA under which the engine costs least while at most `share` of the requests violate, by replays of the scenario's
/// history: what the comparison is about is not looked at.
///
/// The settings are ordered from the cheapest to the safest, and the first that keeps to the share is searched for by halving.
///
/// # Errors
/// [`Failure`] if a replay fails; the inner error says why there is nothing to recommend.
pub fn recommended(
    scenario: &Scenario,
    spec: &HpaSpec,
    engine: &EngineRecipe,
    share: f64,
) -> Result<Result<Recommended, String>, Failure> {
    if spec.cpu_target_percent().is_none() {
        return Ok(Err("the HPA has no target for CPU utilization that could be raised".to_owned()));
    }
    let (start, end) = scenario.trace.span();
    let history_s = (end - start).num_seconds() as f64 * scenario.history_share;
    if history_s < LEAST_HOURS * 3600.0 {
        let hours = history_s / 3600.0;
        return Ok(Err(format!("{hours:.0} h of history are too short to try targets on; {LEAST_HOURS} h are needed")));
    }
    // Its replay ends where that of the comparison begins.
    let past = Scenario {
        history_share: scenario.history_share * LEARNT_SHARE,
        longest: Duration::from_secs_f64(history_s * (1.0 - LEARNT_SHARE)).saturating_sub(scenario.settle),
        ..scenario.clone()
    };
    let settings: Vec<(i32, i32)> =
        TARGETS.into_iter().flat_map(|percent| STABILIZATIONS.map(|seconds| (percent, seconds))).collect();
    let mut tried = 0;
    let mut keeps = |nth: usize| -> Result<bool, Failure> {
        let Some((percent, seconds)) = settings.get(nth) else { return Ok(false) };
        tried += 1;
        let candidate = driven("tried", with_target(spec.clone(), *percent, *seconds), engine.clone(), None);
        let report = block_on(run_one(&past, &[candidate], &())).map_err(crate::scenario::failure)?;
        Ok(report.candidate("tried").is_some_and(|tried| tried.score.violating_share <= share))
    };
    let (mut lacking, mut keeping) = (0, settings.len() - 1);
    if keeps(lacking)? {
        keeping = lacking;
    } else if !keeps(keeping)? {
        return Ok(Err(format!("no target keeps to {} % on the history", share * 100.0)));
    }
    while keeping > lacking + 1 {
        let middle = usize::midpoint(lacking, keeping);
        if keeps(middle)? {
            keeping = middle;
        } else {
            lacking = middle;
        }
    }
    let Some((percent, stabilization_s)) = settings.get(keeping).copied() else {
        return Ok(Err("there is no setting to try".to_owned()));
    };
    Ok(Ok(Recommended { percent, stabilization_s, tried }))
}

/// Replaces the CPU target and the stabilization of shrinking, and nothing else.
fn with_target(mut spec: HpaSpec, percent: i32, stabilization_s: i32) -> HpaSpec {
    let metrics = spec.metrics.get_or_insert_with(|| vec![MetricSpec::utilization("cpu", percent)]);
    for source in metrics.iter_mut().filter_map(|metric| metric.resource.as_mut()) {
        if source.name.as_deref() == Some("cpu") && source.target.average_utilization.is_some() {
            source.target.average_utilization = Some(percent);
        }
    }
    let rules = spec.behavior.get_or_insert_default().scale_down.get_or_insert_default();
    rules.stabilization_window_seconds = Some(stabilization_s);
    spec
}
