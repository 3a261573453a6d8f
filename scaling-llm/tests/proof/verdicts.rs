//! What a proof takes, what it does not, and why.

use std::time::Duration;

use proptest::prelude::*;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::{
    Absence, LoadForecast, MetricsHistory, NeedDriver, Observation, PlannedEvent, Reason, ReplayVerdict,
    ScalingDecision, ScalingMetrics, SignalKind, SignalSet, Target, Urgency,
};
use scaling_llm::{Proof, ProofConfig, Verdict};

const PODS: u32 = 12;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn sample(seconds: i64, rate: f64) -> ScalingMetrics {
    ScalingMetrics::new(at(seconds), PODS).with(SignalKind::RequestRate, rate)
}

fn observed(rates: impl IntoIterator<Item = f64>, now: f64) -> Observation {
    let mut seconds = 0;
    let samples = rates.into_iter().map(|rate| {
        seconds += 60;
        sample(seconds - 60, rate)
    });
    let (history, _) = MetricsHistory::from_unordered(samples.collect());
    let mut observation =
        Observation::new(Target::deployment("shop", "web"), sample(seconds, now)).with_history(history);
    observation.facts.pod_capacity = Some(50.0);
    observation
}

/// Two days of 8 pods' worth of load, where 12 pods are and are asked for.
fn steady() -> Observation {
    observed((0..2880).map(|minute| 400.0 + f64::from(minute % 7)), 400.0)
}

fn asks(replicas: u32) -> ScalingDecision {
    ScalingDecision::replicas("rules", at(0), PODS, replicas).with_confidence(0.9)
}

fn proof() -> Proof {
    Proof::new(ProofConfig::default()).unwrap()
}

fn verdict(observation: &Observation, proposed: u32) -> ReplayVerdict {
    proof().prove(observation, &asks(PODS), proposed).verdict
}

#[test]
fn what_the_past_and_the_band_bear_is_taken_and_what_they_do_not_is_not() {
    let verdict: Verdict = proof().prove(&steady(), &asks(PODS), 9);
    assert!(verdict.is_accepted(), "{verdict:?}");
    assert!(verdict.moments >= 500 && verdict.proposed.pod_hours < verdict.own.pod_hours);
    let refused = proof().prove(&steady(), &asks(PODS), 7);
    assert_eq!(refused.verdict, ReplayVerdict::MoreViolations);
    assert!(refused.proposed.past_violating_share > 0.5 && refused.own.past_violating_share < 1e-12);
    let said = refused.reason().to_string();
    assert!(said.starts_with("7 pods instead of 12: not taken: more requests would wait too long"), "{said}");
}

#[test]
fn one_burst_in_a_week_is_not_forgotten() {
    let rate = |minute: u32| if (1000..1004).contains(&minute) { 550.0 } else { 400.0 };
    let bursty = observed((0..7 * 1440).map(rate), 400.0);
    assert_eq!(verdict(&bursty, 10), ReplayVerdict::MoreViolations);
    let older = observed((0..9 * 1440).map(rate), 400.0);
    assert_eq!(verdict(&older, 10), ReplayVerdict::NotWorse, "it was more than a week ago");
}

#[test]
fn the_upper_path_of_a_forecast_and_a_declared_event_protect_users() {
    let expects = |expected| {
        let signal = SignalKind::RequestRate;
        steady().with_forecast(Ok(LoadForecast { signal, observed: 400.0, expected, quantile: 0.97, ahead_s: 105.0 }))
    };
    assert_eq!(verdict(&expects(440.0), 9), ReplayVerdict::NotWorse);
    assert_eq!(verdict(&expects(580.0), 9), ReplayVerdict::MoreViolations);
    // What the baseline says in its reasons counts as well.
    let told = Reason::Forecast { signal: None, observed: 400.0, expected: 580.0, quantile: 0.97, ahead_s: 105.0 };
    let verdict = proof().prove(&steady(), &asks(PODS).because(told), 9);
    assert_eq!(verdict.verdict, ReplayVerdict::MoreViolations);
    assert!(verdict.proposed.band_violating_share > verdict.proposed.past_violating_share);
    let now = steady().now;
    let sale = |minutes, factor| {
        let start = now + TimeDelta::minutes(minutes);
        let event = PlannedEvent::new("sale", start, start + TimeDelta::hours(1), factor).unwrap();
        proof().prove(&steady().with_events(vec![event]), &asks(PODS), 9).verdict
    };
    assert_eq!(sale(1, 1.4), ReplayVerdict::MoreViolations);
    assert_eq!(sale(60, 1.4), ReplayVerdict::NotWorse, "the baseline can grow until then");
    assert_eq!(sale(1, 0.5), ReplayVerdict::NotWorse);
}

#[test]
fn what_cannot_be_proved_is_not_taken_and_says_why() {
    let none = |observation: &Observation| verdict(observation, 9);
    assert_eq!(none(&observed([], 400.0)), ReplayVerdict::TooLittlePast, "no history");
    assert_eq!(none(&observed([400.0], 400.0)), ReplayVerdict::TooLittlePast, "one sample");
    assert_eq!(none(&observed(std::iter::repeat_n(f64::NAN, 2880), 400.0)), ReplayVerdict::TooLittlePast, "all absent");
    assert_eq!(
        none(&observed(std::iter::repeat_n(4000.0, 2880), 400.0)),
        ReplayVerdict::TooLittlePast,
        "nothing resembles the present"
    );
    assert_eq!(none(&observed(std::iter::repeat_n(0.0, 2880), 0.0)), ReplayVerdict::TooLittlePast, "idle");
    assert_eq!(
        none(&observed(std::iter::repeat_n(f64::MAX, 2880), f64::MAX)),
        ReplayVerdict::SignalAbsent,
        "no rate is so large"
    );
    assert_eq!(
        none(&observed(std::iter::repeat_n(1e12, 2880), 1e12)),
        ReplayVerdict::LoadHidden,
        "hardly anybody is served"
    );
    let gaps = |minute| if minute % 30 < 20 { f64::NAN } else { 400.0 };
    assert_eq!(none(&observed((0..2880).map(gaps), 400.0)), ReplayVerdict::NotWorse, "paths between gaps");
    let holes = |minute| if minute % 15 < 13 { f64::NAN } else { 400.0 };
    assert_eq!(none(&observed((0..2880).map(holes), 400.0)), ReplayVerdict::TooLittlePast, "no whole path");

    let mut unknown = steady();
    unknown.facts.pod_capacity = None;
    assert_eq!(none(&unknown), ReplayVerdict::LoadUnknown);
    let mut nobody = steady();
    nobody.current.current_pod_count = None;
    assert_eq!(none(&nobody), ReplayVerdict::LoadUnknown);
    for odd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut odd_capacity = steady();
        odd_capacity.facts.pod_capacity = Some(odd);
        assert_eq!(none(&odd_capacity), ReplayVerdict::LoadUnknown, "{odd}");
    }
    for start_up in [Duration::MAX, Duration::from_secs(86_400)] {
        let mut slow = steady();
        slow.facts.start_up = start_up;
        assert_eq!(none(&slow), ReplayVerdict::UnusableFacts);
    }
    let full = Observation { current: steady().current.with(SignalKind::CpuUtilization, 99.0), ..steady() };
    assert_eq!(none(&full), ReplayVerdict::LoadHidden);
}

#[test]
fn nothing_below_the_baseline_while_a_signal_is_absent_or_pods_are_for_more_than_load() {
    let lacking = steady().declaring(SignalSet::of([SignalKind::RequestRate, SignalKind::QueueDepth]));
    assert_eq!(verdict(&lacking, 9), ReplayVerdict::SignalAbsent);
    let partial = Absence::Partial { covered_percent: 60 };
    let current = steady().current.without(SignalKind::QueueDepth, partial);
    assert_eq!(verdict(&Observation { current, ..steady() }, 9), ReplayVerdict::SignalAbsent);
    assert_eq!(verdict(&lacking, 13), ReplayVerdict::NotWorse, "law 2 holds back no growth");

    let prove = |decision: ScalingDecision| proof().prove(&steady(), &decision, 9).verdict;
    assert_eq!(prove(asks(PODS).with_urgency(Urgency::High)), ReplayVerdict::OtherNeed);
    let memory = |replicas| Reason::Need { driver: NeedDriver::Memory, replicas };
    assert_eq!(prove(asks(PODS).because(memory(11.2))), ReplayVerdict::OtherNeed);
    assert_eq!(prove(asks(PODS).because(memory(8.9))), ReplayVerdict::NotWorse);
    let event = Reason::Event { name: "sale".into(), factor: 2.0 };
    assert_eq!(prove(asks(PODS).because(event)), ReplayVerdict::OtherNeed);
}

#[test]
fn without_a_request_rate_the_load_is_the_cpu_of_all_pods() {
    let sample = |minute: i64| {
        ScalingMetrics::new(at(60 * minute), PODS).with(SignalKind::CpuUtilization, 60.0 + (minute % 5) as f64)
    };
    let (history, _) = MetricsHistory::from_unordered((0..2880).map(sample).collect());
    let observation = Observation::new(Target::deployment("shop", "web"), sample(2880)).with_history(history);
    assert_eq!(verdict(&observation, 9), ReplayVerdict::NotWorse);
    assert_eq!(verdict(&observation, 7), ReplayVerdict::MoreViolations);
}

/// Pods after `proposed` was asked for at each of some ticks 15 s apart, each tick booked.
fn ticks(proof: &Proof, seconds: std::ops::Range<i64>, proposed: u32) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for second in seconds.step_by(15) {
        let observation = steady();
        let later = observation.now + TimeDelta::seconds(second);
        let mut observation = observation.at(later);
        observation.current.timestamp = later;
        let baseline = proof.observe(&observation, asks(PODS));
        verdicts.push(proof.admit(&observation, &baseline, proposed));
    }
    verdicts
}

#[test]
fn a_growth_waits_until_the_account_covers_it() {
    let proof = proof();
    // A pod for ten minutes is 600 pod-seconds; 12 pods pay in 0.03 a second: after 20,000 s.
    let verdicts = ticks(&proof, 0..20_400, PODS + 1);
    let first = verdicts.iter().position(Verdict::is_accepted).unwrap();
    assert!((20_000..20_100).contains(&(first * 15)), "{first}");
    assert!(verdicts.iter().take(first).all(|verdict| verdict.verdict == ReplayVerdict::TooCostly));
    let restarted = ticks(&self::proof(), 20_400..20_415, PODS + 1);
    assert!(restarted.iter().all(|verdict| verdict.verdict == ReplayVerdict::TooCostly));
}

#[test]
fn full_pods_after_advice_for_fewer_halt_advice_for_a_day() {
    let proof = proof();
    let tick = |second: i64, rate: f64, proposed: u32| {
        let mut observation = steady();
        let now = observation.now + TimeDelta::seconds(second);
        observation.now = now;
        observation.current = ScalingMetrics::new(now, 9).with(SignalKind::RequestRate, rate);
        observation.current.desired_pod_count = Some(9);
        let seen = proof.seen(&observation).into_owned();
        let decision = ScalingDecision::replicas("rules", now, seen.current.replicas().unwrap(), PODS);
        let baseline = proof.observe(&observation, decision);
        assert_eq!(baseline.current_replicas, 9);
        proof.admit(&observation, &baseline, proposed).verdict
    };
    assert_eq!(tick(0, 400.0, 9), ReplayVerdict::NotWorse);
    assert_eq!(tick(15, 470.0, 9), ReplayVerdict::Halted, "9.4 pods' worth at 9 pods");
    assert_eq!(tick(30, 400.0, 10), ReplayVerdict::Halted);
    assert_eq!(tick(86_000, 400.0, 10), ReplayVerdict::Halted);
    assert_ne!(tick(86_430, 400.0, 10), ReplayVerdict::Halted);
    proof.forget(&Target::deployment("shop", "web"));
    assert_eq!(tick(86_445, 400.0, 9), ReplayVerdict::NotWorse);
}

#[test]
fn advice_removes_no_pods_within_ten_minutes_after_a_growth() {
    let proof = proof();
    let tick = |second: i64, there: u32, proposed: u32| {
        let mut observation = steady().at(steady().now + TimeDelta::seconds(second));
        observation.current.current_pod_count = Some(there);
        let baseline = proof.observe(&observation, ScalingDecision::replicas("rules", observation.now, there, PODS));
        proof.admit(&observation, &baseline, proposed).verdict
    };
    assert_eq!(tick(0, PODS, 10), ReplayVerdict::NotWorse);
    assert_eq!(tick(15, 10, 9), ReplayVerdict::NotWorse, "further down is no turn");
    assert_eq!(tick(30, 9, 10), ReplayVerdict::NotWorse, "nor is up");
    assert_eq!(tick(45, 10, 9), ReplayVerdict::Unsettled);
    assert_eq!(tick(60, 10, 10), ReplayVerdict::NotWorse, "nothing is removed");
    assert_eq!(tick(640, 10, 9), ReplayVerdict::Unsettled);
    assert_eq!(tick(645, 10, 9), ReplayVerdict::NotWorse);
}

#[test]
fn the_baseline_is_asked_as_if_its_own_size_were_in_force_and_an_absent_signal_loses_none_of_it() {
    let proof = proof();
    let first = steady();
    let baseline = proof.observe(&first, asks(PODS));
    assert_eq!(proof.seen(&first).into_owned(), first, "no advice was taken");
    assert!(proof.admit(&first, &baseline, 9).is_accepted());
    let mut second = first.clone().at(first.now + TimeDelta::seconds(15));
    second.current = ScalingMetrics::new(second.now, 9).with(SignalKind::RequestRate, 400.0);
    second.current.desired_pod_count = Some(9);
    let seen = proof.seen(&second).into_owned();
    assert_eq!((seen.current.replicas(), seen.current.current_pod_count), (Some(PODS), Some(PODS)));
    second.current.desired_pod_count = Some(PODS);
    second.current.current_pod_count = Some(PODS);
    assert_eq!(seen, second, "all else stays as it was measured");
    let mut lacking = Observation { declared: Some(SignalSet::of([SignalKind::QueueDepth])), ..second };
    assert_eq!(proof.seen(&lacking).into_owned(), lacking);
    // Pods that advice has removed are not lost because a signal is.
    lacking.current.desired_pod_count = Some(9);
    lacking.current.current_pod_count = Some(9);
    assert_eq!(proof.seen(&lacking).current.replicas(), Some(PODS));
}

/// Nine pods at 88 % for twelve at 66 %: neither pods that start nor more load, now and in what is remembered of it.
#[test]
fn the_baseline_sees_the_utilization_of_its_own_pods_and_each_sample_stays_as_it_was_shown() {
    let proof = proof();
    let mut history: Vec<_> = steady().history.iter().collect();
    let (mut shown, mut last) = (Vec::new(), None);
    for tick in 0..40_i64 {
        let mut observation = steady();
        let now = observation.now + TimeDelta::seconds(15 * tick);
        let (pods, cpu) = if tick == 0 { (PODS, 66.0) } else { (9, if tick > 10 { 88.0 } else { 66.0 }) };
        let current = ScalingMetrics::new(now, pods).with(SignalKind::RequestRate, 400.0);
        observation = observation.at(now).with_history(MetricsHistory::from_unordered(history.clone()).0);
        observation.current = current.with(SignalKind::CpuUtilization, cpu);
        history.push(observation.current.clone());
        let seen = proof.seen(&observation).into_owned();
        shown.push((seen.current.current_pod_count, seen.current.value(SignalKind::CpuUtilization).unwrap()));
        let own = ScalingDecision::replicas("rules", now, seen.current.replicas().unwrap(), PODS);
        let baseline = proof.observe(&observation, own);
        assert_eq!(proof.admit(&observation, &baseline, 9).verdict, ReplayVerdict::NotWorse, "{tick}");
        last = Some(seen);
    }
    let (pods, cpu) = shown.last().copied().unwrap();
    assert_eq!(pods, Some(PODS));
    assert!((cpu - 66.0).abs() < 1e-9, "{cpu}");
    let remembered: Vec<_> = last.unwrap().history.iter().skip(steady().history.len()).collect();
    assert_eq!(remembered.len(), shown.len() - 1);
    for (sample, (pods, cpu)) in remembered.iter().zip(&shown) {
        let remembered = sample.value(SignalKind::CpuUtilization).unwrap();
        assert_eq!((sample.current_pod_count, remembered.to_bits()), (*pods, cpu.to_bits()));
    }
}

#[test]
fn pods_that_somebody_else_sets_are_seen_after_ten_minutes() {
    let proof = proof();
    let first = steady();
    let baseline = proof.observe(&first, asks(PODS));
    assert!(proof.admit(&first, &baseline, 9).is_accepted());
    for second in (15..=630).step_by(15) {
        let mut later = first.clone().at(first.now + TimeDelta::seconds(second));
        later.current.current_pod_count = Some(20);
        let seen = proof.seen(&later).current.replicas();
        if second <= 600 {
            assert_eq!(seen, Some(PODS), "{second}");
        }
        proof.observe(&later, asks(PODS));
        if second == 630 {
            assert_eq!(proof.seen(&later).current.replicas(), Some(20));
        }
    }
}

#[test]
fn a_verdict_reads_back_as_it_was_written() {
    for proposed in [7, 9, 13] {
        let reason = proof().prove(&steady(), &asks(PODS), proposed).reason();
        let text = serde_json::to_string(&reason).unwrap();
        let back: Reason = serde_json::from_str(&text).unwrap();
        assert_eq!((serde_json::to_string(&back).unwrap(), back), (text, reason));
    }
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let fault = |change: fn(&mut ProofConfig)| {
        let mut config = ProofConfig::default();
        change(&mut config);
        Proof::new(config).map(|_| ()).map_err(|error| error.field)
    };
    assert_eq!(fault(|_| ()), Ok(()));
    assert_eq!(fault(|config| config.share_below = f64::NAN), Err("share_below"));
    assert_eq!(fault(|config| config.violating_margin = -0.1), Err("violating_margin"));
    assert_eq!(fault(|config| config.cost_margin = f64::INFINITY), Err("cost_margin"));
    assert_eq!(fault(|config| config.account = Duration::MAX), Err("account (seconds)"));
    assert_eq!(fault(|config| config.halt = Duration::MAX), Err("halt (seconds)"));
    assert_eq!(fault(|config| config.past = Duration::ZERO), Err("past (seconds)"));
    assert_eq!(fault(|config| config.likeness = 0.5), Err("likeness"));
    assert_eq!(fault(|config| config.least_moments = 0), Err("least_moments"));
}

#[test]
fn the_lowest_size_is_a_share_of_the_request() {
    let lowest = |share_below, own| {
        let config = ProofConfig { share_below, ..ProofConfig::default() };
        Proof::new(config).unwrap().lowest(&asks(own))
    };
    assert_eq!([0, 1, 2, 3, 4, 10, 12].map(|own| lowest(0.3, own)), [0, 1, 2, 3, 3, 7, 9]);
    assert_eq!((lowest(0.0, 10), lowest(0.9, 10), lowest(0.9, 1)), (10, 1, 1));
}

/// Any load, or none.
fn load() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => 100.0..1000.0_f64,
        1 => Just(f64::NAN),
        1 => prop_oneof![Just(0.0), Just(f64::MAX), Just(f64::INFINITY), Just(-1.0), Just(1e-300)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nothing is taken under which the upper path violates more.
    #[test]
    fn nothing_is_taken_that_the_upper_path_does_not_bear(
        expected in 300.0..900.0_f64, ahead_s in 0.0..400.0_f64, proposed in 6..12_u32, quantile in 0.5..1.0_f64,
    ) {
        let signal = SignalKind::RequestRate;
        let forecast = LoadForecast { signal, observed: 400.0, expected, quantile, ahead_s };
        let verdict = proof().prove(&steady().with_forecast(Ok(forecast)), &asks(PODS), proposed);
        if verdict.is_accepted() {
            prop_assert!(verdict.proposed.band_violating_share <= verdict.own.band_violating_share + 1e-9);
            // Reached on the way, by a good margin, the load would be more than the proposed pods could do.
            let reached = ahead_s <= 100.0 && expected / 50.0 > 1.1 * f64::from(proposed);
            prop_assert!(!reached || expected / 50.0 > f64::from(PODS), "{verdict:?}");
        }
    }

    /// Law 5: the same question, the same verdict, whatever was asked, booked and taken before, of this target or another.
    #[test]
    fn the_order_of_questions_does_not_matter(order in Just([7_u32, 8, 9, 10, 11, 13, 15]).prop_shuffle()) {
        let (fresh, used) = (proof(), proof());
        let other = Observation { target: Target::deployment("shop", "cart").into(), ..steady() };
        for proposed in order {
            let baseline = used.observe(&other, asks(PODS));
            let _ = used.admit(&other, &baseline, proposed);
            prop_assert_eq!(used.prove(&steady(), &asks(PODS), proposed), fresh.prove(&steady(), &asks(PODS), proposed));
        }
    }

    /// Whatever the history and the facts are, there is an answer, its numbers are finite, and without enough of a past it is no.
    #[test]
    fn any_history_has_an_answer(
        rates in proptest::collection::vec(load(), 0..800), now in load(), pods in 0..40_u32, own in 0..50_u32, proposed in 0..60_u32,
        every in prop_oneof![Just(1_i64), Just(15), Just(60), Just(300), Just(86_400 * 365)],
        start_up in prop_oneof![Just(0_u64), 1..900_u64, Just(u64::MAX)], capacity in load(),
        observed in load(), expected in load(), ahead_s in load(), queue in load(), cpu in load(),
    ) {
        let samples = (0_i64..).zip(&rates).map(|(nth, rate)| {
            let at = DateTime::from_timestamp(nth * every, 0).unwrap_or_default();
            ScalingMetrics::new(at, pods).with(SignalKind::RequestRate, *rate)
        });
        let (history, _) = MetricsHistory::from_unordered(samples.collect());
        let at = DateTime::from_timestamp(i64::try_from(rates.len()).unwrap() * every, 0).unwrap_or_default();
        let current = ScalingMetrics::new(at, pods)
            .with(SignalKind::RequestRate, now)
            .with(SignalKind::QueueDepth, queue)
            .with(SignalKind::CpuUtilization, cpu);
        let mut observation = Observation::new(Target::deployment("shop", "web"), current).with_history(history);
        observation.facts.start_up = Duration::from_secs(start_up);
        observation.facts.pod_capacity = Some(capacity);
        let signal = SignalKind::RequestRate;
        let observation = observation.with_forecast(Ok(LoadForecast { signal, observed, expected, quantile: 0.9, ahead_s }));
        let proof = proof();
        let baseline = proof.observe(&observation, ScalingDecision::replicas("rules", at, pods, own));
        for verdict in [proof.prove(&observation, &baseline, proposed), proof.admit(&observation, &baseline, proposed)] {
            for size in [verdict.own, verdict.proposed] {
                for number in [size.past_violating_share, size.band_violating_share, size.pod_hours] {
                    prop_assert!(number.is_finite() && number >= 0.0, "{verdict:?}");
                }
            }
            prop_assert!(proposed == own || !verdict.is_accepted() || verdict.moments >= 144, "{verdict:?}");
            prop_assert!(!verdict.reason().to_string().is_empty());
        }
    }
}
