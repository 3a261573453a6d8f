//! The state machine over the API server: [`ShardLeases`].

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio::sync::{OwnedRwLockReadGuard, RwLock, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::fenced::Fenced;
use super::held::{Held, Hold};
use super::machine::{Action, Answer, Event, Key, Machine, Seen, Standing, Write};
use super::object;
use super::settings::LeaseSettings;
use crate::ClientFault;

/// The Leases of the shards of a fleet, and this replica's part in them.
///
/// Needs the verbs `get`, `list`, `create` and `patch` on `leases` of `coordination.k8s.io` in the namespace of the settings.
///
/// Load, by the default times: each replica lists the Leases of its group each 2 s, and patches each shard that it holds, and its member
/// Lease, each 4 s.
#[derive(Debug)]
pub struct ShardLeases {
    group: Group,
    held: watch::Sender<Held>,
    gates: Gates,
}

impl ShardLeases {
    /// Creates a replica that holds nothing yet, and asks for nothing until it [runs](Self::run).
    pub fn new(client: Client, settings: LeaseSettings) -> Self {
        let gates = Gates::new(settings.shards);
        let api = Api::namespaced(client, &settings.namespace);
        Self { group: Group { api, settings: Arc::new(settings) }, held: watch::Sender::default(), gates }
    }

    /// Returns the shards that are held, as they change.
    pub fn held(&self) -> watch::Receiver<Held> {
        self.held.subscribe()
    }

    /// Wraps an applier: it writes only for targets whose shard is surely held.
    pub fn fence<A>(&self, applier: A) -> Fenced<A> {
        Fenced::new(applier, self.group.settings.shards, self.held(), self.gates.clone())
    }

    /// Returns the settings.
    pub fn settings(&self) -> &LeaseSettings {
        &self.group.settings
    }

    /// Takes part until `stop` is ready, then hands everything over: once the writes under way have ended, each Lease is cleared, and the
    /// next replica takes it at its next look. Returns when that is done, or could not be done before the Leases have lapsed anyway.
    ///
    /// A failure of the API server ends nothing: it is tried again, and [`Held::trouble`] says so. A future that is dropped hands nothing
    /// over; its shards are taken when the Leases have expired.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut machine = Machine::new(&self.group.settings, Instant::now().into_std());
        let mut under_way: FuturesUnordered<BoxFuture<'static, Told>> = FuturesUnordered::new();
        let mut stop = pin!(stop);
        let mut stopped: Option<Instant> = None;
        let mut transitions = BTreeMap::new();
        let mut trouble = Trouble::default();
        loop {
            let now = Instant::now();
            let actions = machine.next(now.into_std());
            // Before anything goes out: what is about to be given up must be known to be.
            self.publish(&machine, now, trouble.said());
            for action in actions {
                under_way.push(self.carry_out(action, &transitions));
            }
            let has_lapsed = stopped.is_some_and(|at| at + self.group.settings.timing.renew_deadline() <= now);
            if machine.is_done() || has_lapsed {
                break;
            }
            tokio::select! {
                biased;
                () = &mut stop, if stopped.is_none() => {
                    stopped = Some(Instant::now());
                    machine.stop();
                }
                Some(told) = under_way.next() => {
                    if let Some(failure) = told.failure {
                        trouble.take(failure, now);
                    }
                    transitions.extend(told.transitions);
                    machine.on(Instant::now().into_std(), told.event);
                }
                () = sleep_until(Instant::from_std(machine.wake(now.into_std()))) => {}
            }
        }
        self.held.send_replace(Held { trouble: trouble.said().cloned(), ..Held::default() });
    }

    fn publish(&self, machine: &Machine, now: Instant, trouble: Option<&String>) {
        let of = |(shard, until, tenure, yielding)| {
            (shard, Hold { until: Instant::from_std(until), tenure: Instant::from_std(tenure), yielding })
        };
        let held = Held { shards: machine.held(now.into_std()).map(of).collect(), trouble: trouble.cloned() };
        self.held.send_if_modified(|old| {
            let is_new = *old != held;
            if !old.shards.keys().eq(held.shards.keys()) {
                tracing::info!(shards = ?held.shards.keys().collect::<Vec<_>>(), "shards that this replica holds");
            }
            if old.trouble != held.trouble
                && let Some(why) = &held.trouble
            {
                tracing::warn!(%why, "the leases cannot be read or written");
            }
            *old = held;
            is_new
        });
    }

    fn carry_out(&self, action: Action, transitions: &BTreeMap<Key, i32>) -> BoxFuture<'static, Told> {
        let group = self.group.clone();
        match action {
            Action::List => Box::pin(async move { group.list().await }),
            Action::Read(key) => Box::pin(async move { group.read(key).await }),
            Action::Write { key, version, write } => {
                let next = transitions.get(&key).copied().unwrap_or(0).saturating_add(1);
                Box::pin(async move { group.write(key, version.as_deref(), write, next).await })
            }
            Action::Drain(shard) => {
                let gates = self.gates.clone();
                Box::pin(async move {
                    gates.drain(shard).await;
                    Told { event: Event::Drained(shard), transitions: Vec::new(), failure: None }
                })
            }
        }
    }
}

/// Answer to an action, and what the driver keeps of it.
struct Told {
    event: Event,
    /// Number of times that Leases changed hands.
    transitions: Vec<(Key, i32)>,
    /// None if nothing was asked.
    failure: Option<Failure>,
}

/// What is wrong, if anything is.
struct Failure {
    of_write: bool,
    said: Option<String>,
}

/// Time for which the failure of a write is told, if no other one succeeds: one that holds nothing writes nothing.
const TOLD: Duration = Duration::from_secs(120);

/// Troubles that last. A list that succeeds says nothing about a write that was refused: in a namespace that is missing, lists are empty.
#[derive(Default)]
struct Trouble {
    look: Option<String>,
    write: Option<(Instant, String)>,
}

impl Trouble {
    fn take(&mut self, failure: Failure, now: Instant) {
        if failure.of_write {
            self.write = failure.said.map(|said| (now, said));
        } else {
            self.look = failure.said;
            self.write.take_if(|(since, _)| TOLD <= now.duration_since(*since));
        }
    }

    fn said(&self) -> Option<&String> {
        self.look.as_ref().or(self.write.as_ref().map(|(_, said)| said))
    }
}

/// The Leases as the API server has them.
#[derive(Clone, Debug)]
struct Group {
    api: Api<Lease>,
    settings: Arc<LeaseSettings>,
}

impl Group {
    async fn list(&self) -> Told {
        let params = ListParams::default().labels(&format!("{}={}", object::GROUP, self.settings.prefix));
        let answer = self.within(self.api.list(&params)).await;
        let failure = failure("list leases", false, &answer);
        let found = answer.ok().map(|list| list.items).map(|all| self.known(&all));
        let (seen, transitions) = found.map_or((None, Vec::new()), |(seen, transitions)| (Some(seen), transitions));
        Told { event: Event::Listed(seen), transitions, failure: Some(failure) }
    }

    async fn read(&self, key: Key) -> Told {
        let name = object::name(&self.settings, key);
        let answer = self.within(self.api.get_opt(&name)).await;
        let failure = failure(&format!("read lease {name}"), false, &answer);
        let Ok(found) = answer else {
            return Told { event: Event::Unread(key), transitions: Vec::new(), failure: Some(failure) };
        };
        let (mut seen, transitions) = self.known(found.as_slice());
        Told { event: Event::Read(key, seen.pop()), transitions, failure: Some(failure) }
    }

    async fn write(&self, key: Key, version: Option<&str>, write: Write, transitions: i32) -> Told {
        let name = object::name(&self.settings, key);
        let body = object::body(&self.settings, key, version, write, transitions, Timestamp::now());
        let manager = Some("kube-scaling".to_owned());
        let patch = PatchParams { field_manager: manager.clone(), ..PatchParams::default() };
        let post = PostParams { field_manager: manager, ..PostParams::default() };
        let answer = if version.is_some() {
            self.within(self.api.patch(&name, &patch, &Patch::Merge(&body))).await
        } else {
            match serde_json::from_value(body) {
                Ok(lease) => self.within(self.api.create(&post, &lease)).await,
                Err(error) => Err(Failed::Api(kube::Error::SerdeError(error))),
            }
        };
        let mut failure = failure(&format!("write lease {name}"), true, &answer);
        if version.is_none() && matches!(&answer, Err(Failed::Api(kube::Error::Api(status))) if status.code == 404) {
            let namespace = &self.settings.namespace;
            failure.said = Some(format!(
                "no Lease can be created, as there is no namespace {namespace:?}: create it, or name another"
            ));
        }
        let (answer, transitions) = match answer {
            Ok(lease) => {
                let (mut seen, transitions) = self.known(std::slice::from_ref(&lease));
                (seen.pop().map_or(Answer::Unknown, |seen| self.stored(seen, write)), transitions)
            }
            Err(Failed::Api(kube::Error::Api(status))) => match status.code {
                404 if version.is_some() => (Answer::Conflict, Vec::new()),
                409 => (Answer::Conflict, Vec::new()),
                // 404 of a create: there is no such namespace.
                400..=405 | 422 | 429 => (Answer::Refused, Vec::new()),
                _ => (Answer::Unknown, Vec::new()),
            },
            Err(_) => (Answer::Unknown, Vec::new()),
        };
        // A conflict is no trouble, but how it is decided who holds what.
        let failure = (answer != Answer::Conflict).then_some(failure);
        Told { event: Event::Wrote(key, answer), transitions, failure }
    }

    /// An admission webhook may have stored something else than was sent.
    fn stored(&self, seen: Seen, write: Write) -> Answer {
        let holder = match &seen.standing {
            Standing::Held { holder, .. } => holder.as_deref(),
            Standing::Free => None,
        };
        let is_ours = holder == Some(self.settings.identity.as_str());
        if is_ours == matches!(write, Write::Claim | Write::Renew) { Answer::Stored(seen) } else { Answer::Conflict }
    }

    fn known(&self, leases: &[Lease]) -> (Vec<Seen>, Vec<(Key, i32)>) {
        let of = |lease: &Lease| {
            let seen = object::seen(&self.settings, lease)?;
            let transitions = lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0);
            let counted = (seen.key, transitions);
            Some((seen, counted))
        };
        leases.iter().filter_map(of).unzip()
    }

    async fn within<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, Failed> {
        timeout(self.settings.timing.request(), request).await.map_err(|_| Failed::Late)?.map_err(Failed::Api)
    }
}

#[derive(Debug)]
enum Failed {
    Late,
    Api(kube::Error),
}

fn failure<T>(what: &str, of_write: bool, answer: &Result<T, Failed>) -> Failure {
    let said = match answer {
        Ok(_) => None,
        Err(Failed::Late) => Some(format!("{what}: no answer in time")),
        Err(Failed::Api(error)) => Some(format!("{what}: {}", ClientFault::explain(error))),
    };
    Failure { of_write, said }
}

/// Passed by each write for a shard, and closed before the shard is handed over.
#[derive(Clone, Debug)]
pub(super) struct Gates(Arc<[Arc<RwLock<()>>]>);

impl Gates {
    fn new(shards: u32) -> Self {
        Self((0..shards).map(|_| Arc::default()).collect())
    }

    /// None if the shard is being drained.
    pub(super) fn pass(&self, shard: u32) -> Option<OwnedRwLockReadGuard<()>> {
        let gate = self.0.get(usize::try_from(shard).ok()?)?;
        Arc::clone(gate).try_read_owned().ok()
    }

    async fn drain(&self, shard: u32) {
        if let Some(gate) = usize::try_from(shard).ok().and_then(|shard| self.0.get(shard)) {
            drop(gate.write().await);
        }
    }
}
