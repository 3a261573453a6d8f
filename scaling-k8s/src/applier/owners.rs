//! Owners of an HPA or of a workload, looked for before the first write to it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::Client;
use scaling_core::{ApplyError, Target};
use serde_json::Value;
use tokio::time::Instant;

use super::KubeHpaApplier;
use super::answer::refused;
use super::rehearsed::key;
use super::request::Read;
use super::retry::Patience;
use crate::ownership::{Coexistence, Evidence, Owned, Ownership, OwnershipPolicy, OwnershipReport, Survey, Writes};

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

/// A write that somebody else may stand in the way of.
pub(super) struct Intended<'a> {
    /// Identity of the object that is written.
    pub(super) key: String,
    /// Field manager that it is written under.
    pub(super) manager: &'a str,
    /// The HPA, if it was read already.
    pub(super) hpa: Option<&'a Value>,
    /// Time that the search may take.
    pub(super) within: Duration,
}

impl Owners {
    /// Refuses if one of those that `stands` says stands in the way of a write; the error names them, and for a GitOps tool the text that
    /// makes the two live together.
    pub(super) async fn refuse(
        &self,
        target: &Target,
        write: Intended<'_>,
        stands: impl Fn(&Ownership) -> bool,
        with_texts: bool,
    ) -> Result<(), ApplyError> {
        let Intended { key, manager, hpa, within } = write;
        if self.policy == OwnershipPolicy::Take || self.is_free(&key) {
            return Ok(());
        }
        let survey = self.survey.clone().field_manager(manager).timeout(within);
        let (report, is_passing) = survey.report_with(target, hpa).await;
        self.tell(&report);
        let owners: Vec<Ownership> = report.owners.iter().filter(|owned| stands(owned)).cloned().collect();
        if owners.is_empty() {
            self.set_free(key, if is_passing { LIFE_IN_DOUBT } else { LIFE });
            return Ok(());
        }
        if !with_texts {
            let as_data = owners.iter().map(|owned| report.size_owner(owned)).collect();
            let source = Owned { target: Box::new(target.clone()), owners };
            return Err(ApplyError::Owned { target: target.clone(), owners: as_data, source: Box::new(source) });
        }
        let texts = owners.iter().filter_map(|owned| Coexistence::of(owned, target, manager));
        let texts: Vec<String> = texts.map(|text| text.to_string()).collect();
        let owned = Owned { target: Box::new(target.clone()), owners };
        Err(refused(target, [vec![owned.to_string()], texts].concat().join("\n\n")))
    }
}

impl KubeHpaApplier {
    /// Refuses if somebody else sets the size of the workload: an owner that the field managers of the two bounds do not show. Those
    /// are the server's to refuse, with [`ApplyError::Conflict`], and the host's to [force](super::Writer::force). Half of the time that is left is for the
    /// write.
    pub(super) async fn refuse_if_owned(
        &self,
        target: &Target,
        read: &Read,
        patience: &Patience,
    ) -> Result<(), ApplyError> {
        let (key, manager, within) = (key(&read.json), self.writer.manager.as_str(), patience.left() / 2);
        let write = Intended { key, manager, hpa: Some(&read.json), within };
        let stands =
            |owned: &Ownership| owned.stands_in_the_way_of(Writes::Bounds) && owned.evidence != Evidence::ManagedFields;
        self.owners.refuse(target, write, stands, false).await
    }
}
