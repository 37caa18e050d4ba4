//! Actions on an account: each changes its state, ends what it must, and is audited with its note.

use http::Method;
use http::header::IF_MATCH;
use quash_core::model::{Event, Right, limits};
use quash_store::Store;
use serde_json::{Value, json};

use super::support::{Call, secs};
use super::{field, get, post, send, world};

fn path(action: &str) -> String {
    format!("/admin/v1/accounts/dana/{action}")
}

#[tokio::test]
async fn actions_change_the_account_and_end_its_sessions() {
    let (world, secret) = world(&[Right::Accounts]).await;
    for (action, body, state, ends) in [
        ("lock", json!({ "seconds": 60 }), "locked", true),
        ("unlock", Value::Null, "active", false),
        ("deactivate", json!({ "note": "left the firm" }), "deactivated", true),
        ("reactivate", json!({}), "active", false),
        ("require-reset", Value::Null, "active", true),
    ] {
        let pair = if ends { Some(world.sign_in("dana").await) } else { None };
        let answer = post(&world, &secret, &path(action), &body).await;
        assert_eq!(answer.status, 200, "{action} {answer}");
        let changed = answer.json();
        assert_eq!(changed["account"]["state"], state, "{action}");
        assert_eq!(changed["seq"].is_u64(), ends, "{action}");
        let version = world.account("dana").await.version;
        assert_eq!(answer.header("etag"), Some(&*format!("\"{version}\"")), "{action}");
        if let Some(pair) = pair {
            world.assert_dead(&pair).await;
        }
    }
    let audit = world.store.audit(0, None, 99).await.expect("the audit");
    let row = audit.iter().find(|row| row.new.event == Event::Deactivated).expect("a row");
    let note = row.new.person.as_ref().and_then(|person| person.note.as_ref()?.text.clone());
    assert_eq!((row.new.actor.as_str(), note.as_deref()), ("client:admin", Some("left the firm")));
}

#[tokio::test]
async fn temporary_passwords_are_shown_once() {
    let (world, secret) = world(&[Right::Accounts, Right::Read]).await;
    let pair = world.sign_in("dana").await;
    let answer = post(&world, &secret, &path("temporary-password"), &Value::Null).await;
    assert_eq!(answer.status, 200, "{answer}");
    let given = answer.json();
    world.assert_dead(&pair).await;
    let password = given["password"].as_str().expect("a password");
    assert_eq!(world.attempt("dana", password).await.json()["code"], "password_change_required");
    let shown = get(&world, &secret, "/admin/v1/accounts/dana").await;
    assert!(!shown.text().contains(password));
    assert_eq!(shown.json()["password_change_until"], given["until"]);
}

#[tokio::test]
async fn actions_in_a_wrong_state_are_conflicts() {
    let (world, secret) = world(&[Right::Accounts]).await;
    let status = async |action: &str, body: &Value| post(&world, &secret, &path(action), body).await.status;
    assert_eq!(status("reactivate", &Value::Null).await, 409);
    assert_eq!(status("deactivate", &Value::Null).await, 200);
    for (action, body) in
        [("deactivate", Value::Null), ("unlock", Value::Null), ("lock", json!({ "seconds": 60 }))]
    {
        assert_eq!(status(action, &body).await, 409, "{action}");
    }
    for action in ["unlock", "deactivate", "reactivate", "require-reset", "temporary-password"] {
        let target = format!("/admin/v1/accounts/nobody/{action}");
        assert_eq!(post(&world, &secret, &target, &Value::Null).await.status, 404, "{action}");
    }
}

#[tokio::test]
async fn actions_apply_only_to_the_version_that_was_seen() {
    let (world, secret) = world(&[Right::Accounts]).await;
    let call = async |method: Method, path: &str, body: Value, tag: &str| {
        let call = Call::of(method, path).bearer(&secret).header(IF_MATCH, tag);
        world.send(if body.is_null() { call } else { call.json(&body) }).await
    };
    let actions = [
        ("lock", json!({ "seconds": 60 })),
        ("unlock", Value::Null),
        ("deactivate", Value::Null),
        ("reactivate", Value::Null),
        ("require-reset", Value::Null),
        ("temporary-password", Value::Null),
    ];
    for (action, body) in &actions {
        let refused = call(Method::POST, &path(action), body.clone(), "\"99\"").await;
        assert_eq!((refused.status, &refused.json()["code"]), (412, &json!("version_differs")), "{action}");
    }
    for subject in ["dana", "noor"] {
        let refused =
            call(Method::DELETE, &format!("/admin/v1/accounts/{subject}"), Value::Null, "\"99\"").await;
        assert_eq!(refused.status, 412, "{subject}");
    }
    assert_eq!(world.account("dana").await.version, 1, "nothing was changed");
    let mut tag = "\"1\"".to_owned();
    for (action, body) in actions {
        let changed = call(Method::POST, &path(action), body, &tag).await;
        assert_eq!(changed.status, 200, "{action} {changed}");
        tag = changed.header("etag").expect("a tag").to_owned();
    }
    assert_eq!(call(Method::DELETE, "/admin/v1/accounts/dana", Value::Null, &tag).await.status, 204);
}

#[tokio::test]
async fn wrong_bodies_of_actions_are_named() {
    let (world, secret) = world(&[Right::Accounts]).await;
    let long = "é".repeat(limits::NOTE_CHARS + 1);
    for note in ["", " ", "a\nb", &long] {
        assert_eq!(field(&post(&world, &secret, &path("unlock"), &json!({ "note": note })).await), "note");
    }
    for seconds in [0, 3653 * 24 * 3600 + 1] {
        assert_eq!(
            field(&post(&world, &secret, &path("lock"), &json!({ "seconds": seconds })).await),
            "seconds"
        );
    }
    for body in [Value::Null, json!({}), json!({ "seconds": "60" }), json!({ "seconds": 60, "for": "1h" })] {
        assert_eq!(post(&world, &secret, &path("lock"), &body).await.status, 400, "{body}");
    }
    world.wait(secs(1));
    assert_eq!(world.account("dana").await.version, 1, "nothing was changed");
}

#[tokio::test]
async fn a_deleted_account_is_gone() {
    let (world, secret) = world(&[Right::Accounts, Right::Read]).await;
    let pair = world.sign_in("dana").await;
    let delete = async |subject: &str| {
        let target = format!("/admin/v1/accounts/{subject}");
        send(&world, &secret, Method::DELETE, &target, &Value::Null).await.status
    };
    assert_eq!((delete("dana").await, delete("dana").await, delete("batch").await), (204, 404, 404));
    assert_eq!(world.me(&pair.access).await.status, 401);
    assert_eq!(get(&world, &secret, "/admin/v1/accounts/dana").await.status, 404);
}
