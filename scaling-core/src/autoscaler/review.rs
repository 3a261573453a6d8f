//! [`Review`]: a look at a workload before it is decided on.

use chrono::{DateTime, Utc};

use crate::bounds::Bounds;
use crate::metrics::Observation;
use crate::state::HpaState;
use crate::target::Target;

/// A way back: the bounds that an earlier change is undone to, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// The bounds to go back to, as far as the guards let pods go.
    pub to: Bounds,
    /// The bounds of the HPA's owner, which stay what they are.
    pub resting: Bounds,
    /// Reason, for people. It stands in the record.
    pub why: String,
}

/// Says in each tick whether an earlier change of the workload is to be undone, instead of a decision.
///
/// **Given:** the HPA as it was just read, and what the source saw of the workload, which is none while the source is down. **Promised:**
/// an answer at once: it holds the tick up. Asked once in each tick of a workload, before the engine, never for two ticks of one
/// workload at a time.
///
/// An undo passes the guards as any other change, and floors that are due are held all the same. Where the guards leave nothing of it for now, the engine
/// decides as ever, and the record says what is held back.
///
/// ```
/// use scaling_core::autoscaler::{Review, Undo};
/// use scaling_core::chrono::{DateTime, Utc};
/// use scaling_core::{Bounds, HpaState, Observation, SignalKind, Target};
///
/// /// Goes back to the owner's bounds while more than a tenth of the requests fail.
/// struct OwnerWhileFailing;
///
/// impl Review for OwnerWhileFailing {
///     fn review(&self, _: &Target, state: HpaState, seen: Option<&Observation>, _: DateTime<Utc>) -> Option<Undo> {
///         let failing = seen?.current.value(SignalKind::ErrorRate)?;
///         let why = format!("{failing} % of the requests fail");
///         (failing > 10.0).then_some(Undo { to: state.resting, resting: state.resting, why })
///     }
/// }
/// ```
pub trait Review: Send + Sync {
    /// The way back from an earlier change of the workload; none if there is nothing to undo.
    fn review(
        &self,
        target: &Target,
        state: HpaState,
        observation: Option<&Observation>,
        now: DateTime<Utc>,
    ) -> Option<Undo>;
}
