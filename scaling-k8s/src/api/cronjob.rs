//! A weekly schedule as CronJobs that patch the bounds of an HPA, without anything of ours running in the cluster.
//!
//! The jobs hold the *state* of the schedule and no edges of it: every one of them knows the whole week, looks at the clock and writes the
//! min and the max that hold at that moment, both in one write. So a run that was missed, late or doubled does no harm: the next one writes
//! what is right then. No job sets the max below the pods that the HPA counts (law 11): it does so an hour later. One CronJob stands at
//! each time of the day at which something begins or ends, and one more looks every hour.
//!
//! The start and the end of an event have a CronJob each, in UTC: an event is from one instant to another, and the script compares the
//! seconds since 1970, so no change of the clock cuts it in two. Cron knows no year, so they come again in the next one, and then write what
//! the week says. [`WeekPlan::without_past_events`] leaves out an event that is over, and the next apply prunes its CronJobs.
//!
//! ```
//! use scaling_core::{Bounds, Target};
//! use scaling_core::chrono::Weekday::{Fri, Mon, Sat};
//! use scaling_k8s::api::{Moment, WeekPlan, cronjob::CronJobs};
//!
//! let hpa = Target::deployment("shop", "checkout");
//! let mut week = WeekPlan::new("Europe/Berlin", Bounds::new(2, 10)?)?;
//! week.set(Moment::new(Mon, 8, 0)?, Moment::new(Fri, 18, 30)?, Bounds::new(5, 20)?);
//! assert_eq!(week.at(Moment::new(Sat, 12, 0)?), Bounds::new(2, 10)?);
//!
//! let jobs = CronJobs::new(&hpa, week, "registry.example/kubectl-sh:1.37")?;
//! let kinds: Vec<String> = jobs.objects().iter().map(|object| object["kind"].to_string()).collect();
//! assert_eq!(kinds.len(), 6, "a ServiceAccount, a Role, a RoleBinding, two CronJobs of the week, one of every hour: {kinds:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod script;

use scaling_core::{Bounds, Target};
use serde_json::{Value, json};

use super::error::{check_names, odd_name};
use super::week::UTC;
use super::{Moment, OutputError, WeekPlan, to_yaml};
pub(crate) use script::of as script_of;

/// Key of the label by which the objects of one schedule are found and pruned: its value is the name of the HPA.
pub const LABEL: &str = "kube-scaling/schedule";
/// Key of the annotation that holds the week, to be read back.
pub const ANNOTATION: &str = "kube-scaling/week";
/// Key of the annotation that holds the name of the HPA.
const HPA: &str = "kube-scaling/hpa";
/// Longest name of a CronJob: its jobs have eleven characters more.
const MAX_NAME: usize = 52;
/// Longest value of a label.
const MAX_LABEL: usize = 63;
/// Longest script: Linux takes no argument of 128 KiB or more.
const MAX_SCRIPT: usize = 127 << 10;
/// Longest week as JSON: all annotations of an object together have 256 KiB.
const MAX_WEEK: usize = 192 << 10;
/// Most times that have a CronJob each: every one of them holds the whole week.
const MAX_EDGES: usize = 500;
const OUTPUT: &str = "a set of CronJobs";
/// Minute of each hour at which the state is looked at.
const RESYNC: &str = "7 * * * *";

/// The objects that carry out a weekly schedule on one HPA.
#[derive(Clone, Debug, PartialEq)]
pub struct CronJobs {
    namespace: String,
    hpa: String,
    week: WeekPlan,
    image: String,
    deadline_s: u32,
}

impl CronJobs {
    /// The schedule `week` on the HPA of a target. `image` is a container image with `sh`, `date`, `kubectl` and the time zones in
    /// `/usr/share/zoneinfo`; where one of them is missing, a job fails and changes nothing.
    ///
    /// # Errors
    /// [`OutputError::Name`] if namespace, HPA or image cannot be called so; [`OutputError::Inexpressible`] if a min is 0, which the API
    /// server refuses, or the week is more than a CronJob can hold, or needs more than 500 of them; or if it never changes, for its only job
    /// would write the same bounds over those of everybody else every hour.
    pub fn new(target: &Target, week: WeekPlan, image: impl Into<String>) -> Result<Self, OutputError> {
        check_names(target)?;
        let (namespace, hpa, image) = (target.namespace.clone(), target.hpa.clone(), image.into());
        let in_reference = |c: char| c.is_ascii_alphanumeric() || "-._/:@".contains(c);
        if image.is_empty() || image.len() > 512 || !image.chars().all(in_reference) {
            return Err(odd_name("image", &image, "a reference to a container image"));
        }
        week.check_min(OUTPUT)?;
        if week.is_constant() {
            let what =
                format!("a week that never changes: set the bounds of the HPA to {} once", week.at(Moment::of_week(0)));
            return Err(OutputError::Inexpressible { output: OUTPUT, what });
        }
        check_size(&week, &namespace, &hpa)?;
        Ok(Self { namespace, hpa, week, image, deadline_s: 600 })
    }

    /// Sets how late a run may start, in seconds. Default: 600. A later one is left to the next, which writes what is right then. Below 10
    /// the controller, which looks every 10 s, may never start it; so 10 is the least.
    #[must_use]
    pub fn starting_deadline_s(mut self, seconds: u32) -> Self {
        self.deadline_s = seconds.max(10);
        self
    }

    /// The label selector by which the objects of this schedule are pruned: `kubectl apply --prune -l SELECTOR`.
    pub fn selector(&self) -> String {
        Self::selector_of(&self.hpa)
    }

    /// The same, for the schedule of an HPA of this name.
    pub fn selector_of(hpa: &str) -> String {
        format!("{LABEL}={}", shortened(hpa, MAX_LABEL))
    }

    /// Namespace of the HPA and of all objects.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The objects, in the order in which they are applied: ServiceAccount, Role, RoleBinding, CronJobs by their time. Their order and
    /// names are the same each time.
    pub fn objects(&self) -> Vec<Value> {
        let account = self.name("bounds");
        let rule = json!({ "apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"],
            "resourceNames": [self.hpa], "verbs": ["get", "patch"] });
        let mut objects = vec![
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": self.metadata(&account),
                "automountServiceAccountToken": false }),
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": self.metadata(&account), "rules": [rule] }),
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": self.metadata(&account),
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account },
                "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": self.namespace }] }),
        ];
        for (suffix, schedule, time_zone) in self.schedules() {
            objects.push(self.cron_job(&self.name(&suffix), &account, &schedule, time_zone));
        }
        objects
    }

    /// The objects as a YAML stream.
    ///
    /// # Errors
    /// [`OutputError::Write`] if they cannot be expressed.
    pub fn to_yaml(&self) -> Result<String, OutputError> {
        to_yaml(&self.objects())
    }

    /// Reads the week of a CronJob that was made here.
    ///
    /// # Errors
    /// [`OutputError::Unreadable`] if it was not, or somebody has edited its script since.
    pub fn read_week(cron_job: &Value) -> Result<WeekPlan, OutputError> {
        let text = |pointer: &str| cron_job.pointer(pointer).and_then(Value::as_str);
        let annotation =
            |key: &str| cron_job.pointer("/metadata/annotations").and_then(|all| all.get(key)).and_then(Value::as_str);
        let written = annotation(ANNOTATION).ok_or_else(|| OutputError::unreadable(ANNOTATION, "it is missing"))?;
        if written.len() > MAX_WEEK {
            return Err(OutputError::unreadable(ANNOTATION, format!("it has more than {MAX_WEEK} bytes")));
        }
        let week: WeekPlan =
            serde_json::from_str(written).map_err(|error| OutputError::unreadable(ANNOTATION, error.to_string()))?;
        let hpa = annotation(HPA).unwrap_or_default();
        let namespace = text("/metadata/namespace").unwrap_or("default");
        let script = text("/spec/jobTemplate/spec/template/spec/containers/0/command/2");
        if script != Some(&script::of(&week, namespace, hpa, None)) {
            return Err(OutputError::unreadable("command", "its script is not the one of its week"));
        }
        let zone = text("/spec/timeZone");
        // The jobs of events go by UTC.
        if zone != Some(week.time_zone()) && !(week.has_events() && zone == Some(UTC)) {
            return Err(OutputError::unreadable("spec.timeZone", "it is not that of its week"));
        }
        Ok(week)
    }

    /// Cron expressions with the ends of the names that go with them and their time zones: one for each time at which something begins or
    /// ends.
    fn schedules(&self) -> Vec<(String, String, &str)> {
        let edges = self.week.edges().into_iter();
        let edges = edges.map(|edge| (edge.suffix(), edge.cron(), edge.time_zone(&self.week)));
        edges.chain([("hourly".to_owned(), RESYNC.to_owned(), self.week.time_zone())]).collect()
    }

    fn cron_job(&self, name: &str, account: &str, schedule: &str, time_zone: &str) -> Value {
        let metadata = json!({ "name": name, "namespace": self.namespace, "labels": self.labels(),
            "annotations": { ANNOTATION: self.week.to_json(), HPA: self.hpa } });
        let container = json!({
            "name": "bounds",
            "image": self.image,
            "command": ["/bin/sh", "-c", script::of(&self.week, &self.namespace, &self.hpa, None)],
            // kubectl keeps what it discovers, and the root is read-only.
            "env": [{ "name": "KUBECACHEDIR", "value": "/tmp" }],
            "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
            "resources": { "requests": { "cpu": "10m", "memory": "64Mi" }, "limits": { "memory": "128Mi" } },
            "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } },
        });
        let pod = json!({
            "serviceAccountName": account,
            "automountServiceAccountToken": true,
            "restartPolicy": "Never",
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [container],
            "volumes": [{ "name": "tmp", "emptyDir": { "sizeLimit": "16Mi" } }],
        });
        let labels = json!({ "labels": self.labels() });
        json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": metadata,
            "spec": {
                "schedule": schedule,
                "timeZone": time_zone,
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": self.deadline_s,
                "successfulJobsHistoryLimit": 1,
                "failedJobsHistoryLimit": 3,
                "jobTemplate": {
                    "metadata": labels,
                    "spec": {
                        "backoffLimit": 3,
                        "activeDeadlineSeconds": 300,
                        "template": { "metadata": labels, "spec": pod },
                    },
                },
            },
        })
    }

    fn metadata(&self, name: &str) -> Value {
        json!({ "name": name, "namespace": self.namespace, "labels": self.labels() })
    }

    fn labels(&self) -> Value {
        json!({ "app.kubernetes.io/managed-by": "kube-scaling", LABEL: shortened(&self.hpa, MAX_LABEL) })
    }

    fn name(&self, suffix: &str) -> String {
        let room = MAX_NAME - suffix.len() - 1;
        format!("{}-{suffix}", shortened(&self.hpa, room))
    }
}

/// Refuses what would fail only when a job is applied or run.
fn check_size(week: &WeekPlan, namespace: &str, hpa: &str) -> Result<(), OutputError> {
    let inexpressible = |what: String| Err(OutputError::Inexpressible { output: OUTPUT, what });
    let (script, written) = (script::of(week, namespace, hpa, None).len(), week.to_json().len());
    if script > MAX_SCRIPT || written > MAX_WEEK {
        return inexpressible(format!(
            "a week of {script} bytes as a script and {written} as JSON, of {MAX_SCRIPT} and {MAX_WEEK}"
        ));
    }
    let edges = week.edges().len();
    if edges > MAX_EDGES {
        return inexpressible(format!("{edges} times at which something begins or ends, of at most {MAX_EDGES}"));
    }
    Ok(())
}

/// A name, or its start and a sum of all of it, of so many characters at most.
fn shortened(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_owned();
    }
    // FNV-1a, 32 bits: it is the same in every release.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let start: String = name.chars().take(most.saturating_sub(9)).collect();
    format!("{}-{hash:08x}", start.trim_end_matches(['-', '.']))
}

/// Bounds as the two numbers of a row.
fn pair(bounds: Bounds) -> (u32, u32) {
    (bounds.min(), bounds.max())
}
