//! Several clusters as one, over parts in memory.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use scaling_core::async_trait::async_trait;
use scaling_core::chrono::{DateTime, TimeDelta, Utc};
use scaling_core::conformance::applier::plan as plan_of;
use scaling_core::{
    Applied, ApplyError, ApplyMode, Bounds, HpaApplier, HpaPlan, HpaState, MemoryApplier, MemorySource, MetricsSource,
    Observation, ScalingMetrics, SignalKind, SourceError, Target, conformance,
};
use scaling_k8s::clusters::{
    Clusters, ClustersConfig, InvalidClusters, Isolated, PartHealth, ServiceAccount, UnknownCluster, contexts,
};
use scaling_k8s::kube::config::Kubeconfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn target(cluster: &str, name: &str) -> Target {
    Target::deployment("shop", name).in_cluster(cluster)
}

/// How a cluster answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Up,
    Slow(u64),
    Failing,
    Hanging,
    /// It answers for one less than it is asked for.
    Short,
}

/// A part whose pods are numbered by its cluster.
struct Fake {
    number: u32,
    way: std::sync::Mutex<Way>,
    calls: AtomicUsize,
}

impl Fake {
    fn new(number: u32, way: Way) -> Arc<Self> {
        Arc::new(Self { number, way: way.into(), calls: AtomicUsize::new(0) })
    }

    fn turn(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }

    fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::Relaxed)
    }

    /// Waits as it should, and returns whether there is an answer.
    async fn answers(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let way = *self.way.lock().unwrap();
        match way {
            Way::Up | Way::Short => true,
            Way::Failing => false,
            Way::Slow(seconds) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                true
            }
            Way::Hanging => std::future::pending().await,
        }
    }
}

#[async_trait]
impl MetricsSource for Fake {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        self.observe_all(std::slice::from_ref(target), now).await.pop().unwrap()
    }

    async fn observe_all(&self, targets: &[Target], now: DateTime<Utc>) -> Vec<Result<Observation, SourceError>> {
        let answers = self.answers().await;
        let see = |target: &Target| {
            if answers {
                return Ok(Observation::new(target.clone(), ScalingMetrics::new(now, self.number)));
            }
            Err(SourceError::Backend { target: Box::new(target.clone()), transient: true, source: "refused".into() })
        };
        let short = usize::from(*self.way.lock().unwrap() == Way::Short);
        targets.iter().take(targets.len() - short).map(see).collect()
    }
}

#[async_trait]
impl HpaApplier for Fake {
    async fn current(&self, target: &Target) -> Result<HpaState, ApplyError> {
        if self.answers().await { Ok(HpaState::new(bounds())) } else { Err(self.refused(target)) }
    }

    async fn apply(&self, plan: &HpaPlan, mode: ApplyMode) -> Result<Applied, ApplyError> {
        if self.answers().await { Ok(Applied { mode, changed: true }) } else { Err(self.refused(plan.target())) }
    }
}

impl Fake {
    fn refused(&self, target: &Target) -> ApplyError {
        ApplyError::Unapplied {
            target: target.clone(),
            transient: true,
            source: format!("{} refused", self.number).into(),
        }
    }
}

fn bounds() -> Bounds {
    Bounds::new(2, 6).unwrap()
}

fn plan(target: &Target) -> HpaPlan {
    plan_of(target, bounds(), 3, 6)
}

/// Clusters `c0`, `c1`, … that answer so.
fn clusters(ways: &[Way]) -> (Vec<Arc<Fake>>, Clusters<Arc<Fake>>) {
    let parts: Vec<_> = (0..).zip(ways).map(|(number, way)| Fake::new(number, *way)).collect();
    let named = parts.iter().map(|part| (format!("c{}", part.number), Arc::clone(part)));
    (parts.clone(), Clusters::new(named).unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_whole_keeps_the_promises_of_its_parts() {
    let known = target("b", "web");
    let make = || {
        let source = |cluster: &str| {
            let source = MemorySource::new();
            let web = target(cluster, "web");
            for tick in 0..5 {
                let metrics = ScalingMetrics::new(at(15 * tick), 3).with(SignalKind::CpuUtilization, 62.0);
                source.advance(&web, metrics, at(15 * tick)).unwrap();
            }
            source
        };
        Clusters::new([("a", source("a")), ("b", source("b"))]).unwrap()
    };
    conformance::source(make, &known, at(60)).await;
    conformance::applier(async |bounds| {
        let applier = |cluster: &str| MemoryApplier::new().with(target(cluster, "web"), bounds);
        (Clusters::new([("a", applier("a")), ("b", applier("b"))]).unwrap(), target("b", "web"))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_target_without_a_cluster_is_of_the_default_and_an_unknown_one_is_named() {
    let (_, two) = clusters(&[Way::Up, Way::Up]);
    let plain = Target::deployment("shop", "web");
    let error = two.observe(&plain, at(0)).await.unwrap_err();
    assert!(error.to_string().ends_with("no cluster is named, and none is the default; there are: c0, c1"), "{error}");
    let two = two.with_default("c1").unwrap();
    assert_eq!(two.observe(&plain, at(0)).await.unwrap().current.current_pod_count, Some(1));
    assert_eq!(two.current(&plain).await.unwrap().bounds, bounds());
    let other = target("mars", "web");
    let error = two.current(&other).await.unwrap_err();
    let ApplyError::Unapplied { transient: false, source, .. } = &error else { panic!("{error:?}") };
    let unknown = source.downcast_ref::<UnknownCluster>().unwrap();
    assert_eq!((unknown.cluster.as_deref(), unknown.known.len()), (Some("mars"), 2));
    let error = two.observe(&other, at(0)).await.unwrap_err();
    assert!(error.to_string().contains("there is no cluster \"mars\"; there are: c0, c1") && !error.is_transient());
    assert!(two.part(&other).is_err() && two.part(&plain).is_ok());
    assert!(two.with_default("mars").is_err());
    assert_eq!(clusters(&[Way::Up]).1.default_cluster(), Some("c0"));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_fails_is_left_alone_and_comes_back() {
    let (parts, two) = clusters(&[Way::Failing, Way::Up]);
    let targets = [target("c0", "web"), target("c1", "web"), target("c0", "cart")];
    let mut asked = Vec::new();
    for tick in 0..20 {
        if tick == 14 {
            parts[0].turn(Way::Up);
        }
        let seen = two.observe_all(&targets, at(15 * tick)).await;
        assert!(seen[1].is_ok(), "the other goes on");
        asked.push((parts[0].calls() > 0, seen[0].is_ok()));
        assert_eq!(parts[1].calls(), 1);
    }
    let when: Vec<usize> = (0..20).filter(|tick| asked[*tick].0).collect();
    // Twice, then after 15, 30, 60 and 120 s; up again at the last of these, and from then on.
    assert_eq!(when, [0, 1, 2, 4, 8, 16, 17, 18, 19]);
    assert!(asked[16].1 && asked[19].1 && !asked[15].1);
    assert!(two.health(at(300)).iter().all(scaling_k8s::clusters::ClusterHealth::is_up));
}

#[tokio::test(start_paused = true)]
async fn while_it_is_left_alone_nothing_is_sent_there_and_the_reason_is_told() {
    let (parts, two) = clusters(&[Way::Failing, Way::Up]);
    let (dead, alive) = (target("c0", "web"), target("c1", "web"));
    for _ in 0..2 {
        assert!(two.current(&dead).await.is_err());
    }
    parts[0].calls();
    let error = two.apply(&plan(&dead), ApplyMode::Apply).await.unwrap_err();
    let ApplyError::Unapplied { transient: true, source, .. } = &error else { panic!("{error:?}") };
    let isolated = source.downcast_ref::<Isolated>().unwrap();
    assert_eq!((isolated.cluster.as_str(), isolated.failures), ("c0", 2));
    assert!(
        error.to_string().contains("is left alone for 15 s: shop") || error.to_string().contains("0 refused"),
        "{error}"
    );
    assert_eq!(parts[0].calls(), 0, "no write");
    assert!(two.apply(&plan(&alive), ApplyMode::Apply).await.unwrap().changed);
    let health = two.health(at(0));
    assert!(matches!(&health[0].acting, PartHealth::Isolated { failures: 2, .. }), "{health:?}");
    assert_eq!((&health[1].acting, &health[0].seeing), (&PartHealth::Up, &PartHealth::Unasked));
    // It came back.
    parts[0].turn(Way::Up);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(two.apply(&plan(&dead), ApplyMode::Apply).await.unwrap().changed);
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_may_have_happened_and_a_dry_run_has_not() {
    let (_, one) = clusters(&[Way::Hanging]);
    let one =
        one.with_config(ClustersConfig::default().with_pauses(100, Duration::from_secs(1), Duration::from_secs(1)));
    let (one, target) = (one.unwrap(), target("c0", "web"));
    for (mode, may) in [(ApplyMode::Plan, false), (ApplyMode::ServerDryRun, false), (ApplyMode::Apply, true)] {
        let begun = Instant::now();
        let error = one.apply(&plan(&target), mode).await.unwrap_err();
        assert_eq!((error.may_have_happened(), begun.elapsed()), (may, Duration::from_secs(30)), "law 12: {error}");
    }
    assert!(!one.current(&target).await.unwrap_err().may_have_happened());
}

#[test]
fn what_cannot_be_is_refused() {
    assert!(matches!(Clusters::<u8>::new::<&str>([]), Err(InvalidClusters::Empty)));
    assert!(matches!(Clusters::new([("a", 1), ("a", 2)]), Err(InvalidClusters::Twice(name)) if name == "a"));
    let second = Duration::from_secs(1);
    for config in [
        ClustersConfig::default().with_at_once(0),
        ClustersConfig::default().with_deadlines(Duration::ZERO, second),
        ClustersConfig::default().with_deadlines(second, Duration::MAX),
        ClustersConfig::default().with_pauses(0, second, second),
        ClustersConfig::default().with_pauses(1, Duration::ZERO, second),
    ] {
        assert!(Clusters::new([("a", 1)]).unwrap().with_config(config).is_err(), "{config:?}");
    }
}

const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: eu
clusters:
- {name: one, cluster: {server: 'https://127.0.0.1:1', insecure-skip-tls-verify: true}}
- {name: two, cluster: {server: 'https://127.0.0.1:2', insecure-skip-tls-verify: true}}
- {name: odd, cluster: {server: 'https://127.0.0.1:3', certificate-authority: /nowhere/ca.pem}}
users:
- {name: me, user: {token: secret-token}}
contexts:
- {name: eu, context: {cluster: one, user: me}}
- {name: us, context: {cluster: two, user: me}}
- {name: odd, context: {cluster: odd, user: me}}
- {name: lost, context: {cluster: nowhere, user: me}}
";

#[tokio::test]
async fn contexts_become_clusters() {
    let kubeconfig = || Kubeconfig::from_yaml(KUBECONFIG).unwrap();
    assert_eq!(contexts(&kubeconfig()), ["eu", "us", "odd", "lost"]);
    let both = Clusters::from_kubeconfig(kubeconfig(), ["us", "eu"]).await.unwrap();
    assert_eq!((both.names().collect::<Vec<_>>(), both.default_cluster()), (vec!["eu", "us"], Some("eu")));
    assert!(!format!("{both:?}").contains("secret-token"));
    let us = Clusters::from_kubeconfig(kubeconfig(), ["us"]).await.unwrap();
    assert_eq!(us.default_cluster(), Some("us"));
    let again = Clusters::from_kubeconfig(kubeconfig(), ["eu"]).await.unwrap();
    let joined = us.and(again).unwrap();
    assert_eq!((joined.names().count(), joined.default_cluster()), (2, Some("us")));
    for (context, expected) in [
        ("asia", "there is no context \"asia\"; there are: eu, us, odd, lost"),
        ("odd", "context \"odd\": "),
        ("lost", "context \"lost\": "),
    ] {
        let error = Clusters::from_kubeconfig(kubeconfig(), [context]).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let none: [&str; 0] = [];
    assert!(matches!(Clusters::from_kubeconfig(kubeconfig(), none).await, Err(InvalidClusters::Empty)));
    assert!(matches!(Clusters::from_kubeconfig(kubeconfig(), ["eu", "eu"]).await, Err(InvalidClusters::Twice(_))));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    for text in ["secret-token,admin,admin\n", "users: [{ name: a, user: { token: [secret-token] } }]\n"] {
        std::fs::write(&path, text).unwrap();
        let error = Clusters::read(&path, ["eu"]).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret-token"), "an error may end in a log: {error}");
    }
    let error = Clusters::read("/nowhere/config", ["eu"]).await.unwrap_err().to_string();
    assert!(error.starts_with("kubeconfig /nowhere/config: "), "{error}");
}

fn any_way() -> impl Strategy<Value = Way> {
    prop_oneof![
        Just(Way::Up),
        Just(Way::Short),
        Just(Way::Failing),
        Just(Way::Hanging),
        (0_u64..30).prop_map(Way::Slow),
    ]
}

proptest! {
    /// For every mix of clusters: the answers are in the order of the targets, each from its own cluster, and one that is slow takes no
    /// time from another: all is over within one deadline.
    #[test]
    fn answers_are_in_order_and_no_cluster_delays_another(
        ways in prop::collection::vec(any_way(), 1..6),
        asked in prop::collection::vec((0_usize..7, 0_usize..50), 0..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (_, whole) = clusters(&ways);
            let targets: Vec<_> = asked.iter().map(|(cluster, name)| target(&format!("c{cluster}"), &format!("w{name}"))).collect();
            let begun = Instant::now();
            let seen = whole.observe_all(&targets, at(0)).await;
            let slowest = asked.iter().filter_map(|(cluster, _)| match ways.get(*cluster)? {
                Way::Slow(seconds) => Some((*seconds).min(13)),
                Way::Hanging => Some(13),
                _ => None,
            });
            assert_eq!(begun.elapsed().as_secs(), slowest.max().unwrap_or(0));
            assert_eq!(seen.len(), targets.len());
            let last_of = |cluster: usize| asked.iter().rposition(|(other, _)| *other == cluster);
            for (place, ((cluster, _), seen)) in asked.iter().zip(&seen).enumerate() {
                let up = match ways.get(*cluster) {
                    None => {
                        assert!(seen.as_ref().unwrap_err().to_string().contains("there is no cluster"));
                        continue;
                    }
                    Some(Way::Up) => true,
                    Some(Way::Slow(seconds)) => *seconds < 13,
                    Some(Way::Short) => last_of(*cluster) != Some(place),
                    Some(Way::Failing | Way::Hanging) => false,
                };
                // At the same moment either may be first.
                if ways.get(*cluster) == Some(&Way::Slow(13)) {
                    continue;
                }
                match seen {
                    Ok(seen) => {
                        assert!(up);
                        assert_eq!(*seen.target, targets[place]);
                        assert_eq!(seen.current.current_pod_count, u32::try_from(*cluster).ok());
                    }
                    Err(error) => assert!(!up && error.to_string().contains(&targets[place].to_string()), "{error}"),
                }
            }
        });
    }

    /// With fewer at once than there are clusters, one that hangs holds one place, for no longer than its deadline.
    #[test]
    fn a_limit_at_once_is_kept(hanging in 0_usize..8, at_once in 1_usize..9) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let ways: Vec<_> = (0..8).map(|number| if number < hanging { Way::Hanging } else { Way::Up }).collect();
            let (_, whole) = clusters(&ways);
            let whole = whole.with_config(ClustersConfig::default().with_at_once(at_once)).unwrap();
            let targets: Vec<_> = (0..8).map(|number| target(&format!("c{number}"), "web")).collect();
            let begun = Instant::now();
            let seen = whole.observe_all(&targets, at(0)).await;
            let rounds = u64::try_from(hanging.div_ceil(at_once)).unwrap();
            assert_eq!(begun.elapsed(), Duration::from_secs(13 * rounds));
            assert_eq!(seen.iter().filter(|seen| seen.is_ok()).count(), 8 - hanging);
        });
    }

    /// Whatever happens when: a cluster that is up again is seen within the longest pause, and no clock prevents it.
    #[test]
    fn what_is_back_is_seen(steps in prop::collection::vec((-600_i64..600, any_way()), 0..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (parts, whole) = clusters(&[Way::Up]);
            let (web, mut now) = (target("c0", "web"), at(0));
            for (step, way) in steps {
                parts[0].turn(way);
                now += TimeDelta::seconds(step);
                let _ = whole.observe(&web, now).await;
            }
            parts[0].turn(Way::Up);
            let _ = whole.observe(&web, now).await;
            assert!(whole.observe(&web, now + TimeDelta::seconds(300)).await.is_ok());
        });
    }
}

/// Answers requests in turn, each on a connection of its own.
async fn answering(answers: &'static [&'static str]) -> Kubeconfig {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = KUBECONFIG.replace("https://127.0.0.1:1", &format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.replace('\n', "\r\n").as_bytes()).await.unwrap();
        }
    });
    Kubeconfig::from_yaml(&text).unwrap()
}

#[tokio::test]
async fn a_pause_that_only_a_header_asks_for_is_not_lost() {
    let kubeconfig = answering(&[
        "HTTP/1.1 429 Too Many Requests\nretry-after: 7\ncontent-type: text/plain\ncontent-length: 5\nconnection: close\n\nlater",
        "HTTP/1.1 503 Service Unavailable\nretry-after: Fri, 01 Jan 2027 00:00:00 GMT\ncontent-length: 0\nconnection: close\n\n",
        "HTTP/1.1 429 Too Many Requests\nretry-after: 7\ncontent-type: application/json\ncontent-length: 67\nconnection: close\n\n{\"kind\":\"Status\",\"code\":429,\"details\":{\"retryAfterSeconds\":     3}}",
        "HTTP/1.1 404 Not Found\nretry-after: 7\ncontent-length: 0\nconnection: close\n\n",
    ]);
    let clusters = Clusters::from_kubeconfig(kubeconfig.await, ["eu"]).await.unwrap();
    let client = clusters.part(&Target::deployment("shop", "web")).unwrap().clone();
    for (code, seconds) in [(429, 7), (503, 0), (429, 3), (404, 0)] {
        let request = http::Request::get("/version").body(Vec::new()).unwrap();
        let kube::Error::Api(status) = client.request_text(request).await.unwrap_err() else { panic!() };
        let asked = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        assert_eq!((status.code, asked), (code, seconds), "{status:?}");
    }
}

/// The files that Kubernetes gives a pod, in a folder of the test's own.
fn pod(folder: &std::path::Path, files: &[(&str, &str)]) -> ServiceAccount {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    ServiceAccount::default().folder(folder)
}

#[tokio::test]
async fn the_cluster_of_a_pod_is_asked_with_its_token() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 8192];
        let read = stream.read(&mut request).await.unwrap();
        let body = r#"{"major":"1","minor":"34","gitVersion":"v1.34.0","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#;
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).await.unwrap();
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    let folder = tempfile::tempdir().unwrap();
    let account = pod(folder.path(), &[("token", "own-token"), ("ca.crt", ""), ("namespace", "shop\n")]).server(url);
    let clusters = Clusters::in_cluster("here", &account).await.unwrap();
    assert_eq!((clusters.names().collect::<Vec<_>>(), clusters.default_cluster()), (vec!["here"], Some("here")));
    let client = clusters.part(&Target::deployment("shop", "web")).unwrap();
    assert_eq!(client.default_namespace(), "shop");
    client.apiserver_version().await.unwrap();
    let request = asked.await.unwrap().to_ascii_lowercase();
    assert!(
        request.starts_with("get /version ") && request.contains("authorization: bearer own-token\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn outside_of_a_pod_it_says_which_file_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let failed = async |account: &ServiceAccount| Clusters::in_cluster("here", account).await.unwrap_err().to_string();
    let mut files = Vec::new();
    for (name, text) in [("token", "t"), ("ca.crt", "no certificate"), ("namespace", "shop")] {
        let said = failed(&pod(folder.path(), &files)).await;
        assert!(said.starts_with(&folder.path().join(name).display().to_string()), "{said}");
        assert!(said.contains("is this a pod"), "{said}");
        files.push((name, text));
    }
    let account = pod(folder.path(), &files).server("not a url");
    assert!(failed(&account).await.starts_with("context \"here\": "), "{}", failed(&account).await);
}
