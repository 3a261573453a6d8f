//! Real servers on free loopback ports, with data of our own, in a temporary folder; gone when dropped.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::http::{Endpoint, HttpClient, HttpConfig, HttpRequest, Retry};
use scaling_core::source::prometheus::{PrometheusSource, QuerySet};
use tempfile::TempDir;

/// Series of samples, in the order of time.
#[derive(Default)]
pub struct Data(Vec<(String, Values)>);

type Values = Vec<(DateTime<Utc>, f64)>;

impl Data {
    pub fn add(&mut self, selector: impl Into<String>, samples: impl IntoIterator<Item = (DateTime<Utc>, f64)>) {
        self.0.push((selector.into(), samples.into_iter().collect()));
    }

    /// The same, and a second instance that reports the same of kube-state-metrics and cAdvisor, up to some second.
    pub fn reported_twice(mut self, until: DateTime<Utc>) -> Self {
        let of_cluster = |selector: &str| selector.starts_with("kube_") || selector.starts_with("container_");
        let again = self.0.iter().filter(|(selector, _)| of_cluster(selector)).map(|(selector, samples)| {
            let samples = samples.iter().copied().filter(|(at, _)| *at <= until).collect();
            (selector.replacen('{', r#"{instance="second","#, 1), samples)
        });
        let again: Vec<_> = again.collect();
        self.0.extend(again);
        self
    }

    /// Lines of the text format, with instants in seconds (`OpenMetrics`) or milliseconds.
    fn text(&self, seconds: bool) -> String {
        let mut text = String::new();
        for (selector, samples) in &self.0 {
            for (at, value) in samples {
                let ms = at.timestamp_millis();
                if seconds {
                    writeln!(text, "{selector} {value} {}.{:03}", ms / 1000, ms % 1000).unwrap();
                } else {
                    writeln!(text, "{selector} {value} {ms}").unwrap();
                }
            }
        }
        text
    }
}

/// A program: named by a variable, or on the path. None means: skip, and it has been said.
///
/// # Panics
/// In CI, where nothing may be skipped.
pub fn program(variable: &str, name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        named.or_else(|| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()));
    if found.is_none() {
        let how = format!("{variable} is not set and {name} is not on the path: .ci/prometheus installs it");
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{how}");
        eprintln!("skipped: {how}");
    }
    found
}

/// A running server.
pub struct Running {
    pub name: &'static str,
    port: u16,
    command: Vec<String>,
    child: Child,
    _folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Running {
    /// Prometheus over blocks made of the data; `None` if it is not installed.
    pub async fn prometheus(data: &Data) -> Option<Self> {
        let binary = program("PROMETHEUS_BIN", "prometheus")?;
        let folder = tempfile::tempdir().unwrap();
        let (storage, config) = (folder.path().join("data"), folder.path().join("prometheus.yml"));
        std::fs::write(&config, "global: {scrape_interval: 1h}\n").unwrap();
        std::fs::create_dir(&storage).unwrap();
        if !data.0.is_empty() {
            let file = folder.path().join("data.txt");
            std::fs::write(&file, data.text(true) + "# EOF\n").unwrap();
            let beside = binary.parent().map(|folder| folder.join("promtool")).filter(|tool| tool.is_file());
            let mut tool = Command::new(beside.unwrap_or_else(|| "promtool".into()));
            tool.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(&file).arg(&storage);
            let made = tool.output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        let port = free_port();
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let command = vec![
            binary.display().to_string(),
            flag("config.file", &config),
            flag("storage.tsdb.path", &storage),
            "--storage.tsdb.retention.time=100y".into(),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        Some(Self::start("Prometheus", command, port, "-/ready", folder).await)
    }

    /// VictoriaMetrics with the data imported; `None` if it is not installed.
    pub async fn victoria_metrics(data: &Data) -> Option<Self> {
        let binary = program("VICTORIA_METRICS_BIN", "victoria-metrics")?;
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let command = vec![
            binary.display().to_string(),
            format!("-storageDataPath={}", folder.path().join("data").display()),
            "-retentionPeriod=100y".into(),
            format!("-httpListenAddr=127.0.0.1:{port}"),
            "-loggerLevel=ERROR".into(),
        ];
        let running = Self::start("VictoriaMetrics", command, port, "health", folder).await;
        running.import(data).await;
        Some(running)
    }

    /// Gives VictoriaMetrics data.
    async fn import(&self, data: &Data) {
        let import =
            HttpRequest::post(self.endpoint().join("api/v1/import/prometheus"), "text/plain", data.text(false));
        Self::client().send(&import).await.unwrap();
        Self::client().send(&HttpRequest::get(self.endpoint().join("internal/force_flush"))).await.unwrap();
    }

    async fn start(name: &'static str, command: Vec<String>, port: u16, ready: &str, folder: TempDir) -> Self {
        let child = spawn(&command);
        let running = Self { name, port, command, child, _folder: folder };
        running.wait(ready).await;
        running
    }

    /// Until it answers that it is ready: refused connections and 503 are what the client tries again.
    async fn wait(&self, ready: &str) {
        let retry = Retry { attempts: 600, initial: Duration::from_millis(100), max: Duration::from_millis(200) };
        let config = HttpConfig::default().retry(retry).timeout(Duration::from_secs(120));
        let client = HttpClient::new(config).unwrap();
        client.send(&HttpRequest::get(self.endpoint().join(ready))).await.unwrap();
    }

    /// Kills it as a lost node does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again. VictoriaMetrics, killed, has lost what came within its last seconds, so that comes again.
    pub async fn restart(&mut self, data: &Data) {
        self.child = spawn(&self.command);
        if self.name == "Prometheus" {
            self.wait("-/ready").await;
        } else {
            self.wait("health").await;
            self.import(data).await;
        }
    }

    #[cfg(feature = "telemetry")]
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&format!("http://127.0.0.1:{}", self.port)).unwrap()
    }

    fn client() -> HttpClient {
        let retry = Retry { attempts: 2, initial: Duration::ZERO, max: Duration::ZERO };
        HttpClient::new(HttpConfig::default().retry(retry)).unwrap()
    }

    pub fn source(&self, set: QuerySet) -> PrometheusSource {
        PrometheusSource::new(Self::client(), self.endpoint(), set)
    }
}

fn spawn(command: &[String]) -> Child {
    let (program, arguments) = command.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
