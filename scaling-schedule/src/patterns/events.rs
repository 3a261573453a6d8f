//! Events that recur by a rule of dates, and spikes, which do not.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate, TimeDelta};

use super::MAX_SPIKES;
use super::bumps::{Bump, LONGEST_MINUTES};
use super::found::{DateRule, EventTime, Evidence, RecurringEvent, Spike, WeekdayNumber};
use super::grid::Grid;
use super::proof::at_least;
use super::usual::clock_time;

/// Bumps from which rules are made: the furthest from the usual load.
const MADE_FROM: usize = 64;
/// Occurrences that a rule needs, of which so many have to come.
pub(super) const OCCURRENCES: u32 = 3;
const COME: f64 = 0.75;
/// Rules that are counted as tried at least.
const TRIED: usize = 20;
/// Longest spike, in minutes: two days. More is a level.
const LONGEST_SPIKE: usize = 2 * 1440;

/// What a rule has to go by, of one date.
struct DateFacts {
    rules: [DateRule; 5],
    number: usize,
}

impl DateFacts {
    #[allow(clippy::cast_possible_truncation)] // days of a month
    fn of(date: NaiveDate) -> Self {
        let (weekday, day) = (WeekdayNumber(date.weekday()), date.day());
        let last = date.num_days_in_month();
        let rules = [
            DateRule::Weekly(weekday),
            DateRule::NthWeekday(day.div_ceil(7) as u8, weekday),
            DateRule::MonthDay(day as u8),
            DateRule::LastWeekday(weekday),
            DateRule::MonthEnd,
        ];
        // The last two come or not; one of them alone is put first.
        let (last_weekday, month_end) = (day + 7 > u32::from(last), day == u32::from(last));
        let number = 3 + usize::from(last_weekday) + usize::from(month_end);
        Self { rules, number }
    }

    /// Month end implies last weekday, so the rules that hold are the first ones.
    fn rules(&self) -> impl Iterator<Item = DateRule> + '_ {
        self.rules.iter().copied().take(self.number)
    }

    fn holds(&self, rule: DateRule) -> bool {
        self.rules().any(|held| held == rule)
    }
}

/// Bumps that recur, as events; and which of the bumps they explain. Days that are not judged by count as not seen.
pub(super) fn recurring(
    grid: &Grid,
    bumps: &[Bump],
    whole_days: bool,
    significance: f64,
    not_judged: &BTreeSet<usize>,
) -> (Vec<RecurringEvent>, Vec<bool>) {
    let mut explained = vec![false; bumps.len()];
    let longest = LONGEST_MINUTES / grid.slot_minutes.max(1) as usize;
    let mut made_from: Vec<usize> = (0..bumps.len())
        .filter(|place| whole_days || bumps.get(*place).is_some_and(|bump| bump.slots <= longest))
        .collect();
    if made_from.len() < OCCURRENCES as usize {
        return (Vec::new(), explained);
    }
    let apart = |place: usize| bumps.get(place).map_or(0.0, |bump| bump.apart);
    made_from.sort_by(|a, b| apart(*b).total_cmp(&apart(*a)).then(a.cmp(b)));
    made_from.truncate(MADE_FROM);
    let facts: Vec<DateFacts> = grid.days.iter().map(|day| DateFacts::of(day.date)).collect();

    let mut candidates: Vec<Candidate> = Vec::new();
    for place in made_from {
        let Some((bump, facts)) = bumps.get(place).and_then(|bump| Some((bump, facts.get(bump.day)?))) else {
            continue;
        };
        for rule in facts.rules() {
            let known = |other: &Candidate| other.rule == rule && other.is_at(bump);
            if !candidates.iter().any(known) {
                candidates.push(Candidate { rule, slot: bump.slot, slots: bump.slots, sign: bump.sign });
            }
        }
    }
    let tried = candidates.len().max(TRIED);
    let mut tallies: Vec<Tally> = candidates
        .iter()
        .filter_map(|candidate| candidate.tally(grid, &facts, bumps, whole_days, tried, not_judged))
        .filter(|tally| tally.error_rate <= significance)
        .collect();
    // The surest first; of equals the one that comes more often, and of these the plainer rule.
    tallies.sort_by(|a, b| {
        a.error_rate.total_cmp(&b.error_rate).then(b.hits.len().cmp(&a.hits.len())).then(a.rule.cmp(&b.rule))
    });
    let mut events = Vec::new();
    for tally in tallies {
        let new = tally.hits.iter().filter(|place| !explained.get(**place).copied().unwrap_or(true)).count();
        if new * 2 <= tally.hits.len() {
            continue;
        }
        for place in &tally.hits {
            if let Some(explained) = explained.get_mut(*place) {
                *explained = true;
            }
        }
        events.push(tally.event(grid, bumps, whole_days));
    }
    (events, explained)
}

/// A rule with a time of day that may be an event.
struct Candidate {
    rule: DateRule,
    slot: usize,
    slots: usize,
    sign: f64,
}

struct Tally {
    rule: DateRule,
    occurrences: u32,
    /// Bumps that came by the rule, one a date.
    hits: Vec<usize>,
    error_rate: f64,
}

impl Candidate {
    /// The same sign, and a start that is a slot away at most.
    fn is_at(&self, bump: &Bump) -> bool {
        (self.sign - bump.sign).abs() < 1.0 && self.slot.abs_diff(bump.slot) <= 1
    }

    /// The same sign, and most of the shorter one within the longer one.
    fn meets(&self, bump: &Bump) -> bool {
        let (from, to) = (self.slot.max(bump.slot), (self.slot + self.slots).min(bump.slot + bump.slots));
        (self.sign - bump.sign).abs() < 1.0
            && (self.is_at(bump) || (to.saturating_sub(from)) * 2 > self.slots.min(bump.slots))
    }

    /// Counts on how many of its dates it came, and how often the like came on others.
    fn tally(
        &self,
        grid: &Grid,
        facts: &[DateFacts],
        bumps: &[Bump],
        whole_days: bool,
        tried: usize,
        not_judged: &BTreeSet<usize>,
    ) -> Option<Tally> {
        let mut hits: Vec<usize> = Vec::new();
        let (mut came_else, mut last_else) = (0.0, usize::MAX);
        for (place, bump) in bumps.iter().enumerate().filter(|(_, bump)| self.meets(bump)) {
            if facts.get(bump.day).is_some_and(|facts| facts.holds(self.rule)) {
                let same_day = hits.last().and_then(|last| bumps.get(*last)).is_some_and(|last| last.day == bump.day);
                if !same_day {
                    hits.push(place);
                }
            } else if last_else != bump.day {
                last_else = bump.day;
                came_else += 1.0;
            }
        }
        let came = u32::try_from(hits.len()).unwrap_or(u32::MAX);
        if came < OCCURRENCES {
            return None;
        }
        let seen = |day: usize| {
            let full = grid.days.get(day).is_some_and(|day| day.full);
            if not_judged.contains(&day) {
                return false;
            }
            let window = grid.row(day).iter().skip(self.slot).take(self.slots);
            if whole_days { full } else { window.filter(|value| !value.is_nan()).count() > 0 }
        };
        let (mut occurrences, mut others) = (0_u32, 0.0);
        for (_, facts) in facts.iter().enumerate().filter(|(day, _)| seen(*day)) {
            if facts.holds(self.rule) { occurrences += 1 } else { others += 1.0 }
        }
        if f64::from(came) < COME * f64::from(occurrences) {
            return None;
        }
        // As often as on other dates, and once more in as many.
        let rate = (came_else + 1.0) / (others + 2.0);
        let error_rate = (at_least(occurrences.max(came), came, rate) * tried as f64).min(1.0);
        Some(Tally { rule: self.rule, occurrences: occurrences.max(came), hits, error_rate })
    }
}

impl Tally {
    fn event(&self, grid: &Grid, bumps: &[Bump], whole_days: bool) -> RecurringEvent {
        let hits: Vec<&Bump> = self.hits.iter().filter_map(|place| bumps.get(*place)).collect();
        let sum = |of: fn(&Bump) -> f64| hits.iter().map(|bump| of(bump)).sum::<f64>();
        let (load, usual, slots) = (sum(|bump| bump.load), sum(|bump| bump.usual), sum(|bump| bump.slots as f64));
        let middle = |of: fn(&Bump) -> usize| {
            let mut values: Vec<usize> = hits.iter().map(|bump| of(bump)).collect();
            values.sort_unstable();
            values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0)
        };
        let (from, length) = (middle(|bump| bump.slot), middle(|bump| bump.slots));
        let time = EventTime { from: clock_time(grid, from), to: clock_time(grid, from + length) };
        RecurringEvent {
            rule: self.rule,
            time: (!whole_days).then_some(time),
            factor: (usual > 1e-9 * load).then(|| load / usual),
            extra: (load - usual) / slots.max(1.0) * grid.unit,
            evidence: Evidence {
                trials: self.occurrences,
                successes: u32::try_from(hits.len()).unwrap_or(u32::MAX),
                error_rate: self.error_rate,
                span: grid.span(),
            },
        }
    }
}

/// Bumps upward that do not recur, the highest against the usual load first, and their number. What came a period of so many slots
/// before and after as well recurs.
pub(super) fn spikes<'a>(grid: &Grid, bumps: impl Iterator<Item = &'a Bump>, periods: &[usize]) -> (Vec<Spike>, u32) {
    let minutes = |slots: usize| slots * grid.slot_minutes as usize;
    let mut left: Vec<&Bump> = bumps
        .filter(|bump| bump.sign > 0.0 && minutes(bump.slots) <= LONGEST_SPIKE)
        .filter(|bump| !periods.iter().any(|period| recurs(grid, bump, *period)))
        .collect();
    let number = u32::try_from(left.len()).unwrap_or(u32::MAX);
    let height = |bump: &Bump| bump.extreme.0 - bump.extreme.1;
    left.sort_by(|a, b| height(b).total_cmp(&height(a)).then((a.day, a.slot).cmp(&(b.day, b.slot))));
    left.truncate(MAX_SPIKES);
    let told = left.into_iter().filter_map(|bump| {
        let date = grid.days.get(bump.day)?.date;
        let start = date
            .and_time(chrono::NaiveTime::MIN)
            .checked_add_signed(TimeDelta::minutes(i64::try_from(minutes(bump.slot)).ok()?))?;
        Some(Spike {
            start,
            minutes: u32::try_from(minutes(bump.slots)).ok()?,
            peak: bump.extreme.0 * grid.unit,
            usual: bump.extreme.1 * grid.unit,
        })
    });
    (told.collect(), number)
}

/// True if on half of the cycles that were seen the load is as high at this phase, or nearly.
fn recurs(grid: &Grid, bump: &Bump, period: usize) -> bool {
    let place = bump.day * grid.per_day + bump.extreme_slot;
    let (load, usual) = bump.extreme;
    let (mut seen, mut high) = (0, 0);
    for value in grid.cells.iter().skip(place % period.max(1)).step_by(period.max(1)).filter(|value| !value.is_nan()) {
        seen += 1;
        high += usize::from(*value >= f64::midpoint(load, usual));
    }
    // One of them is the bump itself.
    seen > 1 && (high - 1) * 2 >= seen - 1
}
