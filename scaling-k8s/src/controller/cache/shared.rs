//! The world as far as it was heard of, shared by the watch that writes it and all that read.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use scaling_core::Target;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::entry::{Entry, FleetTarget};
use super::health::{CacheHealth, Unread};
use super::object::Object;
use super::version::Version;
use crate::history::cut;
use crate::resting::Memory;

/// Longest text of a failure that is kept, in bytes.
const MAX_FAULT: usize = 400;

/// HPAs that have departed and are kept, at most.
const MOST_DEPARTED: usize = 20_000;

/// By namespace and name: looked up without making a key.
type Hpas = HashMap<Box<str>, HashMap<Box<str>, Entry>>;

#[derive(Debug)]
pub(super) struct Shared {
    manager: String,
    cluster: Option<String>,
    /// True if a selector says which HPAs are watched: one that is not told of any more may be there still.
    selected: bool,
    pub(super) stale_after: Duration,
    /// Short locks, never held over an await.
    world: RwLock<World>,
    /// Counts what was heard: whoever waits for something looks again.
    progress: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct World {
    hpas: Hpas,
    /// Everything up to here has been seen.
    version: Version,
    /// The world was like this at that instant, or later. None before the first list.
    heard: Option<Instant>,
    last_fault: Option<Arc<str>>,
    /// HPAs with bounds of ours that a selector does not select any more, or that were deleted.
    departed: BTreeSet<Target>,
    /// None if it has to be made anew.
    targets: Option<Arc<[Arc<FleetTarget>]>>,
    lists: u64,
    watches: u64,
    events: u64,
    faults: u64,
}

impl Shared {
    pub(super) fn new(manager: String, cluster: Option<String>, stale_after: Duration) -> Self {
        Self {
            manager,
            cluster,
            selected: false,
            stale_after,
            world: RwLock::default(),
            progress: watch::Sender::new(0),
        }
    }

    pub(super) fn selected(self, selected: bool) -> Self {
        Self { selected, ..self }
    }

    pub(super) fn manager(&self) -> &str {
        &self.manager
    }

    /// Waits until something holds.
    pub(super) async fn wait(&self, holds: impl Fn(&Self) -> bool) {
        let mut progress = self.progress.subscribe();
        loop {
            progress.mark_unchanged();
            // The sender is ours, so it does not end.
            if holds(self) || progress.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) fn is_filled(&self) -> bool {
        self.read().heard.is_some()
    }

    pub(super) fn has_seen(&self, version: &Version) -> bool {
        let world = self.read();
        let mut entries = world.hpas.values().flat_map(HashMap::values);
        world.version.reaches(version) || (!version.is_number() && entries.any(|entry| entry.version.reaches(version)))
    }

    /// The reason why nothing is told, if there is one.
    pub(super) fn fresh(&self) -> Result<(), Unread> {
        self.read().fresh(self.stale_after)
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Result<Option<Entry>, Unread> {
        let world = self.read();
        world.fresh(self.stale_after)?;
        Ok(world.hpas.get(namespace).and_then(|hpas| hpas.get(name)).cloned())
    }

    pub(super) fn others_of(&self, target: &Target) -> Option<Vec<Value>> {
        let world = self.read();
        world.fresh(self.stale_after).ok()?;
        let is_other = |entry: &&Entry| {
            let known = &entry.known.target;
            (&known.kind, &known.name) == (&target.kind, &target.name) && known.hpa != target.hpa
        };
        let hpas = world.hpas.get(&*target.namespace).into_iter().flat_map(HashMap::values);
        Some(hpas.filter(is_other).map(Entry::json).collect())
    }

    pub(super) fn targets(&self) -> Arc<[Arc<FleetTarget>]> {
        if let Some(targets) = &self.read().targets {
            return Arc::clone(targets);
        }
        let mut world = self.write();
        let World { hpas, targets, .. } = &mut *world;
        let list = || {
            let entries = hpas.values().flat_map(HashMap::values);
            let mut all: Vec<Arc<FleetTarget>> = entries.filter_map(|entry| entry.known.listed.clone()).collect();
            all.sort_unstable_by(|one, other| one.target.cmp(&other.target));
            all.into()
        };
        Arc::clone(targets.get_or_insert_with(list))
    }

    /// The HPAs with bounds of ours that are no targets; only those that were, or all of them.
    pub(super) fn abandoned(&self, were_targets: bool) -> Vec<Target> {
        let world = self.read();
        let entries = world.hpas.values().flat_map(HashMap::values);
        let left = entries.filter(|Entry { known, was_target, .. }| {
            known.listed.is_none() && is_ours(&known.memory) && (*was_target || !were_targets)
        });
        let mut targets: Vec<Target> = left.map(|entry| entry.known.target.clone()).collect();
        targets.sort_unstable();
        targets
    }

    /// The HPAs with a stage of ours that tells nothing any more, with their identities.
    pub(super) fn outdated_stages(&self) -> Vec<(Target, String)> {
        let world = self.read();
        let entries = world.hpas.values().flat_map(HashMap::values).filter(|entry| entry.known.outdated);
        let mut outdated: Vec<_> =
            entries.filter_map(|entry| Some((entry.known.target.clone(), entry.uid()?.to_owned()))).collect();
        outdated.sort_unstable();
        outdated
    }

    pub(super) fn departed(&self) -> Vec<Target> {
        self.read().departed.iter().cloned().collect()
    }

    pub(super) fn forget_departed(&self, target: &Target) {
        self.write().departed.remove(target);
    }

    pub(super) fn health(&self) -> CacheHealth {
        let targets = self.targets();
        let world = self.read();
        CacheHealth {
            ready: world.fresh(self.stale_after).is_ok(),
            age: world.heard.map(|heard| heard.elapsed()),
            hpas: world.hpas.values().map(HashMap::len).sum(),
            targets: targets.len(),
            faulty: targets.iter().filter(|target| target.settings.is_err()).count(),
            lists: world.lists,
            watches: world.watches,
            events: world.events,
            faults: world.faults,
            last_fault: world.last_fault.clone(),
        }
    }

    /// The version to watch from; none if everything has to be listed anew.
    pub(super) fn resume(&self) -> Option<String> {
        let world = self.read();
        world.fresh(self.stale_after).ok().and_then(|()| world.version.text().map(str::to_owned))
    }

    /// A whole list, as it was at some instant after `began`.
    pub(super) fn replace(&self, objects: Vec<Object>, version: Version, began: Instant) {
        let mut world = self.write();
        let mut hpas = Hpas::new();
        for object in objects {
            let (namespace, name) = key(&object);
            let before = world.hpas.get(&*namespace).and_then(|hpas| hpas.get(&*name));
            let entry = self.entry(object, before);
            hpas.entry(namespace).or_default().insert(name, entry);
        }
        let before = std::mem::replace(&mut world.hpas, hpas);
        let World { hpas, departed, .. } = &mut *world;
        for (namespace, name, entry) in
            before.iter().flat_map(|(space, hpas)| hpas.iter().map(move |(name, entry)| (space, name, entry)))
        {
            if hpas.get(namespace).is_none_or(|hpas| !hpas.contains_key(name)) {
                self.depart(departed, entry);
            }
        }
        departed.retain(|target| hpas.get(&*target.namespace).is_none_or(|hpas| !hpas.contains_key(&*target.hpa)));
        world.version = version;
        world.targets = None;
        world.lists += 1;
        world.heard_at(began);
        drop(world);
        self.progressed();
    }

    /// An HPA was made or changed.
    pub(super) fn put(&self, object: Object, version: Version) {
        let mut world = self.write();
        let (namespace, name) = key(&object);
        if !world.departed.is_empty() {
            world.departed.retain(|target| *target.namespace != *namespace || *target.hpa != *name);
        }
        let hpas = world.hpas.entry(namespace).or_default();
        let before = hpas.get(&name);
        if before.is_none_or(|before| !version.is_before(&before.version)) {
            let entry = self.entry(object, before);
            let same = before.is_some_and(|before| before.known.listed == entry.known.listed);
            let listed = entry.known.listed.is_some();
            let was_listed = before.is_some_and(|before| before.known.listed.is_some());
            hpas.insert(name, entry);
            if !same && (listed || was_listed) {
                world.targets = None;
            }
        }
        self.seen(world, version);
    }

    /// An HPA was deleted.
    pub(super) fn remove(&self, object: &Object, version: Version) {
        let mut world = self.write();
        let (namespace, name) = key(object);
        let known = world.hpas.get_mut(&namespace).and_then(|hpas| {
            // One that was made anew since is another one.
            let is_newer = hpas.get(&name).is_some_and(|entry| version.is_before(&entry.version));
            if is_newer { None } else { hpas.remove(&name) }
        });
        if world.hpas.get(&namespace).is_some_and(HashMap::is_empty) {
            world.hpas.remove(&namespace);
        }
        if let Some(entry) = known {
            if entry.known.listed.is_some() {
                world.targets = None;
            }
            self.depart(&mut world.departed, &entry);
        }
        self.seen(world, version);
    }

    /// Nothing else has changed up to this version.
    pub(super) fn bookmark(&self, version: Version) {
        let mut world = self.write();
        world.advance(version);
        world.heard_at(Instant::now());
        drop(world);
        self.progressed();
    }

    /// A watch was accepted, and what is missing comes with it: a sign of life if what came before it has `told` something, since one that is
    /// accepted and says nothing may go on so for ever. False if it took too long: what is missing may be much, and the world is old until
    /// it has come.
    pub(super) fn watched(&self, told: bool) -> bool {
        let mut world = self.write();
        world.watches += 1;
        let fresh = world.fresh(self.stale_after).is_ok();
        if fresh && told {
            world.heard_at(Instant::now());
        }
        fresh
    }

    pub(super) fn failed(&self, fault: &str) {
        let mut world = self.write();
        world.faults += 1;
        world.last_fault = Some(cut(fault, MAX_FAULT).into());
    }

    fn seen(&self, mut world: RwLockWriteGuard<'_, World>, version: Version) {
        world.events += 1;
        world.advance(version);
        world.heard_at(Instant::now());
        drop(world);
        self.progressed();
    }

    /// An HPA is told of no more. Without a selector it was deleted.
    fn depart(&self, departed: &mut BTreeSet<Target>, entry: &Entry) {
        if self.selected && entry.was_target && is_ours(&entry.known.memory) && departed.len() < MOST_DEPARTED {
            departed.insert(entry.known.target.clone());
        }
    }

    fn entry(&self, object: Object, before: Option<&Entry>) -> Entry {
        Entry::new(object, &self.manager, self.cluster.as_deref(), before)
    }

    fn progressed(&self) {
        self.progress.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn read(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, World> {
        self.world.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    fn fresh(&self, limit: Duration) -> Result<(), Unread> {
        let last_fault = || self.last_fault.clone();
        let Some(heard) = self.heard else { return Err(Unread::NotListed { last_fault: last_fault() }) };
        let age = heard.elapsed();
        if age > limit { Err(Unread::Stale { age, limit, last_fault: last_fault() }) } else { Ok(()) }
    }

    fn heard_at(&mut self, instant: Instant) {
        self.heard = self.heard.max(Some(instant));
        self.last_fault = None;
    }

    fn advance(&mut self, version: Version) {
        if !version.is_before(&self.version) {
            self.version = version;
        }
    }
}

/// Returns true if the bounds that are there are ours, or some of them.
fn is_ours(memory: &Memory) -> bool {
    matches!(memory, Memory::Kept | Memory::OwnerChanged { .. })
}

fn key(object: &Object) -> (Box<str>, Box<str>) {
    (object.metadata.namespace.as_str().into(), object.metadata.name.as_str().into())
}
