//! `[tokens]`: what tokens say, how long they hold, what they are signed with. Names follow Simple JWT's settings.

use std::time::Duration;

use quash_core::model::{ClaimNames, TokenPolicy, limits};
use quash_core::token::Algorithm;
use quash_server::Compat;

use super::fault::Told;
use super::key::{DefaultsTo, Key, Optional};
use super::kind::{List, Switch, Text, Words};
use super::section::Section;
use super::span::{LONGEST, Span, Zero};
use super::table::{Naming, Table};

pub(super) const TABLE: Table = Table {
    name: "tokens",
    doc: "what tokens say and how long they hold",
    naming: Naming::One,
    keys: &[
        &ALGORITHM,
        &ACCESS_TOKEN_LIFETIME,
        &REFRESH_TOKEN_LIFETIME,
        &ROTATE_REFRESH_TOKENS,
        &BLACKLIST_AFTER_ROTATION,
        &ISSUER,
        &AUDIENCE,
        &LEEWAY,
        &AUTH_HEADER_TYPES,
        &USER_ID_CLAIM,
        &TOKEN_TYPE_CLAIM,
        &JTI_CLAIM,
        &COMPAT,
    ],
};

const ALGORITHM: Key<Words<Algorithm>> = Key {
    name: "algorithm",
    kind: Words(&[(Algorithm::EdDsa.as_str(), Algorithm::EdDsa), (Algorithm::Hs256.as_str(), Algorithm::Hs256)]),
    unset: DefaultsTo("\"EdDSA\""),
    doc: "What new tokens are signed with. EdDSA, because verifiers then need no secret. Changing it makes a new key; the old one \
          goes on verifying until its last token has expired.",
};
const ACCESS_TOKEN_LIFETIME: Key<Span> = Key {
    name: "access_token_lifetime",
    kind: LIFETIME,
    unset: DefaultsTo("\"5m\""),
    doc: "From minting to `exp`. Simple JWT's default; verifiers that know nothing of revocations accept a token this long.",
};
const REFRESH_TOKEN_LIFETIME: Key<Span> = Key {
    name: "refresh_token_lifetime",
    kind: LIFETIME,
    unset: DefaultsTo("\"1d\""),
    doc: "The idle limit of a session: each refresh begins it anew. Simple JWT's default.",
};
const ROTATE_REFRESH_TOKENS: Key<Switch> = Key {
    name: "rotate_refresh_tokens",
    kind: Switch,
    unset: DefaultsTo("true"),
    doc: "A refresh also gives a new refresh token. Without it a stolen refresh token is never noticed.",
};
const BLACKLIST_AFTER_ROTATION: Key<Switch> = Key {
    name: "blacklist_after_rotation",
    kind: Switch,
    unset: DefaultsTo("true"),
    doc: "A spent refresh token that comes back late ends its session. With `false` it is answered with the current one.",
};
const ISSUER: Key<Text, Optional> = Key {
    name: "issuer",
    kind: Text,
    unset: Optional { example: "\"https://auth.example.org\"" },
    doc: "Written as `iss`, and required when set. An `http://` address is refused except for loopback. Changing it signs everybody \
          out.",
};
const AUDIENCE: Key<List, Optional> = Key {
    name: "audience",
    kind: List,
    unset: Optional { example: "[\"shop\", \"blog\"]" },
    doc: "Written as `aud`; one match is required.",
};
const LEEWAY: Key<Span> = Key {
    name: "leeway",
    kind: Span { least: Duration::from_secs(1), most: limits::LEEWAY, zero: Zero::Allowed },
    unset: DefaultsTo("\"0s\""),
    doc: "Allowed difference between clocks for `exp`, `nbf` and `iat`. None, because one server has one clock.",
};
const AUTH_HEADER_TYPES: Key<List> = Key {
    name: "auth_header_types",
    kind: List,
    unset: DefaultsTo("[\"Bearer\"]"),
    doc: "Schemes of the Authorization header, compared without regard to case. The first is named in `WWW-Authenticate`.",
};
const USER_ID_CLAIM: Key<Text> =
    Key { name: "user_id_claim", kind: Text, unset: DefaultsTo("\"user_id\""), doc: "The claim with the subject. Some sites say `sub`." };
const TOKEN_TYPE_CLAIM: Key<Text> =
    Key { name: "token_type_claim", kind: Text, unset: DefaultsTo("\"token_type\""), doc: "The claim with `access` or `refresh`." };
const JTI_CLAIM: Key<Text> = Key { name: "jti_claim", kind: Text, unset: DefaultsTo("\"jti\""), doc: "The claim with the token's id." };
const COMPAT: Key<Words<Compat>> = Key {
    name: "compat",
    kind: Words(&[("standard", Compat::Standard), ("strict", Compat::Strict)]),
    unset: DefaultsTo("\"standard\""),
    doc: "`strict` leaves the member `reason` out of a 401 on the Simple JWT paths.",
};

/// `exp` counts seconds, so a token can't hold for less than one.
const LIFETIME: Span = Span { least: Duration::from_secs(1), most: LONGEST, zero: Zero::Refused };

/// The section, read.
pub(super) struct Tokens {
    pub(super) policy: TokenPolicy,
    pub(super) algorithm: Algorithm,
    pub(super) rotate: bool,
    pub(super) blacklist: bool,
    pub(super) auth_header_types: Vec<String>,
    pub(super) compat: Compat,
}

/// Claims whose meaning is fixed (RFC 7519 4.1, and quash's own).
const FIXED_CLAIMS: [&str; 8] = ["exp", "iat", "nbf", "aud", "iss", "sid", "rsq", "gen"];
/// The longest name of a claim, in bytes.
const CLAIM_NAME_BYTES: usize = 64;

pub(super) fn read(mut section: Section<'_>) -> Result<Tokens, Told> {
    let policy = policy(&mut section);
    let algorithm = section.read(&ALGORITHM);
    let (rotate, blacklist) = (section.read(&ROTATE_REFRESH_TOKENS), section.read(&BLACKLIST_AFTER_ROTATION));
    let auth_header_types = auth_header_types(&mut section);
    let compat = section.read(&COMPAT);
    Ok(Tokens {
        policy: policy?,
        algorithm: algorithm?,
        rotate: rotate?,
        blacklist: blacklist?,
        auth_header_types: auth_header_types?,
        compat: compat?,
    })
}

fn policy(section: &mut Section<'_>) -> Result<TokenPolicy, Told> {
    let (access_lifetime, refresh_lifetime) = (section.read(&ACCESS_TOKEN_LIFETIME), section.read(&REFRESH_TOKEN_LIFETIME));
    let (issuer, audience, leeway) = (issuer(section), section.read(&AUDIENCE), section.read(&LEEWAY));
    let names = claim_names(section);
    let policy = TokenPolicy {
        access_lifetime: access_lifetime?,
        refresh_lifetime: refresh_lifetime?,
        issuer: issuer?,
        audience: audience?.unwrap_or_default(),
        leeway: leeway?,
        names: names?,
        longest_lifetime_ever: Duration::ZERO,
    };
    Ok(TokenPolicy { longest_lifetime_ever: policy.longest_lifetime(), ..policy })
}

/// Any text, but where it is an address, one that can be trusted (RFC 8414 2): verifiers fetch keys from there.
fn issuer(section: &mut Section<'_>) -> Result<Option<String>, Told> {
    let issuer = section.read(&ISSUER)?;
    if let Some(text) = &issuer {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(section.wrong(&ISSUER, "has a blank or a control character in it", "write it without"));
        }
        let insecure = text.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http://")).map(|(_, rest)| rest);
        if insecure.is_some_and(|rest| !is_loopback(rest)) {
            return Err(section.wrong(&ISSUER, "is an http address, which anybody on the way can speak for", "write it with https://"));
        }
    }
    Ok(issuer)
}

fn is_loopback(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|host| authority.strip_prefix(host).is_some_and(|port| port.is_empty() || port.starts_with(':')))
}

fn claim_names(section: &mut Section<'_>) -> Result<ClaimNames, Told> {
    let mut taken: Vec<(String, &str)> = Vec::new();
    let mut name = |key: &Key<Text>| {
        let name = section.read(key)?;
        if name.len() > CLAIM_NAME_BYTES || !name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')) {
            let remedy = "write up to 64 ASCII characters without blanks or quotation marks";
            return Err(section.wrong(key, "isn't a name for a claim", remedy));
        }
        if FIXED_CLAIMS.contains(&name.as_str()) {
            let remedy = "choose another name, such as \"sub\"";
            return Err(section.wrong(key, "is the name of a claim that means something else", remedy));
        }
        if let Some((_, other)) = taken.iter().find(|(used, _)| *used == name) {
            return Err(section.wrong(key, format!("is the name that tokens.{other} has already"), "give each claim a name of its own"));
        }
        taken.push((name.clone(), key.name));
        Ok(name)
    };
    let (token_type, jti, user_id) = (name(&TOKEN_TYPE_CLAIM), name(&JTI_CLAIM), name(&USER_ID_CLAIM));
    Ok(ClaimNames { token_type: token_type?, jti: jti?, user_id: user_id? })
}

/// Schemes are tokens in the sense of RFC 9110 5.6.2.
fn auth_header_types(section: &mut Section<'_>) -> Result<Vec<String>, Told> {
    let types = section.read(&AUTH_HEADER_TYPES)?;
    let is_token = |text: &String| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if types.iter().all(is_token) {
        Ok(types)
    } else {
        let remedy = "write schemes such as [\"Bearer\", \"JWT\"]";
        Err(section.wrong(&AUTH_HEADER_TYPES, "has a member that isn't the scheme of a header", remedy))
    }
}
