//! A router over an in-memory store, with a clock that tests move by hand: arrange, call, compare. Tests
//! state the expected response; `answer.rs` checks the rules for every response. `QUASH_TEST_STORE` (sqlite, postgres
//! or pgbouncer) puts the data of all tests elsewhere.
#![allow(
    dead_code,
    unused_imports,
    clippy::allow_attributes,
    reason = "each test binary uses another part of it"
)]

mod answer;
mod call;
mod clock;
mod documented;
mod faulty_store;
mod hasher;
mod mailbox;
mod paths;
#[path = "../../../quash-store/tests/support/postgres.rs"]
mod postgres;
mod wait;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use quash_core::model::{
    Account, AccountBy, AccountFields, AccountState, AccountStatus, Actor, Change, Clock, EndCause, Entropy,
    Keep, NamesRevocation, NewEntry, Policy, ProcessLabel, Reason, RotationPolicy, ScopeKey, ScopeKind,
    Seeded, Seq, Session, Subject, Subjects, Timestamp,
};
use quash_core::token::{Algorithm, SigningKey, Unverified};
use quash_server::{HttpSettings, router};
use quash_service::{
    Argon2Hasher, FetchKeys, FetchNothing, ForeignSetup, HashSettings, KeySetup, Mailer, MasterKey,
    NewAccount, NewPassword, NewState, NodeSetup, OutgoingEmail, PasswordHasher, RefreshSigning, Rehash,
    Service, Setup, StartError,
};
use quash_store::{Coordination, LeaseRows, MemoryCoordination, MemoryCounters, NodeCoordination, Store};
use serde_json::{Value, json};
use tower::ServiceExt;
use zeroize::Zeroizing;

pub(crate) use answer::{Answer, Pair};
pub(crate) use call::Call;
pub(crate) use clock::{HandClock, Ticking};
pub(crate) use documented::Documented;
pub(crate) use faulty_store::{FaultyStore, Moment, Part};
pub(crate) use hasher::{Cheap, Counted, Gated, Spent, Unmade, Valved};
pub(crate) use mailbox::{Mailbox, code, kinds_and_places, link};
pub(crate) use paths::{CLIENT_PATHS, MAIL_PATHS, OTHER_PATHS, OWN_PATHS, READ_PATHS, TOKEN_PATHS};
pub(crate) use wait::{is_in_memory, time_is_paused};

/// The time at which every test begins.
pub(crate) const START: i64 = 1_800_000_000;
/// The password of every account.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

pub(crate) const SEED: u64 = 7;

/// The configuration of a test's server.
pub(crate) struct Plan {
    /// The time at the start.
    pub(crate) now: Timestamp,
    pub(crate) policy: Policy,
    pub(crate) settings: HttpSettings,
    pub(crate) algorithm: Algorithm,
    /// The key that the settings name.
    pub(crate) signing: Option<Vec<u8>>,
    /// The rotation period of the signing key.
    pub(crate) rotate_every: Option<Duration>,
    pub(crate) foreign: Vec<ForeignSetup>,
    pub(crate) refresh_tokens: RefreshSigning,
    pub(crate) fetch: Arc<dyn FetchKeys>,
    pub(crate) hasher: Arc<dyn PasswordHasher>,
    pub(crate) hashing: HashSettings,
    pub(crate) rehash: Rehash,
    /// The seed of the master key.
    pub(crate) secret: u64,
    /// The leases that the process shares with others over the same store. `None`: it is the only one.
    pub(crate) node: Option<Arc<LeaseRows>>,
    /// Whether its start may change the settings that define tokens, and the key that signs them, for all nodes.
    pub(crate) applies_settings: bool,
}

/// A router, and everything behind it.
pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) hasher: Arc<Counted>,
    pub(crate) mailbox: Arc<Mailbox>,
    /// The leases that it shares with other nodes, if it is a node.
    leases: Option<Arc<LeaseRows>>,
    router: Router,
    /// The description that responses must agree with.
    documented: Documented,
    /// The number of networks that have attempted to sign in.
    networks: AtomicU32,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            now: Timestamp::from_secs(START),
            policy: Policy::default(),
            settings: HttpSettings::default(),
            algorithm: Algorithm::EdDsa,
            signing: None,
            rotate_every: None,
            foreign: Vec::new(),
            refresh_tokens: RefreshSigning::default(),
            fetch: Arc::new(FetchNothing),
            hasher: Arc::new(hasher::Cheap),
            hashing: HashSettings {
                slots: 1,
                longest_wait: Duration::from_secs(3600),
                places_per_network: 4,
            },
            rehash: Rehash::OnSuccess,
            secret: SEED + 1,
            node: None,
            applies_settings: false,
        }
    }
}

impl Plan {
    /// Uses the hasher of real servers.
    pub(crate) fn with_argon2() -> Self {
        Self { hasher: Arc::new(Argon2Hasher::new()), ..Self::default() }
    }

    /// Uses a hasher that waits for a valve.
    pub(crate) fn valved() -> (Self, Valved) {
        let valve = Valved::default();
        (Self { hasher: Arc::new(valve.clone()), ..Self::default() }, valve)
    }

    /// Sets rotation and blacklisting.
    pub(crate) fn rotating(rotate: bool, blacklist: bool) -> Self {
        let mut plan = Self::default();
        plan.policy.rotation = RotationPolicy { rotate, blacklist, ..RotationPolicy::default() };
        plan
    }
}

impl World {
    /// The default configuration, with the accounts dana and noor.
    pub(crate) async fn open() -> Self {
        Self::planned(Plan::default()).await
    }

    /// This configuration, with the accounts dana and noor.
    pub(crate) async fn planned(plan: Plan) -> Self {
        let world = Self::empty(plan).await;
        world.add("dana", Some("dana@example.org"), true).await;
        world.add("noor", None, false).await;
        world
    }

    /// This configuration, without accounts.
    pub(crate) async fn empty(plan: Plan) -> Self {
        let store = Arc::new(FaultyStore::open().await);
        Self::over(store, Arc::new(HandClock::at(plan.now)), SEED, plan).await
    }

    /// Two nodes over one store, with the accounts dana and noor. `plan` makes the configuration of each.
    pub(crate) async fn two_nodes(plan: impl Fn() -> Plan) -> [Self; 2] {
        let one = Self::planned(Plan { node: Some(Arc::default()), ..plan() }).await;
        let other = one.another_node(plan()).await.expect("a second node");
        [one, other]
    }

    /// Starts another node over the store and the leases of this one.
    pub(crate) async fn another_node(&self, plan: Plan) -> Result<Self, StartError> {
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        Self::tried(store, clock, SEED + 100, Plan { node: self.leases.clone(), ..plan }).await
    }

    /// Another process over the same store, later.
    pub(crate) async fn reopened(self, plan: Plan) -> Self {
        let Self { store, clock, .. } = self;
        Self::over(store, clock, SEED + 100, plan).await
    }

    async fn over(store: Arc<FaultyStore>, clock: Arc<HandClock>, seed: u64, plan: Plan) -> Self {
        Self::tried(store, clock, seed, plan).await.expect("a service over an empty store")
    }

    /// Like [`World::reopened`], but the start may fail.
    pub(crate) async fn tried_again(self, plan: Plan) -> Result<Self, StartError> {
        let Self { store, clock, .. } = self;
        Self::tried(store, clock, SEED + 100, plan).await
    }

    async fn tried(
        store: Arc<FaultyStore>,
        clock: Arc<HandClock>,
        seed: u64,
        plan: Plan,
    ) -> Result<Self, StartError> {
        let entropy = Arc::new(Seeded::new(seed));
        let hasher = Arc::new(Counted::new(plan.hasher));
        let term = plan.policy.feed.term;
        let node = plan.node.is_some().then(|| NodeSetup {
            applies_settings: plan.applies_settings,
            ..NodeSetup::new(ProcessLabel::default(), term, &Seeded::new(seed))
        });
        let leases = plan.node;
        let coordination: Arc<dyn Coordination> = match leases.clone() {
            Some(rows) => Arc::new(NodeCoordination::over(rows)),
            None => {
                let store = Arc::clone(&store) as Arc<dyn Store>;
                Arc::new(MemoryCoordination::beside(store, term, clock.uptime()).await?)
            }
        };
        let shown: Arc<dyn Clock> = match &node {
            Some(_) => Arc::new(Ticking::new(Arc::clone(&clock))),
            None => Arc::<HandClock>::clone(&clock),
        };
        let service = Service::start(Setup {
            store: Arc::clone(&store) as Arc<dyn Store>,
            file: None,
            node,
            coordination,
            counters: Arc::new(MemoryCounters::new(plan.policy.lockout)),
            audit_seal: None,
            policy: plan.policy,
            keys: KeySetup {
                algorithm: plan.algorithm,
                signing: plan.signing.map(Zeroizing::new),
                rotate_every: plan.rotate_every,
                foreign: plan.foreign,
                refresh_tokens: plan.refresh_tokens,
            },
            fetch: plan.fetch,
            master: MasterKey::new(&Seeded::new(plan.secret)),
            hasher: Arc::clone(&hasher) as Arc<dyn PasswordHasher>,
            hashing: plan.hashing,
            rehash: plan.rehash,
            clock: shown,
            entropy,
        })
        .await?;
        let documented = Documented::new(service.clone(), plan.settings.clone());
        let router = router(service.clone(), plan.settings);
        Ok(Self {
            service,
            store,
            clock,
            hasher,
            leases,
            router,
            documented,
            mailbox: Arc::default(),
            networks: AtomicU32::default(),
        })
    }

    /// Adds an account with the common password. Its subject is its name.
    pub(crate) async fn add(&self, name: &str, email: Option<&str>, verified: bool) -> Account {
        self.add_with(name, email, verified, Some(PASSWORD)).await
    }

    /// Adds an account with its own password, or without any.
    pub(crate) async fn add_with(
        &self,
        name: &str,
        email: Option<&str>,
        verified: bool,
        password: Option<&str>,
    ) -> Account {
        let password = password.map(|password| NewPassword::Plain(Zeroizing::new(password.to_owned())));
        let subject =
            Some(name.to_owned()).filter(|_| self.service.policy().accounts.subjects == Subjects::Uuid);
        let new = NewAccount {
            name: name.to_owned(),
            email: email.map(str::to_owned),
            verified,
            subject,
            password,
            state: NewState::Active,
            claims: None,
        };
        self.service.add_account(new).await.expect("an account")
    }

    /// Adds an account with an imported hash.
    pub(crate) async fn import(&self, name: &str, hash: &str) -> Account {
        let password = Some(NewPassword::Encoded(Zeroizing::new(hash.to_owned())));
        let (name, subject, state) = (name.to_owned(), Some(name.to_owned()), NewState::Active);
        let new = NewAccount { name, email: None, verified: false, subject, password, state, claims: None };
        self.service.add_account(new).await.expect("an account")
    }

    /// The router, to be served over a socket.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Sends a request, and checks the rules for every response.
    pub(crate) async fn send(&self, call: Call) -> Answer {
        let (method, line) = (call.method.clone(), format!("{} {}", call.method, call.target));
        let target = call.target.clone();
        let answer = self.router.clone().oneshot(call.into_request()).await.expect("a router never fails");
        let answer = Answer::read(answer).await;
        answer.keeps_to_the_rules(&method, &line);
        self.documented.check(&method, &target, &answer);
        answer
    }

    /// Attempts to sign in, each time from another network.
    pub(crate) async fn attempt(&self, name: &str, password: &str) -> Answer {
        let network = Ipv4Addr::from_bits(0x2D00_0000 + self.networks.fetch_add(1, Ordering::SeqCst));
        let call = Call::post("/api/token/").json(&json!({ "username": name, "password": password }));
        self.send(Call { peer: Some((network, 40_000).into()), ..call }).await
    }

    /// Attempts to sign in with a wrong password this many times. Returns the statuses.
    pub(crate) async fn guess(&self, name: &str, times: usize) -> Vec<u16> {
        let mut statuses = Vec::new();
        for _ in 0..times {
            statuses.push(self.attempt(name, "wrong password").await.status);
        }
        statuses
    }

    /// Sends requests concurrently, each from another network, and returns their responses in order. No
    /// password is compared before all requests have arrived.
    pub(crate) async fn at_once(self: &Arc<Self>, valve: &Valved, calls: Vec<Call>) -> Vec<Answer> {
        let from =
            |(call, n)| Call { peer: Some((Ipv4Addr::from_bits(0xCB00_0000 + n), 40_000).into()), ..call };
        self.at_once_as_they_are(valve, calls.into_iter().zip(0_u32..).map(from).collect()).await
    }

    /// Lets all other tasks advance as far as they can without the test.
    pub(crate) async fn settle(&self) {
        wait::settle(&self.store).await;
    }

    /// Like [`World::at_once`], with the requests' own peers.
    pub(crate) async fn at_once_as_they_are(
        self: &Arc<Self>,
        valve: &Valved,
        calls: Vec<Call>,
    ) -> Vec<Answer> {
        valve.close();
        let mut under_way = tokio::task::JoinSet::new();
        for (n, call) in calls.into_iter().enumerate() {
            let world = Arc::clone(self);
            under_way.spawn(async move { (n, world.send(call).await) });
            // It advances as far as it can without a hash. So they arrive in order, however long the store takes.
            self.settle().await;
        }
        valve.open();
        let mut answers = under_way.join_all().await;
        answers.sort_by_key(|(n, _)| *n);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Waits until the store has locked an account, the guard knows of it, and its owner has been told: the lock is
    /// written in a background task.
    pub(crate) async fn locked(&self, name: &str) -> Account {
        loop {
            let account = self.account(name).await;
            if account.status(self.clock.now()) == AccountStatus::Locked {
                let caught_up = self.service.guard().caught_up(self.head().await, secs(5)).await;
                caught_up.expect("a guard that follows");
                self.settle().await;
                return account;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Resets the failures of an account.
    pub(crate) async fn forgive(&self, name: &str) {
        self.service.unlock(&subject(name), Actor::Operator.into()).await.expect("an unlock");
    }

    /// The stored account.
    pub(crate) async fn account(&self, name: &str) -> Account {
        let loaded =
            self.store.account(&AccountBy::Subject(subject(name)), self.clock.now()).await.expect("a read");
        loaded.account.expect("it is there")
    }

    /// The number of comparisons with a current or former password of an account, since the last call.
    pub(crate) fn evaluated(&self) -> usize {
        self.hasher.evaluated()
    }

    pub(crate) async fn sign_in(&self, name: &str) -> Pair {
        self.attempt(name, PASSWORD).await.pair()
    }

    /// Presents a refresh token.
    pub(crate) async fn refresh(&self, refresh: &str) -> Answer {
        self.send(Call::post("/api/token/refresh/").json(&json!({ "refresh": refresh }))).await
    }

    /// Verifies a token.
    pub(crate) async fn verify(&self, token: &str) -> Answer {
        self.send(Call::post("/api/token/verify/").json(&json!({ "token": token }))).await
    }

    /// Blacklists a refresh token.
    pub(crate) async fn blacklist(&self, refresh: &str) -> Answer {
        self.send(Call::post("/api/token/blacklist/").json(&json!({ "refresh": refresh }))).await
    }

    /// Logs out with two tokens.
    pub(crate) async fn log_out(&self, access: &str, refresh: &str) -> Answer {
        self.send(Call::post("/api/logout/").bearer(access).json(&json!({ "refresh": refresh }))).await
    }

    /// Requests the guarded path.
    pub(crate) async fn me(&self, access: &str) -> Answer {
        self.send(Call::get("/v1/me").bearer(access)).await
    }

    /// Does an action of a user, with a token in the header, and without a body if that is `null`.
    pub(crate) async fn own(&self, method: &str, path: &str, access: &str, body: &Value) -> Answer {
        let call = Call::of(method.parse().expect("a method"), path).bearer(access);
        self.send(if body.is_null() { call } else { call.json(body) }).await
    }

    /// The listed sessions: the live ones, or the ended ones.
    pub(crate) async fn listed(&self, access: &str, query: &str) -> Vec<Value> {
        let answer = self.own("GET", &format!("/v1/me/sessions{query}"), access, &Value::Null).await;
        assert_eq!(answer.status, 200, "{answer}");
        answer.json()["sessions"].as_array().expect("a list").clone()
    }

    /// Asserts that both tokens of a pair are refused everywhere. Presents the refresh token last: that may
    /// end the session.
    pub(crate) async fn assert_dead(&self, pair: &Pair) {
        assert_eq!(self.me(&pair.access).await.status, 401);
        assert_eq!(self.verify(&pair.access).await.status, 401);
        assert_eq!(self.verify(&pair.refresh).await.status, 401);
        assert_eq!(self.refresh(&pair.refresh).await.status, 401);
    }

    /// Asserts that both tokens of a pair are accepted. Uses neither up.
    pub(crate) async fn assert_live(&self, pair: &Pair) {
        assert_eq!(self.me(&pair.access).await.status, 200);
        assert_eq!(self.verify(&pair.access).await.status, 200);
        assert_eq!(self.verify(&pair.refresh).await.status, 200);
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Call::post(path).json(body)).await
    }

    /// Sends the mails that are due. Returns those since the last call.
    pub(crate) async fn mails(&self) -> Vec<OutgoingEmail> {
        let post = Arc::clone(&self.mailbox) as Arc<dyn Mailer>;
        self.service.deliver_due(&post).await.expect("a store");
        self.mailbox.taken()
    }

    /// The number of hash operations since the last call.
    pub(crate) fn hashes(&self) -> usize {
        self.hasher.taken().len()
    }

    /// Advances the clock.
    pub(crate) fn wait(&self, span: Duration) {
        self.clock.go_on(span);
    }

    /// The stored sessions of an account.
    pub(crate) async fn sessions(&self, name: &str) -> Vec<Session> {
        self.store.sessions_of(&subject(name), None, u32::MAX).await.expect("sessions")
    }

    /// The newest number of the log.
    pub(crate) async fn head(&self) -> Seq {
        self.store.head().await.expect("a head").seq
    }

    /// Puts an account into a state, which ends its sessions, as an operator's command does.
    pub(crate) async fn put(&self, name: &str, state: AccountState) {
        use quash_core::decide::edit_account;
        let loaded = self
            .store
            .account(&AccountBy::Subject(subject(name)), self.clock.now())
            .await
            .expect("an account");
        let fields = AccountFields { state: Some(state), ..AccountFields::default() };
        let (account, policy, scopes) =
            (loaded.account.expect("it is there"), self.service.policy(), self.service.guard().scopes());
        let edit = edit_account(
            &account,
            EndCause::Deactivated,
            fields,
            Actor::Operator.into(),
            policy,
            scopes,
            self.clock.now(),
        );
        let seq = self
            .store
            .commit(Change::EditAccount(Box::new(edit)))
            .await
            .expect("a receipt")
            .seq
            .expect("an entry");
        self.service.guard().caught_up(seq, Duration::from_secs(5)).await.expect("a guard that follows");
    }

    /// Appends entries to the log, in one transaction: a database would take a minute for one after the other.
    pub(crate) async fn append(&self, scopes: impl Iterator<Item = (ScopeKind, ScopeKey)>) {
        let (at, reason, actor, keep) = (self.clock.now(), Reason::LogOut, Actor::Owner, Keep::Forever);
        let entry = |(kind, key)| NewEntry { kind, key, keep, reason, at, until: None, actor: Actor::Owner };
        let (namespace, entries) = ("shop".into(), scopes.map(entry).collect());
        let revoked = NamesRevocation { namespace, reason, actor, at, entries };
        self.store.commit(Change::RevokeNames(Box::new(revoked))).await.expect("entries");
    }

    /// Deactivates an account.
    pub(crate) async fn deactivate(&self, name: &str) {
        self.put(name, AccountState::Deactivated { at: self.clock.now() }).await;
    }

    /// Ends an account's sessions.
    pub(crate) async fn end_all(&self, name: &str) {
        self.service
            .end_account(&subject(name), EndCause::LogOutEverywhere, Actor::Operator)
            .await
            .expect("an end");
    }

    /// The signing key, as a thief would have it: derived from the service's own seed.
    pub(crate) fn stolen_key(&self) -> SigningKey {
        let chance = Seeded::new(SEED);
        // The secret of refresh tokens and its nonce are drawn first.
        let mut drawn = [0; 32];
        for _ in 0..3 {
            chance.fill(&mut drawn);
        }
        let key = SigningKey::new(Algorithm::EdDsa, &drawn, None).expect("a key");
        assert!(
            self.service.guard().ring().keys().any(|known| known.is_same_key(key.verifying())),
            "the order in which chance is drawn has changed"
        );
        key
    }

    /// A token as a thief of the key would sign it: the claims of `token` with some replaced.
    pub(crate) fn forge(&self, token: &str, replaced: &Value) -> String {
        let mut claims = claims(token);
        for (name, value) in replaced.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        self.stolen_key().sign(claims.to_string().as_bytes()).expect("a signature")
    }

    /// Like [`World::forge`], with a claim omitted.
    pub(crate) fn forge_without(&self, token: &str, name: &str) -> String {
        let mut claims = claims(token);
        claims.as_object_mut().expect("claims").shift_remove(name);
        self.stolen_key().sign(claims.to_string().as_bytes()).expect("a signature")
    }
}

/// The subject of an account of these tests.
pub(crate) fn subject(name: &str) -> Subject {
    Subject::parse(name).expect("a subject")
}

/// The unverified claims of a token.
pub(crate) fn claims(token: &str) -> Value {
    let payload = Unverified::parse(token).and_then(|token| token.payload_unverified()).expect("a token");
    serde_json::from_slice(&payload).expect("claims")
}

/// A public address, whose network is counted.
pub(crate) fn peer() -> SocketAddr {
    "203.0.113.9:40000".parse().expect("an address")
}

/// The kinds of the log's entries, in order.
pub(crate) async fn kinds(store: &dyn Store) -> Vec<ScopeKind> {
    store.entries_after(Seq::ZERO, u32::MAX).await.expect("entries").iter().map(|entry| entry.kind).collect()
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
