//! The report in a sentence, and the order of its rows: cost at equal violations.
//!
//! Pod-hours alone favour a policy that lets requests wait, violations alone one that wastes pods. Each policy is held against the
//! oracle at its own share of violating requests ([`Score::oracle_ratio`](crate::backtest::Score::oracle_ratio)), which makes them
//! comparable. The share is told beside it, and the best is looked for among those with at most one violating request in a hundred: a
//! good price for too many violations is no bargain.

use std::fmt::Write;

use super::{CandidateReport, Report, TraceReport};

/// Share of violating requests that a policy may have to be called the best, if any policy has as few.
const TOLERABLE: f64 = 0.01;

/// Difference of costs, in ratios to the oracle, that no table shows.
const EQUAL: f64 = 0.0005;

/// Figures by which policies are ordered.
#[derive(Clone, Copy)]
struct Standing<'a> {
    name: &'a str,
    ratio: Option<f64>,
    violating_share: f64,
    pod_hours: f64,
}

impl TraceReport {
    /// Returns the places of the candidates from the least cost at equal violations to the most. Those that no oracle compares come
    /// last, by their violations.
    pub fn ranking(&self) -> Vec<usize> {
        ranking(&self.standings())
    }

    /// Returns the place of the candidate that costs least at equal violations: of those with at most 1 % of requests violating, if
    /// there are any. None if no oracle compares them.
    pub fn best(&self) -> Option<usize> {
        best(&self.standings())
    }

    /// Says in a sentence or two which candidate did best, and at how many violations.
    pub fn verdict(&self) -> String {
        if self.scored.requests > 0.0 {
            verdict(&self.standings(), "")
        } else {
            "No request arrived in the time that counts: nothing was compared.".to_owned()
        }
    }

    fn standings(&self) -> Vec<Standing<'_>> {
        let standings = self.candidates.iter().map(|CandidateReport { name, score, .. }| Standing {
            name,
            ratio: score.oracle_ratio,
            violating_share: score.violating_share,
            pod_hours: score.pod_hours,
        });
        standings.collect()
    }
}

impl Report {
    /// Returns the places in the summary from the least mean cost at equal violations to the most.
    pub fn ranking(&self) -> Vec<usize> {
        ranking(&self.standings())
    }

    /// Returns the place in the summary of the candidate that costs least at equal violations, on the mean, as
    /// [`TraceReport::best`] finds it.
    pub fn best(&self) -> Option<usize> {
        best(&self.standings())
    }

    /// Says in a sentence or two which candidate did best over all traces, and at how many violations.
    pub fn verdict(&self) -> String {
        match self.traces.as_slice() {
            [] => "No trace was replayed.".to_owned(),
            [trace] => trace.verdict(),
            traces => verdict(&self.standings(), &format!(" on the mean of {} traces", traces.len())),
        }
    }

    fn standings(&self) -> Vec<Standing<'_>> {
        let standings = self.summary.iter().map(|row| Standing {
            name: &row.name,
            ratio: row.oracle_ratio,
            violating_share: row.violating_share,
            pod_hours: row.pod_hours,
        });
        standings.collect()
    }
}

fn ranking(standings: &[Standing<'_>]) -> Vec<usize> {
    let mut places: Vec<(usize, &Standing<'_>)> = standings.iter().enumerate().collect();
    // Stable: equals stay in the order asked for.
    places.sort_by(|(_, a), (_, b)| {
        let ratio = |one: &Standing<'_>| one.ratio.unwrap_or(f64::INFINITY);
        (ratio(a).total_cmp(&ratio(b)))
            .then(a.violating_share.total_cmp(&b.violating_share))
            .then(a.pod_hours.total_cmp(&b.pod_hours))
    });
    places.into_iter().map(|(place, _)| place).collect()
}

fn best(standings: &[Standing<'_>]) -> Option<usize> {
    let ranked = ranking(standings);
    let compared =
        || ranked.iter().copied().filter(|place| standings.get(*place).is_some_and(|one| one.ratio.is_some()));
    let is_calm = |place: &usize| standings.get(*place).is_some_and(|one| one.violating_share <= TOLERABLE);
    compared().find(is_calm).or_else(|| compared().next())
}

fn verdict(standings: &[Standing<'_>], over: &str) -> String {
    let ranked: Vec<&Standing<'_>> = ranking(standings).into_iter().filter_map(|place| standings.get(place)).collect();
    let Some((best, ratio)) =
        best(standings).and_then(|place| standings.get(place)).and_then(|one| Some((one, one.ratio?)))
    else {
        return match ranked.first() {
            Some(first) => format!(
                "No policy was held against an oracle; {} violated least ({}).",
                first.name,
                percent(first.violating_share)
            ),
            None => "No policy was replayed.".to_owned(),
        };
    };
    let price = format!(
        "{ratio:.2} times the pod-hours that a clairvoyant would have needed, with {} of requests violating",
        percent(best.violating_share)
    );
    let told = |one: &Standing<'_>| {
        let ratio = one.ratio.map_or_else(String::new, |ratio| format!(" {ratio:.2} times"));
        format!("{}{ratio} at {}", one.name, percent(one.violating_share))
    };
    let compared: Vec<_> = ranked.into_iter().filter(|one| one.ratio.is_some()).collect();
    match compared.as_slice() {
        [_] => format!("{} costs, at equal violations{over}, {price}.", best.name),
        [first, ..] if first.name != best.name && costs_less(first, best) => format!(
            "Of the policies with at most 1 % of requests violating, {} costs least at equal violations{over}: {price}. Cheaper at equal \
             violations, but with more of them: {}.",
            best.name,
            told(first)
        ),
        all @ [_, _, ..] => {
            let (equal, dearer): (Vec<&Standing<'_>>, Vec<&Standing<'_>>) =
                all.iter().filter(|one| one.name != best.name).partition(|one| !costs_less(best, one));
            let mut text = if equal.is_empty() {
                format!("{} costs least at equal violations{over}: {price}.", best.name)
            } else {
                let names: Vec<_> = equal.iter().map(|one| one.name).collect();
                format!("{} costs as much as {} at equal violations{over}: {price}.", best.name, names.join(", "))
            };
            if let Some(next) = dearer.first() {
                let _ = write!(text, " Next: {}", told(next));
                if let Some(last) = dearer.get(1..).and_then(<[_]>::last) {
                    let _ = write!(text, "; last: {}", told(last));
                }
                text.push('.');
            }
            if best.violating_share > TOLERABLE {
                text.push_str(" None of them stays at or below 1 % violating.");
            }
            text
        }
        [] => String::new(),
    }
}

/// True if one policy costs less than another at equal violations, by as much as a table shows.
fn costs_less(one: &Standing<'_>, other: &Standing<'_>) -> bool {
    one.ratio.zip(other.ratio).is_some_and(|(one, other)| other - one >= EQUAL)
}

/// Writes a share in percent with two digits that matter.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 {
        format!("{percent:.0} %")
    } else if percent >= 1.0 || percent == 0.0 {
        format!("{percent:.1} %")
    } else if percent >= 0.01 {
        format!("{percent:.2} %")
    } else {
        "less than 0.01 %".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn standing(name: &'static str, ratio: Option<f64>, violating_share: f64) -> Standing<'static> {
        Standing { name, ratio, violating_share, pod_hours: 100.0 }
    }

    #[test]
    fn the_order_is_cost_at_equal_violations_and_then_what_is_known() {
        let standings = [
            standing("blind", None, 0.5),
            standing("dear", Some(2.0), 0.0),
            standing("cheap", Some(1.2), 0.004),
            standing("also blind", None, 0.1),
        ];
        assert_eq!(ranking(&standings), [2, 1, 3, 0]);
        assert_eq!(
            verdict(&standings, ""),
            "cheap costs least at equal violations: 1.20 times the pod-hours that a clairvoyant would have needed, with 0.40 % of \
             requests violating. Next: dear 2.00 times at 0.0 %."
        );
    }

    #[test]
    fn of_equal_costs_none_is_the_least() {
        let [a, b] = ["a", "b"].map(|name| standing(name, Some(1.2), 0.0));
        let text = verdict(&[a, b], "");
        assert!(text.starts_with("a costs as much as b at equal violations: 1.20 times"), "{text}");
        assert!(text.ends_with("violating.") && !text.contains("least"), "{text}");
        let text = verdict(&[a, b, standing("dear", Some(2.0), 0.0)], "");
        assert!(text.ends_with(" Next: dear 2.00 times at 0.0 %."), "{text}");
    }

    #[test]
    fn a_good_price_for_many_violations_is_not_the_best() {
        let standings =
            [standing("late", Some(1.1), 0.2), standing("calm", Some(1.3), 0.01), standing("dear", Some(2.0), 0.0)];
        assert_eq!((ranking(&standings), best(&standings)), (vec![0, 1, 2], Some(1)));
        let text = verdict(&standings, " on the mean of 3 traces");
        let said = "Of the policies with at most 1 % of requests violating, calm costs least at equal violations on the mean of 3 traces: 1.30";
        assert!(text.starts_with(said), "{text}");
        assert!(text.ends_with("but with more of them: late 1.10 times at 20 %."), "{text}");
        assert!(verdict(&standings[..1], "").starts_with("late costs, at equal violations, 1.10 times"));
        let both = [standing("late", Some(1.1), 0.2), standing("later", Some(1.2), 0.3)];
        assert_eq!(best(&both), Some(0));
        assert!(verdict(&both, "").ends_with("None of them stays at or below 1 % violating."));
    }

    #[test]
    fn without_an_oracle_nothing_is_claimed_of_cost() {
        assert_eq!(
            verdict(&[standing("one", None, 0.02)], ""),
            "No policy was held against an oracle; one violated least (2.0 %)."
        );
        assert_eq!((verdict(&[], ""), best(&[])), ("No policy was replayed.".to_owned(), None));
        assert_eq!(percent(0.000_01), "less than 0.01 %");
    }
}
