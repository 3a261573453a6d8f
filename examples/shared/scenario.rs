//! From arguments to a trace in a simulated cluster.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use scaling_core::backtest::{BacktestError, Candidate, ClusterError, ClusterModel, DemandBasis, Scenario, Trace};
use scaling_core::source::parse::{Note, SampleTime};
use scaling_core::stats::significant;
use scaling_core::{Bounds, HardLimits, InvalidSetting, ScalingMetrics, SignalKind, WorkloadFacts};

use crate::Failure;
use crate::manifest::{self, HpaArguments};
use crate::reading::ReadingArguments;

/// Capacity of a pod where only the shape of the load counts, in requests per second.
const POD_CAPACITY: f64 = 50.0;
/// Pods that the busiest thousandth of a scaled load needs, where nobody says how many.
const PODS_AT_PEAK: f64 = 40.0;
/// Smallest and largest size where none are given.
const LIMITS: (u32, u32) = (1, 200);

/// Arguments for the cluster that traces are replayed in, and for the part of them that counts.
#[derive(Args, Clone, Debug)]
pub struct ScenarioArguments {
    /// How traces are read.
    #[command(flatten)]
    pub reading: ReadingArguments,
    /// Requests per second that one pod serves at full utilization.
    #[arg(long, value_name = "RPS")]
    pub pod_capacity: Option<f64>,
    /// Pods that the busiest thousandth of a trace needs, where nothing says what a pod can carry: the load is scaled to it. By default
    /// 40, and refused where an HPA of your own is judged by that load.
    #[arg(long, value_name = "PODS")]
    pub pods_at_peak: Option<f64>,
    /// Seconds from a pod's creation to its first request.
    #[arg(long, default_value_t = 60)]
    pub start_up: u64,
    /// Seconds between two decisions.
    #[arg(long, default_value_t = 15)]
    pub sync: u64,
    /// Seconds between two measurements.
    #[arg(long, default_value_t = 15)]
    pub scrape: u64,
    /// How old metrics are when they are seen, in seconds.
    #[arg(long, default_value_t = 30)]
    pub lag: u64,
    /// How long metrics are means over, in seconds.
    #[arg(long, default_value_t = 60)]
    pub window: u64,
    /// Seconds that a request may wait.
    #[arg(long, default_value_t = 1.0)]
    pub objective: f64,
    /// Seconds that a request waits at most; what would wait longer is dropped.
    #[arg(long, default_value_t = 30.0)]
    pub patience: f64,
    /// Smallest and largest size, for every policy and the oracle. By default 1..200, widened to the bounds of the manifests.
    #[arg(long, value_name = "MIN..MAX", value_parser = crate::limits)]
    pub limits: Option<HardLimits>,
    /// Pods that the nodes hold.
    #[arg(long)]
    pub node_limit: Option<u32>,
    /// How often a pod fails, in times a day.
    #[arg(long, default_value_t = 0.0)]
    pub failures: f64,
    /// Scatters the requests as independent ones scatter, from this seed.
    #[arg(long, value_name = "SEED")]
    pub noise: Option<u64>,
    /// A signal that is not measured, as `queue_depth`; may be given several times.
    #[arg(long, value_name = "SIGNAL", value_parser = signal)]
    pub without: Vec<SignalKind>,
    /// Measures the rate of the requests served, as a service does itself, instead of those that arrive.
    #[arg(long)]
    pub rate_as_served: bool,
    /// Share of each trace that is history to learn from.
    #[arg(long, default_value_t = 0.5)]
    pub history: f64,
    /// Days that count at most.
    #[arg(long, default_value_t = 14.0, allow_negative_numbers = true)]
    pub days: f64,
    /// Which HPA of a file, which of its metrics, and what its pods request.
    #[command(flatten)]
    pub hpas: HpaArguments,
    /// Price of a pod-hour.
    #[arg(long, default_value_t = 0.05, allow_negative_numbers = true)]
    pub price: f64,
    /// Currency of the price.
    #[arg(long, default_value = "USD")]
    pub currency: String,
}

impl ScenarioArguments {
    /// Puts each trace (or the one that comes with the examples) into its cluster, and says what had to be assumed.
    ///
    /// `judged` are the files with the user's own HPAs. Their bounds are for the real load, so no load is scaled to a size of ours for
    /// them.
    ///
    /// # Errors
    /// [`Failure::Input`] with the file and what is wrong in it, or the argument that cannot work or is needed.
    pub fn scenarios(
        &self,
        traces: &[PathBuf],
        candidates: &[Candidate],
        judged: &[&str],
        out: &mut impl Write,
    ) -> Result<Vec<Scenario>, Failure> {
        self.validate()?;
        let shop_history = [crate::shop_history()];
        let traces = if traces.is_empty() { &shop_history } else { traces };
        self.hpas.check_names(candidates)?;
        let limits = self.limits(candidates, out)?;
        let mut notes = Vec::new();
        let requests = self.hpas.requests(candidates, |note| notes.push(note));
        notes.iter().try_for_each(|note| writeln!(out, "{note}"))?;
        let facts = requests.added_to(WorkloadFacts::default());
        let scenarios = named(traces)?.into_iter().zip(traces).map(|(name, path)| {
            let scenario = self.scenario(&name, path, limits, judged, out)?;
            let mut facts = facts.clone();
            facts.utc_offset_seconds = self.reading.utc_offset_seconds(scenario.trace.span().1);
            Ok(Scenario { facts, ..scenario })
        });
        scenarios.collect()
    }

    /// Puts the load of samples, fetched from a place of this name, into its cluster, under the policies that it is to be judged with.
    ///
    /// # Errors
    /// As [`scenarios`](Self::scenarios).
    pub fn fetched(
        &self,
        place: &str,
        samples: Vec<ScalingMetrics>,
        candidates: &[Candidate],
        out: &mut impl Write,
    ) -> Result<Scenario, Failure> {
        self.hpas.check_names(candidates)?;
        let limits = self.limits(candidates, out)?;
        let trace = Trace::from_samples(place, samples, SampleTime::Ends);
        let trace = trace.map_err(|error| Failure::failed(format!("{place}: {error}")))?;
        let scenario = self.of_trace(place, trace, limits, &[place], out)?;
        let mut notes = Vec::new();
        let requests = self.hpas.requests(candidates, |note| notes.push(note));
        notes.iter().try_for_each(|note| writeln!(out, "{note}"))?;
        let mut facts = requests.added_to(WorkloadFacts::default());
        facts.utc_offset_seconds = self.reading.utc_offset_seconds(scenario.trace.span().1);
        Ok(Scenario { facts, ..scenario })
    }

    /// Finds the limits of a run: one set for all of its policies and the oracle. Those that are given stand, and a policy that leaves
    /// them is refused when it is replayed.
    fn limits(&self, candidates: &[Candidate], out: &mut impl Write) -> Result<HardLimits, Failure> {
        if let Some(given) = self.limits {
            return Ok(given);
        }
        let usual = Bounds::new(LIMITS.0, LIMITS.1).map_err(Failure::input)?;
        let (mut min, mut max, mut beyond) = (usual.min(), usual.max(), Vec::new());
        for candidate in candidates {
            if let Some(own) = candidate.own_bounds().filter(|own| !usual.contains(*own)) {
                (min, max) = (min.min(own.min()), max.max(own.max()));
                beyond.push(format!("{} ({own})", candidate.name()));
            }
        }
        let limits = HardLimits::new(min, max).map_err(Failure::input)?;
        if !beyond.is_empty() {
            writeln!(
                out,
                "note: limits are widened from {usual} to {limits}, for every policy and the oracle, by {} (--limits)",
                beyond.join(", ")
            )?;
        }
        Ok(limits)
    }

    /// Returns the pods that the peak of a load was scaled to; none for a load as it was recorded.
    pub fn scaled_to(&self, scenario: &Scenario) -> Option<f64> {
        let is_known = self.pod_capacity.or(scenario.trace.pod_capacity()).is_some();
        (!is_known).then(|| self.pods_at_peak.unwrap_or(PODS_AT_PEAK))
    }

    fn scenario(
        &self,
        name: &str,
        path: &Path,
        limits: HardLimits,
        judged: &[&str],
        out: &mut impl Write,
    ) -> Result<Scenario, Failure> {
        let trace = self.reading.trace(name, path, &crate::read(path)?)?;
        self.of_trace(&crate::place(path), trace, limits, judged, out)
    }

    /// Puts one trace, read from a place of this name, into its cluster.
    fn of_trace(
        &self,
        place: &str,
        trace: Trace,
        limits: HardLimits,
        judged: &[&str],
        out: &mut impl Write,
    ) -> Result<Scenario, Failure> {
        let bad = |what: &dyn Display| Failure::input(format!("{place}: {what}"));
        let name = trace.name().to_owned();
        for note in self.reading.notes(&trace) {
            writeln!(out, "{name}: {note}")?;
        }
        if self.pod_capacity.is_some() && trace.basis() == DemandBasis::CpuUsage {
            return Err(bad(
                &"demand is CPU utilization times pods, and a pod serves 1 of it; --pod-capacity is for request rates",
            ));
        }
        let (trace, pod_capacity) = match self.pod_capacity.or(trace.pod_capacity()) {
            Some(capacity) => (trace, capacity),
            None => (self.scaled(trace, judged, &bad, out)?, POD_CAPACITY),
        };
        Ok(Scenario {
            price: Some(crate::price(self.price, &self.currency)?),
            history_share: self.history,
            longest: seconds("days", self.days * 86_400.0)?,
            ..Scenario::new(trace, self.model(pod_capacity, limits)?)
        })
    }

    /// Checks what holds for any trace.
    ///
    /// # Errors
    /// [`Failure::Input`] with the argument that cannot work.
    pub fn validate(&self) -> Result<(), Failure> {
        crate::price(self.price, &self.currency)?;
        seconds("days", self.days * 86_400.0)?;
        let limits = HardLimits::new(LIMITS.0, LIMITS.1).map_err(Failure::input)?;
        self.model(self.pod_capacity.unwrap_or(POD_CAPACITY), limits).map(|_| ())
    }

    /// The cluster that a trace is replayed in.
    fn model(&self, pod_capacity: f64, limits: HardLimits) -> Result<ClusterModel, Failure> {
        if !(0.0..1.0).contains(&self.history) {
            return Err(Failure::input(format!("--history is {}; it must be a share below 1", self.history)));
        }
        let model = ClusterModel {
            pod_capacity,
            start_up: Duration::from_secs(self.start_up),
            sync_period: Duration::from_secs(self.sync),
            scrape_period: Duration::from_secs(self.scrape),
            metrics_lag: Duration::from_secs(self.lag),
            metrics_window: Duration::from_secs(self.window),
            objective: seconds("objective", self.objective)?,
            patience: seconds("patience", self.patience)?,
            limits,
            node_limit: self.node_limit,
            pod_failures_per_day: self.failures,
            noise_seed: self.noise,
            rate_as_served: self.rate_as_served,
            metrics: self.hpas.metrics()?,
            ..ClusterModel::default()
        };
        let model = self.without.iter().fold(model, |model, signal| model.without(*signal));
        model.validate().map_err(by_flag)?;
        Ok(model)
    }

    /// Scales a trace so that its busiest thousandth needs the pods asked for.
    fn scaled(
        &self,
        trace: Trace,
        judged: &[&str],
        bad: &dyn Fn(&dyn Display) -> Failure,
        out: &mut impl Write,
    ) -> Result<Trace, Failure> {
        let busy = trace.demand_quantile(0.001);
        if busy <= 0.0 {
            return Err(bad(&"nothing arrives in it"));
        }
        if let (None, [_, ..]) = (self.pods_at_peak, judged) {
            let doubts = trace.notes().iter().filter(|note| matches!(note, Note::Doubtful { .. }));
            let doubts: Vec<_> = doubts.map(ToString::to_string).collect();
            let why = match doubts.as_slice() {
                [] => " (CPU, pods and request rate together would)".to_owned(),
                doubts => format!(": {}. Or", doubts.join("; ")),
            };
            let say = if doubts.is_empty() { "; say what a pod serves" } else { " say what a pod serves" };
            return Err(bad(&format!(
                "nothing in it tells what a pod of {} serves{why}{say}: --pod-capacity REQUESTS_PER_SECOND, or --pods-at-peak N to \
                 scale the load",
                judged.join(" or ")
            )));
        }
        let peak = self.pods_at_peak.unwrap_or(PODS_AT_PEAK);
        let factor = peak * POD_CAPACITY / busy;
        if !(factor.is_finite() && factor > 0.0) {
            return Err(bad(&format!(
                "--pods-at-peak is {peak}; its load of {busy} per second cannot be scaled to that"
            )));
        }
        writeln!(
            out,
            "{}: note: scaled by {}, so that its busiest thousandth needs {peak} pods of {POD_CAPACITY} requests per second \
             (--pods-at-peak, --pod-capacity)",
            trace.name(),
            significant(factor, 4)
        )?;
        Ok(trace.scaled(factor))
    }
}

/// Names the flag of a setting that cannot be.
fn by_flag(error: InvalidSetting) -> Failure {
    let flag = match error.field {
        "sync_period" => "sync".to_owned(),
        "scrape_period" => "scrape".to_owned(),
        "metrics_lag" => "lag".to_owned(),
        "metrics_window" => "window".to_owned(),
        "pod_failures_per_day" => "failures".to_owned(),
        "metrics" => "metric".to_owned(),
        field => field.replace('_', "-"),
    };
    Failure::input(format!("--{flag} is {}; it must be {}", error.value, error.must))
}

/// Reads a time of an option, in seconds.
fn seconds(name: &str, value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value).map_err(|_| Failure::input(format!("--{name} is {value}; it must be a time")))
}

/// Tells apart whether a backtest failed for its input or for another reason.
pub fn failure(error: BacktestError) -> Failure {
    match error {
        BacktestError::Model { .. } | BacktestError::TooShort { .. } | BacktestError::OutOfLimits { .. } => {
            Failure::input(error)
        }
        // An HPA that cannot be simulated: its metric, its bounds.
        BacktestError::Candidate { ref source, .. } => match source.downcast_ref::<ClusterError>() {
            Some(cause) => Failure::input(format!("{error}{}", manifest::advice(cause))),
            None => Failure::failed(error),
        },
        _ => Failure::failed(error),
    }
}

/// Reads the name of a signal.
fn signal(text: &str) -> Result<SignalKind, String> {
    let known = SignalKind::ALL.into_iter().find(|kind| kind.field() == text);
    known.ok_or_else(|| format!("there are: {}", SignalKind::ALL.map(SignalKind::field).join(", ")))
}

/// Names the traces for reports, each differently.
fn named(paths: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let short: Vec<_> = paths.iter().map(|path| trace_name(path)).collect();
    let mut seen = BTreeSet::new();
    if let Some(twice) = paths.iter().find(|path| !seen.insert(*path)) {
        return Err(Failure::input(format!("{} is given twice", crate::place(twice))));
    }
    let is_shared = |name: &String| short.iter().filter(|other| *other == name).count() > 1;
    Ok(short
        .iter()
        .zip(paths)
        .map(|(name, path)| if is_shared(name) { crate::place(path) } else { name.clone() })
        .collect())
}

/// Returns the name of a file without the endings of its form and packing.
fn trace_name(path: &Path) -> String {
    if path == Path::new("-") {
        return crate::place(path);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
}
