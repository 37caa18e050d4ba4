//! The second issuer: a shop that signs its own tokens, in a namespace. It reads each token's position at a
//! verifier, and revokes by names over HTTP. Some of its tokens have no position.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::BodyExt;
use quash_core::decide::RevokedName;
use quash_core::model::{Namespace, NamespaceClaims, Seq};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::chance::Chance;
use crate::journal::{Ended, LIFETIME, Token};
use crate::wait::pass;
use crate::world::{PEOPLE, World};

/// The namespace of its tokens.
pub(crate) const NAME: &str = "shop";
/// The longest time by which an event is reported late.
const LATEST: u64 = 15_000;

pub(crate) fn namespace() -> Namespace {
    Namespace {
        name: NAME.into(),
        max_lifetime: Duration::from_secs(LIFETIME.unsigned_abs()),
        accepted: vec!["access".into()],
        claims: NamespaceClaims::default(),
    }
}

impl World {
    /// Runs the shop, which issues and revokes tokens.
    pub(crate) async fn keep_shop(self: Arc<Self>, chance: Chance, until: Duration) {
        let (mut sessions, mut hunts) = (Vec::new(), Vec::new());
        while self.time.now() < until {
            pass(chance.millis(u64::try_from(self.temper.between_deeds.as_millis()).expect("short"))).await;
            if !chance.once_in(3) {
                self.issue(&mut sessions, &chance).await;
                continue;
            }
            for (what, seq) in self.revoke(&sessions, &chance).await {
                self.hunt_everywhere(what, seq, &chance, &mut hunts).await;
            }
        }
        for hunt in hunts {
            hunt.await.expect("nobody has found something");
        }
    }

    async fn issue(&self, sessions: &mut Vec<String>, chance: &Chance) {
        let verifier = chance.pick(&self.verifiers).expect("there are some");
        let position = if chance.once_in(4) { None } else { verifier.head() };
        // The shop compares a password.
        pass(chance.millis(30)).await;
        // It doesn't check whether the session has ended.
        let session = chance.pick(sessions).filter(|_| chance.once_in(2)).cloned();
        let session = session.unwrap_or_else(|| {
            sessions.push(name(chance));
            sessions.last().expect("it was pushed").clone()
        });
        let issued_at = verifier.clock.now().as_secs() + self.temper.shop_is_ahead;
        let lifetime = *chance.pick(&[300, LIFETIME, LIFETIME, LIFETIME + 1]).expect("there are some");
        let token = Token::Shop {
            session,
            id: name(chance),
            subject: chance.pick(&PEOPLE).expect("there are some"),
            issued_at,
            expires_at: issued_at + lifetime,
        };
        self.journal.lock().expect("no panic").give(token, position);
    }

    /// Revokes one to three names in one request, and returns those that were confirmed.
    async fn revoke(&self, sessions: &[String], chance: &Chance) -> Vec<(Ended, Seq)> {
        let (life, Some(door)) = self.door() else { return Vec::new() };
        let now = self.verifiers[0].clock.now().as_millis();
        let mut items = Vec::new();
        for _ in 0..=chance.below(3) {
            let before = now - i64::try_from(chance.below(LATEST)).expect("short");
            let before = Some(before).filter(|_| chance.once_in(2));
            items.push(match chance.below(12) {
                0..=3 => {
                    let Some(session) = chance.pick(sessions) else { continue };
                    (RevokedName::Session(session.clone()), None)
                }
                4 | 5 => {
                    let journal = self.journal.lock().expect("no panic");
                    let given = chance.pick(journal.given());
                    let Some(Token::Shop { id, .. }) = given.map(|given| &given.token) else { continue };
                    (RevokedName::Token(id.clone()), None)
                }
                11 => (RevokedName::Everything, before),
                _ => {
                    let subject = chance.pick(&PEOPLE).expect("there are some");
                    (RevokedName::Subject((*subject).into()), before)
                }
            });
        }
        if items.is_empty() {
            return Vec::new();
        }
        // Watermarks are always written, so at the end of a request their numbers are known.
        items.sort_by_key(|(name, _)| matches!(name, RevokedName::Subject(_) | RevokedName::Everything));
        let body = json!({ "namespace": NAME, "revocations": items.iter().map(item).collect::<Vec<_>>() });
        let ended = items
            .into_iter()
            .map(|(name, before)| Ended::InShop(name, before.map(|millis| millis.div_euclid(1000))));
        let posted = post(door, &self.credentials().shop, &body);
        self.while_ending(life, ended.collect(), posted).await
    }
}

/// The member of a request for a revocation.
fn item((name, before): &(RevokedName, Option<i64>)) -> Value {
    let mut item = match name {
        RevokedName::Session(name) => json!({ "session": name }),
        RevokedName::Token(name) => json!({ "token": name }),
        RevokedName::Subject(name) => json!({ "subject": name }),
        RevokedName::Everything => json!({ "everything": true }),
    };
    if let Some(millis) = before {
        #[expect(clippy::cast_precision_loss, reason = "times are below 2^53")]
        let secs = *millis as f64 / 1000.0;
        item["before"] = secs.into();
    }
    item
}

/// Sends a request to the issuer, and returns the number with which its revocations are known.
async fn post(door: Router, credential: &str, body: &Value) -> Option<Seq> {
    let request = Request::post("/v1/revocations")
        .header(AUTHORIZATION, format!("Bearer {credential}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request");
    let answer = door.oneshot(request).await.expect("a router never fails");
    if answer.status() != 200 {
        return None;
    }
    let text = answer.into_body().collect().await.expect("a body").to_bytes();
    let answer: Value = serde_json::from_slice(&text).expect("JSON");
    answer["seq"].as_u64().map(Seq::from_u64)
}

fn name(chance: &Chance) -> String {
    format!("{:016x}", chance.below(u64::MAX))
}
