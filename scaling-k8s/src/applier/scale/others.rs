//! Others that set the replicas of a workload: HPAs, KEDA, the object that owns it.

use kube::api::ListParams;
use kube::core::Request;
use scaling_core::{ApplyError, Target};
use serde_json::Value;

use super::ScaleApplier;
use super::request::Read;
use crate::applier::answer::refused;
use crate::applier::discovery::Kind;
use crate::applier::retry;

/// Objects of one page, as kubectl asks for.
const PAGE: u32 = 500;
/// Pages that are read: 50,000 HPAs of one namespace.
const PAGES: usize = 100;

impl ScaleApplier {
    /// Refuses a workload whose replicas another object sets.
    ///
    /// The first time everything is asked for as it is stored; from then on, HPAs and ScaledObjects alone as the server has them in
    /// memory, which may be a moment old.
    pub(super) async fn alone(&self, target: &Target, read: &Read, is_known: bool) -> Result<(), ApplyError> {
        for (group, kind) in [("autoscaling", "HorizontalPodAutoscaler"), ("keda.sh", "ScaledObject")] {
            let found = self.kinds.in_group(&self.writer, target, (group, kind)).await?;
            let Some(found) = found else { continue };
            if let Some(name) = self.scaler(target, read, &found, is_known).await? {
                let why = format!("{kind} {name:?} scales it; what both set, neither holds");
                return Err(refused(target, why));
            }
        }
        if is_known || self.writer.force {
            return Ok(());
        }
        let workload = self.get(target, &read.kind, None).await?;
        match controller(&workload) {
            Some(owner) => {
                Err(refused(target, format!("{owner} owns it and sets its replicas: scale that one, or force it")))
            }
            None => Ok(()),
        }
    }

    /// The object of this kind that scales the workload.
    async fn scaler(
        &self,
        target: &Target,
        read: &Read,
        kind: &Kind,
        from_memory: bool,
    ) -> Result<Option<String>, ApplyError> {
        let mut params =
            if from_memory { ListParams::default().match_any() } else { ListParams::default().limit(PAGE) };
        for _ in 0..PAGES {
            let list: Value = retry::read(target, self.writer.patience(), || async {
                self.writer.ask(Request::new(kind.path(&target.namespace)).list(&params)).await
            })
            .await?;
            let items = list.get("items").and_then(Value::as_array);
            if let Some(scaler) = items.into_iter().flatten().find(|item| scales(item, target, &read.kind.group)) {
                let name = scaler.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name");
                return Ok(Some(name.to_owned()));
            }
            match list.pointer("/metadata/continue").and_then(Value::as_str).filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(token),
                None => return Ok(None),
            }
        }
        let why = format!("there are more {} in namespace {} than are looked at", kind.plural, target.namespace);
        Err(refused(target, why))
    }
}

/// Returns true if an HPA or a ScaledObject names the workload. Without a kind, KEDA takes it for a Deployment; without a version, it may
/// be of any group.
fn scales(scaler: &Value, target: &Target, group: &str) -> bool {
    let text =
        |field: &str| scaler.pointer("/spec/scaleTargetRef").and_then(|of| of.get(field)).and_then(Value::as_str);
    let same_group = text("apiVersion")
        .is_none_or(|version| version.is_empty() || version.rsplit_once('/').map_or("", |(group, _)| group) == group);
    text("name") == Some(&target.name) && text("kind").unwrap_or("Deployment") == target.kind && same_group
}

/// Kind and name of the object that controls this one.
fn controller(workload: &Value) -> Option<String> {
    let references = workload.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    let controls = |reference: &&Value| reference.get("controller") == Some(&Value::Bool(true));
    let owner = references.iter().find(controls)?;
    let text = |field: &str| owner.get(field).and_then(Value::as_str).unwrap_or("?");
    Some(format!("{} {}", text("kind"), text("name")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_scaler_is_that_of_the_same_kind_name_and_group() {
        let target = Target::deployment("shop", "web");
        let of = |reference: Value| scales(&json!({ "spec": { "scaleTargetRef": reference } }), &target, "apps");
        assert!(of(json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" })));
        assert!(of(json!({ "apiVersion": "apps/v2", "kind": "Deployment", "name": "web" })));
        assert!(of(json!({ "name": "web" })) && of(json!({ "kind": "Deployment", "name": "web" })));
        assert!(!of(json!({ "apiVersion": "example.com/v1", "kind": "Deployment", "name": "web" })));
        assert!(!of(json!({ "apiVersion": "v1", "kind": "Deployment", "name": "web" })));
        assert!(!of(json!({ "kind": "StatefulSet", "name": "web" })) && !of(json!({ "name": "api" })));
        for hostile in [json!(null), json!([]), json!({ "spec": 3 }), json!({ "spec": { "scaleTargetRef": "web" } })] {
            assert!(!scales(&hostile, &target, "apps"));
        }
    }

    #[test]
    fn an_owner_that_does_not_control_sets_nothing() {
        let owned = |controller: Value| {
            json!({ "metadata": { "ownerReferences": [{ "kind": "Team", "name": "a" },
                { "kind": "Deployment", "name": "web", "controller": controller }] } })
        };
        assert_eq!(controller(&owned(json!(true))).as_deref(), Some("Deployment web"));
        assert_eq!(controller(&owned(json!(false))), None);
        assert_eq!(controller(&json!({})), None);
    }
}
