//! Patterns for people.

use std::fmt::{self, Write as _};

use scaling_core::stats::{grouped, significant};

use super::Patterns;
use super::found::{
    CourseKind, DateRule, Evidence, LevelShift, Period, Question, RecurringEvent, Spike, Stretch, UsualDay, Verdict,
    WeekdayLevel,
};

impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.origin())?;
        let sections = [
            ("Periods", self.periods.iter().map(Period::to_string).collect()),
            ("Weekdays", self.of_the_week()),
            ("Course", vec![self.course_told()]),
            ("Events", self.events.iter().map(RecurringEvent::to_string).collect()),
            ("Spikes", self.spikes_told()),
            ("The data cannot tell", self.untold.iter().map(ToString::to_string).collect()),
        ];
        let usual =
            self.usual_days.iter().map(|usual| (format!("Usual day, {}", usual.told()), usual.stretches_told()));
        let mut sections: Vec<(String, Vec<String>)> =
            sections.into_iter().map(|(title, lines): (&str, Vec<String>)| (title.to_owned(), lines)).collect();
        let rest = sections.split_off(2);
        for (title, lines) in sections.into_iter().chain(usual).chain(rest).filter(|(_, lines)| !lines.is_empty()) {
            writeln!(f, "\n{title}")?;
            lines.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        Ok(())
    }
}

impl Patterns {
    /// What was looked at, in two sentences.
    pub(super) fn origin(&self) -> String {
        let data = &self.data;
        let mut text = format!(
            "{} of {} days from {} to {} ({}): {} samples, {:.0} % of the slots of {} min, mean load {}.",
            data.full_days,
            data.days,
            data.span.0,
            data.span.1,
            self.time_zone,
            grouped(data.samples as f64, 0),
            data.coverage * 100.0,
            data.slot_minutes,
            number(data.mean),
        );
        if data.left_out != super::LeftOut::default() {
            let _ = write!(text, " Left out: {}.", data.left_out);
        }
        text
    }

    pub(super) fn of_the_week(&self) -> Vec<String> {
        let weekend = &self.weekend;
        let ratio = weekend.ratio.map_or_else(|| "not seen".to_owned(), |ratio| format!("{ratio:.2} × the other days"));
        let mut lines =
            vec![format!("weekend: {ratio}; {}", judged(weekend.verdict, weekend.strength, weekend.evidence.as_ref()))];
        lines.extend(self.weekdays.iter().map(WeekdayLevel::to_string));
        lines
    }

    pub(super) fn course_told(&self) -> String {
        let rate = self
            .course
            .evidence
            .map_or_else(String::new, |evidence| format!(" (by chance {})", chance(evidence.error_rate)));
        match (&self.course.kind, self.course.verdict) {
            (_, Verdict::CannotTell(lack)) => format!("cannot be told: {lack}"),
            (CourseKind::Steady, _) => {
                "steady: no trend and no lasting shift beyond the scatter of the days".to_owned()
            }
            (CourseKind::Trend { change, per_day }, _) => {
                let way = if *change < 0.0 { "falling" } else { "rising" };
                let (change, per_day) = (change.abs() * 100.0, per_day.abs() * 100.0);
                let but = if self.course.verdict.is_proven() {
                    ""
                } else {
                    ", which is not proven to be more than wandering"
                };
                format!("{way} by {change:.0} % over the span, {per_day:.1} % a day{but}{rate}")
            }
            (CourseKind::Shifts(shifts), _) => {
                let shifts: Vec<_> = shifts.iter().map(LevelShift::to_string).collect();
                format!("lasting shifts{rate}: {}", shifts.join("; "))
            }
        }
    }

    pub(super) fn spikes_told(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.spikes.iter().map(Spike::to_string).collect();
        if self.spikes_in_all as usize > lines.len() {
            lines.push(format!("and {} more", self.spikes_in_all as usize - lines.len()));
        }
        lines
    }
}

impl UsualDay {
    pub(super) fn told(&self) -> String {
        format!("{} ({} days, mean {})", self.days, self.days_seen, number(self.mean))
    }

    pub(super) fn stretches_told(&self) -> Vec<String> {
        let peaks = self.peaks.iter().map(|stretch| format!("peak {stretch}"));
        let mut lines: Vec<_> = peaks.chain(self.lows.iter().map(|stretch| format!("low  {stretch}"))).collect();
        if lines.is_empty() {
            lines.push("no high or low time is proven".to_owned());
        }
        lines
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", length(self.minutes), judged(self.verdict, self.strength, self.evidence.as_ref()))
    }
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}–{}: {:.2} × the day's mean, {:.2} at {}, on {} of {} days",
            self.from.format("%H:%M"),
            self.to.format("%H:%M"),
            self.level,
            self.extreme,
            self.extreme_at.format("%H:%M"),
            self.evidence.successes,
            self.evidence.trials
        )
    }
}

impl fmt::Display for WeekdayLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(level) = self.level else { return write!(f, "{}: not seen", self.day) };
        write!(f, "{}: {level:.2} × the week's mean over {} days", self.day, self.days_seen)?;
        match (self.verdict, &self.evidence) {
            (Verdict::Proven, Some(evidence)) => {
                write!(f, ", differs from the others (by chance {})", chance(evidence.error_rate))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for LevelShift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.factor {
            Some(factor) => write!(f, "from {} on {} ×", self.date, significant(factor, 2))?,
            None => write!(f, "from {} on load, after none", self.date)?,
        }
        write!(f, " ({} days before, {} after)", self.days.0, self.days.1)
    }
}

impl fmt::Display for RecurringEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rule)?;
        match self.time {
            Some(time) => write!(f, " {}–{}: ", time.from.format("%H:%M"), time.to.format("%H:%M"))?,
            None => f.write_str(", the day as a whole: ")?,
        }
        match self.factor {
            Some(factor) => write!(f, "{} × the usual load", significant(factor, 2))?,
            None => write!(f, "a load of {} where usually there is none", number(self.extra))?,
        }
        let Evidence { successes, trials, error_rate, .. } = self.evidence;
        write!(f, ", on {successes} of {trials} (by chance {})", chance(error_rate))
    }
}

impl fmt::Display for DateRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NTH: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];
        match self {
            Self::Weekly(day) => write!(f, "every {}", day.0),
            Self::MonthEnd => f.write_str("last day of the month"),
            Self::MonthDay(day) => write!(f, "day {day} of the month"),
            Self::NthWeekday(nth, day) => {
                let nth = NTH.get(usize::from(*nth).wrapping_sub(1)).copied().unwrap_or("another");
                write!(f, "{nth} {} of the month", day.0)
            }
            Self::LastWeekday(day) => write!(f, "last {} of the month", day.0),
        }
    }
}

impl fmt::Display for Spike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, minutes) = (self.start.format("%Y-%m-%d %H:%M"), self.minutes);
        write!(f, "{start} for {}: up to {}, usually {}", length(minutes), number(self.peak), number(self.usual))
    }
}

impl fmt::Display for super::Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.question, self.lack)
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DailyPattern => "a pattern of the day",
            Self::WeeklyPattern => "a pattern of the week",
            Self::Weekend => "weekdays against the weekend",
            Self::Weekdays => "each weekday against the others",
            Self::Course => "trend or lasting shifts",
            Self::Spikes => "spikes, and jobs at a time of day",
            Self::WeeklyEvents => "events of the week",
            Self::MonthlyEvents => "events of the month",
            Self::YearlyPattern => "a pattern of the year",
        })
    }
}

/// Verdict with its numbers.
pub(super) fn judged(verdict: Verdict, strength: Option<f64>, evidence: Option<&Evidence>) -> String {
    let numbers = || match (strength, evidence) {
        (Some(strength), Some(Evidence { trials, successes, error_rate, .. })) => {
            let by = if strength > 0.0 { format!("by {:.0} %", strength * 100.0) } else { "not at all".to_owned() };
            let chance = chance(*error_rate);
            format!("the error of a held-out day falls {by}, on {successes} of {trials} days (by chance {chance})")
        }
        _ => "nothing could be held out".to_owned(),
    };
    match verdict {
        Verdict::Proven => format!("proven: {}", numbers()),
        Verdict::NotShown => format!("not shown: {}", numbers()),
        Verdict::CannotTell(lack) => format!("cannot be told: {lack}"),
    }
}

/// Chance of as much by accident.
pub(super) fn chance(error_rate: f64) -> String {
    if error_rate < 0.0001 { "< 0.0001".to_owned() } else { format!("{error_rate:.4}") }
}

/// A length of time, in its largest whole unit.
pub(super) fn length(minutes: u32) -> String {
    let units = [(7 * 1440, "week", "weeks"), (1440, "day", "days"), (60, "hour", "hours"), (1, "minute", "minutes")];
    let (size, one, many) =
        units.into_iter().find(|(size, ..)| minutes > 0 && minutes.is_multiple_of(*size)).unwrap_or(units[3]);
    let number = minutes / size;
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A load as people read it.
pub(super) fn number(value: f64) -> String {
    if value.abs() >= 1e15 {
        format!("{value:.2e}")
    } else if value.abs() >= 100.0 || value == 0.0 {
        grouped(value, 0)
    } else {
        significant(value, 2)
    }
}
