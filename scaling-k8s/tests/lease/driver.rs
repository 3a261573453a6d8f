//! One and several replicas over a mocked API server.

use std::time::Duration;

use scaling_k8s::controller::lease::{Held, LeaseSettings, ShardLeases};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::server::{Mood, Server};

pub(crate) struct Replica {
    pub(crate) held: watch::Receiver<Held>,
    pub(crate) task: JoinHandle<()>,
    pub(crate) stop: oneshot::Sender<()>,
}

pub(crate) fn leases(server: &Server, name: &str, shards: u32) -> ShardLeases {
    ShardLeases::new(server.client(), LeaseSettings::new("fleet", "ops", name).unwrap().shards(shards).unwrap())
}

pub(crate) fn run(leases: ShardLeases) -> Replica {
    let held = leases.held();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(leases.run(async move { drop(stopped.await) }));
    Replica { held, task, stop }
}

impl Replica {
    /// Number of shards that it surely holds now.
    pub(crate) fn count(&self, shards: u32) -> usize {
        let held = self.held.borrow();
        (0..shards).filter(|shard| held.is_sure(*shard, Instant::now())).count()
    }

    pub(crate) async fn holds(&mut self, shards: u32, wanted: usize, within: Duration) {
        let wait = async {
            while self.count(shards) != wanted {
                self.held.changed().await.unwrap();
            }
        };
        timeout(within, wait).await.unwrap_or_else(|_| panic!("not {wanted} of {shards}: {:?}", self.held.borrow()));
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_goes_over_the_wire() {
    let server = Server::default();
    let mut replica = run(leases(&server, "a", 1));
    // It may have been deleted, and have a holder that does not know.
    replica.holds(1, 1, SECOND * 16).await;
    let seen = server.seen();
    let path = "/apis/coordination.k8s.io/v1/namespaces/ops/leases";
    assert_eq!((seen[0].0.as_str(), seen[0].1.split('?').next()), ("GET", Some(path)));
    assert!(seen[0].1.contains("labelSelector=kube-scaling%2Flease-group%3Dfleet"), "{}", seen[0].1);
    assert_eq!(seen[1].0, "POST");
    assert_eq!(seen[1].2["metadata"]["name"], "fleet-shard-0");
    assert_eq!(seen[1].2["spec"].get("holderIdentity"), None, "it is not taken before a lease has passed");
    let claim = seen.iter().find(|(method, _, _)| method == "PATCH").unwrap();
    assert!(claim.1.starts_with(&format!("{path}/fleet-shard-0?")), "{}", claim.1);
    assert_eq!(claim.2["metadata"]["resourceVersion"], "1");
    let spec = server.lease("fleet-shard-0").unwrap()["spec"].clone();
    assert!(spec["holderIdentity"].as_str().unwrap().starts_with("a_"));
    assert_eq!((&spec["leaseDurationSeconds"], &spec["leaseTransitions"]), (&15.into(), &1.into()));
    // One that renews is sure without a break.
    let until = Instant::now() + SECOND * 60;
    while Instant::now() < until {
        sleep(Duration::from_millis(100)).await;
        assert_eq!(replica.count(1), 1);
    }
    assert!(server.seen().iter().all(|(_, uri, _)| !uri.contains("member")), "one leader needs no members");
}

#[tokio::test(start_paused = true)]
async fn shares_are_fair_and_a_killed_replicas_shards_are_taken() {
    let server = Server::default().with_free(6);
    let mut one = run(leases(&server, "one", 6));
    one.holds(6, 6, SECOND).await;
    let mut other = run(leases(&server, "other", 6));
    // The newcomer lives for a lease first, then the surplus is free at its next look.
    other.holds(6, 3, SECOND * 22).await;
    assert_eq!(one.count(6), 3);

    one.task.abort();
    let killed = Instant::now();
    other.holds(6, 6, SECOND * 17 + SECOND / 10).await;
    assert!(killed + SECOND * 10 < Instant::now(), "while the killed one might still be sure");
}

#[tokio::test(start_paused = true)]
async fn a_stop_clears_what_is_held_and_the_next_takes_it_at_once() {
    let server = Server::default().with_free(4);
    let mut one = run(leases(&server, "one", 4));
    let mut other = run(leases(&server, "other", 4));
    other.holds(4, 2, SECOND * 25).await;
    one.holds(4, 2, SECOND).await;
    one.stop.send(()).unwrap();
    timeout(SECOND, one.task).await.unwrap().unwrap();
    assert!(one.held.borrow().shards.is_empty());
    other.holds(4, 4, SECOND * 3).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_one_leaves_its_leases_free() {
    let server = Server::default().with_free(1);
    let mut last = run(leases(&server, "last", 1));
    last.holds(1, 1, SECOND).await;
    last.stop.send(()).unwrap();
    last.task.await.unwrap();
    let spec = server.lease("fleet-shard-0").unwrap()["spec"].clone();
    assert_eq!(spec, serde_json::json!({ "leaseTransitions": 1 }));
}

#[tokio::test(start_paused = true)]
async fn without_answers_a_hold_ends_before_others_may_take_it() {
    for mood in [Mood::Hangs, Mood::Refuses(500), Mood::Refuses(403), Mood::LosesAnswers] {
        let server = Server::default().with_free(1);
        let mut replica = run(leases(&server, "a", 1));
        replica.holds(1, 1, SECOND).await;
        server.set(mood);
        sleep(SECOND * 3).await;
        assert_eq!(replica.count(1), 1, "{mood:?}: it has time to try again");
        sleep(SECOND * 7).await;
        assert_eq!(replica.count(1), 0, "{mood:?}");
        assert!(replica.held.borrow().trouble.is_some(), "{mood:?}");
        server.set(Mood::Answers);
        replica.holds(1, 1, SECOND * 5).await;
        assert_eq!(replica.held.borrow().trouble, None, "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_breaks_no_hold() {
    let server = Server::default().with_free(1);
    let mut replica = run(leases(&server, "a", 1));
    replica.holds(1, 1, SECOND).await;
    // Over one renewal: it is stored, and nobody says so.
    sleep(Duration::from_millis(3500)).await;
    server.set(Mood::LosesAnswers);
    sleep(SECOND).await;
    server.set(Mood::Answers);
    for _ in 0..300 {
        sleep(Duration::from_millis(100)).await;
        assert_eq!(replica.count(1), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_do_not_make_it_ask_without_a_pause() {
    for mood in [Mood::Refuses(403), Mood::Refuses(404), Mood::Refuses(409), Mood::Refuses(500), Mood::Hangs] {
        let server = Server::default();
        server.set(mood);
        let replica = run(leases(&server, "a", 8));
        sleep(SECOND * 20).await;
        let asked = server.seen().len();
        // The client itself sends again what met 503 and the like, some of them many times.
        assert!((8..=30).contains(&asked), "{mood:?}: {asked} requests in 20 s");
        assert_eq!(replica.count(8), 0);
        replica.task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_namespace_is_missing_it_creates_ever_more_slowly_and_says_why() {
    let server = Server::default();
    server.set(Mood::NoNamespace);
    let mut replica = run(leases(&server, "a", 8));
    let mut said = replica.held.clone();
    sleep(SECOND * 120).await;
    let created = |from: usize| server.seen().iter().skip(from).filter(|(method, ..)| method == "POST").count();
    // All at first, then one or two at 2, 6, 14, 30 s, and each 30 s from then on.
    let first = created(0);
    assert!((8..=24).contains(&first), "{first} in 2 min");
    let trouble = said.borrow_and_update().trouble.clone().unwrap();
    assert_eq!(trouble, "no Lease can be created, as there is no namespace \"ops\": create it, or name another");
    let before = server.seen().len();
    sleep(SECOND * 60).await;
    assert!((1..=6).contains(&created(before)), "{}", created(before));
    assert_eq!(replica.held.borrow().trouble.as_ref(), Some(&trouble), "lists that succeed do not hide it");
    server.set(Mood::Answers);
    replica.holds(8, 8, SECOND * 60).await;
    assert_eq!(replica.held.borrow().trouble, None);
}
