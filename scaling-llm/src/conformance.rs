//! The suite that every [`ChatModel`] must pass: back ends, wrappers, and models of one's own.
//!
//! One function per promise, and [`model`], which runs them all. They panic with the promise that was broken, as tests do. They are
//! given a closure that makes the model under test, because every promise starts with a fresh one. The model may answer or fail as
//! it likes; what it may not do is panic, hang, or mix questions up.
//!
//! ```
//! use scaling_llm::{ReplayModel, Transcript, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::model(|| ReplayModel::new(Transcript::default())).await;
//! # }
//! ```

#![allow(clippy::panic, clippy::missing_panics_doc)]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use crate::{ChatModel, Completion, ModelError};

/// Question that is asked where any will do.
const QUESTION: &str = r#"{"allowed":{"lowest":4,"highest":6}}"#;

/// Runs every promise.
pub async fn model<M: ChatModel>(make: impl Fn() -> M) {
    names_itself_alike(&make()).await;
    answers_with_text(&make()).await;
    survives_any_question(&make()).await;
    can_be_given_up(&make()).await;
    answers_many_at_once(&make()).await;
}

/// The identity stays the same before and after a question.
pub async fn names_itself_alike<M: ChatModel>(model: &M) {
    let before = model.id();
    let _ = model.complete("system", QUESTION).await;
    assert_eq!(model.id(), before, "the identity changed with a question");
}

/// An answer has text in it; where there is none, that is an error.
pub async fn answers_with_text<M: ChatModel>(model: &M) {
    if let Ok(answer) = model.complete("system", QUESTION).await {
        assert!(!answer.text.trim().is_empty(), "an answer without text was given as complete");
    }
}

/// Questions that are empty, huge, or of odd characters get an answer or an error.
pub async fn survives_any_question<M: ChatModel>(model: &M) {
    let huge = "x ".repeat(500_000);
    for question in ["", " \n", "\0\u{1b}[31m", "\"}],\"model\":\"other\"", "\u{202e}\u{feff}\u{10ffff}", &huge] {
        let _ = model.complete(question, question).await;
        let _ = model.complete("", question).await;
    }
    consistent(&model.complete("system", QUESTION).await);
}

/// A question that its asker gave up, before or while it was sent, leaves the model usable.
pub async fn can_be_given_up<M: ChatModel>(model: &M) {
    for polls in 0..4 {
        let mut question = model.complete("system", QUESTION);
        for _ in 0..polls {
            if poll_once(question.as_mut()).await.is_some() {
                break;
            }
        }
        drop(question);
    }
    consistent(&model.complete("system", QUESTION).await);
}

/// Questions asked at the same time all get an answer or an error.
pub async fn answers_many_at_once<M: ChatModel>(model: &M) {
    let mut open: Vec<_> = (0..8).map(|_| Some(model.complete("system", QUESTION))).collect();
    poll_fn(|context| {
        let mut is_open = false;
        for slot in &mut open {
            match slot.as_mut().map(|question| question.as_mut().poll(context)) {
                Some(Poll::Ready(answer)) => {
                    consistent(&answer);
                    *slot = None;
                }
                Some(Poll::Pending) => is_open = true,
                None => {}
            }
        }
        if is_open { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}

/// No error both passes by itself and needs a person.
fn consistent(answer: &Result<Completion, ModelError>) {
    if let Err(error) = answer {
        assert!(!(error.is_transient() && error.is_lasting()), "{error:?} is both transient and lasting");
        assert!(!error.to_string().contains('\n'), "an error is one line: {error}");
    }
}

async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}
