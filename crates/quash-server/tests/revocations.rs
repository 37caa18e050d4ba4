//! Revocations over HTTP, in a namespace and of quash's own sessions: rights, limits, errors by index, repetition
//! and questions.

use crate::support;

use std::time::Duration;

use http::HeaderName;
use quash_core::decide::{NameRevocation, RevokedName};
use quash_core::model::{Actor, EndCause, Event, Namespace, NamespaceClaims, NewAudit, Reason, Right};
use quash_store::Store;
use serde_json::{Value, json};

use support::{Answer, Call, Plan, START, World, claims, secs, subject};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// A server with the namespaces shop and wiki, and no accounts.
async fn world() -> World {
    let mut plan = Plan::default();
    plan.policy.tokens.namespaces = namespaces();
    World::empty(plan).await
}

/// The namespaces shop and wiki.
pub(crate) fn namespaces() -> Vec<Namespace> {
    ["shop", "wiki"]
        .map(|name| Namespace {
            name: name.into(),
            max_lifetime: Duration::from_secs(3600),
            accepted: vec!["access".into()],
            claims: NamespaceClaims::default(),
        })
        .into()
}

async fn credential(world: &World) -> String {
    let (_, secret) = world.service.add_namespace_client("site", "shop", None).await.expect("a client");
    secret.into_text().to_string()
}

fn call(items: &Value) -> Call {
    Call::post("/v1/revocations").json(&json!({ "namespace": "shop", "revocations": items }))
}

async fn revoke(world: &World, secret: &str, items: &Value) -> Answer {
    world.send(call(items).bearer(secret)).await
}

async fn is_revoked(world: &World, secret: &str, mut question: Value) -> Value {
    let times = json!({ "namespace": "shop", "issued_at": START, "expires_at": START + 300 });
    for (name, value) in times.as_object().expect("an object") {
        question.as_object_mut().expect("an object").entry(name).or_insert(value.clone());
    }
    let answer = world.send(Call::post("/v1/revocations/query").json(&question).bearer(secret)).await;
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["revoked"].clone()
}

#[tokio::test]
async fn names_are_revoked_in_one_transaction() {
    let world = world().await;
    let secret = credential(&world).await;
    assert!(secret.starts_with("qn_"));
    let before = world.head().await.as_u64();
    let items = json!([
        { "session": "f0c1", "reason": "log_out" },
        { "token": "9a7e", "exp": START + 300 },
        { "subject": "17", "reason": "password_changed" },
        { "subject": "18", "before": f64::from(2) + 1_799_999_900.25, "reason": "deactivated" },
        { "everything": true, "reason": "revoked" },
    ]);
    let answer = revoke(&world, &secret, &items).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "seq": before + 5, "written": 5 })), "{answer}");
    assert_eq!(world.service.guard().cursor().as_u64(), before + 5, "this process knows them");
    let entries =
        world.store.entries_after(quash_core::model::Seq::from_u64(before), 9).await.expect("entries");
    let until: Vec<_> = entries.iter().map(|entry| entry.until.map(|until| until.as_millis())).collect();
    assert_eq!(until, [None, None, None, Some(1_799_999_902_250), None]);
    assert!(entries.iter().all(|entry| entry.actor.as_str() == "client:site"));
    let audit = world.store.audit(0, None, 99).await.expect("the audit");
    let rows: Vec<_> = audit.iter().filter(|row| row.new.event == Event::Revoked).collect();
    assert_eq!(rows.len(), 1, "one row for a request");
    let name = rows[0].new.person.as_ref().and_then(|person| person.name.as_deref());
    assert_eq!((name, rows[0].new.actor.as_str()), (Some("shop"), "client:site"));
}

#[tokio::test]
async fn revoked_names_are_found_by_questions() {
    let world = world().await;
    let secret = credential(&world).await;
    let head = world.head().await.as_u64();
    revoke(&world, &secret, &json!([{ "session": "a" }, { "subject": "17" }])).await;
    for (question, expected) in [
        (json!({ "session": "a" }), true),
        (json!({ "session": "a", "position": head + 2 }), true),
        (json!({ "session": "b" }), false),
        (json!({ "subject": "17", "position": head }), true),
        (json!({ "subject": "17", "position": head + 2 }), false),
        (json!({ "subject": "17" }), true),
        (json!({ "subject": "17", "issued_at": START + 1 }), false),
        (json!({ "subject": "18", "position": head }), false),
        (json!({ "subject": "18", "position": head + 3 }), true),
        (json!({ "subject": "18", "expires_at": START + 3601 }), true),
    ] {
        assert_eq!(is_revoked(&world, &secret, question.clone()).await, json!(expected), "{question}");
    }
}

#[tokio::test]
async fn every_end_cause_of_namespaces_refuses_their_tokens() {
    for cause in EndCause::ALL.into_iter().filter(|cause| cause.row().ends.is_in_namespace()) {
        let name = match cause {
            EndCause::NamespaceSessionRevoked => RevokedName::Session("f0c1".into()),
            EndCause::NamespaceTokenRevoked => RevokedName::Token("9a7e".into()),
            EndCause::NamespaceSubjectRevoked => RevokedName::Subject("17".into()),
            EndCause::NamespaceRevoked => RevokedName::Everything,
            _ => panic!("{cause:?} has no way"),
        };
        for is_a_client in [true, false] {
            let world = world().await;
            let secret = credential(&world).await;
            let head = world.head().await.as_u64();
            let token = json!({ "session": "f0c1", "token": "9a7e", "subject": "17", "position": head });
            assert_eq!(is_revoked(&world, &secret, token.clone()).await, false);
            if is_a_client {
                let item = match &name {
                    RevokedName::Session(name) => json!({ "session": name }),
                    RevokedName::Token(name) => json!({ "token": name }),
                    RevokedName::Subject(name) => json!({ "subject": name }),
                    RevokedName::Everything => json!({ "everything": true }),
                };
                assert_eq!(revoke(&world, &secret, &json!([item])).await.status, 200);
            } else {
                let shop = world.service.namespace("shop").expect("a namespace").clone();
                let now = [NameRevocation::now(name.clone())];
                world.service.revoke_names_by(Actor::Operator, &shop, &now).await.expect("an answer");
            }
            assert_eq!(is_revoked(&world, &secret, token).await, true, "{cause:?}");
            let audit = world.store.audit(0, None, 99).await.expect("the audit");
            let (row, actor) = (cause.row(), if is_a_client { "client:site" } else { "operator" });
            let is_noted = |noted: &NewAudit| {
                (Some(noted.event), noted.reason, noted.actor.as_str())
                    == (row.event, Some(row.reason), actor)
            };
            assert!(audit.iter().any(|noted| is_noted(&noted.new)), "{cause:?}: {audit:#?}");
        }
    }
}

#[tokio::test]
async fn sessions_are_written_once_and_watermarks_each_time() {
    let world = world().await;
    let secret = credential(&world).await;
    let first = revoke(&world, &secret, &json!([{ "session": "a" }])).await.json();
    let again = revoke(&world, &secret, &json!([{ "session": "a" }])).await.json();
    assert_eq!(again, json!({ "seq": first["seq"], "written": 0 }));
    let subject = json!([{ "session": "a" }, { "subject": "17" }]);
    assert_eq!(revoke(&world, &secret, &subject).await.json()["written"], 1);
    assert_eq!(revoke(&world, &secret, &subject).await.json()["written"], 1);
}

#[tokio::test]
async fn repeated_requests_get_the_first_answer() {
    let world = world().await;
    let secret = credential(&world).await;
    let send = |key: &'static str| {
        let call = call(&json!([{ "subject": "17" }])).bearer(&secret).header(KEY, key);
        async { world.send(call).await.json()["seq"].clone() }
    };
    let first = send("one").await;
    assert_eq!(send("one").await, first);
    assert_ne!(send("two").await, first);
    world.clock.go_on(Duration::from_secs(600));
    assert_ne!(send("one").await, first, "after ten minutes");
    for wrong in ["", &"x".repeat(256)] {
        let call = call(&json!([{ "subject": "17" }])).bearer(&secret).header(KEY, wrong);
        assert_eq!(world.send(call).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn answers_wait_for_verifiers_on_request() {
    let world = world().await;
    let secret = credential(&world).await;
    let call = call(&json!([{ "session": "a" }])).bearer(&secret).header(PREFER, "wait=effective");
    let answer = world.send(call).await.json();
    assert_eq!(answer["effective"]["seq"], answer["seq"]);
    assert_eq!(answer["effective"]["verifiers"]["confirmed"], 0);
}

#[tokio::test]
async fn rights_are_limited_to_one_namespace() {
    let world = world().await;
    let secret = credential(&world).await;
    let (_, other) = world
        .service
        .add_client("reader", [Right::Introspect].into_iter().collect(), None)
        .await
        .expect("a client");
    let other = other.into_text();
    let item = json!([{ "session": "a" }]);
    let in_wiki = json!({ "namespace": "wiki", "revocations": item });
    let code =
        |answer: Answer| (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned());
    let send = |call: Call| async { code(world.send(call).await) };
    let not_valid = (401, "credential_not_valid".to_owned());
    let right = (403, "right_required".to_owned());
    assert_eq!(send(call(&item)).await, not_valid);
    assert_eq!(send(call(&item).bearer("qn_wrong")).await, not_valid);
    assert_eq!(send(call(&item).bearer(&other)).await, right);
    assert_eq!(send(Call::post("/v1/revocations").json(&in_wiki).bearer(&secret)).await, right);
    let question = |namespace: Option<&str>| {
        Call::post("/v1/revocations/query")
            .json(&json!({ "namespace": namespace, "issued_at": START, "expires_at": START }))
    };
    assert_eq!(send(question(Some("wiki")).bearer(&secret)).await, right);
    assert_eq!(send(question(None).bearer(&secret)).await, right);
    assert_eq!(world.send(question(None).bearer(&other)).await.status, 200);
    let own = json!({ "revocations": item });
    assert_eq!(send(Call::post("/v1/revocations").json(&own).bearer(&secret)).await, right);
    assert_eq!(send(question(Some("none")).bearer(&other)).await, (400, "invalid_request".into()));
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        let call = Call::post(path).body("application/x-www-form-urlencoded", "token=x").bearer(&secret);
        assert_eq!(world.send(call).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn wrong_items_are_reported_by_index() {
    let world = world().await;
    let secret = credential(&world).await;
    let items = json!([
        { "session": "a" },
        {},
        { "session": "a", "token": "b" },
        { "session": "" },
        { "subject": 17 },
        { "everything": false },
        { "subject": "17", "before": START + 301 },
        { "subject": "17", "before": 1e14 },
        { "token": "b", "exp": "soon" },
        { "token": "b", "reason": "whim" },
        { "token": "b", "colour": [["red"], { "a": 1 }] },
        { "token": "x".repeat(256) },
    ]);
    let answer = revoke(&world, &secret, &items).await;
    let one = "Give exactly one of `session`, `token`, `subject` and `everything`.";
    let (text, secs) = ("Must be a text of 1 to 255 bytes.", "Must be a number of seconds since 1970.");
    let expected = json!({
        "1": { "non_field_errors": [one] },
        "2": { "non_field_errors": [one] },
        "3": { "session": [text] },
        "4": { "subject": [text] },
        "5": { "everything": ["Must be `true`."] },
        "6": { "before": ["Must not be in the future."] },
        "7": { "before": [secs] },
        "8": { "exp": [secs] },
        "9": { "reason": ["Not a reason, such as `log_out` or `password_changed`."] },
        "10": { "non_field_errors": ["It isn't an object, or a member of it is unknown or occurs twice."] },
        "11": { "token": [text] },
    });
    assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("invalid_request")));
    assert_eq!(answer.json()["errors"], json!({ "revocations": expected }));
    assert_eq!(is_revoked(&world, &secret, json!({ "session": "a" })).await, false, "all of them or none");
}

#[tokio::test]
async fn requests_are_limited_one_past_the_edge() {
    let world = world().await;
    let secret = credential(&world).await;
    let items = |count: usize| Value::from(vec![json!({ "session": "a" }); count]);
    assert_eq!(revoke(&world, &secret, &items(0)).await.status, 400);
    assert_eq!(revoke(&world, &secret, &items(1000)).await.status, 200);
    assert_eq!(revoke(&world, &secret, &items(1001)).await.status, 400);
    let body = |length: usize| {
        let text = call(&json!([{ "subject": "17" }])).body;
        let padding = " ".repeat(length - text.len());
        let text = format!("{}{padding}", String::from_utf8(text).expect("text"));
        Call::post("/v1/revocations").body("application/json", text).bearer(&secret)
    };
    assert_eq!(world.send(body(512 * 1024)).await.status, 200);
    let answer = world.send(body(512 * 1024 + 1)).await;
    assert_eq!(answer.json()["detail"], "The request body is larger than 512 KiB.");
    for wrong in [
        "",
        "[]",
        "{",
        r#"{"namespace":"shop"}"#,
        r#"{"namespace":"shop","revocations":{}}"#,
        r#"{"namespace":"shop","revocations":[1]}"#,
    ] {
        let call = Call::post("/v1/revocations").body("application/json", wrong).bearer(&secret);
        assert_eq!(world.send(call).await.status, 400, "{wrong}");
    }
    let form = Call::post("/v1/revocations").body("text/plain", "{}").bearer(&secret);
    assert_eq!(world.send(form).await.status, 415);
}

/// Sends what ends sessions of quash's own, with the rights of a site that signs its users in at quash.
async fn end(world: &World, secret: &str, items: &Value) -> Answer {
    world.send(Call::post("/v1/revocations").json(&json!({ "revocations": items })).bearer(secret)).await
}

async fn site(world: &World) -> String {
    let rights = [Right::Introspect, Right::Revoke].into_iter().collect();
    let (_, secret) = world.service.add_client("site", rights, None).await.expect("a client");
    secret.into_text().to_string()
}

fn sid(access: &str) -> Value {
    claims(access)["sid"].clone()
}

#[tokio::test]
async fn clients_end_sessions_of_quash() {
    let world = World::open().await;
    let secret = site(&world).await;
    let (first, second, noor) =
        (world.sign_in("dana").await, world.sign_in("dana").await, world.sign_in("noor").await);
    let before = world.head().await.as_u64();
    let twice = json!([
        { "session": sid(&first.access), "reason": "log_out" },
        { "session": sid(&first.access) },
        { "session": "00000000000000000000000000000000" },
    ]);
    let answer = end(&world, &secret, &twice).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "seq": before + 1, "written": 1 })), "{answer}");
    world.assert_dead(&first).await;
    world.assert_live(&second).await;
    assert_eq!(end(&world, &secret, &twice).await.json()["written"], 0, "it has ended");
    let rows = world.store.audit(0, None, 99).await.expect("the audit");
    let last = rows.iter().rfind(|row| row.new.event == Event::SessionEnded).expect("a row");
    assert_eq!((last.new.actor.as_str(), last.new.reason), ("client:site", Some(Reason::LogOut)));

    let third = world.sign_in("dana").await;
    let everywhere = json!([{ "session": sid(&third.access) }, { "subject": subject("dana") .as_str()}, { "subject": "none" }]);
    assert_eq!(end(&world, &secret, &everywhere).await.json()["written"], 2);
    world.assert_dead(&second).await;
    world.assert_dead(&third).await;
    world.assert_live(&noor).await;
    world.assert_live(&world.sign_in("dana").await).await;
}

#[tokio::test]
async fn sessions_opened_after_a_late_event_stay() {
    let world = World::open().await;
    let secret = site(&world).await;
    let old = world.sign_in("dana").await;
    world.wait(secs(60));
    let late = json!([{ "subject": subject("dana").as_str(), "before": START + 10 }]);
    let new = world.sign_in("dana").await;
    assert_eq!(end(&world, &secret, &late).await.json()["written"], 1);
    world.assert_dead(&old).await;
    world.assert_live(&new).await;
    let later = json!([{ "subject": subject("dana").as_str(), "before": START + 60 }]);
    assert_eq!(end(&world, &secret, &later).await.json()["written"], 1);
    world.assert_dead(&new).await;
}

#[tokio::test]
async fn wrong_ends_of_sessions_are_reported_by_index() {
    let world = World::open().await;
    let secret = site(&world).await;
    let items = json!([
        { "session": "f0c1" },
        { "token": "9a7e" },
        { "everything": true },
        { "subject": subject("dana").as_str(), "reason": "password_changed" },
    ]);
    let answer = end(&world, &secret, &items).await;
    let one = "Without a namespace, give exactly one of `session` and `subject`.";
    let expected = json!({
        "0": { "session": ["Must be the `sid` of a session: 32 hexadecimal digits."] },
        "1": { "non_field_errors": [one] },
        "2": { "non_field_errors": [one] },
        "3": { "reason": ["Without a namespace, must be `revoked` or `log_out_everywhere`."] },
    });
    assert_eq!((answer.status, &answer.json()["errors"]["revocations"]), (400, &expected), "{answer}");
}

#[tokio::test]
async fn questions_about_sessions_are_answered_by_their_rows() {
    let world = World::open().await;
    let secret = site(&world).await;
    let pair = world.sign_in("dana").await;
    let (own, head) = (sid(&pair.access), world.head().await.as_u64());
    let question = |more: Value| {
        let mut question = json!({ "namespace": null, "session": own });
        question.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        is_revoked(&world, &secret, question)
    };
    assert_eq!(question(json!({ "subject": subject("dana").as_str(), "position": head })).await, false);
    assert_eq!(question(json!({ "subject": subject("noor").as_str() })).await, true, "another user's");
    assert_eq!(question(json!({ "position": head + 1 })).await, true, "a position in the future");
    assert_eq!(question(json!({ "session": "00000000000000000000000000000000" })).await, true);
    assert_eq!(question(json!({ "session": "f0c1" })).await, true);
    let role = r#"{"role":"clerk"}"#;
    world.service.set_claims(&subject("dana"), role, Actor::Operator.into()).await.expect("a change");
    assert_eq!(world.me(&pair.access).await.status, 401, "the access token must be renewed");
    assert_eq!(question(json!({ "position": head })).await, false, "but the session is live");
    world.wait(secs(24 * 3600));
    assert_eq!(question(json!({})).await, true, "expired");
}
