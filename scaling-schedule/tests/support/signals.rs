//! Known loads to be found again.

use scaling_core::chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use scaling_schedule::Tz;
use scaling_schedule::patterns::{AnalyzeConfig, Patterns, analyze_values};

/// Numbers that look random, the same for the same seed (SplitMix64).
#[derive(Clone)]
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal.
    pub(crate) fn normal(&mut self) -> f64 {
        let (u, v) = (self.uniform().max(1e-300), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Samples every so many minutes, from a Monday on, of a load that is told the time on the wall clock.
pub(crate) fn samples(
    zone: Tz,
    days: i64,
    minutes: i64,
    mut load: impl FnMut(i64, NaiveDateTime) -> f64,
) -> Vec<(DateTime<Utc>, f64)> {
    let start = zone.with_ymd_and_hms(2026, 1, 5, 0, 0, 0).unwrap().to_utc();
    (0..days * 1440 / minutes)
        .map(|step| {
            let at = start + TimeDelta::minutes(step * minutes);
            (at, load(step * minutes / 1440, at.with_timezone(&zone).naive_local()))
        })
        .collect()
}

/// 1 on average: high from 9 to 17, with a dip at noon.
pub(crate) fn day(local: NaiveDateTime) -> f64 {
    let hour = f64::from(local.hour()) + f64::from(local.minute()) / 60.0;
    let bell = |middle: f64, wide: f64| (-((hour - middle) / wide).powi(2)).exp();
    0.4 + 1.6 * bell(10.5, 2.0) + 1.2 * bell(19.0, 2.0)
}

pub(crate) fn is_weekend(local: NaiveDateTime) -> bool {
    local.weekday().num_days_from_monday() >= 5
}

pub(crate) fn found(samples: &[(DateTime<Utc>, f64)]) -> Patterns {
    analyze_values(samples, &AnalyzeConfig::default()).unwrap()
}
