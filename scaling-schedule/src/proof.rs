//! The proof of a schedule: what it would have cost, and kept waiting, on days that the compiler has not seen.
//!
//! The history is cut in two. Windows are compiled from the first part, and the second is replayed in the simulated cluster of
//! `scaling-core`'s [backtest](scaling_core::backtest) under each of five policies: the present constant size, the HPA alone, the windows
//! over that HPA as they were compiled and as they are when they are made again each night, and the predictive engine over it. Every figure
//! of savings comes from there, and is that of windows as they are compiled, from the first part: those of the whole history, which go out to
//! a cluster, have no days left to be replayed on.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use scaling_core::backtest::{
    BacktestError, Candidate, CandidateError, CandidateSetup, ClusterModel, DemandBasis, Driver, SampleTime, Scenario,
    Score, Trace, TraceError, TrainingPeriod, score_one,
};
use scaling_core::{
    Bounds, BoundsPolicy, DecisionEngine, Guards, InvalidBounds, InvalidSetting, MetricsHistory, Price, ScalingMetrics,
    SignalKind, WorkloadFacts,
};

use crate::{
    CompileConfig, Compiled, CostReport, HpaBeneath, PredictiveConfig, PredictiveEngine, RenewedSchedule, Schedule,
    ScheduleEngine, Tz, Unproven, compile_over_hpa, need_by_cpu, need_by_load,
};

/// Circumstances of a proof.
#[derive(Clone, Debug)]
pub struct ProofConfig {
    /// The present constant size, in pods.
    pub constant: u32,
    /// Target of the HPA, percent of CPU utilization. Default 70.
    pub target_percent: i32,
    /// The simulated cluster. Its limits are the bounds of the HPA, and its pods serve what the workload's serve.
    pub model: ClusterModel,
    /// Settings of the compiler.
    pub compiler: CompileConfig,
    /// Share of the history from which windows are compiled. Default a half; the rest is replayed.
    pub learnt_share: f64,
}

impl ProofConfig {
    /// Defaults, for a workload of so many pods now, in such a cluster.
    pub fn new(constant: u32, model: ClusterModel, compiler: CompileConfig) -> Self {
        Self { constant, target_percent: 70, model, compiler, learnt_share: 0.5 }
    }
}

/// Reasons why nothing can be proven.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The history is no trace of load.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The replay is refused.
    #[error(transparent)]
    Backtest(#[from] BacktestError),
    /// A setting cannot work.
    #[error(transparent)]
    Config(#[from] InvalidSetting),
    /// The present size cannot be.
    #[error("the constant size: {0}")]
    Constant(#[from] InvalidBounds),
}

/// Outcome of one policy on the days that were held out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replayed {
    /// Pod-hours of those days.
    pub pod_hours: f64,
    /// Hours of those days.
    pub hours: f64,
    /// Share of their requests that waited for too long.
    pub violating_share: f64,
}

impl Replayed {
    fn of(score: &Score) -> Self {
        Self { pod_hours: score.pod_hours, hours: score.hours, violating_share: score.violating_share }
    }

    /// Pod-hours a week, if all weeks are like those days.
    pub fn pod_hours_a_week(&self) -> f64 {
        if self.hours > 0.0 { self.pod_hours / self.hours * 168.0 } else { 0.0 }
    }
}

/// Outcomes of five policies on the same held-out days.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// The answer of the compiler to the days before. Without a schedule, windows over the HPA are the HPA alone.
    pub compiled: Compiled,
    /// The present constant size.
    pub constant: Replayed,
    /// The HPA alone.
    pub hpa: Replayed,
    /// The windows over the HPA, as they were compiled from the days before.
    pub schedule: Replayed,
    /// The windows over the HPA, made again each night from all days until then.
    pub renewed: Replayed,
    /// The predictive engine over the HPA.
    pub predictive: Replayed,
    /// Dates of the history that the compiler's settings exclude: neither learnt from nor replayed.
    pub excluded_days: usize,
    /// Hours of the history from its beginning on from which the windows were compiled; the rest is replayed.
    pub learnt_hours: f64,
}

/// Savings of a schedule at a price, each per hour, month and year.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Savings {
    /// Against the present constant size.
    pub against_constant: CostReport,
    /// Against the HPA alone.
    pub against_hpa: CostReport,
    /// Beside the predictive engine over the HPA.
    pub beside_predictive: CostReport,
}

impl Proof {
    /// Returns why there is no schedule, if so.
    pub fn why_not(&self) -> Option<&Unproven> {
        self.compiled.why_not()
    }

    /// Savings at a price, if all weeks are like the held-out days.
    pub fn savings(&self, price: &Price) -> Savings {
        let report = |before: &Replayed| CostReport::replayed(before, &self.schedule, price);
        Savings {
            against_constant: report(&self.constant),
            against_hpa: report(&self.hpa),
            beside_predictive: report(&self.predictive),
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = |hours: f64| hours / 24.0;
        write!(f, "Replay: what the first {:.1} days make", days(self.learnt_hours))?;
        match &self.compiled {
            Compiled::NoSchedule(none) => writeln!(f, " is {}. So the schedule is the HPA alone", none.why)?,
            Compiled::Schedule(compiled) => {
                let windows = compiled.schedule.windows();
                let named: Vec<String> =
                    windows.iter().map(|one| format!("{}: {} pods", one.name(), one.min())).collect();
                writeln!(f, ", {}", named.join("; "))?;
            }
        }
        writeln!(f, "On the {:.1} days after them, which were not learnt from:", days(self.schedule.hours))?;
        writeln!(f, "{:28}  POD-HOURS/WEEK  VIOLATING", "POLICY")?;
        for (name, one) in [
            ("the present constant size", &self.constant),
            ("the HPA alone", &self.hpa),
            ("the schedule over the HPA", &self.schedule),
            ("the same, made again nightly", &self.renewed),
            ("the predictive engine over it", &self.predictive),
        ] {
            writeln!(f, "{name:29} {:>15.0} {:>8.3} %", one.pod_hours_a_week(), one.violating_share * 100.0)?;
        }
        if self.excluded_days > 0 {
            writeln!(f, "{} excluded dates were neither learnt from nor replayed", self.excluded_days)?;
        }
        Ok(())
    }
}

/// Replays the held-out days of a history under five policies.
///
/// Dates that the compiler's settings exclude are gaps in what is replayed: they cost nothing and keep nobody waiting.
///
/// It needs a request rate or CPU utilization with pod counts, as [`Trace::from_samples`] does. Fourteen days take some seconds.
///
/// # Errors
/// [`ProofError`] if the history or a setting cannot be replayed.
pub async fn prove(history: &MetricsHistory, config: &ProofConfig) -> Result<Proof, ProofError> {
    config.compiler.validate()?;
    let (samples, excluded_days) = counted(history, &config.compiler);
    let trace = Trace::from_samples("history", samples, SampleTime::Ends)?;
    let model = ClusterModel {
        pod_capacity: if trace.basis() == DemandBasis::CpuUsage { 1.0 } else { config.model.pod_capacity },
        ..config.model.clone()
    };
    let constant = Bounds::new(config.constant, config.constant.max(1))?;
    let scenario = Scenario {
        history_share: config.learnt_share,
        longest: Duration::from_secs(366 * 86_400),
        ..Scenario::new(trace, model)
    };
    let percent = config.target_percent;
    let answer: Arc<Mutex<Option<Compiled>>> = Arc::default();
    let candidates = [
        Candidate::new("constant", move |_| Ok(CandidateSetup::direct(constant))),
        Candidate::hpa_on_cpu(percent),
        renewed(percent, config.compiler.clone(), &answer),
        standing(percent, &answer),
        Candidate::over_hpa("predictive", percent, |_| {
            Ok(Driver::bounds(PredictiveEngine::new(PredictiveConfig::default())?))
        }),
    ];
    let mut replayed = Vec::with_capacity(candidates.len());
    for candidate in &candidates {
        replayed.push(Replayed::of(&score_one(&scenario, candidate, &()).await?));
    }
    let compiled = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (replayed.as_slice(), compiled) {
        (&[constant, hpa, renewed, schedule, predictive], Some(compiled)) => {
            let learnt_hours = crate::compile::history_span_ms(history) as f64 / 3_600_000.0 * config.learnt_share;
            Ok(Proof { compiled, constant, hpa, schedule, renewed, predictive, excluded_days, learnt_hours })
        }
        // Each candidate was replayed, and the third has left its answer.
        _ => Err(InvalidSetting { field: "learnt_share", value: config.learnt_share, must: "within 0..1" }.into()),
    }
}

/// The samples of dates that count, and the number of those that do not.
fn counted(history: &MetricsHistory, compiler: &CompileConfig) -> (Vec<ScalingMetrics>, usize) {
    let mut samples: Vec<ScalingMetrics> = history.iter().collect();
    let mut left_out = BTreeSet::new();
    if !compiler.excluded.is_empty() {
        samples.retain(|sample| {
            let date = Schedule::clock(compiler.time_zone, sample.timestamp).map(|local| local.date());
            let excluded = date.filter(|date| compiler.excluded.contains(*date));
            left_out.extend(excluded);
            excluded.is_none()
        });
    }
    (samples, left_out.len())
}

/// The windows that the candidate before has left, as they are.
fn standing(percent: i32, answer: &Arc<Mutex<Option<Compiled>>>) -> Candidate {
    let answer = Arc::clone(answer);
    Candidate::over_hpa("schedule", percent, move |_| {
        let answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
        let schedule = answer.as_ref().and_then(Compiled::schedule).map(|compiled| compiled.schedule.clone());
        Ok(moving_floors(ScheduleEngine::new(schedule.unwrap_or_else(|| Schedule::none(Tz::UTC)))))
    })
}

fn renewed(percent: i32, config: CompileConfig, answer: &Arc<Mutex<Option<Compiled>>>) -> Candidate {
    let answer = Arc::clone(answer);
    Candidate::over_hpa("renewed", percent, move |training| {
        let (driver, compiled) = driver_over_hpa(percent, &config, training, |hpa| hpa)?;
        *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(compiled);
        Ok(driver)
    })
}

/// Makes the driver of a candidate whose windows, compiled from its training period and made again each night, move the min of an HPA of
/// so many percent, and gives the answer of the compiler. `change` says how the HPA differs from one without `behavior`.
///
/// ```
/// use scaling_core::backtest::Candidate;
/// use scaling_schedule::{CompileConfig, driver_over_hpa};
///
/// let candidate = Candidate::over_hpa("schedule@hpa:70", 70, |training| {
///     let (driver, compiled) = driver_over_hpa(70, &CompileConfig::default(), training, |hpa| hpa)?;
///     if let Some(why) = compiled.why_not() {
///         println!("{why}; the HPA alone");
///     }
///     Ok(driver)
/// });
/// # let _ = candidate;
/// ```
///
/// # Errors
/// Those of [`compile_over_hpa`](crate::compile_over_hpa), or if the limits of the model are no bounds of an HPA.
pub fn driver_over_hpa(
    percent: i32,
    config: &CompileConfig,
    training: &TrainingPeriod<'_>,
    change: impl Fn(HpaBeneath) -> HpaBeneath,
) -> Result<(Driver, Compiled), CandidateError> {
    let limits = training.model.limits.bounds();
    // An HPA on CPU cannot come back from no pods.
    let bounds = Bounds::new(limits.min().max(1), limits.max())?;
    let hpa = change(HpaBeneath::new(f64::from(percent), bounds, training.facts));
    let need = match training.basis {
        DemandBasis::RequestRate => need_by_load(SignalKind::RequestRate, training.model.pod_capacity),
        DemandBasis::CpuUsage => need_by_cpu(100.0),
    };
    let facts: &WorkloadFacts = training.facts;
    let config = CompileConfig { lead: facts.start_up, ..config.clone() };
    let compiled = compile_over_hpa(training.history, &need, &hpa, &config)?;
    let engine = RenewedSchedule::new(compiled.schedule(), &need, &hpa, &config)?;
    Ok((moving_floors(engine), compiled))
}

/// A driver that moves the min alone. The end of a floor frees the HPA at once, as a CronJob does: it shrinks at its own pace, and halving the
/// min every five minutes would only pay for pods that nobody asked for.
fn moving_floors(engine: impl DecisionEngine + 'static) -> Driver {
    let policy = BoundsPolicy { floors_only: true, ..BoundsPolicy::default() };
    Driver { policy, guards: Guards::only_hard_limits(), ..Driver::bounds(engine) }
}
