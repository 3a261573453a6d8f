//! Changes of bounds, told as Events of their HPAs.

use std::sync::Arc;

use scaling_core::Target;
use scaling_core::live::Ticked;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::controller::cache::{FleetTarget, HpaCache};
use crate::history::{EventSeries, History};

/// Workloads whose latest change is kept: as many as a series keeps.
const WORKLOADS: usize = 20_000;

/// Makes an Event of each change, one series for each HPA.
pub(super) struct Changes {
    cache: HpaCache,
    manager: String,
    history: History,
    series: EventSeries,
    send: mpsc::Sender<Value>,
}

impl Changes {
    pub(super) fn new(cache: HpaCache, series: EventSeries, send: mpsc::Sender<Value>) -> Self {
        let manager = cache.field_manager().to_owned();
        Self { cache, manager, history: History::with_limits(1, WORKLOADS), series, send }
    }

    /// Takes in the records of a tick. A tick without changes costs nothing but a look at each.
    pub(super) fn ticked(&mut self, tick: &Ticked) {
        let mut events = Vec::new();
        let unrecorded = tick.unrecorded.iter().map(|error| &*error.record);
        for record in tick.records.iter().chain(unrecorded) {
            let newest = |history: &History| history.of(&record.target).next_back().map(|change| change.number);
            let before = newest(&self.history);
            self.history.take(record, &self.manager);
            if newest(&self.history) > before {
                let uid = uid(&self.cache.targets(), &record.target);
                let change = self.history.of(&record.target).next_back();
                events.extend(change.and_then(|change| self.series.take(&record.target, uid.as_deref(), change)));
            }
        }
        events.extend(self.series.due(tick.at));
        for event in events {
            if let Err(error) = self.send.try_send(event) {
                let message = error.into_inner().pointer("/message").map(Value::to_string);
                tracing::warn!(?message, "an Event about a change was not written: too many wait");
            }
        }
    }
}

fn uid(list: &[Arc<FleetTarget>], target: &Target) -> Option<String> {
    let place = list.binary_search_by(|listed| listed.target.cmp(target)).ok()?;
    list.get(place)?.uid.clone()
}
