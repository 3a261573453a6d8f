//! Events of HPAs about what becomes of their changes, besides the changes themselves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use scaling_core::Target;
use scaling_core::chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::controller::cache::HpaCache;
use crate::history::{News, Series};

/// Something to be told of an HPA.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) target: Target,
    /// Event type of the API.
    kind: &'static str,
    reason: &'static str,
    pub(super) text: String,
    at: DateTime<Utc>,
}

impl Notice {
    pub(super) fn normal(target: &Target, reason: &'static str, text: String, at: DateTime<Utc>) -> Self {
        Self { target: target.clone(), kind: "Normal", reason, text, at }
    }

    pub(super) fn warning(target: &Target, reason: &'static str, text: String, at: DateTime<Utc>) -> Self {
        Self { kind: "Warning", ..Self::normal(target, reason, text, at) }
    }
}

/// Shortest time between two Events of one reason about one HPA.
const EVERY: Duration = Duration::from_secs(60);
/// Events that are written in that time at most, all HPAs together: a fleet of which every undo fails is told of part by part.
const MOST: usize = 200;

/// Writes notices to the log, and as Events where these are wanted. All notices of one reason about one HPA are one series, written once in a
/// while at most: what comes in between is counted, and comes with the next, or when it is due.
#[derive(Clone)]
pub(super) struct Notices {
    cache: HpaCache,
    /// None where nothing is written. Short locks.
    events: Option<(Arc<Mutex<Series>>, mpsc::Sender<Value>)>,
}

impl Notices {
    pub(super) fn new(cache: HpaCache, send: Option<mpsc::Sender<Value>>) -> Self {
        let series = || Arc::new(Mutex::new(Series::new(cache.field_manager(), EVERY, MOST)));
        let events = send.map(|send| (series(), send));
        Self { cache, events }
    }

    pub(super) fn tell(&self, notice: Notice) {
        let Notice { target, kind, reason, text, at } = notice;
        if kind == "Warning" {
            tracing::warn!(target_workload = %target, reason, "{text}");
        } else {
            tracing::info!(target_workload = %target, reason, "{text}");
        }
        let Some((series, send)) = &self.events else { return };
        let hpa = self.cache.get(&target.namespace, &target.hpa).ok().flatten();
        let uid = hpa.as_ref().and_then(|hpa| hpa.uid());
        let mut series = series.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(event) = series.take((&target, uid), reason, News { kind, reason, message: &text }, at)
            && send.try_send(event).is_err()
        {
            series.was_not_taken(&target, reason);
        }
    }

    /// Writes what was held back and is due by now, as far as there is room for it.
    pub(super) fn tell_due(&self, now: DateTime<Utc>) {
        let Some((series, send)) = &self.events else { return };
        let mut series = series.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(place) = send.try_reserve() {
            let Some(event) = series.next_due(now) else { return };
            place.send(event);
        }
    }
}
