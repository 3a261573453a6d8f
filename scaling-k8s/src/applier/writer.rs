//! Client and settings that every applier writes with: [`Writer`].

use std::fmt;
use std::time::Duration;

use http::request::Request;
use kube::Client;
use kube::api::{Patch, PatchParams};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::retry::Patience;

/// Connection to a cluster and the settings of a write to it: the field manager, whether fields of others are taken, and the time that the
/// API server has to answer.
///
/// Each applier is made of one, and a host that has several gives them clones of the same. Where the defaults will do, a [`Client`] is
/// enough: it becomes a writer by itself.
///
/// A writer looks at no cluster that a target names; a host with several clusters has one for each.
///
/// ```no_run
/// use std::time::Duration;
/// use scaling_k8s::{KubeHpaApplier, ResizeApplier, Writer};
///
/// # async fn connect() -> Result<(), scaling_k8s::ConnectError> {
/// let client = scaling_k8s::connect("staging").await?;
/// let writer = Writer::new(client).field_manager("shop-autoscaler").timeout(Duration::from_secs(5));
/// let (bounds, requests) = (KubeHpaApplier::new(writer.clone()), ResizeApplier::new(writer));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Writer {
    pub(crate) client: Client,
    pub(crate) manager: String,
    pub(crate) force: bool,
    pub(crate) timeout: Duration,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("manager", &self.manager)
            .field("force", &self.force)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl From<Client> for Writer {
    fn from(client: Client) -> Self {
        Self::new(client)
    }
}

impl Writer {
    /// Creates a writer to the cluster that `client` talks to.
    ///
    /// A client of [`connect`](crate::connect) or [`connect_from_environment`](crate::connect_from_environment) sends each request once, and what
    /// is tried again is for the applier to say. One that sends a write again by itself may hide that the first was stored (law 12).
    pub fn new(client: Client) -> Self {
        Self { client, manager: "kube-scaling".to_owned(), force: false, timeout: Duration::from_secs(10) }
    }

    /// Sets the field manager to write under. Default: `kube-scaling`.
    ///
    /// It must be a name under which nothing else of the same objects is applied. Two managers that write one field conflict, and one that
    /// is renamed conflicts with its former self. The API server takes 1 to 128 printable characters, and refuses each write under another
    /// name.
    #[must_use]
    pub fn field_manager(mut self, name: impl Into<String>) -> Self {
        self.manager = name.into();
        self
    }

    /// Takes fields over from the managers that own them. Default: it does not, and reports a conflict.
    ///
    /// A former owner that goes on writing takes them back: force only where no other tool writes them. That somebody else sets the size in
    /// another way, as another HPA, KEDA or a VerticalPodAutoscaler do, is not overruled by it.
    #[must_use]
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }

    /// Sets the time that the API server has to answer. Default: 10 s. What is not answered by then has failed, and an applier
    /// that tries again begins no write in the last tenth of it.
    ///
    /// It is the time of one call, with all that it asks, of [`KubeHpaApplier`](super::KubeHpaApplier). It is that of one request, its
    /// retries included, of the others: how many a call needs depends on what is there, such as the pods that are resized.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The time and the attempts of a call that begins now, or of one request.
    pub(super) fn patience(&self) -> Patience {
        Patience::new(self.timeout)
    }

    /// Parameters of a write under our field manager that takes nothing from others.
    pub(super) fn params(&self, dry_run: bool) -> PatchParams {
        PatchParams { dry_run, field_manager: Some(self.manager.clone()), ..PatchParams::default() }
    }

    /// Sends a request, once.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> kube::Result<T> {
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Sends a JSON patch of an object, once. `resources` is the path of all objects of its kind.
    pub(super) async fn json_patch<T: DeserializeOwned>(
        &self,
        resources: &str,
        name: &str,
        patch: &(impl Serialize + Sync),
        dry_run: bool,
    ) -> kube::Result<T> {
        // The client's own JSON patch is a feature with more dependencies. A merge patch differs by its content type alone.
        let request = kube::core::Request::new(resources).patch(name, &self.params(dry_run), &Patch::Merge(patch));
        let with_type = request.map(|mut request| {
            if let Ok(content) = "application/json-patch+json".parse() {
                request.headers_mut().insert("content-type", content);
            }
            request
        });
        self.ask(with_type).await
    }
}
