//! Back ends by the variables of the environment that the SDKs of the providers read as well.

use std::fmt;
use std::sync::Arc;

use super::anthropic::{AnthropicConfig, AnthropicModel};
use super::backend::{ApiKey, shown_base};
use super::openai::{OpenAiConfig, OpenAiModel};
use super::{AnswerFormat, ChatModel, SetupError};

const ANTHROPIC: &str = "ANTHROPIC_API_KEY";
const OPENAI: &str = "OPENAI_API_KEY";

/// Keys and addresses that the environment holds. `Debug` shows no key.
///
/// | variable | what it is |
/// | --- | --- |
/// | `ANTHROPIC_API_KEY`, `OPENAI_API_KEY` | the keys |
/// | `ANTHROPIC_BASE_URL`, `OPENAI_BASE_URL` | addresses of other servers than those of the providers |
///
/// A variable that is empty counts as not set.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    anthropic: Account,
    openai: Account,
}

#[derive(Clone, Default)]
struct Account {
    key: ApiKey,
    base: Option<String>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.base.as_deref().map(shown_base);
        f.debug_struct("Account").field("key", &self.key).field("base", &base).finish()
    }
}

impl Account {
    fn key(&self, variables: &'static str) -> Result<ApiKey, SetupError> {
        match &self.key {
            ApiKey::None => Err(SetupError::NoKey { variables }),
            key => Ok(key.clone()),
        }
    }
}

impl Environment {
    /// Reads the environment of the process. Nothing else in this crate does.
    ///
    /// # Errors
    /// [`SetupError::Setting`] if a variable holds no text.
    pub fn read() -> Result<Self, SetupError> {
        let mut fault = None;
        let environment = Self::of(|name| {
            let text = std::env::var_os(name)?.into_string();
            if text.is_err() {
                fault.get_or_insert(SetupError::setting(name, "it is no text"));
            }
            text.ok()
        });
        fault.map_or(Ok(environment), Err)
    }

    /// Takes the variables from `lookup`, for hosts that keep them elsewhere.
    pub fn of(mut lookup: impl FnMut(&'static str) -> Option<String>) -> Self {
        let mut read = |name| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut account = |key, base| Account { key: read(key).map_or(ApiKey::None, ApiKey::new), base: read(base) };
        Self { anthropic: account(ANTHROPIC, "ANTHROPIC_BASE_URL"), openai: account(OPENAI, "OPENAI_BASE_URL") }
    }

    /// Returns the settings of Anthropic's API.
    ///
    /// # Errors
    /// [`SetupError::NoKey`] if there is no key for it.
    pub fn anthropic(&self) -> Result<AnthropicConfig, SetupError> {
        let config = AnthropicConfig::new(self.anthropic.key(ANTHROPIC)?);
        Ok(match &self.anthropic.base {
            Some(base) => config.base_url(base),
            None => config,
        })
    }

    /// Returns the settings of OpenAI's API.
    ///
    /// # Errors
    /// [`SetupError::NoKey`] if there is no key for it.
    pub fn openai(&self) -> Result<OpenAiConfig, SetupError> {
        let config = OpenAiConfig::openai(self.openai.key(OPENAI)?);
        Ok(match &self.openai.base {
            Some(base) => config.base_url(base),
            None => config,
        })
    }

    /// Creates the back end of a model that answers in a form: Anthropic's for names that begin with `claude`, OpenAI's for others.
    /// Without a name, the default model of the first of the two that has a key.
    ///
    /// # Errors
    /// [`SetupError`]; [`SetupError::NoKey`] if there is no key for it.
    pub fn model(&self, name: Option<&str>, format: AnswerFormat) -> Result<Arc<dyn ChatModel>, SetupError> {
        let is_anthropic = match name {
            Some(name) => name.starts_with("claude"),
            None => match (&self.anthropic.key, &self.openai.key) {
                (ApiKey::None, ApiKey::None) => {
                    return Err(SetupError::NoKey { variables: "ANTHROPIC_API_KEY or OPENAI_API_KEY" });
                }
                (key, _) => !matches!(key, ApiKey::None),
            },
        };
        if is_anthropic {
            let config = self.anthropic()?.format(format);
            Ok(Arc::new(AnthropicModel::new(name.map_or(config.clone(), |name| config.model(name)))?))
        } else {
            let config = self.openai()?.format(format);
            Ok(Arc::new(OpenAiModel::new(name.map_or(config.clone(), |name| config.model(name)))?))
        }
    }
}

/// Creates the back end of a model by the [`Environment`] of the process: [`Environment::read`] and [`Environment::model`].
///
/// ```
/// use scaling_llm::{AnswerFormat, SetupError, model_from_env};
///
/// match model_from_env(Some("claude-haiku-5-5"), AnswerFormat::Advice) {
///     Ok(model) => println!("asks {}", model.id().model),
///     // Everything goes on by the baseline.
///     Err(error @ SetupError::NoKey { .. }) => println!("no advice: {error}"),
///     Err(error) => println!("no advice, and somebody has to look: {error}"),
/// }
/// ```
///
/// # Errors
/// [`SetupError`]; [`SetupError::NoKey`] if there is no key for it.
pub fn model_from_env(name: Option<&str>, format: AnswerFormat) -> Result<Arc<dyn ChatModel>, SetupError> {
    Environment::read()?.model(name, format)
}
