//! Documents that are no schedule are refused with the place.

use serde_json::json;

use super::*;

/// Place of the fault.
fn field(result: Result<WeekPlan, OutputError>) -> String {
    match result {
        Err(OutputError::Unreadable { field, .. }) => field,
        Err(OutputError::Bounds(_)) => "bounds".to_owned(),
        Err(OutputError::Name { field, .. }) => field.to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_scaled_object() {
    let good = keda::scaled_object(&target(), &week().without_events().with_highest_max(), None).unwrap();
    for (pointer, value, place) in [
        ("/kind", json!("ScaledJob"), "kind"),
        ("/spec", json!(7), "spec"),
        ("/spec/triggers", json!({}), "spec"),
        ("/spec/triggers", json!([1]), "spec"),
        ("/spec/minReplicaCount", json!(-1), "spec"),
        ("/spec/minReplicaCount", json!(21), "bounds"),
        ("/spec/maxReplicaCount", json!(0), "bounds"),
        ("/spec/maxReplicaCount", json!(1e300), "spec"),
        ("/spec/triggers/1/metadata/start", json!("0 8 * *"), "spec.triggers[1].metadata.start"),
        ("/spec/triggers/1/metadata/start", json!("@daily"), "spec.triggers[1].metadata.start"),
        ("/spec/triggers/1/metadata/start", json!("0 8 1 * *"), "spec.triggers[1].metadata.start"),
        ("/spec/triggers/1/metadata/start", json!(5), "spec.triggers[1].metadata.start"),
        ("/spec/triggers/0/metadata/end", json!("0 8 * * MON,TUE,WED,THU,FRI"), "spec.triggers[0].metadata.end"),
        ("/spec/triggers/0/metadata/end", json!("0 8 * * 7"), "spec.triggers[0].metadata.end"),
        ("/spec/triggers/1/metadata/timezone", json!("UTC"), "spec.triggers[1].metadata.timezone"),
        ("/spec/triggers/0/metadata/desiredReplicas", json!("0"), "spec.triggers[0].metadata.desiredReplicas"),
        ("/spec/triggers/0/metadata/desiredReplicas", json!("-3"), "spec.triggers[0].metadata.desiredReplicas"),
        ("/spec/triggers/0/metadata/desiredReplicas", json!(3), "spec.triggers[0].metadata.desiredReplicas"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value.clone();
        assert_eq!(field(keda::read(&bad)), place, "{pointer}: {value}");
    }
    let mut zone = good.clone();
    for trigger in zone["spec"]["triggers"].as_array_mut().unwrap() {
        trigger["metadata"]["timezone"] = json!("../etc");
    }
    assert_eq!(field(keda::read(&zone)), "time zone");
    let mut many = good.clone();
    many["spec"]["triggers"] = json!(vec![good["spec"]["triggers"][0].clone(); 1001]);
    assert_eq!(field(keda::read(&many)), "spec.triggers");
    for nothing in [json!(null), json!([]), json!("x"), json!({})] {
        assert_eq!(
            (field(keda::read(&nothing)), field(karmada::read(&nothing))),
            ("kind".to_owned(), "kind".to_owned())
        );
    }
}

#[test]
fn what_keda_does_itself_is_read_so() {
    let mut object = keda::scaled_object(&target(), &week().without_events().with_highest_max(), None).unwrap();
    // A trigger of the load, one that asks for more than the max, and one over another.
    let triggers = object["spec"]["triggers"].as_array_mut().unwrap();
    triggers.push(json!({ "type": "cpu", "metricType": "Utilization", "metadata": { "value": "60" } }));
    let cron = |start: &str, end: &str, desired: &str| json!({ "type": "cron", "metadata": { "timezone": "Europe/Berlin", "start": start, "end": end, "desiredReplicas": desired } });
    triggers.push(cron("0 9 * * MON", "0 10 * * MON", "1000"));
    triggers.push(cron("0 8 * * *", "0 20 * * *", "3"));
    let read = keda::read(&object).unwrap();
    assert_eq!(read.at(moment(9 * 60)), bounds(20, 20));
    assert_eq!(read.at(moment(10 * 60)), bounds(5, 20));
    assert_eq!(read.at(moment(19 * 60)), bounds(3, 20));
    assert_eq!(read.at(moment(20 * 60)), bounds(2, 20));
    let bare = json!({ "kind": "ScaledObject", "spec": { "triggers": [] } });
    assert_eq!(keda::read(&bare).unwrap(), WeekPlan::new("UTC", bounds(0, 100)).unwrap());
}

#[test]
fn a_cron_federated_hpa() {
    let good = karmada::cron_federated_hpa(&target(), &week().without_events()).unwrap();
    for (pointer, value, place) in [
        ("/kind", json!("FederatedHPA"), "kind"),
        ("/spec/rules", json!(null), "spec"),
        ("/spec/rules", json!([]), "spec.rules"),
        ("/spec/rules/0/schedule", json!(null), "spec"),
        ("/spec/rules/0/schedule", json!("0 8 * * 7"), "spec.rules[0].schedule"),
        ("/spec/rules/0/schedule", json!("@every 1h"), "spec.rules[0].schedule"),
        ("/spec/rules/0/schedule", json!("@yearly"), "spec.rules[0].schedule"),
        ("/spec/rules/1/schedule", json!("0 2 * * *"), "spec.rules[1].schedule"),
        ("/spec/rules/0/timeZone", json!(null), "spec.rules[0].timeZone"),
        ("/spec/rules/1/timeZone", json!("UTC"), "spec.rules[1].timeZone"),
        ("/spec/rules/0/targetMinReplicas", json!(11), "bounds"),
        ("/spec/rules/0/targetMinReplicas", json!("2"), "spec"),
        ("/spec/rules/0/targetMaxReplicas", json!(-1), "spec"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value.clone();
        assert_eq!(field(karmada::read(&bad)), place, "{pointer}: {value}");
    }
    let mut replicas = good.clone();
    replicas["spec"]["rules"][2]["targetReplicas"] = json!(3);
    assert_eq!(field(karmada::read(&replicas)), "spec.rules[2].targetReplicas");
    let mut no_max = good.clone();
    for rule in no_max["spec"]["rules"].as_array_mut().unwrap() {
        rule.as_object_mut().unwrap().remove("targetMaxReplicas");
    }
    assert_eq!(field(karmada::read(&no_max)), "spec.rules");
    let mut asleep = good.clone();
    asleep["spec"]["rules"][1]["suspend"] = json!(true);
    assert_eq!(karmada::read(&asleep).unwrap().at(moment(9 * 60)), bounds(2, 10), "a suspended rule sets nothing");
}

#[test]
fn a_list_of_commands() {
    let good = kubectl::schedule(&target(), &week()).unwrap();
    for (from, to, place) in [
        ("# Bounds by", "# Grenzen by", "line 1"),
        ("clock of Europe/Berlin", "clock of a'b", "time zone"),
        ("# otherwise", "# sometimes", "line 2"),
        ("# otherwise\n", "", "line 2"),
        ("MON 00:00 to MON 02:00", "MON 00:00 to MON 25:00", "line 4"),
        ("2026-11-27 18:00+01:00 to", "2026-02-30 18:00+01:00 to", "line 13"),
        ("2026-11-27 18:00+01:00 to", "2026-11-27 18:00 to", "line 13"),
        ("kubectl --namespace shop patch", "rm -rf /; patch", "line 3"),
        ("\"maxReplicas\":20", "\"maxReplicas\":20,\"x\":1", "line 12"),
        ("\"maxReplicas\":20", "\"maxReplicas\":2", "bounds"),
        ("\"maxReplicas\":10", "\"maxReplicas\":-10", "line 3"),
    ] {
        assert!(good.contains(from), "{from}");
        assert_eq!(field(kubectl::read_schedule(&good.replacen(from, to, 1))), place, "{to}");
    }
    assert_eq!(field(kubectl::read_schedule("")), "line 1");
    assert_eq!(field(kubectl::read_schedule("# Bounds by the clock of UTC\n")), "the text");
    assert_eq!(field(kubectl::read_schedule(&"x".repeat(2 << 20))), "the text");
}

#[test]
fn names_that_are_none() {
    let week = WeekPlan::new("UTC", bounds(1, 2)).unwrap();
    let odd = [
        Target::deployment("Shop", "a"),
        target().with_hpa("a b"),
        target().of_kind("Rollout"),
        Target::deployment("shop", "A b"),
    ];
    for (nth, target) in odd.iter().enumerate() {
        assert!(matches!(keda::scaled_object(target, &week, None), Err(OutputError::Name { .. })), "{target:?}");
        if nth < 2 {
            assert!(matches!(kubectl::schedule(target, &week), Err(OutputError::Name { .. })), "{target:?}");
            assert!(matches!(kubectl::schedule_script(target, &week), Err(OutputError::Name { .. })), "{target:?}");
            assert!(matches!(CronJobs::new(target, week.clone(), "x"), Err(OutputError::Name { .. })), "{target:?}");
            assert!(matches!(karmada::cron_federated_hpa(target, &week), Err(OutputError::Name { .. })), "{target:?}");
        }
    }
    // One would be an option, the others two lines of the list.
    for target in [target().with_hpa("--server=x"), target().with_hpa("a\nb"), target().in_cluster("a\n# otherwise")] {
        let refused = kubectl::set_bounds(&target, bounds(1, 2));
        assert!(matches!(refused, Err(OutputError::Name { .. })), "{refused:?}");
        assert!(matches!(kubectl::schedule(&target, &week), Err(OutputError::Name { .. })), "{target:?}");
    }
    let mut week = week;
    let date =
        |day, minute| NaiveDate::from_ymd_opt(2026, 11, day).unwrap().and_hms_opt(0, minute, 0).unwrap().and_utc();
    for (from, to) in
        [(date(2, 0), date(1, 0)), (date(1, 0), date(1, 0)), (date(1, 0) + TimeDelta::seconds(1), date(2, 0))]
    {
        assert!(matches!(week.raise(from, to, 1, None), Err(OutputError::Dates { .. })));
    }
    assert!(matches!(week.raise(date(1, 0), date(2, 0), 3, Some(2)), Err(OutputError::Bounds(_))));
    assert!(matches!(week.raise(date(1, 0), date(2, 0), u32::MAX, None), Err(OutputError::Bounds(_))));
    for event in [
        r#"["2026-11-1T00:00Z","2026-11-02T00:00Z",1,null]"#,
        r#"["2026-11-01T00:00","2026-11-02T00:00",1,null]"#,
        r#"["2026-11-01T00:00Z","2026-11-01T00:00Z",1,null]"#,
        r#"["","",1,null]"#,
    ] {
        let text = format!(r#"{{"time_zone":"UTC","outside":{{"min":1,"max":2}},"windows":[],"events":[{event}]}}"#);
        assert!(serde_json::from_str::<WeekPlan>(&text).is_err(), "{event}");
    }
}
