//! Candidates side by side over traces: [`Scenario`], [`run`].

use std::sync::Arc;
use std::time::Duration;

use super::candidate::{Candidate, CandidateError, Contender, Driver, Past};
use super::oracle::{Oracle, OracleConfig, OracleError, OracleProblem};
use super::report::{CandidateReport, OracleReport, Plot, Report, Scored, TraceReport};
use super::score::{Decisions, Score};
use super::{Arrivals, Cluster, ClusterError, ClusterModel, ClusterSetup, InvalidModel, Run, Trace};
use crate::{ApplyMode, Autoscaler, Bounds, MetricsHistory, PlannedEvent, Price, Target, TickError, WorkloadFacts};

/// Steps between two reports of progress.
const PROGRESS: usize = 1000;
/// Steps with data that a score needs.
const LEAST: usize = 10;
/// Prices at which the clairvoyant's frontier is solved.
const FRONTIER: usize = 24;

/// A trace, and how to replay it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What arrives.
    pub trace: Arc<Trace>,
    /// What the cluster is like.
    pub model: ClusterModel,
    /// What engines are told of the workload, besides what the model says.
    pub facts: WorkloadFacts,
    /// Declared events that engines are told of.
    pub events: Vec<PlannedEvent>,
    /// What pods cost.
    pub price: Option<Price>,
    /// Share of the trace that comes before the replay, as history to learn from, cut to whole sync periods. Default a half.
    pub history_share: f64,
    /// Time at the beginning of the replay that does not count: what it begins with is nobody's doing. Default an hour, but at most
    /// a tenth of what comes after the history.
    pub settle: Duration,
    /// Time that counts at most, from the settling on. Default 14 days.
    pub longest: Duration,
}

impl Scenario {
    /// A trace in a cluster, half of it as history.
    pub fn new(trace: impl Into<Arc<Trace>>, model: ClusterModel) -> Self {
        Self {
            trace: trace.into(),
            model,
            facts: WorkloadFacts::default(),
            events: Vec::new(),
            price: None,
            history_share: 0.5,
            settle: Duration::from_secs(3600),
            longest: Duration::from_secs(14 * 86_400),
        }
    }
}

/// What cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BacktestError {
    /// The model cannot be.
    #[error("{trace}: the cluster model cannot be: {source}")]
    Model {
        /// The trace.
        trace: String,
        /// What is wrong.
        #[source]
        source: InvalidModel,
    },
    /// Nothing is left to score.
    #[error(
        "{trace}: {steps} steps of {step_s} s that count (with data, after the history) are too few; at least {LEAST} are needed"
    )]
    TooShort {
        /// The trace.
        trace: String,
        /// Steps with data that would count.
        steps: usize,
        /// The length of a step in seconds.
        step_s: f64,
    },
    /// A candidate could not be made.
    #[error("{trace}: candidate {candidate}: {source}")]
    Candidate {
        /// The trace.
        trace: String,
        /// The candidate.
        candidate: String,
        /// Why.
        #[source]
        source: CandidateError,
    },
}

/// Hears how far a backtest has come.
pub trait Progress {
    /// A part of so many steps begins.
    fn begin(&self, what: &str, steps: u64);
    /// So many steps of it are done.
    fn advance(&self, steps: u64);
    /// It is done.
    fn end(&self);
}

/// Nobody listens.
impl Progress for () {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}

/// Replays every candidate over every trace. The same input gives the same report, byte for byte, unless a candidate asks somebody
/// else.
///
/// # Errors
/// [`BacktestError`] with the trace and the candidate.
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

/// Replays every candidate over one trace, for hosts that share the traces out over threads; [`Report::new`] puts them together.
///
/// # Errors
/// As [`run`].
pub async fn run_one(
    scenario: &Scenario,
    candidates: &[Candidate],
    progress: &(impl Progress + ?Sized),
) -> Result<TraceReport, BacktestError> {
    let prepared = Prepared::new(scenario)?;
    // All are made before any is replayed: what cannot be is said at once.
    let contenders: Vec<_> =
        candidates.iter().map(|candidate| prepared.contender(candidate)).collect::<Result<_, _>>()?;
    progress.begin(&format!("{}: oracle", scenario.trace.name()), prepared.steps() as u64);
    let mut oracle = prepared.oracle();
    let oracle_report = match &mut oracle {
        Ok(oracle) => OracleReport::new(oracle, FRONTIER),
        Err(error) => OracleReport::lacking(error),
    };
    progress.end();
    let mut reports = Vec::with_capacity(candidates.len());
    for (candidate, contender) in candidates.iter().zip(contenders) {
        progress.begin(&format!("{}: {}", scenario.trace.name(), candidate.name()), prepared.steps() as u64);
        let (run, decisions) = prepared.replay(candidate, contender, progress).await?;
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

/// A scenario with everything that its candidates share.
struct Prepared<'a> {
    scenario: &'a Scenario,
    arrivals: Arc<Arrivals>,
    first_step: usize,
    scored_from: usize,
    /// Which steps of the arrivals count.
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
        // A budget must not hold because nothing was held against it.
        let steps = counted.iter().take(end).filter(|counts| **counts).count();
        if steps < LEAST {
            return Err(BacktestError::TooShort { trace: name(), steps, step_s: model.step().as_secs_f64() });
        }
        let until = arrivals.instant(first_step);
        let (known, _) = MetricsHistory::from_unordered(trace.history_until(until));
        let mut history = MetricsHistory::with_limit(100_000);
        for sample in known.iter() {
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
            target: Target::deployment("backtest", trace.name(), trace.name()),
        })
    }

    fn steps(&self) -> usize {
        self.end - self.first_step
    }

    /// The clairvoyant over the time that counts; what does not is a gap to it.
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

    fn past(&self) -> Past<'_> {
        let Scenario { trace, model, .. } = self.scenario;
        let limits = model.limits.bounds();
        let enough = limits.clamp(self.arrivals.enough_pods(self.first_step, model));
        Past {
            history: &self.history,
            trace,
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

    /// Who decides, with the cluster that it decides about.
    fn contender(&self, candidate: &Candidate) -> Result<(Arc<Cluster>, Option<Driver>), BacktestError> {
        let Contender { control, driver } =
            candidate.make(&self.past()).map_err(|error| self.fault(candidate, error))?;
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
        Ok((Arc::new(cluster), driver))
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
                self.let_be(&cluster, progress);
                None
            }
            Some(driver) => {
                let decisions = self.drive(&cluster, driver, progress).await;
                Some(decisions.map_err(|error| fault(error.into()))?)
            }
        };
        // The autoscaler that held it is gone.
        let cluster = Arc::into_inner(cluster).ok_or_else(|| fault("the cluster is still in use".into()))?;
        Ok((cluster.into_run(), decisions))
    }

    /// Lets the HPA alone decide.
    fn let_be(&self, cluster: &Cluster, progress: &(impl Progress + ?Sized)) {
        let mut step = self.first_step;
        while step < self.end {
            let next = (step + PROGRESS).min(self.end);
            cluster.advance(self.arrivals.instant(next));
            progress.advance((next - step) as u64);
            step = next;
        }
    }

    /// Lets an engine decide at every sync period, on the path that runs live.
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
        let mut decisions = Decisions::default();
        // Source, engine and applier are there.
        let Ok(autoscaler) = builder.build() else { return Ok(decisions) };
        let sync = model.steps(model.sync_period).max(1);
        let mut reported = self.first_step;
        for step in (self.first_step..self.end).step_by(sync) {
            let now = self.arrivals.instant(step);
            cluster.advance(now);
            let record = autoscaler.tick(&self.target, now).await?;
            if step >= self.scored_from {
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
        // Where nothing counts, the clairvoyant has no size.
        let pods = counted.zip(oracle.pods()).map(|(counts, pods)| if *counts { f64::from(*pods) } else { f64::NAN });
        let pods: Vec<f64> = std::iter::repeat_n(f64::NAN, before).chain(pods).collect();
        Plot::new(&self.arrivals, self.first_step..self.end, &pods)
    }

    /// What of the trace counts.
    fn scored(&self) -> Scored {
        let range = self.scored_from..self.end;
        let requests = self.arrivals.requests().get(range.clone()).unwrap_or_default();
        let censored = self.arrivals.censored().get(range.clone()).unwrap_or_default();
        let counted = self.counted.get(range).unwrap_or_default();
        let step_s = self.scenario.model.step().as_secs_f64();
        let seconds = |steps: usize| steps as f64 * step_s;
        let settling = requests.iter().zip(counted).filter(|(requests, counts)| !requests.is_nan() && !**counts);
        Scored {
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
