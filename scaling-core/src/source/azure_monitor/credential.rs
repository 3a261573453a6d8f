//! [`Identity`]: who asks, and the tokens for it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::{ClientOptions, Transport};
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};

use crate::http::{ExposeSecret, HttpConfig, HttpConfigError, HttpError, SecretString, TokenSource, stack};

/// Who asks Azure. `Debug` shows no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Identity {
    /// Workload identity of a pod in AKS: the webhook sets `AZURE_CLIENT_ID`, `AZURE_TENANT_ID` and `AZURE_FEDERATED_TOKEN_FILE`,
    /// which are taken where nothing else is given.
    Workload {
        /// Id of the application or managed identity.
        client: Option<String>,
        /// Id of the tenant.
        tenant: Option<String>,
        /// File with the token of the service account.
        token_file: Option<PathBuf>,
    },
    /// A service principal with a client secret.
    ClientSecret {
        /// Id of the tenant.
        tenant: String,
        /// Id of the application.
        client: String,
        /// The secret.
        secret: SecretString,
    },
    /// The managed identity of the machine, or the one with this client id.
    Managed {
        /// Client id of a user-assigned identity; `None` for the system-assigned one.
        client: Option<String>,
    },
    /// A credential of the host.
    Given(Arc<dyn TokenCredential>),
}

/// An identity that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidIdentity {
    /// What it needs is missing or no such thing.
    #[error("{kind}: {what}")]
    Credential {
        /// Kind of identity.
        kind: &'static str,
        /// What is wrong; no secret.
        what: String,
    },
    /// The HTTP stack refused to start.
    #[error(transparent)]
    Client(#[from] HttpConfigError),
}

impl Identity {
    /// The workload identity of this pod.
    pub fn workload() -> Self {
        Self::Workload { client: None, tenant: None, token_file: None }
    }

    /// A service principal with a client secret.
    pub fn client_secret(
        tenant: impl Into<String>,
        client: impl Into<String>,
        secret: impl Into<SecretString>,
    ) -> Self {
        Self::ClientSecret { tenant: tenant.into(), client: client.into(), secret: secret.into() }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Workload { .. } => "workload identity",
            Self::ClientSecret { .. } => "client secret",
            Self::Managed { .. } => "managed identity",
            Self::Given(_) => "credential of the host",
        }
    }

    /// Tokens of this identity for a scope: for a source of this module, or as [`Auth::Token`](crate::http::Auth::Token) for another
    /// API of Azure. Managed Prometheus is one: `https://prometheus.monitor.azure.com/.default`.
    ///
    /// # Errors
    /// [`InvalidIdentity`] if it cannot be used.
    pub fn tokens(&self, scope: impl Into<String>, config: &HttpConfig) -> Result<Tokens, InvalidIdentity> {
        let client = stack(config)?;
        let credential = self.credential(&client)?;
        Ok(Tokens { identity: self.clone(), client, scope: scope.into(), credential: Mutex::new(credential) })
    }

    /// The credential, over the given client: azure_core would make one of its own, which panics where no TLS provider is installed in
    /// the process.
    fn credential(&self, client: &reqwest::Client) -> Result<Arc<dyn TokenCredential>, InvalidIdentity> {
        let transport = Some(Transport::new(Arc::new(client.clone())));
        let client_options = ClientOptions { transport, ..ClientOptions::default() };
        let made = match self {
            Self::Given(credential) => return Ok(credential.clone()),
            Self::Workload { client, tenant, token_file } => {
                let options = WorkloadIdentityCredentialOptions {
                    credential_options: ClientAssertionCredentialOptions { client_options },
                    client_id: client.clone(),
                    tenant_id: tenant.clone(),
                    token_file_path: token_file.clone(),
                };
                WorkloadIdentityCredential::new(Some(options)).map(|made| made as Arc<dyn TokenCredential>)
            }
            Self::ClientSecret { tenant, client, secret } => {
                let options = ClientSecretCredentialOptions { client_options };
                let secret = Secret::new(secret.expose_secret().to_owned());
                ClientSecretCredential::new(tenant, client.clone(), secret, Some(options))
                    .map(|made| made as Arc<dyn TokenCredential>)
            }
            Self::Managed { client } => {
                let user_assigned_id = client.clone().map(UserAssignedId::ClientId);
                let options = ManagedIdentityCredentialOptions { user_assigned_id, client_options };
                ManagedIdentityCredential::new(Some(options)).map(|made| made as Arc<dyn TokenCredential>)
            }
        };
        // Its texts name variables, files and ids.
        made.map_err(|error| InvalidIdentity::Credential { kind: self.kind(), what: first_line(&error.to_string()) })
    }
}

/// Tokens of an identity for one scope, kept until they expire or are refused.
pub struct Tokens {
    identity: Identity,
    client: reqwest::Client,
    scope: String,
    credential: Mutex<Arc<dyn TokenCredential>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("kind", &self.identity.kind())
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenSource for Tokens {
    async fn token(&self, refused: bool) -> Result<SecretString, HttpError> {
        let fault = |what: String| HttpError::Credentials { what: format!("{}: {what}", self.identity.kind()) };
        if refused {
            // The credential keeps its token until it expires, whatever the server says; a new one has none.
            let renewed =
                self.identity.credential(&self.client).map_err(|error| fault(first_line(&error.to_string())))?;
            *self.credential.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
        }
        let credential = self.credential.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match credential.get_token(&[&self.scope], None).await {
            Ok(token) => Ok(token.token.secret().to_owned().into()),
            Err(error) => Err(fault(reason(&error.to_string()))),
        }
    }
}

/// The code that Entra gives, which can be looked up, and nothing else of its answer.
fn reason(text: &str) -> String {
    let code = text
        .find("AADSTS")
        .and_then(|at| text.get(at..))
        .map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).take(20).collect::<String>());
    code.map_or_else(|| "no token could be had".to_owned(), |code| format!("no token: {code}"))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_debug_shows_a_secret_and_no_identity_needs_a_provider_of_tls() {
        let identity = Identity::client_secret("tenant-a", "client-a", "hunter2");
        let tokens = identity.tokens("https://management.azure.com/.default", &HttpConfig::default()).unwrap();
        let shown = format!("{identity:?} {tokens:?}");
        assert!(shown.contains("client-a") && !shown.contains("hunter2"), "{shown}");
        assert!(rustls::crypto::CryptoProvider::get_default().is_none(), "none was installed");
        let managed = Identity::Managed { client: Some("id".into()) };
        assert!(managed.tokens("https://management.azure.com/.default", &HttpConfig::default()).is_ok());
    }

    #[test]
    fn an_identity_that_lacks_something_says_what() {
        let missing = Identity::Workload {
            client: Some("client-a".into()),
            tenant: Some("tenant-a".into()),
            token_file: Some("/no/such/token".into()),
        };
        let refused = missing.tokens("scope", &HttpConfig::default()).unwrap_err().to_string();
        assert!(refused.starts_with("workload identity: ") && refused.contains("/no/such/token"), "{refused}");
        let empty = Identity::client_secret("tenant-a", "client-a", "");
        assert!(empty.tokens("scope", &HttpConfig::default()).is_err());
    }

    #[test]
    fn of_a_refusal_only_the_code_is_repeated() {
        let text =
            "ClientSecretCredential authentication failed. AADSTS7000215: Invalid client secret provided hunter2";
        assert_eq!(reason(text), "no token: AADSTS7000215");
        assert_eq!(reason("connection refused for hunter2"), "no token could be had");
    }
}
