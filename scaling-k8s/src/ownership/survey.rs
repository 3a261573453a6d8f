//! The objects of a live cluster that a report is made of: [`Survey`].

mod inquiry;
mod namespace;
mod owners;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use scaling_core::Target;
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};
use serde_json::Value;

use super::OwnershipReport;
use crate::manifest::{API_VERSION, KIND};
use inquiry::Inquiry;
use namespace::Namespaces;

/// Other HPAs of the workload of a target, told by somebody who knows them without asking; none while that is not so.
type KnownHpas = Arc<dyn Fn(&Target) -> Option<Vec<Value>> + Send + Sync>;

/// Collects from a live cluster what an [`OwnershipReport`] is made of: the HPA of a target and its workload, the objects that own these,
/// one above the other, the GitOps objects that their labels name; and of the namespace all HPAs and CronJobs, and where the cluster
/// has them KEDA ScaledObjects and VerticalPodAutoscalers.
///
/// Nothing here fails: what cannot be read, because the rights are missing or no answer came, is a note of the report. So it works with
/// few rights and sees less then. All of it wants `get` on the HPA, its workload and their owners, `list` on
/// `horizontalpodautoscalers` of `autoscaling`, `cronjobs` of `batch`, `scaledobjects` of `keda.sh` and `verticalpodautoscalers` of
/// `autoscaling.k8s.io`, and `get` on `kustomizations`, `helmreleases` and `applications` of the tools in use. Secrets are never read.
///
/// The lists of a namespace are kept for a minute, so that a fleet in one namespace reads them once; clones share them. Those that were
/// not answered are read again.
///
/// ```no_run
/// use scaling_core::Target;
/// use scaling_k8s::ownership::Survey;
///
/// # async fn look() -> Result<(), scaling_k8s::ConnectError> {
/// let survey = Survey::new(scaling_k8s::connect("staging").await?);
/// println!("{}", survey.report(&Target::deployment("shop", "checkout")).await);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Survey {
    client: Client,
    manager: String,
    timeout: Duration,
    namespaces: Namespaces,
    hpas: Option<KnownHpas>,
}

impl std::fmt::Debug for Survey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Survey").field("manager", &self.manager).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Survey {
    /// Creates a survey of the cluster that `client` talks to.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            manager: "kube-scaling".to_owned(),
            timeout: Duration::from_secs(10),
            namespaces: Namespaces::default(),
            hpas: None,
        }
    }

    /// Sets the field manager that we write under: what it owns is ours. Default: `kube-scaling`.
    #[must_use]
    pub fn field_manager(mut self, name: impl Into<String>) -> Self {
        self.manager = name.into();
        self
    }

    /// Sets the time that one report may take. Default: 10 s. What is not read by then is not looked at, and the report says so; one
    /// request takes a third of it at most.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Takes other HPAs of a workload from somebody who knows them, in place of a list of the namespace.
    #[cfg(feature = "controller")]
    pub(crate) fn knowing_hpas(mut self, hpas: impl Fn(&Target) -> Option<Vec<Value>> + Send + Sync + 'static) -> Self {
        self.hpas = Some(Arc::new(hpas));
        self
    }

    /// The owners of a workload, as far as they can be seen.
    pub async fn report(&self, target: &Target) -> OwnershipReport {
        self.report_with(target, None).await.0
    }

    /// The same where the HPA was read already; and true if something was missed that may be seen soon.
    pub(crate) async fn report_with(&self, target: &Target, hpa: Option<&Value>) -> (OwnershipReport, bool) {
        let mut inquiry = Inquiry::new(&self.client, self.timeout);
        // These become part of a URL.
        if ![&target.namespace].into_iter().all(|name| is_dns_label(name))
            || ![&target.hpa, &target.name].into_iter().all(|name| is_dns_subdomain(name))
        {
            let report = OwnershipReport::of(target, &self.manager, hpa);
            return (report.unseen("other objects", "the names of the target cannot be those of Kubernetes"), false);
        }
        let hpa = match hpa {
            Some(hpa) => Some(with_kind(hpa.clone(), API_VERSION, KIND)),
            None => inquiry.hpa(&target.namespace, &target.hpa).await,
        };
        let known = self.hpas.as_ref().and_then(|hpas| hpas(target));
        let listed = self.namespaces.listed(&mut inquiry, &target.namespace, known.is_none()).await;
        let own = owners::of(&mut inquiry, target, hpa, &listed).await;
        let report =
            OwnershipReport::of(target, &self.manager, own.iter().chain(&listed.objects).chain(known.iter().flatten()));
        let unseen = inquiry.unseen.iter().chain(&listed.unseen);
        let is_passing = inquiry.is_passing || listed.is_passing;
        (unseen.fold(report, |report, (kind, why)| report.unseen(kind, why)), is_passing)
    }
}

/// The object with its kind: an API server leaves it out within lists, and so does a client whose types say it.
fn with_kind(mut object: Value, api_version: &str, kind: &str) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".to_owned(), api_version.into());
        fields.insert("kind".to_owned(), kind.into());
    }
    object
}
