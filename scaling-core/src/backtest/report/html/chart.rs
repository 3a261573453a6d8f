//! Charts as SVG: scales, axes and lines. Colours come from the page's style sheet, so that light and dark both work.

use std::fmt::Write;

/// Width of every chart, in its own units; the page scales it.
pub(super) const WIDTH: f64 = 1120.0;
/// Where the plotted area begins and ends.
pub(super) const LEFT: f64 = 70.0;
pub(super) const RIGHT: f64 = 1104.0;
const TOP: f64 = 14.0;
const FOOT: f64 = 34.0;

/// Chart in the making.
pub(super) struct Chart {
    height: f64,
    svg: String,
    y: (f64, f64),
    /// Where names stand: from, to, and how high.
    names: Vec<(f64, f64, f64)>,
}

/// Width of a letter of a name, about, and height of a line of names.
const LETTER: f64 = 7.0;
const LINE: f64 = 13.0;

/// A mark on an axis.
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

impl Chart {
    /// An empty chart with a vertical axis over `y`, named `unit`.
    pub(super) fn new(height: f64, y: (f64, f64), unit: &str, label: &str, over_time: bool) -> Self {
        let mut svg = String::new();
        let marker = if over_time { " data-over-time" } else { "" };
        let _ = write!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\"{marker}>",
            super::escaped(label)
        );
        let mut chart = Self { height, svg, y, names: Vec::new() };
        for at in nice(y.0, y.1, 5) {
            let y = chart.vertical(at);
            let _ = write!(
                chart.svg,
                "<line class=\"gridline\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                number(at)
            );
        }
        let middle = f64::midpoint(TOP, height - FOOT);
        let _ = write!(
            chart.svg,
            "<text transform=\"translate(13 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            super::escaped(unit)
        );
        chart
    }

    /// Puts marks on the horizontal axis; `at` is a share of its length.
    pub(super) fn ticks(&mut self, ticks: &[Tick], unit: &str) {
        let bottom = self.height - FOOT;
        let _ = write!(self.svg, "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{bottom}\" y2=\"{bottom}\"/>");
        for Tick { at, label } in ticks {
            let x = horizontal(*at);
            let anchor = if *at > 0.98 { "end" } else { "middle" };
            let _ = write!(
                self.svg,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{:.1}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                bottom + 4.0,
                bottom + 17.0,
                super::escaped(label)
            );
        }
        if !unit.is_empty() {
            let _ = write!(
                self.svg,
                "<text x=\"{RIGHT}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                self.height - 3.0,
                super::escaped(unit)
            );
        }
    }

    /// Shades a share of the chart from the left: what does not count.
    pub(super) fn shade(&mut self, share: f64) {
        if share > 0.0 {
            let width = horizontal(share.min(1.0)) - LEFT;
            let height = self.height - FOOT - TOP;
            let _ = write!(
                self.svg,
                "<rect class=\"settling\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            );
        }
    }

    /// A line through evenly spaced values; it is broken where there is none.
    pub(super) fn line(&mut self, values: &[Option<f64>], class: &str) {
        let mut path = String::new();
        let mut joined = false;
        for (index, value) in values.iter().enumerate() {
            let Some(value) = value else {
                joined = false;
                continue;
            };
            let (x, y) = (horizontal((index as f64 + 0.5) / values.len() as f64), self.vertical(*value));
            let _ = write!(path, "{}{x:.1} {y:.1}", if joined { 'L' } else { 'M' });
            joined = true;
        }
        self.path(&path, class);
    }

    /// The area under evenly spaced values.
    pub(super) fn area(&mut self, values: &[Option<f64>], class: &str) {
        let bottom = self.vertical(self.y.0);
        let mut path = String::new();
        let mut last = None;
        for (index, value) in values.iter().enumerate() {
            let x = horizontal((index as f64 + 0.5) / values.len() as f64);
            match (value, last) {
                (Some(value), None) => {
                    let _ = write!(path, "M{x:.1} {bottom:.1}L{x:.1} {:.1}", self.vertical(*value));
                    last = Some(x);
                }
                (Some(value), Some(_)) => {
                    let _ = write!(path, "L{x:.1} {:.1}", self.vertical(*value));
                    last = Some(x);
                }
                (None, Some(x)) => {
                    let _ = write!(path, "L{x:.1} {bottom:.1}Z");
                    last = None;
                }
                (None, None) => {}
            }
        }
        if let Some(x) = last {
            let _ = write!(path, "L{x:.1} {bottom:.1}Z");
        }
        self.path(&path, class);
    }

    /// Marks at the top edge over those of evenly spaced places that are set.
    pub(super) fn marks(&mut self, set: &[bool], class: &str) {
        let mut path = String::new();
        for (index, _) in set.iter().enumerate().filter(|(_, set)| **set) {
            let (from, to) =
                (horizontal(index as f64 / set.len() as f64), horizontal((index + 1) as f64 / set.len() as f64));
            let _ = write!(path, "M{from:.1} {TOP}L{to:.1} {TOP}");
        }
        self.path(&path, class);
    }

    /// A line through points; their first number is a share of the horizontal axis.
    pub(super) fn join(&mut self, points: &[(f64, f64)], class: &str) {
        let mut path = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let _ =
                write!(path, "{}{:.1} {:.1}", if index == 0 { 'M' } else { 'L' }, horizontal(*x), self.vertical(*y));
        }
        self.path(&path, class);
    }

    /// A point with a name that is shown when pointed at, and beside it if `label` is not empty.
    pub(super) fn point(&mut self, at: (f64, f64), class: &str, title: &str, label: &str) {
        let (x, y) = (horizontal(at.0), self.vertical(at.1));
        let _ = write!(
            self.svg,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"><title>{}</title></circle>",
            super::escaped(title)
        );
        if !label.is_empty() {
            // Inside the chart also at its right edge.
            let (dx, anchor) = if x > RIGHT - 120.0 { (-8.0, "end") } else { (8.0, "start") };
            let length = label.chars().count() as f64 * LETTER;
            let from = if dx < 0.0 { x + dx - length } else { x + dx };
            let height = self.free(from, from + length, y - 6.0);
            let group = class.split(' ').find(|part| part.starts_with("series-")).unwrap_or_default();
            let _ = write!(
                self.svg,
                "<text class=\"{group}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                x + dx,
                height,
                super::escaped(label)
            );
        }
    }

    /// The nearest height, upward, at which a name lies on no other; at the top there may be none.
    fn free(&mut self, from: f64, to: f64, wanted: f64) -> f64 {
        let mut height = wanted;
        while height > TOP + LINE
            && self.names.iter().any(|name| name.0 < to && from < name.1 && (name.2 - height).abs() < LINE)
        {
            height -= LINE;
        }
        self.names.push((from, to, height));
        height
    }

    /// The whole, with a line that follows the pointer where the chart is over time.
    pub(super) fn finish(mut self, over_time: bool) -> String {
        if over_time {
            let bottom = self.height - FOOT;
            let _ =
                write!(self.svg, "<line class=\"cursor\" x1=\"{LEFT}\" x2=\"{LEFT}\" y1=\"{TOP}\" y2=\"{bottom}\"/>");
        }
        self.svg.push_str("</svg>");
        self.svg
    }

    fn path(&mut self, path: &str, class: &str) {
        if !path.is_empty() {
            let _ = write!(self.svg, "<path class=\"{class}\" d=\"{path}\"/>");
        }
    }

    fn vertical(&self, value: f64) -> f64 {
        let (from, to) = self.y;
        let share = if to > from { ((value - from) / (to - from)).clamp(0.0, 1.0) } else { 0.0 };
        let bottom = self.height - FOOT;
        bottom - share * (bottom - TOP)
    }
}

fn horizontal(share: f64) -> f64 {
    LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
}

/// Round numbers between two, about so many.
pub(super) fn nice(from: f64, to: f64, about: u32) -> Vec<f64> {
    let span = to - from;
    if !(span.is_finite() && span > 0.0) {
        return vec![from];
    }
    let rough = span / f64::from(about.max(1));
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|size| size * power).find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(rough);
    let first = (from / step - 1e-9).ceil();
    (0..).map(|index| (first + f64::from(index)) * step).take_while(|at| *at <= to + step * 1e-9).take(50).collect()
}

/// A number as people read it: thousands apart, no more digits than it has.
pub(super) fn number(value: f64) -> String {
    let digits = if value.abs() >= 100.0 || value == 0.0 {
        0
    } else if value.abs() >= 1.0 {
        1
    } else {
        3
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_within() {
        assert_eq!(nice(0.0, 40.0, 5), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(nice(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.600_000_000_000_000_1, 0.8, 1.0]);
        assert_eq!(nice(3.0, 3.0, 5), [3.0]);
        assert!(nice(0.0, f64::NAN, 5).len() == 1 && nice(0.0, 1e300, 5).len() < 51);
    }

    #[test]
    fn numbers_are_read_by_people() {
        let texts: Vec<_> = [0.0, 1.0, 1234.5, 1_234_567.0, 12.34, 0.25, -4200.0].map(number).into();
        assert_eq!(texts, ["0", "1", "1,234", "1,234,567", "12.3", "0.25", "-4,200"]);
    }
}
