//! The run of a [`FleetController`]: who is called at each tick, and the end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use scaling_core::Target;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::guard::{BudgetShare, FleetFreeze};
use scaling_core::live::{Clock, Loop, LoopReport, Member, Stop, Ticked};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::build::{FleetController, Hook, Setup};
use super::changes::Changes;
use super::health::Ticks;
use super::notices::Notices;
use super::roster::{Host, Roster, member};
use super::watching::Watching;
use super::{adopting, answers};
use crate::controller::applier::CachedApplier;
use crate::controller::cache::{FleetTarget, HpaCache};
use crate::controller::lease::{Held, ShardLeases, shard_of};
use crate::controller::settings::{SettingError, SettingEvents};
use crate::history::EventSeries;

/// Pause between two answers to the settings of one HPA.
const BETWEEN_ANSWERS: Duration = Duration::from_secs(60);
/// Time that answers under way have at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

impl FleetController {
    /// Ticks until the end is asked for, then ends in order: the tick under way, and the step of giving an HPA back, are finished within the
    /// grace, the records are flushed, and only then are the shards handed over.
    ///
    /// It begins once all HPAs were listed. Nothing that the API server or the source does ends it.
    pub async fn run(self, stop: &Stop) -> LoopReport {
        // Boxed: the future of all that it does is large.
        Box::pin(self.ticking(stop)).await
    }

    async fn ticking(self, stop: &Stop) -> LoopReport {
        if !begins(&self.cache, stop).await {
            return LoopReport::default();
        }
        let Self {
            client,
            cache,
            applier,
            leases,
            autoscaler,
            roster,
            host,
            engines,
            budget,
            freeze,
            ticks,
            adopting,
            watching,
            mut leavers,
            setup,
            ..
        } = self;
        let Setup {
            cadence,
            batches,
            side_by_side,
            each_within,
            clock,
            grace,
            joining_as_changed,
            jitter,
            answers,
            change_events,
            writes,
            hook,
        } = setup;
        let (send, events) = mpsc::channel(answers::WAITING);
        let shards = leases.as_ref().map(|leases| Shards {
            held: leases.held(),
            count: leases.settings().shard_count(),
            budget,
            clock: Arc::clone(&clock),
        });
        let (told, heard) = watch::channel(None);
        let trying = adopting.map(|adopting| {
            let shards = leases
                .as_ref()
                .map(|leases| adopting::Shards { held: leases.held(), count: leases.settings().shard_count() });
            adopting.run(shards, send.clone(), heard, stop.clone())
        });
        let manager = cache.field_manager().to_owned();
        let listed = cache.clone();
        let notices = Notices::new(cache.clone(), writes.then(|| send.clone()));
        leavers.notices = notices.clone();
        let changes =
            change_events.map(|every| Changes::new(cache.clone(), EventSeries::new(&manager, every), send.clone()));
        let mut call = Call {
            cache,
            roster,
            host,
            engines,
            shards,
            mine: HashMap::new(),
            abandoned: HashSet::new(),
            list: Arc::default(),
            members: Vec::new(),
            events: answers.then(|| (SettingEvents::new(&manager, BETWEEN_ANSWERS), send)),
        };
        let mut after = AfterTick { changes, watching, notices, ticks, applier, freeze, told, hook };
        let mut looped = Loop::over(autoscaler, cadence, move |at| call.members(at))
            .clock(clock)
            .batches(batches)
            .side_by_side(side_by_side)
            .each_within(each_within)
            .elsewhere(move |target| is_listed(&listed.targets(), target))
            .after_tick(move |tick, report| after.ticked(tick, report));
        if let Some((most, seed)) = jitter {
            looped = looped.jitter(most, seed);
        }
        if let Some(grace) = grace {
            looped = looped.grace(grace);
        }
        if joining_as_changed {
            looped = looped.joining_as_changed();
        }
        let ended = Stop::new();
        let ticking = async {
            // What is held is needed by both until their end.
            let (report, ()) = tokio::join!(looped.run(stop), leavers.run(stop));
            ended.request();
            report
        };
        let holding = hold(leases, &ended);
        let answering = answer(client, manager, events, &ended);
        let (report, (), (), ()) = tokio::join!(ticking, holding, answering, beside(trying));
        report
    }
}

/// What is told of a tick once it is over.
struct AfterTick {
    changes: Option<Changes>,
    watching: Option<Watching>,
    notices: Notices,
    ticks: Ticks,
    applier: CachedApplier,
    freeze: FleetFreeze,
    told: watch::Sender<Option<DateTime<Utc>>>,
    hook: Hook,
}

impl AfterTick {
    fn ticked(&mut self, tick: &Ticked, report: &LoopReport) {
        let is_empty = tick.records.is_empty() && tick.unrecorded.is_empty() && tick.cut_off.is_empty();
        if let Some(changes) = &mut self.changes {
            changes.ticked(tick);
        }
        if let Some(watching) = &self.watching {
            watching.ticked(tick, &self.notices);
        }
        self.notices.tell_due(tick.at);
        self.ticks.ticked(tick.at, (!is_empty).then_some(tick.answered));
        for other in &tick.handed_over {
            self.applier.forget(other);
            self.freeze.hand_over(other);
        }
        for gone in &tick.left {
            self.applier.forget(gone);
            self.freeze.forget(gone);
        }
        self.told.send_replace(Some(tick.at));
        (self.hook)(tick, report);
    }
}

/// Waits until all HPAs were listed; false if the end is asked for before.
async fn begins(cache: &HpaCache, stop: &Stop) -> bool {
    tokio::select! {
        biased;
        () = stop.requested() => false,
        () = cache.ready() => true,
    }
}

/// Writes Events until the end, and for a while longer those that wait.
async fn answer(client: Client, manager: String, events: mpsc::Receiver<Value>, ended: &Stop) {
    let last = async {
        ended.requested().await;
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        () = answers::write(client, manager, events) => {}
        () = last => {}
    }
}

/// Tries stages of adoption in a task of its own, which no tick waits for. It ends with the set.
async fn beside(trying: Option<impl Future<Output = ()> + Send + 'static>) {
    let mut task = JoinSet::new();
    trying.map(|trying| task.spawn(trying));
    if let Some(Err(error)) = task.join_next().await {
        tracing::error!(%error, "stages of adoption are not tried any more");
    }
}

async fn hold(leases: Option<ShardLeases>, ended: &Stop) {
    let Some(leases) = leases else { return };
    // A task of its own, that a tick does not keep from renewing. It ends with the set.
    let (mut task, ended) = (JoinSet::new(), ended.clone());
    task.spawn(async move { leases.run(ended.requested()).await });
    if let Some(Err(error)) = task.join_next().await {
        tracing::error!(%error, "the leases are not renewed any more");
    }
}

/// Whether it is in a list of targets, which is in their order.
fn is_listed(list: &[Arc<FleetTarget>], target: &Target) -> bool {
    list.binary_search_by(|listed| listed.target.cmp(target)).is_ok()
}

/// Shards, and since when each is held without a break. Without Leases there is no such instant.
type Mine = HashMap<u32, Option<Instant>>;

/// The shards of this replica.
struct Shards {
    held: watch::Receiver<Held>,
    count: u32,
    budget: Option<BudgetShare>,
    clock: Arc<dyn Clock>,
}

impl Shards {
    /// Those that are surely held now. Their part of the removal budget goes with them, and begins anew where one was lost in between.
    fn now(&self, before: &Mine) -> Mine {
        let (now, held) = (Instant::now(), self.held.borrow());
        let sure = held.shards.iter().filter(|(shard, _)| held.is_sure(**shard, now));
        let mine: Mine = sure.map(|(shard, hold)| (*shard, Some(hold.tenure))).collect();
        drop(held);
        if let Some(budget) = &self.budget {
            let kept = mine.iter().filter(|(shard, tenure)| before.get(shard) == Some(tenure));
            budget.hold(kept.map(|(shard, _)| *shard), self.clock.now());
            budget.hold(mine.keys().copied(), self.clock.now());
        }
        mine
    }
}

/// Who is ticked. What follows from the list of targets is worked out once for each list.
struct Call {
    cache: HpaCache,
    roster: Roster,
    host: Host,
    engines: Vec<String>,
    /// Without Leases there is one shard, and it is this process's.
    shards: Option<Shards>,
    mine: Mine,
    /// Those that were told of.
    abandoned: HashSet<Target>,
    list: Arc<[Arc<FleetTarget>]>,
    /// All targets of the list, and their shards.
    members: Vec<(u32, Member)>,
    events: Option<(SettingEvents, mpsc::Sender<Value>)>,
}

impl Call {
    fn members(&mut self, at: DateTime<Utc>) -> Vec<Member> {
        let mine = self.shards.as_ref().map_or_else(|| HashMap::from([(0, None)]), |shards| shards.now(&self.mine));
        let list = self.cache.targets();
        // Who has taken over a shard answers for its targets.
        let takes_over = mine.iter().any(|(shard, tenure)| self.mine.get(shard) != Some(tenure));
        self.mine = mine;
        if takes_over || !Arc::ptr_eq(&list, &self.list) {
            self.renew(list);
        }
        self.answer(at);
        let called = self.members.iter().filter_map(|(shard, member)| {
            let member = member.clone();
            Some(match self.mine.get(shard)? {
                Some(tenure) => member.held_since(*tenure),
                None => member,
            })
        });
        called.collect()
    }

    fn renew(&mut self, list: Arc<[Arc<FleetTarget>]>) {
        self.roster.set(&list);
        let count = self.shards.as_ref().map_or(1, |shards| shards.count);
        let knows = |name: &str| {
            if self.engines.iter().any(|engine| engine == name) {
                return Ok(());
            }
            let must = "the name of an engine that the controller has";
            Err(SettingError::Value { key: "engine", value: name.to_owned(), must })
        };
        self.members = list
            .iter()
            .map(|listed| {
                let (member, settings) = member(listed, &self.host, knows);
                let shard = shard_of(&listed.target, count);
                if let Some((events, _)) = &mut self.events
                    && self.mine.contains_key(&shard)
                {
                    events.note(&listed.target, listed.uid.as_deref(), settings.as_ref());
                }
                (shard, member)
            })
            .collect();
        if let Some((events, _)) = &mut self.events {
            let present: HashSet<&Target> = list.iter().map(|listed| &listed.target).collect();
            let gone = self.list.iter().filter(|listed| !present.contains(&listed.target));
            gone.for_each(|listed| events.forget(&listed.target));
        }
        self.list = list;
        self.say_abandoned();
    }

    /// HPAs that are targets no more keep our bounds until they are released, which nobody does unasked.
    fn say_abandoned(&mut self) {
        let abandoned: HashSet<Target> = self.cache.abandoned().into_iter().collect();
        for target in abandoned.difference(&self.abandoned) {
            tracing::warn!(target_workload = %target, "no target any more, and its HPA has bounds of ours until it is released");
        }
        self.abandoned = abandoned;
    }

    /// Gives the answers that are due, as many as may wait to be written: the others come with the next ticks.
    fn answer(&mut self, at: DateTime<Utc>) {
        let Some((events, send)) = &mut self.events else { return };
        for event in events.due(at, send.capacity()) {
            if let Err(error) = send.try_send(event) {
                let message = error.into_inner().pointer("/message").map(Value::to_string);
                tracing::warn!(?message, "an Event about settings was not written: too many wait");
            }
        }
    }
}
