//! The run of a [`FleetController`]: who is called at each tick, and the end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use scaling_core::Target;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::guard::BudgetShare;
use scaling_core::live::{Clock, Loop, LoopReport, Member, Stop};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::answers;
use super::build::{FleetController, Setup};
use super::roster::{Host, Roster, member};
use crate::controller::cache::{FleetTarget, HpaCache};
use crate::controller::lease::{Held, ShardLeases, shard_of};
use crate::controller::settings::{SettingError, SettingEvents};

/// Pause between two answers to the settings of one HPA.
const BETWEEN_ANSWERS: Duration = Duration::from_secs(60);
/// Time that answers under way have at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

impl FleetController {
    /// Ticks until the end is asked for, then ends in order: the tick under way is finished within the grace, the records are flushed, and
    /// only then are the shards handed over.
    ///
    /// It begins once all HPAs were listed. Nothing that the API server or the source does ends it.
    pub async fn run(self, stop: &Stop) -> LoopReport {
        let begins = tokio::select! {
            biased;
            () = stop.requested() => false,
            () = self.cache.ready() => true,
        };
        if !begins {
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
            setup,
            ..
        } = self;
        let Setup { cadence, batches, side_by_side, each_within, clock, grace, joining_as_changed, answers, mut hook } =
            setup;
        let (send, events) = mpsc::channel(answers::WAITING);
        let shards = leases.as_ref().map(|leases| Shards {
            held: leases.held(),
            count: leases.settings().shard_count(),
            budget,
            clock: Arc::clone(&clock),
        });
        let manager = cache.field_manager().to_owned();
        let mut call = Call {
            cache,
            roster,
            host,
            engines,
            shards,
            mine: HashSet::new(),
            list: Arc::default(),
            members: Vec::new(),
            events: answers.then(|| (SettingEvents::new(&manager, BETWEEN_ANSWERS), send)),
        };
        let mut looped = Loop::over(autoscaler, cadence, move |at| call.members(at))
            .clock(clock)
            .batches(batches)
            .side_by_side(side_by_side)
            .each_within(each_within)
            .after_tick(move |tick, report| {
                ticks.ticked(tick.at, tick.answered);
                for gone in &tick.left {
                    applier.forget(gone);
                    freeze.forget(gone);
                }
                hook(tick, report);
            });
        if let Some(grace) = grace {
            looped = looped.grace(grace);
        }
        if joining_as_changed {
            looped = looped.joining_as_changed();
        }
        let ended = Stop::new();
        let ticking = async {
            let report = looped.run(stop).await;
            ended.request();
            report
        };
        let holding = hold(leases, &ended);
        let answering = async {
            let last = async {
                ended.requested().await;
                tokio::time::sleep(LAST_ANSWERS).await;
            };
            tokio::select! {
                () = answers::write(client, manager, events) => {}
                () = last => {}
            }
        };
        let (report, (), ()) = tokio::join!(ticking, holding, answering);
        report
    }
}

async fn hold(leases: Option<ShardLeases>, ended: &Stop) {
    if let Some(leases) = leases {
        leases.run(ended.requested()).await;
    }
}

/// The shards of this replica.
struct Shards {
    held: watch::Receiver<Held>,
    count: u32,
    budget: Option<BudgetShare>,
    clock: Arc<dyn Clock>,
}

impl Shards {
    /// Those that are surely held now. Their part of the removal budget goes with them.
    fn now(&self) -> HashSet<u32> {
        let (now, held) = (Instant::now(), self.held.borrow());
        let mine: HashSet<u32> = held.shards.keys().copied().filter(|shard| held.is_sure(*shard, now)).collect();
        drop(held);
        if let Some(budget) = &self.budget {
            budget.hold(mine.iter().copied(), self.clock.now());
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
    mine: HashSet<u32>,
    list: Arc<[Arc<FleetTarget>]>,
    /// All targets of the list, and their shards.
    members: Vec<(u32, Member)>,
    events: Option<(SettingEvents, mpsc::Sender<Value>)>,
}

impl Call {
    fn members(&mut self, at: DateTime<Utc>) -> Vec<Member> {
        let mine = self.shards.as_ref().map_or_else(|| HashSet::from([0]), Shards::now);
        let list = self.cache.targets();
        // Who has taken over a shard answers for its targets.
        let takes_over = !mine.is_subset(&self.mine);
        self.mine = mine;
        if takes_over || !Arc::ptr_eq(&list, &self.list) {
            self.renew(list, at);
        }
        self.answer_late(at);
        self.members.iter().filter(|(shard, _)| self.mine.contains(shard)).map(|(_, member)| member.clone()).collect()
    }

    fn renew(&mut self, list: Arc<[Arc<FleetTarget>]>, at: DateTime<Utc>) {
        self.roster.set(&list);
        let count = self.shards.as_ref().map_or(1, |shards| shards.count);
        let knows = |name: &str| {
            if self.engines.iter().any(|engine| engine == name) {
                return Ok(());
            }
            let must = "the name of an engine that the controller has";
            Err(SettingError::Value { key: "engine", value: name.to_owned(), must })
        };
        let mut told = Vec::new();
        self.members = list
            .iter()
            .map(|listed| {
                let (member, settings) = member(listed, &self.host, knows);
                let shard = shard_of(&listed.target, count);
                if let Some((events, _)) = &mut self.events
                    && self.mine.contains(&shard)
                {
                    told.extend(events.take(&listed.target, listed.uid.as_deref(), settings.as_ref(), at));
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
        self.send(told);
    }

    /// Answers that were held back.
    fn answer_late(&mut self, at: DateTime<Utc>) {
        let due = self.events.as_mut().map(|(events, _)| events.due(at));
        self.send(due.unwrap_or_default());
    }

    fn send(&self, told: Vec<Value>) {
        let Some((_, send)) = &self.events else { return };
        for event in told {
            if let Err(error) = send.try_send(event) {
                let message = error.into_inner().pointer("/message").map(Value::to_string);
                tracing::warn!(?message, "an Event about settings was not written: too many wait");
            }
        }
    }
}
