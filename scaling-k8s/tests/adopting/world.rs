//! A load of two peaks a day, and an engine that knows both beforehand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use scaling_core::adoption::Trial;
use scaling_core::chrono::{DateTime, TimeDelta, Timelike, Utc};
use scaling_core::live::Clock;
use scaling_core::source::PastSource;
use scaling_core::{
    DecisionEngine, EngineError, Floor, MetricsSource, Observation, Reason, ScalingDecision, ScalingMetrics,
    SignalKind, SourceError, Target,
};
use scaling_k8s::controller::fleet::AdoptionTrials;

/// A midnight.
pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_006_400, 0).unwrap()
}

/// Requests a second: almost three times as many from nine to twelve and from three to six.
fn load(at: DateTime<Utc>) -> f64 {
    if matches!(at.hour(), 9..12 | 15..18) { 400.0 } else { 150.0 }
}

/// Whether one of the peaks is under way, or comes within ten minutes.
fn is_due(at: DateTime<Utc>, from: u32) -> bool {
    let minute = at.hour() * 60 + at.minute();
    (from * 60 - 10..from * 60 + 180).contains(&minute)
}

fn sample(at: DateTime<Utc>) -> ScalingMetrics {
    ScalingMetrics::new(at, 3).with(SignalKind::RequestRate, load(at)).with(SignalKind::CpuUtilization, 60.0)
}

/// What was seen of every workload: three pods, and of `young` an hour only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen;

#[async_trait]
impl MetricsSource for Seen {
    async fn observe(&self, target: &Target, now: DateTime<Utc>) -> Result<Observation, SourceError> {
        Ok(Observation::new(target.clone(), sample(now)).at(now))
    }
}

#[async_trait]
impl PastSource for Seen {
    async fn past(
        &self,
        target: &Target,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<ScalingMetrics>, SourceError> {
        let minutes = if target.name == "young" { 60 } else { (until - since).num_minutes() };
        Ok((0..=minutes).rev().map(|back| sample(until - TimeDelta::minutes(back))).collect())
    }
}

/// Has a floor for the peak of the morning, and asks for as much for that of the afternoon; else for the four pods that the HPA has as well. One
/// that is greedy asks for ten all day.
#[derive(Clone, Debug, Default)]
pub(crate) struct Knows {
    pub(crate) greedy: Arc<AtomicBool>,
}

const PEAK: u32 = 10;

#[async_trait]
impl DecisionEngine for Knows {
    fn name(&self) -> &'static str {
        "knows"
    }

    fn floor(&self, _: &Target, now: DateTime<Utc>) -> Option<Floor> {
        let reason = Reason::Schedule { window: "morning".into(), replicas: PEAK };
        is_due(now, 9).then(|| Floor::new(PEAK, reason))
    }

    async fn decide(&self, seen: &Observation) -> Result<ScalingDecision, EngineError> {
        let pods = seen.current.replicas().ok_or(EngineError::NoPodCount)?;
        let wanted = if is_due(seen.now, 15) || self.greedy.load(Ordering::SeqCst) { PEAK } else { 4 };
        let decision = ScalingDecision::replicas("knows", seen.current.timestamp, pods, wanted);
        Ok(decision.with_confidence(1.0).with_foresight())
    }
}

/// Trials each minute, which four days out of five are enough for.
pub(crate) fn trials(knows: &Knows) -> AdoptionTrials {
    let recipe = knows.clone();
    AdoptionTrials::new(move || Ok(Box::new(recipe.clone())))
        .past(Seen)
        .judged_by(Trial::new(0.2, 0.0005, 3).unwrap().dearer_by(0.1).unwrap())
        .span(Duration::from_secs(6 * 86_400))
        .every(Duration::from_secs(60))
        .cpu_share(1.0)
        .unwrap()
}

/// A clock that goes as the runtime's does, so many times as fast.
pub(crate) struct Fast {
    from: DateTime<Utc>,
    began: tokio::time::Instant,
    times: u32,
}

impl Fast {
    pub(crate) fn new(from: DateTime<Utc>, times: u32) -> Self {
        Self { from, began: tokio::time::Instant::now(), times }
    }
}

#[async_trait]
impl Clock for Fast {
    fn now(&self) -> DateTime<Utc> {
        self.from + TimeDelta::from_std(self.began.elapsed() * self.times).unwrap()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time / self.times).await;
    }
}
