//! Lockout: the number of password guesses at all endpoints together, the sessions that a lock ends, and
//! unlocking.

use crate::support;

use std::sync::Arc;

use quash_core::decide::ChangeAuthor;
use quash_core::model::{AccountState, Actor, Event, LockEnds, Note, ScopeKind};
use quash_service::NewPassword;
use serde_json::json;
use zeroize::Zeroizing;

use support::{Answer, Call, PASSWORD, Part, Plan, World, millis, secs, subject};

/// A hash of [`PASSWORD`] by Django 5.2.19, at a low cost.
const DJANGO: &str = "pbkdf2_sha256$10$uqZlmSoPEuJNjWxOnGTzHz$Da69/IhV1B9SnRk3poBfYNDgeGwQElGo3unJDyYD52o=";

fn attempt(name: &str, password: &str) -> Call {
    Call::post("/api/token/").json(&json!({ "username": name, "password": password }))
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[tokio::test]
async fn a18_five_wrong_passwords_lock_the_account() {
    let world = World::open().await;
    assert_eq!(world.guess("dana", 5).await, [401; 5]);
    world.locked("dana").await;
    let unknown = world.attempt("nobody", PASSWORD).await;
    let locked = world.attempt("dana", PASSWORD).await;
    assert_eq!((locked.status, locked.text()), (401, unknown.text()));
    world.wait(millis(59_999));
    assert_eq!(world.attempt("dana", PASSWORD).await.status, 401);
    world.wait(millis(1));
    world.sign_in("dana").await;
}

#[tokio::test]
async fn a18_four_failures_lock_nothing_and_are_reset() {
    let world = World::open().await;
    for _ in 0..3 {
        world.guess("dana", 4).await;
        world.sign_in("dana").await;
    }
    assert_eq!(world.account("dana").await.state, AccountState::Active);
}

#[tokio::test]
async fn attempts_during_a_lock_are_not_compared() {
    let world = World::open().await;
    world.guess("dana", 5).await;
    let until = world.locked("dana").await.state;
    world.hashes();
    world.evaluated();
    for _ in 0..20 {
        assert_eq!(world.attempt("dana", PASSWORD).await.status, 401);
        assert_eq!((world.hashes(), world.evaluated()), (1, 0));
    }
    assert_eq!(world.locked("dana").await.state, until);
    world.wait(secs(60));
    world.guess("dana", 4).await;
    world.sign_in("dana").await;
}

#[tokio::test]
async fn consecutive_locks_double_until_a_successful_sign_in() {
    let world = World::open().await;
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
        world.guess("dana", 5).await;
        let account = world.locked("dana").await;
        let since = quash_core::model::Clock::now(&*world.clock);
        assert_eq!(account.state, AccountState::Locked { since, until: since + secs(60 * minutes) });
        world.wait(secs(60 * minutes));
    }
    assert_eq!(world.account("dana").await.locks, 8);
    world.sign_in("dana").await;
    assert_eq!(world.account("dana").await.locks, 0);
    world.guess("dana", 5).await;
    let since = quash_core::model::Clock::now(&*world.clock);
    assert_eq!(world.locked("dana").await.state, AccountState::Locked { since, until: since + secs(60) });
}

#[tokio::test]
async fn a19_spellings_and_endpoints_share_one_counter() {
    let world = World::open().await;
    for name in ["dana", "DANA", " Dana ", "ｄａｎａ"] {
        assert_eq!(world.attempt(name, "wrong password").await.status, 401, "{name}");
    }
    let sliding =
        Call::post("/api/token/sliding/").json(&json!({ "username": "daNa", "password": "wrong password" }));
    assert_eq!(world.send(sliding).await.status, 401);
    world.locked("dana").await;
}

#[tokio::test]
async fn a29_all_password_endpoints_share_counter_and_lock() {
    let owns: [(&str, &str, &str); 5] = [
        ("PATCH", "/v1/me", r#"{"username":"kim","password":"wrong password"}"#),
        ("DELETE", "/v1/me", r#"{"password":"wrong password"}"#),
        (
            "POST",
            "/v1/me/password",
            r#"{"current_password":"wrong password","new_password":"another horse battery staple"}"#,
        ),
        ("POST", "/v1/me/email", r#"{"email":"new@example.org","password":"wrong password"}"#),
        ("POST", "/v1/me/deactivate", r#"{"password":"wrong password"}"#),
    ];
    let mut plan = Plan::default();
    plan.policy.accounts.lock_ends = LockEnds::None;
    let world = World::planned(plan).await;
    let pair = world.sign_in("dana").await;
    let send = async |(method, path, body): (&str, &str, &str), password: &str| {
        let body = serde_json::from_str(&body.replace("wrong password", password)).expect("a body");
        world.own(method, path, &pair.access, &body).await.status
    };
    for door in owns {
        assert_eq!(send(door, "wrong password").await, 403, "{door:?}");
    }
    world.locked("dana").await;
    world.evaluated();
    for door in owns {
        assert_eq!(
            send(door, PASSWORD).await,
            403,
            "under a lock the right one is refused as well: {door:?}"
        );
    }
    let once =
        json!({ "username": "dana", "password": PASSWORD, "new_password": "another horse battery staple" });
    assert_eq!(world.post("/v1/password", &once).await.status, 401);
    assert_eq!(world.evaluated(), 0);
    // The endpoint for temporary passwords counts, too.
    world.guess("noor", 4).await;
    let guess = json!({ "username": "noor", "password": "wrong password", "new_password": "another horse battery staple" });
    assert_eq!(world.post("/v1/password", &guess).await.status, 401);
    world.locked("noor").await;
}

#[tokio::test]
async fn a20_parallel_guesses_evaluate_only_five() {
    for right in [5, 20, 99] {
        let (plan, valve) = Plan::valved();
        let world = Arc::new(World::planned(plan).await);
        world.evaluated();
        let guesses =
            (0..200).map(|n| attempt("dana", if n == right { PASSWORD } else { "wrong password" })).collect();
        let answers = world.at_once(&valve, guesses).await;
        assert_eq!(world.evaluated(), 5);
        assert_eq!((count(&answers, 200), count(&answers, 401), count(&answers, 429)), (0, 21, 179));
        world.locked("dana").await;
        assert!(world.sessions("dana").await.is_empty());
    }
}

#[tokio::test]
async fn a21_parallel_right_attempts_succeed_within_the_queue() {
    let (plan, valve) = Plan::valved();
    let world = Arc::new(World::planned(plan).await);
    let answers = world.at_once(&valve, (0..21).map(|_| attempt("dana", PASSWORD)).collect()).await;
    assert_eq!(count(&answers, 200), 21);
    // After four failures attempts are evaluated one at a time.
    world.guess("dana", 4).await;
    let answers = world.at_once(&valve, (0..17).map(|_| attempt("dana", PASSWORD)).collect()).await;
    assert_eq!(count(&answers, 200), 17);
    world.guess("dana", 4).await;
    let answers = world.at_once(&valve, (0..18).map(|_| attempt("dana", PASSWORD)).collect()).await;
    assert_eq!((count(&answers, 200), count(&answers, 429)), (17, 1), "one past the edge");
    insta::assert_snapshot!(answers[17], @r#"
    429
    content-type: application/json
    cache-control: no-store
    vary: Accept
    allow: POST, OPTIONS
    retry-after: 1

    {"detail":"Request was throttled. Expected available in 1 second."}
    "#);
}

#[tokio::test]
async fn disconnected_clients_lose_their_place() {
    let (plan, valve) = Plan::valved();
    let world = Arc::new(World::planned(plan).await);
    valve.close();
    for _ in 0..20 {
        let hung_up = tokio::spawn({
            let world = Arc::clone(&world);
            async move { world.attempt("dana", "wrong password").await }
        });
        world.settle().await;
        hung_up.abort();
        let _ = hung_up.await;
    }
    let answers = world.at_once(&valve, (0..17).map(|_| attempt("dana", PASSWORD)).collect()).await;
    assert_eq!(count(&answers, 200), 17, "{}", answers[0]);
}

#[tokio::test]
async fn a20_unknown_names_queue_like_known_ones() {
    for before in [0, 4, 5, 7] {
        let told = async |name: &str| {
            let (plan, valve) = Plan::valved();
            let world = Arc::new(World::planned(plan).await);
            world.guess(name, before).await;
            let answers =
                world.at_once(&valve, (0..40).map(|_| attempt(name, "wrong password")).collect()).await;
            let mut told: Vec<_> = answers.iter().map(Answer::to_string).collect();
            told.dedup();
            (told, count(&answers, 401), count(&answers, 429))
        };
        assert_eq!(told("dana").await, told("nobody").await, "{before}");
    }
}

#[tokio::test]
async fn a22_counting_restarts_when_locks_end() {
    let world = World::open().await;
    world.guess("dana", 5).await;
    world.locked("dana").await;
    world.wait(secs(60));
    world.evaluated();
    world.guess("dana", 8).await;
    assert_eq!(world.evaluated(), 5);
    assert_eq!(world.locked("dana").await.locks, 2);
}

#[tokio::test]
async fn a28_other_accounts_sign_ins_reset_nothing() {
    let world = World::open().await;
    world.guess("dana", 4).await;
    world.sign_in("noor").await;
    world.guess("dana", 1).await;
    world.locked("dana").await;
}

#[tokio::test]
async fn a30_refusals_for_other_reasons_are_not_counted() {
    let mut plan = Plan::default();
    plan.policy.sessions.max_per_account = 1;
    let world = World::planned(plan).await;
    world.add("new", Some("new@example.org"), false).await;
    for _ in 0..10 {
        let refused = world.attempt("new", PASSWORD).await;
        assert_eq!(refused.json()["code"], "email_not_verified");
        world.sign_in("dana").await;
    }
    world.guess("new", 4).await;
    assert_eq!(world.attempt("new", PASSWORD).await.json()["code"], "email_not_verified");
    // A refused attempt with the right password resets no counter either.
    world.guess("new", 1).await;
    world.locked("new").await;
    assert!(world.attempt("new", PASSWORD).await.json().get("code").is_none(), "never under a lock");
}

#[tokio::test]
async fn a30_unjudged_attempts_are_not_counted() {
    let world = World::open().await;
    world.store.break_part(Part::Rows, support::FaultyStore::away());
    assert_eq!(world.guess("dana", 10).await, [503; 10]);
    world.store.mend();
    world.sign_in("dana").await;
}

#[tokio::test]
async fn a31_locks_end_all_sessions_once() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let other = world.sign_in("noor").await;
    world.guess("dana", 5).await;
    world.locked("dana").await;
    insta::assert_snapshot!(world.refresh(&pair.refresh).await.brief(), @r#"401 {"detail":"Token is blacklisted","code":"token_not_valid","reason":"locked"}"#);
    world.assert_dead(&pair).await;
    world.assert_live(&other).await;
    world.guess("dana", 20).await;
    assert_eq!(support::kinds(&*world.store).await, [ScopeKind::Subject]);
}

#[tokio::test]
async fn a31_locks_may_end_nothing_or_everything() {
    for (ends, logged) in [(LockEnds::None, vec![]), (LockEnds::All, vec![ScopeKind::Subject])] {
        let mut plan = Plan::default();
        plan.policy.accounts.lock_ends = ends;
        let world = World::planned(plan).await;
        let mut pairs = Vec::new();
        for _ in 0..3 {
            pairs.push(world.sign_in("dana").await);
        }
        world.guess("dana", 5).await;
        world.locked("dana").await;
        for pair in &pairs {
            if ends == LockEnds::None { world.assert_live(pair).await } else { world.assert_dead(pair).await }
        }
        assert_eq!(support::kinds(&*world.store).await, logged);
    }
}

#[tokio::test]
async fn a32_operator_unlocks_are_audited() {
    let world = World::open().await;
    for minutes in [1, 2] {
        world.guess("dana", 5).await;
        world.locked("dana").await;
        world.wait(secs(60 * minutes));
    }
    world.guess("dana", 5).await;
    world.locked("dana").await;
    let note = Note { author: Some("op".into()), text: Some("she rang".into()) };
    let by = ChangeAuthor { actor: Actor::Operator, note: Some(note.clone()) };
    world.service.unlock(&subject("dana"), by.clone()).await.expect("an unlock");
    let account = world.account("dana").await;
    assert_eq!((account.state, account.locks), (AccountState::Active, 0));
    let audit =
        quash_store::Store::audit(&*world.store, 0, Some(&subject("dana")), 99).await.expect("entries");
    let events: Vec<_> = audit.iter().map(|entry| entry.new.event).collect();
    assert_eq!(events, [Event::AccountAdded, Event::Locked, Event::Locked, Event::Locked, Event::Unlocked]);
    assert_eq!(audit[4].new.person.as_ref().and_then(|person| person.note.clone()), Some(note));
    world.guess("dana", 4).await;
    world.service.unlock(&subject("dana"), by).await.expect("an unlock");
    world.guess("dana", 4).await;
    world.sign_in("dana").await;
}

#[tokio::test]
async fn new_passwords_of_operators_end_a_lock() {
    let world = World::open().await;
    let dana = subject("dana");
    let by = || ChangeAuthor::from(Actor::Operator);
    let state = async || world.account("dana").await.state;
    let lock = async || {
        world.guess("dana", 5).await;
        world.locked("dana").await;
    };
    lock().await;
    let password = "a password that the operator has chosen";
    let plain = NewPassword::Plain(Zeroizing::new(password.to_owned()));
    world.service.set_password(&dana, plain, by()).await.expect("a password");
    assert_eq!((state().await, world.account("dana").await.locks), (AccountState::Active, 0));
    world.attempt("dana", password).await.pair();

    lock().await;
    let (_, temporary) = world.service.give_one_time_password(&dana, by()).await.expect("a password");
    assert_eq!(state().await, AccountState::Active);
    assert_eq!(world.attempt("dana", &temporary.password).await.json()["code"], "password_change_required");

    // Without a password nobody can sign in: the lock ends by itself.
    lock().await;
    world.service.require_reset(&dana, by()).await.expect("no password");
    assert!(matches!(state().await, AccountState::Locked { .. }));
    let unusable = NewPassword::Encoded(Zeroizing::new("!kJ3k".to_owned()));
    world.service.set_password(&dana, unusable, by()).await.expect("no password");
    assert!(matches!(state().await, AccountState::Locked { .. }));
    // A hash is a password, too. The failures so far don't count any more.
    let hash = NewPassword::Encoded(Zeroizing::new(DJANGO.to_owned()));
    world.service.set_password(&dana, hash, by()).await.expect("a password");
    assert_eq!(state().await, AccountState::Active);
    world.guess("dana", 4).await;
    world.attempt("dana", PASSWORD).await.pair();
}

#[tokio::test]
async fn failures_of_deactivated_accounts_count() {
    let world = World::open().await;
    world.deactivate("dana").await;
    let deactivated = world.account("dana").await;
    for _ in 0..12 {
        assert_eq!(world.attempt("dana", PASSWORD).await.status, 401);
    }
    assert_eq!(world.account("dana").await, deactivated);
}

#[tokio::test]
async fn locks_survive_restarts_and_failures_do_not() {
    let world = World::open().await;
    world.guess("dana", 5).await;
    world.locked("dana").await;
    world.guess("noor", 4).await;
    let world = world.reopened(Plan::default()).await;
    assert_eq!(world.attempt("dana", PASSWORD).await.status, 401);
    world.guess("noor", 4).await;
    world.sign_in("noor").await;
    world.wait(secs(60));
    world.guess("dana", 5).await;
    assert_eq!(world.locked("dana").await.locks, 2, "the row goes on");
}

#[tokio::test]
async fn locks_hold_without_the_store() {
    let world = World::open().await;
    world.store.break_part(Part::Writes, support::FaultyStore::away());
    assert_eq!(world.guess("dana", 5).await, [401; 5]);
    world.evaluated();
    assert_eq!(world.attempt("dana", PASSWORD).await.status, 401);
    assert_eq!(world.evaluated(), 0);
    world.store.mend();
    world.wait(secs(60));
    world.sign_in("dana").await;
}

#[tokio::test]
async fn locks_from_a_fast_clock_are_ignored() {
    let world = World::open().await;
    world.guess("dana", 5).await;
    world.locked("dana").await;
    assert_eq!(world.attempt("dana", PASSWORD).await.status, 401);
    world.clock.set_back(secs(365 * 86_400));
    // This process has counted the minute itself.
    world.wait(secs(60));
    assert_eq!(world.attempt("dana", PASSWORD).await.status, 200);
}
