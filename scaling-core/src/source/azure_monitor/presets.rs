//! Ready-made queries: Application Gateway, pods in AKS, Service Bus.
//!
//! Names, units, aggregations and dimensions are those of the tables "Supported metrics" of Azure Monitor for each type of resource.
//!
//! What platform metrics can deliver of a workload in AKS is little. `Microsoft.ContainerService/managedClusters` has CPU and memory by node
//! and node pool only, and of pods whether they are ready and in which phase. **There is no CPU or memory of a Deployment in them.** Those
//! are in managed Prometheus (Container insights' own custom metrics are no substitute: getBatch refuses custom metrics, and their CPU is a
//! share of the limit or of the node): read them with the `prometheus` source from the query endpoint of the Azure Monitor workspace, with
//! [`Identity::tokens`](super::Identity::tokens) for `https://prometheus.monitor.azure.com/.default`.

use super::ResourceId;
use super::query::{Aggregation, InvalidQuery, MetricSeries, Pick};
use crate::metrics::SignalKind;
use crate::source::fleet::{Amount, Term};
use crate::source::mapping::{Measure, SignalQuery, Statistic, Unit};
use crate::target::Target;

/// A query of a mapping for Azure Monitor.
pub type AzureQuery = SignalQuery<Term<MetricSeries>>;

/// Request rate, error rate and mean response time of a backend pool of an Application Gateway, as the backends answered. The gateway's
/// ingress controller names a pool after namespace, service and port; which pool a workload is, is stated.
///
/// | measure | metric |
/// | --- | --- |
/// | request rate | `BackendResponseStatus`, total of a minute |
/// | error rate | `BackendResponseStatus` with `HttpStatusGroup` 5xx, of all |
/// | response time, mean | `BackendLastByteResponseTime`, average, ms |
///
/// `TotalRequests` is not taken: by its description it counts successful requests, and by its name all. What the gateway answers itself
/// (502 without a backend) is in neither. Connections are counted for the whole gateway only. A minute without requests has no value,
/// and is absent; in one with responses and no 5xx among them the error rate is 0.
///
/// # Errors
/// [`InvalidQuery`] if the resource is another one, or `pool` can be no name.
pub fn application_gateway(gateway: &ResourceId, pool: &str) -> Result<Vec<AzureQuery>, InvalidQuery> {
    of_type(gateway, "microsoft.network/applicationgateways")?;
    let of_pool =
        |series: MetricSeries| series.picked(Pick::Is { dimension: "BackendPool".to_owned(), value: pool.to_owned() });
    let responses = || MetricSeries::new(gateway, "BackendResponseStatus", Aggregation::Total);
    let all = of_pool(responses()?)?;
    let failed = of_pool(responses()?.filtered("HttpStatusGroup", "5xx")?)?;
    let time = of_pool(MetricSeries::new(gateway, "BackendLastByteResponseTime", Aggregation::Average)?)?;
    let count = |series: &MetricSeries| Amount { series: series.clone(), unit: Unit::PerPeriod };
    // A group of statuses without a response has no series.
    let errors = Term::Sparse { part: count(&failed), whole: count(&all) };
    Ok(vec![
        SignalQuery::new(SignalKind::RequestRate, Term::One(all), Unit::PerPeriod, Statistic::Sum),
        SignalQuery::new(SignalKind::ErrorRate, errors, Unit::Ratio, Statistic::Average),
        SignalQuery::new(SignalKind::ResponseTime, Term::One(time), Unit::Milliseconds, Statistic::Average),
    ])
}

/// Ready pods of a Deployment in an AKS cluster: `kube_pod_status_ready` of the pods whose names are of the Deployment.
///
/// It declares no signal, since a pod count is none: put it beside queries that deliver some.
///
/// # Errors
/// [`InvalidQuery`] if the resource is another one, or the target is no Deployment.
pub fn aks_ready_pods(cluster: &ResourceId, target: &Target) -> Result<Vec<AzureQuery>, InvalidQuery> {
    of_type(cluster, "microsoft.containerservice/managedclusters")?;
    if target.kind != "Deployment" {
        return Err(InvalidQuery::Kind(target.kind.clone()));
    }
    // One measurement of 1 for each pod that is ready; the mean, since the sum grows with how often it is taken.
    let ready = MetricSeries::new(cluster, "kube_pod_status_ready", Aggregation::Average)?
        .filtered("namespace", &target.namespace)?
        .filtered("condition", "true")?
        .picked(Pick::PodsOf { dimension: "pod".to_owned(), deployment: target.name.clone() })?;
    Ok(vec![SignalQuery::new(Measure::ReadyPods, Term::One(ready), Unit::Count, Statistic::Average)])
}

/// Queue depth of a queue or topic of a Service Bus namespace: `ActiveMessages`, mean of a minute.
///
/// # Errors
/// [`InvalidQuery`] if the resource is another one, or `entity` can be no name.
pub fn service_bus(namespace: &ResourceId, entity: &str) -> Result<Vec<AzureQuery>, InvalidQuery> {
    of_type(namespace, "microsoft.servicebus/namespaces")?;
    let depth = MetricSeries::new(namespace, "ActiveMessages", Aggregation::Average)?
        .picked(Pick::Is { dimension: "EntityName".to_owned(), value: entity.to_owned() })?;
    Ok(vec![SignalQuery::new(SignalKind::QueueDepth, Term::One(depth), Unit::Count, Statistic::Average)])
}

fn of_type(resource: &ResourceId, expected: &'static str) -> Result<(), InvalidQuery> {
    if resource.kind() == expected {
        Ok(())
    } else {
        Err(InvalidQuery::Resource { resource: resource.clone(), expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::SignalSet;
    use crate::source::mapping::Mapping;

    fn resource(kind: &str) -> ResourceId {
        format!("/subscriptions/s/resourceGroups/rg/providers/{kind}/x").parse().unwrap()
    }

    #[test]
    fn presets_say_what_they_deliver_and_of_which_resource() {
        let gateway = resource("Microsoft.Network/applicationGateways");
        let cluster = resource("Microsoft.ContainerService/managedClusters");
        let bus = resource("Microsoft.ServiceBus/namespaces");
        let web = Target::deployment("shop", "web");
        let mut queries = application_gateway(&gateway, "web").unwrap();
        queries.extend(aks_ready_pods(&cluster, &web).unwrap());
        queries.extend(service_bus(&bus, "orders").unwrap());
        let declared = Mapping::new(queries).unwrap().declared();
        let expected =
            [SignalKind::RequestRate, SignalKind::ErrorRate, SignalKind::ResponseTime, SignalKind::QueueDepth];
        assert_eq!(declared, SignalSet::of(expected));
        assert!(application_gateway(&cluster, "web").unwrap_err().to_string().contains("is no microsoft.network"));
        assert!(service_bus(&gateway, "orders").is_err() && service_bus(&bus, "*").is_err());
        assert!(aks_ready_pods(&cluster, &web.of_kind("StatefulSet")).is_err());
    }
}
