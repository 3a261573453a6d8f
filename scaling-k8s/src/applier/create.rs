//! Creating a whole HPA, only when asked.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{ListParams, PostParams};
use scaling_core::{Applied, ApplyError, ApplyMode, Bounds, Target};
use serde_json::Value;

use super::KubeHpaApplier;
use super::answer::{self, backend, unapplied};
use super::retry::{self, Patience};
use crate::ownership::{Owner, OwnershipReport, entries};
use crate::resting::{ANNOTATION, creator};
use crate::{HpaManifest, ManifestError, hpa};

/// HPAs of one answer to a list.
const PAGE: u32 = 500;

/// Reasons why an HPA was not created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The manifest is none that Kubernetes would take.
    #[error(transparent)]
    Invalid(#[from] ManifestError),
    /// There is one of that name, and it was left as it is.
    #[error("{target}: there is an HPA {:?} in namespace {:?} already, with bounds {bounds}", target.hpa, target.namespace)]
    Exists {
        /// The workload of the manifest.
        target: Target,
        /// The bounds of the HPA that is there.
        bounds: Bounds,
    },
    /// Another HPA scales the workload, and two would undo each other's work.
    #[error("{target} is scaled already, by HPA {}", .hpas.join(" and "))]
    Scaled {
        /// The workload.
        target: Target,
        /// Names of the HPAs that scale it.
        hpas: Vec<String>,
    },
    /// The API server refused it or failed.
    #[error(transparent)]
    Failed(#[from] ApplyError),
}

impl CreateError {
    /// Returns true if the HPA may have been created all the same (law 12).
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Failed(error) if error.may_have_happened())
    }

    /// Returns true if trying again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_transient())
    }
}

impl KubeHpaApplier {
    /// Creates the whole HPA of a manifest. Nothing else here ever does: a plan for an HPA that is not there is
    /// [`ApplyError::NotFound`].
    ///
    /// An HPA of that name, or another one that scales the same workload, is a refusal. The server validates the HPA in a dry run first.
    /// It is created under the field manager's name with `-create` at its end, so that what the host wanted is told from what we move: the
    /// bounds of the manifest are the [resting bounds](crate::resting), and the first plan takes them over without being forced. An
    /// annotation of ours in the manifest belongs to another HPA and is left out.
    ///
    /// Needs the verbs `list` and `create` on `horizontalpodautoscalers` of `autoscaling`, in addition.
    ///
    /// # Errors
    /// [`CreateError`] with the reason.
    pub async fn create(&self, manifest: &HpaManifest, mode: ApplyMode) -> Result<Applied, CreateError> {
        manifest.validate()?;
        let done = Applied { mode, changed: true };
        if mode == ApplyMode::Plan {
            return Ok(done);
        }
        let (target, wanted, body) = (manifest.target(), manifest.bounds()?, body(manifest));
        let mut patience = self.writer.patience();
        // A request was sent of which the server said neither yes nor no.
        let mut sent = false;
        loop {
            let there = match self.list(&target, patience.for_a_read()).await {
                Err(error) if sent => return Err(answer::unknown(error).into()),
                there => there?,
            };
            match self.in_the_way(&target, &there) {
                None => {}
                Some(CreateError::Exists { .. }) if sent && self.has_created(&target, &there) => return Ok(done),
                Some(error) => return Err(error),
            }
            // What was sent before may be stored by now, whatever is answered to this.
            let unsure = |error: ApplyError| if sent { answer::unknown(error) } else { error };
            let validated = self.post(&target, &body, true, &mut patience).await;
            let validated = validated.map_err(|error| unsure(unapplied(error)))?;
            let Posted::Yes(hpa) = validated else { continue };
            if let Some(error) = otherwise(&target, wanted, &hpa, "would be created") {
                return Err(unapplied(error).into());
            }
            if mode == ApplyMode::ServerDryRun {
                return Ok(done);
            }
            match self.post(&target, &body, false, &mut patience).await.map_err(unsure)? {
                Posted::Yes(hpa) => {
                    if let Some(error) = otherwise(&target, wanted, &hpa, "is there now") {
                        return Err(error.into());
                    }
                    return Ok(done);
                }
                Posted::Look => sent = true,
                // Somebody was faster, and the list will say so.
                Posted::Exists => {}
            }
        }
    }

    /// The HPAs of the namespace, as JSON.
    async fn list(&self, target: &Target, patience: Patience) -> Result<Vec<Value>, ApplyError> {
        let api = self.api(target);
        let mut params = ListParams::default().limit(PAGE);
        let mut found = Vec::new();
        loop {
            let list = retry::read(target, patience.for_a_read(), || api.list(&params)).await?;
            found.extend(list.items.iter().filter_map(|hpa| serde_json::to_value(hpa).ok()));
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    /// Returns the reason why there is no place for this HPA, if there is none.
    fn in_the_way(&self, target: &Target, there: &[Value]) -> Option<CreateError> {
        if let Some(found) = named(target, there) {
            return Some(match crate::resting::bounds(found) {
                Ok(bounds) => CreateError::Exists { target: target.clone(), bounds },
                Err(error) => unapplied(backend(target, false, error)).into(),
            });
        }
        let kind = Value::from(crate::manifest::KIND);
        let version = Value::from(crate::manifest::API_VERSION);
        // The items of a list do not say what they are.
        let typed: Vec<Value> = there
            .iter()
            .cloned()
            .map(|mut hpa| {
                if let Some(fields) = hpa.as_object_mut() {
                    fields.insert("kind".to_owned(), kind.clone());
                    fields.insert("apiVersion".to_owned(), version.clone());
                }
                hpa
            })
            .collect();
        let report = OwnershipReport::of(target, &self.writer.manager, &typed);
        let hpas = report.owners.into_iter().filter_map(|owned| match owned.owner {
            Owner::Hpa { name } => Some(name),
            _ => None,
        });
        let hpas: Vec<String> = hpas.collect();
        (!hpas.is_empty()).then(|| CreateError::Scaled { target: target.clone(), hpas })
    }

    /// Returns true if the HPA of this name is one that we have created.
    fn has_created(&self, target: &Target, there: &[Value]) -> bool {
        let creator = creator(&self.writer.manager);
        named(target, there).is_some_and(|hpa| entries(hpa).any(|entry| entry.manager == creator))
    }

    /// Sends it once, and again what the server did not begin.
    async fn post(
        &self,
        target: &Target,
        body: &Value,
        dry_run: bool,
        patience: &mut Patience,
    ) -> Result<Posted, ApplyError> {
        let body = serde_json::to_vec(body).map_err(|error| unapplied(backend(target, false, error)))?;
        let params = PostParams { dry_run, field_manager: Some(creator(&self.writer.manager)) };
        loop {
            if !dry_run && let Some(error) = patience.too_late(target) {
                return Err(error);
            }
            let request = kube::core::Request::new(self.api(target).resource_url()).create(&params, body.clone());
            let request = request.map_err(|error| unapplied(backend(target, false, error)))?;
            let sent = self.writer.client.request::<HorizontalPodAutoscaler>(request);
            let error = match tokio::time::timeout(patience.left(), sent).await {
                Ok(Ok(hpa)) => return Ok(Posted::Yes(Box::new(hpa))),
                Ok(Err(error)) => error,
                Err(_) => return Err(patience.late(target)),
            };
            if matches!(&error, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists") {
                return if patience.again() {
                    Ok(Posted::Exists)
                } else {
                    Err(unapplied(answer::failure(target, error)))
                };
            }
            match answer::pause(&error, false) {
                Some(pause) if patience.pause(pause).await => {}
                _ => return Err(answer::failure(target, error)),
            }
            if !dry_run && !answer::is_unbegun(&error) {
                return Ok(Posted::Look);
            }
        }
    }
}

/// Answer to a create.
enum Posted {
    /// The HPA that is stored, or that would be.
    Yes(Box<HorizontalPodAutoscaler>),
    /// A read has to tell whether it is stored.
    Look,
    /// There is one of that name.
    Exists,
}

fn named<'a>(target: &Target, there: &'a [Value]) -> Option<&'a Value> {
    there.iter().find(|hpa| hpa.pointer("/metadata/name").and_then(Value::as_str) == Some(&target.hpa))
}

/// The object to send: the manifest without what belongs to the server, and without our memory of another HPA.
fn body(manifest: &HpaManifest) -> Value {
    let mut metadata = manifest.metadata.without_server_fields();
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(ANNOTATION);
    }
    HpaManifest { metadata, spec: manifest.spec.clone() }.to_object()
}

/// The failure of a create that the server took, but not as it was sent.
fn otherwise(target: &Target, wanted: Bounds, made: &HorizontalPodAutoscaler, kept: &str) -> Option<ApplyError> {
    let got = match hpa::state(made) {
        Ok(state) => state.bounds,
        Err(error) => return Some(backend(target, false, error)),
    };
    let why = || format!("the server took {wanted} and made it {got}, as an admission webhook may; that {kept}");
    (got != wanted).then(|| backend(target, false, why()))
}
