//! Course of the level over the days: steady, a trend, or lasting shifts.

use super::bumps::KindLevels;
use super::found::{Course, CourseKind, Evidence, Lack, LevelShift, Verdict};
use super::grid::Grid;
use super::level::middle;

/// Days that it takes to tell a trend or a shift from scatter.
const DAYS: u32 = 7;
/// Shortest level, in days: what ends sooner is a spike or an event.
const SHORTEST: usize = 3;
/// Most shifts that are told.
const SHIFTS: usize = 8;
/// Changes of the level below this share of it are not worth a word.
const WORTH: f64 = 0.1;
/// Change over the span that is told though it is not proven: half as much again, or a third less.
const LARGE: f64 = 0.5;
/// Days further from the median of the days around than so many usual distances, and a tenth of the level, are events, not levels.
const OUTLIER: f64 = 5.0;
/// Level of a day without load, against the usual one: a logarithm has none.
const NONE: f64 = 0.001;

/// Largest logarithm of a change: that of the largest number, nearly.
const MOST: f64 = 700.0;

/// Levels of the days that were seen, as logarithms, without single days that stand out.
struct Series {
    days: Vec<usize>,
    logs: Vec<f64>,
}

pub(super) fn course(grid: &Grid, levels: &KindLevels, significance: f64) -> Course {
    let series = Series::of(levels);
    let number = u32::try_from(series.logs.len()).unwrap_or(u32::MAX);
    let evidence =
        |error_rate: f64| Some(Evidence { trials: number, successes: number, error_rate, span: grid.span() });
    if number < DAYS {
        let verdict = Verdict::CannotTell(Lack::Days { have: number, need: DAYS });
        return Course { kind: CourseKind::Steady, verdict, evidence: None };
    }
    let (line, steps) = (series.line(), series.steps(significance));
    let line_holds = line.error_rate <= significance && line.change().abs() >= WORTH;
    let course = |kind, error_rate| Course { kind, verdict: Verdict::Proven, evidence: evidence(error_rate) };
    match steps {
        Some(steps) if !line_holds || steps.score < line.score => {
            course(CourseKind::Shifts(series.shifts(grid, &steps)), steps.error_rate)
        }
        _ if line_holds => {
            course(CourseKind::Trend { change: line.change(), per_day: line.per_day() }, line.error_rate)
        }
        // Days with a long memory wander: a large change is told, and that it is not proven to go on.
        _ if line.change() >= LARGE || line.change() <= -LARGE / (1.0 + LARGE) => Course {
            kind: CourseKind::Trend { change: line.change(), per_day: line.per_day() },
            verdict: Verdict::NotShown,
            evidence: evidence(line.error_rate),
        },
        _ => Course { kind: CourseKind::Steady, verdict: Verdict::Proven, evidence: evidence(line.error_rate) },
    }
}

/// A straight line through the logarithms.
struct Line {
    slope: f64,
    days: f64,
    error_rate: f64,
    score: f64,
}

impl Line {
    /// From the first day to the last, relative to the first.
    fn change(&self) -> f64 {
        (self.slope * self.days).min(MOST).exp_m1()
    }

    /// The mean change a day, relative to the level.
    fn per_day(&self) -> f64 {
        self.slope.min(MOST).exp_m1()
    }
}

/// Levels that last.
struct Steps {
    /// Places in the series at which a new level begins.
    starts: Vec<usize>,
    error_rate: f64,
    score: f64,
}

impl Series {
    fn of(levels: &KindLevels) -> Self {
        let known = levels.of_day.iter().enumerate().filter(|(_, level)| !level.is_nan());
        let (days, logs): (Vec<usize>, Vec<f64>) = known.map(|(day, level)| (day, level.max(NONE).ln())).unzip();
        // Days that stand out from those around, on both sides of which the level is the same.
        let around = |place: usize| {
            let from = place.saturating_sub(3).min(logs.len().saturating_sub(7));
            middle(&mut logs.iter().skip(from).take(7).copied().collect::<Vec<_>>())
        };
        let apart: Vec<f64> = logs.iter().enumerate().map(|(place, log)| (log - around(place)).abs()).collect();
        let usual = middle(&mut apart.clone());
        let keeps = |place: usize| {
            let alone = |other: Option<usize>| {
                other.and_then(|other| apart.get(other)).is_none_or(|other| *other <= (OUTLIER * usual).max(WORTH))
            };
            alone(Some(place)) || !(alone(place.checked_sub(1)) && alone(Some(place + 1)))
        };
        let kept: Vec<bool> = (0..logs.len()).map(keeps).collect();
        let mut filter = kept.iter();
        let mut days = days;
        days.retain(|_| filter.next().copied().unwrap_or(true));
        let mut filter = kept.iter();
        let mut logs = logs;
        logs.retain(|_| filter.next().copied().unwrap_or(true));
        Self { days, logs }
    }

    fn len(&self) -> f64 {
        self.logs.len() as f64
    }

    /// Number of independent days among those with these errors: neighbours that are alike count less (Bayley and Hammersley 1946, for
    /// a memory of one day).
    fn independent(&self, errors: &[f64]) -> f64 {
        let pairs: f64 = errors.iter().zip(errors.iter().skip(1)).map(|(a, b)| a * b).sum();
        let squares: f64 = errors.iter().map(|error| error * error).sum();
        let memory = if squares > 1e-18 { (pairs / squares + 1.0 / self.len()).clamp(0.0, 0.9) } else { 0.0 };
        (self.len() * (1.0 - memory) / (1.0 + memory)).max(3.0)
    }

    /// What a description costs: the information criterion of Schwarz (1978), over independent days.
    fn score(errors: &[f64], parameters: usize, independent: f64) -> f64 {
        let squares = errors.iter().map(|error| error * error).sum::<f64>() / errors.len().max(1) as f64;
        // Deviations of a thousandth are no better than none.
        independent * (squares + 1e-6).ln() + parameters as f64 * independent.ln()
    }

    /// Theil and Sen's line, judged by Kendall's test for a trend.
    fn line(&self) -> Line {
        // At most some hundred days, evenly: pairs are many.
        let thin = self.logs.len().div_ceil(200).max(1);
        let points: Vec<(f64, f64)> =
            self.days.iter().map(|day| *day as f64).zip(self.logs.iter().copied()).step_by(thin).collect();
        let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
        let mut sign = 0.0;
        for (place, (x, y)) in points.iter().enumerate() {
            for (later, value) in points.iter().skip(place + 1) {
                slopes.push((value - y) / (later - x));
                sign += if (value - y).abs() < 1e-9 { 0.0 } else { (value - y).signum() };
            }
        }
        let slope = Some(middle(&mut slopes)).filter(|slope| slope.is_finite()).unwrap_or(0.0);
        let x = |place: usize| self.days.get(place).copied().unwrap_or(0) as f64;
        let mut offsets: Vec<f64> = self.logs.iter().enumerate().map(|(place, y)| y - slope * x(place)).collect();
        let offset = middle(&mut offsets.clone());
        for error in &mut offsets {
            *error -= offset;
        }
        let independent = self.independent(&offsets);
        let number = points.len() as f64;
        let variance = number * (number - 1.0) * (2.0 * number + 5.0) / 18.0 * (number / independent).max(1.0);
        let apart = (sign.abs() - 1.0).max(0.0) / variance.sqrt();
        let days = x(self.days.len().saturating_sub(1)) - x(0);
        Line { slope, days, error_rate: super::normal_tails(apart), score: Self::score(&offsets, 2, independent) }
    }

    /// The best description by levels that last: split in two, again and again, while the next split is significant.
    fn steps(&self, significance: f64) -> Option<Steps> {
        let mut starts: Vec<usize> = Vec::new();
        let mut error_rate: f64 = 0.0;
        while starts.len() < SHIFTS {
            let edges: Vec<usize> = [0].into_iter().chain(starts.iter().copied()).chain([self.logs.len()]).collect();
            let best = edges
                .iter()
                .zip(edges.iter().skip(1))
                .filter_map(|(from, to)| self.split(*from, *to))
                .min_by(|a, b| a.1.total_cmp(&b.1));
            match best {
                Some((place, rate)) if rate <= significance => {
                    starts.push(place);
                    starts.sort_unstable();
                    error_rate = error_rate.max(rate);
                }
                _ => break,
            }
        }
        if starts.is_empty() {
            return None;
        }
        let errors = self.errors(&starts);
        let independent = self.independent(&errors);
        let score = Self::score(&errors, 1 + 2 * starts.len(), independent);
        Some(Steps { starts, error_rate, score })
    }

    /// The split of a stretch after which its parts differ most, and the chance of as much at any split.
    fn split(&self, from: usize, to: usize) -> Option<(usize, f64)> {
        let values = self.logs.get(from..to)?;
        let number = values.len();
        let total: f64 = values.iter().sum();
        let mut before = 0.0;
        let mut best: Option<(usize, f64)> = None;
        for (place, value) in values.iter().enumerate() {
            if place >= SHORTEST && number - place >= SHORTEST {
                let (first, second) = (place as f64, (number - place) as f64);
                let apart = before / first - (total - before) / second;
                let gain = apart * apart * first * second / (first + second);
                if best.is_none_or(|(_, most)| gain > most) {
                    best = Some((place, gain));
                }
            }
            before += value;
        }
        let (place, gain) = best?;
        let (first, second) = values.split_at_checked(place)?;
        let means = [first, second].map(|part| part.iter().sum::<f64>() / part.len() as f64);
        let errors: Vec<f64> =
            first.iter().map(|value| value - means[0]).chain(second.iter().map(|value| value - means[1])).collect();
        let independent = self.independent(&errors).min(number as f64);
        let squares: f64 = errors.iter().map(|error| error * error).sum();
        // A change that is not worth a word is none.
        if (means[1] - means[0]).exp_m1().abs() < WORTH && (means[0] - means[1]).exp_m1().abs() < WORTH {
            return None;
        }
        let variance = (squares / (number as f64 - 2.0).max(1.0)).max(1e-6);
        let apart = (gain / variance * independent / number as f64).sqrt();
        // Of Student's distribution with as few degrees of freedom as there are independent days.
        let rate = super::student_tails(apart, (independent - 2.0).max(1.0)) * number as f64;
        Some((from + place, rate.min(1.0)))
    }

    fn levels(&self, starts: &[usize]) -> Vec<(usize, f64)> {
        let edges: Vec<usize> = [0].into_iter().chain(starts.iter().copied()).chain([self.logs.len()]).collect();
        edges
            .iter()
            .zip(edges.iter().skip(1))
            .map(|(from, to)| {
                let part = self.logs.get(*from..*to).unwrap_or_default();
                (part.len(), part.iter().sum::<f64>() / part.len().max(1) as f64)
            })
            .collect()
    }

    fn errors(&self, starts: &[usize]) -> Vec<f64> {
        let levels = self.levels(starts);
        let level =
            |place: usize| levels.get(starts.partition_point(|start| *start <= place)).map_or(0.0, |level| level.1);
        self.logs.iter().enumerate().map(|(place, log)| log - level(place)).collect()
    }

    fn shifts(&self, grid: &Grid, steps: &Steps) -> Vec<LevelShift> {
        let levels = self.levels(&steps.starts);
        let number = |days: usize| u32::try_from(days).unwrap_or(u32::MAX);
        let mut shifts = Vec::new();
        for (start, pair) in steps.starts.iter().zip(levels.windows(2)) {
            let date = self.days.get(*start).and_then(|day| grid.days.get(*day)).map(|day| day.date);
            if let (Some(date), [before, after]) = (date, pair) {
                let from_nothing = before.1 <= NONE.ln() + 1e-9;
                let factor = (!from_nothing).then(|| (after.1 - before.1).min(MOST).exp());
                shifts.push(LevelShift { date, factor, days: (number(before.0), number(after.0)) });
            }
        }
        shifts
    }
}
