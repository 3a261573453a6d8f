//! [`Asker`]: sends the questions over a Kubernetes client.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use futures::{AsyncReadExt, FutureExt};
use kube::Client;
use tokio::time::Instant;

use super::answer::{self, MetricValue, Page, Scaled, Unreadable, Usage};
use super::config::{ApiMetric, MetricsApiConfig};
use super::fault::{ApiCause, ApiFault};
use super::pods::{PodView, distinct};
use super::query::{CustomVersion, Question, with_query};
use crate::fan_out::within;

/// An answer, by the kind of the question.
#[derive(Debug)]
pub(super) enum Answer {
    Workloads(Vec<Scaled>),
    Pods(Vec<PodView>),
    Usage(BTreeMap<String, Usage>),
    Values(Vec<MetricValue>),
}

/// Answers by question.
pub(super) type Answers = HashMap<Question, Result<Answer, ApiFault>>;

pub(super) struct Asker {
    client: Client,
    /// The version of the custom metrics API that is served, once it is known.
    custom: Mutex<Option<CustomVersion>>,
}

impl Asker {
    pub(super) fn new(client: Client) -> Self {
        Self { client, custom: Mutex::default() }
    }

    /// Asks each question once, a few at a time, and what has no answer by `until` has failed.
    pub(super) async fn ask_all(&self, questions: Vec<Question>, config: &MetricsApiConfig, until: Instant) -> Answers {
        let of_custom = |question: &Question| {
            matches!(question, Question::Metric(_, ApiMetric::Pods { .. } | ApiMetric::Object { .. }, _))
        };
        let found = if questions.iter().any(of_custom) { self.custom_version(config, until).await } else { None };
        let custom = found.unwrap_or(Ok(CustomVersion::V1beta2));
        let asked = |question: &Question| match &custom {
            Err(fault) if of_custom(question) => futures::future::ready(Err(fault.clone())).boxed(),
            Err(_) => self.ask(question.clone(), CustomVersion::V1beta2, config).boxed(),
            Ok(custom) => self.ask(question.clone(), *custom, config).boxed(),
        };
        let answers = within(until, config.concurrency, questions.iter().map(asked).collect()).await;
        let late = |question: &Question| {
            let cause = ApiCause::Late { within: config.deadline };
            Err(ApiFault { asked: question.path(CustomVersion::V1beta2), cause })
        };
        questions
            .into_iter()
            .zip(answers)
            .map(|(question, answer)| {
                let answer = answer.unwrap_or_else(|| late(&question));
                (question, answer)
            })
            .collect()
    }

    /// The version of the custom metrics API: the newest that both speak. None if it was not told in time.
    async fn custom_version(
        &self,
        config: &MetricsApiConfig,
        until: Instant,
    ) -> Option<Result<CustomVersion, ApiFault>> {
        if let Some(known) = *self.custom.lock().unwrap_or_else(PoisonError::into_inner) {
            return Some(Ok(known));
        }
        let question = Question::CustomVersions;
        let path = question.path(CustomVersion::V1beta2);
        let failed = |cause| ApiFault { asked: path.clone(), cause };
        let asked = async {
            let body = self.body(&question, &path, config).await?;
            answer::versions(&body).map_err(|why| ApiCause::Unreadable { why })
        };
        let versions = match within(until, 1, vec![asked.boxed()]).await.pop().flatten()? {
            Ok(versions) => versions,
            Err(cause) => return Some(Err(failed(cause))),
        };
        let spoken = [CustomVersion::V1beta2, CustomVersion::V1beta1];
        let Some(version) = spoken.into_iter().find(|version| versions.iter().any(|name| name == version.name()))
        else {
            let why = format!("it serves {}, and v1beta2 and v1beta1 are spoken here", versions.join(", "));
            return Some(Err(failed(ApiCause::Unreadable { why })));
        };
        *self.custom.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
        Some(Ok(version))
    }

    async fn ask(
        &self,
        question: Question,
        custom: CustomVersion,
        config: &MetricsApiConfig,
    ) -> Result<Answer, ApiFault> {
        let path = question.path(custom);
        let answer = self.answer(&question, &path, config).await;
        if matches!(answer, Err(ApiCause::Unavailable { .. })) {
            // Another version may be served by the time that somebody serves it again.
            *self.custom.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        answer.map_err(|cause| ApiFault { asked: path, cause })
    }

    async fn answer(&self, question: &Question, path: &str, config: &MetricsApiConfig) -> Result<Answer, ApiCause> {
        let unreadable = |why| ApiCause::Unreadable { why };
        Ok(match question {
            Question::Workload(..) => {
                let body = self.body(question, path, config).await?;
                Answer::Workloads(vec![answer::workload(&body).map_err(unreadable)?])
            }
            Question::Scale(_) => {
                let body = self.body(question, path, config).await?;
                Answer::Workloads(vec![answer::scale(&body).map_err(unreadable)?])
            }
            Question::Workloads(..) => Answer::Workloads(self.list(question, path, config, answer::workloads).await?),
            Question::Pods(namespace, _) => {
                Answer::Pods(distinct(self.list(question, path, config, answer::pods).await?, namespace))
            }
            Question::Usage(namespace, _) => {
                Answer::Usage(answer::by_pod(self.list(question, path, config, answer::usage).await?, namespace))
            }
            Question::Metric(..) | Question::CustomVersions => {
                Answer::Values(self.list(question, path, config, answer::values).await?)
            }
        })
    }

    /// All pages of a list, begun once more if the server has dropped the state that it goes on from.
    async fn list<T>(
        &self,
        question: &Question,
        path: &str,
        config: &MetricsApiConfig,
        read: fn(&[u8]) -> Result<Page<T>, Unreadable>,
    ) -> Result<Vec<T>, ApiCause> {
        match self.pages(question, path, config, read).await {
            Err(ApiCause::Refused { code: 410, .. }) => self.pages(question, path, config, read).await,
            other => other,
        }
    }

    async fn pages<T>(
        &self,
        question: &Question,
        path: &str,
        config: &MetricsApiConfig,
        read: fn(&[u8]) -> Result<Page<T>, Unreadable>,
    ) -> Result<Vec<T>, ApiCause> {
        let size = config.page.to_string();
        let limit = question.is_paged().then_some(size.as_str());
        let (mut items, mut next) = (Vec::new(), None::<String>);
        for _ in 0..config.pages {
            let path = with_query(path.to_owned(), &[("limit", limit), ("continue", next.as_deref())]);
            let body = self.body(question, &path, config).await?;
            let page = read(&body).map_err(|why| ApiCause::Unreadable { why })?;
            items.extend(page.items);
            match page.next {
                None => return Ok(items),
                Some(same) if Some(&same) == next.as_ref() => {
                    return Err(ApiCause::Unreadable { why: "a page names itself as the next one".into() });
                }
                more => next = more,
            }
        }
        Err(ApiCause::TooManyPages { limit: config.pages })
    }

    /// The body of an answer with status 200, as far as the limit goes.
    async fn body(&self, question: &Question, path: &str, config: &MetricsApiConfig) -> Result<Vec<u8>, ApiCause> {
        let request = http::Request::get(path).header("accept", "application/json").body(Vec::new());
        let request = request.map_err(|error| ApiCause::Unreadable { why: format!("no path: {error}") })?;
        let said = |error| failure(question, &error);
        let reader = self.client.request_stream(request).await.map_err(said)?;
        let limit = config.body_limit;
        let mut body = Vec::new();
        let mut reader = Box::pin(reader).take(u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1));
        reader.read_to_end(&mut body).await.map_err(|error| ApiCause::Transport(error.to_string()))?;
        if body.len() > limit { Err(ApiCause::TooLarge { limit }) } else { Ok(body) }
    }
}

fn failure(question: &Question, error: &kube::Error) -> ApiCause {
    match error {
        kube::Error::Api(status) => {
            ApiCause::of_status(question.api(), status.code, &status.reason, &status.message, question.verbs())
        }
        other => ApiCause::Transport(chain(other)),
    }
}

/// An error with its causes, none twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}
