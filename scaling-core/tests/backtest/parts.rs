//! A report by several processes is the one that a single process writes.

use std::sync::OnceLock;

use proptest::prelude::*;
use scaling_core::backtest::{Candidate, InvalidPart, LeftOut, MergeError, Part, Report, Scenario, TraceReport};

use crate::world::{report, scenario, trace, waves};

/// Short loads under two policies, replayed once.
fn fleet() -> &'static [TraceReport] {
    static FLEET: OnceLock<Vec<TraceReport>> = OnceLock::new();
    FLEET.get_or_init(|| {
        let load = |nth: usize| waves().iter().map(|rate| rate * (1.0 + nth as f64 / 10.0)).collect::<Vec<_>>();
        let one = |nth: usize| Scenario { trace: trace(&format!("w{nth}"), &load(nth)).into(), ..scenario(&waves()) };
        let scenarios: Vec<_> = (0..5).map(one).collect();
        report(&scenarios, &[Candidate::hpa_on_cpu(50), Candidate::hpa_on_cpu(70)]).traces
    })
}

fn left_out(name: &str) -> LeftOut {
    LeftOut { name: name.to_owned(), why: "there is no past".to_owned() }
}

/// One process's report of a share of the fleet and of those that have no past, as it is written and read again.
fn written(part: Part, without: &[String]) -> Report {
    let left_out = part.of(without).iter().map(|name| left_out(name)).collect();
    let report = Report::new(part.of(fleet()).to_vec()).made_by("backtest").leaving_out(left_out).as_part(part);
    serde_json::from_str(&report.to_json().unwrap()).unwrap()
}

fn parts(parts: u32) -> Vec<Report> {
    (0..parts).map(|index| written(Part::new(index, parts).unwrap(), &[])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_merged_report_has_the_bytes_of_one_process(
        parts in 1_u32..9, absent in 0_usize..4, order in any::<prop::sample::Index>(), turned in any::<bool>(),
    ) {
        let absent: Vec<String> = (0..absent).map(|nth| format!("absent{nth}")).collect();
        let whole = Report::new(fleet().to_vec()).made_by("backtest");
        let whole = whole.leaving_out(absent.iter().map(|name| left_out(name)).collect());
        let mut reports: Vec<Report> =
            (0..parts).map(|index| written(Part::new(index, parts).unwrap(), &absent)).collect();
        let by = order.index(reports.len());
        reports.rotate_left(by);
        if turned {
            reports.reverse();
        }
        let merged = Report::merged(reports).unwrap();
        prop_assert_eq!(merged.to_json().unwrap(), whole.to_json().unwrap());
        prop_assert_eq!(merged.to_html(), whole.to_html());
        prop_assert_eq!(merged.to_table(), whole.to_table());
    }

    #[test]
    fn shares_are_all_of_the_list_in_its_order_and_of_like_size(items in 0_usize..300, parts in 1_u32..40) {
        let list: Vec<usize> = (0..items).collect();
        let shares: Vec<&[usize]> = (0..parts).map(|index| Part::new(index, parts).unwrap().of(&list)).collect();
        prop_assert_eq!(&shares.concat(), &list);
        let sizes = shares.iter().map(|share| share.len());
        prop_assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
    }

    #[test]
    fn a_part_is_read_as_it_is_written_or_refused(index: u32, parts: u32, text in ".{0,12}") {
        match Part::new(index, parts) {
            Ok(part) => prop_assert_eq!(part.to_string().parse(), Ok(part)),
            Err(error) => prop_assert_eq!(error, InvalidPart { index, parts }),
        }
        let json = format!(r#"{{"index":{index},"parts":{parts}}}"#);
        prop_assert_eq!(serde_json::from_str::<Part>(&json).ok(), Part::new(index, parts).ok());
        let _ = text.parse::<Part>();
    }
}

#[test]
fn what_is_not_the_whole_of_one_report_is_refused() {
    let refused = |reports: Vec<Report>| Report::merged(reports).unwrap_err();
    assert_eq!(refused(Vec::new()), MergeError::Nothing);
    assert_eq!(refused(vec![Report::new(fleet().to_vec())]), MergeError::Whole { nth: 1 });

    let mut reports = parts(4);
    reports.remove(2);
    assert_eq!(refused(reports.clone()).to_string(), "1 part is missing of 4: 2");
    reports.push(reports[0].clone());
    assert_eq!(refused(reports).to_string(), "part 0/4 is there twice");
    assert_eq!(refused(parts(4).into_iter().take(1).collect()).to_string(), "3 parts are missing of 4: 1, 2, 3");

    let mut other = parts(2);
    other[1].command = Some("backtest --days 1".to_owned());
    let said = refused(other).to_string();
    assert_eq!(said, "part 1/2 differs from part 0/2 in its command: backtest --days 1, not backtest");
    let mut other = parts(2);
    other[1].version = "0.0.0".to_owned();
    assert!(refused(other).to_string().contains("in its version: 0.0.0, not "));
    let mixed = vec![parts(2).remove(0), parts(3).remove(1)];
    assert!(refused(mixed).to_string().contains("in its number of parts: 3, not 2"));

    let mut twice = parts(2);
    twice[1].left_out = vec![left_out("w0")];
    assert_eq!(refused(twice), MergeError::SameWorkload { name: "w0".to_owned() });
}
