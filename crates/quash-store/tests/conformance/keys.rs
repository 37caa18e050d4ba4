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

pub(crate) async fn a_key_is_dropped_only_while_retiring(store: &dyn Store) {
    let kid = || Kid::parse("first").expect("a key id");
    conflict(store, Change::DropKey { kid: kid() }).await;
    commit(store, Change::AddKey { key: key("first", KeyState::Current, at(1)), replaces: None }).await;
    conflict(store, Change::DropKey { kid: kid() }).await;
    let second = key("second", KeyState::Current, at(2));
    commit(store, Change::AddKey { key: second.clone(), replaces: Some((kid(), KeyState::Retiring { until: at(9) })) }).await;
    commit(store, Change::DropKey { kid: kid() }).await;
    assert_eq!(store.keys().await, Ok(vec![second]));
}

pub(crate) async fn a_secret_is_written_once(store: &dyn Store) {
    let add = |bytes: &[u8]| Change::AddSecret { name: "first", secret: Sealed(bytes.to_vec()) };
    commit(store, add(&[0, 255])).await;
    conflict(store, add(&[1])).await;
    assert_eq!(store.secret("first").await, Ok(Some(Sealed(vec![0, 255]))));
    assert_eq!(store.secret("second").await, Ok(None));
}
