//! The CPU target and the stabilization window that cost least beneath the floors of an engine: [`TargetSearch`].
//!
//! An HPA alone pays for surprises with its target: the lower it is, the more pods idle. Where an engine that foresees holds the
//! floor, most of that is paid twice, and a higher target is cheaper at no more violations. How high depends on the workload, so
//! it is found by replaying its own past, and judged on a part of the past that it was not chosen on.

mod advice;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::advice::{TargetAdvice, TargetVerdict};
use crate::backtest::{
    BacktestError, Candidate, CandidateError, Driver, Progress, Scenario, Score, TrainingPeriod, is_dated, run_one,
    score_one,
};
use crate::hpa::{ControllerConfig, HpaSpec, InvalidHpa, Quantity};
use crate::setting::InvalidSetting;
use crate::stats::grouped;

/// Least length of the part that a setting is chosen on, and of the part that it is judged on: a whole day, because most load has
/// a daily rhythm, and a setting chosen at night says nothing about noon.
const LEAST: Duration = Duration::from_secs(86_400);
/// Longest window that the API server takes, in seconds.
const LONGEST_WINDOW_S: u32 = 3600;

/// Search for the setting of an HPA that costs least beneath an engine's floors.
///
/// ```
/// use scaling_core::RuleBasedEngine;
/// use scaling_core::backtest::{ClusterModel, Driver, SampleTime, Scenario, Trace};
/// use scaling_core::hpa::{CrossVersionObjectReference, HpaSpec};
/// use scaling_core::recommend::TargetSearch;
/// use scaling_core::{Bounds, ScalingMetrics, SignalKind, chrono::DateTime};
///
/// // Four days in samples of ten minutes, with more load by day than by night.
/// let sample = |nth: i32| {
///     let rate = 300.0 - 250.0 * (f64::from(nth) / 144.0 * std::f64::consts::TAU).cos();
///     let at = DateTime::from_timestamp(i64::from(nth) * 600, 0).unwrap_or_default();
///     ScalingMetrics::new(at, 1).with(SignalKind::RequestRate, rate)
/// };
/// let trace = Trace::from_samples("web", (0..576).map(sample).collect(), SampleTime::Starts)?;
/// let scenario = Scenario::new(trace, ClusterModel::default());
/// let current = HpaSpec::new(CrossVersionObjectReference::deployment("web"), Bounds::new(2, 40)?);
///
/// let search = TargetSearch { wanted_share: 0.01, ..TargetSearch::default() };
/// let searched = search.run(&scenario, &current, |_| Ok(Driver::bounds(RuleBasedEngine::default())), &());
/// let found = futures::executor::block_on(searched)?;
/// println!("{found}");
/// assert!(found.applied_to(&current).validate().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TargetSearch {
    /// Share of violating requests to aim for, above 0 and below 1. Default 0.01.
    pub wanted_share: f64,
    /// CPU targets to try, in percent of the request, each 1 to 100. Default 95, 90, 80 and 70. An HPA grows by itself beyond 1.1
    /// times its target, so where a pod cannot use more CPU than it requests, it never does with a target above 90: all rests on
    /// our floors then. A host that wants the HPA as a safety net leaves those out.
    pub targets: Vec<i32>,
    /// Values of `scaleDown.stabilizationWindowSeconds` to try, each at most 3600. Default 60 and 300. Below 60 s an HPA follows the
    /// noise of its metrics wherever it is above the floor, and saves nothing that could be measured.
    pub windows_seconds: Vec<u32>,
    /// `scaleDown.tolerance` to write beside each of these windows; none, the default, leaves it as it is. The HPA's own tolerance of
    /// 0.1 keeps pods above a floor that has come down until a tenth of the target is unused, which costs about a hundredth of the
    /// pods; with 0 they follow. Servers before Kubernetes 1.35 drop it unless a feature gate is set.
    pub scale_down_tolerance: Option<Quantity>,
}

impl Default for TargetSearch {
    fn default() -> Self {
        Self {
            wanted_share: 0.01,
            targets: vec![95, 90, 80, 70],
            windows_seconds: vec![60, 300],
            scale_down_tolerance: None,
        }
    }
}

/// Reasons why nothing is recommended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// A setting of the search cannot work.
    #[error("the search cannot run: {0}")]
    Setting(#[from] InvalidSetting),
    /// The API server would refuse the HPA as it stands.
    #[error("the HPA is invalid: {0}")]
    Hpa(#[from] InvalidHpa),
    /// No metric of the HPA is a utilization of CPU.
    #[error("the HPA has no CPU utilization among its metrics, so there is no target to recommend")]
    NoCpuTarget,
    /// The trace is too short to choose on one part and to judge on another.
    #[error(
        "{trace}: {hours:.1} h of history are too few: a setting is chosen on one whole day at least and judged on another, \
         each after a history to learn from; at least {needed:.0} h are needed"
    )]
    TooShort {
        /// Name of the trace.
        trace: String,
        /// Length of the trace, in hours.
        hours: f64,
        /// Length that is needed, in hours.
        needed: f64,
    },
    /// No request arrived in one of the two parts.
    #[error("{trace}: no request arrived in the part that a setting is {part} on")]
    NothingAsked {
        /// Name of the trace.
        trace: String,
        /// `chosen` or `judged`.
        part: &'static str,
    },
    /// A replay failed: for one, an engine found no signal to decide by.
    #[error(transparent)]
    Backtest(#[from] BacktestError),
}

/// Setting of an HPA that a search tries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetSetting {
    /// CPU target, in percent of the request.
    pub cpu_target_percent: i32,
    /// `scaleDown.stabilizationWindowSeconds`; none for what the HPA says now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u32>,
    /// `scaleDown.tolerance`; none for what the HPA says now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down_tolerance: Option<Quantity>,
}

impl TargetSetting {
    fn of(current: &HpaSpec) -> Option<Self> {
        let cpu_target_percent = current.cpu_target_percent()?;
        Some(Self { cpu_target_percent, window_seconds: None, scale_down_tolerance: None })
    }

    /// Returns the HPA with this setting, and all else as it is.
    #[must_use]
    pub fn applied_to(&self, spec: &HpaSpec) -> HpaSpec {
        let mut spec = spec.clone().with_cpu_target_percent(self.cpu_target_percent);
        if let Some(seconds) = self.window_seconds {
            spec = spec.with_scale_down_window(Duration::from_secs(seconds.into()));
        }
        match &self.scale_down_tolerance {
            Some(tolerance) => spec.with_scale_down_tolerance(tolerance.clone()),
            None => spec,
        }
    }
}

impl fmt::Display for TargetSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU at {} %", self.cpu_target_percent)?;
        match self.window_seconds {
            Some(seconds) => write!(f, ", scale-down stabilization {seconds} s")?,
            None => f.write_str(", stabilization as it is")?,
        }
        match &self.scale_down_tolerance {
            Some(tolerance) => write!(f, " and tolerance {tolerance}"),
            None => Ok(()),
        }
    }
}

/// One setting that was tried, with the score on the part that it was chosen on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriedTarget {
    /// Setting of the HPA.
    pub setting: TargetSetting,
    /// Score with the engine's floors.
    pub score: Score,
}

/// Setting that a search chose, before it is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChosenTarget {
    /// Setting that cost least at the wanted share; where none kept it, the one that violated least.
    pub setting: TargetSetting,
    /// True if it kept the wanted share.
    pub keeps: bool,
    /// Settings that were tried, in this order.
    pub tried: Vec<TriedTarget>,
}

/// Recommended setting of an HPA beneath an engine's floors, with the figures that it rests on. It prints itself in a few lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetRecommendation {
    /// Setting that cost least at the wanted share where it was chosen.
    pub setting: TargetSetting,
    /// Judgement, from the part that it was not chosen on.
    pub verdict: TargetVerdict,
    /// Share of violating requests that was aimed for.
    pub wanted_share: f64,
    /// Score of the HPA alone, as it stands.
    pub before: Score,
    /// Score of the engine with the setting.
    pub after: Score,
    /// Score of the HPA alone with the setting: what is left if the autoscaler stops, and nobody sets the target back.
    pub if_we_stop: Score,
    /// Pod-hours of a clairvoyant that violates as many requests as `after`; none where that could not be solved.
    pub oracle_pod_hours: Option<f64>,
    /// Settings that were tried, in this order.
    pub tried: Vec<TriedTarget>,
    /// Beginning and end of the part that the setting was judged on.
    pub judged: (DateTime<Utc>, DateTime<Utc>),
}

impl TargetRecommendation {
    /// Returns the HPA as it should be: with the setting, or as it stands if the verdict is to keep it.
    pub fn applied_to(&self, current: &HpaSpec) -> HpaSpec {
        if self.verdict.changes() { self.setting.applied_to(current) } else { current.clone() }
    }

    /// Returns the advice, which prints itself as one sentence.
    pub fn advice(&self) -> TargetAdvice<'_> {
        let Self { setting, before, after, wanted_share, verdict, .. } = self;
        TargetAdvice { setting, before, after, wanted_share: *wanted_share, verdict: *verdict }
    }

    /// Returns the change of the pod-hours as a share: -0.1 is a tenth fewer.
    pub fn pod_hours_change(&self) -> f64 {
        if self.before.pod_hours > 0.0 { self.after.pod_hours / self.before.pod_hours - 1.0 } else { 0.0 }
    }
}

impl fmt::Display for TargetRecommendation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = self.judged;
        writeln!(f, "{}", self.advice())?;
        writeln!(f, "judged {}, on which it was not chosen:", period(from, to))?;
        let rows = [
            ("the HPA as it stands", &self.before),
            ("with our floors and this setting", &self.after),
            ("this setting if our floors stop", &self.if_we_stop),
        ];
        for (name, score) in rows {
            writeln!(
                f,
                "  {name:32} {:>9} pod-hours, {:6.2} % of requests too late or lost, pods at most: {}",
                grouped(score.pod_hours, 1),
                100.0 * score.violating_share,
                score.peak_pods
            )?;
        }
        if let Some(oracle) = self.oracle_pod_hours.map(|hours| grouped(hours, 1)) {
            writeln!(f, "  {:32} {oracle:>9} pod-hours, with as many violations as our floors", "a clairvoyant")?;
        }
        write!(f, "that is {:+.1} % pod-hours", 100.0 * self.pod_hours_change())
    }
}

/// Says from when to when, in hours from the beginning of a clock that starts at 0.
fn period(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    if is_dated(from) {
        let form = "%Y-%m-%d %H:%M";
        return format!("from {} to {} UTC", from.format(form), to.format(form));
    }
    let hour = |at: DateTime<Utc>| at.timestamp_millis() as f64 / 3_600_000.0;
    format!("from hour {:.1} to hour {:.1} of a clock without dates", hour(from), hour(to))
}

impl TargetSearch {
    /// Searches, and judges what was found. The scenario's [history share](Scenario::history_share) divides the trace: the setting is chosen in the second half of
    /// that history, and judged on all that comes after it, where the HPA as it stands, alone, is replayed beside it.
    ///
    /// Settings go from the cheapest (highest target, shortest window) to the safest, the HPA's own among them. Violations fall along
    /// that line, so the cheapest that keeps the wanted share is found by halving: one replay of the engine where the first keeps it,
    /// and five at most with the default settings.
    ///
    /// # Errors
    /// [`TargetError`] if the history is too short or without requests, the HPA has no CPU target, its bounds leave the limits of the
    /// scenario, or a replay fails.
    pub async fn run(
        &self,
        scenario: &Scenario,
        current: &HpaSpec,
        engine: impl Fn(&TrainingPeriod<'_>) -> Result<Driver, CandidateError> + Send + Sync + 'static,
        progress: &(impl Progress + ?Sized),
    ) -> Result<TargetRecommendation, TargetError> {
        let engine: Arc<EngineFactory> = Arc::new(engine);
        let shared = Arc::clone(&engine);
        let ChosenTarget { setting, tried, .. } =
            self.choose(scenario, current, move |training| shared(training), progress).await?;
        let proposed = setting.applied_to(current);
        let candidates = [
            Candidate::hpa("before", current.clone(), ControllerConfig::default()),
            with_engine("after", proposed.clone(), &engine),
            Candidate::hpa("if we stop", proposed, ControllerConfig::default()),
        ];
        let report = run_one(scenario, &candidates, progress).await?;
        let mut scores = report.candidates.into_iter().map(|candidate| candidate.score);
        let (Some(before), Some(after), Some(if_we_stop)) = (scores.next(), scores.next(), scores.next()) else {
            return Err(nothing_asked(scenario, "judged"));
        };
        asked(scenario, &before, "judged")?;
        Ok(TargetRecommendation {
            setting,
            verdict: TargetVerdict::of(&before, &after, self.wanted_share),
            wanted_share: self.wanted_share,
            oracle_pod_hours: after.oracle_ratio.map(|ratio| after.pod_hours / ratio),
            before,
            after,
            if_we_stop,
            tried,
            judged: (report.scored.start, report.scored.end),
        })
    }

    /// Does the first half of [`run`](Self::run): chooses a setting on the second half of the scenario's history, for a host that
    /// judges it by a comparison of its own.
    ///
    /// # Errors
    /// As of [`run`](Self::run).
    pub async fn choose(
        &self,
        scenario: &Scenario,
        current: &HpaSpec,
        engine: impl Fn(&TrainingPeriod<'_>) -> Result<Driver, CandidateError> + Send + Sync + 'static,
        progress: &(impl Progress + ?Sized),
    ) -> Result<ChosenTarget, TargetError> {
        self.validate()?;
        current.validate()?;
        let own = TargetSetting::of(current).ok_or(TargetError::NoCpuTarget)?;
        let engine: Arc<EngineFactory> = Arc::new(engine);
        let settings = self.settings(own.clone());
        let tried = self.try_settings(&choosing(scenario)?, current, &settings, &engine, progress).await?;
        let setting = self.best(&tried).unwrap_or(own);
        let keeps = tried.iter().any(|tried| tried.setting == setting && self.is_kept(&tried.score));
        Ok(ChosenTarget { setting, keeps, tried })
    }

    fn is_kept(&self, score: &Score) -> bool {
        score.violating_share <= self.wanted_share
    }

    fn validate(&self) -> Result<(), InvalidSetting> {
        InvalidSetting::check(&[("wanted_share", self.wanted_share)], "above 0 and below 1", |share| {
            share > 0.0 && share < 1.0
        })?;
        if let Some(target) = self.targets.iter().find(|target| !(1..=100).contains(*target)) {
            return Err(InvalidSetting {
                field: "targets",
                value: f64::from(*target),
                must: "percentages of 1 to 100",
            });
        }
        if let Some(window) = self.windows_seconds.iter().find(|window| **window > LONGEST_WINDOW_S) {
            let (value, must) = (f64::from(*window), "at most 3600");
            return Err(InvalidSetting { field: "windows_seconds", value, must });
        }
        Ok(())
    }

    /// Returns the settings from the cheapest to the safest, the HPA's own among them.
    fn settings(&self, own: TargetSetting) -> Vec<TargetSetting> {
        let windows = self.windows_seconds.iter().copied();
        let tried = self.targets.iter().flat_map(|target| {
            windows.clone().map(|window| TargetSetting {
                cpu_target_percent: *target,
                window_seconds: Some(window),
                scale_down_tolerance: self.scale_down_tolerance.clone(),
            })
        });
        let mut settings: Vec<TargetSetting> = tried.chain([own]).collect();
        // The HPA's own window, which may be the controller's, counts as longer than any other.
        settings.sort_by_key(|setting| (-setting.cpu_target_percent, setting.window_seconds.unwrap_or(u32::MAX)));
        settings.dedup();
        settings
    }

    /// Replays settings on the part to choose on, until the cheapest that keeps the wanted share is known.
    async fn try_settings(
        &self,
        scenario: &Scenario,
        current: &HpaSpec,
        settings: &[TargetSetting],
        engine: &Arc<EngineFactory>,
        progress: &(impl Progress + ?Sized),
    ) -> Result<Vec<TriedTarget>, TargetError> {
        let mut tried: Vec<TriedTarget> = Vec::new();
        // All before `from` miss the share; the one at `to`, if there is one, keeps it or is the last resort.
        let (mut from, mut to) = (0, settings.len());
        // The cheapest first, since it keeps the share for most workloads, and the safest, since none may.
        let mut next = 0;
        while let Some(setting) = settings.get(next).filter(|_| from < to) {
            let candidate = with_engine(&setting.to_string(), setting.applied_to(current), engine);
            let score = score_one(scenario, &candidate, progress).await?;
            asked(scenario, &score, "chosen")?;
            let kept = self.is_kept(&score);
            tried.push(TriedTarget { setting: setting.clone(), score });
            match (kept, next) {
                (true, _) => to = next,
                (false, last) if last + 1 == settings.len() => break,
                (false, _) => from = next + 1,
            }
            next = if to == settings.len() { settings.len() - 1 } else { from.midpoint(to) };
        }
        Ok(tried)
    }

    /// Returns the cheapest setting tried that keeps the wanted share, or the one that violates least.
    fn best(&self, tried: &[TriedTarget]) -> Option<TargetSetting> {
        let kept = tried.iter().filter(|tried| self.is_kept(&tried.score));
        let cheapest = kept.min_by(|a, b| a.score.pod_hours.total_cmp(&b.score.pod_hours));
        let safest = || tried.iter().min_by(|a, b| a.score.violating_share.total_cmp(&b.score.violating_share));
        cheapest.or_else(safest).map(|tried| tried.setting.clone())
    }
}

type EngineFactory = dyn Fn(&TrainingPeriod<'_>) -> Result<Driver, CandidateError> + Send + Sync;

/// The engine over an HPA.
fn with_engine(name: &str, spec: HpaSpec, engine: &Arc<EngineFactory>) -> Candidate {
    let engine = Arc::clone(engine);
    Candidate::over(name, move |_| spec.clone(), move |training| engine(training))
}

/// The part of a scenario that a setting is chosen on: the second half of its history.
fn choosing(scenario: &Scenario) -> Result<Scenario, TargetError> {
    let (start, end) = scenario.trace.span();
    let span = (end - start).to_std().unwrap_or_default();
    let share = scenario.history_share;
    InvalidSetting::check(&[("history_share", share)], "above 0 and below 1", |share| share > 0.0 && share < 1.0)?;
    let chosen = span.mul_f64(share / 2.0);
    let judged = span.mul_f64(1.0 - share).min(scenario.longest);
    if chosen < LEAST || judged < LEAST {
        let least = LEAST.as_secs_f64() / 3600.0;
        return Err(TargetError::TooShort {
            trace: scenario.trace.name().to_owned(),
            hours: span.as_secs_f64() / 3600.0,
            needed: (least / (share / 2.0)).max(least / (1.0 - share)),
        });
    }
    // The settling time comes before what counts; both end where the part to judge on begins.
    let longest = chosen.saturating_sub(scenario.settle);
    Ok(Scenario { history_share: share / 2.0, longest, ..scenario.clone() })
}

/// Refuses a part without a single request: any setting would keep any share.
fn asked(scenario: &Scenario, score: &Score, part: &'static str) -> Result<(), TargetError> {
    if score.requests > 0.0 { Ok(()) } else { Err(nothing_asked(scenario, part)) }
}

fn nothing_asked(scenario: &Scenario, part: &'static str) -> TargetError {
    TargetError::NothingAsked { trace: scenario.trace.name().to_owned(), part }
}
