//! The source of live metrics, by the command line: [`Seen`].

use std::time::Duration;

use scaling_core::chrono::{DateTime, Utc};
use scaling_core::http::{Auth, Endpoint, HttpClient, HttpConfig};
use scaling_core::live::Cadence;
use scaling_core::source::DEFAULT_LIMIT;
use scaling_core::source::prometheus::{
    Backfill, Measure, PrometheusSource, QueryBudget, QuerySet, QueryTemplate, Unit,
};
use scaling_core::{SignalKind, Target};

use super::arguments::LiveArguments;
use super::looping::Tell;
use crate::Failure;

const SETS: &str = "kubernetes, ingress-nginx, istio, linkerd, opentelemetry";

/// Makes the source. Nothing is asked yet.
pub(super) fn source(live: &LiveArguments) -> Result<PrometheusSource, Failure> {
    let Some(address) = &live.prometheus else {
        // Each needs to be told which series is which measure of which workload, for which the command line is too narrow.
        return Err(Failure::input(
            "this program asks Prometheus; a host of CloudWatch, Azure Monitor or Datadog builds its source with their mappings \
             (scaling_core::source) and gives it to the same loop",
        ));
    };
    let endpoint = Endpoint::parse(address).map_err(|error| Failure::input(format!("--prometheus: {error}")))?;
    let client = HttpClient::new(config(live)?).map_err(Failure::input)?;
    let cadence = Cadence::new(Duration::from_secs(live.interval)).map_err(Failure::input)?;
    let source = PrometheusSource::new(client, endpoint, queries(live)?).with_budget(budget(cadence));
    // A sample a minute is fetched, and kept, of as many days as are asked for.
    let fetched = usize::try_from(live.backfill.saturating_mul(24 * 60)).unwrap_or(usize::MAX);
    Ok(source.with_limit(fetched.max(DEFAULT_LIMIT)))
}

/// What has answered by the source's own deadline counts; what the loop waits for in vain is lost whole. So the first comes before the
/// second, by as much as answers take to be read.
fn budget(cadence: Cadence) -> QueryBudget {
    QueryBudget { tick: cadence.source_deadline().mul_f64(0.9), ..QueryBudget::default() }
}

fn config(live: &LiveArguments) -> Result<HttpConfig, Failure> {
    let mut config = HttpConfig::default();
    if let Some(path) = &live.token_file {
        config = config.auth(Auth::bearer_file(path));
    }
    if let Some(tenant) = &live.tenant {
        config = config.header("X-Scope-OrgID", tenant);
    }
    if let Some(path) = &live.certificate_authority {
        config = config.certificate_authority(crate::read(path)?);
    }
    Ok(config)
}

fn queries(live: &LiveArguments) -> Result<QuerySet, Failure> {
    let mut queries = QuerySet::empty();
    for name in &live.queries {
        queries = queries.and(match name.trim() {
            "none" | "" => QuerySet::empty(),
            "kubernetes" => QuerySet::kubernetes(),
            "ingress-nginx" => QuerySet::ingress_nginx(),
            "istio" => QuerySet::istio(),
            "linkerd" => QuerySet::linkerd(),
            "opentelemetry" => QuerySet::opentelemetry(),
            other => return Err(Failure::input(format!("--queries: there is no set {other:?}; there are: {SETS}"))),
        });
    }
    for text in &live.own_queries {
        let (name, promql) =
            text.split_once('=').ok_or_else(|| Failure::input(format!("--query {text:?}: expected SIGNAL=PROMQL")))?;
        let template = QueryTemplate::new(measure(name)?, Unit::Own, promql);
        queries = queries.with(template.map_err(|error| Failure::input(format!("--query: {error}")))?);
    }
    if queries.templates().next().is_none() {
        return Err(Failure::input("there is nothing to ask: --queries SETS, or --query SIGNAL=PROMQL"));
    }
    Ok(queries)
}

fn measure(name: &str) -> Result<Measure, Failure> {
    if let Some(kind) = SignalKind::ALL.into_iter().find(|kind| kind.field() == name) {
        return Ok(Measure::Signal(kind));
    }
    match name {
        "current_pod_count" => Ok(Measure::ReadyPods),
        "desired_pod_count" => Ok(Measure::DesiredPods),
        _ => {
            let known = SignalKind::ALL.map(SignalKind::field).join(", ");
            let what = format!(
                "--query: there is no signal {name:?}; there are: {known}, current_pod_count, desired_pod_count"
            );
            Err(Failure::input(what))
        }
    }
}

/// Fetches the past that the engine learns from, and tells what came of it.
pub(super) async fn backfill(
    source: &PrometheusSource,
    targets: &[Target],
    days: u64,
    now: DateTime<Utc>,
    tell: &Tell,
) {
    if days == 0 {
        return;
    }
    let span = Duration::from_secs(days.saturating_mul(86_400));
    let report = source.backfill(targets, now, Backfill { span, ..Backfill::default() }).await;
    tell(&format!("fetched {} samples of the past {days} days in {} queries", report.samples, report.queries));
    for target in &report.empty {
        tell(&format!("note: {target}: there is no past; what is asked for: autoscale check"));
    }
    for error in report.failed.iter().take(5) {
        tell(&format!("note: a piece of the past is missing: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_gives_what_it_has_before_the_loop_gives_it_up() {
        for seconds in [1, 15, 60, 86_400] {
            let cadence = Cadence::new(Duration::from_secs(seconds)).unwrap();
            let (own, loops) = (budget(cadence).tick, cadence.source_deadline());
            assert!(own < loops && own > loops / 2, "{own:?} {loops:?}");
        }
    }
}
