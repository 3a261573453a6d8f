//! The evaluation: its situations, its labels, and what scripted models come to.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use scaling_llm::eval::{
    EvalConfig, EvalReport, Label, Outcomes, Proposal, ScriptedModel, Situation, SituationError, TOLERATED,
    dataset_situations, evaluate, situations,
};
use scaling_llm::{ChatModel, RecordingModel, ReplayModel};

fn own() -> Vec<Situation> {
    situations(include_str!("../../test_data/llm_situations.json")).unwrap()
}

fn all() -> Vec<Situation> {
    let dataset = dataset_situations(include_str!("../../test_data/metrics_dataset.json")).unwrap();
    dataset.into_iter().chain(own()).collect()
}

async fn run(model: ScriptedModel, situations: &[Situation], config: &EvalConfig) -> EvalReport {
    evaluate(Arc::new(model), situations, config).await.unwrap()
}

#[test]
fn there_are_the_eight_of_the_dataset_and_more_than_forty_of_our_own() {
    let situations = all();
    assert_eq!(situations.iter().filter(|situation| situation.kind == "dataset").count(), 8);
    assert!(situations.len() >= 48, "{}", situations.len());
    let mut names: Vec<_> = situations.iter().map(|situation| &situation.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), situations.len());
    for kind in ["event", "deploy", "dependency", "leak", "queue", "outage", "calendar", "noise", "spike", "steady"] {
        assert!(situations.iter().any(|situation| situation.kind == kind), "{kind}");
    }
}

/// The label begins at the cheapest size that keeps at most the tolerated share waiting beyond what no size prevents; one pod less keeps
/// more waiting, and the label ends half as much above, two pods at least.
#[tokio::test]
async fn the_backtest_confirms_every_label_of_our_own() {
    let mut wrong = Vec::new();
    for situation in own() {
        let (best, label) = (situation.best().await.unwrap(), situation.label.unwrap());
        let highest = best.replicas + best.replicas.div_ceil(2).max(2);
        let largest = situation.held(situation.limit).await.unwrap();
        let is_least = best.replicas == 1 || {
            let less = situation.held(best.replicas - 1).await.unwrap();
            less.violating_share > largest.violating_share + TOLERATED
        };
        if label != (Label { lowest: best.replicas, highest }) || !is_least {
            wrong.push(format!("{}: {label:?}, best {best:?}", situation.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn scripts_do_what_they_say_and_the_report_says_that_they_are_no_model() {
    let situations = all();
    let config = EvalConfig::default();
    let agreeing = run(ScriptedModel::Agreeing, &situations, &config).await;
    assert_eq!((agreeing.summary.proposals, agreeing.summary.better, agreeing.summary.worse), (0, 0, 0));
    assert_eq!(agreeing.summary.taken, agreeing.summary.baseline);
    let greedy = run(ScriptedModel::Greedy, &situations, &config).await;
    assert!(greedy.summary.proposals > 5, "{:?}", greedy.summary);
    for report in &greedy.situations {
        assert!(report.advised.replicas >= report.baseline.replicas, "{report:?}");
    }
    assert!(greedy.summary.taken.pod_hours > greedy.summary.baseline.pod_hours);
    let adversarial = run(ScriptedModel::Adversarial, &situations, &config).await;
    let failed = [Outcomes::Malformed, Outcomes::OutOfRange].map(Outcomes::label);
    assert!(failed.iter().all(|label| adversarial.summary.outcomes.contains_key(label)), "{:?}", adversarial.summary);
    for report in [&agreeing, &greedy, &adversarial] {
        assert!(!report.summary.real_model && report.measured().starts_with("No real model was measured"));
        assert!(report.summary.best.mean_violating_share <= report.summary.baseline.mean_violating_share + TOLERATED);
    }
}

#[tokio::test]
async fn equal_answers_give_equal_bytes_recorded_or_not() {
    let situations = own();
    let config = EvalConfig::default();
    let json = |report: &EvalReport| serde_json::to_string(&report.situations).unwrap();
    let listening = Arc::new(RecordingModel::new(ScriptedModel::Random(7)));
    let recorded = evaluate(Arc::clone(&listening) as Arc<dyn ChatModel>, &situations, &config).await.unwrap();
    let again = run(ScriptedModel::Random(7), &situations, &config).await;
    assert_eq!(json(&recorded), json(&again));
    let transcript = listening.transcript();
    assert!(!transcript.is_empty());
    let replayed = evaluate(Arc::new(ReplayModel::new(transcript)), &situations, &config).await.unwrap();
    assert_eq!(json(&recorded), json(&replayed));
    assert!(!replayed.summary.real_model);
}

#[tokio::test]
async fn what_the_proof_refuses_is_not_taken() {
    let mut refused = 0;
    for script in ScriptedModel::ALL {
        let report = run(script, &own(), &EvalConfig::default()).await;
        for one in &report.situations {
            let is_refused = matches!(one.proposal, Proposal::Rejected(_));
            refused += u32::from(is_refused);
            let taken = if is_refused { &one.baseline } else { &one.advised };
            assert_eq!(&one.taken, taken, "{}", one.name);
            assert_ne!(one.proposal, Proposal::Unproved, "{}", one.name);
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_situation_that_cannot_be_is_refused_by_name() {
    let written = |change: &str| {
        format!(
            r#"{{"situations":[{{"name":"x","kind":"k","knowledge":"","pods":[[0,4]],"pod_capacity":50,"load":[[0,100]],
            "label":{{"lowest":1,"highest":2}}{change}}}]}}"#
        )
    };
    assert_eq!(situations(&written("")).unwrap().len(), 1);
    for (change, what) in [
        (r#","signals":[["queue_depth",[[5,1],[0,2]]]]"#, "in the order of time"),
        (r#","health":[[0,-1]]"#, "none below 0"),
        (r#","hold_min":0"#, "at least 5"),
        (r#","at":"+262142-12-31T23:00:00Z""#, "from 1970 to 2200"),
        (
            r#","events":[{"name":"e","from_min":9223372036854775807,"to_min":9223372036854775807,"factor":2}]"#,
            "at most",
        ),
        (r#","limit":0"#, "from 1 to 1000"),
        (r#","events":[{"name":"e","from_min":5,"to_min":5,"factor":2}]"#, "not after its start"),
    ] {
        let error = situations(&written(change)).unwrap_err();
        assert!(matches!(error, SituationError::Invalid { .. }), "{error}");
        assert!(error.to_string().starts_with("situation \"x\": ") && error.to_string().contains(what), "{error}");
    }
    assert!(matches!(situations(&written(r#","colour":1"#)), Err(SituationError::Json(_))));
    assert!(matches!(dataset_situations("{}"), Err(SituationError::Dataset(_))));
}

/// Prints the best sizes: what the labels are set to.
#[tokio::test]
#[ignore = "prints the labels, checks nothing"]
async fn print_the_best_sizes() {
    for situation in own() {
        println!("best {} {}", situation.name, situation.best().await.unwrap().replicas);
    }
}
