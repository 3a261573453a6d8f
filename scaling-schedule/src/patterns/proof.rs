//! Proof by held-out days: each day, relative to the level of the week around it, is predicted from the days before it, with a period and without.
//!
//! Days that are independent of each other and scatter evenly around no pattern are predicted better with it on half of the days at
//! most, whatever was learnt before: the error falls on a day *x* with a prediction *p* if 2·x·p > p·p, and −x is as likely as x. So the
//! number of days on which the error falls is below a binomial one with 1/2 (a sign test), and its tail is the error rate.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::found::{Evidence, Lack, Verdict};
use super::grid::Grid;
use super::level::middle;

/// Weight of a day, or of a day of its kind, against the one after it. What has changed counts less: twelve such days in all.
const FADE: f64 = 0.85;
/// The same for all days together.
const FADE_OF_ALL: f64 = 0.9;
/// Squared error of a slot below which there is nothing to predict, against a mean of 1.
const NOTHING: f64 = 1e-18;

/// Outcome of the trials.
#[derive(Clone, Debug, Default)]
pub(super) struct Trials {
    pub(super) number: u32,
    pub(super) won: u32,
    gains: Vec<f64>,
}

impl Trials {
    /// Counts a day with its squared errors.
    pub(super) fn count(&mut self, with: f64, without: f64, slots: usize) {
        if slots == 0 {
            return;
        }
        self.number += 1;
        if without > NOTHING * slots as f64 {
            self.won += u32::from(with < without);
            self.gains.push(1.0 - with / without);
        } else {
            self.gains.push(0.0);
        }
    }

    /// The median share of the error that is gone.
    pub(super) fn strength(&self) -> Option<f64> {
        (self.number > 0).then(|| middle(&mut self.gains.clone()))
    }

    /// Chance of as many days without a pattern, times the number of like trials.
    pub(super) fn error_rate(&self, of: u32) -> f64 {
        (at_least(self.number, self.won, 0.5) * f64::from(of)).min(1.0)
    }

    pub(super) fn verdict(&self, of: u32, significance: f64) -> Verdict {
        let need = days_needed(of, significance);
        if self.number < need {
            Verdict::CannotTell(Lack::Days { have: self.number, need })
        } else if self.error_rate(of) <= significance && self.strength().is_some_and(|strength| strength > 0.0) {
            Verdict::Proven
        } else {
            Verdict::NotShown
        }
    }

    pub(super) fn evidence(&self, of: u32, grid: &Grid) -> Option<Evidence> {
        (self.number > 0).then(|| Evidence {
            trials: self.number,
            successes: self.won,
            error_rate: self.error_rate(of),
            span: grid.span(),
        })
    }
}

/// Held-out days that it takes where all of them speak for it.
fn days_needed(of: u32, significance: f64) -> u32 {
    (1..64).find(|days| 0.5_f64.powi(*days) * f64::from(of) <= significance).map_or(64, i32::unsigned_abs)
}

/// Chance of at least `hits` of `number`, each with a chance of `rate`.
pub(super) fn at_least(number: u32, hits: u32, rate: f64) -> f64 {
    match Binomial::new(rate.clamp(0.0, 1.0), u64::from(number)) {
        Ok(binomial) if hits > 0 => binomial.sf(u64::from(hits - 1)),
        _ => 1.0,
    }
}

/// A mean in which what is older counts less, slot by slot.
struct Fading {
    fade: f64,
    sums: Vec<f64>,
    weights: Vec<f64>,
    /// Sum of weights and of their squares, of whole days: how many days it is worth.
    days: (f64, f64),
}

impl Fading {
    fn new(slots: usize, fade: f64) -> Self {
        Self { fade, sums: vec![0.0; slots], weights: vec![0.0; slots], days: (0.0, 0.0) }
    }

    fn push(&mut self, values: impl Iterator<Item = f64>) {
        for ((sum, weight), value) in self.sums.iter_mut().zip(&mut self.weights).zip(values) {
            let known = if value.is_nan() { 0.0 } else { 1.0 };
            *sum = self.fade * *sum + if value.is_nan() { 0.0 } else { value };
            *weight = self.fade * *weight + known;
        }
        self.days = (self.fade * self.days.0 + 1.0, self.fade * self.fade * self.days.1 + 1.0);
    }

    /// NaN where nothing is known.
    fn at(&self, slot: usize) -> f64 {
        let known = self.sums.get(slot).zip(self.weights.get(slot)).filter(|(_, weight)| **weight > 1e-9);
        known.map_or(f64::NAN, |(sum, weight)| sum / weight)
    }

    /// By how much a mean of so many days is to be believed: k days of k + 1.
    fn trust(&self) -> f64 {
        let days = if self.days.1 > 0.0 { self.days.0 * self.days.0 / self.days.1 } else { 0.0 };
        days / (days + 1.0)
    }
}

/// A period that divides a day, against none: the course of a day against its own mean.
pub(super) fn of_day(grid: &Grid, relative: &[f64], period: usize) -> Trials {
    let mut trials = Trials::default();
    let mut seen = Fading::new(period, FADE);
    let (mut around, mut phases, mut numbers) = (Vec::new(), vec![0.0; period], vec![0.0; period]);
    for day in grid.full_days() {
        let Some(row) = relative.get(day * grid.per_day..(day + 1) * grid.per_day) else { continue };
        let mean = super::level::mean_of(row);
        // Of a day without load there is no course.
        if mean.is_nan() || mean <= 0.0 {
            continue;
        }
        around.clear();
        around.extend(row.iter().map(|value| value / mean - 1.0));
        let trust = seen.trust();
        let (mut with, mut without, mut slots) = (0.0, 0.0, 0);
        for values in around.chunks(period) {
            for (phase, value) in values.iter().enumerate() {
                let expected = trust * seen.at(phase);
                if !value.is_nan() && !expected.is_nan() {
                    with += (value - expected) * (value - expected);
                    without += value * value;
                    slots += 1;
                }
            }
        }
        trials.count(with, without, slots);
        phases.iter_mut().chain(&mut numbers).for_each(|sum| *sum = 0.0);
        for values in around.chunks(period) {
            for ((sum, number), value) in phases.iter_mut().zip(&mut numbers).zip(values) {
                if !value.is_nan() {
                    *sum += value;
                    *number += 1.0;
                }
            }
        }
        seen.push(phases.iter().zip(&numbers).map(|(sum, number)| sum / number));
    }
    trials
}

/// Kinds of day, against one kind for all: course and level.
pub(super) fn of_kinds(grid: &Grid, relative: &[f64], kinds: usize, kind: impl Fn(usize) -> usize) -> Trials {
    let mut trials = Trials::default();
    let mut all = Fading::new(grid.per_day, FADE_OF_ALL);
    let mut each: Vec<Fading> = (0..kinds).map(|_| Fading::new(grid.per_day, FADE)).collect();
    for day in grid.full_days() {
        let Some(row) = relative.get(day * grid.per_day..(day + 1) * grid.per_day) else { continue };
        let Some(same) = each.get_mut(kind(day)) else { continue };
        let trust = same.trust();
        let (mut with, mut without, mut slots) = (0.0, 0.0, 0);
        for (slot, value) in row.iter().enumerate() {
            let (usual, such) = (all.at(slot), same.at(slot));
            if !value.is_nan() && !usual.is_nan() && !such.is_nan() {
                let expected = usual + trust * (such - usual);
                with += (value - expected) * (value - expected);
                without += (value - usual) * (value - usual);
                slots += 1;
            }
        }
        trials.count(with, without, slots);
        same.push(row.iter().copied());
        all.push(row.iter().copied());
    }
    trials
}

/// A period of any length, against none: what is left once the day and the week are known. Days are the trials here too.
pub(super) fn of_rest(grid: &Grid, rest: &[f64], period: usize) -> Trials {
    let mut trials = Trials::default();
    let (mut sums, mut numbers) = (vec![0.0; period], vec![0.0_f64; period]);
    for (day, row) in rest.chunks(grid.per_day).enumerate() {
        let start = day * grid.per_day;
        let (mut with, mut without, mut slots) = (0.0, 0.0, 0);
        for (slot, value) in row.iter().enumerate() {
            let phase = (start + slot) % period;
            if let (Some(sum), Some(number)) = (sums.get_mut(phase), numbers.get_mut(phase)) {
                // Nothing of this cycle is known yet: its own values are added after it.
                if !value.is_nan() && *number > 0.5 {
                    let expected = *sum / *number * (*number / (*number + 1.0));
                    with += (value - expected) * (value - expected);
                    without += value * value;
                    slots += 1;
                }
            }
        }
        if slots * 2 >= grid.per_day {
            trials.count(with, without, slots);
        }
        for (slot, value) in row.iter().enumerate() {
            let phase = (start + slot) % period;
            if let (Some(sum), Some(number)) = (sums.get_mut(phase), numbers.get_mut(phase))
                && !value.is_nan()
            {
                *sum = FADE * *sum + value;
                *number = FADE * *number + 1.0;
            }
        }
    }
    trials
}
