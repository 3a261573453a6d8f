//! A real API server for tests: etcd and kube-apiserver on loopback ports, in a temporary folder, gone when dropped; and, for tests that
//! ask for them, the real controllers and nodes that make pods run.

// Each test uses a part of it.
#![allow(dead_code)]

pub(crate) mod aggregated;
pub(crate) mod faults;
pub(crate) mod local;
mod nodes;
mod process;
pub(crate) mod proxy;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kube::config::AuthInfo;
use kube::{Client, Config};

use process::Process;

pub(crate) const ADMIN: &str = "admin-token";
/// A user without any rights.
pub(crate) const PLAIN: &str = "user-token";

/// Node on which pods run. There is no scheduler, so the template of a pod names it.
pub(crate) const NODE: &str = "node";

/// Of service accounts, who has asked for what, and the code of the answer.
const AUDIT: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - level: Metadata
    userGroups: ["system:serviceaccounts"]
  - level: None
"#;

/// How long a start may take: about 3 s alone, much more beside a build.
const START_LIMIT: Duration = Duration::from_secs(120);

/// The folder with the binaries, found as envtest's users expect. None means: skip, and it has been said.
///
/// # Panics
/// In CI, where nothing may be skipped.
pub(crate) fn assets() -> Option<PathBuf> {
    assets_with(&[])
}

/// The same, if it has these programs besides etcd and kube-apiserver.
///
/// # Panics
/// In CI, where nothing may be skipped.
pub(crate) fn assets_with(programs: &[&str]) -> Option<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let wanting = match &assets {
        None => "KUBEBUILDER_ASSETS is not set: no etcd and kube-apiserver to test against".to_owned(),
        Some(folder) => {
            match ["etcd", "kube-apiserver"].iter().chain(programs).find(|name| !folder.join(name).exists()) {
                None => return assets,
                Some(name) => format!("the folder in KUBEBUILDER_ASSETS has no {name}"),
            }
        }
    };
    let how = format!("{wanting}; .ci/control-plane/build makes one with all that the tests need");
    assert!(std::env::var_os("CI").is_none(), "{how}");
    eprintln!("skipped: {how}");
    None
}

pub(crate) struct ControlPlane {
    assets: PathBuf,
    folder: PathBuf,
    port: u16,
    etcd: u16,
    /// In the order of their start; they are stopped in the opposite one.
    children: Vec<Process>,
}

impl ControlPlane {
    pub(crate) async fn start(assets: &Path) -> Self {
        // A port that was free may be taken by the time it is used.
        for _ in 0..3 {
            if let Some(running) = Self::try_start(assets).await {
                return running;
            }
        }
        panic!("the control plane did not start; its logs are above");
    }

    /// A client with one of the tokens.
    pub(crate) fn client(&self, token: &str) -> Client {
        Client::try_from(self.config(token)).unwrap()
    }

    /// The configuration of such a client.
    pub(crate) fn config(&self, token: &str) -> Config {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let mut config = Config::new(self.server().parse().unwrap());
        config.accept_invalid_certs = true;
        config.auth_info = AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
        config
    }

    /// Address of the API server.
    pub(crate) fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The folder of its files, gone with it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    async fn try_start(assets: &Path) -> Option<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let unique = format!("scaling-k8s-{}-{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(unique);
        fs::create_dir_all(&folder).unwrap();
        let [client, peer, port] = free_ports();
        let mut this = Self { assets: assets.to_owned(), folder, port, etcd: client, children: Vec::new() };
        this.write_credentials();
        fs::write(this.folder.join("audit.yaml"), AUDIT).unwrap();
        this.start_etcd(peer);
        this.start_api_server();
        if this.is_ready().await { Some(this) } else { None }
    }

    fn write_credentials(&self) {
        let (key, public) = (self.folder.join("sa.key"), self.folder.join("sa.pub"));
        run(Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048"));
        run(Command::new("openssl").args(["rsa", "-pubout", "-in"]).arg(&key).arg("-out").arg(&public));
        let tokens = format!("{ADMIN},admin,admin,\"system:masters\"\n{PLAIN},plain,plain\n");
        fs::write(self.folder.join("tokens.csv"), tokens).unwrap();
    }

    fn start_etcd(&mut self, peer: u16) {
        let (client, peer) = (format!("http://127.0.0.1:{}", self.etcd), format!("http://127.0.0.1:{peer}"));
        let data = self.folder.join("etcd").display().to_string();
        let cluster = format!("default={peer}");
        let arguments = ["--data-dir", &data, "--listen-client-urls", &client, "--advertise-client-urls", &client];
        let peers = ["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer];
        let rest = ["--initial-cluster", &cluster, "--unsafe-no-fsync"];
        self.spawn("etcd", &[&arguments[..], &peers, &rest].concat());
    }

    fn start_api_server(&mut self) {
        let file = |flag: &str, name: &str| format!("--{flag}={}", self.folder.join(name).display());
        let own = [
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd),
            format!("--secure-port={}", self.port),
            file("cert-dir", "certs"),
            file("service-account-key-file", "sa.pub"),
            file("service-account-signing-key-file", "sa.key"),
            file("token-auth-file", "tokens.csv"),
            file("audit-policy-file", "audit.yaml"),
            file("audit-log-path", "audit.log"),
        ];
        let fixed = [
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
        ];
        let arguments: Vec<&str> = own.iter().map(String::as_str).chain(fixed).collect();
        self.spawn("kube-apiserver", &arguments);
    }

    /// Stops the API server, as a crash would; etcd keeps the data.
    pub(crate) fn stop_api_server(&mut self) {
        self.children.retain(|child| child.name != "kube-apiserver");
        // The kernel lets go of the port a moment after the program.
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts the API server again, on the same port and data, and waits until it is ready.
    pub(crate) async fn start_api_server_again(&mut self) {
        self.start_api_server();
        assert!(self.is_ready().await, "the API server did not come back; its log is above");
    }

    fn spawn(&mut self, name: &'static str, arguments: &[&str]) {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self.children.push(Process::start(name, &self.assets.join(name), &arguments, &self.folder));
    }

    /// Refused connections, 403 and 500 come before readiness; a process that ends never gets there.
    async fn is_ready(&mut self) -> bool {
        let client = self.client(ADMIN);
        let limit = Instant::now() + START_LIMIT;
        while Instant::now() < limit {
            let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
            let answer = tokio::time::timeout(Duration::from_secs(5), client.request_text(request)).await;
            if matches!(answer, Ok(Ok(_))) {
                return true;
            }
            if self.children.iter_mut().any(Process::has_ended) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.show_logs();
        false
    }

    /// Requests of service accounts that the API server has answered, as its audit log has them.
    pub(crate) fn audited(&self) -> Vec<serde_json::Value> {
        let log = fs::read_to_string(self.folder.join("audit.log")).unwrap_or_default();
        // The last line may not be whole yet.
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Everything that one of the programs has said.
    pub(crate) fn log(&self, name: &str) -> String {
        self.children.iter().filter(|child| child.name == name).map(Process::log).collect()
    }

    fn show_logs(&self) {
        for child in &self.children {
            child.show_log();
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
        while let Some(child) = self.children.pop() {
            drop(child);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Ports that were free together a moment ago.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
