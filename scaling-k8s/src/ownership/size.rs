//! Owners as plain data for records and status pages: [`SizeOwner`].

use scaling_core::{OwnerSetting, SizeOwner};

use super::{Coexistence, Evidence, Owner, Ownership, OwnershipReport, Writes};

impl OwnershipReport {
    /// The owners that stand in the way of such a write, each with the way to live together, for a
    /// [record](scaling_core::DecisionRecord::owners) or a status page.
    pub fn size_owners(&self, writes: Writes) -> Vec<SizeOwner> {
        self.in_the_way_of(writes).map(|owned| self.size_owner(owned)).collect()
    }

    /// One of the owners in that form.
    pub(crate) fn size_owner(&self, owned: &Ownership) -> SizeOwner {
        let coexistence = Coexistence::of(owned, &self.target, &self.manager);
        let advice = match &coexistence {
            Some(text) => format!("have it leave both bounds to us; {}", text.remark),
            None => advice(&owned.owner).to_owned(),
        };
        let field = match (&owned.evidence, owned.fields.as_slice()) {
            (Evidence::Names, _) => "the size of the same workload".to_owned(),
            (_, []) => owned.object.to_string(),
            (_, fields) => format!("{} of {}", fields.join(" and "), owned.object),
        };
        let name = owned.owner.to_string();
        SizeOwner {
            owner: name.trim_end_matches(',').to_owned(),
            field,
            since: owned.since,
            advice,
            setting: coexistence.map(|Coexistence { place, text, .. }| OwnerSetting { place, text }),
        }
    }
}

/// What is to be done where no setting of the owner's does it.
fn advice(owner: &Owner) -> &'static str {
    match owner {
        Owner::Hpa { .. } => "delete one of the two HPAs",
        Owner::Keda { .. } => {
            "set the bounds in the ScaledObject (minReplicaCount, maxReplicaCount), or delete it and keep its HPA"
        }
        Owner::Vpa { .. } => "set its updateMode to Off, or leave requests to it",
        Owner::CronJob { .. } => "suspend it, and have a schedule of ours hold the same floors",
        Owner::ArgoCd { .. } | Owner::FluxKustomization { .. } | Owner::FluxHelmRelease { .. } | Owner::Helm { .. } => {
            "take the size out of what it applies"
        }
        Owner::Person { .. } => "once nobody edits it by hand any more, take it over by force",
        Owner::HpaController => "nothing: it works through the HPA",
        Owner::Controller { .. } => "set the size where that object says it",
        Owner::Manager { .. } => "have it leave the size alone, or take it over by force",
    }
}
