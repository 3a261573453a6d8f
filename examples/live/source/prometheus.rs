//! Prometheus, as the command line says it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::http::{Auth, Endpoint, HttpClient};
use scaling_core::source::prometheus::{
    Backfill, Measure, PrometheusSource, QueryBudget, QueryCheck, QuerySet, QueryTemplate, Unit, Verdict,
};
use scaling_core::source::{DEFAULT_LIMIT, PastSource};
use scaling_core::{SignalKind, Target};

use super::{Finding, LiveSource, Past, Tried, deadline, http};
use crate::Failure;
use crate::live::arguments::{SourceArguments, readable};
use crate::live::looping::Tell;

const SETS: &str = "kubernetes, ingress-nginx, istio, linkerd, opentelemetry";

/// Makes the source. Nothing is asked yet.
pub(super) fn source(from: &SourceArguments, address: &str) -> Result<PrometheusSource, Failure> {
    let endpoint = Endpoint::parse(address).map_err(|error| Failure::input(format!("--prometheus: {error}")))?;
    let mut config = http(from)?;
    if let Some(path) = &from.origin.token_file {
        readable("--token-file", path)?;
        config = config.auth(Auth::bearer_file(path));
    }
    if let Some(tenant) = &from.origin.tenant {
        config = config.header("X-Scope-OrgID", tenant);
    }
    let client = HttpClient::new(config).map_err(Failure::input)?;
    let budget = QueryBudget { tick: deadline(from)?, ..QueryBudget::default() };
    let source = PrometheusSource::new(client, endpoint, queries(from)?).with_budget(budget);
    // A sample a minute is fetched, and kept, of as many days as are asked for.
    let fetched = usize::try_from(from.backfill.saturating_mul(24 * 60)).unwrap_or(usize::MAX);
    Ok(source.with_limit(fetched.max(DEFAULT_LIMIT)).with_sync_period(Duration::from_secs(from.origin.interval)))
}

fn queries(from: &SourceArguments) -> Result<QuerySet, Failure> {
    let mut queries = QuerySet::empty();
    for name in &from.origin.queries {
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
    for text in &from.origin.own_queries {
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

#[async_trait]
impl LiveSource for PrometheusSource {
    async fn tried(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Tried> {
        let mut tried = Vec::new();
        let mut is_silent = false;
        for target in targets {
            if is_silent {
                tried.push(Tried { target: target.clone(), works: false, said: Verdict::NotAsked.to_string() });
                continue;
            }
            let checks = self.check(target, now).await;
            is_silent = checks.iter().any(|check| check.verdict == Verdict::NotAsked);
            let checks = checks.into_iter();
            let one = |check: QueryCheck| Tried {
                target: target.clone(),
                works: check.verdict.is_good(),
                said: check.to_string(),
            };
            tried.extend(checks.map(one));
        }
        tried
    }

    async fn fetch_past(&self, targets: &[Target], days: u64, now: DateTime<Utc>, tell: &Tell) -> Past {
        let span = Duration::from_secs(days.saturating_mul(86_400));
        let report = self.backfill(targets, now, Backfill { span, ..Backfill::default() }).await;
        tell(&format!("fetched {} samples of the past {days} days in {} queries", report.samples, report.queries));
        for target in &report.empty {
            tell(&format!("note: {target}: there is no past; what is asked for: autoscale check"));
        }
        let mut causes: Vec<String> = report.failed.iter().map(|error| error.fault.to_string()).collect();
        let why = causes.first().cloned();
        causes.dedup();
        for cause in causes.iter().take(5) {
            tell(&format!("note: pieces of the past are missing: {cause}"));
        }
        Past { samples: report.samples, missing: report.failed.len(), why }
    }

    fn past(&self) -> Option<&dyn PastSource> {
        Some(self)
    }

    fn findings(&self) -> Vec<Finding> {
        let (report, mut findings) = (self.report(), Vec::new());
        if let Some(skew) = report.skew {
            let (by, way) = (skew.num_seconds().abs(), if skew.num_seconds() > 0 { "ahead" } else { "behind" });
            let said = format!("the metrics server is {by} s {way} of this one");
            findings.push(Finding { about: "clock".to_owned(), ended: "agrees again", said });
        }
        let mut ambiguous = BTreeMap::new();
        for (target, measure, series) in &report.ambiguous {
            ambiguous.entry(measure).or_insert_with(Vec::new).push((target, series));
        }
        for (measure, workloads) in ambiguous {
            let Some((target, series)) = workloads.first() else { continue };
            let said = format!(
                "several series of {measure} where there should be one, so none is used: {} workloads, as {target} with {series}",
                workloads.len()
            );
            findings.push(Finding { about: format!("series of {measure}"), ended: "are one each again", said });
        }
        for error in &report.failed {
            let about = format!("query for {}", error.measure);
            findings.push(Finding { about, ended: "is answered again", said: error.to_string() });
        }
        findings
    }
}
