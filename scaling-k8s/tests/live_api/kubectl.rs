//! The commands that are printed for a person, run by a shell with the real `kubectl`.

use std::path::Path;
use std::process::{Command, Output};

use scaling_core::conformance::applier::plan;
use scaling_core::{ApplyMode, HpaApplier};
use scaling_k8s::kubectl;
use scaling_k8s::resting::Seen;
use serde_json::{Value, json};

use crate::support::{ADMIN, ControlPlane};
use crate::world::{World, bounds};

/// A context whose name a shell would take apart.
const CONTEXT: &str = "it's $(x)";

/// Entry of our field manager, without the time.
fn ours(hpa: &Value) -> Value {
    let entries = hpa["metadata"]["managedFields"].as_array().unwrap();
    let mut ours: Vec<Value> = entries.iter().filter(|entry| entry["manager"] == "kube-scaling").cloned().collect();
    assert_eq!(ours.len(), 1, "{ours:?}");
    ours[0].as_object_mut().unwrap().remove("time");
    ours.remove(0)
}

/// Annotations, without the identity of the HPA.
fn annotations(hpa: &Value) -> String {
    hpa["metadata"]["annotations"].to_string().replace(hpa["metadata"]["uid"].as_str().unwrap(), "UID")
}

pub(crate) async fn what_is_printed_does_what_the_applier_does(world: &World, plane: &ControlPlane, kubectl: &Path) {
    let context = |user: &str| json!({ "cluster": "test", "user": user });
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "nowhere",
        "clusters": [{ "name": "test", "cluster": { "server": plane.server(), "insecure-skip-tls-verify": true } }],
        "users": [{ "name": "admin", "user": { "token": ADMIN } }],
        "contexts": [{ "name": CONTEXT, "context": context("admin") }],
    });
    let file = plane.folder().join("kubectl.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let path = std::env::join_paths(
        [kubectl.to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let path = path.unwrap();
    let run = |script: &str| -> Output {
        Command::new("sh").args(["-c", script]).env("PATH", &path).env("KUBECONFIG", &file).output().unwrap()
    };

    let (printed, sent) = ("kubectl-printed", "kubectl-sent");
    for name in [printed, sent] {
        world.create_handed_over(name, bounds(2, 6)).await;
    }
    let target = scaling_core::Target::deployment("default", printed).in_cluster(CONTEXT);
    let first = plan(&target, bounds(2, 6), 3, 6);
    let script =
        kubectl::apply(&first, &Seen::of(&world.read(printed).await, "kube-scaling").unwrap(), "kube-scaling").unwrap();
    let output = run(&script);
    assert!(output.status.success(), "{script}{}", String::from_utf8_lossy(&output.stderr));
    let after = world.read(printed).await;
    let new = first.new_bounds();
    assert_eq!(
        (after["spec"]["minReplicas"].clone(), after["spec"]["maxReplicas"].clone()),
        (new.min().into(), new.max().into())
    );

    // The applier would have left the same behind, and goes on where the commands ended.
    let same = scaling_core::Target::deployment("default", sent);
    let applier = world.applier();
    applier.apply(&plan(&same, bounds(2, 6), 3, 6), ApplyMode::Apply).await.unwrap();
    let by_applier = world.read(sent).await;
    assert_eq!(ours(&after), ours(&by_applier));
    assert_eq!(annotations(&after), annotations(&by_applier));
    let here = scaling_core::Target::deployment("default", printed);
    let state = applier.current(&here).await.unwrap();
    assert_eq!((state.bounds, state.resting), (new, bounds(1, 4)));
    assert!(applier.apply(&plan(&here, new, 4, 8), ApplyMode::Apply).await.unwrap().changed);

    // Run later, when the bounds are others, nothing is written.
    let before = world.read(printed).await;
    let output = run(&script);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert_eq!(world.read(printed).await, before);
}
