//! [`Series`]: what a chart of a day shows of one workload, in bounded memory.

use std::collections::VecDeque;

/// Points that are kept at most: a day in slots of four minutes.
pub(super) const POINTS: usize = 360;
/// Width of a slot at the beginning, in seconds: one tick at the HPA's sync period.
const NARROWEST_S: i64 = 15;
/// Width of a slot at which the oldest are dropped instead of joined, in seconds: [`POINTS`] of them are a day.
const WIDEST_S: i64 = 240;
/// Points for which room is made at once, so that a young workload takes little.
const ROOM: usize = 60;

/// No count is known. Kubernetes cannot store so many pods.
const NO_COUNT: u32 = u32::MAX;

/// What one tick adds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub(super) load: Option<f64>,
    pub(super) expected: Option<f64>,
    pub(super) pods: Option<u32>,
    pub(super) wanted: Option<u32>,
    pub(super) bounds: Option<(u32, u32)>,
    pub(super) resting: Option<(u32, u32)>,
    pub(super) floor: Option<u32>,
    pub(super) failed: bool,
}

/// The ticks of one slot of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// Number of the slot: its beginning over its width.
    slot: i64,
    load: f32,
    peak: f32,
    expected: f32,
    pods: u32,
    wanted: u32,
    min: u32,
    max: u32,
    resting_min: u32,
    resting_max: u32,
    floor: u32,
    /// Ticks with a load, for its mean.
    loads: u16,
    failed: bool,
}

#[allow(clippy::cast_possible_truncation)] // a chart shows no more digits
fn short(value: Option<f64>) -> f32 {
    value.map_or(f32::NAN, |value| value as f32)
}

fn number(value: f32) -> Option<f32> {
    value.is_finite().then_some(value)
}

fn count(value: u32) -> Option<u32> {
    (value != NO_COUNT).then_some(value)
}

/// The later of two counts, if it is known.
fn later(one: u32, other: u32) -> u32 {
    count(other).unwrap_or(one)
}

/// The higher of two counts, as far as they are known.
fn higher(one: u32, other: u32) -> u32 {
    count(one).max(count(other)).unwrap_or(NO_COUNT)
}

impl Point {
    fn of(slot: i64, sample: &Sample) -> Self {
        let (min, max) = sample.bounds.unwrap_or((NO_COUNT, NO_COUNT));
        let (resting_min, resting_max) = sample.resting.unwrap_or((NO_COUNT, NO_COUNT));
        let load = short(sample.load);
        Self {
            slot,
            load,
            peak: load,
            expected: short(sample.expected),
            pods: sample.pods.unwrap_or(NO_COUNT),
            wanted: sample.wanted.unwrap_or(NO_COUNT),
            min,
            max,
            resting_min,
            resting_max,
            floor: sample.floor.unwrap_or(NO_COUNT),
            loads: u16::from(sample.load.is_some()),
            failed: sample.failed,
        }
    }

    /// Takes in a later one of the same slot: of loads the mean and the highest, of requests and floors the highest, of what is
    /// there (pods, bounds) the last.
    fn join(&mut self, other: &Self) {
        let (ours, theirs) = (f32::from(self.loads), f32::from(other.loads));
        self.load = match (self.loads, other.loads) {
            (0, _) => other.load,
            (_, 0) => self.load,
            _ => (self.load * ours + other.load * theirs) / (ours + theirs),
        };
        // Of NaN and a number `max` is the number.
        self.peak = self.peak.max(other.peak);
        self.expected = self.expected.max(other.expected);
        self.pods = later(self.pods, other.pods);
        self.wanted = higher(self.wanted, other.wanted);
        (self.min, self.max) = (later(self.min, other.min), later(self.max, other.max));
        self.resting_min = later(self.resting_min, other.resting_min);
        self.resting_max = later(self.resting_max, other.resting_max);
        self.floor = higher(self.floor, other.floor);
        self.loads = self.loads.saturating_add(other.loads);
        self.failed |= other.failed;
    }

    pub(super) fn load(&self) -> Option<f32> {
        number(self.load)
    }
    pub(super) fn peak(&self) -> Option<f32> {
        number(self.peak)
    }
    pub(super) fn expected(&self) -> Option<f32> {
        number(self.expected)
    }
    pub(super) fn pods(&self) -> Option<u32> {
        count(self.pods)
    }
    pub(super) fn wanted(&self) -> Option<u32> {
        count(self.wanted)
    }
    pub(super) fn min(&self) -> Option<u32> {
        count(self.min)
    }
    pub(super) fn max(&self) -> Option<u32> {
        count(self.max)
    }
    pub(super) fn resting_min(&self) -> Option<u32> {
        count(self.resting_min)
    }
    pub(super) fn resting_max(&self) -> Option<u32> {
        count(self.resting_max)
    }
    pub(super) fn floor(&self) -> Option<u32> {
        count(self.floor)
    }
    pub(super) fn failed(&self) -> bool {
        self.failed
    }
}

/// Points in order of time, each a slot of time with at least one tick in it. Slots begin as wide as a tick; whenever there is no
/// room for one more, they become twice as wide, until the points are a day; then the oldest are dropped. So a workload that was
/// seen for an hour is shown tick by tick, and one that was seen for a day in slots of four minutes.
#[derive(Clone, Debug)]
pub(super) struct Series {
    width_s: i64,
    points: VecDeque<Point>,
}

impl Default for Series {
    fn default() -> Self {
        Self { width_s: NARROWEST_S, points: VecDeque::new() }
    }
}

impl Series {
    /// Adds a tick, given its instant in seconds. One that comes late is put where it belongs.
    pub(super) fn push(&mut self, second: i64, sample: &Sample) {
        let (place, joins) = self.place(second);
        if !joins && self.points.len() >= POINTS {
            while self.points.len() >= POINTS {
                self.make_room();
            }
            return self.push(second, sample);
        }
        let point = Point::of(second.div_euclid(self.width_s), sample);
        if let Some(there) = self.points.get_mut(place).filter(|_| joins) {
            there.join(&point);
            return;
        }
        if self.points.len() == self.points.capacity() {
            self.points.reserve_exact(ROOM.min(POINTS - self.points.len()));
        }
        self.points.insert(place, point);
    }

    /// Where a point of this instant belongs, and whether there is one of its slot.
    fn place(&self, second: i64) -> (usize, bool) {
        let slot = second.div_euclid(self.width_s);
        let place = self.points.partition_point(|point| point.slot < slot);
        (place, self.points.get(place).is_some_and(|point| point.slot == slot))
    }

    /// Doubles the width of the slots or, where they are wide enough, drops the oldest.
    fn make_room(&mut self) {
        if self.width_s >= WIDEST_S {
            self.points.pop_front();
            return;
        }
        self.width_s *= 2;
        let mut joined: VecDeque<Point> = VecDeque::with_capacity(self.points.capacity());
        for mut point in self.points.drain(..) {
            point.slot = point.slot.div_euclid(2);
            match joined.back_mut().filter(|last| last.slot == point.slot) {
                Some(last) => last.join(&point),
                None => joined.push_back(point),
            }
        }
        self.points = joined;
    }

    /// Forgets loads and forecasts: what follows is measured in another unit.
    pub(super) fn forget_loads(&mut self) {
        for point in &mut self.points {
            (point.load, point.peak, point.expected, point.loads) = (f32::NAN, f32::NAN, f32::NAN, 0);
        }
    }

    /// Width of a slot, in seconds.
    pub(super) fn width_s(&self) -> i64 {
        self.width_s
    }

    /// The points, each with the beginning of its slot in seconds.
    pub(super) fn points(&self) -> impl ExactSizeIterator<Item = (i64, &Point)> {
        self.points.iter().map(|point| (point.slot * self.width_s, point))
    }

    /// Memory beside the struct itself, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.points.capacity() * size_of::<Point>()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn filled(every_s: i64, ticks: i64) -> Series {
        let mut series = Series::default();
        for tick in 0..ticks {
            let sample = Sample { load: Some(tick as f64), pods: Some(3), ..Sample::default() };
            series.push(tick * every_s, &sample);
        }
        series
    }

    #[test]
    fn an_hour_is_kept_tick_by_tick_and_a_day_in_slots_of_four_minutes() {
        assert_eq!((filled(15, 240).width_s(), filled(15, 240).points().len()), (15, 240));
        let week = filled(15, 7 * 5760);
        assert_eq!((week.width_s(), week.points().len()), (240, POINTS));
        let (first, last) = (week.points().next().unwrap().0, week.points().last().unwrap().0);
        assert_eq!((first, last), (6 * 86_400, 7 * 86_400 - 240));
        assert_eq!(week.bytes(), POINTS * size_of::<Point>());
    }

    #[test]
    fn ticks_further_apart_than_a_slot_are_not_thinned_out() {
        let slow = filled(300, 1000);
        assert_eq!(slow.points().len(), POINTS);
        let loads: Vec<_> = slow.points().map(|(_, point)| point.load().unwrap()).collect();
        assert!(loads.windows(2).all(|pair| (pair[1] - pair[0] - 1.0).abs() < 1e-9));
    }

    #[test]
    fn joined_points_keep_mean_and_peak_and_never_make_a_value_of_none() {
        let mut series = Series::default();
        let push = |series: &mut Series, second, load, floor| {
            series.push(second, &Sample { load, floor, ..Sample::default() });
        };
        push(&mut series, 0, Some(10.0), None);
        push(&mut series, 5, None, Some(4));
        push(&mut series, 10, Some(40.0), None);
        push(&mut series, 15, None, None);
        let points: Vec<_> =
            series.points().map(|(at, point)| (at, point.load(), point.peak(), point.floor())).collect();
        assert_eq!(points, [(0, Some(25.0), Some(40.0), Some(4)), (15, None, None, None)]);
        assert!(series.points().all(|(_, point)| point.pods().is_none() && point.min().is_none()));
    }

    #[test]
    fn a_tick_that_comes_late_is_put_where_it_belongs_and_a_far_clock_erases_nothing() {
        let mut series = filled(15, 100);
        series.push(i64::from(u32::MAX), &Sample::default());
        series.push(7, &Sample { load: Some(9.0), ..Sample::default() });
        let at: Vec<_> = series.points().map(|(at, _)| at).collect();
        assert_eq!(at.len(), 101);
        assert!(at.is_sorted());
        assert_eq!(series.points().next().unwrap().1.peak(), Some(9.0));
    }
}
