//! An in-memory issuer for an application's tests: it issues and revokes tokens without a server. Its clock
//! moves only when the test moves it.
//!
//! ```
//! use std::time::Duration;
//! use quash_verify::{VerifierState, test::TestIssuer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let issuer = TestIssuer::new();
//! let verifier = issuer.verifier();
//! let token = issuer.token("dana").claim("role", "clerk").mint();
//! assert!(verifier.check(token.as_str()).await.is_ok());
//!
//! issuer.advance(Duration::from_secs(300));
//! assert!(verifier.check(token.as_str()).await.is_err(), "it has expired");
//!
//! issuer.stop_leases();
//! assert_eq!(verifier.state(), VerifierState::Stale);
//! # }
//! ```

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quash_core::model::{
    Actor, Chain, Clock, CustomClaims, Entry, ForeignTokens, Keep, Kid, Namespace, NamespaceClaims, NewEntry,
    Reason, Scope, ScopeHasher, ScopeKey, ScopeKind, Seeded, Seq, SessionId, Timestamp, TokenPolicy, draw,
};
use quash_core::token::{
    Algorithm, Bearer, Expected, ForeignKey, Grant, Issued, Issuer, KeyRing, Minting, RefreshKey, SigningKey,
    Tokens, VerifyingKey, mint,
};
use quash_core::watch::{Freshness, Lease, Revoked, feed};
use serde_json::Value;

pub use quash_core::model::Entropy;

use crate::revocation::{Revocation, RevocationName};
use crate::shared::publisher::Publisher;
use crate::shared::trust::Terms;
use crate::shared::{State, VerifierShared};
use crate::stale::WhenStale;
use crate::state::Counts;
use crate::verifier::{Inner, Verifier};

/// An in-memory issuer. Everything in it, keys included, follows from a fixed seed: never use it outside of
/// tests.
pub struct TestIssuer {
    key: SigningKey,
    policy: TokenPolicy,
    scopes: ScopeHasher,
    entropy: Seeded,
    clock: Arc<TestClock>,
    shared: Arc<VerifierShared>,
    log: Mutex<Log>,
}

/// A token to be issued.
pub struct TokenDraft<'a> {
    issuer: &'a TestIssuer,
    subject: String,
    session: SessionId,
    claims: Vec<(String, Value)>,
    lifetime: Duration,
}

/// A token and its session.
#[derive(Clone)]
pub struct TestToken {
    text: String,
    session: SessionId,
}

struct Log {
    publisher: Publisher,
    seq: Seq,
    chain: Chain,
}

#[derive(Default)]
struct TestClock {
    millis: AtomicI64,
    uptime_millis: AtomicU64,
}

/// The time at which the clock starts.
const BEGINS: Timestamp = Timestamp::from_secs(1_800_000_000);
/// The term of the issuer's leases.
const TERM: Duration = Duration::from_secs(10);
/// The default lifetime of its tokens.
const LIFETIME: Duration = Duration::from_secs(300);

impl TestIssuer {
    /// Creates an issuer of EdDSA tokens without the claims `iss` and `aud`.
    ///
    /// # Panics
    /// Panics if the crypto library fails.
    pub fn new() -> Self {
        Self::with_issuer(None)
    }

    /// Creates an issuer that also has a namespace for the tokens of another system, which live for a day at
    /// most.
    ///
    /// # Panics
    /// Panics if the crypto library fails.
    pub fn with_namespace(name: &str) -> Self {
        Self::with_issuer(Some((name, None)))
    }

    /// Like [`TestIssuer::with_namespace`], but its verifiers verify the tokens of that namespace instead of
    /// its own ([`VerifierBuilder::namespace`](crate::VerifierBuilder::namespace)): access tokens of Django
    /// with Simple JWT, signed with this secret (HS256), whose session and position are named `qsid` and
    /// `qsq`.
    ///
    /// # Panics
    /// Panics if the crypto library fails, or if the secret is empty.
    pub fn with_namespace_secret(name: &str, secret: &[u8]) -> Self {
        Self::with_issuer(Some((name, Some(secret))))
    }

    #[expect(clippy::expect_used, reason = "only for tests, where a panic reports the fault")]
    fn with_issuer(namespace: Option<(&str, Option<&[u8]>)>) -> Self {
        let entropy = Seeded::new(1);
        let key = SigningKey::new(Algorithm::EdDsa, &draw::<32>(&entropy), None)
            .expect("an EdDSA key from 32 bytes");
        let scopes = ScopeHasher::ours(draw(&entropy));
        let mut policy = TokenPolicy { foreign: ForeignTokens::Accept, ..TokenPolicy::default() };
        let mut ring = KeyRing::new(1, vec![key.verifying().clone()]);
        if let Some((name, secret)) = namespace {
            let namespace = django(name);
            if let Some(secret) = secret {
                let issuer = Arc::new(Issuer {
                    name: name.to_owned(),
                    scopes: scopes.in_namespace(name),
                    max_lifetime: namespace.max_lifetime,
                    iss: Expected::Anything,
                    aud: Expected::Anything,
                    namespace: Some(namespace.clone()),
                    dropped: Vec::new(),
                });
                let id = Kid::parse("secret").expect("a kid");
                let key = VerifyingKey::insecure_hmac(Algorithm::Hs256, secret, id).expect("a secret");
                ring =
                    KeyRing::with_foreign(1, Vec::new(), vec![ForeignKey { key, token_kid: None, issuer }]);
            }
            policy.namespaces.push(namespace);
        }
        let clock = Arc::new(TestClock::default());
        clock.millis.store(BEGINS.as_millis(), Ordering::SeqCst);
        let seq = Seq::start_of(1);
        let nothing = Revoked::empty(seq, feed::EMPTY);
        let state = State { revoked: nothing.clone(), freshness: Freshness::Never, trust: None };
        let shared =
            Arc::new(VerifierShared::new(Arc::clone(&clock) as Arc<dyn Clock>, draw(&entropy), None, state));
        let terms = Terms { policy: policy.clone(), scopes: scopes.clone() };
        let publisher = Publisher::for_verifier(Arc::clone(&shared), nothing, TERM, terms, ring);
        let issuer = Self {
            key,
            policy,
            scopes,
            entropy,
            clock,
            shared,
            log: Mutex::new(Log { publisher, seq, chain: feed::EMPTY }),
        };
        issuer.grant_lease();
        issuer
    }

    /// Returns a verifier that sees every revocation at once. All verifiers of an issuer share their state.
    pub fn verifier(&self) -> Verifier {
        self.verifier_when_stale(WhenStale::default())
    }

    /// Like [`TestIssuer::verifier`], with another policy for the time while the verifier is stale. It can't
    /// ask the issuer about a token, so [`WhenStale::IntrospectThenDeny`] denies.
    pub fn verifier_when_stale(&self, when_stale: WhenStale) -> Verifier {
        let (shared, unbound) = (Arc::clone(&self.shared), Arc::default());
        let inner = Inner {
            shared,
            when_stale,
            unbound,
            #[cfg(feature = "follow")]
            introspection: None,
            counts: Counts::default(),
            has_left: AtomicBool::new(false),
            #[cfg(feature = "follow")]
            following: None,
        };
        Verifier { inner: Arc::new(inner) }
    }

    /// Starts a token for a subject, in a new session.
    pub fn token(&self, subject: &str) -> TokenDraft<'_> {
        let session = SessionId::new(self.clock.now(), &self.entropy);
        TokenDraft {
            issuer: self,
            subject: subject.to_owned(),
            session,
            claims: Vec::new(),
            lifetime: LIFETIME,
        }
    }

    /// Ends a session: its tokens are refused from now on.
    pub fn revoke_session(&self, session: SessionId) {
        self.revoke(ScopeKind::Session, self.scopes.key(&Scope::Session(session)));
    }

    /// Revokes all current tokens of a subject. Tokens issued later are valid.
    pub fn revoke_subject(&self, subject: &str) {
        self.revoke(ScopeKind::Subject, self.scopes.user_id(subject));
    }

    /// Revokes all current tokens.
    pub fn revoke_everything(&self) {
        self.revoke(ScopeKind::Everything, self.scopes.key(&Scope::Everything));
    }

    /// Revokes in a namespace, and returns the number of the entry. Verifiers know it at once.
    pub fn revoke_named(&self, namespace: &str, revocation: &Revocation) -> u64 {
        let (kind, key) = match &revocation.name {
            RevocationName::Session(name) => {
                (ScopeKind::Session, self.scopes.key_in(namespace, ScopeKind::Session, name))
            }
            RevocationName::Token(name) => {
                (ScopeKind::Token, self.scopes.key_in(namespace, ScopeKind::Token, name))
            }
            RevocationName::Subject(name) => (ScopeKind::Subject, self.scopes.user_id_in(namespace, name)),
            RevocationName::Everything(_) => (ScopeKind::Client, self.scopes.everything_in(namespace)),
        };
        #[expect(clippy::cast_possible_truncation, reason = "a time that a test has chosen")]
        let millis = |secs: f64| Timestamp::from_millis((secs * 1000.0) as i64);
        let until = revocation.before.map(millis).filter(|_| !kind.is_presence());
        self.append(kind, key, until).as_u64()
    }

    /// Ends one of the issuer's own sessions by its `sid`, or all of a subject, and returns the number of the
    /// entry. `None` for any other revocation: it needs a namespace.
    pub fn end_named(&self, revocation: &Revocation) -> Option<u64> {
        let (kind, key) = match &revocation.name {
            RevocationName::Session(sid) => {
                (ScopeKind::Session, self.scopes.key(&Scope::Session(sid.parse().ok()?)))
            }
            RevocationName::Subject(name) => (ScopeKind::Subject, self.scopes.user_id(name)),
            RevocationName::Token(_) | RevocationName::Everything(_) => return None,
        };
        Some(self.append(kind, key, None).as_u64())
    }

    /// Returns the time of the issuer's clock, in seconds since 1970.
    pub fn now(&self) -> i64 {
        self.clock.now().as_secs()
    }

    /// Advances the clock. Verifiers stay fresh.
    pub fn advance(&self, span: Duration) {
        self.clock.advance(span);
        self.grant_lease();
        // Watched tokens wait by the system's clock, which the test doesn't move.
        self.shared.wake();
    }

    /// Stops granting leases until the last one has expired: verifiers become stale.
    pub fn stop_leases(&self) {
        self.clock.advance(TERM);
        // Watched tokens wait by the system's clock, which the test doesn't move.
        self.shared.wake();
    }

    /// Grants a lease again: verifiers become fresh.
    pub fn grant_lease(&self) {
        let mut log = self.log();
        let lease = Lease { sent_at: self.clock.uptime(), cursor: log.seq, head: log.seq, chain: log.chain };
        // Can't fail: the lease is for this log's own head.
        let _ = log.publisher.grant(lease, TERM);
    }

    fn revoke(&self, kind: ScopeKind, key: ScopeKey) {
        self.append(kind, key, None);
    }

    fn append(&self, kind: ScopeKind, key: ScopeKey, until: Option<Timestamp>) -> Seq {
        let mut log = self.log();
        let (seq, reason, at, actor) = (log.seq.next(), Reason::Revoked, self.clock.now(), Actor::Operator);
        let new = NewEntry { kind, key, keep: Keep::Forever, reason, at, until, actor: actor.clone() };
        let chain = feed::chain(&log.chain, seq, &new, None);
        // Can't fail: the entry follows the log's head.
        let _ = log.publisher.follow(&[Entry {
            seq,
            kind,
            key,
            drop_after: None,
            reason,
            at,
            until,
            actor,
            chain,
        }]);
        (log.seq, log.chain) = (seq, chain);
        seq
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The namespace of a Django site.
fn django(name: &str) -> Namespace {
    let (session, position) = (Some("qsid".to_owned()), Some("qsq".to_owned()));
    Namespace {
        name: name.to_owned(),
        max_lifetime: Duration::from_secs(24 * 3600),
        accepted: vec!["access".to_owned()],
        claims: NamespaceClaims { session, position, ..NamespaceClaims::default() },
    }
}

impl Default for TestIssuer {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenDraft<'_> {
    /// Adds a claim. Names that are reserved for standard claims are ignored.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.push((name.to_owned(), value.into()));
        self
    }

    /// Puts the token into an existing session.
    #[must_use]
    pub fn in_session(self, session: SessionId) -> Self {
        Self { session, ..self }
    }

    /// Sets the lifetime; five minutes by default.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// Issues the token.
    ///
    /// # Panics
    /// Panics if the claims are too long for a token.
    #[expect(clippy::expect_used, reason = "only for tests, where a panic reports the fault")]
    pub fn mint(self) -> TestToken {
        let Self { issuer, subject, session, claims, lifetime } = self;
        let claims = CustomClaims::new(&claims).expect("claims that fit into a token");
        let bearer = Bearer { user_id: subject, password_mark: None, claims };
        let grant = Grant {
            session,
            bearer,
            rsq: issuer.log().seq,
            ring: 0,
            settings: 0,
            ends_at: None,
            tokens: Tokens::Access,
        };
        let policy = TokenPolicy { access_lifetime: lifetime, ..issuer.policy.clone() };
        let minting = Minting {
            policy: &policy,
            key: &issuer.key,
            refresh_key: &issuer.key,
            secret: &RefreshKey::new(&[0; 32]),
        };
        match mint(&grant, minting, issuer.clock.now(), &issuer.entropy) {
            Ok(Issued::Access { access }) => TestToken { text: access, session },
            _ => unreachable!("an access token was asked for, and EdDSA signs every text"),
        }
    }
}

impl TestToken {
    /// Returns the token's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the value of the `Authorization` header.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.text)
    }

    /// Returns the token's session.
    pub fn session(&self) -> SessionId {
        self.session
    }
}

impl TestClock {
    fn advance(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_add(i64::try_from(millis).unwrap_or(i64::MAX), Ordering::SeqCst);
        self.uptime_millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.uptime_millis.load(Ordering::SeqCst))
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer").field("now", &self.clock.now()).finish_non_exhaustive()
    }
}

impl fmt::Debug for TestToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestToken").field("session", &self.session).finish_non_exhaustive()
    }
}
