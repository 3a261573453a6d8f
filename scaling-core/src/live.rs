//! Ticking by the clock until told to stop: [`Loop`].
//!
//! [`Autoscaler::tick_all`] is one step. What is left to a program that runs for months is here: [aligned](Cadence) ticks, missed
//! ones, ticks that hang, a source that is down, an end that loses nothing, and an [account](LoopReport) of all that. The time is a
//! [`Clock`]'s, so that a test runs a month in seconds.
//!
//! [`RecordFiles`] keeps records in files that rotate, from which a restart takes its cooldowns and floors.

mod backoff;
mod cadence;
mod clock;
mod files;
mod report;
mod round;
mod stop;
mod timetable;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

pub use cadence::Cadence;
pub use clock::{Clock, SimulatedClock, SystemClock};
pub use files::{BadLine, Entries, Entry, RecordFiles, Rotation, entries};
pub use report::{LoopReport, Ticked};
pub use stop::Stop;

use crate::autoscaler::Autoscaler;
use crate::target::Target;
use backoff::Backoff;
use round::Fleet;
use timetable::{Due, Timetable};

/// Share of the interval that a tick may take, so that the next one is not late.
const DEADLINE_SHARE: f64 = 0.9;
/// Share of the deadline that the source may take. The rest is left for floors that are held without it.
const SOURCE_SHARE: f64 = 0.5;
/// Kubernetes kills a pod 30 s after it asked it to end.
const GRACE: Duration = Duration::from_secs(20);
const SIDE_BY_SIDE: usize = 16;
const LONGEST_BACKOFF: TimeDelta = TimeDelta::minutes(2);

/// Runs an [`Autoscaler`] over a list of workloads at the instants of a [`Cadence`].
///
/// # A tick
/// The source is asked for all workloads at once; then each is decided on and carried out, some side by side. A source that has not
/// answered within half of the deadline counts as failed, so that floors that are due are held all the same (law 2). One that gives
/// what it has at a deadline of its own is given a shorter one ([`Cadence::source_deadline`]), or one slow query loses all answers.
/// Workloads that are not done at the deadline are cut off: their records say at what step, and a write that was under way counts as done until a
/// read says otherwise (law 12). The next tick begins with them.
///
/// # A source that is down
/// is asked after one interval, then two, then four, up to [`longest_backoff`](Self::longest_backoff). The ticks go on meanwhile
/// and hold the floors. A source is down if it fails for every workload; one that has nothing has answered.
///
/// # The clock
/// Missed ticks are skipped and counted; the newest is run late. A clock that is set back is followed.
///
/// ```
/// use scaling_core::chrono::{DateTime, TimeDelta};
/// use scaling_core::live::{Cadence, Loop, SimulatedClock, Stop};
/// use scaling_core::{Autoscaler, Bounds, MemoryApplier, MemorySource, RuleBasedEngine, ScalingMetrics, Target};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let target = Target::deployment("shop", "checkout");
/// let (source, start) = (MemorySource::new(), DateTime::from_timestamp(1_700_000_040, 0).unwrap());
/// source.advance(&target, ScalingMetrics::new(start, 3), start)?;
/// let autoscaler = Autoscaler::builder()
///     .source(source)
///     .engine(RuleBasedEngine::default())
///     .applier(MemoryApplier::new().with(target.clone(), Bounds::new(2, 6)?))
///     .build();
///
/// let stop = Stop::new();
/// let (mut ticks, enough) = (0, stop.clone());
/// let report = Loop::new(autoscaler, [target], Cadence::default())
///     .clock(SimulatedClock::at(start)) // the machine's own by default
///     .after_tick(move |tick, _| {
///         ticks += 1;
///         if ticks == 60 {
///             assert_eq!(tick.at, start + TimeDelta::minutes(59));
///             enough.request();
///         }
///     })
///     .run(&stop)
///     .await;
/// assert_eq!((report.ticks, report.records, report.missed), (60, 60, 0));
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is ticked before `run`"]
pub struct Loop {
    fleet: Fleet,
    cadence: Cadence,
    clock: Box<dyn Clock>,
    longest_backoff: TimeDelta,
    hook: Hook,
}

type Hook = Box<dyn FnMut(&Ticked, &LoopReport) + Send>;

impl fmt::Debug for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop").field("fleet", &self.fleet).field("cadence", &self.cadence).finish_non_exhaustive()
    }
}

impl Loop {
    /// Creates a loop by the machine's clock. A workload that is named twice is ticked once, since two ticks of one must not run side
    /// by side.
    pub fn new(
        autoscaler: impl Into<Arc<Autoscaler>>,
        targets: impl IntoIterator<Item = Target>,
        cadence: Cadence,
    ) -> Self {
        let mut seen = std::collections::HashSet::new();
        let targets = targets.into_iter().filter(|target| seen.insert(target.clone())).collect();
        let interval = cadence.interval().to_std().unwrap_or_default();
        let fleet = Fleet {
            autoscaler: autoscaler.into(),
            targets,
            deadline: interval.mul_f64(DEADLINE_SHARE),
            grace: GRACE,
            side_by_side: SIDE_BY_SIDE,
        };
        let clock = Box::new(SystemClock);
        Self { fleet, cadence, clock, longest_backoff: LONGEST_BACKOFF, hook: Box::new(|_, _| {}) }
    }

    /// Sets the clock. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Sets the time that a tick may take over all workloads, by the machine's monotonic clock. Default: nine tenths of the
    /// interval. A longer one than the interval makes ticks missed.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.fleet.deadline = deadline;
        self
    }

    /// Sets the time that a tick under way may go on for once the end is asked for. Default: 20 s, since Kubernetes kills after 30.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.fleet.grace = grace;
        self
    }

    /// Sets how many workloads are decided on and carried out side by side, at least one. Default: 16. With one, a removal budget
    /// goes to the workloads in their order.
    pub fn side_by_side(mut self, workloads: usize) -> Self {
        self.fleet.side_by_side = workloads.max(1);
        self
    }

    /// Sets the longest time for which a source that is down is not asked. Default: two minutes; one interval asks it at every tick.
    pub fn longest_backoff(mut self, longest: Duration) -> Self {
        self.longest_backoff = TimeDelta::from_std(longest).unwrap_or(TimeDelta::MAX);
        self
    }

    /// Sets what is called after each tick, once its records are flushed, with the account so far: for readiness, metrics and what
    /// is to be saved now and then. It holds the loop up for as long as it takes.
    pub fn after_tick(mut self, hook: impl FnMut(&Ticked, &LoopReport) + Send + 'static) -> Self {
        self.hook = Box::new(hook);
        self
    }

    /// Ticks until the end is asked for. A tick under way is finished, within the [grace](Self::grace), and its records are flushed.
    pub async fn run(mut self, stop: &Stop) -> LoopReport {
        let mut report = LoopReport::default();
        let mut timetable = Timetable::new(self.cadence);
        let mut backoff = Backoff::new(self.cadence.interval(), self.longest_backoff);
        while !stop.is_requested() {
            let now = self.clock.now();
            match timetable.look(now) {
                Due::At(next) => tokio::select! {
                    biased;
                    () = stop.requested() => {}
                    () = self.clock.sleep((next - now).to_std().unwrap_or_default()) => {}
                },
                Due::Now { at, missed } => {
                    if missed > 0 {
                        tracing::warn!(missed, %at, "ticks were missed");
                    }
                    report.missed += missed;
                    let tick = self.fleet.tick(at, stop, &mut backoff).await;
                    report.add(&tick);
                    (self.hook)(&tick, &report);
                }
            }
        }
        report
    }
}
