//! Ready queries for what AWS reports: [`Eks`] and [`Ecs`] by Container Insights, [`Alb`] by an Application Load Balancer.
//!
//! Join the lists, put what is missing beside them, and make a [`Mapping`](crate::source::mapping::Mapping) of it. Names, units and
//! dimensions are those of the user guides of Container Insights and of Elastic Load Balancing; `check` says which of them an account
//! has.

use super::series::{Metric, MetricStat, Series};
use crate::metrics::SignalKind;
use crate::source::fleet::{Amount, Term};
use crate::source::mapping::{Measure, SignalQuery, Statistic, Unit};

type Query = SignalQuery<Term<Series>>;

/// A workload on EKS, or on Kubernetes with the CloudWatch agent: CPU and memory, percent of request, and running pods.
///
/// What Container Insights calls `pod_cpu_utilization` is percent of the *node*. The share of the node that the pod requested is
/// `pod_cpu_reserved_capacity`, so the percent of request that an HPA speaks of is the one over the other; memory alike. A pod
/// without a request reserves nothing, and has no such percent: absent, not 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eks {
    cluster: String,
    namespace: String,
    workload: String,
    service: String,
}

impl Eks {
    /// Of this cluster, namespace and workload. The agent names pods by the workload that owns them (`PodName`); the Service is
    /// taken to have the same name.
    pub fn new(cluster: impl Into<String>, namespace: impl Into<String>, workload: impl Into<String>) -> Self {
        let workload = workload.into();
        let service = workload.clone();
        Self { cluster: cluster.into(), namespace: namespace.into(), workload, service }
    }

    /// Sets the name of the Service, whose running pods are counted, where it is another one.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = service.into();
        self
    }

    /// CPU and memory utilization, and the number of running pods.
    pub fn queries(&self) -> Vec<Query> {
        let metric = |name: &str| {
            Metric::new("ContainerInsights", name).with("ClusterName", &self.cluster).with("Namespace", &self.namespace)
        };
        let pod = |name: &str| metric(name).with("PodName", &self.workload).by(Statistic::Average);
        let of_request = |kind, used, reserved| share(kind, [Unit::Percent; 2], pod(used), pod(reserved));
        let running = metric("service_number_of_running_pods").with("Service", &self.service);
        vec![
            of_request(SignalKind::CpuUtilization, "pod_cpu_utilization", "pod_cpu_reserved_capacity"),
            of_request(SignalKind::MemoryUtilization, "pod_memory_utilization", "pod_memory_reserved_capacity"),
            stat(Measure::ReadyPods, Unit::Count, running.by(Statistic::Average)),
        ]
    }
}

/// A service on ECS with Container Insights: CPU and memory, percent of what its tasks reserve, running and desired tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ecs {
    cluster: String,
    service: String,
}

impl Ecs {
    /// Of this cluster and service.
    pub fn new(cluster: impl Into<String>, service: impl Into<String>) -> Self {
        Self { cluster: cluster.into(), service: service.into() }
    }

    /// CPU and memory utilization, running and desired tasks.
    pub fn queries(&self) -> Vec<Query> {
        let metric = |name: &str| {
            Metric::new("ECS/ContainerInsights", name)
                .with("ClusterName", &self.cluster)
                .with("ServiceName", &self.service)
                .by(Statistic::Average)
        };
        // Used and reserved come in the same unit: CPU units of 1/1024 core, and megabytes. Only their ratio is used.
        let of_reserved = |kind, used, reserved| share(kind, [Unit::Count; 2], metric(used), metric(reserved));
        vec![
            of_reserved(SignalKind::CpuUtilization, "CpuUtilized", "CpuReserved"),
            of_reserved(SignalKind::MemoryUtilization, "MemoryUtilized", "MemoryReserved"),
            stat(Measure::ReadyPods, Unit::Count, metric("RunningTaskCount")),
            stat(Measure::DesiredPods, Unit::Count, metric("DesiredTaskCount")),
        ]
    }
}

/// Requests that an Application Load Balancer sends to a target group: rate, response time, and 5xx of the targets.
///
/// The load balancer reports nothing at all while no request comes. The rate is absent then, not 0: an idle workload, a deleted load
/// balancer and a misspelt name look alike, and nothing shrinks on that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alb {
    load_balancer: String,
    target_group: String,
    response_time: Statistic,
}

impl Alb {
    /// Of this load balancer and target group, each by the end of its ARN: `app/web/50dc6c495c0c9188` and
    /// `targetgroup/checkout/73e2d6bc24d8a067`. The response time is a mean; see [`response_time`](Self::response_time).
    pub fn new(load_balancer: impl Into<String>, target_group: impl Into<String>) -> Self {
        let (load_balancer, target_group) = (load_balancer.into(), target_group.into());
        Self { load_balancer, target_group, response_time: Statistic::Average }
    }

    /// Sets the statistic of the response time: a percentile says which quantile it is.
    #[must_use]
    pub fn response_time(mut self, statistic: Statistic) -> Self {
        self.response_time = statistic;
        self
    }

    /// Request rate, response time and error rate.
    pub fn queries(&self) -> Vec<Query> {
        let metric = |name: &str| {
            Metric::new("AWS/ApplicationELB", name)
                .with("LoadBalancer", &self.load_balancer)
                .with("TargetGroup", &self.target_group)
        };
        let requests = metric("RequestCount").by(Statistic::Sum);
        let count = |stat| Amount { series: Series::Stat(stat), unit: Unit::PerPeriod };
        let failed = metric("HTTPCode_Target_5XX_Count").by(Statistic::Sum);
        // Reported only where it is not 0 (user guide of Elastic Load Balancing).
        let share = Term::Sparse { part: count(failed), whole: count(requests.clone()) };
        let response_time = metric("TargetResponseTime").by(self.response_time);
        vec![
            stat(SignalKind::RequestRate, Unit::PerPeriod, requests),
            stat(SignalKind::ResponseTime, Unit::Seconds, response_time),
            SignalQuery::new(SignalKind::ErrorRate, share, Unit::Ratio, Statistic::Average),
        ]
    }
}

/// One metric as a measure.
fn stat(measure: impl Into<Measure>, unit: Unit, stat: MetricStat) -> Query {
    let statistic = stat.statistic;
    SignalQuery::new(measure, Term::One(Series::Stat(stat)), unit, statistic)
}

/// One metric as a share of another in the same unit.
fn share(kind: SignalKind, [part_unit, whole_unit]: [Unit; 2], part: MetricStat, whole: MetricStat) -> Query {
    let amount = |stat, unit| Amount { series: Series::Stat(stat), unit };
    let term = Term::Share { part: amount(part, part_unit), whole: amount(whole, whole_unit) };
    SignalQuery::new(kind, term, Unit::Ratio, Statistic::Average)
}
