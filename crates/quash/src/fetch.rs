//! Fetches the keys of other issuers over HTTPS. `quash-service` decides when, and handles the answer.

use std::time::Duration;

use async_trait::async_trait;
use quash_service::{FetchFault, FetchKeys};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::error::{CommandError, with_causes};

/// An HTTP client that fetches the keys of other issuers.
pub(crate) struct HttpsFetch(Client);

/// The longest answer, in bytes. A real key set takes a few KiB.
const BYTES: usize = 64 * 1024;
/// The timeout from the request to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

impl HttpsFetch {
    /// Creates a client that follows no redirect: the server at another address could decide whose tokens are
    /// accepted.
    ///
    /// # Errors
    /// The machine's root certificates can't be used.
    pub(crate) fn new() -> Result<Self, CommandError> {
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .no_proxy()
            .user_agent("quash")
            .build();
        client.map(Self).map_err(|error| {
            CommandError::failure(format!(
                "failed to create the HTTP client for other issuers' keys: {}",
                with_causes(&error)
            ))
        })
    }
}

#[async_trait]
impl FetchKeys for HttpsFetch {
    async fn fetch(&self, address: &str) -> Result<Vec<u8>, FetchFault> {
        let url = Url::parse(address).map_err(|error| FetchFault(error.to_string()))?;
        let failed = |error: reqwest::Error| FetchFault(with_causes(&error.without_url()));
        let mut answer = self.0.get(url).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(FetchFault(format!("it answers {}", answer.status())));
        }
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if text.len() + chunk.len() > BYTES {
                return Err(FetchFault(format!("it is longer than {BYTES} bytes")));
            }
            text.extend_from_slice(&chunk);
        }
        Ok(text)
    }
}
