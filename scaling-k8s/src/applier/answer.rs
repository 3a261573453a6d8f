//! From an answer of the API server to an [`ApplyError`]. Pure.
//!
//! Law 12 needs to know of each error whether the change may have happened all the same: that is [`ApplyError::Backend`], and no
//! other. [`failure`] is for a request that would store something; [`unapplied`] is for one that would not.

use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

use kube::core::Status;
use kube::core::response::StatusCause;
use scaling_core::{ApplyError, Target};

use crate::client_fault::{self, ClientFault};

type Source = Box<dyn Error + Send + Sync>;

/// A failure after which the change may be stored.
pub(super) fn backend(target: &Target, transient: bool, source: impl Into<Source>) -> ApplyError {
    ApplyError::Backend { target: target.clone(), transient, source: source.into() }
}

pub(super) fn refused(target: &Target, detail: String) -> ApplyError {
    ApplyError::Refused { target: target.clone(), detail, denied: false }
}

/// Turns an error into that of a request that stores nothing: a read, or a dry run.
pub(super) fn unapplied(error: ApplyError) -> ApplyError {
    match error {
        ApplyError::Backend { target, transient, source } => ApplyError::Unapplied { target, transient, source },
        other => other,
    }
}

/// Turns an error into that of a read that should have told whether an earlier request was stored.
pub(super) fn unknown(error: ApplyError) -> ApplyError {
    match error {
        ApplyError::Unapplied { target, transient, source } => ApplyError::Backend { target, transient, source },
        ApplyError::Refused { target, detail, .. } => backend(&target, false, detail),
        other => other,
    }
}

/// Returns true if the HPA is not the version, or not even the object, that was read before.
pub(super) fn is_outdated(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 && ownership(status).next().is_none())
}

/// Returns true if a JSON patch may have met another version than it was made for. The server tells that from no other fault of a patch
/// but in prose.
pub(super) fn may_have_failed_a_test(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 422)
}

/// The failure in a sentence.
pub(super) fn said(error: &kube::Error) -> String {
    ClientFault::explain(error)
}

/// Returns true if the server did not begin with the request.
pub(super) fn is_unbegun(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 429)
}

/// The pause after which the same request may be answered better, as the server asks for it; none if it will not. Of a read that took too
/// long, too.
///
/// The number is in the body; where only the header `Retry-After` has it, a client of ours has put it there, and of another one it is lost.
pub(super) fn pause(error: &kube::Error, is_read: bool) -> Option<Duration> {
    let kube::Error::Api(status) = error else { return None };
    let again = matches!(status.code, 429 | 503) || (is_read && matches!(status.code, 408 | 504));
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    again.then(|| Duration::from_secs(seconds.into()))
}

/// The failure of a request that would store something.
pub(super) fn failure(target: &Target, error: kube::Error) -> ApplyError {
    let kube::Error::Api(status) = error else { return transport(target, error) };
    match status.code {
        // A path that the server does not know is 404 too, but without this reason: then it has no autoscaling/v2.
        404 if status.reason == "NotFound" => ApplyError::NotFound { target: target.clone() },
        409 if ownership(&status).next().is_some() => conflict(target, &status),
        401 | 403 => {
            let detail = client_fault::answered(status.code, &status.message);
            ApplyError::Refused { target: target.clone(), detail, denied: true }
        }
        400 | 422 => refused(target, status.message),
        code => {
            let transient = matches!(code, 0 | 408 | 409 | 429 | 500..);
            let error = backend(target, transient, client_fault::answered(code, &status.message));
            // The server answers so instead of carrying the request out, but for 408: that is a request that took too long. 0 is an
            // error whose body is JSON but no Status: something between us and the API server, and its status code is lost.
            if matches!(code, 400..=499) && code != 408 { unapplied(error) } else { error }
        }
    }
}

/// The failure of a request without an answer, or with one that cannot be read.
fn transport(target: &Target, error: kube::Error) -> ApplyError {
    use kube::Error::{Auth, BuildRequest, FromUtf8, HttpError, HyperError, Service};
    // Transport may recover, and so may whatever answered with something that is no text; its status code is lost. An answer that
    // is no HPA, or a request that cannot be built, will stay so.
    let transient = matches!(error, HyperError(_) | Service(_) | FromUtf8(_));
    let unsent = matches!(error, Auth(_) | BuildRequest(_) | HttpError(_)) || never_connected(&error);
    let failure = backend(target, transient, ClientFault::from(error));
    if unsent { unapplied(failure) } else { failure }
}

/// Returns true if no connection came about. One that breaks, as a reset does, may have carried the request.
fn never_connected(error: &kube::Error) -> bool {
    let causes = std::iter::successors(Some(error as &(dyn Error + 'static)), |error| (*error).source());
    causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(|cause| {
        matches!(
            cause.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
        )
    })
}

fn ownership(status: &Status) -> impl Iterator<Item = &StatusCause> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.filter(|cause| cause.reason == "FieldManagerConflict")
}

fn conflict(target: &Target, status: &Status) -> ApplyError {
    let fields = ownership(status).map(|cause| cause.field.trim_start_matches('.').to_owned());
    let owners = ownership(status).map(|cause| owner(&cause.message).to_owned());
    ApplyError::Conflict {
        target: target.clone(),
        field: listed(fields),
        owner: listed(owners),
        since: None,
        setting: None,
    }
}

/// Between the owners of several fields.
pub(super) const AND: &str = " and ";

fn listed(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    items.sort();
    items.dedup();
    items.join(AND)
}

/// The manager in `conflict with "kubectl-edit" using autoscaling/v2`; all of the message if it is put differently.
fn owner(message: &str) -> &str {
    let quoted = message.split_once('"').and_then(|(_, rest)| rest.split_once('"'));
    quoted.map_or(message, |(owner, _)| owner)
}
