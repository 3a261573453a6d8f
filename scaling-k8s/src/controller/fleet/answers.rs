//! Events of HPAs, written away from the ticks: answers to their settings, and changes of their bounds.

use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::mpsc;

/// Events that wait to be written; what comes beyond is told by the log alone.
pub(super) const WAITING: usize = 256;

/// Longest wait for the answer to one: the others wait behind it.
const LONGEST: Duration = Duration::from_secs(10);

/// Writes Events until nobody sends any more. One that is not taken costs nothing but itself: it is in the log.
pub(super) async fn write(client: Client, manager: String, mut events: mpsc::Receiver<Value>) {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Event"));
    let how = PatchParams::apply(&manager).force();
    while let Some(event) = events.recv().await {
        let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (namespace, name, message) = (text("/metadata/namespace"), text("/metadata/name"), text("/message"));
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &kind);
        let patch = Patch::Apply(&event);
        match tokio::time::timeout(LONGEST, api.patch(&name, &how, &patch)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%namespace, %name, %message, %error, "an Event was not written"),
            Err(_) => {
                tracing::warn!(%namespace, %name, %message, "an Event may not have been written: no answer for {LONGEST:?}");
            }
        }
    }
}
