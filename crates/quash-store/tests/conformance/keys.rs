//! Signing keys and other secrets.

use quash_core::model::{
    Actor, Change, Event, KeyRecord, KeyState, Kid, NewEntry, Reason, ScopeKind, Sealed, Seq,
};
use quash_store::Store;

use crate::support::*;

const UNTIL: KeyState = KeyState::Retiring { until: NOW };

fn kid(text: &str) -> Kid {
    Kid::parse(text).expect("a key id")
}

fn add_key(key: KeyRecord, replaces: Option<(Kid, KeyState)>) -> Change {
    Change::AddKey { key, replaces, actor: Actor::Rule }
}

fn promote_key(name: &str, replaces: Option<(Kid, KeyState)>) -> Change {
    Change::PromoteKey { kid: kid(name), at: NOW, replaces, actor: Actor::Operator }
}

fn drop_key(name: &str) -> Change {
    Change::DropKey { kid: kid(name), at: NOW, actor: Actor::Rule }
}

fn strike_key(name: &str) -> Change {
    let entry = NewEntry { reason: Reason::KeyRemoved, at: NOW, ..entry(ScopeKind::Key, 7) };
    Change::RevokeKey { kid: kid(name), secret: Sealed(b"half".to_vec()), entry }
}

pub(crate) async fn a_key_replaces_the_current_one(store: &dyn Store) {
    let (first, second) = (key("first", KeyState::Current, at(1)), key("second", KeyState::Current, at(2)));
    let retiring = KeyState::Retiring { until: at(100) };
    conflict(store, add_key(second.clone(), Some((kid("first"), retiring)))).await;
    commit(store, add_key(first.clone(), None)).await;
    conflict(store, add_key(second.clone(), None)).await;
    conflict(store, add_key(second.clone(), Some((kid("other"), retiring)))).await;
    conflict(store, add_key(first.clone(), Some((kid("first"), retiring)))).await;
    conflict(store, add_key(second.clone(), Some((kid("first"), KeyState::Current)))).await;
    commit(store, add_key(second.clone(), Some((kid("first"), retiring)))).await;
    let third = key("third", KeyState::Current, at(0));
    conflict(store, add_key(third.clone(), Some((kid("first"), retiring)))).await;
    commit(store, add_key(third.clone(), Some((kid("second"), retiring)))).await;
    let (first, second) = (key("first", retiring, at(1)), key("second", retiring, at(2)));
    assert_eq!(store.keys().await, Ok(vec![third, first, second]));
}

pub(crate) async fn each_change_of_the_keys_turns_the_ring(store: &dyn Store) {
    let retiring = KeyState::Retiring { until: at(100) };
    let entry = NewEntry { reason: Reason::KeyRemoved, at: NOW, ..entry(ScopeKind::Key, 8) };
    let revoked = key("fourth", KeyState::Revoked { at: NOW }, at(4));
    let changes = [
        add_key(key("first", KeyState::Current, at(1)), None),
        add_key(key("second", KeyState::Next { since: at(2) }, at(2)), None),
        promote_key("second", Some((kid("first"), retiring))),
        Change::ResumeKey { kid: kid("first"), at: NOW, replaces: Some((kid("second"), retiring)) },
        drop_key("second"),
        strike_key("first"),
        Change::AddRevokedKey { key: revoked, entry },
    ];
    let ring = async || store.head().await.expect("a head").ring;
    for (change, turned) in changes.into_iter().zip(1..) {
        commit(store, change.clone()).await;
        assert_eq!(ring().await, turned, "{change:?}");
        conflict(store, change).await;
    }
    let third = add_key(key("third", KeyState::Current, at(3)), None);
    let next = add_key(key("fifth", KeyState::Next { since: at(5) }, at(5)), None);
    commit(store, Change::Together(vec![third, next])).await;
    assert_eq!(ring().await, 9, "two of the parts");
    commit(store, Change::Remember { name: "first", value: String::new() }).await;
    assert_eq!(ring().await, 9);
}

pub(crate) async fn retiring_keys_can_become_current_again(store: &dyn Store) {
    let until = KeyState::Retiring { until: at(100) };
    commit(store, add_key(key("first", KeyState::Current, at(1)), None)).await;
    let resume = |resumed: &str, replaced: &str, state| Change::ResumeKey {
        kid: kid(resumed),
        at: NOW,
        replaces: Some((kid(replaced), state)),
    };
    conflict(store, resume("first", "first", until)).await;
    commit(store, add_key(key("second", KeyState::Current, at(2)), Some((kid("first"), until)))).await;
    conflict(store, resume("second", "first", until)).await;
    conflict(store, resume("first", "second", KeyState::Current)).await;
    conflict(store, resume("other", "second", until)).await;
    commit(store, resume("first", "second", until)).await;
    assert_eq!(
        store.keys().await,
        Ok(vec![key("first", KeyState::Current, at(1)), key("second", until, at(2))])
    );
}

pub(crate) async fn remembered_settings_are_stored(store: &dyn Store) {
    assert_eq!(store.remembered("first").await, Ok(None));
    for value in ["a", "b", "b"] {
        commit(store, Change::Remember { name: "first", value: value.into() }).await;
        assert_eq!(store.remembered("first").await, Ok(Some(value.into())));
    }
    assert_eq!(store.remembered("second").await, Ok(None));
}

pub(crate) async fn a_key_is_dropped_only_while_retiring(store: &dyn Store) {
    conflict(store, drop_key("first")).await;
    commit(store, add_key(key("first", KeyState::Current, at(1)), None)).await;
    conflict(store, drop_key("first")).await;
    let second = key("second", KeyState::Current, at(2));
    commit(store, add_key(second.clone(), Some((kid("first"), KeyState::Retiring { until: at(9) })))).await;
    commit(store, drop_key("first")).await;
    assert_eq!(store.keys().await, Ok(vec![second]));
}

pub(crate) async fn a_secret_is_written_once(store: &dyn Store) {
    let add = |bytes: &[u8]| Change::AddSecret { name: "first", secret: Sealed(bytes.to_vec()) };
    commit(store, add(&[0, 255])).await;
    conflict(store, add(&[1])).await;
    assert_eq!(store.secret("first").await, Ok(Some(Sealed(vec![0, 255]))));
    assert_eq!(store.secret("second").await, Ok(None));
}

pub(crate) async fn only_one_next_key_is_stored(store: &dyn Store) {
    let next = |name| key(name, KeyState::Next { since: at(2) }, at(2));
    commit(store, add_key(key("first", KeyState::Current, at(1)), None)).await;
    conflict(store, add_key(next("second"), Some((kid("first"), UNTIL)))).await;
    conflict(store, add_key(key("second", UNTIL, at(2)), None)).await;
    conflict(store, add_key(key("second", KeyState::Revoked { at: NOW }, at(2)), None)).await;
    commit(store, add_key(next("second"), None)).await;
    conflict(store, add_key(next("third"), None)).await;
    conflict(store, add_key(next("first"), None)).await;
    assert_eq!(store.keys().await, Ok(vec![key("first", KeyState::Current, at(1)), next("second")]));
    commit(store, drop_key("second")).await;
    commit(store, add_key(next("third"), None)).await;
}

pub(crate) async fn the_next_key_is_promoted_over_the_current_one(store: &dyn Store) {
    commit(store, add_key(key("first", KeyState::Current, at(1)), None)).await;
    conflict(store, promote_key("second", Some((kid("first"), UNTIL)))).await;
    commit(store, add_key(key("second", KeyState::Next { since: at(2) }, at(2)), None)).await;
    conflict(store, promote_key("second", None)).await;
    conflict(store, promote_key("second", Some((kid("other"), UNTIL)))).await;
    conflict(store, promote_key("second", Some((kid("second"), UNTIL)))).await;
    for state in [KeyState::Current, KeyState::Next { since: NOW }, KeyState::Revoked { at: NOW }] {
        conflict(store, promote_key("second", Some((kid("first"), state)))).await;
    }
    conflict(store, promote_key("first", Some((kid("first"), UNTIL)))).await;
    commit(store, promote_key("second", Some((kid("first"), UNTIL)))).await;
    conflict(store, promote_key("second", Some((kid("first"), UNTIL)))).await;
    assert_eq!(
        store.keys().await,
        Ok(vec![key("first", UNTIL, at(1)), key("second", KeyState::Current, at(2))])
    );
    let noted = store.audit(0, None, 9).await.expect("entries");
    let events: Vec<_> =
        noted.iter().map(|audit| (audit.new.event, audit.new.kid.as_deref(), &audit.new.actor)).collect();
    let (added, promoted) = (Event::KeyAdded, Event::KeyPromoted);
    assert_eq!(
        events,
        [
            (added, Some("first"), &Actor::Rule),
            (added, Some("second"), &Actor::Rule),
            (promoted, Some("second"), &Actor::Operator)
        ]
    );
}

pub(crate) async fn keys_are_revoked_once_in_any_state(store: &dyn Store) {
    let struck = |name, created| KeyRecord {
        secret: Sealed(b"half".to_vec()),
        ..key(name, KeyState::Revoked { at: NOW }, at(created))
    };
    conflict(store, strike_key("first")).await;
    commit(store, add_key(key("first", KeyState::Current, at(1)), None)).await;
    commit(store, add_key(key("second", KeyState::Current, at(2)), Some((kid("first"), UNTIL)))).await;
    commit(store, add_key(key("third", KeyState::Next { since: at(3) }, at(3)), None)).await;
    for name in ["first", "second", "third"] {
        let receipt = commit(store, strike_key(name)).await;
        let entries = store.entries_after(Seq::ZERO, 9).await.expect("entries");
        let entry = entries.last().expect("an entry");
        assert_eq!(
            (Some(entry.seq), entry.kind, entry.reason),
            (receipt.seq, ScopeKind::Key, Reason::KeyRemoved)
        );
        conflict(store, strike_key(name)).await;
        conflict(store, drop_key(name)).await;
        conflict(store, promote_key(name, None)).await;
        conflict(store, Change::ResumeKey { kid: kid(name), at: NOW, replaces: None }).await;
    }
    assert_eq!(store.keys().await, Ok(vec![struck("first", 1), struck("second", 2), struck("third", 3)]));
    let last = store.audit(0, None, 9).await.expect("entries").pop().expect("an entry");
    assert_eq!(
        (last.new.event, last.new.kid.as_deref(), last.new.reason),
        (Event::KeyRevoked, Some("third"), Some(Reason::KeyRemoved))
    );
    assert_eq!(last.seq, Some(store.head().await.expect("a head").seq));
}

pub(crate) async fn keys_revoked_in_other_stores_can_be_added(store: &dyn Store) {
    let entry = || NewEntry { reason: Reason::KeyRemoved, at: NOW, ..entry(ScopeKind::Key, 7) };
    let know = |key: &KeyRecord| Change::AddRevokedKey { key: key.clone(), entry: entry() };
    let current = key("first", KeyState::Current, at(1));
    commit(store, add_key(current.clone(), None)).await;
    let struck = |name, created| key(name, KeyState::Revoked { at: at(3) }, at(created));
    for other in [
        struck("first", 1),
        key("second", UNTIL, at(2)),
        key("second", KeyState::Next { since: at(2) }, at(2)),
    ] {
        conflict(store, know(&other)).await;
    }
    conflict(store, know(&key("second", KeyState::Current, at(2)))).await;
    let receipt = commit(store, know(&struck("second", 2))).await;
    conflict(store, know(&struck("second", 2))).await;
    conflict(store, strike_key("second")).await;
    commit(store, know(&struck("third", 0))).await;
    assert_eq!(store.keys().await, Ok(vec![struck("third", 0), current, struck("second", 2)]));
    let entries = store.entries_after(Seq::ZERO, 9).await.expect("entries");
    let (first, kinds) = (&entries[0], entries.iter().map(|entry| entry.kind).collect::<Vec<_>>());
    assert_eq!(
        (Some(first.seq), first.reason, kinds),
        (receipt.seq, Reason::KeyRemoved, vec![ScopeKind::Key; 2])
    );
    let last = store.audit(0, None, 9).await.expect("entries").pop().expect("an entry");
    assert_eq!(
        (last.new.event, last.new.kid.as_deref(), last.new.reason),
        (Event::KeyRevoked, Some("third"), Some(Reason::KeyRemoved))
    );
}

pub(crate) async fn missing_current_keys_can_be_replaced(store: &dyn Store) {
    let current = |name, created| key(name, KeyState::Current, at(created));
    commit(store, add_key(current("first", 1), None)).await;
    commit(store, add_key(current("second", 2), Some((kid("first"), UNTIL)))).await;
    commit(store, add_key(key("third", KeyState::Next { since: at(3) }, at(3)), None)).await;
    commit(store, Change::Together(vec![strike_key("second"), promote_key("third", None)])).await;
    commit(store, strike_key("third")).await;
    commit(store, Change::ResumeKey { kid: kid("first"), at: NOW, replaces: None }).await;
    // All of it or nothing.
    conflict(store, Change::Together(vec![strike_key("first"), add_key(current("second", 4), None)])).await;
    commit(store, Change::Together(vec![strike_key("first"), add_key(current("fourth", 4), None)])).await;
    let states: Vec<_> =
        store.keys().await.expect("keys").into_iter().map(|key| (key.kid.to_string(), key.state)).collect();
    let struck = KeyState::Revoked { at: NOW };
    let names = ["first", "second", "third", "fourth"].map(str::to_owned);
    assert_eq!(
        states,
        names.into_iter().zip([struck, struck, struck, KeyState::Current]).collect::<Vec<_>>()
    );
}
