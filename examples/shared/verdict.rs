//! A comparison as a table, a sentence and a page.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use scaling_core::backtest::{Report, Score};
use scaling_core::stats::{grouped, significant};

use crate::comparison::{ALONE, Comparison, IF_WE_STOP, RECOMMENDED, WITH_US};
use crate::recommended::Recommended;

/// Costs that differ by less than this share count as equal.
const EQUAL: f64 = 0.005;

/// Writes the table: what each way costs and does to requests.
///
/// `min` is what the owner of the HPA never goes below, and the clairvoyant does.
pub fn table(comparison: &Comparison, min: u32) -> String {
    let report = &comparison.report;
    let currency = report.currency.as_deref().unwrap_or("cost");
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule));
    table.set_header([
        "",
        "pod-hours",
        currency,
        "requests too late or lost",
        "most pods",
        "pods change / day",
        "we write / day",
    ]);
    for name in [ALONE, WITH_US, RECOMMENDED, IF_WE_STOP] {
        let Some(candidate) = comparison.of(name) else { continue };
        let score = &candidate.score;
        let writes = score.decisions.as_ref().filter(|_| score.hours > 0.0);
        table.add_row([
            name.to_owned(),
            grouped(score.pod_hours, 1),
            score.cost.map_or_else(|| "–".to_owned(), |cost| significant(cost, 2)),
            late(score.violating_share, score.requests),
            grouped(score.peak_pods.into(), 0),
            grouped(score.scale_events_a_day(), 0),
            writes.map_or_else(|| "–".to_owned(), |all| grouped(all.applied as f64 * 24.0 / score.hours, 0)),
        ]);
    }
    if let Some((score, ratio)) = best(comparison).and_then(|(_, score)| Some((score, score.oracle_ratio?))) {
        let dash = || "–".to_owned();
        table.add_row([
            "the clairvoyant, as many too late".to_owned(),
            grouped(score.pod_hours / ratio, 1),
            score.cost.map_or_else(dash, |cost| significant(cost / ratio, 2)),
            late(score.violating_share, score.requests),
            dash(),
            dash(),
            dash(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let floor = grouped(f64::from(min) * comparison.of(ALONE).map_or(0.0, |alone| alone.score.hours), 1);
    let objective = report.model.objective.as_secs_f64();
    format!(
        "{table}\nToo late: waited for more than {objective} s. We write: changes of min or max.\nThe clairvoyant knows all load in \
         advance, starts a pod in the same {} s, and is as late as our better row.\nThe HPA's min of {min} pods, below which \
         only the clairvoyant goes, comes to {floor} pod-hours.\n{}",
        report.model.start_up.as_secs(),
        notes(comparison)
    )
}

/// Writes what kept a way from acting as it was meant, once where it holds for several.
fn notes(comparison: &Comparison) -> String {
    let mut notes: Vec<(String, Vec<&str>)> = Vec::new();
    for candidate in &comparison.report.candidates {
        for note in candidate.score.notes.iter().map(ToString::to_string) {
            match notes.iter_mut().find(|(known, _)| *known == note) {
                Some((_, names)) => names.push(&candidate.name),
                None => notes.push((note, vec![&candidate.name])),
            }
        }
    }
    let lines: Vec<String> =
        notes.into_iter().map(|(note, names)| format!("note: {}: {note}\n", names.join("; "))).collect();
    lines.concat()
}

fn late(share: f64, requests: f64) -> String {
    format!("{:.3} % ({})", share * 100.0, grouped(share * requests, 0))
}

/// Our better row: with the recommended target unless that violates more and costs no less.
fn best(comparison: &Comparison) -> Option<(&'static str, &Score)> {
    let with_us = comparison.of(WITH_US).map(|candidate| (WITH_US, &candidate.score));
    let recommended = comparison.of(RECOMMENDED).map(|candidate| (RECOMMENDED, &candidate.score));
    match (with_us, recommended) {
        (Some(plain), Some(other)) => Some(if plain.1 < other.1 { plain } else { other }),
        (plain, other) => other.or(plain),
    }
}

/// Warns of what the recommended manifest does if we stop; none where nothing is recommended.
pub fn warning(comparison: &Comparison) -> Option<String> {
    let [alone, ours, left] =
        [ALONE, RECOMMENDED, IF_WE_STOP].map(|name| comparison.of(name).map(|one| one.score.violating_share * 100.0));
    let (alone, ours, left) = (alone?, ours?, left?);
    Some(format!(
        "warning: this target is for an HPA whose floors we hold; if we stop, {left:.3} % of the requests are too late or lost instead \
         of {ours:.3} % ({alone:.3} % under the HPA as it stands): set the target back before you stop us"
    ))
}

/// Says in one sentence what our better row is worth against the HPA alone, also if it is worse.
pub fn sentence(comparison: &Comparison) -> String {
    let (Some(alone), Some((name, ours))) = (comparison.of(ALONE).map(|one| &one.score), best(comparison)) else {
        return "Verdict: there is nothing to compare.".to_owned();
    };
    let how = match (&comparison.recommended, name) {
        (Ok(Recommended { setting, .. }), RECOMMENDED) => {
            let stabilization = match setting.window_seconds {
                Some(seconds) => format!("{seconds} s of stabilization"),
                None => "its stabilization as it is".to_owned(),
            };
            let percent = setting.cpu_target_percent;
            format!("Moving the bounds of this HPA, with its CPU target at {percent} % and {stabilization},")
        }
        _ => "Moving the bounds of this HPA as it stands".to_owned(),
    };
    let change = if alone.pod_hours > 0.0 { ours.pod_hours / alone.pod_hours - 1.0 } else { 0.0 };
    let cost = if change.abs() < EQUAL {
        "costs as much as the HPA alone".to_owned()
    } else {
        let direction = if change < 0.0 { "less" } else { "more" };
        format!("costs {:.1} % {direction} than the HPA alone", change.abs() * 100.0)
    };
    let money = match (alone.cost, ours.cost, &comparison.report.currency) {
        (Some(alone), Some(ours), Some(currency)) => {
            format!(
                " ({} instead of {} {currency} over {:.1} days)",
                significant(ours, 2),
                significant(alone, 2),
                comparison.of(ALONE).map_or(0.0, |one| one.score.hours / 24.0)
            )
        }
        _ => String::new(),
    };
    let late = format!(
        "{:.3} % of the requests are too late or lost instead of {:.3} %",
        ours.violating_share * 100.0,
        alone.violating_share * 100.0
    );
    let scaled = comparison.scaled_to.map_or_else(String::new, |pods| {
        format!(" The load was scaled so that its peak needs {pods} pods; the costs are not yours (--pod-capacity).")
    });
    format!(
        "Verdict: {how} {cost}{money}, and {late}: {}.{scaled}",
        judgement(change, alone.violating_share, ours.violating_share)
    )
}

fn judgement(change: f64, alone: f64, ours: f64) -> &'static str {
    let (cheaper, dearer) = (change < -EQUAL, change > EQUAL);
    if ours > alone && dearer {
        "worse in both, leave this HPA alone"
    } else if ours > alone && cheaper {
        "a trade of late requests for money"
    } else if ours > alone {
        "worse, leave this HPA alone"
    } else if ours < alone && dearer {
        "fewer late requests, for money"
    } else if cheaper || ours < alone {
        "better"
    } else if dearer {
        "dearer for nothing, leave this HPA alone"
    } else {
        "no difference"
    }
}

/// Writes the report's page, with this sentence as its verdict and the changes last.
pub fn page(comparison: &Comparison, changes: &str) -> String {
    let report = Report::new(vec![comparison.report.clone()]);
    let page = report.to_html();
    let verdict = escaped(&sentence(comparison));
    let last = format!("<h2>What was changed, and why</h2>\n<pre class=\"scroll\">{}</pre>\n", escaped(changes));
    // One verdict: the report's own ranks policies, and here the question is whether to change the HPA.
    let page = page.replacen(&format!(">{}<", escaped(&report.verdict())), &format!(">{verdict}<"), 1);
    match page.rsplit_once("<script>\n") {
        Some((before, script)) => format!("{before}{last}<script>\n{script}"),
        None => page + &last,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::judgement;

    #[test]
    fn being_worse_is_said() {
        for (change, alone, ours, what) in [
            (-0.1, 0.02, 0.001, "better"),
            (0.0, 0.02, 0.001, "better"),
            (-0.1, 0.0, 0.0, "better"),
            (0.1, 0.02, 0.001, "fewer late requests, for money"),
            (-0.1, 0.0, 0.01, "a trade of late requests for money"),
            (0.1, 0.0, 0.01, "worse in both, leave this HPA alone"),
            (0.0, 0.0, 0.01, "worse, leave this HPA alone"),
            (0.1, 0.0, 0.0, "dearer for nothing, leave this HPA alone"),
            (0.001, 0.0, 0.0, "no difference"),
        ] {
            assert_eq!(judgement(change, alone, ours), what, "{change} {alone} {ours}");
        }
    }
}
