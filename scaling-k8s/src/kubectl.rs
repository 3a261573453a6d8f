//! Plans and schedules as `kubectl` commands, for a person to read and run.

mod schedule;

use scaling_core::HpaPlan;
use serde_json::Value;

pub use schedule::{read_schedule, schedule, schedule_script, set_bounds};

use crate::api::{OutputError, check_names};
use crate::resting::Seen;

/// The commands that carry out a plan, for a POSIX shell. Empty if nothing changes; requests are left out.
///
/// They are what `KubeHpaApplier` (feature `client`) would send: a server-side apply under our field manager, with the owner's bounds beside
/// ours, so that the applier goes on where they ended. `kubectl patch` would make another owner of the same name, which stands in the
/// applier's way. First the bounds are looked at: run later, when they are no longer those that the plan was made for, nothing is
/// written. `seen` is the HPA as it was read, from a cluster or from a file; the target's cluster, where it has one, is taken for a
/// context of the kubeconfig.
///
/// ```
/// # use scaling_core::{Bounds, Target, conformance::applier::plan};
/// use scaling_k8s::{kubectl, resting::Seen};
/// use serde_json::json;
///
/// # let plan = plan(&Target::deployment("shop", "checkout").in_cluster("eu-1"), Bounds::new(2, 6)?, 3, 6);
/// let hpa = json!({
///     "metadata": { "namespace": "shop", "name": "checkout" },
///     "spec": { "minReplicas": 2, "maxReplicas": 6 },
/// });
/// let command = kubectl::apply(&plan, &Seen::of(&hpa, "kube-scaling")?, "kube-scaling")?;
/// assert_eq!(
///     command,
///     r#"kubectl --context eu-1 --namespace shop get horizontalpodautoscalers.autoscaling checkout \
///   --output 'jsonpath={.spec.minReplicas},{.spec.maxReplicas}' | grep -qx 2,6 &&
/// kubectl --context eu-1 --namespace shop apply --server-side --field-manager kube-scaling --filename - <<'END'
/// {
///   "apiVersion": "autoscaling/v2",
///   "kind": "HorizontalPodAutoscaler",
///   "metadata": {
///     "annotations": {
///       "kube-scaling/resting-bounds": "{\"v\":1,\"resting\":[1,4],\"written\":[3,11]}"
///     },
///     "name": "checkout",
///     "namespace": "shop"
///   },
///   "spec": {
///     "maxReplicas": 11,
///     "minReplicas": 3
///   }
/// }
/// END
/// "#
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`OutputError::Name`] if namespace, HPA or cluster cannot be called so.
pub fn apply(plan: &HpaPlan, seen: &Seen, manager: &str) -> Result<String, OutputError> {
    let (target, old, new) = (plan.target(), plan.old_bounds(), plan.new_bounds());
    if old == new {
        return Ok(String::new());
    }
    check_names(target)?;
    let mut body = seen.apply_body(new, plan.resting());
    // The controller writes the status every few seconds, and each time there is a new version.
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        for (field, name) in [("namespace", &target.namespace), ("name", &target.hpa)] {
            metadata.insert(field.to_owned(), Value::from(name.as_str()));
        }
    }
    let context = in_context(target.cluster.as_deref());
    let kubectl = format!("kubectl {context}--namespace {}", quoted(&target.namespace));
    // JSON has no line that is the mark alone: text within quotes has no line breaks.
    Ok(format!(
        "{kubectl} get horizontalpodautoscalers.autoscaling {} \\\n  \
         --output 'jsonpath={{.spec.minReplicas}},{{.spec.maxReplicas}}' | grep -qx {},{} &&\n\
         {kubectl} apply --server-side --field-manager {} --filename - <<'END'\n{body:#}\nEND\n",
        quoted(&target.hpa),
        old.min(),
        old.max(),
        quoted(manager),
    ))
}

/// The option that names a context of the kubeconfig, with the space after it; nothing without one.
pub(crate) fn in_context(context: Option<&str>) -> String {
    context.map(|context| format!("--context {} ", quoted(context))).unwrap_or_default()
}

/// A word of a POSIX shell.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@".contains(c);
    // A word that begins with a dash would be taken for an option, quotes or not; Kubernetes has no such names.
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use scaling_core::conformance::applier::plan;
    use scaling_core::{Bounds, Target};
    use serde_json::json;

    use super::*;

    /// A shell with a `kubectl` that answers with these bounds, and shows what it is asked to apply.
    fn run(script: &str, bounds: &str) -> String {
        let stub = format!(
            "kubectl() {{ case \"$*\" in *' get '*) echo {bounds} ;; *) printf '%s|' \"$@\"; cat ;; esac; }}\n"
        );
        let output = Command::new("sh").arg("-c").arg(stub + script).output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_shell_applies_it_only_to_the_bounds_that_it_was_made_for() {
        let bounds = Bounds::new(2, 6).unwrap();
        let target = Target::deployment("shop", "checkout").in_cluster("it's $(x) END").with_hpa("a.b");
        let hpa = json!({ "metadata": { "namespace": "shop", "name": "x", "uid": "u", "resourceVersion": "7" },
            "spec": { "minReplicas": 2, "maxReplicas": 6 } });
        let (plan, seen) = (plan(&target, bounds, 3, 6), Seen::of(&hpa, "us").unwrap());
        let script = apply(&plan, &seen, "us").unwrap();
        assert_eq!(run(&script, "2,7"), "");
        let asked = run(&script, "2,6");
        let words = "--context|it's $(x) END|--namespace|shop|apply|--server-side|--field-manager|us|--filename|-|";
        let body: Value = serde_json::from_str(asked.strip_prefix(words).unwrap()).unwrap();
        assert_eq!(body["metadata"]["name"], "a.b");
        assert_eq!(body["metadata"]["uid"], "u");
        assert!(body["metadata"].get("resourceVersion").is_none());
        assert_eq!(body["spec"]["minReplicas"], plan.new_bounds().min());
    }

    #[test]
    fn a_name_that_would_be_an_option_or_two_lines_is_refused() {
        let bounds = Bounds::new(2, 6).unwrap();
        let hpa =
            json!({ "metadata": { "namespace": "shop", "name": "x" }, "spec": { "minReplicas": 2, "maxReplicas": 6 } });
        let seen = Seen::of(&hpa, "us").unwrap();
        let target = Target::deployment("shop", "checkout");
        let odd = [
            target.clone().with_hpa("--server=https://other"),
            Target::deployment("-n", "a"),
            target.in_cluster("eu\nEND\n"),
        ];
        for target in odd {
            let refused = apply(&plan(&target, bounds, 3, 6), &seen, "us");
            assert!(matches!(refused, Err(OutputError::Name { .. })), "{refused:?}");
        }
    }

    #[test]
    fn a_word_stays_one_word() {
        for (word, written) in
            [("a-1.b", "a-1.b"), ("", "''"), ("a b", "'a b'"), ("a'b$(c)", "'a'\\''b$(c)'"), ("a\nb", "'a\nb'")]
        {
            assert_eq!(quoted(word), written);
        }
    }
}
