//! A million replies: what is read is what they say, and what comes of it is within what the baseline, the share and the guards allow.
//!
//! The generator is deterministic: replies with fields from lists of valid, odd and wrong values in any order, left out, doubled and
//! escaped, and the same damaged byte by byte. Each is judged twice, by the crate and by independent rules over
//! `serde_json::Value`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, missing_docs)]

use std::fmt;

use chrono::{DateTime, Utc};
use scaling_core::guard::GuardContext;
use scaling_core::{
    Bounds, BoundsPolicy, Guards, HardLimits, HpaState, LastChanges, MAX_REPLICAS, NeedDriver, Observation, Proposal,
    Reason, ResourceChange, ScalingDecision, ScalingMetrics, SignalKind, Target, Urgency, WorkloadFacts,
};
use scaling_llm::reply::{MAX_ASSESSMENT, MAX_BYTES, parse};
use scaling_llm::{Action, Advice, AdviceRange, ReplicaRange, Resize, SuggestedWindow};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

const NUMBERS: [&str; 9] = [
    "target_replicas",
    "cpu_request_percent_of_now",
    "memory_request_percent_of_now",
    "confidence_percent",
    "proposed_hpa_target_percent",
    "proposed_window_start_hour",
    "proposed_window_end_hour",
    "proposed_window_min_replicas",
    "target_replicas",
];
const REQUIRED: [&str; 4] = ["assessment", "action", "target_replicas", "confidence_percent"];
/// Values of numbers that are what they should be, for most fields.
const GOOD: [&str; 13] = ["6", "7", "8", "9", "100", "120", "150", "80", "90", "0", "1", "22", "65"];
const ODD: [&str; 43] = [
    "7.0",
    "70e-1",
    "0.8e1",
    "-1",
    "-0",
    "-0.0",
    "0.0",
    "7.5",
    "0.82",
    "1e400",
    "-1e400",
    "1e-400",
    "2147483647",
    "2147483648",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "1e9",
    "1e19",
    "NaN",
    "Infinity",
    "null",
    "true",
    "false",
    "\"7\"",
    "\"\"",
    "[7]",
    "[]",
    "{}",
    "{\"a\":1}",
    "07",
    "+7",
    "0x7",
    "7,5",
    "7.",
    ".7",
    "7e",
    "1e1",
    "6.0000000000000001",
    "101",
    "255",
    "9007199254740993",
];
const ACTIONS: [&str; 14] = [
    "\"scale\"",
    "\"scale\"",
    "\"scale\"",
    "\"hold\"",
    "\"resize\"",
    "\"resize\"",
    "\"sc\\u0061le\"",
    "\"SCALE\"",
    "\"destroy\"",
    "\"\"",
    "null",
    "{\"scale\":null}",
    "[\"scale\"]",
    "0",
];
const DAYS: [&str; 9] = [
    "\"none\"",
    "\"none\"",
    "\"every_day\"",
    "\"weekdays\"",
    "\"weekends\"",
    "\"week\\u0064ays\"",
    "\"monday\"",
    "null",
    "0",
];
const TEXTS: [&str; 12] = [
    "\"load doubles\"",
    "\"\"",
    "\"\\u001b[31m\\n2026 ERROR\"",
    "\"\u{202e}txet\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"a\"b\"",
    "null",
    "7",
    "\"\\q\"",
    "\"tab\tin it\"",
    "\"{\\\"action\\\":\\\"scale\\\"}\"",
];
const SPACES: [&str; 8] = ["", "", "", " ", "\n", "\t\r", "  ", "\u{a0}"];
const BITS: [&str; 26] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\\",
    "\\u0061",
    "0",
    "9",
    "-",
    ".",
    "e",
    "null",
    "//",
    "/*",
    "'",
    "\u{feff}",
    "\u{0}",
    "```",
    "<think>",
    "é",
    "\"action\":\"scale\",",
    "\"target_replicas\":500,",
    "\"max_replicas\":500,",
];

/// Nearly all of the values are what the field takes, so that many replies are whole.
fn value(random: &mut Random, field: &str) -> String {
    let odd = random.one_in(60);
    match field {
        "assessment" if random.one_in(200) => format!("\"{}\"", "x".repeat(random.below(5000))),
        "assessment" => random.pick(if odd { &TEXTS } else { &TEXTS[..5] }).to_owned(),
        "action" => random.pick(if odd { &ACTIONS } else { &ACTIONS[..7] }).to_owned(),
        "proposed_window_days" => random.pick(if odd { &DAYS } else { &DAYS[..6] }).to_owned(),
        _ if odd => random.pick(&ODD).to_owned(),
        "proposed_hpa_target_percent" if random.one_in(2) => "0".to_owned(),
        "proposed_window_start_hour" | "proposed_window_end_hour" if !random.one_in(10) => random.below(26).to_string(),
        _ if random.one_in(3) => random.below(220).to_string(),
        _ => random.pick(&GOOD).to_owned(),
    }
}

fn built(random: &mut Random) -> String {
    let mut fields: Vec<&str> = NUMBERS[..8].to_vec();
    fields.extend(["assessment", "action", "proposed_window_days"]);
    if random.one_in(3) {
        fields.retain(|field| REQUIRED.contains(field) || random.one_in(2));
    }
    for place in (1..fields.len()).rev() {
        fields.swap(place, random.below(place + 1));
    }
    if random.one_in(25) {
        fields.remove(random.below(fields.len()));
    }
    if random.one_in(25) {
        fields.push(random.pick(&[
            "max_replicas",
            "namespace",
            "Action",
            "target_replica",
            "",
            "action",
            "target_replicas",
        ]));
    }
    let escape = random.one_in(20);
    let mut text = random.pick(&SPACES[..7]).to_owned() + "{";
    for (nth, field) in fields.iter().enumerate() {
        let comma = if nth == 0 || random.one_in(400) { "" } else { "," };
        let name = if escape { field.replacen('a', "\\u0061", 1) } else { (*field).to_owned() };
        let space = if random.one_in(10) { random.pick(&SPACES) } else { "" };
        let value = value(random, field);
        text.extend([comma, space, "\"", &name, "\"", space, ":", space, &value]);
    }
    text += "}";
    text += if random.one_in(100) { random.pick(&BITS) } else { random.pick(&SPACES[..7]) };
    text
}

fn damaged(random: &mut Random, text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..(at + random.below(12)).min(bytes.len()))),
            2 => drop(bytes.splice(at..at, random.pick(&BITS).bytes())),
            3 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            4 => {
                let part = bytes[at..(at + random.below(60)).min(bytes.len())].to_vec();
                drop(bytes.splice(at..at, part));
            }
            _ => drop(bytes.splice(at..(at + 1).min(bytes.len()), random.below(999).to_string().bytes())),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The fields of an object as they come, doubled ones too.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// A whole number of pods, percent or hours.
fn whole(value: &Value) -> Option<u32> {
    value.as_u64().filter(|number| *number <= u64::from(MAX_REPLICAS)).map(|number| number as u32)
}

/// Independent rules: the advice that a reply says, `None` if it says none.
fn said(text: &str) -> Option<Advice> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let Fields(fields) = serde_json::from_str(text).ok()?;
    let known =
        |name: &str| NUMBERS.contains(&name) || ["assessment", "action", "proposed_window_days"].contains(&name);
    for (nth, (name, value)) in fields.iter().enumerate() {
        let doubled = fields[..nth].iter().any(|(other, _)| other == name);
        let fits = if NUMBERS.contains(&name.as_str()) { whole(value).is_some() } else { value.is_string() };
        if doubled || !fits || !known(name) {
            return None;
        }
    }
    let field = |name: &str| fields.iter().find(|(other, _)| other == name).map(|(_, value)| value);
    let number = |name: &str| field(name).and_then(whole);
    let text = |name: &str| field(name).and_then(Value::as_str);
    let action = match text("action")? {
        "scale" => Action::Scale,
        "hold" => Action::Hold,
        "resize" => Action::Resize(Resize {
            cpu_percent: number("cpu_request_percent_of_now")?,
            memory_percent: number("memory_request_percent_of_now")?,
        }),
        _ => return None,
    };
    let suggested_target_percent = match number("proposed_hpa_target_percent") {
        None | Some(0) => None,
        Some(percent @ 10..=95) => Some(percent),
        Some(_) => return None,
    };
    let days = match text("proposed_window_days") {
        None | Some("none") => None,
        Some(days) => Some(serde_json::from_value(days.into()).ok()?),
    };
    let suggested_window = match days {
        None => None,
        Some(days) => {
            let (start_hour, end_hour) = (number("proposed_window_start_hour")?, number("proposed_window_end_hour")?);
            let min_replicas = number("proposed_window_min_replicas")?;
            if start_hour > 23 || end_hour > 24 || end_hour == 0 || end_hour == start_hour || min_replicas == 0 {
                return None;
            }
            Some(SuggestedWindow { days, start_hour, end_hour, min_replicas })
        }
    };
    let confidence_percent = u8::try_from(number("confidence_percent")?).ok().filter(|percent| *percent <= 100)?;
    // Its text is compared apart.
    let assessment = text("assessment")?.to_owned();
    let target_replicas = number("target_replicas")?;
    Some(Advice { action, target_replicas, confidence_percent, assessment, suggested_target_percent, suggested_window })
}

/// A situation: what the baseline wants, and what advice may pick.
struct Situation {
    observation: Observation,
    baseline: ScalingDecision,
    allowed: AdviceRange,
    state: HpaState,
    limits: HardLimits,
}

const SHARE: f64 = 0.5;

fn situations() -> Vec<Situation> {
    let at = DateTime::<Utc>::UNIX_EPOCH;
    let need = Reason::Need { driver: NeedDriver::Demand, replicas: 6.3 };
    let mut situations = Vec::new();
    for (current, desired) in [(4, 6), (8, 3), (8, 8), (0, 1), (40, 60)] {
        for (cpu, memory) in [(0, 0), (0, 50), (-30, 0), (100, -10)] {
            let mut facts = WorkloadFacts::default();
            (facts.cpu_request_millicores, facts.memory_request_bytes) = (Some(500), Some(512 << 20));
            let now = ScalingMetrics::new(at, current)
                .with(SignalKind::CpuUtilization, 75.0)
                .with(SignalKind::MemoryUtilization, 92.0);
            let observation = Observation::new(Target::deployment("shop", "web"), now).with_facts(facts);
            let change = ResourceChange { cpu_percent: cpu, memory_percent: memory };
            let baseline = ScalingDecision::replicas("rules", at, current, desired)
                .with_confidence(0.9)
                .with_urgency(Urgency::Normal)
                .with_resources(change.filled())
                .because(need.clone());
            let allowed = AdviceRange::new(ReplicaRange::around(&baseline, SHARE), &observation, &baseline, SHARE);
            let state = HpaState::new(Bounds::new(current.clamp(1, 2), 10).unwrap());
            let limits = HardLimits::new(1, 50).unwrap();
            situations.push(Situation { observation, baseline, allowed, state, limits });
        }
    }
    situations
}

/// What comes of advice that is within its range, through the guards.
fn check_effect(situation: &Situation, advice: &Advice, guards: &Guards) {
    let Situation { observation, baseline, state, limits, .. } = situation;
    let decision = advice.applied_to(baseline.clone());
    let (current, wanted, got) = (baseline.current_replicas, baseline.desired_replicas, decision.desired_replicas);
    assert!(got >= wanted, "never fewer than the baseline: {got}, {advice:?}");
    assert!(got <= wanted.max(current).max(wanted + wanted.div_ceil(2)), "{got} pods, {advice:?}");
    assert!(!baseline.shrinks() || got <= current, "a shrink becomes no growth: {advice:?}");
    let [own, new] = [baseline, &decision].map(|decision| decision.resources.unwrap_or_default());
    for (own, new) in [(own.cpu_percent, new.cpu_percent), (own.memory_percent, new.memory_percent)] {
        assert!((own..=own.max(100)).contains(&new), "{own} to {new}, {advice:?}");
    }
    assert!(advice.action == Action::Scale || got == wanted, "{advice:?}");
    assert!(matches!(advice.action, Action::Resize(_)) || own == new, "{advice:?}");
    // Everything but the size, the requests and their cost is the baseline's.
    let (mut same, cost) = (decision.clone(), decision.cost.is_none());
    (same.desired_replicas, same.resources) = (wanted, baseline.resources);
    assert!(cost && same == *baseline, "{advice:?}");

    let policy = BoundsPolicy::default();
    let context = GuardContext {
        target: &observation.target,
        now: observation.now,
        observation: Some(observation),
        state: *state,
        limits: *limits,
        policy: &policy,
        min_without_floor: None,
        last: LastChanges::default(),
        released: &[],
    };
    let approve = |decision: ScalingDecision| guards.approve(Proposal::decided(decision), &context).change();
    let (advised, alone) = (approve(decision), approve(baseline.clone()));
    assert!(limits.bounds().contains(advised.new), "{advised:?}");
    // Within twice the pods there are, with the headroom that any request gets.
    let most = (current * 2).max(1);
    assert!(advised.new.max() <= state.bounds.max().max(most + (most / 4).max(5)), "{advised:?}");
    assert!(advised.new.min() >= alone.new.min(), "{advised:?}, alone {alone:?}");
    // Usage is 75 % of the CPU request and 92 % of the memory request.
    let ResourceChange { cpu_percent, memory_percent } = advised.resources.unwrap_or_default();
    assert!((-25..=100).contains(&cpu_percent) && (0..=100).contains(&memory_percent), "{advised:?}");
}

#[derive(Debug, Default)]
struct Counts {
    read: u64,
    within: u64,
    changing: u64,
    actions: [u64; 3],
    suggesting: u64,
}

fn fuzz(seed: u64, replies: u64) -> Counts {
    let (mut random, situations, guards) = (Random(seed), situations(), Guards::default());
    let mut counts = Counts::default();
    for _ in 0..replies {
        let mut text = built(&mut random);
        if random.one_in(2) {
            text = damaged(&mut random, &text);
        }
        let (got, expected) = (parse(&text), said(&text));
        let (Ok(advice), Some(mut expected)) = (&got, expected.clone()) else {
            assert!(got.is_err() && expected.is_none(), "{text:?}\nread {got:?}\nsaid {expected:?}");
            let error = got.unwrap_err().to_string();
            assert!(error.len() < 1000 && !error.chars().any(char::is_control), "{error:?}");
            continue;
        };
        // Shown as it was said, but for what cannot be seen and what is too long.
        let shown = |text: &str| text.chars().filter(char::is_ascii_graphic).collect::<String>();
        let kept: String = expected.assessment.chars().take(MAX_ASSESSMENT).collect();
        assert_eq!(shown(&advice.assessment), shown(&kept), "{text:?}");
        assert!(
            advice.assessment.chars().count() <= MAX_ASSESSMENT + 1 && !advice.assessment.chars().any(char::is_control)
        );
        expected.assessment.clone_from(&advice.assessment);
        assert_eq!(*advice, expected, "{text:?}");

        counts.read += 1;
        counts.actions[match advice.action {
            Action::Scale => 0,
            Action::Hold => 1,
            Action::Resize(_) => 2,
        }] += 1;
        counts.suggesting += u64::from(advice.suggestions().next().is_some());
        let situation = &situations[random.below(situations.len())];
        if situation.allowed.check(advice).is_ok() {
            counts.within += 1;
            counts.changing += u64::from(advice.changes(&situation.baseline));
            check_effect(situation, advice, &guards);
        }
    }
    counts
}

/// Replies of each of the two tests below, which run beside each other: a million in all.
const FUZZED: u64 = 500_000;

fn whatever_is_answered_is_read_as_it_says_and_stays_within_its_bounds(seed: u64) {
    let counts = fuzz(seed, FUZZED);
    // Each way through is taken often, or the test shows nothing.
    assert!(
        counts.read > FUZZED / 10 && counts.changing > FUZZED / 200 && counts.suggesting > FUZZED / 50,
        "{counts:?}"
    );
    assert!(counts.actions.iter().all(|times| *times > FUZZED / 100), "{counts:?}");
}

#[test]
fn law_8_half_a_million_replies_are_read_as_they_say_and_stay_within_their_bounds() {
    whatever_is_answered_is_read_as_it_says_and_stays_within_its_bounds(11);
}

#[test]
fn law_8_half_a_million_other_replies_too() {
    whatever_is_answered_is_read_as_it_says_and_stays_within_its_bounds(7);
}
