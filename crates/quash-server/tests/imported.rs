//! Sign-in with imported hashes: the cost of an attempt, the information that it reveals, and the upgrade of
//! the hash.

use crate::support;

use std::collections::BTreeSet;
use std::sync::Arc;

use quash_core::model::{Account, AccountState, Actor, Change, Name, PasswordHash, Subjects, Timestamp};
use quash_service::{
    AddFault, CostClass, FormatFault, NewAccount, NewPassword, PasswordHasher, Rehash, ValueFault,
};
use quash_store::Store;
use zeroize::Zeroizing;

use support::{Answer, Cheap, PASSWORD, Plan, Spent, Unmade, World, subject};

/// Hashes of [`PASSWORD`] by Django 5.2.19, at a low cost.
const PBKDF2: &str = "pbkdf2_sha256$10$uqZlmSoPEuJNjWxOnGTzHz$Da69/IhV1B9SnRk3poBfYNDgeGwQElGo3unJDyYD52o=";
const BCRYPT: &str = "bcrypt$$2b$04$jlNnVSsHDvAC72wwXOBhLeM0tiT4a2CwClmN9LjBL762zG/aVcN4C";

fn class(text: &str) -> CostClass {
    text.parse().expect("a class")
}

/// The cost of one attempt: the classes that were compared, and the number of hashes that were made.
async fn cost(world: &World, name: &str, password: &str) -> (Answer, Vec<Spent>) {
    world.hasher.taken();
    let answer = world.attempt(name, password).await;
    (answer, world.hasher.taken())
}

async fn stored(world: &World, name: &str) -> Account {
    world.service.account(name).await.expect("a store").expect("an account")
}

fn told(answer: &Answer) -> String {
    let mut headers: Vec<_> = answer.headers.iter().filter(|(name, _)| *name != "x-request-id").collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    format!("{} {headers:?} {}", answer.status, answer.text())
}

#[tokio::test]
async fn a06_attempts_cost_one_comparison_of_their_class() {
    let world = World::open().await;
    let unknown = world.attempt("nobody", PASSWORD).await;
    world.import("django", PBKDF2).await;
    world.import("former", PBKDF2).await;
    world.deactivate("former").await;
    world.import("locked", PBKDF2).await;
    world
        .put(
            "locked",
            AccountState::Locked {
                since: Timestamp::from_secs(support::START),
                until: Timestamp::from_secs(support::START + 60),
            },
        )
        .await;
    for (name, password) in [
        ("django", "wrong password"),
        ("former", PASSWORD),
        ("former", "x"),
        ("locked", PASSWORD),
        ("locked", "x"),
    ] {
        let (answer, spent) = cost(&world, name, password).await;
        assert_eq!(told(&answer), told(&unknown), "{name} {password}");
        assert_eq!(spent, [Spent::Compared(class("pbkdf2_sha256$10"))], "{name} {password}");
    }
    assert_eq!(stored(&world, "former").await.password.as_ref().map(PasswordHash::as_str), Some(PBKDF2));
}

#[tokio::test]
async fn a06_successful_sign_ins_upgrade_hashes_once() {
    let world = World::open().await;
    let before = world.import("django", PBKDF2).await;
    let (answer, spent) = cost(&world, "django", PASSWORD).await;
    let first = answer.pair();
    assert_eq!(spent, [Spent::Compared(class("pbkdf2_sha256$10")), Spent::Made]);
    let after = stored(&world, "django").await;
    let hash = after.password.clone().expect("a hash");
    assert!(Cheap.is_current(&hash));
    let mark = before.password.as_ref().map(PasswordHash::mark);
    assert_eq!(after, Account { password: Some(hash), mark, ..before }, "nothing else has changed");
    let (answer, spent) = cost(&world, "django", PASSWORD).await;
    assert_eq!((answer.status, spent), (200, vec![Spent::Compared(Cheap.current())]));
    world.assert_live(&first).await;
    let (answer, spent) = cost(&world, "dana", PASSWORD).await;
    assert_eq!((answer.status, spent), (200, vec![Spent::Compared(Cheap.current())]), "a current hash stays");
}

#[tokio::test]
async fn a12_after_the_first_sign_in_the_whole_password_counts() {
    let world = World::open().await;
    // Of 73 times the letter x.
    world.import("long", "bcrypt$$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i").await;
    let (first, other) = ("x".repeat(73), format!("{}y", "x".repeat(72)));
    assert_eq!(world.attempt("long", &"x".repeat(71)).await.status, 401);
    assert_eq!(world.attempt("long", &first).await.status, 200);
    assert_eq!(world.attempt("long", &other).await.status, 401, "bcrypt alone would not see the difference");
    assert_eq!(world.attempt("long", &first).await.status, 200);
}

#[tokio::test]
async fn imported_hashes_can_be_kept() {
    let world = World::planned(Plan { rehash: Rehash::Never, ..Plan::default() }).await;
    world.import("django", PBKDF2).await;
    for _ in 0..2 {
        let (answer, spent) = cost(&world, "django", PASSWORD).await;
        assert_eq!((answer.status, spent), (200, vec![Spent::Compared(class("pbkdf2_sha256$10"))]));
    }
    assert_eq!(stored(&world, "django").await.password.as_ref().map(PasswordHash::as_str), Some(PBKDF2));
}

#[tokio::test]
async fn sign_ins_succeed_when_rehashing_fails() {
    let world = World::empty(Plan { hasher: Arc::new(Unmade), ..Plan::default() }).await;
    let before = world.import("django", PBKDF2).await;
    let (answer, spent) = cost(&world, "django", PASSWORD).await;
    answer.pair();
    assert_eq!(spent, [Spent::Compared(class("pbkdf2_sha256$10")), Spent::Made]);
    assert_eq!(stored(&world, "django").await, before);
}

#[tokio::test]
async fn a06_concurrent_attempts_cost_one_comparison_each() {
    let world = World::open().await;
    world.import("django", PBKDF2).await;
    world.hasher.taken();
    let attempt = || world.attempt("django", PASSWORD);
    let (a, b, c, d) = tokio::join!(attempt(), attempt(), attempt(), attempt());
    assert!([a, b, c, d].iter().all(|answer| answer.status == 200));
    let spent = world.hasher.taken();
    let compared = spent.iter().filter(|spent| **spent != Spent::Made).count();
    assert!(compared == 4 && (5..=8).contains(&spent.len()), "{spent:?}");
    assert!(Cheap.is_current(&stored(&world, "django").await.password.expect("a hash")));
}

/// The cost of each of a hundred unknown names.
async fn picks(world: &World) -> Vec<CostClass> {
    let mut picks = Vec::new();
    for n in 0..100 {
        let (answer, spent) = cost(world, &format!("nobody {n}"), PASSWORD).await;
        assert_eq!(answer.status, 401);
        let [Spent::Compared(class)] = spent[..] else { panic!("{spent:?}") };
        picks.push(class);
    }
    picks
}

#[tokio::test]
async fn a02_unknown_names_cost_a_fixed_stored_class() {
    let world = World::open().await;
    assert_eq!(picks(&world).await.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([Cheap.current()]));
    world.import("django", PBKDF2).await;
    world.import("older", PBKDF2).await;
    let first = picks(&world).await;
    let both = BTreeSet::from([Cheap.current(), class("pbkdf2_sha256$10")]);
    assert_eq!(first.iter().copied().collect::<BTreeSet<_>>(), both);
    assert_eq!(picks(&world).await, first, "a name has one class");
    for (n, class) in first.iter().enumerate() {
        let (_, spent) = cost(&world, &format!(" NOBODY {n}"), "wrong password").await;
        assert_eq!(spent, [Spent::Compared(*class)], "whatever its spelling and the password");
    }
    // An account without a password costs the same as its name did before the account existed.
    for (n, class) in first.iter().enumerate().take(10) {
        let name = format!("nobody {n}");
        if n % 2 == 0 {
            world.add_with(&name, None, false, None).await
        } else {
            world.import(&name, "!unusable").await
        };
        assert_eq!(cost(&world, &name, PASSWORD).await.1, [Spent::Compared(*class)], "{name}");
    }
}

#[tokio::test]
async fn a02_cost_classes_depend_on_the_master_key() {
    let mut all = Vec::new();
    for secret in [21, 21, 22] {
        let world = World::planned(Plan { secret, ..Plan::default() }).await;
        world.import("django", PBKDF2).await;
        all.push(picks(&world).await);
    }
    assert_eq!(all[0], all[1]);
    assert_ne!(all[0], all[2]);
}

#[tokio::test]
async fn unusable_stored_hashes_count_as_none() {
    let world = World::open().await;
    let unknown = world.attempt("nobody", PASSWORD).await;
    for (n, text) in
        ["", "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99", "pbkdf2_sha256$4000000000$s$AAAA", "!x", PASSWORD]
            .iter()
            .enumerate()
    {
        let name = format!("odd {n}");
        let (_, before) = cost(&world, &name, PASSWORD).await;
        let new = Account::new(
            subject(&name),
            Name::parse(&name).expect("a name"),
            Timestamp::from_secs(support::START),
        );
        let account = Account { password: Some(PasswordHash::new((*text).to_owned())), ..new };
        world.store.commit(Change::AddAccount(account, Actor::Operator)).await.expect("an account");
        for password in
            [PASSWORD, "decoy", *text, "wrong password"].into_iter().filter(|password| !password.is_empty())
        {
            let (answer, spent) = cost(&world, &name, password).await;
            assert_eq!((told(&answer), &spent), (told(&unknown), &before), "{text:?} {password:?}");
        }
    }
}

#[tokio::test]
async fn unusable_hashes_are_not_imported() {
    let world = World::open().await;
    for (text, fault) in [
        ("", FormatFault::Unknown),
        (PASSWORD, FormatFault::Unknown),
        ("md5$seasalt$f5531bef9f3687d0ccf0f617f0e25573", FormatFault::Unknown),
        (&PBKDF2.replace("$10$", "$10000001$"), FormatFault::TooCostly(quash_service::Cap::Pbkdf2Iterations)),
        (&BCRYPT[..50], FormatFault::Malformed(quash_service::FormatName::Bcrypt)),
        (&"x".repeat(513), FormatFault::TooLong),
    ] {
        let password = Some(NewPassword::Encoded(Zeroizing::new(text.to_owned())));
        let new = NewAccount {
            name: "odd".into(),
            email: None,
            verified: false,
            subject: None,
            password,
            state: quash_service::NewState::Active,
            claims: None,
        };
        let refused = world.service.add_account(new).await.expect_err("no hash");
        assert_eq!(refused, AddFault::Value(ValueFault::PasswordHash(fault)), "{text}");
        let words = refused.to_string();
        assert!(words.contains("known formats are pbkdf2_sha256, pbkdf2_sha1, argon2"), "{words}");
        assert!(text.is_empty() || !words.contains(text) && !words.contains("5531"), "{words}");
    }
    assert!(world.service.account("odd").await.expect("a store").is_none());
    assert!(!world.import("later", "!lQYRNI4t2L3HkKuLrMGnna9lyDYzvVuVfWc3Pm22").await.has_usable_password());
}

async fn added(world: &World, name: &str, subject: Option<&str>) -> Result<String, AddFault> {
    let (name, subject, state) =
        (name.to_owned(), subject.map(str::to_owned), quash_service::NewState::Active);
    let new = NewAccount { name, email: None, verified: false, subject, password: None, state, claims: None };
    world.service.add_account(new).await.map(|account| account.subject.to_string())
}

#[tokio::test]
async fn numeric_subjects_are_never_reused() {
    let mut plan = Plan::default();
    plan.policy.accounts.subjects = Subjects::Integer;
    let world = World::planned(plan).await;
    let dana = world.service.account("dana").await.expect("a store").expect("dana");
    assert_eq!(
        (dana.subject.as_str(), support::claims(&world.sign_in("dana").await.access)["user_id"].as_str()),
        ("1", Some("1"))
    );
    assert_eq!(added(&world, "kim", Some("17")).await.as_deref(), Ok("17"));
    assert_eq!(added(&world, "lee", None).await.as_deref(), Ok("18"));
    for subject in ["a", "017", "0", "-1", "1000000000000000"] {
        assert_eq!(
            added(&world, "max", Some(subject)).await,
            Err(ValueFault::SubjectNotANumber.into()),
            "{subject}"
        );
    }
    assert_eq!(added(&world, "LEE", None).await, Err(AddFault::Taken));
    world
        .service
        .delete(&quash_core::model::Subject::parse("18").expect("a subject"), Actor::Operator.into())
        .await
        .expect("it is there");
    assert_eq!(added(&world, "max", None).await.as_deref(), Ok("19"), "a number is never given twice");
    assert_eq!(added(&world, "pia", Some("18")).await, Err(AddFault::Taken));
    assert_eq!(added(&world, "pia", Some("999999999999999")).await.as_deref(), Ok("999999999999999"));
    assert!(matches!(added(&world, "rui", None).await, Err(AddFault::Failed(_))), "none is left");
}

#[tokio::test]
async fn numbers_never_collide_under_concurrent_additions() {
    let mut plan = Plan::default();
    plan.policy.accounts.subjects = Subjects::Integer;
    let world = std::sync::Arc::new(World::planned(plan).await);
    let before = world.store.largest_number().await.expect("a store");
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move { added(&world, &format!("user {n}"), None).await })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.push(task.await.expect("no panic").expect("an account").parse::<u64>().expect("a number"));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (before + 1..=before + 40).collect::<Vec<_>>());
}
