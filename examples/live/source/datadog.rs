//! Datadog, as a file says it. `deploy/datadog.yaml` shows every field.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use scaling_core::Target;
use scaling_core::http::Endpoint;
use scaling_core::source::datadog::query::{Kind, MetricQuery, Space};
use scaling_core::source::datadog::{self, DatadogApi, DatadogSource, Keys, TagSeries, presets};
use scaling_core::source::fleet::Workload;
use scaling_core::source::mapping::{Measure, Statistic};
use serde::Deserialize;

use super::fleet::{self, Facts};
use super::mapping::{OwnQuery, Query, Workloads, Written, joined, read};
use super::{deadline, http};
use crate::Failure;
use crate::live::arguments::SourceArguments;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Such as datadoghq.eu.
    site: Option<String>,
    /// A proxy in front of the API, instead of a site.
    endpoint: Option<String>,
    /// Files with the keys. Default: `DD_API_KEY` and `DD_APP_KEY` of the environment.
    api_key_file: Option<PathBuf>,
    application_key_file: Option<PathBuf>,
    workloads: BTreeMap<String, WorkloadConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkloadConfig {
    kubernetes: Option<Kubernetes>,
    traces: Option<Traces>,
    #[serde(default)]
    queries: Vec<OwnQuery<Series>>,
    #[serde(default)]
    without: Vec<Measure>,
    #[serde(default)]
    facts: Facts,
}

/// The Kubernetes integration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kubernetes {
    /// Value of the tag `kube_cluster_name`.
    cluster: Option<String>,
    #[serde(default)]
    filters: BTreeMap<String, String>,
}

/// Traces of a service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Traces {
    operation: String,
    service: String,
    #[serde(default)]
    filters: BTreeMap<String, String>,
}

/// The series of a query with some tags.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Series {
    metric: String,
    kind: KindName,
    space: SpaceName,
    /// Filters that all workloads share.
    #[serde(default)]
    filters: BTreeMap<String, String>,
    /// Tags of this workload alone, which tell its series from those of the others in one answer.
    tags: BTreeMap<String, String>,
    /// Tags that are told apart as well, so that two clusters are not added up.
    #[serde(default)]
    apart: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindName {
    Gauge,
    Rate,
    Distribution,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SpaceName {
    Sum,
    Avg,
    Min,
    Max,
    P50,
    P95,
    P99,
}

impl Written for Series {
    type Series = TagSeries;

    fn series(&self, _: &Target) -> Result<(TagSeries, Statistic), String> {
        let space = match self.space {
            SpaceName::Sum => Space::Sum,
            SpaceName::Avg => Space::Avg,
            SpaceName::Min => Space::Min,
            SpaceName::Max => Space::Max,
            SpaceName::P50 => Space::P50,
            SpaceName::P95 => Space::P95,
            SpaceName::P99 => Space::P99,
        };
        let kind = match self.kind {
            KindName::Gauge => Kind::Gauge,
            KindName::Rate => Kind::Rate,
            KindName::Distribution => Kind::Distribution,
        };
        let query = MetricQuery::new(space, &self.metric, kind);
        let query = self.filters.iter().fold(query, |query, (key, value)| query?.filtered(key, value));
        let apart: Vec<&str> = self.apart.iter().map(String::as_str).collect();
        let tags = self.tags.iter().map(|(key, value)| (key.clone(), value.clone()));
        let series = query.and_then(|query| TagSeries::new(query, tags, &apart)).map_err(|error| error.to_string())?;
        // Over time it is the mean of a bucket, or a percentile of a distribution.
        let percentile = space.quantile().map(|quantile| Statistic::percentile(quantile * 100.0));
        let statistic = percentile.transpose().map_err(|error| error.to_string())?;
        Ok((series, statistic.unwrap_or(Statistic::Average)))
    }
}

impl WorkloadConfig {
    fn presets(&self, target: &Target) -> Result<Vec<Query<TagSeries>>, String> {
        fn pairs(filters: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
            filters.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
        }
        let mut queries = Vec::new();
        if let Some(Kubernetes { cluster, filters }) = &self.kubernetes {
            let mut target = target.clone();
            target.cluster.clone_from(cluster);
            queries.extend(presets::kubernetes(&target, &pairs(filters)).map_err(|error| error.to_string())?);
        }
        if let Some(Traces { operation, service, filters }) = &self.traces {
            let traces = presets::traces(operation, service, &pairs(filters));
            queries.extend(traces.map_err(|error| error.to_string())?);
        }
        Ok(queries)
    }
}

/// Makes the source. Nothing is asked yet.
pub(super) fn source(from: &SourceArguments, path: &Path) -> Result<DatadogSource, Failure> {
    let config: Config = read(path)?;
    let workloads = Workloads { path, targets: &from.targets };
    let times = fleet::config(datadog::config(), from);
    let made = workloads.made(&config.workloads, |written, target| {
        let mapping = joined(&target, written.presets(&target)?, &written.queries, &written.without)?;
        Ok(Workload::new(target, mapping).with_facts(written.facts.stated(&times, from)))
    })?;
    let api = config.api(from, &workloads)?.with_deadline(deadline(from)?);
    DatadogSource::new(api, made, times).map_err(|error| workloads.at(&error))
}

impl Config {
    fn api(&self, from: &SourceArguments, workloads: &Workloads<'_>) -> Result<DatadogApi, Failure> {
        let (api, application) = (
            key(self.api_key_file.as_deref(), "DD_API_KEY")?,
            key(self.application_key_file.as_deref(), "DD_APP_KEY")?,
        );
        let (keys, http) = (Keys::new(api, application), http(from)?);
        match (&self.site, &self.endpoint) {
            (Some(site), None) => {
                DatadogApi::new(site, keys, http).map_err(|error| workloads.at(&format!("site: {error}")))
            }
            (None, Some(endpoint)) => {
                let endpoint =
                    Endpoint::parse(endpoint).map_err(|error| workloads.at(&format!("endpoint: {error}")))?;
                DatadogApi::at(&endpoint, keys, http).map_err(|error| workloads.at(&error))
            }
            _ => Err(workloads.at(&"expected a site, such as datadoghq.eu, or the endpoint of a proxy")),
        }
    }
}

/// A key, from a file or the environment.
fn key(file: Option<&Path>, variable: &str) -> Result<String, Failure> {
    let Some(path) = file else {
        return crate::variable(variable).ok_or_else(|| {
            Failure::input(format!(
                "--datadog: set {variable} (or api_key_file and application_key_file) to a key of your organization"
            ))
        });
    };
    let text = String::from_utf8(crate::read(path)?);
    let key = text.ok().map(|text| text.trim().to_owned()).filter(|key| !key.is_empty());
    key.ok_or_else(|| Failure::input(format!("{}: it holds no key", crate::place(path))))
}
