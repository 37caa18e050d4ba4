//! Every road of the table, from its door to a refused access token. A road that no door leads to yet says so below; a new
//! one doesn't compile before it stands here.

mod support;

use quash_core::decide::By;
use quash_core::model::{Actor, Generation, Reason, Road, Seeded, SessionId, SessionPolicy, UserIdField, draw};
use quash_core::token::RefreshKey;
use quash_service::Address;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use support::{PASSWORD, Pair, Plan, World, claims, secs, subject};

const NEW: &str = "another horse battery staple";

/// How a road was taken: what is dead then, and what a refresh is told.
enum Taken {
    /// The session is over.
    Session(Pair),
    /// The access token is dead, and the session goes on.
    Access(Pair),
    /// No door leads there yet.
    NoDoor,
}

async fn open(road: Road) -> World {
    let mut plan = Plan::default();
    if road == Road::OverLimit {
        plan.policy.sessions = SessionPolicy { max_per_account: 1, ..SessionPolicy::default() };
    }
    if road == Road::NameChanged {
        plan.policy.tokens.names.user_id_field = UserIdField::Username;
    }
    World::planned(plan).await
}

/// Takes a road with the tokens of a session of dana's, which were good until then.
async fn take(road: Road, world: &World) -> Taken {
    let (pair, dana) = (world.sign_in("dana").await, subject("dana"));
    world.assert_live(&pair).await;
    let own = async |method: &str, path: &str, body: Value| {
        let answer = world.own(method, path, &pair.access, &body).await;
        assert!(matches!(answer.status, 200 | 204), "{road:?}: {answer}");
    };
    let by = || By::from(Actor::Operator);
    let password = || json!({ "password": PASSWORD });
    match road {
        Road::LogOut => assert_eq!(world.log_out(&pair.access, &pair.refresh).await.status, 200),
        Road::SessionEnded => own("DELETE", &format!("/v1/me/sessions/{}", sid(&pair)), Value::Null).await,
        Road::OverLimit => {
            world.sign_in("dana").await;
        }
        Road::LogOutEverywhere => own("POST", "/v1/me/sessions/end-all", Value::Null).await,
        Road::LogOutElsewhere => {
            let other = world.sign_in("dana").await;
            own("POST", "/v1/me/sessions/end-others", Value::Null).await;
            return Taken::Session(other);
        }
        Road::Reuse => {
            let next = world.refresh(&pair.refresh).await.pair();
            world.wait(secs(31));
            assert_eq!(world.refresh(&pair.refresh).await.status, 401);
            return Taken::Session(next);
        }
        Road::TokenFromTheFuture => {
            let ahead = from_the_future(world, &pair).await;
            assert_eq!(world.refresh(&ahead).await.status, 401);
        }
        Road::PasswordChanged => {
            let other = world.sign_in("dana").await;
            own("POST", "/v1/me/password", json!({ "current_password": PASSWORD, "new_password": NEW })).await;
            return Taken::Session(other);
        }
        Road::PasswordSet => {
            world.service.set_password(&dana, Zeroizing::new(NEW.into()), by()).await.expect("a password");
        }
        Road::EmailChanged => {
            world.service.set_email(&dana, "new@example.org", Address::Confirmed, by()).await.expect("an address");
        }
        Road::NameChanged => own("PATCH", "/v1/me", json!({ "username": "kim", "password": PASSWORD })).await,
        Road::Deactivated => own("POST", "/v1/me/deactivate", password()).await,
        Road::Deleted => own("DELETE", "/v1/me", password()).await,
        Road::Locked => {
            world.service.lock(&dana, secs(60), by()).await.expect("a lock");
        }
        Road::ClaimsChanged => {
            world.service.set_claims(&dana, r#"{"role":"reader"}"#, by()).await.expect("claims");
            return Taken::Access(pair);
        }
        Road::AccountRevoked => {
            world.service.end_account(&dana, road, Actor::Operator).await.expect("an end");
        }
        Road::EverythingRevoked => {
            world.service.end_everything(Reason::Revoked, Actor::Operator).await.expect("an end");
        }
        Road::PasswordReset | Road::KeyRemoved | Road::StoreRestored => return Taken::NoDoor,
    }
    Taken::Session(pair)
}

#[tokio::test]
async fn every_road_leads_to_a_refused_access_token() {
    let mut without_a_door = Vec::new();
    for road in Road::ALL {
        let world = open(road).await;
        let dead = match take(road, &world).await {
            Taken::NoDoor => {
                without_a_door.push(road);
                continue;
            }
            Taken::Access(pair) => {
                assert_eq!(world.me(&pair.access).await.status, 401, "{road:?}");
                let next = world.refresh(&pair.refresh).await.pair();
                world.assert_live(&next).await;
                continue;
            }
            Taken::Session(pair) => pair,
        };
        assert_eq!(world.me(&dead.access).await.status, 401, "{road:?}");
        let refused = world.refresh(&dead.refresh).await;
        // Of a deleted account nothing is left that could say why.
        let reason = Some(road.row().reason.as_str()).filter(|_| road != Road::Deleted);
        assert_eq!((refused.status, refused.reason().as_deref()), (401, reason), "{road:?}");
        world.assert_dead(&dead).await;
    }
    assert_eq!(without_a_door, [Road::PasswordReset, Road::KeyRemoved, Road::StoreRestored]);
}

fn sid(pair: &Pair) -> String {
    claims(&pair.access)["sid"].as_str().expect("a session").to_owned()
}

/// A refresh token of the generation after the next, as a store that went back would meet it again.
async fn from_the_future(world: &World, pair: &Pair) -> String {
    let secret = RefreshKey::new(&draw(&Seeded::new(support::SEED)));
    let session: SessionId = sid(pair).parse().expect("an id");
    let seed = world.sessions("dana").await[0].seed;
    let jti = |generation| secret.jti(session, &seed, Generation(generation)).to_string();
    assert_eq!(claims(&pair.refresh)["jti"], jti(0), "the order in which chance is drawn has changed");
    world.forge(&pair.refresh, &json!({ "gen": 2, "jti": jti(2) }))
}
