#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_600_000 + second, 0).unwrap()
}

fn model() -> ModelId {
    ModelId::new("anthropic", "claude-haiku-5-5")
}

fn down() -> ModelError {
    ModelError::Unavailable("529".into())
}

/// Asks once, and says how it ended; the second at which it is asked again if it is open.
fn ask(breaker: &ModelBreaker, second: i64, error: Option<&ModelError>) -> Result<(), i64> {
    match breaker.permit(&model(), at(second)) {
        Ok(permit) => {
            permit.settle(error);
            Ok(())
        }
        Err(until) => Err((until - at(0)).num_seconds()),
    }
}

#[test]
fn five_failures_in_a_row_open_it_for_a_minute_doubling_to_a_quarter_of_an_hour() {
    let breaker = ModelBreaker::default();
    for second in 0..4 {
        ask(&breaker, second, Some(&down())).unwrap();
    }
    assert_eq!(breaker.models(), [(model(), false)]);
    ask(&breaker, 4, Some(&ModelError::Late)).unwrap();
    assert_eq!(breaker.models(), [(model(), true)]);
    let mut now = 4;
    for length in [60, 120, 240, 480, 900, 900, 900] {
        assert_eq!(ask(&breaker, now + length - 1, None), Err(now + length));
        now += length;
        ask(&breaker, now, Some(&down())).unwrap_or_else(|until| panic!("a probe at {now}, not at {until}"));
    }
    now += 900;
    ask(&breaker, now, None).unwrap();
    // From the beginning.
    for second in 0..5 {
        ask(&breaker, now + second, Some(&down())).unwrap();
    }
    assert_eq!(ask(&breaker, now + 5, None), Err(now + 64));
}

#[test]
fn half_of_the_last_ten_open_it() {
    let breaker = ModelBreaker::default();
    for second in 0..10 {
        ask(&breaker, second, Some(&down()).filter(|_| second % 2 == 0))
            .unwrap_or_else(|until| panic!("{second} {until}"));
    }
    // The tenth worked: five of ten are counted when the next one fails.
    ask(&breaker, 10, Some(&down())).unwrap();
    assert_eq!(ask(&breaker, 11, None), Err(70));

    let breaker = ModelBreaker::default();
    for second in 0..200 {
        ask(&breaker, second, Some(&down()).filter(|_| second % 5 < 2))
            .unwrap_or_else(|until| panic!("four of ten at {second}: {until}"));
    }
}

#[test]
fn a_denied_key_and_a_spent_account_open_it_at_once_for_a_quarter_of_an_hour() {
    for error in [ModelError::Denied("401".into()), ModelError::Spent("402".into())] {
        let breaker = ModelBreaker::default();
        ask(&breaker, 0, Some(&error)).unwrap();
        assert_eq!(ask(&breaker, 899, None), Err(900));
        ask(&breaker, 900, Some(&error)).unwrap();
        assert_eq!(ask(&breaker, 901, None), Err(1_800));
        ask(&breaker, 1_800, None).unwrap();
        ask(&breaker, 1_801, None).unwrap();
    }
}

#[test]
fn answers_that_cannot_be_used_are_no_failures() {
    let breaker = ModelBreaker::default();
    for second in 0..100 {
        for error in [ModelError::Refused, ModelError::Truncated, ModelError::NotRecorded] {
            ask(&breaker, second, Some(&error)).unwrap();
        }
    }
}

#[test]
fn there_is_one_probe_at_a_time() {
    let breaker = ModelBreaker::default();
    ask(&breaker, 0, Some(&ModelError::Denied("403".into()))).unwrap();
    let probe = breaker.permit(&model(), at(900)).unwrap();
    assert!(ask(&breaker, 900, None).is_err() && ask(&breaker, 5_000, None).is_err());
    // Not put after all: another may.
    probe.unused();
    let probe = breaker.permit(&model(), at(900)).unwrap();
    // Given up: nobody knows, so the same time passes again.
    drop(probe);
    assert_eq!(ask(&breaker, 901, None), Err(1_800));
}

#[test]
fn answers_to_questions_from_before_do_not_count() {
    let breaker = ModelBreaker::default();
    let (works, fails) = (breaker.permit(&model(), at(0)).unwrap(), breaker.permit(&model(), at(0)).unwrap());
    ask(&breaker, 1, Some(&ModelError::Spent("402".into()))).unwrap();
    works.settle(None);
    assert_eq!(ask(&breaker, 2, None), Err(901));
    ask(&breaker, 901, None).unwrap();
    fails.settle(Some(&ModelError::Spent("402".into())));
    ask(&breaker, 902, None).unwrap();
}

#[test]
fn models_are_kept_apart_and_their_number_is_bounded() {
    let breaker = ModelBreaker::default();
    ask(&breaker, 0, Some(&ModelError::Denied("401".into()))).unwrap();
    for nth in 0..1_000 {
        drop(breaker.permit(&ModelId::new("openai", nth.to_string()), at(0)).unwrap());
    }
    assert_eq!(breaker.models().len(), MODELS_AT_MOST);
    assert_eq!(ask(&breaker, 1, None), Err(900), "one that fails is not forgotten for those that do not");
}

#[test]
fn a_clock_that_jumps_back_costs_its_time_once_more() {
    let breaker = ModelBreaker::default();
    let century = 36_525 * 86_400;
    ask(&breaker, century, Some(&ModelError::Denied("401".into()))).unwrap();
    assert_eq!(ask(&breaker, 0, None), Err(900));
    ask(&breaker, 900, None).unwrap();
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let with = |config| ModelBreaker::new(config).unwrap_err().to_string();
    let default = ModelBreakerConfig::default();
    assert!(with(ModelBreakerConfig { failures_in_a_row: 0, ..default }).contains("failures_in_a_row"));
    assert!(with(ModelBreakerConfig { window: 1, ..default }).contains("window"));
    assert!(with(ModelBreakerConfig { open_for: Duration::ZERO, ..default }).contains("open_for"));
}

proptest! {
    #[test]
    fn it_is_never_open_for_longer_than_its_longest_time(steps in prop::collection::vec((-5_000..5_000_i64, 0..5_u8), 1..200)) {
        let (breaker, mut now) = (ModelBreaker::default(), 0);
        for (seconds, ending) in steps {
            now += seconds;
            match breaker.permit(&model(), at(now)) {
                Err(until) => prop_assert!((until - at(now)).num_seconds() <= 900),
                Ok(permit) => match ending {
                    0 => permit.settle(None),
                    1 => permit.settle(Some(&down())),
                    2 => permit.settle(Some(&ModelError::Spent("402".into()))),
                    3 => permit.unused(),
                    _ => drop(permit),
                },
            }
        }
        prop_assert!(ask(&breaker, now + 900, None).is_ok());
    }
}
