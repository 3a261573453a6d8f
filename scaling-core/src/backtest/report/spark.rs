//! Load and pods as lines of blocks, for the place below a table: each fits 80 columns.

use std::fmt::Write;

use super::TraceReport;
use crate::backtest::DemandBasis;

/// Heights of a block, from nothing to full.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns of a name, of a line, and of the largest value after it: 79 with the spaces between.
const NAME: usize = 16;
const COLUMNS: usize = 48;
/// Candidates that are drawn, best first: more lines than these say no more.
const MOST: usize = 6;

impl TraceReport {
    /// Writes the load, the oracle's pods, and the pods of the best candidates over the time of the replay: the highest value of
    /// each column, all pods to one scale. A gap is a dot.
    pub(super) fn write_sparks(&self, text: &mut String) {
        let plot = &self.plot;
        let load = columns(&plot.load_peak);
        let most_load = largest(&load);
        let end = match self.facts.basis {
            DemandBasis::RequestRate => format!("{most_load:.0}/s"),
            DemandBasis::CpuUsage => format!("{most_load:.1} full"),
        };
        line(text, "load", &load, most_load, &end);
        let best = self.best();
        let others = self.ranking().into_iter().filter(|place| Some(*place) != best);
        let candidates = best.into_iter().chain(others).filter_map(|place| self.candidates.get(place)).take(MOST);
        let pods: Vec<_> = candidates.map(|one| (one.name.as_str(), columns(&one.plot.pods_peak))).collect();
        let oracle =
            Some(("oracle, none", columns(&plot.oracle_pods))).filter(|_| self.oracle.zero_violations.is_some());
        let rows: Vec<_> = oracle.into_iter().chain(pods).collect();
        let most = rows.iter().map(|(_, row)| largest(row)).fold(0.0, f64::max);
        for (name, row) in &rows {
            line(text, name, row, most, &format!("{:.0} pods", largest(row)));
        }
    }
}

/// The highest value of each of at most so many columns.
fn columns(values: &[Option<f64>]) -> Vec<Option<f64>> {
    let number = COLUMNS.min(values.len());
    let column = |nth: usize| {
        let range = nth * values.len() / number..(nth + 1) * values.len() / number;
        values.get(range).into_iter().flatten().flatten().copied().reduce(f64::max)
    };
    (0..number).map(column).collect()
}

fn largest(values: &[Option<f64>]) -> f64 {
    values.iter().flatten().copied().fold(0.0, f64::max)
}

fn line(text: &mut String, name: &str, values: &[Option<f64>], most: f64, end: &str) {
    let short: String = if name.chars().count() > NAME {
        name.chars().take(NAME - 1).chain(['…']).collect()
    } else {
        name.to_owned()
    };
    let bar: String = values.iter().map(|value| value.map_or('·', |value| block(value, most))).collect();
    let _ = writeln!(text, " {short:NAME$} {bar} {end}");
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and the number of blocks
fn block(value: f64, most: f64) -> char {
    let share = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
    let height = (share * (BLOCKS.len() - 1) as f64).ceil() as usize;
    BLOCKS.get(height).copied().unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_seen_and_every_line_fits_80_columns() {
        let mut values = vec![Some(1.0); 4000];
        values[1234] = Some(8.0);
        values[3999] = None;
        let columns = columns(&values);
        assert_eq!((columns.len(), largest(&columns)), (COLUMNS, 8.0));
        let mut text = String::new();
        line(&mut text, "a policy with a long name", &columns, 8.0, "1234567890/s");
        assert!(
            text.trim_end().chars().count() <= 80 && text.contains('█') && text.contains("a policy with a… ▁"),
            "{text}"
        );
        let gap: Vec<_> = super::columns(&[Some(2.0), None]);
        let mut text = String::new();
        line(&mut text, "gap", &gap, 2.0, "");
        assert!(text.contains("█·"), "{text}");
        assert_eq!((block(0.0, 0.0), block(0.001, 8.0), block(8.0, 8.0)), (' ', '▁', '█'));
    }
}
