//! The kustomizations, built by the real `kubectl`, and what they build on a real API server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::live::accepted;
use crate::support::{ADMIN, ControlPlane, assets_with};
use crate::{folder, value};

/// Documents that a kustomization builds.
fn built(kubectl: &Path, kustomization: &Path) -> Vec<String> {
    let output = Command::new(kubectl).arg("kustomize").arg(kustomization).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", kustomization.display());
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("\n---\n").map(|document| format!("{}\n", document.trim_end())).collect()
}

fn kinds(documents: &[String]) -> BTreeSet<(&str, &str)> {
    let of = |document| (value(document, "kind").unwrap(), value(document, "  name").unwrap());
    documents.iter().map(|document| of(document)).collect()
}

fn arguments(documents: &[String]) -> Vec<&str> {
    let deployment = documents.iter().find(|document| value(document, "kind") == Some("Deployment")).unwrap();
    let (_, rest) = deployment.split_once("args:\n").unwrap();
    rest.lines().map_while(|line| line.trim().strip_prefix("- ")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_builds_them_and_the_api_server_takes_what_it_builds() {
    let Some(assets) = assets_with(&["kubectl"]) else { return };
    let (kubectl, operator) = (assets.join("kubectl"), folder().canonicalize().unwrap().join("operator"));
    let base = [
        ("Deployment", "kube-scaling-operator"),
        ("Namespace", "kube-scaling"),
        ("NetworkPolicy", "kube-scaling-operator"),
        ("PodDisruptionBudget", "kube-scaling-operator"),
        ("Role", "kube-scaling-operator-leases"),
        ("RoleBinding", "kube-scaling-operator-leases"),
        ("Service", "kube-scaling-operator"),
        ("ServiceAccount", "kube-scaling-operator"),
    ];
    let whole = |role: &'static str, binding: &'static str, more: &[&'static str]| {
        let own = ["kube-scaling-operator"].into_iter().chain(more.iter().copied());
        let own = own.flat_map(|name| [(role, name), (binding, name)]);
        base.into_iter().chain(own).collect::<BTreeSet<_>>()
    };
    let cluster = built(&kubectl, &operator.join("cluster"));
    assert_eq!(kinds(&cluster), whole("ClusterRole", "ClusterRoleBinding", &[]));
    let namespaced = built(&kubectl, &operator.join("namespaced"));
    assert_eq!(kinds(&namespaced), whole("Role", "RoleBinding", &[]));
    let common = ["--shards=8", "--listen=0.0.0.0:8080", "--records=/records"];
    assert_eq!(arguments(&cluster), common);
    assert_eq!(arguments(&namespaced), [&common[..], &["--namespace=shop"]].concat());

    // Overlays of a host, in a folder of its own.
    let overlays = tempfile::tempdir().unwrap();
    let overlay = |of: &str, components: &[&str]| -> PathBuf {
        let folder = overlays.path().canonicalize().unwrap().join(of);
        std::fs::create_dir(&folder).unwrap();
        // Kustomize takes no absolute paths.
        let up = "../".repeat(folder.components().count() - 1);
        let shipped = format!("{up}{}", operator.strip_prefix("/").unwrap().display());
        let components: Vec<String> = components.iter().map(|name| format!("{shipped}/{name}")).collect();
        let text = format!("resources:\n  - {shipped}/{of}\ncomponents: [{}]\n", components.join(", "));
        std::fs::write(folder.join("kustomization.yaml"), text).unwrap();
        folder
    };
    let with_metrics = ["kube-scaling-operator-metrics-api"];
    let metrics = built(&kubectl, &overlay("cluster", &["metrics-api/cluster", "monitoring"]));
    let mut expected = whole("ClusterRole", "ClusterRoleBinding", &with_metrics);
    expected.insert(("ServiceMonitor", "kube-scaling-operator"));
    assert_eq!(kinds(&metrics), expected);
    assert_eq!(arguments(&metrics), [&common[..], &["--metrics-api"]].concat());
    let metrics_of_one = built(&kubectl, &overlay("namespaced", &["metrics-api/namespaced"]));
    assert_eq!(kinds(&metrics_of_one), whole("Role", "RoleBinding", &with_metrics));
    assert_eq!(arguments(&metrics_of_one), [&common[..], &["--namespace=shop", "--metrics-api"]].concat());

    let plane = ControlPlane::start(&assets).await;
    let admin = plane.client(ADMIN);
    accepted(&admin, &[cluster, namespaced, metrics, metrics_of_one].concat()).await;
}
