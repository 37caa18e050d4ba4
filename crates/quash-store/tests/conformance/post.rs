//! Flows and mails: of each matter the newest flow, used once; mails that are tried, counted and forgotten.

use quash_core::model::{Asked, Change, Digest, Flow, Mail, MailId, MailOutcome, Timestamp};
use quash_store::{Store, StoreError};

use crate::support::*;

async fn flow_of(store: &dyn Store, n: u8) -> Option<Flow> {
    store.flow(flow_id(n)).await.expect("a look").flow
}

async fn due(store: &dyn Store, secs: i64) -> Vec<Mail> {
    store.mails_due(at(secs), 10).await.expect("a look")
}

fn tried(n: u8, attempts: u32, secs: i64) -> Change {
    Change::TryMail { mail: MailId::from_bytes([n; 16]), attempts, due_at: at(secs) }
}

fn settled(n: u8, attempts: u32, outcome: MailOutcome) -> Change {
    Change::SettleMail { mail: MailId::from_bytes([n; 16]), attempts, outcome }
}

pub(crate) async fn a_flow_is_read_back_with_its_account(store: &dyn Store) {
    let dana = account("dana");
    commit(store, add(dana.clone())).await;
    commit(store, start(flow(1, 1, Some("dana"), 0), None)).await;
    commit(store, start(flow(2, 2, None, 0), None)).await;
    let loaded = store.flow(flow_id(1)).await.expect("a look");
    assert_eq!((loaded.flow, loaded.account), (Some(flow(1, 1, Some("dana"), 0)), Some(dana)));
    assert_eq!(loaded.head, store.head().await.expect("a head"));
    let loaded = store.flow(flow_id(2)).await.expect("a look");
    assert_eq!((loaded.flow, loaded.account), (Some(flow(2, 2, None, 0)), None));
    let loaded = store.flow(flow_id(3)).await.expect("a look");
    assert_eq!((loaded.flow, loaded.account), (None, None));
}

pub(crate) async fn a_flow_takes_the_place_of_the_one_before(store: &dyn Store) {
    commit(store, start(flow(1, 1, None, 0), None)).await;
    conflict(store, start(flow(2, 1, None, 1), None)).await;
    conflict(store, start(flow(2, 1, None, 1), Some(3))).await;
    conflict(store, start(flow(2, 2, None, 1), Some(1))).await;
    conflict(store, start(flow(1, 2, None, 1), None)).await;
    commit(store, start(flow(2, 1, None, 1), Some(1))).await;
    assert_eq!((flow_of(store, 1).await, flow_of(store, 2).await), (None, Some(flow(2, 1, None, 1))));
    let asked = store.asked(&[Digest([1; 16]), Digest([2; 16])], Digest([1; 16]), NOW).await.expect("a look");
    assert_eq!(asked, Asked { flows: vec![Some((flow_id(2), at(1))), None], mails: 0 });
}

pub(crate) async fn a_flow_is_used_once(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    commit(store, start(flow(1, 1, Some("dana"), 0), None)).await;
    let used = || Change::Together(vec![Change::UseFlow(flow_id(1)), Change::Remember { name: "used", value: "once".into() }]);
    let outcomes = commit_all(store, (0..20).map(|_| used()).collect()).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(StoreError::Conflict)).count(), 19);
    conflict(store, used()).await;
    // A new one about the same matter replaces none.
    conflict(store, start(flow(2, 1, None, 0), Some(1))).await;
    commit(store, start(flow(2, 1, None, 0), None)).await;
}

pub(crate) async fn tries_are_spent_one_by_one(store: &dyn Store) {
    commit(store, start(flow(1, 1, None, 0), None)).await;
    let outcomes = commit_all(store, (0..9).map(|_| Change::SpendTry(flow_id(1))).collect()).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 2);
    assert_eq!(flow_of(store, 1).await.map(|flow| flow.tries), Some(0));
    conflict(store, Change::SpendTry(flow_id(2))).await;
}

pub(crate) async fn mails_come_when_they_are_due(store: &dyn Store) {
    for (n, secs) in [(1, 30), (2, 10), (3, 20)] {
        commit(store, Change::AddMail(Box::new(mail(n, 1, secs)))).await;
    }
    conflict(store, Change::AddMail(Box::new(mail(3, 1, 0)))).await;
    assert_eq!(due(store, 9).await, []);
    assert_eq!(due(store, 20).await, [mail(2, 1, 10), mail(3, 1, 20)]);
    assert_eq!(store.mails_due(at(99), 1).await.expect("a look"), [mail(2, 1, 10)]);
    let far = Timestamp::from_millis(i64::MAX);
    assert_eq!(store.mails_due(far, 9).await.expect("a look").len(), 3);
}

pub(crate) async fn a_mail_is_tried_until_it_is_sent(store: &dyn Store) {
    commit(store, Change::AddMail(Box::new(mail(1, 1, 0)))).await;
    conflict(store, tried(1, 1, 60)).await;
    conflict(store, tried(2, 0, 60)).await;
    commit(store, tried(1, 0, 60)).await;
    let once = Mail { attempts: 1, doubts: 1, due_at: at(60), ..mail(1, 1, 0) };
    assert_eq!((due(store, 59).await, due(store, 60).await), (vec![], vec![once.clone()]));
    conflict(store, settled(1, 0, MailOutcome::NotSent)).await;
    commit(store, settled(1, 1, MailOutcome::NotSent)).await;
    assert_eq!(due(store, 60).await, [Mail { doubts: 0, ..once }]);
    commit(store, tried(1, 1, 120)).await;
    commit(store, settled(1, 2, MailOutcome::Sent(at(70)))).await;
    assert_eq!(due(store, 999).await, []);
    for change in [tried(1, 2, 60), settled(1, 2, MailOutcome::NotSent), Change::DropMail(MailId::from_bytes([1; 16]))] {
        conflict(store, change).await;
    }
}

pub(crate) async fn mails_for_somebody_are_counted_after_they_were_sent(store: &dyn Store) {
    for (n, whom, secs) in [(1, 1, 0), (2, 1, 10), (3, 2, 10), (4, 1, 20)] {
        commit(store, Change::AddMail(Box::new(mail(n, whom, secs)))).await;
    }
    let counted = async |secs| store.asked(&[], Digest([1; 16]), at(secs)).await.expect("a look").mails;
    assert_eq!((counted(-1).await, counted(0).await, counted(10).await, counted(20).await), (3, 2, 1, 0));
    commit(store, tried(1, 0, 60)).await;
    commit(store, settled(1, 1, MailOutcome::Sent(at(5)))).await;
    commit(store, Change::DropMail(MailId::from_bytes([2; 16]))).await;
    conflict(store, Change::DropMail(MailId::from_bytes([2; 16]))).await;
    assert_eq!((counted(-1).await, counted(0).await), (2, 1));
}

pub(crate) async fn flows_and_mails_are_forgotten_past_their_time(store: &dyn Store) {
    for n in 1..=3 {
        commit(store, start(flow(n, n, None, i64::from(n)), None)).await;
        commit(store, Change::AddMail(Box::new(mail(n, 1, i64::from(n))))).await;
    }
    commit(store, tried(3, 0, 60)).await;
    commit(store, settled(3, 1, MailOutcome::Sent(at(10)))).await;
    let forget = |secs, limit| Change::ForgetExpired { now: at(secs), limit };
    assert_eq!(commit(store, forget(3600, 9)).await.pruned, 0);
    assert_eq!(commit(store, forget(3601, 9)).await.pruned, 1);
    assert_eq!((flow_of(store, 1).await, flow_of(store, 2).await.is_some()), (None, true));
    // What was sent is kept an hour.
    assert_eq!(commit(store, forget(3610, 1)).await.pruned, 2);
    assert_eq!(commit(store, forget(3610, 1)).await.pruned, 1);
    assert_eq!(due(store, 9999).await.len(), 2);
    assert_eq!(commit(store, forget(9999, 1)).await.pruned, 1);
    assert_eq!(due(store, 9999).await, [mail(2, 1, 2)]);
}
