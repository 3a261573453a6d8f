//! The load of a usual week: [`WeekBand`].

use chrono::{Datelike, Timelike, Weekday};
use chrono_tz::Tz;
use scaling_core::{MetricsHistory, ScalingMetrics, stats};

use super::COLUMNS;
use crate::Schedule;

/// Pods that one half hour of a weekday needed over the weeks that were seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Tenth percentile.
    pub low: f64,
    /// Median.
    pub middle: f64,
    /// 90th percentile.
    pub high: f64,
}

/// The band of the need over a week: each half hour of each weekday that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct WeekBand {
    slots: Vec<Option<Band>>,
}

impl WeekBand {
    /// The band of what a history needed, by the wall clock of a zone. `need` returns the pods that one sample needed, not rounded; what is
    /// not finite or negative does not count.
    pub fn of(history: &MetricsHistory, time_zone: Tz, need: impl Fn(&ScalingMetrics) -> Option<f64>) -> Self {
        let mut seen: Vec<Vec<f64>> = vec![Vec::new(); 7 * COLUMNS];
        for sample in history.iter() {
            let Some(need) = need(&sample).filter(|need| need.is_finite() && *need >= 0.0) else { continue };
            let Some(local) = Schedule::clock(time_zone, sample.timestamp) else { continue };
            let half_hour = local.hour() * 2 + local.minute() / 30;
            if let Some(slot) = seen.get_mut(place(local.weekday(), half_hour as usize)) {
                slot.push(need);
            }
        }
        let band = |mut needs: Vec<f64>| {
            let mut quantile = |share| stats::quantile(&mut needs, share);
            Some(Band { low: quantile(0.1)?, middle: quantile(0.5)?, high: quantile(0.9)? })
        };
        Self { slots: seen.into_iter().map(band).collect() }
    }

    /// Returns the band of a half hour of a day, 0 to 47; `None` where nothing was seen.
    pub fn of_half_hour(&self, weekday: Weekday, half_hour: usize) -> Option<Band> {
        self.slots.get(place(weekday, half_hour)).copied().flatten().filter(|_| half_hour < COLUMNS)
    }

    /// The highest 90th percentile of the week; 0 if nothing was seen.
    pub fn highest(&self) -> f64 {
        self.slots.iter().flatten().map(|band| band.high).fold(0.0, f64::max)
    }
}

fn place(weekday: Weekday, half_hour: usize) -> usize {
    weekday.num_days_from_monday() as usize * COLUMNS + half_hour
}
