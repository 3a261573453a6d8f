//! Law 8 over time: advice is measured from the baseline's request, never from the size that earlier advice has brought.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs
)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use scaling_core::{
    DecisionEngine, EngineError, Floor, MetricsHistory, NeedDriver, Observation, Reason, RuleBasedEngine,
    ScalingDecision, ScalingMetrics, SignalKind, Target,
};
use scaling_llm::{ChatModel, Completion, LlmConfig, LlmEngine, ModelError};

/// Picks the largest size it may pick.
struct Greedy;

#[async_trait]
impl ChatModel for Greedy {
    async fn complete(&self, _: &str, user: &str) -> Result<Completion, ModelError> {
        let question: serde_json::Value = serde_json::from_str(user).unwrap();
        let most = &question["allowed"]["highest"];
        Ok(Completion::text(format!(
            r#"{{"assessment":"more","action":"scale","target_replicas":{most},"confidence_percent":100}}"#
        )))
    }
}

/// Decides as it was told last. Without a size it keeps what is there.
#[derive(Default)]
struct Scripted(Mutex<Script>);

#[derive(Clone, Debug, Default)]
struct Script {
    asks: Option<u32>,
    need: Option<(NeedDriver, f64)>,
    floor: Option<u32>,
}

#[async_trait]
impl DecisionEngine for &Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let script = self.0.lock().unwrap().clone();
        let current = observation.current.replicas().ok_or(EngineError::NoPodCount)?;
        let (at, desired) = (observation.current.timestamp, script.asks.unwrap_or(current));
        let mut decision = ScalingDecision::replicas("scripted", at, current, desired).with_confidence(0.9);
        if let Some((driver, replicas)) = script.need {
            decision = decision.because(Reason::Need { driver, replicas });
        }
        if let Some(replicas) = script.floor {
            decision = decision.with_floor(Floor::new(replicas, Reason::Schedule { window: "w".into(), replicas }));
        }
        Ok(decision)
    }
}

fn target() -> Target {
    Target::deployment("shop", "checkout").with_hpa("checkout-hpa")
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn seen(target: &Target, seconds: i64, pods: u32) -> Observation {
    Observation::new(target.clone(), ScalingMetrics::new(at(seconds), pods))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// A scripted baseline and a greedy model.
struct Pair<'a> {
    script: &'a Scripted,
    engine: LlmEngine<Greedy, &'a Scripted>,
}

impl<'a> Pair<'a> {
    fn new(script: &'a Scripted) -> Self {
        Self { script, engine: LlmEngine::with_config(Greedy, script, LlmConfig::inline()).unwrap() }
    }

    fn decide(&self, seconds: i64, pods: u32, script: Script) -> ScalingDecision {
        *self.script.0.lock().unwrap() = script;
        block_on(self.engine.decide(&seen(&target(), seconds, pods))).unwrap()
    }

    /// Pods after a tick in which the cluster does what is wanted.
    fn tick(&self, seconds: i64, pods: u32, asks: Option<u32>) -> u32 {
        self.decide(seconds, pods, Script { asks, ..Script::default() }).desired_replicas
    }
}

fn keeps() -> Script {
    Script::default()
}

fn needs(replicas: f64) -> Script {
    Script { need: Some((NeedDriver::Demand, replicas)), ..Script::default() }
}

#[test]
fn fault_10_a_baseline_that_keeps_what_is_there_is_no_reason_to_grow_again() {
    let script = Scripted::default();
    let pair = Pair::new(&script);
    let mut pods = pair.tick(0, 6, Some(8));
    assert_eq!(pods, 12, "half of the baseline's request on top");
    for minute in 1..=24 * 60 {
        pods = pair.tick(minute * 60, pods, None);
        assert_eq!(pods, 12, "in minute {minute}");
    }
}

#[test]
fn fault_10_a_baseline_that_keeps_what_is_there_without_a_word_leaves_no_room() {
    let script = Scripted::default();
    let pair = Pair::new(&script);
    let decision = pair.decide(0, 8, keeps());
    assert_eq!(decision.desired_replicas, 8);
    let why = decision.reasons.last().unwrap().to_string();
    assert_eq!(why, "llm: not asked: the baseline's own request leaves no room above 8 pods");
    assert_eq!(pair.engine.stats().counts().asked, 0);
}

#[test]
fn fault_10_a_need_is_the_measure_and_restarts_do_not_compound() {
    let script = Scripted::default();
    let mut pods = 8;
    for restart in 0..50 {
        let pair = Pair::new(&script);
        pods = pair.decide(restart * 3600, pods, needs(7.2)).desired_replicas;
        assert_eq!(pods, 12, "half of the 8 that are needed on top");
    }
    // A multiple of the pods there are is no measure.
    let overload = Script { need: Some((NeedDriver::Overload, 18.0)), ..Script::default() };
    assert_eq!(Pair::new(&script).decide(0, 12, overload).desired_replicas, 12);
}

#[test]
fn fault_10_a_need_that_follows_the_pods_is_measured_once() {
    let script = Scripted::default();
    let pair = Pair::new(&script);
    let mut pods = 8;
    for hour in 0..24 {
        // As memory that every pod has would: 81 % of the pods, whatever their number.
        let need = Script { need: Some((NeedDriver::Memory, f64::from(pods) * 0.81)), ..Script::default() };
        pods = pair.decide(hour * 3600, pods, need).desired_replicas;
        assert_eq!(pods, 11, "half of 7 on top of 7");
    }
}

#[test]
fn a_baseline_that_asks_for_more_itself_is_a_new_measure() {
    let script = Scripted::default();
    let pair = Pair::new(&script);
    assert_eq!(pair.tick(0, 6, Some(8)), 12);
    assert_eq!(pair.tick(3600, 12, Some(20)), 30);
    assert_eq!(pair.tick(7200, 30, None), 30);
    // Pods that advice has brought are kept within the share, pods that the baseline had asked for in any case.
    assert_eq!(pair.tick(10_800, 30, Some(8)), 20);
    assert_eq!(pair.tick(14_400, 20, Some(18)), 20);
    assert_eq!(pair.tick(18_000, 18, None), 27, "half of the 18 that it keeps");
}

#[test]
fn growth_by_advice_has_its_own_cooldown() {
    let script = Scripted::default();
    let pair = Pair::new(&script);
    assert_eq!(pair.tick(0, 4, Some(6)), 9);
    assert_eq!(pair.tick(300, 9, Some(20)), 20, "the baseline grows as it likes");
    let cooling = pair.decide(480, 20, needs(20.0));
    assert_eq!(cooling.desired_replicas, 20);
    assert_eq!(cooling.reasons.last().unwrap().to_string(), "llm: not asked: advice may grow again in 120 s");
    assert_eq!(pair.tick(599, 20, Some(10)), 20, "keeping is no growth");
    assert_eq!(pair.decide(600, 20, needs(20.0)).desired_replicas, 30);
    assert_eq!(pair.decide(1_199, 20, needs(20.0)).desired_replicas, 30, "the pods have not moved: the same growth");
    assert_eq!(pair.decide(1_150, 25, needs(25.0)).desired_replicas, 25, "they have");
    assert_eq!(pair.decide(1_160, 20, needs(20.0)).desired_replicas, 20, "and were taken back: no second growth");
}

#[test]
fn the_cooldown_can_be_set() {
    let script = Scripted::default();
    let config = LlmConfig { growth_cooldown: Duration::ZERO, ..LlmConfig::inline() };
    let pair = Pair { script: &script, engine: LlmEngine::with_config(Greedy, &script, config).unwrap() };
    assert_eq!((pair.tick(0, 4, Some(6)), pair.tick(1, 9, Some(20))), (9, 30));
    let config = LlmConfig { growth_cooldown: Duration::MAX, ..LlmConfig::inline() };
    let pair = Pair { script: &script, engine: LlmEngine::with_config(Greedy, &script, config).unwrap() };
    assert_eq!((pair.tick(0, 4, Some(6)), pair.tick(1 << 31, 9, Some(20))), (9, 20));
}

#[test]
fn clocks_that_jump_cost_one_cooldown() {
    let script = Scripted::default();
    let pair = Pair::new(&script);
    let year = 365 * 86_400;
    assert_eq!(pair.tick(year, 4, Some(6)), 9);
    assert_eq!(pair.tick(0, 9, Some(20)), 20, "a cooldown begins anew");
    assert_eq!(pair.tick(599, 20, Some(30)), 30);
    assert_eq!(pair.tick(600, 30, Some(40)), 60);
}

#[test]
fn targets_are_remembered_apart_and_forgotten_on_request() {
    let script = Scripted::default();
    let pair = Pair::new(&script);
    assert_eq!(pair.tick(0, 4, Some(6)), 9);
    *script.0.lock().unwrap() = Script { asks: Some(20), ..keeps() };
    let other = target().in_cluster("eu-1");
    let decide = |seconds, target: &Target| block_on(pair.engine.decide(&seen(target, seconds, 9))).unwrap();
    assert_eq!(decide(60, &other).desired_replicas, 30);
    assert_eq!(decide(60, &target()).desired_replicas, 20);
    pair.engine.forget(&target());
    assert_eq!(decide(60, &target()).desired_replicas, 30);
    assert_eq!(decide(61, &other).desired_replicas, 30, "the pods have not moved");
}

#[test]
fn floors_are_not_touched_and_no_measure() {
    let script = Scripted::default();
    let pair = Pair::new(&script);
    let script = Script { asks: Some(6), floor: Some(40), ..keeps() };
    let decision = pair.decide(0, 4, script.clone());
    assert_eq!((decision.desired_replicas, decision.floor.as_ref().unwrap().replicas), (9, 40));
    assert_eq!(decision.wanted(), 40);
    // Forty pods that the floor has brought: the request is still for six.
    let decision = pair.decide(60, 40, script);
    assert_eq!((decision.desired_replicas, decision.wanted()), (9, 40));
}

/// One tick of a day: how long after the last, what the pods do first, what the baseline says.
#[derive(Clone, Debug)]
struct Step {
    seconds: i64,
    pods: Pods,
    script: Script,
    restart: bool,
}

#[derive(Clone, Debug)]
enum Pods {
    Follow,
    Stay,
    Set(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pods = prop_oneof![8 => Just(Pods::Follow), 2 => Just(Pods::Stay), 1 => (0_u32..30).prop_map(Pods::Set)];
    let need = prop_oneof![
        3 => Just(None),
        1 => (0.0..20.0).prop_map(|need| Some((NeedDriver::Cpu, need))),
        1 => Just(Some((NeedDriver::Overload, 1e9))),
    ];
    let script = (prop::option::weighted(0.1, 0_u32..20), need, prop::option::weighted(0.1, 0_u32..99))
        .prop_map(|(asks, need, floor)| Script { asks, need, floor });
    let seconds = prop_oneof![20 => Just(15_i64), 5 => 0..900_i64, 1 => -86_400..86_400_i64];
    let step = (seconds, pods, script, prop::bool::weighted(0.02)).prop_map(|(seconds, pods, script, restart)| Step {
        seconds,
        pods,
        script,
        restart,
    });
    prop::collection::vec(step, 1..400)
}

/// Utilization of pods that share a load, and of which each has some of its own.
fn cpu(load: f64, own: f64, pods: u32) -> f64 {
    (own + load / f64::from(pods.max(1)) * 100.0).min(100.0)
}

/// The rules, and the most that they have asked for by themselves: a request for more than is there, or a need.
#[derive(Default)]
struct Watched {
    rules: RuleBasedEngine,
    peak: AtomicU32,
}

#[async_trait]
impl DecisionEngine for &Watched {
    fn name(&self) -> &'static str {
        "watched"
    }
    async fn decide(&self, observation: &Observation) -> Result<ScalingDecision, EngineError> {
        let decision = self.rules.evaluate(observation)?;
        let needs = decision.reasons.iter().map(|reason| match reason {
            Reason::Need { replicas, .. } => replicas.ceil() as u32,
            _ => 0,
        });
        let asked = if decision.grows() { decision.desired_replicas } else { 0 };
        self.peak.fetch_max(needs.max().unwrap_or(0).max(asked), Ordering::Relaxed);
        Ok(decision)
    }
}

/// The largest request of a day in which the cluster does what an engine wants, a tick a minute.
fn largest<'a>(make: impl Fn() -> Box<dyn DecisionEngine + 'a>, own: f64, restarts: &[i64], with_rate: bool) -> u32 {
    let mut engine = make();
    let (mut pods, mut highest) = (6, 0);
    let mut history = MetricsHistory::with_limit(60);
    for minute in 0..24 * 60_i64 {
        if restarts.contains(&minute) {
            engine = make();
        }
        let load = 6.0 - 3.0 * (minute as f64 / 720.0 * std::f64::consts::PI).cos();
        let mut now = ScalingMetrics::new(at(minute * 60), pods).with(SignalKind::CpuUtilization, cpu(load, own, pods));
        if with_rate {
            now = now.with(SignalKind::RequestRate, load * 100.0);
        }
        let observation = Observation::new(target(), now.clone()).with_history(history.clone());
        pods = block_on(engine.decide(&observation)).unwrap().desired_replicas;
        highest = highest.max(pods);
        history.push(&now).unwrap();
    }
    highest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn law_8_a_greedy_model_ends_no_higher_than_a_share_above_the_baselines_own_peak(steps in steps()) {
        let script = Scripted::default();
        let mut pair = Pair::new(&script);
        let (mut now, mut pods, mut wanted, mut peak) = (0, 6_u32, 6_u32, 0_u32);
        let mut grown: Option<(i64, u32, bool)> = None;
        for step in steps {
            now += step.seconds;
            pods = match step.pods {
                Pods::Follow => wanted,
                Pods::Stay => pods,
                Pods::Set(pods) => pods,
            };
            if step.restart {
                pair = Pair::new(&script);
                grown = None;
            }
            let asked = step.script.asks.unwrap_or(pods);
            // What the baseline says by itself: a request that is not what is there, or a need.
            let need = step.script.need.filter(|(driver, _)| *driver != NeedDriver::Overload);
            let own = if asked == pods { need.map(|(_, need)| need.ceil() as u32) } else { Some(asked) };
            peak = peak.max(own.unwrap_or(0));

            let decision = pair.decide(now, pods, step.script.clone());
            let got = decision.desired_replicas;
            prop_assert!(got >= asked, "never below the baseline");
            prop_assert!(got <= asked.max(pods).max(peak + peak.div_ceil(2)), "{got} pods, the baseline's peak is {peak}");
            prop_assert_eq!(decision.floor.map(|floor| floor.replicas), step.script.floor);
            wanted = got;

            if let Some((_, from, moved)) = &mut grown {
                *moved |= pods != *from;
            }
            if got > asked.max(pods) {
                if let Some((last, _, true)) = grown {
                    prop_assert!(now - last >= 600 || now < last, "two growths within {} s", now - last);
                }
                if grown.is_none_or(|(last, _, moved)| moved || now - last >= 600) {
                    grown = Some((now, pods, false));
                }
            }
            if let Some((last, ..)) = &mut grown {
                *last = now.min(*last);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn law_8_over_the_rules_in_a_closed_loop_for_a_day(
        own in prop_oneof![Just(0.0), 0.0..15.0],
        restarts in prop::collection::vec(0_i64..1440, 0..6),
        with_rate in any::<bool>(),
    ) {
        let (alone, advised) = (Watched::default(), Watched::default());
        largest(|| Box::new(&alone), own, &[], with_rate);
        let most = largest(|| Box::new(LlmEngine::with_config(Greedy, &advised, LlmConfig::inline()).unwrap()), own, &restarts, with_rate);
        let (alone, advised) = (alone.peak.into_inner(), advised.peak.into_inner());
        let with_half = |pods: u32| pods + pods.div_ceil(2);
        prop_assert!(most <= with_half(advised), "{most} pods, the rules' own peak is {advised}");
        // Each pod's own utilization makes more pods need more, but that comes to an end; without it they need the same.
        let limit = if own > 0.0 { 2 * alone } else { with_half(alone) };
        prop_assert!(most <= limit, "{most} pods, the rules' own peak without advice is {alone}");
    }
}
