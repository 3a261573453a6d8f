//! The bounds over an ordinary week.

use chrono::{NaiveDate, NaiveDateTime, TimeDelta, Weekday};

use crate::Schedule;

const MINUTES_PER_DAY: u32 = 24 * 60;
const MINUTES_PER_WEEK: u32 = 7 * MINUTES_PER_DAY;

/// A stretch of the week with one floor and one ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Start, in minutes since Monday 00:00.
    pub start_minute: u32,
    /// End, in the same minutes; 10,080 is the end of Sunday.
    pub end_minute: u32,
    /// The floor; `None` where no window is open.
    pub floor: Option<u32>,
    /// The ceiling; `None` where no open window states one.
    pub ceiling: Option<u32>,
}

impl Segment {
    /// Returns the length in hours.
    pub fn hours(&self) -> f64 {
        f64::from(self.end_minute - self.start_minute) / 60.0
    }

    /// Returns the weekday and the time of day of the start.
    pub fn start(&self) -> (Weekday, chrono::NaiveTime) {
        let start = moment(self.start_minute);
        (chrono::Datelike::weekday(&start), start.time())
    }
}

/// The bounds over a week without a clock change, Monday 00:00 to Sunday 24:00: neighbouring segments differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Week(Vec<Segment>);

impl Week {
    /// Returns the segments in order; together they are the whole week.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Returns the pod-hours of the week if `outside` pods run where the floor is lower or there is none.
    pub fn pod_hours(&self, outside: u32) -> f64 {
        self.0.iter().map(|segment| segment.hours() * f64::from(segment.floor.unwrap_or(0).max(outside))).sum()
    }
}

/// A wall-clock time in a week that began on a Monday.
fn moment(minute: u32) -> NaiveDateTime {
    // The first of January 2024 was a Monday.
    let monday = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or_default().and_time(chrono::NaiveTime::MIN);
    monday + TimeDelta::minutes(i64::from(minute))
}

impl Schedule {
    /// Returns the bounds over a week without a clock change and without events, for bills and previews.
    pub fn week(&self) -> Week {
        use chrono::Timelike;
        let minute_of_day = |time: chrono::NaiveTime| time.num_seconds_from_midnight() / 60;
        let mut edges: Vec<u32> = vec![0, MINUTES_PER_WEEK];
        for window in self.windows() {
            let (from, to) = (minute_of_day(window.from()), minute_of_day(window.to()));
            for day in 0..7 {
                edges.extend([day * MINUTES_PER_DAY + from, day * MINUTES_PER_DAY + to]);
            }
        }
        edges.sort_unstable();
        edges.dedup();
        let mut segments: Vec<Segment> = Vec::new();
        for (start, end) in edges.iter().zip(edges.iter().skip(1)) {
            let open = self.recurring_on_wall_clock(moment(*start));
            let (floor, ceiling) = (open.map(|open| open.min), open.and_then(|open| open.max));
            match segments.last_mut() {
                Some(last) if (last.floor, last.ceiling) == (floor, ceiling) => last.end_minute = *end,
                _ => segments.push(Segment { start_minute: *start, end_minute: *end, floor, ceiling }),
            }
        }
        Week(segments)
    }
}
