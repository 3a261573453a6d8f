//! Plans as `kubectl` commands, for a person to read and run.

use scaling_core::HpaPlan;
use serde_json::{Value, json};

/// The command that carries out a plan, for a POSIX shell. Empty if nothing changes; requests are left out.
///
/// The patch first tests that the bounds are those that the plan was made for: run later, it fails rather than undo what somebody else has
/// done since. The target's cluster, where it has one, is taken for a context of the kubeconfig.
///
/// ```
/// # use scaling_core::{Bounds, Target, conformance::applier::plan};
/// let plan = plan(&Target::deployment("shop", "checkout").in_cluster("eu-1"), Bounds::new(2, 6)?, 3, 6);
/// assert_eq!(
///     scaling_k8s::kubectl::patch(&plan, "kube-scaling"),
///     "kubectl --context eu-1 --namespace shop patch horizontalpodautoscalers.autoscaling checkout \
///      --field-manager kube-scaling --type json --patch '[\
///      {\"op\":\"test\",\"path\":\"/spec/minReplicas\",\"value\":2},\
///      {\"op\":\"test\",\"path\":\"/spec/maxReplicas\",\"value\":6},\
///      {\"op\":\"replace\",\"path\":\"/spec/minReplicas\",\"value\":3},\
///      {\"op\":\"replace\",\"path\":\"/spec/maxReplicas\",\"value\":11}]'"
/// );
/// # Ok::<(), scaling_core::InvalidBounds>(())
/// ```
pub fn patch(plan: &HpaPlan, manager: &str) -> String {
    let (target, old, new) = (plan.target(), plan.old_bounds(), plan.new_bounds());
    if old == new {
        return String::new();
    }
    let fields = [("minReplicas", old.min(), new.min()), ("maxReplicas", old.max(), new.max())];
    let step =
        |op: &str, field: &str, value: u32| json!({ "op": op, "path": format!("/spec/{field}"), "value": value });
    let tests = fields.iter().map(|(field, old, _)| step("test", field, *old));
    let changed = fields.iter().filter(|(_, old, new)| old != new);
    let steps: Vec<Value> = tests.chain(changed.map(|(field, _, new)| step("replace", field, *new))).collect();
    let context = target.cluster.as_deref().map(|cluster| format!("--context {} ", quoted(cluster)));
    format!(
        "kubectl {}--namespace {} patch horizontalpodautoscalers.autoscaling {} --field-manager {} --type json --patch {}",
        context.unwrap_or_default(),
        quoted(&target.namespace),
        quoted(&target.hpa),
        quoted(manager),
        quoted(&Value::from(steps).to_string())
    )
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
    use super::quoted;

    #[test]
    fn a_word_stays_one_word() {
        for (word, written) in
            [("a-1.b", "a-1.b"), ("", "''"), ("a b", "'a b'"), ("a'b$(c)", "'a'\\''b$(c)'"), ("a\nb", "'a\nb'")]
        {
            assert_eq!(quoted(word), written);
        }
    }
}
