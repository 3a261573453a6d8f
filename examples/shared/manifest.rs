//! HPAs from files, the same way for every example: which one of a file, which of its metrics, and what its pods request.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::Args;
use scaling_core::backtest::{Candidate, ClusterError, MappedMetric};
use scaling_core::hpa::{ControllerConfig, HpaSpec, MetricSpec, Quantity};
use scaling_core::{Requests, SignalKind};
use scaling_k8s::{HpaManifest, ManifestError, Manifests, Workload};

use crate::Failure;

/// Arguments about the HPAs that are read from files.
#[derive(Args, Clone, Debug, Default)]
pub struct HpaArguments {
    /// The HPA of a file that holds several: NAME, or NAMESPACE/NAME. Also FILE#NAME.
    #[arg(long, value_name = "NAME")]
    pub hpa_name: Option<String>,
    /// What a metric of an HPA measures, in a signal that is recorded: `http_requests=request_rate`, `lag=queue_depth*2`; may be
    /// given several times.
    #[arg(long, value_name = "NAME=SIGNAL[*FACTOR]", value_parser = metric)]
    pub metric: Vec<(String, MappedMetric)>,
    /// A metric of an HPA that is left out of the replay; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub leave_out: Vec<String>,
    /// What a pod requests of CPU, as `500m`. By default what the workload in the HPA's file requests, if it is there.
    #[arg(long, value_name = "QUANTITY", value_parser = request)]
    pub cpu_request: Option<Quantity>,
    /// What a pod requests of memory, as `1Gi`. By default what the workload in the HPA's file requests, if it is there.
    #[arg(long, value_name = "QUANTITY", value_parser = request)]
    pub memory_request: Option<Quantity>,
}

/// An HPA from a file.
#[derive(Clone, Debug)]
pub struct HpaFile {
    /// The HPA as the API server would have it.
    pub manifest: HpaManifest,
    /// What is replayed of it: all but the metrics that are left out.
    pub spec: HpaSpec,
    /// Names of the metrics that are left out.
    pub left_out: Vec<String>,
    /// What a pod of its workload requests, as far as the workload stands in the same file.
    pub requests: Requests,
}

impl HpaFile {
    /// Makes a policy of it. Its name tells what is left out of the replay.
    pub fn candidate(self, name: &str) -> Candidate {
        let made = Candidate::hpa(name, self.spec, ControllerConfig::default());
        made.requesting(self.requests).leaving_out(self.left_out)
    }
}

impl HpaArguments {
    /// Reads the HPA of a file; `FILE#NAME` names one of several.
    ///
    /// # Errors
    /// [`Failure::Input`] with the file, what is wrong in it, and how to go on.
    pub fn read(&self, path: &Path) -> Result<HpaFile, Failure> {
        let written = path.to_string_lossy();
        let (path, name) = match written.split_once('#') {
            Some((file, name)) if !path.exists() => (Path::new(file), Some(name)),
            _ => (path, self.hpa_name.as_deref()),
        };
        let bad = |what: &dyn std::fmt::Display| Failure::input(format!("{}: {what}", crate::place(path)));
        let text = String::from_utf8(crate::read(path)?).map_err(|_| bad(&"not UTF-8"))?;
        let manifests = Manifests::from_yaml(&text).map_err(|error| bad(&error))?;
        let manifest = manifests.one(name).map_err(|error| match error {
            ManifestError::Several { .. } => bad(&format!("{error} (--hpa-name NAME, or {}#NAME)", crate::place(path))),
            other => bad(&other),
        })?;
        let (mut spec, left_out) = manifest
            .spec
            .clone()
            .without_metrics(&self.leave_out)
            .map_err(|error| bad(&format!("--leave-out: {error}")))?;
        let workload = manifests.workload(&manifest.target());
        let requests = workload.map_or_else(Requests::default, |workload| requests(&mut spec, workload));
        Ok(HpaFile { manifest, spec, left_out, requests })
    }

    /// Returns the metrics that are mapped, by name.
    ///
    /// # Errors
    /// [`Failure::Input`] if one is given twice.
    pub fn metrics(&self) -> Result<BTreeMap<String, MappedMetric>, Failure> {
        let metrics: BTreeMap<_, _> = self.metric.iter().cloned().collect();
        if metrics.len() == self.metric.len() { Ok(metrics) } else { Err(Failure::input("a --metric is given twice")) }
    }

    /// Checks that what is to be left out, or mapped to a signal, is a metric of some HPA: a misspelt name must not be passed over.
    ///
    /// # Errors
    /// [`Failure::Input`] with the first name that is none, and those that there are.
    pub fn check_names(&self, candidates: &[Candidate]) -> Result<(), Failure> {
        let left_out: BTreeSet<&str> = candidates.iter().flat_map(Candidate::left_out).map(String::as_str).collect();
        let metrics = || candidates.iter().filter_map(Candidate::own_hpa).flat_map(|hpa| hpa.metrics.iter().flatten());
        let there = |names: &BTreeSet<&str>| {
            if names.is_empty() {
                return "there are none".to_owned();
            }
            format!("there are: {}", names.iter().copied().collect::<Vec<_>>().join(", "))
        };
        if let Some(name) = self.leave_out.iter().find(|name| !left_out.contains(name.as_str())) {
            let all = metrics().map(MetricSpec::name).chain(left_out).collect();
            return Err(Failure::input(format!(
                "--leave-out {name}: no HPA that is read has such a metric; {}",
                there(&all)
            )));
        }
        // What a resource measures is known; a mapping of it would do nothing.
        let is_custom = |metric: &&MetricSpec| metric.resource.is_none() && metric.container_resource.is_none();
        let custom: BTreeSet<&str> = metrics().filter(is_custom).map(MetricSpec::name).chain(left_out).collect();
        match self.metric.iter().find(|(name, _)| !custom.contains(name.as_str())) {
            None => Ok(()),
            Some((name, _)) => Err(Failure::input(format!(
                "--metric {name}: no HPA that is read has such a metric to be mapped; {}",
                there(&custom)
            ))),
        }
    }

    /// Returns what a pod requests: as it is said or, of what is not said, as all policies have it that say anything. Whether they
    /// agree, and on what, is `told`.
    pub fn requests(&self, candidates: &[Candidate], mut told: impl FnMut(String)) -> Requests {
        let mut common = |what: &str, of: fn(Requests) -> Option<u64>, said: &Option<Quantity>, per: i64| {
            if let Some(said) = said {
                return u64::try_from(said.milli() / per).ok();
            }
            let mut known: Vec<u64> = candidates.iter().filter_map(|candidate| of(candidate.requests())).collect();
            known.sort_unstable();
            known.dedup();
            match known.as_slice() {
                [] => None,
                [one] => Some(*one),
                several => {
                    let several: Vec<_> = several.iter().map(ToString::to_string).collect();
                    told(format!(
                        "note: the workloads request different amounts of {what} ({}), so none is taken (--{what}-request)",
                        several.join(", ")
                    ));
                    None
                }
            }
        };
        Requests {
            cpu_millicores: common("cpu", |requests| requests.cpu_millicores, &self.cpu_request, 1),
            memory_bytes: common("memory", |requests| requests.memory_bytes, &self.memory_request, 1000),
        }
    }
}

/// Says how to go on where an HPA reacts to what is not there.
pub fn advice(error: &ClusterError) -> String {
    match error {
        ClusterError::UnknownMetrics { names, signals } => {
            let signal = signals.iter().find(|signal| **signal == SignalKind::RequestRate).or(signals.first());
            let signal = signal.map_or("SIGNAL", |signal| signal.field());
            let name = names.first().map_or("NAME", String::as_str);
            format!(" (--metric {name}={signal}[*FACTOR], or --leave-out {name})")
        }
        ClusterError::UnknownRequest { resource } => {
            let example = if resource == "cpu" { "500m" } else { "1Gi" };
            format!(" (--{resource}-request {example}, or a Deployment with its requests in the HPA's file)")
        }
        _ => String::new(),
    }
}

/// What the pods of a workload request, as far as it is known. The HPA's targets for a single container are put in terms of the pod,
/// whose containers are all as busy as the pod in a replay.
pub(crate) fn requests(spec: &mut HpaSpec, workload: &Workload) -> Requests {
    let pod = |resource: &str| workload.request_milli(resource).ok().filter(|milli| *milli > 0);
    let mut amounts = [("cpu", pod("cpu")), ("memory", pod("memory"))];
    for source in spec.metrics.iter_mut().flatten().filter_map(|metric| metric.container_resource.as_mut()) {
        let (resource, container) = (source.name.as_deref().unwrap_or_default(), source.container.as_deref());
        let (Some(container), Some(target)) = (container, source.target.average_value.as_mut()) else { continue };
        let Ok(own) = workload.container_request_milli(container, resource) else { continue };
        let Some((_, amount)) = amounts.iter_mut().find(|(name, _)| *name == resource) else { continue };
        let whole = *amount.get_or_insert(own);
        *target = Quantity::from_milli(scaled(target.milli(), whole, own));
    }
    let [(_, cpu), (_, memory)] = amounts;
    let number = |milli: i64, per: i64| u64::try_from(milli / per).ok();
    Requests {
        cpu_millicores: cpu.and_then(|milli| number(milli, 1)),
        memory_bytes: memory.and_then(|milli| number(milli, 1000)),
    }
}

/// `value × whole / part`, of amounts above 0.
fn scaled(value: i64, whole: i64, part: i64) -> i64 {
    let scaled = i128::from(value) * i128::from(whole) / i128::from(part.max(1));
    i64::try_from(scaled).unwrap_or(i64::MAX).max(1)
}

fn metric(text: &str) -> Result<(String, MappedMetric), String> {
    let (name, measured) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("expected NAME=SIGNAL[*FACTOR]")?;
    let (signal, factor) = measured.split_once('*').unwrap_or((measured, "1"));
    let factor: f64 = factor.trim().parse().map_err(|_| format!("{factor:?} is not a factor"))?;
    if !(factor.is_finite() && factor > 0.0) {
        return Err(format!("the factor is {factor}; it must be above 0"));
    }
    Ok((name.to_owned(), MappedMetric { signal: signal_named(signal.trim())?, factor }))
}

/// A signal by its field, or by the beginning of it that no other has.
fn signal_named(text: &str) -> Result<SignalKind, String> {
    let fitting = SignalKind::ALL.into_iter().filter(|kind| kind.field() == text || short(*kind) == text);
    let found: Vec<_> = fitting.collect();
    let names = || SignalKind::ALL.map(short).join(", ");
    found.first().copied().ok_or_else(|| format!("there is no signal {text:?}; there are: {}", names()))
}

/// The name of a signal without its unit.
fn short(kind: SignalKind) -> &'static str {
    let field = kind.field();
    ["_percent", "_per_second", "_ms"].iter().find_map(|unit| field.strip_suffix(unit)).unwrap_or(field)
}

fn request(text: &str) -> Result<Quantity, String> {
    let quantity: Quantity = text.parse().map_err(|error: scaling_core::hpa::InvalidQuantity| error.to_string())?;
    if quantity.milli() > 0 { Ok(quantity) } else { Err("a request must be above 0".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web}
  spec: {template: {spec: {containers: [
    {name: app, resources: {requests: {cpu: 250m, memory: 1Gi}}}, {name: log, resources: {requests: {cpu: 50m}}}]}}}
- apiVersion: autoscaling/v2
  kind: HorizontalPodAutoscaler
  metadata: {name: web}
  spec:
    scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
    maxReplicas: 9
    metrics:
    - {type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 150m}}}
    - {type: ContainerResource, containerResource: {name: cpu, container: app, target: {type: AverageValue, averageValue: 125m}}}
- apiVersion: autoscaling/v1
  kind: HorizontalPodAutoscaler
  metadata: {name: api}
  spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}, maxReplicas: 7}
";

    /// A file with both, gone at the end of its test.
    struct TwoFile(std::path::PathBuf);

    impl TwoFile {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{test}-{}.yaml", std::process::id()));
            std::fs::write(&path, TWO).unwrap();
            Self(path)
        }

        fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for TwoFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn one_of_several_is_chosen_by_argument_or_behind_the_file() {
        let file = TwoFile::new("chosen");
        let said = |arguments: &HpaArguments, path: &Path| match arguments.read(path) {
            Ok(file) => file.manifest.name().to_owned(),
            Err(error) => format!("{error:?}"),
        };
        let none = HpaArguments::default();
        let several = said(&none, file.path());
        assert!(
            several.contains("web, api; say which (--hpa-name NAME, or ") && several.contains("#NAME)"),
            "{several}"
        );
        let named = HpaArguments { hpa_name: Some("api".into()), ..HpaArguments::default() };
        assert_eq!(said(&named, file.path()), "api");
        assert_eq!(said(&none, Path::new(&format!("{}#web", file.path().display()))), "web");
    }

    #[test]
    fn requests_come_from_the_workload_and_containers_are_put_in_terms_of_the_pod() {
        let file = TwoFile::new("requests");
        let named = HpaArguments { hpa_name: Some("web".into()), ..HpaArguments::default() };
        let read = named.read(file.path()).unwrap();
        assert_eq!(read.requests, Requests { cpu_millicores: Some(300), memory_bytes: None });
        let metric = &read.spec.metrics.as_ref().unwrap()[1];
        let target = metric.container_resource.as_ref().unwrap().target.average_value.clone();
        assert_eq!(target, Some(Quantity::from_milli(150)), "half of 250 is half of 300");
        let said = HpaArguments { cpu_request: Some(Quantity::from_milli(2000)), ..HpaArguments::default() };
        let candidates = [read.candidate("web")];
        let told = |arguments: &HpaArguments| arguments.requests(&candidates, |note| panic!("{note}")).cpu_millicores;
        assert_eq!((told(&said), told(&HpaArguments::default())), (Some(2000), Some(300)));
    }

    #[test]
    fn metrics_are_mapped_by_short_names_and_with_factors() {
        let mapped = |text: &str| metric(text).map(|(name, mapped)| (name, mapped.signal, mapped.factor));
        assert_eq!(mapped("a=request_rate"), Ok(("a".into(), SignalKind::RequestRate, 1.0)));
        assert_eq!(mapped("a=queue_depth*0.5"), Ok(("a".into(), SignalKind::QueueDepth, 0.5)));
        assert_eq!(mapped("a=response_time_ms"), Ok(("a".into(), SignalKind::ResponseTime, 1.0)));
        for (text, what) in [
            ("a", "NAME=SIGNAL"),
            ("a=b", "there are: cpu_utilization"),
            ("a=queue_depth*0", "above 0"),
            ("a=queue_depth*x", "factor"),
        ] {
            assert!(metric(text).unwrap_err().contains(what), "{text}");
        }
    }
}
