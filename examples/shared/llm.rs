//! The part that the examples with a language model share: the choice of a model, and the word where there is none.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use scaling_core::{DecisionEngine, DecisionRecord, RuleBasedEngine};
use scaling_llm::eval::{self, ScriptedModel, Situation};
use scaling_llm::{AnswerFormat, ChatModel, LlmConfig, LlmEngine, ReplayModel, SetupError, Transcript, model_from_env};

use crate::Failure;

/// A model as arguments name it.
#[derive(Clone, Debug)]
pub enum ModelChoice {
    /// `scripted:NAME`: follows a script.
    Scripted(ScriptedModel),
    /// `replay:FILE`: answers from a transcript.
    Replay(PathBuf),
    /// `env`: the API whose key is set.
    Environment,
}

impl FromStr for ModelChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("scripted", name)) => {
                name.parse().map(Self::Scripted).map_err(|error: eval::UnknownScript| error.to_string())
            }
            Some(("replay", file)) if !file.is_empty() => Ok(Self::Replay(file.into())),
            None if text == "env" => Ok(Self::Environment),
            _ => Err("expected scripted:NAME, replay:FILE or env".to_owned()),
        }
    }
}

impl ModelChoice {
    /// The model; none where no key is set.
    ///
    /// # Errors
    /// [`Failure::Input`] for a transcript that cannot be read or a setting that cannot work.
    pub fn model(&self, format: AnswerFormat) -> Result<Option<Arc<dyn ChatModel>>, Failure> {
        Ok(match self {
            Self::Scripted(model) => Some(Arc::new(*model)),
            Self::Replay(path) => Some(Arc::new(ReplayModel::new(transcript(path)?))),
            Self::Environment => match model_from_env(None, format) {
                Ok(model) => Some(model),
                Err(SetupError::NoKey { .. }) => None,
                Err(error) => return Err(Failure::input(error)),
            },
        })
    }
}

/// A runtime for the questions of an example.
///
/// # Errors
/// [`Failure::Failed`] if the system gives none.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)
}

/// Advice where no model is set up.
pub const NO_MODEL: &str = "no language model is set up: set ANTHROPIC_API_KEY or OPENAI_API_KEY";

/// Reads a transcript.
///
/// # Errors
/// [`Failure::Input`] with file and line.
pub fn transcript(path: &Path) -> Result<Transcript, Failure> {
    let bytes = crate::read(path)?;
    let bad = |what: &dyn Display| Failure::input(format!("{}: {what}", crate::place(path)));
    let text = std::str::from_utf8(&bytes).map_err(|error| bad(&error))?;
    Transcript::from_json_lines(text).map_err(|error| bad(&error))
}

/// Reads the records of a run or of a loop, as `autoscale --records` writes them: lines that say what a run depends on are passed over.
///
/// # Errors
/// [`Failure::Input`] with file and line.
pub fn records(path: &Path) -> Result<Vec<DecisionRecord>, Failure> {
    let bytes = crate::read(path)?;
    let name = crate::place(path);
    let text = std::str::from_utf8(&bytes).map_err(|error| Failure::input(format!("{name}: {error}")))?;
    let mut records = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<DecisionRecord>(line) {
            Ok(record) => records.push(record),
            Err(error) => {
                let header = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line);
                if !header.is_ok_and(|fields| !fields.contains_key("target") && !fields.contains_key("at")) {
                    return Err(Failure::input(format!("{name}: line {}: {error}", index + 1)));
                }
            }
        }
    }
    if records.is_empty() {
        return Err(Failure::input(format!(
            "{name}: there is no decision record in it (autoscale --records writes them)"
        )));
    }
    Ok(records)
}

/// A situation by its name, of those that come with the examples.
///
/// # Errors
/// [`Failure::Input`] with the names that there are.
pub fn situation(name: &str) -> Result<Situation, Failure> {
    let all = situations(None)?;
    let names: Vec<_> = all.iter().map(|situation| situation.name.clone()).collect();
    let found = all.into_iter().find(|situation| situation.name == name);
    found.ok_or_else(|| Failure::input(format!("there is no situation {name:?}; there are {}", names.join(", "))))
}

/// The situations of a file; without one the eight of the dataset and those that come with the examples.
///
/// # Errors
/// [`Failure::Input`] with file and situation.
pub fn situations(path: Option<&Path>) -> Result<Vec<Situation>, Failure> {
    let text = |path: &Path| Ok::<_, Failure>(String::from_utf8_lossy(&crate::read(path)?).into_owned());
    let bad = |path: &Path, error: &dyn Display| Failure::input(format!("{}: {error}", crate::place(path)));
    if let Some(path) = path {
        return eval::situations(&text(path)?).map_err(|error| bad(path, &error));
    }
    let (dataset, own) = (crate::test_data("metrics_dataset.json"), crate::test_data("llm_situations.json"));
    let mut all = eval::dataset_situations(&text(&dataset)?).map_err(|error| bad(&dataset, &error))?;
    all.extend(eval::situations(&text(&own)?).map_err(|error| bad(&own, &error))?);
    Ok(all)
}

/// The rules, advised by a model. Each decision waits for its answer.
///
/// # Errors
/// [`Failure::Input`] if a setting cannot work.
pub fn engine(model: Arc<dyn ChatModel>) -> Result<Box<dyn DecisionEngine>, Failure> {
    let config = LlmConfig { deadline: Duration::from_secs(60), ..LlmConfig::inline() };
    let engine = LlmEngine::with_config(model, RuleBasedEngine::default(), config).map_err(Failure::input)?;
    Ok(Box::new(engine))
}

/// Whose answers they are.
pub fn named(model: &dyn ChatModel) -> String {
    let id = model.id();
    match (id.provider.as_str(), id.model.as_str()) {
        ("", "") => "a model that does not say its name".to_owned(),
        (ScriptedModel::PROVIDER, name) => format!("the script {name}, no real model"),
        (provider, name) => format!("{name} ({provider})"),
    }
}
