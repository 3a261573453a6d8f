//! The laws of the HPA's algorithm, each as a property: of usual input what must hold, of hostile input that it is answered.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use scaling_core::hpa::limits::{self, Events};
use scaling_core::hpa::{
    Behavior, Calculator, ConditionStatus, Container, ControllerConfig, CrossVersionObjectReference, Hpa, HpaBehavior,
    HpaController, HpaMemory, HpaSpec, Metric, MetricIdentifier, MetricKind, MetricSamples, MetricSource, MetricSpec,
    MetricTarget, MissingFallback, Pod, PodPhase, PodUsage, PodValue, Policy, PolicyKind, Quantity, Ready,
    Recommendation, Recommendations, Release, Reported, Resources, Rules, SampleTime, Scale, ScaleEvent, ScaleEvents,
    ScalingPolicy, ScalingRules, SelectPolicy, Selector, TargetFields, TargetKind, ToleranceMode, Tolerances,
    per_replica_usage,
};

/// The same cases every time, unless the environment asks for others.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(0x5ca1_ab1e);
    }
    config
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

// ---- arbitrary input, usual or hostile

fn count(hostile: bool) -> BoxedStrategy<i32> {
    if hostile {
        prop_oneof![0..20, any::<i32>(), select(vec![i32::MIN, -1, 0, 1, i32::MAX - 1, i32::MAX])].boxed()
    } else {
        (0..40).boxed()
    }
}

fn amount(hostile: bool) -> BoxedStrategy<i64> {
    if hostile {
        prop_oneof![0..5000_i64, any::<i64>(), select(vec![i64::MIN, -1, 0, 1, i64::MAX - 1, i64::MAX])].boxed()
    } else {
        prop_oneof![0..3000_i64, select(vec![0, 45, 50, 55, 100, 450, 500, 550, 1000])].boxed()
    }
}

fn instant(hostile: bool) -> BoxedStrategy<DateTime<Utc>> {
    let ago = prop_oneof![0..700_i64, select(vec![0, 15, 30, 60, 300, 301])];
    let usual = ago.prop_map(|seconds| now() - TimeDelta::seconds(seconds));
    if hostile {
        prop_oneof![usual, select(vec![DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC, now()])].boxed()
    } else {
        usual.boxed()
    }
}

fn resources(hostile: bool) -> impl Strategy<Value = Resources> {
    proptest::collection::btree_map(select(vec!["cpu", "memory", "hugepages-2Mi"]), amount(hostile), 0..4)
        .prop_map(Resources::from_iter)
}

fn containers(hostile: bool) -> impl Strategy<Value = Vec<Container>> {
    let one = (select(vec!["a", "b"]), resources(hostile), any::<bool>())
        .prop_map(|(name, requests, restart_always)| Container { name: name.into(), requests, restart_always });
    proptest::collection::vec(one, 0..3)
}

fn name() -> impl Strategy<Value = String> {
    (0..6_u8).prop_map(|index| format!("pod-{index}"))
}

fn pod(hostile: bool) -> impl Strategy<Value = Pod> {
    let phase = select(vec![PodPhase::Running, PodPhase::Pending, PodPhase::Succeeded, PodPhase::Failed]);
    let status = select(vec![ConditionStatus::True, ConditionStatus::False, ConditionStatus::Unknown]);
    let ready = (status, proptest::option::of(instant(hostile))).prop_map(|(status, since)| Ready { status, since });
    let life = (name(), phase, any::<bool>(), proptest::option::of(ready), proptest::option::of(instant(hostile)));
    let own = proptest::option::of(resources(hostile));
    let needs = (containers(hostile), containers(hostile), own, resources(hostile));
    (life, needs).prop_map(
        |((name, phase, deleting, ready, started), (containers, init_containers, requests, overhead))| Pod {
            name,
            phase,
            deleting,
            ready,
            started,
            containers,
            init_containers,
            requests,
            overhead,
        },
    )
}

/// A pod at work, as most are.
fn working(name: String) -> Pod {
    let container = Container { name: "a".into(), requests: [("cpu".to_owned(), 100)].into(), restart_always: false };
    let long_ago = now() - TimeDelta::hours(2);
    Pod {
        name,
        ready: Some(Ready { status: ConditionStatus::True, since: Some(long_ago) }),
        started: Some(long_ago),
        containers: vec![container],
        ..Pod::default()
    }
}

/// Pods of different names; hostile ones may share theirs.
fn pods(hostile: bool) -> BoxedStrategy<Vec<Pod>> {
    let odd = proptest::collection::vec(pod(hostile), 0..7);
    if hostile {
        return odd.boxed();
    }
    let named = |(pods, odd): (Vec<Pod>, bool)| {
        let rename = |(index, pod): (usize, Pod)| {
            let name = format!("pod-{index}");
            if odd { Pod { name, ..pod } } else { working(name) }
        };
        pods.into_iter().enumerate().map(rename).collect::<Vec<_>>()
    };
    (odd, any::<bool>()).prop_map(named).boxed()
}

fn samples(hostile: bool) -> impl Strategy<Value = MetricSamples> {
    let time = move || {
        let window = if hostile { any::<i64>().boxed() } else { select(vec![0, 15, 60]).boxed() };
        (instant(hostile), window).prop_map(|(at, window_s)| SampleTime { at, window_s })
    };
    let used = (select(vec!["a".to_owned(), "b".to_owned()]), resources(hostile));
    let usage = (name(), time(), proptest::collection::vec(used, 0..3)).prop_map(|(pod, time, containers)| PodUsage {
        pod,
        time,
        containers,
    });
    let value =
        (name(), time(), amount(hostile)).prop_map(|(pod, time, value_milli)| PodValue { pod, time, value_milli });
    prop_oneof![
        3 => proptest::collection::vec(usage, 0..7).prop_map(MetricSamples::PodUsage),
        2 => proptest::collection::vec(value, 0..7).prop_map(MetricSamples::PodValues),
        2 => amount(hostile).prop_map(MetricSamples::Object),
        2 => proptest::collection::vec(amount(hostile), 0..4).prop_map(MetricSamples::External),
        1 => Just(MetricSamples::Failed),
    ]
}

fn metric(hostile: bool) -> impl Strategy<Value = Metric> {
    let of = |name: &str| name.to_owned();
    let source = select(vec![
        MetricKind::Resource { resource: of("cpu") },
        MetricKind::Resource { resource: of("memory") },
        MetricKind::ContainerResource { resource: of("cpu"), container: of("a") },
        MetricKind::Pods { name: of("rps") },
        MetricKind::Object { name: of("rps") },
        MetricKind::External { name: of("queue") },
        MetricKind::Unknown,
    ]);
    let kind = select(vec![TargetKind::Utilization, TargetKind::Value, TargetKind::AverageValue]);
    let percent = if hostile { any::<i32>().boxed() } else { (1..200).boxed() };
    let target = if hostile { amount(true) } else { (1..2000_i64).boxed() };
    let targets =
        (kind, proptest::option::of(percent), proptest::option::of(target.clone()), proptest::option::of(target));
    (source, targets).prop_map(|(source, (kind, average_utilization, average_value_milli, value_milli))| Metric {
        source,
        target: TargetFields { kind, average_utilization, average_value_milli, value_milli },
    })
}

fn tolerance(hostile: bool) -> BoxedStrategy<f64> {
    let usual = select(vec![0.0, 0.05, 0.1, 0.5, 1.5]);
    let odd = select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300]);
    if hostile { prop_oneof![usual, odd].boxed() } else { usual.boxed() }
}

fn rules(hostile: bool) -> impl Strategy<Value = Rules> {
    let kind = select(vec![PolicyKind::Pods, PolicyKind::Percent]);
    let number = |usual: std::ops::Range<i32>| if hostile { count(true) } else { usual.boxed() };
    let policy =
        (kind, number(1..200), number(1..120)).prop_map(|(kind, value, period_s)| Policy { kind, value, period_s });
    let choice = select(vec![SelectPolicy::Max, SelectPolicy::Min, SelectPolicy::Disabled]);
    let policies = proptest::collection::vec(policy, usize::from(!hostile)..4);
    let window = proptest::option::of(number(0..400));
    (window, choice, policies, proptest::option::of(tolerance(hostile)))
        .prop_map(|(window_s, select, policies, tolerance)| Rules { window_s, select, policies, tolerance })
}

fn behavior(hostile: bool) -> impl Strategy<Value = Behavior> {
    (rules(hostile), rules(hostile)).prop_map(|(scale_up, scale_down)| Behavior { scale_up, scale_down })
}

/// An autoscaler; a usual one has a max that is not below its min.
fn hpa(hostile: bool) -> impl Strategy<Value = Hpa> {
    let bounds = (count(hostile), count(hostile))
        .prop_map(move |(min, room)| if hostile { (min, room) } else { (min, (min + room).max(1)) });
    let metrics = proptest::collection::vec(metric(hostile), usize::from(!hostile)..4);
    (bounds, metrics, proptest::option::of(behavior(hostile))).prop_map(
        |((min_replicas, max_replicas), metrics, behavior)| Hpa { min_replicas, max_replicas, metrics, behavior },
    )
}

fn controller(hostile: bool) -> impl Strategy<Value = HpaController> {
    let seconds = || {
        let usual = select(vec![0, 30, 60, 300]).prop_map(Duration::from_secs);
        if hostile { prop_oneof![usual, Just(Duration::MAX)].boxed() } else { usual.boxed() }
    };
    (tolerance(hostile), seconds(), seconds(), seconds(), any::<[bool; 8]>()).prop_map(
        |(tolerance, downscale_stabilization, cpu_initialization_period, initial_readiness_delay, switches)| {
            HpaController::new(ControllerConfig {
                tolerance,
                downscale_stabilization,
                cpu_initialization_period,
                initial_readiness_delay,
                release: Release {
                    configurable_tolerance: switches[0],
                    scale_to_zero: switches[1],
                    scale_from_zero_requires_condition: switches[2],
                    ignore_succeeded_pods: switches[3],
                    pod_level_resources: switches[4],
                    missing_container_fails: switches[5],
                    tolerance_mode: if switches[6] { ToleranceMode::Interval } else { ToleranceMode::Distance },
                    missing_fallback: if switches[7] { MissingFallback::Target } else { MissingFallback::Request },
                },
                ..ControllerConfig::default()
            })
        },
    )
}

fn recommendations(hostile: bool) -> impl Strategy<Value = Recommendations> {
    let one = (count(hostile), instant(hostile)).prop_map(|(replicas, at)| Recommendation { replicas, at });
    proptest::collection::vec(one, 0..6).prop_map(Recommendations::new)
}

fn events(hostile: bool) -> impl Strategy<Value = ScaleEvents> {
    let one = (count(hostile), instant(hostile), any::<bool>()).prop_map(|(change, at, outdated)| ScaleEvent {
        change,
        at,
        outdated,
    });
    proptest::collection::vec(one, 0..6).prop_map(ScaleEvents::new)
}

fn memory(hostile: bool) -> impl Strategy<Value = HpaMemory> {
    (proptest::option::of(recommendations(hostile)), events(hostile), events(hostile)).prop_map(
        |(recommendations, scale_up_events, scale_down_events)| HpaMemory {
            recommendations,
            scale_up_events,
            scale_down_events,
            ..HpaMemory::default()
        },
    )
}

fn reported(hostile: bool) -> impl Strategy<Value = Reported> {
    let scale = (count(hostile), count(hostile))
        .prop_map(|(spec_replicas, status_replicas)| Scale { spec_replicas, status_replicas });
    let selector = prop_oneof![
        9 => Just(Selector::Usable),
        1 => select(vec![Selector::Invalid, Selector::Ambiguous]),
    ];
    let answers = proptest::collection::vec(samples(hostile), 0..4);
    (proptest::option::weighted(0.9, scale), selector, pods(hostile), answers, proptest::bool::weighted(0.9))
        .prop_map(|(scale, selector, pods, samples, writable)| Reported { scale, selector, pods, samples, writable })
}

/// Everything that one sync looks at.
fn world(hostile: bool) -> impl Strategy<Value = (HpaController, Hpa, HpaMemory, Reported)> {
    (controller(hostile), hpa(hostile), memory(hostile), reported(hostile))
}

fn quantity() -> impl Strategy<Value = Quantity> {
    select(vec!["0", "1", "-1", "500m", "1n", "2Gi", "0.118"]).prop_map(|text| text.parse().unwrap())
}

fn scaling_rules() -> impl Strategy<Value = ScalingRules> {
    let policy = (select(vec!["Pods", "Percent", ""]), -1..5, select(vec![0, 1, 60, 1800, 1801]))
        .prop_map(|(kind, value, period_seconds)| ScalingPolicy { kind: kind.into(), value, period_seconds });
    let policies = proptest::option::of(proptest::collection::vec(policy, 0..3));
    let choice = proptest::option::of(select(vec!["Max", "Min", "Disabled", "Most"]).prop_map(str::to_owned));
    (proptest::option::of(select(vec![-1, 0, 3600, 3601])), choice, policies, proptest::option::of(quantity()))
        .prop_map(|(stabilization_window_seconds, select_policy, policies, tolerance)| ScalingRules {
            stabilization_window_seconds,
            select_policy,
            policies,
            tolerance,
        })
}

fn metric_spec() -> impl Strategy<Value = MetricSpec> {
    let target = (
        select(vec!["Utilization", "Value", "AverageValue", ""]),
        proptest::option::of(-1..200),
        proptest::option::of(quantity()),
        proptest::option::of(quantity()),
    )
        .prop_map(|(kind, average_utilization, average_value, value)| MetricTarget {
            kind: kind.into(),
            average_utilization,
            average_value,
            value,
        });
    let odd = (select(vec!["Resource", "ContainerResource", "Pods", "Object", "External", ""]), target).prop_map(
        |(kind, target)| {
            let metric = Some(MetricIdentifier { name: "rps".into(), selector: None });
            let described_object = Some(CrossVersionObjectReference::deployment("web"));
            let plain = MetricSource { target, ..MetricSource::default() };
            let mut spec = MetricSpec { kind: kind.into(), ..MetricSpec::default() };
            match kind {
                "Resource" => spec.resource = Some(MetricSource { name: Some("cpu".into()), ..plain }),
                "Pods" => spec.pods = Some(MetricSource { metric, ..plain }),
                "Object" => spec.object = Some(MetricSource { metric, described_object, ..plain }),
                "External" => spec.external = Some(MetricSource { metric, ..plain }),
                "ContainerResource" => {
                    let (name, container) = (Some("cpu".into()), Some("app".into()));
                    spec.container_resource = Some(MetricSource { name, container, ..plain });
                }
                _ => {}
            }
            spec
        },
    );
    prop_oneof![
        odd,
        Just(MetricSpec::utilization("cpu", 50)),
        Just(MetricSpec::external("queue", Quantity::from_milli(1)))
    ]
}

fn spec() -> impl Strategy<Value = HpaSpec> {
    let reference = (proptest::option::of(select(vec!["apps/v1", "v1", "a/b/c"])), select(vec!["web", "", "a/b"]))
        .prop_map(|(version, name)| CrossVersionObjectReference {
            api_version: version.map(str::to_owned),
            ..CrossVersionObjectReference::deployment(name)
        });
    let reference = prop_oneof![3 => Just(CrossVersionObjectReference::deployment("web")), 1 => reference];
    let metrics = proptest::option::of(proptest::collection::vec(metric_spec(), 0..3));
    let rules = || proptest::option::of(scaling_rules());
    let behavior = proptest::option::of(
        (rules(), rules()).prop_map(|(scale_up, scale_down)| HpaBehavior { scale_up, scale_down }),
    );
    (reference, proptest::option::of(-1..6), -1..9, metrics, behavior).prop_map(
        |(scale_target_ref, min_replicas, max_replicas, metrics, behavior)| HpaSpec {
            scale_target_ref,
            min_replicas,
            max_replicas,
            metrics,
            behavior,
        },
    )
}

// ---- laws

proptest! {
    #![proptest_config(config())]

    #[test]
    fn hostile_input_is_answered_and_always_alike((controller, hpa, memory, seen) in world(true)) {
        let (mut one, mut other) = (memory.clone(), memory);
        let first = controller.sync(&hpa, &mut one, &mut seen.clone(), now());
        prop_assert_eq!(&first, &controller.sync(&hpa, &mut other, &mut seen.clone(), now()));
        prop_assert_eq!(&one, &other);
        // Time may jump both ways.
        for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC, now()] {
            controller.sync(&hpa, &mut one, &mut seen.clone(), at);
        }
    }

    #[test]
    fn hostile_limits_are_answered(
        current in count(true), desired in count(true), min in count(true), max in count(true), behavior in behavior(true),
        mut up in events(true), down in events(true), mut recommendations in recommendations(true), total in amount(true),
    ) {
        let events = Events { up: &up, down: &down };
        limits::legacy_limit(current, desired, min, max);
        limits::behavior_limit(current, desired, (min, max), &behavior, events, now());
        up.remember(desired, &behavior.scale_up, now());
        recommendations.stabilize(desired, TimeDelta::MAX, now());
        recommendations.stabilize_with_behavior(current, desired, TimeDelta::MIN, TimeDelta::MAX, now());
        per_replica_usage(total, current);
    }

    #[test]
    fn a_size_that_is_written_is_within_min_and_max((controller, hpa, mut memory, mut seen) in world(false)) {
        let sync = controller.sync(&hpa, &mut memory, &mut seen, now());
        if sync.rescaled {
            prop_assert!((hpa.min_replicas..=hpa.max_replicas).contains(&sync.desired), "{:?} of {:?}", sync, hpa);
            prop_assert_ne!(sync.desired, sync.current);
        } else {
            prop_assert_eq!(sync.desired, sync.current);
        }
    }

    #[test]
    fn a_metric_that_fails_never_lowers_the_size((controller, hpa, mut memory, mut seen) in world(false), which in 0..3_usize) {
        if let Some(answer) = seen.samples.get_mut(which) {
            *answer = MetricSamples::Failed;
        }
        let sync = controller.sync(&hpa, &mut memory, &mut seen, now());
        if memory.metrics.iter().any(Result::is_err) {
            prop_assert!(sync.desired >= sync.current, "{:?}", sync);
            prop_assert!(sync.failed);
        }
    }

    #[test]
    fn a_sync_that_writes_nothing_can_be_repeated((controller, hpa, mut memory, seen) in world(false)) {
        let first = controller.sync(&hpa, &mut memory, &mut seen.clone(), now());
        if !first.rescaled {
            let conditions = memory.conditions;
            prop_assert_eq!(controller.sync(&hpa, &mut memory, &mut seen.clone(), now()), first);
            prop_assert_eq!(memory.conditions, conditions);
        }
    }

    #[test]
    fn only_a_wish_is_remembered_and_one_at_a_time((controller, hpa, mut memory, mut seen) in world(false)) {
        let seed = seen.scale.map(|scale| vec![Recommendation { replicas: scale.spec_replicas, at: now() }]);
        let before = memory.recommendations.clone().or(seed.map(Recommendations::new));
        let sync = controller.sync(&hpa, &mut memory, &mut seen, now());
        match (sync.raw_desired, memory.recommendations) {
            (None, after) => prop_assert_eq!(after, before),
            (Some(raw), after) => {
                let (after, before) = (after.unwrap(), before.unwrap());
                let wish = Recommendation { replicas: raw, at: now() };
                prop_assert!(after.as_slice().contains(&wish));
                let grown = after.as_slice().len() - before.as_slice().len();
                prop_assert!(grown <= 1);
            }
        }
    }

    #[test]
    fn a_clock_that_was_ahead_is_forgotten_after_one_window(
        mut recommendations in recommendations(true), desired in count(false), window in 0..400_i64,
    ) {
        let mut memory = HpaMemory { recommendations: Some(recommendations.clone()), ..HpaMemory::default() };
        memory.no_later_than(now());
        let settled = memory.clone();
        memory.no_later_than(now());
        prop_assert_eq!(&memory, &settled, "twice equals once");
        recommendations = memory.recommendations.unwrap();
        prop_assert!(recommendations.as_slice().iter().all(|one| one.at <= now()));
        let later = now() + TimeDelta::seconds(window + 1);
        prop_assert_eq!(recommendations.stabilize(desired, TimeDelta::seconds(window), later), desired);
    }

    #[test]
    fn what_is_stabilized_lies_between_the_size_and_the_wish(
        mut recommendations in recommendations(false), current in count(false), desired in count(false), up in 0..400_i64, down in 0..400_i64,
    ) {
        let seconds = TimeDelta::seconds;
        let stable = recommendations.stabilize_with_behavior(current, desired, seconds(up), seconds(down), now());
        prop_assert!((current.min(desired)..=current.max(desired)).contains(&stable));
    }

    #[test]
    fn without_behavior_stabilizing_only_raises(mut recommendations in recommendations(false), desired in count(false), window in 0..400_i64) {
        prop_assert!(recommendations.stabilize(desired, TimeDelta::seconds(window), now()) >= desired);
    }

    #[test]
    fn a_limit_never_crosses_the_size(
        (min, below, above) in (0..9, 0..9, 0..9), desired in count(false), behavior in behavior(false), up in events(false), down in events(false),
    ) {
        let (current, max) = (min + below, min + below + above);
        let events = Events { up: &up, down: &down };
        let limited = limits::behavior_limit(current, desired, (min, max), &behavior, events, now()).replicas;
        prop_assert!((current.min(desired)..=current.max(desired)).contains(&limited));
        prop_assert!((min..=max).contains(&limited));
        let rules = if desired > current { &behavior.scale_up } else { &behavior.scale_down };
        if rules.select == SelectPolicy::Disabled {
            prop_assert_eq!(limited, current);
        }
    }

    #[test]
    fn without_behavior_a_size_is_at_most_doubled((min, below, above) in (0..9, 0..9, 0..40), desired in count(false)) {
        let (current, max) = (min + below, min + below + above);
        let limited = limits::legacy_limit(current, desired, min, max).replicas;
        prop_assert!(limited <= max.min(4.max(2 * current)));
        prop_assert!(limited >= min.min(4.max(2 * current)));
    }

    #[test]
    fn the_order_of_pods_and_of_samples_does_not_matter(
        controller in controller(false), metric in metric(false), pods in pods(false), samples in samples(false), replicas in count(false),
    ) {
        let tolerances = controller.tolerances(None);
        let scale = Scale { spec_replicas: replicas, status_replicas: replicas };
        let calculator = Calculator { config: &controller.config, tolerances, scale, now: now() };
        let mut turned = (pods.clone(), samples.clone());
        turned.0.reverse();
        match &mut turned.1 {
            // Of two samples of one pod the later one counts.
            MetricSamples::PodUsage(usage) => usage.sort_by(|a, b| b.pod.cmp(&a.pod)),
            MetricSamples::PodValues(values) => values.sort_by(|a, b| b.pod.cmp(&a.pod)),
            MetricSamples::External(series) => series.reverse(),
            MetricSamples::Object(_) | MetricSamples::Failed => {}
        }
        // Which of several faults is named is a matter of order.
        prop_assert_eq!(
            calculator.propose(&metric, &pods, &samples).ok(),
            calculator.propose(&metric, &turned.0, &turned.1).ok()
        );
    }

    #[test]
    fn pods_that_share_a_name_and_samples_of_no_pod_are_answered_alike_each_time(
        mut pods in proptest::collection::vec(pod(true), 1..4), listed in 0..4_usize,
        values in proptest::collection::vec(select(vec![i64::MIN, -1, 1, i64::MAX]), 2..7),
    ) {
        for pod in &mut pods {
            pod.name = "pod-0".into();
        }
        let time = SampleTime { at: now(), window_s: 60 };
        let of = |(index, value_milli)| PodValue { pod: format!("pod-{index}"), time, value_milli };
        let samples = MetricSamples::PodValues(values.into_iter().enumerate().map(of).collect());
        let target = TargetFields { average_value_milli: Some(100), ..TargetFields::default() };
        let metric = Metric { source: MetricKind::Pods { name: "rps".into() }, target };
        let (config, tolerances) = (ControllerConfig::default(), Tolerances { up: 0.1, down: 0.1 });
        let scale = Scale { spec_replicas: 3, status_replicas: 3 };
        let calculator = Calculator { config: &config, tolerances, scale, now: now() };
        let pods = &pods[listed.min(pods.len() - 1)..];
        prop_assert_eq!(calculator.propose(&metric, pods, &samples), calculator.propose(&metric, pods, &samples));
    }

    #[test]
    fn a_larger_total_never_asks_for_fewer_replicas(
        total in 0..100_000_i64, more in 0..100_000_i64, target in 1..2000_i64, replicas in count(false), up in 0.0..2.0, down in 0.0..1.0,
    ) {
        let config = ControllerConfig::default();
        let scale = Scale { spec_replicas: replicas, status_replicas: replicas };
        let calculator = Calculator { config: &config, tolerances: Tolerances { up, down }, scale, now: now() };
        let target = TargetFields { average_value_milli: Some(target), ..TargetFields::default() };
        let metric = Metric { source: MetricKind::External { name: "queue".into() }, target };
        let asked = |total| calculator.propose(&metric, &[], &MetricSamples::External(vec![total])).unwrap().replicas;
        prop_assert!(asked(total) <= asked(total + more));
    }

    #[test]
    fn defaults_filled_in_twice_are_filled_in_once(spec in spec()) {
        let once = spec.with_defaults();
        prop_assert_eq!(once.clone().with_defaults(), once);
    }

    #[test]
    fn defaults_change_nothing_that_validation_sees(spec in spec()) {
        prop_assert_eq!(spec.clone().with_defaults().validate(), spec.validate());
    }

    #[test]
    fn what_validates_is_taken_and_nothing_else(spec in spec()) {
        match (Hpa::try_from(&spec), spec.validate()) {
            (Ok(hpa), Ok(())) => {
                prop_assert!(!hpa.metrics.is_empty() && hpa.min_replicas <= hpa.max_replicas);
                prop_assert!(hpa.metrics.iter().all(|metric| metric.source != MetricKind::Unknown));
            }
            (Err(refused), Err(invalid)) => prop_assert_eq!(refused, invalid),
            (taken, valid) => prop_assert!(false, "{:?} and {:?}", taken, valid),
        }
    }
}
