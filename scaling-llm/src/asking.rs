//! Asking a model: when, how often, in the background or while the decision waits, and what is remembered of it.

mod key;
mod memory;
mod not_asked;
mod question;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use scaling_core::{Observation, ScalingDecision, Target};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, Span};

use crate::engine::Asking;
use crate::prompt::KnownLimits;
use crate::stats::{AdviceOutcome, LlmStats};
use crate::{Advice, AdviceRange, Budget, ChatModel, ModelBreaker, ModelId, Prompt, Proof};
use key::QuestionKey;
use memory::{Known, Memory};
pub(crate) use not_asked::NotAsked;
use question::Question;

/// Advice that was read from an answer, or why there is none.
pub(crate) type Reading = Result<Advice, Mishap>;

/// Reason why an answer is no advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mishap {
    pub(crate) outcome: AdviceOutcome,
    pub(crate) why: String,
}

/// A question about one decision.
pub(crate) struct Asks<'a> {
    pub(crate) observation: &'a Observation,
    pub(crate) baseline: &'a ScalingDecision,
    pub(crate) allowed: AdviceRange,
    pub(crate) limits: KnownLimits,
    /// Replays the baseline's own decision, for the model to see.
    pub(crate) proof: Option<&'a Proof>,
    /// Name of the engine, for traces.
    pub(crate) engine: &'a str,
    /// Time for which an answer is used.
    pub(crate) fresh_for: Duration,
    /// True if an answer can matter although nothing has changed.
    pub(crate) matters: bool,
}

/// Bytes of a prompt that its replay takes at most.
const REPLAY_BYTES: usize = 160;

impl Asks<'_> {
    fn prompt(&self, proof: Option<&Proof>) -> Prompt {
        let Self { observation, baseline, allowed, limits, .. } = *self;
        let says = proof.and_then(|proof| proof.says(observation, baseline));
        Prompt::new(&crate::Question::new(observation, baseline, allowed).with_limits(limits).with_backtest(says))
    }
}

/// Outcome of asking, for one decision.
pub(crate) enum Heard {
    /// An answer.
    Answer {
        reading: Reading,
        /// True if its outcome is not counted yet.
        first: bool,
        /// Span of the question, where the decision waited for it.
        span: Option<Span>,
    },
    /// The question is under way.
    NotYet,
    /// It was not put.
    NotAsked(NotAsked),
}

/// State that all questions share.
#[derive(Debug)]
struct Shared {
    stats: Arc<LlmStats>,
    memory: Mutex<Memory>,
    min_confidence_percent: u8,
}

impl Shared {
    /// Does something with the memory, and ends the questions that it gives up. Short locks, never held over an await.
    fn remember<T>(&self, f: impl FnOnce(&mut Memory) -> T) -> T {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut memory);
        let ended = memory.take_ended();
        drop(memory);
        ended.iter().for_each(AbortHandle::abort);
        result
    }
}

/// Puts questions to one model, for one engine.
#[derive(Debug)]
pub(crate) struct Asker {
    shared: Arc<Shared>,
    asking: Asking,
    deadline: Duration,
    ask_again_after: Duration,
    pub(crate) budget: Budget,
    pub(crate) breaker: ModelBreaker,
}

impl Asker {
    pub(crate) fn new(config: &crate::LlmConfig) -> Self {
        let shared = Shared {
            stats: Arc::default(),
            memory: Mutex::default(),
            min_confidence_percent: config.min_confidence_percent,
        };
        Self {
            shared: Arc::new(shared),
            asking: config.asking,
            deadline: config.deadline,
            ask_again_after: config.ask_again_after,
            budget: Budget::default(),
            breaker: ModelBreaker::default(),
        }
    }

    pub(crate) fn stats(&self) -> &Arc<LlmStats> {
        &self.shared.stats
    }

    /// Shares counters with other engines. Nothing is remembered yet.
    pub(crate) fn share(&mut self, stats: Arc<LlmStats>) {
        let min_confidence_percent = self.shared.min_confidence_percent;
        self.shared = Arc::new(Shared { stats, memory: Mutex::default(), min_confidence_percent });
    }

    /// Forgets a workload, and ends the question about it.
    pub(crate) fn forget(&self, target: &Target) {
        self.shared.remember(|memory| memory.forget(target, || self.stats().settle(AdviceOutcome::Stale)));
    }

    /// Ends every question that is under way.
    pub(crate) fn end(&self) {
        self.shared.remember(Memory::end);
    }

    /// The answer to a question: the one that is remembered or, if it is worth it, that of the model.
    pub(crate) async fn hear<M: ChatModel + 'static>(&self, model: &Arc<M>, asks: &Asks<'_>) -> Heard {
        let id = model.id();
        // One lock from looking it up to putting it: two decisions never put the same.
        let mut question = match self.put(&id, asks) {
            Ok(question) => question,
            Err(heard) => return heard,
        };
        // Written for the few questions that are put, and after the lock: it takes a replay.
        let prompt = asks.prompt(asks.proof);
        let span = question::span(asks, &id);
        question.span = span.clone();
        let (target, nth) = (Arc::clone(&asks.observation.target), question.nth);
        let run = question.run(Arc::clone(model), prompt, self.deadline).instrument(span.clone());
        match self.asking {
            Asking::Inline => Heard::Answer { reading: run.await, first: true, span: Some(span) },
            Asking::Background => {
                // A runtime that shuts down drops the task, and with it the question.
                let task = tokio::spawn(async { drop(run.await) }.with_current_subscriber());
                self.shared.remember(|memory| memory.runs(&target, nth, task.abort_handle()));
                Heard::NotYet
            }
        }
    }

    /// A question that may be put now.
    fn put(&self, id: &ModelId, asks: &Asks<'_>) -> Result<Question, Heard> {
        let (spec, key) = (key::spec(asks.observation), QuestionKey::new(id, asks));
        self.shared.remember(|memory| self.put_unless_known(memory, id, asks, (spec, key)))
    }

    fn put_unless_known(
        &self,
        memory: &mut Memory,
        id: &ModelId,
        asks: &Asks<'_>,
        (spec, key): (u64, QuestionKey),
    ) -> Result<Question, Heard> {
        let (target, now) = (&asks.observation.target, asks.observation.now);
        let stale = || self.stats().settle(AdviceOutcome::Stale);
        match memory.look(target, spec, &key, now, (asks.fresh_for, self.ask_again_after), stale) {
            Known::Fresh { reading, first } => return Err(Heard::Answer { reading, first, span: None }),
            Known::UnderWay => return Err(Heard::NotYet),
            Known::Busy => return Err(Heard::NotAsked(NotAsked::Busy)),
            Known::Stale if !asks.matters => return Err(Heard::NotAsked(NotAsked::Unchanged)),
            Known::Stale | Known::New => {}
        }
        if Handle::try_current().is_err() {
            return Err(Heard::NotAsked(NotAsked::NoRuntime));
        }
        let permit = self.breaker.permit(id, now).map_err(|until| Heard::NotAsked(NotAsked::Open { until }))?;
        let prompt = asks.prompt(None);
        let bytes = prompt.system.len() + prompt.user.len() + REPLAY_BYTES + crate::reply::SCHEMA.len();
        let reservation = match self.budget.reserve(target, id, now, bytes) {
            Ok(reservation) => reservation,
            Err(why) => {
                permit.unused();
                return Err(Heard::NotAsked(NotAsked::OverBudget(why)));
            }
        };
        let nth = memory.put(target, spec, key, now, stale);
        self.stats().ask();
        let inline = self.asking == Asking::Inline;
        Ok(Question::new(&self.shared, target, nth, (reservation, permit), inline))
    }
}
