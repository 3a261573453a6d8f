//! Azure Monitor, as a file says it. `deploy/azure.yaml` shows every field.

use std::collections::BTreeMap;
use std::path::Path;

use scaling_core::Target;
use scaling_core::http::{Auth, Endpoint};
use scaling_core::source::azure_monitor::query::{Aggregation, MetricSeries, Pick};
use scaling_core::source::azure_monitor::{
    self, AzureMonitorApi, AzureMonitorSource, Cloud, Identity, ResourceId, presets,
};
use scaling_core::source::fleet::Workload;
use scaling_core::source::mapping::{Measure, Statistic};
use serde::Deserialize;

use super::fleet::{self, Facts};
use super::mapping::{OwnQuery, Query, Workloads, Written, joined, read};
use super::{deadline, http};
use crate::Failure;
use crate::clouds::azure_identity;
use crate::live::arguments::{SourceArguments, readable};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    cloud: CloudName,
    /// Region of the batch API, of which all resources must be. Default: the API of the resource manager.
    region: Option<String>,
    /// Asks as the managed identity of the machine, whatever the environment says.
    #[serde(default)]
    managed_identity: bool,
    /// A proxy in front of the API, which gets the token of `--token-file`.
    endpoint: Option<String>,
    workloads: BTreeMap<String, WorkloadConfig>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CloudName {
    #[default]
    Public,
    China,
    Government,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkloadConfig {
    application_gateway: Option<Gateway>,
    aks: Option<Aks>,
    service_bus: Option<ServiceBus>,
    #[serde(default)]
    queries: Vec<OwnQuery<Series>>,
    #[serde(default)]
    without: Vec<Measure>,
    #[serde(default)]
    facts: Facts,
}

/// Requests of a backend pool.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gateway {
    resource: String,
    pool: String,
}

/// Ready pods of a Deployment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Aks {
    resource: String,
}

/// Messages of a queue or topic.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceBus {
    resource: String,
    entity: String,
}

/// A metric of a resource.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Series {
    resource: String,
    metric: String,
    aggregation: AggregationName,
    /// Dimensions with one value.
    #[serde(default)]
    filters: BTreeMap<String, String>,
    /// The dimension that tells workloads apart, and the value of this one: all are asked for at once.
    pick: Option<PickedBy>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PickedBy {
    dimension: String,
    value: Option<String>,
    /// Takes the pods of the workload, a Deployment, by their names.
    #[serde(default)]
    pods: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AggregationName {
    Average,
    Minimum,
    Maximum,
    Total,
    Count,
}

impl Written for Series {
    type Series = MetricSeries;

    fn series(&self, target: &Target) -> Result<(MetricSeries, Statistic), String> {
        let (aggregation, statistic) = match self.aggregation {
            AggregationName::Average => (Aggregation::Average, Statistic::Average),
            AggregationName::Minimum => (Aggregation::Minimum, Statistic::Minimum),
            AggregationName::Maximum => (Aggregation::Maximum, Statistic::Maximum),
            AggregationName::Total => (Aggregation::Total, Statistic::Sum),
            AggregationName::Count => (Aggregation::Count, Statistic::SampleCount),
        };
        let made = MetricSeries::new(&resource(&self.resource)?, &self.metric, aggregation);
        let filtered = self.filters.iter().fold(made, |made, (name, value)| made?.filtered(name, value));
        let pick = match &self.pick {
            None => Pick::All,
            Some(PickedBy { dimension, value: Some(value), pods: false }) => {
                Pick::Is { dimension: dimension.clone(), value: value.clone() }
            }
            Some(PickedBy { dimension, value: None, pods: true }) if target.kind == "Deployment" => {
                Pick::PodsOf { dimension: dimension.clone(), deployment: target.name.clone() }
            }
            Some(_) => return Err("pick: expected value, or pods: true of a Deployment".to_owned()),
        };
        let series = filtered.and_then(|made| made.picked(pick)).map_err(|error| error.to_string())?;
        Ok((series, statistic))
    }
}

fn resource(id: &str) -> Result<ResourceId, String> {
    id.parse().map_err(|error: azure_monitor::InvalidResourceId| error.to_string())
}

impl WorkloadConfig {
    fn presets(&self, target: &Target) -> Result<Vec<Query<MetricSeries>>, String> {
        let mut queries = Vec::new();
        if let Some(Gateway { resource: id, pool }) = &self.application_gateway {
            queries.extend(presets::application_gateway(&resource(id)?, pool).map_err(|error| error.to_string())?);
        }
        if let Some(Aks { resource: id }) = &self.aks {
            queries.extend(presets::aks_ready_pods(&resource(id)?, target).map_err(|error| error.to_string())?);
        }
        if let Some(ServiceBus { resource: id, entity }) = &self.service_bus {
            queries.extend(presets::service_bus(&resource(id)?, entity).map_err(|error| error.to_string())?);
        }
        Ok(queries)
    }
}

/// Makes the source. Nothing is asked yet.
pub(super) fn source(from: &SourceArguments, path: &Path) -> Result<AzureMonitorSource, Failure> {
    let config: Config = read(path)?;
    let workloads = Workloads { path, targets: &from.targets };
    let times = fleet::config(azure_monitor::config(), from);
    let made = workloads.made(&config.workloads, |written, target| {
        let mapping = joined(&target, written.presets(&target)?, &written.queries, &written.without)?;
        Ok(Workload::new(target, mapping).with_facts(written.facts.stated(&times, from)))
    })?;
    let api = config.api(from, &workloads)?.with_deadline(deadline(from)?);
    AzureMonitorSource::new(api, made, times).map_err(|error| workloads.at(&error))
}

impl Config {
    fn api(&self, from: &SourceArguments, workloads: &Workloads<'_>) -> Result<AzureMonitorApi, Failure> {
        let http = http(from)?;
        if let (Some(endpoint), Some(token)) = (&self.endpoint, &from.origin.token_file) {
            let endpoint = Endpoint::parse(endpoint).map_err(|error| workloads.at(&format!("endpoint: {error}")))?;
            readable("--token-file", token)?;
            let api = AzureMonitorApi::at(endpoint, Auth::bearer_file(token), http, self.region.is_some());
            return api.map_err(|error| workloads.at(&error));
        }
        if self.endpoint.is_some() || from.origin.token_file.is_some() {
            return Err(workloads.at(&"endpoint and --token-file go together: a proxy, and the token for it"));
        }
        let cloud = match self.cloud {
            CloudName::Public => Cloud::Public,
            CloudName::China => Cloud::China,
            CloudName::Government => Cloud::Government,
        };
        let identity: Identity = azure_identity(self.managed_identity, crate::variable).ok_or_else(|| {
            Failure::input(
                "--azure: set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET to a service principal with Monitoring Reader, \
                 run where there is a workload identity, or state managed_identity: true",
            )
        })?;
        let api = match &self.region {
            Some(region) => AzureMonitorApi::batched(cloud, region, &identity, http),
            None => AzureMonitorApi::new(cloud, &identity, http),
        };
        api.map_err(|error| workloads.at(&error))
    }
}
