//! [`Yearly`]: the recurrence of holidays.

use chrono::{Datelike, NaiveDate, Weekday};

use super::ical::date;

const UNDERSTOOD: &str =
    "FREQ=YEARLY is understood, with INTERVAL, COUNT, UNTIL, BYMONTH, and BYMONTHDAY or BYDAY such as 4TH or -1MO";

/// A rule `FREQ=YEARLY` of RFC 5545, section 3.3.10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Yearly {
    interval: u16,
    count: Option<u32>,
    until: Option<NaiveDate>,
    months: Vec<u32>,
    /// Days of the month; negative ones from its end.
    month_days: Vec<i32>,
    /// The n-th weekday of the month; negative from its end, 0 for each.
    weekdays: Vec<(i32, Weekday)>,
}

impl Yearly {
    /// Reads a rule, or says what is understood.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut rule = Self {
            interval: 1,
            count: None,
            until: None,
            months: Vec::new(),
            month_days: Vec::new(),
            weekdays: Vec::new(),
        };
        let mut yearly = false;
        let mut seen: Vec<String> = Vec::new();
        for part in text.trim().split(';').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or(UNDERSTOOD)?;
            let key = key.to_ascii_uppercase();
            if seen.contains(&key) {
                return Err(UNDERSTOOD);
            }
            match key.as_str() {
                "FREQ" => yearly = value.eq_ignore_ascii_case("YEARLY"),
                "INTERVAL" => rule.interval = value.parse().ok().filter(|n| *n > 0).ok_or(UNDERSTOOD)?,
                "COUNT" => rule.count = Some(value.parse().ok().filter(|n| *n > 0).ok_or(UNDERSTOOD)?),
                // A time after the date, as for other events, ends on that date.
                "UNTIL" => rule.until = Some(value.get(..8).and_then(date).ok_or(UNDERSTOOD)?),
                "BYMONTH" => rule.months = list(value, |text| text.parse().ok().filter(|m| (1..=12).contains(m)))?,
                "BYMONTHDAY" => {
                    let day = |text: &str| text.parse().ok().filter(|day: &i32| *day != 0 && day.abs() <= 31);
                    rule.month_days = list(value, day)?;
                }
                "BYDAY" => rule.weekdays = list(value, nth_weekday)?,
                // Weeks do not come into a rule without week numbers.
                "WKST" => {}
                _ => return Err(UNDERSTOOD),
            }
            seen.push(key);
        }
        // Without a month, the n-th weekday and the day of the month count over the year or every month: nobody writes holidays so.
        let by_day = !rule.month_days.is_empty() || !rule.weekdays.is_empty();
        let one_of_both = rule.month_days.is_empty() || rule.weekdays.is_empty();
        let works = yearly && one_of_both && !(by_day && rule.months.is_empty());
        if works && !(rule.count.is_some() && rule.until.is_some()) { Ok(rule) } else { Err(UNDERSTOOD) }
    }

    /// First days of the occurrences, in order, up to the end of a year. The start counts as the first, whether or not it fits.
    /// `None` where that takes more work than the budget allows.
    pub(super) fn starts(&self, start: NaiveDate, until_year: i32, budget: &mut usize) -> Option<Vec<NaiveDate>> {
        let mut starts = vec![start];
        let most = self.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        let mut year = start.year();
        while year <= until_year.min(NaiveDate::MAX.year()) && starts.len() < most {
            let work = 1 + self.months.len().max(1) * (self.month_days.len() + 31 * self.weekdays.len());
            *budget = budget.checked_sub(work)?;
            let mut dates = self.of_year(year, start);
            dates.sort_unstable();
            dates.dedup();
            for date in dates {
                if date > start && starts.len() < most && self.until.is_none_or(|until| date <= until) {
                    starts.push(date);
                }
            }
            year += i32::from(self.interval);
        }
        Some(starts)
    }

    fn of_year(&self, year: i32, start: NaiveDate) -> Vec<NaiveDate> {
        let this = [start.month()];
        let months = if self.months.is_empty() { &this[..] } else { &self.months };
        let day = |month, day| NaiveDate::from_ymd_opt(year, month, day);
        let mut dates = Vec::new();
        for month in months.iter().copied() {
            let Some(last) = day(month, 1).map(|first| u32::from(first.num_days_in_month())) else { continue };
            if self.month_days.is_empty() && self.weekdays.is_empty() {
                // 29 February comes in leap years only: dates that are not there are left out.
                dates.extend(day(month, start.day()));
            }
            for number in &self.month_days {
                let from_start =
                    if *number > 0 { number.unsigned_abs() } else { (last + 1).saturating_sub(number.unsigned_abs()) };
                dates.extend(day(month, from_start));
            }
            for (nth, weekday) in &self.weekdays {
                let such: Vec<NaiveDate> = (1..=last)
                    .filter_map(|number| day(month, number))
                    .filter(|date| date.weekday() == *weekday)
                    .collect();
                let place = usize::try_from(nth.unsigned_abs()).unwrap_or(0);
                match nth {
                    0 => dates.extend(such),
                    1.. => dates.extend(such.get(place - 1)),
                    _ => dates.extend(such.len().checked_sub(place).and_then(|place| such.get(place))),
                }
            }
        }
        dates
    }
}

fn list<T>(value: &str, of: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, &'static str> {
    const MOST: usize = 62;
    if value.split(',').count() > MOST {
        return Err(UNDERSTOOD);
    }
    value.split(',').map(|text| of(text.trim()).ok_or(UNDERSTOOD)).collect()
}

/// `4TH`, `-1MO`, `SU`.
fn nth_weekday(text: &str) -> Option<(i32, Weekday)> {
    let (nth, day) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let day = match day.to_ascii_uppercase().as_str() {
        "MO" => Weekday::Mon,
        "TU" => Weekday::Tue,
        "WE" => Weekday::Wed,
        "TH" => Weekday::Thu,
        "FR" => Weekday::Fri,
        "SA" => Weekday::Sat,
        "SU" => Weekday::Sun,
        _ => return None,
    };
    if nth.is_empty() {
        return Some((0, day));
    }
    let nth: i32 = nth.parse().ok()?;
    (nth != 0 && nth.abs() <= 5).then_some((nth, day))
}
