//! Pairs of changes by two processes at once, each of which makes the other's guard fail: whichever comes
//! first, the result is one that some order of the two would have.

use quash_core::model::{
    AccountFields, Actor, Change, DeviceId, Email, Ends, KeyState, Name, PasswordHash, ScopeKey, ScopeKind,
    SessionOpening, SessionState, Survivor,
};
use quash_store::{PostgresStore, Store, StoreError};

use crate::support::postgres::{TestDatabase, database};
use crate::support::*;

/// The number of rounds of each pair.
fn rounds() -> u32 {
    if is_soak() { 1000 } else { 50 }
}

/// Runs two changes at once on two stores, `rounds` times. `prepare` writes what they need, `check` looks at
/// the outcomes: whether each was written.
async fn race(
    prepare: impl AsyncFn(PostgresStores, u32) -> (Change, Change),
    check: impl AsyncFn(PostgresStores, u32, bool, bool),
) {
    let Some(database) = database().await else { return };
    let stores = PostgresStores::open(&database).await;
    let mut won = [0; 4];
    for round in 0..rounds() {
        let (one, other) = prepare(stores.clone(), round).await;
        let (a, b) = (stores.0.clone(), stores.1.clone());
        // Either may begin.
        let (first, second) = if round % 2 == 0 {
            let one = tokio::spawn(async move { a.commit(one).await });
            let other = tokio::spawn(async move { b.commit(other).await });
            (one, other)
        } else {
            let other = tokio::spawn(async move { b.commit(other).await });
            let one = tokio::spawn(async move { a.commit(one).await });
            (one, other)
        };
        let outcomes = [first.await.expect("no panic"), second.await.expect("no panic")];
        let written = outcomes.map(|outcome| match outcome {
            Ok(_) => true,
            Err(StoreError::Conflict) => false,
            Err(other) => panic!("round {round}: {other}"),
        });
        won[usize::from(written[0]) * 2 + usize::from(written[1])] += 1;
        check(stores.clone(), round, written[0], written[1]).await;
    }
    drop(stores);
    assert_eq!(database.deadlocks().await, 0, "deadlocks; neither, second, first, both: {won:?}");
}

/// Two processes over one database.
#[derive(Clone)]
struct PostgresStores(std::sync::Arc<PostgresStore>, std::sync::Arc<PostgresStore>);

impl PostgresStores {
    async fn open(database: &TestDatabase) -> Self {
        let (one, other) = (database.open().await, database.open().await);
        Self(std::sync::Arc::new(one), std::sync::Arc::new(other))
    }
}

/// An id of a session that no other round uses.
fn id(round: u32, n: u8) -> quash_core::model::SessionId {
    let mut bytes = [n; 16];
    bytes[..4].copy_from_slice(&round.to_be_bytes());
    quash_core::model::SessionId::from_bytes(bytes)
}

fn token(round: u32) -> ScopeKey {
    ScopeKey(*id(round, 99).as_bytes())
}

fn name(round: u32) -> String {
    format!("dana{round}")
}

/// Adds an account of the round.
async fn added(stores: &PostgresStores, round: u32) {
    commit(&*stores.0, add(account(&name(round)))).await;
}

/// A session of the round's account, opened at the head.
async fn a_session(stores: &PostgresStores, round: u32, n: u8) -> quash_core::model::Session {
    let opened = head(&*stores.0).await;
    quash_core::model::Session { id: id(round, n), ..session(n, &name(round), opened) }
}

/// The change that ends a session of the round.
fn ended(round: u32, n: u8) -> Change {
    let session = id(round, n);
    let entry = quash_core::model::NewEntry { key: ScopeKey(*session.as_bytes()), ..end(1).entry };
    let subject = subject(&name(round));
    ends(vec![quash_core::model::SessionEnd { session, subject, entry, adopted: None }])
}

fn rotated(round: u32, n: u8) -> Change {
    Change::Rotate {
        session: id(round, n),
        from: quash_core::model::Generation(0),
        rotated_at: at(1000),
        idle_until: at(90_000),
    }
}

fn deleted(round: u32) -> Change {
    Change::DeleteAccount {
        subject: subject(&name(round)),
        version: 1,
        entry: entry(ScopeKind::Subject, 7),
        note: None,
    }
}

fn password_set(round: u32, survivor: Option<Survivor>) -> Change {
    let password = Some(Some(PasswordHash::new("another".to_owned())));
    let fields = AccountFields { password, ..AccountFields::default() };
    edit(&name(round), 1, fields, Ends::Sessions { entry: entry(ScopeKind::Subject, 9), survivor })
}

async fn is_live(stores: &PostgresStores, round: u32, n: u8) -> bool {
    let loaded = stores.0.session(id(round, n)).await.expect("a read");
    loaded.found.is_some_and(|(session, account)| session.is_live(&account, &loaded.head))
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_a_token_is_adopted_or_ended() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            let adopted = Some(quash_core::model::Adopted { key: token(round), until: at(9_000) });
            let opened = quash_core::model::Session { adopted, ..a_session(&stores, round, 1).await };
            let tokens =
                vec![quash_core::model::NewEntry { key: token(round), ..entry(ScopeKind::Token, 5) }];
            (adopt(opened, 1, 50), Change::EndSessions { sessions: Vec::new(), tokens })
        },
        async |stores, round, adopted, ended| {
            assert!(adopted != ended, "round {round}: {adopted} {ended}");
            assert_eq!(is_live(&stores, round, 1).await, adopted);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_a_subject_is_never_given_out_again() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            (deleted(round), add(account(&name(round))))
        },
        async |stores, round, deleted, added| {
            assert!(deleted && !added, "round {round}");
            assert_eq!(stores.1.is_gone(&subject(&name(round))).await, Ok(true));
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_an_account_never_exceeds_its_sessions() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            commit(&*stores.0, open(a_session(&stores, round, 1).await, 1)).await;
            let [one, other] = [a_session(&stores, round, 2).await, a_session(&stores, round, 3).await];
            let within = |session| {
                Change::OpenSession(Box::new(SessionOpening { most_live: 2, ..opening(session, 1) }))
            };
            (within(one), within(other))
        },
        async |_, round, one, other| assert!(one != other, "round {round}"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_a_new_password_ends_a_session_that_is_opened_meanwhile() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            (open(a_session(&stores, round, 1).await, 1), password_set(round, None))
        },
        async |stores, round, _, set| {
            assert!(set, "round {round}");
            assert!(!is_live(&stores, round, 1).await, "round {round}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_the_end_of_everything_ends_a_session_that_is_opened_meanwhile() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            let everything = Change::EndEverything { entry: entry(ScopeKind::Everything, 3) };
            (open(a_session(&stores, round, 1).await, 1), everything)
        },
        async |stores, round, _, ended| {
            assert!(ended, "round {round}");
            assert!(!is_live(&stores, round, 1).await, "round {round}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_one_of_two_ends_of_all_others_wins() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            for n in [1, 2] {
                commit(&*stores.0, open(a_session(&stores, round, n).await, 1)).await;
            }
            let [one, other] = [1, 2].map(|n| Survivor { session: id(round, n), ..survivor(n, 0) });
            (password_set(round, Some(one)), password_set(round, Some(other)))
        },
        async |stores, round, one, other| {
            assert!(one != other, "round {round}");
            assert_eq!(
                [is_live(&stores, round, 1).await, is_live(&stores, round, 2).await],
                [one, other],
                "round {round}"
            );
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_no_survivor_outlives_the_end_of_everything() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            commit(&*stores.0, open(a_session(&stores, round, 1).await, 1)).await;
            let lives = Survivor { session: id(round, 1), ..survivor(1, 0) };
            let everything = Change::EndEverything { entry: entry(ScopeKind::Everything, 3) };
            (password_set(round, Some(lives)), everything)
        },
        async |stores, round, _, ended| {
            assert!(ended, "round {round}");
            let loaded = stores.0.session(id(round, 1)).await.expect("a read");
            assert!(!is_live(&stores, round, 1).await, "round {round}: {loaded:?}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_one_of_two_rotations_wins() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            commit(&*stores.0, open(a_session(&stores, round, 1).await, 1)).await;
            (rotated(round, 1), rotated(round, 1))
        },
        async |_, round, one, other| assert!(one != other, "round {round}"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_an_ended_session_is_not_rotated() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            commit(&*stores.0, open(a_session(&stores, round, 1).await, 1)).await;
            (rotated(round, 1), ended(round, 1))
        },
        async |stores, round, rotated, ended| {
            assert!(ended, "round {round}");
            let loaded = stores.0.session(id(round, 1)).await.expect("a read").found.expect("a session").0;
            assert_eq!(loaded.generation.0, u32::from(rotated), "round {round}");
            assert_ne!(loaded.state, SessionState::Live, "round {round}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_a_session_ends_once() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            commit(&*stores.0, open(a_session(&stores, round, 1).await, 1)).await;
            (ended(round, 1), ended(round, 1))
        },
        async |stores, round, one, other| {
            assert!(one != other, "round {round}");
            let key = ScopeKey(*id(round, 1).as_bytes());
            assert_eq!(stores.0.entries_of(&[key]).await.expect("a read").len(), 1, "round {round}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_an_account_is_deleted_or_changed() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            commit(&*stores.0, open(a_session(&stores, round, 1).await, 1)).await;
            let lives = Survivor { session: id(round, 1), ..survivor(1, 0) };
            (deleted(round), password_set(round, Some(lives)))
        },
        async |_, round, deleted, set| assert!(deleted != set, "round {round}"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_a_deleted_account_keeps_no_session() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            (deleted(round), open(a_session(&stores, round, 1).await, 1))
        },
        async |stores, round, deleted, _| {
            assert!(deleted, "round {round}");
            assert_eq!(stores.0.session(id(round, 1)).await.expect("a read").found, None, "round {round}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_a_name_is_never_the_subject_of_another_account() {
    race(
        async |_: PostgresStores, round| {
            let number = format!("{}", 1000 + round);
            let named =
                quash_core::model::Account { subject: subject(&format!("other{round}")), ..account(&number) };
            let numbered =
                quash_core::model::Account { subject: subject(&number), ..account(&format!("kim{round}")) };
            (add(named), add(numbered))
        },
        async |_, round, named, numbered| assert!(named != numbered, "round {round}"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_two_accounts_never_get_one_address() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            let email = format!("{round}@example.org");
            let fields = AccountFields { email: Some(Email::parse(&email).ok()), ..AccountFields::default() };
            let changed = edit(&name(round), 1, fields, Ends::Nothing);
            (changed, add(with_email(&format!("kim{round}"), &email)))
        },
        async |_, round, one, other| assert!(one != other, "round {round}"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_one_of_two_keys_becomes_current() {
    race(
        async |stores: PostgresStores, round| {
            let keys = stores.0.keys().await.expect("keys");
            let current = keys.iter().find(|key| key.state == KeyState::Current);
            let replaces =
                current.map(|key| (key.kid.clone(), KeyState::Retiring { until: at(i64::from(round)) }));
            let [one, other] = ["a", "b"].map(|which| Change::AddKey {
                key: key(&format!("{which}{round}"), KeyState::Current, NOW),
                replaces: replaces.clone(),
                actor: quash_core::model::Actor::Rule,
            });
            (one, other)
        },
        async |stores, round, one, other| {
            assert!(one != other, "round {round}");
            let ring = stores.1.head().await.expect("a head").ring;
            assert_eq!(ring, u64::from(round) + 1, "each change turns the ring once");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_changes_of_the_same_rows_in_another_order_do_not_deadlock() {
    race(
        async |stores: PostgresStores, round| {
            for who in ["kim", "lee"] {
                commit(&*stores.0, add(account(&format!("{who}{round}")))).await;
            }
            let changed = |who: &str, n: u8| {
                let username = Name::parse(&format!("{who}{round}x{n}")).ok();
                let fields = AccountFields { username, ..AccountFields::default() };
                let ends = Ends::Access(entry(ScopeKind::Subject, n));
                edit(&format!("{who}{round}"), 1, fields, ends)
            };
            let one = Change::Together(vec![changed("kim", 1), changed("lee", 1)]);
            (one, Change::Together(vec![changed("lee", 2), changed("kim", 2)]))
        },
        async |_, round, one, other| assert!(one != other, "round {round}"),
    )
    .await;
}

/// Races two transactions that add the same rows in another order.
async fn race_to_add(one: impl Fn(u32) -> Change, other: impl Fn(u32) -> Change) {
    race(
        async |_, round| {
            let both = || vec![one(round), other(round)];
            (Change::Together(both()), Change::Together(both().into_iter().rev().collect()))
        },
        async |_, _, _, _| {},
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_rows_that_are_added_in_another_order_do_not_deadlock() {
    let with_id = |round: u32, n: u8| *id(round, n).as_bytes();
    let mail = |n: u8| {
        move |round| {
            let id = quash_core::model::MailId::from_bytes(with_id(round, n));
            Change::AddMail(Box::new(quash_core::model::Mail { id, ..mail(n, n, 0) }))
        }
    };
    race_to_add(mail(1), mail(2)).await;
    let started = |n: u8, about: u8| {
        move |round| {
            let mut started = flow(n, about, None, 0);
            started.id = quash_core::model::FlowId::from_bytes(with_id(round, n));
            started.subject_hash = quash_core::model::Digest(with_id(round, about));
            start(started, None)
        }
    };
    race_to_add(started(1, 1), started(2, 2)).await;
    race_to_add(
        |_| Change::Remember { name: "one", value: "1".into() },
        |_| Change::Remember { name: "other", value: "2".into() },
    )
    .await;
    let addressed = |who: &'static str, address: &'static str| {
        move |round| add(with_email(&format!("{who}{round}"), &format!("{address}{round}@example.org")))
    };
    race_to_add(addressed("kim", "one"), addressed("lee", "two")).await;
    let added = |who: &'static str, n: u8| {
        move |round| {
            let mut digest = [n; 32];
            digest[..4].copy_from_slice(&u32::to_be_bytes(round));
            let (client, digest) =
                (client(&format!("{who}-{round}"), n), quash_core::model::SecretDigest(digest));
            Change::AddClient { client, digest, actor: Actor::Operator, note: None }
        }
    };
    race_to_add(added("shop", 1), added("blog", 2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_batches_of_the_same_sessions_do_not_deadlock() {
    const SESSIONS: u8 = 8;
    let Some(database) = database().await else { return };
    let stores = PostgresStores::open(&database).await;
    let client = database.client().await;
    // The subjects are in the opposite order of the ids. The server believes that the table is empty, and has pages of
    // rows that were deleted in its other indexes: so it prefers the index of live sessions, whose order is that of the
    // subjects.
    let deleted = "INSERT INTO session (sid, subject, generation, rotated_at, seed, opened_seq, opened_at, idle_until, \
        ended_reason, ended_at, ended_actor) SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'none', 0, 0, \
        decode(repeat('00', 16), 'hex'), 0, 0, n * 60000::bigint, 'log_out', 0, 'owner' FROM generate_series(1, 5000) n";
    commit(&*stores.0, add(account("none"))).await;
    client.batch_execute(deleted).await.expect("rows");
    for round in 0..rounds() {
        client.batch_execute("DELETE FROM session").await.expect("no sessions");
        client.batch_execute("VACUUM ANALYZE session").await.expect("statistics");
        for n in 0..SESSIONS {
            let subject = round * 100 + u32::from(SESSIONS - n);
            added(&stores, subject).await;
            let opened = a_session(&stores, subject, n).await;
            commit(&*stores.0, open(quash_core::model::Session { id: id(round, n), ..opened }, 1)).await;
        }
        let end_of = |n| quash_core::model::SessionEnd { session: id(round, n), ..end(1) };
        let all = ends((0..SESSIONS).map(end_of).collect());
        let rotations = (0..SESSIONS).map(|n| (stores.0.clone(), rotated(round, n)));
        let tasks: Vec<_> = rotations
            .chain([(stores.1.clone(), all)])
            .map(|(store, change)| tokio::spawn(async move { store.commit(change).await }))
            .collect();
        for task in tasks {
            match task.await.expect("no panic") {
                Ok(_) | Err(StoreError::Conflict) => {}
                Err(other) => panic!("round {round}: {other}"),
            }
        }
    }
    drop((stores, client));
    assert_eq!(database.deadlocks().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_a_flow_is_used_once() {
    race(
        async |stores: PostgresStores, round| {
            let mut started = flow(1, 1, None, i64::from(round));
            started.id = quash_core::model::FlowId::from_bytes(*id(round, 1).as_bytes());
            started.subject_hash = quash_core::model::Digest(*id(round, 2).as_bytes());
            commit(&*stores.0, start(started.clone(), None)).await;
            (Change::UseFlow(started.id), Change::UseFlow(started.id))
        },
        async |_, round, one, other| assert!(one != other, "round {round}"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_a_session_is_bound_and_rotated() {
    race(
        async |stores: PostgresStores, round| {
            added(&stores, round).await;
            commit(&*stores.0, open(a_session(&stores, round, 1).await, 1)).await;
            let device = DeviceId::from_bytes([3; 16]);
            (rotated(round, 1), Change::BindSession { session: id(round, 1), device })
        },
        async |stores, round, one, other| {
            assert!(one && other, "round {round}");
            let loaded = stores.0.session(id(round, 1)).await.expect("a read").found.expect("a session").0;
            assert_eq!((loaded.generation.0, loaded.known_device.is_some()), (1, true), "round {round}");
        },
    )
    .await;
}
