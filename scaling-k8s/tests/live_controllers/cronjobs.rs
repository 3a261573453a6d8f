//! The CronJobs of a week, carried out by the real controllers: each minute at which something changes has its Job, and what the Job's pod
//! would run, run here with its rights and its clock, writes the bounds of that minute.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use scaling_core::chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use scaling_core::{Bounds, Target};
use scaling_k8s::api::cronjob::{CronJobs, LABEL};
use scaling_k8s::api::{Moment, WeekPlan};
use serde_json::{Value, json};

use crate::support::proxy::now;
use crate::support::{self, ADMIN, ControlPlane, NODE};

/// Most time until a Job is there or complete: two minutes of the clock, and a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(200);

const CONTROLLERS: [&str; 4] =
    ["cronjob-controller", "job-controller", "serviceaccount-controller", "serviceaccount-token-controller"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_week_is_carried_out_minute_by_minute() {
    let Some(assets) = support::assets_with(&["kube-controller-manager", "kubectl", "kwok"]) else { return };
    let mut plane = ControlPlane::start(&assets).await;
    plane.start_controllers(&plane.server(), &CONTROLLERS, Duration::from_secs(5));
    plane.start_node().await;
    let client = plane.client(ADMIN);
    create(&client, "apis/autoscaling/v2", "horizontalpodautoscalers", &hpa()).await;

    // A minute of its own, from the next one that can still be met.
    let from = (now() + TimeDelta::seconds(75)).with_second(0).unwrap().with_nanosecond(0).unwrap();
    let to = from + TimeDelta::minutes(1);
    let mut week = WeekPlan::new("UTC", bounds(2, 10)).unwrap();
    week.set(moment(from), moment(to), bounds(5, 20));
    let jobs = CronJobs::new(&Target::deployment("default", "checkout"), week.clone(), "example/kubectl:1").unwrap();
    for object in jobs.objects() {
        create_one(&client, &object).await;
    }
    for at in [from, to] {
        let cron_job = format!("checkout-{}", at.format("%H%M"));
        let template = jobs.objects().into_iter().find(|object| object["metadata"]["name"] == *cron_job).unwrap();
        let job = made(&client, &cron_job, at).await;
        as_the_template_says(&job, &template, at);
        let pod = pod_of(&client, &job).await;
        let before = week.at(moment(now()));
        run(&plane, &client, &assets, &pod).await;
        let after = week.at(moment(now()));
        let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), "default");
        let written = scaling_k8s::hpa::state(&hpas.get("checkout").await.unwrap()).unwrap().bounds;
        assert!([before, after].contains(&written), "{at}: {written}, not {before}");
        completes(&client, &job, &pod).await;
    }
}

/// Creates an object of a schedule.
pub(crate) async fn create_one(client: &Client, object: &Value) {
    let (group, plural) = match object["kind"].as_str().unwrap() {
        "ServiceAccount" => ("api/v1", "serviceaccounts"),
        "Role" => ("apis/rbac.authorization.k8s.io/v1", "roles"),
        "RoleBinding" => ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
        "CronJob" => ("apis/batch/v1", "cronjobs"),
        other => panic!("{other}"),
    };
    create(client, group, plural, object).await;
}

/// The Job that a CronJob makes for a minute. The controller names it by the minute.
pub(crate) async fn made(client: &Client, cron_job: &str, at: DateTime<Utc>) -> Job {
    let jobs: Api<Job> = Api::namespaced(client.clone(), "default");
    let name = format!("{cron_job}-{}", at.timestamp() / 60);
    let there = await_condition(jobs, &name, |job: Option<&Job>| job.is_some());
    let job = tokio::time::timeout(LIMIT, there).await.unwrap_or_else(|_| panic!("there is no Job {name}")).unwrap();
    job.unwrap()
}

fn as_the_template_says(job: &Job, cron_job: &Value, at: DateTime<Utc>) {
    let job = serde_json::to_value(job).unwrap();
    let scheduled = &job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"];
    assert_eq!(scheduled.as_str().unwrap().parse::<DateTime<Utc>>().unwrap(), at);
    assert_eq!(job["metadata"]["labels"][LABEL], "checkout");
    let (made, template) = (&job["spec"], &cron_job["spec"]["jobTemplate"]["spec"]);
    for field in ["backoffLimit", "activeDeadlineSeconds"] {
        assert_eq!(made[field], template[field], "{field}");
    }
    let (made, template) = (&made["template"]["spec"], &template["template"]["spec"]);
    for field in ["serviceAccountName", "automountServiceAccountToken", "restartPolicy", "securityContext", "volumes"] {
        assert_eq!(made[field], template[field], "{field}");
    }
    for field in ["image", "command", "env", "resources", "securityContext", "volumeMounts"] {
        assert_eq!(made["containers"][0][field], template["containers"][0][field], "{field}");
    }
}

/// The pod that the Job's controller makes; there is no scheduler, so it waits.
pub(crate) async fn pod_of(client: &Client, job: &Job) -> Pod {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let selector = format!("batch.kubernetes.io/job-name={}", job.metadata.name.as_ref().unwrap());
    let found = async {
        loop {
            let list = pods.list(&ListParams::default().labels(&selector)).await.unwrap();
            if let Some(pod) = list.items.into_iter().next() {
                return pod;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(LIMIT, found).await.unwrap_or_else(|_| panic!("no pod has {selector}"))
}

/// Does what a kubelet would: runs the command of the pod's container with a token of the pod's account.
pub(crate) async fn run(plane: &ControlPlane, client: &Client, assets: &Path, pod: &Pod) {
    let spec = pod.spec.as_ref().unwrap();
    let account = spec.service_account_name.as_ref().unwrap();
    let request =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": { "audiences": [] } });
    let granted = create(client, "api/v1", &format!("serviceaccounts/{account}/token"), &request).await;
    let kubeconfig = plane.kubeconfig("job", &plane.server(), granted["status"]["token"].as_str().unwrap());
    let container = &spec.containers[0];
    let command = container.command.as_ref().unwrap();
    let mut shell = Command::new(&command[0]);
    shell.args(&command[1..]).env_clear().env("KUBECONFIG", kubeconfig).env("KUBECACHEDIR", plane.folder());
    shell.env("PATH", format!("{}:/bin:/usr/bin", assets.display()));
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
}

/// Once the pod is on a node it runs and succeeds, and the Job is complete.
pub(crate) async fn completes(client: &Client, job: &Job, pod: &Pod) {
    let name = pod.metadata.name.as_ref().unwrap();
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name }, "target": { "kind": "Node", "name": NODE },
    });
    create(client, "api/v1", &format!("pods/{name}/binding"), &binding).await;
    let jobs: Api<Job> = Api::namespaced(client.clone(), "default");
    let is_complete = |job: Option<&Job>| {
        let conditions = job.and_then(|job| job.status.as_ref()).and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|condition| condition.type_ == "Complete" && condition.status == "True")
    };
    let done = await_condition(jobs, job.metadata.name.as_ref().unwrap(), is_complete);
    tokio::time::timeout(LIMIT, done).await.unwrap_or_else(|_| panic!("{name} does not complete")).unwrap();
}

pub(crate) async fn create(client: &Client, group: &str, resource: &str, object: &Value) -> Value {
    let path = format!("/{group}/namespaces/default/{resource}");
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(serde_json::to_vec(object).unwrap()).unwrap();
    client.request(request).await.unwrap_or_else(|error| panic!("{error}: {object:#}"))
}

fn hpa() -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "checkout" },
        "spec": { "minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout" } },
    })
}

fn moment(at: DateTime<Utc>) -> Moment {
    Moment::new(at.weekday(), at.hour(), at.minute()).unwrap()
}

pub(crate) fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}
