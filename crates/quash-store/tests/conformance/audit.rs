//! The audit: each event writes its entry in its own transaction, and nothing else writes entries.

use quash_core::model::{
    AccountFields, AccountState, Actor, Audit, AuditPlace, AuditSeal, Change, ClientEdit, ClientName, Ends,
    Event, NewEntry, Note, PersonalData, Reason, Rights, ScopeKind, SealedEntry, Sealing, Seq,
};
use quash_store::Store;

use crate::support::*;

async fn events(store: &dyn Store) -> Vec<(u64, Event, Option<String>)> {
    let read = store.audit(0, None, 100).await.expect("a read");
    read.into_iter()
        .map(|Audit { id, new, .. }| (id, new.event, new.subject.map(|subject| subject.to_string())))
        .collect()
}

pub(crate) async fn events_are_audited_in_order(store: &dyn Store) {
    assert_eq!(events(store).await, []);
    two_sessions(store).await;
    commit(store, rotate(1, 0)).await;
    commit(store, Change::EndSessions { sessions: vec![end(1)], tokens: vec![entry(ScopeKind::Token, 9)] })
        .await;
    commit(store, end_account("dana", 1, None)).await;
    commit(store, Change::EndEverything { entry: entry(ScopeKind::Everything, 8) }).await;
    commit(
        store,
        Change::DeleteAccount {
            subject: subject("dana"),
            version: 2,
            entry: entry(ScopeKind::Subject, 7),
            note: None,
        },
    )
    .await;
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
        store.audit(after, of.as_ref(), limit).await.expect("a read").iter().map(|audit| audit.id).collect()
    };
    assert_eq!(ids(2, None, 3).await, [3, 4, 5]);
    assert_eq!(ids(2, Some("dana"), 3).await, [3, 4, 6]);
    assert_eq!(ids(u64::MAX, None, 3).await, [0; 0]);
    assert_eq!(ids(0, Some("kim"), 3).await, [0; 0]);
}

pub(crate) async fn audit_entries_record_actor_reason_and_log_number(store: &dyn Store) {
    two_sessions(store).await;
    let before = store.audit(0, None, 9).await.expect("a read");
    let person = |audit: &Audit| audit.new.person.clone().unwrap_or_default();
    assert_eq!(person(&before[0]), PersonalData { name: Some("dana".into()), ..PersonalData::default() });
    let opened = session(1, "dana", head(store).await);
    assert_eq!((person(&before[1]).address, person(&before[1]).device), (opened.address, opened.device));
    assert_eq!((before[1].new.session, before[1].seq), (Some(sid(1)), None));
    commit(store, Change::EndSessions { sessions: vec![end(2)], tokens: Vec::new() }).await;
    let ended = &store.audit(3, None, 9).await.expect("a read")[0];
    let entry = end(2).entry;
    assert_eq!(
        (ended.new.actor.clone(), ended.new.reason, ended.new.at),
        (entry.actor, Some(entry.reason), entry.at)
    );
    assert_eq!((ended.new.session, ended.seq), (Some(sid(2)), Some(head(store).await)));
    let fields = AccountFields { state: Some(AccountState::Active), ..AccountFields::default() };
    commit(store, edit("dana", 1, fields, Ends::Nothing)).await;
    let edited = &store.audit(4, None, 9).await.expect("a read")[0];
    assert_eq!((edited.new.reason, edited.seq, edited.new.actor.clone()), (None, None, Actor::Operator));
    assert_ne!(ended.new.reason, Some(Reason::Reuse));
}

pub(crate) async fn failed_changes_are_not_audited(store: &dyn Store) {
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

fn place(id: u64) -> AuditPlace {
    let mut chain = [0; 32];
    chain[..8].copy_from_slice(&id.to_be_bytes());
    AuditPlace { id, chain }
}

/// Seals the entries `from + 1` to `last`, and forgets those up to `first`.
fn seal(from: u64, last: u64, first: u64) -> Change {
    let at_start = |id| if id == 0 { AuditPlace::default() } else { place(id) };
    let entries = (from + 1..=last).map(|id| {
        let sealing = Sealing { salt: Some([9; 16]), person: Some([8; 32]), chain: place(id).chain };
        SealedEntry { id, sealing }
    });
    let seal = AuditSeal {
        first: at_start(first),
        last: at_start(last),
        at: at(900),
        signed: format!("{first}..{last}"),
    };
    Change::SealAudit { from: at_start(from), entries: entries.collect(), seal }
}

pub(crate) async fn sealed_audit_entries_are_not_resealed(store: &dyn Store) {
    two_sessions(store).await;
    let fresh = store.audit_head().await.expect("a head");
    assert_eq!((fresh.newest, fresh.seal), (3, None));
    commit(store, seal(0, 2, 0)).await;
    let head = store.audit_head().await.expect("a head");
    let Change::SealAudit { seal: sealed, .. } = seal(0, 2, 0) else { unreachable!() };
    assert_eq!((head.newest, head.seal), (3, Some(sealed)));
    let sealings: Vec<_> =
        store.audit(0, None, 9).await.expect("a read").into_iter().map(|audit| audit.sealing).collect();
    let sealing = |id| Some(Sealing { salt: Some([9; 16]), person: Some([8; 32]), chain: place(id).chain });
    assert_eq!(sealings, [sealing(1), sealing(2), None]);
    conflict(store, seal(0, 2, 0)).await;
    conflict(store, seal(1, 3, 0)).await;
    conflict(store, seal(2, 4, 0)).await;
    commit(store, seal(2, 3, 0)).await;
}

pub(crate) async fn the_audit_is_pruned_from_its_beginning(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, seal(0, 3, 0)).await;
    assert_eq!(store.commit(seal(3, 3, 2)).await.map(|receipt| receipt.pruned), Ok(2));
    let left: Vec<_> = store.audit(0, None, 9).await.expect("a read").iter().map(|audit| audit.id).collect();
    assert_eq!(left, [3]);
    commit(store, Change::EndSessions { sessions: vec![end(1)], tokens: Vec::new() }).await;
    let head = store.audit_head().await.expect("a head");
    assert_eq!(
        (head.newest, head.seal.map(|seal| (seal.first.id, seal.last.id))),
        (4, Some((2, 3))),
        "no number is given twice"
    );
}

pub(crate) async fn personal_data_of_deleted_accounts_is_blanked(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, add(account("kim"))).await;
    commit(store, seal(0, 4, 0)).await;
    assert_eq!(store.unblanked().await, Ok(None));
    let note = Some(Note { author: Some("ops".into()), text: None });
    commit(
        store,
        Change::DeleteAccount {
            subject: subject("dana"),
            version: 1,
            entry: entry(ScopeKind::Subject, 7),
            note,
        },
    )
    .await;
    assert_eq!(store.unblanked().await, Ok(Some(subject("dana"))));
    let blank = |limit| Change::BlankPersons { subject: subject("dana"), limit };
    assert_eq!(store.commit(blank(2)).await.map(|receipt| receipt.pruned), Ok(2));
    assert_eq!(store.unblanked().await, Ok(Some(subject("dana"))), "there may be more");
    assert_eq!(store.commit(blank(2)).await.map(|receipt| receipt.pruned), Ok(1));
    assert_eq!(store.unblanked().await, Ok(None));
    let persons: Vec<_> = store
        .audit(0, None, 9)
        .await
        .expect("a read")
        .into_iter()
        .map(|audit| (audit.id, audit.new.person))
        .collect();
    let [kim, deletion] = [&persons[3], &persons[4]].map(|(_, person)| person.clone().expect("it stays"));
    assert_eq!(persons[..3], [(1, None), (2, None), (3, None)]);
    assert_eq!(
        (kim.name.as_deref(), deletion.note.and_then(|note| note.author).as_deref()),
        (Some("kim"), Some("ops"))
    );
    let sealing = store.audit(0, None, 1).await.expect("a read")[0].sealing.expect("it stays sealed");
    assert_eq!((sealing.salt, sealing.person), (None, Some([8; 32])));
}

pub(crate) async fn watermark_endings_use_the_first_later_entry(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, add(account("kim"))).await;
    let start = head(store).await;
    let of = |reason| NewEntry { reason, ..entry(ScopeKind::Subject, 77) };
    let sessions = |reason| Ends::Sessions { entry: of(reason), survivor: None };
    // None of this raises a watermark over dana.
    commit(store, Change::EndSessions { sessions: vec![end(1)], tokens: vec![entry(ScopeKind::Token, 9)] })
        .await;
    let fields = AccountFields::default;
    let renewed = Change::EditAccount(Box::new(quash_core::model::AccountEdit {
        event: Event::ClaimsChanged,
        ends: Ends::Access(of(Reason::ClaimsChanged)),
        ..quash_core::model::AccountEdit::of(
            &read(store, "dana").await,
            Event::ClaimsChanged,
            Actor::Operator,
            at(1),
        )
    }));
    commit(store, renewed).await;
    commit(store, Change::Revoke { entry: entry(ScopeKind::Everything, 5) }).await;
    commit(store, edit("kim", 1, fields(), sessions(Reason::Locked))).await;
    let quiet = head(store).await;
    let reasons = async |after: &[Seq]| -> Vec<Option<Reason>> {
        let found = store.endings(&subject("dana"), after).await.expect("a read");
        found.into_iter().map(|ending| ending.map(|ending| ending.reason)).collect()
    };
    assert_eq!(reasons(&[start, quiet, Seq::MAX]).await, [None, None, None]);
    commit(store, edit("dana", 2, fields(), sessions(Reason::PasswordReset))).await;
    let reset = head(store).await;
    commit(
        store,
        Change::EndEverything {
            entry: NewEntry { reason: Reason::Restored, ..entry(ScopeKind::Everything, 8) },
        },
    )
    .await;
    let everything = head(store).await;
    commit(store, edit("dana", 3, fields(), sessions(Reason::Deactivated))).await;
    let last = head(store).await;
    assert_eq!(
        reasons(&[everything, start, reset, quiet, last]).await,
        [
            Some(Reason::Deactivated),
            Some(Reason::PasswordReset),
            Some(Reason::Restored),
            Some(Reason::PasswordReset),
            None
        ]
    );
    let ending =
        store.endings(&subject("dana"), &[quiet]).await.expect("a read")[0].clone().expect("a reset");
    assert_eq!((ending.at, ending.actor), (at(300), Actor::Operator));
    assert_eq!(
        store.endings(&subject("nobody"), &[start]).await.expect("a read")[0]
            .as_ref()
            .map(|found| found.reason),
        Some(Reason::Restored)
    );
    assert_eq!(store.endings(&subject("dana"), &[]).await, Ok(Vec::new()));
}

pub(crate) async fn audit_entries_are_found_by_filters_newest_first(store: &dyn Store) {
    two_sessions(store).await;
    commit(store, Change::EndSessions { sessions: vec![end(1)], tokens: vec![] }).await;
    commit(store, add_client(client("chat", 1), 1)).await;
    commit(store, add_client(client("wiki", 250), 2)).await;
    commit(store, remove_client(client("chat", 1))).await;
    let chat = ClientName::parse("chat").expect("a name");
    let (actor, rights) = (Actor::Client(chat), Rights::VERIFIER);
    let wiki = client("wiki", 250);
    let edit =
        ClientEdit { client: wiki, rights, expires_at: None, digest: None, at: at(120), actor, note: None };
    commit(store, Change::ChangeClient(Box::new(edit))).await;
    let mut all = store.audit(0, None, 100).await.expect("a read");
    all.sort_by_key(|audit| std::cmp::Reverse((audit.new.at, audit.id)));
    assert!(
        !all.is_sorted_by_key(|audit| std::cmp::Reverse(audit.id)),
        "times aren't in the order of numbers"
    );
    let mut found = 0;
    for filter in audit_filters() {
        let expected: Vec<_> =
            all.iter().filter(|audit| filter.matches(&audit.new)).map(|audit| audit.id).collect();
        for limit in [1, 2, 100] {
            assert_eq!(audit_numbers(store, &filter, limit).await, expected, "{filter:?}");
        }
        found += usize::from(!expected.is_empty());
    }
    assert_eq!(found, audit_filters().len(), "a filter that matches nothing tests nothing");
}
