//! An issuer in memory, for the tests of an application: it mints tokens and revokes them, and needs no server. Its clock
//! stands still until it is told to go on.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quash_core::model::{
    Actor, Chain, Clock, CustomClaims, Entry, Keep, NewEntry, Reason, Scope, ScopeHasher, ScopeKey,
    ScopeKind, Seeded, Seq, SessionId, Timestamp, TokenPolicy, draw,
};
use quash_core::token::{
    Algorithm, Bearer, Grant, Issued, KeyRing, Minting, RefreshKey, SigningKey, Tokens, mint,
};
use quash_core::watch::{Freshness, Lease, Revoked, feed};
use serde_json::Value;

use crate::keeper::Keeper;
use crate::shared::{Shared, State};
use crate::stale::WhenStale;
use crate::trust::Terms;
use crate::verifier::{Counts, Inner, Verifier};

/// An issuer in memory. Everything in it follows from a seed, so it must never be used outside of tests.
pub struct TestIssuer {
    key: SigningKey,
    policy: TokenPolicy,
    scopes: ScopeHasher,
    entropy: Seeded,
    clock: Arc<TestClock>,
    shared: Arc<Shared>,
    log: Mutex<Log>,
}

/// A token about to be minted.
pub struct TokenDraft<'a> {
    issuer: &'a TestIssuer,
    subject: String,
    session: SessionId,
    claims: Vec<(String, Value)>,
    lifetime: Duration,
}

/// A token, and its session.
#[derive(Clone)]
pub struct TestToken {
    text: String,
    session: SessionId,
}

struct Log {
    keeper: Keeper,
    seq: Seq,
    chain: Chain,
}

#[derive(Default)]
struct TestClock {
    millis: AtomicI64,
    uptime_millis: AtomicU64,
}

/// When the clock begins.
const BEGINS: Timestamp = Timestamp::from_secs(1_800_000_000);
/// How long the issuer's leases hold.
const TERM: Duration = Duration::from_secs(10);
/// How long its tokens do, unless said otherwise.
const LIFETIME: Duration = Duration::from_secs(300);

impl TestIssuer {
    /// An issuer of EdDSA tokens without issuer and audience.
    ///
    /// # Panics
    /// The crypto library doesn't work.
    #[expect(clippy::expect_used, reason = "it is for tests, where a panic is what tells of a fault")]
    pub fn new() -> Self {
        let entropy = Seeded::new(1);
        let key = SigningKey::new(Algorithm::EdDsa, &draw::<32>(&entropy), None)
            .expect("an EdDSA key from 32 bytes");
        let (policy, scopes) = (TokenPolicy::default(), ScopeHasher::ours(draw(&entropy)));
        let clock = Arc::new(TestClock::default());
        clock.millis.store(BEGINS.as_millis(), Ordering::SeqCst);
        let seq = Seq::start_of(1);
        let nothing = Revoked::empty(seq, feed::EMPTY);
        let state = State { revoked: nothing.clone(), freshness: Freshness::Never, trust: None };
        let shared = Arc::new(Shared::new(Arc::clone(&clock) as Arc<dyn Clock>, draw(&entropy), None, state));
        let terms = Terms { policy: policy.clone(), scopes: scopes.clone() };
        let ring = KeyRing::new(1, vec![key.verifying().clone()]);
        let keeper = Keeper::tenant(Arc::clone(&shared), nothing, TERM, terms, ring);
        let issuer = Self {
            key,
            policy,
            scopes,
            entropy,
            clock,
            shared,
            log: Mutex::new(Log { keeper, seq, chain: feed::EMPTY }),
        };
        issuer.speak();
        issuer
    }

    /// A verifier that is told of everything at once. All of one issuer see the same.
    pub fn verifier(&self) -> Verifier {
        self.verifier_when_stale(WhenStale::default())
    }

    /// As [`TestIssuer::verifier`], with another way to go on while it can't vouch for its answers. There is nobody to
    /// ask about a token: [`WhenStale::IntrospectThenDeny`] denies.
    pub fn verifier_when_stale(&self, when_stale: WhenStale) -> Verifier {
        let (shared, unbound) = (Arc::clone(&self.shared), Arc::default());
        let inner = Inner {
            shared,
            when_stale,
            unbound,
            #[cfg(feature = "follow")]
            introspection: None,
            counts: Counts::default(),
            _feed: None,
        };
        Verifier { inner: Arc::new(inner) }
    }

    /// A token for a subject, in a session of its own.
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

    /// Revokes all tokens that a subject has now. Those that are minted later hold.
    pub fn revoke_subject(&self, subject: &str) {
        self.revoke(ScopeKind::Subject, self.scopes.user_id(subject));
    }

    /// Revokes all tokens that there are now.
    pub fn revoke_everything(&self) {
        self.revoke(ScopeKind::Everything, self.scopes.key(&Scope::Everything));
    }

    /// Lets time pass. The verifiers stay fresh.
    pub fn advance(&self, span: Duration) {
        self.clock.go_on(span);
        self.speak();
    }

    /// Doesn't answer for as long as its leases hold: its verifiers become stale.
    pub fn fall_silent(&self) {
        self.clock.go_on(TERM);
    }

    /// Answers again: its verifiers become fresh.
    pub fn speak(&self) {
        let mut log = self.log();
        let lease = Lease { sent_at: self.clock.uptime(), cursor: log.seq, head: log.seq, chain: log.chain };
        // It is this log's own head.
        let _ = log.keeper.grant(lease, TERM);
    }

    fn revoke(&self, kind: ScopeKind, key: ScopeKey) {
        let mut log = self.log();
        let (seq, reason, at, actor) = (log.seq.next(), Reason::Revoked, self.clock.now(), Actor::Operator);
        let new = NewEntry { kind, key, keep: Keep::Forever, reason, at, actor: actor.clone() };
        let chain = feed::chain(&log.chain, seq, &new, None);
        // It follows what is there.
        let _ = log.keeper.follow(&[Entry { seq, kind, key, drop_after: None, reason, at, actor, chain }]);
        (log.seq, log.chain) = (seq, chain);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TestIssuer {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenDraft<'_> {
    /// Says something else, too. A claim that every token has is written as it is.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.push((name.to_owned(), value.into()));
        self
    }

    /// In a session that there is.
    #[must_use]
    pub fn in_session(self, session: SessionId) -> Self {
        Self { session, ..self }
    }

    /// Holds this long; five minutes else.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// The token.
    ///
    /// # Panics
    /// The claims are too long for a token.
    #[expect(clippy::expect_used, reason = "it is for tests, where a panic is what tells of a fault")]
    pub fn mint(self) -> TestToken {
        let Self { issuer, subject, session, claims, lifetime } = self;
        let claims = CustomClaims::new(&claims).expect("claims that fit into a token");
        let bearer = Bearer { user_id: subject, password_mark: None, claims };
        let grant = Grant { session, bearer, rsq: issuer.log().seq, ends_at: None, tokens: Tokens::Access };
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
    /// The token.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands in the header `Authorization`.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.text)
    }

    /// Its session.
    pub fn session(&self) -> SessionId {
        self.session
    }
}

impl TestClock {
    fn go_on(&self, span: Duration) {
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
