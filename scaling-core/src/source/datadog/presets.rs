//! Ready-made queries for the Kubernetes integration and for traces.
//!
//! Names and units are those of the integration's metadata (repository `DataDog/integrations-core`, `kubelet/metadata.csv`; page
//! "Kubernetes State Metrics Core"; page "Trace Metrics"). Every number of a workload is one series of a query that is the same for all
//! workloads: a fleet of any size costs as many queries as one workload.

use super::query::{InvalidQuery, Kind, MetricQuery, Space};
use super::series::TagSeries;
use crate::metrics::SignalKind;
use crate::source::fleet::{Amount, Term};
use crate::source::mapping::{Measure, SignalQuery, Statistic, Unit};
use crate::target::Target;

/// A query of a mapping for Datadog.
pub type DatadogQuery = SignalQuery<Term<TagSeries>>;

/// Tags that every query of a preset is filtered by, such as `("env", "prod")`.
pub type Filters<'a> = &'a [(&'a str, &'a str)];

/// CPU and memory in percent of what is requested, ready and desired pods, from the Agent and its kube-state-metrics core check.
///
/// | measure | query |
/// | --- | --- |
/// | CPU utilization | `kubernetes.cpu.usage.total` (nanocores) of `kubernetes.cpu.requests` (cores) |
/// | memory utilization | `kubernetes.memory.usage` of `kubernetes.memory.requests` (bytes) |
/// | ready, desired pods | `kubernetes_state.deployment.replicas_ready`, `…replicas_desired` |
///
/// Containers without a request count in the usage and not in the requests: give every container one, or the shares are too high. For a
/// StatefulSet the metrics `kubernetes_state.statefulset.*` and the tag `kube_stateful_set` are taken. Of a target with a cluster, the tag
/// `kube_cluster_name` must be that; a target without one is refused as ambiguous where two clusters run a workload of its name.
///
/// # Errors
/// [`InvalidQuery`] if a name or a filter can be no tag. A kind that the integration has no tag for is one: state its queries yourself.
pub fn kubernetes(target: &Target, filters: Filters<'_>) -> Result<Vec<DatadogQuery>, InvalidQuery> {
    let (tag, state) = match target.kind.as_str() {
        "Deployment" => ("kube_deployment", "kubernetes_state.deployment"),
        "StatefulSet" => ("kube_stateful_set", "kubernetes_state.statefulset"),
        other => return Err(InvalidQuery::Kind(other.to_owned())),
    };
    let series = |space, metric: &str| {
        let query = filtered(MetricQuery::new(space, metric, Kind::Gauge)?, filters)?;
        let tags = [("kube_namespace", &target.namespace), (tag, &target.name)];
        let cluster = target.cluster.as_ref().map(|cluster| ("kube_cluster_name", cluster));
        let tags = tags.into_iter().chain(cluster).map(|(key, value)| (key.to_owned(), value.clone()));
        TagSeries::new(query, tags, &["kube_cluster_name"])
    };
    let share = |kind, part: (&str, Unit), whole: (&str, Unit)| {
        let amount = |(metric, unit)| Ok(Amount { series: series(Space::Sum, metric)?, unit });
        let term = Term::Share { part: amount(part)?, whole: amount(whole)? };
        Ok(SignalQuery::new(kind, term, Unit::Ratio, Statistic::Average))
    };
    // Each cluster has one series of these; the largest guards against two agents that both report it.
    let pods = |measure, name: &str| {
        let term = Term::One(series(Space::Max, &format!("{state}.{name}"))?);
        Ok(SignalQuery::new(measure, term, Unit::Count, Statistic::Average))
    };
    Ok(vec![
        share(
            SignalKind::CpuUtilization,
            ("kubernetes.cpu.usage.total", Unit::Nanocores),
            ("kubernetes.cpu.requests", Unit::Cores),
        )?,
        share(
            SignalKind::MemoryUtilization,
            ("kubernetes.memory.usage", Unit::Bytes),
            ("kubernetes.memory.requests", Unit::Bytes),
        )?,
        pods(Measure::ReadyPods, "replicas_ready")?,
        pods(Measure::DesiredPods, "replicas_desired")?,
    ])
}

/// Request rate, error rate and p95 latency of a service from its traces, for the operation that serves requests (`http.request`,
/// `servlet.request`, `grpc.server`, …).
///
/// | measure | query |
/// | --- | --- |
/// | request rate | `trace.OPERATION.hits` as a rate |
/// | error rate | `trace.OPERATION.errors` of `trace.OPERATION.hits` |
/// | response time, p95 | `trace.OPERATION` (a distribution, seconds) |
///
/// Which service a workload is, nobody can guess: it is named. An environment belongs into the filters; without it a service that reports
/// from two of them is ambiguous. While a service serves no request, Datadog has no values of these: they are absent then, and not 0. In a minute with hits and without
/// errors the error rate is 0.
///
/// # Errors
/// [`InvalidQuery`] if the operation, the service or a filter cannot be.
pub fn traces(operation: &str, service: &str, filters: Filters<'_>) -> Result<Vec<DatadogQuery>, InvalidQuery> {
    let series = |space, suffix: &str, kind| {
        let query = filtered(MetricQuery::new(space, format!("trace.{operation}{suffix}"), kind)?, filters)?;
        TagSeries::new(query, [("service".to_owned(), service.to_owned())], &["env"])
    };
    let rate = |suffix| Ok(Amount { series: series(Space::Sum, suffix, Kind::Rate)?, unit: Unit::PerSecond });
    // While nothing fails there are no errors to report, and often no such series.
    let errors = Term::Sparse { part: rate(".errors")?, whole: rate(".hits")? };
    let p95 = Statistic::percentile(95.0).unwrap_or(Statistic::Maximum);
    let latency = Term::One(series(Space::P95, "", Kind::Distribution)?);
    let hits = Term::One(rate(".hits")?.series);
    Ok(vec![
        SignalQuery::new(SignalKind::RequestRate, hits, Unit::PerSecond, Statistic::Average),
        SignalQuery::new(SignalKind::ErrorRate, errors, Unit::Ratio, Statistic::Average),
        SignalQuery::new(SignalKind::ResponseTime, latency, Unit::Seconds, p95),
    ])
}

fn filtered(query: MetricQuery, filters: Filters<'_>) -> Result<MetricQuery, InvalidQuery> {
    filters.iter().try_fold(query, |query, (key, value)| query.filtered(*key, *value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::SignalSet;
    use crate::source::mapping::Mapping;

    fn text(queries: &[DatadogQuery]) -> Vec<String> {
        queries.iter().map(|query| format!("{}: {}", query.measure, query.query)).collect()
    }

    #[test]
    fn the_kubernetes_preset_names_the_metrics_of_the_integration() {
        let queries = kubernetes(&Target::deployment("shop", "web").in_cluster("eu-1"), &[]).unwrap();
        let scope = "{kube_namespace:shop,kube_deployment:web,kube_cluster_name:eu-1} \
                     by {kube_cluster_name,kube_deployment,kube_namespace}.fill(null).rollup(avg, 60)";
        assert_eq!(
            text(&queries),
            [
                format!(
                    "cpu_utilization_percent: sum:kubernetes.cpu.usage.total{scope} / sum:kubernetes.cpu.requests{scope}"
                ),
                format!(
                    "memory_utilization_percent: sum:kubernetes.memory.usage{scope} / sum:kubernetes.memory.requests{scope}"
                ),
                format!("current_pod_count: max:kubernetes_state.deployment.replicas_ready{scope}"),
                format!("desired_pod_count: max:kubernetes_state.deployment.replicas_desired{scope}"),
            ]
        );
        let declared = Mapping::new(queries).unwrap().declared();
        assert_eq!(declared, SignalSet::of([SignalKind::CpuUtilization, SignalKind::MemoryUtilization]));
        let stateful =
            kubernetes(&Target::deployment("shop", "db").of_kind("StatefulSet"), &[("env", "prod")]).unwrap();
        assert!(
            text(&stateful)[2]
                .contains("statefulset.replicas_ready{env:prod,kube_namespace:shop,kube_stateful_set:db}")
        );
        let job = kubernetes(&Target::deployment("shop", "job").of_kind("Job"), &[]).unwrap_err();
        assert!(job.to_string().contains("\"Job\""), "{job}");
    }

    #[test]
    fn the_trace_preset_is_of_a_named_service() {
        let queries = traces("http.request", "checkout", &[("env", "prod")]).unwrap();
        assert_eq!(
            text(&queries)[0],
            "request_rate_per_second: sum:trace.http.request.hits{env:prod,service:checkout} by {env,service}.as_rate()"
        );
        let mapping = Mapping::new(queries).unwrap();
        assert_eq!(mapping.response_time_quantile(), Some(0.95));
        assert!(traces("http request", "checkout", &[]).is_err());
        assert!(traces("http.request", "check,out", &[]).is_err(), "a comma begins another tag");
    }
}
