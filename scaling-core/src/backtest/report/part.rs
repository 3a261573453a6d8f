//! A report made by several processes: [`Part`] says which share is whose, [`Report::merged`] joins what they wrote.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Report;

/// Most parts of one report.
const MAX_PARTS: u32 = 100_000;

/// One process's share of a list of workloads, as the index of an Indexed Job gives it. Shares are runs of the list, in its order, and differ
/// by one workload at most.
///
/// ```
/// use scaling_core::backtest::Part;
/// let shares: Vec<&[u8]> = (0..3).map(|index| Part::new(index, 3).unwrap().of(&[1, 2, 3, 4, 5, 6, 7])).collect();
/// assert_eq!(shares, [[1, 2].as_slice(), &[3, 4], &[5, 6, 7]]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Numbers")]
pub struct Part {
    index: u32,
    parts: u32,
}

/// The numbers as they are written, which may be any.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    index: u32,
    parts: u32,
}

impl TryFrom<Numbers> for Part {
    type Error = InvalidPart;

    fn try_from(Numbers { index, parts }: Numbers) -> Result<Self, InvalidPart> {
        Self::new(index, parts)
    }
}

/// There is no such part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no part {index} of {parts}; parts are 0 to {}, and at most {MAX_PARTS} of them", .parts.saturating_sub(1))]
pub struct InvalidPart {
    /// Number of the part, from 0.
    pub index: u32,
    /// Parts in all.
    pub parts: u32,
}

impl Part {
    /// The part of this number, from 0, of so many.
    ///
    /// # Errors
    /// [`InvalidPart`] if there is none, or if there are more than 100,000 parts.
    pub fn new(index: u32, parts: u32) -> Result<Self, InvalidPart> {
        if index < parts && parts <= MAX_PARTS { Ok(Self { index, parts }) } else { Err(InvalidPart { index, parts }) }
    }

    /// Number of the part, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Parts in all.
    pub fn parts(self) -> u32 {
        self.parts
    }

    /// The share of a list. It is empty where there are more parts than items.
    pub fn of<T>(self, items: &[T]) -> &[T] {
        let place = |index: u32| {
            // At most 2^32 times the length of a slice.
            let place = items.len() as u128 * u128::from(index) / u128::from(self.parts);
            usize::try_from(place).unwrap_or(items.len())
        };
        items.get(place(self.index)..place(self.index + 1)).unwrap_or_default()
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.parts)
    }
}

/// Text is not of the form `INDEX/PARTS`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParsePartError {
    /// Other text.
    #[error("{0:?}: expected INDEX/PARTS, as 0/4")]
    Form(String),
    /// There is no such part.
    #[error(transparent)]
    Invalid(#[from] InvalidPart),
}

impl FromStr for Part {
    type Err = ParsePartError;

    fn from_str(text: &str) -> Result<Self, ParsePartError> {
        let numbers = text.split_once('/').and_then(|(index, parts)| Some((index.parse().ok()?, parts.parse().ok()?)));
        let (index, parts) = numbers.ok_or_else(|| ParsePartError::Form(text.to_owned()))?;
        Ok(Self::new(index, parts)?)
    }
}

/// A workload that is not in a report, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Name of the workload.
    pub name: String,
    /// Reason.
    pub why: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "left out: {}: {}", self.name, self.why)
    }
}

/// Reports that are not the parts of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// There is none.
    #[error("there is nothing to merge")]
    Nothing,
    /// One of them is a whole report.
    #[error("report {nth} is whole, and no part of one")]
    Whole {
        /// Place of the report, from 1.
        nth: usize,
    },
    /// Two of them were made by different commands, of different versions, or in different numbers of parts.
    #[error("part {part} differs from part {first} in its {what}: {theirs}, not {ours}")]
    Differs {
        /// The first part given.
        first: Part,
        /// The other one.
        part: Part,
        /// What they differ in.
        what: &'static str,
        /// Of the first.
        ours: String,
        /// Of the other.
        theirs: String,
    },
    /// A part is there twice.
    #[error("part {0} is there twice")]
    Twice(Part),
    /// Parts are missing.
    #[error("{} missing of {parts}: {}", count(.indices.len()), listed(.indices))]
    Missing {
        /// Numbers of the missing parts.
        indices: Vec<u32>,
        /// Parts in all.
        parts: u32,
    },
    /// Two parts have the same workload.
    #[error("{name} is in two parts, or twice in one")]
    SameWorkload {
        /// Name of the workload.
        name: String,
    },
}

fn count(parts: usize) -> String {
    if parts == 1 { "1 part is".to_owned() } else { format!("{parts} parts are") }
}

/// Numbers that are shown of those that are missing.
const SHOWN: usize = 10;

fn listed(indices: &[u32]) -> String {
    let shown: Vec<String> = indices.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if indices.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

impl Report {
    /// Says that this is one part of a report that several processes make: of its workloads, the share [`Part::of`].
    #[must_use]
    pub fn as_part(mut self, part: Part) -> Self {
        self.part = Some(part);
        self
    }

    /// Adds the workloads that could not be replayed, and why.
    #[must_use]
    pub fn leaving_out(mut self, left_out: Vec<LeftOut>) -> Self {
        self.left_out = left_out;
        self
    }

    /// Joins the parts of a report, given in any order. It is the report that one process would have made of all workloads, byte for byte.
    ///
    /// # Errors
    /// [`MergeError`] if they are not all of the parts of one report, each once.
    pub fn merged(reports: impl IntoIterator<Item = Self>) -> Result<Self, MergeError> {
        let mut parts = Vec::new();
        for (nth, report) in reports.into_iter().enumerate() {
            parts.push((report.part.ok_or(MergeError::Whole { nth: nth + 1 })?, report));
        }
        let Some((first, pattern)) = parts.first() else { return Err(MergeError::Nothing) };
        for (part, report) in &parts {
            let differs = |what, ours: &dyn fmt::Display, theirs: &dyn fmt::Display| {
                let (ours, theirs) = (ours.to_string(), theirs.to_string());
                let (first, part) = (*first, *part);
                if ours == theirs { Ok(()) } else { Err(MergeError::Differs { first, part, what, ours, theirs }) }
            };
            differs("number of parts", &first.parts, &part.parts)?;
            differs("version", &pattern.version, &report.version)?;
            let command = |report: &Self| report.command.clone().unwrap_or_else(|| "none".to_owned());
            differs("command", &command(pattern), &command(report))?;
        }
        let total = first.parts;
        parts.sort_by_key(|(part, _)| part.index);
        if let Some([(twice, _), _]) = parts.windows(2).find(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
            return Err(MergeError::Twice(*twice));
        }
        let found: BTreeSet<u32> = parts.iter().map(|(part, _)| part.index).collect();
        let missing: Vec<u32> = (0..total).filter(|index| !found.contains(index)).collect();
        if !missing.is_empty() {
            return Err(MergeError::Missing { indices: missing, parts: total });
        }
        let command = parts.first().and_then(|(_, report)| report.command.clone());
        let version = parts.first().map(|(_, report)| report.version.clone());
        let (mut traces, mut left_out) = (Vec::new(), Vec::new());
        for (_, report) in parts {
            traces.extend(report.traces);
            left_out.extend(report.left_out);
        }
        let mut names = BTreeSet::new();
        let workloads = traces.iter().map(|trace| &trace.name).chain(left_out.iter().map(|left| &left.name));
        if let Some(name) = workloads.into_iter().find(|name| !names.insert(name.as_str())) {
            return Err(MergeError::SameWorkload { name: name.clone() });
        }
        let mut report = Self { command, ..Self::new(traces) }.leaving_out(left_out);
        // Made by the version that made the parts, whichever joins them.
        report.version = version.unwrap_or(report.version);
        Ok(report)
    }
}
