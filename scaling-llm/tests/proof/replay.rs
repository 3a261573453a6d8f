//! Replays of a baseline alone and with a scripted model beside it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use scaling_core::backtest::{Arrivals, Candidate, ClusterModel, Driver, Scenario, Score, Trace, score_one};
use scaling_core::chrono::{DateTime, Utc};
use scaling_core::{DecisionEngine, HardLimits, Recorder, RuleBasedEngine};
use scaling_llm::{Budget, BudgetConfig, LlmConfig, LlmCounts, LlmEngine, Proof, ProofConfig, SpendLimits};
use scaling_schedule::{PredictiveConfig, PredictiveEngine};

use crate::models::{Future, Script, Timed};

pub(crate) const POD_CAPACITY: f64 = 50.0;

/// A trace, scaled so that its busiest thousandth needs 40 pods.
pub(crate) fn scenario(trace: Trace) -> Scenario {
    let factor = 40.0 * POD_CAPACITY / trace.demand_quantile(0.001);
    let limits = HardLimits::new(1, 200).unwrap();
    let model = ClusterModel { pod_capacity: POD_CAPACITY, limits, ..ClusterModel::default() };
    Scenario::new(trace.scaled(factor), model)
}

/// A replay of one scenario.
pub(crate) struct Replay {
    pub(crate) scenario: Scenario,
    now: Arc<Mutex<DateTime<Utc>>>,
    future: Future,
}

const NO_LIMIT: SpendLimits = SpendLimits { calls: None, tokens: None, money: None };

impl Replay {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let now = Arc::new(Mutex::new(DateTime::UNIX_EPOCH));
        let arrivals = Arc::new(Arrivals::new(&scenario.trace, &scenario.model).unwrap());
        let future = Future { arrivals, pod_capacity: POD_CAPACITY, now: Arc::clone(&now) };
        Self { scenario, now, future }
    }

    pub(crate) fn scripts(&self) -> [(&'static str, Script); 7] {
        [
            ("agrees", Script::Agrees),
            ("greedy", Script::Greedy),
            ("timid", Script::Timid),
            ("random", Script::Random(Arc::new(Mutex::new(7)))),
            ("contrary", Script::Contrary),
            ("adversarial", Script::Adversarial(self.future.clone())),
            ("clairvoyant", Script::Clairvoyant(self.future.clone())),
        ]
    }

    pub(crate) fn alone(&self, name: &'static str) -> Score {
        self.score(&Candidate::direct(name, move |_| Ok(Driver::direct(baseline(name)))))
    }

    pub(crate) fn advised(
        &self,
        name: &'static str,
        script: &Script,
        records: impl Recorder + Clone + 'static,
    ) -> (Score, LlmCounts) {
        self.proved_by(ProofConfig::default(), name, script, records)
    }

    pub(crate) fn proved_by(
        &self,
        config: ProofConfig,
        name: &'static str,
        script: &Script,
        records: impl Recorder + Clone + 'static,
    ) -> (Score, LlmCounts) {
        let counts = Arc::new(Mutex::new(None));
        let (kept, script, now) = (Arc::clone(&counts), script.clone(), Arc::clone(&self.now));
        let candidate = Candidate::direct("advised", move |_| {
            let proof = Proof::new(config.clone())?;
            // Asked in every step, so that an adversary has every chance.
            let config = LlmConfig { ask_again_after: Duration::ZERO, ..LlmConfig::inline() };
            let unlimited = BudgetConfig { workload: NO_LIMIT, process: NO_LIMIT, ..BudgetConfig::default() };
            let engine = LlmEngine::with_config(script.clone(), baseline(name), config)?;
            let engine = engine.with_budget(Budget::new(unlimited)?).proved_by(proof);
            *kept.lock().unwrap() = Some(engine.stats());
            let engine = Timed { engine, now: Arc::clone(&now) };
            Ok(Driver::direct(engine).recorded_by(records.clone()))
        });
        let score = self.score(&candidate);
        let counts = counts.lock().unwrap().as_ref().unwrap().counts();
        (score, counts)
    }

    fn score(&self, candidate: &Candidate) -> Score {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(score_one(&self.scenario, candidate, &())).unwrap()
    }
}

fn baseline(name: &str) -> Box<dyn DecisionEngine> {
    match name {
        "rules" => Box::new(RuleBasedEngine::default()),
        _ => Box::new(PredictiveEngine::new(PredictiveConfig::default()).unwrap()),
    }
}
