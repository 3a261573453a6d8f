//! [`NoModel`]: nobody to ask.

use async_trait::async_trait;

use crate::{ChatModel, Completion, ModelError};

/// A model that cannot be: the type of the adviser where there is none
/// ([`LlmEngine::without_model`](crate::LlmEngine::without_model)).
#[derive(Clone, Copy, Debug)]
pub enum NoModel {}

#[async_trait]
impl ChatModel for NoModel {
    async fn complete(&self, _system: &str, _user: &str) -> Result<Completion, ModelError> {
        match *self {}
    }
}
