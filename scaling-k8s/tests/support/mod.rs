//! A real API server for tests: etcd and kube-apiserver on loopback ports, in a temporary folder, gone when dropped.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kube::config::AuthInfo;
use kube::{Client, Config};

pub(crate) const ADMIN: &str = "admin-token";
/// A user without any rights.
pub(crate) const PLAIN: &str = "user-token";

/// How long a start may take: about 3 s alone, much more beside a build.
const START_LIMIT: Duration = Duration::from_secs(120);

/// The folder with the binaries, found as envtest's users expect. None means: skip, and it has been said.
///
/// # Panics
/// In CI, where nothing may be skipped.
pub(crate) fn assets() -> Option<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    if assets.is_none() {
        let how = "KUBEBUILDER_ASSETS is not set: no etcd and kube-apiserver to test against; \
                   build them with .ci/control-plane/build";
        assert!(std::env::var_os("CI").is_none(), "{how}");
        eprintln!("skipped: {how}");
    }
    assets
}

pub(crate) struct ControlPlane {
    folder: PathBuf,
    port: u16,
    /// In the order of their start; they are stopped in the opposite one.
    children: Vec<Child>,
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
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let mut config = Config::new(format!("https://127.0.0.1:{}", self.port).parse().unwrap());
        config.accept_invalid_certs = true;
        config.auth_info = AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
        Client::try_from(config).unwrap()
    }

    async fn try_start(assets: &Path) -> Option<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let unique = format!("scaling-k8s-{}-{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(unique);
        fs::create_dir_all(&folder).unwrap();
        let [client, peer, port] = free_ports();
        let mut this = Self { folder, port, children: Vec::new() };
        this.write_credentials();
        this.start_etcd(assets, client, peer);
        this.start_api_server(assets, client);
        if this.is_ready().await { Some(this) } else { None }
    }

    fn write_credentials(&self) {
        let (key, public) = (self.folder.join("sa.key"), self.folder.join("sa.pub"));
        run(Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048"));
        run(Command::new("openssl").args(["rsa", "-pubout", "-in"]).arg(&key).arg("-out").arg(&public));
        let tokens = format!("{ADMIN},admin,admin,\"system:masters\"\n{PLAIN},plain,plain\n");
        fs::write(self.folder.join("tokens.csv"), tokens).unwrap();
    }

    fn start_etcd(&mut self, assets: &Path, client: u16, peer: u16) {
        let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let mut etcd = Command::new(assets.join("etcd"));
        etcd.arg("--data-dir").arg(self.folder.join("etcd"));
        etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        etcd.args(["--initial-cluster", &format!("default={peer}"), "--unsafe-no-fsync"]);
        self.spawn("etcd", &mut etcd);
    }

    fn start_api_server(&mut self, assets: &Path, etcd: u16) {
        let file = |flag: &str, name: &str| format!("--{flag}={}", self.folder.join(name).display());
        let mut server = Command::new(assets.join("kube-apiserver"));
        server.args([
            format!("--etcd-servers=http://127.0.0.1:{etcd}"),
            format!("--secure-port={}", self.port),
            file("cert-dir", "certs"),
            file("service-account-key-file", "sa.pub"),
            file("service-account-signing-key-file", "sa.key"),
            file("token-auth-file", "tokens.csv"),
        ]);
        server.args([
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
        ]);
        self.spawn("kube-apiserver", &mut server);
    }

    fn spawn(&mut self, name: &str, command: &mut Command) {
        let log = File::create(self.folder.join(format!("{name}.log"))).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.children.push(command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}")));
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
            if self.children.iter_mut().any(|child| child.try_wait().unwrap().is_some()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.show_logs();
        false
    }

    fn show_logs(&self) {
        for name in ["etcd", "kube-apiserver"] {
            let log = fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("{name}:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
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
