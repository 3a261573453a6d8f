//! CloudWatch over the wire: `moto` is filled by the official SDK and read back. The SDK speaks CBOR to CloudWatch, which moto does not
//! answer; `cloudwatch_live/front.py` stands in front of it and translates.
//!
//! `.ci/moto` installs it. The Python that has it is looked for in `MOTO_PYTHON`, where that script puts it, and as `python3`.
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
        let folder = env!("CARGO_MANIFEST_DIR");
        let installed = PathBuf::from(format!("{folder}/../target/tools/moto/bin/python"));
        let named = std::env::var_os("MOTO_PYTHON").filter(|name| !name.is_empty()).map(PathBuf::from);
        let program = named.unwrap_or(if installed.exists() { installed } else { "python3".into() });
        let mut command = Command::new(&program);
        command.arg("-B").arg(format!("{folder}/tests/cloudwatch_live/front.py"));
        let started = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let Some((process, endpoint)) = started.ok().and_then(listening) else {
            let missing = "moto is not installed (run .ci/moto, or set MOTO_PYTHON): CloudWatch is not tested live";
            assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{missing}");
            println!("skipped: {missing}");
            return None;
        };
        Some(Self { process, endpoint })
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

/// Where the process says that it listens; `None` if it ends before that.
fn listening(mut process: Child) -> Option<(Child, String)> {
    let mut lines = BufReader::new(process.stderr.take()?).lines().map_while(Result::ok);
    let endpoint = lines.find_map(|line| line.strip_prefix("Running on ").map(str::to_owned));
    // Its log is read on, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    let Some(endpoint) = endpoint else {
        process.wait().ok();
        return None;
    };
    Some((process, endpoint))
}

fn target() -> Target {
    Target::deployment("shop", "checkout")
}

fn source(backend: CloudWatchBackend) -> CloudWatch {
    let eks = presets::Eks::new("prod", "shop", "checkout").queries();
    let alb = presets::Alb::new("app/shop/1", "targetgroup/checkout/2").queries();
    let workload = Workload::new(target(), Mapping::new([eks, alb].concat()).unwrap());
    CloudWatch::new(backend, [workload], FleetConfig::default().with_settle(TimeDelta::minutes(1))).unwrap()
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
