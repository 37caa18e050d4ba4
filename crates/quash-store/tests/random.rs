//! Applies the same random changes to the model and to SQLite or PostgreSQL: the outcomes and all later reads
//! must be equal. The tests in `conformance` define the meaning of changes.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use quash_core::decide::seal_audit;
use quash_core::model::{
    AccountBy, AccountFields, AccountState, Actor, AuditPlace, Change, Client, CustomClaims, DeviceId,
    Devices, Digest, Email, Ends, Epoch, Flow, Keep, KeyState, Kid, Mail, MailId, MailOutcome, MailPriority,
    Name, NewEntry, OldSessions, PasswordHash, Rights, ScopeKind, Sealed, Seeded, Seq, SessionOpening,
    StoredClient, Survivor,
};
use quash_core::token::{Algorithm, SigningKey};
use quash_store::{MemoryStore, Store, StoreError};
use support::*;

const NAMES: [&str; 4] = ["dana", "kim", "lee", "max"];
const EMAILS: [Option<&str>; 3] = [None, Some("one@example.org"), Some("two@example.org")];
const SECRETS: [&str; 3] = ["first", "second", "third"];
const KINDS: [ScopeKind; 3] = [ScopeKind::Token, ScopeKind::Key, ScopeKind::Subject];

/// An intended change. Reading the store's state turns it into a change; with `stale`, that state is
/// outdated.
#[derive(Clone, Debug)]
enum Wish {
    AddAccount { who: usize, email: usize },
    Open { who: usize, n: u8, stale: bool, rehash: bool, evict: Option<u8> },
    Rotate { n: u8, stale: bool },
    Bind { n: u8 },
    Adopt { who: usize, n: u8, token: u8, secs: i64 },
    EndSessions { ns: Vec<u8>, tokens: Vec<u8> },
    EndAccount { who: usize, stale: bool, survivor: Option<u8>, password: bool, state: Option<AccountState> },
    Edit { who: usize, stale: bool, like: Option<usize>, email: Option<usize>, claims: bool },
    DeleteAccount { who: usize, stale: bool },
    Together(Vec<Wish>),
    EndEverything,
    BeginEpoch { further: u64, stale: bool, keep: bool },
    Revoke { kind: usize, n: u8, keep: Keep },
    AddKey { n: u8, stale: bool, next: bool },
    PromoteKey { n: u8, stale: bool },
    RevokeKey { n: u8 },
    AddRevokedKey { n: u8 },
    ResumeKey { n: u8 },
    DropKey { n: u8 },
    AddSecret { name: usize, byte: u8 },
    AddClient { who: usize, n: u8, secret: u8 },
    ChangeClient { who: usize, stale: bool, secret: u8 },
    UseClients { who: usize, n: u8 },
    RemoveClient { who: usize, stale: bool },
    Remember { name: usize, byte: u8 },
    ApplySettings { stale: bool, byte: u8, ends: bool },
    Raise { secs: u64 },
    Seal { stale: bool, forget: u64 },
    Blank { who: usize, limit: u32 },
    StartFlow { n: u8, subject_hash: u8, who: usize, stale: bool },
    SpendTry { n: u8 },
    UseFlow { n: u8 },
    AddMail { n: u8, recipient_hash: u8, secs: i64 },
    TryMail { n: u8, attempts: u32 },
    SettleMail { n: u8, attempts: u32, sent: bool },
    DropMail { n: u8 },
    Forget { now: i64, limit: u32 },
    Mark { now: i64, limit: u32 },
    Delete { now: i64, marked_until: i64, limit: u32 },
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![12 => single(), 1 => prop::collection::vec(single(), 2..4).prop_map(Wish::Together)]
}

fn single() -> impl Strategy<Value = Wish> {
    let (who, n, stale) = (0..NAMES.len(), 1..10_u8, prop::bool::weighted(0.15));
    let moment = 0..400_000_i64;
    let state = prop_oneof![
        Just(AccountState::Active),
        moment.clone().prop_map(|secs| AccountState::Locked { since: at(secs - 60), until: at(secs) }),
        moment.clone().prop_map(|secs| AccountState::Deactivated { at: at(secs) }),
    ];
    let keep = prop_oneof![
        Just(Keep::Longest),
        Just(Keep::Forever),
        moment.clone().prop_map(|secs| Keep::Until(at(secs)))
    ];
    prop_oneof![
        3 => (who.clone(), 0..EMAILS.len()).prop_map(|(who, email)| Wish::AddAccount { who, email }),
        6 => (who.clone(), n.clone(), stale, any::<bool>(), prop::option::weighted(0.3, n.clone()))
            .prop_map(|(who, n, stale, rehash, evict)| Wish::Open { who, n, stale, rehash, evict }),
        6 => (n.clone(), stale).prop_map(|(n, stale)| Wish::Rotate { n, stale }),
        2 => n.clone().prop_map(|n| Wish::Bind { n }),
        3 => (who.clone(), n.clone(), 1..5_u8, 0..300_i64).prop_map(|(who, n, token, secs)| Wish::Adopt { who, n, token, secs }),
        3 => (prop::collection::vec(n.clone(), 0..3), prop::collection::vec(1..5_u8, 0..2))
            .prop_map(|(ns, tokens)| Wish::EndSessions { ns, tokens }),
        1 => (stale, 0..4_u64).prop_map(|(stale, forget)| Wish::Seal { stale, forget }),
        2 => (who.clone(), n.clone(), n.clone()).prop_map(|(who, n, secret)| Wish::AddClient { who, n, secret }),
        1 => (who.clone(), stale, n.clone()).prop_map(|(who, stale, secret)| Wish::ChangeClient { who, stale, secret }),
        1 => (who.clone(), n.clone()).prop_map(|(who, n)| Wish::UseClients { who, n }),
        1 => (who.clone(), stale).prop_map(|(who, stale)| Wish::RemoveClient { who, stale }),
        1 => (who.clone(), 0..6_u32).prop_map(|(who, limit)| Wish::Blank { who, limit }),
        2 => (who.clone(), stale, prop::option::weighted(0.3, who.clone()), prop::option::of(0..EMAILS.len()), any::<bool>())
            .prop_map(|(who, stale, like, email, claims)| Wish::Edit { who, stale, like, email, claims }),
        1 => (who.clone(), stale).prop_map(|(who, stale)| Wish::DeleteAccount { who, stale }),
        3 => (who, stale, prop::option::of(n.clone()), any::<bool>(), prop::option::of(state))
            .prop_map(|(who, stale, survivor, password, state)| Wish::EndAccount { who, stale, survivor, password, state }),
        1 => Just(Wish::EndEverything),
        1 => (0..3_u64, stale, any::<bool>()).prop_map(|(further, stale, keep)| Wish::BeginEpoch { further, stale, keep }),
        2 => (0..KINDS.len(), n.clone(), keep).prop_map(|(kind, n, keep)| Wish::Revoke { kind, n, keep }),
        1 => (n.clone(), stale, any::<bool>()).prop_map(|(n, stale, next)| Wish::AddKey { n, stale, next }),
        1 => (n.clone(), stale).prop_map(|(n, stale)| Wish::PromoteKey { n, stale }),
        1 => n.clone().prop_map(|n| Wish::RevokeKey { n }),
        1 => n.clone().prop_map(|n| Wish::AddRevokedKey { n }),
        1 => n.clone().prop_map(|n| Wish::ResumeKey { n }),
        1 => n.clone().prop_map(|n| Wish::DropKey { n }),
        1 => (0..SECRETS.len(), any::<u8>()).prop_map(|(name, byte)| Wish::Remember { name, byte }),
        1 => (0..SECRETS.len(), any::<u8>()).prop_map(|(name, byte)| Wish::AddSecret { name, byte }),
        1 => (stale, any::<u8>(), any::<bool>())
            .prop_map(|(stale, byte, ends)| Wish::ApplySettings { stale, byte, ends }),
        1 => (0..200_000_u64).prop_map(|secs| Wish::Raise { secs }),
        3 => mail_change(n),
        2 => (moment.clone(), 0..6_u32).prop_map(|(now, limit)| Wish::Mark { now, limit }),
        1 => (moment.clone(), moment, 0..6_u32).prop_map(|(now, marked_until, limit)| Wish::Delete { now, marked_until, limit }),
    ]
}

/// Wishes about flows and mails.
fn mail_change(n: std::ops::Range<u8>) -> impl Strategy<Value = Wish> {
    prop_oneof![
        3 => (n.clone(), 1..4_u8, 0..NAMES.len(), prop::bool::weighted(0.15))
            .prop_map(|(n, subject_hash, who, stale)| Wish::StartFlow { n, subject_hash, who, stale }),
        1 => n.clone().prop_map(|n| Wish::SpendTry { n }),
        1 => n.clone().prop_map(|n| Wish::UseFlow { n }),
        3 => (n.clone(), 1..4_u8, 0..300_i64).prop_map(|(n, recipient_hash, secs)| Wish::AddMail { n, recipient_hash, secs }),
        2 => (n.clone(), 0..2_u32).prop_map(|(n, attempts)| Wish::TryMail { n, attempts }),
        2 => (n.clone(), 0..3_u32, any::<bool>()).prop_map(|(n, attempts, sent)| Wish::SettleMail { n, attempts, sent }),
        1 => n.prop_map(|n| Wish::DropMail { n }),
        1 => (3000..8000_i64, 0..4_u32).prop_map(|(now, limit)| Wish::Forget { now, limit }),
    ]
}

/// Wishes in groups: the wishes of a group are resolved together and submitted at once, so that they may
/// share a transaction.
fn wishes() -> impl Strategy<Value = Vec<Vec<Wish>>> {
    prop::collection::vec(prop::collection::vec(wish(), 1..6), 4..24)
}

/// Turns a wish into a change, based on the state of a store.
async fn looked_up(wish: &Wish, model: &dyn Store) -> Change {
    let head = head(model).await;
    match wish.clone() {
        Wish::AddAccount { who, email } => add(match EMAILS[email] {
            None => account(NAMES[who]),
            Some(email) => with_email(NAMES[who], email),
        }),
        Wish::Open { who, n, stale, rehash, evict } => Change::OpenSession(Box::new(SessionOpening {
            session: quash_core::model::Session {
                known_device: (n % 3 > 0).then(|| DeviceId::from_bytes([n / 2; 16])),
                client: (n % 4 == 0).then(|| client(NAMES[who], n).name),
                ..session(n, NAMES[who], if stale { Seq::start_of(1) } else { head })
            },
            version: version(model, who).await + u64::from(stale && n % 2 == 0),
            rehash: rehash.then(|| {
                let hash = PasswordHash::new(format!("rehash {n}")).of_class(format!("class {}", n % 3));
                (hash, format!("mark {n}"))
            }),
            evict: evict.map(end),
            most_live: if n % 5 > 0 { u32::MAX } else { 2 },
            last_login: rehash.then(|| at(i64::from(n))),
            known_device: (n % 3 > 1).then(|| DeviceId::from_bytes([n; 16])),
            locks: (n % 3 == 0).then_some(u32::from(n)),
            adopts: None,
            claims: (n % 4 == 1).then(|| CustomClaims::parse("{\"b\":2}").expect("claims")),
        })),
        Wish::Adopt { who, n, token, secs } => {
            let adopted = adopting(token, NAMES[who], head).adopted;
            let opened = quash_core::model::Session { adopted, ..adopting(n, NAMES[who], head) };
            adopt(opened, version(model, who).await, secs)
        }
        Wish::Rotate { n, stale } => rotate(n, generation(model, n).await + u32::from(stale)),
        Wish::Bind { n } => bind(n, n),
        Wish::EndSessions { ns, tokens } => Change::EndSessions {
            sessions: ns.into_iter().map(|n| if n % 2 == 0 { end_adopted(n) } else { end(n) }).collect(),
            tokens: tokens.into_iter().map(|n| entry(ScopeKind::Token, 100 + n)).collect(),
        },
        Wish::EndAccount { who, stale, survivor: lives_on, password, state } => {
            let mut lives = None;
            if let Some(n) = lives_on {
                lives = Some(Survivor { session: sid(n), ..survivor(n, generation(model, n).await) });
            }
            let password = password.then(|| Some(PasswordHash::new(format!("after {head}"))));
            let devices = (password.is_some() == stale).then(Devices::default);
            let fields = AccountFields { password, state, devices, ..AccountFields::default() };
            let ends = Ends::Sessions { entry: entry(ScopeKind::Subject, 100), survivor: lives };
            edit(NAMES[who], version(model, who).await + u64::from(stale), fields, ends)
        }
        Wish::Edit { who, stale, like, email, claims } => {
            let fields = AccountFields {
                username: like.and_then(|like| Name::parse(NAMES[like]).ok()),
                email: email.map(|email| EMAILS[email].and_then(|email| Email::parse(email).ok())),
                temporary_until: claims.then(|| Some(at(i64::from(stale)))),
                locks: Some(u32::from(stale)),
                claims: CustomClaims::parse(if claims { "{\"a\":1}" } else { "{}" }).ok(),
                mark: stale.then(|| claims.then(|| "a mark".to_owned())),
                ..AccountFields::default()
            };
            let ends = if claims { Ends::Access(entry(ScopeKind::Subject, 102)) } else { Ends::Nothing };
            edit(NAMES[who], version(model, who).await + u64::from(stale), fields, ends)
        }
        Wish::DeleteAccount { who, stale } => Change::DeleteAccount {
            subject: subject(NAMES[who]),
            version: version(model, who).await + u64::from(stale),
            entry: entry(ScopeKind::Subject, 103),
            note: None,
        },
        Wish::Seal { stale, forget } => {
            let audit = model.audit_head().await.expect("a head");
            let unsealed = audit.seal.as_ref().map_or(0, |seal| seal.last.id);
            let entries =
                model.audit(unsealed.saturating_sub(u64::from(stale)), None, 5).await.expect("a read");
            let key = SigningKey::new(Algorithm::EdDsa, &[1; 32], None).expect("a key");
            let first = audit.seal.as_ref().map(|seal| AuditPlace {
                id: seal.first.id + forget.min(seal.last.id - seal.first.id),
                ..seal.last
            });
            seal_audit(&audit, &entries, first, &key, at(500), &Seeded::new(audit.newest)).expect("a seal")
        }
        Wish::Blank { who, limit } => Change::BlankPersons { subject: subject(NAMES[who]), limit },
        Wish::Together(wishes) => {
            let mut changes = Vec::new();
            for wish in &wishes {
                changes.push(Box::pin(looked_up(wish, model)).await);
            }
            Change::Together(changes)
        }
        Wish::EndEverything => Change::EndEverything { entry: entry(ScopeKind::Everything, 101) },
        Wish::BeginEpoch { further, stale, keep } => Change::BeginEpoch {
            from: Epoch::new(head.epoch() + u64::from(stale)).expect("an epoch"),
            to: Epoch::new(head.epoch() + further).expect("an epoch"),
            entry: entry(ScopeKind::Everything, 104),
            sessions: if keep { OldSessions::Keep } else { OldSessions::End },
        },
        Wish::Revoke { kind, n, keep } => {
            Change::Revoke { entry: NewEntry { keep, ..entry(KINDS[kind], n) } }
        }
        Wish::AddKey { n, stale, next } => {
            let replaces = replaced(model, n).await.filter(|_| next == stale);
            let state = if next { KeyState::Next { since: at(i64::from(n)) } } else { KeyState::Current };
            Change::AddKey {
                key: key(&format!("key{n}"), state, at(i64::from(n % 3))),
                replaces,
                actor: Actor::Rule,
            }
        }
        Wish::PromoteKey { n, stale } => {
            let next = model
                .keys()
                .await
                .expect("keys")
                .into_iter()
                .find(|key| matches!(key.state, KeyState::Next { .. }));
            let kid = next.filter(|_| !stale).map_or_else(|| key_id(n), |key| key.kid);
            Change::PromoteKey { kid, at: NOW, replaces: replaced(model, n).await, actor: Actor::Operator }
        }
        Wish::ResumeKey { n } => {
            Change::ResumeKey { kid: key_id(n), at: NOW, replaces: replaced(model, n).await }
        }
        Wish::DropKey { n } => Change::DropKey { kid: key_id(n), at: NOW, actor: Actor::Rule },
        Wish::RevokeKey { n } => Change::RevokeKey {
            kid: key_id(n),
            secret: Sealed(vec![n]),
            entry: NewEntry { keep: Keep::Forever, ..entry(ScopeKind::Key, n) },
        },
        Wish::AddRevokedKey { n } => Change::AddRevokedKey {
            key: key(&format!("key{n}"), KeyState::Revoked { at: at(i64::from(n)) }, at(i64::from(n % 3))),
            entry: NewEntry { keep: Keep::Forever, ..entry(ScopeKind::Key, n) },
        },
        Wish::AddSecret { name, byte } => {
            Change::AddSecret { name: SECRETS[name], secret: Sealed(vec![byte]) }
        }
        Wish::AddClient { who, n, secret } => add_client(client(NAMES[who], n), secret),
        Wish::RemoveClient { who, stale } => {
            let clients = model.clients(None, u32::MAX).await.expect("a read");
            remove_client(kept_client(clients, who, stale))
        }
        Wish::ChangeClient { who, stale, secret } => {
            let clients = model.clients(None, u32::MAX).await.expect("a read");
            let secret = Some(secret).filter(|secret| secret % 2 == 0);
            change_client(kept_client(clients, who, stale), Rights::VERIFIER, secret)
        }
        Wish::UseClients { who, n } => {
            Change::UseClients(vec![(client(NAMES[who], n).name, at(i64::from(n) * 60))])
        }
        Wish::Remember { name, byte } => Change::Remember { name: SECRETS[name], value: byte.to_string() },
        Wish::ApplySettings { stale, byte, ends } => Change::ApplySettings {
            from: model.head().await.expect("a head").settings + u64::from(stale),
            values: vec![(SECRETS[0], byte.to_string())],
            entry: ends.then(|| entry(ScopeKind::Everything, 103)),
        },
        Wish::Raise { secs } => Change::RaiseLongestLifetime(secs * 1000),
        Wish::StartFlow { n, subject_hash, who, stale } => {
            let asked = model
                .earlier_requests(&[Digest([subject_hash; 16])], Digest([0; 16]), NOW)
                .await
                .expect("a read");
            let replaces = asked.flows[0].map(|(id, _)| id).filter(|_| !stale);
            let of = (n % 3 != 0).then_some(NAMES[who]);
            let started = if of.is_none() && subject_hash == 3 {
                let email = format!("{}@example.org", NAMES[(who + 1) % NAMES.len()]);
                Flow {
                    subject_hash: Digest([subject_hash; 16]),
                    ..registration(n, NAMES[who], &email, i64::from(n))
                }
            } else {
                flow(n, subject_hash, of, i64::from(n))
            };
            Change::StartFlow { flow: Box::new(started), replaces }
        }
        Wish::SpendTry { n } => Change::SpendTry(flow_id(n)),
        Wish::UseFlow { n } => Change::UseFlow(flow_id(n)),
        Wish::AddMail { n, recipient_hash, secs } => {
            let priority = MailPriority::ALL[usize::from(n % 3)];
            Change::AddMail(Box::new(Mail { priority, ..mail(n, recipient_hash, secs) }))
        }
        Wish::TryMail { n, attempts } => {
            Change::TryMail { mail: MailId::from_bytes([n; 16]), attempts, due_at: at(i64::from(n)) }
        }
        Wish::SettleMail { n, attempts, sent } => {
            let outcome = if sent { MailOutcome::Sent(at(i64::from(n))) } else { MailOutcome::NotSent };
            Change::SettleMail { mail: MailId::from_bytes([n; 16]), attempts, outcome }
        }
        Wish::DropMail { n } => Change::DropMail(MailId::from_bytes([n; 16])),
        Wish::Forget { now, limit } => Change::ForgetExpired { now: at(now), limit },
        Wish::Mark { now, limit } => Change::MarkExpired { now: at(now), limit },
        Wish::Delete { now, marked_until, limit } => {
            Change::DeleteMarked { now: at(now), marked_until: at(marked_until), limit }
        }
    }
}

fn key_id(n: u8) -> Kid {
    Kid::parse(&format!("key{n}")).expect("a key id")
}

/// The current key, which will be replaced.
async fn replaced(model: &dyn Store, n: u8) -> Option<(Kid, KeyState)> {
    let current = model.keys().await.expect("keys").into_iter().find(|key| key.state == KeyState::Current);
    current.map(|key| (key.kid, KeyState::Retiring { until: at(i64::from(n)) }))
}

async fn version(model: &dyn Store, who: usize) -> u64 {
    let loaded = model.account(&AccountBy::Subject(subject(NAMES[who])), NOW).await.expect("a read");
    loaded.account.map_or(1, |account| account.version)
}

async fn generation(model: &dyn Store, n: u8) -> u32 {
    model.session(sid(n)).await.expect("a read").found.map_or(0, |(session, _)| session.generation.0)
}

/// Applies the changes to the model and to a store, which is closed and opened again between some of them.
async fn agree(groups: Vec<Vec<Wish>>, open: impl AsyncFn() -> Box<dyn Store>) {
    let (model, mut store) = (MemoryStore::new(), open().await);
    for (number, group) in groups.into_iter().enumerate() {
        let mut changes = vec![];
        for wish in &group {
            changes.push(looked_up(wish, &model).await);
        }
        // A caller reads the entries of the audit before it seals them.
        store.audit_head().await.expect("a head");
        let expected = commit_all(&model, changes.clone()).await;
        assert_eq!(commit_all(&*store, changes.clone()).await, expected, "{changes:#?}");
        assert_eq!(*store.newest().borrow(), *model.newest().borrow());
        if number % 7 == 6 {
            drop(store);
            store = open().await;
        }
    }
    assert_eq!(everything(&*store).await, everything(&model).await);
    drop(store);
    assert_eq!(everything(&*open().await).await, everything(&model).await);
}

/// Runs a comparison with many random changes. The short run is deterministic; the long one explores further each
/// time.
fn compare(cases: u32, run: impl Fn(Vec<Vec<Wish>>)) {
    let soak = is_soak();
    let cases = if soak { cases * 25 } else { cases };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = if soak {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    let compared = runner.run(&wishes(), |groups| {
        run(groups);
        Ok(())
    });
    compared.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn soak_random_changes_have_the_same_outcome_in_both_stores() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    compare(200, |groups| {
        let directory = tempfile::tempdir().expect("a directory");
        runtime.block_on(agree(groups, async || Box::new(sqlite(directory.path())) as Box<dyn Store>));
    });
}

#[test]
fn soak_random_changes_have_the_same_outcome_in_postgresql() {
    if support::postgres::server().is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    compare(30, |groups| {
        runtime.block_on(async {
            let database = support::postgres::database().await.expect("a server");
            agree(groups, async || Box::new(InOrder::new(database.open().await)) as Box<dyn Store>).await;
        });
    });
}

/// Those that write at once, half of them in each of two processes.
const WRITERS: usize = 16;
/// The wishes, a prime number: each writer takes all of them, in an order of its own.
const WISHES: usize = 401;

#[test]
fn soak_random_changes_of_two_processes_never_deadlock() {
    let secs = if is_soak() { 600 } else { 5 };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let Some(database) = support::postgres::database().await else { return };
        let stores = [Arc::new(database.open().await), Arc::new(database.open().await)];
        let wishes = Arc::new(drawn());
        let over = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let (store, wishes) = (Arc::clone(&stores[number % 2]), Arc::clone(&wishes));
                let over = Arc::clone(&over);
                tokio::spawn(async move {
                    let (mut written, mut conflicts) = (0_u32, 0_u32);
                    for turn in 0.. {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        let wish = &wishes[(turn * (number + 1)) % WISHES];
                        let change = looked_up(wish, &*store).await;
                        match store.commit(change).await {
                            Ok(_) => written += 1,
                            Err(StoreError::Conflict) => conflicts += 1,
                            Err(error) => panic!("{wish:?}: {error}"),
                        }
                    }
                    (written, conflicts)
                })
            })
            .collect();
        let span = Duration::from_secs(secs);
        tokio::time::timeout(span, std::future::pending::<()>()).await.expect_err("it never ends");
        over.store(true, Ordering::Relaxed);
        let (mut written, mut conflicts) = (0, 0);
        for writer in writers {
            let of_one = writer.await.expect("no panic");
            (written, conflicts) = (written + of_one.0, conflicts + of_one.1);
        }
        assert!(written > 0, "{conflicts} conflicts");
        quash_store::check_log(&*stores[0]).await.expect("nothing but deleted entries is missing");
        drop(stores);
        assert_eq!(database.deadlocks().await, 0, "{written} changes were written, {conflicts} refused");
        tell(secs, written, conflicts);
    });
}

fn drawn() -> Vec<Wish> {
    let mut runner = TestRunner::deterministic();
    (0..WISHES).map(|_| wish().new_tree(&mut runner).expect("a wish").current()).collect()
}

#[expect(clippy::print_stderr, reason = "figures for whoever runs the test with --no-capture")]
fn tell(secs: u64, written: u32, conflicts: u32) {
    eprintln!("{written} random changes of two processes in {secs} s, {conflicts} conflicts, no deadlock");
}

/// The stored client of this name, or one that isn't stored.
fn kept_client(clients: Vec<StoredClient>, who: usize, stale: bool) -> Client {
    let mut named = clients.into_iter().map(|stored| stored.client);
    named
        .find(|client| client.name.as_str() == NAMES[who])
        .filter(|_| !stale)
        .unwrap_or_else(|| client(NAMES[who], 10))
}
