//! A question under way.

use std::sync::Arc;
use std::time::Duration;

use scaling_core::Target;
use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;

use super::{Asks, Mishap, Reading, Shared};
use crate::breaker::Permit;
use crate::budget::Reservation;
use crate::isolated::isolated;
use crate::stats::AdviceOutcome;
use crate::text::one_line;
use crate::{ChatModel, Completion, ModelError, ModelId, Prompt, reply};

/// The span of one question to a model, with the attributes that OpenTelemetry names (semantic conventions for generative AI). What was
/// asked and answered is not in it, since it may hold what a workload does.
pub(super) fn span(asks: &Asks<'_>, model: &ModelId) -> Span {
    let target = &asks.observation.target;
    let [provider, requested] =
        [&model.provider, &model.model].map(|name| Some(name.as_str()).filter(|name| !name.is_empty()));
    tracing::info_span!(
        "ai_analysis",
        otel.kind = "client",
        cluster = target.cluster,
        namespace = target.namespace,
        name = target.name,
        engine = asks.engine,
        replicas = asks.baseline.current_replicas,
        replicas_baseline = asks.baseline.desired_replicas,
        replicas_wanted = Empty,
        outcome = Empty,
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = provider,
        gen_ai.request.model = requested,
        gen_ai.response.model = Empty,
        gen_ai.response.id = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        gen_ai.usage.cache_read.input_tokens = Empty,
        gen_ai.usage.cache_creation.input_tokens = Empty,
        "error.type" = Empty,
        otel.status_description = Empty,
    )
}

/// A question that was put and counted. It ends with its answer; dropped before, it was given up: nobody waits for it any more, its task
/// was ended, or the runtime shuts down.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) nth: u64,
    pub(super) span: Span,
    shared: Arc<Shared>,
    target: Arc<Target>,
    started: Instant,
    /// Budget and permit, held until it ends.
    held: Option<(Reservation, Permit)>,
    /// True if the decision that put it waits.
    inline: bool,
}

impl Question {
    pub(super) fn new(
        shared: &Arc<Shared>,
        target: &Arc<Target>,
        nth: u64,
        held: (Reservation, Permit),
        inline: bool,
    ) -> Self {
        Self {
            nth,
            span: Span::none(),
            shared: Arc::clone(shared),
            target: Arc::clone(target),
            started: Instant::now(),
            held: Some(held),
            inline,
        }
    }

    /// Asks the model, within the deadline. A model that panics has not answered.
    pub(super) async fn run<M: ChatModel>(mut self, model: Arc<M>, prompt: Prompt, deadline: Duration) -> Reading {
        let answer = isolated(async {
            let answer = model.complete(prompt.system, &prompt.user);
            tokio::time::timeout(deadline, answer).await.unwrap_or(Err(ModelError::Late))
        });
        let answer = answer.await.unwrap_or_else(|| Err(ModelError::Unavailable("it panicked".into())));
        self.end(answer)
    }

    fn end(&mut self, answer: Result<Completion, ModelError>) -> Reading {
        let stats = &self.shared.stats;
        stats.took(self.started.elapsed());
        if let Some((reservation, permit)) = self.held.take() {
            permit.settle(answer.as_ref().err());
            match &answer {
                Ok(completion) => stats.used(completion.usage, reservation.settle(completion.usage)),
                Err(
                    ModelError::Rejected(_) | ModelError::Denied(_) | ModelError::Spent(_) | ModelError::NotRecorded,
                ) => {
                    reservation.unanswered();
                }
                // It may have been paid for: what was reserved counts.
                Err(_) => drop(reservation),
            }
        }
        if let Ok(completion) = &answer {
            self.tell(completion);
        }
        let reading = read(answer, self.shared.min_confidence_percent);
        match &reading {
            Ok(_) if !self.inline => {
                self.span.record("outcome", "answered");
            }
            Ok(_) => {}
            Err(mishap) => self.fail(mishap),
        }
        // Advice that can be followed is counted when it is used; where nobody is left to use it, now.
        let counted = self.inline || reading.is_err();
        let kept = reading.clone();
        let is_kept = self.shared.remember(|memory| memory.answered(&self.target, self.nth, kept, counted));
        if !is_kept && !counted {
            stats.settle(AdviceOutcome::Stale);
        }
        reading
    }

    /// Enters what the provider said into the span.
    fn tell(&self, completion: &Completion) {
        let usage = completion.usage;
        if let Some(model) = &completion.model {
            self.span.record("gen_ai.response.model", &**model);
        }
        if let Some(id) = &completion.request_id {
            self.span.record("gen_ai.response.id", &**id);
        }
        self.span.record("gen_ai.usage.input_tokens", usage.input_tokens);
        self.span.record("gen_ai.usage.output_tokens", usage.output_tokens);
        self.span.record("gen_ai.usage.cache_read.input_tokens", usage.cache_read_tokens);
        self.span.record("gen_ai.usage.cache_creation.input_tokens", usage.cache_write_tokens);
    }

    fn fail(&self, mishap: &Mishap) {
        // Where a decision waits for it, an answer that cannot be used is counted by that decision.
        if !self.inline {
            self.shared.stats.settle(mishap.outcome);
        }
        self.span.record("outcome", mishap.outcome.label());
        self.span.record("error.type", mishap.outcome.label());
        self.span.record("otel.status_description", &*mishap.why);
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        // What is reserved stays spent, since the server may have answered (law 12).
        if self.held.take().is_none() {
            return;
        }
        let mishap = Mishap { outcome: AdviceOutcome::Abandoned, why: "the question was given up".into() };
        self.shared.stats.settle(mishap.outcome);
        self.span.record("outcome", mishap.outcome.label());
        self.span.record("error.type", mishap.outcome.label());
        self.shared.remember(|memory| memory.answered(&self.target, self.nth, Err(mishap), true));
    }
}

/// The advice in an answer, as far as that can be judged without the decision that it is for.
fn read(answer: Result<Completion, ModelError>, min_confidence_percent: u8) -> Reading {
    // It may quote a server, and is kept.
    let mishap = |outcome, why: String| Mishap { outcome, why: one_line(&why, 500) };
    let completion = answer.map_err(|error| mishap(outcome(&error), error.to_string()))?;
    let advice = reply::parse(&completion.text).map_err(|error| mishap(AdviceOutcome::Malformed, error.to_string()))?;
    if advice.confidence_percent < min_confidence_percent {
        let why = format!("{} % sure, less than {min_confidence_percent} %", advice.confidence_percent);
        return Err(mishap(AdviceOutcome::Unsure, why));
    }
    Ok(advice)
}

fn outcome(error: &ModelError) -> AdviceOutcome {
    match error {
        ModelError::Late => AdviceOutcome::Late,
        ModelError::Refused => AdviceOutcome::Refused,
        ModelError::Unavailable(_)
        | ModelError::Rejected(_)
        | ModelError::Denied(_)
        | ModelError::Spent(_)
        | ModelError::Truncated
        | ModelError::NotRecorded => AdviceOutcome::Unavailable,
    }
}
