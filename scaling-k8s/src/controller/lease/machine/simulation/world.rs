//! The simulated world. Its time is in milliseconds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::{Duration, Instant};

use super::super::{Action, Answer, Event, Key, Machine, Seen, Standing, Write};
use crate::controller::lease::settings::LeaseSettings;

pub(super) type Millis = u64;

/// Fault that happens at an instant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// A replica ends without a word, and a new process begins.
    Kill(usize),
    /// A replica hands over and ends, and a new process begins.
    Stop(usize),
    /// A replica does nothing for a while.
    Halt(usize, Millis),
    /// A replica's wall clock jumps.
    Jump(usize, i64),
    /// A replica's requests are lost for a while.
    Cut(usize, Millis),
    /// Somebody deletes a shard's Lease.
    Delete(u32),
    /// Somebody removes the holder from a shard's Lease.
    Clear(u32),
    /// Somebody removes the label from a shard's Lease, until it is written again.
    Hide(u32),
}

#[derive(Debug)]
struct Object {
    version: u64,
    standing: Standing,
    /// Of the wall clock of its writer, coarse: clocks that jump write the same time again.
    renewed: i64,
    is_listed: bool,
}

#[derive(Debug)]
enum Happening {
    Wake { process: usize, turn: u64 },
    Arrive { process: usize, request: u64, action: Action, stamp: i64, answer_after: Option<Millis> },
    Answer { process: usize, request: u64, event: Event },
}

struct Process {
    machine: Machine,
    settings: LeaseSettings,
    /// Index of the replica that it is a process of.
    replica: usize,
    is_alive: bool,
    is_stopped: bool,
    offset: Millis,
    /// Thousandths of true time.
    rate: u64,
    wall: i64,
    halted_until: Millis,
    cut_until: Millis,
    turn: u64,
    open: BTreeSet<u64>,
}

pub(super) struct World {
    base: Instant,
    pub(super) now: Millis,
    objects: BTreeMap<Key, Object>,
    versions: u64,
    processes: Vec<Process>,
    queue: BinaryHeap<Reverse<(Millis, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    next_id: u64,
    random: u64,
    /// True while requests are lost and late.
    pub(super) is_rough: bool,
    /// Changes of what is surely held.
    pub(super) last_change: Millis,
    held: BTreeMap<(u32, u32), usize>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            base: Instant::now(),
            now: 0,
            objects: BTreeMap::new(),
            versions: 0,
            processes: Vec::new(),
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            next_id: 0,
            random: seed | 1,
            is_rough: true,
            last_change: 0,
            held: BTreeMap::new(),
        }
    }

    /// Xorshift: enough for delays.
    pub(super) fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % below.max(1)
    }

    pub(super) fn start(&mut self, replica: usize, shards: u32) {
        let settings = LeaseSettings::new("fleet", "default", &format!("r{replica}-{}", self.processes.len()));
        let settings = settings.unwrap().shards(shards).unwrap();
        let (offset, rate) = (self.random(1_000_000), 970 + self.random(61));
        let clock = Duration::from_millis(offset + self.now * rate / 1000);
        let machine = Machine::new(&settings, self.base + clock);
        let process = self.processes.len();
        self.processes.push(Process {
            machine,
            settings,
            replica,
            is_alive: true,
            is_stopped: false,
            offset,
            rate,
            wall: 0,
            halted_until: 0,
            cut_until: 0,
            turn: 0,
            open: BTreeSet::new(),
        });
        self.put(self.now, Happening::Wake { process, turn: 0 });
    }

    fn put(&mut self, at: Millis, happening: Happening) {
        self.next_id += 1;
        self.happenings.insert(self.next_id, happening);
        self.queue.push(Reverse((at, self.next_id)));
    }

    fn clock(&self, process: usize) -> Instant {
        let process = &self.processes[process];
        self.base + Duration::from_millis(process.offset + self.now * process.rate / 1000)
    }

    /// The true time of an instant of a process's clock, not sooner.
    fn true_time(&self, process: usize, at: Instant) -> Millis {
        let process = &self.processes[process];
        let own = u64::try_from(at.duration_since(self.base).as_micros()).unwrap().div_ceil(1000);
        (own.saturating_sub(process.offset) * 1000).div_ceil(process.rate)
    }

    pub(super) fn running(&self, replica: usize) -> Option<usize> {
        self.processes.iter().position(|process| process.replica == replica && process.is_alive && !process.is_stopped)
    }

    pub(super) fn suffer(&mut self, fault: Fault) {
        let process = |world: &Self, replica| world.running(replica);
        match fault {
            Fault::Kill(replica) => {
                let Some(process) = process(self, replica) else { return };
                self.processes[process].is_alive = false;
                self.start(replica, self.processes[process].settings.shards);
            }
            Fault::Stop(replica) => {
                let Some(process) = process(self, replica) else { return };
                self.stop(process);
                self.start(replica, self.processes[process].settings.shards);
            }
            Fault::Halt(replica, millis) => {
                if let Some(process) = process(self, replica) {
                    self.processes[process].halted_until = self.now + millis;
                }
            }
            Fault::Jump(replica, millis) => {
                if let Some(process) = process(self, replica) {
                    self.processes[process].wall += millis;
                }
            }
            Fault::Cut(replica, millis) => {
                if let Some(process) = process(self, replica) {
                    self.processes[process].cut_until = self.now + millis;
                }
            }
            Fault::Delete(shard) => {
                self.objects.remove(&Key::Shard(shard));
            }
            Fault::Hide(shard) => {
                self.versions += 1;
                let version = self.versions;
                if let Some(object) = self.objects.get_mut(&Key::Shard(shard)) {
                    (object.is_listed, object.version) = (false, version);
                }
            }
            Fault::Clear(shard) => {
                self.versions += 1;
                let version = self.versions;
                if let Some(object) = self.objects.get_mut(&Key::Shard(shard))
                    && let Standing::Held { holder, .. } = &mut object.standing
                {
                    (*holder, object.version) = (None, version);
                }
            }
        }
    }

    pub(super) fn stop(&mut self, process: usize) {
        self.processes[process].is_stopped = true;
        self.processes[process].machine.stop();
        self.step(process);
    }

    pub(super) fn kill(&mut self, process: usize) {
        self.processes[process].is_alive = false;
    }

    pub(super) fn is_done(&self, process: usize) -> bool {
        self.processes[process].machine.is_done()
    }

    /// Lets everything happen until an instant; checks the law after each step.
    pub(super) fn run_until(&mut self, end: Millis) {
        while let Some(Reverse((at, id))) = self.queue.peek().copied().filter(|Reverse((at, _))| *at <= end) {
            self.queue.pop();
            self.now = at;
            let happening = self.happenings.remove(&id).unwrap();
            self.happen(happening);
            self.check();
        }
        self.now = end;
        self.check();
    }

    fn happen(&mut self, happening: Happening) {
        let process = match &happening {
            Happening::Arrive { process, request, action, stamp, answer_after } => {
                let event = self.serve(*process, action, *stamp);
                if let Some(after) = answer_after {
                    let answer = Happening::Answer { process: *process, request: *request, event };
                    self.put(self.now + after, answer);
                }
                return;
            }
            Happening::Wake { process, .. } | Happening::Answer { process, .. } => *process,
        };
        if !self.processes[process].is_alive {
            return;
        }
        let halted_until = self.processes[process].halted_until;
        if self.now < halted_until {
            // What comes meanwhile is found when it goes on.
            self.put(halted_until, happening);
            return;
        }
        match happening {
            Happening::Wake { turn, .. } if turn != self.processes[process].turn => return,
            Happening::Answer { request, event, .. } => {
                // The first of answer and timeout counts.
                if !self.processes[process].open.remove(&request) {
                    return;
                }
                let clock = self.clock(process);
                self.processes[process].machine.on(clock, event);
            }
            _ => {}
        }
        self.step(process);
    }

    fn step(&mut self, process: usize) {
        let clock = self.clock(process);
        for action in self.processes[process].machine.next(clock) {
            self.send(process, action);
        }
        let at = self.processes[process].machine.wake(clock);
        assert!(at > clock, "a replica that wakes without a pause");
        let at = self.true_time(process, at).max(self.now + 1);
        self.processes[process].turn += 1;
        let turn = self.processes[process].turn;
        self.put(at, Happening::Wake { process, turn });
    }

    fn send(&mut self, process: usize, action: Action) {
        self.next_id += 1;
        let request = self.next_id;
        self.processes[process].open.insert(request);
        let failed = match &action {
            Action::Drain(shard) => {
                let after = self.random(6000);
                let event = Event::Drained(*shard);
                self.put(self.now + after, Happening::Answer { process, request, event });
                return;
            }
            Action::List => Event::Listed(None),
            Action::Read(key) => Event::Unread(*key),
            Action::Write { key, .. } => Event::Wrote(*key, Answer::Unknown),
        };
        let timeout = u64::try_from(self.processes[process].settings.timing.request().as_millis()).unwrap();
        self.put(self.now + timeout, Happening::Answer { process, request, event: failed });
        let is_cut = self.now < self.processes[process].cut_until;
        let late = if self.is_rough && self.random(10) == 0 { 20_000 } else { 40 };
        let (there, back) = (1 + self.random(late), 1 + self.random(late));
        let is_lost = is_cut || (self.is_rough && self.random(20) == 0);
        let answer_after = (!(self.is_rough && self.random(20) == 0)).then_some(back);
        // Coarse, so that a clock that was set back may write the same again.
        let stamp = (i64::try_from(self.now).unwrap() + self.processes[process].wall) / 500;
        if !is_lost {
            self.put(self.now + there, Happening::Arrive { process, request, action, stamp, answer_after });
        }
    }

    fn seen(&self, key: Key) -> Option<Seen> {
        let object = self.objects.get(&key)?;
        Some(Seen { key, version: object.version.to_string(), standing: object.standing.clone() })
    }

    /// The API server.
    fn serve(&mut self, process: usize, action: &Action, stamp: i64) -> Event {
        match action {
            Action::List => {
                let listed = self.objects.iter().filter(|(_, object)| object.is_listed);
                Event::Listed(Some(listed.filter_map(|(key, _)| self.seen(*key)).collect()))
            }
            Action::Read(key) => Event::Read(*key, self.seen(*key)),
            Action::Drain(shard) => Event::Drained(*shard),
            Action::Write { key, version, write } => {
                let there = self.objects.get(key).map(|object| object.version.to_string());
                if there != *version {
                    return Event::Wrote(*key, Answer::Conflict);
                }
                let settings = &self.processes[process].settings;
                let standing = match write {
                    Write::Release => Standing::Free,
                    Write::Place => Standing::Held { holder: None, shards: None, duration: settings.timing.duration() },
                    Write::Claim | Write::Renew => Standing::Held {
                        holder: Some(settings.identity.clone()),
                        shards: Some(settings.shards),
                        duration: settings.timing.duration(),
                    },
                };
                // The same object again is no new version.
                let is_same = self.objects.get(key).is_some_and(|old| old.standing == standing && old.renewed == stamp);
                if !is_same {
                    self.versions += 1;
                    self.objects
                        .insert(*key, Object { version: self.versions, standing, renewed: stamp, is_listed: true });
                }
                Event::Wrote(*key, self.seen(*key).map_or(Answer::Conflict, Answer::Stored))
            }
        }
    }

    /// What is surely held now: division and shard, and by which process.
    pub(super) fn held(&self) -> BTreeMap<(u32, u32), usize> {
        let mut held = BTreeMap::new();
        for (process, state) in self.processes.iter().enumerate().filter(|(_, state)| state.is_alive) {
            for (shard, ..) in state.machine.held(self.clock(process)) {
                let other = held.insert((state.settings.shards, shard), process);
                assert_eq!(other, None, "two holders of shard {shard} at {} ms: {process} and {other:?}", self.now);
            }
        }
        held
    }

    fn check(&mut self) {
        let held = self.held();
        let divisions: BTreeSet<u32> = held.keys().map(|(shards, _)| *shards).collect();
        assert!(divisions.len() <= 1, "two divisions of the fleet at {} ms: {held:?}", self.now);
        if held != self.held {
            (self.held, self.last_change) = (held, self.now);
        }
    }
}
