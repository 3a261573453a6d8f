//! Arguments of the live parts.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use scaling_core::Target;
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};

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

/// Origin of live metrics.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Live metrics (built with --features live)")]
pub struct OriginArguments {
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
    /// Seconds that the metrics server has to answer one question, from 1 to 300. By default 10.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=300))]
    pub deadline: Option<u64>,
    /// Seconds between two ticks of a workload.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub interval: u64,
}

/// Origin of live metrics, and the workloads that they are of.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Live metrics (built with --features live)")]
pub struct SourceArguments {
    /// Where the metrics are.
    #[command(flatten)]
    pub origin: OriginArguments,
    /// A workload, with `Deployment` as its kind and an HPA of its own name unless they are given; may be given several times.
    #[arg(long = "target", value_name = "NAMESPACE/[KIND/]NAME[=HPA]", value_parser = target)]
    pub targets: Vec<Target>,
    /// Days of the past that are fetched at the start, to learn from: 90 at most.
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    pub backfill: u64,
    /// Parts of an interval over which the workloads are spread: each has as much less time for its questions. 0 as 1.
    #[arg(skip)]
    pub batches: u32,
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
    /// The kubeconfig that has it. By default the files of `KUBECONFIG`, or `~/.kube/config`.
    #[arg(long, value_name = "FILE", requires = "context")]
    pub kubeconfig: Option<PathBuf>,
    /// Changes the HPAs in that cluster. Without it nothing is changed.
    #[arg(long)]
    pub apply: bool,
    /// Changes the HPAs whoever else sets their size, and takes their bounds over. Without it these are left alone, and told.
    #[arg(long)]
    pub take: bool,
}

impl OriginArguments {
    /// Returns whether a server is named.
    pub fn is_wanted(&self) -> bool {
        self.prometheus.is_some() || self.cloudwatch.is_some() || self.azure.is_some() || self.datadog.is_some()
    }

    /// Checks what can be told without asking anybody; `cluster` says that the cluster itself is the origin.
    ///
    /// # Errors
    /// [`Failure::Input`] with what is missing, or given twice.
    pub fn validate(&self, cluster: bool) -> Result<(), Failure> {
        let files = [&self.cloudwatch, &self.azure, &self.datadog].into_iter().flatten().count();
        match usize::from(self.prometheus.is_some()) + usize::from(cluster) + files {
            1 => {}
            0 => {
                return Err(Failure::input(
                    "say where the metrics come from: --prometheus URL, --cloudwatch FILE, --azure FILE or --datadog FILE, or from a cluster itself",
                ));
            }
            _ => {
                return Err(Failure::input(
                    "one source at a time: --prometheus, --cloudwatch, --azure, --datadog or --metrics-api",
                ));
            }
        }
        if self.prometheus.is_none() && (self.tenant.is_some() || !self.own_queries.is_empty()) {
            return Err(Failure::input(
                "--query and --tenant are for --prometheus; of a cloud, the file says what is asked",
            ));
        }
        if self.token_file.is_some() && self.prometheus.is_none() && self.azure.is_none() {
            return Err(Failure::input("--token-file is for --prometheus and --azure"));
        }
        Ok(())
    }
}

impl SourceArguments {
    /// Returns whether anything here was asked for.
    pub fn is_wanted(&self) -> bool {
        self.origin.is_wanted() || !self.targets.is_empty()
    }

    /// Name of the origin, for people, without credentials.
    pub fn origin(&self) -> String {
        let without_user = |url: &str| match url.split_once("://") {
            Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host)),
            None => url.to_owned(),
        };
        let named = self.origin.prometheus.as_ref().map(|url| format!("Prometheus at {}", without_user(url)));
        let clouds = [
            (&self.origin.cloudwatch, "Amazon CloudWatch"),
            (&self.origin.azure, "Azure Monitor"),
            (&self.origin.datadog, "Datadog"),
        ];
        let of_cloud = || clouds.iter().find(|(file, _)| file.is_some()).map(|(_, name)| (*name).to_owned());
        named.or_else(of_cloud).unwrap_or_else(|| "the metrics API of the cluster".to_owned())
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
        self.origin.validate(cluster)?;
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

/// Reads a file once, so that one that cannot be read is said at once and not at each request.
///
/// # Errors
/// [`Failure::Input`] with the flag and the file.
pub fn readable(flag: &str, path: &Path) -> Result<(), Failure> {
    let place = crate::place(path);
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Err(Failure::input(format!("{flag} {place}: the file is empty"))),
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::input(format!("{flag} {place}: {error}"))),
    }
}

/// Reads the name of a namespace.
///
/// # Errors
/// A sentence with the form that is expected.
pub fn namespace(text: &str) -> Result<String, String> {
    let must =
        "a namespace has at most 63 lower-case letters, digits and dashes, and neither begins nor ends with a dash";
    if is_dns_label(text) { Ok(text.to_owned()) } else { Err(must.to_owned()) }
}

/// Reads a selector of labels, as `kubectl get -l` takes it: `team=shop,tier!=test,track in (a,b),!old`.
///
/// # Errors
/// A sentence with the part that is none.
pub fn selector(text: &str) -> Result<String, String> {
    let mut depth = 0_u32;
    // Commas within brackets are between values.
    let parts = text.split(|c| {
        depth = if c == '(' {
            depth + 1
        } else if c == ')' {
            depth.saturating_sub(1)
        } else {
            depth
        };
        c == ',' && depth == 0
    });
    for part in parts {
        if !is_requirement(part.trim()) {
            return Err(format!(
                "{part:?} selects no label; expected KEY=VALUE, KEY!=VALUE, KEY in (A,B), KEY notin (A,B), KEY or !KEY"
            ));
        }
    }
    Ok(text.to_owned())
}

fn is_requirement(part: &str) -> bool {
    if let Some(key) = part.strip_prefix('!') {
        return is_key(key.trim());
    }
    for operator in [" notin ", " in ", " notin(", " in("] {
        if let Some((key, values)) = part.split_once(operator) {
            let values = values.trim().trim_start_matches('(');
            return is_key(key.trim())
                && values
                    .strip_suffix(')')
                    .is_some_and(|values| values.split(',').all(|value| is_value(value.trim())));
        }
    }
    match ["!=", "==", "="].into_iter().find_map(|operator| part.split_once(operator)) {
        Some((key, value)) => is_key(key.trim()) && is_value(value.trim()),
        None => is_key(part),
    }
}

fn is_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_dns_subdomain) && !name.is_empty() && is_value(name)
}

fn is_value(value: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let ends = [value.chars().next(), value.chars().next_back()];
    value.len() <= 63 && value.chars().all(inner) && ends.iter().flatten().all(char::is_ascii_alphanumeric)
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
    if is_empty {
        return Err("a name is empty; expected NAMESPACE/NAME".to_owned());
    }
    if !is_dns_label(&named.namespace) || ![&named.name, &named.hpa].into_iter().all(|name| is_dns_subdomain(name)) {
        return Err(
            "Kubernetes has no such names; expected NAMESPACE/NAME of lower-case letters, digits and dashes".to_owned()
        );
    }
    Ok(named)
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
    fn selectors_and_namespaces_are_those_that_an_api_server_takes() {
        for good in
            ["team=shop", "team==shop,tier!=test", "track in (a, b),!old", "kube-scaling/mode", "a notin (b)", "x="]
        {
            assert_eq!(selector(good), Ok(good.to_owned()));
        }
        for bad in ["===", "", "a=b,", "a b", "=x", "a in b", "a in (b", "-a=b", "a=b c", "A_/x=y", "a=\u{e4}"] {
            assert!(selector(bad).is_err(), "{bad}");
        }
        assert_eq!(namespace("shop-1"), Ok("shop-1".to_owned()));
        for bad in ["", "NO_", "-a", "a-", "a/b", &"a".repeat(64)] {
            assert!(namespace(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_origin_is_named_without_credentials() {
        let prometheus = Some("http://ada:secret@prometheus:9090/x".to_owned());
        let origin = OriginArguments { prometheus, ..OriginArguments::default() };
        let from = SourceArguments { origin, ..SourceArguments::default() };
        assert_eq!(from.origin(), "Prometheus at http://prometheus:9090/x");
        assert_eq!(
            readable("--token-file", Path::new("/no/such/file")).unwrap_err().to_string().split(':').next(),
            Some("--token-file /no/such/file")
        );
    }

    #[test]
    fn what_is_missing_is_said_with_the_flag_that_gives_it() {
        let prometheus = Some("http://localhost:9090".to_owned());
        let targets = vec![Target::deployment("shop", "web")];
        let origin = OriginArguments { prometheus, ..OriginArguments::default() };
        let good = SourceArguments { origin: origin.clone(), targets, ..SourceArguments::default() };
        assert!(good.validate().is_ok() && good.is_wanted() && !SourceArguments::default().is_wanted());
        let none = OriginArguments::default();
        for (origin, what) in [
            (none.clone(), "--prometheus URL"),
            (OriginArguments { datadog: Some("file".into()), ..origin }, "one source at a time"),
            (
                OriginArguments { azure: Some("file".into()), own_queries: vec!["a=b".to_owned()], ..none.clone() },
                "--query and --tenant are for --prometheus",
            ),
            (
                OriginArguments { cloudwatch: Some("file".into()), token_file: Some("token".into()), ..none.clone() },
                "--token-file is for --prometheus and --azure",
            ),
        ] {
            assert!(origin.validate(false).unwrap_err().to_string().contains(what), "{what}");
            let whole = SourceArguments { origin, ..good.clone() };
            assert!(whole.validate().unwrap_err().to_string().contains(what), "{what}");
        }
        let twice = vec![Target::deployment("shop", "web"), Target::deployment("shop", "web")];
        for (arguments, what) in [
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
        let of_cluster = SourceArguments { origin: none, ..good.clone() };
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
