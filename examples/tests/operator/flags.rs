//! The operator with the flags that hand over, take back and give back, under the shipped role.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::audit::{Granted, Used};
use crate::process::Operator;
use crate::prometheus::{DAILY, Prometheus};
use crate::support::{self, ControlPlane};
use crate::world::{OWN, SHOP, World};
use crate::{records, until, until_quiet};

const FLAGS: [&str; 4] = ["--trials", "--trials-every=1", "--undo", "--give-back"];
const STAGE: &str = "kube-scaling/adoption";
const HISTORY: &str = "kube-scaling/history";

fn annotation<'a>(hpa: &'a Value, key: &str) -> Option<&'a str> {
    hpa["metadata"]["annotations"][key].as_str()
}

/// Returns true if nothing of ours is left at an HPA.
fn is_free(hpa: &Value) -> bool {
    hpa["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .all(|entry| !entry["manager"].as_str().unwrap().starts_with("kube-scaling"))
        && annotation(hpa, HISTORY).is_none()
        && annotation(hpa, "kube-scaling/resting-bounds").is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adopting_undoing_and_giving_back_need_the_shipped_role_and_no_more() {
    let Some(assets) = support::assets() else { return };
    let world = World::new(ControlPlane::start(&assets).await).await;
    world.roles(&["namespaced/role.yaml"]).await;
    let raised = world.fleet().await;
    // Its HPA asks for twice the pods that it needs: to follow with the max saves them.
    world.deployed(DAILY, "observe", 30).await;
    let adopted = json!({ "kube-scaling/promotion": "evidence", "kube-scaling/ceiling": "follow" });
    world.annotate(DAILY, &adopted).await;
    // Lowered at once, and its pods should be ready at once.
    let soon = json!({ "kube-scaling/cooldown": "1s", "kube-scaling/start-up": "1s" });
    world.annotate("web-1", &soon).await;
    let (prometheus, kubeconfig) = (Prometheus::start().await, world.kubeconfig().await);
    let before = world.audited().len();
    let arguments = [prometheus.arguments(), FLAGS.map(str::to_owned).to_vec()].concat();
    let start = || Operator::start(&world, &kubeconfig, "operator-0", &arguments);

    let mut first = start();
    first.serves().await;
    until("some ticks are recorded", || async { records(first.records()).len() > 8 * raised.len() }).await;
    prometheus.set(4, 2.3);
    let mins = world.until_raised(&raised, &BTreeMap::new(), &[&first]).await;
    for name in &raised {
        assert!(annotation(&world.json(name).await, HISTORY).is_some(), "{name} tells its changes");
    }
    world.annotate("web-0", &json!({ "kube-scaling/mode": null })).await;
    until("it is given back", || async { is_free(&world.json("web-0").await) }).await;
    assert_eq!(world.min("web-0").await, 1, "its owner has set none");
    until("that is told", || async { world.told("Released").await.contains("web-0") }).await;
    until("a stage is reached by evidence", || async {
        annotation(&world.json(DAILY).await, STAGE).is_some_and(|text| text.contains("\"stage\":\"floors\""))
    })
    .await;
    until("that is told", || async { world.told("AdoptionPromoted").await.contains(DAILY) }).await;
    first.terminate().await;

    // The next process knows of a lower load alone, lowers what it may, and finds that pods do not get ready.
    prometheus.has_always_been(4, 0.3);
    let mut second = start();
    second.serves().await;
    until("one is lowered", || async { world.min("web-1").await < mins["web-1"] }).await;
    prometheus.set_ready(1);
    until("it is undone", || async { world.told("ChangeUndone").await.contains("web-1") }).await;
    until_quiet(&BTreeSet::from(["web-1".to_owned()]), &[&second]).await;
    assert!(annotation(&world.json("web-1").await, HISTORY).is_some_and(|text| text.contains("\"undo\":true")));
    world.annotate(DAILY, &json!({ "kube-scaling/promotion": null })).await;
    until("a stage that tells nothing any more goes", || async {
        annotation(&world.json(DAILY).await, STAGE).is_none()
    })
    .await;
    second.terminate().await;

    let used = Used::of(&world.audited()[before..]);
    assert_eq!(used.refused, [""; 0], "the role is enough");
    assert_eq!(used.of_resources(SHOP), Granted::by("namespaced/role.yaml").0, "and no more");
    assert_eq!(used.of_resources(OWN), BTreeSet::new(), "one process needs no Leases");
    assert_eq!(used.namespaces(), BTreeSet::from([SHOP]));
}
