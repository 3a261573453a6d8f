//! Totals over all workloads, with labels of few values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::decision::{Confidence, Reason, ScalingAction};
use crate::metrics::NoForecast;
use crate::record::{DecisionRecord, Outcome, Step, Unchanged};

/// Guards of this crate, which are shown from the start.
const GUARDS: [&str; 9] = [
    "absence",
    "confidence",
    "consistency",
    "cooldown",
    "freshness",
    "hard_limits",
    "removal_budget",
    "resources",
    "step",
];

/// Guards of the host that are shown by name; further ones are counted as `other`. Names are constants of the host's code, but records
/// that are replayed may hold any.
const OTHER_GUARDS_AT_MOST: usize = 32;

/// Length of a name that is shown; a longer one is counted as `other`.
const NAME_BYTES_AT_MOST: usize = 63;

/// One counter, by the values of its labels.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// Names of its labels; an empty one is none.
    pub(super) labels: [&'static str; 2],
    pub(super) values: BTreeMap<[Cow<'static, str>; 2], u64>,
}

impl Counter {
    /// Values that are known are shown as 0 from the start: a rate begins with the first event, not with the second.
    fn new<const N: usize>(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; 2],
        known: [[&'static str; 2]; N],
    ) -> Self {
        let values = known.into_iter().map(|labels| (labels.map(Cow::Borrowed), 0)).collect();
        Self { name, help, labels, values }
    }

    fn add(&mut self, value: Cow<'static, str>, second: &'static str, events: u64) {
        let count = self.values.entry([value, Cow::Borrowed(second)]).or_default();
        *count = count.saturating_add(events);
    }

    fn count(&mut self, value: &'static str) {
        self.add(Cow::Borrowed(value), "", 1);
    }

    /// Counts a guard, whose name may be the host's.
    fn count_guard(&mut self, guard: &str) {
        let known = GUARDS.into_iter().find(|known| *known == guard);
        let name = known.map_or_else(|| Cow::Owned(guard.to_owned()), Cow::Borrowed);
        let is_shown = self.values.contains_key(&[name.clone(), Cow::Borrowed("")]);
        let has_room = self.values.len() < GUARDS.len() + OTHER_GUARDS_AT_MOST && name.len() <= NAME_BYTES_AT_MOST;
        self.add(if is_shown || has_room { name } else { Cow::Borrowed("other") }, "", 1);
    }
}

/// Every counter.
#[derive(Debug)]
pub(super) struct Counts {
    decisions: Counter,
    ticks: Counter,
    missed: Counter,
    unchanged: Counter,
    failures: Counter,
    refusals: Counter,
    clamps: Counter,
    applies: Counter,
    forecasts: Counter,
    no_forecasts: Counter,
    unlisted: Counter,
}

/// How a forecast turned out, once the time that it was for has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// The load was at most what was expected.
    Held,
    /// The load was more.
    Exceeded,
    /// Nobody measured it.
    Unmeasured,
}

fn one<const N: usize>(values: [&'static str; N]) -> [[&'static str; 2]; N] {
    values.map(|value| [value, ""])
}

impl Counts {
    pub(super) fn new() -> Self {
        let [maintain, up, down, bigger, smaller] = ACTIONS.map(|action| LEVELS.map(|level| [action.label(), level]));
        let decisions = [maintain, up, down, bigger, smaller];
        let mut counts = Self {
            decisions: Counter::new(
                "ai_scaling_decisions",
                "Decisions of the engine, before guards",
                ["decision_type", "confidence_level"],
                [],
            ),
            ticks: Counter::new(
                "ai_scaling_ticks",
                "Ticks of a workload by their end",
                ["outcome", ""],
                one(["unchanged", "planned", "validated", "applied", "refused", "failed"]),
            ),
            missed: Counter::new(
                "ai_scaling_ticks_missed",
                "Ticks that the loop skipped because it was late",
                ["", ""],
                one([""]),
            ),
            unchanged: Counter::new(
                "ai_scaling_unchanged",
                "Ticks with nothing to change, by the reason",
                ["reason", ""],
                [],
            ),
            failures: Counter::new(
                "ai_scaling_failures",
                "Failures by the step that failed; floors that are due are held all the same",
                ["step", ""],
                one([Step::Observe, Step::Read, Step::Decide, Step::Apply].map(Step::label)),
            ),
            refusals: Counter::new("ai_scaling_refusals", "Decisions that a guard refused", ["guard", ""], one(GUARDS)),
            clamps: Counter::new("ai_scaling_clamps", "Changes that a guard made smaller", ["guard", ""], one(GUARDS)),
            applies: Counter::new(
                "ai_scaling_applies",
                "Changes that were sent to the cluster; unknown if the answer was lost",
                ["outcome", ""],
                one(["applied", "already_there", "validated", "failed", "unknown"]),
            ),
            forecasts: Counter::new(
                "ai_scaling_forecasts",
                "Forecasts whose time has come, by whether the load stayed within them",
                ["result", ""],
                one([Judged::Held, Judged::Exceeded, Judged::Unmeasured].map(Judged::label)),
            ),
            no_forecasts: Counter::new(
                "ai_scaling_forecasts_missing",
                "Decisions that wanted a forecast and had none, by the reason",
                ["reason", ""],
                one(["no_load", "no_capacity", "too_short", "not_finite"]),
            ),
            unlisted: Counter::new(
                "ai_scaling_unlisted_records",
                "Records of workloads beyond the limit, which have no series of their own",
                ["", ""],
                one([""]),
            ),
        };
        for labels in decisions.as_flattened() {
            counts.decisions.values.insert(labels.map(Cow::Borrowed), 0);
        }
        counts
    }

    /// Every counter, in the order of the page.
    pub(super) fn all(&self) -> [&Counter; 11] {
        let Self {
            decisions,
            ticks,
            missed,
            unchanged,
            failures,
            refusals,
            clamps,
            applies,
            forecasts,
            no_forecasts,
            unlisted,
        } = self;
        [decisions, ticks, missed, unchanged, failures, refusals, clamps, applies, forecasts, no_forecasts, unlisted]
    }

    pub(super) fn record(&mut self, record: &DecisionRecord) {
        if let Some(decision) = &record.decision {
            self.decisions.add(decision.action().label().into(), level(decision.confidence), 1);
            for reason in &decision.reasons {
                if let Reason::NoForecast { cause } = reason {
                    self.no_forecasts.count(label(*cause));
                }
            }
        }
        for clamp in &record.clamps {
            self.clamps.count_guard(&clamp.guard);
        }
        self.ticks.count(record.outcome.label());
        for end in std::iter::once(&record.outcome).chain(&record.withheld) {
            match end {
                Outcome::Refused { guard, .. } => self.refusals.count_guard(guard),
                Outcome::Failed { step, .. } => self.failures.count(step.label()),
                Outcome::Unchanged { .. } | Outcome::Planned | Outcome::Validated | Outcome::Applied => {}
            }
        }
        match &record.outcome {
            Outcome::Applied => self.applies.count("applied"),
            Outcome::Validated => self.applies.count("validated"),
            Outcome::Failed { step: Step::Apply, may_have_happened, .. } => {
                self.applies.count(if *may_have_happened { "unknown" } else { "failed" });
            }
            Outcome::Unchanged { why } => {
                self.unchanged.count(why.label());
                if let Unchanged::AlreadyThere { .. } = why {
                    self.applies.count("already_there");
                }
            }
            Outcome::Failed { .. } | Outcome::Refused { .. } | Outcome::Planned => {}
        }
    }

    pub(super) fn judged(&mut self, judged: Judged) {
        self.forecasts.count(judged.label());
    }

    pub(super) fn missed(&mut self, ticks: u64) {
        self.missed.add(Cow::Borrowed(""), "", ticks);
    }

    pub(super) fn unlisted(&mut self) {
        self.unlisted.count("");
    }
}

impl Judged {
    fn label(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Exceeded => "exceeded",
            Self::Unmeasured => "unmeasured",
        }
    }
}

const ACTIONS: [ScalingAction; 5] = [
    ScalingAction::Maintain,
    ScalingAction::ScaleUpHorizontal,
    ScalingAction::ScaleDownHorizontal,
    ScalingAction::ScaleUpVertical,
    ScalingAction::ScaleDownVertical,
];

const LEVELS: [&str; 3] = ["high", "medium", "low"];

fn level(confidence: Confidence) -> &'static str {
    let [high, medium, low] = LEVELS;
    match confidence.value() {
        value if value > 0.8 => high,
        value if value > 0.5 => medium,
        _ => low,
    }
}

fn label(cause: NoForecast) -> &'static str {
    match cause {
        NoForecast::NoLoad { .. } => "no_load",
        NoForecast::NoCapacity => "no_capacity",
        NoForecast::TooShort => "too_short",
        NoForecast::NotFinite => "not_finite",
    }
}
