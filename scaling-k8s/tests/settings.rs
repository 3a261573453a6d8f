//! Settings of a target, from the labels and annotations of its HPA.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{BoundsPolicy, Ceiling, Cooldown, HardLimits, StepLimit, Target, WorkloadFacts};
use scaling_k8s::controller::settings::{
    Mode, PREFIX, Promotion, SettingError, SettingErrors, SettingEvents, Settings,
};
use scaling_k8s::{history, resting, stage};

type Map = BTreeMap<String, String>;

const KEYS: [&str; 13] = [
    "mode",
    "promotion",
    "engine",
    "hard-min",
    "hard-max",
    "cooldown",
    "step-up",
    "step-down",
    "ceiling",
    "headroom",
    "start-up",
    "pod-capacity",
    "max-wait",
];

fn map(pairs: &[(&str, &str)]) -> Map {
    pairs.iter().map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned())).collect()
}

fn read(pairs: &[(&str, &str)]) -> Result<Option<Settings>, SettingErrors> {
    Settings::of(&Map::new(), &map(pairs))
}

/// Settings besides the mode.
fn full(key: &str, value: &str) -> Result<Settings, String> {
    read(&[("mode", "full"), (key, value)]).map(|settings| settings.unwrap()).map_err(|faults| faults.to_string())
}

#[test]
fn each_setting_is_read() {
    let settings = read(&[
        ("mode", "full"),
        ("promotion", "evidence"),
        ("engine", "predictive-v2"),
        ("hard-min", "0"),
        ("hard-max", "40"),
        ("cooldown", "1h30m"),
        ("step-up", "1.5"),
        ("step-down", "80%"),
        ("ceiling", "follow"),
        ("headroom", "12.5%"),
        ("start-up", "90s"),
        ("pod-capacity", "37.5"),
        ("max-wait", "250ms"),
    ]);
    let settings = settings.unwrap().unwrap();
    assert_eq!((settings.mode, settings.engine.as_deref()), (Mode::Full, Some("predictive-v2")));
    assert_eq!(settings.promotion, Promotion::Evidence);
    assert_eq!((settings.hard_min, settings.hard_max), (Some(0), Some(40)));
    assert_eq!((settings.step_up, settings.step_down, settings.headroom), (Some(1.5), Some(0.8), Some(0.125)));

    let limits = settings.limits(HardLimits::default()).unwrap();
    assert_eq!(limits, HardLimits::new(1, 40).unwrap(), "zero is not the host's");
    let cooldown = settings.cooldown(Cooldown::default());
    let pause = Duration::from_secs(5400);
    assert_eq!((cooldown.down, cooldown.down_foreseen, cooldown.down_idle), (pause, pause, pause));
    assert_eq!(settings.step(StepLimit::default()), StepLimit { up: 1.5, down: 0.8 });
    let policy = settings.policy(BoundsPolicy::default());
    assert_eq!((policy.ceiling, policy.headroom_share), (Ceiling::Follow, 0.125));
    let facts = settings.facts(WorkloadFacts::default());
    assert_eq!((facts.start_up, facts.pod_capacity), (Duration::from_secs(90), Some(37.5)));
    assert_eq!(facts.objective.wait, Duration::from_millis(250));
}

#[test]
fn without_settings_the_host_decides() {
    let settings = read(&[("mode", "observe")]).unwrap().unwrap();
    assert_eq!(settings, Settings::default());
    let host = HardLimits::new(3, 30).unwrap();
    assert_eq!(settings.limits(host).unwrap(), host);
    assert_eq!(settings.cooldown(Cooldown::default()), Cooldown::default());
    assert_eq!(settings.step(StepLimit::default()), StepLimit::default());
    assert_eq!(settings.policy(BoundsPolicy::default()), BoundsPolicy::default());
    assert_eq!(settings.facts(WorkloadFacts::default()), WorkloadFacts::default());
}

#[test]
fn an_hpa_without_anything_of_ours_is_no_target_and_neither_is_one_that_we_only_wrote_to() {
    assert_eq!(read(&[]).unwrap(), None);
    let ours: Map = [resting::ANNOTATION, history::ANNOTATION, stage::ANNOTATION]
        .map(|key| (key.to_owned(), "{}".to_owned()))
        .into();
    assert_eq!(Settings::of(&Map::new(), &ours).unwrap(), None);
    let others = Map::from([("kube-scaling".to_owned(), "full".to_owned()), ("x/mode".to_owned(), "full".to_owned())]);
    assert_eq!(Settings::of(&others, &others).unwrap(), None);
}

#[test]
fn the_mode_may_be_a_label_and_nothing_else_may() {
    let settings = Settings::of(&map(&[("mode", "floors")]), &map(&[("hard-max", "9")])).unwrap().unwrap();
    assert_eq!((settings.mode, settings.hard_max), (Mode::Floors, Some(9)));
    assert!(Settings::of(&map(&[("mode", "full")]), &map(&[("mode", "full")])).is_ok());
    let faults = Settings::of(&map(&[("mode", "full"), ("hard-max", "9")]), &map(&[("mode", "observe")])).unwrap_err();
    assert_eq!(
        faults.to_string(),
        "kube-scaling/mode is \"full\" as a label and \"observe\" as an annotation; one of them must go; \
         kube-scaling/hard-max is a label; it must be an annotation"
    );
}

#[test]
fn a_value_is_exactly_what_it_may_be_or_a_fault() {
    for (key, value) in [
        ("mode", "Full"),
        ("mode", ""),
        ("mode", " full"),
        ("mode", "off"),
        ("engine", ""),
        ("engine", "Predictive"),
        ("engine", "a b"),
        ("engine", "../x"),
        ("engine", "naïve"),
        ("hard-min", "-1"),
        ("hard-min", "+1"),
        ("hard-min", "1.0"),
        ("hard-min", "010"),
        ("hard-min", "1e3"),
        ("hard-min", ""),
        ("hard-max", "0"),
        ("hard-max", "2147483648"),
        ("hard-max", "99999999999999999999"),
        ("hard-max", "١٢"),
        ("cooldown", "300"),
        ("cooldown", "5 m"),
        ("cooldown", "-5m"),
        ("cooldown", "1.5h"),
        ("cooldown", "25h"),
        ("cooldown", "5m5m"),
        ("cooldown", "5s5m"),
        ("cooldown", "5d"),
        ("cooldown", "m"),
        ("cooldown", "∞"),
        ("cooldown", "999999999999999999h"),
        ("step-up", "0.5"),
        ("step-up", "11"),
        ("step-up", "NaN"),
        ("step-up", "inf"),
        ("step-up", "1e0"),
        ("step-up", "2."),
        ("step-down", "0.5"),
        ("step-down", "101%"),
        ("step-down", "-1%"),
        ("step-down", "%"),
        ("step-down", "NaN%"),
        ("promotion", "Evidence"),
        ("promotion", "me"),
        ("ceiling", "Rest"),
        ("headroom", "25"),
        ("headroom", "25 %"),
        ("start-up", "0x10s"),
        ("pod-capacity", "0"),
        ("pod-capacity", "-3"),
        ("pod-capacity", "1e308"),
        ("max-wait", "1us"),
    ] {
        let pairs = if key == "mode" { vec![(key, value)] } else { vec![("mode", "full"), (key, value)] };
        let faults = read(&pairs).unwrap_err();
        let [SettingError::Value { key: named, value: shown, must }] = faults.iter().collect::<Vec<_>>()[..] else {
            panic!("{key}={value}: {faults}")
        };
        assert_eq!((*named, shown.as_str()), (key, value));
        assert!(faults.to_string().ends_with(&format!("it must be {must}")), "{faults}");
    }
    assert_eq!(
        full("cooldown", "5 m").unwrap_err(),
        "kube-scaling/cooldown is \"5 m\"; it must be a duration of at most 24h, such as 500ms, 90s, 10m or 1h30m"
    );
}

#[test]
fn edges_are_allowed() {
    assert_eq!(full("cooldown", "24h").unwrap().cooldown, Some(Duration::from_secs(86_400)));
    assert_eq!(full("cooldown", "0s").unwrap().cooldown, Some(Duration::ZERO));
    assert_eq!(full("cooldown", "1h1m1s1ms").unwrap().cooldown, Some(Duration::from_millis(3_661_001)));
    assert_eq!(full("hard-max", "2147483647").unwrap().hard_max, Some(2_147_483_647));
    assert_eq!(full("step-down", "0%").unwrap().step_down, Some(0.0));
    assert_eq!(full("step-down", "100%").unwrap().step_down, Some(1.0));
    assert_eq!(full("engine", &"x".repeat(63)).unwrap().engine.map(|name| name.len()), Some(63));
    assert!(full("engine", &"x".repeat(64)).is_err());
}

#[test]
fn all_faults_are_told_together() {
    let faults =
        read(&[("mod", "full"), ("hard_max", "9"), ("hard-min", "x"), ("frobnicate", "1"), ("Cooldown", "5m")]);
    assert_eq!(
        faults.unwrap_err().to_string(),
        "kube-scaling/mode is missing; it must be \"observe\", \"floors\" or \"full\"; \
         kube-scaling/hard-min is \"x\"; it must be a whole number from 0 to 2147483647; \
         kube-scaling/Cooldown is not known; did you mean kube-scaling/cooldown?; \
         kube-scaling/frobnicate is not known; \
         kube-scaling/hard_max is not known; did you mean kube-scaling/hard-max?; \
         kube-scaling/mod is not known; did you mean kube-scaling/mode?"
    );
    let faults = read(&[("mode", "full"), ("hard-min", "9"), ("hard-max", "4")]).unwrap_err();
    assert_eq!(faults.to_string(), "kube-scaling/hard-min is 9; it must be at most kube-scaling/hard-max, which is 4");
}

#[test]
fn what_is_told_is_bounded() {
    let mut annotations: Map =
        (0..500).map(|n| (format!("{PREFIX}{n}-{}", "é".repeat(3000)), "x".to_owned())).collect();
    annotations.insert(format!("{PREFIX}mode"), "\u{1b}[31m".repeat(30_000));
    let faults = Settings::of(&Map::new(), &annotations).unwrap_err();
    assert_eq!(faults.iter().count(), 17);
    assert!(matches!(faults.iter().last(), Some(SettingError::More { faults: 485 })), "{faults}");
    assert!(faults.to_string().len() < 4000 && !faults.to_string().contains('\u{1b}'));
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "observe",
            "floors",
            "full",
            "0",
            "1",
            "40",
            "2147483647",
            "2147483648",
            "90s",
            "10m",
            "1h30m",
            "24h",
            "24h1ms",
            "1.5",
            "10",
            "80%",
            "1000%",
            "rest",
            "follow",
            "NaN",
            "inf",
            "-1",
            "",
        ])
        .prop_map(str::to_owned),
        "[0-9hms.%+-]{0,12}",
        ".{0,20}",
    ]
}

fn any_annotations() -> impl Strategy<Value = Map> {
    let known = prop::sample::select(KEYS.to_vec()).prop_map(|key| format!("{PREFIX}{key}"));
    let key = prop_oneof![8 => known, 1 => ".{0,20}", 1 => "[a-z-]{0,12}".prop_map(|key| format!("{PREFIX}{key}"))];
    prop::collection::btree_map(key, any_value(), 0..8)
}

proptest! {
    #[test]
    fn law_1_what_is_read_stays_within_the_host(
        annotations in any_annotations(), labels in any_annotations(), low in 0_u32..50, more in 1_u32..500,
    ) {
        let Ok(Some(settings)) = Settings::of(&labels, &annotations) else { return Ok(()) };
        let host = HardLimits::new(low, low + more).unwrap();
        if let Ok(limits) = settings.limits(host) {
            prop_assert!(host.bounds().contains(limits.bounds()));
            prop_assert!(settings.hard_max.is_none_or(|max| limits.bounds().max() <= max));
            prop_assert!(settings.hard_min.is_none_or(|min| limits.bounds().min() >= min));
        }
        let facts = settings.facts(WorkloadFacts::default());
        prop_assert!(facts.objective.wait <= facts.objective.patience);
        prop_assert!(facts.pod_capacity.is_none_or(|capacity| capacity.is_finite() && capacity > 0.0));
        let step = settings.step(StepLimit::default());
        prop_assert!(step.up >= 1.0 && (0.0..=1.0).contains(&step.down));
    }

    #[test]
    fn a_fault_more_never_makes_a_target_of_more_than_observe(
        annotations in any_annotations(), key in "[a-z]{1,9}zzz", value in any_value(),
    ) {
        let mut worse = annotations.clone();
        worse.insert(format!("{PREFIX}{key}"), value);
        prop_assert!(Settings::of(&Map::new(), &worse).is_err());
        if let Ok(Some(settings)) = Settings::of(&Map::new(), &annotations) {
            let mode = annotations.get("kube-scaling/mode").unwrap();
            prop_assert_eq!(&settings.mode.to_string(), mode, "the mode is never a guess");
        }
    }

    #[test]
    fn durations_are_read_as_they_are_written(hours in 0_u64..23, minutes in 0_u64..60, seconds in 0_u64..60, millis in 0_u64..1000) {
        let text = format!("{hours}h{minutes}m{seconds}s{millis}ms");
        let read = full("cooldown", &text).unwrap().cooldown.unwrap();
        prop_assert_eq!(read, Duration::from_millis(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis));
    }
}

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
}

fn faults() -> SettingErrors {
    read(&[("mode", "fulll")]).unwrap_err()
}

fn events() -> (SettingEvents, Target) {
    (SettingEvents::new("kube-scaling", Duration::from_secs(600)), Target::deployment("shop", "web"))
}

#[test]
fn a_fault_is_told_once_and_its_end_as_well() {
    let (mut events, web) = events();
    let (bad, good) = (faults(), Settings::default());
    assert_eq!(events.take(&web, Some("u-1"), Ok(&good), at(0)), None, "there was nothing to say");
    let first = events.take(&web, Some("u-1"), Err(&bad), at(1)).unwrap();
    assert_eq!((&first["type"], &first["reason"]), (&"Warning".into(), &"SettingsRefused".into()));
    assert_eq!(
        first["message"],
        "observed only: kube-scaling/mode is \"fulll\"; it must be \"observe\", \"floors\" or \"full\""
    );
    assert_eq!(first["involvedObject"]["uid"], "u-1");
    for minute in 2..100 {
        assert_eq!(events.take(&web, Some("u-1"), Err(&bad), at(minute)), None, "the same again");
    }
    let last = events.take(&web, Some("u-1"), Ok(&good), at(100)).unwrap();
    assert_eq!(
        (&last["type"], &last["reason"], &last["count"]),
        (&"Normal".into(), &"SettingsAccepted".into(), &2.into())
    );
    assert_eq!(
        (&last["metadata"], &last["firstTimestamp"]),
        (&first["metadata"], &first["firstTimestamp"]),
        "one series"
    );
}

#[test]
fn what_changes_often_is_told_now_and_then_and_only_if_it_is_still_true() {
    let (mut events, web) = events();
    let other = read(&[("mode", "full"), ("hard-min", "x")]).unwrap_err();
    assert!(events.take(&web, None, Err(&faults()), at(0)).is_some());
    assert_eq!(events.take(&web, None, Err(&other), at(1)), None);
    assert_eq!(events.due(at(9), 100), Vec::<serde_json::Value>::new());
    let due = events.due(at(10), 100);
    assert!(due[0]["message"].as_str().unwrap().contains("hard-min"), "{due:?}");
    // There and back.
    assert_eq!(events.take(&web, None, Ok(&Settings::default()), at(11)), None);
    assert_eq!(events.take(&web, None, Err(&other), at(12)), None);
    assert!(events.due(at(60), 100).is_empty());
    // A clock that was set back holds nothing up.
    assert!(events.take(&web, None, Err(&faults()), at(-60)).is_some());
}

#[test]
fn more_answers_than_can_be_written_at_once_come_one_after_the_other() {
    let (mut events, _) = events();
    for nth in 0..1000 {
        events.note(&Target::deployment("shop", format!("web-{nth}")), None, Err(&faults()));
    }
    let rounds: Vec<_> = (0..5).map(|round| events.due(at(round), 256)).collect();
    assert_eq!(rounds.iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 256, 232, 0]);
    let told: std::collections::BTreeSet<_> =
        rounds.iter().flatten().map(|event| event["involvedObject"]["name"].to_string()).collect();
    assert_eq!(told.len(), 1000);
}

#[test]
fn another_object_of_the_same_name_is_told_anew() {
    let (mut events, web) = events();
    assert!(events.take(&web, Some("u-1"), Err(&faults()), at(0)).is_some());
    assert!(events.take(&web, Some("u-2"), Err(&faults()), at(1)).is_some());
    events.forget(&web);
    assert!(events.take(&web, Some("u-2"), Err(&faults()), at(2)).is_some());
}
