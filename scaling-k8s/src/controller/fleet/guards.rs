//! Guards whose numbers a target may set for itself.

use scaling_core::{Change, Cooldown, Guard, GuardContext, StepLimit, Verdict};

use super::roster::Roster;

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
