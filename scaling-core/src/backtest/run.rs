//! [`run`]: every candidate over every trace.

use std::sync::Arc;

use super::candidate::{Candidate, CandidateError, CandidateSetup, Driver, TrainingPeriod};
use super::oracle::{Oracle, OracleConfig, OracleError, OracleProblem};
use super::report::{CandidateReport, OracleReport, Plot, Report, Scored, TraceReport};
use super::score::{Decisions, Score};
use super::{Arrivals, Cluster, ClusterError, ClusterSetup, Control, Run, Scenario};
use crate::{
    ApplyMode, Autoscaler, Bounds, HardLimits, InvalidSetting, MetricsHistory, Signal, SignalKind, Target, TickError,
    WorkloadFacts,
};

/// Steps between two reports of progress.
const PROGRESS: usize = 1000;
/// Steps with data that a score needs: with fewer, one step more or less decides.
const LEAST: usize = 10;
/// Prices at which the oracle's frontier is solved: enough for a smooth line, and for tight bounds between its points.
const FRONTIER: usize = 24;

/// Reasons why a backtest cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BacktestError {
    /// The cluster model has a setting that cannot work.
    #[error("{trace}: the cluster model cannot be simulated: {source}")]
    Model {
        /// Name of the trace.
        trace: String,
        /// Setting and reason.
        #[source]
        source: InvalidSetting,
    },
    /// Too little of the trace is left to score.
    #[error(
        "{trace}: {steps} steps of {step_s} s that count (with data, after the history) are too few; at least {LEAST} are needed"
    )]
    TooShort {
        /// Name of the trace.
        trace: String,
        /// Steps with data that would count.
        steps: usize,
        /// Length of a step in seconds.
        step_s: f64,
    },
    /// The bounds of a candidate leave the limits of the scenario. It would be compared with an oracle, and with other candidates,
    /// that may not go where it goes.
    #[error(
        "{trace}: candidate {candidate}: its bounds {bounds} leave the limits {limits}, which hold for every candidate and for the oracle; \
         widen the limits to {union} or narrow its bounds",
        union = union(*bounds, *limits)
    )]
    OutOfLimits {
        /// Name of the trace.
        trace: String,
        /// Name of the candidate.
        candidate: String,
        /// Bounds of the candidate.
        bounds: Bounds,
        /// Limits of the scenario.
        limits: HardLimits,
    },
    /// A candidate could not be made.
    #[error("{trace}: candidate {candidate}: {source}")]
    Candidate {
        /// Name of the trace.
        trace: String,
        /// Name of the candidate.
        candidate: String,
        /// Reason.
        #[source]
        source: CandidateError,
    },
}

/// Returns the narrowest bounds that contain both.
fn union(bounds: Bounds, limits: HardLimits) -> Bounds {
    let limits = limits.bounds();
    Bounds::new(bounds.min().min(limits.min()), bounds.max().max(limits.max())).unwrap_or(bounds)
}

/// Receives the progress of a backtest, as for a bar on a terminal.
pub trait Progress {
    /// Begins a part of so many steps.
    fn begin(&self, what: &str, steps: u64);
    /// Adds steps of the part that are done.
    fn advance(&self, steps: u64);
    /// Ends the part.
    fn end(&self);
}

/// Ignores all progress.
impl Progress for () {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}

/// Replays every candidate over every trace.
///
/// Equal input gives an equal report, byte for byte, unless a candidate asks another service.
///
/// # Errors
/// [`BacktestError`] with the trace and the candidate.
///
/// # Examples
/// ```
/// use scaling_core::backtest::{Candidate, ClusterModel, SampleTime, Scenario, Trace, run};
/// use scaling_core::{ScalingMetrics, SignalKind, chrono::DateTime};
///
/// // Six hours of load that rises and falls every hour.
/// let sample = |minute: i32| {
///     let rate = 500.0 + 400.0 * (f64::from(minute) / 60.0 * std::f64::consts::TAU).sin();
///     let at = DateTime::from_timestamp(i64::from(minute) * 60, 0).unwrap_or_default();
///     ScalingMetrics::new(at, 1).with(SignalKind::RequestRate, rate)
/// };
/// let trace = Trace::from_samples("waves", (0..360).map(sample).collect(), SampleTime::Starts)?;
/// let candidates = [Candidate::hpa_on_cpu(50), Candidate::hpa_on_cpu(80)];
/// let scenarios = [Scenario::new(trace, ClusterModel::default())];
/// let report = futures::executor::block_on(run(&scenarios, &candidates, &()))?;
/// let [roomy, tight] = [0, 1].map(|nth| &report.traces[0].candidates[nth].score);
/// assert!(roomy.pod_hours > tight.pod_hours && roomy.violating_share <= tight.violating_share);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn run(
    scenarios: &[Scenario],
    candidates: &[Candidate],
    progress: &(impl Progress + ?Sized),
) -> Result<Report, BacktestError> {
    let mut traces = Vec::with_capacity(scenarios.len());
    for scenario in scenarios {
        traces.push(run_one(scenario, candidates, progress).await?);
    }
    Ok(Report::new(traces))
}

/// Replays every candidate over one trace, for hosts that share the traces out over threads.
///
/// [`Report::new`] puts the reports of several traces together.
///
/// # Errors
/// The errors of [`run`].
pub async fn run_one(
    scenario: &Scenario,
    candidates: &[Candidate],
    progress: &(impl Progress + ?Sized),
) -> Result<TraceReport, BacktestError> {
    let prepared = Prepared::new(scenario)?;
    // All are made before any is replayed, so that a candidate that cannot run is refused at once.
    let made: Vec<_> = candidates.iter().map(|candidate| prepared.make(candidate)).collect::<Result<_, _>>()?;
    progress.begin(&format!("{}: oracle", scenario.trace.name()), prepared.steps() as u64);
    let mut oracle = prepared.oracle();
    let oracle_report = match &mut oracle {
        Ok(oracle) => OracleReport::new(oracle, FRONTIER),
        Err(error) => OracleReport::lacking(error),
    };
    progress.end();
    let mut reports = Vec::with_capacity(candidates.len());
    for (candidate, made) in candidates.iter().zip(made) {
        progress.begin(&format!("{}: {}", scenario.trace.name(), candidate.name()), prepared.steps() as u64);
        let (run, decisions) = prepared.replay(candidate, made, progress).await?;
        progress.end();
        let mut score = Score::of(&run, &scenario.model, scenario.price.as_ref(), decisions);
        score.oracle_ratio = oracle.as_mut().ok().and_then(|oracle| {
            oracle.tighten(score.violating_share);
            let least = oracle.problem().pod_hours(oracle.lower_bound_at(score.violating_share));
            (least > 0.0).then(|| score.pod_hours / least)
        });
        reports.push(CandidateReport::new(candidate, score, &run));
    }
    let scored = prepared.scored();
    let plot = prepared.plot(&oracle_report);
    Ok(TraceReport::new(scenario, scored, oracle_report, reports, plot))
}

/// Replays one candidate over one trace without the oracle, for searches over many settings: [`Score::oracle_ratio`] is none.
///
/// # Errors
/// The errors of [`run`].
pub async fn score_one(
    scenario: &Scenario,
    candidate: &Candidate,
    progress: &(impl Progress + ?Sized),
) -> Result<Score, BacktestError> {
    let prepared = Prepared::new(scenario)?;
    let made = prepared.make(candidate)?;
    progress.begin(&format!("{}: {}", scenario.trace.name(), candidate.name()), prepared.steps() as u64);
    let (run, decisions) = prepared.replay(candidate, made, progress).await?;
    progress.end();
    Ok(Score::of(&run, &scenario.model, scenario.price.as_ref(), decisions))
}

/// A scenario, with everything that its candidates share.
struct Prepared<'a> {
    scenario: &'a Scenario,
    arrivals: Arc<Arrivals>,
    first_step: usize,
    scored_from: usize,
    /// Of each step of the arrivals: whether it counts.
    counted: Arc<[bool]>,
    end: usize,
    history: Arc<MetricsHistory>,
    facts: WorkloadFacts,
    target: Target,
}

impl<'a> Prepared<'a> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // shares of a length
    fn new(scenario: &'a Scenario) -> Result<Self, BacktestError> {
        let Scenario { trace, model, .. } = scenario;
        let name = || trace.name().to_owned();
        let arrivals = Arrivals::new(trace, model).map_err(|source| BacktestError::Model { trace: name(), source })?;
        let sync = model.steps(model.sync_period).max(1);
        let share = if scenario.history_share.is_finite() { scenario.history_share.clamp(0.0, 1.0) } else { 0.0 };
        // Whole sync periods, so that decisions fall where they would without a history.
        let first_step = (arrivals.len() as f64 * share) as usize / sync * sync;
        let left = arrivals.len() - first_step;
        let settle = model.steps(scenario.settle).min(left / 10);
        let longest = model.steps(scenario.longest).max(1);
        let end = first_step + left.min(longest.saturating_add(settle));
        let counted = arrivals.counted(first_step + settle, model.reaction_steps(), model.steps(scenario.settle));
        // A budget must not hold because nothing was compared with it.
        let steps = counted.iter().take(end).filter(|counts| **counts).count();
        if steps < LEAST {
            return Err(BacktestError::TooShort { trace: name(), steps, step_s: model.step().as_secs_f64() });
        }
        let until = arrivals.instant(first_step);
        let (known, _) = MetricsHistory::from_unordered(trace.history_until(until));
        let mut history = MetricsHistory::with_limit(100_000);
        for mut sample in known.iter() {
            // What is not measured has not been measured before either.
            for kind in SignalKind::ALL.into_iter().filter(|kind| !model.measures(*kind)) {
                sample.set(kind, Signal::NOT_MEASURED);
            }
            // In order, so each is newer than the one before.
            history.push(&sample).ok();
        }
        let mut facts = model.facts(scenario.facts.clone());
        facts.pod_capacity = facts.pod_capacity.or(Some(model.pod_capacity));
        Ok(Self {
            scenario,
            arrivals: Arc::new(arrivals),
            first_step,
            scored_from: first_step + settle,
            counted,
            end,
            history: Arc::new(history),
            facts,
            target: scenario.target.clone().unwrap_or_else(|| Target::deployment("backtest", trace.name())),
        })
    }

    fn steps(&self) -> usize {
        self.end - self.first_step
    }

    /// Poses the problem of the oracle: the time that counts. A step that does not count is a gap in it.
    fn oracle(&self) -> Result<Oracle, OracleError> {
        let model = &self.scenario.model;
        let steps = self.arrivals.requests().iter().zip(self.counted.iter());
        let demand: Vec<f64> = steps
            .map(|(requests, counts)| if *counts { *requests } else { f64::NAN })
            .take(self.end)
            .skip(self.scored_from)
            .collect();
        let bounds = model.limits.bounds();
        let most = model.most_pods();
        let config = OracleConfig {
            step: model.step(),
            pod_capacity: model.pod_capacity,
            objective: model.objective,
            start_up_steps: model.steps(model.start_up),
            bounds: Bounds::new(bounds.min().min(most), most).unwrap_or(bounds),
        };
        OracleProblem::new(&demand, &config).map(Oracle::new)
    }

    fn training(&self) -> TrainingPeriod<'_> {
        let Scenario { trace, model, .. } = self.scenario;
        let limits = model.limits.bounds();
        let enough = limits.clamp(self.arrivals.enough_pods(self.first_step, model));
        TrainingPeriod {
            history: &self.history,
            basis: trace.basis(),
            model,
            facts: &self.facts,
            bounds: Bounds::new(enough, limits.max()).unwrap_or(limits),
        }
    }

    fn fault(&self, candidate: &Candidate, source: CandidateError) -> BacktestError {
        BacktestError::Candidate {
            trace: self.scenario.trace.name().to_owned(),
            candidate: candidate.name().to_owned(),
            source,
        }
    }

    /// Makes a candidate, with the cluster that it is replayed in.
    fn make(&self, candidate: &Candidate) -> Result<(Arc<Cluster>, Option<Driver>), BacktestError> {
        let fault = |source| self.fault(candidate, source);
        let CandidateSetup { control, driver } = candidate.make(&self.training()).map_err(fault)?;
        self.check_bounds(candidate, &control)?;
        let cluster = Cluster::new(ClusterSetup {
            target: self.target.clone(),
            model: self.scenario.model.clone(),
            arrivals: Arc::clone(&self.arrivals),
            trace: Arc::clone(&self.scenario.trace),
            first_step: self.first_step,
            counted: Arc::clone(&self.counted),
            control,
            facts: self.facts.clone(),
            events: self.scenario.events.clone().into(),
            history: Arc::clone(&self.history),
        });
        let cluster = cluster.map_err(|error: ClusterError| self.fault(candidate, error.into()))?;
        let interval = driver.as_ref().and_then(|driver| driver.interval);
        Ok((Arc::new(cluster.decided_on_every(interval)), driver))
    }

    /// Refuses bounds that leave the limits: one set of limits holds for all candidates and the oracle of a run.
    fn check_bounds(&self, candidate: &Candidate, control: &Control) -> Result<(), BacktestError> {
        let bounds = match control {
            // Bounds that are none are refused by the cluster.
            Control::Hpa { spec, .. } => spec.bounds().ok(),
            Control::Direct { bounds } => Some(*bounds),
        };
        let limits = self.scenario.model.limits;
        match bounds.filter(|bounds| !limits.bounds().contains(*bounds)) {
            None => Ok(()),
            Some(bounds) => Err(BacktestError::OutOfLimits {
                trace: self.scenario.trace.name().to_owned(),
                candidate: candidate.name().to_owned(),
                bounds,
                limits,
            }),
        }
    }

    async fn replay(
        &self,
        candidate: &Candidate,
        (cluster, driver): (Arc<Cluster>, Option<Driver>),
        progress: &(impl Progress + ?Sized),
    ) -> Result<(Run, Option<Decisions>), BacktestError> {
        let fault = |source| self.fault(candidate, source);
        let decisions = match driver {
            None => {
                self.run_hpa_alone(&cluster, progress);
                None
            }
            Some(driver) => {
                let decisions = self.drive(&cluster, driver, progress).await;
                Some(decisions.map_err(|error| fault(error.into()))?)
            }
        };
        // The autoscaler, which held it as well, was dropped with `drive`.
        let cluster = Arc::into_inner(cluster).ok_or_else(|| fault("the cluster is still in use".into()))?;
        Ok((cluster.into_run(), decisions))
    }

    /// Lets time pass: no driver moves the bounds.
    fn run_hpa_alone(&self, cluster: &Cluster, progress: &(impl Progress + ?Sized)) {
        let mut step = self.first_step;
        while step < self.end {
            let next = (step + PROGRESS).min(self.end);
            cluster.advance(self.arrivals.instant(next));
            progress.advance((next - step) as u64);
            step = next;
        }
    }

    /// Lets an engine decide at every sync period, or as often as its driver says, on the path that runs live: an [`Autoscaler`] over the simulated cluster.
    async fn drive(
        &self,
        cluster: &Arc<Cluster>,
        driver: Driver,
        progress: &(impl Progress + ?Sized),
    ) -> Result<Decisions, TickError> {
        let model = &self.scenario.model;
        let builder = Autoscaler::builder()
            .engine(driver.engine)
            .applier(Arc::clone(cluster))
            .guards(driver.guards)
            .policy(driver.policy)
            .limits(model.limits)
            .mode(ApplyMode::Apply)
            .source(Arc::clone(cluster));
        let builder = match driver.recorder {
            Some(recorder) => builder.recorder(recorder),
            None => builder,
        };
        let mut decisions = Decisions::default();
        // Building fails only without a source, an engine or an applier.
        let autoscaler = builder.build();
        let sync = model.steps(model.sync_period).max(1);
        let interval = driver.interval.map_or(0, |interval| model.steps(interval));
        let sync = (interval / sync).max(1) * sync;
        let mut reported = self.first_step;
        for step in (self.first_step..self.end).step_by(sync) {
            let now = self.arrivals.instant(step);
            cluster.advance(now);
            let record = autoscaler.tick(&self.target, now).await?;
            // Gaps count for nothing: an engine that has nothing to see in one has not failed.
            if self.counted.get(step).copied().unwrap_or(false) {
                decisions.take(&record);
            }
            if step - reported >= PROGRESS {
                progress.advance((step - reported) as u64);
                reported = step;
            }
        }
        cluster.advance(self.arrivals.instant(self.end));
        progress.advance((self.end - reported) as u64);
        Ok(decisions)
    }

    fn plot(&self, oracle: &OracleReport) -> Plot {
        let before = self.scored_from - self.first_step;
        let counted = self.counted.iter().skip(self.scored_from);
        // The oracle has no size in steps that do not count.
        let pods = counted.zip(oracle.pods()).map(|(counts, pods)| if *counts { f64::from(*pods) } else { f64::NAN });
        let pods: Vec<f64> = std::iter::repeat_n(f64::NAN, before).chain(pods).collect();
        Plot::new(&self.arrivals, self.first_step..self.end, &pods)
    }

    /// Describes the part of the trace that counts.
    fn scored(&self) -> Scored {
        let range = self.scored_from..self.end;
        let requests = self.arrivals.requests().get(range.clone()).unwrap_or_default();
        let censored = self.arrivals.censored().get(range.clone()).unwrap_or_default();
        let counted = self.counted.get(range).unwrap_or_default();
        let step_s = self.scenario.model.step().as_secs_f64();
        let seconds = |steps: usize| steps as f64 * step_s;
        let settling = requests.iter().zip(counted).filter(|(requests, counts)| !requests.is_nan() && !**counts);
        Scored {
            recorded_from: self.arrivals.instant(0),
            start: self.arrivals.instant(self.scored_from),
            end: self.arrivals.instant(self.end),
            step_seconds: step_s,
            history_days: seconds(self.first_step) / 86_400.0,
            requests: requests.iter().zip(counted).filter(|(_, counts)| **counts).map(|(requests, _)| requests).sum(),
            gap_seconds: seconds(requests.iter().filter(|requests| requests.is_nan()).count()),
            settling_seconds: seconds(settling.count()),
            censored_seconds: seconds(censored.iter().filter(|censored| **censored).count()),
        }
    }
}
