//! The answers, read. Pure.
//!
//! A pod that cannot be read makes the whole list unreadable: with one left out the workload would seem smaller than it is. A sample that
//! cannot be read is no sample, and its pod one without.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::hpa::{DEFAULT_WINDOW_S, Quantity, Resources};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::pods::{PodView, RawPod};

/// Longest window that is believed, in seconds.
const LONGEST_WINDOW_S: i64 = 86_400;

/// Place and cause of what cannot be read.
pub(super) type Unreadable = String;

/// A field that is null or not there is its default.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// One page of a list.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Where the next one begins.
    pub(super) next: Option<String>,
}

#[derive(Deserialize)]
struct List {
    #[serde(default, deserialize_with = "or_default")]
    metadata: ListMeta,
    #[serde(default, deserialize_with = "or_default")]
    items: Vec<Value>,
}

#[derive(Default, Deserialize)]
struct ListMeta {
    #[serde(default, rename = "continue", deserialize_with = "or_default")]
    next: String,
}

fn list(body: &[u8]) -> Result<(Vec<Value>, Option<String>), Unreadable> {
    let list: List = read(body)?;
    Ok((list.items, Some(list.metadata.next).filter(|next| !next.is_empty())))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// Every item, or the first that cannot be read.
fn strict<T: DeserializeOwned>(items: Vec<Value>) -> Result<Vec<T>, Unreadable> {
    let each = |(place, item): (usize, Value)| {
        let name = item.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name").to_owned();
        serde_json::from_value(item).map_err(|error| format!("items[{place}] ({name}): {error}"))
    };
    items.into_iter().enumerate().map(each).collect()
}

/// The items that can be read.
fn lenient<T: DeserializeOwned>(items: Vec<Value>) -> Vec<T> {
    items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect()
}

#[derive(Default, Deserialize)]
pub(super) struct Name {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    namespace: String,
}

/// An object that has replicas.
#[derive(Debug)]
pub(super) struct Scaled {
    pub(super) name: String,
    /// Replicas that are asked for.
    pub(super) replicas: Option<u32>,
    pub(super) selected: Option<Selected>,
}

/// The pods of a workload.
#[derive(Clone, Debug)]
pub(super) enum Selected {
    /// By labels that can be compared here too.
    Labels(Selector),
    /// By a text for the server.
    Text(String),
}

impl Selected {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Labels(selector) => selector.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

#[derive(Deserialize)]
struct RawWorkload {
    metadata: Name,
    spec: RawWorkloadSpec,
}

#[derive(Deserialize)]
struct RawWorkloadSpec {
    replicas: Option<u32>,
    #[serde(default)]
    selector: Option<LabelSelector>,
}

impl TryFrom<RawWorkload> for Scaled {
    type Error = Unreadable;

    fn try_from(raw: RawWorkload) -> Result<Self, Unreadable> {
        let selector = raw.spec.selector.map(Selector::try_from).transpose();
        let selector = selector.map_err(|error| format!("spec.selector of {}: {error}", raw.metadata.name))?;
        // One that is empty selects every pod of the namespace, and so none of this workload.
        let selected = selector.filter(|selector| !selector.selects_all()).map(Selected::Labels);
        // The API server fills in 1.
        Ok(Self { name: raw.metadata.name, replicas: Some(raw.spec.replicas.unwrap_or(1)), selected })
    }
}

pub(super) fn workload(body: &[u8]) -> Result<Scaled, Unreadable> {
    read::<RawWorkload>(body)?.try_into()
}

pub(super) fn workloads(body: &[u8]) -> Result<Page<Scaled>, Unreadable> {
    let (items, next) = list(body)?;
    let items = strict::<RawWorkload>(items)?.into_iter().map(Scaled::try_from).collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

/// A scale subresource.
pub(super) fn scale(body: &[u8]) -> Result<Scaled, Unreadable> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default, deserialize_with = "or_default")]
        metadata: Name,
        #[serde(default, deserialize_with = "or_default")]
        spec: Spec,
        #[serde(default, deserialize_with = "or_default")]
        status: Status,
    }
    #[derive(Default, Deserialize)]
    struct Spec {
        #[serde(default, deserialize_with = "or_default")]
        replicas: u32,
    }
    #[derive(Default, Deserialize)]
    struct Status {
        #[serde(default, deserialize_with = "or_default")]
        selector: String,
    }
    let raw: Raw = read(body)?;
    let selected = Some(raw.status.selector).filter(|text| !text.trim().is_empty()).map(Selected::Text);
    Ok(Scaled { name: raw.metadata.name, replicas: Some(raw.spec.replicas), selected })
}

pub(super) fn pods(body: &[u8]) -> Result<Page<PodView>, Unreadable> {
    let (items, next) = list(body)?;
    Ok(Page { items: strict::<RawPod>(items)?.into_iter().map(PodView::from).collect(), next })
}

/// Usage of a pod, as measured.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) at: DateTime<Utc>,
    pub(super) window_s: i64,
    /// Use of each container, by its name.
    pub(super) containers: Vec<(String, Resources)>,
}

impl Usage {
    /// The sum over the containers, in thousandths; none if one of them lacks it, or there is none (as the HPA's controller has it).
    pub(super) fn of(&self, resource: &str) -> Option<i64> {
        let sum = |sum: i64, (_, used): &(String, Resources)| Some(sum.saturating_add(used.get(resource)?));
        self.containers.iter().try_fold(0, sum).filter(|_| !self.containers.is_empty())
    }

    /// True if a container says that it uses less than nothing.
    pub(super) fn is_negative(&self, resource: &str) -> bool {
        self.containers.iter().any(|(_, used)| used.get(resource).is_some_and(|amount| amount < 0))
    }
}

#[derive(Deserialize)]
struct RawUsage {
    metadata: Name,
    timestamp: DateTime<Utc>,
    #[serde(default)]
    window: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    containers: Vec<RawContainer>,
}

#[derive(Deserialize)]
struct RawContainer {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    usage: HashMap<String, Value>,
}

/// Amounts in thousandths. One that cannot be read is not there.
pub(super) fn amounts(raw: impl IntoIterator<Item = (String, Value)>) -> Resources {
    let amount = |(name, value)| Some((name, serde_json::from_value::<Quantity>(value).ok()?.milli()));
    raw.into_iter().filter_map(amount).collect()
}

fn window(text: Option<&str>) -> i64 {
    let window = text.and_then(|text| text.parse::<kube::core::Duration>().ok()).filter(|window| !window.is_negative());
    let seconds = window.and_then(|window| i64::try_from(std::time::Duration::from(window).as_secs()).ok());
    seconds.filter(|seconds| (1..=LONGEST_WINDOW_S).contains(seconds)).unwrap_or(DEFAULT_WINDOW_S)
}

pub(super) fn usage(body: &[u8]) -> Result<Page<Usage>, Unreadable> {
    let (items, next) = list(body)?;
    let read = |raw: RawUsage| Usage {
        namespace: raw.metadata.namespace,
        pod: raw.metadata.name,
        at: raw.timestamp,
        window_s: window(raw.window.as_deref()),
        containers: raw.containers.into_iter().map(|container| (container.name, amounts(container.usage))).collect(),
    };
    Ok(Page { items: lenient(items).into_iter().map(read).collect(), next })
}

/// A value of the custom or external metrics API.
#[derive(Clone, Debug)]
pub(super) struct MetricValue {
    /// Namespace and name of the object; empty for an external metric.
    pub(super) namespace: String,
    pub(super) object: String,
    pub(super) at: DateTime<Utc>,
    pub(super) value: f64,
}

pub(super) fn values(body: &[u8]) -> Result<Page<MetricValue>, Unreadable> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default, rename = "describedObject", deserialize_with = "or_default")]
        object: Name,
        timestamp: DateTime<Utc>,
        value: Quantity,
    }
    let (items, next) = list(body)?;
    let count = items.len();
    let read: Vec<Raw> = lenient(items);
    // Of a sum nobody knows how much is missing.
    if read.len() < count {
        return Err(format!("{} of {count} values have no number or no time", count - read.len()));
    }
    let each = |raw: Raw| MetricValue {
        namespace: raw.object.namespace,
        object: raw.object.name,
        at: raw.timestamp,
        value: amount(&raw.value),
    };
    Ok(Page { items: read.into_iter().map(each).collect(), next })
}

/// The number: of a small one its thousandths would lose too much.
fn amount(quantity: &Quantity) -> f64 {
    quantity.as_f64()
}

/// Versions of an API group, those that it prefers first.
pub(super) fn versions(body: &[u8]) -> Result<Vec<String>, Unreadable> {
    #[derive(Deserialize)]
    struct Group {
        #[serde(default, deserialize_with = "or_default")]
        versions: Vec<Version>,
    }
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    Ok(read::<Group>(body)?.versions.into_iter().map(|version| version.version).collect())
}

/// Usage by pod; of several of one pod the newest.
pub(super) fn by_pod(usage: Vec<Usage>, namespace: &str) -> BTreeMap<String, Usage> {
    let mut by_pod: BTreeMap<String, Usage> = BTreeMap::new();
    // A server that leaves the namespace out means the one asked for.
    for sample in usage.into_iter().filter(|sample| sample.namespace.is_empty() || sample.namespace == namespace) {
        let newer = by_pod.get(&sample.pod).is_none_or(|known| known.at <= sample.at);
        if newer {
            by_pod.insert(sample.pod.clone(), sample);
        }
    }
    by_pod
}
