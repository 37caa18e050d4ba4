//! Tokens of other issuers and their accounts: names that change owners, claims, and other passwords.

use quash_core::decide::ChangeAuthor;
use quash_core::model::{Actor, PasswordHash, UserIdField};
use quash_service::{NewAccount, NewPassword, NewState};
use serde_json::json;
use zeroize::Zeroizing;

use super::{django, minted, plan, refresh_of, said, shared, world};
use crate::support::{self, Call, Plan, START, World, claims, secs};

fn of_users(field: UserIdField) -> Plan {
    let mut plan = plan(django(shared()));
    plan.policy.tokens.names.user_id_field = field;
    plan
}

#[tokio::test]
async fn dead_foreign_tokens_open_no_recreated_account() {
    for (field, user, email) in [
        (UserIdField::Username, "robin", None),
        (UserIdField::Email, "robin@example.org", Some("robin@example.org")),
    ] {
        let world = World::planned(of_users(field)).await;
        let robin = world.add("robin", email, true).await;
        let (unused, used) = (refresh_of(user, "unused"), refresh_of(user, "used"));
        world.wait(secs(10));
        world.refresh(&used).await.pair();
        world
            .service
            .delete(&robin.subject, ChangeAuthor::from(Actor::Operator))
            .await
            .expect("it is deleted");
        world.wait(secs(10));
        let (name, email, subject) =
            ("robin".to_owned(), email.map(str::to_owned), Some("another robin".to_owned()));
        let new = NewAccount {
            name,
            email,
            verified: true,
            subject,
            password: None,
            claims: None,
            state: NewState::Active,
        };
        world.service.add_account(new).await.expect("an account");
        for dead in [&unused, &used] {
            let refused = r#"401 {"detail":"Token is blacklisted","code":"token_not_valid"}"#;
            assert_eq!(world.refresh(dead).await.brief(), refused);
            assert_eq!(world.verify(dead).await.status, 401);
        }
        assert!(world.sessions("another robin").await.is_empty());
        // The other issuer's clock may be fast. A later token belongs to the new account.
        let minted_at = |iat: i64| {
            let mut said = said("refresh", user, &format!("at {iat}"));
            said["iat"] = json!(START + iat);
            minted(&said)
        };
        world.wait(secs(300));
        assert_eq!(world.refresh(&minted_at(310)).await.status, 401);
        assert_eq!(world.refresh(&minted_at(311)).await.status, 200);
    }
}

#[tokio::test]
async fn dead_foreign_tokens_open_no_renamed_account() {
    let world = World::planned(of_users(UserIdField::Username)).await;
    let (name, subject) = ("robin".to_owned(), Some("a subject".to_owned()));
    let new = NewAccount {
        name,
        email: None,
        verified: true,
        subject,
        password: None,
        claims: None,
        state: NewState::Active,
    };
    let robin = world.service.add_account(new).await.expect("an account");
    let old = refresh_of("Robin", "old");
    world.wait(secs(10));
    world
        .service
        .rename(&robin.subject, "sparrow", ChangeAuthor::from(Actor::Operator))
        .await
        .expect("it is renamed");
    let kim = world.add("kim", None, true).await;
    world
        .service
        .rename(&kim.subject, "robin", ChangeAuthor::from(Actor::Operator))
        .await
        .expect("it is renamed");
    assert_eq!(world.refresh(&old).await.status, 401);
}

#[tokio::test]
async fn adopted_claims_last_until_an_operator_changes_them() {
    let world = world().await;
    let mut claimed = said("refresh", "dana", "one");
    claimed["plan"] = json!("gold");
    let adopted = world.refresh(&minted(&claimed)).await.pair();
    let plan_of = |token: &str| claims(token).get("plan").cloned();
    assert_eq!(plan_of(&world.sign_in("dana").await.access), Some(json!("gold")), "a sign-in after the move");
    claimed["jti"] = json!("two");
    claimed["plan"] = json!("tin");
    let other = world.refresh(&minted(&claimed)).await.pair();
    assert_eq!(plan_of(&other.access), Some(json!("tin")), "another token keeps its own");
    assert_eq!(plan_of(&world.sign_in("dana").await.access), Some(json!("gold")));
    world
        .service
        .set_claims(&world.account("dana").await.subject, "{}", ChangeAuthor::from(Actor::Operator))
        .await
        .expect("they are set");
    for pair in [adopted, other] {
        assert_eq!(plan_of(&world.refresh(&pair.refresh).await.pair().access), None);
    }
    assert_eq!(plan_of(&world.sign_in("dana").await.access), None);
    world.wait(secs(1));
    (claimed["jti"], claimed["iat"]) = (json!("three"), json!(START + 1));
    assert_eq!(
        plan_of(&world.refresh(&minted(&claimed)).await.pair().access),
        None,
        "one that is adopted later"
    );
}

#[tokio::test]
async fn foreign_tokens_of_old_passwords_say_so() {
    let mut plan = plan(django(shared()));
    plan.policy.tokens.names.password_mark = Some("hash_password".into());
    let world = World::planned(plan).await;
    // The site has dana's hash, too.
    let dana = world.account("dana").await;
    let hash = dana.password.as_ref().expect("a password").as_str().to_owned();
    let password = NewPassword::Encoded(Zeroizing::new(hash));
    world
        .service
        .set_password(&dana.subject, password, ChangeAuthor::from(Actor::Operator))
        .await
        .expect("a hash");
    world.wait(secs(10));
    let mark = claims(&world.sign_in("dana").await.access)["hash_password"].clone();
    assert_eq!(mark, json!(dana.password_mark()));
    let marked = |token_type: &str, jti: &str| {
        let mut said = said(token_type, "dana", jti);
        (said["hash_password"], said["iat"]) = (mark.clone(), json!(START + 10));
        minted(&said)
    };
    let (refresh, access) = (marked("refresh", "one"), marked("access", "two"));
    assert_eq!((world.verify(&refresh).await.status, world.me(&access).await.status), (200, 200));
    world.wait(secs(10));
    let pair = world.sign_in("dana").await;
    let body =
        json!({ "current_password": support::PASSWORD, "new_password": "another horse, another staple" });
    let changed = world.send(Call::post("/v1/me/password").bearer(&pair.access).json(&body)).await;
    assert_eq!(changed.status, 200, "{}", changed.brief());
    assert_eq!(
        claims(changed.json()["access"].as_str().expect("a token"))["hash_password"],
        mark,
        "nodes still have the old hash"
    );
    let words = "The user's password has been changed.";
    for answer in [
        world.verify(&refresh).await,
        world.refresh(&refresh).await,
        world.refresh(&refresh).await,
        world.verify(&refresh).await,
        world.blacklist(&refresh).await,
        world.verify(&access).await,
        world.me(&access).await,
        world.send(Call::post("/v1/me/sessions/end-all").bearer(&access)).await,
    ] {
        let said = answer.json();
        assert_eq!((answer.status, said["detail"].as_str()), (401, Some(words)), "{said}");
    }
}

/// Such users sign in at the site by other means.
#[tokio::test]
async fn unusable_hashes_of_the_site_have_marks() {
    let mut plan = plan(django(shared()));
    plan.policy.tokens.names.password_mark = Some("hash_password".into());
    let world = World::planned(plan).await;
    let hash = "!kJ3k1wFv7cQm0b8zXo2nR5tYh4uEi6pLsA9dGjKq";
    let mark = PasswordHash::new(hash.to_owned()).mark();
    let new = NewAccount {
        name: "robin".to_owned(),
        email: None,
        verified: false,
        subject: Some("robin".to_owned()),
        password: Some(NewPassword::Encoded(Zeroizing::new(hash.to_owned()))),
        claims: None,
        state: NewState::Active,
    };
    let robin = world.service.add_account(new).await.expect("an account").subject;
    let marked = |jti: &str, iat: i64| {
        let mut said = said("refresh", "robin", jti);
        (said["hash_password"], said["iat"]) = (json!(mark), json!(START + iat));
        minted(&said)
    };
    let pair = world.refresh(&marked("one", 0)).await.pair();
    assert_eq!(claims(&pair.access)["hash_password"], json!(mark));
    assert_eq!(world.me(&pair.access).await.status, 200);

    // The site still has that hash when quash has a password, which its tokens don't prove.
    world.wait(secs(10));
    let password = NewPassword::Plain(Zeroizing::new(support::PASSWORD.to_owned()));
    let by = ChangeAuthor::from(Actor::Operator);
    world.service.set_password(&robin, password, by.clone()).await.expect("a password");
    world.wait(secs(10));
    assert_eq!(claims(&world.sign_in("robin").await.access)["hash_password"], json!(mark));
    assert_eq!(world.refresh(&marked("two", 15)).await.status, 401);
    world.service.require_reset(&robin, by).await.expect("no password");
    assert_eq!(world.account("robin").await.node_mark(), mark);
}
