//! The HTTP requests to an issuer. The tasks in `stream.rs`, `lease.rs` and `keys.rs` send them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::request::Builder;
use http::{HeaderValue, Request};
use quash_core::watch::frame::{
    Cursor, FeedPolicy, FrameFault, LeaseGrant, LeaseNonce, Snapshot, SnapshotReader, VERSION,
};
use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::fault::{IssuerError, StartError};
use super::process::Process;
use super::transport::{BodyStream, Connection, Transport};
use crate::introspection::Answer;

/// An HTTP client for one issuer, which may have several addresses.
pub(crate) struct Http {
    transport: Arc<dyn Transport>,
    addresses: Vec<String>,
    credential: HeaderValue,
    /// The index of the address that is asked about tokens and keys.
    address_index: AtomicUsize,
    /// The index of the address that granted the last lease.
    leased_at: AtomicUsize,
    /// The number of answers of any kind, and of pieces of streams.
    pub(crate) answers: Arc<AtomicU64>,
}

/// A connection on which entries arrive.
pub(crate) struct Stream {
    stream: Box<dyn BodyStream>,
    answers: Arc<AtomicU64>,
}

/// The limit of a snapshot: a million entries take about 60 MiB. A snapshot is parsed line by line and never
/// held as text.
const SNAPSHOT_BYTES: usize = 1024 * 1024 * 1024;
/// The limit of any other answer.
const ANSWER_BYTES: usize = 256 * 1024;
/// The longest that an issuer may send nothing: before the head of an answer, and between two pieces of its
/// body. Callers may wait for less.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest that a request waits until all verifiers know a revocation: longer than the issuer's own limit.
const WAITING_TIMEOUT: Duration = Duration::from_secs(32);
/// The feed sends something every 15 seconds; a connection that misses three of them is dead.
const STREAM_TIMEOUT: Duration = Duration::from_secs(45);

impl Http {
    /// Creates a client for these addresses.
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        addresses: Vec<String>,
        credential: &str,
    ) -> Result<Self, StartError> {
        let mut credential =
            HeaderValue::from_str(&format!("Bearer {credential}")).map_err(|_| StartError::NoCredential)?;
        credential.set_sensitive(true);
        let (address_index, leased_at) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Ok(Self { transport, addresses, credential, address_index, leased_at, answers: Arc::default() })
    }

    /// Returns everything that the log remembers, or the reason why it isn't understood. The issuer builds
    /// the snapshot on request; it may send nothing for at most `within`.
    pub(crate) async fn snapshot(
        &self,
        address_index: usize,
        within: Duration,
    ) -> Result<Result<Snapshot, FrameFault>, IssuerError> {
        let mut answer = self
            .send(
                self.get(address_index, &format!("/v1/feed/snapshot?v={VERSION}")),
                String::new(),
                Connection::New,
                within,
            )
            .await?;
        let (mut reader, mut length) = (SnapshotReader::default(), 0);
        while let Some(piece) = next_piece(&mut *answer, within).await? {
            length += piece.len();
            if length > SNAPSHOT_BYTES {
                return Err(IssuerError::TooLong);
            }
            match reader.push(&piece) {
                Err(FrameFault::Malformed) => return Err(IssuerError::Unreadable),
                Err(fault) => return Ok(Err(fault)),
                Ok(()) => {}
            }
        }
        reader.finish().map(Ok).map_err(|_| IssuerError::Unreadable)
    }

    /// Opens the stream of the entries after a place in the log. The answer must begin within this time.
    pub(crate) async fn stream(
        &self,
        address_index: usize,
        after: &Cursor,
        within: Duration,
    ) -> Result<Stream, IssuerError> {
        let request = self
            .get(address_index, &format!("/v1/feed?v={VERSION}&after={after}"))
            .header(ACCEPT, "text/event-stream");
        let stream = self.send(request, String::new(), Connection::New, within).await?;
        Ok(Stream { stream, answers: Arc::clone(&self.answers) })
    }

    /// Requests a lease for a verifier that has every entry up to `cursor`.
    pub(crate) async fn lease(
        &self,
        address_index: usize,
        cursor: &Cursor,
        process: &Process,
        nonce: LeaseNonce,
        policy: &str,
    ) -> Result<LeaseGrant, IssuerError> {
        let request = self.get(
            address_index,
            &format!("/v1/feed/lease?v={VERSION}&cursor={cursor}&{process}&nonce={nonce}&policy={policy}"),
        );
        let answer = self.send(request, String::new(), Connection::Kept, READ_TIMEOUT).await?;
        let grant = json(&body(answer, ANSWER_BYTES, READ_TIMEOUT).await?)?;
        self.leased_at.store(address_index, Ordering::Relaxed);
        Ok(grant)
    }

    /// Gives this process's lease back, at the first address that answers. Begins with the one that granted
    /// the lease.
    pub(crate) async fn give_lease_back(&self, instance: &str) -> Result<(), IssuerError> {
        let first = self.leased_at.load(Ordering::Relaxed);
        let mut outcome = Err(IssuerError::Unreachable);
        for address_index in (first..).take(self.addresses.len()) {
            let request =
                Request::delete(format!("{}/v1/feed/lease?instance={instance}", self.address(address_index)));
            let request = request.header(AUTHORIZATION, self.credential.clone());
            outcome = self.send(request, String::new(), Connection::Kept, READ_TIMEOUT).await.map(drop);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// Returns the published key set from the first address that answers with the named set and never sends
    /// nothing for longer than `within`. If all addresses answer with another set, returns the last one.
    pub(crate) async fn keys(
        &self,
        within: Duration,
        named: Option<&FeedPolicy>,
    ) -> Result<Vec<u8>, IssuerError> {
        // The query makes the address unique: a cache on the way can't answer with an old set.
        let query = named.map(|policy| format!("?sha256={}", policy.key_set())).unwrap_or_default();
        let path = format!("/.well-known/jwks.json{query}");
        let mut outcome = Err(IssuerError::Unreachable);
        for _ in &self.addresses {
            let address_index = self.address_index.load(Ordering::Relaxed);
            let request = self.get(address_index, &path);
            let asked = async {
                body(self.send(request, String::new(), Connection::New, within).await?, ANSWER_BYTES, within)
                    .await
            };
            match asked.await {
                Ok(text) if named.is_none_or(|policy| policy.publishes(&text)) => return Ok(text),
                Ok(text) => outcome = Ok(text),
                Err(fault) => outcome = outcome.or(Err(fault)),
            }
            self.address_index.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    /// Asks whether the issuer would accept a token. After a failure the next request goes to another
    /// address.
    pub(crate) async fn introspect(&self, token: &str) -> Result<Answer, IssuerError> {
        let asked = self.introspect_at(self.address_index.load(Ordering::Relaxed), token).await;
        if asked.is_err() {
            self.address_index.fetch_add(1, Ordering::Relaxed);
        }
        asked
    }

    async fn introspect_at(&self, address_index: usize, token: &str) -> Result<Answer, IssuerError> {
        #[derive(Deserialize)]
        struct Introspected {
            active: bool,
        }
        let form: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        let request = Request::post(format!("{}/oauth2/introspect", self.address(address_index)));
        let request =
            request.header(AUTHORIZATION, self.credential.clone()).header(ACCEPT, "application/json");
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer: Introspected = json(
            &body(
                self.send(request, form, Connection::Kept, READ_TIMEOUT).await?,
                ANSWER_BYTES,
                READ_TIMEOUT,
            )
            .await?,
        )?;
        Ok(if answer.active { Answer::Active } else { Answer::Inactive })
    }

    /// Asks whether a name is revoked. After a failure the next request goes to another address.
    pub(crate) async fn ask_about_name(&self, question: &str) -> Result<Answer, IssuerError> {
        #[derive(Deserialize)]
        struct Asked {
            revoked: bool,
        }
        let request = Request::post(self.url("/v1/revocations/query"))
            .header(AUTHORIZATION, self.credential())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json");
        let asked = match self.post(request, question.to_owned(), false).await {
            Ok((200, answer)) => json::<Asked>(&answer),
            Ok((status, _)) => Err(IssuerError::Status(status)),
            Err(fault) => Err(fault),
        };
        if asked.is_err() {
            self.try_next_address();
        }
        asked.map(|asked| if asked.revoked { Answer::Inactive } else { Answer::Active })
    }

    /// Sends a request, and returns the status and the body of its answer. A request that waits for all
    /// verifiers may take as long as the issuer allows.
    pub(crate) async fn post(
        &self,
        request: Builder,
        text: String,
        waits: bool,
    ) -> Result<(u16, Vec<u8>), IssuerError> {
        let within = if waits { WAITING_TIMEOUT } else { READ_TIMEOUT };
        let request = request.body(text).map_err(|_| IssuerError::Unreachable)?;
        let answer = tokio::time::timeout(within, self.transport.send(request, Connection::Kept))
            .await
            .map_err(|_| IssuerError::TimedOut)??;
        self.answers.fetch_add(1, Ordering::SeqCst);
        let status = answer.status().as_u16();
        Ok((status, body(answer.into_body(), ANSWER_BYTES, READ_TIMEOUT).await?))
    }

    /// The URL of a path at the address that is asked about tokens and keys.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address(self.address_index.load(Ordering::Relaxed)))
    }

    pub(crate) fn credential(&self) -> HeaderValue {
        self.credential.clone()
    }

    pub(crate) fn address_count(&self) -> usize {
        self.addresses.len()
    }

    pub(crate) fn try_next_address(&self) {
        self.address_index.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self, address_index: usize, path: &str) -> Builder {
        Request::get(format!("{}{path}", self.address(address_index)))
            .header(AUTHORIZATION, self.credential.clone())
    }

    fn address(&self, address_index: usize) -> &str {
        self.addresses.get(address_index % self.addresses.len().max(1)).map_or("", String::as_str)
    }

    async fn send(
        &self,
        request: Builder,
        body: String,
        connection: Connection,
        within: Duration,
    ) -> Result<Box<dyn BodyStream>, IssuerError> {
        let request = request.body(body).map_err(|_| IssuerError::Unreachable)?;
        let answer = tokio::time::timeout(within, self.transport.send(request, connection))
            .await
            .map_err(|_| IssuerError::TimedOut)??;
        self.answers.fetch_add(1, Ordering::SeqCst);
        match answer.status().as_u16() {
            200 | 204 => Ok(answer.into_body()),
            409 => Err(IssuerError::SnapshotRequired),
            400 => Err(refusal(answer.into_body(), within).await),
            status => Err(IssuerError::Status(status)),
        }
    }
}

impl Stream {
    /// Returns the next bytes.
    pub(crate) async fn next(&mut self) -> Result<Bytes, IssuerError> {
        let next = tokio::time::timeout(STREAM_TIMEOUT, self.stream.next())
            .await
            .map_err(|_| IssuerError::TimedOut)?;
        let next = next?.ok_or(IssuerError::Unreachable)?;
        self.answers.fetch_add(1, Ordering::SeqCst);
        Ok(next)
    }
}

/// Checks an address and removes its trailing slash, so that paths can be appended.
pub(crate) fn address(text: &str, may_be_insecure: bool) -> Result<String, StartError> {
    let url = Url::parse(text).map_err(|_| StartError::Address)?;
    let is_plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let host = url.host_str().filter(|_| is_plain).ok_or(StartError::Address)?;
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if is_here || may_be_insecure => {}
        "http" => return Err(StartError::InsecureAddress),
        _ => return Err(StartError::Address),
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

async fn next_piece(answer: &mut dyn BodyStream, within: Duration) -> Result<Option<Bytes>, IssuerError> {
    tokio::time::timeout(within, answer.next()).await.map_err(|_| IssuerError::TimedOut)?
}

async fn body(
    mut answer: Box<dyn BodyStream>,
    most: usize,
    within: Duration,
) -> Result<Vec<u8>, IssuerError> {
    let mut text = Vec::new();
    while let Some(piece) = next_piece(&mut *answer, within).await? {
        if text.len() + piece.len() > most {
            return Err(IssuerError::TooLong);
        }
        text.extend_from_slice(&piece);
    }
    Ok(text)
}

/// Returns the fault that a 400 reports: perhaps the issuer doesn't speak this version of the feed.
async fn refusal(answer: Box<dyn BodyStream>, within: Duration) -> IssuerError {
    #[derive(Deserialize)]
    struct Problem {
        code: String,
        versions: Vec<u32>,
    }
    let text = body(answer, ANSWER_BYTES, within).await.unwrap_or_default();
    let problem = json::<Problem>(&text).ok().filter(|problem| problem.code == "feed_version");
    let newest = problem.and_then(|problem| problem.versions.into_iter().max());
    newest.map_or(IssuerError::Status(400), IssuerError::Version)
}

fn json<T: DeserializeOwned>(text: &[u8]) -> Result<T, IssuerError> {
    serde_json::from_slice(text).map_err(|_| IssuerError::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuer_addresses_are_normalized_and_must_be_https() {
        assert_eq!(address("https://id.example.org/", false), Ok("https://id.example.org".into()));
        assert_eq!(
            address("https://id.example.org/quash/", false),
            Ok("https://id.example.org/quash".into())
        );
        for here in ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"] {
            assert_eq!(address(here, false), Ok(here.to_owned()));
        }
        for away in ["http://id.example.org", "http://127.evil.example", "http://127.0.0.1.example.org"] {
            assert_eq!(address(away, false), Err(StartError::InsecureAddress));
        }
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
