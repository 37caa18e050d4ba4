//! Asking an issuer over HTTP. When, and what becomes of the answer, is told elsewhere.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use quash_core::watch::frame::{Cursor, LeaseGrant, LeaseNonce, Snapshot};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::fault::{Fault, StartError};
use crate::introspection::{Answer, Introspect};

/// The way to an issuer, which may have several addresses.
pub(crate) struct Http {
    /// For what is asked often: its connections are used again.
    client: Client,
    /// For what is asked when something was wrong: a connection that nobody has used since may be dead without a word.
    anew: Client,
    addresses: Vec<String>,
    credential: HeaderValue,
    /// Which address is asked about tokens and keys.
    turn: AtomicUsize,
}

/// A connection on which entries arrive.
pub(crate) struct Stream(Response);

/// A whole snapshot: a million entries are about 60 MiB.
const SNAPSHOT_BYTES: usize = 256 * 1024 * 1024;
/// Any other answer.
const ANSWER_BYTES: usize = 256 * 1024;
/// To a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// To the head of an answer that needn't be made first.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Between two pieces of an answer.
const PIECE_WITHIN: Duration = Duration::from_secs(2);
/// The feed says something every 15 seconds; after three of them nobody is there.
const STREAM_SILENT: Duration = Duration::from_secs(45);

impl Http {
    /// A way that follows nobody to another address: the credential would go there, too.
    pub(crate) fn new(addresses: Vec<String>, credential: &str) -> Result<Self, StartError> {
        let builder = || Client::builder().redirect(Policy::none()).connect_timeout(CONNECT_WITHIN).no_proxy().user_agent("quash-verify");
        let mut credential = HeaderValue::from_str(&format!("Bearer {credential}")).map_err(|_| StartError::NoCredential)?;
        credential.set_sensitive(true);
        let client = builder().build().map_err(|_| StartError::NoClient)?;
        let anew = builder().pool_max_idle_per_host(0).build().map_err(|_| StartError::NoClient)?;
        Ok(Self { client, anew, addresses, credential, turn: AtomicUsize::new(0) })
    }

    /// Everything that the log remembers. It is made when it is asked for, which is to take no longer than `within`.
    pub(crate) async fn snapshot(&self, turn: usize, within: Duration) -> Result<Snapshot, Fault> {
        let answer = self.send_within(self.get(&self.anew, turn, "/v1/feed/snapshot"), within).await?;
        json(&body(answer, SNAPSHOT_BYTES).await?)
    }

    /// What comes after a place in the log.
    pub(crate) async fn stream(&self, turn: usize, after: &Cursor) -> Result<Stream, Fault> {
        let request = self.get(&self.anew, turn, &format!("/v1/feed?after={after}")).header(ACCEPT, "text/event-stream");
        self.send(request).await.map(Stream)
    }

    /// A lease for whoever has everything up to `cursor`.
    pub(crate) async fn lease(
        &self,
        turn: usize,
        cursor: &Cursor,
        instance: &str,
        nonce: LeaseNonce,
        policy: &str,
    ) -> Result<LeaseGrant, Fault> {
        let request =
            self.get(&self.client, turn, &format!("/v1/feed/lease?cursor={cursor}&instance={instance}&nonce={nonce}&policy={policy}"));
        json(&body(self.send(request).await?, ANSWER_BYTES).await?)
    }

    /// The set of keys that is published, from whichever address answers first.
    pub(crate) async fn keys(&self) -> Result<Vec<u8>, Fault> {
        let mut fault = Fault::Unreachable;
        for _ in &self.addresses {
            let turn = self.turn.load(Ordering::Relaxed);
            let asked = async { body(self.send(self.get(&self.anew, turn, "/.well-known/jwks.json")).await?, ANSWER_BYTES).await };
            match asked.await {
                Ok(text) => return Ok(text),
                Err(found) => fault = found,
            }
            self.turn.fetch_add(1, Ordering::Relaxed);
        }
        Err(fault)
    }

    async fn introspect(&self, token: &str) -> Result<Answer, Fault> {
        #[derive(Deserialize)]
        struct Introspected {
            active: bool,
        }
        let form: String = form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        let url = format!("{}/oauth2/introspect", self.address(self.turn.load(Ordering::Relaxed)));
        let request = self.client.post(url).header(AUTHORIZATION, self.credential.clone());
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").header(ACCEPT, "application/json").body(form);
        let answer: Introspected = json(&body(self.send(request).await?, ANSWER_BYTES).await?)?;
        Ok(if answer.active { Answer::Active } else { Answer::Inactive })
    }

    fn get(&self, client: &Client, turn: usize, path: &str) -> RequestBuilder {
        client.get(format!("{}{path}", self.address(turn))).header(AUTHORIZATION, self.credential.clone())
    }

    fn address(&self, turn: usize) -> &str {
        self.addresses.get(turn % self.addresses.len().max(1)).map_or("", String::as_str)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        self.send_within(request, ANSWER_WITHIN).await
    }

    async fn send_within(&self, request: RequestBuilder, within: Duration) -> Result<Response, Fault> {
        let answer = tokio::time::timeout(within, request.send()).await.map_err(|_| Fault::Silent)?;
        let answer = answer.map_err(|error| if error.is_timeout() { Fault::Silent } else { Fault::Unreachable })?;
        match answer.status().as_u16() {
            200 => Ok(answer),
            409 => Err(Fault::SnapshotRequired),
            status => Err(Fault::Status(status)),
        }
    }
}

impl Introspect for Http {
    fn ask<'a>(&'a self, token: &'a str) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
        Box::pin(async move {
            match self.introspect(token).await {
                Ok(answer) => answer,
                Err(fault) => {
                    self.turn.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%fault, "the issuer could not be asked about a token");
                    Answer::Away
                }
            }
        })
    }
}

impl Stream {
    /// The next bytes.
    pub(crate) async fn next(&mut self) -> Result<impl AsRef<[u8]> + use<>, Fault> {
        match tokio::time::timeout(STREAM_SILENT, self.0.chunk()).await {
            Ok(Ok(Some(bytes))) => Ok(bytes),
            Ok(Ok(None) | Err(_)) => Err(Fault::Unreachable),
            Err(_) => Err(Fault::Silent),
        }
    }
}

/// An address in the form that paths are appended to.
pub(crate) fn address(text: &str, may_be_insecure: bool) -> Result<String, StartError> {
    let url = Url::parse(text).map_err(|_| StartError::Address)?;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    let host = url.host_str().filter(|_| is_plain).ok_or(StartError::Address)?;
    let is_here = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    match url.scheme() {
        "https" => {}
        "http" if is_here || may_be_insecure => {}
        "http" => return Err(StartError::InsecureAddress),
        _ => return Err(StartError::Address),
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

async fn body(mut answer: Response, most: usize) -> Result<Vec<u8>, Fault> {
    let mut text = Vec::new();
    loop {
        let chunk = tokio::time::timeout(PIECE_WITHIN, answer.chunk()).await.map_err(|_| Fault::Silent)?;
        let Some(chunk) = chunk.map_err(|_| Fault::Unreachable)? else { return Ok(text) };
        if text.len() + chunk.len() > most {
            return Err(Fault::TooLong);
        }
        text.extend_from_slice(&chunk);
    }
}

fn json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(text).map_err(|_| Fault::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_one_form_and_secrets_travel_in_no_clear_text() {
        assert_eq!(address("https://id.example.org/", false), Ok("https://id.example.org".into()));
        assert_eq!(address("https://id.example.org/quash/", false), Ok("https://id.example.org/quash".into()));
        for here in ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"] {
            assert_eq!(address(here, false), Ok(here.to_owned()));
        }
        assert_eq!(address("http://id.example.org", false), Err(StartError::InsecureAddress));
        assert_eq!(address("http://id.example.org", true), Ok("http://id.example.org".into()));
        for odd in [
            "",
            "id.example.org",
            "ftp://id.example.org",
            "https://a@id.example.org",
            "https://id.example.org?a",
            "https://id.example.org#a",
        ] {
            assert_eq!(address(odd, true), Err(StartError::Address), "{odd}");
        }
    }
}
