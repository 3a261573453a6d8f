//! Kubernetes Events about HPAs: one object for each series, with a count.

use std::collections::HashMap;
use std::time::Duration;

use scaling_core::Target;
use scaling_core::chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{Change, cut};
use crate::manifest::{API_VERSION, KIND};

/// Longest message of an Event, in bytes.
pub(crate) const MAX_MESSAGE: usize = 1024;
/// Longest name of a component, in bytes.
pub(crate) const MAX_COMPONENT: usize = 128;
/// Longest start of an Event's name, in bytes: with a dot and sixteen digits it is a name that Kubernetes takes.
const MAX_PREFIX: usize = 236;
/// Series that are kept.
const SERIES: usize = 20_000;

/// Changes as Events of the core API, `BoundsChanged` by name. All changes of one HPA are one object, whose count goes up and whose message
/// is that of the latest: a fleet does not drown in Events. Of each HPA one is given out in a while at most; what happened in between
/// is counted, and comes with the next, or when it is [`due`](Self::due).
///
/// An Event is written by a server-side apply, which creates it or moves it on. From the second time on it has a `series` with the count and the
/// time of the latest, as Events of `events.k8s.io/v1` do.
#[derive(Debug)]
pub struct EventSeries(Series);

impl EventSeries {
    /// Events of a component, the field manager as a rule: of each HPA one in such a while at most.
    pub fn new(component: impl AsRef<str>, every: Duration) -> Self {
        Self(Series::new(component.as_ref(), every, usize::MAX))
    }

    /// Takes in a change of the HPA with this uid, and gives the Event to be written now, if one is.
    pub fn take(&mut self, target: &Target, uid: Option<&str>, change: &Change) -> Option<Value> {
        let Change { before, after, who, why, .. } = change;
        let perhaps = if change.uncertain { "perhaps changed" } else { "changed" };
        let message = format!("bounds {perhaps} from {before} to {after} by {who}: {why}");
        let news = News { kind: "Normal", reason: "BoundsChanged", message: &message };
        self.0.take((target, uid), "", news, change.at)
    }

    /// The Events that were held back and are due by now, in the order of their workloads.
    pub fn due(&mut self, now: DateTime<Utc>) -> Vec<Value> {
        self.0.due(now)
    }
}

/// Something to be told: the type of the Event, its reason and its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News<'a> {
    pub(crate) kind: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) message: &'a str,
}

/// Series of Events about HPAs, each told once in a while at most, and all together so many times in that while. What is held back is counted,
/// and the newest of it is given out when it is due.
#[derive(Debug)]
pub(crate) struct Series {
    component: String,
    every: TimeDelta,
    /// Events that are given out in a while, at most, and those that were in the present one.
    most: usize,
    given: Option<(DateTime<Utc>, usize)>,
    /// By HPA and name of the series.
    told: HashMap<(Target, &'static str), Told>,
}

/// State of one series.
#[derive(Debug)]
struct Told {
    uid: Option<String>,
    kind: &'static str,
    reason: &'static str,
    message: String,
    count: u32,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    /// When it was given out last.
    sent: Option<DateTime<Utc>>,
    /// True if something has not been given out yet.
    waits: bool,
}

impl Series {
    pub(crate) fn new(component: &str, every: Duration, most: usize) -> Self {
        let every = TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX);
        Self { component: cut(component, MAX_COMPONENT), every, most, given: None, told: HashMap::new() }
    }

    /// Takes in news of the HPA with this uid, and gives the Event to be written now, if one is.
    pub(crate) fn take(
        &mut self,
        (target, uid): (&Target, Option<&str>),
        series: &'static str,
        news: News<'_>,
        at: DateTime<Utc>,
    ) -> Option<Value> {
        let key = (target.clone(), series);
        if self.told.len() >= SERIES && !self.told.contains_key(&key) {
            let oldest =
                self.told.iter().min_by_key(|(_, told)| (told.waits, told.last)).map(|(key, _)| key.clone())?;
            self.told.remove(&oldest);
        }
        let News { kind, reason, message } = news;
        let told = self.told.entry(key.clone()).or_insert_with(|| Told::new(uid, at));
        if told.uid.as_deref() != uid {
            // Another object of the same name has been told nothing.
            *told = Told::new(uid, at);
        }
        told.count = told.count.saturating_add(1);
        (told.kind, told.reason, told.message) = (kind, reason, cut(message, MAX_MESSAGE));
        (told.first, told.last, told.waits) = (told.first.min(at), at, true);
        self.give(&key, at)
    }

    /// One of the Events that were held back and are due by now: that of which was told longest ago.
    #[cfg(feature = "controller")]
    pub(crate) fn next_due(&mut self, now: DateTime<Utc>) -> Option<Value> {
        let waiting = self.told.iter().filter(|(_, told)| told.waits && !told.is_early(now, self.every));
        let next = waiting.min_by_key(|(key, told)| (told.sent, *key)).map(|(key, _)| key.clone())?;
        self.give(&next, now)
    }

    /// The Events that were held back and are due by now, in the order of their workloads.
    pub(crate) fn due(&mut self, now: DateTime<Utc>) -> Vec<Value> {
        let waiting = self.told.iter().filter(|(_, told)| told.waits && !told.is_early(now, self.every));
        // Who has been told longest ago first, so that the limit on all of them is nobody's for ever.
        let mut due: Vec<_> = waiting.map(|(key, told)| (told.sent, key.clone())).collect();
        due.sort_unstable();
        let left = self.most - self.given_by(now);
        let mut due: Vec<_> = due.into_iter().take(left).map(|(_, key)| key).collect();
        due.sort_unstable();
        due.iter().filter_map(|key| self.give(key, now)).collect()
    }

    /// Notes that the last Event of a series could not be written: it waits for its next turn.
    #[cfg(feature = "controller")]
    pub(crate) fn was_not_taken(&mut self, target: &Target, series: &'static str) {
        if let Some(told) = self.told.get_mut(&(target.clone(), series)) {
            told.waits = true;
        }
    }

    fn give(&mut self, key: &(Target, &'static str), now: DateTime<Utc>) -> Option<Value> {
        let given = self.given_by(now);
        let told = self.told.get_mut(key).filter(|told| told.waits && !told.is_early(now, self.every))?;
        if given >= self.most {
            return None;
        }
        (told.sent, told.waits) = (Some(now), false);
        let ((target, name), told) = (key, &*told);
        let component = if name.is_empty() { self.component.clone() } else { format!("{}/{name}", self.component) };
        let about = About { component: &self.component, name: &component, target, uid: told.uid.as_deref() };
        let news = News { kind: told.kind, reason: told.reason, message: &told.message };
        let event = about.event(news, (told.first, told.last), told.count);
        let began = self.given.filter(|_| given > 0).map_or(now, |(began, _)| began);
        self.given = Some((began, given + 1));
        Some(event)
    }

    /// Events that were given out in the present while.
    fn given_by(&self, now: DateTime<Utc>) -> usize {
        self.given.filter(|(began, _)| is_early(now, *began, self.every)).map_or(0, |(_, given)| given)
    }
}

impl Told {
    fn new(uid: Option<&str>, at: DateTime<Utc>) -> Self {
        let uid = uid.map(str::to_owned);
        let message = String::new();
        Self { uid, kind: "Normal", reason: "", message, count: 0, first: at, last: at, sent: None, waits: false }
    }

    fn is_early(&self, now: DateTime<Utc>, every: TimeDelta) -> bool {
        self.sent.is_some_and(|sent| is_early(now, sent, every))
    }
}

/// An Event without what it tells: whose it is, and what it is about.
pub(crate) struct About<'a> {
    pub(crate) component: &'a str,
    /// What tells it apart from other Events about the HPA: the component, and the name of the series.
    pub(crate) name: &'a str,
    pub(crate) target: &'a Target,
    pub(crate) uid: Option<&'a str>,
}

impl About<'_> {
    /// The Event, told so often between two instants.
    pub(crate) fn event(&self, news: News<'_>, (first, last): (DateTime<Utc>, DateTime<Utc>), count: u32) -> Value {
        let Self { component, name: apart, target, uid } = self;
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut regarding =
            json!({ "apiVersion": API_VERSION, "kind": KIND, "namespace": target.namespace, "name": target.hpa });
        if let (Some(fields), Some(uid)) = (regarding.as_object_mut(), uid) {
            fields.insert("uid".to_owned(), (*uid).into());
        }
        let mut event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "namespace": target.namespace, "name": name(&target.hpa, apart) },
            "involvedObject": regarding,
            "type": news.kind,
            "reason": news.reason,
            "message": cut(news.message, MAX_MESSAGE),
            "source": { "component": component },
            "reportingComponent": component,
            // A clock that was ahead at first has told nothing of the future.
            "firstTimestamp": time(first.min(last)),
            "lastTimestamp": time(last),
            "count": count,
        });
        if let Some(fields) = event.as_object_mut().filter(|_| count > 1) {
            let last = last.to_rfc3339_opts(SecondsFormat::Micros, true);
            fields.insert("series".to_owned(), json!({ "count": count, "lastObservedTime": last }));
        }
        event
    }
}

/// A clock that was set back holds nothing up.
pub(crate) fn is_early(now: DateTime<Utc>, sent: DateTime<Utc>, every: TimeDelta) -> bool {
    let past = now.signed_duration_since(sent);
    past >= TimeDelta::zero() && past < every
}

/// The one name of all Events of a series about an HPA, the same after a restart.
fn name(hpa: &str, series: &str) -> String {
    // FNV-1a, 64 bits: it tells two series apart, and is the same in every release.
    let bytes = series.bytes().chain([0]).chain(hpa.bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let prefix = cut(hpa, MAX_PREFIX);
    let prefix = prefix.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    format!("{}.{hash:016x}", if prefix.is_empty() { "hpa" } else { prefix })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVERY: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn target(nth: usize) -> Target {
        Target::deployment("shop", format!("web-{nth}"))
    }

    fn news(message: &str) -> News<'_> {
        News { kind: "Warning", reason: "UndoFailed", message }
    }

    #[test]
    fn each_reason_of_an_hpa_is_a_series_of_its_own_and_another_object_begins_anew() {
        let mut series = Series::new("kube-scaling", EVERY, 10);
        let web = target(0);
        let first = series.take((&web, Some("a")), "UndoFailed", news("one"), at(0)).unwrap();
        assert_eq!((&first["count"], first.get("series")), (&json!(1), None));
        assert!(series.take((&web, Some("a")), "UndoFailed", news("two"), at(10)).is_none());
        let other = series.take((&web, Some("a")), "Released", news("done"), at(10)).unwrap();
        assert_ne!(other["metadata"]["name"], first["metadata"]["name"]);
        let again = series.take((&web, Some("a")), "UndoFailed", news("three"), at(60)).unwrap();
        assert_eq!(
            (&again["count"], &again["message"], &again["metadata"]),
            (&json!(3), &json!("three"), &first["metadata"])
        );
        assert_eq!(again["series"], json!({ "count": 3, "lastObservedTime": "1970-01-01T00:01:00.000000Z" }));
        let anew = series.take((&web, Some("b")), "UndoFailed", news("four"), at(61)).unwrap();
        assert_eq!((&anew["count"], &anew["involvedObject"]["uid"]), (&json!(1), &json!("b")));
    }

    #[test]
    fn what_was_not_taken_comes_again_and_nothing_is_told_of_the_future() {
        let mut series = Series::new("kube-scaling", EVERY, 10);
        let web = target(0);
        assert!(series.take((&web, None), "UndoFailed", news("one"), at(3600)).is_some());
        let back = series.take((&web, None), "UndoFailed", news("two"), at(0)).unwrap();
        assert_eq!(back["firstTimestamp"], back["lastTimestamp"]);
        series.was_not_taken(&web, "UndoFailed");
        assert!(series.due(at(59)).is_empty());
        assert_eq!(series.due(at(60))[0]["count"], 2);
        assert!(series.due(at(600)).is_empty());
    }

    #[test]
    fn memory_is_bounded_and_what_waits_is_forgotten_last() {
        let mut series = Series::new("kube-scaling", EVERY, 1);
        for nth in 0..SERIES + 5 {
            series.take((&target(nth), None), "UndoFailed", news("one"), at(0));
        }
        assert_eq!(series.told.len(), SERIES);
        assert!(!series.told.contains_key(&(target(0), "UndoFailed")), "it was told");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// However much there is to tell, of one series and of all together; and in the end all of it was told, with its count.
        #[test]
        fn no_more_is_given_out_than_the_limits_allow_and_nothing_is_lost(
            most in 1_usize..5, told in prop::collection::vec((0_i64..40, 0_usize..8), 1..80),
        ) {
            let mut series = Series::new("kube-scaling", EVERY, most);
            let (mut now, mut given) = (0, Vec::new());
            let mut counts = [0_u64; 8];
            let name = |event: &Value| event["involvedObject"]["name"].as_str().unwrap().to_owned();
            for (step, nth) in told {
                now += step;
                counts[nth] += 1;
                let event = series.take((&target(nth), None), "UndoFailed", news("one"), at(now));
                given.extend(event.into_iter().chain(series.due(at(now))).map(|event| (now, event)));
            }
            for _ in 0..20 {
                now += 60;
                given.extend(series.due(at(now)).into_iter().map(|event| (now, event)));
            }
            for (nth, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let of: Vec<_> = given.iter().filter(|(_, event)| name(event) == format!("web-{nth}")).collect();
                prop_assert!(of.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 60));
                prop_assert_eq!(of.last().unwrap().1["count"].as_u64().unwrap(), *count);
            }
            // Fixed windows: two of them may lie within one while.
            let within = |from: i64| given.iter().filter(|(at, _)| (from..from + 60).contains(at)).count();
            prop_assert!(given.iter().all(|(at, _)| within(*at) <= 2 * most));
        }

        #[test]
        fn a_clock_that_jumps_holds_nothing_back_for_longer_than_a_while(jumps in prop::collection::vec(-100_000_i64..100_000, 0..12)) {
            let mut series = Series::new("kube-scaling", EVERY, 1);
            for jump in jumps {
                series.take((&target(0), None), "UndoFailed", news("one"), at(jump));
            }
            let now = series.take((&target(0), None), "UndoFailed", news("two"), at(0));
            let later = series.due(at(60));
            prop_assert!(now.is_some() || later.len() == 1);
        }
    }
}
