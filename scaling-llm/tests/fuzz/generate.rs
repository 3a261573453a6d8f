//! Replies, whole and damaged, from a seed.

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

pub(super) const NUMBERS: [&str; 9] = [
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

pub(super) fn built(random: &mut Random) -> String {
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

pub(super) fn damaged(random: &mut Random, text: &str) -> String {
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
