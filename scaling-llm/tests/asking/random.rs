//! Whatever happens in whatever order, sums are right, limits hold, and the baseline's range is kept.

use std::time::Duration;

use proptest::prelude::*;
use scaling_core::{DecisionEngine, Target};
use scaling_llm::{Budget, BudgetConfig, LlmConfig, LlmEngine, ModelError, SpendLimits};

use crate::world::{Behaviour, GROWS, Model, counts, pass, seen_of};

#[derive(Clone, Debug)]
enum Step {
    Tick { workload: u8, cpu: u8, millicores: u64 },
    Cancelled { workload: u8, cpu: u8 },
    Pass(u64),
    Jump(i64),
    Forget(u8),
    Becomes(Behaviour),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let behaviours = vec![
        Behaviour::Greedy,
        Behaviour::Greedy,
        Behaviour::Says("no"),
        Behaviour::Hangs,
        Behaviour::Fails(ModelError::Refused),
        Behaviour::Fails(ModelError::Unavailable("529".into())),
    ];
    let step = prop_oneof![
        20 => (0..3_u8, 0..3_u8, 0..20_u64).prop_map(|(workload, cpu, odd)| Step::Tick { workload, cpu, millicores: 100 + u64::from(odd == 0) }),
        2 => (0..3_u8, 0..3_u8).prop_map(|(workload, cpu)| Step::Cancelled { workload, cpu }),
        10 => (0..20_u64).prop_map(Step::Pass),
        1 => (-5_000..5_000_i64).prop_map(Step::Jump),
        2 => (0..3_u8).prop_map(Step::Forget),
        3 => prop::sample::select(behaviours).prop_map(Step::Becomes),
    ];
    prop::collection::vec(step, 1..120)
}

fn name(workload: u8) -> String {
    format!("web-{workload}")
}

async fn run(steps: Vec<Step>, config: LlmConfig) -> Result<(), TestCaseError> {
    let workload = SpendLimits { calls: Some(8), ..SpendLimits::default() };
    let budget = Budget::new(BudgetConfig { workload, under_way: 2, ..BudgetConfig::default() }).unwrap();
    let model = Model::slow(Behaviour::Greedy, 3);
    let engine = LlmEngine::with_config(model.clone(), GROWS, config).unwrap().with_budget(budget.clone());
    let (start, mut jumped) = (tokio::time::Instant::now(), 0);
    for step in steps {
        let now = i64::try_from(start.elapsed().as_secs()).unwrap() + jumped;
        let load = |cpu: u8| 40.0 + 20.0 * f64::from(cpu);
        match step {
            Step::Tick { workload, cpu, millicores } => {
                let mut observation = seen_of(&name(workload), now, load(cpu));
                observation.facts.cpu_request_millicores = Some(millicores);
                let decision = engine.decide(&observation).await.unwrap();
                prop_assert!((6..=9).contains(&decision.desired_replicas));
                let said = decision.reasons.iter().filter(|reason| reason.to_string().starts_with("llm: ")).count();
                prop_assert_eq!(said, 1, "law 10, say why");
            }
            Step::Cancelled { workload, cpu } => {
                let observation = seen_of(&name(workload), now, load(cpu));
                let _ = tokio::time::timeout(Duration::from_secs(1), engine.decide(&observation)).await;
            }
            Step::Pass(seconds) => pass(seconds).await,
            Step::Jump(seconds) => jumped += seconds,
            Step::Forget(workload) => engine.forget(&Target::deployment("shop", name(workload))),
            Step::Becomes(behaviour) => model.becomes(behaviour),
        }
        prop_assert!(budget.under_way() <= 2 && model.under_way() <= 2);
    }
    pass(11).await;
    (0..3).for_each(|workload| engine.forget(&Target::deployment("shop", name(workload))));
    pass(1).await;
    prop_assert_eq!((budget.under_way(), model.under_way()), (0, 0));
    let c = engine.stats().counts();
    let ended = c.answered + c.late + c.refused + c.unavailable + c.malformed + c.out_of_range + c.unsure;
    prop_assert_eq!(c.asked, ended + c.stale + c.abandoned, "{:?}", c);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_happens_in_whatever_order_every_question_has_one_end(steps in steps(), inline in any::<bool>()) {
        let config = if inline { LlmConfig::inline() } else { LlmConfig::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(steps, config))?;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_facts_ends_the_question_about_the_former_ones() {
    let model = Model::slow(Behaviour::Greedy, 5);
    let engine = LlmEngine::new(model.clone(), GROWS);
    for (nth, millicores) in [100, 200, 300].into_iter().enumerate() {
        let mut observation = seen_of("web", i64::try_from(nth).unwrap(), 70.0);
        observation.facts.cpu_request_millicores = Some(millicores);
        engine.decide(&observation).await.unwrap();
        pass(1).await;
        assert_eq!((model.asked(), model.under_way()), (nth + 1, 1), "one at a time");
    }
    assert_eq!(counts(&engine).abandoned, 2);
}
