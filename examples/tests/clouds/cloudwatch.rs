//! CloudWatch: `moto`, behind the protocol of the AWS SDK. `.ci/moto` installs it; its Python is looked for in `MOTO_PYTHON`, where that
//! script puts it, and as `python3`. Credentials come from the environment, which no test may change for its own process: a child has one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use examples::Failure;
use scaling_core::SignalKind;
use scaling_core::chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::Program;

const ENDPOINT: &str = "CLOUDWATCH_ENDPOINT";
const NOW: &str = "CLOUDWATCH_NOW";

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

/// Starts moto with some metrics. `None`, with a sentence, if it is not installed; a panic instead where CI is set.
fn moto(metrics: &Path) -> Option<Moto> {
    let folder = env!("CARGO_MANIFEST_DIR");
    let installed = PathBuf::from(format!("{folder}/../../target/tools/moto/bin/python"));
    let named = std::env::var_os("MOTO_PYTHON").filter(|name| !name.is_empty()).map(PathBuf::from);
    let program = named.unwrap_or(if installed.exists() { installed } else { "python3".into() });
    let front = format!("{folder}/../../scaling-core/tests/cloudwatch_live/front.py");
    let mut command = Command::new(program);
    command.arg("-B").arg(front).arg(metrics).stdout(Stdio::null()).stderr(Stdio::piped());
    let started = command.spawn().ok().and_then(|mut process| {
        let mut lines = BufReader::new(process.stderr.take()?).lines().map_while(Result::ok);
        let endpoint = lines.find_map(|line| line.strip_prefix("Running on ").map(str::to_owned));
        // Its log is read on, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        if endpoint.is_none() {
            process.wait().ok();
        }
        Some(Moto { process, endpoint: endpoint? })
    });
    if started.is_none() {
        let missing = "moto is not installed (run .ci/moto, or set MOTO_PYTHON): CloudWatch is not tested live";
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{missing}");
        println!("skipped: {missing}");
    }
    started
}

/// Forty minutes of three pods at 50 % CPU behind a load balancer that sends 20 requests a second, and a queue.
fn metrics(now: DateTime<Utc>) -> Value {
    let put = |namespace: &str, name: &str, dimensions: &[(&str, &str)], value: f64| {
        let dimensions: Vec<_> =
            dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
        let datum = |ago: i64| json!({ "MetricName": name, "Dimensions": dimensions, "Timestamp": now.timestamp() - ago * 60, "Value": value });
        json!({ "Namespace": namespace, "MetricData": (1..=40).map(datum).collect::<Vec<_>>() })
    };
    let pod = [("ClusterName", "prod"), ("Namespace", "shop"), ("PodName", "shop")];
    let service = [("ClusterName", "prod"), ("Namespace", "shop"), ("Service", "shop")];
    let balancer =
        [("LoadBalancer", "app/shop/50dc6c495c0c9188"), ("TargetGroup", "targetgroup/checkout/73e2d6bc24d8a067")];
    json!([
        put("ContainerInsights", "pod_cpu_utilization", &pod, 6.0),
        put("ContainerInsights", "pod_cpu_reserved_capacity", &pod, 12.0),
        put("ContainerInsights", "service_number_of_running_pods", &service, 3.0),
        put("AWS/ApplicationELB", "RequestCount", &balancer, 1200.0),
        put("AWS/ApplicationELB", "TargetResponseTime", &balancer, 0.25),
        put("AWS/SQS", "ApproximateNumberOfMessagesVisible", &[("QueueName", "checkout")], 7.0),
    ])
}

#[test]
fn the_sample_is_checked_fetched_and_ticked() {
    let now = DateTime::<Utc>::from(SystemTime::now()).duration_trunc(TimeDelta::minutes(1)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics.json");
    std::fs::write(&file, metrics(now).to_string()).unwrap();
    let Some(moto) = moto(&file) else { return };
    let said = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "cloudwatch::with_credentials_of_the_environment"])
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ACCESS_KEY_ID", "AKIDTEST")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env(ENDPOINT, &moto.endpoint)
        .env(NOW, now.timestamp().to_string())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(said.status.success(), "{}\n{}", text(&said.stdout), text(&said.stderr));
}

/// The sample, for this server and the workload of the shipped HPA.
fn sample() -> String {
    let endpoint = format!("\nendpoint: {}\n", std::env::var(ENDPOINT).unwrap());
    // moto fails at percentiles.
    let sample =
        include_str!("../../deploy/cloudwatch.yaml").replace("shop/checkout:", "shop/shop:").replace("p95", "average");
    sample.replace("service: checkout }", "service: shop }").replace("\n# endpoint: ", &format!("{endpoint}# "))
}

#[tokio::test]
#[ignore = "run by `the_sample_is_checked_fetched_and_ticked`, with an environment of its own"]
async fn with_credentials_of_the_environment() {
    let now = DateTime::from_timestamp(std::env::var(NOW).unwrap().parse().unwrap(), 0).unwrap();
    let program = Program::new("--cloudwatch", &sample(), &[]);
    let (result, said) = program.check(now).await;
    result.unwrap_or_else(|error| panic!("{error}: {said}"));
    for line in [
        "ok  cpu_utilization_percent: ",
        "ok  request_rate_per_second: ",
        "ok  queue_depth: ",
        "ok  current_pod_count: ",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let past = program.past(now).await;
    assert!((36..=40).contains(&past.len()), "{}", past.len());

    let (report, said) = program.run(now, 2, |_| {}).await;
    assert_eq!((report.failed, report.unrecorded), (0, 0), "{said}");
    let seen = program.records().remove(0).metrics.unwrap();
    for (kind, value) in [
        (SignalKind::CpuUtilization, Some(50.0)),
        (SignalKind::RequestRate, Some(20.0)),
        (SignalKind::ResponseTime, Some(250.0)),
        (SignalKind::ErrorRate, Some(0.0)),
        (SignalKind::QueueDepth, Some(7.0)),
        (SignalKind::MemoryUtilization, None),
    ] {
        assert_eq!(seen.value(kind), value, "{kind}");
    }

    // What the account does not have is empty, and no zero.
    let program = Program::new("--cloudwatch", &sample().replace("cluster: prod", "cluster: stage"), &[]);
    let (result, said) = program.check(now).await;
    assert!(matches!(&result, Err(Failure::Failed(_))), "{said}");
    assert!(said.contains("BAD cpu_utilization_percent: ") && said.contains("ok  queue_depth: "), "{said}");
}
