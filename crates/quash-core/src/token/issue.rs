//! Minting: from a decision to signed text. What a token may say was decided before.

use super::claims::{Audience, Claims, TokenType};
use super::keys::{RefreshKey, SigningKey};
use crate::model::{Entropy, Generation, Jti, Seq, Session, SessionId, Subject, Timestamp, TokenPolicy};

/// What a decision lets be minted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// For which session.
    pub session: SessionId,
    /// For whom.
    pub subject: Subject,
    /// The head that was read first.
    pub rsq: Seq,
    /// No access token holds longer than this.
    pub ends_at: Option<Timestamp>,
    /// The refresh token, if one is to be given.
    pub refresh: Option<RefreshStamp>,
}

/// What a refresh token's identity follows from. The same stamp gives the same token again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefreshStamp {
    /// Its generation.
    pub generation: Generation,
    /// The session's seed.
    pub seed: [u8; 16],
    /// When it was first minted.
    pub minted_at: Timestamp,
    /// Its `exp`.
    pub expires_at: Timestamp,
}

impl Grant {
    /// An access token and the session's current refresh token.
    pub fn of_both(session: &Session, rsq: Seq) -> Self {
        let refresh = RefreshStamp {
            generation: session.generation,
            seed: session.seed,
            minted_at: session.rotated_at,
            expires_at: session.idle_until,
        };
        Self { refresh: Some(refresh), ..Self::of_access(session, rsq) }
    }

    /// An access token alone.
    pub fn of_access(session: &Session, rsq: Seq) -> Self {
        Self { session: session.id, subject: session.subject.clone(), rsq, ends_at: session.ends_at, refresh: None }
    }
}

/// A fresh access token.
pub fn mint_access(grant: &Grant, policy: &TokenPolicy, key: &SigningKey, now: Timestamp, entropy: &dyn Entropy) -> String {
    let unbounded = now + policy.access_lifetime;
    let exp = grant.ends_at.map_or(unbounded, |ends_at| ends_at.min(unbounded));
    let claims = claims(grant, TokenType::Access, Jti::random(entropy), now, exp, policy);
    key.sign(&claims.to_json(&policy.names))
}

/// The refresh token of a stamp; `None` if none is granted.
pub fn mint_refresh(grant: &Grant, policy: &TokenPolicy, key: &SigningKey, secret: &RefreshKey) -> Option<String> {
    let stamp = grant.refresh?;
    let jti = secret.jti(grant.session, &stamp.seed, stamp.generation);
    let mut claims = claims(grant, TokenType::Refresh, jti, stamp.minted_at, stamp.expires_at, policy);
    claims.generation = Some(stamp.generation);
    Some(key.sign(&claims.to_json(&policy.names)))
}

fn claims(grant: &Grant, token_type: TokenType, jti: Jti, minted_at: Timestamp, expires_at: Timestamp, policy: &TokenPolicy) -> Claims {
    Claims {
        token_type: Some(token_type),
        exp: Some(expires_at.as_secs()),
        iat: Some(minted_at.as_secs()),
        jti: Some(jti.to_string()),
        user_id: Some(grant.subject.as_str().to_owned()),
        sid: Some(grant.session),
        rsq: Some(grant.rsq),
        aud: match policy.audience.as_slice() {
            [] => None,
            [one] => Some(Audience::One(one.clone())),
            several => Some(Audience::Any(several.to_vec())),
        },
        iss: policy.issuer.clone(),
        ..Claims::default()
    }
}
