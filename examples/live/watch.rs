//! What is shown of the loop: metrics, health and the status page.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::live::{Cadence, Clock, Stop};
use scaling_core::telemetry::board::HpaAlone;
use scaling_core::telemetry::serve::{ServeError, Server};
use scaling_core::telemetry::{Board, Health, Metrics, page as status_page};
use scaling_core::{Bounds, DecisionRecord, Target, WorkloadFacts};
use scaling_k8s::kube::Client;
use scaling_k8s::ownership::{Survey, Writes};
use tokio::task::JoinHandle;

use super::Setup;
use super::cluster::Hpas;
use super::looping::Tell;
use crate::Failure;

/// Intervals without a tick after which the loop counts as hanging, so that Kubernetes restarts it.
const STALLED_INTERVALS: u32 = 5;
/// Shortest time for that: a busy machine is no reason to restart.
const STALLED_AT_LEAST: Duration = Duration::from_secs(60);
/// Questions for HPAs to an API server at once.
const AT_ONCE: usize = 8;

pub(super) struct Watch {
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) board: Arc<Board>,
    alone: Arc<Alone>,
    served: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Watch {
    /// Serves from now on until the end is asked for, if an address to listen on is named: alive at once, ready after the first tick.
    pub(super) async fn begin(
        setup: &Setup<'_>,
        cadence: Cadence,
        clock: Arc<dyn Clock>,
        stop: &Stop,
        tell: &Tell,
    ) -> Result<Self, Failure> {
        let interval = cadence.interval().to_std().unwrap_or_default();
        let stalled = (interval * STALLED_INTERVALS).max(STALLED_AT_LEAST);
        let health = Arc::new(Health::new().stalled_after(stalled, move || clock.now()));
        let (metrics, board) = (Arc::new(Metrics::new()), Arc::new(Board::new()));
        let mut served = None;
        if let Some(address) = setup.live.listen {
            let page = Server::new(Arc::clone(&metrics), Arc::clone(&health)).on(address);
            let listening = page.with_routes(status_page::routes(Arc::clone(&board))).bind().await;
            let listening = listening.map_err(|error| Failure::input(format!("--listen: {error}")))?;
            tell(&format!("status page: http://{}/", listening.address()));
            let stop = stop.clone();
            served = Some(tokio::spawn(listening.serve(async move { stop.requested().await })));
        }
        let alone = Arc::new(Alone { board: Arc::clone(&board), hpas: Mutex::default() });
        Ok(Self { metrics, health, board, alone, served })
    }

    /// Gives the page each workload's HPA to compare with. Where nobody looks, none is read.
    pub(super) async fn compare(&self, setup: &Setup<'_>, hpas: &Hpas, tell: &Tell) {
        if self.served.is_none() {
            return;
        }
        let read = |target: &Target| {
            let target = target.clone();
            async move { (hpas.file(setup, &target).await, target) }
        };
        let reading: Vec<_> = setup.live.from.targets.iter().map(read).collect();
        let mut reading = stream::iter(reading).buffer_unordered(AT_ONCE);
        let (mut failed, mut first) = (0_usize, None);
        while let Some((read, target)) = reading.next().await {
            match read {
                Ok(hpa) => {
                    let facts = hpa.requests.added_to(WorkloadFacts::default());
                    self.alone.set(target, HpaAlone { spec: hpa.spec, facts });
                }
                Err(error) => {
                    failed += 1;
                    first.get_or_insert(error);
                }
            }
        }
        if let Some(error) = first {
            tell(&format!("note: {failed} workloads have no HPA to be compared with: {error}"));
        }
    }

    /// Shows on the page who else sets the size of each workload, before the first write meets them.
    pub(super) async fn survey(&self, setup: &Setup<'_>, client: Option<&Client>, now: DateTime<Utc>) {
        let Some(client) = client.filter(|_| self.served.is_some()) else { return };
        let survey = Survey::new(client.clone());
        let ask = |target: &Target| {
            let (survey, target) = (survey.clone(), target.clone());
            async move { (survey.report(&target).await, target) }
        };
        let asking: Vec<_> = setup.live.from.targets.iter().map(ask).collect();
        let mut asking = stream::iter(asking).buffer_unordered(AT_ONCE);
        while let Some((report, target)) = asking.next().await {
            self.board.owned(&target, &report.size_owners(Writes::Bounds), now);
        }
    }

    /// What keeps the comparison by the bounds of the HPA's owner, whatever we have made of them.
    pub(super) fn alone(&self) -> Arc<Alone> {
        Arc::clone(&self.alone)
    }

    /// Waits until nothing is served any more.
    pub(super) async fn end(self) -> Result<(), Failure> {
        match self.served {
            Some(served) => served.await.map_err(Failure::failed)?.map_err(Failure::failed),
            None => Ok(()),
        }
    }
}

/// The HPAs that workloads would have without us.
pub(super) struct Alone {
    board: Arc<Board>,
    hpas: Mutex<BTreeMap<Target, HpaAlone>>,
}

impl Alone {
    fn set(&self, target: Target, alone: HpaAlone) {
        self.board.compare(target.clone(), alone.clone());
        self.hpas.lock().unwrap_or_else(PoisonError::into_inner).insert(target, alone);
    }

    /// Takes the bounds of the owner from a record: what stands in a cluster may be ours, from an earlier run.
    pub(super) fn follow(&self, record: &DecisionRecord) {
        let Some(owners) = record.resting.or(record.bounds) else { return };
        let known = self.hpas.lock().unwrap_or_else(PoisonError::into_inner).get(&record.target).cloned();
        let Some(mut alone) = known.filter(|alone| alone.spec.bounds().ok() != Some(owners)) else { return };
        set_bounds(&mut alone, owners);
        self.set(record.target.clone(), alone);
    }
}

fn set_bounds(alone: &mut HpaAlone, bounds: Bounds) {
    let stored = |pods: u32| i32::try_from(pods).unwrap_or(i32::MAX);
    alone.spec.min_replicas = Some(stored(bounds.min()));
    alone.spec.max_replicas = stored(bounds.max());
}
