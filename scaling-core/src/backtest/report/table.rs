//! [`Report::to_table`]: the report for a terminal.

use std::fmt::Write;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use super::{Report, TraceReport};
use crate::stats::{grouped, significant};

/// Meaning of a column that its head cannot hold.
const ORACLE: &str = "\n× oracle: pod-hours over the least that any schedule could have had at the same share of violating requests, had all\n\
                      load been known in advance. It compares policies at equal violations; 1 cannot be beaten.\n\
                      *: the least of the policies with at most 1 % of requests violating, or of all if there is none.\n";

impl Report {
    /// Writes tables for a terminal, best candidates first: one for each trace, with its load and pods as lines of blocks, and one
    /// over all if there are several. The text is the same wherever it goes, in UTF-8.
    pub fn to_table(&self) -> String {
        let mut text = String::new();
        for trace in &self.traces {
            trace.write_table(&mut text);
        }
        if self.traces.len() > 1 {
            self.write_summary(&mut text);
        }
        for left in &self.left_out {
            let _ = writeln!(text, "{left}");
        }
        if !self.traces.is_empty() {
            text.push_str(ORACLE);
        }
        text
    }

    fn write_summary(&self, text: &mut String) {
        let currency = self.traces.iter().find_map(|trace| trace.currency.as_deref());
        let mut header =
            vec!["over all traces", "× oracle", "violating", "viol. min", "pod-hours", "changes/day", "bounds/day"];
        header.extend(currency);
        let mut table = table(&header);
        let best = self.best();
        for (place, row) in self.ranking().into_iter().filter_map(|place| Some((place, self.summary.get(place)?))) {
            let mut cells = vec![
                marked(&row.name, best == Some(place) && self.summary.len() > 1),
                optional(row.oracle_ratio, 3),
                percent(row.violating_share),
                grouped(row.violation_minutes, 0),
                grouped(row.pod_hours, 1),
                grouped(row.scale_events_a_day, 0),
                grouped(row.bound_changes_a_day, 0),
            ];
            if currency.is_some() {
                cells.push(money(row.cost));
            }
            table.add_row(cells);
        }
        let _ = writeln!(text, "\n{table}\n{}", self.verdict());
    }
}

impl TraceReport {
    fn write_table(&self, text: &mut String) {
        let scored = &self.scored;
        let _ = write!(text, "\n{}: {}", self.name, self.period());
        let _ = write!(
            text,
            "\n{} count, after {} of history; {} requests, a pod serves {}/s",
            super::span(scored.seconds()),
            super::span(scored.history_days * 86_400.0),
            grouped(scored.requests, 0),
            significant(self.model.pod_capacity, 2)
        );
        for (what, seconds) in [
            ("without data", scored.gap_seconds),
            ("after that for pods to settle", scored.settling_seconds),
            ("with full pods recorded", scored.censored_seconds),
        ] {
            if seconds > 0.0 {
                let _ = write!(text, "; {:.1} h {what}", seconds / 3600.0);
            }
        }
        let mut header = vec![
            "candidate",
            "pod-hours",
            "× oracle",
            "violating",
            "viol. min",
            "dropped",
            "changes/day",
            "bounds/day",
            "util. 50/95/99 %",
            "wait p99",
        ];
        header.extend(self.currency.as_deref());
        header.push("limited by");
        let mut table = table(&header);
        let best = self.best().filter(|_| self.candidates.len() > 1);
        let ranked = || self.ranking().into_iter().filter_map(|place| Some((place, self.candidates.get(place)?)));
        for (place, candidate) in ranked() {
            let score = &candidate.score;
            let used = score.utilization;
            let mut cells = vec![
                marked(&candidate.name, best == Some(place)),
                grouped(score.pod_hours, 1),
                optional(score.oracle_ratio, 3),
                percent(score.violating_share),
                grouped(score.violation_minutes, 1),
                grouped(score.dropped_requests, 0),
                grouped(score.scale_events_a_day(), 0),
                grouped(score.bound_changes_a_day(), 0),
                format!("{:.0}/{:.0}/{:.0}", used.p50 * 100.0, used.p95 * 100.0, used.p99 * 100.0),
                format!("{:.2} s", score.wait_seconds.p99),
            ];
            if self.currency.is_some() {
                cells.push(money(score.cost));
            }
            cells.push(score.decisions.as_ref().map(ToString::to_string).unwrap_or_default());
            table.add_row(cells);
        }
        for (name, point) in self.oracle.rows() {
            let proved = super::proved(point);
            table.add_row(vec![name.to_owned(), grouped(point.pod_hours, 1), proved, percent(point.violating_share)]);
        }
        let _ = writeln!(text, "\n{table}");
        if let Some(why) = &self.oracle.lacking {
            let _ = writeln!(text, "no oracle: {why}");
        }
        for (_, candidate) in ranked() {
            for note in &candidate.score.notes {
                let _ = writeln!(text, "note: {}: {note}", candidate.name);
            }
        }
        text.push('\n');
        self.write_sparks(text);
        let _ = writeln!(text, "{}", self.verdict());
    }
}

/// Marks the best of several.
fn marked(name: &str, is_best: bool) -> String {
    if is_best { format!("{name} *") } else { name.to_owned() }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule)).set_header(header.to_vec());
    let last = header.len().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        let is_text = index == 0 || (index == last && header.last() == Some(&"limited by"));
        column.set_cell_alignment(if is_text { CellAlignment::Left } else { CellAlignment::Right });
    }
    table
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn money(cost: Option<f64>) -> String {
    cost.map_or_else(|| "-".to_owned(), |cost| significant(cost, 2))
}

fn percent(share: f64) -> String {
    format!("{:.3} %", share * 100.0)
}
