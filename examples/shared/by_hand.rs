//! Changes by hand: how far they go, and what the guards leave of them.

use clap::Args;
use scaling_core::chrono::DateTime;
use scaling_core::guard::LastChanges;
use scaling_core::{
    ApplyMode, BoundsPolicy, GuardContext, Guards, HardLimits, HpaPlan, HpaState, MAX_REPLICAS, Proposal, StepLimit,
    Target,
};

use crate::Failure;

/// Extent of a change in a cluster: validated, or stored. Without either flag it is only shown.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Extent {
    /// Lets the API server validate the change. Nothing is stored.
    #[arg(long, requires = "context", conflicts_with = "apply")]
    pub server_dry_run: bool,
    /// Stores the change.
    #[arg(long, requires = "context")]
    pub apply: bool,
}

impl Extent {
    /// The mode of an applier.
    pub fn mode(self) -> ApplyMode {
        match (self.apply, self.server_dry_run) {
            (true, _) => ApplyMode::Apply,
            (_, true) => ApplyMode::ServerDryRun,
            _ => ApplyMode::Plan,
        }
    }
}

/// Image of CronJobs that are only printed, where none is given. It exists nowhere.
pub const PLACEHOLDER_IMAGE: &str = "registry.example/kubectl-with-time-zones:1.37";

/// Tells that the image of CronJobs is a placeholder.
pub const IS_PLACEHOLDER: &str = "the image of the jobs is a placeholder that exists nowhere; name one with kubectl, a shell, date and the time \
                                  zones in /usr/share/zoneinfo: --image IMAGE";

/// The extent to which a change was carried out.
pub fn carried_out(mode: ApplyMode) -> &'static str {
    match mode {
        ApplyMode::Plan => "plan: nothing was sent (--server-dry-run, --apply)",
        ApplyMode::ServerDryRun => "server dry-run: the API server takes it, and nothing is stored (--apply)",
        ApplyMode::Apply => "applied: it is stored in the cluster",
    }
}

/// The plan that the guards allow, and what they left out: there is no other way to a plan (law 4). Half of the pods at most are let go at
/// once.
///
/// # Errors
/// [`Failure`] never, but for limits that cannot be.
pub fn approved(
    target: &Target,
    state: HpaState,
    proposal: Proposal,
    policy: &BoundsPolicy,
) -> Result<(HpaPlan, Vec<String>), Failure> {
    let context = GuardContext {
        target,
        // No guard here looks at the time.
        now: DateTime::UNIX_EPOCH,
        observation: None,
        state,
        limits: HardLimits::new(0, MAX_REPLICAS).map_err(Failure::input)?,
        policy,
        min_without_floor: None,
        last: LastChanges::default(),
        released: &[],
    };
    let guards = Guards::only_hard_limits().with(StepLimit::default());
    let approved = guards.approve(proposal, &context);
    let limits = approved.clamps().iter().map(|clamp| format!("limited by {clamp}")).collect();
    Ok((HpaPlan::of(&approved), limits))
}
