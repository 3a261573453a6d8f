//! [`HeatMap`]: usual load by hour and weekday.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::text::number;

/// Weekdays, as rows are called.
pub(super) const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Shades from nothing to the highest, a fifth of it each.
const SHADES: [&str; 5] = ["   ", "░░░", "▒▒▒", "▓▓▓", "███"];

/// Usual load by hour and weekday.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// One row a weekday, Monday first, of 24 hours: the mean of the hour's slots, each the median over such days. `None` where none was
    /// seen.
    pub rows: Vec<Vec<Option<f64>>>,
}

impl HeatMap {
    /// The highest hour; 0 if nothing was seen.
    pub fn highest(&self) -> f64 {
        self.rows.iter().flatten().flatten().copied().fold(0.0, f64::max)
    }

    /// The map in shades of Unicode, 76 columns wide: each a fifth of the highest hour. `·` was not seen.
    pub fn to_text(&self) -> String {
        let highest = self.highest();
        let legend = format!("shades are fifths of {}, from 0; · not seen", number(highest));
        self.drawn(&legend, |value| match value {
            None => " · ".to_owned(),
            Some(value) => {
                let fifth = fifth(*value, highest);
                SHADES.get(fifth).copied().unwrap_or_default().to_owned()
            }
        })
    }

    /// The map in plain ASCII, 76 columns wide: percent of the highest hour. `.` was not seen.
    pub fn to_plain_text(&self) -> String {
        let highest = self.highest();
        let legend = format!("percent of {}; . not seen", number(highest));
        self.drawn(&legend, |value| match value {
            None => "  .".to_owned(),
            Some(value) => format!("{:>3.0}", share(*value, highest) * 100.0),
        })
    }

    fn drawn(&self, legend: &str, cell: impl Fn(&Option<f64>) -> String) -> String {
        let mut text = String::from("    ");
        for hour in 0..24 {
            let _ = write!(text, " {hour:02}");
        }
        text.push('\n');
        for (day, row) in DAYS.iter().zip(&self.rows) {
            let _ = write!(text, "{day} ");
            for value in row {
                text.push_str(&cell(value));
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        let _ = writeln!(text, "    {legend}");
        text
    }
}

/// Share of the highest, from 0 to 1.
pub(super) fn share(value: f64, highest: f64) -> f64 {
    if highest > 0.0 { (value / highest).clamp(0.0, 1.0) } else { 0.0 }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 4
fn fifth(value: f64, highest: f64) -> usize {
    ((share(value, highest) * 5.0) as usize).min(4)
}
