//! The part that the examples of the clouds share.

use std::io::Write;

use scaling_core::chrono::{DateTime, TimeDelta, Utc};
#[cfg(feature = "azure-monitor")]
use scaling_core::source::azure_monitor::Identity;
use scaling_core::source::fleet::{Backend, FleetSource};
use scaling_core::{MetricsSource, RuleBasedEngine, Target};

use crate::Failure;

/// Tries every query, fetches some minutes of the past, and says what is seen and what the rule engine would decide.
///
/// # Errors
/// [`Failure::Failed`] if no query works, or nothing is seen.
pub async fn looked<B: Backend>(
    source: &FleetSource<B>,
    target: &Target,
    minutes: u32,
    now: DateTime<Utc>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let checked = source.check(now).await;
    for checked in &checked {
        writeln!(out, "{checked}")?;
    }
    if !checked.iter().any(|checked| checked.finding.works()) {
        return Err(Failure::failed(format!("{target}: none of its queries works")));
    }
    source.backfill(now, TimeDelta::minutes(minutes.into())).await.map_err(Failure::failed)?;
    let seen = source.observe(target, now).await.map_err(Failure::failed)?;
    writeln!(out, "{target} at {}: {} samples before it", seen.current.timestamp, seen.history.len())?;
    for (signal, absence) in seen.absences() {
        writeln!(out, "  {signal}: {absence}")?;
    }
    match RuleBasedEngine::default().evaluate(&seen) {
        Ok(decision) => writeln!(out, "would want {} pods: {:?}", decision.desired_replicas, decision.action())?,
        Err(error) => writeln!(out, "no decision: {error}")?,
    }
    Ok(())
}

/// Who asks Azure, by what the environment says: the workload identity of the pod, else the service principal in `AZURE_TENANT_ID`,
/// `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`. `managed` takes the managed identity of the machine.
#[cfg(feature = "azure-monitor")]
pub fn azure_identity(managed: bool, variable: impl Fn(&str) -> Option<String>) -> Option<Identity> {
    let (tenant, client) = (variable("AZURE_TENANT_ID"), variable("AZURE_CLIENT_ID"));
    if managed {
        return Some(Identity::Managed { client });
    }
    if variable("AZURE_FEDERATED_TOKEN_FILE").is_some() {
        return Some(Identity::workload());
    }
    Some(Identity::client_secret(tenant?, client?, variable("AZURE_CLIENT_SECRET")?))
}
