//! The history of an HPA, in the request that changes it.

use std::sync::Arc;

use futures::future::join;
use scaling_core::chrono::DateTime;
use scaling_core::{ApplyMode, DecisionRecord, HpaApplier, Recorder};
use scaling_k8s::history::{ANNOTATION, History, HistoryRecorder, of_hpa};
use serde_json::{Value, json};

use crate::{answer, mocked, plan, target, with};

/// The HPA before the plan, with this text as its history, under this manager.
fn telling(text: &str, manager: &str) -> Value {
    let mut hpa = with(2, 6);
    let key = format!("f:{ANNOTATION}");
    hpa["metadata"]["annotations"] = json!({ ANNOTATION: text });
    hpa["metadata"]["managedFields"] = json!([{ "manager": manager, "operation": "Apply", "apiVersion": "autoscaling/v2",
        "fieldsType": "FieldsV1", "fieldsV1": { "f:metadata": { "f:annotations": { key: {} } } } }]);
    hpa
}

/// The bodies of the rehearsal and of the write that change this HPA.
async fn sent(hpa: Value, is_intended: bool) -> [Value; 2] {
    let (applier, mut server) = mocked();
    let recorder = Arc::new(HistoryRecorder::new(History::new(), "kube-scaling"));
    let mut record = DecisionRecord::new(target(), DateTime::UNIX_EPOCH, ApplyMode::Apply);
    record.change = Some(plan().change());
    if is_intended {
        recorder.intend(&record).unwrap();
    }
    let (applier, plan) = (applier.history(recorder), plan());
    let serve = async {
        answer(&mut server, 200, hpa.to_string()).await;
        answer(&mut server, 422, "{}").await.3
    };
    let (_, rehearsed) = join(applier.apply(&plan, ApplyMode::ServerDryRun), serve).await;
    let serve = async {
        answer(&mut server, 200, hpa.to_string()).await;
        answer(&mut server, 422, "{}").await.3
    };
    let (_, first) = join(applier.apply(&plan, ApplyMode::Apply), serve).await;
    [rehearsed, first]
}

fn told(body: &Value) -> Vec<u64> {
    of_hpa(body, "kube-scaling").unwrap().iter().map(|change| change.number).collect()
}

#[tokio::test(start_paused = true)]
async fn the_change_is_told_in_the_request_that_makes_it() {
    for body in sent(with(2, 6), true).await {
        assert_eq!(told(&body), [1], "{body}");
        let change = of_hpa(&body, "kube-scaling").unwrap().remove(0);
        assert_eq!((change.before, change.after), (plan().old_bounds(), plan().new_bounds()));
    }
    let earlier = told(&sent(with(2, 6), true).await[0]);
    assert_eq!(earlier, [1]);
}

#[tokio::test(start_paused = true)]
async fn earlier_changes_stay_and_numbers_go_on() {
    let [first, _] = sent(with(2, 6), true).await;
    let text = first["metadata"]["annotations"][ANNOTATION].as_str().unwrap().replace("\"n\":1", "\"n\":41");
    let [body, _] = sent(telling(&text, "kube-scaling"), true).await;
    assert_eq!(told(&body), [41, 42]);
    // Of a change that nobody has announced nothing is added, and nothing is lost.
    let [body, _] = sent(telling(&text, "kube-scaling"), false).await;
    assert_eq!(told(&body), [41]);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_history_is_begun_anew() {
    let [body, _] = sent(telling("[{\"n\":", "kube-scaling"), true).await;
    assert_eq!(told(&body), [1]);
}

#[tokio::test(start_paused = true)]
async fn the_history_of_somebody_else_keeps_no_bounds_from_being_written() {
    for body in sent(telling("[]", "somebody"), true).await {
        assert!(body["metadata"]["annotations"].get(ANNOTATION).is_none(), "{body}");
        assert_eq!(body["spec"]["minReplicas"], plan().new_bounds().min(), "{body}");
    }
}
