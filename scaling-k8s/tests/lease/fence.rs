//! Writes and the hold of their shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use scaling_core::conformance::applier::plan as plan_of;
use scaling_core::{Applied, ApplyError, ApplyMode, Bounds, HpaApplier, HpaPlan, HpaState, Target};
use scaling_k8s::controller::lease::NotHeld;
use tokio::time::{sleep, timeout};

use crate::driver::{leases, run};
use crate::server::{Mood, Server};

const SECOND: Duration = Duration::from_secs(1);

/// Takes its time; counts what began and what ended.
#[derive(Clone, Default)]
struct Slow {
    takes: Duration,
    began: Arc<AtomicU32>,
    ended: Arc<AtomicU32>,
}

#[async_trait]
impl HpaApplier for Slow {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        Err(ApplyError::NotFound { target: target.clone() })
    }

    async fn apply(&self, _: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        self.began.fetch_add(1, Ordering::SeqCst);
        sleep(self.takes).await;
        self.ended.fetch_add(1, Ordering::SeqCst);
        Ok(Applied { mode, changed: true })
    }
}

fn plan() -> HpaPlan {
    plan_of(&Target::deployment("shop", "checkout"), Bounds::new(2, 6).unwrap(), 3, 6)
}

fn counts(slow: &Slow) -> (u32, u32) {
    (slow.began.load(Ordering::SeqCst), slow.ended.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn without_the_hold_nothing_begins() {
    let server = Server::default().with_free(1);
    let leases = leases(&server, "a", 1);
    let slow = Slow::default();
    let fenced = leases.fence(slow.clone());
    let error = fenced.apply(&plan(), ApplyMode::Apply).await.unwrap_err();
    let ApplyError::NotHeld { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.downcast_ref(), Some(&NotHeld::Elsewhere { shard: 0, shards: 1 }));
    assert!(error.is_transient() && !error.may_have_happened());
    assert_eq!(counts(&slow), (0, 0));
    // What stores nothing passes.
    fenced.apply(&plan(), ApplyMode::ServerDryRun).await.unwrap();
    assert!(matches!(fenced.current(plan().target()).await, Err(ApplyError::NotFound { .. })));

    let mut replica = run(leases);
    replica.holds(1, 1, SECOND).await;
    fenced.apply(&plan(), ApplyMode::Apply).await.unwrap();
    assert_eq!(counts(&slow), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_waits_for_the_write_under_way_and_lets_no_other_begin() {
    let server = Server::default().with_free(1);
    let leases = leases(&server, "a", 1);
    let slow = Slow { takes: SECOND * 8, ..Slow::default() };
    let fenced = leases.fence(slow.clone());
    let mut replica = run(leases);
    replica.holds(1, 1, SECOND).await;
    let write = tokio::spawn({
        let fenced = fenced.clone();
        async move { fenced.apply(&plan(), ApplyMode::Apply).await }
    });
    sleep(SECOND * 3).await;
    replica.stop.send(()).unwrap();
    sleep(SECOND).await;
    let error = fenced.apply(&plan(), ApplyMode::Apply).await.unwrap_err();
    let ApplyError::NotHeld { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.downcast_ref(), Some(&NotHeld::HandedOver { shard: 0, shards: 1 }));
    let holder = server.lease("fleet-shard-0").unwrap()["spec"]["holderIdentity"].clone();
    assert!(holder.is_string(), "not free while the write is under way");
    assert!(write.await.unwrap().unwrap().changed);
    timeout(SECOND, replica.task).await.unwrap().unwrap();
    assert_eq!(server.lease("fleet-shard-0").unwrap()["spec"].get("holderIdentity"), None);
    assert_eq!(counts(&slow), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_write_ends_with_the_hold() {
    let server = Server::default().with_free(1);
    let leases = leases(&server, "a", 1);
    let slow = Slow { takes: SECOND * 60, ..Slow::default() };
    let fenced = leases.fence(slow.clone());
    let mut replica = run(leases);
    replica.holds(1, 1, SECOND).await;
    let write = tokio::spawn(async move { fenced.apply(&plan(), ApplyMode::Apply).await });
    // Renewed holds keep it going.
    sleep(SECOND * 30).await;
    assert_eq!(counts(&slow), (1, 0));
    server.set(Mood::Hangs);
    let error = timeout(SECOND * 10, write).await.unwrap().unwrap().unwrap_err();
    assert!(error.may_have_happened(), "law 12: {error}");
    assert_eq!(counts(&slow), (1, 0), "it is not carried on");
}

#[tokio::test(start_paused = true)]
async fn a_write_ends_with_the_hold_of_a_replica_that_was_dropped() {
    let server = Server::default().with_free(1);
    let leases = leases(&server, "a", 1);
    let fenced = leases.fence(Slow { takes: SECOND * 60, ..Slow::default() });
    let mut replica = run(leases);
    replica.holds(1, 1, SECOND).await;
    replica.task.abort();
    sleep(SECOND).await;
    let error = timeout(SECOND * 10, fenced.apply(&plan(), ApplyMode::Apply)).await.unwrap().unwrap_err();
    assert!(error.may_have_happened(), "{error}");
    let error = fenced.apply(&plan(), ApplyMode::Apply).await.unwrap_err();
    assert!(matches!(error, ApplyError::NotHeld { .. }), "{error}");
}
