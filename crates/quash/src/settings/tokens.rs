//! `[tokens]`: what tokens say, how long they hold, what they are signed with. Names follow Simple JWT's settings.

use std::time::Duration;

use quash_core::model::{ClaimNames, TokenPolicy, limits};
use quash_core::token::Algorithm;
use quash_server::Compat;

use super::fault::Fault;
use super::span::{Bounds, LONGEST, Zero};
use super::value::Section;

/// The keys of the section.
pub(super) const KEYS: &[&str] = &[
    "algorithm",
    "access_token_lifetime",
    "refresh_token_lifetime",
    "rotate_refresh_tokens",
    "blacklist_after_rotation",
    "issuer",
    "audience",
    "leeway",
    "auth_header_types",
    "user_id_claim",
    "token_type_claim",
    "jti_claim",
    "compat",
];

/// The section, read.
pub(super) struct Tokens {
    pub(super) policy: TokenPolicy,
    pub(super) algorithm: Algorithm,
    pub(super) rotate: bool,
    pub(super) blacklist: bool,
    pub(super) auth_header_types: Vec<String>,
    pub(super) compat: Compat,
}

/// `exp` counts seconds, so a token can't hold for less than one.
const LIFETIME: Bounds = Bounds { least: Duration::from_secs(1), most: LONGEST, zero: Zero::Refused };
const LEEWAY: Bounds = Bounds { least: Duration::from_secs(1), most: limits::LEEWAY, zero: Zero::Allowed };

/// Claims whose meaning is fixed (RFC 7519 4.1, and quash's own).
const FIXED_CLAIMS: [&str; 8] = ["exp", "iat", "nbf", "aud", "iss", "sid", "rsq", "gen"];
/// The longest name of a claim, in bytes.
const CLAIM_NAME_BYTES: usize = 64;

pub(super) fn read(section: Section<'_>) -> Result<Tokens, Fault> {
    let default = TokenPolicy::default();
    let lifetime = |key, default| Ok(section.span(key, LIFETIME)?.unwrap_or(default));
    let policy = TokenPolicy {
        access_lifetime: lifetime("access_token_lifetime", default.access_lifetime)?,
        refresh_lifetime: lifetime("refresh_token_lifetime", default.refresh_lifetime)?,
        issuer: issuer(section)?,
        audience: section.texts("audience")?.unwrap_or_default(),
        leeway: section.span("leeway", LEEWAY)?.unwrap_or(default.leeway),
        names: claim_names(section, default.names)?,
        longest_lifetime_ever: Duration::ZERO,
    };
    let algorithms = [Algorithm::EdDsa, Algorithm::Hs256].map(|algorithm| (algorithm.as_str(), algorithm));
    Ok(Tokens {
        policy: TokenPolicy { longest_lifetime_ever: policy.longest_lifetime(), ..policy },
        algorithm: section.one_of("algorithm", &algorithms)?.unwrap_or(Algorithm::EdDsa),
        rotate: section.switch("rotate_refresh_tokens")?.unwrap_or(true),
        blacklist: section.switch("blacklist_after_rotation")?.unwrap_or(true),
        auth_header_types: auth_header_types(section)?,
        compat: section.one_of("compat", &[("standard", Compat::Standard), ("strict", Compat::Strict)])?.unwrap_or_default(),
    })
}

/// Any text, but where it is an address, one that can be trusted (RFC 8414 2): verifiers fetch keys from there.
fn issuer(section: Section<'_>) -> Result<Option<String>, Fault> {
    let issuer = section.text("issuer")?;
    if let Some(text) = &issuer {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(section.fault("issuer", "has a blank or a control character in it", "write it without"));
        }
        let insecure = text.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http://")).map(|(_, rest)| rest);
        if insecure.is_some_and(|rest| !is_loopback(rest)) {
            return Err(section.fault("issuer", "is an http address, which anybody on the way can speak for", "write it with https://"));
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

fn claim_names(section: Section<'_>, default: ClaimNames) -> Result<ClaimNames, Fault> {
    let mut taken: Vec<(String, &str)> = Vec::new();
    let mut name = |key: &'static str, default: String| {
        let name = section.text(key)?.unwrap_or(default);
        if name.len() > CLAIM_NAME_BYTES || !name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')) {
            return Err(section.fault(
                key,
                "isn't a name for a claim",
                "write up to 64 ASCII characters without blanks or quotation marks",
            ));
        }
        if FIXED_CLAIMS.contains(&name.as_str()) {
            return Err(section.fault(key, "is the name of a claim that means something else", "choose another name, such as \"sub\""));
        }
        if let Some((_, other)) = taken.iter().find(|(used, _)| *used == name) {
            return Err(section.fault(key, format!("is the name that tokens.{other} has already"), "give each claim a name of its own"));
        }
        taken.push((name.clone(), key));
        Ok(name)
    };
    Ok(ClaimNames {
        token_type: name("token_type_claim", default.token_type)?,
        jti: name("jti_claim", default.jti)?,
        user_id: name("user_id_claim", default.user_id)?,
    })
}

/// Schemes are tokens in the sense of RFC 9110 5.6.2.
fn auth_header_types(section: Section<'_>) -> Result<Vec<String>, Fault> {
    const KEY: &str = "auth_header_types";
    let types = section.texts(KEY)?.unwrap_or_else(|| vec!["Bearer".into()]);
    let is_token = |text: &String| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if types.iter().all(is_token) {
        Ok(types)
    } else {
        Err(section.fault(KEY, "has a member that isn't the scheme of a header", "write schemes such as [\"Bearer\", \"JWT\"]"))
    }
}
