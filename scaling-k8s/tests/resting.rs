//! Resting bounds: kept at the HPA, given back, and gone without a trace.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "resting/server.rs"]
mod server;

use proptest::prelude::*;
use scaling_core::Bounds;
use scaling_k8s::DamagedText;
use scaling_k8s::resting::{ANNOTATION, Bound, Memory, Release, ReleaseError, RestingBounds, Seen, release};
use serde_json::{Value, json};
use server::Server;

const US: &str = "kube-scaling";

fn bounds(min: u32, max: u32) -> Bounds {
    Bounds::new(min, max).unwrap()
}

fn seen(hpa: &Value) -> Seen {
    Seen::of(hpa, US).unwrap()
}

/// The body of a write by a process that knows nothing but the HPA.
fn body(hpa: &Value, new: Bounds) -> Value {
    let seen = seen(hpa);
    seen.apply_body(new, seen.state.resting)
}

/// Takes every step of a release.
fn released(server: &mut Server) {
    for _ in 0..4 {
        match release(&server.hpa, US).unwrap() {
            Release::Done => return,
            Release::Restore { body, .. } => server.apply(US, &body),
            Release::Disown { patch } => server.patch(&patch),
            other => panic!("{other:?}"),
        }
    }
    panic!("it does not end: {}", server.hpa);
}

#[test]
fn before_the_first_write_the_bounds_are_the_owners() {
    let server = Server::with("kubectl", "Update", 2, 10);
    let seen = seen(&server.hpa);
    assert_eq!((seen.memory, seen.state.resting, seen.state.resting_is_known), (Memory::Nothing, bounds(2, 10), true));
    let mut pods = server.hpa;
    pods["status"] = json!({ "currentReplicas": 3, "desiredReplicas": 7 });
    assert_eq!(self::seen(&pods).state.pods, Some(7));
}

#[test]
fn what_we_raise_is_given_back_to_what_the_owner_had() {
    let mut server = Server::with("kubectl", "Update", 2, 10);
    for new in [bounds(6, 12), bounds(4, 12), bounds(8, 30)] {
        let body = body(&server.hpa, new);
        server.apply(US, &body);
        let seen = seen(&server.hpa);
        assert_eq!((seen.memory, seen.state.bounds, seen.state.resting), (Memory::Kept, new, bounds(2, 10)));
    }
}

#[test]
fn the_owners_change_wins_bound_by_bound_even_where_it_meets_our_number() {
    let mut server = Server::with("kubectl", "Update", 2, 10);
    server.apply(US, &body(&server.hpa, bounds(6, 12)));
    server.update("kubectl-edit", Bound::Min, 4);
    let changed = seen(&server.hpa);
    assert_eq!(changed.memory, Memory::OwnerChanged { bounds: vec![Bound::Min] });
    assert_eq!(changed.state.resting, bounds(4, 10));
    server.update("kubectl-edit", Bound::Min, 6);
    assert_eq!(seen(&server.hpa).state.resting, bounds(6, 10), "the number is ours, the choice was theirs");
    server.update("kubectl-edit", Bound::Max, 7);
    assert_eq!(seen(&server.hpa).memory, Memory::OwnerChanged { bounds: vec![Bound::Min, Bound::Max] });
}

#[test]
fn a_bound_that_the_owner_changed_moves_the_other_one_where_both_cannot_be() {
    let mut server = Server::with("kubectl", "Update", 5, 10);
    server.apply(US, &body(&server.hpa, bounds(8, 30)));
    let mut lowered = Server { hpa: server.hpa.clone() };
    lowered.update("kubectl-edit", Bound::Min, 1);
    lowered.update("kubectl-edit", Bound::Max, 3);
    assert_eq!(seen(&lowered.hpa).state.resting, bounds(1, 3));
    server.update("kubectl-edit", Bound::Min, 20);
    assert_eq!(seen(&server.hpa).state.resting, bounds(20, 20));
    let mut capped = Server::with("kubectl", "Update", 5, 10);
    capped.apply(US, &body(&capped.hpa, bounds(2, 30)));
    capped.update("kubectl-edit", Bound::Max, 3);
    assert_eq!(seen(&capped.hpa).state.resting, bounds(3, 3));
}

#[test]
fn damage_is_told_and_lowers_nothing() {
    let mut server = Server::with("kubectl", "Update", 2, 10);
    server.apply(US, &body(&server.hpa, bounds(6, 12)));
    let good = server.hpa["metadata"]["annotations"][ANNOTATION].as_str().unwrap().to_owned();
    for (text, what) in [
        (json!(7), "it is no text"),
        (json!(""), "it cannot be read: "),
        (json!("[]"), "it cannot be read: "),
        (json!("{\"v\":2}"), "it is of version 2, and this release reads version 1"),
        (json!(good.replace("[2,10]", "[12,10]")), "its bounds cannot be: min replicas 12 is above max replicas 10"),
        (json!(good.replace("[2,10]", "[2,-10]")), "it cannot be read: "),
        (json!(good.replace("[6,12]", "[6,4294967296]")), "it cannot be read: "),
        (json!(good.replace("\"v\"", "\"w\":1,\"v\"")), "it cannot be read: unknown field `w`"),
        (json!(format!("{good}{}", " ".repeat(5000))), "at most 4096 are read"),
        (json!(good[..good.len() / 2]), "it cannot be read: "),
    ] {
        let mut hpa = server.hpa.clone();
        hpa["metadata"]["annotations"][ANNOTATION] = text;
        let seen = seen(&hpa);
        let Memory::Damaged(damage) = &seen.memory else { panic!("{seen:?}") };
        assert!(damage.to_string().contains(what), "{damage}");
        assert_eq!((seen.state.resting, seen.state.resting_is_known), (bounds(6, 12), false));
        assert_eq!(seen.apply_body(bounds(8, 12), bounds(8, 12))["spec"]["minReplicas"], 8);
    }
}

#[test]
fn what_a_process_knows_is_kept_anew_where_the_hpa_does_not_tell() {
    let mut server = Server::with("kubectl", "Update", 2, 10);
    server.apply(US, &body(&server.hpa, bounds(6, 12)));
    let mut damaged = server.hpa.clone();
    damaged["metadata"]["annotations"][ANNOTATION] = "?".into();
    let mut lost = server.hpa.clone();
    lost["metadata"]["annotations"].as_object_mut().unwrap().remove(ANNOTATION);
    lost["metadata"]["managedFields"][1]["fieldsV1"].as_object_mut().unwrap().remove("f:metadata");
    assert_eq!((seen(&lost).memory, seen(&lost).state.resting_is_known), (Memory::Lost, false));
    for hpa in [damaged, lost] {
        let mut server = Server { hpa };
        server.apply(US, &seen(&server.hpa).apply_body(bounds(8, 12), bounds(2, 10)));
        assert_eq!((seen(&server.hpa).memory, seen(&server.hpa).state.resting), (Memory::Kept, bounds(2, 10)));
        released(&mut server);
        assert_eq!(server.bounds(), (2, 10));
    }
    // What the HPA tells counts more than what a process believes.
    let kept = seen(&server.hpa).apply_body(bounds(8, 12), bounds(3, 9));
    server.apply(US, &kept);
    assert_eq!(seen(&server.hpa).state.resting, bounds(2, 10));
}

#[test]
fn an_annotation_that_was_copied_is_not_ours() {
    let mut server = Server::with("kubectl", "Update", 2, 10);
    server.apply(US, &body(&server.hpa, bounds(6, 12)));
    let mut copy = server.hpa.clone();
    copy["metadata"]["managedFields"] = json!([{ "manager": "kubectl", "operation": "Update", "fieldsV1": {
        "f:metadata": { "f:annotations": { format!("f:{ANNOTATION}"): {} } }, "f:spec": { "f:minReplicas": {}, "f:maxReplicas": {} } } }]);
    assert_eq!(seen(&copy).memory, Memory::Damaged(DamagedText::Foreign.into()));
    assert_eq!(release(&copy, US), Ok(Release::Done), "and it is not ours to remove");
    let mut again = server.hpa.clone();
    again["metadata"]["uid"] = "another".into();
    assert_eq!(seen(&again).memory, Memory::Damaged(DamagedText::OtherObject.into()));
    // A cache without managed fields cannot tell whose it is.
    let mut bare = server.hpa.clone();
    bare["metadata"].as_object_mut().unwrap().remove("managedFields");
    assert_eq!(seen(&bare).state.resting, bounds(2, 10));
    assert_eq!(release(&bare, US), Err(ReleaseError::NoManagedFields));
}

#[test]
fn bounds_that_cannot_be_are_an_error() {
    for spec in [
        json!({}),
        json!({ "maxReplicas": "3" }),
        json!({ "maxReplicas": -1 }),
        json!({ "minReplicas": 9, "maxReplicas": 3 }),
        json!({ "maxReplicas": 1e30 }),
        json!(null),
        json!([]),
    ] {
        assert!(Seen::of(&json!({ "metadata": {}, "spec": spec }), US).is_err(), "{spec}");
    }
    assert_eq!(seen(&json!({ "spec": { "maxReplicas": 3 } })).state.bounds, bounds(1, 3));
}

#[test]
fn a_release_leaves_no_trace() {
    for (manager, operation) in [("kubectl-client-side-apply", "Update"), ("argocd-controller", "Apply")] {
        let mut server = Server::with(manager, operation, 2, 10);
        let before = server.hpa.clone();
        for new in [bounds(6, 12), bounds(7, 20)] {
            server.apply(US, &body(&server.hpa, new));
        }
        assert_ne!(server.hpa, before);
        released(&mut server);
        assert_eq!(server.hpa, before);
        assert_eq!(release(&server.hpa, US), Ok(Release::Done));
    }
}

#[test]
fn a_release_takes_the_history_with_it() {
    for raised in [true, false] {
        let mut server = Server::with("kubectl", "Update", 2, 10);
        let before = server.hpa.clone();
        let mut body = body(&server.hpa, bounds(if raised { 6 } else { 2 }, 10));
        body["metadata"]["annotations"][scaling_k8s::history::ANNOTATION] = "[]".into();
        server.apply(US, &body);
        released(&mut server);
        assert_eq!(server.hpa, before, "raised: {raised}");
    }
}

#[test]
fn a_release_gives_a_bound_to_who_changed_it_since() {
    let mut server = Server::with("kubectl", "Update", 2, 10);
    server.apply(US, &body(&server.hpa, bounds(6, 12)));
    server.update("helm", Bound::Min, 3);
    server.apply(US, &body(&server.hpa, bounds(7, 12)));
    released(&mut server);
    assert_eq!((server.owners(Bound::Min), server.owners(Bound::Max)), (vec!["helm"], vec!["kubectl"]));
    assert_eq!(server.bounds(), (3, 10));
}

#[test]
fn a_max_under_which_pods_run_is_not_restored() {
    let mut server = Server::with("kubectl", "Update", 2, 10);
    server.apply(US, &body(&server.hpa, bounds(6, 30)));
    server.hpa["status"] = json!({ "currentReplicas": 25, "desiredReplicas": 20 });
    assert_eq!(release(&server.hpa, US), Ok(Release::Held { pods: 25, max: 10 }));
    server.hpa["status"] = json!({ "currentReplicas": 10, "desiredReplicas": 10 });
    assert!(matches!(release(&server.hpa, US), Ok(Release::Restore { .. })));
}

#[test]
fn other_fields_of_our_manager_and_of_others_stay() {
    let mut server = Server::with("kubectl", "Update", 2, 10);
    server.apply(US, &body(&server.hpa, bounds(2, 10)));
    let ours = server.hpa["metadata"]["managedFields"].as_array_mut().unwrap().last_mut().unwrap();
    ours["fieldsV1"]["f:spec"]["f:behavior"] = json!({});
    released(&mut server);
    let left = server.hpa["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(left.last().unwrap()["fieldsV1"], json!({ "f:spec": { "f:behavior": {} } }));
}

#[test]
fn the_text_stays_small_whatever_owned_it_before() {
    let mut server = Server::with("kubectl", "Update", 2, 10);
    for n in 0..50 {
        server.co_own(&format!("{n}{}", "m".repeat(120)));
    }
    let body = body(&server.hpa, bounds(6, 12));
    let text = body["metadata"]["annotations"][ANNOTATION].as_str().unwrap();
    assert!(text.len() <= 4096);
    assert_eq!(RestingBounds::decode(text).unwrap().resting, bounds(2, 10));
}

/// What happens to an HPA.
#[derive(Clone, Debug)]
enum Step {
    /// We write.
    Ours(u32, u32),
    Owner(Bound, u32),
    Damage,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..40u32, 0..40u32).prop_map(|(min, more)| Step::Ours(min, min + more)),
        2 => (prop_oneof![Just(Bound::Min), Just(Bound::Max)], 1..60u32).prop_map(|(bound, number)| Step::Owner(bound, number)),
        1 => Just(Step::Damage),
    ];
    proptest::collection::vec(step, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Law 7: whatever happens, a bound is given back to what the owner said last, and to nothing less after damage.
    #[test]
    fn law_7_floors_are_given_back_to_what_the_owner_said_last(steps in steps()) {
        let mut server = Server::with("kubectl", "Update", 2, 10);
        // What the owner said before our last write, what they changed since, and whether our memory of it is damaged.
        let (mut kept, mut changed, mut damaged) = ((2, 10), Vec::new(), false);
        let expected = |server: &Server, kept: (u32, u32), changed: &[Bound], damaged: bool| {
            let now = server.bounds();
            if damaged {
                return now;
            }
            let (min, max) = (changed.contains(&Bound::Min), changed.contains(&Bound::Max));
            let both = (if min { now.0 } else { kept.0 }, if max { now.1 } else { kept.1 });
            // The one that the owner did not touch gives way.
            if both.0 <= both.1 { both } else if min { (both.0, both.0) } else { (both.1, both.1) }
        };
        for step in steps {
            match step {
                Step::Ours(min, max) => {
                    kept = expected(&server, kept, &changed, damaged);
                    (changed, damaged) = (Vec::new(), false);
                    let body = body(&server.hpa, bounds(min, max));
                    server.apply(US, &body);
                }
                Step::Owner(bound, number) => {
                    let now = server.bounds();
                    let (same, fits) = match bound {
                        Bound::Min => (number == now.0, number <= now.1),
                        Bound::Max => (number == now.1, number >= now.0),
                    };
                    // The same number is no write to the server, and it refuses what does not fit.
                    if fits && !same {
                        server.update("kubectl-edit", bound, number);
                        changed.push(bound);
                    }
                }
                Step::Damage => {
                    if let Some(text) = server.hpa["metadata"]["annotations"].get_mut(ANNOTATION) {
                        *text = "?".into();
                        damaged = true;
                    }
                }
            }
            let (min, max) = expected(&server, kept, &changed, damaged);
            let seen = seen(&server.hpa);
            prop_assert_eq!(seen.state.resting, bounds(min, max), "{:?}", seen);
            prop_assert_eq!(seen.state.resting_is_known, !damaged);
        }
        let given_back = expected(&server, kept, &changed, damaged);
        released(&mut server);
        prop_assert_eq!(server.bounds(), given_back);
        prop_assert!(server.hpa["metadata"]["annotations"].get(ANNOTATION).is_none());
        prop_assert!(server.owners(Bound::Min).iter().chain(&server.owners(Bound::Max)).all(|owner| *owner != US));
    }

    /// Law 6: the same write twice is one.
    #[test]
    fn law_6_a_write_twice_is_one(min in 1..20u32, more in 0..20u32) {
        let mut server = Server::with("kubectl", "Update", 2, 10);
        let new = bounds(min, min + more);
        server.apply(US, &body(&server.hpa, new));
        let once = server.hpa.clone();
        server.apply(US, &body(&server.hpa, new));
        prop_assert_eq!(server.hpa, once);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = RestingBounds::decode(&text);
    }
}
