//! Arguments of the live parts.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use scaling_core::Target;

use crate::Failure;

/// Longest past that is fetched: some 10 MB of a workload.
const LONGEST_PAST_DAYS: u64 = 90;

/// Tasks on live metrics besides the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// Says what works and what does not: each query, the HPA, the permission to change it. Writes nothing.
    Check,
    /// Compares on the last 14 days of the workload: its HPA as it is, with us, the recommended target, the clairvoyant. Writes nothing.
    Backtest,
    /// Replays each day that was seen with the stage of adoption in force and with the next, and says whether they are evidence enough to
    /// go on. Writes nothing.
    Adopt,
}

/// Resources that a metrics API measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Resource {
    /// Processor time, in percent of the request.
    Cpu,
    /// Memory, in percent of the request.
    Memory,
}

/// Origin of live metrics, and the workloads that they are of.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Live metrics (built with --features live)")]
pub struct SourceArguments {
    /// Prometheus, or what speaks its API: VictoriaMetrics, Thanos, Mimir.
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
    /// Amazon CloudWatch, with a file that says which series are a workload's, as `examples/deploy/cloudwatch.yaml` (built with
    /// --features live,cloudwatch). Credentials come from where the AWS SDK looks for them.
    #[arg(long, value_name = "FILE")]
    pub cloudwatch: Option<PathBuf>,
    /// Azure Monitor, with a file as `examples/deploy/azure.yaml` (built with --features live,azure-monitor). Who asks is a workload
    /// identity, or the service principal of the environment.
    #[arg(long, value_name = "FILE")]
    pub azure: Option<PathBuf>,
    /// Datadog, with a file as `examples/deploy/datadog.yaml` (built with --features live,datadog). The keys come from `DD_API_KEY`
    /// and `DD_APP_KEY`.
    #[arg(long, value_name = "FILE")]
    pub datadog: Option<PathBuf>,
    /// A workload, with `Deployment` as its kind and an HPA of its own name unless they are given; may be given several times.
    #[arg(long = "target", value_name = "NAMESPACE/[KIND/]NAME[=HPA]", value_parser = target)]
    pub targets: Vec<Target>,
    /// Sets of queries: kubernetes, ingress-nginx, istio, linkerd, opentelemetry; several with commas, or none. By default kubernetes.
    #[arg(long, value_name = "SETS", value_delimiter = ',', default_value = "kubernetes")]
    pub queries: Vec<String>,
    /// A query of your own, with `{namespace}` and `{workload}` in it and labels of these names in its answer; may be given several times.
    #[arg(long = "query", value_name = "SIGNAL=PROMQL")]
    pub own_queries: Vec<String>,
    /// A file with a bearer token, which may be renewed.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A file with the certificates of the authority that the server's is signed by.
    #[arg(long, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// Tenant, for the header `X-Scope-OrgID`.
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
    /// Seconds between two ticks.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub interval: u64,
    /// Days of the past that are fetched at the start, to learn from: 90 at most.
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    pub backfill: u64,
}

/// Arguments of a run on live metrics.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Live metrics (built with --features live)")]
pub struct LiveArguments {
    /// Origin of the metrics.
    #[command(flatten)]
    pub from: SourceArguments,
    /// Serves a status page, `/metrics`, `/healthz` and `/readyz`.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Keeps what was learnt in this folder, over a restart.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// The metrics API of the cluster that `--context` names, in place of a monitoring service: CPU, memory and pods, as an HPA sees them.
    /// It has no past. Where pods request no memory, say `--metrics-api=cpu`: what is asked for and absent lets nothing shrink.
    #[arg(long, value_name = "RESOURCES", num_args = 0..=1, require_equals = true, value_delimiter = ',', default_missing_value = "cpu,memory")]
    pub metrics_api: Vec<Resource>,
    /// The cluster whose HPAs are read: a context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Changes the HPAs in that cluster. Without it nothing is changed.
    #[arg(long)]
    pub apply: bool,
    /// Changes the HPAs whoever else sets their size, and takes their bounds over. Without it these are left alone, and told.
    #[arg(long)]
    pub take: bool,
}

impl SourceArguments {
    /// Returns whether anything here was asked for.
    pub fn is_wanted(&self) -> bool {
        self.prometheus.is_some()
            || self.cloudwatch.is_some()
            || self.azure.is_some()
            || self.datadog.is_some()
            || !self.targets.is_empty()
    }

    /// Checks what can be told without asking anybody.
    ///
    /// # Errors
    /// [`Failure::Input`] with what is missing, or given twice.
    pub fn validate(&self) -> Result<(), Failure> {
        self.validate_beside(false)
    }

    /// Checks the origin of the metrics; `cluster` says that the cluster itself is one.
    fn validate_beside(&self, cluster: bool) -> Result<(), Failure> {
        let files = [&self.cloudwatch, &self.azure, &self.datadog].into_iter().flatten().count();
        match usize::from(self.prometheus.is_some()) + usize::from(cluster) + files {
            1 => {}
            0 => {
                return Err(Failure::input(
                    "say where the metrics come from: --prometheus URL, --cloudwatch FILE, --azure FILE or --datadog FILE, or from a cluster itself",
                ));
            }
            _ => return Err(Failure::input("one source at a time: --prometheus, --cloudwatch, --azure or --datadog")),
        }
        if self.prometheus.is_none() && (self.tenant.is_some() || !self.own_queries.is_empty()) {
            return Err(Failure::input(
                "--query and --tenant are for --prometheus; of a cloud, the file says what is asked",
            ));
        }
        if self.token_file.is_some() && self.prometheus.is_none() && self.azure.is_none() {
            return Err(Failure::input("--token-file is for --prometheus and --azure"));
        }
        if self.targets.is_empty() {
            return Err(Failure::input("say which workload: --target NAMESPACE/NAME"));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.targets.iter().find(|target| !seen.insert(*target)) {
            return Err(Failure::input(format!("--target {twice} is given twice")));
        }
        if self.backfill > LONGEST_PAST_DAYS {
            let what = format!("--backfill {}: at most {LONGEST_PAST_DAYS} days are fetched and kept", self.backfill);
            return Err(Failure::input(what));
        }
        Ok(())
    }
}

impl LiveArguments {
    /// Returns whether anything here was asked for.
    pub fn is_wanted(&self) -> bool {
        self.from.is_wanted()
            || !self.metrics_api.is_empty()
            || self.listen.is_some()
            || self.state.is_some()
            || self.context.is_some()
            || self.apply
    }

    /// Checks what can be told without asking anybody.
    ///
    /// # Errors
    /// [`Failure::Input`] with what is missing, or given twice.
    pub fn validate(&self) -> Result<(), Failure> {
        let of_cluster = !self.metrics_api.is_empty();
        self.from.validate_beside(of_cluster)?;
        if of_cluster && self.context.is_none() {
            return Err(Failure::input("--metrics-api asks a cluster; say which: --context NAME"));
        }
        if self.take && !self.apply {
            return Err(Failure::input("--take is about what --apply changes"));
        }
        if self.apply && self.context.is_none() {
            return Err(Failure::input("--apply changes a cluster; say which: --context NAME"));
        }
        Ok(())
    }
}

/// Reads `NAMESPACE/[KIND/]NAME[=HPA]`.
///
/// # Errors
/// A sentence with the form that is expected.
pub fn target(text: &str) -> Result<Target, String> {
    let (workload, hpa) = match text.split_once('=') {
        Some((workload, hpa)) => (workload, Some(hpa)),
        None => (text, None),
    };
    let parts: Vec<&str> = workload.split('/').collect();
    let named = match parts.as_slice() {
        [namespace, name] => Target::deployment(*namespace, *name),
        [namespace, kind, name] => Target::deployment(*namespace, *name).of_kind(*kind),
        _ => return Err("expected NAMESPACE/NAME".to_owned()),
    };
    let named = match hpa {
        Some(hpa) => named.with_hpa(hpa),
        None => named,
    };
    let is_empty = [&named.namespace, &named.kind, &named.name, &named.hpa].into_iter().any(String::is_empty);
    if is_empty { Err("a name is empty; expected NAMESPACE/NAME".to_owned()) } else { Ok(named) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_or_refused_with_the_form_that_is_expected() {
        let web = Target::deployment("shop", "web");
        assert_eq!(target("shop/web"), Ok(web.clone()));
        assert_eq!(target("shop/StatefulSet/web=other"), Ok(web.of_kind("StatefulSet").with_hpa("other")));
        for text in ["", "web", "shop/", "/web", "a/b/c/d", "shop/web="] {
            assert!(target(text).unwrap_err().contains("NAMESPACE/NAME"), "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_said_with_the_flag_that_gives_it() {
        let prometheus = Some("http://localhost:9090".to_owned());
        let targets = vec![Target::deployment("shop", "web")];
        let good = SourceArguments { prometheus, targets, ..SourceArguments::default() };
        assert!(good.validate().is_ok() && good.is_wanted() && !SourceArguments::default().is_wanted());
        let twice = vec![Target::deployment("shop", "web"), Target::deployment("shop", "web")];
        for (arguments, what) in [
            (SourceArguments { prometheus: None, ..good.clone() }, "--prometheus URL"),
            (SourceArguments { datadog: Some("file".into()), ..good.clone() }, "one source at a time"),
            (
                SourceArguments {
                    prometheus: None,
                    azure: Some("file".into()),
                    own_queries: vec!["a=b".to_owned()],
                    ..good.clone()
                },
                "--query and --tenant are for --prometheus",
            ),
            (
                SourceArguments {
                    prometheus: None,
                    cloudwatch: Some("file".into()),
                    token_file: Some("token".into()),
                    ..good.clone()
                },
                "--token-file is for --prometheus and --azure",
            ),
            (SourceArguments { targets: Vec::new(), ..good.clone() }, "--target NAMESPACE/NAME"),
            (SourceArguments { targets: twice, ..good.clone() }, "given twice"),
            (SourceArguments { backfill: 91, ..good.clone() }, "--backfill 91: at most 90 days"),
        ] {
            assert!(arguments.validate().unwrap_err().to_string().contains(what), "{what}");
        }
        let in_cluster = |from: SourceArguments| LiveArguments {
            from,
            metrics_api: vec![Resource::Cpu],
            ..LiveArguments::default()
        };
        let of_cluster = SourceArguments { prometheus: None, ..good.clone() };
        let named = LiveArguments { context: Some("staging".to_owned()), ..in_cluster(of_cluster.clone()) };
        assert!(named.validate().is_ok() && named.is_wanted());
        for (arguments, what) in
            [(in_cluster(good.clone()), "one source at a time"), (in_cluster(of_cluster), "say which: --context NAME")]
        {
            assert!(arguments.validate().unwrap_err().to_string().contains(what), "{what}");
        }
        let everywhere = LiveArguments { from: good, apply: true, ..LiveArguments::default() };
        assert!(everywhere.validate().unwrap_err().to_string().contains("--context NAME"));
    }
}
