//! The script of the jobs.

use std::fmt::Write;

use super::{WeekPlan, pair};
use crate::kubectl::{in_context, quoted};

/// A POSIX shell script that writes the bounds which hold now. Days are 1 (Monday) to 7, so a moment is one number: 10830 is Monday
/// 08:30. That of an event is in seconds since 1970, which no change of the clock skips or repeats.
///
/// `context` is one of a kubeconfig; in a pod there is none.
///
/// Without the data of its time zone `date` would quietly say UTC, so the script fails instead. The names in it are those of
/// Kubernetes, or quoted.
pub(crate) fn of(week: &WeekPlan, namespace: &str, hpa: &str, context: Option<&str>) -> String {
    let zone = week.time_zone();
    let mut script = String::from("set -eu\n");
    // Writing to a String cannot fail.
    if zone != "UTC" {
        let file = quoted(&format!("/usr/share/zoneinfo/{zone}"));
        let _ = writeln!(script, "test -f {file} || {{ echo \"no data of time zone {zone}\" >&2; exit 1; }}");
    }
    clock(&mut script, week);
    table(&mut script, week);
    if week.has_events() {
        events(&mut script, week);
    }
    let (namespace, hpa) = (quoted(namespace), quoted(hpa));
    let context = in_context(context);
    let command = |verb: &str| {
        format!("kubectl {context}--namespace {namespace} {verb} horizontalpodautoscalers.autoscaling {hpa}")
    };
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

/// The time as `now`, and as `seconds` with events: both of one look at the clock.
fn clock(script: &mut String, week: &WeekPlan) {
    let zone = quoted(week.time_zone());
    if week.has_events() {
        let _ = writeln!(script, "seconds=$(TZ={zone} date +%u%H%M-%s)");
        let _ = writeln!(script, "now=${{seconds%-*}} seconds=${{seconds#*-}}");
        let _ = writeln!(script, "case $seconds in");
        let _ = writeln!(script, "  ''|*[!0-9]*) echo \"date says $seconds\" >&2; exit 1 ;;");
        let _ = writeln!(script, "esac");
        // A shell with numbers of 32 bits would take no date from 2038 on for one.
        let _ = writeln!(script, "test 4102444800 -lt 4102444801");
    } else {
        let _ = writeln!(script, "now=$(TZ={zone} date +%u%H%M)");
    }
    let _ = writeln!(script, "case $now in");
    let _ = writeln!(script, "  [1-7][0-9][0-9][0-9][0-9]) ;;");
    let _ = writeln!(script, "  *) echo \"date says $now\" >&2; exit 1 ;;");
    let _ = writeln!(script, "esac");
}

fn table(script: &mut String, week: &WeekPlan) {
    let (min, max) = pair(week.outside());
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
}

/// Events raise what the week says.
fn events(script: &mut String, week: &WeekPlan) {
    let _ = writeln!(script, "while read -r from to least most; do");
    let _ = writeln!(script, "  if [ \"$seconds\" -ge \"$from\" ] && [ \"$seconds\" -lt \"$to\" ]; then");
    let _ = writeln!(script, "    if [ \"$least\" -gt \"$min\" ]; then min=$least; fi");
    let _ = writeln!(script, "    if [ \"$most\" -gt \"$max\" ]; then max=$most; fi");
    let _ = writeln!(script, "  fi");
    let _ = writeln!(script, "done <<'EVENTS'");
    for (from, to, min, max) in week.dated_rows() {
        let _ = writeln!(script, "{from} {to} {min} {max}");
    }
    let _ = writeln!(script, "EVENTS");
    let _ = writeln!(script, "if [ \"$min\" -gt \"$max\" ]; then max=$min; fi");
}
