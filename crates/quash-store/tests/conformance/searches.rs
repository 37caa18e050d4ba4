//! Searches over all accounts and sessions, page by page, and their counts.

use quash_core::model::{
    Account, AccountState, AccountStatus, Change, ClientName, Email, Name, ScopeKind, Session, SessionId,
    Subject, Timestamp,
};
use quash_store::{AccountSearch, SessionSearch, Store};

use crate::support::*;

/// A search by name.
fn named(prefix: &str, status: Option<AccountStatus>) -> AccountSearch {
    AccountSearch::Name { prefix: prefix.into(), status }
}

/// The subjects of the accounts that a search finds, read in pages of `limit`. Each page continues after the last
/// account of the page before.
async fn found(store: &dyn Store, search: &AccountSearch, now: Timestamp, limit: u32) -> Vec<String> {
    let (mut subjects, mut after): (Vec<String>, Option<String>) = (vec![], None);
    loop {
        let page = store.search_accounts(search, after.as_deref(), now, limit).await.expect("a page");
        assert!(page.len() <= limit as usize);
        subjects.extend(page.iter().map(|account| account.subject.to_string()));
        let Some(last) = page.last() else { return subjects };
        after = Some(match search {
            AccountSearch::Name { .. } => last.username.folded().to_owned(),
            AccountSearch::Email { .. } => last.email.as_ref().map(Email::folded).expect("an address"),
        });
    }
}

fn called(subject_text: &str, name: &str, email: Option<&str>) -> Account {
    let name = Name::parse(name).expect("a name");
    let email = email.map(|email| Email::parse(email).expect("an address"));
    Account { email, ..Account::new(subject(subject_text), name, NOW) }
}

pub(crate) async fn accounts_are_found_by_a_prefix(store: &dyn Store) {
    for (of, name, email) in [
        ("1", "Dana", Some("zoe@example.org")),
        ("2", "dan", Some("Dan@Example.org")),
        ("3", "DANTE", None),
        ("4", "daZ", Some("d@example.org")),
        ("5", "Łucja", Some("lucja@example.org")),
        ("6", "e", Some("dan.e@example.org")),
    ] {
        commit(store, add(called(of, name, email))).await;
    }
    for limit in [1, 2, 9] {
        for (search, subjects) in [
            (named("", None), vec!["2", "1", "3", "4", "6", "5"]),
            (named("dan", None), vec!["2", "1", "3"]),
            (named("dana", None), vec!["1"]),
            (named("łu", None), vec!["5"]),
            (named("danx", None), vec![]),
            (named("dan\0b", None), vec![]),
            (named("\0", None), vec![]),
            (AccountSearch::Email { prefix: "dan\0b".into() }, vec![]),
            (AccountSearch::Email { prefix: String::new() }, vec!["4", "6", "2", "5", "1"]),
            (AccountSearch::Email { prefix: "dan".into() }, vec!["6", "2"]),
            (AccountSearch::Email { prefix: "dan@example.org".into() }, vec!["2"]),
        ] {
            assert_eq!(found(store, &search, NOW, limit).await, subjects, "{search:?} by {limit}");
        }
    }
    // A page continues where the account before it was, even if that is gone.
    let rest = store.search_accounts(&named("dan", None), Some("danb"), NOW, 9).await.expect("a page");
    assert_eq!(rest.iter().map(|account| account.subject.as_str()).collect::<Vec<_>>(), ["3"]);
}

pub(crate) async fn accounts_are_found_by_their_status_at_a_time(store: &dyn Store) {
    let confirmed = |account: Account| {
        let email = account.email.clone().map(|email| Email { verified_at: Some(NOW), ..email });
        Account { email, ..account }
    };
    let locked = |account: Account, since: i64, until: i64| Account {
        state: AccountState::Locked { since: at(since), until: at(until) },
        ..account
    };
    let deactivated = |account: Account| Account { state: AccountState::Deactivated { at: NOW }, ..account };
    for account in [
        called("a1", "n1", None),
        confirmed(called("a2", "n2", Some("a2@example.org"))),
        called("u1", "n3", Some("u1@example.org")),
        locked(called("l1", "n4", None), -9, 60),
        locked(called("l2", "n5", Some("l2@example.org")), -9, 60),
        locked(called("a3", "n6", None), -99, -60),
        locked(called("u2", "n7", Some("u2@example.org")), -99, -60),
        locked(called("a4", "n8", None), 60, 120),
        deactivated(called("d1", "n9", Some("d1@example.org"))),
        called("z", "z", None),
    ] {
        commit(store, add(account)).await;
    }
    for limit in [1, 2, 9] {
        for (status, now, subjects) in [
            (AccountStatus::Active, NOW, vec!["a1", "a2", "a3", "a4"]),
            (AccountStatus::Unverified, NOW, vec!["u1", "u2"]),
            (AccountStatus::Locked, NOW, vec!["l1", "l2"]),
            (AccountStatus::Deactivated, NOW, vec!["d1"]),
            (AccountStatus::Active, at(60), vec!["a1", "a2", "l1", "a3"]),
            (AccountStatus::Unverified, at(60), vec!["u1", "l2", "u2"]),
            (AccountStatus::Locked, at(60), vec!["a4"]),
        ] {
            let search = named("n", Some(status));
            assert_eq!(found(store, &search, now, limit).await, subjects, "{status:?} {now:?} {limit}");
        }
        for now in [NOW, at(60)] {
            let (mut counts, mut after) = ([0; 4], None);
            loop {
                let part = store.count_accounts(after.as_ref(), now, limit).await.expect("a count");
                for (sum, count) in
                    counts.iter_mut().zip([part.active, part.unverified, part.locked, part.deactivated])
                {
                    *sum += count;
                }
                let Some(next) = part.next else { break };
                after = Some(next);
            }
            assert_eq!(counts, if now == NOW { [5, 2, 2, 1] } else { [5, 3, 1, 1] }, "{now:?} by {limit}");
        }
    }
}

/// The first bytes of the ids of the live sessions that a search finds, read in pages of `limit`.
async fn live(store: &dyn Store, search: &SessionSearch, now: Timestamp, limit: u32) -> Vec<u8> {
    let (mut ids, mut before) = (vec![], None);
    loop {
        let page = store.live_sessions(search, before, now, limit).await.expect("a page");
        assert!(page.sessions.len() <= limit as usize);
        assert!(page.sessions.iter().all(|(session, account)| session.subject == account.subject));
        ids.extend(page.sessions.iter().map(|(session, _)| session.id.as_bytes()[0]));
        let Some(next) = page.next else { return ids };
        assert!(before.is_none_or(|before| next < before), "the pages end");
        before = Some(next);
    }
}

/// The number of live sessions, counted in parts of `limit`.
async fn counted(store: &dyn Store, now: Timestamp, limit: u32) -> u64 {
    let (mut sum, mut after) = (0, None);
    loop {
        let part = store.count_sessions(after, now, limit).await.expect("a count");
        sum += part.live;
        let Some(next) = part.next else { return sum };
        after = Some(next);
    }
}

pub(crate) async fn live_sessions_are_listed_newest_first(store: &dyn Store) {
    for name in ["dana", "kim", "lee"] {
        commit(store, add(account(name))).await;
    }
    let opened_seq = head(store).await;
    let shop = ClientName::parse("shop").expect("a name");
    for (n, of, client) in [
        (1, "dana", None),
        (2, "kim", None),
        (3, "dana", Some(&shop)),
        (4, "lee", None),
        (5, "kim", Some(&shop)),
    ] {
        let session = Session { client: client.cloned(), ..session(n, of, opened_seq) };
        commit(store, open(session, 1)).await;
    }
    let of = |name: &str| SessionSearch::OfAccount(subject(name));
    let by_shop = SessionSearch::OfClient(shop);
    for limit in [1, 2, 9] {
        assert_eq!(live(store, &SessionSearch::All, NOW, limit).await, [5, 4, 3, 2, 1]);
        assert_eq!(live(store, &of("dana"), NOW, limit).await, [3, 1]);
        assert_eq!(live(store, &of("nobody"), NOW, limit).await, [0; 0]);
        assert_eq!(live(store, &by_shop, NOW, limit).await, [5, 3]);
        assert_eq!(counted(store, NOW, limit).await, 5);
        // The sessions 1 and 2 have expired.
        let late = at(86_400 + 2);
        assert_eq!(live(store, &SessionSearch::All, late, limit).await, [5, 4, 3]);
        assert_eq!(
            (live(store, &of("dana"), late, limit).await, counted(store, late, limit).await),
            (vec![3], 3)
        );
    }
    // One ends, the others of an account are covered by a watermark.
    commit(store, ends(vec![end(1)])).await;
    commit(store, end_account("kim", 1, None)).await;
    for limit in [1, 2, 9] {
        assert_eq!(live(store, &SessionSearch::All, NOW, limit).await, [4, 3]);
        assert_eq!(live(store, &of("kim"), NOW, limit).await, [0; 0]);
        assert_eq!((live(store, &by_shop, NOW, limit).await, counted(store, NOW, limit).await), (vec![3], 2));
    }
    commit(store, Change::EndEverything { entry: entry(ScopeKind::Everything, 9) }).await;
    assert_eq!((live(store, &SessionSearch::All, NOW, 2).await, counted(store, NOW, 2).await), (vec![], 0));
}

pub(crate) async fn empty_stores_have_no_pages_and_counts(store: &dyn Store) {
    let page = store.live_sessions(&SessionSearch::All, None, NOW, 9).await.expect("a page");
    assert_eq!((page.sessions, page.next), (vec![], None::<SessionId>));
    assert_eq!(found(store, &named("", None), NOW, 9).await, [""; 0]);
    let counts = store.count_accounts(None::<&Subject>, NOW, 9).await.expect("a count");
    assert_eq!((counts, counted(store, NOW, 9).await), (quash_store::AccountCount::default(), 0));
}
