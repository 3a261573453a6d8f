//! Ready-made query sets.
//!
//! Gauges are read by `last_over_time(…[{fresh}])`: a plain selector would return values up to five minutes old as if they were new.
//!
//! Where two series may report the same (two replicas of an exporter, one that was just replaced, a container that restarted), the
//! largest counts: their sum would double a request and so halve a utilization.
//!
//! A share of failed requests is of the requests that tell a status. Where none of those failed there is no series of failures: that is
//! 0 % measured. Where no series tells a status, nothing is measured. A share of no requests at all stays NaN: nothing to measure.

use super::template::{ANSWERED, Measure, NamedBy, QueryTemplate, Unit};
use crate::metrics::SignalKind;

use SignalKind::{ActiveConnections, CpuUtilization, ErrorRate, MemoryUtilization, RequestRate, ResponseTime};

/// Each pod with the Deployment or StatefulSet that owns it, value 1. A Deployment owns by way of a ReplicaSet. `max` because several
/// instances of kube-state-metrics may report the same while one is replaced.
const OWNER: &str = r#"max by (namespace, pod, workload, kind) (label_replace(label_replace(label_replace(kube_pod_owner{namespace=~"{namespace}"{matchers},owner_kind="ReplicaSet"}, "replicaset", "$1", "owner_name", "(.+)") * on (namespace, replicaset) group_left (deployment) max by (namespace, replicaset, deployment) (label_replace(kube_replicaset_owner{namespace=~"{namespace}"{matchers},owner_kind="Deployment",owner_name=~"{workload}"}, "deployment", "$1", "owner_name", "(.+)")), "workload", "$1", "deployment", "(.+)"), "kind", "Deployment", "", "") or label_replace(label_replace(kube_pod_owner{namespace=~"{namespace}"{matchers},owner_kind="StatefulSet",owner_name=~"{workload}"}, "workload", "$1", "owner_name", "(.+)"), "kind", "StatefulSet", "", ""))"#;

/// Ready pods, value 1.
const READY: &str = r#"(max by (namespace, pod) (last_over_time(kube_pod_status_ready{namespace=~"{namespace}"{matchers},condition="true"}[{fresh}])) == 1)"#;

/// Pods that were ready a window ago, value 1.
const READY_BEFORE: &str = r#"(max by (namespace, pod) (last_over_time(kube_pod_status_ready{namespace=~"{namespace}"{matchers},condition="true"}[{fresh}] offset {window})) == 1)"#;

/// Usage of ready pods over what those same pods request, in percent: as the HPA computes utilization. Only pods answer of which each
/// container that requests something is seen. Where those are not all, a second series says how many ([`ANSWERED`]). Pods that became
/// ready within the window may still be without a rate and do not count as missing.
fn utilization(usage: &str, resource: &str) -> String {
    // Each container once; `cpu` tells the cores of one container apart where the kubelet reports them one by one.
    let used = format!("max by (namespace, pod, container) (sum without (cpu) ({usage}))");
    let asked = format!(
        r#"max by (namespace, pod, container) (last_over_time(kube_pod_container_resource_requests{{namespace=~"{{namespace}}"{{matchers}},resource="{resource}"}}[{{fresh}}]))"#
    );
    // What the pods request that answer.
    let covered = format!(
        "(sum by (namespace, pod) ({asked}) and on (namespace, pod) {READY} \
         unless on (namespace, pod) ({asked} unless on (namespace, pod, container) {used}))"
    );
    let used = format!("(sum by (namespace, pod) ({used}) and on (namespace, pod) {covered})");
    // No `or` between pods: VictoriaMetrics does not join its two sides step by step over a range.
    let missing = format!("({READY} and on (namespace, pod) {READY_BEFORE} unless on (namespace, pod) {covered})");
    let by_owner = |how: &str, pods: &str| {
        format!(
            "{how} by (namespace, workload, kind) ({pods} * on (namespace, pod) group_left (workload, kind) {OWNER})"
        )
    };
    let share = format!("100 * {} / {}", by_owner("sum", &used), by_owner("sum", &covered));
    let missing = format!("{} / {}", by_owner("sum", &missing), by_owner("sum", READY));
    // In the same answer, so that no value comes without it, and none where no pod answers.
    format!(r#"{share} or label_replace(100 * (1 - {missing}) > 0, "{ANSWERED}", "partly", "", "")"#)
}

/// A gauge of kube-state-metrics for Deployments and one for StatefulSets, as one answer.
fn pods(of_deployment: &str, of_stateful_set: &str) -> String {
    let of_kind = |metric: &str, kind: &str, label: &str| {
        format!(
            r#"max by (namespace, workload, kind) (label_replace(label_replace(last_over_time({metric}{{namespace=~"{{namespace}}"{{matchers}},{label}=~"{{workload}}"}}[{{fresh}}]), "workload", "$1", "{label}", "(.+)"), "kind", "{kind}", "", ""))"#
        )
    };
    format!(
        "{} or {}",
        of_kind(of_deployment, "Deployment", "deployment"),
        of_kind(of_stateful_set, "StatefulSet", "statefulset")
    )
}

/// kube-state-metrics and cAdvisor.
pub(super) fn kubernetes() -> Vec<QueryTemplate> {
    // The two newest samples, as metrics-server takes them for the HPA: over a window of which samples are missing at either end (a pod
    // that just started, one that is no longer scraped), `rate` would fall although the pod works as hard as before.
    let cpu = r#"irate(container_cpu_usage_seconds_total{namespace=~"{namespace}"{matchers},container!="",container!="POD"}[{window}])"#;
    let memory = r#"last_over_time(container_memory_working_set_bytes{namespace=~"{namespace}"{matchers},container!="",container!="POD"}[{fresh}])"#;
    vec![
        QueryTemplate::known(Measure::Signal(CpuUtilization), Unit::Own, utilization(cpu, "cpu")),
        QueryTemplate::known(Measure::Signal(MemoryUtilization), Unit::Own, utilization(memory, "memory")),
        QueryTemplate::known(
            Measure::ReadyPods,
            Unit::Own,
            pods("kube_deployment_status_replicas_ready", "kube_statefulset_status_replicas_ready"),
        ),
        QueryTemplate::known(
            Measure::DesiredPods,
            Unit::Own,
            pods("kube_deployment_spec_replicas", "kube_statefulset_replicas"),
        ),
    ]
}

/// Request rate, share of failures and response time of counters and a histogram.
struct Http<'a> {
    /// Counter of requests, with matchers that are always there.
    requests: (&'a str, &'a str),
    /// Matcher that makes it a counter of failures.
    failed: &'a str,
    /// Matcher of series that tell whether they are failures.
    told: &'a str,
    /// Buckets of response times, with matchers that are always there.
    buckets: (&'a str, &'a str),
    unit: Unit,
    labels: (&'a str, &'a str),
    named_by: NamedBy,
}

impl Http<'_> {
    fn templates(&self) -> Vec<QueryTemplate> {
        const BY: &str = "{namespace_label}, {workload_label}";
        let rate = |(metric, also): (&str, &str), more: &str, by: &str| {
            let given = [also, more].into_iter().filter(|one| !one.is_empty());
            let matchers = given.map(|one| format!(",{one}")).collect::<Vec<_>>().concat();
            format!(
                r#"sum by ({by}) (rate({metric}{{{{namespace_label}}=~"{{namespace}}",{{workload_label}}=~"{{workload}}"{{matchers}}{matchers}}}[{{window}}]))"#
            )
        };
        let all = rate(self.requests, "", BY);
        let failed = rate(self.requests, self.failed, BY);
        let told = rate(self.requests, self.told, BY);
        let errors = format!("100 * ({failed} or 0 * {told}) / {told}");
        let times = format!("histogram_quantile({{quantile}}, {})", rate(self.buckets, "", &format!("le, {BY}")));
        [
            QueryTemplate::known(Measure::Signal(RequestRate), Unit::Own, all),
            QueryTemplate::known(Measure::Signal(ErrorRate), Unit::Own, errors),
            QueryTemplate::known(Measure::Signal(ResponseTime), self.unit, times),
        ]
        .map(|template| template.labels(self.labels.0, self.labels.1).named_by(self.named_by))
        .into()
    }
}

/// The ingress controller of NGINX.
pub(super) fn ingress_nginx() -> Vec<QueryTemplate> {
    let http = Http {
        requests: ("nginx_ingress_controller_requests", ""),
        failed: r#"status=~"5..""#,
        told: r#"status!="""#,
        buckets: ("nginx_ingress_controller_request_duration_seconds_bucket", ""),
        unit: Unit::Seconds,
        labels: ("exported_namespace", "exported_service"),
        named_by: NamedBy::Service,
    };
    http.templates()
}

/// Istio, as reporters of the receiving side count: a matcher, as `reporter="destination"`.
pub(super) fn istio(reporter: &str) -> Vec<QueryTemplate> {
    let http = Http {
        requests: ("istio_requests_total", reporter),
        failed: r#"response_code=~"5..""#,
        told: r#"response_code!="""#,
        buckets: ("istio_request_duration_milliseconds_bucket", reporter),
        unit: Unit::Own,
        labels: ("destination_workload_namespace", "destination_workload"),
        named_by: NamedBy::Workload,
    };
    http.templates()
}

/// Linkerd, as the proxy of the receiving pod reports.
pub(super) fn linkerd() -> Vec<QueryTemplate> {
    let http = Http {
        requests: ("response_total", r#"direction="inbound""#),
        failed: r#"classification="failure""#,
        told: r#"classification!="""#,
        buckets: ("response_latency_ms_bucket", r#"direction="inbound""#),
        unit: Unit::Own,
        labels: ("namespace", "deployment"),
        named_by: NamedBy::Workload,
    };
    http.templates()
}

/// HTTP server metrics by OpenTelemetry's semantic conventions, as Prometheus stores them.
pub(super) fn opentelemetry() -> Vec<QueryTemplate> {
    let labels = ("k8s_namespace_name", "k8s_deployment_name");
    let http = Http {
        requests: ("http_server_request_duration_seconds_count", ""),
        failed: r#"http_response_status_code=~"5..""#,
        told: r#"http_response_status_code!="""#,
        buckets: ("http_server_request_duration_seconds_bucket", ""),
        unit: Unit::Seconds,
        labels,
        named_by: NamedBy::Workload,
    };
    let active = r#"sum by ({namespace_label}, {workload_label}) (last_over_time(http_server_active_requests{{namespace_label}=~"{namespace}",{workload_label}=~"{workload}"{matchers}}[{fresh}]))"#;
    let active = QueryTemplate::known(Measure::Signal(ActiveConnections), Unit::Own, active);
    let mut templates = http.templates();
    templates.push(active.labels(labels.0, labels.1));
    templates
}
