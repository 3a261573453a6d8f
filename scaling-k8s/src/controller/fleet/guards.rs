//! Guards whose numbers a target may set for itself.

use scaling_core::guard::FleetFreeze;
use scaling_core::{
    AbsenceGuard, Change, ConfidenceGate, Cooldown, Freshness, Guard, GuardContext, Guards, ResourceLimits, StepLimit,
    Verdict,
};

use super::roster::Roster;

/// The guards of the fleet, in their order; those of a replay know no freeze.
pub(super) fn chain(
    freeze: Option<FleetFreeze>,
    confidence: ConfidenceGate,
    cooldown: impl Guard + 'static,
    steps: impl Guard + 'static,
    budget: impl Guard + 'static,
) -> Guards {
    let first = Guards::only_hard_limits().with(Freshness::default()).with(AbsenceGuard);
    let first = match freeze {
        Some(freeze) => first.with(freeze),
        None => first,
    };
    first.with(confidence).with(cooldown).with(steps).with(ResourceLimits::default()).with(budget)
}

/// The host's pauses with what the settings of the target say.
#[derive(Debug)]
pub(super) struct OwnCooldown {
    pub(super) host: Cooldown,
    pub(super) roster: Roster,
}

impl Guard for OwnCooldown {
    fn name(&self) -> &'static str {
        self.host.name()
    }

    fn check(&self, change: &Change<'_>, context: &GuardContext<'_>) -> Verdict {
        let own = self.roster.of(context.target, |settings| settings.cooldown(self.host));
        own.unwrap_or(self.host).check(change, context)
    }
}

/// The host's steps with what the settings of the target say.
#[derive(Debug)]
pub(super) struct OwnSteps {
    pub(super) host: StepLimit,
    pub(super) roster: Roster,
}

impl Guard for OwnSteps {
    fn name(&self) -> &'static str {
        self.host.name()
    }

    fn check(&self, change: &Change<'_>, context: &GuardContext<'_>) -> Verdict {
        let own = self.roster.of(context.target, |settings| settings.step(self.host));
        own.unwrap_or(self.host).check(change, context)
    }
}
