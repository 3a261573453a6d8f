//! Events of HPAs about what becomes of their changes, besides the changes themselves.

use scaling_core::Target;
use scaling_core::chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::controller::cache::HpaCache;
use crate::history;

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

/// Writes notices to the log, and as Events where these are wanted. All notices of one reason about one HPA are one Event.
#[derive(Clone)]
pub(super) struct Notices {
    cache: HpaCache,
    /// None where nothing is written.
    send: Option<mpsc::Sender<Value>>,
}

impl Notices {
    pub(super) fn new(cache: HpaCache, send: Option<mpsc::Sender<Value>>) -> Self {
        Self { cache, send }
    }

    pub(super) fn tell(&self, notice: Notice) {
        let Notice { target, kind, reason, text, at } = notice;
        if kind == "Warning" {
            tracing::warn!(target_workload = %target, reason, "{text}");
        } else {
            tracing::info!(target_workload = %target, reason, "{text}");
        }
        let Some(send) = &self.send else { return };
        let hpa = self.cache.get(&target.namespace, &target.hpa).ok().flatten();
        let uid = hpa.as_ref().and_then(|hpa| hpa.uid());
        let event = history::notice(self.cache.field_manager(), (&target, uid), (kind, reason, &text), at);
        if send.try_send(event).is_err() {
            tracing::warn!(target_workload = %target, reason, "an Event was not written: too many wait");
        }
    }
}
