//! Signing keys and other secrets.

use quash_core::model::{Change, KeyState, Kid, Sealed};
use quash_store::Store;

use crate::support::*;

pub(crate) async fn a_key_replaces_the_current_one(store: &dyn Store) {
    let (first, second) = (key("first", KeyState::Current, at(1)), key("second", KeyState::Current, at(2)));
    let retiring = KeyState::Retiring { until: at(100) };
    let kid = |text| Kid::parse(text).expect("a key id");
    conflict(store, Change::AddKey { key: second.clone(), replaces: Some((kid("first"), retiring)) }).await;
    commit(store, Change::AddKey { key: first.clone(), replaces: None }).await;
    conflict(store, Change::AddKey { key: second.clone(), replaces: None }).await;
    conflict(store, Change::AddKey { key: second.clone(), replaces: Some((kid("other"), retiring)) }).await;
    conflict(store, Change::AddKey { key: first.clone(), replaces: Some((kid("first"), retiring)) }).await;
    conflict(store, Change::AddKey { key: second.clone(), replaces: Some((kid("first"), KeyState::Current)) }).await;
    commit(store, Change::AddKey { key: second.clone(), replaces: Some((kid("first"), retiring)) }).await;
    let third = key("third", KeyState::Current, at(0));
    conflict(store, Change::AddKey { key: third.clone(), replaces: Some((kid("first"), retiring)) }).await;
    commit(store, Change::AddKey { key: third.clone(), replaces: Some((kid("second"), retiring)) }).await;
    let (first, second) = (key("first", retiring, at(1)), key("second", retiring, at(2)));
    assert_eq!(store.keys().await, Ok(vec![third, first, second]));
}

pub(crate) async fn a_retiring_key_is_resumed(store: &dyn Store) {
    let kid = |text: &str| Kid::parse(text).expect("a key id");
    let until = KeyState::Retiring { until: at(100) };
    commit(store, Change::AddKey { key: key("first", KeyState::Current, at(1)), replaces: None }).await;
    let resume = |resumed: &str, replaced: &str, state| Change::ResumeKey { kid: kid(resumed), at: NOW, replaces: (kid(replaced), state) };
    conflict(store, resume("first", "first", until)).await;
    commit(store, Change::AddKey { key: key("second", KeyState::Current, at(2)), replaces: Some((kid("first"), until)) }).await;
    conflict(store, resume("second", "first", until)).await;
    conflict(store, resume("first", "second", KeyState::Current)).await;
    conflict(store, resume("other", "second", until)).await;
    commit(store, resume("first", "second", until)).await;
    assert_eq!(store.keys().await, Ok(vec![key("first", KeyState::Current, at(1)), key("second", until, at(2))]));
}

pub(crate) async fn a_setting_is_remembered(store: &dyn Store) {
    assert_eq!(store.remembered("first").await, Ok(None));
    for value in ["a", "b", "b"] {
        commit(store, Change::Remember { name: "first", value: value.into() }).await;
        assert_eq!(store.remembered("first").await, Ok(Some(value.into())));
    }
    assert_eq!(store.remembered("second").await, Ok(None));
}

pub(crate) async fn a_key_is_dropped_only_while_retiring(store: &dyn Store) {
    let kid = || Kid::parse("first").expect("a key id");
    conflict(store, Change::DropKey { kid: kid(), at: NOW }).await;
    commit(store, Change::AddKey { key: key("first", KeyState::Current, at(1)), replaces: None }).await;
    conflict(store, Change::DropKey { kid: kid(), at: NOW }).await;
    let second = key("second", KeyState::Current, at(2));
    commit(store, Change::AddKey { key: second.clone(), replaces: Some((kid(), KeyState::Retiring { until: at(9) })) }).await;
    commit(store, Change::DropKey { kid: kid(), at: NOW }).await;
    assert_eq!(store.keys().await, Ok(vec![second]));
}

pub(crate) async fn a_secret_is_written_once(store: &dyn Store) {
    let add = |bytes: &[u8]| Change::AddSecret { name: "first", secret: Sealed(bytes.to_vec()) };
    commit(store, add(&[0, 255])).await;
    conflict(store, add(&[1])).await;
    assert_eq!(store.secret("first").await, Ok(Some(Sealed(vec![0, 255]))));
    assert_eq!(store.secret("second").await, Ok(None));
}
