//! The week as a picture: the floors of a schedule over the load's band, in a terminal ([`fmt::Display`]) and as a page
//! ([`WeekStrip::to_html`]).

mod band;
mod page;
mod why;

use std::fmt;

use chrono::Weekday;

pub use band::{Band, WeekBand};

use crate::{Days, Schedule, WindowReason};

/// Columns of a day: half hours.
const COLUMNS: usize = 48;
const MINUTES: u32 = 30;
/// Heights of a block, from nothing to full.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A schedule over the load of a usual week. Half an hour is a column; events are listed below.
///
/// ```
/// use scaling_schedule::{Days, Schedule, Tz, WeekStrip, Window};
///
/// let day = Window::parse("day", Days::WEEKDAYS, "08:00", "20:00", 6)?;
/// let schedule = Schedule::new(Tz::Europe__Berlin, vec![day])?;
/// let strip = WeekStrip::new(&schedule, 2);
/// assert!(strip.to_string().contains("Mon floor  ▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃████████████████████████▃▃▃▃▃▃▃▃"), "{strip}");
/// # Ok::<(), scaling_schedule::InvalidSchedule>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WeekStrip<'a> {
    schedule: &'a Schedule,
    outside: u32,
    band: Option<&'a WeekBand>,
    title: &'a str,
    reasons: &'a [WindowReason],
}

/// A day of the strip.
struct Day {
    weekday: Weekday,
    /// The floor of each half hour: the highest in it.
    floors: Vec<u32>,
}

impl<'a> WeekStrip<'a> {
    /// A schedule, with the pods that run where no window is open: the HPA's own min.
    pub fn new(schedule: &'a Schedule, outside: u32) -> Self {
        Self { schedule, outside, band: None, title: "", reasons: &[] }
    }

    /// Adds the load beneath.
    #[must_use]
    pub fn over(mut self, band: &'a WeekBand) -> Self {
        self.band = Some(band);
        self
    }

    /// Names the workload.
    #[must_use]
    pub fn titled(mut self, title: &'a str) -> Self {
        self.title = title;
        self
    }

    /// Tells of each window its confidence, savings and risk: the reasons of
    /// [`CompiledSchedule::reasons`](crate::CompiledSchedule::reasons), by the windows' names.
    #[must_use]
    pub fn explained(mut self, reasons: &'a [WindowReason]) -> Self {
        self.reasons = reasons;
        self
    }

    fn days(&self) -> Vec<Day> {
        let week = self.schedule.week();
        let floor = |from: u32| {
            let inside =
                week.segments().iter().filter(|part| part.start_minute < from + MINUTES && part.end_minute > from);
            inside.filter_map(|part| part.floor).fold(self.outside, u32::max)
        };
        let day = |(number, weekday): (usize, Weekday)| {
            let start = number * COLUMNS;
            let minutes =
                (start..start + COLUMNS).filter_map(|column| u32::try_from(column).ok()).map(|column| column * MINUTES);
            Day { weekday, floors: minutes.map(floor).collect() }
        };
        Days::DAILY.iter().enumerate().map(day).collect()
    }

    fn bands(&self, weekday: Weekday) -> Vec<Option<Band>> {
        self.band.map_or_else(Vec::new, |band| (0..COLUMNS).map(|column| band.of_half_hour(weekday, column)).collect())
    }

    /// Pods at the top of the picture.
    fn scale(&self, days: &[Day]) -> f64 {
        let floors = days.iter().flat_map(|day| &day.floors).map(|floor| f64::from(*floor));
        let highest = self.band.map_or(0.0, WeekBand::highest);
        floors.fold(highest, f64::max).max(1.0)
    }
}

impl fmt::Display for WeekStrip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.days();
        let scale = self.scale(&days);
        if !self.title.is_empty() {
            writeln!(f, "{}", crate::one_line(self.title))?;
        }
        writeln!(
            f,
            "Wall clock of {}; a column is half an hour, a full block {scale:.0} pods",
            self.schedule.time_zone()
        )?;
        writeln!(f, "           0     3     6     9     12    15    18    21")?;
        for day in &days {
            let bands = self.bands(day.weekday);
            if !bands.is_empty() {
                let high = bands.iter().map(|band| band.map(|band| band.high));
                writeln!(f, "{} load   {}", day.weekday, line(high, scale))?;
            }
            let floors = day.floors.iter().map(|floor| Some(f64::from(*floor)));
            writeln!(f, "{} floor  {}", day.weekday, line(floors, scale))?;
        }
        for event in self.schedule.events() {
            let (name, from, to, min) = (crate::one_line(event.name()), event.from(), event.to(), event.min());
            writeln!(f, "event {name}: {} to {}, at least {min} pods", from.format("%F %H:%M"), to.format("%F %H:%M"))?;
        }
        self.why(f)
    }
}

/// Values as blocks; a dot where there is none.
fn line(values: impl Iterator<Item = Option<f64>>, scale: f64) -> String {
    let block = |value: Option<f64>| {
        let Some(value) = value else { return '·' };
        let eighths = (value / scale * 8.0).ceil().clamp(0.0, 8.0);
        // Within 0 and 8 after the clamp.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        BLOCKS.get(eighths as usize).copied().unwrap_or(' ')
    };
    values.map(block).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chrono::{DateTime, TimeDelta, Timelike};
    use scaling_core::{MetricsHistory, ScalingMetrics, SignalKind};

    use super::*;
    use crate::{DatedWindow, Tz, Window, need_by_load};

    fn schedule() -> Schedule {
        let night = Window::parse("night <work>", Days::of([Weekday::Fri]), "22:15", "02:00", 8).unwrap();
        let sale = DatedWindow::parse("sale", "2026-11-27T18:00", "2026-11-27T20:00", 40).unwrap();
        Schedule::new(Tz::UTC, vec![night]).unwrap().with_events(vec![sale]).unwrap()
    }

    fn band() -> WeekBand {
        let monday: DateTime<_> = "2026-11-16T00:00:00Z".parse().unwrap();
        let samples = (0..14 * 96).map(|quarter| {
            let at = monday + TimeDelta::minutes(15 * quarter);
            let rate = if at.hour() == 12 { 900.0 } else { 100.0 };
            ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, rate)
        });
        let (history, _) = MetricsHistory::from_unordered(samples.collect());
        WeekBand::of(&history, Tz::UTC, |sample| need_by_load(SignalKind::RequestRate, 100.0).of(sample))
    }

    #[test]
    fn a_terminal_shows_load_and_floor_of_each_day_in_80_columns() {
        let (schedule, band) = (schedule(), band());
        let text = WeekStrip::new(&schedule, 1).over(&band).titled("shop/web\n\u{1b}[31m").to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let row = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
        assert_eq!(row("Mon load").chars().skip(11).filter(|block| *block == '█').count(), 2, "{text}");
        // A window that begins within a half hour has that half hour.
        assert!(row("Fri floor").ends_with("▁████"), "{text}");
        assert!(text.contains("event sale: 2026-11-27 18:00 to 2026-11-27 20:00, at least 40 pods"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_half_hour_that_was_never_seen_is_a_dot() {
        let at: DateTime<_> = "2026-11-16T00:00:00Z".parse().unwrap();
        let (history, _) =
            MetricsHistory::from_unordered(vec![ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, 100.0)]);
        let band = WeekBand::of(&history, Tz::UTC, |sample| need_by_load(SignalKind::RequestRate, 100.0).of(sample));
        let empty = Schedule::new(Tz::UTC, vec![]).unwrap();
        let text = WeekStrip::new(&empty, 0).over(&band).to_string();
        assert!(text.contains(&format!("Mon load   █{}", "·".repeat(47))), "{text}");
        assert!(text.contains(&format!("Tue load   {}", "·".repeat(48))), "{text}");
    }

    #[test]
    fn windows_are_told_with_their_confidence_savings_and_risk() {
        let monday: DateTime<_> = "2026-11-16T00:00:00Z".parse().unwrap();
        let samples = (0..14 * 96).map(|quarter| {
            let at = monday + TimeDelta::minutes(15 * quarter);
            let rate = if (9..17).contains(&at.hour()) { 900.0 } else { 100.0 };
            ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, rate)
        });
        let (history, _) = MetricsHistory::from_unordered(samples.collect());
        let need = need_by_load(SignalKind::RequestRate, 100.0);
        let answer = crate::compile(&history, &need, &crate::CompileConfig::default()).unwrap();
        let found = answer.schedule().unwrap();
        let strip = WeekStrip::new(&found.schedule, 1).explained(&found.reasons);
        let text = strip.to_string();
        // Seven of seven days: Wilson's bound is 0.72.
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let row = text.lines().find(|line| line.starts_with("daily 08:40-17:00")).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[2..], ["7/7", "72", "%", "0.0", "0.0", "%"], "{text}");
        let page = strip.to_html();
        assert!(page.contains("<td class=\"number\">7/7</td><td class=\"number\">72 %</td>"), "{page}");
        assert!(page.contains("held on 7 of 7 held-out days"), "{page}");
        assert!(!WeekStrip::new(&found.schedule, 1).to_html().contains("Held on"));
    }

    #[test]
    fn the_page_stands_alone_and_escapes_names() {
        let (schedule, band) = (schedule(), band());
        let page = WeekStrip::new(&schedule, 1).over(&band).titled("<shop>").to_html();
        assert!(!page.contains("<shop>") && !page.contains("night <work>") && !page.contains("http"));
        assert_eq!(page.matches("<svg").count(), 7);
        // 180 of the 480 units of a day: where its line is.
        assert!(page.contains("M180 0V") && page.contains("<span style=\"left:37.5%\">9</span>"), "{page}");
        assert!(page.contains("night &lt;work&gt;") && page.contains("22:15–24:00: at least 8 pods"));
    }
}
