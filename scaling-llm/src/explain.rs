//! Explanations of decisions for people: by a model, held against the record, or by the template of
//! [`DecisionRecord::explain`], which is always there.
//!
//! A model is given the numbers and codes of a record and none of its texts: no names, no errors. Its answer is one plain paragraph of
//! English. **Every number in it must be one of those that it was given**, otherwise the template is used and [`Explanation::instead`]
//! says why:
//!
//! - A number equals one of the record at the digits that it shows: 5.31 may be told as 5.3 or 5, not as 6. A sign that is shown must
//!   be that of the record.
//! - Behind it, `%` goes with percentages and, a hundredfold, with shares (confidence, quantile, spread); units of time go with
//!   times, converted. Without either it is the number as it is recorded.
//! - Dates (`YYYY-MM-DD`) and times of day (`HH:MM`, seconds or not) are those of one instant of the record, in UTC. Other forms are
//!   read as the numbers that they are made of.
//! - Whole numbers up to twelve may be words; other words that are numbers or multiply one (thirty, half, double, thousand), Roman
//!   numerals, digits and letters of other scripts, exponents, calculations and numbers glued to letters are refused. Words of other
//!   languages in English letters are not known.
//!
//! The rules cannot see a number of the record that is told of the wrong thing. The record itself stays what counts.

mod check;
mod facts;
mod numbers;
mod scan;
#[cfg(test)]
mod tests;

use std::time::Duration;

use scaling_core::{DecisionRecord, InvalidSetting};
use serde::Serialize;

pub use check::Unfaithful;

use crate::{ChatModel, ModelError, ModelId, Usage};
use numbers::Numbers;

/// System text of every question for an explanation. Constant to the byte.
pub const SYSTEM: &str = include_str!("explain/system.txt");

/// Longest question, in bytes. A record that takes more has reasons of a host's own; it is told by the template.
const MAX_QUESTION: usize = 16_384;

/// One record in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// A paragraph on one line.
    pub text: String,
    /// Who wrote it.
    pub by: ExplainedBy,
    /// Reason why it is the template's and not the model's, where a model was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
    /// Tokens that the model took, used or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// Author of an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainedBy {
    /// The template: [`DecisionRecord::explain`].
    Template,
    /// A model, and every number was found in the record.
    Model(ModelId),
}

impl Explanation {
    /// The explanation of the template, without a model.
    pub fn plain(record: &DecisionRecord) -> Self {
        Self { text: record.explain(), by: ExplainedBy::Template, instead: None, usage: None }
    }
}

/// The question about a record: its numbers and codes as one line of JSON, without a text of the cluster.
pub fn question(record: &DecisionRecord) -> String {
    facts::facts(record).to_string()
}

/// Cleans a model's text about a record, and checks that every number in it is one that [`question`] gave ([the rules](self)).
///
/// ```
/// use scaling_core::{ApplyMode, DecisionRecord, ScalingDecision, Target, chrono::DateTime};
/// use scaling_llm::explain::check;
///
/// let at = DateTime::UNIX_EPOCH;
/// let mut record = DecisionRecord::new(Target::deployment("shop", "web-7"), at, ApplyMode::Plan);
/// record.decision = Some(ScalingDecision::replicas("rules", at, 4, 6).with_confidence(0.9));
/// assert!(check("With 90 % confidence, 6 pods were asked for instead of four.", &record).is_ok());
///
/// let error = check("Load was 7 times as high.", &record).unwrap_err();
/// assert_eq!(error.to_string(), r#""7" is not a number of the record"#);
/// assert!(check("The workload was doubled.", &record).is_err());
/// ```
///
/// # Errors
/// [`Unfaithful`] with the first fault.
pub fn check(text: &str, record: &DecisionRecord) -> Result<String, Unfaithful> {
    check::checked(text, &Numbers::of(&facts::facts(record)))
}

/// Explains records by a model, and by the template where the model fails or invents a number.
///
/// ```
/// use async_trait::async_trait;
/// use scaling_core::{ApplyMode, DecisionRecord, ScalingDecision, Target, chrono::DateTime};
/// use scaling_llm::explain::{ExplainedBy, Explainer};
/// use scaling_llm::{ChatModel, Completion, ModelError};
///
/// /// Tells more than it knows.
/// struct Inventor;
///
/// #[async_trait]
/// impl ChatModel for Inventor {
///     async fn complete(&self, _system: &str, _user: &str) -> Result<Completion, ModelError> {
///         Ok(Completion::text("CPU was at 93 %, so 6 pods were asked for."))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let at = DateTime::UNIX_EPOCH;
/// let mut record = DecisionRecord::new(Target::deployment("shop", "web"), at, ApplyMode::Plan);
/// record.decision = Some(ScalingDecision::replicas("rules", at, 4, 6));
///
/// let explanation = Explainer::new(Inventor).explain(&record).await;
/// assert_eq!((explanation.by, explanation.text), (ExplainedBy::Template, record.explain()));
/// assert_eq!(explanation.instead.as_deref(), Some(r#""93" is not a number of the record"#));
/// # }
/// ```
#[derive(Debug)]
pub struct Explainer<M> {
    model: M,
    deadline: Duration,
}

impl<M: ChatModel> Explainer<M> {
    /// Creates an explainer that gives the model 30 s for an answer.
    ///
    /// A client of this crate must be set to answer in plain text, not with advice to an engine.
    pub fn new(model: M) -> Self {
        Self { model, deadline: Duration::from_secs(30) }
    }

    /// Sets the time for an answer, connection and retries included.
    ///
    /// # Errors
    /// [`InvalidSetting`] if it is 0.
    pub fn with_deadline(mut self, deadline: Duration) -> Result<Self, InvalidSetting> {
        let seconds = [("deadline (seconds)", deadline.as_secs_f64())];
        InvalidSetting::check(&seconds, "above 0", |seconds| seconds > 0.0)?;
        self.deadline = deadline;
        Ok(self)
    }

    /// Explains a record. The template's text is there whatever the model does.
    pub async fn explain(&self, record: &DecisionRecord) -> Explanation {
        let facts = facts::facts(record);
        let question = facts.to_string();
        if question.len() > MAX_QUESTION {
            return instead(record, &format!("the record takes {} bytes", question.len()), None);
        }
        let completion = match self.ask(&question).await {
            Ok(completion) => completion,
            Err(error) => return instead(record, &error.to_string(), None),
        };
        let usage = Some(completion.usage);
        match check::checked(&completion.text, &Numbers::of(&facts)) {
            Ok(text) => Explanation { text, by: ExplainedBy::Model(self.model.id()), instead: None, usage },
            Err(fault) => instead(record, &fault.to_string(), usage),
        }
    }

    async fn ask(&self, question: &str) -> Result<crate::Completion, ModelError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(ModelError::Unavailable("there is no tokio runtime to keep the deadline".into()));
        }
        let answer = async {
            let answer = self.model.complete(SYSTEM, question);
            tokio::time::timeout(self.deadline, answer).await.unwrap_or(Err(ModelError::Late))
        };
        let panicked = || Err(ModelError::Unavailable("it panicked".into()));
        crate::isolated::isolated(answer).await.unwrap_or_else(panicked)
    }
}

/// The template's explanation, and why it is not the model's.
fn instead(record: &DecisionRecord, why: &str, usage: Option<Usage>) -> Explanation {
    Explanation { instead: Some(crate::text::one_line(why, 300)), usage, ..Explanation::plain(record) }
}
