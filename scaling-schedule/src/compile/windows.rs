//! Floors of a week as windows that lie on each other: a long low one with shorter, higher ones inside.

use chrono::{NaiveTime, Timelike};

use super::cells::{CELL_MINUTES, Cells, DAY_CELLS, WEEK_CELLS};
use crate::{Days, InvalidSchedule, Window};

/// A window to be: parts of stretches that begin at the same time of day, last as long and have the same floor.
#[derive(Clone, Copy, Debug)]
struct Draft {
    days: Days,
    from: usize,
    length: usize,
    floor: u32,
}

/// The windows of a week with these floors, those up to `outside` left out: low and long first, as one would tell it.
pub(crate) fn windows(cells: &Cells, outside: u32, shortest: usize) -> Result<Vec<Window>, InvalidSchedule> {
    let mut drafts: Vec<Draft> = Vec::new();
    for stretch in cells.stretches(outside) {
        for part in stretch.parts(shortest).into_iter().filter(|part| cells.needs(*part)) {
            let (day, from) = part.start_of_day();
            let (days, length, floor) = (Days::of([day]), part.length, part.floor);
            let same = |draft: &&mut Draft| (draft.from, draft.length, draft.floor) == (from, length, floor);
            match drafts.iter_mut().find(same) {
                Some(draft) => draft.days = draft.days.union(days),
                None => drafts.push(Draft { days, from, length, floor }),
            }
        }
    }
    drafts.sort_by_key(|draft| (draft.floor, draft.from, u8::MAX - draft.days.len(), draft.length));
    drafts.into_iter().map(Draft::finish).collect()
}

impl Draft {
    fn finish(self) -> Result<Window, InvalidSchedule> {
        let (from, to) = (clock_time(self.from), clock_time(self.from + self.length));
        let name = format!("{} {}-{}", self.days, from.format("%H:%M"), to.format("%H:%M"));
        Ok(Window::new(name, self.days, from, to, self.floor)?)
    }
}

/// The floors of a week that windows hold.
pub(crate) fn floors_of(windows: &[Window]) -> Cells {
    let floor = |holder: Option<usize>| holder.and_then(|place| windows.get(place)).map_or(0, Window::min);
    Cells::new(holders(windows).into_iter().map(floor).collect())
}

fn clock_time(cell: usize) -> NaiveTime {
    let minutes = u32::try_from(cell % DAY_CELLS).unwrap_or(0) * CELL_MINUTES;
    NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0).unwrap_or_default()
}

/// First cell of a day in which a window is open since that day: what lies before it belongs to the opening of the day before.
pub(crate) fn first_cell_of_its_day(window: &Window) -> usize {
    if window.ends_next_day() { cell(window.from()) } else { 0 }
}

fn cell(time: NaiveTime) -> usize {
    (time.num_seconds_from_midnight() / 60 / CELL_MINUTES) as usize
}

/// Of each cell of a week the place of the window that holds its floor, as [`Schedule::open_at`](crate::Schedule::open_at) has it.
pub(crate) fn holders(windows: &[Window]) -> Vec<Option<usize>> {
    let mut holders: Vec<Option<usize>> = vec![None; WEEK_CELLS];
    for (place, window) in windows.iter().enumerate() {
        let (from, to) = (cell(window.from()), cell(window.to()));
        let length = if to > from { to - from } else { to + DAY_CELLS - from };
        for (day, _) in Days::DAILY.iter().enumerate().filter(|(_, day)| window.days().contains(*day)) {
            for at in day * DAY_CELLS + from..day * DAY_CELLS + from + length {
                if let Some(holder) = holders.get_mut(at % WEEK_CELLS) {
                    let held = holder.and_then(|place| windows.get(place)).map_or(0, Window::min);
                    if window.min() > held {
                        *holder = Some(place);
                    }
                }
            }
        }
    }
    holders
}
