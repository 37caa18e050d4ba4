//! Minting: signs the tokens that a decision has granted.

use super::claims::{Audience, Claims, TokenType};
use super::keys::{RefreshKey, SigningKey, Unsigned};
use crate::model::{
    Account, ClaimNames, CustomClaims, Entropy, Generation, HeadVersions, Jti, Refusal, Seq, Session,
    SessionId, Timestamp, TokenPolicy,
};

/// The tokens that a decision grants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    pub session: SessionId,
    pub bearer: Bearer,
    /// The log's head, read before all else.
    pub rsq: Seq,
    /// The number of changes of the signing keys, read with it: an older key mustn't sign.
    pub ring: u64,
    /// The number of changes of the settings that define tokens, read with it.
    pub settings: u64,
    /// The latest `exp` of an access token.
    pub ends_at: Option<Timestamp>,
    pub tokens: Tokens,
}

/// The data about the account in its tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bearer {
    /// The user id claim.
    pub user_id: String,
    /// The mark of the password's hash, Simple JWT's claim `hash_password`, if the site uses marks.
    pub password_mark: Option<String>,
    pub claims: CustomClaims,
}

/// The kinds of tokens to mint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tokens {
    Access,
    /// An access token and the session's current refresh token.
    Both(RefreshStamp),
    Sliding(SlidingStamp),
}

/// The values from which a refresh token's id is derived. The same stamp gives the same token again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefreshStamp {
    pub generation: Generation,
    pub seed: [u8; 16],
    /// The time at which the token was first minted.
    pub minted_at: Timestamp,
    pub expires_at: Timestamp,
}

/// The values from which a sliding token's id is derived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlidingStamp {
    /// The session's generation. A sliding token doesn't rotate, but its generation grows if its session
    /// survives the end of others.
    pub generation: Generation,
    pub seed: [u8; 16],
    /// The end of the time in which the token can be exchanged.
    pub refresh_until: Timestamp,
}

/// The settings and keys for minting.
#[derive(Clone, Copy, Debug)]
pub struct Minting<'a> {
    pub policy: &'a TokenPolicy,
    /// The key that signs access and sliding tokens.
    pub key: &'a SigningKey,
    /// The key that signs refresh tokens: one that is never published, or the same as `key`.
    pub refresh_key: &'a SigningKey,
    /// The key from which the ids of refresh and sliding tokens are derived.
    pub secret: &'a RefreshKey,
}

/// Signed tokens. `Debug` doesn't print them.
#[derive(Clone, PartialEq, Eq)]
pub enum Issued {
    Access { access: String },
    Both { access: String, refresh: String },
    Sliding { token: String },
}

impl Bearer {
    /// Collects the data about an account for a session's tokens.
    ///
    /// # Errors
    /// The account lacks the field that the site uses as the user id.
    pub fn of(account: &Account, claims: &CustomClaims, names: &ClaimNames) -> Result<Self, Refusal> {
        let user_id = account.user_id(names.user_id_field).ok_or(Refusal::NoActiveAccount)?.to_owned();
        let password_mark = names.password_mark.as_ref().map(|_| account.node_mark());
        Ok(Self { user_id, password_mark, claims: account.claims.in_session(claims) })
    }
}

impl Grant {
    /// An access token and the session's current refresh token.
    pub fn of_both(session: &Session, bearer: Bearer, versions: HeadVersions) -> Self {
        let refresh = RefreshStamp {
            generation: session.generation,
            seed: session.seed,
            minted_at: session.rotated_at,
            expires_at: session.idle_until,
        };
        Self { tokens: Tokens::Both(refresh), ..Self::of_access(session, bearer, versions) }
    }

    /// An access token alone.
    pub fn of_access(session: &Session, bearer: Bearer, versions: HeadVersions) -> Self {
        let HeadVersions { seq: rsq, ring, settings } = versions;
        let (session, ends_at) = (session.id, session.ends_at);
        Self { session, bearer, rsq, ring, settings, ends_at, tokens: Tokens::Access }
    }

    pub fn of_sliding(
        session: &Session,
        bearer: Bearer,
        refresh_until: Timestamp,
        versions: HeadVersions,
    ) -> Self {
        let sliding = SlidingStamp { generation: session.generation, seed: session.seed, refresh_until };
        Self { tokens: Tokens::Sliding(sliding), ..Self::of_access(session, bearer, versions) }
    }
}

/// Signs the granted tokens.
///
/// # Errors
/// The crypto library fails.
pub fn mint(
    grant: &Grant,
    minting: Minting<'_>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Issued, Unsigned> {
    let Minting { policy, key, refresh_key, secret } = minting;
    let sign_with = |key: &SigningKey, claims: &Claims| key.sign(&claims.to_json(&policy.names));
    let sign = |claims: &Claims| sign_with(key, claims);
    let access = || {
        let exp = bounded(now + policy.access_lifetime, grant);
        sign(&claims(grant, TokenType::Access, Jti::random(entropy), now, exp, policy))
    };
    match grant.tokens {
        Tokens::Access => Ok(Issued::Access { access: access()? }),
        Tokens::Both(stamp) => {
            let jti = secret.jti(grant.session, &stamp.seed, stamp.generation);
            let mut claims =
                claims(grant, TokenType::Refresh, jti, stamp.minted_at, stamp.expires_at, policy);
            claims.generation = Some(stamp.generation);
            Ok(Issued::Both { access: access()?, refresh: sign_with(refresh_key, &claims)? })
        }
        Tokens::Sliding(stamp) => {
            let jti = secret.sliding_jti(grant.session, &stamp.seed, stamp.generation);
            let mut claims = claims(
                grant,
                TokenType::Sliding,
                jti,
                now,
                bounded(now + policy.sliding_lifetime, grant),
                policy,
            );
            claims.refresh_exp = Some(stamp.refresh_until.as_secs());
            Ok(Issued::Sliding { token: sign(&claims)? })
        }
    }
}

/// Limits a token's `exp` to the end of its session.
fn bounded(exp: Timestamp, grant: &Grant) -> Timestamp {
    grant.ends_at.map_or(exp, |ends_at| ends_at.min(exp))
}

fn claims(
    grant: &Grant,
    token_type: TokenType,
    jti: Jti,
    minted_at: Timestamp,
    expires_at: Timestamp,
    policy: &TokenPolicy,
) -> Claims {
    Claims {
        token_type: Some(token_type),
        exp: Some(expires_at.as_secs()),
        iat: Some(minted_at.as_secs()),
        jti: Some(jti.to_string()),
        user_id: Some(grant.bearer.user_id.clone()),
        password_mark: grant.bearer.password_mark.clone(),
        sid: Some(grant.session),
        rsq: Some(grant.rsq),
        custom: grant.bearer.claims.as_slice().to_vec(),
        aud: match policy.audience.as_slice() {
            [] => None,
            [one] => Some(Audience::One(one.clone())),
            several => Some(Audience::Any(several.to_vec())),
        },
        iss: policy.issuer.clone(),
        ..Claims::default()
    }
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issued(..)")
    }
}
