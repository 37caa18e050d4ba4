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

/// A hash of [`PASSWORD`] by Django, at a low cost.
const KNOWN: &str = "pbkdf2_sha256$10$uqZlmSoPEuJNjWxOnGTzHz$Da69/IhV1B9SnRk3poBfYNDgeGwQElGo3unJDyYD52o=";

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

/// Returns the form in which a site sends a hash: the mark instead, if quash doesn't know the hash's format.
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
async fn a_mark_after_an_unknown_hash_is_refused() {
    let (world, secret) = world().await;
    import(&world, &secret, "ada", KNOWN).await;
    let pair = world.sign_in("ada").await;
    let better = |before: &str, after: &str| json!({ "password_mark": mark(after), "password_mark_before": mark(before).to_lowercase() });
    // The site's table was changed without quash, and then the site has stored a better hash of that password.
    let unknown = better("an unknown hash", ANOTHER);
    insta::assert_snapshot!(patch(&world, &secret, "ada", &unknown).await, @r#"
    409
    content-type: application/problem+json
    cache-control: no-store

    {"type":"/docs/errors/password_mark_differs","title":"Password mark differs","status":409,"detail":"The password may be another one: `password_mark_before` isn't the mark of the system's last known hash, or quash can't compare a password with that hash. Nothing was changed: send the new hash itself as `password_hash`.","code":"password_mark_differs"}
    "#);
    let with_name =
        json!({ "username": "other", "password_mark": mark(ANOTHER), "password_mark_before": mark("x") });
    assert_eq!(patch(&world, &secret, "ada", &with_name).await.status, 409);
    assert_eq!(world.account("ada").await.username.shown(), "ada", "nothing is written");
    assert_eq!(mark_of_new_tokens(&world, "ada").await, mark(KNOWN));
    world.assert_live(&pair).await;
    // The hash itself is another password.
    let answer = patch(&world, &secret, "ada", &json!({ "password_hash": ANOTHER })).await;
    assert!(answer.json()["seq"].is_u64(), "{answer}");
    world.assert_dead(&pair).await;
    assert_eq!(world.attempt("ada", PASSWORD).await.status, 401);
    assert_eq!(world.account("ada").await.node_mark(), mark(ANOTHER));
    // Repeated, it is the one that quash has.
    let answer = patch(&world, &secret, "ada", &unknown).await;
    assert_eq!((answer.status, &answer.json()["seq"]), (200, &Value::Null), "{answer}");
}

#[tokio::test]
async fn a_mark_after_a_known_hash_ends_nothing() {
    let (world, secret) = world().await;
    import(&world, &secret, "ada", KNOWN).await;
    let pair = world.sign_in("ada").await;
    // quash has replaced the hash by a better one, too, and knows the site's.
    assert_ne!(world.account("ada").await.password_mark(), mark(KNOWN));
    for (before, after) in [(KNOWN, "better"), (KNOWN, "better"), ("better", "md5$x$y"), (KNOWN, "md5$x$y")] {
        let sent = json!({ "password_mark": mark(after), "password_mark_before": mark(before) });
        let answer = patch(&world, &secret, "ada", &sent).await;
        assert_eq!((answer.status, &answer.json()["seq"]), (200, &Value::Null), "{answer}");
        assert_eq!(mark_of_new_tokens(&world, "ada").await, mark(after));
    }
    world.assert_live(&pair).await;
    // A password that was set at quash meanwhile stays, and so does its absence.
    set_password(&world, "ada").await;
    let sent = json!({ "password_mark": mark("best"), "password_mark_before": mark("md5$x$y") });
    assert_eq!(patch(&world, &secret, "ada", &sent).await.status, 200);
    assert_eq!(mark_of_new_tokens(&world, "ada").await, mark("best"));
    let by = ChangeAuthor::from(Actor::Operator);
    world.service.require_reset(&subject("ada"), by).await.expect("no password");
    let sent = json!({ "password_mark": mark("better"), "password_mark_before": mark("best") });
    assert_eq!(patch(&world, &secret, "ada", &sent).await.status, 200);
    assert_eq!(world.attempt("ada", PASSWORD).await.status, 401);
}

#[tokio::test]
async fn a_mark_after_an_unusable_hash_is_refused() {
    let (world, secret) = world().await;
    // quash has never had the password, so the site must send its new hash.
    for (name, hash) in ["ada", "bea", "cleo"].into_iter().zip(HASHES) {
        import(&world, &secret, name, &sent(hash)).await;
        let better = json!({ "password_mark": mark(KNOWN), "password_mark_before": mark(hash) });
        let answer = patch(&world, &secret, name, &better).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (409, &json!("password_mark_differs")),
            "{answer}"
        );
        assert_eq!(patch(&world, &secret, name, &json!({ "password_hash": KNOWN })).await.status, 200);
        assert_eq!(mark_of_new_tokens(&world, name).await, mark(KNOWN), "{hash:?}");
    }
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
    let wrongly = [
        (json!({ "password_mark": text, "password_mark_before": "7" }), "32 hexadecimal digits"),
        (json!({ "password_mark": text, "password_mark_before": 7 }), "a text"),
        (json!({ "password_mark": text, "password_mark_before": null }), "Must not be `null`"),
        (json!({ "password_mark_before": text }), "together with `password_mark`"),
        (
            json!({ "password_mark": text, "password_mark_before": text, "password_hash": ANOTHER }),
            "without `password_hash`",
        ),
        (
            json!({ "password_mark": text, "password_mark_before": text, "password_hash": null }),
            "without `password_hash`",
        ),
    ];
    for (wrong, remedy) in wrongly {
        let answer = patch(&world, &secret, "ada", &wrong).await;
        assert_eq!(answer.status, 400, "{answer}");
        let shown = answer.json()["errors"]["password_mark_before"][0].clone();
        assert!(shown.as_str().is_some_and(|shown| shown.contains(remedy)), "{answer}");
    }
    for wrong in ["!mark$", "!mark$D41D8CD98F00B204E9800998ECF8427"] {
        let answer = import(&world, &secret, "bea", wrong).await;
        assert_eq!(answer["code"], "hash_not_supported");
        assert!(
            answer["detail"].as_str().is_some_and(|text| text.contains("`!mark$`, after which")),
            "{answer}"
        );
    }
    for name in ["password_mark", "password_mark_before"] {
        let item = json!([{ "subject": "bea", "username": "bea", name: text }]);
        let answer = send(&world, &secret, &item).await;
        assert_eq!(answer.status, 400, "{answer}");
        assert!(answer.json()["errors"]["accounts"]["0"][name].is_array(), "{answer}");
    }
}
