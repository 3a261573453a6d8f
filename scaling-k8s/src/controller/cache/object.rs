//! The part of an HPA that is kept, read from JSON without holding the rest.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::controller::settings::PREFIX;
use crate::{history, resting, stage};

/// Labels and annotations that are kept: ours, and the marks by which [`ownership`](crate::ownership) knows other owners.
const KEPT: [&str; 6] = [
    PREFIX,
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "scaledobject.keda.sh/",
];
/// Longest value that is kept, in bytes: more than any of ours has. The rest of a longer one is dropped.
const LONGEST: usize = 5000;

/// An HPA without what the controller does not need: metrics, behavior, conditions, labels of others, fields of others.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Object {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: Spec,
    #[serde(default, skip_serializing)]
    pub(super) status: Option<Status>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<String>,
    /// Taken out before the object is kept: it changes with every status.
    #[serde(default, skip_serializing)]
    pub(super) resource_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) generation: Option<i64>,
    #[serde(default, deserialize_with = "kept", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "kept", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner_references: Option<Vec<OwnerReference>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    managed_fields: Option<Vec<Managed>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct OwnerReference {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    controller: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    #[serde(default)]
    pub(super) scale_target_ref: Scaled,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_replicas: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_replicas: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Scaled {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_version: Option<String>,
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) name: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    #[serde(default)]
    current_replicas: Option<i64>,
    #[serde(default)]
    desired_replicas: Option<i64>,
}

/// One entry of the managed fields, with those of our four fields that it owns.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Managed {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manager: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subresource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(default)]
    fields_v1: Owned,
}

/// The fields of ours that an entry owns.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Owned {
    /// The resting bounds, the stage of adoption, and the history.
    annotations: [bool; 3],
    /// Min and max.
    bounds: [bool; 2],
}

impl Object {
    /// The pods that run, or that the HPA asked for last, whichever are more.
    pub(super) fn pods(&self) -> Option<u32> {
        let status = self.status?;
        let count = |pods: Option<i64>| pods.and_then(|pods| u32::try_from(pods).ok());
        count(status.desired_replicas).max(count(status.current_replicas))
    }

    /// Drops what neither the resting bounds nor an owner can be told from.
    pub(super) fn reduced(mut self) -> Self {
        if let Some(entries) = &mut self.metadata.managed_fields {
            // One at least is left: an object with managed fields is another than one without.
            let (keeps, others): (Vec<_>, Vec<_>) =
                entries.drain(..).partition(|entry| entry.fields_v1 != Owned::default());
            *entries = keeps;
            if entries.is_empty() {
                entries.extend(others.into_iter().take(1).map(|_| Managed::default()));
            }
            entries.shrink_to_fit();
        }
        self
    }
}

/// Fields as the API spells them: nested, each with `f:` before its name.
#[derive(Deserialize)]
struct Fields {
    #[serde(rename = "f:metadata", default)]
    metadata: Option<MetadataFields>,
    #[serde(rename = "f:spec", default)]
    spec: Option<SpecFields>,
}

#[derive(Deserialize)]
struct MetadataFields {
    #[serde(rename = "f:annotations", default)]
    annotations: Option<AnnotationFields>,
}

#[derive(Deserialize)]
struct AnnotationFields {
    #[serde(rename = "f:kube-scaling/resting-bounds", default)]
    resting: Option<IgnoredAny>,
    #[serde(rename = "f:kube-scaling/adoption", default)]
    stage: Option<IgnoredAny>,
    #[serde(rename = "f:kube-scaling/history", default)]
    history: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct SpecFields {
    #[serde(rename = "f:minReplicas", default)]
    min: Option<IgnoredAny>,
    #[serde(rename = "f:maxReplicas", default)]
    max: Option<IgnoredAny>,
}

impl<'de> Deserialize<'de> for Owned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(fields) = Option::<Fields>::deserialize(deserializer)? else { return Ok(Self::default()) };
        let annotations = fields.metadata.and_then(|metadata| metadata.annotations);
        let annotations = annotations
            .map_or([false; 3], |owned| [owned.resting.is_some(), owned.stage.is_some(), owned.history.is_some()]);
        let bounds = fields.spec.map_or([false; 2], |spec| [spec.min.is_some(), spec.max.is_some()]);
        Ok(Self { annotations, bounds })
    }
}

impl Serialize for Owned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let owned = |owned: &[bool], keys: &[&str]| -> Map<String, Value> {
            let keys = owned.iter().zip(keys).filter(|(owned, _)| **owned);
            keys.map(|(_, key)| (format!("f:{key}"), json!({}))).collect()
        };
        let bounds = owned(&self.bounds, &["minReplicas", "maxReplicas"]);
        let annotations = owned(&self.annotations, &[resting::ANNOTATION, stage::ANNOTATION, history::ANNOTATION]);
        let mut fields = Map::new();
        if !bounds.is_empty() {
            fields.insert("f:spec".to_owned(), bounds.into());
        }
        if !annotations.is_empty() {
            fields.insert("f:metadata".to_owned(), json!({ "f:annotations": annotations }));
        }
        fields.serialize(serializer)
    }
}

/// The entries of a map whose keys begin as ours or a mark's.
fn kept<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of text")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut kept = BTreeMap::new();
            while let Some(Key(key)) = map.next_key()? {
                match key {
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                    Some(key) => {
                        let mut value: String = map.next_value()?;
                        if value.len() > LONGEST {
                            value.truncate((0..=LONGEST).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0));
                            value.shrink_to_fit();
                        }
                        kept.insert(key, value);
                    }
                }
            }
            Ok(kept)
        }
    }

    deserializer.deserialize_any(Entries)
}

/// A key; none if it is of no interest, so that nothing is allocated for it.
struct Key(Option<String>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                let is_kept = KEPT.iter().any(|prefix| key.starts_with(prefix));
                Ok(Key(is_kept.then(|| key.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}
