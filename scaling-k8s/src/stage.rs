//! Stage of adoption that evidence has reached, kept at the HPA itself.
//!
//! A workload that is promoted by evidence begins at the stage that its owner has set (`kube-scaling/mode`), which we never write. What it has
//! reached since must outlive this process and a hand-over to another, so it stands in an annotation of ours, [`ANNOTATION`], under a field
//! manager that writes nothing else ([`manager`]): the bounds are applied without it, and neither apply removes what the other one wrote.
//!
//! What is read back is checked: another object, another owner, another engine or another mode to begin with is another trial.
//!
//! Everything here is pure.

use scaling_core::Adoption;
use scaling_core::chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::annotation::{self, DamagedText, derived};
use crate::manifest::{API_VERSION, KIND};

/// Key of the annotation that keeps the stage.
pub const ANNOTATION: &str = "kube-scaling/adoption";
/// Version of the text.
const VERSION: u64 = 1;
/// Longest text that is read, in bytes.
const MAX_BYTES: usize = 1024;

/// Field manager under which the stage is written, beside that of the bounds.
///
/// ```
/// assert_eq!(scaling_k8s::stage::manager("kube-scaling"), "kube-scaling-adoption");
/// ```
pub fn manager(bounds: &str) -> String {
    derived(bounds, "-adoption")
}

/// Reasons why the annotation tells nothing. The stage in force is then the one to begin with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DamagedStage {
    /// It is none of ours, or not as we write it.
    #[error(transparent)]
    Text(#[from] DamagedText),
    /// It says that a stage was reached that is not above the one to begin with.
    #[error("{stage} is not reached from {begins}")]
    NotAbove {
        /// The stage that it names.
        stage: Adoption,
        /// The stage to begin with.
        begins: Adoption,
    },
}

/// Content of the annotation.
///
/// ```
/// use scaling_core::Adoption;
/// use scaling_k8s::stage::ReachedStage;
///
/// let since = "2026-11-29T06:00:00Z".parse()?;
/// let reached =
///     ReachedStage { stage: Adoption::Floors, begins: Adoption::Observe, engine: None, since, uid: None };
/// assert_eq!(reached.encode(), r#"{"v":1,"stage":"floors","begins":"observe","since":"2026-11-29T06:00:00Z"}"#);
/// assert_eq!(ReachedStage::decode(&reached.encode())?, reached);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReachedStage {
    /// The stage that is in force.
    pub stage: Adoption,
    /// The mode that its owner had set then. Another one begins anew.
    pub begins: Adoption,
    /// The engine that its owner had named then, if any. The evidence is that engine's.
    pub engine: Option<String>,
    /// Instant at which it was reached, in whole seconds.
    pub since: DateTime<Utc>,
    /// Identity of the object that it was made for, where that is known.
    pub uid: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    v: u64,
    stage: Adoption,
    begins: Adoption,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    engine: Option<String>,
    since: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
}

impl ReachedStage {
    /// Writes the text of the annotation.
    pub fn encode(&self) -> String {
        let Self { stage, begins, engine, since, uid } = self.clone();
        let since = DateTime::from_timestamp(since.timestamp(), 0).unwrap_or(since);
        // Plain data with string keys: it always has a JSON form.
        serde_json::to_string(&Text { v: VERSION, stage, begins, engine, since, uid }).unwrap_or_default()
    }

    /// Reads the text of the annotation.
    ///
    /// # Errors
    /// [`DamagedStage`] with the reason why it tells nothing.
    pub fn decode(text: &str) -> Result<Self, DamagedStage> {
        let Text { stage, begins, engine, since, uid, .. } = annotation::read_version(text, MAX_BYTES, VERSION)?;
        if stage <= begins {
            return Err(DamagedStage::NotAbove { stage, begins });
        }
        Ok(Self { stage, begins, engine, since, uid })
    }

    /// Reads the stage that an HPA, in the JSON of the API, says it has reached; none without the annotation. `bounds` is the field manager that
    /// we write the bounds under.
    ///
    /// # Errors
    /// [`DamagedStage`] if the annotation tells nothing. Where the metadata carry no managed fields, nobody else counts as its owner.
    pub fn of(hpa: &Value, bounds: &str) -> Result<Option<Self>, DamagedStage> {
        let Some(text) = annotation::text(hpa, ANNOTATION, &manager(bounds))? else { return Ok(None) };
        let reached = Self::decode(text)?;
        annotation::check_object(hpa, reached.uid.as_deref())?;
        Ok(Some(reached))
    }
}

/// Returns true if the annotation is there and ours, whatever it says.
#[cfg(feature = "client")]
pub(crate) fn is_kept(hpa: &Value, bounds: &str) -> bool {
    annotation::is_applied(hpa, ANNOTATION, &manager(bounds))
}

/// The body of the server-side apply that keeps a stage, or that takes the annotation away, at the object of this identity and no other.
pub fn apply_body(namespace: &str, name: &str, uid: &str, stage: Option<&ReachedStage>) -> Value {
    let mut body = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": { "namespace": namespace, "name": name, "uid": uid },
    });
    if let (Some(metadata), Some(stage)) = (body.get_mut("metadata").and_then(Value::as_object_mut), stage) {
        metadata.insert("annotations".to_owned(), json!({ ANNOTATION: stage.encode() }));
    }
    body
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reached() -> ReachedStage {
        ReachedStage {
            stage: Adoption::Full,
            begins: Adoption::Observe,
            engine: Some("predictive".to_owned()),
            since: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            uid: Some("a".to_owned()),
        }
    }

    fn hpa(uid: &str, manager: &str, operation: &str, text: &Value) -> Value {
        json!({ "metadata": {
            "name": "web", "namespace": "shop", "uid": uid, "annotations": { ANNOTATION: text },
            "managedFields": [{ "manager": manager, "operation": operation,
                "fieldsV1": { "f:metadata": { "f:annotations": { "f:kube-scaling/adoption": {} } } } }],
        } })
    }

    #[test]
    fn what_is_read_back_is_checked() {
        let (ours, text) = ("kube-scaling-adoption", Value::from(reached().encode()));
        let of = |hpa: &Value| ReachedStage::of(hpa, "kube-scaling");
        assert_eq!(of(&hpa("a", ours, "Apply", &text)), Ok(Some(reached())));
        assert_eq!(of(&hpa("b", ours, "Apply", &text)), Err(DamagedText::OtherObject.into()));
        assert_eq!(of(&hpa("a", "kubectl", "Apply", &text)), Err(DamagedText::Foreign.into()));
        assert_eq!(of(&hpa("a", ours, "Update", &text)), Err(DamagedText::Foreign.into()));
        assert_eq!(of(&hpa("a", ours, "Apply", &json!(7))), Err(DamagedText::NoText.into()));
        assert_eq!(of(&json!({ "metadata": { "annotations": {} } })), Ok(None));
        let said = |text: &str| ReachedStage::decode(text).unwrap_err();
        assert!(matches!(said("floors"), DamagedStage::Text(DamagedText::Unreadable { .. })));
        assert_eq!(said(r#"{"v":2}"#), DamagedText::Version { found: 2, read: 1 }.into());
        assert_eq!(said(&"x".repeat(2000)), DamagedText::TooLong { bytes: 2000, most: MAX_BYTES }.into());
        let back = ReachedStage { begins: Adoption::Full, ..reached() };
        assert!(matches!(said(&back.encode()), DamagedStage::NotAbove { .. }));
        assert!(matches!(
            said(r#"{"v":1,"stage":"all","begins":"observe","since":"2026-01-01T00:00:00Z"}"#),
            DamagedStage::Text(DamagedText::Unreadable { .. })
        ));
    }

    #[test]
    fn the_body_binds_the_write_to_the_object_and_has_nothing_but_the_annotation() {
        let body = apply_body("shop", "web", "a", Some(&reached()));
        assert_eq!(body["metadata"]["annotations"][ANNOTATION], reached().encode());
        assert_eq!((&body["metadata"]["uid"], body.get("spec")), (&json!("a"), None));
        assert_eq!(apply_body("shop", "web", "a", None)["metadata"].get("annotations"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,200}", uid in any::<bool>()) {
            let _ = ReachedStage::decode(&text);
            let uid = if uid { "a" } else { "" };
            let _ = ReachedStage::of(&hpa(uid, "kube-scaling-adoption", "Apply", &Value::from(text)), "kube-scaling");
        }
    }
}
