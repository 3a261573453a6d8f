//! What a pod requests, changed the careful way: checked against what it uses, its HPA simulated before, validated, then applied.
//!
//!     cargo run --release --features live --example vertical
//!     cargo run … --example vertical -- workload.yaml --container app --cpu 50 --highest-cpu 180m --mean-cpu 140m
//!     cargo run … --example vertical -- --target shop/checkout --container app --cpu 50 --context staging --server-dry-run
//!
//! Without `--context` it reads a Deployment or StatefulSet, and its HPA if there is one, from a file, and the use from the arguments.
//! With it, requests and use come from the cluster (metrics API), and nothing is stored but with `--apply`. Look at the lines
//! `simulated …`: an HPA whose target is a share of the request moves when the request does, and the last of them is the target that
//! keeps it where it is. Exit code 1 if something stands against the change.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Parser};
use examples::live::arguments::target;
use examples::{Failure, MayClose};
use scaling_core::guard::LastChanges;
use scaling_core::hpa::{ControllerConfig, HpaSpec, Quantity, Resources};
use scaling_core::{
    ApplyError, ApplyMode, Bounds, BoundsPolicy, GuardContext, Guards, HardLimits, HpaApplier, HpaPlan, HpaState,
    MAX_REPLICAS, MetricsSource, Observation, Proposal, ResourceChange, ResourceLimits, ScalingDecision, Target,
};
use scaling_k8s::metrics_api::MetricsApi;
use scaling_k8s::ownership::OwnershipPolicy;
use scaling_k8s::vertical::{
    Checked, Effect, HpaUsage, Pace, PodSizes, Refused, Resize, Role, Simulation, Situation, Sizes, Usage, Violation,
    check,
};
use scaling_k8s::{EffectPolicy, KubeHpaApplier, PodUsage, ResizeApplier, ResizeWay, Writer};
use serde_json::Value;

const EXAMPLES: &str = "Examples:
  cargo run --release --features live --example vertical
  vertical workload.yaml --container app --cpu 50 --highest-cpu 180m --mean-cpu 140m
  vertical --target shop/checkout --container app --memory -20 --context staging --rollout --server-dry-run
  vertical --target shop/checkout --container app --cpu 50 --context staging --apply";

/// Changes what the pods of a workload request: checked, its HPA simulated, validated by the API server, or applied.
#[derive(Debug, Parser)]
#[command(name = "vertical", version, after_help = EXAMPLES)]
struct Arguments {
    /// The workload and its HPA, as manifests in one file. By default `test_data/shop_workload.yaml`.
    #[arg(value_name = "FILE", conflicts_with = "context")]
    file: Option<PathBuf>,
    /// The container. It is never guessed.
    #[arg(long, value_name = "NAME", default_value = "app")]
    container: String,
    /// Change of its CPU request, in percent. By default 50, if no memory is changed.
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    cpu: Option<i32>,
    /// Change of its memory request, in percent.
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    memory: Option<i32>,
    #[command(flatten)]
    used: Used,
    /// The workload in the cluster, or in FILE.
    #[arg(long, value_name = "NAMESPACE/[KIND/]NAME[=HPA]", value_parser = target)]
    target: Option<Target>,
    /// The cluster, by its context in the kubeconfig.
    #[arg(long, value_name = "NAME", requires = "target")]
    context: Option<String>,
    /// Changes the template, so that the pods are replaced. By default they are resized in place where the cluster can.
    #[arg(long)]
    rollout: bool,
    #[command(flatten)]
    extent: Extent,
    /// Makes the change beside others who set the requests, over the field managers of the template, and whatever the HPA then does.
    #[arg(long, requires = "context")]
    force: bool,
}

/// Use of the pods, where no cluster tells it.
#[derive(Args, Debug)]
struct Used {
    /// Pods that run, where the manifest does not say it: one beneath an HPA mostly leaves it out.
    #[arg(long, value_name = "PODS", conflicts_with = "context", value_parser = clap::value_parser!(u32).range(1..))]
    replicas: Option<u32>,
    /// Highest CPU of the container in any pod, as 180m.
    #[arg(long, value_name = "QUANTITY", conflicts_with = "context", value_parser = cpu)]
    highest_cpu: Option<Quantity>,
    /// Highest memory of the container in any pod, as 300Mi.
    #[arg(long, value_name = "QUANTITY", conflicts_with = "context", value_parser = memory)]
    highest_memory: Option<Quantity>,
    /// Mean CPU of a pod, all of its containers together, as 140m. Without it the effect on the HPA is not known.
    #[arg(long, value_name = "QUANTITY", conflicts_with = "context", value_parser = cpu)]
    mean_cpu: Option<Quantity>,
    /// Mean memory of a pod.
    #[arg(long, value_name = "QUANTITY", conflicts_with = "context", value_parser = memory)]
    mean_memory: Option<Quantity>,
}

/// Extent of the change: validated, or stored. Without either flag it is only shown.
#[derive(Args, Debug)]
struct Extent {
    /// Lets the API server validate the change. Nothing is stored.
    #[arg(long, requires = "context", conflicts_with = "apply")]
    server_dry_run: bool,
    /// Stores the change.
    #[arg(long, requires = "context")]
    apply: bool,
}

/// An amount of CPU: cores, or thousandths as 140m.
fn cpu(text: &str) -> Result<Quantity, String> {
    amount(text, "no amount of CPU; one is written in thousandths of a core, as 140m, or in cores, as 0.5", |suffix| {
        ["", "m", "u", "n"].contains(&suffix)
    })
}

/// An amount of memory: bytes, or as 300Mi.
fn memory(text: &str) -> Result<Quantity, String> {
    amount(text, "no amount of memory; one is written as 300Mi or 1Gi, or in bytes", |suffix| {
        !["m", "u", "n"].contains(&suffix)
    })
}

fn amount(text: &str, what: &str, fits: impl Fn(&str) -> bool) -> Result<Quantity, String> {
    let suffix = text.trim_start_matches(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let read = text.parse::<Quantity>().ok().filter(|amount| amount.milli() > 0 && fits(suffix));
    read.ok_or_else(|| format!("it is {what}"))
}

impl Arguments {
    fn change(&self) -> ResourceChange {
        let memory_percent = self.memory.unwrap_or(0);
        ResourceChange { cpu_percent: self.cpu.unwrap_or(if memory_percent == 0 { 50 } else { 0 }), memory_percent }
    }

    fn mode(&self) -> ApplyMode {
        match (self.extent.apply, self.extent.server_dry_run) {
            (true, _) => ApplyMode::Apply,
            (_, true) => ApplyMode::ServerDryRun,
            _ => ApplyMode::Plan,
        }
    }
}

fn main() -> ExitCode {
    examples::exit(run(&Arguments::parse(), &mut MayClose(std::io::stdout())))
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    if arguments.change().filled().is_none() {
        return Err(Failure::input("nothing is to be changed (--cpu PERCENT, --memory PERCENT)"));
    }
    let (Some(context), Some(target)) = (&arguments.context, &arguments.target) else {
        if arguments.target.is_some() && arguments.file.is_none() {
            return Err(Failure::input("--target is a workload in a cluster (--context NAME), or in a file (FILE)"));
        }
        return from_file(arguments, out);
    };
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::failed)?;
    runtime.block_on(async {
        let client = scaling_k8s::connect(context).await.map_err(Failure::input)?;
        let source = MetricsApi::new(client.clone());
        let seen = source.observe(target, SystemTime::now().into()).await.map_err(Failure::failed)?;
        let state = match KubeHpaApplier::new(client.clone()).current(target).await {
            Ok(state) => state,
            // Requests can be changed without an HPA too; of bounds nothing is written here.
            Err(ApplyError::NotFound { .. }) => HpaState::new(Bounds::new(1, MAX_REPLICAS).map_err(Failure::failed)?),
            Err(error) => return Err(Failure::failed(error)),
        };
        let writer = Writer::new(client);
        let writer = if arguments.force { writer.force() } else { writer };
        in_cluster(&ResizeApplier::new(writer), &source, seen, state, arguments, out).await
    })
}

/// Carries it out at a cluster, as far as the arguments say.
async fn in_cluster(
    applier: &ResizeApplier,
    usage: &impl PodUsage,
    seen: Observation,
    state: HpaState,
    arguments: &Arguments,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let target = seen.target.clone();
    let plan = approved(&seen, state, arguments.change(), out)?;
    let mut applier = applier.clone();
    if arguments.rollout {
        applier = applier.way(ResizeWay::Rollout);
    }
    if arguments.force {
        applier = applier.effect(EffectPolicy::Tell).ownership(OwnershipPolicy::Take);
    }
    let used = usage.in_use(&target, &arguments.container);
    let mode = arguments.mode();
    let done = applier.apply(&plan, &arguments.container, &used, mode).await.map_err(Failure::failed)?;
    writeln!(out, "{target}\n{}", done.preview)?;
    let said = match mode {
        ApplyMode::Plan => "plan: nothing was written (--server-dry-run, --apply)",
        ApplyMode::ServerDryRun => "server dry-run: the API server takes it, and nothing is stored (--apply)",
        ApplyMode::Apply => "applied: it is stored in the cluster",
    };
    Ok(writeln!(out, "{}", if done.changed { said } else { "it was there already" })?)
}

/// The plan that the guards allow: at most double, and never below what is used. There is no other way to a plan (law 4).
fn approved(
    seen: &Observation,
    mut state: HpaState,
    change: ResourceChange,
    out: &mut impl Write,
) -> Result<HpaPlan, Failure> {
    state.resizes_pods = true;
    let policy = BoundsPolicy::default();
    let context = GuardContext {
        target: &seen.target,
        now: seen.now,
        observation: Some(seen),
        state,
        limits: HardLimits::new(0, MAX_REPLICAS).map_err(Failure::input)?,
        policy: &policy,
        min_without_floor: None,
        last: LastChanges::default(),
        released: &[],
    };
    let pods = seen.current.desired_pod_count.or(seen.current.current_pod_count).unwrap_or(0);
    let decision = ScalingDecision::replicas("by hand", seen.now, pods, pods).with_resources(Some(change));
    let guards = Guards::only_hard_limits().with(ResourceLimits::default());
    let approved = guards.approve(Proposal::decided(decision), &context);
    for clamp in approved.clamps() {
        writeln!(out, "limited by {clamp}")?;
    }
    let plan = HpaPlan::of(&approved);
    if plan.resources().is_none() {
        return Err(Failure::failed(format!("{}: nothing of the change is allowed", seen.target)));
    }
    Ok(plan)
}

/// The same without a cluster: what would stand against it, and what the HPA would do.
fn from_file(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    if arguments.extent.apply || arguments.extent.server_dry_run || arguments.force {
        return Err(Failure::input(
            "--apply, --server-dry-run and --force are for a workload in a cluster: --context NAME",
        ));
    }
    let file = arguments.file.clone().unwrap_or_else(|| examples::test_data("shop_workload.yaml"));
    let bad = |what: &dyn std::fmt::Display| Failure::input(format!("{}: {what}", examples::place(&file)));
    let text = String::from_utf8(examples::read(&file)?).map_err(|_| bad(&"not UTF-8"))?;
    let options = serde_saphyr::options! { with_snippet: false };
    let objects: Vec<Value> = serde_saphyr::from_multiple_with_options(&text, options).map_err(|error| bad(&error))?;
    let workload = workload(&objects, arguments.target.as_ref()).map_err(|error| bad(&error))?;
    let before = workload.pointer("/spec/template/spec").unwrap_or(&Value::Null);
    let before = PodSizes::of(before).map_err(|error| bad(&error))?;
    let hpa = hpa_of(&objects, workload);
    let replicas = match (arguments.used.replicas, workload.pointer("/spec/replicas").and_then(Value::as_u64)) {
        (Some(given), _) => given,
        (None, Some(written)) => u32::try_from(written).map_err(|error| bad(&error))?,
        // What Kubernetes takes it for.
        (None, None) if hpa.is_none() => 1,
        (None, None) => {
            return Err(bad(&"the manifest leaves the replicas to the HPA; say how many run: --replicas PODS"));
        }
    };

    let amount = |quantity: &Option<Quantity>| quantity.as_ref().map(Quantity::milli);
    let whole = |quantity: &Option<Quantity>, unit: i64| u64::try_from(amount(quantity)? / unit).ok();
    let Used { highest_cpu, highest_memory, mean_cpu, mean_memory, .. } = &arguments.used;
    for (flag, resource, given, container) in [
        ("highest-cpu", "cpu", highest_cpu, Some(arguments.container.as_str())),
        ("highest-memory", "memory", highest_memory, Some(arguments.container.as_str())),
        ("mean-cpu", "cpu", mean_cpu, None),
        ("mean-memory", "memory", mean_memory, None),
    ] {
        if let Some(used) = amount(given) {
            believable(&before, container, resource, used).map_err(|why| Failure::input(format!("--{flag}: {why}")))?;
        }
    }
    let used = Usage { cpu_millicores: whole(highest_cpu, 1), memory_bytes: whole(highest_memory, 1000) };
    let resize = Resize::new(&arguments.container, arguments.change());
    let checked: Result<Checked, Refused> = check(&before, &resize, &Situation::new(replicas, used));
    let checked = checked.map_err(|refused| match refused.violations.as_slice() {
        [Violation::NoContainer { .. }] => {
            let known = before.containers().iter().filter(|container| container.role != Role::Init);
            let known: Vec<_> = known.map(|container| container.name.as_str()).collect();
            bad(&format!("{refused}; there are: {}", known.join(", ")))
        }
        _ => Failure::failed(refused),
    })?;
    let parts = [
        ("requests", &checked.old.requests, &checked.new.requests),
        ("limits", &checked.old.limits, &checked.new.limits),
    ];
    for (part, old, new) in parts {
        for resource in ["cpu", "memory"] {
            let (old, new) = (old.get(resource), new.get(resource));
            if let (Some(old), Some(new)) = (old, new.filter(|_| old != new)) {
                let (container, old, new) = (&checked.container, told(resource, old), told(resource, new));
                writeln!(out, "{part}.{resource} of {container}: {old} -> {new}")?;
            }
        }
    }
    writeln!(out, "the pod stays {}", checked.qos)?;
    let Some(hpa) = hpa else {
        return Ok(writeln!(out, "no HPA in the file\nplan: no cluster was asked (--context NAME)")?);
    };
    let spec: HpaSpec = serde_json::from_value(hpa["spec"].clone()).map_err(|error| bad(&error))?;
    let mean = [("cpu", amount(mean_cpu)), ("memory", amount(mean_memory))];
    let of_a_pod: Resources = mean.into_iter().filter_map(|(name, amount)| Some((name, amount?))).collect();
    let usage = HpaUsage { replicas, ready: replicas, of_a_pod, ..HpaUsage::default() };
    let start_up = Duration::from_secs(60);
    let pace = if arguments.rollout { Pace::rollout(start_up, replicas, 1) } else { Pace::in_place(start_up) };
    let config = ControllerConfig::default();
    let effect = Effect::of(&spec, &before, &checked.sizes, &usage, &config).map_err(|error| bad(&error))?;
    writeln!(out, "{effect}")?;
    let simulation = Simulation::of(&spec, &before, &checked.sizes, &usage, pace, &config);
    let Some(simulation) = simulation.map_err(|error| bad(&error))? else {
        return Ok(writeln!(out, "not simulated: say what a pod uses (--mean-cpu, --mean-memory)")?);
    };
    writeln!(out, "{simulation}")?;
    if let Some(hazard) = simulation.hazards.first() {
        return Err(Failure::failed(format!("in a cluster it would be refused: {hazard} (--force)")));
    }
    Ok(writeln!(out, "plan: no cluster was asked (--context NAME)")?)
}

/// The workload that is meant: the one of the target, or the only one.
fn workload<'a>(objects: &'a [Value], target: Option<&Target>) -> Result<&'a Value, String> {
    let all = objects.iter().filter(|object| object["kind"] == "Deployment" || object["kind"] == "StatefulSet");
    let all: Vec<&Value> = all.collect();
    let text = |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let is_meant = |object: &&&Value| {
        target.is_none_or(|target| {
            let namespace = text(object, "/metadata/namespace");
            text(object, "/kind").as_ref() == Some(&target.kind)
                && text(object, "/metadata/name").as_ref() == Some(&target.name)
                && namespace.is_none_or(|namespace| namespace == target.namespace)
        })
    };
    let known: Vec<_> = all
        .iter()
        .map(|object| [text(object, "/kind"), text(object, "/metadata/name")].map(Option::unwrap_or_default).join(" "))
        .collect();
    match (all.iter().filter(is_meant).collect::<Vec<_>>().as_slice(), target) {
        ([one], _) => Ok(one),
        _ if all.is_empty() => Err("no Deployment and no StatefulSet".to_owned()),
        ([], Some(target)) => Err(format!("it does not hold {target}; there are: {}", known.join(", "))),
        _ => {
            Err(format!("it holds several workloads; say which (--target NAMESPACE/[KIND/]NAME): {}", known.join(", ")))
        }
    }
}

/// The HPA that scales a workload.
fn hpa_of<'a>(objects: &'a [Value], workload: &Value) -> Option<&'a Value> {
    let mut hpas = objects.iter().filter(|object| object["kind"] == "HorizontalPodAutoscaler");
    hpas.find(|hpa| {
        let is = |scaled: &str, own: &str| hpa.pointer(scaled).is_some_and(|name| Some(name) == workload.pointer(own));
        is("/spec/scaleTargetRef/kind", "/kind") && is("/spec/scaleTargetRef/name", "/metadata/name")
    })
}

/// Most that is used of a request where no limit holds it: more was meant in another unit.
const MOST_USED: i64 = 100;

/// Refuses a use that no container with such limits can have.
fn believable(pod: &PodSizes, container: Option<&str>, resource: &str, used: i64) -> Result<(), String> {
    let running = pod.containers().iter().filter(|other| other.role != Role::Init);
    let counted: Vec<_> = running.filter(|other| container.is_none_or(|name| name == other.name)).collect();
    let sum = |part: fn(&Sizes) -> &Resources| {
        let mut each = counted.iter().map(|other| part(&other.sizes).get(resource));
        each.try_fold(0_i64, |sum, amount| Some(sum.saturating_add(amount?))).filter(|sum| *sum > 0)
    };
    let whose = container.unwrap_or("a pod");
    match (sum(|sizes| &sizes.limits), sum(|sizes| &sizes.requests)) {
        (Some(limit), _) if used > limit => {
            Err(format!("{} is above the limit of {whose}, {}", told(resource, used), told(resource, limit)))
        }
        (None, Some(request)) if used / MOST_USED >= request => Err(format!(
            "{} is more than {MOST_USED} times what {whose} requests, {}; is it the right unit?",
            told(resource, used),
            told(resource, request)
        )),
        _ => Ok(()),
    }
}

/// An amount for people: millicores, or whole MiB.
fn told(resource: &str, milli: i64) -> String {
    if resource == "cpu" { format!("{milli}m") } else { format!("{}Mi", milli / 1000 / (1 << 20)) }
}

#[cfg(test)]
mod tests {
    use scaling_k8s::InUse;
    use scaling_k8s::kube::{Client, Config};

    use super::*;

    fn output(given: &[&str]) -> Result<String, String> {
        let parsed = Arguments::try_parse_from(std::iter::once(&"vertical").chain(given));
        let arguments = parsed.map_err(|error| error.to_string())?;
        examples::outcome(|out| run(&arguments, out))
    }

    #[test]
    fn a_larger_request_is_shown_with_the_course_of_the_hpa() {
        let text = output(&["--mean-cpu", "200m", "--rollout"]).unwrap();
        for part in [
            "requests.cpu of app: 250m -> 375m",
            "the pod stays Burstable",
            "simulated without the change: stays at 6 replicas",
            "simulated with the change: 6 replicas become 5",
            "a target of 46 % of cpu in place of 65 %",
            "plan: no cluster was asked",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(output(&[]).unwrap().contains("not simulated: say what a pod uses"));
    }

    #[test]
    fn what_stands_against_it_is_code_1_and_bad_input_code_2() {
        let blind = output(&["--memory", "-20"]).unwrap_err();
        assert!(blind.starts_with("1: ") && blind.contains("not known how much memory"), "{blind}");
        let low = output(&["--memory", "-20", "--highest-memory", "400Mi"]).unwrap_err();
        assert!(low.starts_with("1: ") && low.contains("below the 400Mi that it uses plus 20 %"), "{low}");
        assert!(output(&["--memory", "-20", "--highest-memory", "300Mi"]).unwrap().contains("512Mi -> 409Mi"));
        let danger = output(&["--cpu", "-60", "--highest-cpu", "50m", "--mean-cpu", "220m", "--rollout"]).unwrap_err();
        assert!(danger.starts_with("1: ") && danger.contains("more than its max of 12"), "{danger}");
        assert!(output(&["--cpu", "0", "--memory", "0"]).unwrap_err().starts_with("2: nothing is to be changed"));
        assert!(output(&["no_such_file.yaml"]).unwrap_err().starts_with("2: no_such_file.yaml: "));
        assert!(output(&["--apply"]).unwrap_err().contains("--context"));
    }

    const TIGHT: &str = "\
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {spec: {containers: [
  {name: app, resources: {requests: {cpu: 200m, memory: 256Mi}, limits: {cpu: 300m, memory: 512Mi}}},
  {name: proxy, resources: {requests: {cpu: 50m}}}]}}}
---
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 20
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]
";

    #[test]
    fn limits_replicas_target_and_use_are_looked_at() {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        std::fs::write(file.path(), TIGHT).unwrap();
        let path = file.path().to_str().unwrap();
        let error = output(&[path, "--mean-cpu", "150m"]).unwrap_err();
        assert!(error.starts_with("2: ") && error.ends_with("say how many run: --replicas PODS"), "{error}");
        let with = |more: &[&str]| output(&[&[path, "--replicas", "4"], more].concat());
        let text = with(&["--mean-cpu", "150m", "--target", "shop/web"]).unwrap();
        for part in ["requests.cpu of app: 200m -> 300m", "limits.cpu of app: 300m -> 450m", "at 4 replicas"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        for (given, what) in [
            (&["--target", "shop/api"][..], "2: "),
            (&["--target", "bank/web"], "it does not hold bank/Deployment/web; there are: Deployment web"),
            (&["--mean-cpu", "175Mi"], "no amount of CPU"),
            (&["--mean-cpu=-5m"], "no amount of CPU"),
            (&["--mean-cpu", "0"], "no amount of CPU"),
            (&["--mean-memory", "300m"], "no amount of memory"),
            (&["--mean-cpu", "175"], "--mean-cpu: 175000m is more than 100 times what a pod requests, 250m"),
            (&["--highest-cpu", "301m"], "--highest-cpu: 301m is above the limit of app, 300m"),
            (&["--container", "nope"], "there are: app, proxy"),
            (&["--apply"], "--context"),
        ] {
            let error = with(given).unwrap_err();
            assert!(error.contains(what) && !error.starts_with("1: "), "{error}");
        }
        let error = output(&["--target", "shop/web"]).unwrap_err();
        assert!(error.starts_with("2: --target is a workload in a cluster (--context NAME), or in a file"), "{error}");
    }

    struct Nothing;

    impl PodUsage for Nothing {
        fn in_use(&self, _: &Target, _: &str) -> InUse {
            InUse::default()
        }
    }

    #[tokio::test]
    async fn guards_limit_it_and_a_cluster_that_is_away_is_code_1() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let applier =
            ResizeApplier::new(Client::try_from(Config::new(format!("http://{address}").parse().unwrap())).unwrap());
        let metrics = scaling_core::ScalingMetrics::new(scaling_core::chrono::DateTime::UNIX_EPOCH, 3);
        let seen = Observation::new(Target::deployment("shop", "checkout"), metrics);
        let parsed = Arguments::try_parse_from(["vertical", "--cpu", "400"]).unwrap();
        let mut out = Vec::new();
        let state = HpaState::new(Bounds::new(2, 6).unwrap());
        let failed = in_cluster(&applier, &Nothing, seen, state, &parsed, &mut out).await.unwrap_err();
        assert!(matches!(failed, Failure::Failed(_)), "{failed}");
        let told = String::from_utf8(out).unwrap();
        assert!(told.starts_with("limited by ") && told.contains("resources"), "{told}");
    }
}
