//! What a Prometheus server says of a workload: each query checked, in words, and one observation.
//!
//!     export PROMETHEUS_URL=http://localhost:9090
//!     cargo run --release --features live --example prometheus -- shop/checkout --set istio
//!
//! Works with what speaks the same API: VictoriaMetrics, Thanos, Mimir (`--tenant`). Credentials: a file with a bearer token
//! (`--token-file`). Nothing is written anywhere. Exit code 1 if no query brings a value.

use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Parser, ValueEnum};
use examples::Failure;
use scaling_core::http::{Auth, Endpoint, HttpClient, HttpConfig};
use scaling_core::source::prometheus::{PrometheusSource, QuerySet};
use scaling_core::{MetricsSource, SignalKind, Target};

/// Where requests are counted.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Set {
    Istio,
    Linkerd,
    IngressNginx,
    Opentelemetry,
}

/// What a Prometheus server says of a workload: each query checked, and one observation.
#[derive(Debug, Parser)]
#[command(
    name = "prometheus",
    version,
    after_help = "Example:\n  PROMETHEUS_URL=http://localhost:9090 cargo run --release --features live --example prometheus -- shop/checkout"
)]
struct Options {
    /// Workload: NAMESPACE/NAME of a Deployment
    #[arg(default_value = "shop/checkout")]
    target: String,
    /// Where requests are counted, besides CPU, memory and pods of kube-state-metrics and cAdvisor
    #[arg(long)]
    set: Option<Set>,
    /// File with a bearer token
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// Tenant, for Mimir (X-Scope-OrgID)
    #[arg(long)]
    tenant: Option<String>,
}

fn main() -> std::process::ExitCode {
    let (options, url) = (Options::parse(), std::env::var("PROMETHEUS_URL").ok());
    examples::exit(run(&options, url.as_deref(), &mut std::io::stdout()))
}

fn run(options: &Options, url: Option<&str>, out: &mut impl Write) -> Result<(), Failure> {
    let url = url.filter(|url| !url.is_empty()).ok_or_else(|| {
        Failure::input("set PROMETHEUS_URL to the address of a Prometheus, such as http://localhost:9090")
    })?;
    let endpoint = Endpoint::parse(url).map_err(|error| Failure::input(format!("PROMETHEUS_URL: {error}")))?;
    let (namespace, name) = options
        .target
        .split_once('/')
        .ok_or_else(|| Failure::input(format!("{:?} is not NAMESPACE/NAME", options.target)))?;
    let target = Target::deployment(namespace, name);
    let requests = match options.set {
        None => QuerySet::empty(),
        Some(Set::Istio) => QuerySet::istio(),
        Some(Set::Linkerd) => QuerySet::linkerd(),
        Some(Set::IngressNginx) => QuerySet::ingress_nginx(),
        Some(Set::Opentelemetry) => QuerySet::opentelemetry(),
    };
    let mut config = HttpConfig::default();
    if let Some(path) = &options.token_file {
        config = config.auth(Auth::bearer_file(path));
    }
    if let Some(tenant) = &options.tenant {
        config = config.header("x-scope-orgid", tenant);
    }
    let client = HttpClient::new(config).map_err(Failure::input)?;
    let source = PrometheusSource::new(client, endpoint, QuerySet::kubernetes().and(requests));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(show(&source, &target, out))
}

async fn show(source: &PrometheusSource, target: &Target, out: &mut impl Write) -> Result<(), Failure> {
    let now = SystemTime::now().into();
    for check in source.check(target, now).await {
        writeln!(out, "{check}")?;
    }
    let seen = source.observe(target, now).await.map_err(Failure::failed)?;
    let pods = |count: Option<u32>| count.map_or("unknown".to_owned(), |count| count.to_string());
    let (ready, desired) = (pods(seen.current.current_pod_count), pods(seen.current.desired_pod_count));
    writeln!(out, "\n{target} at {now:?}: pods {ready} ready, {desired} desired")?;
    for kind in SignalKind::ALL {
        if let Some(value) = seen.current.value(kind) {
            writeln!(out, "  {}: {value:.2}", kind.field())?;
        }
    }
    for (kind, absence) in seen.absences() {
        writeln!(out, "  {}: absent, {absence}", kind.field())?;
    }
    if let Some(skew) = source.report().skew {
        writeln!(out, "note: the clock of the server is {} s ahead of this one", skew.num_seconds())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::net::TcpListener;

    use super::*;

    fn asked(arguments: &[&str], url: Option<&str>) -> Result<String, String> {
        let options = Options::parse_from(["prometheus"].iter().chain(arguments));
        examples::outcome(|out| run(&options, url, out))
    }

    /// Answers every query with 7 for `shop/checkout`, and ends with the test.
    fn seven() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                let mut lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
                let head: Vec<String> = lines.by_ref().map(|line| line.to_ascii_lowercase()).collect();
                let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut body).unwrap();
                let form = String::from_utf8(body).unwrap();
                let field = |name: &str| form.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap_or_default();
                let labels = r#"{"namespace":"shop","workload":"checkout"}"#;
                let result = if head[0].contains("query_range") {
                    format!(r#""matrix","result":[{{"metric":{labels},"values":[[{},"7"]]}}]"#, field("end="))
                } else {
                    format!(r#""vector","result":[{{"metric":{labels},"value":[{},"7"]}}]"#, field("time="))
                };
                let text = format!(r#"{{"status":"success","data":{{"resultType":{result}}}}}"#);
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
                let _ = reader.into_inner().write_all((head + &text).as_bytes());
            }
        });
        url
    }

    #[test]
    fn the_check_and_one_observation_are_shown() {
        let text = asked(&[], Some(&seven())).unwrap();
        for said in
            ["CPU utilization: works: 7.000\n", "pods 7 ready, 7 desired", "  memory_utilization_percent: 7.00\n"]
        {
            assert!(text.contains(said), "{said:?} is not in:\n{text}");
        }
    }

    #[test]
    fn what_cannot_work_is_said_in_a_sentence() {
        assert!(asked(&[], None).unwrap_err().starts_with("2: set PROMETHEUS_URL"));
        assert!(asked(&[], Some("localhost:9090")).unwrap_err().starts_with("2: PROMETHEUS_URL: "));
        assert!(asked(&["checkout"], Some("http://localhost:1")).unwrap_err().contains("NAMESPACE/NAME"));
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let nobody = asked(&[], Some(&format!("http://{free}"))).unwrap_err();
        assert!(nobody.starts_with("1: shop/Deployment/checkout: metrics backend failed"), "{nobody}");
    }
}
