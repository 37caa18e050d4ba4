//! Small accounts, sessions and entries for the stores' tests, and a few ways to read a store. The tests
//! themselves state the expectations.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses another part of it")]

mod in_order;
pub(crate) mod postgres;
pub(crate) mod wait;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::Poll;

use quash_core::model::{
    Account, AccountBy, AccountEdit, AccountFields, AccountStatus, Actor, Adopted, Adoption, AuditFilter,
    Change, Client, ClientEdit, ClientName, CustomClaims, DeviceId, Digest, Email, Ends, Event, Flow, FlowId,
    Generation, Keep, KeyRecord, KeySource, KeyState, Kid, Mail, MailId, MailKind, MailPriority, Name,
    NewEntry, PasswordHash, PendingRegistration, Purpose, Reason, Receipt, RegistrationBy, Rights, ScopeKey,
    ScopeKind, Sealed, SecretDigest, Seq, Session, SessionEnd, SessionId, SessionOpening, SessionState,
    Subject, Survivor, Timestamp,
};
use quash_core::token::Algorithm;
use quash_store::{AccountSearch, SessionSearch, SqliteOptions, SqliteStore, Store, StoreError};

#[allow(unused_imports, clippy::allow_attributes, reason = "each test binary uses another part of it")]
pub(crate) use in_order::InOrder;

/// Whether the tests run in their long form.
#[expect(clippy::disallowed_methods, reason = "the duration of a test is not a setting of quash")]
pub(crate) fn is_soak() -> bool {
    std::env::var_os("QUASH_SOAK").is_some()
}

/// A new SQLite store in a directory.
pub(crate) fn sqlite(directory: &Path) -> SqliteStore {
    SqliteStore::open(&directory.join("quash.db"), SqliteOptions::default()).expect("a store")
}

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// `secs` after [`NOW`].
pub(crate) const fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::parse(name).expect("a subject")
}

pub(crate) fn account(name: &str) -> Account {
    let password = PasswordHash::new(format!("hash of {name}")).of_class(format!("class {}", name.len()));
    Account {
        password: Some(password),
        ..Account::new(subject(name), Name::parse(name).expect("a name"), NOW)
    }
}

pub(crate) fn by_name(folded: &str) -> AccountBy {
    AccountBy::Name(folded.to_owned())
}

pub(crate) fn with_email(name: &str, email: &str) -> Account {
    Account { email: Some(Email::parse(email).expect("an address")), ..account(name) }
}

pub(crate) fn sid(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

pub(crate) fn session(n: u8, of: &str, opened_seq: Seq) -> Session {
    Session {
        id: sid(n),
        subject: subject(of),
        generation: Generation(0),
        rotated_at: at(i64::from(n)),
        seed: [n; 16],
        opened_seq,
        opened_at: at(i64::from(n)),
        idle_until: at(86_400 + i64::from(n)),
        ends_at: Some(at(7 * 86_400)),
        state: SessionState::Live,
        device: Some(format!("browser {n}")),
        address: None,
        claims: CustomClaims::default(),
        adopted: None,
        known_device: None,
        client: None,
    }
}

/// A session that another issuer's token opens. The token expires a day after the session would.
pub(crate) fn adopting(n: u8, of: &str, opened_seq: Seq) -> Session {
    let adopted = Adopted { key: ScopeKey([100 + n; 16]), until: at(2 * 86_400 + i64::from(n)) };
    let claims = CustomClaims::parse(r#"{"role":"admin"}"#).expect("claims");
    Session { adopted: Some(adopted), claims, ..session(n, of, opened_seq) }
}

/// The change that opens it, for a token that was minted `secs` after [`NOW`] and is revoked by its own
/// scope.
pub(crate) fn adopt(session: Session, version: u64, secs: i64) -> Change {
    let scopes = session.adopted.iter().map(|adopted| adopted.key).collect();
    let adopts = Some(Adoption { minted_at: at(secs), scopes });
    Change::OpenSession(Box::new(SessionOpening { adopts, ..opening(session, version) }))
}

pub(crate) fn entry(kind: ScopeKind, n: u8) -> NewEntry {
    let (key, keep) = (ScopeKey([n; 16]), Keep::Longest);
    NewEntry {
        kind,
        key,
        keep,
        reason: Reason::Revoked,
        at: at(i64::from(n)),
        until: None,
        actor: Actor::Operator,
    }
}

pub(crate) fn end(n: u8) -> SessionEnd {
    let entry = NewEntry { reason: Reason::LogOut, actor: Actor::Owner, ..entry(ScopeKind::Session, n) };
    SessionEnd { session: sid(n), subject: subject("dana"), entry, adopted: None }
}

/// The end of a session that another issuer's token opened.
pub(crate) fn end_adopted(n: u8) -> SessionEnd {
    SessionEnd { adopted: Some(entry(ScopeKind::Token, 100 + n)), ..end(n) }
}

pub(crate) fn ends(sessions: Vec<SessionEnd>) -> Change {
    Change::EndSessions { sessions, tokens: Vec::new() }
}

pub(crate) fn opening(session: Session, version: u64) -> SessionOpening {
    SessionOpening {
        session,
        version,
        rehash: None,
        evict: None,
        most_live: u32::MAX,
        last_login: None,
        known_device: None,
        locks: None,
        adopts: None,
        claims: None,
    }
}

pub(crate) fn open(session: Session, version: u64) -> Change {
    open_evicting(session, version, None)
}

pub(crate) fn open_evicting(session: Session, version: u64, evict: Option<SessionEnd>) -> Change {
    Change::OpenSession(Box::new(SessionOpening { evict, ..opening(session, version) }))
}

pub(crate) fn open_rehashing(session: Session, version: u64, hash: &PasswordHash) -> Change {
    Change::OpenSession(Box::new(SessionOpening {
        rehash: Some((hash.clone(), "a mark".into())),
        last_login: Some(at(7)),
        ..opening(session, version)
    }))
}

pub(crate) fn rotate(n: u8, from: u32) -> Change {
    let later = i64::from(from) + 1000;
    Change::Rotate {
        session: sid(n),
        from: Generation(from),
        rotated_at: at(later),
        idle_until: at(86_400 + later),
    }
}

pub(crate) fn bind(n: u8, device: u8) -> Change {
    Change::BindSession { session: sid(n), device: DeviceId::from_bytes([device; 16]) }
}

pub(crate) fn end_account(name: &str, version: u64, survivor: Option<Survivor>) -> Change {
    let entry = NewEntry { reason: Reason::LogOutEverywhere, ..entry(ScopeKind::Subject, 200) };
    edit(name, version, AccountFields::default(), Ends::Sessions { entry, survivor })
}

pub(crate) fn edit(name: &str, version: u64, fields: AccountFields, ends: Ends) -> Change {
    let event = if ends == Ends::Nothing { Event::NameChanged } else { Event::SessionsEnded };
    let edit = AccountEdit {
        subject: subject(name),
        version,
        event,
        actor: Actor::Operator,
        at: at(300),
        fields,
        ends,
        note: None,
    };
    Change::EditAccount(Box::new(edit))
}

pub(crate) fn add(account: Account) -> Change {
    Change::AddAccount(account, Actor::Operator)
}

pub(crate) fn survivor(n: u8, generation: u32) -> Survivor {
    Survivor {
        session: sid(n),
        generation: Generation(generation),
        rotated_at: at(2000),
        idle_until: at(88_400),
    }
}

pub(crate) fn key(kid: &str, state: KeyState, created: Timestamp) -> KeyRecord {
    let kid = Kid::parse(kid).expect("a key id");
    KeyRecord {
        secret: Sealed(kid.as_str().into()),
        kid,
        algorithm: Algorithm::EdDsa,
        state,
        created_at: created,
        source: KeySource::Made,
    }
}

/// A client whose rights are the bits of a number, and which was added `n` seconds after [`NOW`].
pub(crate) fn client(name: &str, n: u8) -> Client {
    let rights = ["feed", "introspect", "revoke"]
        .iter()
        .enumerate()
        .filter(|(bit, _)| n >> bit & 1 == 1)
        .map(|(_, word)| *word);
    let rights = Rights::parse(&rights.collect::<Vec<_>>().join(" ")).expect("rights");
    Client {
        name: ClientName::parse(name).expect("a name"),
        rights,
        created_at: at(i64::from(n)),
        namespace: None,
        expires_at: None,
        version: 0,
    }
}

pub(crate) fn add_client(client: Client, secret: u8) -> Change {
    Change::AddClient { client, digest: SecretDigest([secret; 32]), actor: Actor::Operator, note: None }
}

pub(crate) fn remove_client(client: Client) -> Change {
    Change::RemoveClient { client, at: at(400), actor: Actor::Operator, note: None }
}

/// Gives a client other rights and an expiry, or a new secret.
pub(crate) fn change_client(client: Client, rights: Rights, secret: Option<u8>) -> Change {
    Change::ChangeClient(Box::new(ClientEdit {
        rights,
        expires_at: Some(at(5_000)),
        digest: secret.map(|secret| SecretDigest([secret; 32])),
        at: at(300),
        actor: Actor::Operator,
        note: None,
        client,
    }))
}

pub(crate) fn flow_id(n: u8) -> FlowId {
    FlowId::from_bytes([n; 16])
}

/// A flow with a subject hash, requested `secs` after [`NOW`].
pub(crate) fn flow(n: u8, subject_hash: u8, of: Option<&str>, secs: i64) -> Flow {
    Flow {
        id: flow_id(n),
        purpose: Purpose::ALL[usize::from(subject_hash % 3)],
        subject_hash: Digest([subject_hash; 16]),
        subject: of.map(subject),
        registration: None,
        address: of.map(|name| format!("{name}@example.org")),
        binding: Digest([n + 100; 16]),
        tries: 2,
        created_at: at(secs),
        expires_at: at(secs + 3600),
    }
}

/// A registration's flow with its own subject hash, requested `secs` after [`NOW`].
pub(crate) fn registration(n: u8, name: &str, email: &str, secs: i64) -> Flow {
    let password = PasswordHash::new(format!("hash {n}"));
    let password = if n.is_multiple_of(2) { password.of_class("class".into()) } else { password };
    let username = Name::parse(name).expect("a name");
    let registration = Some(PendingRegistration { username, password });
    Flow { registration, subject: None, address: Some(email.into()), ..flow(n, 200 + n, None, secs) }
}

pub(crate) fn start(flow: Flow, replaces: Option<u8>) -> Change {
    Change::StartFlow { flow: Box::new(flow), replaces: replaces.map(flow_id) }
}

/// A mail to a recipient, due `secs` after [`NOW`].
pub(crate) fn mail(n: u8, recipient_hash: u8, secs: i64) -> Mail {
    Mail {
        id: MailId::from_bytes([n; 16]),
        kind: MailKind::ALL[usize::from(n) % MailKind::ALL.len()],
        to: (!n.is_multiple_of(4)).then(|| format!("{recipient_hash}@example.org")),
        recipient_hash: Digest([recipient_hash; 16]),
        subject: n.is_multiple_of(3).then(|| subject("dana")),
        priority: MailPriority::Notice,
        flow: n.is_multiple_of(2).then(|| flow_id(n)),
        created_at: at(secs),
        due_at: at(secs),
        keep_until: at(secs + 7200),
        attempts: 0,
        uncertain_attempts: 0,
        sent_at: None,
    }
}

pub(crate) async fn commit(store: &dyn Store, change: Change) -> Receipt {
    store.commit(change).await.expect("a change whose guard holds")
}

pub(crate) async fn conflict(store: &dyn Store, change: Change) {
    let before = everything(store).await;
    assert_eq!(store.commit(change.clone()).await, Err(StoreError::Conflict), "{change:?}");
    assert_eq!(everything(store).await, before, "a conflict left a trace: {change:?}");
}

pub(crate) async fn head(store: &dyn Store) -> Seq {
    store.head().await.expect("a head").seq
}

/// Everything that can be read, to compare a store with itself or with another.
pub(crate) async fn everything(store: &dyn Store) -> String {
    let mut told = format!("{:#?}\n", store.head().await);
    told += &format!("{:#?}\n{:#?}\n", store.keys().await, store.entries_after(Seq::ZERO, u32::MAX).await);
    for name in ["first", "second", "third"] {
        told += &format!("{name} {:?}\n", store.secret(name).await.map(|found| found.map(|sealed| sealed.0)));
        told += &format!("{:?}\n", store.remembered(name).await);
    }
    told += &format!("{:?}\n", store.password_classes(u32::MAX).await);
    told += &format!("{:#?}\n", store.audit(0, None, u32::MAX).await);
    for filter in audit_filters() {
        told += &format!("{:?}\n", audit_numbers(store, &filter, u32::MAX).await);
    }
    told += &format!(
        "{:#?} {:#?}\n",
        store.audit_head().await,
        store.unblanked().await.map(|subject| subject.is_some())
    );
    for n in 0..10 {
        told += &format!("{:#?}\n", store.flow(flow_id(n)).await);
        for now in [at(100), at(3700)] {
            let subjects = [Digest([n; 16]), Digest([n + 1; 16])];
            told += &format!("{:?}\n", store.earlier_requests(&subjects, Digest([n; 16]), now).await);
        }
    }
    told += &format!("{:?}\n", store.clients(None, u32::MAX).await);
    for secret in 0..10 {
        told += &format!("{:?}\n", store.client(SecretDigest([secret; 32])).await);
    }
    for now in [at(-500), at(100), Timestamp::from_millis(i64::MAX)] {
        told += &format!("{:#?}\n", store.mails_due(now, u32::MAX).await);
    }
    for secs in [0, 50, 200] {
        told += &format!("{:?}\n", store.next_mail(at(secs)).await);
    }
    for (now, name) in
        [at(0), at(3605)].into_iter().flat_map(|now| ["dana", "kim", "lee", "max"].map(|name| (now, name)))
    {
        for by in [RegistrationBy::Name(name.into()), RegistrationBy::Email(format!("{name}@example.org"))] {
            let pending = store.registration(&by, now).await.expect("a read");
            told += &format!(
                "{pending:?} {:?}\n",
                pending
                    .as_ref()
                    .and_then(|flow| flow.registration.as_ref())
                    .map(|kept| kept.password.as_str())
            );
        }
    }
    for now in [NOW, at(100), at(86_403)] {
        for status in [None, Some(AccountStatus::Active), Some(AccountStatus::Locked)] {
            let search = AccountSearch::Name { prefix: String::new(), status };
            told += &format!("{:?}\n", store.search_accounts(&search, Some("dana"), now, 3).await);
        }
        told += &format!("{:?}\n", store.live_sessions(&SessionSearch::All, None, now, 5).await);
        told += &format!("{:?}\n", store.count_accounts(None, now, 9).await);
        told += &format!("{:?}\n", store.count_sessions(Some(sid(1)), now, 9).await);
    }
    let accounts = store.accounts(None, u32::MAX).await.expect("accounts");
    for account in accounts {
        told += &format!("{:?}\n", account.password.as_ref().map(PasswordHash::as_str));
        for now in [NOW, at(86_403)] {
            told += &format!("{:#?}\n", store.account(&by_name(account.username.folded()), now).await);
        }
        if let Some(email) = &account.email {
            told += &format!("{:#?}\n", store.account(&AccountBy::Email(email.folded()), NOW).await);
        }
        let loaded = store.account(&AccountBy::Subject(account.subject.clone()), at(1)).await;
        assert_eq!(loaded, store.account(&by_name(account.username.folded()), at(1)).await);
        let sessions = store.sessions_of(&account.subject, None, u32::MAX).await.expect("sessions");
        for session in &sessions {
            let loaded = store.session(session.id).await.expect("a session");
            assert_eq!(loaded.found, Some((session.clone(), account.clone())));
            if let Some(adopted) = session.adopted {
                let foreign =
                    store.foreign(adopted.key, &[adopted.key], adopted.key, None, NOW).await.expect("a read");
                assert_eq!(foreign.adopted, Some((session.clone(), account.clone())));
                told += &format!("{:?}\n", foreign.revoked);
            }
        }
        told += &format!("{sessions:#?}\n");
        let opened: Vec<Seq> = sessions.iter().map(|session| session.opened_seq).chain([Seq::ZERO]).collect();
        told += &format!("{:?}\n", store.endings(&account.subject, &opened).await);
    }
    told
}

/// Submits all changes in this order before it awaits the first outcome, so that they may share a
/// transaction.
pub(crate) async fn commit_all(store: &dyn Store, changes: Vec<Change>) -> Vec<Result<Receipt, StoreError>> {
    let mut commits: Vec<Pin<Box<dyn Future<Output = _> + Send + '_>>> =
        changes.into_iter().map(|change| store.commit(change)).collect();
    let mut outcomes: Vec<_> = commits.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (commit, outcome) in commits.iter_mut().zip(&mut outcomes) {
            if outcome.is_none()
                && let Poll::Ready(done) = commit.as_mut().poll(context)
            {
                *outcome = Some(done);
            }
        }
        if outcomes.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outcomes.into_iter().flatten().collect()
}

/// Dana with the sessions 1 and 2, at version 1.
pub(crate) async fn two_sessions(store: &dyn Store) {
    commit(store, Change::AddAccount(account("dana"), Actor::Operator)).await;
    for n in [1, 2] {
        commit(store, open(session(n, "dana", head(store).await), 1)).await;
    }
}

pub(crate) async fn read(store: &dyn Store, name: &str) -> Account {
    store
        .account(&AccountBy::Subject(subject(name)), NOW)
        .await
        .expect("a read")
        .account
        .expect("the account")
}

pub(crate) async fn state(store: &dyn Store, n: u8) -> SessionState {
    store.session(sid(n)).await.expect("a read").found.expect("the session").0.state
}

/// Checks that the numbers of the log have no gap, and that each entry continues the chain.
pub(crate) async fn whole_log(store: &dyn Store) {
    let (mut seq, mut chain) = (Seq::start_of(1), quash_core::watch::feed::EMPTY);
    for entry in store.entries_after(Seq::ZERO, u32::MAX).await.expect("entries") {
        quash_core::watch::feed::follows(seq, &chain, &entry).expect("the next entry");
        (seq, chain) = (entry.seq, entry.chain);
    }
    let head = store.head().await.expect("a head");
    assert_eq!((seq, chain), (head.seq, head.chain));
}

/// A filter of the audit for each index, and for several values at once.
pub(crate) fn audit_filters() -> Vec<AuditFilter> {
    let all = AuditFilter::default();
    let client = ClientName::parse("chat").expect("a name");
    vec![
        all.clone(),
        AuditFilter { from: Some(at(60)), until: Some(at(300)), ..all.clone() },
        AuditFilter { subject: Some(subject("dana")), ..all.clone() },
        AuditFilter { event: Some(Event::ClientAdded), ..all.clone() },
        AuditFilter { event: Some(Event::SignedIn), until: Some(at(200)), ..all.clone() },
        AuditFilter { actor: Some(Actor::Owner), ..all.clone() },
        AuditFilter { actor: Some(Actor::Client(client)), ..all.clone() },
        AuditFilter { actor: Some(Actor::Operator), event: Some(Event::AccountAdded), ..all.clone() },
        AuditFilter {
            subject: Some(subject("dana")),
            event: Some(Event::SessionEnded),
            from: Some(at(0)),
            ..all
        },
    ]
}

/// The numbers of the entries of a filter, page by page.
pub(crate) async fn audit_numbers(store: &dyn Store, filter: &AuditFilter, limit: u32) -> Vec<u64> {
    let mut before = (Timestamp::from_millis(i64::MAX), u64::MAX);
    let mut numbers = Vec::new();
    loop {
        let page = store.audit_before(before, filter, limit).await.expect("a read");
        assert!(page.len() <= limit as usize && page.iter().all(|audit| filter.matches(&audit.new)));
        let Some(last) = page.last() else { return numbers };
        before = (last.new.at, last.id);
        numbers.extend(page.iter().map(|audit| audit.id));
    }
}

/// Checks that the numbers of the audit have no gap.
pub(crate) async fn whole_audit(store: &dyn Store) {
    let entries = store.audit(0, None, u32::MAX).await.expect("a read");
    for (entry, number) in entries.iter().zip(1..) {
        assert_eq!(entry.id, number);
    }
    assert_eq!(store.audit_head().await.expect("a head").newest, u64::try_from(entries.len()).expect("few"));
}
