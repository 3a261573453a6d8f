//! Everything that is looked at before sizes change.

use kube::api::{GetParams, ListParams};
use kube::core::Request;
use scaling_core::hpa::names::{is_dns_label, is_dns_subdomain};
use scaling_core::{ApplyError, HpaPlan, Target};
use serde_json::{Value, json};

use super::workload::{held_back, is_active, is_controlled_by, selector, surge, uid};
use super::{InUse, Preview, ResizeApplier, ResizeWay};
use crate::applier::answer::refused;
use crate::applier::owners::Intended;
use crate::applier::rehearsed::key;
use crate::applier::retry;
use crate::ownership::{Evidence, Owner, Ownership, Writes, entries};
use crate::vertical::{Checked, PodSizes, Resize, Situation, check};

/// Objects of one page.
const PAGE: u32 = 500;
/// Pages that are read.
const PAGES: usize = 40;

/// One write that is left to do.
pub(super) struct Write {
    /// Name of the object.
    pub(super) name: String,
    /// Path of the objects of its kind, in its namespace.
    pub(super) path: String,
    /// Subresource, if it is one that is written.
    pub(super) part: Option<&'static str>,
    pub(super) body: Value,
    /// Requests and limits that must come of it.
    pub(super) checked: Checked,
}

/// The cluster as it was read.
pub(super) struct Seen {
    pub(super) preview: Preview,
    pub(super) writes: Vec<Write>,
    /// A pod, or the template, as it is before the writes; none if there are none.
    before: Option<PodSizes>,
}

/// An error of a check that waits for nothing.
pub(super) type Denied = Box<ApplyError>;

pub(super) fn denied(target: &Target, why: String) -> Denied {
    Box::new(refused(target, why))
}

/// A workload with the active pods that it controls, by itself or by its ReplicaSets, and the rules of its namespace.
pub(super) struct World {
    pub(super) workload: Value,
    pods: Vec<Value>,
    limit_ranges: Vec<Value>,
    quotas: Vec<Value>,
    hpa: Option<Value>,
}

impl ResizeApplier {
    pub(super) async fn seen(&self, plan: &HpaPlan, container: &str, used: &InUse) -> Result<Seen, ApplyError> {
        let target = plan.target();
        // These become part of a URL.
        if !is_dns_label(&target.namespace) || !is_dns_subdomain(&target.name) || !is_dns_subdomain(&target.hpa) {
            return Err(refused(target, "the target has a name that cannot be one".to_owned()));
        }
        let world = self.world(target).await?;
        let can_resize = self.kinds.can_resize_pods(&self.writer, target).await?;
        let way = match self.way {
            ResizeWay::InPlaceElseRollout if can_resize && !world.pods.is_empty() => ResizeWay::InPlace,
            ResizeWay::InPlaceElseRollout => ResizeWay::Rollout,
            ResizeWay::InPlace if !can_resize => {
                return Err(refused(
                    target,
                    "the cluster cannot resize pods in place: it does not serve pods/resize".to_owned(),
                ));
            }
            way => way,
        };
        let mut seen = match way {
            ResizeWay::Rollout => self.rollout(plan, container, used, &world),
            _ => self.in_place(plan, container, used, &world),
        }
        .map_err(|error| *error)?;
        let Some(checked) = &seen.preview.checked else { return Ok(seen) };
        self.refuse_if_owned(target, way, &world.workload).await?;
        if way == ResizeWay::Rollout {
            self.theirs(target, &world.workload, checked).map_err(|error| *error)?;
        }
        if let (Some(hpa), Some(before)) = (&world.hpa, &seen.before) {
            let pace = self.pace(way, &world, used);
            let (effect, simulation) =
                self.effect_on(target, hpa, (before, &checked.sizes), used, pace).map_err(|error| *error)?;
            self.refuse_effect(target, &effect, simulation.as_ref()).map_err(|error| *error)?;
            (seen.preview.effect, seen.preview.simulation) = (Some(effect), simulation);
        }
        Ok(seen)
    }

    /// Refuses beside somebody else who sets the requests. A resize in place leaves the template to its owner; one who changes pods as they
    /// run is in its way too.
    async fn refuse_if_owned(&self, target: &Target, way: ResizeWay, workload: &Value) -> Result<(), ApplyError> {
        let in_place = way != ResizeWay::Rollout;
        let key = format!("{} {}", key(workload), if in_place { "in place" } else { "template" });
        let write = Intended { key, manager: &self.writer.manager, hpa: None, within: self.writer.timeout };
        let stands = |owned: &Ownership| {
            owned.stands_in_the_way_of(Writes::Requests)
                && owned.evidence != Evidence::ManagedFields
                && (!in_place || matches!(owned.owner, Owner::Vpa { .. }))
        };
        self.owners.refuse(target, write, stands, true).await
    }

    async fn world(&self, target: &Target) -> Result<World, ApplyError> {
        let plural = match target.kind.as_str() {
            "Deployment" => "deployments",
            "StatefulSet" => "statefulsets",
            "DaemonSet" => {
                return Err(refused(
                    target,
                    "a DaemonSet has a pod on each node and no HPA: what it requests is set in its manifest".to_owned(),
                ));
            }
            kind => {
                return Err(refused(
                    target,
                    format!("the pods of a {kind} are not resized, those of a Deployment or a StatefulSet are"),
                ));
            }
        };
        let path = format!("/apis/apps/v1/namespaces/{}/{plural}", target.namespace);
        let mut workload = self.get(target, &path, &target.name).await?;
        // An object that is read by itself tells its kind; this is for one that does not.
        if let Some(fields) = workload.as_object_mut() {
            fields.entry("kind").or_insert_with(|| target.kind.clone().into());
        }
        let Some(selector) = selector(&workload) else {
            return Err(refused(
                target,
                "its selector is not understood, and without it no pod is known to be its own".to_owned(),
            ));
        };
        let core = |plural: &str| format!("/api/v1/namespaces/{}/{plural}", target.namespace);
        let Some(own) = uid(&workload) else {
            return Err(refused(target, "it has no UID, and without it no pod is known to be its own".to_owned()));
        };
        let mut pods = self.list(target, &core("pods"), ListParams::default().labels(&selector)).await?;
        let mut controllers = vec![own.to_owned()];
        if target.kind == "Deployment" {
            // After the pods, so that the ReplicaSet of each is among them.
            let path = format!("/apis/apps/v1/namespaces/{}/replicasets", target.namespace);
            let sets = self.list(target, &path, ListParams::default().labels(&selector)).await?;
            let sets = sets.iter().filter(|set| is_controlled_by(set, &controllers));
            controllers = sets.filter_map(uid).map(str::to_owned).collect();
        }
        pods.retain(|pod| is_active(pod) && is_controlled_by(pod, &controllers));
        let hpas = format!("/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers", target.namespace);
        let hpa = match self.get(target, &hpas, &target.hpa).await {
            Ok(hpa) => Some(hpa),
            Err(ApplyError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(World {
            workload,
            pods,
            limit_ranges: self.list(target, &core("limitranges"), ListParams::default()).await?,
            quotas: self.list(target, &core("resourcequotas"), ListParams::default()).await?,
            hpa: hpa.filter(|hpa| scales(hpa, target)),
        })
    }

    /// The pods that are left to be resized. Every one is looked at before the first is.
    fn in_place(&self, plan: &HpaPlan, container: &str, used: &InUse, world: &World) -> Result<Seen, Denied> {
        let target = plan.target();
        let mut left: Vec<(&Value, PodSizes, Resize)> = Vec::new();
        for pod in &world.pods {
            let sizes = sizes(target, pod.get("spec"))?;
            let remaining = Resize::remaining(plan, container, self.limits, &sizes)
                .map_err(|error| denied(target, format!("pod {}: {error}", name(pod))))?;
            left.extend(remaining.map(|resize| (pod, sizes, resize)));
        }
        let mut writes = Vec::new();
        let number = u32::try_from(left.len()).unwrap_or(u32::MAX);
        for (pod, before, resize) in &left {
            let situation = self.situation(world, number, 0, used);
            let checked = check(before, resize, &situation)
                .map_err(|error| denied(target, format!("pod {}: {error}", name(pod))))?;
            writes.push(Write {
                name: name(pod),
                path: format!("/api/v1/namespaces/{}/pods", target.namespace),
                part: Some("resize"),
                body: json!({ "metadata": version(pod), "spec": { "containers": [changed(&checked)] } }),
                checked,
            });
        }
        let mut preview = Preview::new(ResizeWay::InPlace, used);
        preview.pods = writes.iter().map(|write| write.name.clone()).collect();
        preview.checked = writes.first().map(|write| write.checked.clone());
        let before = left.into_iter().next().map(|(_, before, _)| before);
        Ok(Seen { preview, writes, before })
    }

    fn rollout(&self, plan: &HpaPlan, container: &str, used: &InUse, world: &World) -> Result<Seen, Denied> {
        let target = plan.target();
        let before = sizes(target, world.workload.pointer("/spec/template/spec"))?;
        let remaining = Resize::remaining(plan, container, self.limits, &before)
            .map_err(|error| denied(target, format!("its template: {error}")))?;
        let preview = Preview::new(ResizeWay::Rollout, used);
        let mut seen = Seen { preview, writes: Vec::new(), before: None };
        let Some(resize) = remaining else { return Ok(seen) };
        if let Some(why) = held_back(&world.workload) {
            return Err(denied(target, why));
        }
        let replicas = replicas(&world.workload);
        let situation = self.situation(world, replicas, surge(&world.workload, replicas), used);
        let checked = check(&before, &resize, &situation).map_err(|error| denied(target, error.to_string()))?;
        let plural = if target.kind == "Deployment" { "deployments" } else { "statefulsets" };
        seen.writes.push(Write {
            name: target.name.clone(),
            path: format!("/apis/apps/v1/namespaces/{}/{plural}", target.namespace),
            part: None,
            body: json!({
                "metadata": version(&world.workload),
                "spec": { "template": { "spec": { "containers": [changed(&checked)] } } },
            }),
            checked: checked.clone(),
        });
        (seen.preview.checked, seen.before) = (Some(checked), Some(before));
        Ok(seen)
    }

    fn situation<'a>(&self, world: &'a World, pods: u32, surge: u32, used: &InUse) -> Situation<'a> {
        Situation {
            pods,
            surge,
            usage: used.container,
            margin_percent: self.margin_percent,
            limit_ranges: &world.limit_ranges,
            quotas: &world.quotas,
        }
    }

    /// Refuses a template of which somebody else owns what would be written, as a server-side apply would.
    fn theirs(&self, target: &Target, workload: &Value, checked: &Checked) -> Result<(), Denied> {
        let of = format!("containers[{}].resources", checked.container);
        let mut found = Vec::new();
        for entry in entries(workload).filter(|entry| entry.manager != self.writer.manager && !self.writer.force) {
            let fields = entry.resources().into_iter().filter(|field| field.contains(&of));
            let written = |field: &String| matches!(field.rsplit('.').next(), Some("cpu" | "memory"));
            found.extend(fields.filter(written).map(|field| (entry.manager.to_owned(), field, entry.time)));
        }
        if found.is_empty() {
            return Ok(());
        }
        let since = found.iter().filter_map(|(_, _, time)| *time).max();
        let joined = |mut names: Vec<String>| {
            names.sort_unstable();
            names.dedup();
            names.join(" and ")
        };
        let owner = joined(found.iter().map(|(owner, ..)| owner.clone()).collect());
        let field = joined(found.into_iter().map(|(_, field, _)| field).collect());
        Err(Box::new(ApplyError::Conflict { target: target.clone(), field, owner, since, setting: None }))
    }

    async fn get(&self, target: &Target, path: &str, name: &str) -> Result<Value, ApplyError> {
        retry::read(target, self.writer.patience(), || async {
            self.writer.ask(Request::new(path).get(name, &GetParams::default())).await
        })
        .await
    }

    async fn list(&self, target: &Target, path: &str, params: ListParams) -> Result<Vec<Value>, ApplyError> {
        let (mut params, mut found) = (params.limit(PAGE), Vec::new());
        for _ in 0..PAGES {
            let mut list: Value = retry::read(target, self.writer.patience(), || async {
                self.writer.ask(Request::new(path).list(&params)).await
            })
            .await?;
            let next = list.pointer("/metadata/continue").and_then(Value::as_str).filter(|token| !token.is_empty());
            let next = next.map(|token| params.clone().continue_token(token));
            if let Some(Value::Array(items)) = list.get_mut("items").map(Value::take) {
                found.extend(items);
            }
            match next {
                Some(next) => params = next,
                None => return Ok(found),
            }
        }
        Err(refused(target, format!("there is more of {path} than is looked at")))
    }
}

fn sizes(target: &Target, pod: Option<&Value>) -> Result<PodSizes, Denied> {
    let none = Value::Null;
    PodSizes::of(pod.unwrap_or(&none)).map_err(|error| denied(target, error.to_string()))
}

fn scales(hpa: &Value, target: &Target) -> bool {
    let text = |field: &str| hpa.pointer("/spec/scaleTargetRef").and_then(|of| of.get(field)).and_then(Value::as_str);
    text("kind") == Some(&target.kind) && text("name") == Some(&target.name)
}

pub(super) fn replicas(workload: &Value) -> u32 {
    let replicas = workload.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    u32::try_from(replicas).unwrap_or(u32::MAX)
}

fn name(object: &Value) -> String {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The version that a write is bound to.
fn version(object: &Value) -> Value {
    let field = |field: &str| object.pointer("/metadata").and_then(|metadata| metadata.get(field));
    json!({ "uid": field("uid"), "resourceVersion": field("resourceVersion") })
}

/// The container as a patch has it: what is there of CPU and memory, changed or not.
fn changed(checked: &Checked) -> Value {
    json!({ "name": checked.container, "resources": checked.new.to_json() })
}
