//! [`page`]: the report as one page, whole in itself: no network, no fonts, no scripts but its own.

mod chart;

use std::fmt::Write;

use chrono::{DateTime, Datelike, Utc};
use serde::Serialize;

use self::chart::{Chart, LEFT, RIGHT, Tick, WIDTH, nice, number};
use super::{CandidateReport, Report, Summary, TraceReport};

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");
/// Colours before they come again, dashed.
const COLOURS: usize = 8;
/// Shares of violating requests this far apart are told apart on the frontier's axis.
const FINEST: f64 = 1e-4;

pub(super) fn page(report: &Report) -> String {
    let mut html = String::new();
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Backtest of autoscaling policies</title>\n\
         <style>\n{STYLE}</style>\n<h1>Backtest of autoscaling policies</h1>\n"
    );
    html.push_str(INTRODUCTION);
    if report.traces.len() > 1 {
        summary(&mut html, report);
    }
    for (index, trace) in report.traces.iter().enumerate() {
        section(&mut html, trace, index);
    }
    let _ = write!(html, "<script>\n{SCRIPT}</script>\n</html>\n");
    html
}

const INTRODUCTION: &str = "<p>Recorded load, replayed against a simulated cluster: each policy decides, pods take their time to \
    start, and requests that find no capacity wait. What a policy costs is counted in <b>pod-hours</b>, from the creation of a pod to \
    its removal. What its users suffer is the share of <b>violating</b> requests: those that came to a wait longer than the objective, \
    or were dropped.</p>\n<p>The <b>oracle</b> is the cheapest schedule that was possible, had all load been known in advance, with the same \
    start-up time and limits. “× oracle” is a policy's pod-hours over the oracle's at the same share of violating \
    requests; 1 cannot be beaten.</p>\n";

fn summary(html: &mut String, report: &Report) {
    let currency = report.traces.iter().find_map(|trace| trace.currency.as_deref());
    html.push_str("<h2>Over all traces</h2>\n<div class=\"scroll\"><table><tr><th>policy</th><th>× oracle, mean</th>");
    html.push_str("<th>violating, mean</th><th>violation, min</th><th>pod-hours</th><th>changes a day</th>");
    if let Some(currency) = currency {
        let _ = write!(html, "<th>cost, {}</th>", escaped(currency));
    }
    html.push_str("</tr>\n");
    for row in &report.summary {
        let Summary {
            name, oracle_ratio, violating_share, pod_hours, cost, violation_minutes, scale_events_a_day, ..
        } = row;
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
            escaped(name),
            optional(*oracle_ratio, 3),
            percent(*violating_share),
            number(violation_minutes.round()),
            number(pod_hours.round()),
            number(scale_events_a_day.round())
        );
        if currency.is_some() {
            let _ = write!(html, "<td>{}</td>", optional(*cost, 2));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
}

fn section(html: &mut String, trace: &TraceReport, index: usize) {
    let _ = write!(html, "<section class=\"trace\" id=\"trace-{index}\">\n<h2>{}</h2>\n", escaped(&trace.name));
    circumstances(html, trace);
    table(html, trace);
    legend(html, trace);
    html.push_str("<div class=\"readout\">Point at a chart to read it.</div>\n");
    let time = TimeAxis::of(trace);
    load(html, trace, &time);
    pods(html, trace, &time);
    queue(html, trace, &time);
    frontier(html, trace);
    data(html, trace, &time);
    html.push_str("</section>\n");
}

fn circumstances(html: &mut String, trace: &TraceReport) {
    let (scored, model) = (&trace.scored, &trace.model);
    let _ = write!(
        html,
        "<p class=\"soft\">{} count, after {} of history. {} requests. A pod serves {} a second, starts in {} s, \
         metrics are means over {} s and {} s old, decisions every {} s, objective {} s of waiting, {} pods.",
        super::span(scored.seconds()),
        super::span(scored.history_days * 86_400.0),
        number(scored.requests.round()),
        number(model.pod_capacity),
        model.start_up.as_secs(),
        model.metrics_window.as_secs(),
        model.metrics_lag.as_secs(),
        model.sync_period.as_secs(),
        model.objective.as_secs_f64(),
        model.limits
    );
    if scored.gap_seconds > 0.0 {
        let _ = write!(
            html,
            " {} without data count for nothing, nor do {} after them in which pods could not yet fit what came.",
            super::span(scored.gap_seconds),
            super::span(scored.settling_seconds)
        );
    }
    if scored.censored_seconds > 0.0 {
        let _ = write!(
            html,
            " In {:.1} hours the recorded pods were full, so that there may have been more to do than was recorded.",
            scored.censored_seconds / 3600.0
        );
    }
    html.push_str("</p>\n");
}

fn table(html: &mut String, trace: &TraceReport) {
    html.push_str(
        "<div class=\"scroll\"><table><tr><th>policy</th><th>pod-hours</th><th>× oracle</th><th>violating</th><th>violation, min</th>\
         <th>dropped</th><th>changes a day</th><th>peak pods</th><th>utilization 50/95/99, %</th><th>wait p99, s</th>",
    );
    if let Some(currency) = &trace.currency {
        let _ = write!(html, "<th>cost, {}</th>", escaped(currency));
    }
    html.push_str("<th class=\"text\">limited by guards</th></tr>\n");
    for CandidateReport { name, score, .. } in &trace.candidates {
        let used = score.utilization;
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.1}</td><td>{}</td><td>{:.0}</td><td>{}</td>\
             <td>{:.0}/{:.0}/{:.0}</td><td>{:.2}</td>",
            escaped(name),
            one_digit(score.pod_hours),
            optional(score.oracle_ratio, 3),
            percent(score.violating_share),
            score.violation_minutes,
            number(score.dropped_requests.round()),
            score.scale_events_a_day(),
            score.peak_pods,
            used.p50 * 100.0,
            used.p95 * 100.0,
            used.p99 * 100.0,
            score.wait_seconds.p99
        );
        if trace.currency.is_some() {
            let _ = write!(html, "<td>{}</td>", optional(score.cost, 2));
        }
        let guards = score.decisions.as_ref().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(html, "<td class=\"text\">{}</td></tr>", escaped(&guards));
    }
    for (name, point) in trace.oracle.rows() {
        let _ = writeln!(
            html,
            "<tr><td>{name}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            one_digit(point.pod_hours),
            super::proved(point),
            percent(point.violating_share)
        );
    }
    html.push_str("</table></div>\n");
    if let Some(why) = &trace.oracle.lacking {
        let _ = writeln!(html, "<p class=\"soft\">No oracle: {}.</p>", escaped(why));
    }
}

fn legend(html: &mut String, trace: &TraceReport) {
    html.push_str("<div class=\"legend\">");
    html.push_str("<span class=\"legend\"><label><span class=\"swatch load\"></span>load</label></span>");
    if trace.oracle.zero_violations.is_some() {
        html.push_str(&switch("oracle", "swatch oracle", "oracle, none"));
    }
    for (index, candidate) in trace.candidates.iter().enumerate() {
        html.push_str(&switch(&index.to_string(), &format!("swatch {}", colour(index)), &candidate.name));
    }
    html.push_str("</div>\n");
}

fn switch(series: &str, class: &str, name: &str) -> String {
    format!(
        "<label><input type=\"checkbox\" data-series=\"{series}\" checked><span class=\"{class}\"></span>{}</label>",
        escaped(name)
    )
}

fn colour(index: usize) -> String {
    let again = if index < COLOURS { "" } else { " again" };
    format!("s{}{again}", index % COLOURS)
}

/// The horizontal axis of the charts over time.
struct TimeAxis {
    start_s: f64,
    /// True if instants have dates; traces that start their clock at 0 have days.
    dated: bool,
    /// True if the chart is long enough for days.
    in_days: bool,
    ticks: Vec<Tick>,
    /// Share of the charts that does not count.
    settling: f64,
}

impl TimeAxis {
    fn of(trace: &TraceReport) -> Self {
        let length_s = trace.plot.load.len() as f64 * trace.plot.seconds_per_point;
        let seconds = |at: DateTime<Utc>| at.timestamp_millis() as f64 / 1000.0;
        let (counts_from, end) = (seconds(trace.scored.start), seconds(trace.scored.end));
        let start_s = seconds(trace.plot.start);
        let dated = trace.scored.start.year() > 1980;
        let in_days = length_s >= 2.0 * 86_400.0;
        let marks = if in_days {
            nice(start_s / 86_400.0, (start_s + length_s) / 86_400.0, 12)
                .into_iter()
                .map(|day| day * 86_400.0)
                .collect()
        } else {
            nice(start_s / 3600.0, (start_s + length_s) / 3600.0, 12)
                .into_iter()
                .map(|hour| hour * 3600.0)
                .collect::<Vec<_>>()
        };
        let ticks = marks
            .into_iter()
            .map(|at| Tick { at: (at - start_s) / length_s.max(1.0), label: label(at, dated, in_days, length_s) })
            .filter(|tick| (0.0..=1.0).contains(&tick.at))
            .collect();
        let settling = if end > start_s { (counts_from - start_s) / length_s.max(1.0) } else { 0.0 };
        Self { start_s, dated, in_days, ticks, settling }
    }

    fn chart(&self, height: f64, top: f64, unit: &str, label: &str) -> Chart {
        let mut chart = Chart::new(height, (0.0, top.max(f64::MIN_POSITIVE)), unit, label, true);
        chart.shade(self.settling);
        let unit = match (self.dated, self.in_days) {
            (true, _) => "UTC",
            (false, true) => "days of the trace",
            (false, false) => "hours of the trace",
        };
        chart.ticks(&self.ticks, unit);
        chart
    }
}

#[allow(clippy::cast_possible_truncation)] // an instant of a trace
fn label(at_s: f64, dated: bool, in_days: bool, length_s: f64) -> String {
    if !dated {
        return number(at_s / if in_days { 86_400.0 } else { 3600.0 });
    }
    let at = DateTime::from_timestamp(at_s as i64, 0).unwrap_or_default();
    let is_midnight = at_s.rem_euclid(86_400.0) < 1.0;
    at.format(if is_midnight || length_s >= 12.0 * 86_400.0 { "%b %-d" } else { "%H:%M" }).to_string()
}

fn figure(html: &mut String, title: &str, caption: &str, svg: &str) {
    let _ = writeln!(
        html,
        "<h3>{title}</h3>\n<figure><div class=\"scroll\">{svg}</div><figcaption>{caption}</figcaption></figure>"
    );
}

fn largest<'a>(series: impl IntoIterator<Item = &'a [Option<f64>]>) -> f64 {
    series.into_iter().flatten().flatten().copied().fold(0.0, f64::max)
}

fn load(html: &mut String, trace: &TraceReport, time: &TimeAxis) {
    let plot = &trace.plot;
    let mut chart = time.chart(190.0, largest([plot.load_peak.as_slice()]), trace.unit(), "load over time");
    chart.area(&plot.load_peak, "band");
    chart.line(&plot.load, "load");
    chart.marks(&plot.censored, "censored");
    let mut caption = format!(
        "Mean of each {} and, shaded, the busiest step within it. The first, tinted part does not count.",
        super::span(plot.seconds_per_point)
    );
    if plot.censored.contains(&true) {
        caption.push_str(" Marks at the top: the recorded pods were full, and there may have been more to do.");
    }
    figure(html, "Load", &caption, &chart.finish(true));
}

fn pods(html: &mut String, trace: &TraceReport, time: &TimeAxis) {
    let plot = &trace.plot;
    let all = trace.candidates.iter().map(|candidate| candidate.plot.pods.as_slice());
    let mut chart = time.chart(280.0, largest(all.chain([plot.oracle_pods.as_slice()])), "pods", "pods over time");
    for (index, candidate) in trace.candidates.iter().enumerate() {
        chart.line(&candidate.plot.pods, &format!("{} series-{index}", colour(index)));
    }
    chart.line(&plot.oracle_pods, "oracle series-oracle");
    figure(html, "Pods", "Paid for, starting ones included.", &chart.finish(true));
}

fn queue(html: &mut String, trace: &TraceReport, time: &TimeAxis) {
    let all = trace.candidates.iter().map(|candidate| candidate.plot.queue.as_slice());
    let mut chart = time.chart(190.0, largest(all), "waiting", "queue over time");
    for (index, candidate) in trace.candidates.iter().enumerate() {
        chart.line(&candidate.plot.queue, &format!("{} series-{index}", colour(index)));
    }
    figure(html, "Queue", "The most requests that waited at a time.", &chart.finish(true));
}

/// Where a share of violating requests lies on the axis: even steps for tenfold shares, with room for none at all.
fn on_frontier(share: f64) -> f64 {
    let place = |share: f64| (1.0 + share / FINEST).log10();
    place(share.clamp(0.0, 1.0)) / place(1.0)
}

fn frontier(html: &mut String, trace: &TraceReport) {
    let oracle: Vec<(f64, f64)> =
        trace.oracle.frontier.iter().map(|point| (on_frontier(point.violating_share), point.pod_hours)).collect();
    let scored =
        |candidate: &CandidateReport| (on_frontier(candidate.score.violating_share), candidate.score.pod_hours);
    let costs: Vec<f64> = trace.candidates.iter().map(|candidate| candidate.score.pod_hours).collect();
    let all = || costs.iter().copied().chain(oracle.iter().map(|(_, cost)| *cost));
    let (top, bottom) = (all().fold(0.0, f64::max), all().fold(f64::MAX, f64::min));
    let range = ((bottom * 0.9).min(top), top.max(f64::MIN_POSITIVE) * 1.05);
    let mut chart = Chart::new(320.0, range, "pod-hours", "cost against violations", false);
    let marks = [0.0, 0.0001, 0.001, 0.01, 0.1, 1.0];
    let ticks: Vec<Tick> =
        marks.map(|share| Tick { at: on_frontier(share), label: format!("{} %", share * 100.0) }).into();
    chart.ticks(&ticks, "violating requests");
    chart.join(&oracle, "oracle series-oracle");
    let mut families: Vec<&str> = trace.candidates.iter().filter_map(|one| one.family.as_deref()).collect();
    families.sort_unstable();
    families.dedup();
    for family in families {
        let members: Vec<_> =
            trace.candidates.iter().enumerate().filter(|(_, one)| one.family.as_deref() == Some(family)).collect();
        let mut points: Vec<_> = members.iter().map(|(_, one)| (one.parameter.unwrap_or(0.0), scored(one))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let points: Vec<_> = points.into_iter().map(|(_, point)| point).collect();
        if let (Some((index, _)), true) = (members.first(), points.len() > 1) {
            chart.join(&points, &colour(*index));
        }
    }
    for (index, candidate) in trace.candidates.iter().enumerate() {
        let score = &candidate.score;
        let title = format!(
            "{}: {:.1} pod-hours, {} violating",
            candidate.name,
            score.pod_hours,
            percent(score.violating_share)
        );
        // Of a family its ends are named; the others lie between them.
        let settings = trace.candidates.iter().filter(|one| one.family.is_some() && one.family == candidate.family);
        let values: Vec<f64> = settings.filter_map(|one| one.parameter).collect();
        let inner = candidate.parameter.is_some_and(|value| {
            values.iter().any(|other| *other < value) && values.iter().any(|other| *other > value)
        });
        let label = if inner { "" } else { candidate.name.as_str() };
        chart.point(scored(candidate), &format!("{} series-{index}", colour(index)), &title, label);
    }
    let caption = "Lower and further left is better; no policy lies below the oracle's dashed line. Settings of one parameter are joined, to be \
                   found again. The horizontal axis widens small shares.";
    figure(html, "Cost against violations", caption, &chart.finish(false));
}

/// Numbers that the script of the page reads when the pointer moves.
#[derive(Serialize)]
struct Data<'a> {
    width: f64,
    left: f64,
    right: f64,
    start_s: f64,
    seconds_per_point: f64,
    dated: bool,
    in_days: bool,
    unit: &'a str,
    load: &'a [Option<f64>],
    oracle: &'a [Option<f64>],
    candidates: Vec<DataCandidate<'a>>,
}

#[derive(Serialize)]
struct DataCandidate<'a> {
    name: &'a str,
    pods: &'a [Option<f64>],
    queue: &'a [Option<f64>],
}

fn data(html: &mut String, trace: &TraceReport, time: &TimeAxis) {
    let candidates = trace.candidates.iter().map(|one| DataCandidate {
        name: &one.name,
        pods: &one.plot.pods,
        queue: &one.plot.queue,
    });
    let unit = format!(" {}", trace.unit());
    let data = Data {
        width: WIDTH,
        left: LEFT,
        right: RIGHT,
        start_s: time.start_s,
        seconds_per_point: trace.plot.seconds_per_point,
        dated: time.dated,
        in_days: time.in_days,
        unit: &unit,
        load: &trace.plot.load,
        oracle: &trace.plot.oracle_pods,
        candidates: candidates.collect(),
    };
    // Plain numbers and texts always have a JSON form; a `<` in a name must not end the script.
    let json = serde_json::to_string(&data).unwrap_or_default().replace('<', "\\u003c");
    let _ = writeln!(html, "<script type=\"application/json\">{json}</script>");
}

/// Text that is only text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

fn percent(share: f64) -> String {
    format!("{:.3} %", share * 100.0)
}

/// One digit after the point, thousands apart.
fn one_digit(value: f64) -> String {
    if value.abs() >= 1000.0 { number(value.round()) } else { format!("{value:.1}") }
}
