//! Flows and mails: only the newest flow per subject hash, used once; mails that are tried, counted and
//! forgotten.

use quash_core::model::{
    Change, Digest, EarlierRequests, Flow, Mail, MailId, MailOutcome, MailPriority, RegistrationBy, Timestamp,
};
use quash_store::{Store, StoreError};

use crate::support::*;

async fn flow_of(store: &dyn Store, n: u8) -> Option<Flow> {
    store.flow(flow_id(n)).await.expect("a read").flow
}

async fn due(store: &dyn Store, secs: i64) -> Vec<Mail> {
    store.mails_due(at(secs), 10).await.expect("a read")
}

fn begin_attempt(n: u8, attempts: u32, secs: i64) -> Change {
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
    let loaded = store.flow(flow_id(1)).await.expect("a read");
    assert_eq!((loaded.flow, loaded.account), (Some(flow(1, 1, Some("dana"), 0)), Some(dana)));
    assert_eq!(loaded.head, store.head().await.expect("a head"));
    let loaded = store.flow(flow_id(2)).await.expect("a read");
    assert_eq!((loaded.flow, loaded.account), (Some(flow(2, 2, None, 0)), None));
    let loaded = store.flow(flow_id(3)).await.expect("a read");
    assert_eq!((loaded.flow, loaded.account), (None, None));
}

pub(crate) async fn new_flows_replace_earlier_ones(store: &dyn Store) {
    commit(store, start(flow(1, 1, None, 0), None)).await;
    conflict(store, start(flow(2, 1, None, 1), None)).await;
    conflict(store, start(flow(2, 1, None, 1), Some(3))).await;
    conflict(store, start(flow(2, 2, None, 1), Some(1))).await;
    conflict(store, start(flow(1, 2, None, 1), None)).await;
    commit(store, start(flow(2, 1, None, 1), Some(1))).await;
    assert_eq!((flow_of(store, 1).await, flow_of(store, 2).await), (None, Some(flow(2, 1, None, 1))));
    let asked = store
        .earlier_requests(&[Digest([1; 16]), Digest([2; 16])], Digest([1; 16]), NOW)
        .await
        .expect("a read");
    assert_eq!(asked, EarlierRequests { flows: vec![Some((flow_id(2), at(1))), None], mails: 0 });
}

pub(crate) async fn a_flow_is_used_once(store: &dyn Store) {
    commit(store, add(account("dana"))).await;
    commit(store, start(flow(1, 1, Some("dana"), 0), None)).await;
    let used = || {
        Change::Together(vec![
            Change::UseFlow(flow_id(1)),
            Change::Remember { name: "used", value: "once".into() },
        ])
    };
    let outcomes = commit_all(store, (0..20).map(|_| used()).collect()).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(StoreError::Conflict)).count(), 19);
    conflict(store, used()).await;
    // The used flow no longer exists, so a new one can't replace it.
    conflict(store, start(flow(2, 1, None, 0), Some(1))).await;
    commit(store, start(flow(2, 1, None, 0), None)).await;
}

pub(crate) async fn code_attempts_are_counted_one_by_one(store: &dyn Store) {
    commit(store, start(flow(1, 1, None, 0), None)).await;
    let outcomes = commit_all(store, (0..9).map(|_| Change::SpendTry(flow_id(1))).collect()).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 2);
    assert_eq!(flow_of(store, 1).await.map(|flow| flow.tries), Some(0));
    conflict(store, Change::SpendTry(flow_id(2))).await;
}

pub(crate) async fn mails_are_read_when_due(store: &dyn Store) {
    for (n, secs) in [(1, 30), (2, 10), (3, 20)] {
        commit(store, Change::AddMail(Box::new(mail(n, 1, secs)))).await;
    }
    conflict(store, Change::AddMail(Box::new(mail(3, 1, 0)))).await;
    assert_eq!(due(store, 9).await, []);
    assert_eq!(due(store, 20).await, [mail(2, 1, 10), mail(3, 1, 20)]);
    assert_eq!(store.mails_due(at(99), 1).await.expect("a read"), [mail(2, 1, 10)]);
    let far = Timestamp::from_millis(i64::MAX);
    assert_eq!(store.mails_due(far, 9).await.expect("a read").len(), 3);
    let mut next = Vec::new();
    for secs in [0, 10, 29, 30] {
        next.push(store.next_mail(at(secs)).await.expect("a read"));
    }
    assert_eq!(next, [Some(at(10)), Some(at(20)), Some(at(30)), None]);
}

pub(crate) async fn mails_are_ordered_by_priority(store: &dyn Store) {
    let of = |n, priority, secs| Mail { priority, ..mail(n, 1, secs) };
    let mails = [
        of(1, MailPriority::Unrequested, 1),
        of(2, MailPriority::Requested, 5),
        of(3, MailPriority::Notice, 2),
        of(5, MailPriority::Requested, 4),
        of(6, MailPriority::Requested, 50),
    ];
    for mail in &mails {
        commit(store, Change::AddMail(Box::new(mail.clone()))).await;
    }
    let [unrequested, requested, notice, earlier, _] = mails;
    assert_eq!(due(store, 9).await, [earlier.clone(), requested, notice, unrequested]);
    assert_eq!(store.mails_due(at(9), 1).await.expect("a read"), [earlier]);
}

pub(crate) async fn the_newest_live_registration_is_found(store: &dyn Store) {
    let [first, second] =
        [registration(1, "Max", "Max@example.org", 0), registration(2, "MAX", "lee@example.org", 10)];
    for flow in [&first, &second] {
        commit(store, start(flow.clone(), None)).await;
    }
    commit(store, start(flow(3, 3, Some("max"), 20), None)).await;
    let (by_name, by_email) =
        (RegistrationBy::Name("max".into()), RegistrationBy::Email("max@example.org".into()));
    let found = async |by: &RegistrationBy, secs| {
        store.registration(by, at(secs)).await.expect("a read").map(|flow| flow.id)
    };
    assert_eq!(store.registration(&by_email, at(0)).await.expect("a read"), Some(first.clone()));
    assert_eq!((found(&by_name, 0).await, found(&by_name, 3609).await), (Some(second.id), Some(second.id)));
    assert_eq!(
        (found(&by_email, 3599).await, found(&by_email, 3600).await, found(&by_name, 3610).await),
        (Some(first.id), None, None)
    );
    assert_eq!(found(&RegistrationBy::Email("max".into()), 0).await, None);
    let kept = store
        .flow(second.id)
        .await
        .expect("a read")
        .flow
        .and_then(|flow| flow.registration)
        .expect("a registration");
    assert_eq!((kept.password.as_str(), kept.password.class()), ("hash 2", Some("class")));
    commit(store, Change::UseFlow(second.id)).await;
    assert_eq!(found(&by_name, 0).await, Some(first.id));
}

pub(crate) async fn decoys_store_no_row(store: &dyn Store) {
    let (decoy, waiting) = (flow(1, 1, None, 0), mail(1, 1, 0));
    let changes = vec![
        start(decoy.clone(), None),
        Change::AddMail(Box::new(waiting.clone())),
        Change::UseFlow(decoy.id),
        Change::DropMail(waiting.id),
    ];
    commit(store, Change::Together(changes)).await;
    assert_eq!((flow_of(store, 1).await, due(store, 99).await), (None, vec![]));
    assert_eq!(
        store.earlier_requests(&[decoy.subject_hash], waiting.recipient_hash, at(1)).await.expect("a read"),
        EarlierRequests { flows: vec![None], mails: 0 }
    );
}

pub(crate) async fn mails_stay_due_until_sent(store: &dyn Store) {
    commit(store, Change::AddMail(Box::new(mail(1, 1, 0)))).await;
    conflict(store, begin_attempt(1, 1, 60)).await;
    conflict(store, begin_attempt(2, 0, 60)).await;
    commit(store, begin_attempt(1, 0, 60)).await;
    let once = Mail { attempts: 1, uncertain_attempts: 1, due_at: at(60), ..mail(1, 1, 0) };
    assert_eq!((due(store, 59).await, due(store, 60).await), (vec![], vec![once.clone()]));
    conflict(store, settled(1, 0, MailOutcome::NotSent)).await;
    commit(store, settled(1, 1, MailOutcome::NotSent)).await;
    assert_eq!(due(store, 60).await, [Mail { uncertain_attempts: 0, ..once }]);
    commit(store, begin_attempt(1, 1, 120)).await;
    commit(store, settled(1, 2, MailOutcome::Sent(at(70)))).await;
    assert_eq!(due(store, 999).await, []);
    for change in [
        begin_attempt(1, 2, 60),
        settled(1, 2, MailOutcome::NotSent),
        Change::DropMail(MailId::from_bytes([1; 16])),
    ] {
        conflict(store, change).await;
    }
}

pub(crate) async fn sent_mails_still_count_for_their_recipient(store: &dyn Store) {
    for (n, recipient_hash, secs) in [(1, 1, 0), (2, 1, 10), (3, 2, 10), (4, 1, 20)] {
        commit(store, Change::AddMail(Box::new(mail(n, recipient_hash, secs)))).await;
    }
    let counted =
        async |secs| store.earlier_requests(&[], Digest([1; 16]), at(secs)).await.expect("a read").mails;
    assert_eq!(
        (counted(3599).await, counted(3600).await, counted(3610).await, counted(3620).await),
        (3, 2, 1, 0)
    );
    commit(store, begin_attempt(1, 0, 60)).await;
    commit(store, settled(1, 1, MailOutcome::Sent(at(5)))).await;
    commit(store, Change::DropMail(MailId::from_bytes([2; 16]))).await;
    conflict(store, Change::DropMail(MailId::from_bytes([2; 16]))).await;
    assert_eq!((counted(3599).await, counted(3600).await), (2, 1));
}

pub(crate) async fn mails_do_not_count_before_their_request(store: &dyn Store) {
    for (n, secs) in [(1, 0), (2, 10), (3, 7 * 86_400)] {
        commit(store, Change::AddMail(Box::new(mail(n, 1, secs)))).await;
    }
    let counted =
        async |secs| store.earlier_requests(&[], Digest([1; 16]), at(secs)).await.expect("a read").mails;
    assert_eq!((counted(-1).await, counted(0).await, counted(10).await), (0, 1, 2));
    assert_eq!(counted(7 * 86_400 - 1).await, 0, "the clock was a week ahead, and was set back");
    assert_eq!(counted(7 * 86_400).await, 1);
}

pub(crate) async fn mails_do_not_wait_for_a_clock_that_was_set_back(store: &dyn Store) {
    let of = |n, priority, secs| Mail { priority, ..mail(n, 1, secs) };
    let mails = [
        of(1, MailPriority::Requested, 7 * 86_400),
        of(2, MailPriority::Requested, 601),
        of(3, MailPriority::Requested, 600),
        of(4, MailPriority::Requested, 0),
        of(5, MailPriority::Notice, -1),
        of(6, MailPriority::Notice, 601),
    ];
    for mail in &mails {
        commit(store, Change::AddMail(Box::new(mail.clone()))).await;
    }
    let due = async |secs, limit| {
        let due = store.mails_due(at(secs), limit).await.expect("a read");
        due.into_iter().map(|mail| mail.id.as_bytes()[0]).collect::<Vec<_>>()
    };
    // The mail in ten minutes waits: that is the longest pause.
    assert_eq!(due(0, 9).await, [4, 2, 1, 5, 6]);
    assert_eq!(due(0, 4).await, [4, 2, 1, 5]);
    assert_eq!(due(601, 9).await, [4, 3, 2, 1, 5, 6]);
    // An attempt by the current clock makes it wait as usual.
    commit(store, begin_attempt(1, 0, 2)).await;
    assert_eq!(due(0, 2).await, [4, 2]);
    assert_eq!(due(2, 9).await, [4, 1, 5]);
}

pub(crate) async fn expired_flows_and_mails_are_deleted(store: &dyn Store) {
    for n in 1..=3 {
        commit(store, start(flow(n, n, None, i64::from(n)), None)).await;
        commit(store, Change::AddMail(Box::new(mail(n, 1, i64::from(n))))).await;
    }
    commit(store, begin_attempt(3, 0, 60)).await;
    commit(store, settled(3, 1, MailOutcome::Sent(at(10)))).await;
    let forget = |secs, limit| Change::ForgetExpired { now: at(secs), limit };
    assert_eq!(commit(store, forget(3600, 9)).await.pruned, 0);
    assert_eq!(commit(store, forget(3601, 9)).await.pruned, 1);
    assert_eq!((flow_of(store, 1).await, flow_of(store, 2).await.is_some()), (None, true));
    // Sent mails are kept for an hour.
    assert_eq!(commit(store, forget(3610, 1)).await.pruned, 2);
    assert_eq!(commit(store, forget(3610, 1)).await.pruned, 1);
    assert_eq!(due(store, 9999).await.len(), 2);
    assert_eq!(commit(store, forget(9999, 1)).await.pruned, 1);
    assert_eq!(due(store, 9999).await, [mail(2, 1, 2)]);
}
