//! Lists and counts stay quick with a million accounts and sessions. The short form has 2,000.

use std::path::Path;
use std::time::{Duration, Instant};

use quash_core::model::{AccountStatus, ClientName, SessionId};
use quash_store::{AccountSearch, SessionSearch, SqliteStore, Store};
use rusqlite::Connection;

use crate::support::*;

/// Accounts `user0000000` and so on, one in 100 locked, deactivated or unverified; each with one session. Of every ten
/// sessions, four have ended, and every thousandth was opened by a client.
const FILL: &str = "
PRAGMA synchronous = OFF;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :rows)
INSERT INTO account (subject, username, username_folded, email, email_folded, email_verified_at, password, state, state_at,
    locked_at, sessions_before, version, created_at)
SELECT printf('%032x', i * 2654435761 % 4294967296), printf('User%07d', i), printf('user%07d', i),
    printf('mail%07d@example.org', i), printf('mail%07d@example.org', i), iif(i % 100 = 3, NULL, 1800000000000),
    '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE',
    CASE i % 100 WHEN 1 THEN 'locked' WHEN 2 THEN 'deactivated' ELSE 'active' END,
    CASE i % 100 WHEN 1 THEN 1900000000000 WHEN 2 THEN 1800000000000 END, iif(i % 100 = 1, 1700000000000, NULL), 0, 1, i
FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :rows)
INSERT INTO session (sid, subject, generation, rotated_at, seed, opened_seq, opened_at, idle_until, device, address,
    ended_reason, ended_at, ended_actor, client)
SELECT unhex(printf('%012x%020x', 1790000000000 + i, i)), printf('%032x', i * 2654435761 % 4294967296), 0, i, zeroblob(16),
    17179869184, i, 1900000000000, 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0', '203.0.113.9',
    iif(i % 10 < 4, 'log_out', NULL), iif(i % 10 < 4, i, NULL), iif(i % 10 < 4, 'owner', NULL),
    iif(i % 1000 = 5, 'shop', NULL)
FROM n;
";

/// The time within which 95 of 100 pages must be read in the long form.
const WITHIN: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_searches_stay_quick_with_many_rows() {
    let rows = if is_soak() { 1_000_000 } else { 2_000 };
    let directory = tempfile::tempdir().expect("a directory");
    let store = filled(directory.path(), rows, "");

    let named = |prefix: &str, status| AccountSearch::Name { prefix: prefix.into(), status };
    for (what, search) in [
        ("all accounts", named("", None)),
        ("by name", named("user00", None)),
        ("by address", AccountSearch::Email { prefix: "mail00".into() }),
        ("active", named("", Some(AccountStatus::Active))),
        ("unverified", named("", Some(AccountStatus::Unverified))),
        ("locked", named("", Some(AccountStatus::Locked))),
        ("deactivated, by name", named("user00", Some(AccountStatus::Deactivated))),
    ] {
        let mut after: Option<String> = None;
        let times = pages(async || {
            let page = store.search_accounts(&search, after.as_deref(), NOW, 200).await.expect("a page");
            assert!(after.is_some() || !page.is_empty(), "{what}");
            after = page.last().map(|account| match &search {
                AccountSearch::Name { .. } => account.username.folded().to_owned(),
                AccountSearch::Email { .. } => account.email.as_ref().expect("an address").folded(),
            });
        });
        judge(what, times.await);
    }
    let shop = SessionSearch::OfClient(ClientName::parse("shop").expect("a name"));
    for (what, search) in [("all sessions", SessionSearch::All), ("sessions of a client", shop)] {
        judge(what, session_pages(&store, &search).await);
    }
    let mut after = None;
    let (mut live, mut parts) = (0, 0);
    let began = now();
    loop {
        let part = store.count_sessions(after, NOW, 5_000).await.expect("a count");
        (live, parts) = (live + part.live, parts + 1);
        let Some(next) = part.next else { break };
        after = Some(next);
    }
    assert_eq!(live, rows * 6 / 10);
    tell(&format!("{live} live sessions counted in {parts} parts"), began.elapsed());
    let (mut after, mut counted) = (None, 0);
    let began = now();
    loop {
        let part = store.count_accounts(after.as_ref(), NOW, 5_000).await.expect("a count");
        counted += part.active + part.unverified + part.locked + part.deactivated;
        let Some(next) = part.next else { break };
        after = Some(next);
    }
    assert_eq!(counted, rows);
    tell(&format!("{counted} accounts counted"), began.elapsed());
}

#[tokio::test]
async fn a_page_examines_a_limited_number_of_sessions() {
    let directory = tempfile::tempdir().expect("a directory");
    let end = "UPDATE session SET ended_reason = NULL, ended_at = NULL, ended_actor = NULL;
        UPDATE session SET ended_reason = 'revoked', ended_at = 1, ended_actor = 'operator' WHERE opened_at > 9;";
    let store = filled(directory.path(), 12_000, end);
    let page = store.live_sessions(&SessionSearch::All, None, NOW, 200).await.expect("a page");
    assert!(page.sessions.is_empty() && page.next.is_some(), "it has examined 10,000 rows");
    let rest = store.live_sessions(&SessionSearch::All, page.next, NOW, 200).await.expect("a page");
    assert_eq!((rest.sessions.len(), rest.next), (10, None));
}

/// A store with so many accounts and sessions, after a change of its rows.
fn filled(directory: &Path, rows: u64, change: &str) -> SqliteStore {
    drop(sqlite(directory));
    let conn = Connection::open(directory.join("quash.db")).expect("a database");
    conn.execute_batch(&FILL.replace(":rows", &rows.to_string())).expect("rows");
    conn.execute_batch(change).expect("changed rows");
    drop(conn);
    sqlite(directory)
}

async fn session_pages(store: &SqliteStore, search: &SessionSearch) -> Vec<Duration> {
    let mut before: Option<SessionId> = None;
    pages(async || {
        before = store.live_sessions(search, before, NOW, 200).await.expect("a page").next;
    })
    .await
}

/// The times of 100 reads.
async fn pages(mut read: impl AsyncFnMut()) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..100 {
        let began = now();
        read().await;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times
}

fn judge(what: &str, times: Vec<Duration>) {
    let p95 = times[times.len() * 95 / 100];
    tell(&format!("{what}: p95 of {} pages", times.len()), p95);
    assert!(!is_soak() || p95 < WITHIN, "{what}: {p95:?}");
}

#[expect(clippy::print_stderr, reason = "figures for whoever runs the test with --no-capture")]
fn tell(what: &str, time: Duration) {
    eprintln!("{what}: {time:.1?}");
}

#[expect(clippy::disallowed_methods, reason = "figures for whoever runs the test with --no-capture")]
fn now() -> Instant {
    Instant::now()
}
