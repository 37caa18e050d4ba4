//! Accounts and reading them: uniqueness, counts, and order.

use std::time::Duration;

use quash_core::model::{
    Account, AccountBy, AccountClaims, AccountFields, AccountState, Change, CustomClaims, DeviceId, Devices,
    Email, Ends, Name, PasswordHash, Receipt, ScopeKind, Seq, Session, SessionOpening, Subject, limits,
};
use quash_core::watch::feed;
use quash_store::{Store, StoreError};

use crate::support::*;

pub(crate) async fn a_new_store_is_empty(store: &dyn Store) {
    let head = store.head().await.expect("a head");
    assert_eq!((head.seq, head.chain, head.sessions_before), (Seq::start_of(1), feed::EMPTY, Seq::ZERO));
    assert_eq!(store.accounts(None, 10).await, Ok(vec![]));
    assert_eq!(store.entries_after(Seq::ZERO, 10).await, Ok(vec![]));
    assert_eq!(store.keys().await, Ok(vec![]));
    assert_eq!(store.secret("first").await, Ok(None));
    assert_eq!((head.ring, head.settings, head.longest_lifetime), (0, 0, Duration::ZERO));
    assert_eq!(store.session(sid(1)).await.expect("a read").found, None);
    let loaded = store.account(&by_name("dana"), NOW).await.expect("a read");
    assert_eq!((loaded.account, loaded.live_sessions, loaded.longest_idle), (None, 0, None));
}

pub(crate) async fn an_account_is_read_back(store: &dyn Store) {
    let mut accounts =
        [with_email("Dana", "Dana@Example.org"), account("kim"), account("lee"), account("max")];
    accounts[0].email.as_mut().expect("an address").verified_at = Some(at(5));
    accounts[1].state = AccountState::Locked { since: at(-60), until: at(60) };
    accounts[1].claims = AccountClaims::Adopted(CustomClaims::parse(r#"{"role":"admin"}"#).expect("claims"));
    accounts[2].claims = AccountClaims::Set(CustomClaims::default());
    accounts[2].mark = Some("a mark".into());
    accounts[2].state = AccountState::Deactivated { at: at(-60) };
    accounts[3].password = None;
    accounts[3].sessions_before = Seq::start_of(1);
    accounts[3].version = 7;
    accounts[3].foreign_after = at(3);
    accounts[3].last_login_at = Some(at(4));
    for account in accounts {
        assert_eq!(commit(store, add(account.clone())).await, Receipt::default());
        let by_name = store.account(&by_name(account.username.folded()), NOW).await.expect("a read");
        assert_eq!(by_name.account.as_ref(), Some(&account));
        assert_eq!(
            store.account(&AccountBy::Subject(account.subject.clone()), NOW).await.expect("a read"),
            by_name
        );
    }
}

pub(crate) async fn accounts_are_found_by_a_unique_address(store: &dyn Store) {
    commit(store, add(with_email("dana", "Dana@Example.org"))).await;
    commit(store, add(account("kim"))).await;
    let found = async |folded: &str| {
        store.account(&AccountBy::Email(folded.into()), NOW).await.expect("a read").account
    };
    assert_eq!(found("dana@example.org").await, Some(with_email("dana", "Dana@Example.org")));
    assert_eq!(found("kim@example.org").await, None);
}

pub(crate) async fn confirmed_addresses_win_over_names_and_other_addresses(store: &dyn Store) {
    commit(store, add(with_email("dana", "kim@example.org"))).await;
    let found = async |folded: &str| {
        let found = store.account(&AccountBy::NameOrEmail(folded.into()), NOW).await.expect("a read").account;
        found.map(|account| account.subject.to_string())
    };
    assert_eq!(found("kim@example.org").await.as_deref(), Some("dana"));
    assert_eq!((found("dana").await.as_deref(), found("kim").await), (Some("dana"), None));
    commit(store, add(Account { subject: subject("kim"), ..account("kim@example.org") })).await;
    assert_eq!(found("kim@example.org").await.as_deref(), Some("kim"));
    let confirmed = Email { verified_at: Some(NOW), ..Email::parse("kim@example.org").expect("an address") };
    let fields = AccountFields { email: Some(Some(confirmed)), ..AccountFields::default() };
    commit(store, edit("dana", 1, fields, Ends::Nothing)).await;
    assert_eq!(found("kim@example.org").await.as_deref(), Some("dana"));
}

pub(crate) async fn accounts_need_unused_subjects_names_and_addresses(store: &dyn Store) {
    commit(store, add(with_email("dana", "dana@example.org"))).await;
    let renamed = |name: &str| Account { subject: subject("other"), ..account(name) };
    conflict(store, add(Account { subject: subject("dana"), ..account("other") })).await;
    conflict(store, add(renamed("DANA"))).await;
    conflict(store, add(with_email("other", "DANA@example.ORG"))).await;
    commit(store, add(renamed("other"))).await;
    // Two accounts without an address don't conflict.
    commit(store, add(account("third"))).await;
}

pub(crate) async fn concurrent_changes_never_share_an_address(store: &dyn Store) {
    let address = |of: &str, email: &str| {
        let fields = AccountFields { email: Some(Email::parse(email).ok()), ..AccountFields::default() };
        edit(of, 1, fields, Ends::Nothing)
    };
    commit(store, add(account("first"))).await;
    commit(store, add(account("second"))).await;
    for (one, other) in [
        (add(with_email("a", "a@example.org")), add(with_email("b", "A@Example.org"))),
        (add(with_email("c", "c@example.org")), address("first", "C@example.org")),
        (address("first", "d@example.org"), add(with_email("d", "D@example.org"))),
        (address("second", "e@example.org"), edit_address_again("first", "E@example.org")),
    ] {
        let outcomes = commit_all(store, vec![one, other]).await;
        assert!(outcomes[0].is_ok() && outcomes[1] == Err(StoreError::Conflict), "{outcomes:?}");
    }
    // Two changes of one transaction conflict, too, and nothing is written.
    let both = vec![add(with_email("f", "f@example.org")), add(with_email("g", "F@example.org"))];
    conflict(store, Change::Together(both)).await;
    assert_eq!(store.account(&by_name("f"), NOW).await.expect("a read").account, None);
    // An address that was given up is free.
    let gives_up = AccountFields { email: Some(None), ..AccountFields::default() };
    commit(store, edit("second", 2, gives_up, Ends::Nothing)).await;
    commit(store, edit_address_again("first", "e@example.org")).await;
}

/// Changes the address of an account that was edited once before.
fn edit_address_again(of: &str, email: &str) -> Change {
    let fields = AccountFields { email: Some(Email::parse(email).ok()), ..AccountFields::default() };
    edit(of, 2, fields, Ends::Nothing)
}

pub(crate) async fn a_name_is_never_the_subject_of_another_account(store: &dyn Store) {
    let named = |of: &str, name: &str| Account { subject: subject(of), ..account(name) };
    let rename = |of: &str, version, name: &str| {
        let fields = AccountFields { username: Name::parse(name).ok(), ..AccountFields::default() };
        edit(of, version, fields, Ends::Nothing)
    };
    commit(store, add(named("17", "dana"))).await;
    commit(store, add(named("lee", "Lee"))).await;
    commit(store, add(named("Kim", "noor"))).await;
    // The name is another account's subject, as typed or folded.
    for name in ["17", "LEE", "Kim", " \u{ff11}7 "] {
        conflict(store, add(named("other", name))).await;
    }
    // The subject is another account's name, in any spelling.
    for of in ["dana", "DANA", "Noor"] {
        conflict(store, add(named(of, "other"))).await;
    }
    conflict(store, rename("Kim", 1, "17")).await;
    conflict(store, rename("Kim", 1, "LEE")).await;
    // An account's name may be its own subject, or the subject of a deleted account.
    commit(store, rename("Kim", 1, "Kim")).await;
    commit(store, rename("17", 1, "17")).await;
    let entry = entry(ScopeKind::Subject, 5);
    commit(store, Change::DeleteAccount { subject: subject("lee"), version: 1, entry, note: None }).await;
    commit(store, rename("Kim", 2, "lee")).await;
}

pub(crate) async fn concurrent_changes_never_make_a_name_a_subject(store: &dyn Store) {
    let named = |of: &str, name: &str| add(Account { subject: subject(of), ..account(name) });
    let rename = |of: &str, name: &str| {
        let fields = AccountFields { username: Name::parse(name).ok(), ..AccountFields::default() };
        edit(of, 1, fields, Ends::Nothing)
    };
    commit(store, named("first", "dana")).await;
    commit(store, named("second", "kim")).await;
    for (one, other) in [
        (named("21", "lee"), named("third", "21")),
        (named("fourth", "22"), named("22", "max")),
        (rename("first", "23"), named("23", "noor")),
        (named("24", "ola"), rename("second", "24")),
    ] {
        let outcomes = commit_all(store, vec![one, other]).await;
        assert!(outcomes[0].is_ok() && outcomes[1] == Err(StoreError::Conflict), "{outcomes:?}");
    }
}

pub(crate) async fn the_largest_number_counts_deleted_accounts(store: &dyn Store) {
    let numbered = |number: &str, name: &str| add(Account { subject: subject(number), ..account(name) });
    assert_eq!(store.largest_number().await, Ok(0));
    for (number, name, largest) in [
        ("9", "dana", 9),
        ("10", "kim", 10),
        ("017", "lee", 10),
        ("0", "max", 10),
        ("-20", "noor", 10),
        ("20 ", "ola", 10),
        ("1000000000000000", "pia", 10),
        ("12", "quinn", 12),
    ] {
        commit(store, numbered(number, name)).await;
        assert_eq!(store.largest_number().await, Ok(largest), "{number}");
    }
    let entry = entry(ScopeKind::Subject, 5);
    commit(store, Change::DeleteAccount { subject: subject("12"), version: 1, entry, note: None }).await;
    assert_eq!(
        (store.is_gone(&subject("12")).await, store.is_gone(&subject("10")).await),
        (Ok(true), Ok(false))
    );
    assert_eq!(store.largest_number().await, Ok(12), "a deleted account's number is never given again");
    conflict(store, numbered("12", "rui")).await;
    conflict(store, numbered("10", "rui")).await;
    commit(store, numbered("999999999999999", "rui")).await;
    assert_eq!(store.largest_number().await, Ok(Subject::MAX_NUMBER));
}

pub(crate) async fn accounts_are_ordered_by_name(store: &dyn Store) {
    for name in ["kim", "Äsa", "DANA", "lee"] {
        commit(store, add(account(name))).await;
    }
    let names = async |after: Option<&str>, limit| {
        let accounts = store.accounts(after, limit).await.expect("accounts");
        accounts.iter().map(|account| account.username.shown().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(None, 10).await, ["DANA", "kim", "lee", "Äsa"]);
    assert_eq!(names(None, 2).await, ["DANA", "kim"]);
    assert_eq!(names(Some("kim"), 1).await, ["lee"]);
    assert_eq!(names(Some("x"), 10).await, ["Äsa"]);
    assert_eq!(names(None, 0).await, [""; 0]);
}

pub(crate) async fn rehashing_keeps_the_account_version(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    let better = PasswordHash::new("better".into());
    let opened = session(1, "dana", head(store).await);
    conflict(store, open_rehashing(opened.clone(), 2, &better)).await;
    commit(store, open_rehashing(opened, 1, &better)).await;
    let (password, mark) = (Some(better), Some("a mark".into()));
    assert_eq!(
        read(store, "dana").await,
        Account { password, mark, last_login_at: Some(at(7)), ..account("dana") }
    );
}

pub(crate) async fn sign_ins_can_update_the_lock_count(store: &dyn Store) {
    commit(store, add(Account { locks: 3, ..account("dana") })).await;
    let head = head(store).await;
    let opened = |n, locks| {
        Change::OpenSession(Box::new(SessionOpening { locks, ..opening(session(n, "dana", head), 1) }))
    };
    commit(store, opened(1, None)).await;
    assert_eq!(read(store, "dana").await, Account { locks: 3, ..account("dana") });
    commit(store, opened(2, Some(0))).await;
    assert_eq!(read(store, "dana").await, account("dana"), "and that is no new version");
}

pub(crate) async fn known_devices_are_ordered_and_limited(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    let head = head(store).await;
    let from = |n, device| {
        let device = Some(DeviceId::from_bytes([device; 16]));
        SessionOpening {
            known_device: device,
            ..opening(Session { known_device: device, ..session(n, "dana", head) }, 1)
        }
    };
    let devices = |all: &[u8]| {
        all.iter().map(|n| DeviceId::from_bytes([*n; 16])).fold(Devices::default(), Devices::with)
    };
    conflict(store, Change::OpenSession(Box::new(SessionOpening { version: 2, ..from(1, 1) }))).await;
    commit(store, Change::OpenSession(Box::new(opening(session(50, "dana", head), 1)))).await;
    assert_eq!(read(store, "dana").await, account("dana"));
    let most = u8::try_from(limits::DEVICES).expect("few");
    // One more than the limit, and one that is already known.
    for (n, device) in (1..=most + 1).chain([5]).enumerate() {
        commit(store, Change::OpenSession(Box::new(from(n as u8, device)))).await;
    }
    let known: Vec<u8> = (2..=most + 1).filter(|n| *n != 5).chain([5]).collect();
    assert_eq!(
        read(store, "dana").await,
        Account { devices: devices(&known), ..account("dana") },
        "and that is no new version"
    );
    let sessions = store.sessions_of(&subject("dana"), None, 99).await.expect("sessions");
    assert_eq!(sessions[0], from(0, 1).session, "sessions keep theirs");
    let fields = |known: &[u8]| AccountFields { devices: Some(devices(known)), ..AccountFields::default() };
    commit(store, edit("dana", 1, fields(&[]), Ends::Nothing)).await;
    assert_eq!(read(store, "dana").await, Account { version: 2, ..account("dana") });
    conflict(store, Change::OpenSession(Box::new(from(60, 1)))).await;
    commit(store, edit("dana", 2, fields(&[7, 8]), Ends::Nothing)).await;
    commit(store, edit("dana", 3, AccountFields::default(), Ends::Nothing)).await;
    assert_eq!(
        read(store, "dana").await,
        Account { version: 4, devices: devices(&[7, 8]), ..account("dana") }
    );
}

pub(crate) async fn password_classes_are_listed_once_each(store: &dyn Store) {
    let classes = async |limit| store.password_classes(limit).await.expect("classes");
    assert_eq!(classes(9).await, [""; 0]);
    for name in ["dana", "kim", "lee", "nils"] {
        commit(store, add(account(name))).await;
    }
    commit(store, add(Account { password: None, ..account("nobody") })).await;
    commit(
        store,
        add(Account { password: Some(PasswordHash::new("of no class".into())), ..account("somebody") }),
    )
    .await;
    assert_eq!(classes(9).await, ["class 3", "class 4"]);
    assert_eq!(classes(1).await, ["class 3"]);
    let better = PasswordHash::new("better".into()).of_class("class 9".into());
    commit(store, open_rehashing(session(1, "kim", head(store).await), 1, &better)).await;
    let password = AccountFields { password: Some(Some(better)), ..AccountFields::default() };
    commit(
        store,
        edit("lee", 1, password, Ends::Sessions { entry: entry(ScopeKind::Subject, 200), survivor: None }),
    )
    .await;
    assert_eq!(classes(9).await, ["class 4", "class 9"]);
    commit(store, end_account("lee", 2, None)).await;
    assert_eq!(classes(9).await, ["class 4", "class 9"], "ending sessions changes no class");
}

pub(crate) async fn only_live_sessions_are_counted(store: &dyn Store) {
    two_sessions(store).await;
    let counted = async |now| {
        let loaded = store.account(&by_name("dana"), now).await.expect("a read");
        (loaded.live_sessions, loaded.longest_idle.map(|longest_idle| longest_idle.id))
    };
    assert_eq!(counted(NOW).await, (2, Some(sid(1))));
    // The first is idle until exactly then.
    assert_eq!(counted(at(86_401)).await, (1, Some(sid(2))));
    assert_eq!(counted(at(86_402)).await, (0, None));
    commit(store, ends(vec![end(1)])).await;
    assert_eq!(counted(NOW).await, (1, Some(sid(2))));
    commit(store, end_account("dana", 1, Some(survivor(2, 0)))).await;
    assert_eq!(counted(NOW).await, (1, Some(sid(2))));
    commit(store, end_account("dana", 2, None)).await;
    assert_eq!(counted(NOW).await, (0, None));
    commit(store, open(session(3, "dana", head(store).await), 3)).await;
    assert_eq!(counted(NOW).await, (1, Some(sid(3))));
    commit(store, Change::EndEverything { entry: entry(ScopeKind::Everything, 9) }).await;
    assert_eq!(counted(NOW).await, (0, None));
}

pub(crate) async fn the_idlest_session_was_rotated_longest_ago(store: &dyn Store) {
    two_sessions(store).await;
    let longest_idle = async || {
        store
            .account(&by_name("dana"), NOW)
            .await
            .expect("a read")
            .longest_idle
            .map(|longest_idle| longest_idle.id)
    };
    commit(store, rotate(1, 0)).await;
    assert_eq!(longest_idle().await, Some(sid(2)));
    // Rotated at the same time: the lower id.
    commit(store, rotate(2, 0)).await;
    assert_eq!(longest_idle().await, Some(sid(1)));
}

pub(crate) async fn edits_change_only_named_fields_and_sessions(store: &dyn Store) {
    two_sessions(store).await;
    let before = read(store, "dana").await;
    let none = AccountFields::default();
    commit(store, edit("dana", 1, none.clone(), Ends::Nothing)).await;
    assert_eq!(read(store, "dana").await, Account { version: 2, ..before.clone() });
    let claims = CustomClaims::parse(r#"{"role":"admin"}"#).expect("claims");
    let fields = AccountFields {
        username: Some(Name::parse("Ďana").expect("a name")),
        email: Some(Email::parse("new@example.org").ok()),
        temporary_until: Some(Some(at(9))),
        locks: Some(3),
        claims: Some(claims.clone()),
        mark: Some(Some("a mark".into())),
        ..none.clone()
    };
    commit(store, edit("dana", 2, fields.clone(), Ends::Access(entry(ScopeKind::Subject, 5)))).await;
    let after = read(store, "dana").await;
    let wanted = Account {
        username: Name::parse("Ďana").expect("a name"),
        email: Email::parse("new@example.org").ok(),
        temporary_until: Some(at(9)),
        locks: 3,
        claims: AccountClaims::Set(claims),
        mark: Some("a mark".into()),
        version: 3,
        ..before.clone()
    };
    assert_eq!(after, wanted, "`sessions_before` and `foreign_after` don't change");
    assert_eq!(store.entries_after(Seq::ZERO, 9).await.expect("entries").len(), 1);
    commit(store, rotate(1, 0)).await;
    let empty = AccountFields {
        email: Some(None),
        password: Some(None),
        temporary_until: Some(None),
        claims: Some(CustomClaims::default()),
        mark: Some(None),
        ..none
    };
    commit(store, edit("dana", 3, empty, Ends::Nothing)).await;
    let claims = AccountClaims::Set(CustomClaims::default());
    let wanted = Account {
        email: None,
        password: None,
        temporary_until: None,
        claims,
        mark: None,
        version: 4,
        ..wanted
    };
    assert_eq!(read(store, "dana").await, wanted);
    conflict(store, edit("dana", 3, fields, Ends::Nothing)).await;
}

pub(crate) async fn edits_cannot_take_used_names_or_addresses(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    commit(store, add(with_email("kim", "kim@example.org"))).await;
    let name = |name: &str| AccountFields { username: Name::parse(name).ok(), ..AccountFields::default() };
    let email =
        |email: &str| AccountFields { email: Some(Email::parse(email).ok()), ..AccountFields::default() };
    conflict(store, edit("dana", 1, name("Kim"), Ends::Nothing)).await;
    conflict(store, edit("dana", 1, email("KIM@example.org"), Ends::Nothing)).await;
    let ends = Ends::Sessions { entry: entry(ScopeKind::Subject, 5), survivor: None };
    conflict(store, edit("dana", 1, email("kim@example.org"), ends)).await;
    assert_eq!(store.entries_after(Seq::ZERO, 9).await.expect("entries"), [], "a conflict leaves no entry");
    commit(store, edit("kim", 1, name("KIM"), Ends::Nothing)).await;
    commit(store, edit("kim", 2, email("Kim@Example.org"), Ends::Nothing)).await;
}

pub(crate) async fn deleted_accounts_lose_sessions_and_keep_subjects_reserved(store: &dyn Store) {
    two_sessions(store).await;
    let delete = |version| Change::DeleteAccount {
        subject: subject("dana"),
        version,
        entry: entry(ScopeKind::Subject, 5),
        note: None,
    };
    conflict(store, delete(2)).await;
    commit(store, delete(1)).await;
    assert_eq!(store.account(&by_name("dana"), NOW).await.expect("a read").account, None);
    assert_eq!(store.session(sid(1)).await.expect("a read").found, None);
    assert_eq!(store.sessions_of(&subject("dana"), None, 9).await.expect("a read"), []);
    assert_eq!(store.entries_after(Seq::ZERO, 9).await.expect("entries").len(), 1);
    conflict(store, delete(1)).await;
    conflict(store, add(account("dana"))).await;
    // The name may belong to another account now.
    let other = Account { username: Name::parse("dana").expect("a name"), ..account("another") };
    commit(store, add(other)).await;
}

pub(crate) async fn grouped_changes_are_atomic(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    let remember = |value: &str| Change::Remember { name: "a name", value: value.into() };
    let revoke = |n| Change::Revoke { entry: entry(ScopeKind::Token, n) };
    conflict(store, Change::Together(vec![remember("one"), revoke(1), add(account("dana"))])).await;
    assert_eq!(store.remembered("a name").await.expect("a read"), None);
    assert_eq!(store.entries_after(Seq::ZERO, 9).await.expect("entries"), []);
    // A later change may hold because of an earlier one.
    let both = vec![
        add(account("kim")),
        edit("kim", 1, AccountFields::default(), Ends::Nothing),
        revoke(1),
        remember("two"),
    ];
    let receipt = commit(store, Change::Together(both)).await;
    assert_eq!(receipt.seq, Some(head(store).await), "the number of the last entry, whatever came after it");
    assert_eq!(
        (read(store, "kim").await.version, store.remembered("a name").await.expect("a read")),
        (2, Some("two".into()))
    );
    assert_eq!(commit(store, Change::Together(Vec::new())).await, Receipt::default());
}
