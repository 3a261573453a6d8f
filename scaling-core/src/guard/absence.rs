//! [`AbsenceGuard`]: what is not seen lowers nothing.

use super::{Change, Guard, GuardContext, Limit, Verdict};

/// Lowers no bound and no request while a declared signal is absent (law 2), whatever the engine made of it, and for as long as
/// the absence lasts: there is no window of time after which a loss is forgotten. Growth passes.
///
/// The yardstick is [`Observation::declared`](crate::Observation::declared). While the source is down everything is absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct AbsenceGuard;

impl Guard for AbsenceGuard {
    fn name(&self) -> &'static str {
        "absence"
    }

    fn check(&self, change: &Change<'_>, context: &GuardContext<'_>) -> Verdict {
        if !(change.shrinks() || change.lowers() || change.shrinks_pods()) {
            return Verdict::Pass;
        }
        let why: String = match context.observation {
            None => "there are no metrics now".into(),
            Some(observation) => match observation.absences().next() {
                Some((kind, absence)) => format!("{kind} is missing now: {absence}"),
                None => return Verdict::Pass,
            },
        };
        lowers_nothing(change, why)
    }
}

/// The answer that lowers nothing of a change, and lets pass what of it grows: a request for fewer pods is refused by name, unless a
/// growth of resources would go with it; what a floor that ended would lower is held.
pub(super) fn lowers_nothing(change: &Change<'_>, why: String) -> Verdict {
    match change.resources {
        _ if !change.shrinks() => Verdict::lower_nothing(why),
        Some(resources) if resources.grows() => {
            Verdict::Limit { limit: Limit::Replicas(change.current), why: why.into() }
        }
        _ => Verdict::refuse(why),
    }
}
