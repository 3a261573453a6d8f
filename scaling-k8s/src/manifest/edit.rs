//! Changing a text in place: the numbers that change are replaced where they stand, and every other byte stays.
//!
//! No writer of YAML keeps comments, the order of keys, flow style, anchors and quotes; so nothing is written anew. Afterwards the text
//! is read again and compared with what it should mean: an edit that would change anything else, such as an anchored number that
//! another place refers to, is refused.

mod list;
mod spots;

use scaling_core::Bounds;
use serde_json::Value;

use super::yaml;
use super::{KIND, Manifests};
use crate::ManifestError;

pub(crate) use list::{Listing, listing, with_item};
use spots::Spots;

/// Deepest nesting of lists of objects.
const MAX_LISTS: usize = 4;
const MIN: &str = "minReplicas";
const MAX: &str = "maxReplicas";

/// Replaces the bounds of an HPA in a text, and nothing else: comments, key order, flow style and other documents stay as they are.
/// `name` is as in [`Manifests::one`]; the text may be YAML or JSON.
///
/// ```
/// use scaling_core::Bounds;
///
/// let text = "# shop
/// kind: HorizontalPodAutoscaler
/// apiVersion: autoscaling/v2
/// metadata: {name: checkout}
/// spec:
///   maxReplicas: 10   # ask before raising
///   scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: checkout}
/// ";
/// let edited = scaling_k8s::with_bounds(text, None, Bounds::new(3, 15)?)?;
/// assert_eq!(edited, text.replace("  maxReplicas: 10 ", "  minReplicas: 3\n  maxReplicas: 15 "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ManifestError`] as [`Manifests::one`], and if the change cannot be made without changing something else.
pub fn with_bounds(text: &str, name: Option<&str>, bounds: Bounds) -> Result<String, ManifestError> {
    let hpa = Manifests::from_yaml(text)?.one(name)?;
    let places = places(text).into_iter().filter(|place| place.name == hpa.name() && !place.is_patch);
    let same = |place: &Place| place.namespace.as_deref().unwrap_or("default") == hpa.namespace();
    match places.filter(same).collect::<Vec<_>>().as_slice() {
        [place] => edited(text, place, bounds),
        _ => Err(ManifestError::Uneditable { field: "spec".to_owned(), why: "its place was not found" }),
    }
}

/// An HPA in a text, or the part of one that a kustomize patch holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    /// Number of the document in the text, from 0.
    document: usize,
    /// Path of the object in the document: empty, or `/items/0`.
    path: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    /// True if it has nothing to scale: it changes an HPA that stands elsewhere.
    pub(crate) is_patch: bool,
    pub(crate) object: Value,
}

/// All HPAs of a text, and the parts of some. What is no YAML, or of a kind without a name, is passed over.
pub(crate) fn places(text: &str) -> Vec<Place> {
    let mut found = Vec::new();
    for (document, content) in yaml::documents(text).into_iter().enumerate() {
        let Ok(tree) = content.content else { continue };
        let mut open = vec![(tree.value, String::new(), 0)];
        while let Some((value, path, depth)) = open.pop() {
            let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let (kind, name) = (text("/kind").unwrap_or_default(), text("/metadata/name"));
            if kind == KIND
                && let Some(name) = name
            {
                let namespace = text("/metadata/namespace");
                let is_patch = value.pointer("/spec/scaleTargetRef").is_none_or(Value::is_null);
                found.push(Place { document, path, namespace, name, is_patch, object: value });
            } else if kind.ends_with("List") && depth < MAX_LISTS {
                let items = value.get("items").and_then(Value::as_array).into_iter().flatten().enumerate();
                open.extend(items.map(|(index, item)| (item.clone(), format!("{path}/items/{index}"), depth + 1)));
            }
        }
    }
    found
}

/// Line and cause of the first document that is no YAML; none where all can be read.
pub(crate) fn unreadable(text: &str) -> Option<String> {
    let mut faults = yaml::documents(text).into_iter().filter_map(|document| document.content.err());
    faults.next().map(|fault| format!("line {}: {}", fault.line, fault.what))
}

impl Place {
    /// Returns true if it says nothing but names and bounds.
    pub(crate) fn is_bounds_alone(&self) -> bool {
        let only = |value: Option<&Value>, fields: &[&str]| {
            value.and_then(Value::as_object).is_some_and(|value| value.keys().all(|key| fields.contains(&key.as_str())))
        };
        self.path.is_empty()
            && only(Some(&self.object), &["apiVersion", "kind", "metadata", "spec"])
            && only(self.object.get("metadata"), &["name", "namespace"])
            && only(self.object.get("spec"), &[MIN, MAX])
    }

    /// A bound as it is written; none if it is not.
    fn written(&self, field: &str) -> Option<&Value> {
        self.object.get("spec")?.get(field).filter(|value| !value.is_null())
    }

    /// The bounds as they are written; one that is not written is none.
    ///
    /// # Errors
    /// [`ManifestError`] if one is not a number of pods.
    pub(crate) fn bounds(&self) -> Result<(Option<u32>, Option<u32>), ManifestError> {
        let number = |field: &str| {
            let Some(value) = self.written(field) else { return Ok(None) };
            let pods = value.as_u64().and_then(|pods| u32::try_from(pods).ok());
            let why = "it is not a number of pods";
            pods.map(Some).ok_or_else(|| ManifestError::Uneditable { field: format!("spec.{field}"), why })
        };
        Ok((number(MIN)?, number(MAX)?))
    }
}

/// The text with other bounds in one place.
pub(crate) fn edited(text: &str, place: &Place, bounds: Bounds) -> Result<String, ManifestError> {
    let mut wanted = values(text);
    let mut edits = Vec::new();
    let documents = yaml::documents(text);
    let uneditable = |field: &str, why| ManifestError::Uneditable { field: format!("spec.{field}"), why };
    let document = documents.get(place.document).ok_or_else(|| uneditable("", "its document is gone"))?;
    let spots = Spots::of(document.text, &format!("{}/spec", place.path));
    for (field, other, number) in [(MIN, MAX, bounds.min()), (MAX, MIN, bounds.max())] {
        let same = match place.written(field) {
            Some(value) => value.as_u64() == Some(number.into()),
            // What an HPA does not say is 1; a patch that does not say it leaves it as it is.
            None => field == MIN && number == 1 && !place.is_patch,
        };
        if same {
            continue;
        }
        let edit = spots.replace(field, number).or_else(|| spots.insert(document.text, field, other, number));
        let (range, new) = edit.ok_or_else(|| uneditable(field, "there is no place for it in spec"))?;
        edits.push((document.offset + range.start..document.offset + range.end, new));
        let spec = wanted.get_mut(place.document).and_then(|value| value.pointer_mut(&format!("{}/spec", place.path)));
        if let Some(spec) = spec.and_then(Value::as_object_mut) {
            spec.insert(field.to_owned(), number.into());
        }
    }
    // From the end, so that the places before stay where they are. Of two at the same place the first comes first.
    let mut result = text.to_owned();
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    for (range, new) in edits.into_iter().rev() {
        if result.get(range.clone()).is_none() {
            return Err(uneditable("", "its place was not found"));
        }
        result.replace_range(range, &new);
    }
    if values(&result) != wanted {
        return Err(uneditable(
            "",
            "the number stands for something else as well, as an anchor does; change it by hand",
        ));
    }
    Ok(result)
}

/// Meaning of the documents of a text. Those that are no YAML count as their text.
fn values(text: &str) -> Vec<Value> {
    let documents = yaml::documents(text).into_iter();
    documents.map(|document| document.content.map_or_else(|_| document.text.into(), |tree| tree.value)).collect()
}
