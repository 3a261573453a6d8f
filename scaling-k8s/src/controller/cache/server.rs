//! Lists and watches over the client.

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{ListParams, ObjectList, WatchEvent, WatchParams};
use kube::core::Request;
use kube::{Client, Resource};

use super::object::Object;
use super::watch::{Event, Fault, Page, Server};
use crate::ClientFault;

/// HPAs of one part of a list.
const PAGE: u32 = 500;

pub(super) struct KubeServer {
    client: Client,
    request: Request,
    labels: Option<String>,
}

impl KubeServer {
    pub(super) fn new(client: Client, namespace: Option<&str>, labels: Option<String>) -> Self {
        let path = HorizontalPodAutoscaler::url_path(&(), namespace);
        Self { client, request: Request::new(path), labels }
    }
}

impl Server for KubeServer {
    async fn page(&self, token: Option<String>) -> Result<Page, Fault> {
        let params = ListParams {
            label_selector: self.labels.clone(),
            limit: Some(PAGE),
            continue_token: token,
            ..ListParams::default()
        };
        let request = self.request.list(&params).map_err(|error| fault("list", &kube::Error::BuildRequest(error)))?;
        let list: ObjectList<Object> = self.client.request(request).await.map_err(|error| fault("list", &error))?;
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Page {
            objects: list.items,
            version: some(list.metadata.resource_version),
            next: some(list.metadata.continue_),
        })
    }

    async fn watch(&self, version: String) -> Result<BoxStream<'static, Result<Event, Fault>>, Fault> {
        let params = WatchParams { label_selector: self.labels.clone(), ..WatchParams::default() };
        let request =
            self.request.watch(&params, &version).map_err(|error| fault("watch", &kube::Error::BuildRequest(error)))?;
        let events = self.client.request_events::<Object>(request).await.map_err(|error| fault("watch", &error))?;
        Ok(events.map(told).boxed())
    }
}

fn told(answer: kube::Result<WatchEvent<Object>>) -> Result<Event, Fault> {
    match answer.map_err(|error| fault("watch", &error))? {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => Ok(Event::Put(Box::new(object))),
        WatchEvent::Deleted(object) => Ok(Event::Removed(Box::new(object))),
        WatchEvent::Bookmark(bookmark) => Ok(Event::Bookmark(Some(bookmark.metadata.resource_version))),
        WatchEvent::Error(status) => Err(fault("watch", &kube::Error::Api(status))),
    }
}

fn fault(what: &str, error: &kube::Error) -> Fault {
    let relist = match error {
        // The version is too old, too new, or none at all.
        kube::Error::Api(status) => matches!(status.code, 400 | 410 | 504),
        // A change that cannot be read is a change that was missed.
        kube::Error::SerdeError(_) | kube::Error::LinesCodecMaxLineLengthExceeded => true,
        _ => false,
    };
    Fault { why: format!("the {what} of the HPAs failed: {}", ClientFault::explain(error)), relist }
}
