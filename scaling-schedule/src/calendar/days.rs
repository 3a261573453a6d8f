//! A set of weekdays.

use std::fmt;

use chrono::{Weekday, WeekdaySet};
use serde::{Deserialize, Serialize};

const WEEK: [(Weekday, &str); 7] = [
    (Weekday::Mon, "mon"),
    (Weekday::Tue, "tue"),
    (Weekday::Wed, "wed"),
    (Weekday::Thu, "thu"),
    (Weekday::Fri, "fri"),
    (Weekday::Sat, "sat"),
    (Weekday::Sun, "sun"),
];

/// The weekdays on which a window opens.
///
/// Written as `"daily"`, `"weekdays"`, `"weekend"`, or a list such as `["mon", "thu"]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Days(WeekdaySet);

impl Days {
    /// Monday to Sunday.
    pub const DAILY: Self = Self(WeekdaySet::ALL);
    /// Monday to Friday.
    pub const WEEKDAYS: Self =
        Self(WeekdaySet::from_array([Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri]));
    /// Saturday and Sunday.
    pub const WEEKEND: Self = Self(WeekdaySet::from_array([Weekday::Sat, Weekday::Sun]));

    /// Creates a set of days. An empty set is possible here and refused by a window.
    pub fn of(days: impl IntoIterator<Item = Weekday>) -> Self {
        Self(days.into_iter().collect())
    }

    /// Returns true if the day is one of them.
    pub fn contains(self, day: Weekday) -> bool {
        self.0.contains(day)
    }

    /// Number of days.
    pub fn len(self) -> u8 {
        self.0.len()
    }

    /// Returns true if there is no day.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The days, Monday first.
    pub fn iter(self) -> impl Iterator<Item = Weekday> {
        self.0.iter(Weekday::Mon)
    }

    /// The days of both sets.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0.union(other.0))
    }

    fn name(self) -> Option<&'static str> {
        [("daily", Self::DAILY), ("weekdays", Self::WEEKDAYS), ("weekend", Self::WEEKEND)]
            .into_iter()
            .find_map(|(name, days)| (days == self).then_some(name))
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name() {
            return f.write_str(name);
        }
        for (nth, day) in self.iter().enumerate() {
            write!(f, "{}{day}", if nth == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The written form. It is checked where the window's name is known, for the error.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "days must be \"daily\", \"weekdays\", \"weekend\" or a list such as [\"mon\", \"tue\"]")]
pub(crate) enum WrittenDays {
    Name(String),
    List(Vec<String>),
}

impl From<Days> for WrittenDays {
    fn from(days: Days) -> Self {
        match days.name() {
            Some(name) => Self::Name(name.into()),
            None => Self::List(
                WEEK.iter().filter(|(day, _)| days.contains(*day)).map(|(_, name)| (*name).to_owned()).collect(),
            ),
        }
    }
}

impl TryFrom<WrittenDays> for Days {
    /// The word that is no day.
    type Error = String;

    fn try_from(written: WrittenDays) -> Result<Self, String> {
        match written {
            WrittenDays::Name(name) => match name.as_str() {
                "daily" => Ok(Self::DAILY),
                "weekdays" => Ok(Self::WEEKDAYS),
                "weekend" => Ok(Self::WEEKEND),
                _ => Err(name),
            },
            WrittenDays::List(list) => {
                let mut days = WeekdaySet::EMPTY;
                for word in list {
                    let day = WEEK.iter().find(|(_, name)| *name == word).ok_or(word)?.0;
                    days.insert(day);
                }
                Ok(Self(days))
            }
        }
    }
}
