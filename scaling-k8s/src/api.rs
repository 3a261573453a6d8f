//! Objects of the Kubernetes API as plain manifests, and what a schedule becomes in a cluster. Pure.
//!
//! A [`WeekPlan`] holds the bounds of every minute of a week, and what events raise on top of it. It goes out as
//!
//! | output | function | holds | back |
//! | --- | --- | --- | --- |
//! | CronJobs that patch an HPA | [`cronjob::CronJobs`] | all of it; a missed run is made up by the next | [`cronjob::CronJobs::read_week`] |
//! | `kubectl` commands | [`crate::kubectl::schedule`] | all of it, for a person to run | [`crate::kubectl::read_schedule`] |
//! | KEDA ScaledObject | `keda::scaled_object` (feature `schedule`) | one max for all time, no events | `keda::read` |
//! | Karmada CronFederatedHPA | `karmada::cron_federated_hpa` (feature `schedule`) | no events; a missed run is not made up | `karmada::read` |
//! | JSON | its serde form | all of it | its serde form |
//!
//! What an output cannot hold is [`OutputError::Inexpressible`]; nothing is left out in silence.

pub mod cronjob;
mod error;
#[cfg(feature = "schedule")]
pub mod karmada;
#[cfg(feature = "schedule")]
pub mod keda;
mod week;

use std::sync::Arc;

use serde_json::Value;

pub use error::OutputError;
pub(crate) use error::check_names;
pub use week::{Moment, WeekPlan};

/// Objects as a YAML stream.
///
/// # Errors
/// [`OutputError::Write`] if they cannot be expressed.
pub fn to_yaml(objects: &[Value]) -> Result<String, OutputError> {
    let written = |object: &Value| serde_saphyr::to_string(object).map_err(|error| OutputError::Write(Arc::new(error)));
    let documents: Vec<String> = objects.iter().map(written).collect::<Result<_, _>>()?;
    Ok(documents.join("---\n"))
}
