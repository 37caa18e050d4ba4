//! Asking addresses for the keys of other issuers. When, and what becomes of the answer, is the desk's business.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use quash_service::{FetchFault, FetchKeys};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::error::CommandError;

/// The way to other issuers' addresses.
pub(crate) struct HttpsFetch(Client);

/// A set of keys is a few KiB long; whoever sends more sends something else.
const BYTES: usize = 64 * 1024;
/// From the question to the end of the answer.
const WITHIN: Duration = Duration::from_secs(5);

impl HttpsFetch {
    /// A way that follows nobody to another address: who answers there would say whose tokens are taken.
    ///
    /// # Errors
    /// The machine's certificates can't be used.
    pub(crate) fn new() -> Result<Self, CommandError> {
        let client =
            Client::builder().redirect(Policy::none()).timeout(WITHIN).no_proxy().user_agent("quash").build();
        client.map(Self).map_err(|error| {
            CommandError::failure(format!("other issuers can't be asked for their keys: {}", in_full(&error)))
        })
    }
}

#[async_trait]
impl FetchKeys for HttpsFetch {
    async fn fetch(&self, address: &str) -> Result<Vec<u8>, FetchFault> {
        let url = Url::parse(address).map_err(|error| FetchFault(error.to_string()))?;
        let away = |error: reqwest::Error| FetchFault(in_full(&error.without_url()));
        let mut answer = self.0.get(url).send().await.map_err(away)?;
        if !answer.status().is_success() {
            return Err(FetchFault(format!("it answers {}", answer.status())));
        }
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(away)? {
            if text.len() + chunk.len() > BYTES {
                return Err(FetchFault(format!("it is longer than {BYTES} bytes")));
            }
            text.extend_from_slice(&chunk);
        }
        Ok(text)
    }
}

/// An error with what is behind it: that of the connection alone says nothing.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
