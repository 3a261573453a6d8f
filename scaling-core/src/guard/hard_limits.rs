//! [`HardLimitsGuard`]: the sizes the host allows at all.

use super::{Change, Guard, GuardContext, Limit, Verdict};
use crate::resources::ResourceChange;

/// Moves the request into the hard limits. An HPA whose bounds lie outside them is not touched at all: bringing it in would raise
/// a bound while shrinking or lower one while growing, and somebody should look at it first. Where the applier cannot change what a
/// pod requests, that part is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct HardLimitsGuard;

impl Guard for HardLimitsGuard {
    fn name(&self) -> &'static str {
        "hard_limits"
    }

    fn check(&self, change: &Change<'_>, context: &GuardContext<'_>) -> Verdict {
        if let Some(why) = outside(context) {
            return Verdict::refuse(why);
        }
        if change.resources.is_some() && !context.state.resizes_pods {
            let why = "the applier moves bounds alone, not what a pod requests".into();
            return Verdict::Limit { limit: Limit::Resources(ResourceChange::NONE), why };
        }
        let limits = context.limits.bounds();
        // A size that is there and outside the limits is nobody's request, and a request is not turned round.
        let (request, current) = (change.request, change.current);
        let clamped = limits.clamp(request).clamp(request.min(current), request.max(current));
        if clamped == request {
            Verdict::Pass
        } else {
            let why = format!("the hard limits are {limits}").into();
            Verdict::Limit { limit: Limit::Replicas(clamped), why }
        }
    }
}

/// Returns the reason why the HPA is not touched, if its bounds lie outside the limits.
pub(super) fn outside(context: &GuardContext<'_>) -> Option<String> {
    let (limits, bounds) = (context.limits.bounds(), context.state.bounds);
    (!limits.contains(bounds))
        .then(|| format!("the HPA's bounds {bounds} lie outside the hard limits {limits}; change one of them"))
}
