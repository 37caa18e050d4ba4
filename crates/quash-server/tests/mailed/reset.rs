//! Password reset.

use quash_core::model::{AccountState, MailKind, Timestamp};
use quash_service::OutgoingEmail;
use quash_store::Store;
use serde_json::json;

use super::{NEW_PASSWORD, ask, danas_link, flow, reset};
use crate::support::{Call, Part, World, claims, code, kinds_and_places, link, millis, secs};

#[tokio::test]
async fn a67_resets_end_sessions_and_notify_the_owner() {
    let world = World::open().await;
    let (one, other) = (world.sign_in("dana").await, world.sign_in("dana").await);
    let link = danas_link(&world).await;
    let answer = reset(&world, &link).await;
    insta::assert_snapshot!(answer, @r#"
    200
    content-type: application/json
    cache-control: no-store

    {}
    "#);
    assert_eq!(world.refresh(&one.refresh).await.reason().as_deref(), Some("password_reset"));
    world.assert_dead(&one).await;
    world.assert_dead(&other).await;
    assert_eq!(kinds_and_places(&world.mails().await), [(MailKind::PasswordWasReset, "dana@example.org")]);
    assert_eq!(world.attempt("dana", crate::support::PASSWORD).await.status, 401);
    world.assert_live(&world.attempt("dana", NEW_PASSWORD).await.pair()).await;
}

#[tokio::test]
async fn a07_reset_requests_do_not_reveal_accounts() {
    let world = World::open().await;
    world.add("max", Some("max@example.org"), false).await;
    world.add("lee", Some("lee@example.org"), true).await;
    world.deactivate("lee").await;
    world.hashes();
    let mut answers = Vec::new();
    let about = [
        json!({ "username": "dana" }),
        json!({ "email": "dana@example.org" }),
        json!({ "email": " DANA@example.ORG " }),
        json!({ "username": "nobody" }),
        json!({ "email": "nobody@example.org" }),
        json!({ "email": "no address" }),
        json!({ "username": "noor" }),
        json!({ "username": "max" }),
        json!({ "email": "max@example.org" }),
        json!({ "username": "lee" }),
    ];
    for body in &about {
        answers.push(world.post("/v1/password-reset", body).await.to_string());
    }
    insta::assert_snapshot!(answers[0], @r#"
    202
    content-type: application/json
    cache-control: no-store

    {"flow":"<id>"}
    "#);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!(world.hashes(), 0, "no request costs a hash");
    let mails = world.mails().await;
    assert_eq!(mails.iter().filter(|email| email.to == "dana@example.org").count(), 3);
    assert_eq!(mails.iter().filter(|email| email.to == "max@example.org").count(), 2);
    assert_eq!(mails.len(), 5);
    // A full outbox or an unavailable store doesn't reveal a difference either.
    world.store.break_part(Part::Writes, crate::support::FaultyStore::away());
    let known = world.post("/v1/password-reset", &about[0]).await;
    let unknown = world.post("/v1/password-reset", &about[3]).await;
    assert_eq!((known.status, known.to_string()), (503, unknown.to_string()));
}

#[tokio::test]
async fn a07_confirmations_do_not_reveal_flows() {
    let world = World::open().await;
    let known = ask(&world, json!({ "username": "dana" })).await;
    let unknown = ask(&world, json!({ "username": "nobody" })).await;
    let confirm = async |flow: &str| {
        world
            .post(
                "/v1/password-reset/confirm",
                &json!({ "flow": flow, "code": "00000-00000", "new_password": NEW_PASSWORD }),
            )
            .await
    };
    let mut answers = Vec::new();
    for _ in 0..7 {
        answers.push(confirm(&known).await.to_string());
        answers.push(confirm(&unknown).await.to_string());
    }
    insta::assert_snapshot!(answers[0], @r#"
    400
    content-type: application/problem+json
    cache-control: no-store

    {"type":"/docs/errors/link_not_valid","title":"Link or code not valid","status":400,"detail":"The link or the code is not valid, or is not valid any more.","code":"link_not_valid"}
    "#);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(world.hashes(), 2, "only the two accounts were hashed");
}

#[tokio::test]
async fn requests_without_an_account_store_nothing() {
    let world = World::open().await;
    let mut flows = Vec::new();
    for n in 0..20 {
        let mut call = Call::post("/v1/password-reset").json(&json!({ "username": format!("nobody{n}") }));
        call.peer = Some(([203, 0, 113, n], 1).into());
        flows.push(flow(&world.send(call).await));
    }
    let due = world.store.mails_due(Timestamp::from_millis(i64::MAX), 100).await;
    assert_eq!(due, Ok(Vec::new()));
    for flow in flows {
        assert_eq!(world.store.flow(flow.parse().expect("an id")).await.expect("a read").flow, None);
    }
}

#[tokio::test]
async fn codes_cost_equal_writes_for_unknown_flows() {
    let world = World::open().await;
    let known = ask(&world, json!({ "username": "dana" })).await;
    let unknown = ask(&world, json!({ "username": "nobody" })).await;
    let mut writes = Vec::new();
    for _ in 0..7 {
        for flow in [&known, &unknown] {
            let before = world.store.written();
            let body = json!({ "flow": flow, "code": "00000-00000", "new_password": NEW_PASSWORD });
            assert_eq!(world.post("/v1/password-reset/confirm", &body).await.status, 400);
            writes.push(world.store.written() - before);
        }
    }
    assert_eq!(writes, [1; 14]);
}

#[tokio::test]
async fn wrong_codes_count_against_their_network() {
    let world = World::open().await;
    let asked = ask(&world, json!({ "username": "dana" })).await;
    let code = code(&world.mails().await[0]);
    let confirm = async |peer: [u8; 4], code: &str| {
        let body = json!({ "flow": asked, "code": code, "new_password": NEW_PASSWORD });
        let call =
            Call { peer: Some((peer, 1).into()), ..Call::post("/v1/password-reset/confirm").json(&body) };
        world.send(call).await
    };
    for _ in 0..50 {
        assert_eq!(confirm([203, 0, 113, 7], "00000-00000").await.status, 400);
    }
    let throttled = confirm([203, 0, 113, 7], &code).await;
    assert!(throttled.status == 429 && throttled.header("retry-after").is_some(), "{throttled}");
    assert_eq!(confirm([203, 0, 113, 8], &code).await.status, 400, "five tries were spent");
}

#[tokio::test]
async fn throttled_networks_write_nothing() {
    let world = World::open().await;
    for n in 0..50 {
        assert_eq!(
            world.post("/v1/password-reset", &json!({ "username": format!("nobody{n}") })).await.status,
            202
        );
    }
    // Later behaviour doesn't reveal whether the earlier requests named accounts.
    let before = world.store.written();
    let known = world.post("/v1/password-reset", &json!({ "username": "dana" })).await;
    let unknown = world.post("/v1/password-reset", &json!({ "username": "nobody" })).await;
    assert_eq!((known.status, known.to_string()), (202, unknown.to_string()));
    assert_eq!((world.store.written(), world.mails().await.len()), (before, 0));
}

#[tokio::test]
async fn mails_to_confirmed_addresses_name_the_account() {
    let world = World::open().await;
    world.add("Max Mustermann", Some("max@example.org"), false).await;
    for email in ["dana@example.org", "max@example.org"] {
        let asked = world.post("/v1/password-reset", &json!({ "email": email })).await;
        assert!(!asked.text().contains("dana") && !asked.text().contains("max"), "{asked}");
    }
    let mails = world.mails().await;
    let name_of = |to: &str| mails.iter().find(|email| email.to == to).expect("a mail").username.clone();
    assert_eq!((name_of("dana@example.org").as_deref(), name_of("max@example.org")), (Some("dana"), None));
    let link = link(mails.iter().find(|email| email.to == "dana@example.org").expect("a mail"));
    let page = world.send(Call::get(&format!("/reset?token={link}"))).await;
    assert!(page.status == 200 && !page.text().contains("dana"), "{page}");
    let sent = Call::post("/reset")
        .body("application/x-www-form-urlencoded", format!("token={link}&new_password=another+horse+staple"));
    let page = world.send(sent).await;
    assert!(page.status == 200 && !page.text().contains("dana"), "{page}");
}

#[tokio::test]
async fn a63_links_work_once_even_concurrently() {
    let world = World::open().await;
    let link = danas_link(&world).await;
    let uses = (0..20).map(|n| {
        let body = json!({ "token": link, "new_password": NEW_PASSWORD });
        // Each from its own network.
        let peer = Some(([198, 51, 100, n], 1).into());
        world.send(Call { peer, ..Call::post("/v1/password-reset/confirm").json(&body) })
    });
    let mut statuses: Vec<u16> = join(uses).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(statuses[1..].iter().all(|status| *status == 400), "{statuses:?}");
    assert_eq!(reset(&world, &link).await.status, 400);
    assert_eq!(world.mails().await.len(), 1, "one reset is told");
}

#[tokio::test]
async fn a63_codes_work_once_within_their_limits() {
    let world = World::open().await;
    let confirm = async |flow: &str, code: &str| {
        world
            .post(
                "/v1/password-reset/confirm",
                &json!({ "flow": flow, "code": code, "new_password": NEW_PASSWORD }),
            )
            .await
            .status
    };
    let first = ask(&world, json!({ "email": "dana@example.org" })).await;
    let email = world.mails().await.remove(0);
    for _ in 0..4 {
        assert_eq!(confirm(&first, "AAAAA-AAAAA").await, 400);
    }
    world.wait(millis(599_999));
    assert_eq!(confirm(&first, &code(&email).to_lowercase()).await, 200);
    assert_eq!(confirm(&first, &code(&email)).await, 400);
    // After five wrong codes the right one is refused; the link still works.
    let second = ask(&world, json!({ "email": "dana@example.org" })).await;
    let email = newest_link(&world).await;
    for _ in 0..5 {
        assert_eq!(confirm(&second, "AAAAA-AAAAA").await, 400);
    }
    assert_eq!(confirm(&second, &code(&email)).await, 400);
    assert_eq!(reset(&world, &link(&email)).await.status, 200);
    // A code isn't valid after its lifetime, nor with another request's flow.
    let third = ask(&world, json!({ "email": "dana@example.org" })).await;
    let email = newest_link(&world).await;
    let other = ask(&world, json!({ "email": "nobody@example.org" })).await;
    assert_eq!(confirm(&other, &code(&email)).await, 400);
    assert_eq!(confirm("0", &code(&email)).await, 400);
    world.wait(secs(600));
    assert_eq!(confirm(&third, &code(&email)).await, 400);
    assert_eq!(reset(&world, &link(&email)).await.status, 200);
}

/// The mail with a link, among notices of earlier actions.
async fn newest_link(world: &World) -> OutgoingEmail {
    world.mails().await.into_iter().find(|email| email.proof.is_some()).expect("a mail with a link")
}

#[tokio::test]
async fn a63_concurrent_code_guesses_are_limited_to_five() {
    let world = World::open().await;
    let flow = ask(&world, json!({ "username": "dana" })).await;
    let email = world.mails().await.remove(0);
    let guess = |n: usize| {
        let code = if n == 20 { code(&email) } else { format!("{n:010}") };
        let body = json!({ "flow": flow, "code": code, "new_password": NEW_PASSWORD });
        let world = &world;
        async move { world.post("/v1/password-reset/confirm", &body).await.status }
    };
    let statuses = join((0..40).map(guess)).await;
    assert!(
        statuses.iter().all(|status| *status == 400),
        "the right one comes after five others: {statuses:?}"
    );
}

#[tokio::test]
async fn a72_links_last_an_hour() {
    let world = World::open().await;
    let link = danas_link(&world).await;
    world.wait(millis(3_599_999));
    assert_eq!(world.send(Call::get(&format!("/reset?token={link}"))).await.status, 200);
    world.wait(millis(1));
    assert_eq!(world.send(Call::get(&format!("/reset?token={link}"))).await.status, 400);
    assert_eq!(reset(&world, &link).await.status, 400);
}

#[tokio::test]
async fn a64_newer_requests_invalidate_older_links() {
    let world = World::open().await;
    let (first, second) = (danas_link(&world).await, danas_link(&world).await);
    assert_eq!(reset(&world, &first).await.status, 400);
    assert_eq!(reset(&world, &second).await.status, 200);
}

#[tokio::test]
async fn a64_password_or_address_changes_invalidate_links() {
    use quash_core::decide::edit_account;
    use quash_core::model::{AccountBy, AccountFields, Actor, Change, Email, EndCause, PasswordHash};
    let changed = [
        (
            EndCause::PasswordChanged,
            AccountFields {
                password: Some(Some(PasswordHash::new("cheap$another".into()))),
                ..AccountFields::default()
            },
        ),
        (
            EndCause::EmailChanged,
            AccountFields { email: Some(Email::parse("new@example.org").ok()), ..AccountFields::default() },
        ),
        (EndCause::EmailChanged, AccountFields { email: Some(None), ..AccountFields::default() }),
    ];
    for (cause, fields) in changed {
        let world = World::open().await;
        let link = danas_link(&world).await;
        let by = AccountBy::Name("dana".into());
        let account =
            world.store.account(&by, world.service.now()).await.expect("a read").account.expect("dana");
        let (policy, scopes) = (world.service.policy(), world.service.guard().scopes());
        let edit =
            edit_account(&account, cause, fields, Actor::Owner.into(), policy, scopes, world.service.now());
        world.store.commit(Change::EditAccount(Box::new(edit))).await.expect("it holds");
        assert_eq!(reset(&world, &link).await.status, 400, "{cause:?}");
    }
}

#[tokio::test]
async fn resets_lift_locks_and_confirm_the_address() {
    let world = World::open().await;
    world.add("max", Some("max@example.org"), false).await;
    let at = |secs| quash_core::model::Timestamp::from_secs(crate::support::START + secs);
    world.put("max", AccountState::Locked { since: at(0), until: at(3600) }).await;
    ask(&world, json!({ "username": "max" })).await;
    assert_eq!(reset(&world, &link(&world.mails().await[0])).await.status, 200);
    let pair = world.attempt("max", NEW_PASSWORD).await.pair();
    assert_eq!(world.me(&pair.access).await.json()["email_verified"], true);
    assert_eq!(claims(&pair.access)["user_id"], "max");
}

#[tokio::test]
async fn deactivated_accounts_cannot_be_reset() {
    let world = World::open().await;
    let link = danas_link(&world).await;
    world.deactivate("dana").await;
    assert_eq!(reset(&world, &link).await.status, 400);
    ask(&world, json!({ "username": "dana" })).await;
    assert!(world.mails().await.is_empty());
}

#[tokio::test]
async fn refused_passwords_do_not_use_the_link() {
    let world = World::open().await;
    let link = danas_link(&world).await;
    let answer =
        world.post("/v1/password-reset/confirm", &json!({ "token": link, "new_password": "short" })).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("password_refused")));
    assert_eq!(reset(&world, &link).await.status, 200);
}

#[tokio::test]
async fn a15_mails_go_to_the_stored_address() {
    let world = World::open().await;
    for typed in ["Dana@example.org", "\u{ff24}ana@example.org", "dana@EXAMPLE.org"] {
        ask(&world, json!({ "email": typed })).await;
    }
    let mails = world.mails().await;
    assert!(mails.len() == 3 && mails.iter().all(|email| email.to == "dana@example.org"));
    ask(&world, json!({ "email": "dan\u{131}@example.org" })).await;
    assert!(world.mails().await.is_empty());
}

#[tokio::test]
async fn a71_addresses_get_five_mails_an_hour() {
    let world = World::open().await;
    let bodies = (0..100).map(|n| {
        if n % 2 == 0 { json!({ "username": "dana" }) } else { json!({ "email": "dana@example.org" }) }
    });
    let answers = join(bodies.enumerate().map(|(n, body)| {
        let (world, call) = (&world, Call::post("/v1/password-reset").json(&body));
        // Each from its own network.
        let peer = Some(([198, 51, 100, u8::try_from(n).expect("few")], 1).into());
        async move { world.send(Call { peer, ..call }).await.to_string() }
    }))
    .await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    let mails = world.mails().await;
    assert_eq!(mails.len(), 5);
    let statuses = join(mails.iter().map(|email| {
        let (world, link) = (&world, link(email));
        async move { world.send(Call::get(&format!("/reset?token={link}"))).await.status }
    }))
    .await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "the newest that was mailed");
    world.wait(secs(3600));
    ask(&world, json!({ "username": "dana" })).await;
    assert_eq!(world.mails().await.len(), 1);
}

#[tokio::test]
async fn a71_networks_cause_fifty_mails_an_hour() {
    let world = World::open().await;
    for n in 0..60 {
        world.add_with(&format!("user{n}"), Some(&format!("user{n}@example.org")), true, None).await;
    }
    let mut answers = Vec::new();
    for n in 0..60 {
        answers.push(
            world.post("/v1/password-reset", &json!({ "username": format!("user{n}") })).await.to_string(),
        );
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!(world.mails().await.len(), 50);
    let mut elsewhere = Call::post("/v1/password-reset").json(&json!({ "username": "user59" }));
    elsewhere.peer = Some("198.51.100.7:1".parse().expect("an address"));
    flow(&world.send(elsewhere).await);
    assert_eq!(world.mails().await.len(), 1);
}

#[tokio::test]
async fn a70_links_work_only_for_their_purpose() {
    let world = World::open().await;
    world.add("max", Some("max@example.org"), false).await;
    let reset_link = danas_link(&world).await;
    let requested = world.post("/v1/email-verification", &json!({ "username": "max" })).await;
    let email = world.mails().await.remove(0);
    let access = world.sign_in("dana").await.access;
    for token in [&link(&email), &access, "", " ", "null", &"A".repeat(64), &"A".repeat(10_000)] {
        assert_eq!(reset(&world, token).await.status, 400, "{token}");
    }
    for token in [&reset_link, &access] {
        assert_eq!(
            world.post("/v1/email-verification/confirm", &json!({ "token": token })).await.status,
            400
        );
        let call = Call::post("/v1/me/email/confirm").bearer(&access).json(&json!({ "token": token }));
        assert_eq!(world.send(call).await.status, 400);
        for page in ["/verify", "/email"] {
            assert_eq!(world.send(Call::get(&format!("{page}?token={token}"))).await.status, 400);
        }
    }
    let body = json!({ "flow": flow(&requested), "code": code(&email), "new_password": NEW_PASSWORD });
    assert_eq!(world.post("/v1/password-reset/confirm", &body).await.status, 400);
    assert_eq!(world.me(&link(&email)).await.status, 401);
    assert_eq!(reset(&world, &reset_link).await.status, 200);
}

#[tokio::test]
async fn missing_reset_fields_are_named() {
    let world = World::open().await;
    insta::assert_snapshot!(world.post("/v1/password-reset", &json!({})).await.brief(), @r#"400 {"type":"/docs/errors/invalid_request","title":"Invalid request","status":400,"detail":"A field is missing or wrong.","code":"invalid_request","errors":{"email":["This field is required."]}}"#);
    insta::assert_snapshot!(world.post("/v1/password-reset/confirm", &json!({ "flow": 1, "code": [] })).await.json()["errors"], @r#"{"code":["Not a valid string."],"new_password":["This field is required."]}"#);
}

/// Runs all futures concurrently.
async fn join<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in &mut waiting {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if waiting.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test]
async fn a32_resets_by_mail_clear_failures() {
    let world = World::open().await;
    world.guess("dana", 4).await;
    let link = danas_link(&world).await;
    assert_eq!(reset(&world, &link).await.status, 200);
    // Together with the earlier failures, the first of these would have locked the account.
    world.guess("dana", 4).await;
    assert_eq!(world.attempt("dana", NEW_PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a27_a32_locked_out_users_return_by_mail() {
    let world = World::open().await;
    world.guess("dana", 5).await;
    world.locked("dana").await;
    // The notice of the lock has a link, too, which the next one replaces.
    assert_eq!(kinds_and_places(&world.mails().await), [(MailKind::Locked, "dana@example.org")]);
    let link = danas_link(&world).await;
    assert_eq!(reset(&world, &link).await.status, 200);
    assert_eq!(world.attempt("dana", NEW_PASSWORD).await.status, 200);
}

#[tokio::test]
async fn owners_of_locked_accounts_get_daily_mails() {
    let world = World::open().await;
    for minutes in [1, 2] {
        world.guess("dana", 5).await;
        world.locked("dana").await;
        world.wait(secs(60 * minutes));
    }
    let mails = world.mails().await;
    assert_eq!(kinds_and_places(&mails), [(MailKind::Locked, "dana@example.org")]);
    assert_eq!(reset(&world, &link(&mails[0])).await.status, 200);
    assert_eq!(world.attempt("dana", NEW_PASSWORD).await.status, 200);
    world.wait(secs(24 * 3600));
    world.mails().await;
    world.guess("dana", 5).await;
    world.locked("dana").await;
    assert_eq!(kinds_and_places(&world.mails().await), [(MailKind::Locked, "dana@example.org")]);
}

#[tokio::test]
async fn password_changes_notify_the_owner() {
    let world = World::open().await;
    let pair = world.sign_in("dana").await;
    let body = json!({ "current_password": crate::support::PASSWORD, "new_password": NEW_PASSWORD });
    assert_eq!(world.own("POST", "/v1/me/password", &pair.access, &body).await.status, 200);
    assert_eq!(kinds_and_places(&world.mails().await), [(MailKind::PasswordWasChanged, "dana@example.org")]);
}
