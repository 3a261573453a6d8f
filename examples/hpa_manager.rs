//! Managing an HPA: read a manifest, recommend a configuration from history and, by replaying it, the target that is cheapest
//! beneath our floors; move the bounds through the guards, dry-run first.
//!
//!     cargo run --release --example hpa_manager
//!     cargo run --release --example hpa_manager -- hpa.yaml --history metrics.csv
//!
//! FILE is a manifest as Kubernetes takes it, alone or among others (`--hpa-name` chooses). Without it the HPA of `test_data` is read.
//! Notice that the plan changes `minReplicas` and `maxReplicas` and nothing else, and that a dry run changes nothing at all.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use examples::changes::when;
use examples::manifest::{HpaArguments, HpaFile};
use examples::reading::ReadingArguments;
use examples::{Failure, MayClose};
use futures::executor::block_on;
use scaling_core::backtest::{ClusterModel, Driver, Scenario, Trace};
use scaling_core::hpa::HpaSpec;
use scaling_core::recommend::{RecommendError, TargetSearch, recommend};
use scaling_core::{
    ApplyMode, Autoscaler, BoundsPolicy, HardLimits, MemoryApplier, MemorySource, MetricsHistory, Outcome,
    RuleBasedEngine, RuleConfig, WorkloadFacts,
};
use scaling_k8s::{HpaManifest, diff};
use scaling_schedule::{PredictiveConfig, PredictiveEngine};

const EXAMPLES: &str = "Examples:
  cargo run --release --example hpa_manager
  cargo run --release --example hpa_manager -- hpa.yaml --history metrics.csv
  cargo run --release --example hpa_manager -- chart.yaml --hpa-name web --history metrics.csv

  cargo run --release --example hpa_manager -- hpa.yaml --history metrics.csv --time-zone Europe/Berlin --column cpu='Load average*100'";

#[derive(Parser)]
#[command(
    name = "hpa_manager",
    version,
    about = "Recommends a configuration for an HPA and moves its bounds, dry-run first",
    after_help = format!("{EXAMPLES}\n\n{}", examples::reading::FORMS)
)]
struct Arguments {
    /// The HPA: a manifest of autoscaling/v2 or v1. By default `test_data/shop_hpa.yaml`.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The HPA of a file that holds several: NAME, or NAMESPACE/NAME.
    #[arg(long, value_name = "NAME")]
    hpa_name: Option<String>,
    /// Metrics of the workload; needed with FILE. Without FILE, `test_data/shop_history.csv.gz`, up to the flash sale on
    /// its second Thursday.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArguments,
    /// Requests per second that one pod serves at full utilization, where the history does not tell.
    #[arg(long, value_name = "RPS")]
    pod_capacity: Option<f64>,
}

/// Samples of the history of `test_data` up to the flash sale.
const BEFORE_THE_SALE: usize = 15_546;

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout().lock())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let file = arguments.file.clone().unwrap_or_else(|| examples::test_data("shop_hpa.yaml"));
    let hpas = HpaArguments { hpa_name: arguments.hpa_name.clone(), ..HpaArguments::default() };
    let HpaFile { manifest, spec, requests, .. } = hpas.read(&file)?;
    let mut facts = requests.added_to(WorkloadFacts::default());
    facts.pod_capacity = arguments.pod_capacity;
    if let Some(capacity) = facts.pod_capacity.filter(|capacity| !(capacity.is_finite() && *capacity > 0.0)) {
        return Err(Failure::input(format!("--pod-capacity is {capacity}; it must be a rate above 0")));
    }
    let target = manifest.target();
    let bounds = manifest.spec.bounds().map_err(Failure::input)?;
    writeln!(out, "{target} is scaled by HPA {:?} within {bounds}", target.hpa)?;

    // What would an HPA made from this workload's past look like?
    let path = match (&arguments.history, &arguments.file) {
        (Some(history), _) => history.clone(),
        (None, None) => examples::shop_history(),
        (None, Some(file)) => {
            return Err(Failure::input(format!(
                "{}: an HPA is judged by what was measured of its own workload; say where that is: --history FILE",
                examples::place(file)
            )));
        }
    };
    let reading = arguments.reading.reader().read(&examples::read(&path)?);
    let reading = reading.map_err(|error| Failure::input(format!("{}: {error}", examples::place(&path))))?;
    let samples = reading.clone().into_metrics();
    let (past, _) = MetricsHistory::from_unordered(samples.clone());
    facts.utc_offset_seconds = arguments.reading.utc_offset_seconds(past.newest().unwrap_or_default());
    let advice =
        recommend(&target, &past, &facts, &RuleConfig::default(), &BoundsPolicy::default(), HardLimits::default())
            .map_err(|error| match error {
                RecommendError::NothingToSizeBy => {
                    Failure::input(format!("{}: {error} (--pod-capacity RPS)", examples::place(&path)))
                }
                other => Failure::input(format!("{}: {other}", examples::place(&path))),
            })?;
    writeln!(
        out,
        "\nan HPA of this history, without us: {}..{}, CPU at {} %",
        advice.min_replicas, advice.max_replicas, advice.cpu_target_percent
    )?;
    for reason in &advice.reasons {
        writeln!(out, "- {reason}")?;
    }

    match Trace::of_reading(manifest.name(), reading) {
        Ok(trace) => {
            writeln!(out)?;
            arguments.reading.notes(&trace).iter().try_for_each(|note| writeln!(out, "{note}"))?;
            recommend_target(out, &manifest, &spec, &facts, trace, arguments.pod_capacity)?;
        }
        Err(refused) => writeln!(out, "\nno target is recommended: {refused}")?,
    }

    let source = Arc::new(MemorySource::new());
    let mut now = past.oldest().unwrap_or_default();
    for sample in samples.into_iter().take(if arguments.history.is_some() { usize::MAX } else { BEFORE_THE_SALE }) {
        now = sample.timestamp;
        source.advance(&target, sample, now).map_err(Failure::input)?;
    }
    let applier = Arc::new(MemoryApplier::new().with(target.clone(), bounds));
    let (mut stopped, zone) = (Vec::new(), arguments.reading.zone());
    let pods = past.iter().last().and_then(|last| last.desired_pod_count.or(last.current_pod_count));
    if pods.is_none() {
        return Ok(writeln!(
            out,
            "\nnothing is planned: the history does not tell how many pods ran last; a column of pods would (--column \
             current_pod_count=HEADER)"
        )?);
    }
    for mode in [ApplyMode::Plan, ApplyMode::Apply] {
        let autoscaler = Autoscaler::builder()
            .source(source.clone())
            .engine(RuleBasedEngine::default())
            .applier(applier.clone())
            .mode(mode)
            .build();
        let record = block_on(autoscaler.tick(&target, now)).map_err(Failure::failed)?;
        writeln!(out, "\n{mode} at {} ({zone}): {}", when(now, zone), record.outcome)?;
        if let Some(change) = record.change {
            writeln!(out, "{change}")?;
        }
        record.clamps.iter().try_for_each(|clamp| writeln!(out, "limited by {clamp}"))?;
        for reason in record.decision.iter().flat_map(|decision| &decision.reasons) {
            writeln!(out, "- {reason}")?;
        }
        if matches!(record.outcome, Outcome::Refused { .. } | Outcome::Failed { .. }) {
            stopped.push(format!("{mode}: {}", record.outcome));
        }
        let now = applier.bounds(&target).unwrap_or(bounds);
        writeln!(out, "the HPA is now at {now}")?;
    }
    let moved = manifest.with_bounds(applier.bounds(&target).unwrap_or(bounds));
    writeln!(out, "\n{}", moved.to_yaml().map_err(Failure::failed)?)?;
    if stopped.is_empty() { Ok(()) } else { Err(Failure::failed(stopped.join("; "))) }
}

/// What target would be cheapest for this HPA, if an engine that foresees held its floor? Its own past tells.
fn recommend_target(
    out: &mut impl Write,
    manifest: &HpaManifest,
    spec: &HpaSpec,
    facts: &WorkloadFacts,
    trace: Trace,
    pod_capacity: Option<f64>,
) -> Result<(), Failure> {
    let Some(pod_capacity) = pod_capacity.or(trace.pod_capacity()) else {
        let why = "the history does not tell what a pod serves (CPU, pods and request rate together would); --pod-capacity says it";
        return Ok(writeln!(out, "\nno target is recommended: {why}")?);
    };
    let scenario = Scenario::new(trace, ClusterModel { pod_capacity, ..ClusterModel::default() });
    let scenario = Scenario { facts: facts.clone(), ..scenario };
    let search = TargetSearch::default();
    let searched =
        search.run(&scenario, spec, |_| Ok(Driver::bounds(PredictiveEngine::new(PredictiveConfig::default())?)), &());
    match block_on(searched) {
        Err(refused) => writeln!(out, "\nno target is recommended: {refused}")?,
        Ok(found) => {
            writeln!(out, "\n{found}")?;
            let changed = HpaManifest { spec: found.applied_to(&manifest.spec), ..manifest.clone() };
            diff(manifest, &changed).iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(arguments: &[&str]) -> Result<String, String> {
        let arguments = Arguments::try_parse_from(std::iter::once(&"hpa_manager").chain(arguments))
            .map_err(|error| error.to_string())?;
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    fn a_plan_changes_nothing_and_an_apply_only_the_bounds() {
        let text = output(&[]).unwrap();
        let (dry, wet) = text.split_once("apply at").unwrap();
        assert!(dry.contains("limited by ") && wet.contains("limited by "), "{text}");
        assert!(dry.contains(": planned\n") && dry.contains("the HPA is now at 4..10"), "{text}");
        assert!(wet.contains(": applied\n") && !wet.contains("the HPA is now at 4..10"), "{text}");
        assert!(dry.contains("averageUtilization: 65 -> "), "{text}");
        assert!(wet.contains("averageUtilization: 65") && wet.contains("stabilizationWindowSeconds: 300"), "{text}");
    }

    fn shop() -> String {
        examples::shop_history().to_str().unwrap().to_owned()
    }

    fn file(text: &str, suffix: &str) -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::with_suffix(suffix).unwrap();
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        (file, path)
    }

    fn hpa(min: u32) -> (tempfile::NamedTempFile, String) {
        let text = format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: own}}\nspec: {{scaleTargetRef: {{apiVersion: \
             apps/v1, kind: Deployment, name: own}}, minReplicas: {min}, maxReplicas: 60, metrics: [{{type: External, external: {{metric: \
             {{name: rps}}, target: {{type: AverageValue, averageValue: 35}}}}}}]}}\n"
        );
        file(&text, ".yaml")
    }

    #[test]
    fn an_hpa_of_ones_own_is_not_judged_by_the_history_of_another_workload() {
        let (_kept, own) = hpa(2);
        let error = output(&[&own]).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains(&own) && error.ends_with("--history FILE"), "{error}");
        let rows: Vec<_> = (0..4000).map(|minute| format!("{},{},4", minute * 60, 100 + minute % 60)).collect();
        let (_kept, rates) =
            file(&format!("timestamp,request_rate_per_second,current_pod_count\n{}\n", rows.join("\n")), ".csv");
        let error = output(&["--history", &rates]).unwrap_err();
        assert!(
            error.starts_with("2: ") && error.ends_with("a known capacity per pod (--pod-capacity RPS)"),
            "{error}"
        );
        let text = output(&["--history", &rates, "--pod-capacity", "60"]).unwrap();
        assert!(text.contains("an HPA of this history, without us: ") && text.contains("the HPA is now at"), "{text}");
        let per_minute = std::fs::read_to_string(&rates).unwrap().replace("request_rate_per_second", "per minute");
        let (_kept, per_minute) = file(&per_minute, ".csv");
        let mapped = ["--history", &per_minute, "--pod-capacity", "60", "--column", "request_rate=per minute/60"];
        let text = output(&[mapped.as_slice(), &["--time-zone", "Asia/Kolkata"]].concat()).unwrap();
        assert!(text.contains("an HPA of this history, without us: ") && text.contains(" (Asia/Kolkata): "), "{text}");
        let (_kept, podless) = file(
            &rows.iter().fold("timestamp,rps\n".to_owned(), |text, row| text + row.trim_end_matches(",4") + "\n"),
            ".csv",
        );
        let text = output(&["--history", &podless, "--pod-capacity", "60"]).unwrap();
        assert!(text.contains("nothing is planned: the history does not tell how many pods ran last"), "{text}");
        assert!(output(&["--history", &rates, "--pod-capacity", "0"]).unwrap_err().starts_with("2: "));
    }

    #[test]
    fn what_the_guards_refuse_is_a_failure_in_words() {
        let (_kept, own) = hpa(0);
        let error = output(&[&own, "--history", &shop()]).unwrap_err();
        assert!(error.starts_with("1: plan: refused by ") && error.contains("; apply: refused by "), "{error}");
        assert!(!error.contains('{'), "{error}");
    }

    #[test]
    fn a_file_is_read_and_written_as_v2() {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        let text = "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: mine, namespace: shop}\nspec:\n  \
                    scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n  maxReplicas: 12\n  \
                    targetCPUUtilizationPercentage: 55\n---\n# nothing\n";
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().to_str().unwrap();
        let text = output(&[path, "--history", &shop()]).unwrap();
        assert!(text.contains("is scaled by HPA \"mine\" within 1..12"), "{text}");
        assert!(text.contains("apiVersion: autoscaling/v2") && text.contains("averageUtilization: 55"), "{text}");
        let error = output(&[path, "--hpa-name", "other"]).unwrap_err();
        assert!(error.starts_with("2: ") && error.contains("there are: shop/mine"), "{error}");
    }

    #[test]
    fn what_is_not_known_is_refused_and_help_has_examples() {
        assert!(output(&["--unknown"]).unwrap_err().contains("--unknown"));
        assert!(output(&["nowhere.yaml"]).unwrap_err().contains("nowhere.yaml"));
        assert!(output(&["--help"]).unwrap_err().contains("--hpa-name web --history metrics.csv"));
        assert!(output(&["--version"]).unwrap_err().starts_with("hpa_manager "));
    }
}
