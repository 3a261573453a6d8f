//! Questions to the API server within one deadline. What is not answered is noted.

use std::future::Future;
use std::time::Duration;

use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use scaling_core::hpa::names::is_dns_subdomain;
use serde_json::Value;
use tokio::time::Instant;

use super::with_kind;
use crate::client_fault::{self, ClientFault};
use crate::manifest::{API_VERSION, KIND};
use crate::ownership::object::shown;

/// Objects of one page of a list.
const PAGE: u32 = 500;
/// Objects of one kind in one namespace that are looked at, at most.
const MOST: usize = 10_000;

const LATE: &str = "no answer in time";

/// One kind of objects.
pub(super) fn resource(api_version: &str, kind: &str, plural: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

pub(super) struct Inquiry<'a> {
    pub(super) client: &'a Client,
    /// None if the time is too long to be told.
    until: Option<Instant>,
    timeout: Duration,
    /// What could not be looked at, and why.
    pub(super) unseen: Vec<(String, String)>,
    /// True if some of it may be seen soon: no answer came, or the server was busy or failed.
    pub(super) is_passing: bool,
}

impl<'a> Inquiry<'a> {
    pub(super) fn new(client: &'a Client, timeout: Duration) -> Self {
        Self { client, until: Instant::now().checked_add(timeout), timeout, unseen: Vec::new(), is_passing: false }
    }

    pub(super) fn missed(&mut self, what: &str, why: impl Into<String>) {
        self.unseen.push((what.to_owned(), why.into()));
    }

    /// Something that could not be looked at for now.
    fn missed_for_now(&mut self, what: &str, why: impl Into<String>) {
        self.is_passing = true;
        self.missed(what, why);
    }

    fn left(&self) -> Duration {
        self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
    }

    /// What others hold, once they are done with it; none if that takes too long, which is noted then. Leaves time to ask for more.
    pub(super) async fn wait<T>(&mut self, what: &str, held: impl Future<Output = T>) -> Option<T> {
        let held = tokio::time::timeout(self.left().saturating_sub(self.timeout / 3), held).await.ok();
        if held.is_none() {
            self.missed_for_now(what, LATE);
        }
        held
    }

    /// The answer to a question; none if there is no such thing, or if it cannot be seen, which is noted then.
    pub(super) async fn ask<T>(&mut self, what: &str, answer: impl Future<Output = kube::Result<T>>) -> Option<T> {
        // One that hangs leaves time for the others.
        match tokio::time::timeout(self.left().min(self.timeout / 3), answer).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {}
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                self.missed(what, shown(&client_fault::answered(403, &status.message)));
            }
            Ok(Err(kube::Error::Api(status))) => {
                self.missed_for_now(what, shown(&client_fault::answered(status.code, &status.message)));
            }
            Ok(Err(error)) => self.missed_for_now(what, shown(&ClientFault::explain(&error))),
            Err(_) => self.missed_for_now(what, LATE),
        }
        None
    }

    pub(super) async fn hpa(&mut self, namespace: &str, name: &str) -> Option<Value> {
        let hpas = resource(API_VERSION, KIND, "horizontalpodautoscalers");
        let found = self.get(&hpas, Some(namespace), name).await;
        let is_known = found.is_some() || !self.unseen.is_empty();
        if !is_known {
            self.missed(&format!("{KIND} {namespace}/{name}"), "there is none");
        }
        found
    }

    /// One object. A name that cannot be one is not asked for: it would become part of a URL.
    pub(super) async fn get(&mut self, kind: &ApiResource, namespace: Option<&str>, name: &str) -> Option<Value> {
        let what = format!("{} {}", shown(&kind.kind), shown(name));
        if !is_dns_subdomain(name) {
            self.missed(&what, "it has no name of Kubernetes");
            return None;
        }
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, kind),
            None => Api::all_with(self.client.clone(), kind),
        };
        let found = self.ask(&what, async { api.get(name).await }).await?;
        self.value(&what, &found, kind)
    }

    /// All objects of a kind in a namespace, page by page, without what only an owner of the object itself would be told by.
    pub(super) async fn list(&mut self, kind: &ApiResource, namespace: &str) -> Vec<Value> {
        let what = format!("{} of namespace {namespace}", kind.plural);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, kind);
        let mut found = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let Some(page) = self.ask(&what, async { api.list(&params).await }).await else { return found };
            let more = page.metadata.continue_.filter(|token| !token.is_empty());
            for mut object in page.items {
                object.metadata.managed_fields = None;
                if let Some(data) = object.data.as_object_mut() {
                    data.remove("status");
                }
                found.extend(self.value(&what, &object, kind));
            }
            let Some(more) = more else { return found };
            if found.len() >= MOST {
                self.missed(&what, format!("there are more than {MOST}; those beyond"));
                return found;
            }
            params = params.continue_token(&more);
        }
    }

    fn value(&mut self, what: &str, object: &DynamicObject, kind: &ApiResource) -> Option<Value> {
        match serde_json::to_value(object) {
            Ok(value) => Some(with_kind(value, &kind.api_version, &kind.kind)),
            Err(error) => {
                self.missed(what, shown(&error.to_string()));
                None
            }
        }
    }
}
