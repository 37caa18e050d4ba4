//! Upkeep over both stores while the wall clock is a week off, and afterwards: revoked tokens stay revoked,
//! at this process's own guard and for a verifier that takes a snapshot; live sessions stay live. Keys rotate
//! and mails are sent by a clock that was set back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use quash_core::decide::{Device, Kind};
use quash_core::model::{
    Actor, ClientName, Clock, EndCause, ForeignTokens, KeyState, Kid, Policy, Refusal, Rights, Seeded, Seq,
    Subject, limits,
};
use quash_core::token::{Algorithm, Expected, Issued, SigningKey, TokenType};
use quash_core::watch::frame::{Snapshot, SnapshotReader};
use quash_store::{MemoryCoordination, MemoryCounters, MemoryStore, SqliteOptions, SqliteStore, Store};
use quash_verify::VerifyError;
use zeroize::Zeroizing;

use super::*;
use crate::{
    Argon2Hasher, Attempt, DeviceTokenInput, FeedEvent, FetchNothing, ForeignKeys, ForeignSetup,
    HashSettings, KeySetup, MailRecipient, Mailer, MailerError, MasterKey, NewAccount, NewPassword, NewState,
    OutgoingEmail, Rehash, Setup, Takeover,
};

const PASSWORD: &str = "correct horse battery staple";
/// Another issuer's signing secret.
const SECRET: &[u8] = b"a secret that another issuer signs with, long enough";
/// The interval of upkeep in these tests.
const EVERY: Duration = Duration::from_secs(600);
const HOUR: u32 = 6;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// In milliseconds.
const A_MINUTE: i64 = 60 * 1000;
const A_WEEK: i64 = 7 * 24 * 60 * A_MINUTE;

/// A wall clock that can be set, on a machine that has been running for days.
#[derive(Default)]
struct TestClock {
    gone: AtomicU64,
    off: AtomicI64,
}

impl TestClock {
    /// Sets the wall clock this many milliseconds off the right time.
    fn set(&self, off: i64) {
        self.off.store(off, Ordering::SeqCst);
    }

    /// The right time.
    fn right(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000) + Duration::from_millis(self.gone.load(Ordering::SeqCst))
    }

    fn advance(&self, span: Duration) {
        self.gone.fetch_add(u64::try_from(span.as_millis()).expect("a span"), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.right().as_millis() + self.off.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        DAY * 5 + Duration::from_millis(self.gone.load(Ordering::SeqCst))
    }
}

struct World {
    service: Service,
    store: Arc<dyn Store>,
    clock: Arc<TestClock>,
    /// A verifier's secret.
    secret: Zeroizing<String>,
    rounds: Rounds,
}

impl World {
    /// A service with the account dana. All tokens are valid for a day.
    async fn open(store: Arc<dyn Store>) -> Self {
        let clock = Arc::new(TestClock::default());
        let service = Self::start(&store, &clock, 1).await;
        let password = Some(NewPassword::Plain(Zeroizing::new(PASSWORD.into())));
        let new = NewAccount {
            name: "dana".into(),
            email: Some("dana@example.org".into()),
            verified: true,
            subject: Some("dana".into()),
            password,
            state: NewState::Active,
            claims: None,
        };
        service.add_account(new).await.expect("an account");
        let (_, secret) = service.add_client("api", Rights::VERIFIER, None).await.expect("a verifier");
        Self { service, store, clock, secret: secret.into_text(), rounds: Rounds::default() }
    }

    async fn start(store: &Arc<dyn Store>, clock: &Arc<TestClock>, seed: u64) -> Service {
        let mut policy = Policy::default();
        policy.tokens.access_lifetime = DAY;
        policy.tokens.foreign = ForeignTokens::Accept;
        let kid = Some(others_key().verifying().kid().clone());
        let other = ForeignSetup {
            name: "other".into(),
            keys: ForeignKeys::Secret {
                algorithm: Algorithm::Hs256,
                secret: Zeroizing::new(SECRET.to_vec()),
                kid,
            },
            max_lifetime: DAY,
            namespace: None,
            dropped: Vec::new(),
            iss: Expected::Anything,
            aud: Expected::Anything,
        };
        let term = policy.feed.term;
        let coordination = MemoryCoordination::beside(Arc::clone(store), term, clock.uptime());
        let setup = Setup {
            store: Arc::clone(store),
            file: None,
            node: None,
            coordination: Arc::new(coordination.await.expect("a store")),
            counters: Arc::new(MemoryCounters::new(policy.lockout)),
            audit_seal: None,
            policy,
            keys: KeySetup {
                foreign: vec![other],
                rotate_every: Some(DAY * 30),
                ..KeySetup::of(Algorithm::EdDsa)
            },
            fetch: Arc::new(FetchNothing),
            master: MasterKey::new(&Seeded::new(1)),
            hasher: Arc::new(Argon2Hasher::with(8, 1, 1).expect("a cheap hash")),
            hashing: HashSettings {
                slots: 1,
                longest_wait: Duration::from_secs(3600),
                places_per_network: 4,
            },
            rehash: Rehash::Never,
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            entropy: Arc::new(Seeded::new(seed)),
        };
        Service::start(setup).await.expect("a service")
    }

    /// Starts another process over the same store.
    async fn restart(&mut self) {
        self.service = Self::start(&self.store, &self.clock, 2).await;
        self.rounds = Rounds::default();
    }

    async fn sign_in(&self) -> (String, String) {
        let attempt = Attempt {
            kind: Kind::Pair,
            name: "dana".into(),
            password: Zeroizing::new(PASSWORD.into()),
            device: Device::default(),
            network: None,
            device_token: DeviceTokenInput::Unsupported,
        };
        pair(self.service.sign_in(attempt).await.expect("a sign-in").tokens)
    }

    /// A token of another issuer, whose clock is right, for dana and for a day.
    fn of_another(&self, token_type: &str, jti: &str) -> String {
        let iat = self.clock.right().as_secs();
        let said = serde_json::json!({ "token_type": token_type, "exp": iat + 86_400, "iat": iat, "jti": jti, "user_id": "dana" });
        others_key().sign(said.to_string().as_bytes()).expect("a signature")
    }

    async fn log_out(&self, (access, refresh): &(String, String)) {
        let access = self.service.access_for_log_out(access).await.expect("a token");
        self.service.log_out(&access, Some(refresh)).await.expect("a log-out");
    }

    /// Lets time pass, with this many rounds of upkeep.
    async fn pass(&mut self, rounds: u32) -> UpkeepReport {
        let mut upkept = UpkeepReport::default();
        for _ in 0..rounds {
            self.clock.advance(EVERY);
            let round = self.service.upkeep_round(&mut self.rounds).await.expect("a store");
            upkept.marked += round.marked;
            upkept.deleted += round.deleted;
            upkept.forgotten += round.forgotten;
        }
        upkept
    }

    /// The verdict of this process's guard. Checks that a guard made from a snapshot agrees.
    async fn check(&self, access: &str) -> Result<(), VerifyError> {
        // The guard reloads after entries were deleted.
        while self.service.guard().entries() != self.entries().await {
            tokio::task::yield_now().await;
        }
        let said = self.service.guard().check(access, &[TokenType::Access]).await.map(drop);
        let token = self.service.guard().authenticate(access).await.expect("a token of ours");
        let covered = self.snapshot().await.revoked.covers(token.minted().expect("a number"), token.scopes());
        assert_eq!(covered, said == Err(VerifyError::Refused(Refusal::TokenRevoked(None))), "{said:?}");
        assert_eq!(self.service.verify(access).await.is_ok(), said.is_ok());
        said
    }

    /// The snapshot that a verifier gets.
    async fn snapshot(&self) -> Snapshot {
        let credential = self.service.credential(&self.secret).await.expect("a store").expect("it is good");
        let mut sent = self.service.feed_snapshot(credential).await.expect("a snapshot");
        let mut reader = SnapshotReader::default();
        while let Some(lines) = sent.next().await {
            reader.push(lines.expect("lines").as_bytes()).expect("as they were sent");
        }
        reader.finish().expect("a whole snapshot")
    }

    /// The number of entries in the log.
    async fn entries(&self) -> usize {
        self.store.entries_after(Seq::ZERO, 1000).await.expect("entries").len()
    }

    async fn is_revoked(&self, access: &str) -> bool {
        self.check(access).await == Err(VerifyError::Refused(Refusal::TokenRevoked(None)))
    }
}

/// A mail transport that is unreachable at first.
#[derive(Default)]
struct Transport {
    is_up: AtomicBool,
    sent: AtomicUsize,
}

#[async_trait]
impl Mailer for Transport {
    async fn send(&self, _: &OutgoingEmail) -> Result<(), MailerError> {
        if !self.is_up.load(Ordering::SeqCst) {
            return Err(MailerError::NotNow("unreachable".into()));
        }
        self.sent.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn others_key() -> SigningKey {
    SigningKey::new(Algorithm::Hs256, SECRET, Some(Kid::parse("other").expect("a kid"))).expect("a key")
}

fn pair(issued: Issued) -> (String, String) {
    match issued {
        Issued::Both { access, refresh } => (access, refresh),
        _ => panic!("a pair was asked for"),
    }
}

fn stores(dir: &Path) -> [Arc<dyn Store>; 2] {
    let sqlite = SqliteStore::open(&dir.join("quash.db"), SqliteOptions::default()).expect("a store");
    [Arc::new(MemoryStore::new()), Arc::new(sqlite)]
}

#[test]
fn jumping_clocks_delete_nothing() {
    let (mut rounds, minute) = (Rounds::default(), Duration::from_secs(60));
    let start = Timestamp::from_secs(1_000_000);
    assert!(!rounds.clock_moved(start, minute));
    rounds.done.push((minute, start));
    assert_eq!(rounds.ripe(minute + RIPE_AFTER - Duration::from_secs(1)), None);
    assert_eq!(rounds.ripe(minute + RIPE_AFTER), Some(start));
    assert!(rounds.clock_moved(start + Duration::from_secs(7 * 24 * 3600), minute * 2));
    assert_eq!(rounds.ripe(minute + RIPE_AFTER), None, "waiting begins anew");
    assert!(rounds.clock_moved(start + minute, minute * 3), "back again");
    assert!(!rounds.clock_moved(start + minute * 2, minute * 4));
}

#[tokio::test]
async fn clocks_briefly_ahead_delete_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(dir.path()) {
        let mut world = World::open(store).await;
        world.pass(2 * HOUR).await;
        let (ended, live) = (world.sign_in().await, world.sign_in().await);
        world.log_out(&ended).await;
        world.clock.set(A_WEEK);
        world.pass(HOUR).await;
        world.clock.set(0);
        world.pass(2 * HOUR).await;
        assert!(world.is_revoked(&ended.0).await);
        assert_eq!(world.check(&live.0).await, Ok(()));
        world
            .service
            .refresh(&live.1, &Device::default(), &DeviceTokenInput::Unsupported)
            .await
            .expect("its session is there");
        assert_eq!(world.entries().await, 1);
    }
}

#[tokio::test]
async fn starting_with_a_clock_ahead_delays_deletion() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(dir.path()) {
        let mut world = World::open(store).await;
        let (ended, live) = (world.sign_in().await, world.sign_in().await);
        world.log_out(&ended).await;
        // Further ahead than the audit is kept.
        world.clock.set(A_WEEK * 100);
        world.restart().await;
        world.pass(HOUR).await;
        world.clock.set(0);
        world.restart().await;
        world.pass(HOUR).await;
        assert!(world.is_revoked(&ended.0).await);
        assert_eq!(world.check(&live.0).await, Ok(()));
        world
            .service
            .refresh(&live.1, &Device::default(), &DeviceTokenInput::Unsupported)
            .await
            .expect("its session is there");
        assert_eq!(world.service.audit(0, None, 1).await.expect("the audit")[0].id, 1);
    }
}

#[tokio::test]
async fn entries_deleted_by_fast_clocks_stay_revoked() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(dir.path()) {
        let mut world = World::open(store).await;
        let ended = world.sign_in().await;
        world.log_out(&ended).await;
        world.clock.set(A_WEEK);
        assert_eq!(world.pass(3 * HOUR).await.deleted, 1);
        assert_eq!(world.entries().await, 0);
        world.clock.set(0);
        assert!(world.is_revoked(&ended.0).await);
        world.restart().await;
        assert!(world.is_revoked(&ended.0).await, "also for a new process");
        assert_eq!(world.check(&world.sign_in().await.0).await, Ok(()));
    }
}

/// A verifier that was away until its next entries were deleted, and nothing else has been revoked since.
#[tokio::test]
async fn readers_behind_deleted_entries_get_a_snapshot() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(dir.path()) {
        let mut world = World::open(store).await;
        let ended = world.sign_in().await;
        let before = world.snapshot().await.cursor;
        world.log_out(&ended).await;
        world.clock.set(A_WEEK);
        assert_eq!(world.pass(3 * HOUR).await.deleted, 1);
        world.clock.set(0);
        assert!(world.is_revoked(&ended.0).await);
        let credential = world.service.credential(&world.secret).await.expect("a store");
        let credential = credential.expect("it is good");
        let mut stream = world.service.feed_stream(&before, credential).await.expect("a stream");
        assert!(matches!(stream.next().await, Some(FeedEvent::Resync)));
    }
}

#[tokio::test]
async fn tokens_minted_by_fast_clocks_stay_revoked() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(dir.path()) {
        let mut world = World::open(store).await;
        world.clock.set(A_WEEK);
        let ended = world.sign_in().await;
        world.clock.set(0);
        let dana = Subject::parse("dana").expect("a subject");
        world.service.end_account(&dana, EndCause::AccountRevoked, Actor::Operator).await.expect("an end");
        assert_eq!(world.pass(27 * HOUR).await.deleted, 1);
        world.clock.advance(DAY * 6);
        assert!(world.is_revoked(&ended.0).await);
        world.restart().await;
        assert!(world.is_revoked(&ended.0).await, "also for a new process");
    }
}

#[tokio::test]
async fn expired_entries_stay_revoked_when_clocks_go_back() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(dir.path()) {
        let mut world = World::open(store).await;
        let ended = world.sign_in().await;
        world.log_out(&ended).await;
        assert_eq!(world.pass(27 * HOUR).await.deleted, 1);
        world.clock.set(-26 * 60 * A_MINUTE);
        assert!(world.is_revoked(&ended.0).await);
        world.restart().await;
        assert!(world.is_revoked(&ended.0).await, "also for a new process");
    }
}

#[tokio::test]
async fn sessions_outlive_entries_deleted_by_fast_clocks() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(dir.path()) {
        let mut world = World::open(store).await;
        let (ended, live) = (world.sign_in().await, world.sign_in().await);
        world.log_out(&ended).await;
        world.pass(2 * HOUR).await;
        let next = pair(
            world
                .service
                .refresh(&live.1, &Device::default(), &DeviceTokenInput::Unsupported)
                .await
                .expect("a pair"),
        );
        // By then the entry has expired, and the session hasn't.
        world.clock.set((22 * 60 + 30) * A_MINUTE);
        assert_eq!(world.pass(2 * HOUR).await.deleted, 1);
        world.clock.set(0);
        // It isn't known any more whether the session was ended. A refresh settles it.
        assert!(world.is_revoked(&live.0).await);
        assert_eq!(world.check(&next.0).await, Ok(()));
        let newest = pair(
            world
                .service
                .refresh(&next.1, &Device::default(), &DeviceTokenInput::Unsupported)
                .await
                .expect("its session is there"),
        );
        assert_eq!(world.check(&newest.0).await, Ok(()));
    }
}

#[tokio::test]
async fn tokens_of_another_issuer_stay_revoked_too() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(dir.path()) {
        let mut world = World::open(store).await;
        let (access, refresh) = (world.of_another("access", "one"), world.of_another("refresh", "two"));
        assert_eq!(world.service.guard().check(&access, &[TokenType::Access]).await.map(drop), Ok(()));
        world.log_out(&(access.clone(), refresh.clone())).await;
        world.clock.set(A_WEEK);
        assert_eq!(world.pass(3 * HOUR).await.deleted, 2);
        world.clock.set(0);
        let revoked = Refusal::TokenRevoked(None);
        world.restart().await;
        assert_eq!(
            world.service.guard().check(&access, &[TokenType::Access]).await.map(drop),
            Err(VerifyError::Refused(revoked))
        );
        let token = world.service.guard().authenticate(&access).await.expect("a token of the other issuer");
        assert_eq!(world.service.context.judge_by_store(&token).await, Err(Failure::Refused(revoked)));
        let refused =
            world.service.refresh(&refresh, &Device::default(), &DeviceTokenInput::Unsupported).await.err();
        assert_eq!(refused, Some(Failure::Refused(revoked)));
        assert!(world.service.blacklist(&refresh).await.is_err(), "a second time it is refused, as ever");
        // Other tokens are valid.
        let (access, refresh) = (world.of_another("access", "three"), world.of_another("refresh", "four"));
        assert_eq!(world.service.guard().check(&access, &[TokenType::Access]).await.map(drop), Ok(()));
        world
            .service
            .refresh(&refresh, &Device::default(), &DeviceTokenInput::Unsupported)
            .await
            .expect("a session");
    }
}

#[tokio::test]
async fn expired_rows_are_kept_for_an_hour() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(dir.path()) {
        let mut world = World::open(store).await;
        let ended = world.sign_in().await;
        world.log_out(&ended).await;
        let is_there = async |world: &World| {
            let sessions = world
                .store
                .sessions_of(&Subject::parse("dana").expect("a subject"), None, 9)
                .await
                .expect("sessions");
            (world.entries().await, sessions.len())
        };
        // The entry expires after a day and ten minutes, the session's row after a day and an hour.
        world.pass(25 * HOUR).await;
        assert_eq!(is_there(&world).await, (1, 1));
        world.pass(1).await;
        assert_eq!(is_there(&world).await, (0, 1));
        world.pass(HOUR - 1).await;
        assert_eq!(is_there(&world).await, (0, 1));
        world.pass(1).await;
        assert_eq!(is_there(&world).await, (0, 0));
    }
}

#[tokio::test]
async fn deletion_refuses_no_valid_tokens() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(dir.path()) {
        let mut world = World::open(store).await;
        for _ in 0..40 {
            let (ended, live) = (world.sign_in().await, world.sign_in().await);
            world.log_out(&ended).await;
            let mut waited = 0;
            while waited < 23 {
                world.pass(HOUR).await;
                waited += 7;
                assert_eq!(world.check(&live.0).await, Ok(()));
            }
        }
        assert!(world.entries().await < 20, "many are forgotten");
    }
}

#[tokio::test]
async fn keys_rotate_although_the_clock_was_set_back() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(dir.path()) {
        let mut world = World::open(store).await;
        world.clock.set(A_WEEK);
        let made = world.service.rotate_key(Takeover::Now, Actor::Operator).await.expect("a key").kid;
        world.clock.set(0);
        let current = async |world: &World| {
            let keys = world.store.keys().await.expect("keys");
            keys.into_iter().find(|key| key.state == KeyState::Current).expect("a current key").kid
        };
        world.pass(1).await;
        assert_eq!(current(&world).await, made, "the next key is published first");
        world.pass(1).await;
        let next = current(&world).await;
        assert_ne!(next, made, "its time is a week ahead");
        world.pass(HOUR).await;
        assert_eq!(current(&world).await, next, "and only once");
    }
}

#[tokio::test]
async fn mails_are_sent_and_counted_although_the_clock_was_set_back() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(dir.path()) {
        let world = World::open(store).await;
        let transport = Arc::new(Transport::default());
        let mailer: Arc<dyn Mailer> = transport.clone();
        let asked_and_sent = async |requests: u32| {
            for _ in 0..requests {
                world
                    .service
                    .request_reset(&MailRecipient::Name("dana".into()), None)
                    .await
                    .expect("a store");
            }
            world.service.deliver_due(&mailer).await.expect("a store");
            transport.sent.swap(0, Ordering::SeqCst)
        };
        let most = usize::try_from(limits::MAILS).expect("few");
        world.clock.set(A_WEEK);
        assert_eq!(asked_and_sent(1).await, 0, "the transport is unreachable");
        transport.is_up.store(true, Ordering::SeqCst);
        world.clock.set(0);
        assert_eq!(asked_and_sent(0).await, 1, "the pause ends a week ahead");
        world.clock.set(A_WEEK);
        assert_eq!(asked_and_sent(limits::MAILS).await, most - 1, "the limit of an hour");
        world.clock.set(0);
        assert_eq!(asked_and_sent(limits::MAILS + 1).await, most, "mails of the future don't count");
    }
}

#[tokio::test]
async fn upkeep_writes_the_last_use_of_clients() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(dir.path()) {
        let mut world = World::open(store).await;
        let name = ClientName::parse("api").expect("a name");
        let used_at = world.clock.now();
        assert!(world.service.client(&world.secret).await.expect("a store").is_some());
        let shown = world.service.client_named("api").await.expect("a store").expect("a client");
        let stored = world.store.client_named(&name).await.expect("a store").expect("a client");
        assert_eq!(
            (shown.last_used_at, stored.last_used_at),
            (Some(used_at), None),
            "no request waits for it"
        );
        world.clock.advance(EVERY);
        world.service.upkeep_round(&mut world.rounds).await.expect("a store");
        let stored = world.store.client_named(&name).await.expect("a store").expect("a client");
        assert_eq!(stored.last_used_at, Some(used_at));
    }
}
