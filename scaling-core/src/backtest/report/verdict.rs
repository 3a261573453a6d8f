//! The report in a sentence, and the order of its rows: cost at equal violations.
//!
//! Pod-hours alone favour a policy that lets requests wait, violations alone one that wastes pods. Each policy is held against the
//! oracle at its own share of violating requests ([`Score::oracle_ratio`](crate::backtest::Score::oracle_ratio)), which makes them
//! comparable. The share is told beside it: a good price for too many violations is no bargain.

use std::fmt::Write;

use super::{Report, TraceReport};

/// Share of violating requests beyond which a verdict names the best of those that stay below it as well.
const TOLERABLE: f64 = 0.01;

/// What the order of a policy depends on.
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

    /// Says in a sentence or two which candidate did best, and at how many violations.
    pub fn verdict(&self) -> String {
        if self.scored.requests > 0.0 {
            verdict(&self.standings(), "")
        } else {
            "No request arrived in the time that counts: nothing was compared.".to_owned()
        }
    }

    fn standings(&self) -> Vec<Standing<'_>> {
        let standing = |candidate: &'_ super::CandidateReport| Standing {
            name: "",
            ratio: candidate.score.oracle_ratio,
            violating_share: candidate.score.violating_share,
            pod_hours: candidate.score.pod_hours,
        };
        self.candidates.iter().map(|candidate| Standing { name: &candidate.name, ..standing(candidate) }).collect()
    }
}

impl Report {
    /// Returns the places in the summary from the least mean cost at equal violations to the most.
    pub fn ranking(&self) -> Vec<usize> {
        ranking(&self.standings())
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
        let standing = |row: &'_ super::Summary| (row.oracle_ratio, row.violating_share, row.pod_hours);
        let rows = self.summary.iter().map(|row| {
            let (ratio, violating_share, pod_hours) = standing(row);
            Standing { name: &row.name, ratio, violating_share, pod_hours }
        });
        rows.collect()
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

fn verdict(standings: &[Standing<'_>], over: &str) -> String {
    let ranked: Vec<&Standing<'_>> = ranking(standings).into_iter().filter_map(|place| standings.get(place)).collect();
    let compared: Vec<_> =
        ranked.iter().filter_map(|standing| Some((standing.name, standing.ratio?, standing.violating_share))).collect();
    let Some(&(best, ratio, share)) = compared.first() else {
        return match ranked.first() {
            Some(first) => format!(
                "No policy was held against an oracle; {} violated least ({}).",
                first.name,
                percent(first.violating_share)
            ),
            None => "No policy was replayed.".to_owned(),
        };
    };
    let mut text = if compared.len() > 1 {
        format!(
            "{best} costs least at equal violations{over}: {ratio:.2} times the pod-hours that a clairvoyant would have needed, with \
             {} of requests violating.",
            percent(share)
        )
    } else {
        format!(
            "{best} costs {ratio:.2} times the pod-hours that a clairvoyant would have needed at equal violations{over}, with {} of \
             requests violating.",
            percent(share)
        )
    };
    let told = |(name, ratio, share): &(&str, f64, f64)| format!("{name} {ratio:.2} times at {}", percent(*share));
    if let [_, second, rest @ ..] = compared.as_slice() {
        let _ = write!(text, " Next: {}", told(second));
        if let Some(last) = rest.last() {
            let _ = write!(text, "; last: {}", told(last));
        }
        text.push('.');
    }
    if share > TOLERABLE {
        let calm = compared.iter().find(|(.., share)| *share <= TOLERABLE);
        match calm {
            Some((name, ratio, share)) => {
                let _ = write!(
                    text,
                    " Of those with at most 1 % violating, {name} costs least: {ratio:.2} times at {}.",
                    percent(*share)
                );
            }
            None if compared.len() > 1 => text.push_str(" None of them stays at or below 1 % violating."),
            None => {}
        }
    }
    text
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
    fn a_good_price_for_many_violations_is_not_the_last_word() {
        let standings =
            [standing("late", Some(1.1), 0.2), standing("calm", Some(1.3), 0.01), standing("dear", Some(2.0), 0.0)];
        let text = verdict(&standings, " on the mean of 3 traces");
        assert!(text.starts_with("late costs least at equal violations on the mean of 3 traces: 1.10 times"), "{text}");
        assert!(
            text.ends_with("Of those with at most 1 % violating, calm costs least: 1.30 times at 1.0 %."),
            "{text}"
        );
        assert!(verdict(&standings[..1], "").starts_with("late costs 1.10 times"));
        let both = [standing("late", Some(1.1), 0.2), standing("later", Some(1.2), 0.3)];
        assert!(verdict(&both, "").ends_with("None of them stays at or below 1 % violating."));
    }

    #[test]
    fn without_an_oracle_nothing_is_claimed_of_cost() {
        assert_eq!(
            verdict(&[standing("one", None, 0.02)], ""),
            "No policy was held against an oracle; one violated least (2.0 %)."
        );
        assert_eq!(verdict(&[], ""), "No policy was replayed.");
        assert_eq!(percent(0.000_01), "less than 0.01 %");
    }
}
