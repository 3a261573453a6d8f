//! [`Patterns::to_html`]: the patterns as one page, whole in itself: no network, no fonts, no script.

use std::fmt::Write;

use scaling_core::web::{PALETTE, escaped};

use super::Patterns;
use super::found::{Evidence, Stretch, UsualDay, Verdict};
use super::heat::{DAYS, share};
use super::text::{chance, length, number};

const STYLE: &str = include_str!("html/style.css");
/// Size of the chart of a usual day, and the room below it for hours.
const WIDE: f64 = 640.0;
const HIGH: f64 = 150.0;
const BELOW: f64 = 20.0;

impl Patterns {
    /// The patterns as a page under a title, such as the workload's name: one file, without network or scripts, light and dark,
    /// from 400 px wide.
    pub fn to_html(&self, title: &str) -> String {
        let title = escaped(title);
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Load patterns: {title}</title>\n\
             <style>\n{PALETTE}{STYLE}</style>\n<h1>Load patterns: {title}</h1>\n<p class=\"soft\">{}</p>\n",
            escaped(&self.origin())
        );
        self.write_heat(&mut html);
        self.write_periods(&mut html);
        for usual in &self.usual_days {
            write_usual(&mut html, usual);
        }
        self.write_weekdays(&mut html);
        let _ = write!(html, "<h2>Course</h2>\n<p>{}</p>\n", escaped(&self.course_told()));
        self.write_events(&mut html);
        list(&mut html, "Spikes", &self.spikes_told(), "No spike stands out.");
        let untold: Vec<_> = self.untold.iter().map(ToString::to_string).collect();
        list(&mut html, "What the data cannot tell", &untold, "Nothing that was asked.");
        html.push_str("</html>\n");
        html
    }

    /// Hours as rows, so that numbers fit on a narrow screen.
    fn write_heat(&self, html: &mut String) {
        let highest = self.heat.highest();
        let _ = write!(
            html,
            "<h2>The week</h2>\n<table class=\"heat\"><caption>Usual load by hour and weekday ({}), the median over such days. Darker is \
             more, up to {}.</caption>\n<thead><tr><th scope=\"col\">hour</th>",
            escaped(self.time_zone.name()),
            number(highest)
        );
        for day in DAYS {
            let _ = write!(html, "<th scope=\"col\">{day}</th>");
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for hour in 0..24 {
            let _ = write!(html, "<tr><th scope=\"row\">{hour:02}</th>");
            for (day, row) in DAYS.iter().zip(&self.heat.rows) {
                let _ = match row.get(hour).copied().flatten() {
                    Some(value) => write!(
                        html,
                        "<td style=\"--of:{:.3}\" title=\"{day} {hour:02}:00: {}\">{}</td>",
                        share(value, highest),
                        number(value),
                        short(value)
                    ),
                    None => write!(html, "<td class=\"unseen\" title=\"{day} {hour:02}:00: not seen\">–</td>"),
                };
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table>\n");
    }

    fn write_periods(&self, html: &mut String) {
        html.push_str(
            "<h2>Periods</h2>\n<p class=\"soft\">Each day is predicted from the days before it, with the period and without, relative to the level around it.</p>\n\
             <div class=\"scroll\"><table><thead><tr><th scope=\"col\">period</th><th scope=\"col\" class=\"text\">there?</th>\
             <th scope=\"col\">error falls by</th><th scope=\"col\">on days</th><th scope=\"col\">by chance</th>\
             <th scope=\"col\">correlation</th></tr></thead>\n<tbody>\n",
        );
        let weekend =
            ("weekend or not".to_owned(), self.weekend.verdict, self.weekend.strength, self.weekend.evidence, None);
        let periods = self.periods.iter().map(|period| {
            (length(period.minutes), period.verdict, period.strength, period.evidence, period.autocorrelation)
        });
        for (name, verdict, strength, evidence, correlation) in periods.chain([weekend]) {
            let strength = strength.map_or_else(none, |strength| format!("{:.0} %", strength * 100.0));
            let correlation = correlation.map_or_else(none, |correlation| format!("{correlation:.2}"));
            let _ = writeln!(
                html,
                "<tr><td>{name}</td>{}<td>{strength}</td>{}<td>{correlation}</td></tr>",
                judged(verdict),
                counted(evidence.as_ref())
            );
        }
        html.push_str("</tbody></table></div>\n");
    }

    fn write_weekdays(&self, html: &mut String) {
        let ratio = self.weekend.ratio.map_or_else(none, |ratio| format!("{ratio:.2}"));
        let _ = write!(
            html,
            "<h2>Weekdays</h2>\n<p>A day of the weekend has {ratio} × the load of another day.</p>\n\
             <div class=\"scroll\"><table><thead><tr><th scope=\"col\">day</th><th scope=\"col\">× the week's mean</th>\
             <th scope=\"col\">days seen</th><th scope=\"col\" class=\"text\">differs?</th><th scope=\"col\">by chance</th></tr></thead>\n\
             <tbody>\n"
        );
        for weekday in &self.weekdays {
            let level = weekday.level.map_or_else(none, |level| format!("{level:.2}"));
            let rate = weekday.evidence.map_or_else(none, |evidence| chance(evidence.error_rate));
            let _ = writeln!(
                html,
                "<tr><td>{}</td><td>{level}</td><td>{}</td>{}<td>{}</td></tr>",
                weekday.day,
                weekday.days_seen,
                judged(weekday.verdict),
                escaped(&rate)
            );
        }
        html.push_str("</tbody></table></div>\n");
    }

    fn write_events(&self, html: &mut String) {
        let events: Vec<_> = self.events.iter().map(ToString::to_string).collect();
        list(html, "Recurring events", &events, "Nothing else recurs that the data show.");
    }
}

fn kinds(usual: &UsualDay) -> impl Iterator<Item = (&'static str, &Stretch)> {
    usual.peaks.iter().map(|peak| ("peak", peak)).chain(usual.lows.iter().map(|low| ("low", low)))
}

/// The usual day as a line, peaks and lows tinted.
fn chart(html: &mut String, usual: &UsualDay) {
    let highest = usual.slots.iter().flatten().copied().fold(0.0, f64::max);
    let slots = usual.slots.len().max(1) as f64;
    let y = |value: f64| HIGH - share(value, highest) * (HIGH - 10.0);
    let _ = write!(
        html,
        "<figure><svg viewBox=\"0 0 {WIDE} {}\" role=\"img\" aria-label=\"Usual load over the day, up to {}\">",
        HIGH + BELOW,
        number(highest)
    );
    for (kind, stretch) in kinds(usual) {
        let x =
            |time: chrono::NaiveTime| f64::from(chrono::Timelike::num_seconds_from_midnight(&time)) / 86_400.0 * WIDE;
        let (from, to) = (x(stretch.from), x(stretch.to));
        // Over midnight it is two.
        let parts = if to > from { [(from, to), (0.0, 0.0)] } else { [(from, WIDE), (0.0, to)] };
        for (from, to) in parts.into_iter().filter(|(from, to)| to > from) {
            let _ = write!(
                html,
                "<rect class=\"{kind}\" x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"{HIGH}\"><title>{kind} {}</title></rect>",
                to - from,
                escaped(&stretch.to_string())
            );
        }
    }
    let mut path = String::new();
    let mut before = false;
    for (slot, value) in usual.slots.iter().enumerate() {
        if let Some(value) = value {
            let (from, to, y) = (slot as f64 / slots * WIDE, (slot as f64 + 1.0) / slots * WIDE, y(*value));
            let _ = write!(path, "{}{from:.1} {y:.1}H{to:.1}", if before { "L" } else { "M" });
        }
        before = value.is_some();
    }
    let mean = y(usual.mean);
    let _ = write!(
        html,
        "<line class=\"mean\" x1=\"0\" x2=\"{WIDE}\" y1=\"{mean:.1}\" y2=\"{mean:.1}\"><title>mean {}</title></line>\
         <path class=\"line\" d=\"{path}\"/><line class=\"axis\" x1=\"0\" x2=\"{WIDE}\" y1=\"{HIGH}\" y2=\"{HIGH}\"/>",
        number(usual.mean)
    );
    for hour in [0, 6, 12, 18, 24] {
        let anchor = match hour {
            0 => "start",
            24 => "end",
            _ => "middle",
        };
        let _ = write!(
            html,
            "<text x=\"{:.0}\" y=\"{}\" text-anchor=\"{anchor}\">{hour:02}:00</text>",
            f64::from(hour) / 24.0 * WIDE,
            HIGH + BELOW - 4.0
        );
    }
    html.push_str(
        "</svg><figcaption>Median over the days. Dashed: the mean. Tinted: peaks and lows.</figcaption></figure>\n",
    );
}

fn list(html: &mut String, title: &str, lines: &[String], nothing: &str) {
    let _ = writeln!(html, "<h2>{title}</h2>");
    if lines.is_empty() {
        let _ = writeln!(html, "<p>{nothing}</p>");
        return;
    }
    html.push_str("<ul>\n");
    for line in lines {
        let _ = writeln!(html, "<li>{}</li>", escaped(line));
    }
    html.push_str("</ul>\n");
}

/// A cell with the answer.
fn judged(verdict: Verdict) -> String {
    match verdict {
        Verdict::Proven => "<td class=\"yes text\">proven</td>".to_owned(),
        Verdict::NotShown => "<td class=\"text\">not shown</td>".to_owned(),
        Verdict::CannotTell(lack) => {
            format!("<td class=\"text\" title=\"{}\">cannot be told</td>", escaped(&lack.to_string()))
        }
    }
}

/// Two cells: days, and chance.
fn counted(evidence: Option<&Evidence>) -> String {
    match evidence {
        Some(Evidence { trials, successes, error_rate, .. }) => {
            format!("<td>{successes} of {trials}</td><td>{}</td>", escaped(&chance(*error_rate)))
        }
        None => "<td>–</td><td>–</td>".to_owned(),
    }
}

fn none() -> String {
    "–".to_owned()
}

/// A load in four letters or so.
fn short(value: f64) -> String {
    let scaled = [(1e9, "G"), (1e6, "M"), (1e3, "k")].into_iter().find(|(size, _)| value >= size * 0.9995);
    match scaled {
        _ if value >= 1e13 => format!("{value:.0e}"),
        Some((size, unit)) if value >= size * 99.5 => format!("{:.0}{unit}", value / size),
        Some((size, unit)) => format!("{:.1}{unit}", value / size),
        None if value >= 99.5 || value == 0.0 => format!("{value:.0}"),
        None if value >= 0.05 => format!("{value:.1}"),
        None => format!("{value:.0e}"),
    }
}

fn write_usual(html: &mut String, usual: &UsualDay) {
    let _ = writeln!(html, "<h2>Usual day: {}</h2>", escaped(&usual.told()));
    chart(html, usual);
    if usual.peaks.is_empty() && usual.lows.is_empty() {
        html.push_str("<p>No high or low time is proven.</p>\n");
        return;
    }
    html.push_str(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">time</th><th scope=\"col\">from</th><th scope=\"col\">to</th>\
         <th scope=\"col\">× the day's mean</th><th scope=\"col\">extreme</th><th scope=\"col\">at</th><th scope=\"col\">on days</th>\
         <th scope=\"col\">by chance</th></tr></thead>\n<tbody>\n",
    );
    for (name, stretch) in kinds(usual) {
        let Stretch { from, to, level, extreme, extreme_at, evidence } = stretch;
        let _ = writeln!(
            html,
            "<tr><td>{name}</td><td>{}</td><td>{}</td><td>{level:.2}</td><td>{extreme:.2}</td><td>{}</td>{}</tr>",
            from.format("%H:%M"),
            to.format("%H:%M"),
            extreme_at.format("%H:%M"),
            counted(Some(evidence))
        );
    }
    html.push_str("</tbody></table></div>\n");
}
