//! The script of the jobs.

use std::fmt::Write;

use super::{WeekPlan, pair};
use crate::kubectl::quoted;

/// A POSIX shell script that writes the bounds which hold now. Days are 1 (Monday) to 7, so a moment is one number: 10830 is Monday
/// 08:30.
///
/// Without the data of its time zone `date` would quietly say UTC, so the script fails instead. The names in it are those of
/// Kubernetes, or quoted.
pub(super) fn of(week: &WeekPlan, namespace: &str, hpa: &str) -> String {
    let zone = week.time_zone();
    let (min, max) = pair(week.outside());
    let mut script = String::from("set -eu\n");
    // Writing to a String cannot fail.
    if zone != "UTC" {
        let file = quoted(&format!("/usr/share/zoneinfo/{zone}"));
        let _ = writeln!(script, "test -f {file} || {{ echo \"no data of time zone {zone}\" >&2; exit 1; }}");
    }
    let _ = writeln!(script, "now=$(TZ={} date +%u%H%M)", quoted(zone));
    let _ = writeln!(script, "case $now in");
    let _ = writeln!(script, "  [1-7][0-9][0-9][0-9][0-9]) ;;");
    let _ = writeln!(script, "  *) echo \"date says $now\" >&2; exit 1 ;;");
    let _ = writeln!(script, "esac");
    let _ = writeln!(script, "min={min} max={max}");
    let _ = writeln!(script, "while read -r from to least most; do");
    let _ = writeln!(script, "  if [ \"$now\" -ge \"$from\" ] && [ \"$now\" -lt \"$to\" ]; then");
    let _ = writeln!(script, "    min=$least max=$most");
    let _ = writeln!(script, "  fi");
    let _ = writeln!(script, "done <<'WEEK'");
    for (from, to, bounds) in week.rows() {
        let (min, max) = pair(bounds);
        let _ = writeln!(script, "{from} {to} {min} {max}");
    }
    let _ = writeln!(script, "WEEK");
    let (namespace, hpa) = (quoted(namespace), quoted(hpa));
    let command =
        |verb: &str| format!("kubectl --namespace {namespace} {verb} horizontalpodautoscalers.autoscaling {hpa}");
    let _ = writeln!(script, "running=$({} --output 'jsonpath={{.status.currentReplicas}}')", command("get"));
    let _ = writeln!(script, "case ${{running:=0}} in");
    let _ = writeln!(script, "  *[!0-9]*) echo \"$running pods run\" >&2; exit 1 ;;");
    let _ = writeln!(script, "esac");
    let _ = writeln!(script, "if [ \"$running\" -gt \"$max\" ]; then max=$running; fi");
    let _ = writeln!(
        script,
        "{} --field-manager kube-scaling-schedule --type merge \
         --patch \"{{\\\"spec\\\":{{\\\"minReplicas\\\":$min,\\\"maxReplicas\\\":$max}}}}\"",
        command("patch")
    );
    script
}
