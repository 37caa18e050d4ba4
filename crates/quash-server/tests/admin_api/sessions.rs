//! The live sessions of all accounts are listed, shown and ended.

use http::Method;
use quash_core::model::Right;
use serde_json::{Value, json};

use super::support::secs;
use super::{all, client, field, get, post, send, world};

const SESSIONS: &str = "/admin/v1/sessions";

#[tokio::test]
async fn live_sessions_are_listed_newest_first() {
    let (world, secret) = world(&[Right::Read]).await;
    let mut sids = vec![];
    for name in ["dana", "noor", "dana"] {
        world.sign_in(name).await;
        let newest = world.sessions(name).await.last().expect("a session").id.to_string();
        sids.insert(0, newest);
        world.wait(secs(1));
    }
    for limit in ["1", "2", "200"] {
        let list = async |query: &str| {
            all(&world, &secret, &format!("{SESSIONS}?limit={limit}{query}"), "sid").await
        };
        assert_eq!(list("").await, sids);
        assert_eq!(list("&subject=dana").await, [&*sids[0], &*sids[2]]);
        assert_eq!(list("&subject=nobody").await, [""; 0]);
        assert_eq!(list("&client=shop").await, [""; 0]);
    }
    world.end_all("dana").await;
    assert_eq!(all(&world, &secret, SESSIONS, "username").await, ["noor"]);
    for (query, wrong) in [
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
        // A cursor of accounts, and one of no session.
        ("cursor=bmRhbmE", "cursor"),
        ("cursor=c3g", "cursor"),
        ("client=Shop!", "client"),
        ("subject=", "subject"),
        ("subject=a&client=b", "client"),
        ("account=a", "query"),
    ] {
        assert_eq!(field(&get(&world, &secret, &format!("{SESSIONS}?{query}")).await), wrong, "{query}");
    }
}

#[tokio::test]
async fn a_session_is_shown_and_ended() {
    let (world, secret) = world(&[Right::Read, Right::Sessions]).await;
    let (pair, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    let sid = world.sessions("dana").await[0].id.to_string();
    let target = format!("{SESSIONS}/{sid}");
    let shown = get(&world, &secret, &target).await.json();
    assert_eq!((&shown["subject"], &shown["ended"]), (&json!("dana"), &Value::Null));
    for _ in 0..2 {
        assert_eq!(send(&world, &secret, Method::DELETE, &target, &Value::Null).await.status, 204);
    }
    world.assert_dead(&pair).await;
    world.assert_live(&other).await;
    let ended = get(&world, &secret, &target).await.json()["ended"].clone();
    assert_eq!((&ended["reason"], &ended["by"]), (&json!("ended"), &json!("client")));
    for sid in ["x", "00000000000000000000000000000000"] {
        let target = format!("{SESSIONS}/{sid}");
        assert_eq!(get(&world, &secret, &target).await.status, 404);
        assert_eq!(send(&world, &secret, Method::DELETE, &target, &Value::Null).await.status, 404);
    }
}

#[tokio::test]
async fn the_right_to_end_sessions_shows_no_other_fields() {
    let (world, _) = world(&[Right::Read]).await;
    let secret = client(&world, "support", &[Right::Sessions]).await;
    let pair = world.sign_in("dana").await;
    let answer = post(&world, &secret, "/admin/v1/accounts/dana/sessions/end-all", &Value::Null).await;
    assert_eq!(answer.status, 200, "{answer}");
    let ended = answer.json();
    let members: Vec<_> = ended.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, ["subject", "username", "seq"]);
    world.assert_dead(&pair).await;
    let nobody = "/admin/v1/accounts/nobody/sessions/end-all";
    assert_eq!(post(&world, &secret, nobody, &Value::Null).await.status, 404);
    assert_eq!(post(&world, &secret, nobody, &json!({ "all": true })).await.status, 400);
    for target in [SESSIONS, "/admin/v1/accounts/dana", "/admin/v1/accounts"] {
        assert_eq!(get(&world, &secret, target).await.status, 403, "{target}");
    }
}
