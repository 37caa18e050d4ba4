//! The audit: each event leaves its entry in the transaction that it is, and nothing else does.

use quash_core::model::{AccountFields, AccountState, Actor, Audit, Change, Ends, Event, Person, Reason, ScopeKind};
use quash_store::Store;

use crate::support::*;

async fn events(store: &dyn Store) -> Vec<(u64, Event, Option<String>)> {
    let read = store.audit(0, None, 100).await.expect("a look");
    read.into_iter().map(|Audit { id, new, .. }| (id, new.event, new.subject.map(|subject| subject.to_string()))).collect()
}

pub(crate) async fn what_happens_is_in_the_audit_in_order(store: &dyn Store) {
    assert_eq!(events(store).await, []);
    two_sessions(store).await;
    commit(store, rotate(1, 0)).await;
    commit(store, Change::EndSessions { sessions: vec![end(1)], tokens: vec![entry(ScopeKind::Token, 9)] }).await;
    commit(store, end_account("dana", 1, None)).await;
    commit(store, Change::EndEverything { entry: entry(ScopeKind::Everything, 8) }).await;
    commit(store, Change::DeleteAccount { subject: subject("dana"), version: 2, entry: entry(ScopeKind::Subject, 7), note: None }).await;
    let dana = || Some("dana".to_owned());
    let wanted = [
        (1, Event::AccountAdded, dana()),
        (2, Event::SignedIn, dana()),
        (3, Event::SignedIn, dana()),
        (4, Event::SessionEnded, dana()),
        (5, Event::TokenEnded, None),
        (6, Event::SessionsEnded, dana()),
        (7, Event::EverythingEnded, None),
        (8, Event::AccountDeleted, dana()),
    ];
    assert_eq!(events(store).await, wanted);
    let ids = async |after, of: Option<&str>, limit| -> Vec<u64> {
        let of = of.map(subject);
        store.audit(after, of.as_ref(), limit).await.expect("a look").iter().map(|audit| audit.id).collect()
    };
    assert_eq!(ids(2, None, 3).await, [3, 4, 5]);
    assert_eq!(ids(2, Some("dana"), 3).await, [3, 4, 6]);
    assert_eq!(ids(u64::MAX, None, 3).await, [0; 0]);
    assert_eq!(ids(0, Some("kim"), 3).await, [0; 0]);
}

pub(crate) async fn an_entry_says_who_why_and_with_which_number_of_the_log(store: &dyn Store) {
    two_sessions(store).await;
    let before = store.audit(0, None, 9).await.expect("a look");
    let person = |audit: &Audit| audit.new.person.clone().unwrap_or_default();
    assert_eq!(person(&before[0]), Person { name: Some("dana".into()), ..Person::default() });
    let opened = session(1, "dana", head(store).await);
    assert_eq!((person(&before[1]).address, person(&before[1]).device), (opened.address, opened.device));
    assert_eq!((before[1].new.session, before[1].seq), (Some(sid(1)), None));
    commit(store, Change::EndSessions { sessions: vec![end(2)], tokens: Vec::new() }).await;
    let ended = &store.audit(3, None, 9).await.expect("a look")[0];
    let entry = end(2).entry;
    assert_eq!((ended.new.actor.clone(), ended.new.reason, ended.new.at), (entry.actor, Some(entry.reason), entry.at));
    assert_eq!((ended.new.session, ended.seq), (Some(sid(2)), Some(head(store).await)));
    let fields = AccountFields { state: Some(AccountState::Active), ..AccountFields::default() };
    commit(store, edit("dana", 1, fields, Ends::Nothing)).await;
    let edited = &store.audit(4, None, 9).await.expect("a look")[0];
    assert_eq!((edited.new.reason, edited.seq, edited.new.actor.clone()), (None, None, Actor::Operator));
    assert_ne!(ended.new.reason, Some(Reason::Reuse));
}

pub(crate) async fn what_is_not_written_is_not_in_the_audit(store: &dyn Store) {
    two_sessions(store).await;
    conflict(store, Change::Together(vec![end_account("dana", 1, None), add(account("dana"))])).await;
    conflict(store, end_account("dana", 7, None)).await;
    assert_eq!(events(store).await.len(), 3);
    commit(store, Change::Together(vec![add(account("kim")), end_account("dana", 1, None)])).await;
    assert_eq!(
        events(store).await.iter().map(|(id, event, _)| (*id, *event)).skip(3).collect::<Vec<_>>(),
        [(4, Event::AccountAdded), (5, Event::SessionsEnded)]
    );
}
