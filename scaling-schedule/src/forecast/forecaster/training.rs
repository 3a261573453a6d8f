//! Moments to train the general model on: `training/README.md` says how.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::float_cmp)] // on purpose, limited, counts

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use scaling_core::WorkloadFacts;

use super::{Forecaster, Step};
use crate::forecast::features::{DAY, OBSERVED};
use crate::forecast::general::{Inputs, inputs};
use crate::forecast::grid::STEP_S;

/// Load that one pod carries, in requests per second.
const POD: f64 = 50.0;
/// Longest part of a trace that is used: four weeks.
const LONGEST: usize = 28 * DAY;
/// One of so many moments is written.
const SPARSE: u64 = 13;
/// How a trace is read: pods that its p99.9 needs, start-up time in seconds, and steps after which the forecaster begins anew, so that
/// moments of which nothing is known before are among those trained on.
const READINGS: [(f64, u32, usize); 10] = [
    (40.0, 60, usize::MAX),
    (40.0, 60, DAY / 2),
    (40.0, 60, DAY / 6),
    (40.0, 180, usize::MAX),
    (40.0, 180, DAY / 2),
    (8.0, 60, usize::MAX),
    (8.0, 60, DAY / 2),
    (40.0, 0, DAY / 2),
    (40.0, 300, DAY / 2),
    (100.0, 120, DAY / 2),
];

/// Reproducible randomness (Marsaglia, *Xorshift RNGs*, 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number of independent requests: multiplied uniform numbers (Knuth), for many of them the normal distribution.
    fn poisson(&mut self, mean: f64) -> f64 {
        if mean <= 0.0 {
            return 0.0;
        }
        if mean > 60.0 {
            let (radius, angle) =
                ((-2.0 * self.uniform().max(1e-300).ln()).sqrt(), std::f64::consts::TAU * self.uniform());
            return (mean + mean.sqrt() * radius * angle.cos()).round().max(0.0);
        }
        let (limit, mut product, mut number) = ((-mean).exp(), self.uniform(), 0.0);
        while product > limit {
            product *= self.uniform();
            number += 1.0;
        }
        number
    }
}

/// A trace: seconds and requests per second.
fn read(path: &Path) -> Vec<(f64, f64)> {
    let mut text = String::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let row = |line: &str| {
        let (at_s, rate) = line.split_once(',').unwrap();
        (at_s.parse().unwrap(), rate.parse().unwrap())
    };
    text.lines().skip(1).map(row).collect()
}

/// Requests per second that came in each step, where the p99.9 of a trace needs so many pods: a straight line between the middles of
/// its intervals, with the noise of independent requests.
fn arrivals(trace: &[(f64, f64)], pods: f64, random: &mut Random) -> Vec<f64> {
    let interval_s = trace[1].0 - trace[0].0;
    let (start_s, end_s) = (trace[0].0, trace[trace.len() - 1].0 + interval_s);
    let mut sorted: Vec<f64> = trace.iter().map(|(_, rate)| *rate).collect();
    sorted.sort_by(f64::total_cmp);
    let (high, peak) = (sorted[sorted.len() * 999 / 1000], sorted[sorted.len() - 1]);
    // No peak beyond four and a half times that.
    let scale = (2000.0 / high).min(9000.0 / peak) * (pods / 40.0);
    let mut place = 0;
    let steps = ((end_s - start_s) / STEP_S) as usize;
    let arrived = |step: usize| {
        let at_s = start_s + (step as f64 + 0.5) * STEP_S;
        while place + 1 < trace.len() && trace[place + 1].0 + interval_s / 2.0 <= at_s {
            place += 1;
        }
        let (middle_s, rate) = (trace[place].0 + interval_s / 2.0, trace[place].1);
        let rate = match trace.get(place + 1) {
            Some((next_s, next)) if at_s > middle_s => {
                rate + (next - rate) * (at_s - middle_s) / (next_s - trace[place].0)
            }
            _ => rate,
        };
        random.poisson(rate * scale * STEP_S) / STEP_S
    };
    (0..steps).map(arrived).take(LONGEST).collect()
}

/// A moment to train on: inputs of the general model, growth that came, weight.
type Row = (Inputs, f64, f64);

/// The moments of a load whose outcome was waited for, oldest first, as [`Forecaster`] itself keeps them.
#[derive(Default)]
struct Pending(VecDeque<(Inputs, f64)>);

impl Pending {
    /// Adds the newest step of a forecaster and returns the moment whose outcome is known with it.
    fn push(&mut self, forecaster: &Forecaster, load: f64) -> Option<Row> {
        let far = forecaster.track.ahead().far;
        let growth = forecaster.track.growth();
        let past = if self.0.len() >= far { self.0.pop_front() } else { None };
        let mut observed = [0.0; OBSERVED];
        let features = &forecaster.pending.back()?.features;
        observed.iter_mut().zip(features).for_each(|(place, feature)| *place = *feature);
        self.0.push_back((inputs(&observed, &forecaster.last_day, far), load));
        let (inputs, load) = past?;
        Some((inputs, growth?, forecaster.weight(load)))
    }
}

/// Tells each moment of a trace whose outcome is known.
fn replay(arrivals: &[f64], start_up_s: u32, anew: usize, told: &mut impl FnMut(&Row)) {
    let mut facts = WorkloadFacts::default();
    facts.start_up = Duration::from_secs(u64::from(start_up_s));
    let (mut forecaster, mut pending) = (Forecaster::new(&facts, POD), Pending::default());
    // Means over a minute that come every 15 s, as a source gives them.
    for (step, window) in (4..).zip(arrivals.windows(4).skip(1)) {
        if step % anew == 0 {
            (forecaster, pending) = (Forecaster::new(&facts, POD), Pending::default());
        }
        let at_ms = (i64::try_from(step).unwrap() + 1) * 15_000;
        forecaster.push_with(at_ms, window.iter().sum::<f64>() / 4.0, &mut |forecaster, step| match step {
            Step::Load(load) => pending.push(forecaster, load).iter().for_each(&mut *told),
            Step::Gap => pending.0.clear(),
        });
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().ends_with(".csv.gz")).collect();
    files.sort();
    files
}

#[test]
#[ignore = "needs traces, and writes files: see training/README.md"]
fn writes_training_moments() {
    let folder =
        |variable: &str| PathBuf::from(std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set")));
    let (traces, output) = (files(&folder("TRACES")), folder("MOMENTS"));
    assert!(!traces.is_empty(), "no *.csv.gz in TRACES");
    for (number, path) in (0..).zip(&traces) {
        let name = path.file_name().unwrap().to_string_lossy().replace(".csv.gz", ".bin");
        let mut file = BufWriter::new(File::create(output.join(name)).unwrap());
        let (trace, mut picked) = (read(path), Random(12_345 + number));
        for (pods, start_up_s, anew) in READINGS {
            let mut noise = Random((7 + u64::from(start_up_s)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
            let arrivals = arrivals(&trace, pods, &mut noise);
            replay(&arrivals, start_up_s, anew, &mut |(inputs, growth, weight)| {
                if picked.next().is_multiple_of(SPARSE) {
                    for number in inputs.iter().copied().chain([*growth as f32, *weight as f32]) {
                        file.write_all(&number.to_le_bytes()).unwrap();
                    }
                }
            });
        }
        file.flush().unwrap();
    }
}

#[test]
fn moments_are_those_that_the_forecaster_learns_from() {
    let trace: Vec<(f64, f64)> = (0..300).map(|minute| (60.0 * f64::from(minute), f64::from(minute % 50))).collect();
    let arrivals = arrivals(&trace, 40.0, &mut Random(1));
    assert_eq!(arrivals.len(), 1200);
    let (mut number, mut largest) = (0, 0.0_f64);
    replay(&arrivals, 60, usize::MAX, &mut |(inputs, growth, weight)| {
        assert!(inputs.iter().all(|input| input.is_finite()));
        assert!((0.3..=2.55).contains(weight), "{weight}");
        (number, largest) = (number + 1, largest.max(*growth));
    });
    let mut forecaster = Forecaster::new(&WorkloadFacts::default(), POD);
    for (step, window) in (5..).zip(arrivals.windows(4).skip(1)) {
        forecaster.push(step * 15_000, window.iter().sum::<f64>() / 4.0);
    }
    assert_eq!(f64::from(number), forecaster.moments());
    assert!(largest > 0.1, "{largest}");
}
