//! The task of the trials, beside the ticks: [`Adopting`].

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::live::Stop;
use scaling_core::moment::Moment;
use scaling_core::{
    Adoption, ApplyMode, BoundsPolicy, ConfidenceGate, Cooldown, HardLimits, MetricsSource, Price, RemovalBudget,
    StepLimit, Target,
};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::event::AdoptionEvents;
use super::prepare::{Asking, Case};
use super::report::{AdoptionHealth, AdoptionReport, AdoptionStep, StageTrial, Untried};
use super::round::{self, Share};
use super::schedule::Schedule;
use super::{AdoptionTrials, Recipe, rules};
use crate::KubeHpaApplier;
use crate::controller::cache::{FleetTarget, HpaCache};
use crate::controller::lease::{Held, shard_of};
use crate::controller::settings::Settings;
use crate::stage::ReachedStage;

/// What the controller has for all targets, where their settings say nothing else.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Terms {
    pub(in super::super) limits: HardLimits,
    pub(in super::super) policy: BoundsPolicy,
    pub(in super::super) cooldown: Cooldown,
    pub(in super::super) steps: StepLimit,
    pub(in super::super) confidence: ConfidenceGate,
    pub(in super::super) budget: RemovalBudget,
    pub(in super::super) price: Option<Price>,
    pub(in super::super) interval: Duration,
    pub(in super::super) mode: ApplyMode,
}

/// The shards of this replica.
pub(in super::super) struct Shards {
    pub(in super::super) held: watch::Receiver<Held>,
    pub(in super::super) count: u32,
}

impl Shards {
    /// Tenure of the shard of a target; none if it is not surely held.
    fn tenure(&self, target: &Target) -> Option<Instant> {
        let (shard, held) = (shard_of(target, self.count), self.held.borrow());
        if held.is_sure(shard, Instant::now()) { held.shards.get(&shard).map(|hold| hold.tenure) } else { None }
    }
}

/// Parts of the task.
pub(in super::super) struct Adopting {
    pub(in super::super) trials: AdoptionTrials,
    pub(in super::super) terms: Terms,
    pub(in super::super) source: Arc<dyn MetricsSource>,
    pub(in super::super) cache: HpaCache,
    pub(in super::super) applier: KubeHpaApplier,
    pub(in super::super) health: Arc<Mutex<AdoptionHealth>>,
}

impl Adopting {
    /// Tries target after target until the end is asked for, or the ticks end: `ticks` says for which instant the last one was. What is under way
    /// at the end is dropped, and nothing is lost with it.
    pub(in super::super) async fn run(
        self,
        shards: Option<Shards>,
        events: mpsc::Sender<Value>,
        ticks: watch::Receiver<Option<DateTime<Utc>>>,
        stop: Stop,
    ) {
        let schedule = Schedule::new(self.trials.every);
        let told = AdoptionEvents::new(self.cache.field_manager());
        let mut work = Work { parts: self, shards, schedule, owned: Owned::default(), sweep: None, told, events };
        tokio::select! {
            biased;
            () = stop.requested() => {}
            () = work.go_on(ticks) => {}
        }
    }
}

/// Shards whose trials are ours, or all of them without Leases: their tenures, and when they were taken.
#[derive(Default)]
struct Owned(HashMap<Option<u32>, (Option<Instant>, Moment)>);

impl Owned {
    /// Notes that one is held at an instant.
    fn look(&mut self, shard: Option<u32>, tenure: Option<Instant>, at: DateTime<Utc>) {
        let (held, taken) = self.0.entry(shard).or_insert((tenure, Moment::new(at)));
        if *held == tenure {
            taken.look(at);
        } else {
            (*held, *taken) = (tenure, Moment::new(at));
        }
    }

    /// Instant at which one was taken.
    fn since(&self, shard: Option<u32>) -> Option<DateTime<Utc>> {
        self.0.get(&shard).map(|(_, taken)| taken.instant())
    }
}

struct Work {
    parts: Adopting,
    shards: Option<Shards>,
    schedule: Schedule,
    owned: Owned,
    /// Instant at which a stage could not be taken away, which is tried again later.
    sweep: Option<Moment>,
    told: AdoptionEvents,
    events: mpsc::Sender<Value>,
}

impl Work {
    async fn go_on(&mut self, mut ticks: watch::Receiver<Option<DateTime<Utc>>>) {
        while ticks.changed().await.is_ok() {
            // A trial may last for many ticks, and what is due is looked for anew.
            loop {
                let Some(at) = *ticks.borrow_and_update() else { break };
                let list = self.parts.cache.targets();
                let failed = self.sweep.as_mut().map(|failed| failed.look(at));
                if self.schedule.renew(&list) || failed.is_some_and(|failed| self.schedule.later(failed) <= at) {
                    self.sweep(at).await;
                }
                self.hold(at);
                let Some(listed) = self.schedule.next(at, |target| self.since(target)) else { break };
                self.schedule.tried(&listed.target, at);
                self.try_one(&listed, at).await;
            }
        }
    }

    /// Notes which shards were taken over.
    fn hold(&mut self, at: DateTime<Utc>) {
        let Some(shards) = &self.shards else {
            self.owned.look(None, None, at);
            return;
        };
        let (now, held) = (Instant::now(), shards.held.borrow());
        for (shard, hold) in held.shards.iter().filter(|(shard, _)| held.is_sure(**shard, now)) {
            self.owned.look(Some(*shard), Some(hold.tenure), at);
        }
    }

    /// From when on the trials of a target are ours; none if it is not.
    fn since(&self, target: &Target) -> Option<DateTime<Utc>> {
        let shard = match &self.shards {
            Some(shards) => Some(shards.tenure(target).map(|_| shard_of(target, shards.count))?),
            None => None,
        };
        self.owned.since(shard).map(|taken| self.schedule.owed_since(taken))
    }

    fn is_ours(&self, target: &Target) -> bool {
        self.shards.as_ref().is_none_or(|shards| shards.tenure(target).is_some())
    }

    /// Takes away the stages that tell nothing any more.
    async fn sweep(&mut self, at: DateTime<Utc>) {
        self.sweep = None;
        if self.parts.terms.mode != ApplyMode::Apply {
            return;
        }
        for (target, uid) in self.parts.cache.outdated_stages() {
            if !self.is_ours(&target) {
                continue;
            }
            if let Err(error) = self.parts.applier.keep_stage(&target, &uid, None).await {
                tracing::warn!(target_workload = %target, %error, "a stage of its adoption that tells nothing any more could not be taken away");
                self.sweep = Some(Moment::new(at));
            }
        }
    }

    async fn try_one(&mut self, listed: &Arc<FleetTarget>, at: DateTime<Utc>) {
        let Ok(settings) = &listed.settings else { return };
        let pairs = rules::pairs(listed);
        if pairs.is_empty() {
            return;
        }
        let in_force = listed.stage();
        if let Err(why) = &listed.reached {
            tracing::warn!(target_workload = %listed.target, %why, "the stage of its adoption at its HPA tells nothing: it begins anew");
        }
        let mut share = Share { of_a_core: self.parts.trials.cpu_share, busy: Duration::ZERO };
        let trials = match self.case(listed, settings, at).await {
            Ok(case) => {
                let (trial, price) = (self.parts.trials.trial, self.parts.terms.price);
                round::trials(&Arc::new(case), pairs, in_force, &trial, price, &mut share).await
            }
            Err(why) => Err(why),
        };
        {
            let mut health = self.parts.health.lock().unwrap_or_else(PoisonError::into_inner);
            health.busy = health.busy.saturating_add(share.busy);
        }
        if !self.is_still(listed) {
            self.count(|health| health.overtaken += 1);
            return;
        }
        let report = self.report(listed, settings, trials, at).await;
        self.tell(listed, &report);
    }

    /// Asks for what is replayed. A part of the host that panics over it costs this trial alone.
    async fn case(&mut self, listed: &FleetTarget, settings: &Settings, at: DateTime<Utc>) -> Result<Case, Untried> {
        let parts = &self.parts;
        let asking = Asking {
            target: listed.target.clone(),
            settings: settings.clone(),
            recipe: self.recipe(settings)?,
            terms: parts.terms,
            source: Arc::clone(&parts.source),
            past: parts.trials.past.clone(),
            span: parts.trials.span,
            applier: parts.applier.clone(),
        };
        // It ends with the set.
        let mut task = JoinSet::new();
        task.spawn(asking.case(at));
        match task.join_next().await {
            Some(case) => case.map_err(round::panicked)?,
            None => Err(Untried::Panicked { why: "nothing was asked".to_owned() }),
        }
    }

    fn recipe(&self, settings: &Settings) -> Result<Recipe, Untried> {
        let trials = &self.parts.trials;
        match settings.engine.as_deref() {
            None => Ok(Arc::clone(&trials.first)),
            Some(name) => trials.named.get(name).cloned().ok_or_else(|| Untried::NoRecipe { engine: name.to_owned() }),
        }
    }

    /// Whether a target is what it was when its trial began, and ours.
    fn is_still(&self, listed: &Arc<FleetTarget>) -> bool {
        let list = self.parts.cache.targets();
        let place = list.binary_search_by(|other| other.target.cmp(&listed.target));
        let now = place.ok().and_then(|place| list.get(place));
        now.is_some_and(|now| now == listed) && self.is_ours(&listed.target)
    }

    async fn report(
        &mut self,
        listed: &FleetTarget,
        settings: &Settings,
        trials: Result<Vec<StageTrial>, Untried>,
        at: DateTime<Utc>,
    ) -> AdoptionReport {
        let (in_force, promotion) = (listed.stage(), settings.promotion);
        let step = trials.as_ref().map_or(AdoptionStep::Stay, |trials| rules::step(in_force, promotion, trials));
        let not_kept = match step {
            AdoptionStep::Promote(stage) | AdoptionStep::StepBack(stage) => {
                self.keep(listed, settings, stage, at).await.err()
            }
            AdoptionStep::Stay | AdoptionStep::Advise(_) => None,
        };
        let (not_kept, may_be_kept) = not_kept.map_or((None, false), |(why, may_be)| (Some(why), may_be));
        AdoptionReport { target: listed.target.clone(), at, in_force, promotion, trials, step, not_kept, may_be_kept }
    }

    /// Keeps a stage at the HPA, from where the next tick has it. An error says why not, and whether it may have been kept all the same.
    async fn keep(
        &mut self,
        listed: &FleetTarget,
        settings: &Settings,
        stage: Adoption,
        at: DateTime<Utc>,
    ) -> Result<(), (String, bool)> {
        if self.parts.terms.mode != ApplyMode::Apply {
            return Err((format!("nothing is written in mode {}", self.parts.terms.mode), false));
        }
        let uid = listed.uid.as_deref().ok_or(("the HPA has no uid".to_owned(), false))?;
        let begins = Adoption::from(settings.mode);
        let engine = settings.engine.as_deref().map(str::to_owned);
        let reached = ReachedStage { stage, begins, engine, since: at, uid: Some(uid.to_owned()) };
        // At the stage to begin with there is nothing to be kept.
        let reached = (stage > begins).then_some(&reached);
        let kept = self.parts.applier.keep_stage(&listed.target, uid, reached).await;
        kept.map_err(|error| (error.to_string(), error.may_have_happened()))
    }

    fn tell(&mut self, listed: &FleetTarget, report: &AdoptionReport) {
        self.count(|health| health.take(report));
        if self.parts.trials.events
            && self.parts.terms.mode == ApplyMode::Apply
            && let Some(event) = self.told.take(report, listed.uid.as_deref())
            && let Err(error) = self.events.try_send(event)
        {
            let message = error.into_inner().pointer("/message").map(Value::to_string);
            tracing::warn!(?message, "an Event about an adoption was not written: too many wait");
        }
        let hook = AssertUnwindSafe(|| (self.parts.trials.hook)(report));
        if catch_unwind(hook).is_err() {
            self.count(|health| health.panics += 1);
            tracing::error!(target_workload = %listed.target, "what is called after the report of a trial has panicked");
        }
    }

    fn count(&self, change: impl FnOnce(&mut AdoptionHealth)) {
        change(&mut self.parts.health.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use scaling_core::chrono::TimeDelta;

    use super::*;

    const EVERY: Duration = Duration::from_secs(86_400);

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
    }

    fn fleet(targets: usize) -> Arc<[Arc<FleetTarget>]> {
        let target = |nth| Target::deployment("shop", format!("web-{nth}"));
        let listed =
            |nth| FleetTarget { target: target(nth), uid: None, settings: Ok(Settings::default()), reached: Ok(None) };
        (0..targets).map(|nth| Arc::new(listed(nth))).collect()
    }

    /// Trials that are due by the clock at each of these looks.
    fn trials(schedule: &mut Schedule, owned: &mut Owned, looks: impl Iterator<Item = DateTime<Utc>>) -> usize {
        let mut made = 0;
        for look in looks {
            owned.look(None, None, look);
            let since = owned.since(None).map(|taken| schedule.owed_since(taken));
            while let Some(listed) = schedule.next(look, |_| since) {
                schedule.tried(&listed.target, look);
                made += 1;
            }
        }
        made
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_clock_that_is_wrong_for_a_look_at_the_beginning_holds_no_trial_back(jump in -3000_i64..3000) {
            let (mut schedule, mut owned) = (Schedule::new(EVERY), Owned::default());
            schedule.renew(&fleet(60));
            owned.look(None, None, at(jump));
            let made = trials(&mut schedule, &mut owned, (0..=1440).map(at));
            prop_assert!(made >= 60, "{made} within a day");
        }
    }

    #[test]
    fn another_tenure_begins_anew_and_the_same_one_stands() {
        let (mut owned, first) = (Owned::default(), Instant::now());
        let second = first + Duration::from_secs(1);
        for (tenure, minute, since) in
            [(first, 0, 0), (first, 9, 0), (second, 20, 20), (second, 5, 5), (second, 21, 20)]
        {
            owned.look(Some(3), Some(tenure), at(minute));
            assert_eq!(owned.since(Some(3)), Some(at(since)));
        }
        assert_eq!(owned.since(Some(4)), None);
    }
}
