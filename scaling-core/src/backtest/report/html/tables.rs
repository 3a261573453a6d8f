//! Tables of the page, best policies first.

use std::fmt::Write;

use super::super::{CandidateReport, Report, Summary, TraceReport, proved};
use super::{escaped, number};
use crate::stats::significant;

/// Head of the column that compares policies; its meaning shows when pointed at, and stands in the text above.
const ORACLE: &str = "<th><abbr title=\"pod-hours over the least that was possible at the same share of violating requests\">× oracle</abbr></th>";

pub(super) fn summary(html: &mut String, report: &Report) {
    let currency = report.traces.iter().find_map(|trace| trace.currency.as_deref());
    let _ = write!(
        html,
        "<h2>Over all traces</h2>\n<div class=\"scroll\"><table><tr><th>policy</th>{ORACLE}<th>violating, mean</th><th>pod-hours</th>\
         <th>violation, min</th><th>changes of pods a day</th><th>changes of bounds a day</th>"
    );
    cost_head(html, currency);
    html.push_str("</tr>\n");
    let first = report.best().filter(|_| report.summary.len() > 1);
    for (place, row) in report.ranking().into_iter().filter_map(|place| Some((place, report.summary.get(place)?))) {
        let Summary { name, oracle_ratio, violating_share, pod_hours, cost, violation_minutes, .. } = row;
        let _ = write!(
            html,
            "<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
            best(first == Some(place)),
            escaped(name),
            optional(*oracle_ratio, 3),
            percent(*violating_share),
            number(pod_hours.round()),
            number(violation_minutes.round()),
            number(row.scale_events_a_day.round()),
            number(row.bound_changes_a_day.round())
        );
        if currency.is_some() {
            let _ = write!(html, "<td>{}</td>", money(*cost));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
}

pub(super) fn candidates(html: &mut String, trace: &TraceReport) {
    let _ = write!(
        html,
        "<div class=\"scroll\"><table><tr><th>policy</th>{ORACLE}<th>violating</th><th>pod-hours</th><th>violation, min</th>\
         <th>dropped</th><th>changes of pods a day</th><th>changes of bounds a day</th><th>peak pods</th>\
         <th>utilization 50/95/99, %</th><th>wait p99, s</th>"
    );
    let currency = trace.currency.as_deref();
    cost_head(html, currency);
    html.push_str("<th class=\"text\">limited by guards</th></tr>\n");
    let ranked = trace.ranking().into_iter().filter_map(|place| Some((place, trace.candidates.get(place)?)));
    let first = trace.best().filter(|_| trace.candidates.len() > 1);
    for (place, CandidateReport { name, score, .. }) in ranked {
        let used = score.utilization;
        let mut notes = String::new();
        for note in &score.notes {
            let _ = write!(notes, "<small>{}</small>", escaped(&note.to_string()));
        }
        let _ = write!(
            html,
            "<tr{}><td data-series=\"{place}\">{}{notes}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.0}</td>\
             <td>{:.0}</td><td>{}</td><td>{:.0}/{:.0}/{:.0}</td><td>{:.2}</td>",
            best(first == Some(place)),
            escaped(name),
            optional(score.oracle_ratio, 3),
            percent(score.violating_share),
            one_digit(score.pod_hours),
            one_digit(score.violation_minutes),
            number(score.dropped_requests.round()),
            score.scale_events_a_day(),
            score.bound_changes_a_day(),
            score.peak_pods,
            used.p50 * 100.0,
            used.p95 * 100.0,
            used.p99 * 100.0,
            score.wait_seconds.p99
        );
        if currency.is_some() {
            let _ = write!(html, "<td>{}</td>", money(score.cost));
        }
        let guards = score.decisions.as_ref().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(html, "<td class=\"text\">{}</td></tr>", escaped(&guards));
    }
    for (name, point) in trace.oracle.rows() {
        let _ = writeln!(
            html,
            "<tr class=\"reference\"><td data-series=\"oracle\">{name}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            proved(point),
            percent(point.violating_share),
            one_digit(point.pod_hours)
        );
    }
    html.push_str("</table></div>\n");
    if let Some(why) = &trace.oracle.lacking {
        let _ = writeln!(html, "<p class=\"soft\">No oracle: {}.</p>", escaped(why));
    }
}

fn cost_head(html: &mut String, currency: Option<&str>) {
    if let Some(currency) = currency {
        let _ = write!(html, "<th>cost, {}</th>", escaped(currency));
    }
}

fn best(is_best: bool) -> &'static str {
    if is_best { " class=\"best\"" } else { "" }
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

fn money(cost: Option<f64>) -> String {
    cost.map_or_else(|| "–".to_owned(), |cost| significant(cost, 2))
}

fn percent(share: f64) -> String {
    format!("{:.3} %", share * 100.0)
}

/// One digit after the point, thousands apart.
fn one_digit(value: f64) -> String {
    if value.abs() >= 1000.0 { number(value.round()) } else { format!("{value:.1}") }
}
