//! CloudWatch over the wire: `moto`, which speaks the protocol of AWS, is filled by the official SDK and read back.
//!
//! `.ci/moto` installs it; it is looked for in `MOTO_SERVER`, on the `PATH`, and where that script puts it.
#![cfg(feature = "cloudwatch")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_cloudwatch::primitives::DateTime as SdkTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use scaling_core::chrono::{DateTime, DurationRound, TimeDelta, Utc};
use scaling_core::conformance;
use scaling_core::source::cloudwatch::aws_sdk_cloudwatch;
use scaling_core::source::cloudwatch::{CloudWatch, CloudWatchBackend, ConnectError, Connection, presets};
use scaling_core::source::fleet::{FleetConfig, Workload};
use scaling_core::source::mapping::Mapping;
use scaling_core::{MetricsSource, SignalKind, SourceError, Target};

const DEADLINE: Duration = Duration::from_secs(20);
/// Read by the child process that connects with the environment's credentials.
const ENDPOINT: &str = "CLOUDWATCH_LIVE_ENDPOINT";

/// A server on a free port, stopped in the end.
struct Moto {
    process: Child,
    endpoint: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Moto {
    /// `None`, with a sentence, if it is not installed; a panic instead where CI is set.
    fn start() -> Option<Self> {
        let installed = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/moto/bin/moto_server"));
        let named = std::env::var_os("MOTO_SERVER").filter(|name| !name.is_empty()).map(PathBuf::from);
        let program = named.unwrap_or(if installed.exists() { installed } else { "moto_server".into() });
        let mut command = Command::new(&program);
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let Ok(mut process) = command.spawn() else {
            let missing =
                "moto_server is not installed (run .ci/moto, or set MOTO_SERVER): CloudWatch is not tested live";
            assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{missing}");
            println!("skipped: {missing}");
            return None;
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let endpoint = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let at = line.find("http://127.0.0.1:")?;
            Some(line[at..].trim_end_matches(|last: char| !last.is_ascii_digit()).to_owned())
        });
        // Its log is read on, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { process, endpoint: endpoint.expect("moto_server says where it listens") })
    }

    fn client(&self) -> Client {
        Client::from_conf(
            aws_sdk_cloudwatch::Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new("eu-central-1"))
                .credentials_provider(Credentials::new("AKIDTEST", "secret", None, None, "test"))
                .endpoint_url(&self.endpoint)
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .build(),
        )
    }

    async fn put(&self, namespace: &str, name: &str, dimensions: &[(&str, &str)], points: &[(DateTime<Utc>, f64)]) {
        let datum = |(at, value): &(DateTime<Utc>, f64)| {
            let dimensions =
                dimensions.iter().map(|(name, value)| Dimension::builder().name(*name).value(*value).build());
            MetricDatum::builder()
                .metric_name(name)
                .set_dimensions(Some(dimensions.collect()))
                .timestamp(SdkTime::from_secs(at.timestamp()))
                .value(*value)
                .unit(StandardUnit::None)
                .build()
        };
        let data = points.iter().map(datum).collect();
        self.client().put_metric_data().namespace(namespace).set_metric_data(Some(data)).send().await.unwrap();
    }

    /// Twenty minutes of a load balancer and a cluster with three pods, up to this minute.
    async fn fill(&self, now: DateTime<Utc>) {
        let minutes = |value: f64| (1..=20).map(|ago| (now - TimeDelta::minutes(ago), value)).collect::<Vec<_>>();
        let pod = [("ClusterName", "prod"), ("Namespace", "shop"), ("PodName", "checkout")];
        for (name, value) in [
            ("pod_cpu_utilization", 6.0),
            ("pod_cpu_reserved_capacity", 12.0),
            ("pod_memory_utilization", 4.0),
            ("pod_memory_reserved_capacity", 5.0),
        ] {
            self.put("ContainerInsights", name, &pod, &minutes(value)).await;
        }
        let service = [("ClusterName", "prod"), ("Namespace", "shop"), ("Service", "checkout")];
        self.put("ContainerInsights", "service_number_of_running_pods", &service, &minutes(3.0)).await;
        let balancer = [("LoadBalancer", "app/shop/1"), ("TargetGroup", "targetgroup/checkout/2")];
        // Two nodes report, which the sum of a minute joins.
        for _ in 0..2 {
            self.put("AWS/ApplicationELB", "RequestCount", &balancer, &minutes(600.0)).await;
        }
        self.put("AWS/ApplicationELB", "TargetResponseTime", &balancer, &minutes(0.25)).await;
    }
}

fn target() -> Target {
    Target::deployment("shop", "checkout")
}

fn source(backend: CloudWatchBackend) -> CloudWatch {
    let eks = presets::Eks::new("prod", "shop", "checkout").queries();
    let alb = presets::Alb::new("app/shop/1", "targetgroup/checkout/2").queries();
    let workload = Workload::new(target(), Mapping::new([eks, alb].concat()).unwrap());
    CloudWatch::new(backend, [workload], FleetConfig::default()).unwrap()
}

fn this_minute() -> DateTime<Utc> {
    DateTime::<Utc>::from(SystemTime::now()).duration_trunc(TimeDelta::minutes(1)).unwrap()
}

#[tokio::test]
async fn what_was_put_is_observed_in_the_units_of_the_signals() {
    let Some(moto) = Moto::start() else { return };
    let now = this_minute();
    moto.fill(now).await;
    conformance::source(|| source(CloudWatchBackend::new(moto.client(), DEADLINE)), &target(), now).await;

    let source = source(CloudWatchBackend::new(moto.client(), DEADLINE));
    for checked in source.check(now).await {
        assert!(checked.finding.works(), "{checked}");
    }
    assert_eq!(source.backfill(now, TimeDelta::days(2)).await.unwrap().samples, 19);
    let seen = source.observe(&target(), now).await.unwrap();
    assert_eq!((seen.history.len(), seen.current.current_pod_count), (18, Some(3)));
    for (kind, value) in [
        (SignalKind::CpuUtilization, 50.0),
        (SignalKind::MemoryUtilization, 80.0),
        (SignalKind::RequestRate, 20.0),
        (SignalKind::ResponseTime, 250.0),
        // Reported by no load balancer while there are none.
        (SignalKind::ErrorRate, 0.0),
    ] {
        let measured = seen.current.value(kind).unwrap();
        assert!((measured - value).abs() < 1e-9, "{kind}: {measured}");
    }
}

#[tokio::test]
async fn an_empty_account_and_a_closed_port_are_told_apart() {
    let Some(moto) = Moto::start() else { return };
    let now = this_minute();
    let empty = source(CloudWatchBackend::new(moto.client(), DEADLINE));
    assert!(matches!(empty.observe(&target(), now).await, Err(SourceError::NoData { .. })));
    let client = moto.client();
    drop(moto);
    let closed = source(CloudWatchBackend::new(client, DEADLINE));
    let error = closed.observe(&target(), now).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("could not connect"), "{error}");
}

/// The credential chain reads the environment, which no test may change for its own process: a child gets one.
#[test]
fn credentials_and_region_come_from_the_environment() {
    let Some(moto) = Moto::start() else { return };
    let child = |region: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "connected_by_the_environment"])
            .env_clear()
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ACCESS_KEY_ID", "AKIDTEST")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_REGION", region)
            .env(ENDPOINT, &moto.endpoint)
            .output()
            .unwrap()
    };
    let said = child("eu-central-1");
    assert!(said.status.success(), "{said:?}");
}

#[tokio::test]
#[ignore = "run by `credentials_and_region_come_from_the_environment`, with an environment of its own"]
async fn connected_by_the_environment() {
    let endpoint = std::env::var(ENDPOINT).unwrap();
    let backend = CloudWatchBackend::connect(&Connection::default().with_endpoint(endpoint)).await;
    let empty = source(backend.unwrap()).observe(&target(), this_minute()).await;
    assert!(matches!(empty, Err(SourceError::NoData { .. })), "{empty:?}");
}

#[tokio::test]
async fn a_region_that_nobody_states_is_asked_for() {
    if std::env::var_os("AWS_REGION").is_some() || std::env::var_os("AWS_DEFAULT_REGION").is_some() {
        return;
    }
    // Without a region on the machine either: the instance's own is looked for, and there is none within the deadline or at all.
    let connection = Connection::default().with_deadline(Duration::from_millis(1));
    let refused = CloudWatchBackend::connect(&connection).await.map(drop);
    assert!(matches!(refused, Err(ConnectError::NoRegion | ConnectError::Deadline { .. })), "{refused:?}");
}
