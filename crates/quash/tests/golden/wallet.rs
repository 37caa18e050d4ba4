//! The tokens of a site. Tokens that the recorded Django issued are issued by quash here, at a sign-in or in
//! the answer to an earlier case. Tokens that the recording signed itself are signed again with Django's
//! secret, as tokens of another issuer.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::recording::{Case, Token, offset};
use super::site::{DJANGO_SECRET, PASSWORD, Site, known};
use crate::support::claims;

/// Tokens of sign-ins between the recorded cases, by the first eight characters of their ids. The pairs
/// aren't recorded, but follow from the order of the cases; at `rotate`, from there being only one sign-in.
const SIGN_INS: &[(&str, SignIn)] = &[
    ("default", SignIn::Pair { refresh: "3310cee0", access: "eddeef3e" }),
    ("default", SignIn::Pair { refresh: "2e108b78", access: "99df192a" }),
    ("default", SignIn::Pair { refresh: "dc3024dc", access: "47f66c4e" }),
    ("rotate", SignIn::Pair { refresh: "f68fbeaf", access: "bc258184" }),
    ("rotate-nobl", SignIn::Pair { refresh: "91658aca", access: NEVER_SENT }),
    ("noapp", SignIn::Pair { refresh: "18b948af", access: NEVER_SENT }),
    ("both", SignIn::Pair { refresh: "b4f973cf", access: "729d847d" }),
    ("both", SignIn::Sliding { token: "60c31c0b" }),
    ("issaud", SignIn::Pair { refresh: NEVER_SENT, access: "a65b149e" }),
];
const NEVER_SENT: &str = "";

/// The lifetimes of tokens from sign-ins, by type.
const LIFETIMES: [(&str, i64); 3] = [("access", 300), ("refresh", 86_400), ("sliding", 300)];

/// The site whose user changed the password, and the first case after that. Here the password stays the same,
/// and tokens from before the change have another password's mark, as if Django had issued them.
const PASSWORD_CHANGED: (&str, usize) = ("revoke", 198);
/// The claim with the mark of the password.
const MARK: &str = "hash_password";

/// The site where a sliding token was blacklisted in the database, for lack of a view, and the first case
/// after that. Here the token is used to log out.
const SLIDING_BLACKLISTED: (&str, usize) = ("both", 215);

enum SignIn {
    Pair { refresh: &'static str, access: &'static str },
    Sliding { token: &'static str },
}

/// The tokens of a site, by the ids that they had in the recording.
pub(crate) struct Wallet<'s> {
    pub(crate) site: &'s Site,
    /// The time of the current request by the server's clock.
    pub(crate) now: i64,
    /// Tokens from sign-ins, by the first characters of the recorded id.
    signed_in: BTreeMap<&'static str, String>,
    /// Tokens from answers, by the recorded id; the newest of each.
    answered: BTreeMap<String, String>,
}

impl<'s> Wallet<'s> {
    /// Performs the sign-ins that happened between the recorded cases.
    pub(crate) fn fill(site: &'s Site) -> Self {
        let mut signed_in = BTreeMap::new();
        for (_, sign_in) in SIGN_INS.iter().filter(|(name, _)| *name == site.name) {
            match sign_in {
                SignIn::Pair { refresh, access } => {
                    let pair = site.server.sign_in("alice", PASSWORD);
                    signed_in.extend([(*refresh, pair.refresh), (*access, pair.access)]);
                }
                SignIn::Sliding { token } => {
                    let body = json!({ "username": "alice", "password": PASSWORD });
                    let answer = site.server.post_json("/api/token/sliding/", &body, None);
                    signed_in.insert(token, answer.body["token"].as_str().expect("a token").to_owned());
                }
            }
        }
        signed_in.remove(NEVER_SENT);
        Self { site, now: site.now(), signed_in, answered: BTreeMap::new() }
    }

    /// Performs unrecorded actions before a case, and reads the clock.
    pub(crate) fn before(&mut self, case: &Case) {
        if (case.site.as_str(), case.number) == SLIDING_BLACKLISTED {
            let token = case
                .tokens
                .values()
                .find_map(|token| self.had(token.text("jti")?))
                .expect("it was had by signing in");
            let answer = self.site.server.post_json("/api/logout/", &json!({}), Some(token));
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        self.now = self.site.now();
    }

    /// Returns a text of a case with its placeholders replaced by tokens.
    pub(crate) fn fill_in(&self, template: &str, case: &Case) -> String {
        let mut text = template.to_owned();
        for (name, token) in &case.tokens {
            let place = format!("{{{{{name}}}}}");
            if text.contains(&place) {
                text = text.replace(&place, &self.token(token, case));
            }
        }
        text
    }

    /// Returns the path of a case. The one token that was recorded in a URL is replaced by a valid one.
    pub(crate) fn path(&self, case: &Case) -> String {
        match case.path.split_once("?token=") {
            None => case.path.clone(),
            Some((path, token)) => {
                let id = claims(token)["jti"].as_str().expect("an id").to_owned();
                format!("{path}?token={}", self.had(&id).expect("it was had by signing in"))
            }
        }
    }

    /// Returns the token that replaces the one with this id.
    pub(crate) fn had(&self, id: &str) -> Option<&str> {
        self.answered.get(id).or_else(|| self.signed_in.get(id.get(..8)?)).map(String::as_str)
    }

    /// Returns whether a token with this id was issued already.
    pub(crate) fn has_given_out(&self, our_id: &str) -> bool {
        self.answered.values().chain(self.signed_in.values()).any(|token| claims(token)["jti"] == our_id)
    }

    /// Stores the token of an answer as the replacement of the one with this id.
    pub(crate) fn keep(&mut self, id: String, token: String) {
        self.answered.insert(id, token);
    }

    fn token(&self, recorded: &Token, case: &Case) -> String {
        match recorded.text("jti").and_then(|id| self.had(id)) {
            Some(token) if case.label.contains("tampered") => altered(token),
            Some(token) => token.to_owned(),
            None => self.minted(recorded, case),
        }
    }

    /// Signs a token as Django, or an attacker who knows its secret, would do it now.
    fn minted(&self, recorded: &Token, case: &Case) -> String {
        let has_account =
            known(&self.site.name).iter().any(|account| recorded.text("user_id") == Some(account.subject));
        assert!(
            !was_had_by_signing_in(recorded) || !has_account || self.site.name == PASSWORD_CHANGED.0,
            "{} isn't in SIGN_INS",
            case.label
        );
        let mut claims = recorded.claims.clone();
        if let Some(claims) = claims.as_object_mut() {
            set_moments(claims, self.now);
            if self.site.name == PASSWORD_CHANGED.0 && case.number < PASSWORD_CHANGED.1 {
                claims.insert(MARK.into(), self.mark());
            }
        }
        let secret = if case.label.contains("bad sig") { "nobody's" } else { DJANGO_SECRET };
        signed(&recorded.header, &claims, secret)
    }

    /// Returns the mark of the account's password.
    fn mark(&self) -> Value {
        claims(&self.site.server.sign_in("alice", PASSWORD).access)[MARK].take()
    }
}

fn was_had_by_signing_in(recorded: &Token) -> bool {
    let held = recorded.offset("exp").zip(recorded.offset("iat")).map(|(exp, iat)| exp - iat);
    LIFETIMES
        .iter()
        .any(|(kind, lifetime)| recorded.text("token_type") == Some(kind) && held == Some(*lifetime))
}

/// Makes times relative to now. Two that aren't whole numbers are absolute in the recording, a minute and a
/// half away: one with a fraction, and one as a text.
fn set_moments(claims: &mut Map<String, Value>, now: i64) {
    const AWAY: i64 = 90;
    if let Some(exp) = claims.get_mut("exp") {
        let is_digits = exp.as_str().is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        if exp.as_f64().is_some_and(|secs| secs.fract() != 0.0) {
            *exp = json!((now + AWAY) as f64 + 0.5);
        } else if is_digits {
            *exp = json!((now + AWAY).to_string());
        }
    }
    for value in claims.values_mut() {
        if let Some(offset) = value.as_str().and_then(offset) {
            *value = json!(now + offset);
        }
    }
}

/// Returns the claims as JSON. The largest numbers were sent as powers of ten, with all digits.
fn payload(claims: &Value) -> String {
    let mut text = claims.to_string();
    for value in claims.as_object().into_iter().flat_map(Map::values) {
        if let Some(zeros) =
            value.to_string().strip_prefix("1e").and_then(|zeros| zeros.trim_start_matches('+').parse().ok())
        {
            text = text.replace(&value.to_string(), &format!("1{}", "0".repeat(zeros)));
        }
    }
    text
}

fn signed(header: &Map<String, Value>, claims: &Value, secret: &str) -> String {
    let part = |value: String| URL_SAFE_NO_PAD.encode(value);
    let signed = format!("{}.{}", part(Value::Object(header.clone()).to_string()), part(payload(claims)));
    let algorithm = match header.get("alg").and_then(Value::as_str) {
        Some("none") => return signed + ".",
        Some("HS384") => hmac::HMAC_SHA384,
        // Also with a header that names another algorithm or none: the header is the fault of these tokens.
        _ => hmac::HMAC_SHA256,
    };
    let signature = hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Changes one character of a token's signature.
fn altered(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{first}{}", &signature[1..])
}
