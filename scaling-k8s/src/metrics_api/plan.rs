//! Which questions a tick asks, and what becomes of the answers. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use kube::core::SelectorExt;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};
use scaling_core::metrics::Signal;
use scaling_core::source::mapping::{Mapping, SignalQuery};
use scaling_core::{Absence, Observation, ScalingMetrics, SourceError, Target, WorkloadFacts};

use super::answer::{Scaled, Selected, Usage};
use super::client::{Answer, Answers};
use super::config::{ApiMetric, MetricsApiConfig, ScaledKind, WorkloadMetrics};
use super::fault::{ApiCause, ApiFault};
use super::measure::{Moment, of_pods, of_series, utilization};
use super::pods::{PodView, facts};
use super::query::{CustomVersion, Question};

/// A question that failed, as the error of the workload.
pub(super) fn backend(target: &Target, fault: &ApiFault) -> SourceError {
    SourceError::Backend {
        target: Box::new(target.clone()),
        transient: fault.is_transient(),
        source: Box::new(fault.clone()),
    }
}

/// Names that would lead elsewhere, or a kind of which nobody said where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTarget {
    /// A name cannot be part of a path.
    #[error("{0:?} cannot be the name of a namespace or of a workload")]
    Name(String),
    /// Nobody said where objects of this kind are.
    #[error(
        "where objects of kind {kind:?} are is not known; known are {known}. Name the API of the kind: MetricsApi::with_kind"
    )]
    Kind {
        /// The kind.
        kind: String,
        /// The kinds that are known.
        known: String,
    },
}

/// Plural of the kinds of `apps/v1` that have a selector.
pub(super) fn plural(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Deployment" => "deployments",
        "StatefulSet" => "statefulsets",
        "ReplicaSet" => "replicasets",
        _ => return None,
    })
}

/// The first questions: the workloads themselves. Those of one kind in one namespace are listed, a single one is read.
pub(super) fn scaled_by(
    targets: &[&Target],
    kinds: &HashMap<String, ScaledKind>,
) -> Vec<Result<Question, InvalidTarget>> {
    let mut together: HashMap<(&str, &str), usize> = HashMap::new();
    for target in targets {
        *together.entry((&target.namespace, &target.kind)).or_default() += 1;
    }
    let each = |target: &&Target| {
        if !is_dns_label(&target.namespace) {
            return Err(InvalidTarget::Name(target.namespace.clone()));
        }
        if !is_dns_subdomain(&target.name) {
            return Err(InvalidTarget::Name(target.name.clone()));
        }
        if let Some(kind) = kinds.get(&target.kind) {
            return Ok(Question::Scale(kind.scale(&target.namespace, &target.name)));
        }
        let Some(plural) = plural(&target.kind) else {
            let mut known: Vec<&str> = ["Deployment", "ReplicaSet", "StatefulSet"].into();
            known.extend(kinds.keys().map(String::as_str));
            known.sort_unstable();
            return Err(InvalidTarget::Kind { kind: target.kind.clone(), known: known.join(", ") });
        };
        let alone = together.get(&(target.namespace.as_str(), target.kind.as_str())) == Some(&1);
        Ok(if alone {
            Question::Workload(plural, target.namespace.clone(), target.name.clone())
        } else {
            Question::Workloads(plural, target.namespace.clone())
        })
    };
    targets.iter().map(each).collect()
}

/// A workload as it was found.
pub(super) struct Found<'a> {
    pub(super) target: &'a Target,
    pub(super) metrics: &'a WorkloadMetrics,
    pub(super) replicas: Option<u32>,
    pub(super) selected: Selected,
    /// What pods and samples are asked for by; none for all of the namespace.
    scope: Option<String>,
}

/// The workload in the answer to its first question.
pub(super) fn found<'a>(
    target: &'a Target,
    metrics: &'a WorkloadMetrics,
    question: &Question,
    answers: &Answers,
) -> Result<Found<'a>, SourceError> {
    let unknown = || SourceError::UnknownTarget { target: Box::new(target.clone()) };
    let scaled: &Scaled = match answers.get(question) {
        Some(Ok(Answer::Workloads(known))) => match question {
            Question::Workloads(..) => known.iter().find(|scaled| scaled.name == target.name).ok_or_else(unknown)?,
            _ => known.first().ok_or_else(unknown)?,
        },
        Some(Err(fault)) if matches!(fault.cause, ApiCause::NotFound { .. }) => return Err(unknown()),
        Some(Err(fault)) => return Err(backend(target, fault)),
        _ => return Err(unknown()),
    };
    let asked = || question.path(CustomVersion::V1beta2);
    let selected = scaled.selected.clone();
    let selected =
        selected.ok_or_else(|| backend(target, &ApiFault { asked: asked(), cause: ApiCause::NoSelector }))?;
    Ok(Found { target, metrics, replicas: scaled.replicas, selected, scope: None })
}

/// The other questions: pods, samples and metrics, each namespace's once. Where a namespace has a single workload in question, only its
/// own pods are asked for; so they are where the server alone knows the selector.
pub(super) fn questions(found: &mut [Found<'_>]) -> Vec<Question> {
    let mut in_namespace: HashMap<&str, usize> = HashMap::new();
    for one in &*found {
        *in_namespace.entry(&one.target.namespace).or_default() += 1;
    }
    let alone: Vec<bool> =
        found.iter().map(|one| in_namespace.get(one.target.namespace.as_str()) == Some(&1)).collect();
    let mut questions = Vec::new();
    for (one, alone) in found.iter_mut().zip(alone) {
        let by_text = alone || matches!(one.selected, Selected::Text(_));
        one.scope = by_text.then(|| one.selected.text());
        questions.push(one.pods());
        if one.metrics.resources().next().is_some() {
            questions.push(one.usage());
        }
        questions.extend(one.queries().map(|query| one.metric(&query.query)));
    }
    let mut seen = HashSet::new();
    questions.retain(|question| seen.insert(question.clone()));
    questions
}

impl Found<'_> {
    fn pods(&self) -> Question {
        Question::Pods(self.target.namespace.clone(), self.scope.clone())
    }

    fn usage(&self) -> Question {
        Question::Usage(self.target.namespace.clone(), self.scope.clone())
    }

    fn queries(&self) -> impl Iterator<Item = &SignalQuery<ApiMetric>> {
        self.metrics.metrics.iter().flat_map(Mapping::queries)
    }

    fn metric(&self, metric: &ApiMetric) -> Question {
        let scope = matches!(metric, ApiMetric::Pods { .. }).then(|| self.scope.clone()).flatten();
        // How values are combined is no part of the question.
        let mut asked = metric.clone();
        if let ApiMetric::Pods { combine, .. } | ApiMetric::External { combine, .. } = &mut asked {
            *combine = None;
        }
        Question::Metric(self.target.namespace.clone(), asked, scope)
    }

    /// The pods of the workload, by name.
    ///
    /// # Errors
    /// [`SourceError`] if they are not known.
    pub(super) fn its_pods<'p>(&self, answers: &'p Answers) -> Result<Vec<&'p PodView>, SourceError> {
        let pods = match answers.get(&self.pods()) {
            Some(Ok(Answer::Pods(pods))) => pods,
            Some(Err(fault)) => return Err(backend(self.target, fault)),
            _ => return Err(SourceError::UnknownTarget { target: Box::new(self.target.clone()) }),
        };
        let is_ours = |pod: &&PodView| match &self.selected {
            Selected::Labels(selector) => selector.matches(&pod.labels),
            Selected::Text(_) => true,
        };
        Ok(pods.iter().filter(is_ours).collect())
    }

    /// The samples of its namespace, if they were asked for and answered.
    pub(super) fn samples<'p>(&self, answers: &'p Answers) -> Option<&'p BTreeMap<String, Usage>> {
        match answers.get(&self.usage()) {
            Some(Ok(Answer::Usage(usage))) => Some(usage),
            _ => None,
        }
    }

    /// The observation of now.
    ///
    /// # Errors
    /// [`SourceError`] if no signal was answered for, or all of it is of a time that has not come.
    pub(super) fn observation(
        &self,
        pods: &[&PodView],
        answers: &Answers,
        now: DateTime<Utc>,
        config: &MetricsApiConfig,
    ) -> Result<Observation, SourceError> {
        let moment = Moment { now, config };
        let ready = pods.iter().filter(|pod| pod.serves()).count();
        let mut sample = ScalingMetrics::new(now, u32::try_from(ready).unwrap_or(u32::MAX));
        sample.desired_pod_count = self.replicas;
        let (mut answered, mut failed) = (0_usize, None::<&ApiFault>);
        let mut facts = facts(pods, self.metrics.facts.clone());

        if self.metrics.resources().next().is_some() {
            match answers.get(&self.usage()) {
                Some(Ok(Answer::Usage(usage))) => {
                    answered += 1;
                    self.in_time(pods, usage, moment)?;
                    for (kind, resource) in self.metrics.resources() {
                        sample.set(kind, utilization(kind, resource, pods, usage, moment));
                    }
                    take_window(&mut facts, pods, usage);
                }
                Some(Err(fault)) => failed = Some(fault),
                _ => {}
            }
        }
        for query in self.queries() {
            match answers.get(&self.metric(&query.query)) {
                Some(Ok(Answer::Values(values))) => {
                    answered += 1;
                    let combine = query.query.combine(query.measure);
                    let read = match &query.query {
                        ApiMetric::Pods { .. } => of_pods(pods, values, &self.target.namespace, combine, moment),
                        ApiMetric::Object { .. } | ApiMetric::External { .. } => of_series(values, combine, moment),
                    };
                    self.put(query, read, &mut sample);
                }
                Some(Err(fault)) => failed = failed.or(Some(fault)),
                _ => {}
            }
        }
        if let Some(fault) = failed.filter(|_| answered == 0) {
            return Err(backend(self.target, fault));
        }
        sample.response_time_quantile = self.metrics.metrics.as_ref().and_then(Mapping::response_time_quantile);
        let declared = self.metrics.declared();
        Ok(Observation::new(self.target.clone(), sample).at(now).declaring(declared).with_facts(facts))
    }

    fn put(&self, query: &SignalQuery<ApiMetric>, read: Result<f64, Absence>, sample: &mut ScalingMetrics) {
        let Some(kind) = query.measure.signal() else { return };
        match (read, query.conversion(&self.metrics.facts, Duration::ZERO)) {
            (Ok(value), Ok(conversion)) => conversion.put(value, sample),
            (Err(absence), _) => sample.set(kind, Signal::Absent(absence)),
            // Refused when the workload was declared.
            (Ok(_), Err(_)) => {}
        }
    }

    /// Samples that are all of a time that has not come tell of a wrong clock, not of the workload.
    fn in_time(
        &self,
        pods: &[&PodView],
        usage: &BTreeMap<String, Usage>,
        moment: Moment<'_>,
    ) -> Result<(), SourceError> {
        let ours: Vec<_> = pods.iter().filter_map(|pod| usage.get(&pod.pod.name)).collect();
        let Some(newest) = ours.iter().map(|sample| sample.at).max() else { return Ok(()) };
        if ours.iter().any(|sample| !moment.is_ahead(sample.at)) {
            return Ok(());
        }
        let cause = ApiCause::Ahead { newest: newest.to_string(), now: moment.now.to_string() };
        Err(backend(self.target, &ApiFault { asked: self.usage().path(CustomVersion::V1beta2), cause }))
    }
}

/// The window of the samples is what rates and means are over.
fn take_window(facts: &mut WorkloadFacts, pods: &[&PodView], usage: &BTreeMap<String, Usage>) {
    let windows = pods.iter().filter_map(|pod| usage.get(&pod.pod.name)).map(|sample| sample.window_s);
    if let Some(seconds) = windows.max().and_then(|seconds| u64::try_from(seconds).ok()) {
        facts.metrics_window = Duration::from_secs(seconds);
    }
}
