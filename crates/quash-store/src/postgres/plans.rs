//! Tests that PostgreSQL finds each statement's rows by an index, with 100,000 rows in each table that grows;
//! and that rotations write no index.

use std::fmt::Write as _;

use quash_core::model::{
    Account, Change, CustomClaims, Generation, Name, Session, SessionId, SessionState, Subject, Timestamp,
};
use tokio_postgres::Client;

use super::params::{Param, typed};
use super::statements::*;
use crate::Store;

#[path = "../../tests/support/postgres.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "other tests use more of it")]
mod support;

/// Tables that grow with the number of accounts, sessions and revocations. All others have few rows.
const GROWING: [&str; 9] =
    ["account", "adopted", "audit", "audit_person", "flow", "gone", "mail", "revocation_log", "session"];

const FILL: &str = "
INSERT INTO account (subject, username, username_folded, email, email_folded, state, sessions_before, version, created_at, password_class)
    SELECT 'subject' || n, 'name' || n, 'name' || n, n || '@example.org', n || '@example.org', 'active', 0, 1, n, 'class' || n % 3
    FROM generate_series(1, 100000) n;
INSERT INTO account (subject, username, username_folded, state, sessions_before, version, created_at)
    SELECT n::text, 'number' || n, 'number' || n, 'active', 0, 1, n FROM generate_series(1, 1000) n;
INSERT INTO gone (subject, blanked) SELECT 'gone' || n, true FROM generate_series(1, 100000) n;
INSERT INTO session (sid, subject, generation, rotated_at, seed, opened_seq, opened_at, idle_until, foreign_key, foreign_until)
    SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'subject' || n, 0, n, decode(repeat('00', 16), 'hex'), 17179869184, n,
    1800000000000 + n * 60000::bigint, decode('aa' || lpad(to_hex(n), 30, '0'), 'hex'), 0 FROM generate_series(1, 100000) n;
INSERT INTO adopted (key, until) SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), n FROM generate_series(1, 100000) n;
INSERT INTO revocation_log (seq, kind, key, drop_after, reason, at, actor, chain, marked_at)
    SELECT 17179869184 + n, 5, decode(lpad(to_hex(n), 32, '0'), 'hex'), n, 'log_out', n, 'owner', decode(repeat('00', 32), 'hex'),
    CASE WHEN n % 2 = 0 THEN n END FROM generate_series(1, 100000) n;
INSERT INTO audit (number, at, event, actor, subject, watermark)
    SELECT n, n, 'signed_in', 'owner', CASE WHEN n % 100 > 0 THEN 'subject' || n END, CASE WHEN n % 10 = 0 THEN n END
    FROM generate_series(1, 100000) n;
INSERT INTO audit_person (row, name) SELECT row, 'dana' FROM audit WHERE number % 2 = 0;
UPDATE audit_number SET last = 100000;
INSERT INTO flow (id, purpose, matter, subject, binding, tries, created_at, expires_at, username_folded, email_folded)
    SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'reset', decode(lpad(to_hex(n), 32, '0'), 'hex'), 'subject' || n,
    decode(repeat('00', 16), 'hex'), 3, n, n, 'name' || n, n || '@example.org' FROM generate_series(1, 100000) n;
INSERT INTO mail (id, kind, whom, created_at, due_at, keep_until, attempts, doubts, priority)
    SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'reset', decode(lpad(to_hex(n), 32, '0'), 'hex'), n, n, n, 0, 0, n % 3
    FROM generate_series(1, 100000) n;
ANALYZE;
";

async fn plan(client: &Client, statement: &str, params: &[&dyn Param]) -> String {
    let rows = client.query_typed(&format!("EXPLAIN {statement}"), &typed(params)).await;
    let mut plan = String::new();
    for row in rows.unwrap_or_else(|error| panic!("{statement}: {error:?}")) {
        writeln!(plan, "{}", row.get::<_, String>(0)).expect("a text");
    }
    plan
}

#[tokio::test]
async fn every_statement_uses_an_index() {
    let Some(database) = support::database().await else { return };
    let client = database.client().await;
    client.batch_execute(FILL).await.expect("rows");
    let (id, ids): (&[u8], Vec<&[u8]>) = (&[0; 16], vec![&[0; 16], &[1; 16]]);
    let (name, names) = ("name7", vec!["subject7", "subject8"]);
    let (number, numbers, more) = (17_179_869_190_i64, vec![7_i64, 8], 17_179_869_199_i64);
    let (limit, no) = (100_i64, false);
    let (none, no_text, no_id): (Option<i64>, Option<&str>, Option<&[u8]>) = (None, None, None);
    let texts = vec!["log_out", "log_out"];
    let (active, beyond) = ("active", "name8");
    let statements: Vec<(&str, Vec<&dyn Param>)> = vec![
        (HEAD, vec![]),
        (NEWEST, vec![]),
        (ACCOUNT_BY_NAME, vec![&name, &number]),
        (ACCOUNT_BY_SUBJECT, vec![&name, &number]),
        (ACCOUNT_BY_EMAIL, vec![&name, &number]),
        (ACCOUNT_BY_NAME_OR_EMAIL, vec![&name, &number]),
        (IS_GONE, vec![&name]),
        (LARGEST_NUMBER, vec![]),
        (ACCOUNTS, vec![&name, &limit]),
        (ACCOUNTS_IN, vec![&name, &beyond, &limit]),
        (ACCOUNTS_STANDING, vec![&name, &beyond, &limit, &active, &number]),
        (ACCOUNTS_ADDRESSED, vec![&name, &beyond, &limit]),
        (ACCOUNTS_PART, vec![&name, &limit]),
        (COUNT_ACCOUNTS, vec![&name, &beyond, &number]),
        (EXAMINED, vec![&id, &limit]),
        (EXAMINED_OF, vec![&id, &limit, &name]),
        (EXAMINED_OPENED_BY, vec![&id, &limit, &name]),
        (LIVE, vec![&number, &ids[1], &id, &limit]),
        (LIVE_OF, vec![&number, &ids[1], &id, &limit, &name]),
        (LIVE_OPENED_BY, vec![&number, &ids[1], &id, &limit, &name]),
        (SESSIONS_PART, vec![&id, &limit]),
        (COUNT_SESSIONS, vec![&number, &id, &id]),
        (PASSWORD_CLASSES, vec![&limit]),
        (SESSIONS, vec![&ids]),
        (ADOPTED, vec![&id]),
        (FOREIGN, vec![&id, &ids, &id]),
        (SESSIONS_OF, vec![&name, &id, &limit]),
        (ENTRIES_AFTER, vec![&number, &limit]),
        (FOLLOW, vec![&number, &limit]),
        (ENTRIES_BETWEEN, vec![&number, &more, &limit]),
        (ENTRIES_OF, vec![&ids]),
        (IS_UNNUMBERED, vec![]),
        (AUDIT, vec![&limit, &limit]),
        (AUDIT_OF, vec![&limit, &limit, &name]),
        (AUDIT_BEFORE, vec![&number, &number, &limit, &no_text, &no_text, &no_text, &limit]),
        (AUDIT_OF_BEFORE, vec![&number, &number, &limit, &no_text, &no_text, &name, &limit]),
        (AUDIT_OF_EVENT_BEFORE, vec![&number, &number, &limit, &name, &no_text, &no_text, &limit]),
        (AUDIT_OF_ACTOR_BEFORE, vec![&number, &number, &limit, &no_text, &name, &no_text, &limit]),
        (AUDIT_HEAD, vec![]),
        (UNBLANKED, vec![]),
        (ENDINGS, vec![&name, &numbers]),
        (FLOW, vec![&id]),
        (REGISTRATION_BY_NAME, vec![&name, &number]),
        (REGISTRATION_BY_EMAIL, vec![&name, &number]),
        (EARLIER_REQUESTS, vec![&ids, &id, &limit, &number]),
        (MAILS_DUE, vec![&limit, &number, &limit]),
        (NEXT_MAIL, vec![&limit]),
        (LOCK_ACCOUNTS, vec![&names]),
        (LOCK_SESSIONS, vec![&ids]),
        (LOCK_SESSIONS_OF, vec![&ids, &names]),
        (LOCK_FLOWS, vec![&ids]),
        (LOCK_MAILS, vec![&ids]),
        (REVOKED_ALREADY, vec![&ids]),
        (ADOPTED_ALREADY, vec![&ids]),
        (ADOPTED_BEFORE, vec![&ids]),
        (IS_TAKEN, vec![&name, &name, &name, &name]),
        (KEEP_ADOPTIONS, vec![&name]),
        (FORGET_SESSIONS_OF, vec![&name]),
        (DELETE_ACCOUNT, vec![&name, &number]),
        (
            OPEN_SESSION,
            vec![
                &id, &name, &number, &number, &id, &number, &number, &number, &none, &no_text, &none,
                &no_text, &no_text, &no_text, &no_text, &no_id, &none, &no_id, &no_text, &number, &limit,
            ],
        ),
        (ROTATE, vec![&id, &number, &number, &number, &number]),
        (BIND_SESSION, vec![&id, &id]),
        (SURVIVE, vec![&id, &number, &number, &number, &number, &number, &name]),
        (END_SESSION, vec![&id, &name, &number, &name]),
        (ROTATE_ALL, vec![&ids, &numbers, &numbers, &numbers, &numbers]),
        (END_ALL, vec![&ids, &texts, &numbers, &texts]),
        (NUMBER_AUDIT, vec![]),
        (MARK_ENTRIES, vec![&limit, &limit]),
        (FORGET_SESSIONS, vec![&limit, &limit]),
        (FORGET_ADOPTIONS, vec![&limit, &limit]),
        (FORGET_FLOWS, vec![&limit, &limit]),
        (FORGET_MAILS, vec![&limit, &limit]),
        (DELETE_ENTRIES, vec![&limit, &limit, &limit]),
        (FORGET_AUDIT, vec![&limit]),
        (BLANK_PERSONS, vec![&name, &limit]),
        (ALL_BLANKED, vec![&name]),
        (SPEND_TRY, vec![&id]),
        (TRY_MAIL, vec![&id, &number, &number]),
        (DROP_MAIL, vec![&id]),
        (
            EDIT_ACCOUNT,
            vec![
                &name, &number, &no, &no_text, &no_text, &no, &no_text, &no_text, &none, &no, &no_text,
                &no_text, &no, &none, &no, &no_text, &none, &none, &none, &no, &no_text, &none, &none,
                &no_text, &no, &no_text,
            ],
        ),
    ];
    for (statement, params) in statements {
        let plan = plan(&client, statement, &params).await;
        for table in GROWING {
            let scanned = plan.lines().any(|line| {
                line.split_once("Seq Scan on ")
                    .is_some_and(|(_, rest)| rest.split_whitespace().next() == Some(table))
            });
            assert!(!scanned, "{table}: {statement}\n{plan}");
        }
    }
}

#[tokio::test]
async fn rotations_write_no_index() {
    const SESSIONS: u32 = 500;
    let Some(database) = support::database().await else { return };
    let store = std::sync::Arc::new(database.open().await);
    let subject = Subject::parse("dana").expect("a subject");
    let now = Timestamp::from_secs(1_800_000_000);
    let account = Account::new(subject.clone(), Name::parse("dana").expect("a name"), now);
    store.commit(Change::AddAccount(account, quash_core::model::Actor::Operator)).await.expect("an account");
    let opened_seq = store.head().await.expect("a head").seq;
    let id = |n: u32| {
        let mut bytes = [1; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        SessionId::from_bytes(bytes)
    };
    let idle_until = |secs: u32| Timestamp::from_secs(1_800_086_400 + i64::from(secs));
    for n in 0..SESSIONS {
        let session = Session {
            id: id(n),
            subject: subject.clone(),
            generation: Generation(0),
            rotated_at: now,
            seed: [0; 16],
            opened_seq,
            opened_at: now,
            idle_until: idle_until(0),
            ends_at: None,
            state: SessionState::Live,
            device: None,
            address: None,
            claims: CustomClaims::default(),
            adopted: None,
            known_device: None,
            client: None,
        };
        let opening = quash_core::model::SessionOpening {
            session,
            version: 1,
            rehash: None,
            evict: None,
            most_live: SESSIONS,
            last_login: None,
            known_device: None,
            locks: None,
            adopts: None,
            claims: None,
        };
        store.commit(Change::OpenSession(Box::new(opening))).await.expect("a session");
    }
    let client = database.client().await;
    // As requests would: 25 at once, of rows in different pages.
    for generation in 0..6 {
        for group in 0..SESSIONS / 25 {
            let tasks: Vec<_> = (group..SESSIONS)
                .step_by(SESSIONS as usize / 25)
                .map(|n| {
                    let store = std::sync::Arc::clone(&store);
                    let change = Change::Rotate {
                        session: id(n),
                        from: Generation(generation),
                        rotated_at: now,
                        idle_until: idle_until(generation * 60),
                    };
                    tokio::spawn(async move { store.commit(change).await })
                })
                .collect();
            for task in tasks {
                task.await.expect("no panic").expect("a rotation");
            }
            // The server itself cleans a page when it is full, unless a long transaction in another database
            // delays that, as other tests do.
            if group % 5 == 4 {
                client.batch_execute("VACUUM session").await.expect("clean pages");
            }
        }
    }
    // The server counts when a connection is closed.
    drop(store);
    for _ in 0..100 {
        let counted = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'session'";
        let found = client.query_one(counted, &[]).await.expect("statistics");
        let (all, hot): (i64, i64) = (found.get(0), found.get(1));
        if all >= i64::from(SESSIONS) * 6 {
            assert!(hot * 100 >= all * 95, "{hot} of {all}");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the server has counted no rotations");
}
