//! Cost of a schedule, against a constant size or another schedule.

use std::fmt;

use scaling_core::{CostImpact, Price};

use crate::{Replayed, Schedule};

const HOURS_PER_WEEK: f64 = 168.0;

/// Pods that run over the week.
#[derive(Clone, Copy, Debug)]
pub enum Size<'a> {
    /// So many at any time.
    Constant(u32),
    /// The floor of a schedule, and at least `outside` pods at any time.
    Scheduled {
        /// The schedule.
        schedule: &'a Schedule,
        /// Pods that run where no window is open: the HPA's own min replicas.
        outside: u32,
    },
}

impl Size<'_> {
    /// Pod-hours in a week without a clock change.
    pub fn pod_hours_per_week(&self) -> f64 {
        match self {
            Self::Constant(pods) => f64::from(*pods) * HOURS_PER_WEEK,
            Self::Scheduled { schedule, outside } => schedule.week().pod_hours(*outside),
        }
    }
}

/// Origin of the figures of a report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CostBasis {
    /// The bill of the floors: the least that runs. Pods that the reactive side adds come on top, in both.
    Floors,
    /// Pods that ran in a replay of so many days from which the compiler had not learnt ([`prove`](crate::prove)).
    Replay {
        /// Days replayed.
        days: f64,
    },
}

/// The change in cost from one size to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostReport {
    /// Origin of the figures.
    pub basis: CostBasis,
    /// Pod-hours a week before.
    pub before_pod_hours_per_week: f64,
    /// Pod-hours a week after.
    pub after_pod_hours_per_week: f64,
    /// The extra cost (above 0) or the saving (below 0). `per_hour` is the mean over the week.
    pub impact: CostImpact,
}

impl CostReport {
    /// Compares the bills of two sizes at a price, by their floors.
    ///
    /// ```
    /// use scaling_core::{Currency, Price};
    /// use scaling_schedule::{CostReport, Days, Schedule, Size, Tz, Window};
    ///
    /// // 8 pods on weekdays, 3 at the weekend, instead of 8 throughout.
    /// let weekdays = Window::parse("weekdays", Days::WEEKDAYS, "00:00", "00:00", 8)?;
    /// let schedule = Schedule::new(Tz::UTC, vec![weekdays])?;
    /// let price = Price::per_pod_hour(0.05, Currency::USD)?;
    /// let report = CostReport::new(Size::Constant(8), Size::Scheduled { schedule: &schedule, outside: 3 }, &price);
    /// // 5 pods less for 48 of 168 hours.
    /// assert!((report.impact.per_year - -0.05 * 5.0 * 8760.0 * 48.0 / 168.0).abs() < 1e-6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(before: Size<'_>, after: Size<'_>, price: &Price) -> Self {
        Self::of(CostBasis::Floors, before.pod_hours_per_week(), after.pod_hours_per_week(), price)
    }

    /// Compares the pods that ran in two replays of the same days, at a price.
    pub fn replayed(before: &Replayed, after: &Replayed, price: &Price) -> Self {
        let basis = CostBasis::Replay { days: after.hours / 24.0 };
        Self::of(basis, before.pod_hours_a_week(), after.pod_hours_a_week(), price)
    }

    fn of(basis: CostBasis, before: f64, after: f64, price: &Price) -> Self {
        let per_hour = (after - before) / HOURS_PER_WEEK * price.pod_hour();
        Self {
            basis,
            before_pod_hours_per_week: before,
            after_pod_hours_per_week: after,
            impact: CostImpact::per_hour(per_hour, price.currency()),
        }
    }
}

impl fmt::Display for CostBasis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Floors => f.write_str(" (floors alone)"),
            Self::Replay { days } => write!(f, " (replay of {days:.1} days that were not learnt from)"),
        }
    }
}

impl fmt::Display for CostReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} instead of {:.1} pod-hours a week{}: {}",
            self.after_pod_hours_per_week, self.before_pod_hours_per_week, self.basis, self.impact
        )
    }
}

#[cfg(test)]
mod tests {
    use scaling_core::Currency;

    use super::*;
    use crate::{Days, Tz, Window};

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9 * b.abs().max(1.0)
    }

    #[test]
    fn a_weekend_at_3_instead_of_8_pods_saves_5_pods_for_48_hours_a_week() {
        let weekdays = Window::parse("weekdays", Days::WEEKDAYS, "00:00", "00:00", 8).unwrap();
        let schedule = Schedule::new(Tz::Europe__Berlin, vec![weekdays]).unwrap();
        let price = Price::per_pod_month(50.0, Currency::USD).unwrap();
        let report = CostReport::new(Size::Constant(8), Size::Scheduled { schedule: &schedule, outside: 3 }, &price);
        assert!(close(report.after_pod_hours_per_week, 8.0 * 120.0 + 3.0 * 48.0));
        assert!(close(report.impact.per_month, -250.0 * 48.0 / 168.0), "{report}");
        assert!(close(report.impact.per_year, -3000.0 * 48.0 / 168.0), "{report}");
    }

    #[test]
    fn nights_at_2_instead_of_5_pods_save_3_pods_for_7_hours_each_night() {
        let day = Window::parse("day", Days::DAILY, "06:00", "23:00", 5).unwrap();
        let schedule = Schedule::new(Tz::UTC, vec![day]).unwrap();
        let price = Price::per_pod_hour(0.05, Currency::USD).unwrap();
        let report = CostReport::new(Size::Constant(5), Size::Scheduled { schedule: &schedule, outside: 2 }, &price);
        assert!(close(report.impact.per_year, -0.05 * 3.0 * 7.0 * 365.0), "{report}");
        assert!(close(report.impact.per_month, -0.05 * 3.0 * 7.0 * 365.0 / 12.0), "{report}");
    }

    #[test]
    fn overlapping_windows_are_paid_once() {
        let day = Window::parse("day", Days::DAILY, "06:00", "22:00", 4).unwrap();
        let peak = Window::parse("peak", Days::DAILY, "08:00", "10:00", 10).unwrap();
        let one = Schedule::new(Tz::UTC, vec![day.clone()]).unwrap();
        let both = Schedule::new(Tz::UTC, vec![day, peak]).unwrap();
        let price = Price::per_pod_hour(1.0, Currency::EUR).unwrap();
        let size = |schedule| Size::Scheduled { schedule, outside: 1 };
        let report = CostReport::new(size(&one), size(&both), &price);
        assert!(close(report.impact.per_year, 6.0 * 2.0 * 365.0), "{report}");
    }
}
