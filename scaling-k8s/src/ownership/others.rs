//! Other objects that set the size of the same workload.

use serde_json::Value;

use super::Finder;
use super::object::{Object, shown};
use super::owner::{Evidence, Owner, Ownership};
use crate::manifest::KIND;

/// Text of a CronJob's commands that is read, in bytes.
const MAX_SCRIPT: usize = 256 << 10;
/// Update mode of a VerticalPodAutoscaler that says none.
const DEFAULT_MODE: &str = "Recreate";

impl<'a> Finder<'a, '_> {
    pub(super) fn other(&mut self, object: Object<'a>) {
        let here = object.namespace() == self.target.namespace;
        let scales = |pointer: &str| here && object.scales(pointer, &self.target.kind, &self.target.name);
        let name = object.name().name;
        let owner = match (object.kind, object.group()) {
            (KIND, _) if name != self.target.hpa && scales("/spec/scaleTargetRef") => Owner::Hpa { name },
            ("ScaledObject", "keda.sh") if scales("/spec/scaleTargetRef") => Owner::Keda { scaled_object: name },
            ("VerticalPodAutoscaler", "autoscaling.k8s.io") if scales("/spec/targetRef") => {
                let mode = object.text("/spec/updatePolicy/updateMode").map_or_else(|| DEFAULT_MODE.to_owned(), shown);
                Owner::Vpa { name, mode }
            }
            ("CronJob", "batch") if self.is_moved_by(object) => {
                let suspended = object.value.pointer("/spec/suspend") == Some(&Value::Bool(true));
                Owner::CronJob { name, suspended }
            }
            _ => return,
        };
        self.owners.push(Ownership {
            owner,
            object: object.name(),
            fields: Vec::new(),
            manager: None,
            operation: None,
            since: None,
            evidence: Evidence::Names,
            part: self.part,
            settled: None,
        });
    }

    /// Returns true if the commands of a CronJob change the HPA or scale the workload.
    fn is_moved_by(&self, job: Object<'a>) -> bool {
        let Some(pod) = job.value.pointer("/spec/jobTemplate/spec/template/spec") else { return false };
        let list = |value: &'a Value, field: &str| value.get(field).and_then(Value::as_array).into_iter().flatten();
        let containers = list(pod, "initContainers").chain(list(pod, "containers"));
        containers.into_iter().any(|container| {
            let mut script = String::new();
            for word in list(container, "command").chain(list(container, "args")).filter_map(Value::as_str) {
                if script.len() + word.len() < MAX_SCRIPT {
                    script.push_str(word);
                    script.push('\n');
                }
            }
            self.moves(&script, job.namespace())
        })
    }

    /// Returns true if a script, run in `namespace`, changes the HPA or scales the workload. What only reads, or restarts pods, does not.
    fn moves(&self, script: &str, namespace: &str) -> bool {
        const WRITES: [&str; 4] = ["patch", "edit", "replace", "apply"];
        let words: Vec<&str> = script.split(|c: char| !(c.is_ascii_alphanumeric() || "-._=".contains(c))).collect();
        let has = |wanted: &str| words.iter().any(|word| *word == wanted || word.strip_suffix('.') == Some(wanted));
        let any = |wanted: &[&str]| wanted.iter().any(|wanted| has(wanted));
        let about_hpa = has("hpa") || words.iter().any(|word| word.starts_with("horizontalpodautoscaler"));
        let about_size = any(&["replicas", "minReplicas", "maxReplicas"]);
        let by_kubectl = has("kubectl") && (any(&["scale", "autoscale"]) || any(&WRITES) && (about_hpa || about_size));
        let by_request =
            has("apis") && any(&["PATCH", "PUT", "-XPATCH", "-XPUT"]) && (about_hpa || any(&["scale", "replicas"]));
        let asked = words.iter().enumerate().find_map(|(at, word)| {
            let next = || words.iter().skip(at + 1).find(|word| !word.is_empty()).copied();
            match *word {
                "-n" | "--namespace" => next(),
                _ => word.strip_prefix("--namespace=").or_else(|| word.strip_prefix("-n=")),
            }
        });
        let there = asked.map_or(namespace == self.target.namespace || has(&self.target.namespace), |asked| {
            asked == self.target.namespace
        });
        (by_kubectl || by_request) && there && (has(&self.target.hpa) || has(&self.target.name))
    }
}
