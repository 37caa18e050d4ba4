//! `[tokens]`: the signing, lifetimes, claims and acceptance of tokens. Names follow Simple JWT's settings.

mod acceptance;
mod claims;
mod lifetimes;
mod signing;

use std::time::Duration;

use quash_core::model::{AccountPolicy, TokenPolicy};
use quash_server::{Compat, TokenHeader};

use crate::settings::engine::fault::Reported;
use crate::settings::engine::section::Section;
use crate::settings::engine::table::{Naming, Table};

pub(crate) use claims::fault_of_name as fault_of_claim_name;
pub(super) use signing::ALGORITHMS;
use signing::Signing;

pub(crate) const TABLE: Table = Table {
    name: "tokens",
    doc: "signing, lifetimes, claims and acceptance of tokens",
    naming: Naming::One,
    keys: &[
        &signing::ALGORITHM,
        &signing::SIGNING_KEY,
        &signing::VERIFYING_KEY,
        &signing::INSECURE_SHORT_SECRET,
        &lifetimes::ACCESS_TOKEN_LIFETIME,
        &lifetimes::REFRESH_TOKEN_LIFETIME,
        &lifetimes::SLIDING_TOKEN_LIFETIME,
        &lifetimes::SLIDING_TOKEN_REFRESH_LIFETIME,
        &lifetimes::ROTATE_REFRESH_TOKENS,
        &lifetimes::BLACKLIST_AFTER_ROTATION,
        &claims::ISSUER,
        &claims::AUDIENCE,
        &claims::USER_ID_FIELD,
        &claims::USER_ID_CLAIM,
        &claims::USER_ID_TYPE,
        &claims::TOKEN_TYPE_CLAIM,
        &claims::JTI_CLAIM,
        &claims::SLIDING_TOKEN_REFRESH_EXP_CLAIM,
        &claims::CHECK_REVOKE_TOKEN,
        &claims::REVOKE_TOKEN_CLAIM,
        &acceptance::LEEWAY,
        &acceptance::AUTH_HEADER_TYPES,
        &acceptance::AUTH_HEADER_NAME,
        &acceptance::AUTH_TOKEN_CLASSES,
        &acceptance::CHECK_USER_IS_ACTIVE,
        &acceptance::UPDATE_LAST_LOGIN,
        &acceptance::FOREIGN_TOKENS,
        &acceptance::COMPAT,
    ],
};

/// Settings of Simple JWT that quash doesn't have, with the alternative.
pub(crate) const UNSUPPORTED: [(&str, &str); 14] = [
    ("jwk_url", "write jwks_url under [foreign.<name>]: quash knows its own keys"),
    ("json_encoder", CODE),
    ("user_authentication_rule", "leave it out: check_user_is_active is the only choice"),
    ("on_login_success", "leave it out: update_last_login = true does the same as Simple JWT's own"),
    ("on_login_failed", CODE),
    ("token_user_class", CODE),
    ("token_obtain_serializer", CODE),
    ("token_refresh_serializer", CODE),
    ("token_verify_serializer", CODE),
    ("token_blacklist_serializer", CODE),
    ("sliding_token_obtain_serializer", CODE),
    ("sliding_token_refresh_serializer", CODE),
    ("auth_header_type", "write auth_header_types"),
    ("auth_token_class", "write auth_token_classes"),
];
const CODE: &str = "leave it out: it names Python code";

/// The section's values.
pub(super) struct Tokens {
    pub(super) policy: TokenPolicy,
    pub(super) signing: Signing,
    pub(super) rotate: bool,
    pub(super) blacklist: bool,
    pub(super) accounts: AccountPolicy,
    pub(super) header: TokenHeader,
    pub(super) compat: Compat,
}

pub(super) fn read(mut section: Section<'_>) -> Result<Tokens, Reported> {
    let section = &mut section;
    let (signing, lifetimes) = (signing::read(section), lifetimes::read(section));
    let (rotate, blacklist) =
        (section.read(&lifetimes::ROTATE_REFRESH_TOKENS), section.read(&lifetimes::BLACKLIST_AFTER_ROTATION));
    let (issuer, audience, names) =
        (claims::issuer(section), section.read(&claims::AUDIENCE), claims::names(section));
    let (taken, lifetimes) = (acceptance::read(section)?, lifetimes?);
    let policy = TokenPolicy {
        access_lifetime: lifetimes.access,
        refresh_lifetime: lifetimes.refresh,
        sliding_lifetime: lifetimes.sliding,
        sliding_refresh_lifetime: lifetimes.sliding_refresh,
        issuer: issuer?,
        audience: audience?.unwrap_or_default(),
        leeway: taken.leeway,
        // A service that shares its store sets it.
        signers_ahead: Duration::ZERO,
        longest_lifetime_ever: Duration::ZERO,
        names: names?,
        accepted: taken.accepted,
        foreign: taken.foreign,
        namespaces: Vec::new(),
    };
    Ok(Tokens {
        policy: TokenPolicy { longest_lifetime_ever: policy.longest_lifetime(), ..policy },
        signing: signing?,
        rotate: rotate?,
        blacklist: blacklist?,
        accounts: taken.accounts,
        header: taken.header,
        compat: taken.compat,
    })
}
