//! The source of live metrics, by the command line: [`LiveSource`].

#[cfg(feature = "azure-monitor")]
mod azure;
#[cfg(feature = "cloudwatch")]
mod cloudwatch;
#[cfg(feature = "datadog")]
mod datadog;
#[cfg(any(feature = "azure-monitor", feature = "cloudwatch", feature = "datadog"))]
mod fleet;
#[cfg(any(feature = "azure-monitor", feature = "cloudwatch", feature = "datadog"))]
mod mapping;
pub(super) mod metrics_api;
mod prometheus;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::http::HttpConfig;
use scaling_core::live::Cadence;
use scaling_core::source::PastSource;
use scaling_core::{MetricsSource, Target};

use super::arguments::{LiveArguments, SourceArguments};
use super::looping::Tell;
use crate::Failure;

/// A source of live metrics, and what the program asks of it besides: to try its queries, to fetch a past, to say what is wrong.
#[async_trait]
pub(super) trait LiveSource: MetricsSource {
    /// Tries every query for these workloads once.
    async fn tried(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Tried>;

    /// Fetches the past that the engine learns from, and tells what came of it.
    async fn fetch_past(&self, targets: &[Target], days: u64, now: DateTime<Utc>, tell: &Tell) -> Past;

    /// The past of a workload as samples; none if it has none that it could be asked for.
    fn past(&self) -> Option<&dyn PastSource> {
        None
    }

    /// Faults of the answers of the last tick.
    fn findings(&self) -> Vec<Finding>;

    /// The workloads that it knows; none if it knows any that it is asked for.
    fn known(&self) -> Option<Vec<Target>> {
        None
    }
}

/// A past that was fetched.
#[derive(Default)]
pub(super) struct Past {
    /// Samples that came.
    pub(super) samples: usize,
    /// Pieces that are missing since a query failed.
    pub(super) missing: usize,
    /// Reason why the first of them is.
    pub(super) why: Option<String>,
}

/// Outcome of a query that was tried.
pub(super) struct Tried {
    pub(super) target: Target,
    pub(super) works: bool,
    pub(super) said: String,
}

/// Something that is wrong with the answers of a source.
pub(super) struct Finding {
    /// Subject of the fault, constant for as long as it lasts.
    pub(super) about: String,
    pub(super) said: String,
    /// The words for its end.
    pub(super) ended: &'static str,
}

/// Makes the source, which may be the cluster itself. Nothing is asked yet.
pub(super) async fn live_source(live: &LiveArguments) -> Result<Arc<dyn LiveSource>, Failure> {
    live.validate()?;
    if live.metrics_api.is_empty() { source(&live.from).await } else { Ok(Arc::new(metrics_api::source(live).await?)) }
}

/// Makes the source. Nothing is asked yet.
pub(super) async fn source(from: &SourceArguments) -> Result<Arc<dyn LiveSource>, Failure> {
    from.validate()?;
    made(from).await
}

/// Makes the source of what was checked, of all workloads of a file if none is named.
pub(super) async fn made(from: &SourceArguments) -> Result<Arc<dyn LiveSource>, Failure> {
    let origin = &from.origin;
    if let Some(address) = &origin.prometheus {
        return Ok(Arc::new(prometheus::source(from, address)?));
    }
    if let Some(file) = &origin.cloudwatch {
        #[cfg(feature = "cloudwatch")]
        return Ok(Arc::new(cloudwatch::source(from, file).await?));
        #[cfg(not(feature = "cloudwatch"))]
        return Err(left_out("--cloudwatch", file, "cloudwatch"));
    }
    if let Some(file) = &origin.azure {
        #[cfg(feature = "azure-monitor")]
        return Ok(Arc::new(azure::source(from, file)?));
        #[cfg(not(feature = "azure-monitor"))]
        return Err(left_out("--azure", file, "azure-monitor"));
    }
    if let Some(file) = &origin.datadog {
        #[cfg(feature = "datadog")]
        return Ok(Arc::new(datadog::source(from, file)?));
        #[cfg(not(feature = "datadog"))]
        return Err(left_out("--datadog", file, "datadog"));
    }
    Err(Failure::input("say where the metrics come from"))
}

/// Fetches a past of so many days, if any, and says before what is waited for.
pub(super) async fn backfill(
    source: &dyn LiveSource,
    targets: &[Target],
    days: u64,
    now: DateTime<Utc>,
    tell: &Tell,
) -> Past {
    if days == 0 {
        return Past::default();
    }
    source.fetch_past(targets, days, now, tell).await
}

/// Seconds that one question for metrics may take: as long as a person waits.
const QUESTION_S: u64 = 10;

/// The longest wait for one answer, by the command line.
pub(super) fn question(from: &SourceArguments) -> Duration {
    Duration::from_secs(from.origin.deadline.unwrap_or(QUESTION_S))
}

/// Says what is asked, and how long an answer is waited for.
pub(super) fn tell_asked(from: &SourceArguments, what: &str, tell: &Tell) {
    let workloads = from.targets.len();
    let whose = match from.targets.as_slice() {
        [one] => one.to_string(),
        _ => format!("{workloads} workloads"),
    };
    tell(&format!(
        "asking {} for {what} of {whose}; {} s at most for an answer",
        from.origin(),
        question(from).as_secs()
    ));
}

/// Time that all questions of a tick may take. What has answered by the source's own deadline counts; what the loop waits for in vain is
/// lost whole. So the first comes before the second, by as much as answers take to be read.
fn deadline(from: &SourceArguments) -> Result<Duration, Failure> {
    let cadence = Cadence::new(Duration::from_secs(from.origin.interval)).map_err(Failure::input)?;
    Ok(cadence.source_deadline().mul_f64(0.9) / from.batches.max(1))
}

/// The settings of HTTP that all sources share.
fn http(from: &SourceArguments) -> Result<HttpConfig, Failure> {
    let config = HttpConfig::default().timeout(question(from)).attempt_timeout(question(from));
    match &from.origin.certificate_authority {
        Some(path) => Ok(config.certificate_authority(crate::read(path)?)),
        None => Ok(config),
    }
}

#[cfg(not(all(feature = "azure-monitor", feature = "cloudwatch", feature = "datadog")))]
fn left_out(flag: &str, file: &std::path::Path, feature: &str) -> Failure {
    Failure::input(format!(
        "{flag} {}: this program was built without it; build it with: cargo run --release --features live,{feature} --example autoscale -- …",
        crate::place(file)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::arguments::OriginArguments;

    #[test]
    fn the_source_gives_what_it_has_before_the_loop_gives_it_up() {
        for interval in [1, 15, 60, 86_400] {
            let origin = OriginArguments { interval, ..OriginArguments::default() };
            let from = SourceArguments { origin, ..SourceArguments::default() };
            let loops = Cadence::new(Duration::from_secs(interval)).unwrap().source_deadline();
            let own = deadline(&from).unwrap();
            assert!(own < loops && own > loops / 2, "{own:?} {loops:?}");
            let spread = SourceArguments { batches: 4, ..from };
            assert_eq!(deadline(&spread).unwrap(), own / 4);
        }
    }
}
