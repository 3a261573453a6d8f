//! Leases on a real etcd and kube-apiserver, found through `KUBEBUILDER_ASSETS`; one start for all steps.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use scaling_k8s::controller::lease::{Held, LeaseSettings, LeaseTiming, ShardLeases};
use serde_json::json;
use support::{ADMIN, ControlPlane, PLAIN};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

const SHARDS: u32 = 6;

/// Six seconds, four, and half of one: the requests of a busy machine need their time.
fn timing() -> LeaseTiming {
    LeaseTiming::new(Duration::from_secs(6), Duration::from_secs(4), Duration::from_millis(500)).unwrap()
}

/// Far more than it takes, for machines that do something else meanwhile.
const LONG: Duration = Duration::from_secs(90);

struct Replica {
    held: watch::Receiver<Held>,
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

fn start(client: Client, prefix: &str, name: &str, shards: u32) -> Replica {
    let settings = LeaseSettings::new(prefix, "default", name).unwrap().shards(shards).unwrap().timing(timing());
    let leases = ShardLeases::new(client, settings);
    let held = leases.held();
    let (stop, stopped) = oneshot::channel::<()>();
    Replica { held, task: tokio::spawn(leases.run(async move { drop(stopped.await) })), stop }
}

impl Replica {
    fn count(&self) -> usize {
        let held = self.held.borrow();
        (0..SHARDS).filter(|shard| held.is_sure(*shard, Instant::now())).count()
    }

    async fn holds(&mut self, wanted: usize) {
        let wait = async {
            while self.count() != wanted {
                self.held.changed().await.unwrap();
            }
        };
        timeout(LONG, wait).await.unwrap_or_else(|_| panic!("not {wanted}: {:?}", self.held.borrow()));
    }
}

/// Watches that no shard is ever held twice; ends with the number of looks.
fn guard(one: &Replica, other: &Replica) -> (oneshot::Sender<()>, JoinHandle<u64>) {
    let (one, other) = (one.held.clone(), other.held.clone());
    let (end, mut ended) = oneshot::channel::<()>();
    let look = async move {
        let mut looks = 0;
        while ended.try_recv().is_err() {
            let now = Instant::now();
            let (one, other) = (one.borrow().clone(), other.borrow().clone());
            for shard in 0..SHARDS {
                let both = one.sure_until(shard, now).is_some() && other.sure_until(shard, now).is_some();
                assert!(!both, "shard {shard} is held twice: {one:?} {other:?}");
            }
            looks += 1;
            sleep(Duration::from_millis(2)).await;
        }
        looks
    };
    (end, tokio::spawn(look))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn against_a_real_api_server() {
    let Some(assets) = support::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    let client = || plane.client(ADMIN);
    two_replicas_share_and_one_is_killed(&client).await;
    a_clean_stop_hands_over(&client).await;
    a_deleted_lease_has_one_holder(&client).await;
    another_number_of_shards_waits(&client).await;
    without_rights_nothing_is_held(plane.client(PLAIN)).await;
}

async fn two_replicas_share_and_one_is_killed(client: &impl Fn() -> Client) {
    let (mut one, mut other) = (start(client(), "fleet", "one", SHARDS), start(client(), "fleet", "other", SHARDS));
    let (end, guarded) = guard(&one, &other);
    one.holds(3).await;
    other.holds(3).await;
    let leases: Api<Lease> = Api::namespaced(client(), "default");
    let all = leases.list(&ListParams::default().labels("kube-scaling/lease-group=fleet")).await.unwrap();
    let names: Vec<String> = all.items.iter().map(|lease| lease.metadata.name.clone().unwrap()).collect();
    assert_eq!(names.len(), 8, "six shards and two members: {names:?}");

    one.task.abort();
    let killed = Instant::now();
    let sure = (0..SHARDS).filter_map(|shard| one.held.borrow().sure_until(shard, killed)).max().unwrap_or(killed);
    other.holds(6).await;
    let took = killed.elapsed();
    // The upper bound is a lease and a retry, and is told rather than tested: the machine may be busy.
    assert!(killed + took >= sure, "{took:?}: the one that was killed was still sure of its shards");
    eprintln!("killed: all shards held again after {took:?}, lease 6 s");
    end.send(()).unwrap();
    assert!(guarded.await.unwrap() > 100);
    other.stop.send(()).unwrap();
    other.task.await.unwrap();
}

async fn a_clean_stop_hands_over(client: &impl Fn() -> Client) {
    let (mut one, mut other) = (start(client(), "fleet", "third", SHARDS), start(client(), "fleet", "fourth", SHARDS));
    let (end, guarded) = guard(&one, &other);
    one.holds(3).await;
    other.holds(3).await;
    let stopped = Instant::now();
    one.stop.send(()).unwrap();
    timeout(LONG, one.task).await.unwrap().unwrap();
    other.holds(6).await;
    eprintln!("stopped: all shards held again after {:?}", stopped.elapsed());
    end.send(()).unwrap();
    guarded.await.unwrap();
    other.stop.send(()).unwrap();
    other.task.await.unwrap();
    let leases: Api<Lease> = Api::namespaced(client(), "default");
    for shard in 0..SHARDS {
        let lease = leases.get(&format!("fleet-shard-{shard}")).await.unwrap();
        assert_eq!(lease.spec.unwrap().holder_identity, None, "{shard}");
    }
}

async fn a_deleted_lease_has_one_holder(client: &impl Fn() -> Client) {
    let (mut one, mut other) = (start(client(), "lead", "one", 1), start(client(), "lead", "other", 1));
    let (end, guarded) = guard(&one, &other);
    timeout(LONG, async {
        while one.count() + other.count() == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    let leases: Api<Lease> = Api::namespaced(client(), "default");
    let before = leases.get("lead-shard-0").await.unwrap();
    leases.delete("lead-shard-0", &DeleteParams::default()).await.unwrap();
    let (first, second) = (one.held.changed(), other.held.changed());
    tokio::select! { changed = first => changed.unwrap(), changed = second => changed.unwrap() }
    timeout(LONG, async {
        while one.count() + other.count() == 0 || leases.get_opt("lead-shard-0").await.unwrap().is_none() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    assert_ne!(leases.get("lead-shard-0").await.unwrap().metadata.uid, before.metadata.uid);

    // The label goes, and comes back with the next renewal.
    let bare = Patch::Merge(json!({ "metadata": { "labels": null } }));
    leases.patch("lead-shard-0", &PatchParams::default(), &bare).await.unwrap();
    timeout(LONG, async {
        while leases.get("lead-shard-0").await.unwrap().metadata.labels.is_none() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    end.send(()).unwrap();
    guarded.await.unwrap();
    for replica in [one, other] {
        replica.stop.send(()).unwrap();
        replica.task.await.unwrap();
    }
}

async fn another_number_of_shards_waits(client: &impl Fn() -> Client) {
    let mut old = start(client(), "rollout", "old", 2);
    old.holds(2).await;
    let mut new = start(client(), "rollout", "new", 3);
    sleep(timing().duration() + timing().retry() * 4).await;
    assert_eq!((old.count(), new.count()), (2, 0));
    old.stop.send(()).unwrap();
    old.task.await.unwrap();
    new.holds(3).await;
    new.stop.send(()).unwrap();
    new.task.await.unwrap();
}

async fn without_rights_nothing_is_held(client: Client) {
    let mut replica = start(client, "fleet", "plain", 1);
    timeout(LONG, replica.held.changed()).await.unwrap().unwrap();
    let trouble = replica.held.borrow().trouble.clone().unwrap();
    assert!(trouble.contains("403") && trouble.contains("leases"), "{trouble}");
    assert_eq!(replica.count(), 0);
    replica.stop.send(()).unwrap();
    timeout(LONG, replica.task).await.unwrap().unwrap();
}
