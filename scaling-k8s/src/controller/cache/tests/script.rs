//! What is asked for, and what becomes of each answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream::BoxStream;

use super::super::shared::Shared;
use super::super::watch::{Event, Fault, Page, Server};
use super::super::{HpaCache, Unread};
use super::{bookmark, bounds, hpa, page, put, removed, seconds};

type Told = Result<Event, Fault>;

/// Answers in the order in which they are asked for; what comes after the last is never answered.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    asked: Vec<String>,
}

enum Answer {
    Page(Page),
    Watch(BoxStream<'static, Told>),
    Fault(Fault),
    Silence,
}

impl Script {
    fn page(&self, page: Page) -> &Self {
        self.answer(Answer::Page(page))
    }

    fn fault(&self, relist: bool) -> &Self {
        self.answer(Answer::Fault(Fault { why: "it is down".to_owned(), relist }))
    }

    fn silence(&self) -> &Self {
        self.answer(Answer::Silence)
    }

    /// A watch that ends when what is returned is dropped.
    fn watch(&self) -> UnboundedSender<Told> {
        let (tell, told) = unbounded();
        self.answer(Answer::Watch(told.boxed()));
        tell
    }

    fn answer(&self, answer: Answer) -> &Self {
        self.0.lock().unwrap().answers.push_back(answer);
        self
    }

    fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.clone()
    }

    fn start(&self) -> HpaCache {
        HpaCache::over(self.clone(), Shared::new("kube-scaling".to_owned(), None, seconds(120)))
    }

    async fn next(&self, asked: String) -> Answer {
        let answer = {
            let mut state = self.0.lock().unwrap();
            state.asked.push(asked);
            state.answers.pop_front()
        };
        match answer {
            None | Some(Answer::Silence) => std::future::pending().await,
            Some(answer) => answer,
        }
    }
}

impl Server for Script {
    async fn page(&self, token: Option<String>) -> Result<Page, Fault> {
        match self.next(format!("list {}", token.unwrap_or_default())).await {
            Answer::Page(page) => Ok(page),
            Answer::Fault(fault) => Err(fault),
            _ => panic!("a list was asked for"),
        }
    }

    async fn watch(&self, version: String) -> Result<BoxStream<'static, Told>, Fault> {
        match self.next(format!("watch {version}")).await {
            Answer::Watch(stream) => Ok(stream),
            Answer::Fault(fault) => Err(fault),
            _ => panic!("a watch was asked for"),
        }
    }
}

fn names(cache: &HpaCache) -> Vec<String> {
    cache.targets().iter().map(|target| target.target.hpa.clone()).collect()
}

fn max(cache: &HpaCache, name: &str) -> Option<u32> {
    let hpa = cache.get("shop", name).unwrap()?;
    Some(hpa.state().unwrap().bounds.max())
}

/// Everything that can happen without time passing has happened.
async fn settled() {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_in_parts_is_one_world_and_a_watch_goes_on_from_it() {
    let script = Script::default();
    script.page(Page { next: Some("more".to_owned()), ..page(7, [hpa("web", 3, 9)]) });
    script.page(page(7, [hpa("api", 5, 6)]));
    let tell = script.watch();
    let cache = script.start();
    assert!(matches!(cache.get("shop", "web"), Err(Unread::NotListed { .. })));
    assert!(!cache.is_ready() && cache.targets().is_empty());
    cache.ready().await;
    assert_eq!(names(&cache), ["api", "web"]);
    let state = cache.get("shop", "web").unwrap().unwrap().state().unwrap();
    assert_eq!((state.bounds, state.pods, state.resizes_pods), (bounds(2, 9), Some(4), false));
    assert!(cache.get("shop", "cart").unwrap().is_none());

    tell.unbounded_send(Ok(put(hpa("web", 8, 12)))).unwrap();
    tell.unbounded_send(Ok(put(hpa("cart", 9, 3)))).unwrap();
    tell.unbounded_send(Ok(removed(hpa("api", 10, 6)))).unwrap();
    cache.caught_up("10").await;
    assert_eq!(names(&cache), ["cart", "web"]);
    assert_eq!((max(&cache, "web"), max(&cache, "api")), (Some(12), None));
    assert_eq!(script.asked(), ["list ", "list more", "watch 7"]);
    let health = cache.health();
    assert!(health.ready && health.last_fault.is_none());
    assert_eq!((health.hpas, health.targets, health.lists, health.watches, health.events), (2, 2, 1, 1, 3));
}

#[tokio::test(start_paused = true)]
async fn the_list_of_targets_is_the_same_while_only_pods_and_bounds_change() {
    let script = Script::default();
    script.page(page(7, [hpa("web", 3, 9), hpa("api", 5, 6)]));
    let tell = script.watch();
    let cache = script.start();
    cache.ready().await;
    let before = cache.targets();
    let mut changed = hpa("web", 8, 12);
    changed["status"]["currentReplicas"] = 7.into();
    tell.unbounded_send(Ok(put(changed.clone()))).unwrap();
    cache.caught_up("8").await;
    assert!(std::sync::Arc::ptr_eq(&before, &cache.targets()));
    assert_eq!(cache.get("shop", "web").unwrap().unwrap().state().unwrap().pods, Some(7));

    changed["metadata"]["resourceVersion"] = "9".into();
    changed["metadata"]["annotations"]["kube-scaling/mode"] = "observe".into();
    tell.unbounded_send(Ok(put(changed.clone()))).unwrap();
    cache.caught_up("9").await;
    assert_eq!(cache.targets()[1].mode().to_string(), "observe");

    changed["metadata"]["resourceVersion"] = "10".into();
    changed["metadata"]["annotations"] = serde_json::json!({});
    tell.unbounded_send(Ok(put(changed))).unwrap();
    cache.caught_up("10").await;
    assert_eq!(names(&cache), ["api"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_is_taken_up_where_it_ended() {
    let script = Script::default();
    script.page(page(7, [hpa("web", 3, 9)]));
    let (first, second) = (script.watch(), script.watch());
    let cache = script.start();
    cache.ready().await;
    first.unbounded_send(Ok(bookmark(20))).unwrap();
    cache.caught_up("20").await;
    drop(first);
    settled().await;
    second.unbounded_send(Ok(put(hpa("web", 21, 10)))).unwrap();
    cache.caught_up("21").await;
    assert_eq!(max(&cache, "web"), Some(10));
    assert_eq!(script.asked(), ["list ", "watch 7", "watch 20"]);
    assert_eq!(cache.health().faults, 0, "the server ends a watch now and then");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_cannot_go_on_begins_with_a_list() {
    // 410 Gone: what was deleted meanwhile was never told.
    let script = Script::default();
    script.page(page(7, [hpa("web", 3, 9), hpa("api", 5, 6)]));
    let tell = script.watch();
    script.page(page(90, [hpa("web", 80, 10)]));
    let again = script.watch();
    let cache = script.start();
    cache.ready().await;
    tell.unbounded_send(Err(Fault { why: "410: too old resource version".to_owned(), relist: true })).unwrap();
    settled().await;
    assert_eq!(cache.health().last_fault.as_deref(), Some("410: too old resource version"));
    assert_eq!(names(&cache), ["api", "web"], "the old world stays until the new one is whole");
    cache.caught_up("90").await;
    assert_eq!((names(&cache), max(&cache, "web")), (vec!["web".to_owned()], Some(10)));
    again.unbounded_send(Ok(bookmark(91))).unwrap();
    cache.caught_up("91").await;
    assert_eq!(script.asked(), ["list ", "watch 7", "list ", "watch 90"]);
    assert_eq!(cache.health().last_fault, None);
}

#[tokio::test(start_paused = true)]
async fn silence_makes_a_new_list_and_then_an_end_of_answers() {
    let script = Script::default();
    script.page(page(7, [hpa("web", 3, 9)]));
    let _quiet = script.watch();
    let cache = script.start();
    cache.ready().await;
    tokio::time::sleep(seconds(79)).await;
    assert_eq!(script.asked().len(), 2, "no request while it may just be quiet");
    tokio::time::sleep(seconds(2)).await;
    assert_eq!(script.asked(), ["list ", "watch 7", "list "]);
    assert_eq!(max(&cache, "web"), Some(9), "not yet");
    tokio::time::sleep(seconds(40)).await;
    let Err(Unread::Stale { age, limit, last_fault }) = cache.get("shop", "web") else { panic!("it is too old") };
    assert_eq!((limit, last_fault.as_deref()), (seconds(120), Some("a list of the HPAs was not answered within 30 s")));
    assert!(age > limit && !cache.is_ready());
    assert_eq!(names(&cache), ["web"], "the fleet does not vanish with the server");
}

#[tokio::test(start_paused = true)]
async fn after_a_long_outage_everything_is_listed_anew() {
    let script = Script::default();
    script.page(page(7, [hpa("web", 3, 9)]));
    let first = script.watch();
    for _ in 0..27 {
        script.fault(false);
    }
    let cache = script.start();
    cache.ready().await;
    settled().await;
    drop(first);
    tokio::time::sleep(seconds(119)).await;
    assert_eq!(max(&cache, "web"), Some(9));
    script.page(page(50, [hpa("web", 40, 10)]));
    let _tell = script.watch();
    tokio::time::sleep(seconds(10)).await;
    assert_eq!(max(&cache, "web"), Some(10));
    let asked = script.asked();
    assert_eq!(asked[asked.len() - 2..], ["list ".to_owned(), "watch 50".to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_accepted_and_says_nothing_is_no_sign_of_life_and_a_list_is() {
    let script = Script::default();
    let lists = (0..20).map(|_| script.page(page(7, [hpa("web", 3, 9)])).watch());
    let _watches: Vec<_> = lists.collect();
    let cache = script.start();
    cache.ready().await;
    for _ in 0..100 {
        tokio::time::sleep(seconds(10)).await;
        assert!(cache.is_ready());
    }
    assert_eq!(script.asked().len(), 2 + 2 * (1000 / 80), "a list and a watch in 80 s of silence");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_asked_every_five_seconds() {
    let script = Script::default();
    for _ in 0..10_000 {
        script.fault(true);
    }
    let cache = script.start();
    tokio::time::sleep(seconds(600)).await;
    let asked = script.asked().len();
    assert!((120..=125).contains(&asked), "{asked} requests in 600 s");
    let Err(Unread::NotListed { last_fault }) = cache.get("shop", "web") else { panic!("nothing was listed") };
    assert_eq!(last_fault.as_deref(), Some("it is down"));
}

#[tokio::test(start_paused = true)]
async fn a_list_without_a_watch_is_not_asked_for_again_and_again() {
    let script = Script::default();
    for version in 0..1000 {
        script.page(page(7 + version, [hpa("web", 3, 9)])).fault(true);
    }
    let _cache = script.start();
    tokio::time::sleep(seconds(600)).await;
    let asked = script.asked().len();
    assert!((240..=250).contains(&asked), "{asked} requests in 600 s");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_at_once_again_and_again_is_a_failure() {
    let script = Script::default();
    script.page(page(7, [hpa("web", 3, 9)]));
    for _ in 0..25 {
        drop(script.watch());
    }
    let cache = script.start();
    cache.ready().await;
    tokio::time::sleep(seconds(100)).await;
    let asked = script.asked().len();
    assert!((22..=26).contains(&asked), "{asked} requests in 100 s");
    tokio::time::sleep(seconds(19)).await;
    assert!(cache.is_ready(), "the list is not too old");
    tokio::time::sleep(seconds(2)).await;
    assert!(!cache.is_ready(), "each was accepted, and none has told anything");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_no_list_is_asked_again() {
    let script = Script::default();
    script.silence().page(page(7, [hpa("web", 3, 9)]));
    let _watch = script.watch();
    let cache = script.start();
    cache.ready().await;
    assert_eq!(script.asked()[..2], ["list ", "list "]);
    assert_eq!(max(&cache, "web"), Some(9));
}

#[tokio::test(start_paused = true)]
async fn a_list_without_a_version_is_none() {
    let script = Script::default();
    script.page(Page { version: None, ..page(7, [hpa("web", 3, 9)]) });
    let cache = script.start();
    settled().await;
    let Err(Unread::NotListed { last_fault }) = cache.get("shop", "web") else { panic!("nothing can go on from it") };
    assert_eq!(last_fault.as_deref(), Some("the list of the HPAs has no version"));
}

#[tokio::test(start_paused = true)]
async fn an_event_or_a_bookmark_without_a_version_is_a_missed_one() {
    for bad in [
        Event::Bookmark(None),
        put({
            let mut hpa = hpa("web", 8, 12);
            hpa["metadata"].as_object_mut().unwrap().remove("resourceVersion");
            hpa
        }),
    ] {
        let script = Script::default();
        script.page(page(7, [hpa("web", 3, 9)]));
        let tell = script.watch();
        script.page(page(9, []));
        let cache = script.start();
        cache.ready().await;
        tell.unbounded_send(Ok(bad)).unwrap();
        cache.caught_up("9").await;
        assert!(cache.get("shop", "web").unwrap().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_what_is_known_changes_nothing() {
    let script = Script::default();
    script.page(page(20, [hpa("web", 15, 9)]));
    let tell = script.watch();
    let cache = script.start();
    cache.ready().await;
    for late in [put(hpa("web", 14, 5)), removed(hpa("web", 14, 5)), bookmark(3)] {
        tell.unbounded_send(Ok(late)).unwrap();
    }
    tell.unbounded_send(Ok(bookmark(21))).unwrap();
    cache.caught_up("21").await;
    assert_eq!(max(&cache, "web"), Some(9));
}

#[tokio::test(start_paused = true)]
async fn the_watch_ends_with_the_last_clone() {
    let script = Script::default();
    script.page(page(7, [hpa("web", 3, 9)]));
    let tell = script.watch();
    let cache = script.start();
    cache.ready().await;
    let other = cache.clone();
    drop(cache);
    settled().await;
    assert!(!tell.is_closed());
    drop(other);
    settled().await;
    assert!(tell.is_closed());
}
