//! The history: order, gaps, limits.
#![allow(clippy::unwrap_used, clippy::float_cmp, missing_docs)]

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use scaling_core::{
    Absence, HistoryError, MetricsHistory, Observation, Repairs, ScalingMetrics, SignalKind, SignalSet, Target,
};

fn target() -> Target {
    Target::deployment("shop", "checkout")
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn sample(seconds: i64, cpu: f64) -> ScalingMetrics {
    ScalingMetrics::new(at(seconds), 3).with(SignalKind::CpuUtilization, cpu)
}

fn cpus(history: &MetricsHistory) -> Vec<Option<f64>> {
    (0..history.len()).map(|index| history.value(SignalKind::CpuUtilization, index)).collect()
}

#[test]
fn unordered_samples_are_put_in_order_and_counted() {
    let (history, repairs) = MetricsHistory::from_unordered(vec![sample(20, 2.0), sample(0, 0.0), sample(10, 1.0)]);
    assert_eq!(cpus(&history), [Some(0.0), Some(1.0), Some(2.0)]);
    assert_eq!(repairs, Repairs { reordered: 1, duplicates: 0 });
    assert_eq!((history.oldest(), history.newest()), (Some(at(0)), Some(at(20))));
}

#[test]
fn samples_in_order_need_no_repair() {
    let (history, repairs) = MetricsHistory::from_unordered((0..5).map(|second| sample(second, 1.0)).collect());
    assert_eq!((history.len(), repairs), (5, Repairs::default()));
}

#[test]
fn of_two_samples_of_one_instant_the_later_in_the_list_wins() {
    let samples = vec![sample(0, 1.0), sample(10, 5.0), sample(0, 2.0), sample(0, 3.0)];
    let (history, repairs) = MetricsHistory::from_unordered(samples);
    assert_eq!(cpus(&history), [Some(3.0), Some(5.0)]);
    assert_eq!(repairs, Repairs { reordered: 1, duplicates: 2 });
}

#[test]
fn samples_of_one_millisecond_are_one_instant() {
    let mut later = sample(0, 2.0);
    later.timestamp += TimeDelta::microseconds(900);
    let (history, repairs) = MetricsHistory::from_unordered(vec![sample(0, 1.0), later]);
    assert_eq!((cpus(&history), repairs.duplicates), (vec![Some(2.0)], 1));
}

#[test]
fn nothing_is_a_history_too() {
    let (history, repairs) = MetricsHistory::from_unordered(Vec::new());
    assert!(history.is_empty() && history.newest().is_none() && history.oldest().is_none());
    assert_eq!((history.sample(0), history.iter().count(), repairs), (None, 0, Repairs::default()));
}

#[test]
fn push_takes_what_is_a_millisecond_later_and_nothing_else() {
    let mut history = MetricsHistory::new();
    history.push(&sample(10, 1.0)).unwrap();
    for earlier in [10, 9, -1_000_000] {
        let error = history.push(&sample(earlier, 9.0)).unwrap_err();
        assert_eq!(error, HistoryError::NotAfter { newest: at(10), got: at(earlier) });
    }
    let mut later = sample(10, 2.0);
    later.timestamp += TimeDelta::microseconds(999);
    assert!(history.push(&later).is_err(), "less than a millisecond later");
    later.timestamp = at(10) + TimeDelta::milliseconds(1);
    history.push(&later).unwrap();
    assert_eq!(cpus(&history), [Some(1.0), Some(2.0)], "what was refused left nothing behind");
}

#[test]
fn a_limit_keeps_at_least_the_newest_and_at_most_twice_as_many() {
    for limit in [1, 2, 3, 10] {
        let mut history = MetricsHistory::with_limit(limit);
        for second in 0..100_u32 {
            history.push(&sample(i64::from(second), f64::from(second) / 10.0)).unwrap();
            let pushed = usize::try_from(second).unwrap() + 1;
            assert!(history.len() >= limit.min(pushed) && history.len() <= 2 * limit, "{limit}: {}", history.len());
            // What is kept is the newest, without a hole, in every column.
            let newest: Vec<_> = history.iter().collect();
            let first = i64::from(second) + 1 - i64::try_from(history.len()).unwrap();
            for (nth, kept) in (first..).zip(newest) {
                assert_eq!(kept, sample(nth, f64::from(u32::try_from(nth).unwrap()) / 10.0), "limit {limit}");
            }
        }
    }
}

#[test]
fn no_limit_keeps_everything() {
    for mut history in [MetricsHistory::new(), MetricsHistory::with_limit(0)] {
        for second in 0..1000 {
            history.push(&sample(second, 1.0)).unwrap();
        }
        assert_eq!(history.len(), 1000);
    }
}

#[test]
fn an_absence_stays_absent_and_is_never_zero() {
    let mut gap = sample(10, f64::NAN).without(SignalKind::QueueDepth, Absence::Stale { age_s: 5 });
    gap.current_pod_count = None;
    let (history, _) = MetricsHistory::from_unordered(vec![sample(0, 0.0), gap]);
    assert_eq!(cpus(&history), [Some(0.0), None]);
    let back = history.sample(1).unwrap();
    assert_eq!(back.current_pod_count, None);
    for kind in SignalKind::ALL {
        assert_eq!(back.signal(kind).absence(), Some(Absence::NotMeasured), "{kind}");
    }
    assert_eq!((history.value(SignalKind::CpuUtilization, 2), history.sample(2)), (None, None));
}

#[test]
fn a_history_with_gaps_equals_itself() {
    let (history, _) = MetricsHistory::from_unordered(vec![sample(0, 40.0), sample(60, f64::NAN)]);
    assert_eq!(history, history.clone());
    let observation = Observation::new(target(), sample(120, 40.0)).with_history(history);
    assert_eq!(observation, observation.clone());
}

#[test]
fn the_largest_pod_count_comes_back() {
    for pods in [0, 1, 1_000_000, u32::MAX] {
        let (history, _) = MetricsHistory::from_unordered(vec![ScalingMetrics::new(at(0), pods)]);
        assert_eq!(history.sample(0).unwrap().current_pod_count, Some(pods));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn any_order_gives_strictly_increasing_time_and_loses_only_duplicates(seconds in prop::collection::vec(-500_i64..500, 0..200)) {
        let samples: Vec<_> = seconds.iter().map(|second| sample(*second, 50.0)).collect();
        let (history, repairs) = MetricsHistory::from_unordered(samples);
        let times: Vec<_> = history.iter().map(|sample| sample.timestamp).collect();
        prop_assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        let mut distinct = seconds.clone();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(times.len(), distinct.len());
        prop_assert_eq!(repairs.duplicates, seconds.len() - distinct.len());
        prop_assert_eq!(repairs.reordered == 0, seconds.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}

#[test]
fn a_history_remembers_every_signal_that_ever_came() {
    let kinds = |history: &MetricsHistory| history.signals().iter().collect::<Vec<_>>();
    let mut history = MetricsHistory::with_limit(2);
    assert_eq!(kinds(&history), []);
    history.push(&sample(0, 50.0)).unwrap();
    history.push(&ScalingMetrics::new(at(1), 3).without(SignalKind::QueueDepth, Absence::Stale { age_s: 90 })).unwrap();
    for second in 2..100 {
        history.push(&ScalingMetrics::new(at(second), 3).with(SignalKind::RequestRate, 1.0)).unwrap();
    }
    let all = [SignalKind::CpuUtilization, SignalKind::RequestRate, SignalKind::QueueDepth];
    assert_eq!(kinds(&history), all, "samples are dropped, what they carried is not forgotten");
    history.truncate_after(at(-1));
    assert_eq!((history.len(), kinds(&history)), (0, all.to_vec()));
}

#[test]
fn law_2_a_mean_over_no_pods_is_absent() {
    for kind in SignalKind::ALL {
        let mut metrics = ScalingMetrics::new(at(0), 0).with(kind, 0.0);
        let mean = matches!(kind, SignalKind::CpuUtilization | SignalKind::MemoryUtilization);
        assert_eq!(metrics.signal(kind).absence(), mean.then_some(Absence::NoPods), "{kind}");
        assert_eq!(
            Observation::new(target(), metrics.clone()).absences().count(),
            usize::from(mean),
            "the source delivers {kind}"
        );
        let text = serde_json::to_string(&metrics).unwrap();
        assert_eq!(serde_json::from_str::<ScalingMetrics>(&text).unwrap(), metrics, "{text}");
        let (history, _) = MetricsHistory::from_unordered(vec![metrics.clone()]);
        assert_eq!(history.value(kind, 0), (!mean).then_some(0.0), "{kind}");
        for other in [None, Some(1)] {
            metrics.current_pod_count = other;
            assert_eq!(metrics.value(kind), Some(0.0), "{kind} with {other:?} pods");
        }
        metrics = metrics.without(kind, Absence::NoPods);
        let text = serde_json::to_string(&metrics).unwrap();
        assert_eq!(serde_json::from_str::<ScalingMetrics>(&text).unwrap(), metrics, "{text}");
    }
}

#[test]
fn law_2_what_is_declared_or_ever_came_is_absent_for_as_long_as_it_lasts() {
    let now = ScalingMetrics::new(at(1_000_000), 3).with(SignalKind::RequestRate, 5.0);
    let (history, _) = MetricsHistory::from_unordered(vec![sample(0, 50.0)]);
    let observation = Observation::new(target(), now).with_history(history);
    let absences = |observation: &Observation| observation.absences().map(|(kind, _)| kind).collect::<Vec<_>>();
    assert_eq!(absences(&observation), [SignalKind::CpuUtilization], "lost eleven days ago");
    let declaring = |kinds: &[SignalKind]| absences(&observation.clone().declaring(kinds.iter().copied().collect()));
    assert_eq!(declaring(&[SignalKind::RequestRate]), [], "the source no longer delivers it");
    assert_eq!(declaring(&[SignalKind::QueueDepth]), [SignalKind::QueueDepth], "nothing ever came");
    assert_eq!(absences(&observation.clone().declaring(SignalSet::ALL)).len(), 6);
}

#[test]
fn without_requests_there_is_no_latency_and_no_error_rate_to_miss() {
    let idle = |rate: f64| {
        let now = sample(0, 1.0).with(SignalKind::RequestRate, rate);
        let now = now.with(SignalKind::ResponseTime, f64::NAN).with(SignalKind::ErrorRate, f64::NAN);
        Observation::new(target(), now).absences().map(|(kind, _)| kind).collect::<Vec<_>>()
    };
    assert_eq!(idle(0.0), []);
    assert_eq!(idle(0.1), [SignalKind::ResponseTime, SignalKind::ErrorRate]);
    let unknown = idle(f64::NAN);
    assert_eq!(unknown.len(), 3, "a rate that is not measured is not 0: {unknown:?}");
}
