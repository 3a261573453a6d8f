//! Credentials: [`Auth`], and where tokens come from ([`TokenSource`]).

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use secrecy::SecretString;

use super::HttpError;

/// Longest token that is read from a file, in bytes: far more than any signed token, far less than a wrong file.
const TOKEN_LIMIT: u64 = 16 * 1024;

/// Credentials of every request of a client. `Debug` shows none of them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Auth {
    /// None.
    #[default]
    None,
    /// `Authorization: Bearer …` with a token that stays the same.
    Bearer(SecretString),
    /// `Authorization: Bearer …` with tokens that change: from a file ([`Auth::bearer_file`]) or an identity service.
    Token(Arc<dyn TokenSource>),
    /// Tokens in a header of their own, as `x-api-key` or `api-key`.
    Header {
        /// Name of the header.
        name: String,
        /// Source of the tokens.
        token: Arc<dyn TokenSource>,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// Name of the user.
        user: String,
        /// Password.
        password: SecretString,
    },
}

impl Auth {
    /// Returns a token that stays the same.
    pub fn bearer(token: impl Into<SecretString>) -> Self {
        Self::Bearer(token.into())
    }

    /// Returns the token in a file, which is read again when the server refuses the one that was read before: Kubernetes renews the
    /// tokens that it mounts.
    pub fn bearer_file(path: impl Into<PathBuf>) -> Self {
        Self::Token(Arc::new(TokenFile::new(path)))
    }

    /// Returns the token in a file, like [`bearer_file`](Self::bearer_file), sent in the header `name`.
    pub fn header_file(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self::Header { name: name.into(), token: Arc::new(TokenFile::new(path)) }
    }

    /// Returns a user and a password.
    pub fn basic(user: impl Into<String>, password: impl Into<SecretString>) -> Self {
        Self::Basic { user: user.into(), password: password.into() }
    }
}

/// Gives bearer tokens that expire.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// Returns a token; after the server has `refused` the last one with 401, one that is newly fetched.
    ///
    /// # Errors
    /// [`HttpError::Credentials`], without the token, if there is none.
    async fn token(&self, refused: bool) -> Result<SecretString, HttpError>;
}

/// The token in a file, without the white space around it. It is kept until the server refuses it.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    read: Mutex<Option<SecretString>>,
}

impl TokenFile {
    /// Creates a source that reads the file when it is first asked.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), read: Mutex::default() }
    }

    fn read(&self) -> Result<SecretString, HttpError> {
        let fault =
            |what: String| HttpError::Credentials { what: format!("token file {}: {what}", self.path.display()) };
        let mut text = String::new();
        let file = File::open(&self.path).map_err(|error| fault(error.to_string()))?;
        // One byte more than is allowed tells a longer file from one that just fits.
        file.take(TOKEN_LIMIT + 1).read_to_string(&mut text).map_err(|error| fault(error.to_string()))?;
        let token = text.trim();
        if text.len() as u64 > TOKEN_LIMIT {
            return Err(fault(format!("it is longer than {TOKEN_LIMIT} bytes")));
        }
        if token.is_empty() {
            return Err(fault("it is empty".into()));
        }
        Ok(token.into())
    }
}

#[async_trait]
impl TokenSource for TokenFile {
    /// Reads a small mounted file: too short a wait to be worth a thread.
    async fn token(&self, refused: bool) -> Result<SecretString, HttpError> {
        let mut known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(token) if !refused => Ok(token.clone()),
            _ => Ok(known.insert(self.read()?).clone()),
        }
    }
}
