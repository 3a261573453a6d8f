//! The highest use of the containers of a workload, over its pods and over time. Pure.

use std::collections::{BTreeMap, VecDeque};

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::hpa::Resources;

use super::answer::Usage;
use super::config::MetricsApiConfig;
use super::measure::Moment;
use super::pods::PodView;
use crate::vertical::{self, HpaUsage};
use crate::{InUse, UsedWithin};

/// Resources that are remembered.
const RESOURCES: [&str; 2] = ["cpu", "memory"];
/// Parts of the window. The oldest goes as a whole, so that what is remembered is up to a twelfth longer than the window.
const PARTS: i32 = 12;
/// Loads that are remembered, evenly over the window.
const LOADS: i32 = 60;
/// Containers of a workload that are remembered.
const MOST: usize = 64;

/// One look at the pods of a workload.
pub(super) struct Look<'a> {
    pub(super) pods: &'a [&'a PodView],
    /// Samples of its namespace; none if they were not answered.
    pub(super) samples: Option<&'a BTreeMap<String, Usage>>,
    pub(super) replicas: Option<u32>,
    pub(super) moment: Moment<'a>,
}

/// Use of one workload.
#[derive(Debug, Default)]
pub(super) struct UseLog {
    /// Names of the containers, in the order of the numbers below.
    containers: Vec<String>,
    parts: VecDeque<Part>,
    /// CPU of all pods together, by the instant of the look.
    loads: VecDeque<(DateTime<Utc>, i64)>,
    /// The last look, unless it found nothing that is known.
    last: Option<Last>,
}

/// A part of the window.
#[derive(Debug)]
struct Part {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    looks: usize,
    /// Most pods that were measured at once.
    pods: usize,
    most: Vec<[Option<i64>; 2]>,
}

#[derive(Debug)]
struct Last {
    replicas: u32,
    ready: u32,
    of_a_pod: Resources,
    of_containers: Vec<(String, Resources)>,
    /// True of what every pod has told.
    is_known: Vec<[bool; 2]>,
}

impl UseLog {
    /// What was used is remembered, and what is used now is not known.
    pub(super) fn lose(&mut self) {
        self.last = None;
    }

    pub(super) fn look(&mut self, look: &Look<'_>) {
        self.last = None;
        let Look { pods, samples: Some(samples), moment, .. } = look else { return };
        let window = TimeDelta::from_std(moment.config.usage_window).unwrap_or(TimeDelta::MAX);
        self.forget(moment.now, window);
        let (mut most, mut measured) = (self.begin(moment.now, window / PARTS), 0);
        let mut missing: Vec<[bool; 2]> = Vec::new();
        let mut sums: BTreeMap<&str, Resources> = BTreeMap::new();
        let (mut ready, mut of_all, mut is_silent) = (0_i64, Resources::new(), false);
        for pod in pods.iter().filter(|pod| pod.is_current()) {
            let sample = samples.get(&pod.pod.name);
            let sample = sample.filter(|sample| pod.created.is_none_or(|created| sample.at >= created));
            let Some(sample) = sample.filter(|sample| moment.is_fresh(sample.at)) else {
                is_silent |= moment.expects(pod);
                continue;
            };
            measured += 1;
            ready += i64::from(pod.serves());
            for (name, used) in sample.containers.iter().take(MOST) {
                let Some(place) = self.place(name) else { continue };
                most.resize(most.len().max(place + 1), [None; 2]);
                missing.resize(missing.len().max(place + 1), [false; 2]);
                for (nth, resource) in RESOURCES.into_iter().enumerate() {
                    let amount = used.get(resource).filter(|amount| *amount >= 0);
                    if let Some(most) = most.get_mut(place).and_then(|of| of.get_mut(nth)) {
                        *most = (*most).max(amount);
                    }
                    if let Some(missing) = missing.get_mut(place).and_then(|of| of.get_mut(nth)) {
                        *missing |= amount.is_none();
                    }
                    if let (true, Some(amount)) = (pod.serves(), used.get(resource)) {
                        let sum = sums.entry(name).or_default();
                        sum.insert(resource, sum.get(resource).unwrap_or(0).saturating_add(amount));
                    }
                }
            }
            for resource in RESOURCES.into_iter().filter(|_| pod.serves()) {
                if let Some(amount) = sample.of(resource) {
                    of_all.insert(resource, of_all.get(resource).unwrap_or(0).saturating_add(amount));
                }
            }
        }
        let now_measured: Vec<[bool; 2]> =
            missing.iter().map(|missing| missing.map(|missing| !missing && !is_silent)).collect();
        if let Some(part) = self.parts.back_mut() {
            (part.most, part.pods) = (most, part.pods.max(measured));
        }
        if let Some(load) = of_all.get("cpu") {
            self.take_load(moment.now, load, window / LOADS);
        }
        if ready == 0 {
            return;
        }
        let mean = |sum: &Resources| -> Resources {
            RESOURCES.into_iter().filter_map(|name| Some((name.to_owned(), sum.get(name)? / ready))).collect()
        };
        let count = |pods: usize| u32::try_from(pods).unwrap_or(u32::MAX);
        let serving = count(pods.iter().filter(|pod| pod.serves()).count());
        self.last = Some(Last {
            replicas: look.replicas.unwrap_or(serving),
            ready: serving,
            of_a_pod: mean(&of_all),
            of_containers: sums.into_iter().map(|(name, sum)| (name.to_owned(), mean(&sum))).collect(),
            is_known: now_measured,
        });
    }

    /// The use of a container as it is known.
    pub(super) fn in_use(&self, container: &str, config: &MetricsApiConfig) -> InUse {
        let Some(last) = &self.last else { return InUse::default() };
        let hpa = HpaUsage {
            replicas: last.replicas,
            ready: last.ready,
            of_a_pod: last.of_a_pod.clone(),
            of_containers: last.of_containers.clone(),
            load_permille: self.load_permille(config),
        };
        let Some(place) = self.containers.iter().position(|name| name == container) else {
            return InUse { hpa, ..InUse::default() };
        };
        let most = |nth: usize| {
            let known = last.is_known.get(place).and_then(|known| known.get(nth)).copied().unwrap_or(false);
            let most = self.parts.iter().filter_map(|part| *part.most.get(place)?.get(nth)?).max();
            most.filter(|_| known).and_then(|most| u64::try_from(most).ok())
        };
        let usage = vertical::Usage {
            cpu_millicores: most(0),
            memory_bytes: most(1).map(|thousandths| thousandths.div_ceil(1000)),
        };
        let seen = self.parts.front().zip(self.parts.back()).map(|(first, last)| UsedWithin {
            from: first.from,
            to: last.to,
            looks: self.parts.iter().map(|part| part.looks).sum(),
            pods: self.parts.iter().map(|part| part.pods).max().unwrap_or(0),
        });
        InUse { container: usage, hpa, seen, ..InUse::default() }
    }

    /// Leaves out what is older than the window, and what is later than now: the clock was ahead then.
    fn forget(&mut self, now: DateTime<Utc>, window: TimeDelta) {
        let is_old = |at: DateTime<Utc>| now.signed_duration_since(at) > window;
        self.parts.retain(|part| !is_old(part.to) && part.from <= now);
        self.loads.retain(|(at, _)| !is_old(*at) && *at <= now);
    }

    /// Begins a look, in a new part of the window if the last one is over, and takes out what is the most of this part.
    fn begin(&mut self, now: DateTime<Utc>, length: TimeDelta) -> Vec<[Option<i64>; 2]> {
        let is_over = |part: &Part| now.signed_duration_since(part.from) >= length;
        if self.parts.back().is_none_or(is_over) {
            self.parts.push_back(Part { from: now, to: now, looks: 0, pods: 0, most: Vec::new() });
        }
        let Some(part) = self.parts.back_mut() else { return Vec::new() };
        (part.to, part.looks) = (part.to.max(now), part.looks + 1);
        std::mem::take(&mut part.most)
    }

    /// Place of a container among the numbers.
    fn place(&mut self, name: &str) -> Option<usize> {
        let known = self.containers.iter().position(|known| known == name);
        known.or_else(|| {
            let room = self.containers.len() < MOST;
            room.then(|| self.containers.push(name.to_owned()))?;
            Some(self.containers.len() - 1)
        })
    }

    fn take_load(&mut self, now: DateTime<Utc>, load: i64, apart: TimeDelta) {
        // The newest is the present one, and those before it are as far apart as they are remembered.
        let before = self.loads.len().checked_sub(2).and_then(|place| self.loads.get(place)).map(|(at, _)| *at);
        if before.is_some_and(|before| now.signed_duration_since(before) < apart) {
            self.loads.pop_back();
        }
        self.loads.push_back((now, load));
    }

    /// The loads of the window, one for each sync, in thousandths of the present one.
    fn load_permille(&self, config: &MetricsApiConfig) -> Vec<u32> {
        let (Some((first, _)), Some((last, present))) = (self.loads.front(), self.loads.back()) else {
            return Vec::new();
        };
        let period =
            TimeDelta::from_std(config.controller.sync_period).unwrap_or(TimeDelta::MAX).max(TimeDelta::seconds(1));
        if *present <= 0 {
            return Vec::new();
        }
        let (mut syncs, mut at, mut place) = (Vec::new(), *first, 0);
        while at < *last && syncs.len() < 1000 {
            while self.loads.get(place + 1).is_some_and(|(next, _)| *next <= at) {
                place += 1;
            }
            let load = self.loads.get(place).map_or(*present, |(_, load)| *load);
            let permille = i128::from(load) * 1000 / i128::from(*present);
            syncs.push(u32::try_from(permille).unwrap_or(u32::MAX));
            at = at.checked_add_signed(period).unwrap_or(*last);
        }
        syncs.push(1000);
        syncs
    }
}
