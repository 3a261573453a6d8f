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
mod jitter;
mod members;
mod report;
mod round;
mod stop;
mod timetable;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

pub use cadence::Cadence;
pub use clock::{Clock, SimulatedClock, SystemClock};
pub use files::{BadLine, Entries, Entry, RecordFiles, Rotation, entries};
pub use members::Member;
pub use report::{LoopReport, Ticked};
pub use stop::Stop;

use crate::autoscaler::Autoscaler;
use crate::target::Target;
use backoff::Backoff;
use jitter::Jitter;
use members::Members;
use round::{Batch, Fleet, batch_due};
use timetable::{Due, Timetable};

/// Share of the interval that a tick may take, so that the next one is not late.
const DEADLINE_SHARE: f64 = 0.9;
/// Share of the deadline that the source may take. The rest is left for floors that are held without it.
const SOURCE_SHARE: f64 = 0.5;
/// Kubernetes kills a pod 30 s after it asked it to end.
const GRACE: Duration = Duration::from_secs(20);
const SIDE_BY_SIDE: usize = 16;
/// Longest that is waited for anything: instants cannot be counted for ever.
const LONGEST: Duration = Duration::from_secs(86_400);
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
/// # Workloads that come and go
/// A list that changes is a function ([`over`](Self::over)), asked at the beginning of each tick. A workload that is no longer in it is
/// forgotten. A large fleet is [spread](Self::batches) over the interval.
///
/// # Panics of parts
/// cost the workload its tick, which its record says ([`Autoscaler::tick`]). A source that panics over all workloads is asked for each alone.
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
    members: Members,
    cadence: Cadence,
    clock: Box<dyn Clock>,
    longest_backoff: TimeDelta,
    batches: u32,
    deadline: Option<Duration>,
    jitter: Option<Jitter>,
    hook: Hook,
}

type Hook = Box<dyn FnMut(&Ticked, &LoopReport) + Send>;

impl fmt::Debug for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop")
            .field("autoscaler", &self.fleet.autoscaler)
            .field("cadence", &self.cadence)
            .finish_non_exhaustive()
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
        let members: Vec<Member> = targets.into_iter().map(Member::new).collect();
        Self::over(autoscaler, cadence, move |_| members.clone())
    }

    /// Creates a loop over workloads that come and go: `members` says which there are at the instant of each tick. It must not block.
    ///
    /// ```
    /// # use scaling_core::{Adoption, Autoscaler, MemoryApplier, MemorySource, RuleBasedEngine, Target};
    /// use scaling_core::live::{Cadence, Loop, Member};
    ///
    /// # let autoscaler = Autoscaler::builder()
    /// #     .source(MemorySource::new()).engine(RuleBasedEngine::default()).applier(MemoryApplier::new()).build();
    /// let trial = Target::deployment("shop", "trial");
    /// let opening: scaling_core::chrono::DateTime<scaling_core::chrono::Utc> = "2026-12-01T00:00:00Z".parse()?;
    /// let looped = Loop::over(autoscaler, Cadence::default(), move |now| {
    ///     let adoption = if now < opening { Adoption::Observe } else { Adoption::Full };
    ///     vec![Member::new(trial.clone()).adopted(adoption)]
    /// });
    /// # let _ = looped;
    /// # Ok::<(), scaling_core::chrono::ParseError>(())
    /// ```
    pub fn over(
        autoscaler: impl Into<Arc<Autoscaler>>,
        cadence: Cadence,
        members: impl FnMut(DateTime<Utc>) -> Vec<Member> + Send + 'static,
    ) -> Self {
        let fleet = Fleet {
            autoscaler: autoscaler.into(),
            joining_as_changed: false,
            deadline: Duration::ZERO,
            grace: GRACE,
            side_by_side: SIDE_BY_SIDE,
            each_within: None,
            elsewhere: Box::new(|_| false),
        };
        let (clock, hook): (_, Hook) = (Box::new(SystemClock), Box::new(|_, _| {}));
        let members = Box::new(members);
        Self {
            fleet,
            members,
            cadence,
            clock,
            longest_backoff: LONGEST_BACKOFF,
            batches: 1,
            deadline: None,
            jitter: None,
            hook,
        }
    }

    /// Sets the clock. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Spreads the workloads over the interval, in so many batches: each workload is always in the same, by a hash of its names, and each
    /// batch has its own instants, alike far from each other. The source is asked for a batch at once. Fewer than asked for, where they would
    /// come less than a second after each other. Default: one.
    ///
    /// A [deadline](Self::deadline), [what is missed](LoopReport::missed) and a source that is down then go by the batch.
    pub fn batches(mut self, batches: u32) -> Self {
        self.batches = batches;
        self
    }

    /// Begins each tick late, by a random while below `most` that follows from the seed and the instant of the tick: loops with different
    /// seeds do not ask one server at one moment, though they tick for the same instants. Never by more than a tenth of the interval, or of a
    /// batch's part of it, so that a tick with the usual [deadline](Self::deadline) is over before the next. Default: none.
    pub fn jitter(mut self, most: Duration, seed: u64) -> Self {
        self.jitter = Some(Jitter { seed, most });
        self
    }

    /// Counts a workload that joins as one that was changed just then, since another replica may have changed it a moment ago: nothing of
    /// it is lowered until the [cooldown](crate::Cooldown) is over (law 12). Default: what the change log says.
    pub fn joining_as_changed(mut self) -> Self {
        self.fleet.joining_as_changed = true;
        self
    }

    /// Says which workloads that are no longer in the list are ticked by somebody else. They are [handed over](Ticked::handed_over): of them
    /// the signals that they have had are remembered, until they are not there either. Default: none. It must not block.
    pub fn elsewhere(mut self, is: impl Fn(&Target) -> bool + Send + Sync + 'static) -> Self {
        self.fleet.elsewhere = Box::new(is);
        self
    }

    /// Sets the time that a tick may take over all workloads, by the machine's monotonic clock. Default: nine tenths of the
    /// interval, or of a batch's part of it; a day at most. A longer one than the interval makes ticks missed.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline.min(LONGEST));
        self
    }

    /// Sets the time that one workload may take, from its turn on: one that hangs does not hold a place until the deadline. It is cut off
    /// like those at the deadline. Default: none but the deadline.
    pub fn each_within(mut self, time: Duration) -> Self {
        self.fleet.each_within = Some(time);
        self
    }

    /// Sets the time that a tick under way may go on for once the end is asked for. Default: 20 s, since Kubernetes kills after 30; a day at most.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.fleet.grace = grace.min(LONGEST);
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
        let (cadence, parts) = self.cadence.split(self.batches);
        let part = cadence.interval().to_std().unwrap_or_default();
        self.fleet.deadline = self.deadline.unwrap_or_else(|| part.mul_f64(DEADLINE_SHARE));
        let backoff = || Backoff::new(self.cadence.interval(), self.longest_backoff);
        let mut batches: Vec<Batch> = (0..parts).map(|number| Batch::new(number, parts, backoff())).collect();
        let mut timetable = Timetable::new(cadence);
        let jitter = self.jitter.map(|jitter| jitter.within(part));
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
                    if let Some(jitter) = &jitter {
                        tokio::select! {
                            biased;
                            () = stop.requested() => continue,
                            () = self.clock.sleep(jitter.of(at)) => {}
                        }
                    }
                    let number = usize::try_from(cadence.part(at, parts)).unwrap_or(0);
                    let due = batch_due(&mut batches, number, at, self.cadence.interval());
                    let Some(batch) = due else { continue };
                    let tick = self.fleet.tick(at, (self.members)(at), stop, batch).await;
                    report.add(&tick);
                    (self.hook)(&tick, &report);
                }
            }
        }
        report
    }
}
