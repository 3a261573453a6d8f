//! The module `hpa` of the core, on what the real controller saw.

use scaling_core::chrono::TimeDelta;
use scaling_core::hpa::{
    Calculator, ConditionStatus, ControllerConfig, Hpa, HpaController, HpaMemory, HpaSpec, Metric, MetricError,
    MetricKind, MetricSamples, Pod, PodUsage, PodValue, Proposal, Quantity, Recommendation, Recommendations, Reported,
    Resources, SampleTime, Scale, ScaledObject, Selector, SyncResult,
};
use serde_json::Value;

use crate::pods::PodHistory;
use crate::support::proxy::Exchange;
use crate::transcript::Sync;

/// Memories that are followed at a time.
const MOST: usize = 8;

/// How far the controller's cache of pods may be from what the test saw.
const LAG: TimeDelta = TimeDelta::seconds(3);

/// Compares every sync, and returns the number of them.
///
/// What a sync saw is known but for two things: the instant of its clock, which lies between two that were seen, and the pods in its cache,
/// which are one of few states. So memories are followed for both ends of the time and for each of those states, and a sync agrees if one of
/// them explains everything that the controller said and wrote.
///
/// # Errors
/// The first sync that none explains, with what it saw.
pub(crate) fn compare(
    namespace: &str,
    syncs: &[Sync],
    pods: &PodHistory,
    config: &ControllerConfig,
) -> Result<usize, String> {
    let controller = HpaController::new(config.clone());
    let mut memories = vec![HpaMemory::default()];
    let mut shown = Value::Null;
    for (number, sync) in syncs.iter().enumerate() {
        let spec: HpaSpec = serde_json::from_value(sync.spec.clone()).map_err(|error| error.to_string())?;
        let hpa = Hpa::try_from(&spec).map_err(|error| error.to_string())?;
        let caches =
            if hpa.metrics.iter().any(counts_pods) { pods.seen(namespace, sync.within, LAG) } else { vec![Vec::new()] };
        let status = sync.status.as_ref().map_or(&shown, |(status, _)| status);
        let (mut explained, mut differences) = (Vec::new(), Vec::new());
        for memory in &memories {
            for now in [sync.within.0, sync.within.1] {
                for cache in &caches {
                    let mut next = memory.clone();
                    if let Some(Scale { spec_replicas: replicas, .. }) = sync.scale {
                        // The controller does so too, before it asks for metrics.
                        let seed = Recommendation { replicas, at: sync.read };
                        next.recommendations.get_or_insert_with(|| Recommendations::new(vec![seed]));
                    }
                    let mut object = Object::new(sync, &hpa, cache);
                    let result = controller.sync(&hpa, &mut next, &mut object, now);
                    match object.agrees(sync, &result, &next, status) {
                        Ok(()) if explained.contains(&next) => {}
                        Ok(()) => explained.push(next),
                        Err(difference) => differences.push(difference),
                    }
                }
            }
        }
        if explained.is_empty() {
            return Err(format!(
                "{namespace}, sync {number}: {}\nseen: {sync:#?}\nstatus: {status}\nmemory: {:#?}\npods: {caches:?}",
                differences.join("\n"),
                memories.first()
            ));
        }
        match &sync.status {
            Some((status, true)) => shown = status.clone(),
            // A status that was not stored is forgotten, and nothing else.
            Some((_, false)) => explained.iter_mut().for_each(|next| next.conditions = memories[0].conditions),
            None => {}
        }
        // The ones in the middle are between those at the ends.
        if explained.len() > MOST {
            explained.drain(MOST / 2..explained.len() - MOST / 2);
        }
        memories = explained;
    }
    Ok(syncs.len())
}

/// Returns true if the proposal of a metric depends on the pods.
fn counts_pods(metric: &Metric) -> bool {
    !matches!(metric.source, MetricKind::External { .. } | MetricKind::Object { .. })
        || matches!(metric.target_value(), Some(scaling_core::hpa::TargetValue::Value(_)))
}

/// The scaled object as a sync saw it.
struct Object {
    reported: Reported,
    written: Option<i32>,
}

impl ScaledObject for Object {
    fn scale(&self) -> Option<Scale> {
        self.reported.scale()
    }

    fn propose(&self, index: usize, metric: &Metric, calculator: &Calculator<'_>) -> Result<Proposal, MetricError> {
        self.reported.propose(index, metric, calculator)
    }

    fn write_scale(&mut self, replicas: i32) -> bool {
        self.written = Some(replicas);
        self.reported.writable
    }
}

impl Object {
    fn new(sync: &Sync, hpa: &Hpa, pods: &[Pod]) -> Self {
        let samples = hpa.metrics.iter().zip(&sync.answers).map(|(metric, answer)| samples(metric, answer)).collect();
        let writable = sync.written.is_none_or(|(_, stored)| stored);
        let reported =
            Reported { scale: sync.scale, selector: Selector::Usable, pods: pods.to_vec(), samples, writable };
        Self { reported, written: None }
    }

    /// Compares what was written, and the status that is there after it.
    fn agrees(&self, sync: &Sync, result: &SyncResult, memory: &HpaMemory, status: &Value) -> Result<(), String> {
        if result.raw_desired != sync.proposed {
            return Err(format!("the metrics propose {:?}, in the module {result:?}", sync.proposed));
        }
        let real = sync.written.map(|(size, _)| size);
        if self.written != real {
            return Err(format!("the controller writes {real:?}, the module {:?} ({result:?})", self.written));
        }
        let number = |field: &str| status[field].as_i64().unwrap_or(0);
        // Where no size was found the controller leaves the last one in the status.
        let evaluated = sync.scale.is_some() && !(result.failed && result.raw_desired.is_none());
        if evaluated && number("desiredReplicas") != i64::from(result.desired) {
            return Err(format!("the status desires {}, the module {}", number("desiredReplicas"), result.desired));
        }
        if sync.scale.is_some() && number("currentReplicas") != i64::from(result.current) {
            return Err(format!("the status counts {}, the module {}", number("currentReplicas"), result.current));
        }
        let mut conditions: Vec<(String, String, String)> = Vec::new();
        for condition in status["conditions"].as_array().into_iter().flatten() {
            let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
            conditions.push((text("type"), text("status"), text("reason")));
        }
        let mut ours: Vec<(String, String, String)> = memory
            .conditions
            .iter()
            .map(|(name, condition)| {
                let holds = if condition.status == ConditionStatus::True { "True" } else { "False" };
                (name.to_owned(), holds.to_owned(), condition.reason.to_owned())
            })
            .collect();
        conditions.sort();
        ours.sort();
        if conditions != ours {
            return Err(format!("the status says {conditions:?}, the module {ours:?}"));
        }
        for (place, proposal) in memory.metrics.iter().enumerate() {
            let Ok(mut proposal) = *proposal else { continue };
            if sync.scale.is_some_and(|scale| scale.status_replicas == 0) {
                // Of no replicas, 1.37.2 reports what a division by 0 leaves; later releases say 0, as the module does.
                proposal.average_value_milli = None;
            }
            measured(&status["currentMetrics"][place], &proposal)?;
        }
        Ok(())
    }
}

/// Compares the figures of one metric.
fn measured(status: &Value, proposal: &Proposal) -> Result<(), String> {
    let kind = status["type"].as_str().unwrap_or_default();
    let key = format!("{}{}", kind.get(..1).unwrap_or_default().to_lowercase(), kind.get(1..).unwrap_or_default());
    let current = &status[key]["current"];
    let milli = |field: &str| current[field].as_str().map(|text| text.parse::<Quantity>().unwrap().milli());
    let percent = current["averageUtilization"].as_i64();
    let ours = (proposal.utilization_percent.map(i64::from), proposal.average_value_milli, proposal.value_milli);
    let real = (percent, milli("averageValue"), milli("value"));
    // Only one of the last two is set, and the API writes the other as nothing or as 0.
    let same = real.0 == ours.0
        && ours.1.is_none_or(|ours| real.1 == Some(ours))
        && ours.2.is_none_or(|ours| real.2 == Some(ours));
    if same { Ok(()) } else { Err(format!("the status measures {real:?}, the module {ours:?}")) }
}

/// From the answer of a metrics API to samples.
fn samples(metric: &Metric, answer: &Exchange) -> MetricSamples {
    if answer.code != 200 {
        return MetricSamples::Failed;
    }
    let items: Vec<&Value> = answer.got["items"].as_array().into_iter().flatten().collect();
    let milli = |value: &Value| value.as_str().unwrap().parse::<Quantity>().unwrap().milli();
    match &metric.source {
        MetricKind::External { .. } => {
            MetricSamples::External(items.iter().map(|item| milli(&item["value"])).collect())
        }
        MetricKind::Object { .. } => match items[..] {
            [item] => MetricSamples::Object(milli(&item["value"])),
            _ => MetricSamples::Failed,
        },
        MetricKind::Pods { .. } => {
            let value = |item: &&Value| PodValue {
                pod: item["describedObject"]["name"].as_str().unwrap().to_owned(),
                time: time(item, item["windowSeconds"].as_i64().unwrap()),
                value_milli: milli(&item["value"]),
            };
            MetricSamples::PodValues(items.iter().map(value).collect())
        }
        _ => {
            let usage = |item: &&Value| PodUsage {
                pod: item["metadata"]["name"].as_str().unwrap().to_owned(),
                time: time(item, item["window"].as_str().unwrap().trim_end_matches('s').parse().unwrap()),
                containers: item["containers"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|container| {
                        let usage = container["usage"].as_object().unwrap().iter();
                        let usage: Resources = usage.map(|(name, amount)| (name.clone(), milli(amount))).collect();
                        (container["name"].as_str().unwrap().to_owned(), usage)
                    })
                    .collect(),
            };
            MetricSamples::PodUsage(items.iter().map(usage).collect())
        }
    }
}

fn time(item: &Value, window_s: i64) -> SampleTime {
    SampleTime { at: item["timestamp"].as_str().unwrap().parse().unwrap(), window_s }
}
