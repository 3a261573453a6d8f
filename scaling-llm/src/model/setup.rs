//! Faults of a back end's settings: [`SetupError`].

use scaling_core::http::{HttpConfigError, InvalidEndpoint};

/// A back end that cannot be built. No variant holds a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// There is no API key. A host goes on with its baseline then, and says so once.
    #[error("there is no API key: set {variables}")]
    NoKey {
        /// Variables of the environment of which one would do.
        variables: &'static str,
    },
    /// The API key cannot be one.
    #[error("the API key {what}")]
    Key {
        /// Fault of the setting, without the key.
        what: &'static str,
    },
    /// The server's address cannot be used.
    #[error(transparent)]
    Address(#[from] InvalidEndpoint),
    /// Questions would travel without encryption.
    #[error("{address}: questions are sent over https only, or to loopback; a server without a key may be excepted")]
    Unencrypted {
        /// The address.
        address: String,
    },
    /// A setting is out of its range.
    #[error("{name}: {what}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// Fault of it.
        what: String,
    },
    /// The HTTP client cannot be built.
    #[error(transparent)]
    Client(#[from] HttpConfigError),
}

impl SetupError {
    pub(super) fn setting(name: &'static str, what: impl Into<String>) -> Self {
        Self::Setting { name, what: what.into() }
    }
}
