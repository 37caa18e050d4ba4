//! Clients: other services with their own secrets, and the sessions that they have opened.

use quash_core::model::{Change, Client, ClientName, Event, Rights, SecretDigest, Session, StoredClient};
use quash_store::Store;

use crate::support::*;

async fn names(store: &dyn Store, after: Option<&str>, limit: u32) -> Vec<String> {
    let after = after.map(|name| ClientName::parse(name).expect("a name"));
    let clients = store.clients(after.as_ref(), limit).await.expect("a read");
    clients.into_iter().map(|stored| stored.client.name.to_string()).collect()
}

pub(crate) async fn clients_are_found_by_secret_digest(store: &dyn Store) {
    let chat = client("chat", 5);
    assert_eq!(store.client(SecretDigest([1; 32])).await, Ok(None));
    commit(store, add_client(chat.clone(), 1)).await;
    assert_eq!(store.client(SecretDigest([1; 32])).await, Ok(Some(chat)));
    assert_eq!(store.client(SecretDigest([2; 32])).await, Ok(None));
}

pub(crate) async fn clients_need_unused_names_and_secrets(store: &dyn Store) {
    commit(store, add_client(client("chat", 1), 1)).await;
    conflict(store, add_client(client("chat", 2), 2)).await;
    conflict(store, add_client(client("wiki", 2), 1)).await;
    commit(store, add_client(client("wiki", 2), 2)).await;
}

pub(crate) async fn clients_are_removed_only_if_unchanged(store: &dyn Store) {
    let chat = client("chat", 1);
    conflict(store, remove_client(chat.clone())).await;
    commit(store, add_client(chat.clone(), 1)).await;
    conflict(store, remove_client(client("chat", 2))).await;
    conflict(store, remove_client(client("wiki", 1))).await;
    commit(store, remove_client(chat.clone())).await;
    assert_eq!(store.client(SecretDigest([1; 32])).await, Ok(None));
    conflict(store, remove_client(chat.clone())).await;
    commit(store, add_client(chat, 1)).await;
}

pub(crate) async fn clients_keep_their_namespace(store: &dyn Store) {
    let site = Client { namespace: Some("shop".into()), ..client("site", 7) };
    commit(store, add_client(site.clone(), 1)).await;
    assert_eq!(store.client(SecretDigest([1; 32])).await, Ok(Some(site.clone())));
    conflict(store, remove_client(client("site", 7))).await;
    commit(store, remove_client(site)).await;
}

pub(crate) async fn clients_are_changed_only_if_unchanged(store: &dyn Store) {
    let chat = Client { namespace: Some("shop".into()), ..client("chat", 1) };
    conflict(store, change_client(chat.clone(), Rights::VERIFIER, None)).await;
    commit(store, add_client(chat.clone(), 1)).await;
    commit(store, add_client(client("wiki", 1), 2)).await;
    commit(store, change_client(chat.clone(), Rights::VERIFIER, None)).await;
    let changed =
        Client { rights: Rights::VERIFIER, expires_at: Some(at(5_000)), version: 1, ..chat.clone() };
    assert_eq!(store.client(SecretDigest([1; 32])).await, Ok(Some(changed.clone())));
    conflict(store, change_client(chat.clone(), Rights::VERIFIER, None)).await;
    conflict(store, remove_client(chat)).await;
    // Another client has this secret.
    conflict(store, change_client(changed.clone(), Rights::NAMESPACE, Some(2))).await;
    commit(store, change_client(changed.clone(), Rights::NAMESPACE, Some(3))).await;
    let renewed = Client { rights: Rights::NAMESPACE, version: 2, ..changed };
    assert_eq!(store.client(SecretDigest([1; 32])).await, Ok(None));
    assert_eq!(store.client(SecretDigest([3; 32])).await, Ok(Some(renewed.clone())));
    let stored = StoredClient { client: renewed.clone(), last_used_at: None };
    assert_eq!(store.client_named(&renewed.name).await, Ok(Some(stored)));
    assert_eq!(store.client_named(&ClientName::parse("none").expect("a name")).await, Ok(None));
    commit(store, remove_client(renewed)).await;
}

pub(crate) async fn the_last_use_of_clients_only_moves_on(store: &dyn Store) {
    let (chat, none) = (client("chat", 1), ClientName::parse("none").expect("a name"));
    commit(store, add_client(chat.clone(), 1)).await;
    let used = async |secs| {
        commit(store, Change::UseClients(vec![(chat.name.clone(), at(secs)), (none.clone(), at(secs))]))
            .await;
        let stored = store.client_named(&chat.name).await.expect("a read").expect("a client");
        assert_eq!(stored.client, chat, "no change of the client");
        stored.last_used_at
    };
    assert_eq!(used(60).await, Some(at(60)));
    assert_eq!(used(30).await, Some(at(60)));
    assert_eq!(used(120).await, Some(at(120)));
    assert_eq!(store.audit(0, None, 10).await.expect("a read").len(), 1, "it is no event");
    commit(store, remove_client(chat.clone())).await;
    let later = Client { created_at: at(200), ..chat.clone() };
    commit(store, add_client(later.clone(), 1)).await;
    let earlier = Change::UseClients(vec![(chat.name.clone(), at(199))]);
    commit(store, earlier).await;
    let stored = store.client_named(&chat.name).await.expect("a read").expect("a client");
    assert_eq!(stored, StoredClient { client: later, last_used_at: None }, "its namesake was used");
}

pub(crate) async fn clients_are_paginated(store: &dyn Store) {
    for (n, name) in (1..).zip(["wiki", "chat", "chat-2", "0"]) {
        commit(store, add_client(client(name, n), n)).await;
    }
    assert_eq!(names(store, None, 10).await, ["0", "chat", "chat-2", "wiki"]);
    assert_eq!(names(store, None, 2).await, ["0", "chat"]);
    assert_eq!(names(store, Some("chat"), 1).await, ["chat-2"]);
    assert_eq!(names(store, Some("x"), 10).await, [""; 0]);
}

pub(crate) async fn client_changes_are_audited(store: &dyn Store) {
    commit(store, add_client(client("chat", 1), 1)).await;
    commit(store, change_client(client("chat", 1), Rights::VERIFIER, None)).await;
    let changed = store.client(SecretDigest([1; 32])).await.expect("a read").expect("a client");
    commit(store, change_client(changed, Rights::VERIFIER, Some(2))).await;
    let renewed = store.client(SecretDigest([2; 32])).await.expect("a read").expect("a client");
    commit(store, remove_client(renewed)).await;
    let audit = store.audit(0, None, 10).await.expect("a read");
    let told: Vec<_> = audit
        .iter()
        .map(|audit| {
            (
                audit.new.event,
                audit.new.at,
                audit.new.person.as_ref().and_then(|person| person.name.as_deref()),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Event::ClientAdded, at(1), Some("chat")),
            (Event::ClientChanged, at(300), Some("chat")),
            (Event::ClientSecretRenewed, at(300), Some("chat")),
            (Event::ClientRemoved, at(400), Some("chat"))
        ]
    );
    assert!(!format!("{audit:?}").contains(&format!("{:?}", [1; 32])), "a digest is in the audit");
}

pub(crate) async fn sessions_record_the_client_that_opened_them(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    let opened = Session { client: Some(client("chat", 1).name), ..session(1, "dana", head(store).await) };
    commit(store, open(opened.clone(), 1)).await;
    let adopted = Session { client: Some(client("wiki", 1).name), ..adopting(2, "dana", head(store).await) };
    commit(store, adopt(adopted.clone(), 1, 5)).await;
    assert_eq!(store.sessions_of(&subject("dana"), None, 9).await, Ok(vec![opened, adopted]));
}
