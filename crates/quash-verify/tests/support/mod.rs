//! An issuer on a real socket that a test controls, and a clock that a test moves.

pub(crate) mod wait;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use quash_core::model::{
    Actor, Chain, Clock, CustomClaims, Entry, Forgotten, Keep, Namespace, NamespaceClaims, NewEntry, Reason,
    Scope, ScopeHasher, ScopeKey, ScopeKind, Seeded, Seq, SessionId, Timestamp, TokenPolicy,
};
use quash_core::token::{
    Algorithm, Bearer, ForeignKey, Grant, Issued, JwkSet, KeyRing, Minting, RefreshKey, SigningKey, Tokens,
    VerifyingKey, mint,
};
use quash_core::watch::feed;
use quash_core::watch::frame::{
    CursorKey, FeedPolicy, Frame, FrameEntry, LeaseGrant, LeaseNonce, SnapshotWriter, Wanted,
};
use quash_verify::{Verifier, VerifierBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// The request that gives a lease back, in place of its path.
pub(crate) const GIVE_BACK: &str = "DELETE /v1/feed/lease";
/// The term of the issuer's leases.
pub(crate) const TERM: Duration = Duration::from_secs(10);

/// An issuer that a test controls.
#[derive(Clone)]
pub(crate) struct Issuer {
    state: Arc<Mutex<IssuerState>>,
    pub(crate) address: String,
    pub(crate) clock: Arc<TestClock>,
}

pub(crate) struct IssuerState {
    entries: Vec<Entry>,
    seq: Seq,
    chain: Chain,
    streams: Vec<mpsc::UnboundedSender<Vec<u8>>>,
    /// The paths with another answer than usual.
    instead: HashMap<&'static str, OtherAnswer>,
    /// The number of requests for each path, and the last target.
    asked: HashMap<String, (usize, String)>,
    pub(crate) keys: Vec<SigningKey>,
    /// The keys of the namespace "shop".
    pub(crate) shop: Vec<ForeignKey>,
    /// The value of `active` in introspection answers.
    pub(crate) introspected: &'static str,
    entropy: Seeded,
}

/// Another answer than usual.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtherAnswer {
    /// No answer; the connection stays open.
    Nothing,
    Status(u16),
    /// This status for one request.
    StatusOnce(u16),
    /// A stream on which nothing arrives.
    DeafStream,
    /// The usual answer after a delay.
    Late(Duration),
    /// Another body.
    Text(&'static str),
    /// This body, with status 400.
    Refusal(&'static str),
}

/// A clock that starts at zero and that a test moves.
#[derive(Default)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn advance(&self, span: Duration) {
        self.0.fetch_add(u64::try_from(span.as_millis()).expect("short"), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000) + self.uptime()
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

impl Issuer {
    pub(crate) async fn open() -> Self {
        Self::with_key(SigningKey::new(Algorithm::EdDsa, &[7; 32], None).expect("a key")).await
    }

    pub(crate) async fn with_key(key: SigningKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let state = IssuerState {
            entries: Vec::new(),
            seq: Seq::start_of(1),
            chain: feed::EMPTY,
            streams: Vec::new(),
            instead: HashMap::new(),
            asked: HashMap::new(),
            keys: vec![key],
            shop: Vec::new(),
            introspected: "true",
            entropy: Seeded::new(1),
        };
        let issuer = Self { state: Arc::new(Mutex::new(state)), address, clock: Arc::default() };
        let serving = issuer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let issuer = serving.clone();
                // The test doesn't care about a client that disconnects.
                tokio::spawn(async move { drop(issuer.serve(stream).await) });
            }
        });
        issuer
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, IssuerState> {
        self.state.lock().expect("a desk")
    }

    pub(crate) fn builder(&self) -> VerifierBuilder {
        Verifier::builder(&*self.address)
            .credential("qv_test")
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    pub(crate) fn set_answer(&self, path: &'static str, instead: Option<OtherAnswer>) {
        match instead {
            Some(instead) => self.state().instead.insert(path, instead),
            None => self.state().instead.remove(path),
        };
    }

    /// Returns the number of requests for a path.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.state().asked.get(path).map_or(0, |(times, _)| *times)
    }

    /// Returns the last target of a path.
    pub(crate) fn last_target(&self, path: &str) -> String {
        self.state().asked.get(path).map(|(_, target)| target.clone()).unwrap_or_default()
    }

    /// Returns the number of open streams.
    pub(crate) fn streams(&self) -> usize {
        let mut state = self.state();
        state.streams.retain(|stream| !stream.is_closed());
        state.streams.len()
    }

    /// Issues a token in a new session.
    pub(crate) fn token(&self) -> (String, SessionId) {
        let state = self.state();
        let session = SessionId::new(self.clock.now(), &state.entropy);
        let bearer = Bearer { user_id: "dana".into(), password_mark: None, claims: CustomClaims::default() };
        let grant = Grant {
            session,
            bearer,
            rsq: state.seq,
            ring: 0,
            settings: 0,
            ends_at: None,
            tokens: Tokens::Access,
        };
        let key = state.keys.last().expect("a key");
        let minting = Minting {
            policy: &TokenPolicy::default(),
            key,
            refresh_key: key,
            secret: &RefreshKey::new(&[0; 32]),
        };
        match mint(&grant, minting, self.clock.now(), &state.entropy) {
            Ok(Issued::Access { access }) => (access, session),
            other => panic!("an access token: {other:?}"),
        }
    }

    /// Ends a session, and sends the entry on every stream.
    pub(crate) fn end(&self, session: SessionId) {
        let scope = Scope::Session(session);
        self.revoke(scope.kind(), hasher().key(&scope));
    }

    /// Ends a session without sending the entry.
    pub(crate) fn end_without_sending(&self, session: SessionId) {
        let scope = Scope::Session(session);
        self.append(scope.kind(), hasher().key(&scope));
    }

    /// Adds an entry, and sends it on every stream.
    pub(crate) fn revoke(&self, kind: ScopeKind, key: ScopeKey) {
        self.append(kind, key);
        let newest = self.state().entries.len() - 1;
        let frame = self.frame_from(newest);
        self.say("entries", &frame);
    }

    /// Revokes the key that signed first, publishes another one instead, and sends the entry and the new
    /// policy on every stream.
    pub(crate) fn revoke_first_key(&self, other: SigningKey) {
        let first = self.state().keys.remove(0);
        self.revoke(ScopeKind::Key, hasher().key_of(ScopeKind::Key, first.verifying().kid().as_str()));
        self.publish(other);
    }

    fn append(&self, kind: ScopeKind, key: ScopeKey) {
        let mut state = self.state();
        let seq = state.seq.next();
        let (reason, at, actor) = (Reason::Revoked, self.clock.now(), Actor::Operator);
        let chain = feed::chain(
            &state.chain,
            seq,
            &NewEntry { kind, key, keep: Keep::Forever, reason, at, until: None, actor: actor.clone() },
            None,
        );
        state.entries.push(Entry { seq, kind, key, drop_after: None, reason, at, until: None, actor, chain });
        (state.seq, state.chain) = (seq, chain);
    }

    /// Removes the newest entry, as if the store had been restored from a backup.
    pub(crate) fn go_back(&self) {
        let mut state = self.state();
        state.entries.pop();
        let end =
            state.entries.last().map_or((Seq::start_of(1), feed::EMPTY), |entry| (entry.seq, entry.chain));
        (state.seq, state.chain) = end;
    }

    /// Returns a frame of the entries from an index on.
    pub(crate) fn frame_from(&self, first: usize) -> String {
        let state = self.state();
        let frame = Frame {
            cursor: cursors().cursor(state.seq, &state.chain),
            entries: state.entries[first..].iter().map(FrameEntry::from).collect(),
        };
        serde_json::to_string(&frame).expect("text")
    }

    /// Sends an event on every stream.
    pub(crate) fn say(&self, name: &str, data: &str) {
        let mut state = self.state();
        state.streams.retain(|stream| stream.send(event(name, data)).is_ok());
    }

    /// Asks every verifier to confirm the newest entry.
    pub(crate) fn want(&self) {
        let wanted = Wanted { seq: self.state().seq.as_u64() };
        self.say("wanted", &serde_json::to_string(&wanted).expect("text"));
    }

    /// Signs with another key from now on, and announces it on every stream.
    pub(crate) fn publish(&self, key: SigningKey) {
        self.state().keys.push(key);
        self.announce();
    }

    /// Sends the policy on every stream.
    pub(crate) fn announce(&self) {
        self.say("policy", &serde_json::to_string(&self.policy()).expect("text"));
    }

    /// Closes every stream.
    pub(crate) fn cut(&self) {
        self.state().streams.clear();
    }

    fn policy(&self) -> FeedPolicy {
        let state = self.state();
        let own = state.keys.iter().map(|key| key.verifying().clone()).collect();
        let ring = KeyRing::with_foreign(0, own, state.shop.clone());
        let tokens = TokenPolicy { namespaces: vec![shop()], ..TokenPolicy::default() };
        FeedPolicy::of(&tokens, [1; 16], TERM, &ring).expect("a policy")
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        while !is_whole(&request) {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        let request = String::from_utf8_lossy(&request).into_owned();
        let target = request.split(' ').nth(1).unwrap_or_default();
        let path = match request.split(' ').next() {
            Some("DELETE") => GIVE_BACK,
            _ => target.split('?').next().unwrap_or_default(),
        };
        let instead = {
            let mut state = self.state();
            let asked = state.asked.entry(path.to_owned()).or_default();
            *asked = (asked.0 + 1, target.to_owned());
            let instead = state.instead.get(path).copied();
            if matches!(instead, Some(OtherAnswer::StatusOnce(_))) {
                state.instead.remove(path);
            }
            instead
        };
        let is_public = path == "/.well-known/jwks.json";
        match instead {
            Some(OtherAnswer::Nothing) => std::future::pending().await,
            Some(OtherAnswer::Status(status) | OtherAnswer::StatusOnce(status)) => {
                return whole(stream, status, "{}").await;
            }
            Some(OtherAnswer::DeafStream) => {
                stream.write_all(STREAM_HEAD).await?;
                stream.write_all(&event("policy", &serde_json::to_string(&self.policy())?)).await?;
                std::future::pending().await
            }
            Some(OtherAnswer::Late(by)) => wait::pass(by).await,
            Some(OtherAnswer::Text(text)) => return whole(stream, 200, text).await,
            Some(OtherAnswer::Refusal(text)) => return whole(stream, 400, text).await,
            None if !is_public && !request.to_lowercase().contains("authorization: bearer qv_test\r\n") => {
                return whole(stream, 401, "{}").await;
            }
            None => {}
        }
        match path {
            "/v1/feed" => self.stream(stream, target).await,
            _ => {
                let (status, body) = self.answer(path, target)?;
                whole(stream, status, &body).await
            }
        }
    }

    fn answer(&self, path: &str, target: &str) -> std::io::Result<(u16, String)> {
        let policy = self.policy();
        let state = self.state();
        let cursor = cursors().cursor(state.seq, &state.chain);
        Ok(match path {
            "/v1/feed/snapshot" => {
                let (mut writer, head) =
                    SnapshotWriter::begin(&policy, &cursor, &state.chain).expect("a head");
                let rows = writer.rows(&state.entries);
                (200, [head, rows, writer.finish(Forgotten::NOTHING)].concat())
            }
            "/v1/feed/lease" => (
                200,
                serde_json::to_string(&LeaseGrant::new(
                    nonce(target),
                    cursor,
                    &state.chain,
                    TERM,
                    self.clock.now(),
                ))?,
            ),
            GIVE_BACK => (204, String::new()),
            "/.well-known/jwks.json" => (200, serde_json::to_string(&state.published())?),
            "/oauth2/introspect" => (200, format!("{{\"active\":{}}}", state.introspected)),
            _ => (404, "{}".into()),
        })
    }

    async fn stream(&self, mut stream: TcpStream, target: &str) -> std::io::Result<()> {
        let after = target
            .split("after=")
            .nth(1)
            .and_then(|cursor| cursor.split('.').next()?.parse().ok())
            .unwrap_or(0);
        let (sender, mut said) = mpsc::unbounded_channel();
        let policy = serde_json::to_string(&self.policy())?;
        stream.write_all(STREAM_HEAD).await?;
        stream.write_all(&event("policy", &policy)).await?;
        let first = self.state().entries.iter().position(|entry| entry.seq.as_u64() > after);
        if let Some(first) = first {
            stream.write_all(&event("entries", &self.frame_from(first))).await?;
        }
        self.state().streams.push(sender);
        let mut nothing = [0];
        loop {
            tokio::select! {
                bytes = said.recv() => match bytes {
                    Some(bytes) => stream.write_all(&bytes).await?,
                    None => return Ok(()),
                },
                // Clients send nothing on a stream, so the client has disconnected.
                _ = stream.read(&mut nothing) => return Ok(()),
            }
        }
    }
}

impl IssuerState {
    fn published(&self) -> JwkSet {
        let keys: Vec<VerifyingKey> = self.keys.iter().map(|key| key.verifying().clone()).collect();
        KeyRing::new(0, keys).jwks()
    }
}

const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n:\n\n";

/// The namespace of a Django site.
pub(crate) fn shop() -> Namespace {
    let (session, position) = (Some("qsid".to_owned()), Some("qsq".to_owned()));
    Namespace {
        name: "shop".into(),
        max_lifetime: Duration::from_secs(86_400),
        accepted: vec!["access".into()],
        claims: NamespaceClaims { session, position, ..NamespaceClaims::default() },
    }
}

pub(crate) fn hasher() -> ScopeHasher {
    ScopeHasher::ours([1; 16])
}

fn cursors() -> CursorKey {
    CursorKey::new(&[5; 32], "a")
}

fn event(name: &str, data: &str) -> Vec<u8> {
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok()).unwrap_or(0);
    body.len() >= length
}

async fn whole(mut stream: TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}

/// Returns the nonce of a lease request.
fn nonce(target: &str) -> LeaseNonce {
    let value = target.split(['?', '&']).find_map(|part| part.strip_prefix("nonce=")).expect("a nonce");
    LeaseNonce::parse(value).expect("of the form")
}
