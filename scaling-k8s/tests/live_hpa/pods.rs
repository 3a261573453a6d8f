//! Pods as they were, at each instant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use futures::StreamExt;
use k8s_openapi::api::core::v1 as api;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::hpa::{ConditionStatus, Container, Pod, PodPhase, Quantity, Ready, Resources};

use crate::support::proxy::now;

type Pods = BTreeMap<String, Pod>;
type Histories = BTreeMap<String, Vec<(DateTime<Utc>, Pods)>>;

/// The pods of every namespace, and when each change of them was seen.
#[derive(Clone, Default)]
pub(crate) struct PodHistory(Arc<Mutex<Histories>>);

impl PodHistory {
    /// Watches from now on, until it is aborted.
    pub(crate) fn watch(client: Client) -> (Self, tokio::task::JoinHandle<()>) {
        let this = Self::default();
        let copy = this.clone();
        let task = tokio::spawn(async move {
            let mut events = watcher(Api::<api::Pod>::all(client), watcher::Config::default()).boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(pod) | Event::InitApply(pod)) => copy.change(&pod, |pods, pod| {
                        pods.insert(pod.name.clone(), pod);
                    }),
                    Ok(Event::Delete(pod)) => copy.change(&pod, |pods, pod| {
                        pods.remove(&pod.name);
                    }),
                    Ok(Event::Init | Event::InitDone) | Err(_) => {}
                }
            }
        });
        (this, task)
    }

    fn change(&self, pod: &api::Pod, change: impl FnOnce(&mut Pods, Pod)) {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let mut all = self.0.lock().unwrap();
        let history = all.entry(namespace).or_default();
        let mut pods = history.last().map(|(_, pods)| pods.clone()).unwrap_or_default();
        change(&mut pods, read(pod));
        history.push((now(), pods));
    }

    /// The pods of a namespace as a controller whose cache lags by up to `lag` may have seen them between two instants.
    pub(crate) fn seen(
        &self,
        namespace: &str,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
        lag: TimeDelta,
    ) -> Vec<Vec<Pod>> {
        let all = self.0.lock().unwrap();
        let history = all.get(namespace).map_or(&[][..], Vec::as_slice);
        let first = history.iter().rposition(|(at, _)| *at <= from - lag).unwrap_or(0);
        // What was seen here a little later may have been seen there already.
        let seen = history.iter().skip(first).take_while(|(at, _)| *at <= to + lag);
        let mut states: Vec<Vec<Pod>> = seen.map(|(_, pods)| pods.values().cloned().collect()).collect();
        states.dedup();
        if states.is_empty() {
            states.push(Vec::new());
        }
        states
    }
}

fn read(pod: &api::Pod) -> Pod {
    let status = pod.status.clone().unwrap_or_default();
    let condition = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    let ready = condition.map(|condition| Ready {
        status: match condition.status.as_str() {
            "True" => ConditionStatus::True,
            "False" => ConditionStatus::False,
            _ => ConditionStatus::Unknown,
        },
        since: condition.last_transition_time.as_ref().map(|time| instant(time.0)),
    });
    Pod {
        name: pod.metadata.name.clone().unwrap_or_default(),
        phase: match status.phase.as_deref() {
            Some("Running") => PodPhase::Running,
            Some("Succeeded") => PodPhase::Succeeded,
            Some("Failed") => PodPhase::Failed,
            _ => PodPhase::Pending,
        },
        deleting: pod.metadata.deletion_timestamp.is_some(),
        ready,
        started: status.start_time.as_ref().map(|time| instant(time.0)),
        containers: pod.spec.iter().flat_map(|spec| &spec.containers).map(container).collect(),
        ..Pod::default()
    }
}

fn instant(time: impl Into<SystemTime>) -> DateTime<Utc> {
    time.into().into()
}

fn container(container: &api::Container) -> Container {
    let requests = container.resources.iter().flat_map(|resources| resources.requests.iter().flatten());
    let milli = |amount: &str| amount.parse::<Quantity>().unwrap().milli();
    let requests: Resources = requests.map(|(name, amount)| (name.clone(), milli(&amount.0))).collect();
    Container { name: container.name.clone(), requests, restart_always: false }
}
