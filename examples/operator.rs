//! A fleet of HPAs under one controller, as a program: the HPAs of a cluster that are annotated, their metrics from a server or from the
//! metrics API of the cluster itself.
//!
//!     cargo build --release --features live --example operator
//!     operator --prometheus http://prometheus.monitoring:9090 --shards 8
//!     operator --metrics-api --context staging --namespace shop --dry-run
//!
//! With the features `cloudwatch`, `azure-monitor` and `datadog` as well, the metrics can come from there.
//!
//! An HPA is a target once it has an annotation `kube-scaling/mode`: `observe` plans and records, `floors` holds floors alone, `full` does
//! what the guards leave. Several replicas share the fleet by Leases (`--shards`). `/healthz`, `/readyz` and `/metrics` are served until the
//! end, which SIGTERM or SIGINT asks for: the tick under way is finished, its records are kept, and the shards are handed over.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use examples::live::arguments::{self, OriginArguments, Resource};
use examples::live::{FleetMetrics, Telling};
use examples::{Failure, MayClose, candidates};
use scaling_core::adoption::Trial;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::guard::FleetFreeze;
use scaling_core::live::{Cadence, Entry, LoopReport, RecordFiles, Rotation, Stop, Ticked, entries};
use scaling_core::record::Tee;
use scaling_core::telemetry::serve::Server;
use scaling_core::telemetry::{Health, Metrics};
use scaling_core::{ApplyMode, ChangeLog, DecisionRecord, HardLimits, Outcome, RemovalBudget, Step, Target};
use scaling_k8s::Writer;
use scaling_k8s::controller::cache::HpaCache;
use scaling_k8s::controller::fleet::{AdoptionTrials, FleetController, FleetHealth, Leaving};
use scaling_k8s::controller::lease::LeaseSettings;
use scaling_k8s::history::{History, ObservedHealth, WatchConfig};
use tokio::signal::unix::{SignalKind, signal};

const EXAMPLES: &str = "Examples:
  operator --prometheus http://prometheus.monitoring:9090
  operator --prometheus http://localhost:9090 --queries kubernetes,ingress-nginx --context staging --namespace shop --dry-run
  operator --metrics-api=cpu --context staging --namespace shop --dry-run
  operator --prometheus http://prometheus.monitoring:9090 --shards 16 --lease-namespace autoscaling --records /records

Then, for each HPA that it shall scale:
  kubectl annotate hpa checkout kube-scaling/mode=observe";

/// Scales the HPAs of a cluster that are annotated, by their metrics.
#[derive(Clone, Debug, Parser)]
#[command(name = "operator", version, after_help = EXAMPLES)]
#[allow(clippy::struct_excessive_bools)] // flags
struct Options {
    /// Where the metrics are; without any of it, `PROMETHEUS_URL`.
    #[command(flatten)]
    origin: OriginArguments,
    /// The metrics API of the cluster, in place of a monitoring service: CPU, memory and pods, as an HPA sees them. Where pods request no
    /// memory, say `--metrics-api=cpu`: what is asked for and absent lets nothing shrink. It needs the rights of
    /// `examples/deploy/operator/metrics-api`.
    #[arg(long, value_name = "RESOURCES", num_args = 0..=1, require_equals = true, value_delimiter = ',', default_missing_value = "cpu,memory")]
    metrics_api: Vec<Resource>,
    /// Cluster, as a context of the kubeconfig. By default the one that the process runs in, or the current context.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The one namespace whose HPAs are watched. By default all.
    #[arg(long, value_name = "NAME", value_parser = arguments::namespace)]
    namespace: Option<String>,
    /// The HPAs that are watched, by their labels.
    #[arg(long, value_name = "LABELS", value_parser = arguments::selector)]
    selector: Option<String>,
    /// The engine of targets that name none.
    #[arg(long, value_name = "ENGINE", default_value = "predictive", value_parser = ["predictive", "rules"])]
    engine: String,
    /// Sizes allowed at all.
    #[arg(long, value_name = "MIN..MAX", value_parser = examples::limits)]
    limits: Option<HardLimits>,
    /// Pods that the whole fleet may let go within 10 minutes.
    #[arg(long, value_name = "PODS", default_value_t = 100)]
    removals: u32,
    /// Parts of the interval over which the targets are spread.
    #[arg(long, value_name = "PARTS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=60))]
    batches: u32,
    /// Shares the fleet with other replicas: into so many shards, 1 for a leader. By default this process alone.
    #[arg(long, value_name = "SHARDS")]
    shards: Option<u32>,
    /// Namespace of the Leases. By default `POD_NAMESPACE`.
    #[arg(long, value_name = "NAME", value_parser = arguments::namespace)]
    lease_namespace: Option<String>,
    /// Folder of the records, from which the next run takes its cooldowns and floors.
    #[arg(long, value_name = "DIR")]
    records: Option<PathBuf>,
    /// Address of `/healthz`, `/readyz` and `/metrics`.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Tries the next stage of each target once a day, or as often as `--trials-every` says, on its last two weeks in Prometheus, tells on its HPA, and promotes those that ask for
    /// it with `kube-scaling/promotion: evidence`. One that violates less may cost a tenth more.
    #[arg(long)]
    trials: bool,
    /// Minutes between two trials of a target. A day has one day more to tell; less is for a look at what comes of it.
    #[arg(long, value_name = "MINUTES", default_value_t = 24 * 60, requires = "trials", value_parser = clap::value_parser!(u64).range(1..=30 * 24 * 60))]
    trials_every: u64,
    /// Changes nothing, whatever the HPAs say.
    #[arg(long)]
    dry_run: bool,
    /// Takes bounds over from the field managers that own them, such as kubectl or Helm. By default the target fails, and it is said who
    /// owns them. A tool that goes on applying its own numbers must be told to leave them alone: example `ownership` has the text.
    #[arg(long)]
    force: bool,
    /// Watches each change that lowers a bound for 10 minutes, and undoes it if more than 1 % of the requests fail since, or responses take
    /// longer than the target allows, or pods do not get ready. The latest changes are then kept at the HPA, for the next process.
    #[arg(long)]
    undo: bool,
    /// Gives an HPA back to its owner once its mode is removed, while an operator runs or while none does: one without a mode is the operator's
    /// by the resting bounds that stand there under its field manager. By default it is told, and its bounds stay. Nothing else may move bounds
    /// under that field manager, kube-scaling: its HPAs would be given back as well.
    #[arg(long)]
    give_back: bool,
}

/// Field manager of the operator.
const MANAGER: &str = "kube-scaling";

/// Variables of the environment, for settings that the command line leaves out.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

fn main() -> std::process::ExitCode {
    examples::exit(run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let parts = Parts::of(options, &environment)?;
    let _traces = scaling_core::telemetry::otlp::init_with(examples::QUIET).map_err(Failure::input)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(operate(options, parts))
}

/// Parts that are made before anything is asked of a server.
struct Parts {
    origin: OriginArguments,
    cadence: Cadence,
    leases: Option<LeaseSettings>,
    budget: RemovalBudget,
}

impl Parts {
    fn of(options: &Options, environment: Environment<'_>) -> Result<Self, Failure> {
        let origin = origin(options, environment)?;
        let cadence = Cadence::new(Duration::from_secs(origin.interval)).map_err(Failure::input)?;
        let budget = RemovalBudget::new(options.removals, Duration::from_secs(600)).map_err(Failure::input)?;
        Ok(Self { origin, cadence, leases: leases(options, environment)?, budget })
    }
}

fn origin(options: &Options, environment: Environment<'_>) -> Result<OriginArguments, Failure> {
    let (mut origin, of_cluster) = (options.origin.clone(), !options.metrics_api.is_empty());
    if !of_cluster && !origin.is_wanted() {
        origin.prometheus = environment("PROMETHEUS_URL");
    }
    if !of_cluster && !origin.is_wanted() {
        return Err(Failure::input(
            "say where the metrics are: --prometheus URL (or PROMETHEUS_URL), --cloudwatch FILE, --azure FILE, --datadog FILE or --metrics-api",
        ));
    }
    origin.validate(of_cluster)?;
    Ok(origin)
}

fn leases(options: &Options, environment: Environment<'_>) -> Result<Option<LeaseSettings>, Failure> {
    let Some(shards) = options.shards else { return Ok(None) };
    let missing = || Failure::input("say where the Leases are: --lease-namespace NAME, or POD_NAMESPACE");
    let namespace = options.lease_namespace.clone().or_else(|| environment("POD_NAMESPACE")).ok_or_else(missing)?;
    let replica = environment("POD_NAME").or_else(|| environment("HOSTNAME")).unwrap_or_else(|| "operator".to_owned());
    let settings = LeaseSettings::new("kube-scaling", namespace, &replica).map_err(Failure::input)?;
    settings.shards(shards).map(Some).map_err(Failure::input)
}

async fn operate(options: &Options, parts: Parts) -> Result<(), Failure> {
    let stop = stop_on_signals()?;
    let of_server = match options.metrics_api.as_slice() {
        [] => Some(FleetMetrics::of_server(&parts.origin, options.batches).await?),
        _ => None,
    };
    let client = match &options.context {
        Some(context) => scaling_k8s::connect(context).await,
        None => scaling_k8s::connect_from_environment().await,
    };
    let client = client.map_err(Failure::input)?;
    let source = match of_server {
        Some(source) => source,
        None => FleetMetrics::of_cluster(client.clone(), &options.metrics_api, &parts.origin, options.batches)?,
    };
    let (metrics, freeze) = (Arc::new(Metrics::new()), FleetFreeze::default());
    let mut recorder = Tee::new().with(Arc::clone(&metrics));
    let mut past = None;
    if let Some(folder) = &options.records {
        let failed =
            |error: &dyn std::fmt::Display| Failure::failed(format!("--records {}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        past = Some(resumed(folder, &freeze)?);
        recorder = recorder.with(RecordFiles::open(folder, Rotation::default()).map_err(|error| failed(&error))?);
    }

    let mut cache = HpaCache::builder(client.clone());
    if let Some(namespace) = &options.namespace {
        cache = cache.namespace(namespace);
    }
    if let Some(selector) = &options.selector {
        cache = cache.label_selector(selector);
    }
    let writer = Writer::new(client);
    let writer = if options.force { writer.force() } else { writer };
    let start = Instant::now();
    let engine = candidates::engine(&options.engine)?().map_err(Failure::input)?;
    let mut controller =
        FleetController::builder(writer, source.clone(), metrics.timed(engine, move || start.elapsed()))
            .watching(cache)
            .recorder(recorder)
            .limits(options.limits.unwrap_or_default())
            .removal_budget(parts.budget)
            .freeze(freeze)
            .cadence(parts.cadence)
            .batches(options.batches)
            .change_events(Duration::from_secs(60))
            .mode(if options.dry_run { ApplyMode::Plan } else { ApplyMode::Apply });
    for name in ["predictive", "rules"] {
        controller = controller.engine(name, candidates::engine(name)?().map_err(Failure::input)?);
    }
    if options.trials {
        controller = controller.adopting(trials(options, &source)?);
    }
    if let Some(leases) = parts.leases {
        controller = controller.leases(leases);
    }
    if let Some((log, history)) = past {
        controller = controller.change_log(log).past(history);
    }
    if options.undo {
        controller = controller.watch(ObservedHealth::default(), WatchConfig::default()).history(true);
    }
    if options.give_back {
        controller = controller.leaving(Leaving::GiveBack);
    }
    let watch = Watch::new(parts.cadence, metrics);
    let controller = controller.after_tick(watch.after_tick(source)).build();
    watch.run(controller, options.listen, &stop).await
}

/// Trials of the engines that a target can have.
fn trials(options: &Options, source: &FleetMetrics) -> Result<AdoptionTrials, Failure> {
    let recipe = |name: &str| {
        let engine = candidates::engine(name)?;
        Ok::<_, Failure>(move || Ok(engine()?))
    };
    let rule = Trial::default().dearer_by(0.1).map_err(Failure::input)?;
    let every = Duration::from_secs(options.trials_every.saturating_mul(60));
    let mut trials = AdoptionTrials::new(recipe(&options.engine)?).judged_by(rule).every(every);
    if let Some(past) = source.past() {
        trials = trials.past(past);
    }
    for name in ["predictive", "rules"] {
        trials = trials.engine(name, recipe(name)?);
    }
    Ok(trials.after_report(|report| say(&format!("{}: {report}", report.target))))
}

/// State of the controller; none before it is built.
type State = Arc<OnceLock<Box<dyn Fn() -> FleetHealth + Send + Sync>>>;

/// The metrics, health and news of the controller.
struct Watch {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    state: State,
    now: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

/// The time as it goes on from the start, whoever sets the machine's clock: a jump of that is no reason to restart a process, and hides no tick
/// that stays away.
fn monotonic() -> impl Fn() -> DateTime<Utc> + Clone + Send + Sync + 'static {
    let (began, start) = (DateTime::<Utc>::from(SystemTime::now()), Instant::now());
    move || began + start.elapsed()
}

impl Watch {
    fn new(cadence: Cadence, metrics: Arc<Metrics>) -> Self {
        let state = State::default();
        let asked = Arc::clone(&state);
        let why_not = move || {
            let readiness = asked.get().map(|state| state().readiness)?;
            (!readiness.is_ready()).then(|| readiness.to_string())
        };
        let stalled = (cadence.interval().to_std().unwrap_or_default() * 5).max(Duration::from_secs(60));
        let now = monotonic();
        let health = Health::new().stalled_after(stalled, now.clone()).ready_unless(why_not);
        Self { metrics, health: Arc::new(health), state, now: Arc::new(now) }
    }

    fn after_tick(&self, source: FleetMetrics) -> impl FnMut(&Ticked, &LoopReport) + Send + use<> {
        let (metrics, health, now) = (Arc::clone(&self.metrics), Arc::clone(&self.health), Arc::clone(&self.now));
        let mut missed = 0;
        let mut telling = Telling::new(Arc::new(print));
        move |tick, report| {
            health.ticked(now(), tick.answered);
            metrics.missed_ticks(report.missed - missed);
            missed = report.missed;
            telling.ticked(tick);
            source.tell(tick, &mut telling);
        }
    }

    /// Runs the controller, and serves what is to be known of it until it has ended: alive at once, ready after the first tick.
    async fn run(self, controller: FleetController, listen: SocketAddr, stop: &Stop) -> Result<(), Failure> {
        self.state.get_or_init(|| Box::new(controller.health()));
        let server = Server::new(self.metrics, self.health).on(listen).bind().await;
        let server = server.map_err(|error| Failure::input(format!("--listen: {error}")))?;
        say(&format!("serving on http://{}, waiting for the HPAs", server.address()));
        let ended = Stop::new();
        let over = ended.clone();
        let serving = tokio::spawn(server.serve(async move { over.requested().await }));
        let troubles = tokio::spawn(tell_trouble(controller.health(), ended.clone()));
        let report = controller.run(stop).await;
        say(&format!("ended: {report}"));
        ended.request();
        troubles.await.map_err(Failure::failed)?;
        serving.await.map_err(Failure::failed)?.map_err(Failure::failed)
    }
}

/// Says what keeps the controller from its work when that begins, changes and ends: the log by `RUST_LOG` is for other eyes.
async fn tell_trouble(state: impl Fn() -> FleetHealth + Send + Sync, ended: Stop) {
    let mut told = None;
    loop {
        let FleetHealth { cache, lease_trouble, .. } = state();
        let trouble = lease_trouble.or(cache.last_fault.map(|fault| fault.to_string()));
        if trouble != told {
            say(trouble.as_deref().unwrap_or("the API server answers again"));
        }
        told = trouble;
        tokio::select! {
            () = ended.requested() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// Changes, cooldowns, budgets and floors of an earlier run, and which signals were missing at its end.
fn resumed(folder: &Path, freeze: &FleetFreeze) -> Result<(ChangeLog, History), Failure> {
    let (mut log, mut history) = (ChangeLog::new(), History::new());
    let mut intents: HashMap<Target, DecisionRecord> = HashMap::new();
    for entry in entries(folder).map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))? {
        match entry {
            Entry::Intent(record) => {
                log.replay_intent(&record);
                let earlier = intents.insert(record.target.clone(), *record);
                if let Some(intent) = earlier {
                    history.take(&unanswered(intent), MANAGER);
                }
            }
            Entry::Record(record) => {
                log.replay(&record);
                let earlier = intents.remove(&record.target).filter(|intent| intent.at != record.at);
                if let Some(intent) = earlier {
                    history.take(&unanswered(intent), MANAGER);
                }
                history.take(&record, MANAGER);
                freeze.replay(&record.target, record.metrics.as_ref(), record.declared, record.at);
            }
            Entry::Bad(line) => say(&line.to_string()),
            _ => {}
        }
    }
    for intent in intents.into_values() {
        history.take(&unanswered(intent), MANAGER);
    }
    Ok((log, history))
}

/// The record of a write after which the process was killed: it may have been made.
fn unanswered(mut intent: DecisionRecord) -> DecisionRecord {
    let error = "the process ended before the answer".to_owned();
    intent.outcome = Outcome::Failed { step: Step::Apply, error, transient: false, may_have_happened: true };
    intent
}

/// Asks for the end at SIGTERM and SIGINT.
fn stop_on_signals() -> Result<Stop, Failure> {
    let stop = Stop::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut asked, stop) = (signal(kind)?, stop.clone());
        tokio::spawn(async move {
            asked.recv().await;
            stop.request();
        });
    }
    Ok(stop)
}

fn say(line: &str) {
    let now: DateTime<Utc> = SystemTime::now().into();
    print(&format!("{} {line}", now.format("%F %T")));
}

fn print(line: &str) {
    let written = writeln!(MayClose(std::io::stdout().lock()), "{line}");
    if let Err(error) = written {
        eprintln!("error: standard output: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(arguments: &[&str], environment: Environment<'_>) -> Result<Parts, String> {
        let options = Options::parse_from(["operator"].iter().chain(arguments));
        Parts::of(&options, environment).map_err(|failure| match failure {
            Failure::Input(what) => what,
            other => panic!("{other}"),
        })
    }

    #[test]
    fn what_is_missing_is_said_with_what_gives_it() {
        let nothing: Environment<'_> = &|_| None;
        let metrics = ["--prometheus", "http://localhost:9090"];
        for (more, what) in [
            (&["--shards", "4"][..], "POD_NAMESPACE"),
            (&["--shards", "0", "--lease-namespace", "shop"][..], "shards 0"),
            (&["--interval", "0"][..], "interval is 0"),
        ] {
            let arguments: Vec<&str> = metrics.iter().chain(more).copied().collect();
            assert!(parts(&arguments, nothing).err().is_some_and(|said| said.contains(what)), "{what}");
        }
        assert!(parts(&[], nothing).err().is_some_and(|said| said.contains("PROMETHEUS_URL")));
        let both = ["--prometheus", "http://localhost:9090", "--metrics-api=cpu"];
        assert!(parts(&both, nothing).err().is_some_and(|said| said.contains("one source at a time")));
        assert!(parts(&metrics, nothing).is_ok_and(|parts| parts.leases.is_none()));
        let set: Environment<'_> = &|name| (name == "PROMETHEUS_URL").then(|| "http://prometheus:9090".to_owned());
        for (arguments, prometheus) in
            [(&["--metrics-api"][..], false), (&["--datadog", "datadog.yaml"][..], false), (&[][..], true)]
        {
            let made = parts(arguments, set);
            assert!(made.is_ok_and(|parts| parts.origin.prometheus.is_some() == prometheus), "{arguments:?}");
        }
    }

    #[test]
    fn a_pod_says_by_its_environment_who_and_where_it_is() {
        let environment: Environment<'_> = &|name| match name {
            "PROMETHEUS_URL" => Some("http://prometheus:9090".to_owned()),
            "POD_NAMESPACE" => Some("autoscaling".to_owned()),
            "POD_NAME" => Some("operator-7d9f".to_owned()),
            _ => None,
        };
        let leases = parts(&["--shards", "8"], environment).ok().and_then(|parts| parts.leases);
        assert!(
            leases.is_some_and(|leases| leases.identity().starts_with("operator-7d9f_") && leases.shard_count() == 8)
        );
    }
}
