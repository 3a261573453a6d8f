//! What acts on the objects: controllers, and a node whose pods run.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::{ADMIN, ControlPlane, NODE};

impl ControlPlane {
    /// Starts these controllers of kube-controller-manager, each by its full name, with a sync period of the HPA's of 1 s. `server` is the
    /// API server's address; another one than [`server`](Self::server) is a proxy.
    pub(crate) fn start_controllers(&mut self, server: &str, controllers: &[&str], downscale_stabilization: Duration) {
        let kubeconfig = self.kubeconfig("controllers", server, ADMIN).display().to_string();
        let key = self.folder.join("sa.key").display().to_string();
        self.spawn(
            "kube-controller-manager",
            &[
                &format!("--kubeconfig={kubeconfig}"),
                &format!("--controllers={}", controllers.join(",")),
                &format!("--service-account-private-key-file={key}"),
                "--leader-elect=false",
                "--secure-port=0",
                // What a proxy on the way is to read.
                "--kube-api-content-type=application/json",
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
                "--horizontal-pod-autoscaler-sync-period=1s",
                // It logs the largest proposal of each sync, before any limit.
                "--vmodule=horizontal=4",
                &format!("--horizontal-pod-autoscaler-downscale-stabilization={}s", downscale_stabilization.as_secs()),
            ],
        );
    }

    /// Starts kwok and makes a node. Its pods run and are ready at once, and those of a Job complete.
    pub(crate) async fn start_node(&mut self) {
        let kubeconfig = self.kubeconfig("kwok", &self.server(), ADMIN).display().to_string();
        let mut stages: Vec<PathBuf> =
            fs::read_dir(self.assets.join("kwok-stages")).unwrap().map(|entry| entry.unwrap().path()).collect();
        stages.sort();
        let stages: Vec<String> = stages.iter().map(|stage| format!("--config={}", stage.display())).collect();
        let fixed = ["--kubeconfig", &kubeconfig, "--manage-all-nodes=true", "--node-lease-duration-seconds=0"];
        let arguments: Vec<&str> = fixed.into_iter().chain(stages.iter().map(String::as_str)).collect();
        self.spawn("kwok", &arguments);
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": NODE } });
        let request = http::Request::post("/api/v1/nodes").header("content-type", "application/json");
        let request = request.body(serde_json::to_vec(&node).unwrap()).unwrap();
        let _: serde_json::Value = self.client(ADMIN).request(request).await.unwrap();
    }

    /// Writes a kubeconfig for this address and for whoever has the token.
    pub(crate) fn kubeconfig(&self, name: &str, server: &str, token: &str) -> PathBuf {
        let mut cluster = json!({ "server": server });
        if server.starts_with("https:") {
            cluster["insecure-skip-tls-verify"] = true.into();
        }
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "test", "cluster": cluster }],
            "users": [{ "name": "user", "user": { "token": token } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "user" } }],
            "current-context": "test",
        });
        let path = self.folder.join(format!("{name}.kubeconfig"));
        fs::write(&path, config.to_string()).unwrap();
        path
    }
}
