//! Several clusters as one: the bounds of each HPA, what its workload does, and which clusters answer.
//!
//!     cargo run --release --features live --example multi_cluster -- --context eu-1 --context us-1 --target shop/checkout
//!
//! Reads HPAs, workloads, pods and `metrics.k8s.io`, and writes nothing. A cluster that is down has its errors in its own lines; the others
//! are as they are. Exit code 1 if anything could not be read.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Parser;
use comfy_table::{Table, TableStyle};
use examples::Failure;
use examples::live::arguments::target;
use scaling_core::{HpaApplier, MetricsSource, Observation, SignalKind, Target};
use scaling_k8s::clusters::{Clusters, ClustersConfig, contexts};
use scaling_k8s::kube::Client;
use scaling_k8s::kube::config::Kubeconfig;
use scaling_k8s::metrics_api::{MetricsApi, MetricsApiConfig};
use scaling_k8s::{KubeHpaApplier, Writer};

/// Several clusters as one: the bounds of each HPA, what its workload does, and which clusters answer.
#[derive(Debug, Parser)]
#[command(
    name = "multi_cluster",
    version,
    after_help = "Examples:\n  cargo run --release --features live --example multi_cluster -- --context eu-1 --context us-1 --target shop/checkout\n  \
                  cargo run --release --features live --example multi_cluster -- --kubeconfig clusters.yaml --context eu-1 --target shop/web=web-hpa"
)]
struct Options {
    /// Kubeconfig; by default the first file of KUBECONFIG, or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, which is a cluster here; may be given several times
    #[arg(long = "context", value_name = "NAME")]
    contexts: Vec<String>,
    /// Workload, looked for in each cluster, with `Deployment` as its kind and an HPA of its own name unless they are given; may be given
    /// several times
    #[arg(long = "target", value_name = "NAMESPACE/[KIND/]NAME[=HPA]", value_parser = |text: &str| target(text))]
    targets: Vec<Target>,
    /// Seconds that a cluster has to answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    deadline: u64,
}

fn main() -> std::process::ExitCode {
    let mut options = Options::parse();
    if options.kubeconfig.is_none() {
        options.kubeconfig = usual_kubeconfig();
    }
    examples::exit(run(&options, &mut std::io::stdout()))
}

fn usual_kubeconfig() -> Option<PathBuf> {
    let named = examples::variable("KUBECONFIG").and_then(|paths| std::env::split_paths(&paths).next());
    let at_home = || examples::variable("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    named.or_else(at_home).filter(|path| path.exists())
}

fn run(options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    let no_file = || Failure::input("no kubeconfig: name one with --kubeconfig FILE");
    let path = options.kubeconfig.as_ref().ok_or_else(no_file)?;
    let unread = |error| Failure::input(format!("{}: {error}", examples::place(path)));
    let kubeconfig = Kubeconfig::read_from(path).map_err(unread)?;
    let known = contexts(&kubeconfig).join(", ");
    if options.contexts.is_empty() {
        return Err(Failure::input(format!("say which clusters: --context NAME; there are: {known}")));
    }
    if options.targets.is_empty() {
        return Err(Failure::input("say which workload: --target NAMESPACE/NAME"));
    }
    if !(1..=3600).contains(&options.deadline) {
        return Err(Failure::input(format!("--deadline {}: from 1 to 3600 s", options.deadline)));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let clients = Clusters::from_kubeconfig(kubeconfig, &options.contexts).await.map_err(Failure::input)?;
        show(clients, options, out).await
    })
}

async fn show(clients: Clusters<Client>, options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    let deadline = Duration::from_secs(options.deadline);
    let config = ClustersConfig::default().with_deadlines(deadline, deadline);
    let clients = clients.with_config(config).map_err(Failure::input)?;
    // Done before its cluster is given up, so that what could be asked is not lost with what could not.
    let limits = MetricsApiConfig::default().with_deadline(deadline.mul_f64(0.9));
    let writer = |client: &Client| Writer::new(client.clone()).timeout(deadline.mul_f64(0.9));
    let appliers = clients.each(|_, client| KubeHpaApplier::new(writer(client)));
    let source = |_: &str, client: &Client| MetricsApi::new(client.clone()).with_config(limits.clone());
    let sources = clients.try_each(source).map_err(Failure::input)?;

    let now = SystemTime::now().into();
    let targets: Vec<Target> = clients
        .names()
        .flat_map(|cluster| options.targets.iter().map(move |target| target.clone().in_cluster(cluster)))
        .collect();
    let (seen, states) = futures::join!(
        sources.observe_all(&targets, now),
        futures::future::join_all(targets.iter().map(|target| appliers.current(target)))
    );
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(["cluster", "workload", "bounds", "ready", "desired", "CPU %"]);
    let (mut faults, mut unknown) = (Vec::new(), Vec::new());
    for ((target, seen), state) in targets.iter().zip(seen).zip(states) {
        let workload = Target { cluster: None, ..target.clone() }.to_string();
        let cluster = target.cluster.clone().unwrap_or_default();
        let bounds = state.map(|state| state.bounds.to_string()).map_err(|error| faults.push(error.to_string()));
        let seen = seen.map_err(|error| faults.push(error.to_string())).ok();
        let number = |value: Option<u32>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
        let current = seen.as_ref().map(|seen| &seen.current);
        let cpu = current.and_then(|current| current.value(SignalKind::CpuUtilization));
        if let Some(seen) = &seen {
            unknown.extend(absent(target, seen));
        }
        table.add_row([
            cluster,
            workload,
            bounds.unwrap_or_else(|()| "?".to_owned()),
            number(current.and_then(|current| current.current_pod_count)),
            number(current.and_then(|current| current.desired_pod_count)),
            cpu.map_or_else(|| "?".to_owned(), |cpu| format!("{cpu:.0}")),
        ]);
    }
    writeln!(out, "{table}\n")?;
    unknown.iter().try_for_each(|why| writeln!(out, "? {why}"))?;
    let seeing: BTreeMap<_, _> = sources.health(now).into_iter().map(|one| (one.cluster, one.seeing)).collect();
    for health in appliers.health(now) {
        let metrics = seeing.get(&health.cluster).map_or_else(String::new, ToString::to_string);
        writeln!(out, "{}: HPAs {}\n{}: metrics {metrics}", health.cluster, health.acting, health.cluster)?;
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::failed(faults.join("\n       "))) }
}

/// The facts of a workload that are not known although its cluster answers, each with the reason.
fn absent(target: &Target, seen: &Observation) -> Vec<String> {
    let absent = seen.current.absent_of(seen.declared()).filter(|(kind, _)| *kind == SignalKind::CpuUtilization);
    let mut unknown: Vec<String> = absent.map(|(kind, why)| format!("{target}: {kind}: {why}")).collect();
    for (what, pods) in [("ready", seen.current.current_pod_count), ("desired", seen.current.desired_pod_count)] {
        if pods.is_none() {
            unknown.push(format!("{target}: {what}: the cluster tells no number of pods"));
        }
    }
    unknown
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// An API server of one HPA, one Deployment and no metrics; a max of 401 or 403 is the status of all that it answers.
    fn server(max: u32) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap_or_default();
                    let mut rest = String::new();
                    while reader.read_line(&mut rest).unwrap_or_default() > 2 {
                        rest.clear();
                    }
                    let path = line.split(' ').nth(1).unwrap_or_default();
                    let (status, body) = answer(path, max);
                    let head = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = reader.into_inner().write_all((head + &body).as_bytes());
                });
            }
        });
        url
    }

    fn answer(path: &str, max: u32) -> (&'static str, String) {
        let path = path.split('?').next().unwrap_or_default();
        let hpa = serde_json::json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": "web", "namespace": "shop", "resourceVersion": "1", "uid": "u" },
            "spec": { "minReplicas": 2, "maxReplicas": max,
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" } },
        });
        let web = serde_json::json!({ "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "replicas": 4, "selector": { "matchLabels": { "app": "web" } } } });
        if matches!(max, 401 | 403) {
            let message = match max {
                401 => "Unauthorized",
                _ => r#"x is forbidden: User "ada" cannot get resource "x" in API group "y" in the namespace "shop""#,
            };
            let status = serde_json::json!({ "kind": "Status", "status": "Failure", "code": max, "message": message });
            return (if max == 401 { "401 Unauthorized" } else { "403 Forbidden" }, status.to_string());
        }
        match path {
            "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web" => ("200 OK", hpa.to_string()),
            "/apis/apps/v1/namespaces/shop/deployments/web" => ("200 OK", web.to_string()),
            "/api/v1/namespaces/shop/pods" | "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods" => {
                ("200 OK", r#"{"items":[]}"#.to_owned())
            }
            _ => ("404 Not Found", "404 page not found".to_owned()),
        }
    }

    fn asked(servers: &[(&str, String)], arguments: &[&str]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let clusters: Vec<_> = servers
            .iter()
            .map(|(name, url)| serde_json::json!({ "name": name, "cluster": { "server": url } }))
            .collect();
        let contexts: Vec<_> = servers
            .iter()
            .map(|(name, _)| serde_json::json!({ "name": name, "context": { "cluster": name, "user": "me" } }))
            .collect();
        let users = serde_json::json!([{ "name": "me", "user": { "token": "t" } }]);
        let config = serde_json::json!({ "apiVersion": "v1", "kind": "Config", "clusters": clusters, "contexts": contexts, "users": users });
        std::fs::write(&file, config.to_string()).unwrap();
        let all =
            ["multi_cluster", "--kubeconfig", file.to_str().unwrap()].into_iter().chain(arguments.iter().copied());
        let options = Options::parse_from(all);
        let mut printed = Vec::new();
        let result = run(&options, &mut printed);
        let printed = String::from_utf8(printed).unwrap();
        match result {
            Ok(()) => Ok(printed),
            Err(Failure::Input(what)) => Err(format!("2: {what}")),
            Err(other) => Err(format!("1: {printed}{other}")),
        }
    }

    #[test]
    fn two_clusters_are_shown_and_one_that_is_down_costs_its_own_lines() {
        let (eu, us) = (server(6), server(9));
        let text =
            asked(&[("eu", eu.clone()), ("us", us)], &["--context", "eu", "--context", "us", "--target", "shop/web"])
                .unwrap();
        for said in [
            "2..6",
            "2..9",
            "eu: HPAs up",
            "eu: metrics up",
            "us: HPAs up",
            "? eu/shop/Deployment/web: CPU utilization: a mean over no pods",
        ] {
            assert!(text.contains(said), "{said:?} is not in:\n{text}");
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let down = [("eu", eu), ("us", format!("http://{free}"))];
        let text = asked(&down, &["--context", "us", "--context", "eu", "--target", "shop/web"]).unwrap_err();
        for said in [
            "1: ",
            "2..6",
            "eu: metrics up",
            "us: HPAs failing (1 in a row)",
            "us/shop/Deployment/web: ",
            "nobody listens",
        ] {
            assert!(text.contains(said), "{said:?} is not in:\n{text}");
        }
    }

    #[test]
    fn a_cluster_that_does_not_know_who_asks_is_not_up() {
        for (code, said) in [(401, "does not know who asks (401)"), (403, "ada may not get")] {
            let text = asked(
                &[("eu", server(6)), ("us", server(code))],
                &["--context", "eu", "--context", "us", "--target", "shop/web"],
            )
            .unwrap_err();
            for said in ["eu: HPAs up", "us: HPAs denied: ", "us: metrics denied: ", said] {
                assert!(text.contains(said), "{said:?} is not in:\n{text}");
            }
            assert!(!text.contains("us: HPAs up") && !text.contains("us: metrics up"), "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_said_with_what_there_is() {
        let servers = [("eu", "http://127.0.0.1:1".to_owned()), ("us", "http://127.0.0.1:1".to_owned())];
        let said = asked(&servers, &[]).unwrap_err();
        assert!(said.starts_with("2: say which clusters: --context NAME; there are: eu, us"), "{said}");
        let said = asked(&servers, &["--context", "eu"]).unwrap_err();
        assert!(said.starts_with("2: say which workload"), "{said}");
        let said = asked(&servers, &["--context", "mars", "--target", "shop/web"]).unwrap_err();
        assert!(said.contains("there is no context \"mars\"; there are: eu, us"), "{said}");
        let options = Options { kubeconfig: None, contexts: vec![], targets: vec![], deadline: 1 };
        assert!(examples::outcome(|out| run(&options, out)).unwrap_err().starts_with("2: no kubeconfig"));
    }
}
