//! The marks that tokens carry for Django nodes, which compare them with the hashes in their own table. A user
//! that quash lets in must pass that comparison, however the account and the user came to their passwords.

use crate::accounts::{self, patch, send};
use crate::support;

use quash_core::decide::ChangeAuthor;
use quash_core::model::{Actor, PasswordHash};
use quash_service::NewPassword;
use serde_json::{Value, json};
use support::{PASSWORD, Plan, World, claims, subject};
use zeroize::Zeroizing;

/// Hashes as a site's table may have them; quash can compare with none of them.
const HASHES: [&str; 4] = ["", "!kJ3k1wFv7cQm0b8zXo2nR5tYh4uEi6pLsA9dGjKq", "md5$salt$aGFzaA", "{SSHA}x"];

/// A hash of another password than [`PASSWORD`].
const ANOTHER: &str = "pbkdf2_sha256$10$anotherSaltOfTheirs$Da69/IhV1B9SnRk3poBfYNDgeGwQElGo3unJDyYD52o=";

async fn world() -> (World, String) {
    let mut plan = Plan::default();
    plan.policy.tokens.names.password_mark = Some("hash_password".into());
    accounts::world(plan).await
}

/// Simple JWT's `get_md5_hash_password` of a hash in the site's table.
fn mark(hash: &str) -> String {
    PasswordHash::new(hash.to_owned()).mark()
}

/// What a site sends of a hash: in place of one of no known format, its mark.
fn sent(hash: &str) -> String {
    let is_known = hash.is_empty() || hash.starts_with('!');
    if is_known { hash.to_owned() } else { format!("!mark${}", mark(hash)) }
}

async fn import(world: &World, secret: &str, name: &str, hash: &str) -> Value {
    let account = json!({ "subject": name, "username": name, "password_hash": hash });
    send(world, secret, &json!([account])).await.json()["accounts"][0].clone()
}

async fn set_password(world: &World, name: &str) {
    let password = NewPassword::Plain(Zeroizing::new(PASSWORD.to_owned()));
    let by = ChangeAuthor::from(Actor::Operator);
    world.service.set_password(&subject(name), password, by).await.expect("a password");
}

async fn mark_of_new_tokens(world: &World, name: &str) -> String {
    let access = world.sign_in(name).await.access;
    claims(&access)["hash_password"].as_str().expect("a mark").to_owned()
}

#[tokio::test]
async fn imported_users_without_a_usable_hash_pass_once_they_have_a_password() {
    let (world, secret) = world().await;
    for (name, hash) in ["ada", "bea", "cleo", "dora"].into_iter().zip(HASHES) {
        assert_eq!(import(&world, &secret, name, &sent(hash)).await["outcome"], "created", "{hash:?}");
        assert_eq!(world.attempt(name, PASSWORD).await.status, 401);
        set_password(&world, name).await;
        assert_eq!(mark_of_new_tokens(&world, name).await, mark(hash), "{hash:?}");
        let pair = world.sign_in(name).await;
        assert_eq!(import(&world, &secret, name, &sent(hash)).await["outcome"], "unchanged");
        world.assert_live(&pair).await;
    }
}

#[tokio::test]
async fn accounts_from_before_the_sites_users_pass_and_keep_their_passwords() {
    let (world, secret) = world().await;
    for (name, hash) in ["ada", "bea", "cleo", "dora"].into_iter().zip(HASHES) {
        world.add(name, None, true).await;
        let pair = world.sign_in(name).await;
        import(&world, &secret, name, &sent(hash)).await;
        world.assert_live(&pair).await;
        assert_eq!(mark_of_new_tokens(&world, name).await, mark(hash), "{hash:?}");
        // From now on another hash is another password.
        let pair = world.sign_in(name).await;
        import(&world, &secret, name, ANOTHER).await;
        world.assert_dead(&pair).await;
        assert_eq!(world.attempt(name, PASSWORD).await.status, 401);
    }
}

#[tokio::test]
async fn a_better_hash_of_the_same_password_ends_nothing() {
    let (world, secret) = world().await;
    world.add("ada", None, true).await;
    let pair = world.sign_in("ada").await;
    let better = "pbkdf2_sha256$870000$c2FsdA$aGFzaA==";
    for _ in 0..2 {
        let lower = json!({ "password_mark": mark(better).to_lowercase() });
        let answer = patch(&world, &secret, "ada", &lower).await;
        assert_eq!((answer.status, &answer.json()["seq"]), (200, &Value::Null), "{answer}");
        world.assert_live(&pair).await;
        assert_eq!(mark_of_new_tokens(&world, "ada").await, mark(better));
    }
    // The refreshed token passes, too, and the site's next import sends nothing new.
    let refreshed = world.refresh(&pair.refresh).await.pair();
    assert_eq!(claims(&refreshed.access)["hash_password"], json!(mark(better)));
    assert_eq!(
        import(&world, &secret, "ada", &format!("!mark${}", mark(better))).await["outcome"],
        "unchanged"
    );
    world.assert_live(&refreshed).await;
    // With another hash, it is that one's mark.
    let both = json!({ "password_hash": "!another", "password_mark": mark("md5$x$y") });
    assert_eq!(patch(&world, &secret, "ada", &both).await.status, 200);
    world.assert_dead(&refreshed).await;
    assert_eq!(world.account("ada").await.node_mark(), mark("md5$x$y"));
}

#[tokio::test]
async fn malformed_marks_are_refused() {
    let (world, secret) = world().await;
    world.add("ada", None, true).await;
    let text = "D41D8CD98F00B204E9800998ECF8427E";
    for wrong in [json!(""), json!(7), json!(&text[1..]), json!(text.replace('D', "G"))] {
        let answer = patch(&world, &secret, "ada", &json!({ "password_mark": wrong })).await;
        assert_eq!(answer.status, 400, "{answer}");
        assert!(answer.json()["errors"]["password_mark"].is_array(), "{answer}");
    }
    for wrong in ["!mark$", "!mark$D41D8CD98F00B204E9800998ECF8427"] {
        assert_eq!(import(&world, &secret, "bea", wrong).await["code"], "hash_not_supported");
    }
    let item = json!([{ "subject": "bea", "username": "bea", "password_mark": text }]);
    let answer = send(&world, &secret, &item).await;
    assert_eq!(answer.status, 400, "{answer}");
}
