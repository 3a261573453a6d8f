#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;
use scaling_core::chrono::TimeDelta;

use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_600_000 + second, 0).unwrap()
}

fn workload(name: &str) -> Arc<Target> {
    Arc::new(Target::deployment("shop", name))
}

fn model() -> ModelId {
    ModelId::new("anthropic", "claude-haiku-5-5")
}

fn priced() -> PriceTable {
    let price = ModelPrice::per_million(0.1, 0.5).unwrap().with_cache(0.01, 0.125).unwrap();
    PriceTable::new(Currency::EUR).with(model(), price)
}

fn limits(calls: Option<u64>, tokens: Option<u64>, money: Option<f64>) -> SpendLimits {
    SpendLimits { calls, tokens, money }
}

fn budget(workload: SpendLimits, process: SpendLimits) -> Budget {
    let config = BudgetConfig { workload, process, under_way: 100, answer_tokens: 1_000, prices: priced() };
    Budget::new(config).unwrap()
}

/// A prompt whose worst case is 1,000 tokens of its own, 1,000 that a server adds, and 1,000 of the answer.
const PROMPT: usize = 1_000;

fn usage(input: u64, output: u64) -> Usage {
    Usage { input_tokens: input, output_tokens: output, ..Usage::default() }
}

#[test]
fn limits_are_exact() {
    let unlimited = SpendLimits::default();
    let worst_money = (2_000.0 * 0.125 + 1_000.0 * 0.5) / 1e6;
    let cases = [
        (limits(Some(2), None, None), limits(Some(1), None, None), "calls"),
        (limits(None, Some(6_000), None), limits(None, Some(5_999), None), "tokens"),
        (limits(None, None, Some(2.0 * worst_money)), limits(None, None, Some(2.0 * worst_money - 1e-12)), "money"),
    ];
    for (fits, short, what) in cases {
        for (shared, whose) in [(false, "this workload"), (true, "all workloads")] {
            let make = |limits| if shared { budget(unlimited, limits) } else { budget(limits, unlimited) };
            let twice = |budget: &Budget| {
                let first = budget.reserve(&workload("a"), &model(), at(0), PROMPT).unwrap();
                let other = if shared { "b" } else { "a" };
                let second = budget.reserve(&workload(other), &model(), at(0), PROMPT);
                drop(first);
                second
            };
            assert!(twice(&make(fits)).is_ok(), "{what} of {whose}");
            assert_eq!(twice(&make(short)).unwrap_err(), OverBudget::Limit { whose, what });
        }
    }
    let why = OverBudget::Limit { whose: "this workload", what: "calls" };
    assert_eq!(why.to_string(), "the budget of calls for this workload is spent for this hour");
}

#[test]
fn what_was_not_used_is_given_back() {
    let budget = budget(limits(None, Some(3_500), None), SpendLimits::default());
    let ask = || budget.reserve(&workload("a"), &model(), at(0), PROMPT);
    let cost = ask().unwrap().settle(usage(400, 50)).unwrap();
    assert!((cost - (400.0 * 0.1 + 50.0 * 0.5) / 1e6).abs() < 1e-15, "{cost}");
    let second = ask().unwrap();
    assert_eq!(ask().unwrap_err(), OverBudget::Limit { whose: "this workload", what: "tokens" });
    // A server that says that it has not answered has used nothing; an answer that is lost counts in full.
    second.unanswered();
    drop(ask().unwrap());
    assert!(ask().is_err());
    assert_eq!(budget.under_way(), 0);
}

#[test]
fn caches_have_prices_of_their_own() {
    let budget = budget(SpendLimits::default(), SpendLimits::default());
    let usage = Usage { input_tokens: 1_000, output_tokens: 100, cache_read_tokens: 600, cache_write_tokens: 300 };
    let cost = budget.reserve(&workload("a"), &model(), at(0), PROMPT).unwrap().settle(usage).unwrap();
    let expected = (100.0 * 0.1 + 600.0 * 0.01 + 300.0 * 0.125 + 100.0 * 0.5) / 1e6;
    assert!((cost - expected).abs() < 1e-15, "{cost} {expected}");
    // More cached than there is, and more than can be counted.
    let odd = Usage { input_tokens: 1, output_tokens: u64::MAX, cache_read_tokens: 600, cache_write_tokens: u64::MAX };
    assert!(budget.reserve(&workload("a"), &model(), at(0), PROMPT).unwrap().settle(odd).is_some());
}

#[test]
fn a_model_without_a_price_is_asked_only_where_money_is_not_limited() {
    let other = ModelId::new("openai", "gpt-6-luna");
    let unlimited = budget(limits(Some(10), None, None), SpendLimits::default());
    assert_eq!(unlimited.reserve(&workload("a"), &other, at(0), PROMPT).unwrap().settle(usage(9, 9)), None);
    for limited in [
        budget(limits(None, None, Some(9.0)), SpendLimits::default()),
        budget(SpendLimits::default(), limits(None, None, Some(9.0))),
    ] {
        let why = limited.reserve(&workload("a"), &other, at(0), PROMPT).unwrap_err();
        assert_eq!(why.to_string(), "money is limited, and the price of \"gpt-6-luna\" of \"openai\" is not known");
    }
}

#[test]
fn an_hour_later_it_is_free_again_and_not_before() {
    let budget = budget(limits(Some(1), None, None), SpendLimits::default());
    let ask = |second| budget.reserve(&workload("a"), &model(), at(second), PROMPT).map(drop);
    ask(0).unwrap();
    for second in [1, 1_800, 3_599, 3_600] {
        ask(second).unwrap_err();
    }
    ask(3_900).unwrap();
}

#[test]
fn a_clock_that_jumps_back_frees_nothing_and_blocks_for_an_hour_at_most() {
    let budget = budget(limits(Some(1), None, None), SpendLimits::default());
    let ask = |second| budget.reserve(&workload("a"), &model(), at(second), PROMPT).map(drop);
    let century = 36_525 * 86_400;
    ask(century).unwrap();
    ask(0).unwrap_err();
    ask(3_599).unwrap_err();
    ask(3_900).unwrap();
    for end in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        let _ = budget.reserve(&workload("a"), &model(), end, usize::MAX);
    }
}

#[test]
fn questions_under_way_are_bounded_and_an_account_is_kept_of_so_many_workloads() {
    let config = BudgetConfig { under_way: 2, ..BudgetConfig::default() };
    let budget = Budget::new(config).unwrap();
    let held: Vec<_> = (0..2).map(|_| budget.reserve(&workload("a"), &model(), at(0), PROMPT).unwrap()).collect();
    let why = budget.reserve(&workload("b"), &model(), at(0), PROMPT).unwrap_err();
    assert_eq!(why.to_string(), "2 questions are under way");
    drop(held);

    let budget = Budget::new(BudgetConfig::unlimited()).unwrap();
    let ask = |name: u32, second| budget.reserve(&workload(&name.to_string()), &model(), at(second), PROMPT).map(drop);
    for name in 0..10_000 {
        ask(name, i64::from(name / 1_000)).unwrap();
    }
    assert_eq!(ask(10_000, 10), Err(OverBudget::Workloads));
    ask(0, 10).unwrap();
    for name in 10_000..11_000 {
        ask(name, 4_000).unwrap();
    }
    assert!(budget.0.ledger().workloads.len() <= 10_000);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let with = |config: BudgetConfig| Budget::new(config).unwrap_err().to_string();
    assert!(with(BudgetConfig { under_way: 0, ..BudgetConfig::default() }).starts_with("under_way is 0"));
    for money in [-1.0, f64::NAN, f64::INFINITY] {
        let workload = limits(None, None, Some(money));
        assert!(with(BudgetConfig { workload, ..BudgetConfig::default() }).starts_with("money is "));
    }
    assert!(ModelPrice::per_million(-0.1, 0.0).is_err() && ModelPrice::per_million(0.0, f64::NAN).is_err());
    assert!(ModelPrice::per_million(0.1, 0.5).unwrap().with_cache(1e7, 0.0).is_err());
}

#[test]
fn threads_cannot_pass_a_limit_together() {
    let budget = budget(limits(Some(40), Some(70_000), None), limits(Some(100), Some(200_000), Some(0.05)));
    let admitted = std::thread::scope(|scope| {
        let ask = |thread: u64| {
            let budget = budget.clone();
            move || {
                (0..200_u64)
                    .filter(|nth| {
                        let target = workload(&((nth + thread) % 5).to_string());
                        let Ok(held) = budget.reserve(&target, &model(), at(0), PROMPT) else { return false };
                        if nth % 3 > 0 {
                            held.settle(usage(500 * (nth % 3), 100));
                        }
                        true
                    })
                    .count()
            }
        };
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(ask(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    let ledger = budget.0.ledger();
    let spent = ledger.process.spent.total();
    assert_eq!((spent.calls, ledger.process.reserved, ledger.under_way), (admitted as u64, Charge::default(), 0));
    assert!(spent.calls <= 100 && spent.tokens <= 200_000 && spent.money <= units(0.05), "{spent:?}");
    assert!(ledger.workloads.values().all(|account| account.spent.total().calls <= 40));
}

#[derive(Clone, Debug)]
enum Step {
    Ask {
        workload: usize,
        prompt: usize,
    },
    /// The reservation ends, with this share of its tokens used; none for an answer that is lost.
    End {
        held: prop::sample::Index,
        used: Option<f64>,
    },
    Wait(i64),
}

fn steps(wait: impl Strategy<Value = i64> + 'static) -> impl Strategy<Value = Vec<Step>> {
    let used = prop::option::of(0.0..=1.0);
    let step = prop_oneof![
        5 => (0..3_usize, 0..4_000_usize).prop_map(|(workload, prompt)| Step::Ask { workload, prompt }),
        4 => (any::<prop::sample::Index>(), used).prop_map(|(held, used)| Step::End { held, used }),
        2 => wait.prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..200)
}

/// Something admitted: when, of which workload, and what it has taken.
struct Admitted {
    at: i64,
    workload: usize,
    charge: Charge,
}

fn run(
    steps: Vec<Step>,
    mut check: impl FnMut(&Budget, i64, &[Admitted]) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let per_workload = limits(Some(6), Some(14_000), Some(0.002));
    let budget = budget(per_workload, limits(Some(12), Some(30_000), Some(0.004)));
    let (mut now, mut admitted, mut held) = (0, Vec::<Admitted>::new(), Vec::<(usize, Reservation)>::new());
    for step in steps {
        match step {
            Step::Wait(seconds) => now += seconds,
            Step::Ask { workload: nth, prompt } => {
                if let Ok(reservation) = budget.reserve(&workload(&nth.to_string()), &model(), at(now), prompt) {
                    admitted.push(Admitted { at: now, workload: nth, charge: reservation.charge });
                    held.push((admitted.len() - 1, reservation));
                }
            }
            Step::End { held: index, used } if !held.is_empty() => {
                let (nth, reservation) = held.swap_remove(index.index(held.len()));
                if let Some(share) = used {
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    let part = |tokens: u64| (tokens as f64 * share) as u64;
                    let used = usage(part(admitted[nth].charge.tokens - 1_000).max(1), part(1_000));
                    let money = priced().price(&model()).unwrap().cost(used);
                    admitted[nth].charge = Charge { calls: 1, tokens: used.input_tokens + used.output_tokens, money };
                    reservation.settle(used);
                }
            }
            Step::End { .. } => {}
        }
        check(&budget, now, &admitted)?;
    }
    Ok(())
}

fn within(sum: Charge, calls: u64, tokens: u64, money: f64) -> bool {
    sum.calls <= calls && sum.tokens <= tokens && sum.money <= units(money)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_hour_ever_holds_more_than_its_limit(steps in steps(0..2_000_i64)) {
        run(steps, |_, now, admitted| {
            let hour = || admitted.iter().filter(|admitted| admitted.at > now - 3_600);
            let sum = |charges: &mut dyn Iterator<Item = &Admitted>| charges.fold(Charge::default(), |sum, a| sum.plus(a.charge));
            prop_assert!(within(sum(&mut hour()), 12, 30_000, 0.004));
            for workload in 0..3 {
                prop_assert!(within(sum(&mut hour().filter(|a| a.workload == workload)), 6, 14_000, 0.002));
            }
            Ok(())
        })?;
    }

    #[test]
    fn whatever_the_clock_does_the_account_stays_within_its_limits(steps in steps(-100_000..100_000_i64)) {
        run(steps, |budget, _, _| {
            let ledger = budget.0.ledger();
            let sum = |account: &Account| account.spent.total().plus(account.reserved);
            prop_assert!(within(sum(&ledger.process), 12, 30_000, 0.004));
            prop_assert!(ledger.workloads.values().all(|account| within(sum(account), 6, 14_000, 0.002)));
            prop_assert_eq!(ledger.process.reserved.calls, ledger.under_way as u64);
            Ok(())
        })?;
    }
}

#[test]
fn a_window_is_small_whatever_comes() {
    let mut window = Window::default();
    for minute in 0..10_000 {
        let now = at(0) + TimeDelta::minutes(minute);
        window.advance(now);
        window.add(now, Charge { calls: 1, ..Charge::default() });
        assert!((1..=65).contains(&window.total().calls));
    }
}
