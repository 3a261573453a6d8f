//! The floor of each time of day that costs least, by price.
//!
//! For each floor that may be held, the model says what holding it all day would have cost at each time of day, and how much work would
//! have waited too long then. A time of day gets the floor with the least pods + λ × violating work, and each change of the floor costs as
//! well, so that there are few. Dynamic programming finds the best of all such days.

use chrono::Weekday;

use super::load::Load;
use super::model::{Model, Outcome};
use crate::Days;
use crate::compile::{Cells, DAY_CELLS};

/// Ratio between neighbouring floors.
const LADDER: f64 = 1.15;

/// Kinds of days that have windows of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kinds {
    Daily,
    WeekdaysAndWeekend,
    EachWeekday,
}

impl Kinds {
    pub(super) const ALL: [Self; 3] = [Self::Daily, Self::WeekdaysAndWeekend, Self::EachWeekday];

    pub(super) fn days(self) -> Vec<Days> {
        match self {
            Self::Daily => vec![Days::DAILY],
            Self::WeekdaysAndWeekend => vec![Days::WEEKDAYS, Days::WEEKEND],
            Self::EachWeekday => Days::DAILY.iter().map(|day| Days::of([day])).collect(),
        }
    }
}

/// Settings of a fit that are chosen on held-out days.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(super) kinds: Kinds,
    /// Cells on each side with which the prices of a cell are averaged, for loads that come a little earlier or later.
    pub(super) blur: usize,
    /// Price of a change of the floor, in tenths of an hour of all pods.
    pub(super) change: f64,
    /// Cells before the load at which a floor is wanted.
    pub(super) lead: usize,
    /// Price of violating work, in pods for each pod's worth that arrives on the mean.
    pub(super) violation: f64,
}

/// Pods and violating work by day, cell of the day and floor: what holding that floor all the time would have had there.
#[derive(Debug)]
pub(super) struct Prices {
    pub(super) floors: Vec<u32>,
    /// Of each day: cell by cell, floor by floor.
    days: Vec<(Weekday, Vec<(f64, f64)>)>,
    pub(super) steps_per_hour: f64,
    /// Mean pods and mean work of a step, without a floor.
    mean: (f64, f64),
}

/// Prices of a kind of day, summed over its days.
#[derive(Clone, Debug)]
pub(super) struct Summed {
    days: usize,
    prices: Vec<(f64, f64)>,
}

impl Prices {
    pub(super) fn new(load: &Load, model: &Model, floors: Vec<u32>) -> Self {
        let width = floors.len();
        let mut days: Vec<_> =
            load.days.iter().map(|day| (day.weekday(), vec![(0.0, 0.0); width * DAY_CELLS])).collect();
        let mut mean = (0.0, 0.0);
        for (nth, floor) in floors.iter().enumerate() {
            let mut today = 0;
            let outcome = model.run(
                &load.demand,
                0,
                |_| *floor,
                |step, pods, violating| {
                    while load.days.get(today).is_some_and(|day| day.end_step <= step) {
                        today += 1;
                    }
                    let place = load.cells.get(step).map(|cell| cell * width + nth);
                    let place = place.and_then(|place| days.get_mut(today)?.1.get_mut(place));
                    if let Some((cost, late)) = place {
                        *cost += f64::from(pods);
                        *late += violating;
                    }
                },
            );
            if nth == 0 {
                let steps = load.demand.iter().filter(|work| !work.is_nan()).count().max(1) as f64;
                mean = (outcome.pod_steps / steps, outcome.arrived / steps);
            }
        }
        Self { floors, days, steps_per_hour: 3600.0 / load.step_s, mean }
    }

    /// Sums over the days before `before` that are of a kind; over all of them where there is none of it.
    pub(super) fn summed(&self, before: usize, kind: Days, blur: usize) -> Summed {
        let width = self.floors.len();
        let known = self.days.iter().take(before);
        let any = known.clone().any(|(weekday, _)| kind.contains(*weekday));
        let mut sum = vec![(0.0, 0.0); width * DAY_CELLS];
        let mut days = 0;
        for (_, prices) in known.filter(|(weekday, _)| !any || kind.contains(*weekday)) {
            days += 1;
            for (sum, price) in sum.iter_mut().zip(prices) {
                sum.0 += price.0;
                sum.1 += price.1;
            }
        }
        if blur > 0 {
            let share = 1.0 / (2 * blur + 1) as f64;
            let mut blurred = vec![(0.0, 0.0); sum.len()];
            for shift in 0..=2 * blur {
                let from = (shift + DAY_CELLS - blur) % DAY_CELLS * width;
                let turned = sum.iter().cycle().skip(from);
                for (place, price) in blurred.iter_mut().zip(turned) {
                    place.0 += price.0 * share;
                    place.1 += price.1 * share;
                }
            }
            sum = blurred;
        }
        Summed { days, prices: sum }
    }

    /// The price of what came of floors.
    pub(super) fn of(&self, outcome: Outcome, settings: Settings) -> f64 {
        outcome.pod_steps + self.late(settings) * outcome.violating
    }

    /// The price of violating work.
    fn late(&self, settings: Settings) -> f64 {
        settings.violation * self.mean.0 / self.mean.1.max(f64::MIN_POSITIVE)
    }

    /// The floors of a week that cost least.
    pub(super) fn fit(&self, summed: &[Summed], settings: Settings, shortest: usize) -> Cells {
        let kinds = settings.kinds.days();
        let of_kind: Vec<Vec<u32>> = summed
            .iter()
            .map(|summed| {
                let late = self.late(settings);
                let change = settings.change * 0.1 * self.steps_per_hour * self.mean.0 * summed.days as f64;
                let prices: Vec<f64> = summed.prices.iter().map(|(cost, work)| cost + late * work).collect();
                let best = staircase(&prices, self.floors.len(), change);
                best.into_iter().map(|place| self.floors.get(place).copied().unwrap_or(1)).collect()
            })
            .collect();
        let week = Days::DAILY.iter().flat_map(|day| {
            let kind = kinds.iter().position(|kind| kind.contains(day)).unwrap_or(0);
            of_kind.get(kind).cloned().unwrap_or_default()
        });
        Cells::new(week.collect()).led(settings.lead).spread(shortest)
    }
}

/// The place of the best price of each row of `width` prices, where each change from row to row costs something. The rows are a circle.
fn staircase(prices: &[f64], width: usize, change: f64) -> Vec<usize> {
    let width = width.max(1);
    let rows = prices.len() / width;
    let mut best = vec![0.0_f64; width];
    // Twice around, of which the middle is taken, so that the beginning does not matter.
    let mut came_from: Vec<usize> = Vec::with_capacity(2 * prices.len());
    for row in prices.chunks_exact(width).chain(prices.chunks_exact(width)) {
        let (cheapest, least) = lowest(&best);
        for (place, (total, price)) in best.iter_mut().zip(row).enumerate() {
            if *total <= least + change {
                came_from.push(place);
            } else {
                *total = least + change;
                came_from.push(cheapest);
            }
            *total += price;
        }
    }
    let mut place = lowest(&best).0;
    let mut found = vec![0; rows];
    for (nth, row) in came_from.chunks_exact(width).enumerate().rev() {
        let is_middle = (rows / 2..rows / 2 + rows).contains(&nth);
        if let Some(slot) = found.get_mut(nth % rows.max(1)).filter(|_| is_middle) {
            *slot = place;
        }
        place = row.get(place).copied().unwrap_or(0);
    }
    found
}

fn lowest(values: &[f64]) -> (usize, f64) {
    let better =
        |best: (usize, f64), (place, value): (usize, &f64)| if *value < best.1 { (place, *value) } else { best };
    values.iter().enumerate().fold((0, f64::INFINITY), better)
}

/// Floors from `min` to `top`, each a little above the one before.
pub(super) fn ladder(min: u32, top: u32) -> Vec<u32> {
    let mut floors = vec![min.max(1)];
    while let Some(last) = floors.last().copied().filter(|last| *last < top) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most a little above `top`
        let next = (f64::from(last) * LADDER).ceil() as u32;
        floors.push(next.max(last + 1).min(top));
    }
    floors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_floor_is_made_where_it_is_worth_its_price() {
        // Two floors: the first is cheap in rows 0 to 5, the second in rows 6 to 9.
        let prices: Vec<f64> = (0..10).flat_map(|row| if row < 6 { [1.0, 2.0] } else { [4.0, 2.0] }).collect();
        assert_eq!(staircase(&prices, 2, 1.0), [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(staircase(&prices, 2, 9.0), [1; 10], "two changes cost more than six rows too high");
    }

    #[test]
    fn the_ladder_goes_from_the_least_to_the_most() {
        let floors = ladder(2, 60);
        assert_eq!((floors.first(), floors.last()), (Some(&2), Some(&60)));
        assert!(floors.iter().zip(floors.iter().skip(1)).all(|(a, b)| a < b));
        assert_eq!(ladder(5, 3), [5]);
    }
}
