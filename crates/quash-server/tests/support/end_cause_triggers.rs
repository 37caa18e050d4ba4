//! Every way to trigger an end cause. A cause without one says so below; a new cause doesn't compile before
//! it is listed here. The tests that use this check the effects.

use quash_core::decide::{ChangeAuthor, RevokedKeySessions};
use quash_core::model::{
    Actor, EndCause, Generation, KeyState, MailKind, Reason, Right, Seeded, SessionId, SessionPolicy,
    UserIdField, draw,
};
use quash_core::token::RefreshKey;
use quash_service::{Address, NewPassword};
use quash_store::Store;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::support::{self, Answer, Call, PASSWORD, Pair, Plan, World, claims, code, link, secs, subject};

const NEW: &str = "another horse battery staple";

/// The acting party, if several may act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    Owner,
    Operator,
}

/// The part of a mail that is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Proof {
    Link,
    Code,
}

/// The token that a client revokes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Given {
    Access,
    Refresh,
}

/// A way to trigger an end cause: an endpoint, and the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    LogOut,
    Blacklist,
    RevokeByAClient(Given),
    EndSession(Who),
    SignInOverTheLimit,
    EndAllSessions(Who),
    EndOtherSessions,
    RefreshWithASpentToken,
    RefreshWithATokenFromTheFuture,
    ChangePassword,
    Reset(Proof),
    SetPassword,
    OneTimePassword,
    RequireReset,
    ChangeEmail(Proof),
    SetEmail,
    Rename(Who),
    Deactivate(Who),
    Delete(Who),
    FailFiveSignIns,
    Lock,
    SetClaims,
    RevokeAccount,
    RevokeEverything,
    StoreWentBack,
    RevokeKey,
}

/// The causes that end quash's own tokens. Those of namespaces are triggered in `tests/revocations.rs`.
pub(crate) fn own_causes() -> impl Iterator<Item = EndCause> {
    EndCause::ALL.into_iter().filter(|cause| !cause.row().ends.is_in_namespace())
}

/// All ways to trigger a cause that ends quash's own tokens.
pub(crate) const fn ways(cause: EndCause) -> &'static [Way] {
    match cause {
        EndCause::LogOut => &[
            Way::LogOut,
            Way::Blacklist,
            Way::RevokeByAClient(Given::Access),
            Way::RevokeByAClient(Given::Refresh),
        ],
        EndCause::SessionEnded => &[Way::EndSession(Who::Owner), Way::EndSession(Who::Operator)],
        EndCause::OverLimit => &[Way::SignInOverTheLimit],
        EndCause::LogOutEverywhere => &[Way::EndAllSessions(Who::Owner), Way::EndAllSessions(Who::Operator)],
        EndCause::LogOutElsewhere => &[Way::EndOtherSessions],
        EndCause::Reuse => &[Way::RefreshWithASpentToken],
        EndCause::TokenFromTheFuture => &[Way::RefreshWithATokenFromTheFuture],
        EndCause::PasswordChanged => &[Way::ChangePassword],
        EndCause::PasswordReset => &[Way::Reset(Proof::Link), Way::Reset(Proof::Code)],
        EndCause::PasswordSet => &[Way::SetPassword, Way::OneTimePassword, Way::RequireReset],
        EndCause::EmailChanged => {
            &[Way::ChangeEmail(Proof::Link), Way::ChangeEmail(Proof::Code), Way::SetEmail]
        }
        EndCause::NameChanged => &[Way::Rename(Who::Owner), Way::Rename(Who::Operator)],
        EndCause::Deactivated => &[Way::Deactivate(Who::Owner), Way::Deactivate(Who::Operator)],
        EndCause::Deleted => &[Way::Delete(Who::Owner), Way::Delete(Who::Operator)],
        EndCause::Locked => &[Way::FailFiveSignIns, Way::Lock],
        EndCause::ClaimsChanged => &[Way::SetClaims],
        EndCause::AccountRevoked => &[Way::RevokeAccount],
        EndCause::EverythingRevoked => &[Way::RevokeEverything],
        EndCause::KeyRemoved => &[Way::RevokeKey],
        EndCause::StoreRestored => &[Way::StoreWentBack],
        EndCause::NamespaceSessionRevoked
        | EndCause::NamespaceTokenRevoked
        | EndCause::NamespaceSubjectRevoked
        | EndCause::NamespaceRevoked => &[],
    }
}

/// The effect of a way.
pub(crate) enum Taken {
    /// The session has ended.
    Session(Pair),
    /// The access token is revoked, and the session continues.
    Access(Pair),
}

impl Taken {
    pub(crate) const fn pair(&self) -> &Pair {
        match self {
            Self::Session(pair) | Self::Access(pair) => pair,
        }
    }
}

/// The settings that a cause needs in addition to the defaults.
pub(crate) fn plan(cause: EndCause) -> Plan {
    let mut plan = Plan::default();
    if cause == EndCause::OverLimit {
        plan.policy.sessions = SessionPolicy { max_per_account: 1, ..SessionPolicy::default() };
    }
    if cause == EndCause::NameChanged {
        plan.policy.tokens.names.user_id_field = UserIdField::Username;
    }
    plan
}

/// Triggers a cause with the tokens of a session of dana's, which are valid until then.
pub(crate) async fn take(way: Way, world: &World, pair: Pair) -> Taken {
    world.assert_live(&pair).await;
    match way {
        Way::EndOtherSessions | Way::ChangePassword => {
            let one = world.sign_in("dana").await;
            own(way, world, &one).await;
        }
        Way::RefreshWithASpentToken => {
            let next = world.refresh(&pair.refresh).await.pair();
            world.wait(secs(31));
            assert_eq!(world.refresh(&pair.refresh).await.status, 401);
            return Taken::Session(next);
        }
        Way::RefreshWithATokenFromTheFuture => {
            let ahead = from_the_future(world, &pair).await;
            assert_eq!(world.refresh(&ahead).await.status, 401);
        }
        Way::LogOut => assert_eq!(world.log_out(&pair.access, &pair.refresh).await.status, 200),
        Way::Blacklist => assert_eq!(world.blacklist(&pair.refresh).await.status, 200),
        Way::RevokeByAClient(given) => revoke(given, world, &pair).await,
        Way::SignInOverTheLimit => drop(world.sign_in("dana").await),
        Way::Reset(proof) => reset(proof, world).await,
        Way::ChangeEmail(proof) => change_email(proof, world, &pair).await,
        Way::FailFiveSignIns => {
            assert_eq!(world.guess("dana", 5).await, [401; 5]);
            world.locked("dana").await;
            // A background task writes the lock, and the guard follows the store.
            world.service.guard().caught_up(world.head().await, secs(5)).await.expect("a guard that follows");
        }
        Way::EndSession(Who::Owner)
        | Way::EndAllSessions(Who::Owner)
        | Way::Rename(Who::Owner)
        | Way::Deactivate(Who::Owner)
        | Way::Delete(Who::Owner) => own(way, world, &pair).await,
        Way::SetClaims | Way::RevokeKey => {
            operate(way, world, &pair).await;
            return Taken::Access(pair);
        }
        _ => operate(way, world, &pair).await,
    }
    Taken::Session(pair)
}

/// The actions of owners, with an access token.
async fn own(way: Way, world: &World, pair: &Pair) {
    let (method, path, body) = match way {
        Way::EndSession(_) => ("DELETE", format!("/v1/me/sessions/{}", sid(pair)), Value::Null),
        Way::EndAllSessions(_) => ("POST", "/v1/me/sessions/end-all".to_owned(), Value::Null),
        Way::EndOtherSessions => ("POST", "/v1/me/sessions/end-others".to_owned(), Value::Null),
        Way::ChangePassword => (
            "POST",
            "/v1/me/password".to_owned(),
            json!({ "current_password": PASSWORD, "new_password": NEW }),
        ),
        Way::Rename(_) => ("PATCH", "/v1/me".to_owned(), json!({ "username": "kim", "password": PASSWORD })),
        Way::Deactivate(_) => ("POST", "/v1/me/deactivate".to_owned(), json!({ "password": PASSWORD })),
        Way::Delete(_) => ("DELETE", "/v1/me".to_owned(), json!({ "password": PASSWORD })),
        _ => panic!("{way:?} is no door of one's own"),
    };
    let answer = world.own(method, &path, &pair.access, &body).await;
    assert!(matches!(answer.status, 200 | 204), "{way:?}: {answer}");
}

/// The actions of operators, with a command.
async fn operate(way: Way, world: &World, pair: &Pair) {
    let (service, dana, by) = (&world.service, subject("dana"), ChangeAuthor::from(Actor::Operator));
    match way {
        Way::EndSession(_) => {
            service
                .end_session(sid(pair).parse().expect("an id"), Reason::Ended, Actor::Operator)
                .await
                .expect("an end");
        }
        Way::EndAllSessions(_) => service
            .end_account(&dana, EndCause::LogOutEverywhere, Actor::Operator)
            .await
            .map(drop)
            .expect("an end"),
        Way::SetPassword => drop(
            service
                .set_password(&dana, NewPassword::Plain(Zeroizing::new(NEW.into())), by)
                .await
                .expect("a password"),
        ),
        Way::OneTimePassword => drop(service.give_one_time_password(&dana, by).await.expect("a password")),
        Way::RequireReset => drop(service.require_reset(&dana, by).await.expect("no password")),
        Way::SetEmail => drop(
            service.set_email(&dana, "new@example.org", Address::Confirmed, by).await.expect("an address"),
        ),
        Way::Rename(_) => drop(service.rename(&dana, "kim", by).await.expect("a name")),
        Way::Deactivate(_) => drop(service.deactivate(&dana, by).await.expect("an end")),
        Way::Delete(_) => drop(service.delete(&dana, by).await.expect("an end")),
        Way::Lock => drop(service.lock(&dana, secs(60), by).await.expect("a lock")),
        Way::SetClaims => drop(service.set_claims(&dana, r#"{"role":"reader"}"#, by).await.expect("claims")),
        Way::RevokeAccount => service
            .end_account(&dana, EndCause::AccountRevoked, Actor::Operator)
            .await
            .map(drop)
            .expect("an end"),
        Way::StoreWentBack => store_went_back(world).await,
        Way::RevokeEverything => {
            service.end_everything(Reason::Revoked, Actor::Operator).await.map(drop).expect("an end")
        }
        Way::RevokeKey => {
            let keys = service.keys().await.expect("keys");
            let current =
                keys.own.iter().find(|key| key.state == KeyState::Current).expect("a key that signs");
            service
                .revoke_key(&current.kid, RevokedKeySessions::Continue, Actor::Operator)
                .await
                .expect("the key is revoked");
        }
        _ => panic!("{way:?} is no operator's"),
    }
}

/// A revocation by another service.
async fn revoke(given: Given, world: &World, pair: &Pair) {
    let rights = [Right::Revoke].into_iter().collect();
    let (_, secret) = world.service.add_client("shop", rights, None).await.expect("a client");
    let token = if given == Given::Access { &pair.access } else { &pair.refresh };
    let call = Call::post("/oauth2/revoke").bearer(&secret.into_text());
    let answer = world.send(call.body("application/x-www-form-urlencoded", format!("token={token}"))).await;
    assert_eq!(answer.status, 200, "{answer}");
}

/// Requests a reset and follows the mail.
async fn reset(proof: Proof, world: &World) {
    let asked = world.post("/v1/password-reset", &json!({ "username": "dana" })).await;
    let mut body = proven(proof, world, &asked, MailKind::Reset).await;
    body["new_password"] = NEW.into();
    let answer = world.post("/v1/password-reset/confirm", &body).await;
    assert_eq!(answer.status, 200, "{answer}");
}

/// Requests a change of address and follows the mail to the new one.
async fn change_email(proof: Proof, world: &World, pair: &Pair) {
    let post = async |path, body: &Value| world.send(Call::post(path).bearer(&pair.access).json(body)).await;
    let asked = post("/v1/me/email", &json!({ "email": "new@example.org", "password": PASSWORD })).await;
    let body = proven(proof, world, &asked, MailKind::EmailChange).await;
    let answer = post("/v1/me/email/confirm", &body).await;
    assert_eq!(answer.status, 200, "{answer}");
}

/// The proof that a mail was read.
async fn proven(proof: Proof, world: &World, asked: &Answer, kind: MailKind) -> Value {
    assert_eq!(asked.status, 202, "{asked}");
    let mails = world.mails().await;
    let email = mails.iter().find(|email| email.kind == kind).expect("a mail");
    match proof {
        Proof::Link => json!({ "token": link(email) }),
        Proof::Code => json!({ "flow": asked.json()["flow"], "code": code(email) }),
    }
}

fn sid(pair: &Pair) -> String {
    claims(&pair.access)["sid"].as_str().expect("a session").to_owned()
}

/// Two verifiers prove concurrently that the log had advanced further.
async fn store_went_back(world: &World) {
    let end = world.store.head().await.expect("a head").seq;
    assert_eq!(world.service.store_went_back(end).await, Ok(None), "it had come just so far");
    let proven = end.next();
    let told =
        tokio::join!(world.service.store_went_back(proven), world.service.store_went_back(proven.next()));
    let told = [told.0.expect("an answer"), told.1.expect("an answer")];
    assert_eq!(told.iter().flatten().count(), 1, "it is begun once: {told:?}");
    assert!(world.store.head().await.expect("a head").seq.epoch() > end.epoch());
}

/// A refresh token of the generation after the next, as a store that was reset to an earlier state would see
/// it.
async fn from_the_future(world: &World, pair: &Pair) -> String {
    let secret = RefreshKey::new(&draw(&Seeded::new(support::SEED)));
    let session: SessionId = sid(pair).parse().expect("an id");
    let seed = world.sessions("dana").await[0].seed;
    let jti = |generation| secret.jti(session, &seed, Generation(generation)).to_string();
    assert_eq!(claims(&pair.refresh)["jti"], jti(0), "the order in which chance is drawn has changed");
    world.forge(&pair.refresh, &json!({ "gen": 2, "jti": jti(2) }))
}
