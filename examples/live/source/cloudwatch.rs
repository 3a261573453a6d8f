//! CloudWatch, as a file says it. `deploy/cloudwatch.yaml` shows every field.

use std::collections::BTreeMap;
use std::path::Path;

use scaling_core::Target;
use scaling_core::source::cloudwatch::{self, CloudWatch, CloudWatchBackend, Connection, Metric, Series, presets};
use scaling_core::source::fleet::Workload;
use scaling_core::source::mapping::{Measure, Statistic};
use serde::Deserialize;

use super::deadline;
use super::fleet::{self, Facts};
use super::mapping::{OwnQuery, Workloads, Written, joined, read};
use crate::Failure;
use crate::live::arguments::SourceArguments;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Default: that of the SDK's chain.
    region: Option<String>,
    /// Another endpoint, such as a private link.
    endpoint: Option<String>,
    workloads: BTreeMap<String, WorkloadConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkloadConfig {
    eks: Option<Eks>,
    ecs: Option<Ecs>,
    alb: Option<Alb>,
    #[serde(default)]
    queries: Vec<OwnQuery<Stat>>,
    #[serde(default)]
    without: Vec<Measure>,
    #[serde(default)]
    facts: Facts,
}

/// Container Insights of a workload on EKS.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Eks {
    cluster: String,
    /// Default: named as the workload.
    service: Option<String>,
}

/// Container Insights of a service on ECS.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ecs {
    cluster: String,
    service: String,
}

/// Requests of an Application Load Balancer to a target group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alb {
    load_balancer: String,
    target_group: String,
    /// Default: the mean.
    response_time: Option<Statistic>,
}

/// A metric by a statistic.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stat {
    namespace: String,
    metric: String,
    #[serde(default)]
    dimensions: BTreeMap<String, String>,
    statistic: Statistic,
}

impl Written for Stat {
    type Series = Series;

    fn series(&self, _: &Target) -> Result<(Series, Statistic), String> {
        let metric = Metric::new(&self.namespace, &self.metric);
        let metric = self.dimensions.iter().fold(metric, |metric, (name, value)| metric.with(name, value));
        let series = Series::Stat(metric.by(self.statistic));
        series.check().map_err(|error| error.to_string())?;
        Ok((series, self.statistic))
    }
}

/// Makes the source. Nothing is asked yet.
pub(super) async fn source(from: &SourceArguments, path: &Path) -> Result<CloudWatch, Failure> {
    let config: Config = read(path)?;
    let workloads = Workloads { path, targets: &from.targets };
    let times = fleet::config(cloudwatch::config(), from);
    let made = workloads.made(&config.workloads, |written, target| {
        let mapping = joined(&target, written.presets(&target)?, &written.queries, &written.without)?;
        Ok(Workload::new(target, mapping).with_facts(written.facts.stated(&times, from)))
    })?;
    let mut connection = Connection::default().with_deadline(deadline(from)?);
    (connection.region, connection.endpoint) = (config.region, config.endpoint);
    let backend = CloudWatchBackend::connect(&connection).await.map_err(|error| workloads.at(&error))?;
    CloudWatch::new(backend, made, times).map_err(|error| workloads.at(&error))
}

impl WorkloadConfig {
    fn presets(&self, target: &Target) -> Result<Vec<super::mapping::Query<Series>>, String> {
        let mut queries = Vec::new();
        match (&self.eks, &self.ecs) {
            (Some(_), Some(_)) => return Err("eks and ecs: it runs on one of them".to_owned()),
            (Some(eks), None) => {
                let preset = presets::Eks::new(&eks.cluster, &target.namespace, &target.name);
                let preset = eks.service.iter().fold(preset, presets::Eks::service);
                queries.extend(preset.queries());
            }
            (None, Some(ecs)) => queries.extend(presets::Ecs::new(&ecs.cluster, &ecs.service).queries()),
            (None, None) => {}
        }
        if let Some(alb) = &self.alb {
            let preset = presets::Alb::new(&alb.load_balancer, &alb.target_group);
            let statistic = alb.response_time.unwrap_or(Statistic::Average);
            queries.extend(preset.response_time(statistic).queries());
        }
        let invalid = |query: &super::mapping::Query<Series>| match &query.query {
            scaling_core::source::fleet::Term::One(series) => series.check().err(),
            _ => None,
        };
        match queries.iter().find_map(invalid) {
            Some(invalid) => Err(invalid.to_string()),
            None => Ok(queries),
        }
    }
}
