//! What an answer of the API server means. Pure.

use std::error::Error;

use kube::core::Status;
use kube::core::response::StatusCause;
use scaling_core::{ApplyError, Target};

pub(super) fn backend(target: &Target, transient: bool, source: impl Into<Box<dyn Error + Send + Sync>>) -> ApplyError {
    ApplyError::Backend { target: target.clone(), transient, source: source.into() }
}

pub(super) fn refused(target: &Target, detail: String) -> ApplyError {
    ApplyError::Refused { target: target.clone(), detail }
}

/// Whether the HPA is not the version, or not even the object, that was read before.
pub(super) fn is_outdated(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 && ownership(status).next().is_none())
}

pub(super) fn failure(target: &Target, error: kube::Error) -> ApplyError {
    let kube::Error::Api(status) = error else {
        // Transport may recover, and so may whatever answered with something that is no text; its status code is lost. An answer
        // that is no HPA, or a request that cannot be built, will stay so.
        let transient =
            matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::FromUtf8(_));
        return backend(target, transient, error);
    };
    match status.code {
        // A path that the server does not know is 404 too, but without this reason: then it has no autoscaling/v2.
        404 if status.reason == "NotFound" => ApplyError::NotFound { target: target.clone() },
        409 if ownership(&status).next().is_some() => conflict(target, &status),
        400 | 401 | 403 | 422 => refused(target, status.message),
        // 0 is an error whose body is JSON but no Status: something between us and the API server.
        code => backend(target, matches!(code, 0 | 408 | 409 | 429 | 500..), format!("{code}: {}", status.message)),
    }
}

fn ownership(status: &Status) -> impl Iterator<Item = &StatusCause> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.filter(|cause| cause.reason == "FieldManagerConflict")
}

fn conflict(target: &Target, status: &Status) -> ApplyError {
    let fields = ownership(status).map(|cause| cause.field.trim_start_matches('.').to_owned());
    let owners = ownership(status).map(|cause| owner(&cause.message).to_owned());
    ApplyError::Conflict { target: target.clone(), field: listed(fields), owner: listed(owners), since: None }
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    items.sort();
    items.dedup();
    items.join(" and ")
}

/// The manager in `conflict with "kubectl-edit" using autoscaling/v2`; all of the message if it is put differently.
fn owner(message: &str) -> &str {
    let quoted = message.split_once('"').and_then(|(_, rest)| rest.split_once('"'));
    quoted.map_or(message, |(owner, _)| owner)
}
