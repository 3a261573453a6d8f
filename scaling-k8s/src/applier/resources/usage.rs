//! Use of a workload, and who tells it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use scaling_core::Target;
use scaling_core::chrono::{DateTime, SecondsFormat, Utc};

use crate::vertical::{HpaUsage, Usage};

/// Use of a workload now. What nobody measured is not known, and nothing is lowered below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InUse {
    /// The highest use of the container that is resized, over its pods and the time that was looked at.
    pub container: Usage,
    /// The mean use, for the effect on an HPA.
    pub hpa: HpaUsage,
    /// Time and pods that the highest use is over; none if the host does not tell.
    pub seen: Option<UsedWithin>,
    /// Time from the creation of a pod until it serves, where it was measured.
    pub start_up: Option<Duration>,
}

/// Time and pods that a highest use was looked for over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedWithin {
    /// The first look.
    pub from: DateTime<Utc>,
    /// The last look.
    pub to: DateTime<Utc>,
    /// Looks in all.
    pub looks: usize,
    /// Most pods that were measured at once.
    pub pods: usize,
}

impl fmt::Display for UsedWithin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, looks, pods } = self;
        let at = |at: &DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        write!(f, "the most of {pods} pods in {looks} looks from {} to {}", at(from), at(to))
    }
}

/// Tells what the containers of a workload use. [`MetricsApi`](crate::metrics_api::MetricsApi) does, of the workloads that it observes.
///
/// **Given:** a workload and one of its containers. **Promised:** what was measured, the highest over pods and time; what is not known now
/// is none, never a number in its place.
pub trait PodUsage: Send + Sync {
    /// The use of a container of a workload, as far as it is known.
    fn in_use(&self, target: &Target, container: &str) -> InUse;
}

impl<T: PodUsage + ?Sized> PodUsage for Arc<T> {
    fn in_use(&self, target: &Target, container: &str) -> InUse {
        (**self).in_use(target, container)
    }
}
