//! [`Connection`]: how CloudWatch is reached, and the SDK's client made from it.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::retry::RetryConfig;
use aws_sdk_cloudwatch::config::timeout::TimeoutConfig;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use crate::source::fleet::DEADLINE;

/// How CloudWatch is reached. What is not set comes from the SDK's default chain: environment, shared files, instance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// Region, such as `eu-central-1`.
    pub region: Option<String>,
    /// Another endpoint, such as a private link or a server for tests.
    pub endpoint: Option<String>,
    /// Time for all requests of one tick together, retries and credentials included. Default 12 s.
    pub deadline: Duration,
    /// Attempts at one request, the first included; the SDK waits between them with jitter. Default 3.
    pub attempts: u32,
}

impl Default for Connection {
    fn default() -> Self {
        Self { region: None, endpoint: None, deadline: DEADLINE, attempts: 3 }
    }
}

/// A connection that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody says which region is meant.
    #[error("no region: set AWS_REGION, a region in the shared configuration, or one by name")]
    NoRegion,
    /// The SDK did not find its configuration in time.
    #[error("the AWS configuration was not found within {} s", deadline.as_secs_f64())]
    Deadline {
        /// Time that it had.
        deadline: Duration,
    },
}

impl Connection {
    /// Sets the region.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets another endpoint.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Sets the time for all requests of one tick.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how often one request is tried.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The SDK's client: TLS by rustls with ring, and no provider installed for the process.
    pub(super) async fn client(&self) -> Result<Client, ConnectError> {
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.deadline.min(Duration::from_secs(5)))
            .operation_timeout(self.deadline)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .retry_config(RetryConfig::standard().with_max_attempts(self.attempts))
            .timeout_config(timeouts);
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let deadline = self.deadline;
        let config = tokio::time::timeout(deadline, loader.load()).await;
        let config = config.map_err(|_| ConnectError::Deadline { deadline })?;
        if config.region().is_none() { Err(ConnectError::NoRegion) } else { Ok(Client::new(&config)) }
    }
}
