//! [`page`]: the report as one page, whole in itself: no network, no fonts, no scripts but its own.
//!
//! Sentences and tables are written here and need no script. Charts are drawn by the page's script, from the numbers that
//! [`data`] writes beside them: it knows how wide the screen is, and which part of the time is looked at.

mod data;
mod tables;

use std::fmt::Write;

use super::{Report, TraceReport};
use crate::stats::{grouped, significant};
use crate::web::{PALETTE, escaped};

/// Palette, shared with the status page, and style.
const STYLE: [&str; 2] = [PALETTE, include_str!("html/style.css")];
/// One script in four parts, in this order: what numbers look like, as on the status page, and instants, a chart, the page.
const SCRIPT: [&str; 4] = [
    include_str!("../../web/numbers.js"),
    include_str!("html/format.js"),
    include_str!("html/chart.js"),
    include_str!("html/page.js"),
];

pub(super) fn page(report: &Report) -> String {
    let mut html = String::new();
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Backtest of autoscaling policies</title>\n\
         <style>\n{}</style>\n<h1>Backtest of autoscaling policies</h1>\n<p class=\"verdict\">{}</p>\n",
        STYLE.concat(),
        escaped(&report.verdict())
    );
    origin(&mut html, report);
    html.push_str(INTRODUCTION);
    if report.traces.len() > 1 {
        tables::summary(&mut html, report);
    }
    for (index, trace) in report.traces.iter().enumerate() {
        section(&mut html, trace, index, report.traces.len() > 1);
    }
    html.push_str("<script>\n\"use strict\";\n");
    for part in SCRIPT {
        html.push_str(part);
    }
    html.push_str("</script>\n</html>\n");
    html
}

const INTRODUCTION: &str = "<details><summary>How to read it</summary>\n<p>Recorded load, replayed against a simulated cluster: each policy \
    decides, pods take their time to start, and requests that find no capacity wait. What a policy costs is counted in <b>pod-hours</b>, \
    from the creation of a pod to its removal. What its users suffer is the share of <b>violating</b> requests: those that came to a wait \
    longer than the objective, or were dropped.</p>\n<p>The <b>oracle</b> is the cheapest schedule that was possible, had all load been known in \
    advance, with the same start-up time and limits. <b>× oracle</b> is a policy's pod-hours over the oracle's at the same share of violating \
    requests; 1 cannot be beaten. Rows are sorted by it.</p></details>\n";

/// Where the page comes from: version, command, and the time that each trace covers.
fn origin(html: &mut String, report: &Report) {
    let _ = write!(html, "<dl class=\"origin\"><dt>Made by</dt><dd>scaling-core {}</dd>", escaped(&report.version));
    if let Some(command) = &report.command {
        let _ = write!(html, "<dt>Command</dt><dd><code>{}</code></dd>", escaped(command));
    }
    for trace in &report.traces {
        let _ = write!(html, "<dt>{}</dt><dd>{}</dd>", escaped(&trace.name), escaped(&trace.period()));
    }
    for left in &report.left_out {
        let _ = write!(html, "<dt>{}</dt><dd>left out: {}</dd>", escaped(&left.name), escaped(&left.why));
    }
    html.push_str("</dl>\n");
}

fn section(html: &mut String, trace: &TraceReport, index: usize, of_several: bool) {
    let _ = write!(html, "<section class=\"trace\" id=\"trace-{index}\">\n<h2>{}</h2>\n", escaped(&trace.name));
    if of_several {
        let _ = writeln!(html, "<p class=\"verdict\">{}</p>", escaped(&trace.verdict()));
    }
    circumstances(html, trace);
    tables::candidates(html, trace);
    html.push_str(
        "<noscript><p>The charts are drawn by the script of this page, which is switched off.</p></noscript>\n<div class=\"charts\" hidden>\n\
         <div class=\"controls\"></div>\n<div class=\"legend\"></div>\n<div class=\"readout\" aria-live=\"off\"></div>\n",
    );
    for (name, title) in [("overview", "The whole trace"), ("load", "Load"), ("pods", "Pods"), ("queue", "Queue")] {
        figure(html, name, title, &caption(name, trace));
    }
    figure(html, "frontier", "Cost against violations", &caption("frontier", trace));
    html.push_str("</div>\n");
    data::write(html, trace);
    html.push_str("</section>\n");
}

fn figure(html: &mut String, name: &str, title: &str, caption: &str) {
    let _ = writeln!(
        html,
        "<figure><h3>{title}</h3><div class=\"chart\" data-chart=\"{name}\"></div><figcaption>{caption}</figcaption></figure>"
    );
}

fn caption(chart: &str, trace: &TraceReport) -> String {
    let mut caption = match chart {
        "overview" => "Tinted: the history that policies may learn from, and the time to settle; neither counts. Drag over a chart to look \
                       closer, or choose a day.",
        "load" => "Line: mean. Shaded: up to the busiest step.",
        "pods" => "Paid for, starting ones included. Line: mean. Shaded: up to the most at a time.",
        "queue" => "The most requests that waited at a time.",
        _ => "Lower and further left is better; no policy lies below the oracle's line. The horizontal axis widens small shares. Arrows point to \
              policies that cost more than the chart shows.",
    }
    .to_owned();
    if chart == "load" && trace.plot.censored.contains(&true) {
        caption.push_str(" Marks at the top: the recorded pods were full, and there may have been more to do.");
    }
    caption
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

/// Text that is only text.
/// A number as people read it: thousands apart, no more digits than it has.
fn number(value: f64) -> String {
    let text = if value.abs() >= 100.0 || value == 0.0 {
        grouped(value, 0)
    } else if value.abs() >= 1.0 {
        grouped(value, 1)
    } else {
        significant(value, 3)
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_people() {
        let texts: Vec<_> = [0.0, 1.0, 1234.5, 1_234_567.0, 12.34, 0.25, 0.000_04, -4200.0].map(number).into();
        assert_eq!(texts, ["0", "1", "1,234", "1,234,567", "12.3", "0.25", "0.00004", "-4,200"]);
    }
}
