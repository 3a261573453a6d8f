//! Owners of an HPA, looked for before the first write to it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Client;
use scaling_core::{ApplyError, Target};
use tokio::time::Instant;

use super::KubeHpaApplier;
use super::rehearsed::key;
use super::request::Read;
use super::retry::Patience;
use crate::ownership::{Evidence, Owned, OwnershipPolicy, OwnershipReport, Survey, Writes};

/// Time after which the owners are looked for again: one may have come meanwhile.
const LIFE: Duration = Duration::from_secs(3600);
/// The same where something could not be looked at for now.
const LIFE_IN_DOUBT: Duration = Duration::from_secs(60);
/// HPAs that are remembered. One that is forgotten is looked at once more.
const MOST: usize = 16_384;
/// Remarks on what could not be looked at that are told, each once.
const MOST_TOLD: usize = 256;

/// Shared by the clones of an applier.
#[derive(Clone)]
pub(super) struct Owners {
    policy: OwnershipPolicy,
    survey: Survey,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// HPAs that nobody else owns as far as was seen, and until when that is good enough.
    free: HashMap<String, Instant>,
    told: BTreeSet<String>,
}

impl Owners {
    pub(super) fn new(client: Client) -> Self {
        Self { policy: OwnershipPolicy::default(), survey: Survey::new(client), known: Arc::default() }
    }

    pub(super) fn with_policy(self, policy: OwnershipPolicy) -> Self {
        Self { policy, ..self }
    }

    #[cfg(feature = "controller")]
    pub(super) fn knowing_hpas(
        self,
        hpas: impl Fn(&Target) -> Option<Vec<serde_json::Value>> + Send + Sync + 'static,
    ) -> Self {
        Self { survey: self.survey.knowing_hpas(hpas), ..self }
    }

    fn locked(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_free(&self, hpa: &str) -> bool {
        self.locked().free.get(hpa).is_some_and(|until| Instant::now() < *until)
    }

    fn set_free(&self, hpa: String, life: Duration) {
        let now = Instant::now();
        let mut known = self.locked();
        if known.free.len() >= MOST {
            known.free.retain(|_, until| now < *until);
        }
        if known.free.len() >= MOST {
            known.free.clear();
        }
        known.free.insert(hpa, now + life);
    }

    /// Says what could not be looked at, each thing once.
    fn tell(&self, report: &OwnershipReport) {
        for note in &report.notes {
            let new = {
                let mut known = self.locked();
                known.told.len() < MOST_TOLD && known.told.insert(note.clone())
            };
            if new {
                tracing::warn!(target_workload = %report.target, "who else sets its size is known in part: {note}");
            }
        }
    }
}

impl KubeHpaApplier {
    /// Refuses if somebody else sets the size of the workload: an owner that the field managers of the two bounds do not show. Those
    /// are the server's to refuse, with [`ApplyError::Conflict`], and the host's to [force](Self::force). Half of the time that is left is for the
    /// write.
    pub(super) async fn refuse_if_owned(
        &self,
        target: &Target,
        read: &Read,
        patience: &Patience,
    ) -> Result<(), ApplyError> {
        let owners = &self.owners;
        let hpa = key(&read.json);
        if owners.policy == OwnershipPolicy::Take || owners.is_free(&hpa) {
            return Ok(());
        }
        let survey = owners.survey.clone().field_manager(&self.manager).timeout(patience.left() / 2);
        let (report, is_passing) = survey.report_with(target, Some(&read.json)).await;
        owners.tell(&report);
        let others = report.in_the_way_of(Writes::Bounds).filter(|owned| owned.evidence != Evidence::ManagedFields);
        let others: Vec<_> = others.cloned().collect();
        let as_data = others.iter().map(|owned| report.size_owner(owned)).collect();
        if others.is_empty() {
            owners.set_free(hpa, if is_passing { LIFE_IN_DOUBT } else { LIFE });
            return Ok(());
        }
        let source = Owned { target: Box::new(target.clone()), owners: others };
        Err(ApplyError::Owned { target: target.clone(), owners: as_data, source: Box::new(source) })
    }
}
